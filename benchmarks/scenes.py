"""Draw scenes for the benchmarks of the loss: bumps at the clicks, and smooth noise that makes further blobs."""

from typing import NamedTuple

import numpy as np
from scipy import ndimage


class Scene(NamedTuple):
    """A scene: its size, its number of clicks, and the standard deviation of a bump in pixels."""

    height: int
    width: int
    n_points: int
    sigma: float


TYPES = (Scene(480, 640, 37, 8), Scene(768, 1024, 123, 6), Scene(768, 1024, 501, 4))


def draw(scene: Scene, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Draw logits (H, W) float32 and points (H, W) int64. A fifth of the clicks are near another click.

    logits = 8 * bumps + noise - 2. The bumps are 1 at their clicks. The noise is smooth over 6 pixels and has unit
    variance.
    """
    rng = np.random.default_rng(seed)
    shape = (scene.height, scene.width)
    n_near = scene.n_points // 5
    clicks = rng.integers(0, shape, (scene.n_points - n_near, 2))
    steps = rng.normal(0, 1.5 * scene.sigma, (n_near, 2)).round().astype(int)
    near = clicks[rng.integers(0, len(clicks), n_near)] + steps
    clicks = np.concatenate([clicks, near.clip(0, np.array(shape) - 1)])
    points = np.zeros(shape, dtype=np.int64)
    points[tuple(clicks.T)] = 1
    bumps = 2 * np.pi * scene.sigma**2 * ndimage.gaussian_filter(points.astype(float), scene.sigma)
    noise = ndimage.gaussian_filter(rng.normal(size=shape), 6)
    return (8 * bumps.clip(max=1) + noise / noise.std() - 2).astype(np.float32), points
