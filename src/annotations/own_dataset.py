"""Write the project's own data set: `images/`, `points.csv` and `splits.csv`.

`points.csv` (image,x,y,class) has a row for each click. It has a further column `size`, the object's diameter in
pixels, if the size of any object is known; a cell is empty where it is not. `splits.csv` (image,split) lists every
annotated image, also those without an object. An image that it does not list is not annotated.
"""

import os
import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from lcfcn.errors import UserError
from lcfcn.files import csv_text, write_bytes
from src.annotations.base import Click, image_name
from src.readers.layout import IMAGES, POINTS, POINTS_HEADER, SIZE, SPLIT_LIST, SPLITS_HEADER

SHEET = "contact_sheet.png"


@dataclass(frozen=True)
class OwnImage:
    """One annotated image.

    Attributes
    ----------
    name : str
        Its name in `images/`, a posix path that may hold folders.
    file : Path
        The image file.
    xy : list of Click
        Its objects.
    split : 'train', 'val' or 'test'
    """

    name: str
    file: Path
    xy: list[Click]
    split: str


def check_target(folder: Path, *, overwrite: bool) -> None:
    """Raise `UserError` unless a data set may be written there.

    It may where there is nothing yet, or an empty folder. With `overwrite` it may also replace a data set that this
    project wrote.
    """
    if not os.path.lexists(folder):
        return
    if not folder.is_dir():
        raise UserError(f"-o {folder} is not a folder; expected a new one: choose another -o")
    names = sorted(os.listdir(folder))
    if not names:
        return
    if not set(names) <= {IMAGES, POINTS, SPLIT_LIST, SHEET} or not {POINTS, SPLIT_LIST} <= set(names):
        raise UserError(f"-o {folder} holds other things than a data set of this project: choose another -o")
    if not overwrite:
        raise UserError(f"-o {folder} holds a data set already: choose another -o, or add --overwrite")


def write_dataset(folder: Path, images: list[OwnImage], *, copy: bool, add: Callable[[Path], None]) -> None:
    """Write a data set, whole or not at all. It replaces one that is there only when the new one is whole.

    Parameters
    ----------
    folder : Path
        The folder of the data set.
    images : list of OwnImage
    copy : bool
        Copy the images; if False, link to them.
    add : callable
        Is called with the new folder before it takes its place, to write further files into it.

    Raises
    ------
    UserError
        If it cannot be written, or an image is in the folder that would be replaced.
    """
    inside = [image.file for image in images if image.file.resolve().is_relative_to(folder.resolve())]
    if inside:
        raise UserError(f"-o {folder} would replace the folder that holds {inside[0]}: choose another -o")
    for image in images:
        if image_name(image.name, folder) != image.name:
            raise UserError(f"the image {image.name!r} has spaces around its name, or backslashes: rename the file")
    target = folder.resolve()
    half, old = (target.with_name(f".{target.name}.{what}") for what in ("half-written", "replaced"))
    try:
        _remove(half)
        half.mkdir(parents=True)
        for image in images:
            _place(image.file, half / IMAGES / image.name, copy=copy)
        _write_csv(half / POINTS, *_point_table(images))
        _write_csv(half / SPLIT_LIST, SPLITS_HEADER, [(image.name, image.split) for image in images])
        add(half)
        _replace(target, half, old)
    except OSError as error:
        raise UserError(f"-o {folder} cannot be written ({error.strerror}): choose another -o") from None
    finally:
        shutil.rmtree(half, ignore_errors=True)


def _point_table(images: list[OwnImage]) -> tuple[tuple[str, ...], list[tuple]]:
    """Return header and rows of points.csv. csv writes a size that is None as an empty cell."""
    rows = [(image.name, *click) for image in images for click in image.xy]
    if any(size is not None for *_, size in rows):
        return (*POINTS_HEADER, SIZE), rows
    return POINTS_HEADER, [row[:-1] for row in rows]


def _replace(target: Path, new: Path, old: Path) -> None:
    """Put the new folder in the place of the target. The target is kept as `old` until that is done."""
    _remove(old)
    if target.exists():
        target.rename(old)
    try:
        new.rename(target)
    except OSError:
        if old.exists():
            old.rename(target)
        raise
    _remove(old)


def _remove(folder: Path) -> None:
    if folder.exists():
        shutil.rmtree(folder)


def _place(file: Path, place: Path, *, copy: bool) -> None:
    """Link to a file at a place, or copy it there if asked, or if links do not work."""
    place.parent.mkdir(parents=True, exist_ok=True)
    if not copy:
        try:
            place.symlink_to(file.resolve())
            return
        except (OSError, NotImplementedError):
            pass  # some file systems and accounts have no links
    shutil.copyfile(file, place)


def _write_csv(path: Path, header: tuple[str, ...], rows: Iterable[tuple]) -> None:
    """Write a table in UTF-8; raise `UserError` if a name cannot be encoded."""
    try:
        data = csv_text(header, rows).encode()
    except UnicodeEncodeError as error:
        raise UserError(f"the name {error.object[:80]!r} cannot be written as UTF-8: rename the file") from None
    write_bytes(path, data)
