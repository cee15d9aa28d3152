"""The LCFCN loss: it trains any segmentation network to count, from one click per object.

The loss takes the network's output and the clicks. It has four terms, and each of them says of some pixels "this is an
object" or "this is background":

- image level: if there are clicks, the pixel of the highest probability is an object; the lowest one is background.
- point level: each clicked pixel is an object.
- split level: the lines between clicks are background, so that each click gets a blob of its own.
- false positive: a blob without a click is background.

So each term is a weighted sum of cross-entropies of single pixels. The pixels and their weights are found on the CPU,
without gradient (`lcfcn.targets`). Then the output is gathered at these pixels alone.

References
----------
Laradji et al., "Where are the Blobs: Counting by Localization with Point Supervision", ECCV 2018, section 3.
"""

from collections.abc import Callable, Mapping
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass
from numbers import Real
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from lcfcn.blobs import blobs2points, get_blobs
from lcfcn.inputs import LossInputs, NonFiniteError, start_batch, to_batch
from lcfcn.metrics import compute_game
from lcfcn.targets import Weights, find_pixel_sets, merge
from lcfcn.terms import TERMS

__all__ = [
    "LCFCNLoss",
    "NonFiniteError",
    "blobs2points",
    "compute_game",
    "compute_lcfcn_loss",
    "compute_loss",
    "get_blobs",
]

REDUCTIONS = ("mean", "sum", "none")
"""How the losses of the images become one: see `compute_lcfcn_loss`."""


def compute_lcfcn_loss(
    logits: Tensor,
    points: Tensor,
    roi_mask: Tensor | None = None,
    *,
    reduction: str = "mean",
    spare_points: bool = False,
    divide_by_points: bool = False,
    term_weights: Mapping[str, float] | None = None,
    return_terms: bool = False,
) -> Tensor | tuple[Tensor, dict[str, Tensor]]:
    """Compute the LCFCN loss of a network's logits. With the default options it is the authors' loss.

    Parameters
    ----------
    logits : (N, C, H, W) or (C, H, W) float tensor
        C = 1: the logit of an object (sigmoid). C = K + 1: the logits of the background (channel 0) and of K classes
        (softmax).
    points : (N, H, W) or (H, W) int or bool tensor
        0 = no click; k in 1..K = a click on an object of class k.
    roi_mask : (N, H, W) or (H, W) bool tensor, optional
        Region of interest. Pixels outside it are ignored, as if the image ended there.
    reduction : {"mean", "sum", "none"}
        How the losses of the images are combined. An image without any pixel inside its region has a loss of 0, and
        the mean counts it.
    spare_points : bool
        Leave clicked pixels out of the split lines. Without it, as in the authors' code, a click on a split line is
        pushed to the background by the split term, and to an object by the point term.
    divide_by_points : bool
        Divide the loss of each image by its number of clicks, or by 1 if it has none.
    term_weights : mapping, optional
        Factors of the terms, such as `{"split_level": 2}`: finite numbers, 0 or more. The others keep 1.
    return_terms : bool
        Return the four terms too.

    Returns
    -------
    loss : () tensor, or (N,) with `reduction="none"`
        Sum of the four terms; float64 if the logits are float64, else float32.
    terms : dict of tensors with the shape of the loss, only if `return_terms`
        `image_level`, `point_level`, `split_level` and `false_positive`. They add up to the loss and have no gradient.

    Raises
    ------
    TypeError
        If logits, points or region are not tensors.
    ValueError
        If shapes, classes, devices or options do not fit.
    NonFiniteError
        If a logit is NaN or infinite.

    Notes
    -----
    The pixels and their weights are found on the CPU, one thread per image, without gradient. Logits on a GPU are
    copied to the CPU once, and pixels and weights are copied back once. The same input always gives the same output.

    References
    ----------
    Laradji et al., "Where are the Blobs: Counting by Localization with Point Supervision", ECCV 2018, section 3,
    equations 1 to 5. `lcfcn.targets.find_pixel_sets` lists the differences from the paper.

    Examples
    --------
    Two images: two clicks on the first, and none on the second.

    >>> import torch
    >>> from lcfcn import compute_lcfcn_loss
    >>> logits = torch.zeros(2, 1, 8, 8, requires_grad=True)
    >>> points = torch.zeros(2, 8, 8, dtype=torch.int64)
    >>> points[0, 2, 3] = points[0, 6, 6] = 1
    >>> loss, terms = compute_lcfcn_loss(logits, points, return_terms=True)
    >>> loss.backward()
    >>> for name, value in terms.items():
    ...     print(f"{name}: {value:.2f}")
    image_level: 1.04
    point_level: 0.69
    split_level: 0.35
    false_positive: 0.00
    """
    options = _Options(reduction, spare_points, divide_by_points, term_weights, return_terms)
    inputs = to_batch("logits", logits, points, roi_mask)
    return _compute(inputs, _find_weights(_probs(inputs.host), inputs, options), OF_LOGITS, options)


