"""CSV of points: one row an object, with columns in any order, named by a header.

Cells are separated by commas, semicolons or tabs. With semicolons and tabs a number may have a decimal comma. A row
that names only an image says that the image was annotated and has no object. The column `size` is optional: the
object's diameter in pixels, empty where it is not known.
"""

from pathlib import Path

from src.annotations.base import (
    DEFAULT_CLASS,
    AnnotationError,
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
from src.annotations.shapes import Place
from src.readers.tables import find_columns

NAME = "CSV of points (a header with image, x, y and, if there are several, class)"
COLUMNS = {
    "image": ("image", "image_name", "imagename", "image_path", "image_file", "filename", "file_name", "file", "img"),
    "x": ("x", "x_px", "x_coord", "x_coordinate", "cx", "center_x", "centre_x"),
    "y": ("y", "y_px", "y_coord", "y_coordinate", "cy", "center_y", "centre_y"),
    "class": ("class", "class_name", "label", "label_name", "category", "category_name"),
    "size": ("size", "size_px", "diameter", "diameter_px"),
}
"""The names that each column may have, see `find_columns`."""


def recognises(path: Path) -> bool:
    """Whether a file, or one in a folder, has a header with an image, an x and a y."""
    return any(_fits(file) for file in files_of(path, *_suffixes(path)))


def read(path: Path, images: Path | None) -> list[Clicks]:
    """Read the clicks of each image. The images come in the order in which the rows first name them."""
    return read_each(path, _suffixes(path), _fits, _read_file)


def _suffixes(path: Path) -> tuple[str, ...]:
    """Return the suffixes that a named file may have, or that are looked for in a folder."""
    return (".csv",) if path.is_dir() else (".csv", ".tsv", ".txt")


def _fits(path: Path) -> bool:
    _, places = find_columns(first_line(path), COLUMNS)
    return {"image", "x", "y"} <= set(places)


def _read_file(path: Path) -> list[Clicks]:
    found: dict[str, Clicks] = {}
    by_spelling: dict[str, Clicks] = {}  # so that a name is checked once, not in each row
    for where, row in read_table(path, COLUMNS, needed=("image", "x", "y")):
        spelling = row["image"]
        if spelling not in by_spelling:
            by_spelling[spelling] = entry(found, image_name(spelling, path))
        clicks = by_spelling[spelling]
        if row["x"] or row["y"]:
            x, y = (_number(row, column, path, where) for column in "xy")
            clicks.add(Place(x, y, _size(row, path, where)), class_name(row.get("class", DEFAULT_CLASS)))
    return list(found.values())


def _number(row: dict[str, str], column: str, path: Path, where: str) -> float:
    # A comma that separates cells is no longer in them, so a comma in a number is a decimal comma.
    return number(row[column].replace(",", "."), path, f"{column} of {where}")


def _size(row: dict[str, str], path: Path, where: str) -> float | None:
    if not row.get("size"):
        return None
    size = _number(row, "size", path, where)
    if size <= 0:
        raise AnnotationError(
            f"{path} has {row['size']} as size of {where}; expected a diameter above 0 in pixels, or nothing: fix it"
        )
    return size
