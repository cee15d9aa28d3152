"""Read predictions from a file of any format that can be imported, for the images of a data set."""

import hashlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from lcfcn.errors import UserError
from lcfcn.files import sha256
from src.annotations import FORMATS, read_annotations
from src.annotations.base import (
    DEFAULT_CLASS,
    NOTHING_SAID,
    AnnotationError,
    Clicks,
    Options,
    first_line,
    start_of,
    visible_files,
)
from src.annotations.columns import PLACES, columns_of
from src.annotations.matching import ImageFolder, check_size
from src.annotations.orientation import upright
from src.datasets.base import PointDataset
from src.evaluation.pairing import Table

OWN_COLUMNS = ("image", "x", "y")


def is_own_table(path: Path, options: Options) -> bool:
    """Whether a file is a table as this project writes it, or none that another format would take.

    Such a table has columns image, x and y, separated by commas, and no column that makes boxes or other units of them.
    """
    if options != NOTHING_SAID or path.is_dir():
        return False
    header = first_line(path)
    if set(OWN_COLUMNS) <= {name.strip(' "') for name in header.split(",")} and "survey id" not in header:
        try:
            columns = columns_of(header, None, path)
        except UserError:
            return False
        return columns is not None and columns.layout == PLACES and columns.unit is None
    return path.suffix.lower() == ".csv" and not _is_of_any_format(path)


def _is_of_any_format(path: Path) -> bool:
    return bool(start_of(path)) and any(module.recognises(path) for module in FORMATS)


def read_any(path: Path, dataset: PointDataset, names: Mapping[Path, str], options: Options) -> tuple[Table, int]:
    """Read predictions in any format.

    Parameters
    ----------
    path : Path
        A file or folder.
    dataset : PointDataset
    names : mapping
        The name of each image file of the data, of all splits.
    options : Options
        What the file does not say itself.

    Returns
    -------
    table : Table
        With the columns x, y and label. An image without an object has no row.
    n_dropped : int
        How many objects have no place or class, or are on another plane.

    Raises
    ------
    UserError
        If the file is wrong, or names an image or a class that the data does not have.
    """
    root = Path(os.path.commonpath([file.parent for file in names]))
    module, clicks_list = read_annotations(path, root, options)
    folders = [ImageFolder(root, set(), files=files) for files in (list(names), dataset.paths)]
    found = [(_image_of(clicks, folders, path, dataset), clicks) for clicks in clicks_list]
    if all(file.is_file() for file, _ in found):
        known = getattr(module, "FRAME", None)
        turned, _ = upright(found, asked=options.orientation, known=known, source=path)
        for _, clicks, size in turned:
            check_size(clicks, size)
        found = [(file, clicks) for file, clicks, _ in turned]
    rows = [(names[file], click) for file, clicks in found for click in clicks.xy]
    labels = [_label(click.class_name, dataset, path, name) for name, click in rows]
    frame = pd.DataFrame(
        {
            "x": [click.x for _, click in rows],
            "y": [click.y for _, click in rows],
            "label": np.array(labels, dtype=np.int64),
        }
    )
    by_image = pd.Series([name for name, _ in rows], dtype=object)
    indices = by_image.groupby(by_image, sort=False).indices if rows else {}
    table = Table(path, frame, indices, wheres=[f"an object of {name}" for name, _ in rows])
    return table, sum(sum(clicks.dropped.values()) for clicks in clicks_list)


def _image_of(clicks: Clicks, folders: Sequence[ImageFolder], path: Path, dataset: PointDataset) -> Path:
    """Return the file of an image: of all splits, or of this split if several splits have one of its name."""
    for folder in folders:
        try:
            file = folder.find(clicks.image)
        except AnnotationError:  # several files fit
            continue
        if file is not None:
            return file
    raise UserError(
        f"{path}: the image {clicks.image[:120]!r} is in no split of the data; expected names such as "
        f"{dataset.names[0]}: write them as the data set does"
    )


def _label(class_name: str, dataset: PointDataset, path: Path, image: str) -> int:
    """Return the number of a class, from 1. If the data has one class, predictions need not name it."""
    if class_name in dataset.class_names:
        return list(dataset.class_names).index(class_name) + 1
    if len(dataset.class_names) == 1 and class_name == DEFAULT_CLASS:
        return 1
    raise UserError(
        f"{path}, an object of {image}: the class is {class_name[:80]!r}; expected one of "
        f"{', '.join(dataset.class_names)}: correct it"
    )


def check_pixels(table: Table, options: Options) -> None:
    """Raise `UserError` if all coordinates are from 0 to 1, and nobody says that they are pixels."""
    xy = table.frame[["x", "y"]].to_numpy()
    if options.units is None and len(xy) and ((xy >= 0) & (xy <= 1)).all() and (xy != np.floor(xy)).any():
        raise UserError(
            f"{table.path} has coordinates from 0 to 1 only, which look like fractions of the image's size: add "
            "--units fraction, or --units pixels"
        )


def sha256_of(path: Path) -> str:
    """Return the fingerprint of a file, or of the names and fingerprints of a folder's files."""
    if not path.is_dir():
        return sha256(path)
    lines = (f"{file.relative_to(path).as_posix()} {sha256(file)}\n" for file in sorted(visible_files(path)))
    return hashlib.sha256("".join(lines).encode(errors="surrogateescape")).hexdigest()
