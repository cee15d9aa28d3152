"""Instance masks: a label image for each image, PNG or TIFF, with 0 for the background and a number for each object.

A mask is beside its image as a_masks.tif, a_mask.png, a_cp_masks.png, a_labels.tif or a_label.png, or it is in a folder
`masks` or `labels` beside the folder `images`, under the same name. A pixel means its centre, so 0.5 is added to row
and column. Each object is clicked on its pixel nearest its centroid, which is inside also for a ring. Its size is the
diameter of the disc with as many pixels. A mask without objects says that the image has none. A mask with one value and
several parts is refused, because those parts may be one object or many.
"""

from pathlib import Path

import numpy as np

from lcfcn.components import blob_points, label_blobs
from lcfcn.counting.defaults import IMAGE_SUFFIXES
from lcfcn.counting.image_files import ImageError, read_values
from src.annotations.base import DEFAULT_CLASS, AnnotationError, Click, Clicks, check_amount, files_of
from src.annotations.shapes import disc_diameter

NAME = "instance masks (a_masks.png beside a.png, or masks/a.png beside images/a.png)"
SUFFIXES = (".png", ".tif", ".tiff")
ENDINGS = ("_cp_masks", "_masks", "_mask", "_labels", "_label")
FOLDERS = ("masks", "labels")


def is_annotation(path: Path) -> bool:
    """Whether a file is a mask, by its name."""
    return path.suffix.lower() in SUFFIXES and (path.parent.name in FOLDERS or _stem(path) != path.stem)


def recognises(path: Path) -> bool:
    """Whether the file, or a file in the folder, is a mask that has its image beside it."""
    return any(_image_of(file) for file in _masks(path))


def read(path: Path, images: Path | None) -> list[Clicks]:
    """Read one click in each object of each mask."""
    root = path if path.is_dir() else path.parent
    found: dict[str, Clicks] = {}
    amount = 0
    for file in _masks(path):
        image = _image_of(file)
        if image is None:
            raise AnnotationError(f"{file} is a mask without an image beside it: move it away, or add the image")
        name = image.relative_to(root).as_posix() if image.is_relative_to(root) else image.name
        if name in found:
            raise AnnotationError(f"{file} is a second mask of {name}: move one away")
        labels = _read_labels(file)
        found[name] = Clicks(name, _clicks_of(labels), labels.shape)
        amount += len(found[name].xy)
        check_amount(amount, path)
    return list(found.values())


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


def _image_of(mask: Path) -> Path | None:
    """Return the first image that belongs to a mask, by name."""
    folder = mask.parent.with_name("images") if mask.parent.name in FOLDERS else mask.parent
    stems = dict.fromkeys((_stem(mask), mask.stem) if folder != mask.parent else (_stem(mask),))
    beside = (folder / f"{stem}{suffix}" for stem in stems for suffix in IMAGE_SUFFIXES)
    return next((image for image in beside if image.is_file()), None)


def _read_labels(file: Path) -> np.ndarray:
    """Return the labels of a mask, (H, W) int64."""
    try:
        labels = read_values(file)
    except ImageError as error:
        raise AnnotationError(str(error)) from None
    if labels.ndim != 2:
        raise AnnotationError(f"{file} has the shape {labels.shape}; expected one channel of labels: save it as grey")
    if not np.isfinite(labels).all() or (labels != np.floor(labels)).any() or (labels < 0).any():
        raise AnnotationError(f"{file} has values that are not labels; expected whole numbers from 0: save it again")
    values = np.unique(labels)
    if len(values[values > 0]) == 1 and label_blobs(labels > 0).max() > 1:
        raise AnnotationError(f"{file} has one value and several parts; expected a number for each object: label them")
    return labels.astype(np.int64)
