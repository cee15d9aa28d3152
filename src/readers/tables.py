"""Read CSV tables with a header.

`read_rows` understands the spellings of other tools and works row by row. `read_frame` reads the project's own spelling
alone, and ten million rows in seconds.
"""

import csv
import io
import itertools
import math
import re
import warnings
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from lcfcn.errors import UserError, one_line
from lcfcn.files import require_regular

SEPARATORS = ",;\t|"
EXCEL_LINE = re.compile('"?sep=.?"?,*;*', re.IGNORECASE)
LINE_END, BLANK_LINES = re.compile("\r\n?|\n"), re.compile(r"(?:[^\S\r\n]*[\r\n])*")
OTHER_SIGNS = re.compile("[][(){} ._/-]+")
"""What separates words in the header of a table, beside underscores."""
TEXT, NUMBER, NUMBER_OR_EMPTY = "text", "number", "number or empty"
"""The kinds of columns that `read_frame` knows."""
DTYPES = {TEXT: "category", NUMBER: "float64", NUMBER_OR_EMPTY: "float64"}


def read_rows(
    text: str, path: Path, columns: Mapping[str, tuple[str, ...]], needed: Sequence[str], error_class: type[UserError]
) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield each row of a table that is not blank: its place, such as "line 3", and its cells by column.

    Parameters
    ----------
    text : str
        The content of the file `path`, separated by commas, semicolons or tabs.
    path : Path
        For messages.
    columns : mapping
        The names that each column may have, see `find_columns`. A column that the table lacks is not in the rows.
    needed : sequence of str
        The columns that must be there.
    error_class : type
        The error for a missing column, a row with too many cells, or a text that is not CSV.
    """
    separator, places = find_columns(first_row(text), columns)
    _check_columns({column: int(column in places) for column in needed}, path, error_class)
    for where, cells in all_rows(text, path, separator, error_class):
        yield where, {column: cells[place] for column, place in places.items()}


def all_rows(
    text: str, path: Path, separator: str, error_class: type[UserError], *, has_header: bool = True
) -> Iterator[tuple[str, list[str]]]:
    """Yield each row of a table that is not blank: its place, such as "line 3", and all its cells.

    A row has as many cells as the header, or as the first row if there is none. Missing ones are empty.
    """
    text, skipped = _without_excel_line(text)
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    n_columns = 0
    try:
        for row in rows:
            cells = [cell.strip() for cell in row]
            where = f"line {rows.line_num + skipped}"
            is_first, n_columns = not n_columns, n_columns or len(cells)
            if any(cells[n_columns:]):
                raise _beyond(cells[n_columns:], path, rows.line_num + skipped, error_class)
            if any(cells) and not (is_first and has_header):
                yield where, (cells + [""] * n_columns)[:n_columns]
    except csv.Error as error:
        raise _no_csv(error, path, rows.line_num + skipped, error_class) from None


def first_row(text: str) -> str:
    """Return the line that holds the header: the first one, or the second if the first is Excel's `sep=;`."""
    return LINE_END.split(_without_excel_line(text)[0], maxsplit=1)[0]


def _without_excel_line(text: str) -> tuple[str, int]:
    """Return a table without the line by which Excel names the separator, and how many lines were left out."""
    text = text[BLANK_LINES.match(text).end() :]
    first, *rest = LINE_END.split(text, maxsplit=1)
    if rest and EXCEL_LINE.fullmatch(first.strip()):
        return rest[0], 1
    return text, 0


def header_names(header: str, separator: str) -> list[str]:
    """Return the names of a header in one spelling: lower case, without brackets, and with underscores for spaces.

    >>> header_names("Image,Centroid X (px),y-pos", ",")
    ['image', 'centroid_x_px', 'y_pos']
    """
    try:
        names = next(csv.reader([header], delimiter=separator), [])
    except csv.Error:
        return []
    return [spelled(name) for name in names]


def spelled(name: str) -> str:
    """Return the name of a column in the spelling of `header_names`."""
    return OTHER_SIGNS.sub("_", name.strip().casefold()).strip("_")


def find_columns(header: str, columns: Mapping[str, tuple[str, ...]]) -> tuple[str, dict[str, int]]:
    """Return the separator that finds most of the columns in a header, and the places of these columns.

    `columns` gives the names that each column may have, the preferred name first, see `header_names`.
    """
    layouts = [(separator, _places(header, separator, columns)) for separator in SEPARATORS]
    return max(layouts, key=lambda layout: len(layout[1]))


def _places(header: str, separator: str, columns: Mapping[str, tuple[str, ...]]) -> dict[str, int]:
    names = header_names(header, separator)
    called = {column: next((name for name in synonyms if name in names), None) for column, synonyms in columns.items()}
    return {column: names.index(name) for column, name in called.items() if name}