def start_lcfcn_loss(
    logits: Tensor, points: Tensor, roi_mask: Tensor | None, pool: Executor, **options: object
) -> Callable[[], Tensor | tuple[Tensor, dict[str, Tensor]]]:
    """Begin `compute_lcfcn_loss`: find the pixel weights in the background, and return a function that waits for them.

    On a GPU, the network can work on the next images meanwhile. The function returns what `compute_lcfcn_loss` returns,
    and raises what it raises.

    Parameters
    ----------
    logits, points, roi_mask, **options
        See `compute_lcfcn_loss`.
    pool : concurrent.futures.Executor
        Where the weights are found.
    """
    checked = _Options(**options)
    wait = start_batch("logits", logits, points, roi_mask)

    def find() -> tuple[LossInputs, list[tuple[Weights, Weights]]]:
        inputs = wait()
        return inputs, _find_weights(_probs(inputs.host), inputs, checked)

    future = pool.submit(find)
    return lambda: _compute(*future.result(), OF_LOGITS, checked)


def compute_loss(
    points: Tensor,
    probs: Tensor,
    roi_mask: Tensor | None = None,
    *,
    reduction: str = "mean",
    spare_points: bool = False,
    divide_by_points: bool = False,
    term_weights: Mapping[str, float] | None = None,
    return_terms: bool = False,
) -> Tensor | tuple[Tensor, dict[str, Tensor]]:
    """Compute the LCFCN loss of probabilities, for models that end in a sigmoid or a softmax.

    Use `compute_lcfcn_loss` if you have the logits: the gradient of a probability that is exactly 0 or 1 vanishes.

    Parameters
    ----------
    points, roi_mask, reduction, spare_points, divide_by_points, term_weights, return_terms
        See `compute_lcfcn_loss`.
    probs : (N, C, H, W) or (C, H, W) float tensor in [0, 1]
        C = 1: the sigmoid of the logits. C = K + 1: their softmax, with the background in channel 0.

    Returns
    -------
    loss : () tensor, or (N,) with `reduction="none"`
        See `compute_lcfcn_loss`. Logarithms are not below -100, as in `torch.nn.functional.binary_cross_entropy`.
    terms : dict of tensors with the shape of the loss, only if `return_terms`

    Raises
    ------
    TypeError
        If points, probabilities or region are not tensors.
    ValueError
        If shapes, classes, devices or options do not fit, or a probability is outside [0, 1].
    NonFiniteError
        If a probability is NaN or infinite.

    Examples
    --------
    >>> import torch
    >>> from lcfcn import compute_loss
    >>> probs = torch.full((1, 1, 8, 8), 0.5, requires_grad=True)
    >>> points = torch.zeros(1, 8, 8, dtype=torch.int64)
    >>> points[0, 2, 3] = 1
    >>> print(f"{compute_loss(points, probs).item():.3f}")
    2.079
    """
    options = _Options(reduction, spare_points, divide_by_points, term_weights, return_terms)
    inputs = to_batch("probs", probs, points, roi_mask)
    low, high = inputs.host.aminmax()
    if not 0 <= low <= high <= 1:
        raise ValueError(
            f"probs run from {low:.3g} to {high:.3g}; expected [0, 1]: pass "
            "logits.sigmoid() or logits.softmax(1), or give the logits to compute_lcfcn_loss"
        )
    return _compute(inputs, _find_weights(inputs.host.float().numpy(), inputs, options), OF_PROBS, options)


