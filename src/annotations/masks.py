"""Instance masks: a label image for each image, or many binary images for each image, PNG, BMP or TIFF.

A label image has 0 for the background and a number for each object. It is beside its image as a_masks.tif, a_mask.png,
a_cp_masks.png, a_labels.tif or a_label.png, or it is in a folder `masks` or `labels` beside the folder `images`, under
the same name. A label image without objects says that the image has none. One with one value and several parts is
refused, because those parts may be one object or many.

Several masks of one image have one object each: masks/a/1.png and so on of images/a.png, masks/a_1.png, a_mask_1.png
beside a.png, or all masks of a folder whose folder `images` holds a single image, as in the nuclei of the 2018 Data
Science Bowl.

A pixel means its centre, so 0.5 is added to row and column. Each object is clicked on its pixel nearest its centroid,
which is inside also for a ring. Its size is the diameter of the disc with as many pixels.
"""

import re
from pathlib import Path

import numpy as np

from lcfcn.components import blob_points, label_blobs
from lcfcn.counting.defaults import IMAGE_SUFFIXES
from lcfcn.counting.image_files import ImageError, read_values
from src.annotations.base import DEFAULT_CLASS, AnnotationError, Click, Clicks, check_amount, files_of
from src.annotations.shapes import disc_diameter

NAME = "instance masks (a_masks.png beside a.png, masks/a.png beside images/a.png, or many binary masks an image)"
SUFFIXES = (".png", ".bmp", ".tif", ".tiff")
ENDINGS = ("_cp_masks", "_masks", "_mask", "_labels", "_label")
FOLDERS = ("masks", "labels")
NUMBERED = re.compile(
    r"^(?P<stem>.+?)(?P<word>[_-](?:masks?|labels?|nucleus|cell|instance|object))?[_-]?(?P<number>[0-9]+)$"
)
"""A mask of one object: a_mask_1, a-mask12, and a_1 in a folder of masks."""


def is_annotation(path: Path) -> bool:
    """Whether a file is a mask, by its name."""
    if path.suffix.lower() not in SUFFIXES:
        return False
    in_folder = path.parent.name in FOLDERS or path.parent.parent.name in FOLDERS
    numbered = NUMBERED.match(path.stem)
    is_numbered = numbered is not None and numbered["word"] is not None and bool(_beside(path.parent, numbered["stem"]))
    return in_folder or _stem(path) != path.stem or is_numbered


def recognises(path: Path) -> bool:
    """Whether the file, or a file in the folder, is a mask that has its image beside it."""
    return any(_image_of(file)[0] for file in _masks(path))


def read(path: Path, images: Path | None) -> list[Clicks]:
    """Read one click in each object of each mask."""
    root = path if path.is_dir() else path.parent
    groups: dict[Path, list[Path]] = {}
    are_single: dict[Path, bool] = {}
    for file in _masks(path):
        image, is_single = _image_of(file)
        if image is None:
            raise AnnotationError(f"{file} is a mask without an image beside it: move it away, or add the image")
        groups.setdefault(image, []).append(file)
        are_single[image] = are_single.get(image, True) and is_single
    found, amount = [], 0
    for image, files in groups.items():
        name = image.relative_to(root).as_posix() if image.is_relative_to(root) else image.name
        found.append(_read_masks(files, name, are_single=are_single[image]))
        amount += len(found[-1].xy)
        check_amount(amount, path)
    return found


def _read_masks(files: list[Path], name: str, *, are_single: bool) -> Clicks:
    """Return the clicks of an image from its label image, or from its masks of one object each."""
    if not are_single:
        if len(files) > 1:
            raise AnnotationError(f"{files[1]} is a second mask of {name}: move one away")
        labels = _read_labels(files[0])
        return Clicks(name, _clicks_of(labels), labels.shape)
    masks = [_read_mask(file) for file in files]
    other = next((file for file, mask in zip(files, masks, strict=True) if mask.shape != masks[0].shape), None)
    if other is not None:
        raise AnnotationError(f"{other} has another size than {files[0]}, and both are masks of {name}: move one away")
    return Clicks(name, [click for mask in masks for click in _clicks_of(mask)], masks[0].shape)


