"""Bumps at the clicks: a loss of every pixel, for a training's first steps and beside the LCFCN loss.

The LCFCN loss asks nothing of background below a probability of 1/2, and so the background rises until it stands just
below: on hard images little then tells objects apart from it, and a network that has not learned anything yet pushes
the same features up and down. Bumps (as in "Objects as Points", Zhou et al. 2019, section 3) ask every pixel to be
background for sure, but near a click.
"""

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from scipy.ndimage import distance_transform_edt
from torch import Tensor

from lcfcn.inputs import to_batch

SIGMA = 4.0
"""Standard deviation of a bump in pixels."""
WEIGHT = 5.0
"""How much more than the background the top of a bump weighs: else a rare object is best taken for background."""


def compute_heatmap_loss(logits: Tensor, points: Tensor, roi_mask: Tensor | None = None) -> Tensor:
    """Cross-entropy of a network's probabilities with bumps at the clicks.

    Parameters
    ----------
    logits, points, roi_mask
        As in `lcfcn.lcfcn_loss.compute_lcfcn_loss`.

    Returns
    -------
    loss : () float32 tensor
        Mean over the images of the sum over their pixels inside the region, in units of half a bump's weight.

    Raises
    ------
    ValueError, NonFiniteError
        As `compute_lcfcn_loss`.
    """
    batch, points, inside, _ = to_batch("logits", logits, points, roi_mask)
    n_classes = max(batch.shape[1] - 1, 1)
    bumps = np.stack([[_bumps(image == k) for k in range(1, n_classes + 1)] for image in np.where(inside, points, 0)])
    top = bumps.max(axis=1, keepdims=True)
    # Where bumps of several classes overlap, they share what the highest one leaves of the background.
    shares = bumps * (top / np.maximum(bumps.sum(axis=1, keepdims=True), np.finfo(float).tiny))
    targets, weights = (
        torch.from_numpy(values.astype(np.float32)).to(batch.device)
        for values in (np.concatenate([1 - top, shares], axis=1), (1 + WEIGHT * top) * inside[:, None])
    )
    log_probs = _log_probs(batch.float())
    return -(targets * log_probs * weights).sum() / (len(batch) * WEIGHT * np.pi * SIGMA**2)


def _bumps(clicks: np.ndarray) -> np.ndarray:
    """(H, W) heights: 1 at the clicks, less with the distance to the nearest."""
    if not clicks.any():
        return np.zeros(clicks.shape)
    return np.exp(-(distance_transform_edt(~clicks) ** 2) / (2 * SIGMA**2))


def _log_probs(logits: Tensor) -> Tensor:
    """(N, K + 1, H, W), the background first; a single channel is an object's."""
    return (
        torch.cat([F.logsigmoid(-logits), F.logsigmoid(logits)], dim=1)
        if logits.shape[1] == 1
        else logits.log_softmax(1)
    )
