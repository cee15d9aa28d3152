"""The project's own data set: images, and their clicks in one table, as `scripts/import_points.py` writes them."""

from pathlib import Path, PurePosixPath

import numpy as np
import pandas as pd

from lcfcn.counting.image_files import image_size, read_image
from lcfcn.names import fault_of_class
from src.datasets.base import PointDataset, Record, require_files
from src.readers.errors import DataError
from src.readers.layout import IMAGES, POINTS, SIZE, SPLIT_LIST, SPLITS
from src.readers.tables import NUMBER, NUMBER_OR_EMPTY, TEXT, codes, first_outside, line_of, read_frame

POINT_KINDS = {"image": TEXT, "x": NUMBER, "y": NUMBER, "class": TEXT, SIZE: NUMBER_OR_EMPTY}
SPLIT_KINDS = {"image": TEXT, "split": TEXT}
WAYS_OUT = "expected images/, points.csv and splits.csv in -d: make them with scripts/import_points.py, or check -d"


class Points(PointDataset):
    """`-d` is the folder that holds `images/`, `points.csv` and `splits.csv`.

    `splits.csv` (`image,split`) lists the annotated images, also those without an object. `points.csv`
    (`image,x,y,class[,size]`) has a row for each click. x and y count from 0 at the corner of the first pixel. The size
    is the object's diameter in pixels; the column is optional, and a cell is empty where the size is not known.
    `classes` are the names of the classes in order; by default those of the whole table, sorted. The region is the
    whole image.
    """

    options = ("classes",)

    def open(self, classes: list[str] | None = None) -> None:
        """Read both tables and the images' headers, so that every mistake in them shows before the training."""
        split_path, points_path = self.datadir / SPLIT_LIST, self.datadir / POINTS
        splits = read_frame(split_path, SPLIT_KINDS, DataError, ways_out=WAYS_OUT)
        _check_splits(splits, split_path)
        points = read_frame(points_path, POINT_KINDS, DataError, optional=[SIZE], ways_out=WAYS_OUT)
        _check_points(points, points_path, splits)
        self.class_names = _class_names(classes, points, points_path)
        self.names = splits["image"][splits["split"] == self.split].tolist()
        self.paths = [self.datadir / IMAGES / name for name in self.names]
        require_files(self.paths)

        # The rows of image i, in their order, are those from _starts[i] to _starts[i + 1].
        image_of_row = codes(points["image"], self.names)
        rows = np.argsort(image_of_row, kind="stable")
        self._starts = np.searchsorted(image_of_row[rows], np.arange(len(self.names) + 1))
        rows = rows[self._starts[0] :]  # other splits' rows, whose number is -1, come first
        self._starts -= self._starts[0]
        self._point_list = points[["y", "x"]].to_numpy()[rows]
        self._labels = codes(points["class"], self.class_names)[rows] + 1
        self._sizes = points[SIZE].to_numpy()[rows] if SIZE in points else None
        self._check_inside(points_path, rows)

    def _check_inside(self, points_path: Path, rows: np.ndarray) -> None:
        """Raise `DataError` for the first click outside its image. `rows` are the numbers of the rows in the table."""
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
        return Record(image, *self.clicks(index), np.ones(image.shape[:2], dtype=bool))

    def clicks(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the clicks of one image from the table."""
        rows = self._clicks(index)
        return self._point_list[rows], self._labels[rows]

    def count(self, index: int) -> int:
        """Return the number of clicks of one image, without decoding it: all clicks were found inside."""
        clicks = self._clicks(index)
        return clicks.stop - clicks.start

    def object_sigmas(self, index: int) -> np.ndarray | None:
        """Return the reach of each click of `prepared(index)`, for `evaluate.py --sigmas object`.

        The reach is half the object's size, so that a predicted point counts if it is about on the object.

        Returns
        -------
        sigmas : (n,) float ndarray or None
            In pixels of the image file. NaN where a size is not known; None if the table has no sizes at all.
        """
        return None if self._sizes is None else self._sizes[self._clicks(index)] / 2


def _place(path: Path, row: int) -> str:
    """Return where a row of a table is in its file. Row 0 is the first."""
    return f"{path}, line {line_of(path, row, DataError)}"


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


def _is_inside_images(name: str) -> bool:
    """Whether a name is a relative path without "..", spelled in the shortest way."""
    path = PurePosixPath(name)
    is_short = str(path) == name and name != "." and "\0" not in name
    return is_short and not path.is_absolute() and ".." not in path.parts


def _check_points(points: pd.DataFrame, path: Path, splits: pd.DataFrame) -> None:
    row = first_outside(points["image"], splits["image"])
    if row is not None:
        raise DataError(
            f"{_place(path, row)}: the image {points['image'][row]!r} is not in {SPLIT_LIST}, which lists every "
            "annotated image: add it there, or remove its clicks"
        )
    if SIZE in points and (points[SIZE] <= 0).any():
        row = int((points[SIZE] <= 0).to_numpy().argmax())
        raise DataError(
            f"{_place(path, row)}: {SIZE} is {points[SIZE][row]:g}; expected a diameter in pixels above 0, or an empty "
            "cell: correct it"
        )


def _class_names(classes: object, points: pd.DataFrame, path: Path) -> list[str]:
    """Return the names that `dataset.classes` gives, or the names in the table."""
    for name in points["class"].cat.categories:
        fault = fault_of_class(name)
        if fault:
            row = int((points["class"] == name).to_numpy().argmax())
            raise DataError(f"{_place(path, row)}: the class {name[:80]!r} {fault}: rename it")
    if classes is None:
        if points.empty:
            raise DataError(f"{path} has no click, so its classes are unknown: name them in dataset.classes")
        return sorted(points["class"].cat.categories)
    is_list = isinstance(classes, list | tuple) and all(isinstance(name, str) and name for name in classes)
    if not is_list or not classes or len(set(classes)) != len(classes):
        raise DataError(f"dataset.classes is {classes!r}; expected a list of different names, such as ['cell']")
    for name in filter(fault_of_class, classes):
        raise DataError(f"dataset.classes: {name[:80]!r} {fault_of_class(name)}: rename it")
    row = first_outside(points["class"], classes)
    if row is not None:
        raise DataError(
            f"{_place(path, row)}: the class {points['class'][row]!r} is not in dataset.classes {list(classes)}: "
            "add it there, or correct the row"
        )
    return list(classes)
