"""CSV tables with a header.

`read_rows` understands the spellings of other tools, row by row; `read_frame` takes the project's own spelling alone,
and reads ten million rows in seconds.
"""

import csv
import io
import itertools
import math
import warnings
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from lcfcn.errors import UserError, one_line

SEPARATORS = ",;\t"
TEXT, NUMBER = "category", "float64"
"""Kinds of columns for `read_frame`."""


def read_rows(
    text: str, path: Path, columns: Mapping[str, tuple[str, ...]], needed: Sequence[str], error_class: type[UserError]
) -> Iterator[tuple[str, dict[str, str]]]:
    """Each row of a table that is not blank: where it stands, and its cells by column, of those columns it has.

    Parameters
    ----------
    text : str
        What the file `path` holds, separated by commas, semicolons or tabs.
    columns : mapping
        What each column may be called, see `find_columns`.
    needed : sequence of str
        The columns without which nothing is read.
    error_class : type
        Of the error that tells of a missing column, of a row with too many cells or of what is no CSV.
    """
    lines = io.StringIO(text.lstrip("\r\n"), newline="")
    separator, places = find_columns(lines.readline().rstrip("\r\n"), columns)
    lines.seek(0)
    _check_columns({column: int(column in places) for column in needed}, path, error_class)
    rows = csv.reader(lines, delimiter=separator, strict=True)
    try:
        n_columns = len(next(rows))
        for row in rows:
            cells = [cell.strip() for cell in row]
            if any(cells[n_columns:]):
                raise _beyond(cells[n_columns:], path, rows.line_num, error_class)
            if any(cells):
                cells += [""] * (n_columns - len(cells))
                yield f"line {rows.line_num}", {column: cells[place] for column, place in places.items()}
    except csv.Error as error:
        raise _no_csv(error, path, rows.line_num, error_class) from None


def find_columns(header: str, columns: Mapping[str, tuple[str, ...]]) -> tuple[str, dict[str, int]]:
    """The separator that finds the most of the columns in a header, and their places.

    `columns` says what each may be called, the preferred name first; blanks and hyphens are underscores, case is
    ignored.
    """
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


def read_frame(
    path: Path,
    kinds: Mapping[str, str],
    error_class: type[UserError],
    *,
    optional: Sequence[str] = (),
    ways_out: str = "check the path",
) -> pd.DataFrame:
    """The columns of `kinds` of a CSV in UTF-8, separated by commas, whatever their order and the other columns.

    Parameters
    ----------
    kinds : mapping
        By column `TEXT`, which is read as categories and never empty, or `NUMBER`, which is finite. Nothing is read
        as missing: an image may be called NA, and an empty cell is a mistake.
    error_class : type
        Of the error that tells of the first mistake, and in which line it is.
    optional : sequence of str
        Those of the columns that may be lacking.
    ways_out : str
        What to do where there is no such file.
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
        raise error_class(f"{path} is no table ({one_line(error)}); {expected}: fix that line") from None
    except OSError as error:
        raise error_class(f"{path} cannot be read ({error.strerror or error}); expected a table: check it") from None
    except (ValueError, pd.errors.ParserWarning):
        raise _bad_row(path, kinds, error_class) from None


def line_of(path: Path, row: int, error_class: type[UserError]) -> int:
    """The line in which a row of a frame ends, both counted as people and numpy do: 1 is the header's, 0 the first."""
    return next(itertools.islice(_records(path, error_class), int(row) + 1, None))[0]


def codes(column: pd.Series, names: Iterable[str]) -> np.ndarray:
    """The place of each cell of a `TEXT` column in a list of names, -1 where it is not in there."""
    places = {name: place for place, name in enumerate(names)}
    return np.array([places.get(name, -1) for name in column.cat.categories], dtype=np.int64)[column.cat.codes]


def first_outside(column: pd.Series, names: Iterable[str]) -> int | None:
    """The first row whose cell is none of the names, None if there is none."""
    outside = codes(column, names) < 0
    return int(outside.argmax()) if outside.any() else None


def _parse(path: Path, kinds: Mapping[str, str]) -> pd.DataFrame:
    """The columns; ValueError or ParserWarning if a cell is not of its kind or a row has too many."""
    with warnings.catch_warnings():
        # Otherwise pandas drops the last cells of rows that have too many; with usecols it would do so silently.
        warnings.simplefilter("error", pd.errors.ParserWarning)
        frame = pd.read_csv(
            path,
            dtype=defaultdict(lambda: TEXT, kinds),
            index_col=False,
            keep_default_na=False,
            float_precision="round_trip",
            encoding="utf-8-sig",
        )[list(kinds)]
    for column, kind in kinds.items():
        # A cell that is missing, since the row is short, belongs to no category.
        cells = frame[column]
        if not (np.isfinite(cells) if kind == NUMBER else cells.notna() & (cells != "")).all():
            raise ValueError
    return frame


def _bad_row(path: Path, kinds: Mapping[str, str], error_class: type[UserError]) -> UserError:
    """The first mistake among the cells: pandas does not say where it is, so the file is read again."""
    records = _records(path, error_class)
    _, header = next(records)
    places = {column: header.index(column) for column in kinds}
    for line, cells in records:
        if any(cells[len(header) :]):
            return _beyond(cells[len(header) :], path, line, error_class)
        for column, place in places.items():
            text = cells[place] if place < len(cells) else ""
            if not (_is_finite(text) if kinds[column] == NUMBER else text):
                what = "a finite number" if kinds[column] == NUMBER else "a name"
                return error_class(f"{path}, line {line}: {column} is {text[:80]!r}; expected {what}: correct it")
    return error_class(f"{path} has a cell that is no number; expected finite numbers: correct it")


def _is_finite(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


def _records(path: Path, error_class: type[UserError]) -> Iterator[tuple[int, list[str]]]:
    """Line number and cells of each row, the header first; blank lines are none, as for pandas."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.reader(file)
        try:
            for cells in reader:
                if len(cells) > 1 or (cells and not cells[0].isspace()):
                    yield reader.line_num, cells
        except csv.Error as error:
            raise _no_csv(error, path, reader.line_num, error_class) from None


def _check_columns(found: Mapping[str, int], path: Path, error_class: type[UserError]) -> None:
    """An error for the first column that was not found once."""
    for column, number in found.items():
        if number != 1:
            what = "more than one" if number else "no"
            raise error_class(f"{path} has {what} column {column}; expected the header {','.join(found)}: fix it")


def _beyond(cells: list[str], path: Path, line: int, error_class: type[UserError]) -> UserError:
    return error_class(
        f"{path}, line {line}: {','.join(cells)[:80]!r} stands beyond the header; expected as many cells as it has: "
        "put quotes around what holds a separator"
    )


def _no_csv(error: csv.Error, path: Path, line: int, error_class: type[UserError]) -> UserError:
    return error_class(f"{path}, line {line}, is no CSV ({error}): fix its quotes")
