"""TRANCOS v3: cars on motorways, with a region of interest (Guerrero-Gomez-Olmedo et al., IbPRIA 2015)."""

from pathlib import Path

import numpy as np

from lcfcn.counting.image_files import read_image
from src.datasets.base import PointDataset, Record, require_files
from src.readers.errors import DataError
from src.readers.matlab import read_mat

NAME, SETS = "TRANCOS_v3", "image_sets"
LISTS = {"train": "training.txt", "val": "validation.txt", "test": "test.txt"}


class Trancos(PointDataset):
    """`-d` is the folder that holds `images/` and `image_sets/`, or the folder around it.

    In the folder around it, the data is in the sub-folder TRANCOS_v3, or in the only sub-folder with `image_sets/`.
    """

    crops_to_roi = True
    class_names = ("car",)

    def open(self) -> None:
        """Read the split's list, and check that each image has its dots, region and coordinates beside it."""
        root = self._find_root()
        list_path = root / SETS / LISTS[self.split]
        require_files([list_path])
        try:
            self.names = list_path.read_text(encoding="utf-8").split()
        except UnicodeDecodeError:
            raise DataError(f"{list_path} is not text; expected one image a line: download it again") from None
        if not self.names:
            raise DataError(
                f"{list_path} names no image; expected one a line, such as image-1-000001.jpg: download it again"
            )
        self.paths = [root / "images" / name for name in self.names]
        require_files([path for image in self.paths for path in (image, *_beside(image))])

    def _find_root(self) -> Path:
        for place in (self.datadir, self.datadir / NAME):
            if (place / SETS).is_dir():
                return place
        inside = sorted(place.parent for place in self.datadir.glob(f"*/{SETS}") if place.is_dir())
        if len(inside) == 1:
            return inside[0]
        found = f"several folders with {SETS}, {inside[0].name} and {inside[1].name}" if inside else f"no {SETS}"
        raise DataError(f"-d {self.datadir} holds {found}; expected the folder of TRANCOS as it is unpacked: check -d")

    def read(self, index: int) -> Record:
        """Read an image. Its clicks are the red dots."""
        path = self.paths[index]
        image = read_image(path)
        pixels, roi = _read_truth(path)
        if roi.shape != image.shape[:2]:
            raise DataError(
                f"{path} has {image.shape[:2]} pixels, and its dots and region have {roi.shape}; "
                "expected the same size: download them again"
            )
        return Record(image, pixels + 0.5, np.ones(len(pixels), dtype=int), roi)

    def clicks(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the cars of one image from the text beside it, which `read` compares with the dots."""
        pixels = np.reshape(_read_coordinates(_beside(self.paths[index])[2]), (-1, 2))
        return pixels + 0.5, np.ones(len(pixels), dtype=int)

    def count(self, index: int) -> int:
        """Return the number of clicks inside the region of one image, without decoding the image."""
        pixels, roi = _read_truth(self.paths[index])
        return int(roi[pixels[:, 0], pixels[:, 1]].sum())


def _beside(image: Path) -> tuple[Path, Path, Path]:
    """Return the files of an image's dots, region and coordinates."""
    return (
        image.with_name(f"{image.stem}dots.png"),
        image.with_name(f"{image.stem}mask.mat"),
        image.with_suffix(".txt"),
    )


def _read_truth(image: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return row and column of each red dot (n, 2) int, and the region of interest (H, W) bool."""
    dots_path, mask_path, text_path = _beside(image)
    dots = read_image(dots_path)
    pixels = np.argwhere((dots[..., 0] > 127) & (dots[..., 1] <= 127) & (dots[..., 2] <= 127))
    _check_coordinates(text_path, dots_path, pixels)
    mask = read_mat(mask_path)
    if "BW" not in mask:
        raise DataError(f"{mask_path} has no BW; expected the region of interest under that name: download it again")
    if mask["BW"].shape != dots.shape[:2]:
        raise DataError(
            f"{mask_path} has {mask['BW'].shape} pixels, and {dots_path.name} has {dots.shape[:2]}; "
            "expected the same size: download both again"
        )
    return pixels, mask["BW"].astype(bool)


def _read_coordinates(text_path: Path) -> list[tuple[int, int]]:
    """Return row and column of each car in a text, sorted. Its x and y count from 1."""
    try:
        values = [
            [float(value) for value in line.split()]
            for line in text_path.read_text(encoding="utf-8").splitlines()
            if line.strip()
        ]
        return sorted((int(np.floor(y)) - 1, int(np.floor(x)) - 1) for x, y in values)
    except (ValueError, OverflowError):  # words, not two in a line, no text at all, infinity
        raise DataError(
            f"{text_path} cannot be read; expected x and y of a car on each line: download it again"
        ) from None


def _check_coordinates(text_path: Path, dots_path: Path, pixels: np.ndarray) -> None:
    """Raise `DataError` unless the text lists the same pixels."""
    listed = _read_coordinates(text_path)
    if listed != [tuple(pixel) for pixel in pixels.tolist()]:
        raise DataError(
            f"{text_path} lists {len(listed)} cars, and {dots_path.name} has {len(pixels)} dots, or other places; "
            "expected the same pixels: fix whichever is wrong"
        )
