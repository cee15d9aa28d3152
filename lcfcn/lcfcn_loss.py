"""The LCFCN loss: from any segmentation model's output and one click an object to a network that counts.

Laradji et al., "Where are the Blobs: Counting by Localization with Point Supervision", ECCV 2018, section 3.

>>> loss = compute_lcfcn_loss(seg_model(images), points)
>>> loss.backward()
"""

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import repeat

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from lcfcn.blobs import blobs2points, get_blobs
from lcfcn.inputs import NonFiniteError, to_batch
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
    """LCFCN loss of a network's logits.

    Parameters
    ----------
    logits : (N, C, H, W) or (C, H, W) float tensor
        C = 1: an object's logit. C = K + 1: the logits of a softmax over the background (channel 0) and K classes.
    points : (N, H, W) or (H, W) int tensor
        0 = no click, k in 1..K = a click on an object of class k.
    roi_mask : (N, H, W) or (H, W) bool tensor, optional
        Region of interest: what lies outside takes no part, as if the image ended there.
    reduction : {"mean", "sum", "none"}
        Over the images of the batch. An image that lies wholly outside its region adds 0 and is counted in the mean.
    spare_points : bool
        Leave clicked pixels out of the split lines. The authors' code pushes touching clicks to the background by
        their line while the point term pulls them up.
    divide_by_points : bool
        Divide each image's loss by its number of clicks (by 1 if there is none).
    term_weights : mapping, optional
        By what a term is multiplied, such as `{"split_level": 2}`; terms that are not named keep 1.
    return_terms : bool
        Also return the four terms.

    Returns
    -------
    loss : () tensor, or (N,) without reduction
        The sum of the four terms within an image, reduced; float32, or float64 for float64 logits. The defaults are
        the authors' loss.
    terms : dict of tensors shaped as the loss, if `return_terms`
        `image_level`, `point_level`, `split_level`, `false_positive`; they add up to the loss and have no gradient.

    Raises
    ------
    ValueError
        If shapes, class ids, devices or options do not fit.
    NonFiniteError
        If a logit is NaN or infinite.

    Notes
    -----
    Which pixels weigh how much is found on the CPU without gradient, an image a thread. What weighs anything is then
    gathered from the logits, so that the backward pass costs one map. From a GPU the logits, the points and the region
    are copied to the host at once, and pixels and weights back at once. Equal input gives equal output.
    """
    batch, points, roi_mask, host = to_batch("logits", logits, points, roi_mask)
    options = _Options(reduction, spare_points, divide_by_points, term_weights, return_terms)
    return _compute(batch, _probs(host), points, roi_mask, _logits_towards, _logits_against, options)


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
    """LCFCN loss of probabilities, for models that end in a sigmoid or a softmax.

    From logits `compute_lcfcn_loss` is the better choice: here the gradient vanishes where a probability has
    become exactly 0 or 1.

    Parameters
    ----------
    points, roi_mask, reduction, spare_points, divide_by_points, term_weights, return_terms
        As in `compute_lcfcn_loss`.
    probs : (N, C, H, W) or (C, H, W) float tensor in [0, 1]
        C = 1: sigmoid. C = K + 1: softmax, channel 0 the background.

    Returns
    -------
    loss, and terms
        As in `compute_lcfcn_loss`; logarithms are clamped at -100 as `binary_cross_entropy` does.

    Raises
    ------
    ValueError
        If shapes, class ids, devices or options do not fit, or a probability lies outside [0, 1].
    NonFiniteError
        If a probability is NaN or infinite.
    """
    batch, points, roi_mask, host = to_batch("probs", probs, points, roi_mask)
    low, high = host.aminmax()
    if not 0 <= low <= high <= 1:
        raise ValueError(
            f"probs run from {low:.3g} to {high:.3g}; expected [0, 1]: pass "
            "logits.sigmoid() or logits.softmax(1), or give the logits to compute_lcfcn_loss"
        )
    options = _Options(reduction, spare_points, divide_by_points, term_weights, return_terms)
    return _compute(batch, host.float().numpy(), points, roi_mask, _probs_towards, _probs_against, options)


