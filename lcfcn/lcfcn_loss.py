"""The LCFCN loss: from any segmentation model's output and one click an object to a network that counts.

Laradji et al., "Where are the Blobs: Counting by Localization with Point Supervision", ECCV 2018, section 3.

>>> loss = compute_lcfcn_loss(seg_model(images), points)
>>> loss.backward()
"""

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from lcfcn.blobs import blobs2points, get_blobs
from lcfcn.metrics import compute_game
from lcfcn.targets import TERMS, Targets, build_targets

__all__ = ["NonFiniteError", "blobs2points", "compute_game", "compute_lcfcn_loss", "compute_loss", "get_blobs"]


class NonFiniteError(ValueError):
    """NaN or infinity in a network's output; `index` is the image's place in the batch."""

    def __init__(self, name: str, index: int) -> None:
        super().__init__(
            f"{name} of image {index} of the batch hold NaN or infinity; expected finite numbers: "
            "lower the learning rate, or look for broken values in that image"
        )
        self.index = index


def compute_lcfcn_loss(
    logits: Tensor, points: Tensor, roi_mask: Tensor | None = None, *, return_terms: bool = False
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
    return_terms : bool
        Also return the values of the four terms, without gradient.

    Returns
    -------
    loss : () tensor
        The sum of the four terms within an image, its mean over the images of the batch; float32, or float64 for
        float64 logits. An image that lies wholly outside its region adds 0 and is counted in the mean.
    terms : dict of () tensors on the CPU, if `return_terms`
        `image_level`, `point_level`, `split_level`, `false_positive`; they add up to the loss.

    Raises
    ------
    ValueError
        If shapes, class ids or devices do not fit.
    NonFiniteError
        If a logit is NaN or infinite.

    Notes
    -----
    The weights of the pixels are found on the CPU without gradient. All terms together then are one weighted
    cross-entropy, so the backward pass costs one map. For a batch on a GPU the logits are copied to the host once.
    """
    logits, points, roi_mask = _as_batch("logits", logits, points, roi_mask)
    logits = logits if logits.dtype == torch.float64 else logits.float()
    host_logits = _to_host("logits", logits)
    targets = _batch_targets(_probs(host_logits), points, roi_mask)
    loss = _cross_entropy_logits(logits, targets) / len(logits)
    if not return_terms:
        return loss
    return loss, _terms(targets, *_negative_logs(host_logits))


def compute_loss(
    points: Tensor, probs: Tensor, roi_mask: Tensor | None = None, *, return_terms: bool = False
) -> Tensor | tuple[Tensor, dict[str, Tensor]]:
    """LCFCN loss of probabilities, for models that end in a sigmoid or a softmax.

    From logits `compute_lcfcn_loss` is the better choice: here the gradient vanishes where a probability has
    become exactly 0 or 1.

    Parameters
    ----------
    points, roi_mask, return_terms
        As in `compute_lcfcn_loss`.
    probs : (N, C, H, W) or (C, H, W) float tensor in [0, 1]
        C = 1: sigmoid. C = K + 1: softmax, channel 0 the background.

    Returns
    -------
    loss : () tensor, and terms
        As in `compute_lcfcn_loss`; logarithms are clamped at -100 as `binary_cross_entropy` does.

    Raises
    ------
    ValueError
        If shapes, class ids or devices do not fit, or a probability lies outside [0, 1].
    NonFiniteError
        If a probability is NaN or infinite.
    """
    probs, points, roi_mask = _as_batch("probs", probs, points, roi_mask)
    probs = probs if probs.dtype == torch.float64 else probs.float()
    host_probs = _to_host("probs", probs)
    if host_probs.numel() and not 0 <= host_probs.min() <= host_probs.max() <= 1:
        raise ValueError(
            f"probs run from {host_probs.min():.3g} to {host_probs.max():.3g}; expected [0, 1]: pass "
            "logits.sigmoid() or logits.softmax(1), or give the logits to compute_lcfcn_loss"
        )
    targets = _batch_targets(host_probs.float().numpy(), points, roi_mask)
    loss = _cross_entropy_probs(probs, targets) / len(probs)
    if not return_terms:
        return loss
    return loss, _terms(targets, _clamped_nll(host_probs).numpy(), _clamped_nll(1 - host_probs).numpy())


def _as_batch(
    name: str, output: Tensor, points: Tensor, roi_mask: Tensor | None
) -> tuple[Tensor, np.ndarray, np.ndarray]:
    """Check and batch the inputs: (N, C, H, W) on its device, (N, H, W) classes and region on the host."""
    if output.ndim not in (3, 4) or not output.is_floating_point() or 0 in output.shape:
        raise ValueError(
            f"{name} have shape {tuple(output.shape)} and dtype {output.dtype}; expected a float tensor "
            "(N, C, H, W), or (C, H, W) for one image, with no empty side"
        )
    batch = output if output.ndim == 4 else output[None]
    n, c, h, w = batch.shape
    points = _dense("points", points, output, (n, h, w))
    n_classes = max(c - 1, 1)
    if ((points < 0) | (points > n_classes)).any():
        raise ValueError(
            f"points hold the values {points.min()} to {points.max()}; expected 0 for nothing and 1 to {n_classes} "
            f"for the class clicked, since {name} have {c} channel{'s' * (c > 1)}"
        )
    roi = np.ones((n, h, w), dtype=bool) if roi_mask is None else _dense("roi_mask", roi_mask, output, (n, h, w)) != 0
    return batch, points, roi


def _dense(name: str, mask: Tensor, output: Tensor, expected: tuple[int, int, int]) -> np.ndarray:
    if mask.is_cuda and mask.device != output.device:
        raise ValueError(
            f"{name} lie on {mask.device} and the network's output on {output.device}; "
            "expected the same device, or the CPU: move one of them"
        )
    one_image = output.ndim == 3
    if tuple(mask.shape) != expected and not (one_image and tuple(mask.shape) == expected[1:]):
        wanted = f"{expected[1:]}, or {expected}" if one_image else f"{expected}"
        raise ValueError(
            f"{name} has shape {tuple(mask.shape)} and the network's output {tuple(output.shape)}; expected {wanted}: "
            "one value a pixel, without a channel dimension"
        )
    return mask.detach().cpu().numpy().reshape(expected).astype(np.int64)


def _to_host(name: str, output: Tensor) -> Tensor:
    host = output.detach().cpu()
    finite = host.isfinite().flatten(1).all(1)
    if not finite.all():
        raise NonFiniteError(name, int((~finite).nonzero()[0, 0]))
    return host


def _probs(logits: Tensor) -> np.ndarray:
    """(N, C, H, W) logits on the host to float32 probabilities; two channels as the sigmoid of their difference."""
    logits = logits.float()
    if logits.shape[1] == 1:
        return logits.sigmoid().numpy()
    if logits.shape[1] == 2:
        probs = (logits[:, 1:] - logits[:, :1]).sigmoid()
        return torch.cat([1 - probs, probs], dim=1).numpy()
    return logits.softmax(1).numpy()


def _batch_targets(probs: np.ndarray, points: np.ndarray, roi_mask: np.ndarray) -> list[Targets]:
    return [build_targets(*image) for image in zip(probs, points, roi_mask, strict=True)]


def _stack(targets: list[Targets], device: torch.device) -> tuple[Tensor, Tensor]:
    """(N, C, H, W) weight_fg and weight_bg on the device."""
    weights = np.stack([[t.weight_fg, t.weight_bg] for t in targets], axis=1)
    weight_fg, weight_bg = torch.from_numpy(weights).to(device, non_blocking=True)
    return weight_fg, weight_bg


def _cross_entropy_logits(logits: Tensor, targets: list[Targets]) -> Tensor:
    """Sum over pixels, channels and images of w_fg * -log(p) + w_bg * -log(1 - p)."""
    weight_fg, weight_bg = _stack(targets, logits.device)
    if logits.shape[1] == 1:
        weight = weight_fg + weight_bg
        share_fg = torch.where(weight > 0, weight_fg / weight.clamp(min=torch.finfo(weight.dtype).tiny), 0)
        return F.binary_cross_entropy_with_logits(
            logits, share_fg.to(logits.dtype), weight.to(logits.dtype), reduction="sum"
        )
    loss = -(weight_fg * logits.log_softmax(1)).sum()
    for n, target in enumerate(targets):
        for s in target.pixel_sets:
            if not s.towards:
                pixel_logits = logits[n].flatten(1)[:, torch.from_numpy(s.pixels).to(logits.device)]  # (C, n_pixels)
                loss = loss + s.weight * _nll_of_others(pixel_logits, s.channel).sum()
    return loss


def _nll_of_others(logits: Tensor, channel: int) -> Tensor:
    """-log(1 - p[channel]) along dim 0, exact also where p is nearly 1."""
    others = torch.cat([logits[:channel], logits[channel + 1 :]])
    return logits.logsumexp(0) - others.logsumexp(0)


def _cross_entropy_probs(probs: Tensor, targets: list[Targets]) -> Tensor:
    weight_fg, weight_bg = (w.to(probs.dtype) for w in _stack(targets, probs.device))
    towards = F.binary_cross_entropy(probs, torch.ones_like(probs), weight_fg, reduction="sum")
    against = F.binary_cross_entropy(probs, torch.zeros_like(probs), weight_bg, reduction="sum")
    return towards + against


def _clamped_nll(probs: Tensor) -> Tensor:
    return -probs.double().log().clamp(min=-100)


def _negative_logs(logits: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """-log(p) and -log(1 - p) in float64 on the host, (N, C, H, W) each."""
    logits = logits.double()
    if logits.shape[1] == 1:
        return F.softplus(-logits).numpy(), F.softplus(logits).numpy()
    against = [_nll_of_others(logits.transpose(0, 1), channel) for channel in range(logits.shape[1])]
    return -logits.log_softmax(1).numpy(), torch.stack(against, dim=1).numpy()


def _terms(targets: list[Targets], nll: np.ndarray, nll_against: np.ndarray) -> dict[str, Tensor]:
    """The mean over the images of each term, from -log(p) and -log(1 - p) of shape (N, C, H, W)."""
    sums = dict.fromkeys(TERMS, 0.0)
    for n, target in enumerate(targets):
        for s in target.pixel_sets:
            values = (nll if s.towards else nll_against)[n, s.channel].reshape(-1)[s.pixels]
            sums[s.term] += float((s.weight * values).sum())
    return {term: torch.tensor(value / len(targets)) for term, value in sums.items()}
