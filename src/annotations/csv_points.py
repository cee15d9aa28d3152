"""CSV of points: one row an object, columns in any order, named by a header.

Separated by commas, semicolons or tabs; with the latter two a decimal comma is understood. A row that names only an
image says that it was annotated and has no object.
"""

from pathlib import Path

from src.annotations.base import (
    DEFAULT_CLASS,
    Clicks,
    class_name,
    entry,
    files_of,
    first_line,
    image_name,
    number,
    read_each,
    read_table,
)
from src.readers.tables import find_columns

NAME = "CSV of points (a header with image, x, y and, if there are several, class)"
COLUMNS = {
    "image": ("image", "image_name", "imagename", "image_path", "image_file", "filename", "file_name", "file", "img"),
    "x": ("x", "x_px", "x_coord", "x_coordinate", "cx", "center_x", "centre_x"),
    "y": ("y", "y_px", "y_coord", "y_coordinate", "cy", "center_y", "centre_y"),
    "class": ("class", "class_name", "label", "label_name", "category", "category_name"),
}
"""What each column may be called, see `find_columns`."""


def recognises(path: Path) -> bool:
    """Whether a file, or one in a folder, has a header with an image, an x and a y."""
    return any(_fits(file) for file in files_of(path, *_suffixes(path)))


def read(path: Path, images: Path | None) -> list[Clicks]:
    """The clicks of each image, in the order in which the images are named first."""
    return read_each(path, _suffixes(path), _fits, _read_file)


def _suffixes(path: Path) -> tuple[str, ...]:
    """What a file may be called if it is named, and what is looked for in a folder."""
    return (".csv",) if path.is_dir() else (".csv", ".tsv", ".txt")


def _fits(path: Path) -> bool:
    _, places = find_columns(first_line(path), COLUMNS)
    return {"image", "x", "y"} <= set(places)


def _read_file(path: Path) -> list[Clicks]:
    found: dict[str, Clicks] = {}
    by_spelling: dict[str, Clicks] = {}  # a name is checked once, not in each of its rows
    for where, row in read_table(path, COLUMNS, needed=("image", "x", "y")):
        spelling = row["image"]
        if spelling not in by_spelling:
            by_spelling[spelling] = entry(found, image_name(spelling, path))
        clicks = by_spelling[spelling]
        if row["x"] or row["y"]:
            # Where a comma separates none is left in a number: one that is there is a decimal comma.
            x, y = (number(row[column].replace(",", "."), path, f"{column} of {where}") for column in "xy")
            clicks.add((x, y), class_name(row.get("class", DEFAULT_CLASS)))
    return list(found.values())
