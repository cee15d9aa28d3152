"""CSV of points: one row an object, columns in any order, named by a header.

Separated by commas, semicolons or tabs; with the latter two a decimal comma is understood. A row that names only an
image says that it was annotated and has no object.
"""

import csv
import io
from collections.abc import Iterator, Mapping
from pathlib import Path

from src.annotations.base import (
    DEFAULT_CLASS,
    AnnotationError,
    Clicks,
    check_amount,
    class_name,
    entry,
    files_of,
    first_line,
    image_name,
    number,
    read_each,
    read_text,
)

NAME = "CSV of points (a header with image, x, y and, if there are several, class)"
SEPARATORS = ",;\t"
COLUMNS = {
    "image": ("image", "image_name", "imagename", "image_path", "image_file", "filename", "file_name", "file", "img"),
    "x": ("x", "x_px", "x_coord", "x_coordinate", "cx", "center_x", "centre_x"),
    "y": ("y", "y_px", "y_coord", "y_coordinate", "cy", "center_y", "centre_y"),
    "class": ("class", "class_name", "label", "label_name", "category", "category_name"),
}
"""What each column may be called, the preferred name first; blanks and hyphens are underscores, case is ignored."""


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
    _, places = _layout(first_line(path), COLUMNS)
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


def read_table(
    path: Path, columns: Mapping[str, tuple[str, ...]], needed: tuple[str, ...]
) -> Iterator[tuple[str, dict[str, str]]]:
    """Each row of a table that is not blank: where it stands, and its values by column, of those columns it has.

    `columns` says what each may be called.
    """
    text = read_text(path).lstrip("\r\n")
    check_amount(max(map(text.count, "\r\n")) - 1, path)
    lines = io.StringIO(text, newline="")
    separator, places = _layout(lines.readline().rstrip("\r\n"), columns)
    lines.seek(0)
    missing = [column for column in needed if column not in places]
    if missing:
        raise AnnotationError(f"{path} has no column {missing[0]}; expected a header with {', '.join(needed)}: add it")
    rows = csv.reader(lines, delimiter=separator, strict=True)
    try:
        n_columns = len(next(rows))
        for row in rows:
            where = f"line {rows.line_num}"
            values = [value.strip() for value in row]
            if any(values[n_columns:]):
                raise AnnotationError(
                    f"{path} has more fields in {where} than in its header: quote what holds a separator"
                )
            if any(values):
                values += [""] * (n_columns - len(values))
                yield where, {column: values[place] for column, place in places.items()}
    except csv.Error as error:
        raise AnnotationError(f"{path} is no CSV (line {rows.line_num}: {error}): mend its quotes") from None


def _layout(header: str, columns: Mapping[str, tuple[str, ...]]) -> tuple[str, dict[str, int]]:
    """The separator that finds the most of the columns in a header, and their places."""
    layouts = [(separator, _places(header, separator, columns)) for separator in SEPARATORS]
    return max(layouts, key=lambda layout: len(layout[1]))


def _places(header: str, separator: str, columns: Mapping[str, tuple[str, ...]]) -> dict[str, int]:
    try:
        names = next(csv.reader([header], delimiter=separator), [])
    except csv.Error:
        return {}
    names = [name.strip().casefold().replace(" ", "_").replace("-", "_") for name in names]
    called = {column: next((name for name in synonyms if name in names), None) for column, synonyms in columns.items()}
    return {column: names.index(name) for column, name in called.items() if name}
