"""Touching and overlapping discs and ellipses, drawn from a seed: the built-in demo, and known truth for tests."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from scipy import ndimage

from lcfcn.components import EIGHT_NEIGHBOURS, blob_points
from lcfcn.counting.settings import is_whole
from src.datasets.base import PointDataset, Record
from src.readers.errors import DataError
from src.readers.layout import SPLITS

MIN_SIDE, MOST_SIDE = 48, 10_000
MOST = 1_000_000
"""The greatest number of images, and the greatest seed."""
MAX_OBJECTS = 30
MAX_HIDDEN = 0.3
"""An object is hidden by at most this share of its pixels."""
MIN_TOUCHING = 1 / 3
"""At least this share of the objects touches or overlaps a neighbour."""
CLASS_NAMES = ("disc", "ellipse")
DIAMETERS = (0.11, 0.17)
"""Smallest and largest diameter, in sides of the image."""


@dataclass(frozen=True)
class Scene:
    """The objects of one image.

    Attributes
    ----------
    masks : (n, H, W) bool ndarray
        Each object whole, also where another hides it.
    owner : (H, W) int ndarray
        The number 1..n of the object that is visible at a pixel, 0 = background.
    depth : (H, W) float ndarray
        0 at an object's centre and 1 on its rim.
    labels : (n,) int ndarray
        1 for a disc, 2 for an ellipse.
    """

    masks: np.ndarray
    owner: np.ndarray
    depth: np.ndarray
    labels: np.ndarray


class Synthetic(PointDataset):
    """Drawn images, without files. With `n_classes` 1 discs and ellipses are one class, with 2 they are two.

    Each image has `min_objects` to `max_objects` objects. A third of them or more touch or overlap a neighbour, and
    none is hidden by more than 30 %.
    """

    options = ("image_size", "n_train", "n_val", "n_test", "n_classes", "min_objects", "max_objects", "seed")
    needs_datadir = False

    def open(
        self,
        image_size: int = 160,
        n_train: int = 400,
        n_val: int = 50,
        n_test: int = 50,
        n_classes: int = 1,
        min_objects: int = 15,
        max_objects: int = 25,
        seed: int = 0,
    ) -> None:
        """Name the images. They are drawn when they are read."""
        least = {"image_size": MIN_SIDE, "n_train": 1, "n_val": 1, "n_test": 1, "min_objects": 1, "seed": 0}
        values = (image_size, n_train, n_val, n_test, min_objects, seed)
        for (name, at_least), value in zip(least.items(), values, strict=True):
            most = MOST_SIDE if name == "image_size" else MOST
            if not is_whole(value, at_least, most):
                raise DataError(f"dataset.{name} is {value!r}; expected a whole number from {at_least} to {most}")
        if not is_whole(max_objects, min_objects) or max_objects > MAX_OBJECTS:
            raise DataError(
                f"dataset.max_objects is {max_objects!r}; expected a whole number from min_objects, {min_objects}, "
                f"to {MAX_OBJECTS}"
            )
        if not is_whole(n_classes, 1) or n_classes > len(CLASS_NAMES):
            raise DataError(f"dataset.n_classes is {n_classes!r}; expected 1 or {len(CLASS_NAMES)}")
        self.class_names = list(CLASS_NAMES) if n_classes == 2 else ["object"]
        self.image_size = image_size
        self.n_objects = (min_objects, max_objects)
        self.seed = seed
        n_images = {"train": n_train, "val": n_val, "test": n_test}[self.split]
        self.names = [f"synthetic_{self.split}_{index:04d}" for index in range(n_images)]
        self.paths = [Path(name) for name in self.names]
        self._draw = cache(self._draw_record)

    def __getstate__(self) -> dict:
        # A worker process starts with a cache of its own.
        return {key: value for key, value in self.__dict__.items() if key != "_draw"}

    def __setstate__(self, state: dict) -> None:
        self.__dict__.update(state)
        self._draw = cache(self._draw_record)

    def read(self, index: int) -> Record:
        """Draw an image, or take it from the cache."""
        return self._draw(index)

    def instance_masks(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Return which pixels belong to which object.

        Returns
        -------
        masks : (n, H, W) bool ndarray
            Each object whole, also where another hides it; in the order of the clicks.
        visible : (H, W) int ndarray
            The number 1..n of the object that is visible at a pixel, 0 = background.
        """
        scene = self._scene_and_generator(index)[0]
        return scene.masks, scene.owner

    def _scene_and_generator(self, index: int) -> tuple[Scene, np.random.Generator]:
        for attempt in range(50):
            rng = np.random.default_rng([self.seed, SPLITS.index(self.split), index, attempt])
            scene = _place(rng, self.image_size, int(rng.integers(*self.n_objects, endpoint=True)))
            if scene is not None:
                return scene, rng
        raise DataError(f"dataset.max_objects is {self.n_objects[1]}; expected fewer, as so many do not fit: lower it")

    def _draw_record(self, index: int) -> Record:
        scene, rng = self._scene_and_generator(index)
        labels = scene.labels if self.n_classes == 2 else np.ones_like(scene.labels)
        image = _paint(rng, scene)
        return Record(image, blob_points(scene.owner) + 0.5, labels, np.ones(scene.owner.shape, dtype=bool))