class LCFCNLoss(nn.Module):
    """Compute `compute_lcfcn_loss` with options that are set once. It has no parameters.

    Parameters
    ----------
    reduction, spare_points, divide_by_points, term_weights
        See `compute_lcfcn_loss`.

    Raises
    ------
    ValueError
        If an option is unknown or has a wrong value.

    Examples
    --------
    >>> import torch
    >>> from lcfcn import LCFCNLoss
    >>> network = torch.nn.Conv2d(3, 1, 3, padding=1)
    >>> images = torch.rand(2, 3, 16, 16)
    >>> points = torch.zeros(2, 16, 16, dtype=torch.int64)
    >>> points[:, 4, 5] = 1
    >>> criterion = LCFCNLoss(spare_points=True, term_weights={"split_level": 2})
    >>> criterion(network(images), points).backward()
    """

    def __init__(
        self,
        reduction: str = "mean",
        spare_points: bool = False,
        divide_by_points: bool = False,
        term_weights: Mapping[str, float] | None = None,
    ) -> None:
        super().__init__()
        _Options(reduction, spare_points, divide_by_points, term_weights)
        self.options = {
            "reduction": reduction,
            "spare_points": spare_points,
            "divide_by_points": divide_by_points,
            "term_weights": term_weights,
        }

    def forward(
        self, logits: Tensor, points: Tensor, roi_mask: Tensor | None = None, *, return_terms: bool = False
    ) -> Tensor | tuple[Tensor, dict[str, Tensor]]:
        """Return the loss, and its terms if `return_terms`; see `compute_lcfcn_loss`."""
        return compute_lcfcn_loss(logits, points, roi_mask, **self.options, return_terms=return_terms)

    def extra_repr(self) -> str:
        """Return the options, for `print(model)`."""
        return ", ".join(f"{name}={value!r}" for name, value in self.options.items())


@dataclass(frozen=True)
class _Options:
    """The options of the loss, checked; see `compute_lcfcn_loss`."""

    reduction: str = "mean"
    spare_points: bool = False
    divide_by_points: bool = False
    term_weights: Mapping[str, float] | None = None
    return_terms: bool = False

    def __post_init__(self) -> None:
        if self.reduction not in REDUCTIONS:
            raise ValueError(f"reduction is {self.reduction!r}; expected one of {', '.join(REDUCTIONS)}")
        for name in ("spare_points", "divide_by_points", "return_terms"):
            if not isinstance(getattr(self, name), bool):
                raise ValueError(f"{name} is {getattr(self, name)!r}; expected True or False")
        _check_term_weights({} if self.term_weights is None else self.term_weights)

    def factors(self) -> dict[str, float]:
        """Return the factor of each term."""
        return dict.fromkeys(TERMS, 1.0) | dict(self.term_weights or {})

    def reduce(self, by_image: Tensor) -> Tensor:
        """Reduce the (N,) values of the images to one, or return them as they are."""
        return {"mean": by_image.mean, "sum": by_image.sum, "none": by_image.clone}[self.reduction]()


def _check_term_weights(term_weights: Mapping[str, float]) -> None:
    if not isinstance(term_weights, Mapping):
        raise ValueError(f"term_weights is {term_weights!r}; expected a dict, such as {{'split_level': 2}}")
    unknown = sorted(set(map(str, term_weights)) - set(TERMS))
    if unknown:
        raise ValueError(f"term_weights name {', '.join(unknown)}; expected names out of {', '.join(TERMS)}")
    for name, weight in term_weights.items():
        if not (isinstance(weight, Real) and 0 <= weight < float("inf")):
            raise ValueError(f"term_weights[{name!r}] is {weight!r}; expected a finite number, 0 or more")


class _CrossEntropy(NamedTuple):
    """How -log p and -log(1 - p) are computed from an output of a certain kind, (C, n) to (C, n)."""

    towards: Callable[[Tensor], Tensor]
    against: Callable[[Tensor], Tensor]


def _compute(
    inputs: LossInputs, weights: list[tuple[Weights, Weights]], cross_entropy: _CrossEntropy, options: _Options
) -> Tensor | tuple[Tensor, dict[str, Tensor]]:
    """Compute the loss of an output from its pixel weights."""
    by_image = _term_values(inputs.batch, weights, cross_entropy)
    if options.divide_by_points:
        counts = ((inputs.points > 0) & inputs.inside).sum((1, 2)).clip(min=1)
        by_image = by_image / torch.from_numpy(counts).to(by_image)
    loss = options.reduce(by_image.sum(0))
    if not options.return_terms:
        return loss
    return loss, {term: options.reduce(values) for term, values in zip(TERMS, by_image.detach(), strict=True)}


def _probs(logits: Tensor) -> np.ndarray:
    """Turn (N, C, H, W) logits on the host into float32 probabilities.

    Two channels are treated as one: the sigmoid of their difference.
    """
    logits = logits.float()
    if logits.shape[1] == 1:
        return logits.sigmoid().numpy()
    if logits.shape[1] == 2:
        probs = (logits[:, 1:] - logits[:, :1]).sigmoid()
        return torch.cat([1 - probs, probs], dim=1).numpy()
    return logits.softmax(1).numpy()


