"""QuPath's tables of measurements: a row an object, with the centroid in µm or pixels from the image's top-left corner.

Micrometres need the size of a pixel, which the image's file says, or `--pixel-size`. Beside detections, annotations
with an area are regions and no objects. A row of several points holds their mean alone, so it is refused.
"""

import math
from pathlib import Path

from src.annotations.base import (
    AnnotationError,
    Clicks,
    check_amount,
    class_name,
    entry,
    first_line,
    image_name,
    number,
    read_text,
)
from src.annotations.image_sizes import ImageSizes
from src.annotations.shapes import Place, disc_diameter
from src.readers.numbers import has_value
from src.readers.tables import SEPARATORS, all_rows, first_row, header_names

REGION = "region around objects"
REGION_NOTE = (
    "an annotation around other objects was read as a region and not as an object (--regions keep reads it as one); if "
    "nothing outside of it was annotated, crop the image to it"
)
KEEP = "keep"
TABLE_SUFFIXES = (".tsv", ".csv", ".txt")
UNITS = ("μm", "px")
AREA_OWNERS = ("cell_area", "cell:_area", "area", "nucleus_area", "nucleus:_area")
POINTS = ("points", "point")
DETECTED = ("detection", "cell", "pathdetectionobject", "pathcellobject")
NEVER_OBJECTS = ("image", "root", "tma core", "tile", "pathrootobject", "tmacoreobject", "pathtileobject")


def is_table(file: Path) -> bool:
    """Whether a file begins with the header of a table of measurements."""
    return is_header(first_line(file))


def is_header(header: str) -> bool:
    """Whether a line names centroids as QuPath does."""
    names = header_names(header, _separator(header))
    return any({f"centroid_x_{unit}", f"centroid_y_{unit}"} <= set(names) for unit in UNITS)


def _separator(header: str) -> str:
    return max(SEPARATORS, key=header.count)


def read_measurements(file: Path, sizes: ImageSizes, regions: str | None) -> list[Clicks]:
    """Read the clicks of each image of a table. If it names no image, it belongs to the one it is named after."""
    text = read_text(file)
    check_amount(max(map(text.strip().count, "\r\n")), file)
    header = first_row(text)
    names = header_names(header, _separator(header))
    rows = [
        (where, dict(zip(names, cells, strict=False)))
        for where, cells in all_rows(text, file, _separator(header), AnnotationError)
    ]
    has_detections = any(_kind(row) in DETECTED for _, row in rows)
    found: dict[str, Clicks] = {}
    for where, row in rows:
        clicks = entry(found, image_name(row["image"], file) if row.get("image") else file.stem)
        if _kind(row) in NEVER_OBJECTS:
            continue
        if _is_region(row, has_detections) and regions != KEEP:
            clicks.dropped[REGION] += 1
            if clicks.dropped[REGION] == 1:
                clicks.notes.append(REGION_NOTE)
        else:
            clicks.add_unsettled(_place(row, clicks.image, sizes, file, where), _class_of(row))
    return list(found.values())


def _kind(row: dict[str, str]) -> str:
    """Return what kind of object a row is; older versions write it as its name."""
    return (row.get("object_type") or row.get("name") or "").casefold()


def _is_region(row: dict[str, str], has_detections: bool) -> bool:
    if _kind(row) in DETECTED or row.get("roi", "").casefold() in POINTS:
        return False
    inside = row.get("num_detections", "")
    return has_detections or (inside.isdecimal() and int(inside) > 0)


def _class_of(row: dict[str, str]) -> str:
    return class_name(row.get("classification") or row.get("class") or "")


def _place(row: dict[str, str], image: str, sizes: ImageSizes, file: Path, where: str) -> Place:
    n_points = row.get("num_points", "")
    if row.get("roi", "").casefold() in POINTS and n_points.isdecimal() and int(n_points) > 1:
        raise AnnotationError(
            f"{file} has {n_points} points in {where}, of which it tells the mean alone: export the objects as GeoJSON"
        )
    unit = next(unit for unit in UNITS if f"centroid_x_{unit}" in row)
    width, height = sizes.pixel_size(image, file) if unit == UNITS[0] else (1.0, 1.0)
    x, y = (number(row[f"centroid_{axis}_{unit}"], file, f"centroid {axis} of {where}") for axis in "xy")
    cells = (row.get(f"{owner}_{unit}^2", "") for owner in AREA_OWNERS)
    cell = next(filter(has_value, cells), "")
    area = number(cell, file, f"area of {where}") if cell and cell.casefold() != "nan" else math.nan
    return Place(x / width, y / height, disc_diameter(area / (width * height)) if area > 0 else None)