def _clicks_of(labels: np.ndarray) -> list[Click]:
    point_list = blob_points(labels) + 0.5
    areas = np.unique(labels[labels > 0], return_counts=True)[1]
    return [
        Click(col, row, DEFAULT_CLASS, disc_diameter(area))
        for (row, col), area in zip(point_list.tolist(), areas.tolist(), strict=True)
    ]


def _masks(path: Path) -> list[Path]:
    return [file for file in files_of(path, *SUFFIXES) if is_annotation(file)]


def _stem(path: Path) -> str:
    """Return the name without the ending that says that it is a mask."""
    ending = next((ending for ending in ENDINGS if path.stem.endswith(ending) and path.stem != ending), "")
    return path.stem.removesuffix(ending)


def _beside(folder: Path, *stems: str) -> Path | None:
    """Return the first image of one of these names in a folder."""
    names = (folder / f"{stem}{suffix}" for stem in stems for suffix in IMAGE_SUFFIXES)
    return next((image for image in names if image.is_file()), None)


def _image_of(mask: Path) -> tuple[Path | None, bool]:
    """Return the image that belongs to a mask, by name, and whether the mask is one of many, of one object each."""
    in_folder = mask.parent.name in FOLDERS
    folder = mask.parent.with_name("images") if in_folder else mask.parent
    stems = dict.fromkeys((_stem(mask), mask.stem))
    image = _beside(folder, *(stem for stem in stems if in_folder or stem != mask.stem))
    if image is not None:
        return image, False
    numbered = NUMBERED.match(mask.stem)
    if mask.parent.parent.name in FOLDERS:  # masks/a/1.png
        image = _beside(mask.parent.parent.with_name("images"), mask.parent.name)
    elif numbered is not None:
        image = _beside(folder, numbered["stem"])
    if image is None and in_folder:
        image = _only_image(folder)
    return image, True


def _only_image(folder: Path) -> Path | None:
    files = files_of(folder, *IMAGE_SUFFIXES) if folder.is_dir() else []
    return files[0] if len(files) == 1 else None


def _values(file: Path) -> np.ndarray:
    try:
        return read_values(file)
    except ImageError as error:
        raise AnnotationError(str(error)) from None


def _read_mask(file: Path) -> np.ndarray:
    """Return the one object of a binary mask as label 1, (H, W) int64; nothing of a mask that is black."""
    values = _values(file)
    if values.ndim == 3:
        colours = values[..., : 3 if values.shape[2] > 2 else 1]
        if (colours != colours[..., :1]).any():
            raise AnnotationError(f"{file} has colours; expected a mask of one object: save it as grey")
        values = colours[..., 0]
    if len(np.unique(values[values != 0])) > 1:
        raise AnnotationError(
            f"{file} has several values, and the image has other masks beside it; expected one object in each, or one "
            "label image: move the others away"
        )
    return (values != 0).astype(np.int64)


def _read_labels(file: Path) -> np.ndarray:
    """Return the labels of a mask, (H, W) int64."""
    labels = _values(file)
    if labels.ndim != 2:
        raise AnnotationError(f"{file} has the shape {labels.shape}; expected one channel of labels: save it as grey")
    if not np.isfinite(labels).all() or (labels != np.floor(labels)).any() or (labels < 0).any():
        raise AnnotationError(f"{file} has values that are not labels; expected whole numbers from 0: save it again")
    values = np.unique(labels)
    if len(values[values > 0]) == 1 and label_blobs(labels > 0).max() > 1:
        raise AnnotationError(f"{file} has one value and several parts; expected a number for each object: label them")
    return labels.astype(np.int64)
