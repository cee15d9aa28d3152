"""DotDotGoose: point files (.pnt), and the points that it exports as CSV.

Coordinates are pixels of the image as its file stores it: DotDotGoose opens images without their EXIF orientation. They
count from the top-left corner of the first pixel, as Qt's scenes do. A point file lists every image that was opened,
also those without a point. Its table of counts (survey id, image, a column a class, x, y) has no places of objects: x
and y are where the photo was taken.
"""

from pathlib import Path

from src.annotations.base import (
    AnnotationError,
    Clicks,
    check_amount,
    class_name,
    entry,
    files_of,
    first_line,
    has_keys,
    image_name,
    mappings,
    number,
    parse_json,
    read_each,
    read_table,
)
from src.annotations.orientation import STORED
from src.annotations.shapes import Place
from src.readers.tables import find_columns

NAME = "DotDotGoose point files or exported points"
FRAME = STORED
SUFFIXES = (".pnt", ".csv")
COLUMNS = {"survey": ("survey_id",), "image": ("image",), "class": ("class",), "x": ("x",), "y": ("y",)}


def recognises(path: Path) -> bool:
    """Whether a file, or one in a folder, is a point file or an export of DotDotGoose."""
    return any(_fits(file) for file in files_of(path, *SUFFIXES))


def read(path: Path, images: Path | None) -> list[Clicks]:
    """Read the clicks of each image."""
    return read_each(path, SUFFIXES, _fits, _read_file)


def _fits(file: Path) -> bool:
    if file.suffix.lower() == ".csv":
        return {"survey", "image", "x", "y"} <= set(find_columns(first_line(file), COLUMNS)[1])
    return has_keys(file, "points", "classes")


def _read_file(file: Path) -> list[Clicks]:
    return _read_export(file) if file.suffix.lower() == ".csv" else _read_points(file)


def _read_points(file: Path) -> list[Clicks]:
    data = parse_json(file)
    points = data.get("points") if isinstance(data, dict) else None
    if not isinstance(points, dict):
        raise AnnotationError(f"{file} has no points as DotDotGoose writes them: save it again")
    found: dict[str, Clicks] = {}
    for name, by_class in points.items():
        clicks = entry(found, image_name(name, file))
        if not isinstance(by_class, dict):
            raise AnnotationError(f"{file} has points of {name[:80]!r} that are not in classes: save it again")
        for label, members in by_class.items():
            for point in mappings(members, file, "points"):
                x, y = (number(point.get(axis), file, f"{axis} of a point") for axis in "xy")
                clicks.add(Place(x, y), class_name(label))
            check_amount(len(clicks.xy), file)
    return list(found.values())


def _read_export(file: Path) -> list[Clicks]:
    if "class" not in find_columns(first_line(file), COLUMNS)[1]:
        raise AnnotationError(
            f"{file} is DotDotGoose's table of counts, whose x and y are where the photos were taken: export the "
            "points, or give the .pnt file"
        )
    found: dict[str, Clicks] = {}
    for where, row in read_table(file, COLUMNS, needed=tuple(COLUMNS)):
        clicks = entry(found, image_name(row["image"], file))
        x, y = (number(row[axis], file, f"{axis} of {where}") for axis in "xy")
        clicks.add(Place(x, y), class_name(row["class"]))
    return list(found.values())