def read_frame(
    path: Path,
    kinds: Mapping[str, str],
    error_class: type[UserError],
    *,
    optional: Sequence[str] = (),
    ways_out: str = "check the path",
) -> pd.DataFrame:
    """Read columns of a CSV in UTF-8, separated by commas. They may have any order, and others are ignored.

    Parameters
    ----------
    path : Path
    kinds : mapping
        The kind of each column. `TEXT` is read as categories, and a cell is never empty. `NUMBER` is finite.
        `NUMBER_OR_EMPTY` is finite, or NaN for an empty cell. No other text means a missing value: an image may be
        called NA.
    error_class : type
        The error for the first mistake. The message names its line.
    optional : sequence of str
        The columns that need not be there.
    ways_out : str
        What to do if there is no such file, for the message.
    """
    expected = f"expected the header {','.join(kinds)}"
    try:
        _, header = next(_records(path, error_class))
        kinds = {column: kind for column, kind in kinds.items() if column in header or column not in optional}
        _check_columns({column: header.count(column) for column in kinds}, path, error_class)
        return _parse(path, kinds)
    except UserError:
        raise
    except FileNotFoundError:
        raise error_class(f"{path} is missing: {ways_out}") from None
    except UnicodeDecodeError:
        raise error_class(f"{path} is not in UTF-8: save it again in that encoding") from None
    except StopIteration:
        raise error_class(f"{path} is empty; {expected}: write it again") from None
    except pd.errors.ParserError as error:
        raise error_class(f"{path} is not a table ({one_line(error)}); {expected}: fix that line") from None
    except OSError as error:
        raise error_class(
            f"{path} cannot be read ({error.strerror or error}); expected a table: check the file"
        ) from None
    except (ValueError, pd.errors.ParserWarning):
        raise _bad_row(path, kinds, error_class) from None


def line_of(path: Path, row: int, error_class: type[UserError]) -> int:
    """Return the line in which a row of a frame ends. Row 0 is the first, and line 1 is the header."""
    return next(itertools.islice(_records(path, error_class), int(row) + 1, None))[0]


def codes(column: pd.Series, names: Iterable[str]) -> np.ndarray:
    """Return the place of each cell of a `TEXT` column in a list of names, or -1 if it is not in the list."""
    places = {name: place for place, name in enumerate(names)}
    return np.array([places.get(name, -1) for name in column.cat.categories], dtype=np.int64)[column.cat.codes]


def first_outside(column: pd.Series, names: Iterable[str]) -> int | None:
    """Return the first row whose cell is not one of the names, or None if there is no such row."""
    outside = codes(column, names) < 0
    return int(outside.argmax()) if outside.any() else None


def _parse(path: Path, kinds: Mapping[str, str]) -> pd.DataFrame:
    """Read the columns; raise ValueError or ParserWarning if a cell is not of its kind or a row has too many cells."""
    with warnings.catch_warnings():
        # Otherwise pandas drops the last cells of rows that have too many. With usecols it does so silently.
        warnings.simplefilter("error", pd.errors.ParserWarning)
        frame = pd.read_csv(
            path,
            dtype=defaultdict(lambda: DTYPES[TEXT], {column: DTYPES[kind] for column, kind in kinds.items()}),
            index_col=False,
            keep_default_na=False,
            na_values={column: [""] for column, kind in kinds.items() if kind == NUMBER_OR_EMPTY},
            float_precision="round_trip",
            encoding="utf-8-sig",
        )[list(kinds)]
    for column, kind in kinds.items():
        if not _is_good(kind, frame[column]).all():
            raise ValueError
    return frame


def _is_good(kind: str, cells: pd.Series) -> pd.Series:
    """Whether each cell is of its kind. In a short row the last cells are missing, and belong to no category."""
    if kind == TEXT:
        return cells.notna() & (cells != "")
    return np.isfinite(cells) if kind == NUMBER else ~np.isinf(cells)


def _bad_row(path: Path, kinds: Mapping[str, str], error_class: type[UserError]) -> UserError:
    """Return the error for the first mistake. pandas does not say where it is, so the file is read again."""
    records = _records(path, error_class)
    _, header = next(records)
    places = {column: header.index(column) for column in kinds}
    for line, cells in records:
        if any(cells[len(header) :]):
            return _beyond(cells[len(header) :], path, line, error_class)
        for column, place in places.items():
            text = cells[place] if place < len(cells) else ""
            expected = _expected(kinds[column], text)
            if expected:
                return error_class(f"{path}, line {line}: {column} is {text[:80]!r}; expected {expected}: correct it")
    return error_class(f"{path} has a cell that is not a number; expected finite numbers: correct it")


def _expected(kind: str, text: str) -> str:
    """Return what was expected of a cell, or "" if the cell is good."""
    if kind == TEXT:
        return "" if text else "a name"
    if not text and kind == NUMBER_OR_EMPTY:
        return ""
    try:
        is_finite = math.isfinite(float(text))
    except ValueError:
        is_finite = False
    return "" if is_finite else "a finite number" + (" or nothing" if kind == NUMBER_OR_EMPTY else "")


def _records(path: Path, error_class: type[UserError]) -> Iterator[tuple[int, list[str]]]:
    """Yield line number and cells of each row, the header first. Blank lines are skipped, as in pandas."""
    require_regular(path, error_class)
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.reader(file)
        try:
            for cells in reader:
                if len(cells) > 1 or (cells and not cells[0].isspace()):
                    yield reader.line_num, cells
        except csv.Error as error:
            raise _no_csv(error, path, reader.line_num, error_class) from None


def _check_columns(found: Mapping[str, int], path: Path, error_class: type[UserError]) -> None:
    """Raise an error for the first column that was not found exactly once."""
    for column, number in found.items():
        if number != 1:
            what = "more than one" if number else "no"
            raise error_class(f"{path} has {what} column {column}; expected the header {','.join(found)}: fix it")


def _beyond(cells: list[str], path: Path, line: int, error_class: type[UserError]) -> UserError:
    return error_class(
        f"{path}, line {line}: {','.join(cells)[:80]!r} is beyond the header; expected as many cells as the "
        "header has: put quotes around a cell that holds a separator"
    )


def _no_csv(error: csv.Error, path: Path, line: int, error_class: type[UserError]) -> UserError:
    return error_class(f"{path}, line {line}, is not CSV ({' '.join(str(error).split())}): fix its quotes")
