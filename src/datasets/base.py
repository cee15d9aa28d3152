"""The base of all data sets: they turn files of any format into the same sample."""

import hashlib
from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from torch.utils.data import Dataset
from torchvision import tv_tensors
from torchvision.transforms import v2

from lcfcn.counting.pixels import normalize
from lcfcn.counting.settings import check_transform, check_zoom, is_number, is_whole
from src.datasets.transforms import AUGMENTATIONS, augment_jointly
from src.readers.datadir import check_datadir
from src.readers.errors import DataError

MOST_SCALE, MOST_CROP = 100, 32_768
"""The greatest factor by which an image is scaled, or by whose inverse, and the greatest side of a crop."""


@dataclass(frozen=True)
class Record:
    """One image as a reader found it.

    Attributes
    ----------
    image : (H, W, 3) uint8 ndarray
        RGB.
    point_list : (n, 2) float ndarray
        Row and column of each click; (0, 0) is the top-left corner of the first pixel.
    labels : (n,) int ndarray
        The class of each click, 1..K.
    roi : (H, W) bool ndarray
        The region of interest, True = inside.
    """

    image: np.ndarray
    point_list: np.ndarray
    labels: np.ndarray
    roi: np.ndarray


class PointDataset(Dataset):
    """Images with one click for each object.

    A sample is a dict with

    - `images` (3, H, W) float32, normalised;
    - `points` (H, W) int64, 0 = nothing, k = a click on an object of class k;
    - `counts` (K,) int64, the clicks inside this crop and region; two clicks on one pixel count twice;
    - `roi` (H, W) bool, True = inside;
    - `meta`, a dict with `index`, `name`, `path`, `size` (height and width before zoom and augmentation), and the
      clicks as `point_list` (n, 2) float32 (row, col) and `labels` (n,) int64.

    A reader sets `names` and `paths`, one for each sample, and has `read(index)`. An index may come as (epoch, index).
    Alone it means epoch 0. The augmentation depends only on its seed, the epoch and the index, and not on workers or
    the order of samples. It leaves torch's generators alone.

    Parameters
    ----------
    split : 'train', 'val' or 'test'
    datadir : str or None
        Where the files are; None if `needs_datadir` is False.
    augment_seed : int
    augmented : bool
        Whether to augment as `augment` says.
    size : int or 'all'
        Use only the first so many images.
    transform : str
        A name in `lcfcn.counting.settings.TRANSFORMS`.
    augment : dict, optional
        See `src.datasets.transforms.augment_jointly`.
    zoom : float
        Samples are so many times as high and wide as the images. Clicks, sizes and `augment.crop` are in pixels of the
        samples. Use more than 1 for objects that are small or close to each other, and less than 1 for large ones. Time
        and memory grow with its square.
    **options
        The options of this data set, see its `options`.

    Raises
    ------
    DataError
        If an argument is wrong, a file is missing or the split is empty; from `dataset[i]` if a file is damaged.
    """

    options: tuple[str, ...] = ()
    needs_datadir = True
    crops_to_roi = False
    class_names: tuple[str, ...] = ("object",)

    def __init__(
        self,
        split: str,
        datadir: str | None,
        *,
        augment_seed: int = 0,
        augmented: bool = False,
        size: int | str = "all",
        transform: str = "rgb_normalize",
        augment: dict | None = None,
        zoom: float = 1,
        **options: object,
    ) -> None:
        self.split = split
        self.augment_seed = augment_seed
        self.transform = transform
        check_transform(transform)
        _check_augment({} if augment is None else augment)
        check_zoom(zoom)
        self.augment = augment if augmented and augment else {}
        if zoom != 1:
            low, high = self.augment.get("scale", (1, 1))
            self.augment = {**self.augment, "scale": (low * zoom, high * zoom)}
        self.datadir = self._check_datadir(datadir) if self.needs_datadir else None
        self.class_names = list(self.class_names)
        self.names: list[str] = []
        self.paths: list[Path] = []
        self.open(**options)
        if not self.names:
            raise DataError(f"the {split} split of {self.datadir} has no image; expected one or more: check -d")
        twice = [name for name, times in Counter(self.names).items() if times > 1]
        if twice:
            raise DataError(
                f"the {split} split of {self.datadir} lists {twice[0]} twice; expected it once: remove one of them"
            )
        if size != "all":
            self.names, self.paths = self.names[:size], self.paths[:size]

    def _check_datadir(self, datadir: str | None) -> Path:
        name = type(self).__name__.lower()
        if datadir is None:
            raise DataError(f"there is no -d; expected the folder of the data set {name}: give -d DATADIR")
        return check_datadir(datadir, name)

    def open(self, **options: object) -> None:
        """Find the split's images, and check that every file is there."""
        raise NotImplementedError

    def read(self, index: int) -> Record:
        """Read one image with its clicks and region."""
        raise NotImplementedError

    @property
    def n_classes(self) -> int:
        """K, the number of classes."""
        return len(self.class_names)

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, key: int | tuple[int, int]) -> dict:
        epoch, index = key if isinstance(key, tuple) else (0, key)
        index = range(len(self))[index]
        record = self.prepared(index)
        image, point_list, labels, roi = self._tensors(record)
        if self.augment:
            with torch.random.fork_rng(devices=[]):
                # torch.manual_seed would seed the GPUs too.
                torch.default_generator.manual_seed(_mixed_seed(self.augment_seed, epoch, index))
                image, point_list, roi = augment_jointly(self.augment, image, point_list, roi)
        meta = {"index": index, "name": self.names[index], "path": str(self.paths[index]), "size": record.roi.shape}
        return self._sample(image, point_list, labels, roi, meta)

    def clicks(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the rows and columns (n, 2) of one image's clicks, and their labels (n,), as the files have them.

        A data set replaces it where the image need not be decoded for that.
        """
        record = self.read(index)
        return record.point_list, record.labels

    @cached_property
    def fingerprints(self) -> dict[str, str]:
        """A fingerprint of the clicks of each image, by the image's name. The order of the clicks does not count."""
        return {name: _fingerprint(*self.clicks(index)) for index, name in enumerate(self.names)}

    def count(self, index: int) -> int:
        """Return the number of clicks inside the region of one image, before augmentation."""
        return len(self.prepared(index).labels)

    def count_list(self) -> list[int]:
        """Return the `count` of each image."""
        return [self.count(index) for index in range(len(self))]

    def median_count(self) -> float:
        """Return the median of `count_list`, the best guess without looking at an image."""
        return float(np.median(self.count_list()))

    def prepared(self, index: int) -> Record:
        """Return the record before augmentation.

        Clicks are at the centres of pixels. Clicks outside the image are moved to its border, and clicks outside the
        region are gone. The image is black outside the region, and is cropped to it if the data set wants that.
        """
        record = self.read(index)
        if not record.roi.any():
            raise DataError(
                f"the region of interest of {self.paths[index]} is empty; expected some pixels inside: "
                "fix it, or remove the image from the list"
            )
        last = np.array(record.roi.shape) - 1
        pixels = np.clip(np.floor(record.point_list.reshape(-1, 2)), 0, last).astype(int)
        inside = record.roi[pixels[:, 0], pixels[:, 1]]
        pixels, labels = pixels[inside], record.labels[inside]
        image = np.where(record.roi[..., None], record.image, 0).astype(np.uint8)
        top, left, bottom, right = _bounding_box(record.roi) if self.crops_to_roi else (0, 0, *record.roi.shape)
        window = np.s_[top:bottom, left:right]
        # At the centre of its pixel, a click stays on this pixel in every flip.
        return Record(image[window], pixels - (top, left) + 0.5, labels, record.roi[window].copy())

    @staticmethod
    def _tensors(record: Record) -> tuple[tv_tensors.Image, torch.Tensor, torch.Tensor, tv_tensors.Mask]:
        image = tv_tensors.Image(torch.from_numpy(record.image).permute(2, 0, 1).contiguous())  # (3, H, W)
        point_list = torch.from_numpy(record.point_list.astype(np.float32))
        return image, point_list, torch.from_numpy(record.labels.astype(np.int64)), tv_tensors.Mask(record.roi)

    def _sample(
        self, image: torch.Tensor, point_list: torch.Tensor, labels: torch.Tensor, roi: torch.Tensor, meta: dict
    ) -> dict:
        height, width = image.shape[-2:]
        roi = roi.as_subclass(torch.Tensor).bool()
        rows, cols = point_list.floor().long().T
        inside = (rows >= 0) & (rows < height) & (cols >= 0) & (cols < width)
        inside[inside.clone()] = roi[rows[inside], cols[inside]]
        rows, cols, labels = rows[inside], cols[inside], labels[inside]
        image = image.as_subclass(torch.Tensor) * roi  # contrast jitter and scaling bring some light outside
        points = torch.zeros((height, width), dtype=torch.int64)
        points[rows, cols] = labels
        return {
            "images": normalize(v2.functional.to_dtype(image, torch.float32, scale=True), self.transform),
            "points": points,
            "counts": torch.bincount(labels, minlength=self.n_classes + 1)[1:],
            "roi": roi,
            "meta": {**meta, "point_list": point_list[inside], "labels": labels},
        }


def _fingerprint(point_list: np.ndarray, labels: np.ndarray) -> str:
    table = np.column_stack([np.reshape(point_list, (-1, 2)), labels]).astype("<f8")
    return hashlib.blake2b(table[np.lexsort(table.T)].tobytes(), digest_size=8).hexdigest()


def _check_augment(augment: dict) -> None:
    if not isinstance(augment, dict) or set(augment) - set(AUGMENTATIONS):
        raise DataError(f"dataset.augment is {augment!r}; expected a dict of {', '.join(AUGMENTATIONS)}")
    checks = {
        "scale": (_is_range, f"[low, high] with {1 / MOST_SCALE} <= low <= high <= {MOST_SCALE}"),
        "crop": (lambda side: is_whole(side, 1, MOST_CROP), f"a side in pixels, 1 to {MOST_CROP}"),
        "hflip": (lambda flip: isinstance(flip, bool), "true or false"),
        "vflip": (lambda flip: isinstance(flip, bool), "true or false"),
        "jitter": (lambda strength: is_number(strength) and 0 <= strength <= 1, "a number from 0 to 1"),
    }
    for key, value in augment.items():
        is_good, expected = checks[key]
        if not is_good(value):
            raise DataError(f"dataset.augment.{key} is {value!r}; expected {expected}")


def _is_range(value: object) -> bool:
    pair = isinstance(value, list | tuple) and len(value) == 2 and all(map(is_number, value))
    return pair and 1 / MOST_SCALE <= value[0] <= value[1] <= MOST_SCALE


def _mixed_seed(*numbers: int) -> int:
    """Return one seed from several numbers. Other numbers, even the next ones, give an unrelated seed."""
    return int(np.random.SeedSequence([number % 2**63 for number in numbers]).generate_state(1, np.uint64)[0])


def _bounding_box(roi: np.ndarray) -> tuple[int, int, int, int]:
    """Return top, left, and one past bottom and right."""
    rows, cols = np.flatnonzero(roi.any(axis=1)), np.flatnonzero(roi.any(axis=0))
    return rows[0], cols[0], rows[-1] + 1, cols[-1] + 1


def require_files(paths: list[Path]) -> None:
    """Raise `DataError` for the first file that is not there."""
    missing = [path for path in paths if not path.is_file()]
    if missing:
        more = f" (and {len(missing) - 1} more)" if len(missing) > 1 else ""
        raise DataError(f"{missing[0]} is missing{more}: unpack the data set again, or remove its image from the list")