def _find_weights(probs: np.ndarray, inputs: LossInputs, options: _Options) -> list[tuple[Weights, Weights]]:
    """Return for each image the weights of -log p and those of -log(1 - p), from its probabilities (C, H, W)."""

    def of_image(probs: np.ndarray, points: np.ndarray, inside: np.ndarray) -> tuple[Weights, Weights]:
        pixel_sets = find_pixel_sets(probs, points, inside, options.spare_points)
        return tuple(merge(pixel_sets, towards, probs.shape, options.factors()) for towards in (True, False))

    n_workers = min(len(probs), torch.get_num_threads())
    if n_workers == 1:
        # A new thread starts with fresh memory, which takes a fifth of the time of a single image.
        return list(map(of_image, probs, inputs.points, inputs.inside))
    with ThreadPoolExecutor(n_workers) as pool:
        return list(pool.map(of_image, probs, inputs.points, inputs.inside))


def _term_values(output: Tensor, weights: list[tuple[Weights, Weights]], cross_entropy: _CrossEntropy) -> Tensor:
    """Sum up the weighted cross-entropies: return the four terms of each image, (4, N).

    All images are computed together, because a GPU is slow at many small steps. Each image has two parts: the pixels
    with a weight of -log p, and the pixels with a weight of -log(1 - p). These 2 N parts are laid end to end: first
    those of -log p, one per image, then those of -log(1 - p). In all they have P pixels.
    """
    n = len(weights)
    parts = [image[0] for image in weights] + [image[1] for image in weights]
    lengths = [len(part.pixels) for part in parts]
    logits, weights_of_terms = _gather(output, parts)  # (C, P), (4, C, P)
    n_towards = sum(lengths[:n])
    nll = torch.cat([cross_entropy.towards(logits[:, :n_towards]), cross_entropy.against(logits[:, n_towards:])], dim=1)
    by_part = [part.sum((1, 2)) for part in (weights_of_terms * nll).split(lengths, dim=2)]  # 2 N tensors (4,)
    terms = torch.stack(by_part, dim=1).reshape(len(TERMS), 2, n).sum(1)
    return terms if output.dtype == torch.float64 else terms.float()


def _gather(output: Tensor, parts: list[Weights]) -> tuple[Tensor, Tensor]:
    """Take the output (N, C, H, W) at the pixels of all parts: (C, P), and their weights (4, C, P)."""
    n, c, h, w = output.shape
    channel_starts = np.arange(n * c).reshape(n, c, 1) * (h * w)  # in the flat output
    # Part i belongs to image i % n.
    index = np.concatenate([channel_starts[i % n] + part.pixels for i, part in enumerate(parts)], axis=1)
    weights = np.concatenate([part.weights for part in parts], axis=2)
    index, weights = _to_device(index, weights, output.device)
    values = output.reshape(-1)[index]
    # A softmax near 1 leaves no digit of -log p in float32.
    return values.double() if c > 1 or values.dtype == torch.float64 else values.float(), weights


def _to_device(index: np.ndarray, weights: np.ndarray, device: torch.device) -> tuple[Tensor, Tensor]:
    """Copy the index (int64) and the weights (float32) to a device at once, without waiting for the copy."""
    if device.type == "cpu":
        return torch.from_numpy(index), torch.from_numpy(weights)
    packed = np.concatenate([index.reshape(-1).view(np.uint8), weights.reshape(-1).view(np.uint8)])
    packed = torch.from_numpy(packed).pin_memory().to(device, non_blocking=True)
    index_part, weights_part = packed.split([index.nbytes, weights.nbytes])
    return index_part.view(torch.int64).view(index.shape), weights_part.view(torch.float32).view(weights.shape)


def _logits_towards(logits: Tensor) -> Tensor:
    return F.softplus(-logits) if len(logits) == 1 else -logits.log_softmax(0)


def _logits_against(logits: Tensor) -> Tensor:
    """Return -log(1 - p), exact even where p is nearly 1."""
    if len(logits) == 1:
        return F.softplus(logits)
    others = [torch.cat([logits[:channel], logits[channel + 1 :]]) for channel in range(len(logits))]
    return torch.stack([logits.logsumexp(0) - rest.logsumexp(0) for rest in others])


def _probs_towards(probs: Tensor) -> Tensor:
    return F.binary_cross_entropy(probs, torch.ones_like(probs), reduction="none")


def _probs_against(probs: Tensor) -> Tensor:
    return F.binary_cross_entropy(probs, torch.zeros_like(probs), reduction="none")


OF_LOGITS = _CrossEntropy(_logits_towards, _logits_against)
OF_PROBS = _CrossEntropy(_probs_towards, _probs_against)
