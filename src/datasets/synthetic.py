"""Touching and overlapping discs and ellipses, drawn from a seed: the built-in demo, and a truth to test against."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from scipy import ndimage

from lcfcn.blobs import EIGHT_NEIGHBOURS, blob_points
from src.datasets.base import SPLITS, DataError, PointDataset, Record

MAX_HIDDEN = 0.3
MIN_TOUCHING = 1 / 3
CLASS_NAMES = ("disc", "ellipse")
DIAMETERS = (0.11, 0.17)
"""Smallest and largest diameter, in sides of the image."""


@dataclass(frozen=True)
class Scene:
    """Where the objects are: `masks` (n, H, W) bool, each object whole; `owner` (H, W) int, the number 1..n of the
    object that is seen at a pixel, 0 = background; `depth` (H, W) float, 0 in an object's centre and 1 on its rim;
    `labels` (n,) int, 1 a disc and 2 an ellipse."""

    masks: np.ndarray
    owner: np.ndarray
    depth: np.ndarray
    labels: np.ndarray


class Synthetic(PointDataset):
    """Takes no files. `n_classes` 1 calls discs and ellipses by one name, 2 tells them apart.

    Each image has `min_objects` to `max_objects` objects; a third of them or more touch or overlap a neighbour, and
    none is hidden by more than 30 %.
    """

    options = ("image_size", "n_train", "n_val", "n_test", "n_classes", "min_objects", "max_objects", "data_seed")
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
        data_seed: int = 0,
    ) -> None:
        """Name the images; they are drawn when they are read."""
        sizes = {"image_size": image_size, "n_train": n_train, "n_val": n_val, "n_test": n_test}
        sizes |= {"min_objects": min_objects, "max_objects": max_objects}
        for name, value in sizes.items():
            if not isinstance(value, int) or value < 1:
                raise DataError(f"dataset.{name} is {value!r}; expected a whole number of 1 or more")
        if image_size < 48 or min_objects > max_objects or n_classes not in (1, 2):
            raise DataError(
                f"dataset has image_size {image_size}, {min_objects} to {max_objects} objects, n_classes {n_classes}; "
                "expected 48 or more pixels, min_objects <= max_objects, and 1 or 2 classes"
            )
        self.class_names = CLASS_NAMES if n_classes == 2 else ("object",)
        self.image_size = image_size
        self.n_objects = (min_objects, max_objects)
        self.data_seed = data_seed
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

    def scene(self, index: int) -> Scene:
        """The true masks of an image."""
        return self._scene_and_generator(index)[0]

    def _scene_and_generator(self, index: int) -> tuple[Scene, np.random.Generator]:
        for attempt in range(50):
            rng = np.random.default_rng([self.data_seed, SPLITS.index(self.split), index, attempt])
            scene = _place(rng, self.image_size, int(rng.integers(*self.n_objects, endpoint=True)))
            if scene is not None:
                return scene, rng
        raise DataError(f"dataset.max_objects is {self.n_objects[1]}; so many do not fit: expected 30 or fewer")

    def _draw_record(self, index: int) -> Record:
        scene, rng = self._scene_and_generator(index)
        labels = scene.labels if self.n_classes == 2 else np.ones_like(scene.labels)
        image = _paint(rng, scene)
        return Record(image, blob_points(scene.owner) + 0.5, labels, np.ones(scene.owner.shape, dtype=bool))


def _place(rng: np.random.Generator, side: int, n_objects: int) -> Scene | None:
    """Put objects one on top of the other, about every second one against a neighbour; None if that fails."""
    masks, centres, labels = [], [], []
    owner = np.zeros((side, side), dtype=np.int64)
    depth = np.ones((side, side))
    for _ in range(60 * n_objects):
        if len(masks) == n_objects:
            break
        label = int(rng.integers(1, 3))
        radius = side * rng.uniform(*DIAMETERS) / 2
        axes = (radius, radius) if label == 1 else (radius, radius * rng.uniform(0.55, 0.7))
        centre = _centre(rng, side, radius, centres)
        distance = _elliptic_distance(side, centre, axes, rng.uniform(0, np.pi))
        mask = distance <= 1
        seen = np.where(mask, len(masks) + 1, owner)
        areas = np.array([m.sum() for m in [*masks, mask]])
        if (np.bincount(seen.reshape(-1), minlength=len(areas) + 1)[1:] < (1 - MAX_HIDDEN) * areas).any():
            continue
        owner, depth = seen, np.where(mask, distance, depth)
        masks.append(mask)
        centres.append((*centre, radius))
        labels.append(label)
    if len(masks) < n_objects or touching(np.array(masks)).mean() < MIN_TOUCHING:
        return None
    return Scene(np.array(masks), owner, depth, np.array(labels))


def _centre(rng: np.random.Generator, side: int, radius: float, placed: list[tuple]) -> np.ndarray:
    """Anywhere, or beside an object that is placed already; always so that the whole object is in the image."""
    centre = rng.uniform(radius + 1, side - radius - 1, size=2)
    if placed and rng.random() < 0.5:
        row, col, other = placed[rng.integers(len(placed))]
        angle, reach = rng.uniform(0, 2 * np.pi), (radius + other) * rng.uniform(0.8, 1.0)
        centre = np.array([row + reach * np.sin(angle), col + reach * np.cos(angle)])
    return np.clip(centre, radius + 1, side - radius - 1)


def _elliptic_distance(side: int, centre: np.ndarray, axes: tuple[float, float], angle: float) -> np.ndarray:
    """(side, side) distance of pixel centres from an ellipse's centre: 0 there, 1 on its rim."""
    rows, cols = np.mgrid[:side, :side] + 0.5 - centre[:, None, None]
    along = (cols * np.cos(angle) + rows * np.sin(angle)) / axes[0]
    across = (rows * np.cos(angle) - cols * np.sin(angle)) / axes[1]
    return np.hypot(along, across)


def touching(masks: np.ndarray) -> np.ndarray:
    """Which of (n, H, W) whole masks share a pixel with another, or lie beside it (8 neighbours), (n,) bool."""
    grown = np.array([ndimage.binary_dilation(mask, EIGHT_NEIGHBOURS) for mask in masks])
    meets = np.einsum("ip,jp->ij", grown.reshape(len(masks), -1).astype(np.float32), masks.reshape(len(masks), -1))
    np.fill_diagonal(meets, 0)
    return (meets > 0).any(axis=1)


def _paint(rng: np.random.Generator, scene: Scene) -> np.ndarray:
    """Shaded objects of their own colours with a darker rim, on a textured background, with noise over all."""
    side = scene.owner.shape[0]
    texture = ndimage.gaussian_filter(rng.normal(size=(side, side)), side / 20)
    background = np.array([70, 85, 75]) + 18 * (texture / texture.std())[..., None] + rng.normal(0, 8, size=3)
    colours = np.array([165, 125, 90]) + rng.normal(0, 22, size=(len(scene.masks) + 1, 3))
    shade = np.where(scene.depth > 0.82, 0.62, 1 - 0.25 * scene.depth**2)
    image = np.where(scene.owner[..., None] > 0, colours[scene.owner] * shade[..., None], background)
    grain = rng.normal(0, 10, size=(side, side, 1)) + rng.normal(0, 5, size=image.shape)
    return np.clip(ndimage.gaussian_filter(image, (0.7, 0.7, 0)) + grain, 0, 255).round().astype(np.uint8)
