"""Writes the project's own dataset: `images/`, `points.csv` (image,x,y,class) and `splits.csv` (image,split).

splits.csv lists every annotated image, those without objects included; an image that it doesn't list is not annotated.
"""

import os
import random
import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from lcfcn.errors import UserError
from lcfcn.files import csv_text, write_bytes
from src.annotations.base import image_name
from src.readers.layout import IMAGES, POINTS, POINTS_HEADER, SPLIT_LIST, SPLITS_HEADER

SHEET = "contact_sheet.png"


@dataclass(frozen=True)
class OwnImage:
    """One annotated image: its `name` in `images/` (posix, may hold folders), the file it is, its (x, y, class name)
    and its split."""

    name: str
    file: Path
    point_list: list[tuple[float, float, str]]
    split: str


def check_target(folder: Path, *, overwrite: bool) -> None:
    """UserError unless a dataset may be written there: where nothing is, or over one of our own if that is wished."""
    if not os.path.lexists(folder):
        return
    if not folder.is_dir():
        raise UserError(f"-o {folder} is no folder; expected a new one: choose another -o")
    names = sorted(os.listdir(folder))
    if not names:
        return
    if not set(names) <= {IMAGES, POINTS, SPLIT_LIST, SHEET} or not {POINTS, SPLIT_LIST} <= set(names):
        raise UserError(f"-o {folder} holds other things than a dataset of this project: choose another -o")
    if not overwrite:
        raise UserError(f"-o {folder} holds a dataset already: choose another -o, or say --overwrite")


def write_dataset(folder: Path, images: list[OwnImage], *, copy: bool, add: Callable[[Path], None]) -> None:
    """Write a dataset, whole or not at all; one of our own that lies there goes once the new one is whole.

    `add` is called with the new folder before it takes its place, to add what else belongs there.

    Raises
    ------
    UserError
        If it cannot be written, or an image would be taken from the folder that is replaced.
    """
    inside = [image.file for image in images if image.file.resolve().is_relative_to(folder.resolve())]
    if inside:
        raise UserError(f"-o {folder} would replace the folder that {inside[0]} lies in: choose another -o")
    for image in images:
        if image_name(image.name, folder) != image.name:
            raise UserError(f"the image {image.name!r} has blanks around its name, or backslashes: rename the file")
    target = folder.resolve()
    half, old = (target.with_name(f".{target.name}.{what}") for what in ("half-written", "replaced"))
    try:
        _remove(half)
        half.mkdir(parents=True)
        for image in images:
            _place(image.file, half / IMAGES / image.name, copy=copy)
        rows = [(image.name, x, y, name) for image in images for x, y, name in image.point_list]
        _write_csv(half / POINTS, POINTS_HEADER, rows)
        _write_csv(half / SPLIT_LIST, SPLITS_HEADER, [(image.name, image.split) for image in images])
        add(half)
        _replace(target, half, old)
    except OSError as error:
        raise UserError(f"-o {folder} cannot be written ({error.strerror}): choose another -o") from None
    finally:
        shutil.rmtree(half, ignore_errors=True)


def _replace(target: Path, new: Path, old: Path) -> None:
    """Put the new folder in the place of the target, which waits at `old` meanwhile."""
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
    """Put a link to a file there, or a copy where that is wished or links don't work."""
    place.parent.mkdir(parents=True, exist_ok=True)
    if not copy:
        try:
            place.symlink_to(file.resolve())
            return
        except (OSError, NotImplementedError):
            pass  # some file systems and accounts have no links
    shutil.copyfile(file, place)


def _write_csv(path: Path, header: tuple[str, ...], rows: Iterable[tuple]) -> None:
    """A table in UTF-8; UserError if a name is no text."""
    try:
        data = csv_text(header, rows).encode()
    except UnicodeEncodeError as error:
        raise UserError(f"the name {error.object[:80]!r} cannot be written as UTF-8: rename the file") from None
    write_bytes(path, data)


def draw_splits(groups: dict[str, str], *, val: float, test: float, seed: int) -> dict[str, str]:
    """The split of each image: at random by the seed, groups together.

    Parameters
    ----------
    groups : dict
        The group of each image; images of one group share their split.
    val, test : float
        How many images: a fraction below 1, or a number. A fraction above 0 is one image or more. Groups that would
        make it more are passed over while others do.
    """
    members: dict[str, list[str]] = {}
    for image in sorted(groups):
        members.setdefault(groups[image], []).append(image)
    left = sorted(members)
    random.Random(seed).shuffle(left)
    splits = dict.fromkeys(groups, "train")
    for split, share in (("test", test), ("val", val)):
        wanted = int(share) if share >= 1 else max(1, round(share * len(groups))) if share > 0 else 0
        taken = _take(left, {group: len(members[group]) for group in left}, wanted)
        left = [group for group in left if group not in taken]
        splits.update({image: split for group in taken for image in members[group]})
    if "train" not in splits.values():
        in_groups = f" in {len(members)} groups" if len(members) < len(groups) else ""
        raise UserError(
            f"--val {val:g} --test {test:g} leave none of {len(groups)} images{in_groups} to train on: lower them, "
            "or give --splits"
        )
    return splits


def _take(groups: list[str], sizes: dict[str, int], wanted: int) -> set[str]:
    """Groups that have so many images together, or nearly; the smallest one if all have more."""
    taken: set[str] = set()
    room = wanted
    for group in groups:
        if sizes[group] <= room:
            taken.add(group)
            room -= sizes[group]
    if wanted and not taken and groups:
        taken.add(min(groups, key=sizes.get))
    return taken
