"""NWPU-Crowd: images beside jsons/0001.json, or mats/0001.mat where there are no jsons; heads.

A file holds the `points` (`annPoints`) x and y of each head, in pixels, and their boxes. Wang et al. ("NWPU-Crowd",
TPAMI 2020) name no convention: they are taken as counted from the image's top-left corner, (0, 0). Where there are only
boxes their centres are taken. A file without points says that there is nobody; images of the test set have no file, and
so are not annotated.
"""

from pathlib import Path

import numpy as np
import scipy.io

from src.annotations.base import (
    AnnotationError,
    Clicks,
    box_centre,
    files_of,
    has_keys,
    image_name,
    number,
    parse_json,
    read_each,
)
from src.annotations.common import named_after
from src.readers.errors import DataError
from src.readers.matlab import read_mat

NAME = "NWPU-Crowd (jsons or mats)"
CLASS = "person"
Position = tuple[float, float]


def recognises(path: Path) -> bool:
    """Whether there is a JSON with points and their number, or a .mat of points in a folder called mats."""
    return any(map(_is_json, files_of(path, ".json"))) or any(map(_is_mat, files_of(path, ".mat")))


def read(path: Path, images: Path | None) -> list[Clicks]:
    """The heads of each image that has a file."""
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
        raise AnnotationError(f"{file} holds no JSON object: fetch it again")
    after = named_after(file, root, jsons="images")
    name = data.get("img_id", after)
    folder = "/".join(after.split("/")[:-1])
    inside = image_name("/".join(filter(None, (folder, image_name(name, file)))), file)
    points = _rows(data.get("points"), 2, file) or map(_centre, _rows(data.get("boxes", []), 4, file))
    return Clicks(inside, [(x, y, CLASS) for x, y in points])


def _rows(values: object, length: int, file: Path) -> list[list[float]]:
    if not isinstance(values, list) or not all(isinstance(row, list) and len(row) == length for row in values):
        raise AnnotationError(f"{file} has points or boxes that are no list of {length} numbers each: fetch it again")
    return [[number(value, file, "a coordinate") for value in row] for row in values]


def _centre(box: list[float]) -> Position:
    """Of left, top, right, bottom."""
    return box_centre([(box[0], box[1]), (box[2], box[3])])


def _read_mat(file: Path, root: Path) -> Clicks:
    try:
        points = np.asarray(read_mat(file).get("annPoints"), dtype=float)
        rows = points.reshape(-1, 2).tolist()
    except DataError as error:
        raise AnnotationError(str(error)) from None
    except (TypeError, ValueError):
        raise AnnotationError(f"{file} has annPoints that are no x and y each: fetch it again") from None
    pairs = [(number(x, file, "x of a head"), number(y, file, "y of a head")) for x, y in rows]
    return Clicks(named_after(file, root, mats="images"), [(x, y, CLASS) for x, y in pairs])
