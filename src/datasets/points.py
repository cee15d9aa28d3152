"""The project's own data set: images with clicks in one table, as `scripts/import_points.py` writes it."""

import csv
import itertools
import math
import warnings
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path, PurePosixPath

import numpy as np
import pandas as pd

from src.datasets.base import SPLITS, DataError, PointDataset, Record, require_files
from src.errors import one_line
from src.images import image_size, read_image

POINTS, SPLIT_LIST, IMAGES = "points.csv", "splits.csv", "images"
POINT_TYPES = {"image": "category", "x": "float64", "y": "float64", "class": "category"}
SPLIT_TYPES = {"image": "object", "split": "object"}


class Points(PointDataset):
    """`-d` is the folder that holds `images/`, `points.csv` and `splits.csv`.

    `splits.csv` (`image,split`) lists the annotated images, also those without an object; `points.csv`
    (`image,x,y,class`) has a row a click, x and y 0-based from the corner of the first pixel. `classes` are the names
    of the classes in order, or else those of the whole table, sorted. The region is the whole image.
    """

    options = ("classes",)

    def open(self, classes: list[str] | None = None) -> None:
        """Read both tables and the images' headers, so that every mistake in them is told before training."""
        split_path, points_path = self.datadir / SPLIT_LIST, self.datadir / POINTS
        splits = _read_table(split_path, SPLIT_TYPES)
        _check_splits(splits, split_path)
        points = _read_table(points_path, POINT_TYPES)
        _check_points(points, points_path, splits)
        self.class_names = _class_names(classes, points, points_path)
        self.names = splits["image"][splits["split"] == self.split].tolist()
        self.paths = [self.datadir / IMAGES / name for name in self.names]
        require_files(self.paths)

        # The rows of an image, in their order, lie between two numbers of _starts.
        image_of_row = _codes(points["image"], self.names)
        rows = np.argsort(image_of_row, kind="stable")
        self._starts = np.searchsorted(image_of_row[rows], np.arange(len(self.names) + 1))
        rows = rows[self._starts[0] :]  # other splits' rows, whose number is -1, come first
        self._starts -= self._starts[0]
        self._point_list = points[["y", "x"]].to_numpy()[rows]
        self._labels = _codes(points["class"], self.class_names)[rows] + 1
        self._check_inside(points_path, rows)

    def _check_inside(self, points_path: Path, rows: np.ndarray) -> None:
        """DataError for the first click outside its image; `rows` are their numbers in the table."""
        for index, (name, path) in enumerate(zip(self.names, self.paths, strict=True)):
            size = image_size(path)
            clicks = self._clicks(index)
            outside = (self._point_list[clicks] < 0) | (self._point_list[clicks] >= size)
            if outside.any():
                first = clicks.start + int(outside.any(axis=1).argmax())
                y, x = self._point_list[first]
                raise DataError(
                    f"{_place(points_path, rows[first])}: x {x:g}, y {y:g} is outside {name}, which is {size[1]} wide "
                    f"and {size[0]} high; expected 0 <= x < {size[1]} and 0 <= y < {size[0]}: correct or remove it"
                )

    def _clicks(self, index: int) -> slice:
        return slice(int(self._starts[index]), int(self._starts[index + 1]))

    def read(self, index: int) -> Record:
        """Read an image with its clicks."""
        image = read_image(self.paths[index])
        clicks = self._clicks(index)
        inside = np.ones(image.shape[:2], dtype=bool)
        return Record(image, self._point_list[clicks], self._labels[clicks], inside)

    def count(self, index: int) -> int:
        """The clicks of one image, which need not be decoded for that: all were found inside."""
        clicks = self._clicks(index)
        return clicks.stop - clicks.start


def _read_table(path: Path, types: dict[str, str]) -> pd.DataFrame:
    """A CSV file that has the columns of `types`, whatever their order and the other columns.

    Nothing is read as missing: an image may be called NA, and an empty cell of numbers is a mistake.
    """
    expected = f"expected the header {','.join(types)}"
    try:
        header = pd.read_csv(path, nrows=0, index_col=False, encoding="utf-8-sig").columns
        missing = [column for column in types if column not in header]
        if missing:
            raise DataError(f"{path}, line 1: no column {', '.join(missing)}; {expected}: mend it")
        return _read_rows(path, types)
    except DataError:
        raise
    except FileNotFoundError:
        raise DataError(
            f"{path} is missing; expected images/, points.csv and splits.csv in -d: "
            "make them by scripts/import_points.py, or check -d"
        ) from None
    except UnicodeDecodeError:
        raise DataError(f"{path} is not in UTF-8: save it again in that encoding") from None
    except pd.errors.EmptyDataError:
        raise DataError(f"{path} is empty; {expected}: write it again") from None
    except pd.errors.ParserError as error:
        raise DataError(f"{path} is no table ({one_line(error)}); {expected}: mend that line") from None
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror or error}); expected a table: check it") from None
    except (ValueError, pd.errors.ParserWarning):
        raise _bad_row(path) from None


