"""Dot images: a picture with a dot for each object, on black or on a copy of the image.

It is beside its image, with `dots` in its name (001dots.png for 001cell.png or 001.jpg, x_dots_000.png for x_000.png),
or in a folder `annotations` or `dots` beside the folder `images`, under the same name. Dots are red. If no picture of
the source has a red dot, they are white on black, or black on white.

If most dots are single pixels, each of these pixels is an object, because two dots may touch. Otherwise each connected
patch is one. A dot means the centre of its pixel, so 0.5 is added to its row and column.

JPEG blurs dots. There a dot is a patch that is much redder than the image itself, and its place is the mean of the
redness. Dots that JPEG has blurred beyond that are refused.
"""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy import ndimage

from lcfcn.components import label_blobs
from lcfcn.counting.defaults import IMAGE_SUFFIXES
from lcfcn.counting.image_files import ImageError, read_image
from src.annotations.base import DEFAULT_CLASS, AnnotationError, Click, Clicks, check_amount, files_of

NAME = "dot images (001dots.png beside 001cell.png or 001.jpg, or annotations/a.png beside images/a.png)"
SUFFIXES = (".png", ".bmp", ".gif", ".tif", ".tiff", ".jpg", ".jpeg")
JPEGS = (".jpg", ".jpeg")
TOKENS = (
    re.compile(r"^(?P<before>.+?)[ _-]?dots$", re.IGNORECASE),
    re.compile(r"^(?P<before>.+?)[ _-]dots?(?P<behind>[ _-].+)?$", re.IGNORECASE),
    re.compile(r"^dots?[ _-](?P<behind>.+)$", re.IGNORECASE),
)
"""What the name of a dot image adds to that of its image."""
FOLDERS = ("annotations", "annotation", "dots", "dot_annotations")
IMAGE_FOLDERS = ("images", "image", "imgs", "img")
IMAGE_ENDINGS = ("cell", "")
MIDDLE = 127
"""In a dot, red is above this value, and green and blue are not."""
CHANGED = 30
"""A pixel that differs by more from the image was painted on the copy."""
CLEAR, SHARE = 100, 0.4
"""How red JPEG's dots must be at least, and what share of the reddest one still belongs to a dot."""
MAX_DOTTED = 0.2
"""Pictures with more white pixels than this share are no dots on black."""
N_LOOKED_AT = 5
"""How many pictures of a folder are looked at to recognise it."""


class _Dotted(NamedTuple):
    """A dot image, its own image if it is there, and the redness of each pixel for JPEG or where it is red."""

    file: Path
    image: Path | None
    red: np.ndarray


def is_annotation(path: Path) -> bool:
    """Whether a file is a dot image, by its name."""
    if path.suffix.lower() not in SUFFIXES:
        return False
    if path.parent.name.lower() in FOLDERS:
        return True
    return TOKENS[0].match(path.stem) is not None or bool(_images_beside(path))


def recognises(path: Path) -> bool:
    """Whether a folder holds a dot image with its image, or the file is one."""
    files = _dot_files(path)
    named = any(_images_beside(file) for file in files if file.parent.name.lower() not in FOLDERS)
    in_folders = [file for file in files if file.parent.name.lower() in FOLDERS]
    return named or any(map(_looks_dotted, in_folders[:N_LOOKED_AT]))


def read(path: Path, images: Path | None) -> list[Clicks]:
    """Read the centres of the dots of each dot image in `path`."""
    root = path if path.is_dir() else path.parent
    pairs = [(file, _image_of(file)) for file in _dot_files(path)]
    is_jpeg = [file.suffix.lower() in JPEGS for file, _ in pairs]
    dotted = [_Dotted(file, image, _redness(file, image)) for file, image in pairs]
    peak = max((int(d.red.max()) for d, jpeg in zip(dotted, is_jpeg, strict=True) if jpeg), default=0)
    has_red = peak >= CLEAR or any(d.red.any() for d, jpeg in zip(dotted, is_jpeg, strict=True) if not jpeg)
    if has_red:
        masks = [d.red > SHARE * peak if jpeg else d.red > 0 for d, jpeg in zip(dotted, is_jpeg, strict=True)]
    else:
        masks = [_white_pixels(file) for file, _ in pairs]
    sizes = np.concatenate([_patch_sizes(mask) for mask in masks])
    pixels_are_dots = bool(len(sizes) and np.median(sizes) == 1) and not any(is_jpeg)
    found = []
    for member, mask in zip(dotted, masks, strict=True):
        centres = np.argwhere(mask) if pixels_are_dots else _patch_centres(mask, member.red if has_red else None)
        xy = [Click(col + 0.5, row + 0.5, DEFAULT_CLASS) for row, col in centres.tolist()]
        found.append(Clicks(_name_of(member, root), xy, mask.shape))
        check_amount(len(xy), path)
    return found


def _dot_files(path: Path) -> list[Path]:
    return [file for file in files_of(path, *SUFFIXES) if is_annotation(file)]


def _stems(path: Path) -> Iterator[str]:
    """Yield the names without suffix that the image of a dot image may have."""
    if path.stem.endswith("dots"):
        yield from (path.stem.removesuffix("dots") + ending for ending in IMAGE_ENDINGS)
    for token in TOKENS:
        match = token.match(path.stem)
        if match:
            parts = match.groupdict()
            stem = (parts.get("before") or "") + (parts.get("behind") or "")
            yield from (stem + ending for ending in IMAGE_ENDINGS)


