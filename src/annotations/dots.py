"""Dot images: red dots on a copy of the image or on black, in `001dots.png` beside `001cell.png` or `001.jpg`.

Where most dots are single pixels, each red pixel is an object, for two may touch; else each connected patch is one.
"""

from pathlib import Path

import numpy as np
from scipy import ndimage

from lcfcn.counting.defaults import IMAGE_SUFFIXES
from lcfcn.counting.image_files import read_image
from src.annotations.base import DEFAULT_CLASS, AnnotationError, Clicks, check_amount, files_of

NAME = "dot images (001dots.png beside 001cell.png or 001.jpg)"
ENDING = "dots"
IMAGE_ENDINGS = ("cell", "")
MIDDLE = 127
"""Red is above, green and blue are at most that."""
EIGHT_NEIGHBOURS = np.ones((3, 3), dtype=int)


def is_annotation(path: Path) -> bool:
    """Whether a file is a dot image, by its name."""
    return path.suffix.lower() == ".png" and path.stem.endswith(ENDING) and path.stem != ENDING


def recognises(path: Path) -> bool:
    """Whether a folder holds a dot image with its image beside it, or a file is one."""
    return any(_images_of(file) for file in _dot_files(path))


def read(path: Path, images: Path | None) -> list[Clicks]:
    """The centres of the dots of each dot image that lies in `path`."""
    root = path if path.is_dir() else path.parent
    files = _dot_files(path)
    red = [_red_pixels(file) for file in files]
    sizes = np.concatenate([_patch_sizes(mask) for mask in red])
    pixels_are_dots = bool(len(sizes) and np.median(sizes) == 1)
    found = []
    amount = 0
    for file, mask in zip(files, red, strict=True):
        centres = np.argwhere(mask) if pixels_are_dots else _patch_centres(mask)
        point_list = [(col + 0.5, row + 0.5, DEFAULT_CLASS) for row, col in centres.tolist()]
        found.append(Clicks(_image_of(file).relative_to(root).as_posix(), point_list, mask.shape))
        amount += len(point_list)
        check_amount(amount, path)
    return found


def _dot_files(path: Path) -> list[Path]:
    return [file for file in files_of(path, ".png") if is_annotation(file)]


def _images_of(path: Path) -> list[Path]:
    """The images beside a dot image that have its name."""
    stem = path.stem.removesuffix(ENDING)
    names = [stem + ending for ending in IMAGE_ENDINGS]
    beside = [path.with_name(name + suffix) for name in names for suffix in IMAGE_SUFFIXES]
    return [image for image in beside if image.is_file()]


def _image_of(path: Path) -> Path:
    images = _images_of(path)
    if len(images) == 1:
        return images[0]
    came = " and ".join(image.name for image in images) or "none"
    raise AnnotationError(f"{path} needs one image of its name beside it, and there is {came}: rename or move it")


def _red_pixels(path: Path) -> np.ndarray:
    """(H, W) bool."""
    red, green, blue = np.moveaxis(read_image(path), -1, 0)
    return (red > MIDDLE) & (green <= MIDDLE) & (blue <= MIDDLE)


def _patch_sizes(mask: np.ndarray) -> np.ndarray:
    """The pixels of each connected patch."""
    patches, _ = ndimage.label(mask, EIGHT_NEIGHBOURS)
    return np.bincount(patches.ravel())[1:]


def _patch_centres(mask: np.ndarray) -> np.ndarray:
    """(n, 2) float, row and column of the mean pixel of each patch."""
    patches, n_patches = ndimage.label(mask, EIGHT_NEIGHBOURS)
    return np.array(ndimage.center_of_mass(mask, patches, range(1, n_patches + 1))).reshape(-1, 2)
