"""TRANCOS v3: cars on motorways, with a region of interest (Guerrero-Gomez-Olmedo et al., IbPRIA 2015)."""

from pathlib import Path

import numpy as np

from src.datasets.base import DataError, PointDataset, Record, read_mat, read_rgb, require_files

LISTS = {"train": "training.txt", "val": "validation.txt", "test": "test.txt"}


class Trancos(PointDataset):
    """`-d` is the folder that holds `images/` and `image_sets/`, or one that holds TRANCOS_v3."""

    crops_to_roi = True
    class_names = ("car",)

    def open(self) -> None:
        """Read the split's list and check that each image has its dots, region and coordinates beside it."""
        nested = self.datadir / "TRANCOS_v3"
        root = nested if nested.is_dir() else self.datadir
        list_path = root / "image_sets" / LISTS[self.split]
        require_files([list_path])
        self.names = list_path.read_text().split()
        if not self.names:
            raise DataError(f"{list_path} names no image; expected one a line, such as image-1-000001.jpg")
        self.paths = [root / "images" / name for name in self.names]
        require_files([path for image in self.paths for path in (image, *_beside(image))])

    def read(self, index: int) -> Record:
        """Read an image; its clicks are the red dots."""
        path = self.paths[index]
        dots_path, mask_path, text_path = _beside(path)
        image = read_rgb(path)
        dots = read_rgb(dots_path)
        _check_size(dots_path, dots, image)
        pixels = np.argwhere((dots[..., 0] > 127) & (dots[..., 1] <= 127) & (dots[..., 2] <= 127))
        _check_coordinates(text_path, dots_path, pixels)
        mask = read_mat(mask_path)
        if "BW" not in mask:
            raise DataError(f"{mask_path} has no BW; expected the region of interest under that name: fetch it again")
        _check_size(mask_path, mask["BW"], image)
        return Record(image, pixels + 0.5, np.ones(len(pixels), dtype=int), mask["BW"].astype(bool))


def _beside(image: Path) -> tuple[Path, Path, Path]:
    """Dots, region and coordinates of an image."""
    return (
        image.with_name(f"{image.stem}dots.png"),
        image.with_name(f"{image.stem}mask.mat"),
        image.with_suffix(".txt"),
    )


def _check_size(path: Path, found: np.ndarray, image: np.ndarray) -> None:
    if found.shape[:2] != image.shape[:2]:
        raise DataError(f"{path} is of {found.shape[:2]} pixels and its image of {image.shape[:2]}: fetch both again")


def _check_coordinates(text_path: Path, dots_path: Path, pixels: np.ndarray) -> None:
    """The text counts x and y from 1."""
    try:
        values = [
            [float(value) for value in line.split()] for line in text_path.read_text().splitlines() if line.strip()
        ]
        listed = sorted((int(np.floor(y)) - 1, int(np.floor(x)) - 1) for x, y in values)
    except (ValueError, UnicodeDecodeError):
        raise DataError(f"{text_path} cannot be read; expected x and y of a car on each line: fetch it again") from None
    if listed != [tuple(pixel) for pixel in pixels.tolist()]:
        raise DataError(
            f"{text_path} lists {len(listed)} cars and {dots_path.name} has {len(pixels)} dots, or they lie elsewhere; "
            "expected the same pixels: mend whichever is wrong"
        )