def _images_beside(path: Path) -> list[Path]:
    """Return the images beside a dot image that have its name."""
    names = dict.fromkeys(_stems(path))
    beside = (path.with_name(name + suffix) for name in names for suffix in IMAGE_SUFFIXES)
    return [image for image in beside if image.is_file() and image != path]


def _images_in_folders(path: Path) -> list[Path]:
    """Return the images of the same name in a folder of images beside that of the dot images."""
    stems = dict.fromkeys((path.stem, *_stems(path)))
    folders = [path.parent.with_name(name) for name in IMAGE_FOLDERS]
    beside = (folder / (stem + suffix) for folder in folders for stem in stems for suffix in IMAGE_SUFFIXES)
    return [image for image in beside if image.is_file()]


def _image_of(path: Path) -> Path | None:
    """Return the image of a dot image; None if it is to be looked for in another folder."""
    in_folder = path.parent.name.lower() in FOLDERS
    images = _images_beside(path) or (_images_in_folders(path) if in_folder else [])
    if len(images) == 1 or (in_folder and not images):
        return images[0] if images else None
    came = " and ".join(image.name for image in images) or "none"
    raise AnnotationError(f"{path} needs one image of its name beside it, and there is {came}: rename or move it")


def _name_of(dotted: _Dotted, root: Path) -> str:
    if dotted.image is None:
        return dotted.file.stem
    inside = dotted.image.is_relative_to(root)
    return dotted.image.relative_to(root).as_posix() if inside else dotted.image.name


def _pixels(path: Path) -> np.ndarray:
    try:
        return read_image(path)
    except ImageError as error:
        raise AnnotationError(str(error)) from None


def _redness(file: Path, image: Path | None) -> np.ndarray:
    """Return how red each pixel of a dot image is, (H, W) uint8.

    Of JPEG it is by how much red is above green and blue, more than in the image itself. Of other kinds it is 255 where
    a pixel is red and was painted, and 0 elsewhere.
    """
    pixels = _pixels(file)
    original = _original_of_copy(pixels, image)
    if file.suffix.lower() in JPEGS:
        red = _above_others(pixels) - (0 if original is None else _above_others(original))
        return np.clip(red, 0, 255).astype(np.uint8)
    red, green, blue = np.moveaxis(pixels, -1, 0)
    is_red = (red > MIDDLE) & (green <= MIDDLE) & (blue <= MIDDLE)
    if original is not None:
        is_red &= (np.abs(pixels.astype(np.int16) - original) > CHANGED).any(axis=-1)
    return np.where(is_red, 255, 0).astype(np.uint8)


def _above_others(pixels: np.ndarray) -> np.ndarray:
    red, green, blue = np.moveaxis(pixels.astype(np.int16), -1, 0)
    return red - np.maximum(green, blue)


def _original_of_copy(pixels: np.ndarray, image: Path | None) -> np.ndarray | None:
    """Return the pixels of the image if the dots are on a copy of it, None if they are on something else."""
    if image is None or not (pixels > MIDDLE // 4).any(axis=-1).mean() > 1 / 2:
        return None
    original = _pixels(image)
    if original.shape != pixels.shape:
        return None
    is_same = (np.abs(pixels.astype(np.int16) - original) <= CHANGED).all(axis=-1)
    return original if is_same.mean() > 1 / 2 else None


def _white_pixels(file: Path) -> np.ndarray:
    """Return where a picture has white dots on black or black ones on white, (H, W) bool.

    Raises
    ------
    AnnotationError
        If it has neither, but other values.
    """
    pixels = _pixels(file)
    grey = pixels[..., 0]
    values = np.unique(grey)
    is_grey = (pixels == grey[..., None]).all()
    if is_grey and len(values) == 1:
        return np.zeros(grey.shape, dtype=bool)
    mask = grey > values.max() / 2
    mask = ~mask if mask.mean() > 1 / 2 else mask
    is_clear = len(values) == 2 or (file.suffix.lower() in JPEGS and values.max() > MIDDLE)
    is_dotted = is_grey and mask.mean() <= MAX_DOTTED and is_clear
    if not is_dotted:
        raise AnnotationError(
            f"{file} has no red dots that are clear, nor white ones on black: save dots of one colour as PNG"
        )
    return mask


def _looks_dotted(file: Path) -> bool:
    """Whether a picture has few red pixels, or few white ones on black; it never raises."""
    try:
        image = next(iter(_images_in_folders(file)), None)
        red = _redness(file, image)
        if 0 < (red >= CLEAR).mean() <= MAX_DOTTED:
            return True
        return bool(_white_pixels(file).any())
    except AnnotationError:
        return False


def _patch_sizes(mask: np.ndarray) -> np.ndarray:
    """Return the number of pixels of each connected patch."""
    return np.bincount(label_blobs(mask).ravel())[1:]


def _patch_centres(mask: np.ndarray, weights: np.ndarray | None) -> Sequence:
    """Return row and column of the mean pixel of each patch, weighted if weights are given, (n, 2) float."""
    patches = label_blobs(mask)
    weights = mask if weights is None else np.where(mask, weights, 0)
    return np.array(ndimage.center_of_mass(weights, patches, range(1, patches.max() + 1))).reshape(-1, 2)