class LCFCNLoss(nn.Module):
    """`compute_lcfcn_loss` with its options chosen once.

    >>> criterion = LCFCNLoss(spare_points=True)
    >>> criterion(seg_model(images), points).backward()

    Parameters
    ----------
    reduction, spare_points, divide_by_points, term_weights
        As in `compute_lcfcn_loss`.
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
        """Loss of the logits, and its terms on request; as `compute_lcfcn_loss`."""
        return compute_lcfcn_loss(logits, points, roi_mask, **self.options, return_terms=return_terms)

    def extra_repr(self) -> str:
        """The options, for `print(model)`."""
        return ", ".join(f"{name}={value!r}" for name, value in self.options.items())


@dataclass(frozen=True)
class _Options:
    """The options of the loss, checked; see `compute_lcfcn_loss`."""

    reduction: str
    spare_points: bool
    divide_by_points: bool
    term_weights: Mapping[str, float] | None
    return_terms: bool = False

    def __post_init__(self) -> None:
        if self.reduction not in REDUCTIONS:
            raise ValueError(f"reduction is {self.reduction!r}; expected one of {', '.join(REDUCTIONS)}")
        unknown = sorted(set(self.term_weights or {}) - set(TERMS))
        if unknown:
            raise ValueError(f"term_weights name {', '.join(unknown)}; expected names out of {', '.join(TERMS)}")

    def factors(self) -> dict[str, float]:
        """By what each of the terms is multiplied."""
        return dict.fromkeys(TERMS, 1.0) | dict(self.term_weights or {})

    def reduce(self, by_image: Tensor) -> Tensor:
        """(N,) values of the images to one, or to themselves."""
        return {"mean": by_image.mean, "sum": by_image.sum, "none": by_image.clone}[self.reduction]()


def _probs(logits: Tensor) -> np.ndarray:
    """(N, C, H, W) logits on the host to float32 probabilities; two channels as the sigmoid of their difference."""
    logits = logits.float()
    if logits.shape[1] == 1:
        return logits.sigmoid().numpy()
    if logits.shape[1] == 2:
        probs = (logits[:, 1:] - logits[:, :1]).sigmoid()
        return torch.cat([1 - probs, probs], dim=1).numpy()
    return logits.softmax(1).numpy()


def _compute(
    output: Tensor,
    probs: np.ndarray,
    points: np.ndarray,
    roi_mask: np.ndarray,
    towards: Callable[[Tensor], Tensor],
    against: Callable[[Tensor], Tensor],
    options: _Options,
) -> Tensor | tuple[Tensor, dict[str, Tensor]]:
    """Loss of an output (N, C, H, W); `towards` and `against` turn its columns (C, n) into -log p and -log(1 - p)."""
    images = (probs, points, roi_mask, repeat(options))
    n_workers = min(len(probs), torch.get_num_threads())
    if n_workers == 1:
        # A new thread gets memory that it has not touched yet, which costs a single image a fifth of its time.
        weights = list(map(_find_weights, *images))
    else:
        with ThreadPoolExecutor(n_workers) as pool:
            weights = list(pool.map(_find_weights, *images))
    by_image = _weigh(output, weights, towards, against)
    if options.divide_by_points:
        counts = ((points > 0) & roi_mask).sum((1, 2)).clip(min=1)
        by_image = by_image / torch.from_numpy(counts).to(by_image)
    loss = options.reduce(by_image.sum(0))
    if not options.return_terms:
        return loss
    return loss, {term: options.reduce(values) for term, values in zip(TERMS, by_image.detach(), strict=True)}


def _find_weights(
    probs: np.ndarray, points: np.ndarray, roi_mask: np.ndarray, options: _Options
) -> tuple[Weights, Weights]:
    """What one image's pixels weigh, towards a channel and against it."""
    pixel_sets = find_pixel_sets(probs, points, roi_mask, options.spare_points)
    return tuple(merge(pixel_sets, towards, probs.shape, options.factors()) for towards in (True, False))


def _weigh(
    output: Tensor,
    weights: list[tuple[Weights, Weights]],
    towards: Callable[[Tensor], Tensor],
    against: Callable[[Tensor], Tensor],
) -> Tensor:
    """The four terms of each image, (4, N)."""
    n, c, h, w = output.shape
    merged = [part for direction in zip(*weights, strict=True) for part in direction]
    lengths = [len(part.pixels) for part in merged]
    first = np.arange(n * c).reshape(n, c, 1) * (h * w)  # of each channel of each image
    index = np.concatenate([first[i % n] + part.pixels for i, part in enumerate(merged)], axis=1)  # (C, P)
    weighed = np.concatenate([part.weights for part in merged], axis=2)  # (4, C, P)
    index, weighed = _to_device(index, weighed, output.device)
    columns = output.reshape(-1)[index]
    # Of a softmax near 1, float32 would leave no digit of -log p.
    columns = columns.double() if c > 1 or columns.dtype == torch.float64 else columns.float()
    n_towards = sum(lengths[:n])
    nll = torch.cat([towards(columns[:, :n_towards]), against(columns[:, n_towards:])], dim=1)
    sums = [part.sum((1, 2)) for part in (weighed * nll).split(lengths, dim=2)]
    terms = torch.stack(sums, dim=1).reshape(len(TERMS), 2, n).sum(1)
    return terms if output.dtype == torch.float64 else terms.float()


def _to_device(index: np.ndarray, weights: np.ndarray, device: torch.device) -> tuple[Tensor, Tensor]:
    """Index (int64) and weights (float32) by one copy that the host does not wait for."""
    if device.type == "cpu":
        return torch.from_numpy(index), torch.from_numpy(weights)
    packed = np.concatenate([index.reshape(-1).view(np.uint8), weights.reshape(-1).view(np.uint8)])
    packed = torch.from_numpy(packed).pin_memory().to(device, non_blocking=True)
    index_part, weights_part = packed.split([index.nbytes, weights.nbytes])
    return index_part.view(torch.int64).view(index.shape), weights_part.view(torch.float32).view(weights.shape)


def _logits_towards(logits: Tensor) -> Tensor:
    return F.softplus(-logits) if len(logits) == 1 else -logits.log_softmax(0)


def _logits_against(logits: Tensor) -> Tensor:
    """-log(1 - p), exact also where p is nearly 1."""
    if len(logits) == 1:
        return F.softplus(logits)
    others = [torch.cat([logits[:channel], logits[channel + 1 :]]) for channel in range(len(logits))]
    return torch.stack([logits.logsumexp(0) - rest.logsumexp(0) for rest in others])


def _probs_towards(probs: Tensor) -> Tensor:
    return F.binary_cross_entropy(probs, torch.ones_like(probs), reduction="none")


def _probs_against(probs: Tensor) -> Tensor:
    return F.binary_cross_entropy(probs, torch.zeros_like(probs), reduction="none")
