"""NWPU-Crowd: images beside jsons/0001.json, or mats/0001.mat where there are no jsons; heads.

A file holds x and y of each head in pixels (`points` or `annPoints`) and a box around each head (`boxes` or
`annBoxes`). Wang et al. ("NWPU-Crowd", TPAMI 2020) name no convention for the coordinates: the reader counts them from
the image's top-left corner, (0, 0). If a file has boxes alone, their centres are clicked. The boxes give the sizes of
the heads, if there are as many as points and each point is in its box. A file without points says that there is nobody.
Images of the test set have no file, so they are not annotated.
"""

from pathlib import Path

import numpy as np
import scipy.io

from src.annotations.base import (
    AnnotationError,
    Click,
    Clicks,
    files_of,
    has_keys,
    image_name,
    number,
    parse_json,
    read_each,
)
from src.annotations.common import named_after
from src.annotations.shapes import place_of_box
from src.readers.errors import DataError
from src.readers.matlab import read_mat

NAME = "NWPU-Crowd (jsons or mats)"
CLASS = "person"


def recognises(path: Path) -> bool:
    """Whether there is a JSON with points and their number, or a .mat of points in a folder called mats."""
    return any(map(_is_json, files_of(path, ".json"))) or any(map(_is_mat, files_of(path, ".mat")))


def read(path: Path, images: Path | None) -> list[Clicks]:
    """Read the heads of each image that has a file."""
    root = path if path.is_dir() else path.parent
    if files_of(path, ".json"):
        return read_each(path, (".json",), _is_json, lambda file: [_read_json(file, root)])
    return read_each(path, (".mat",), _is_mat, lambda file: [_read_mat(file, root)])


def _is_json(file: Path) -> bool:
    return has_keys(file, "human_num", "points")


def _is_mat(file: Path) -> bool:
    if file.parent.name != "mats":
        return False
    try:
        return any(name == "annPoints" for name, *_ in scipy.io.whosmat(file))
    except Exception:  # scipy raises a different type for each kind of damage
        return False


def _read_json(file: Path, root: Path) -> Clicks:
    data = parse_json(file)
    if not isinstance(data, dict):
        raise AnnotationError(f"{file} is not a JSON object: download it again")
    after = named_after(file, root, jsons="images")
    name = data.get("img_id", after)
    folder = "/".join(after.split("/")[:-1])
    inside = image_name("/".join(filter(None, (folder, image_name(name, file)))), file)
    points, boxes = _rows(data.get("points"), 2, file), _rows(data.get("boxes", []), 4, file)
    return Clicks(inside, _heads(points, boxes))


def _heads(points: list[list[float]], boxes: list[list[float]]) -> list[Click]:
    """Return the heads from (x, y) points and (left, top, right, bottom) boxes, either of which may be missing."""
    places = [place_of_box(*box) for box in boxes]
    if not points:
        return [Click(x, y, CLASS, size) for x, y, size in places]
    belong = len(points) == len(boxes) and all(map(_is_inside, points, boxes))
    sizes = [place.size for place in places] if belong else [None] * len(points)
    return [Click(x, y, CLASS, size) for (x, y), size in zip(points, sizes, strict=True)]


def _is_inside(point: list[float], box: list[float]) -> bool:
    (x, y), (left, top, right, bottom) = point, box
    return min(left, right) <= x <= max(left, right) and min(top, bottom) <= y <= max(top, bottom)


def _rows(values: object, length: int, file: Path) -> list[list[float]]:
    if not isinstance(values, list) or not all(isinstance(row, list) and len(row) == length for row in values):
        raise AnnotationError(
            f"{file} has points or boxes that are not a list of {length} numbers each: download it again"
        )
    return [[number(value, file, "a coordinate") for value in row] for row in values]


def points_of_mat(file: Path) -> list[list[float]]:
    """Return x and y of each head of a MATLAB file with `annPoints`; raise `AnnotationError` if it has none."""
    return _mat_rows(_variables(file).get("annPoints"), 2, file)


def _variables(file: Path) -> dict:
    try:
        return read_mat(file)
    except DataError as error:
        raise AnnotationError(str(error)) from None


def _read_mat(file: Path, root: Path) -> Clicks:
    points, boxes = points_of_mat(file), _mat_rows(_variables(file).get("annBoxes", []), 4, file)
    return Clicks(named_after(file, root, mats="images"), _heads(points, boxes))


def _mat_rows(values: object, length: int, file: Path) -> list[list[float]]:
    try:
        rows = np.asarray(values, dtype=float).reshape(-1, length).tolist()
    except (TypeError, ValueError):
        rows = None
    return _rows(rows, length, file)
