"""The heat-map loss: each pixel should be background, but near a click it should be an object.

The LCFCN loss does not touch background pixels with a probability below 1/2: no blob is there. So in training they
rise, until objects and background differ by little. The heat-map loss closes this gap. Its target is a heat map: 1 at
each click, falling off as a Gaussian, and 0 elsewhere. The loss is the cross-entropy of the network's probabilities
with it, over all pixels. Our experiments use it alone in the first steps, and beside the LCFCN loss from then on.

References
----------
Zhou et al., "Objects as Points", 2019, section 3, trains a network by such a heat map.
"""

from collections.abc import Callable
from concurrent.futures import Executor

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from scipy.ndimage import distance_transform_edt
from torch import Tensor

from lcfcn.inputs import LossInputs, start_batch, to_batch

SIGMA = 4.0
"""Standard deviation of the Gaussian around a click, in pixels."""
WEIGHT = 5.0
"""A clicked pixel weighs 1 + WEIGHT times as much as a background pixel. Otherwise the network ignores rare objects."""


def compute_heatmap_loss(logits: Tensor, points: Tensor, roi_mask: Tensor | None = None) -> Tensor:
    """Compute the cross-entropy of a network's probabilities with a heat map of the clicks.

    Parameters
    ----------
    logits, points, roi_mask
        See `compute_lcfcn_loss`.

    Returns
    -------
    loss : () float32 tensor
        Weighted sum of the cross-entropies of the pixels inside the region, averaged over the images. It is divided by
        `WEIGHT * pi * SIGMA**2` = 251.3, which is half of the extra weight that all pixels around one click have.

    Raises
    ------
    TypeError, ValueError, NonFiniteError
        See `compute_lcfcn_loss`.

    Examples
    --------
    Add it to the LCFCN loss, with a factor for its share.

    >>> import torch
    >>> from lcfcn import compute_heatmap_loss, compute_lcfcn_loss
    >>> logits = torch.zeros(1, 1, 32, 32, requires_grad=True)
    >>> points = torch.zeros(1, 32, 32, dtype=torch.int64)
    >>> points[0, 10, 20] = 1
    >>> loss = compute_lcfcn_loss(logits, points) + 0.2 * compute_heatmap_loss(logits, points)
    >>> loss.backward()
    """
    inputs = to_batch("logits", logits, points, roi_mask)
    return _cross_entropy(inputs, *_targets(inputs))


def start_heatmap_loss(logits: Tensor, points: Tensor, roi_mask: Tensor | None, pool: Executor) -> Callable[[], Tensor]:
    """Begin `compute_heatmap_loss`: draw the heat maps in the background, and return a function that waits for them.

    Parameters
    ----------
    logits, points, roi_mask
        See `compute_heatmap_loss`.
    pool : concurrent.futures.Executor
        Where the heat maps are drawn.
    """
    wait = start_batch("logits", logits, points, roi_mask)

    def draw() -> tuple[LossInputs, Tensor, Tensor]:
        inputs = wait()
        return inputs, *_targets(inputs)

    future = pool.submit(draw)
    return lambda: _cross_entropy(*future.result())


def _targets(inputs: LossInputs) -> tuple[Tensor, Tensor]:
    """Return the target probabilities (N, K + 1, H, W), the background first, and the weights of the pixels."""
    points, inside = inputs.points, inputs.inside
    n_classes = max(inputs.batch.shape[1] - 1, 1)
    maps = np.stack([[_heat_map(image == k) for k in range(1, n_classes + 1)] for image in np.where(inside, points, 0)])
    top = maps.max(axis=1, keepdims=True)
    # The background has the probability 1 - top. Classes whose heat maps overlap share the rest.
    shares = maps * (top / np.maximum(maps.sum(axis=1, keepdims=True), np.finfo(float).tiny))
    targets, weights = np.concatenate([1 - top, shares], axis=1), (1 + WEIGHT * top) * inside[:, None]
    return torch.from_numpy(targets.astype(np.float32)), torch.from_numpy(weights.astype(np.float32))


def _cross_entropy(inputs: LossInputs, targets: Tensor, weights: Tensor) -> Tensor:
    batch = inputs.batch
    targets, weights = targets.to(batch.device), weights.to(batch.device)
    return -(targets * _log_probs(batch.float()) * weights).sum() / (len(batch) * WEIGHT * np.pi * SIGMA**2)


def _heat_map(clicks: np.ndarray) -> np.ndarray:
    """Return (H, W) values in [0, 1]: a Gaussian of the distance to the nearest click, 1 at the clicks."""
    if not clicks.any():
        return np.zeros(clicks.shape)
    return np.exp(-(distance_transform_edt(~clicks) ** 2) / (2 * SIGMA**2))


def _log_probs(logits: Tensor) -> Tensor:
    """Return log-probabilities (N, K + 1, H, W), the background first."""
    return (
        torch.cat([F.logsigmoid(-logits), F.logsigmoid(logits)], dim=1)
        if logits.shape[1] == 1
        else logits.log_softmax(1)
    )
