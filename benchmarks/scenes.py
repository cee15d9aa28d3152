"""Drawn scenes of the benchmarks of the loss: bumps at the clicks, and smooth noise that makes blobs of its own."""

from typing import NamedTuple

import numpy as np
from scipy import ndimage


class Scene(NamedTuple):
    """Size, number of clicks, and radius (standard deviation) of a bump in pixels."""

    height: int
    width: int
    n_points: int
    sigma: float


TYPES = (Scene(480, 640, 37, 8), Scene(768, 1024, 123, 6), Scene(768, 1024, 501, 4))


def draw(scene: Scene, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Logits (H, W) float32 and points (H, W) int64; a fifth of the clicks lie near another.

    logits = 8 * bump(points) + noise - 2, the bumps 1 at their clicks and the noise of unit variance over 6 pixels.
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