def _read_rows(path: Path, types: dict[str, str]) -> pd.DataFrame:
    with warnings.catch_warnings():
        # Otherwise pandas drops the last cells of rows that have too many.
        warnings.simplefilter("error", pd.errors.ParserWarning)
        table = pd.read_csv(
            path,
            dtype=defaultdict(lambda: "category", types),
            index_col=False,
            keep_default_na=False,
            float_precision="round_trip",
            encoding="utf-8-sig",
        )
    numbers = [column for column, kind in types.items() if kind == "float64"]
    if not all(np.isfinite(table[column].to_numpy()).all() for column in numbers):
        raise _bad_row(path)
    return table[list(types)]


def _bad_row(path: Path) -> DataError:
    """The first row with too many cells or without numbers: pandas does not say where, so the file is read again."""
    records = _records(path)
    _, header = next(records)
    places = [(column, header.index(column)) for column in ("x", "y") if column in header]
    for line, cells in records:
        if any(cells[len(header) :]):
            return DataError(
                f"{path}, line {line}: {','.join(cells[len(header) :])!r} stands beyond the header; expected as many "
                "cells as it has: put quotes around names with commas"
            )
        for column, place in places:
            text = cells[place] if place < len(cells) else ""
            if not _is_finite(text):
                return DataError(f"{path}, line {line}: {column} is {text!r}; expected a number of pixels: correct it")
    return DataError(f"{path} has an x or y that is no number; expected numbers of pixels: correct it")


def _is_finite(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


def _records(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Line number and cells of each row, the header first; blank lines are none, as for pandas."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.reader(file)
        for cells in reader:
            if cells:
                yield reader.line_num, cells


def _place(path: Path, row: int) -> str:
    """Where a row of a table, from 0, stands in its file."""
    line, _ = next(itertools.islice(_records(path), int(row) + 1, None))
    return f"{path}, line {line}"


def _check_splits(splits: pd.DataFrame, path: Path) -> None:
    first_row: dict[str, int] = {}
    for row, (name, split) in enumerate(zip(splits["image"], splits["split"], strict=True)):
        if not _is_inside_images(name):
            raise DataError(
                f"{_place(path, row)}: image is {name!r}; expected a path inside {IMAGES}/, such as folder/a.png: "
                "correct it"
            )
        if split not in SPLITS:
            raise DataError(
                f"{_place(path, row)}: {name} has split {split!r}; expected one of {', '.join(SPLITS)}: correct it"
            )
        if first_row.setdefault(name, row) != row:
            other = splits["split"][first_row[name]]
            raise DataError(
                f"{_place(path, row)}: {name} is listed twice, for {other} and for {split}; expected it once: "
                "remove one of the two"
            )


def _is_inside_images(name: object) -> bool:
    """Whether a name is a relative path that climbs nowhere and is spelled the shortest way."""
    if not isinstance(name, str) or "\0" in name:
        return False
    path = PurePosixPath(name)
    return str(path) == name and name != "." and not path.is_absolute() and ".." not in path.parts


def _check_points(points: pd.DataFrame, path: Path, splits: pd.DataFrame) -> None:
    row = _first_outside(points["image"], splits["image"])
    if row is not None:
        raise DataError(
            f"{_place(path, row)}: the image {points['image'][row]!r} is not in {SPLIT_LIST}, which lists every "
            "annotated image: add it there, or remove its clicks"
        )
    row = _first_outside(points["class"], set(points["class"].cat.categories) - {""})
    if row is not None:
        raise DataError(f"{_place(path, row)}: the class is empty; expected a name: correct it")


def _class_names(classes: object, points: pd.DataFrame, path: Path) -> list[str]:
    """The names that `dataset.classes` gives, or those of the table."""
    if classes is None:
        if points.empty:
            raise DataError(f"{path} has no click, so its classes are unknown: name them in dataset.classes")
        return sorted(points["class"].cat.categories)
    is_list = isinstance(classes, list | tuple) and all(isinstance(name, str) and name for name in classes)
    if not is_list or not classes or len(set(classes)) != len(classes):
        raise DataError(f"dataset.classes is {classes!r}; expected a list of different names, such as ['cell']")
    row = _first_outside(points["class"], classes)
    if row is not None:
        raise DataError(
            f"{_place(path, row)}: the class {points['class'][row]!r} is not in dataset.classes {list(classes)}: "
            "add it there, or correct the row"
        )
    return list(classes)


def _codes(column: pd.Series, names: Sequence[str]) -> np.ndarray:
    """The place of each cell of a categorical column in a list of names, -1 where it is not in there."""
    places = {name: place for place, name in enumerate(names)}
    # A cell that is missing has the code -1, the last of these.
    return np.array([*(places.get(name, -1) for name in column.cat.categories), -1])[column.cat.codes]


def _first_outside(column: pd.Series, names: Iterable[str]) -> int | None:
    """The first row whose cell is none of the names."""
    outside = _codes(column, list(names)) < 0
    return int(outside.argmax()) if outside.any() else None