def _place(rng: np.random.Generator, side: int, n_objects: int) -> Scene | None:
    """Put objects on top of each other, about every second one against a neighbour. Return None if that fails."""
    masks = np.zeros((n_objects, side, side), dtype=bool)
    owner = np.zeros((side, side), dtype=np.int64)
    depth = np.ones((side, side))
    areas, seen = np.zeros((2, n_objects + 1), dtype=np.int64)  # [0] is the background
    placed, labels = [], []
    for _ in range(60 * n_objects):
        if len(placed) == n_objects:
            break
        label = int(rng.integers(1, 3))
        radius = side * rng.uniform(*DIAMETERS) / 2
        axes = (radius, radius) if label == 1 else (radius, radius * rng.uniform(0.55, 0.7))
        centre = _centre(rng, side, radius, placed)
        window, distance = _elliptic_distance(centre, axes, rng.uniform(0, np.pi))
        mask = distance <= 1
        hidden = np.bincount(owner[window][mask], minlength=n_objects + 1)
        if (seen - hidden < (1 - MAX_HIDDEN) * areas)[1:].any():
            continue
        masks[len(placed)][window] = mask
        placed.append((*centre, radius))
        labels.append(label)
        owner[window][mask] = len(placed)
        depth[window][mask] = distance[mask]
        seen -= hidden
        areas[len(placed)] = seen[len(placed)] = mask.sum()
    if len(placed) < n_objects or (n_objects > 1 and touching(masks).mean() < MIN_TOUCHING):
        return None
    return Scene(masks, owner, depth, np.array(labels))


def _centre(rng: np.random.Generator, side: int, radius: float, placed: list[tuple]) -> np.ndarray:
    """Draw a centre anywhere, or beside an object that is placed already. The whole object is inside the image."""
    centre = rng.uniform(radius + 1, side - radius - 1, size=2)
    if placed and rng.random() < 0.5:
        row, col, other = placed[rng.integers(len(placed))]
        angle, reach = rng.uniform(0, 2 * np.pi), (radius + other) * rng.uniform(0.8, 1.0)
        centre = np.array([row + reach * np.sin(angle), col + reach * np.cos(angle)])
    return np.clip(centre, radius + 1, side - radius - 1)


def _elliptic_distance(
    centre: np.ndarray, axes: tuple[float, float], angle: float
) -> tuple[tuple[slice, slice], np.ndarray]:
    """Return a window around an ellipse, and the distance of its pixels: 0 at the ellipse's centre, 1 on its rim."""
    (top, left), (bottom, right) = np.floor(centre - axes[0]).astype(int), np.ceil(centre + axes[0]).astype(int)
    rows, cols = (
        pixels + 0.5 - middle for pixels, middle in zip(np.ogrid[top:bottom, left:right], centre, strict=True)
    )
    along = (cols * np.cos(angle) + rows * np.sin(angle)) / axes[0]
    across = (rows * np.cos(angle) - cols * np.sin(angle)) / axes[1]
    return np.s_[top:bottom, left:right], np.hypot(along, across)


def touching(masks: np.ndarray) -> np.ndarray:
    """Return which of (n, H, W) whole masks overlap or touch another one (8 neighbours), (n,) bool."""
    meets = np.zeros(len(masks), dtype=bool)
    for number, mask in enumerate(masks):
        rows, cols = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        window = np.s_[max(rows[0] - 1, 0) : rows[-1] + 2, max(cols[0] - 1, 0) : cols[-1] + 2]
        grown = ndimage.binary_dilation(mask[window], EIGHT_NEIGHBOURS)
        touched = (masks[(slice(None), *window)] & grown).any(axis=(1, 2))
        meets[number] = touched.sum() > 1  # it touches itself
    return meets


def _paint(rng: np.random.Generator, scene: Scene) -> np.ndarray:
    """Paint shaded objects with own colours and a darker rim on a textured background, and add noise."""
    side = scene.owner.shape[0]
    texture = ndimage.gaussian_filter(rng.normal(size=(side, side)), side / 20)
    background = np.array([70, 85, 75]) + 18 * (texture / texture.std())[..., None] + rng.normal(0, 8, size=3)
    colours = np.array([165, 125, 90]) + rng.normal(0, 22, size=(len(scene.masks) + 1, 3))
    shade = np.where(scene.depth > 0.82, 0.62, 1 - 0.25 * scene.depth**2)
    image = np.where(scene.owner[..., None] > 0, colours[scene.owner] * shade[..., None], background)
    grain = rng.normal(0, 10, size=(side, side, 1)) + rng.normal(0, 5, size=image.shape)
    return np.clip(ndimage.gaussian_filter(image, (0.7, 0.7, 0)) + grain, 0, 255).round().astype(np.uint8)
