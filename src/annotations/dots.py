"""Dot images: red dots on a copy of the image or on black, in `001dots.png` beside `001cell.png` or `001.jpg`.

If most dots are single pixels, each red pixel is an object, because two dots may touch. Otherwise each connected patch
of red pixels is one object. A dot means the centre of its pixel, so 0.5 is added to its row and column.
"""

from pathlib import Path

import numpy as np
from scipy import ndimage

from lcfcn.components import label_blobs
from lcfcn.counting.defaults import IMAGE_SUFFIXES
from lcfcn.counting.image_files import read_image
from src.annotations.base import DEFAULT_CLASS, AnnotationError, Click, Clicks, check_amount, files_of

NAME = "dot images (001dots.png beside 001cell.png or 001.jpg)"
ENDING = "dots"
IMAGE_ENDINGS = ("cell", "")
MIDDLE = 127
"""In a dot, red is above this value, and green and blue are not."""


def is_annotation(path: Path) -> bool:
    """Whether a file is a dot image, by its name."""
    return path.suffix.lower() == ".png" and path.stem.endswith(ENDING) and path.stem != ENDING


def recognises(path: Path) -> bool:
    """Whether a folder holds a dot image with its image beside it, or the file is one."""
    return any(_images_of(file) for file in _dot_files(path))


def read(path: Path, images: Path | None) -> list[Clicks]:
    """Read the centres of the dots of each dot image in `path`."""
    root = path if path.is_dir() else path.parent
    files = _dot_files(path)
    red = [_red_pixels(file) for file in files]
    sizes = np.concatenate([_patch_sizes(mask) for mask in red])
    pixels_are_dots = bool(len(sizes) and np.median(sizes) == 1)
    found = []
    amount = 0
    for file, mask in zip(files, red, strict=True):
        centres = np.argwhere(mask) if pixels_are_dots else _patch_centres(mask)
        xy = [Click(col + 0.5, row + 0.5, DEFAULT_CLASS) for row, col in centres.tolist()]
        found.append(Clicks(_image_of(file).relative_to(root).as_posix(), xy, mask.shape))
        amount += len(xy)
        check_amount(amount, path)
    return found


def _dot_files(path: Path) -> list[Path]:
    return [file for file in files_of(path, ".png") if is_annotation(file)]


def _images_of(path: Path) -> list[Path]:
    """Return the images beside a dot image that have its name."""
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
    """Return where an image is red, (H, W) bool."""
    red, green, blue = np.moveaxis(read_image(path), -1, 0)
    return (red > MIDDLE) & (green <= MIDDLE) & (blue <= MIDDLE)


def _patch_sizes(mask: np.ndarray) -> np.ndarray:
    """Return the number of pixels of each connected patch."""
    return np.bincount(label_blobs(mask).ravel())[1:]


def _patch_centres(mask: np.ndarray) -> np.ndarray:
    """Return row and column of the mean pixel of each patch, (n, 2) float."""
    patches = label_blobs(mask)
    return np.array(ndimage.center_of_mass(mask, patches, range(1, patches.max() + 1))).reshape(-1, 2)
