"""ImageJ's tables of results: a row an object, with its X and Y in the unit of the image.

X and Y of a point count from the centre of the first pixel, those of an area (with an Area above 0) are its centroid
and count from the corner. ImageJ measures in the unit of the image's scale, such as µm. The image's file says the
scale, if it is a TIFF or DICOM file. If someone removed the scale before measuring (Analyze > Set Scale), the numbers
are pixels. So numbers that leave the image in its unit are pixels, and whole numbers may be both: then `units` has to
say.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from src.annotations.base import (
    AnnotationError,
    Clicks,
    check_amount,
    class_name,
    entry,
    first_line,
    image_name,
    number,
    read_table,
)
from src.annotations.columns import FRACTION, MICROMETRES, NAMES, PIXELS
from src.annotations.common import OTHER_SLICE
from src.annotations.image_metadata import Scale
from src.annotations.image_sizes import ImageSizes
from src.annotations.shapes import Place, disc_diameter
from src.readers.tables import header_names

COLUMNS = {
    "x": ("x",),
    "y": ("y",),
    "image": ("label",),
    "area": ("area",),
    "channel": ("ch", "channel"),
    "slice": ("slice",),
    "frame": ("frame",),
    "group_name": ("groupname",),
    "group": ("group",),
    "counter": ("counter",),
}
TITLE_END = re.compile(r":(?![/\\])")
"""Ends the title of the image in a Label, behind which ImageJ writes the ROI or the slice."""
PIXEL_SCALE = Scale(1.0, 1.0, "pixel")


class _Row(NamedTuple):
    x: float
    y: float
    area: float
    label: str
    where: str


def is_results(file: Path) -> bool:
    """Whether a file has ImageJ's X and Y, and no column that names images as other tools call it."""
    header = first_line(file)
    exact = {name.strip(' "') for name in re.split(r"[,;\t]", header)}
    if not {"X", "Y"} <= exact:
        return False
    separator = max(",;\t", key=header.count)
    return not set(header_names(header, separator)) & set(NAMES["image"])


def read_results(file: Path, image: str, sizes: ImageSizes, units: str | None, found: dict[str, Clicks]) -> None:
    """Add the objects of a table to `found`.

    Parameters
    ----------
    file : Path
    image : str
        The image of rows that name none.
    sizes : ImageSizes
        Finds what the images say about their planes and scales.
    units : 'pixels', 'micrometres' or None
        What the user says about X and Y; 'micrometres' means the unit of the image's scale, whatever it is.
    found : dict
        The clicks so far, by image.
    """
    if units == FRACTION:
        raise AnnotationError(f"--units fraction does not go with {file}: ImageJ writes pixels or the image's unit")
    rows: dict[str, list[_Row]] = {}
    for amount, (where, cells) in enumerate(read_table(file, COLUMNS, needed=("x", "y")), start=1):
        check_amount(amount, file)
        name = image_name(TITLE_END.split(cells["image"], maxsplit=1)[0], file) if "image" in cells else image
        clicks = entry(found, name)
        x, y, area = (_cell(cells, column, file, where) for column in ("x", "y", "area"))
        members = rows.setdefault(name, [])
        if _is_in_first(cells, name, sizes, file, where):
            members.append(_Row(x, y, area, _label_of(cells), where))
        else:
            clicks.dropped[OTHER_SLICE] += 1
    if not rows:
        entry(found, image)
    for name, members in rows.items():
        scale = _scale_of(members, name, sizes, units, found[name].notes, file)
        for row in members:
            found[name].add_unsettled(_place(row, scale), row.label)


def _cell(cells: dict[str, str], column: str, file: Path, where: str) -> float:
    """Return the number in a cell, with a decimal comma or point. An empty cell is 0, but x and y must be there."""
    text = cells.get(column, "")
    return number(text.replace(",", "."), file, f"{column} of {where}") if text or column in "xy" else 0.0


def _is_in_first(cells: dict[str, str], image: str, sizes: ImageSizes, file: Path, where: str) -> bool:
    """Whether a row is in the first slice and frame. Without a channel beside it, a slice is a number in the stack."""
    at, frame = (_cell(cells, column, file, where) for column in ("slice", "frame"))
    if frame > 1:
        return False
    return at <= 1 if "channel" in cells or at <= 1 else sizes.in_first_plane(int(at), image)


def _scale_of(
    rows: Sequence[_Row], image: str, sizes: ImageSizes, units: str | None, notes: list[str], file: Path
) -> Scale:
    """Return the scale of X and Y, and add a note if it is not pixels; raise `AnnotationError` if it is not certain."""
    scale = sizes.scales(image).shown
    if units == MICROMETRES:
        return scale or Scale(*sizes.pixel_size(image, file), "µm")
    size = sizes.size(image)
    if units == PIXELS or scale is None or size is None or not rows:
        return PIXEL_SCALE
    height, width = size
    right, bottom = max(row.x for row in rows), max(row.y for row in rows)
    fits_scale = right <= width * scale.width and bottom <= height * scale.height
    fits_pixels = right <= width and bottom <= height
    what = f"{image} has a scale of {1 / scale.width:.6g} pixels a {scale.unit}"
    if fits_pixels and not fits_scale:
        notes.append(f"{what}, but X and Y of {file.name} leave the image in that unit: they were read as pixels")
        return PIXEL_SCALE
    are_whole = all(row.x.is_integer() and row.y.is_integer() for row in rows)
    if fits_pixels == fits_scale and (are_whole or not fits_scale):
        raise AnnotationError(
            f"{what}, and X and Y of {file} may be pixels or {scale.unit}: add --units pixels, or --units micrometres "
            "for the image's own unit"
        )
    notes.append(f"{what}, so X and Y of {file.name} were read in {scale.unit} (--units pixels reads pixels)")
    return scale


def _place(row: _Row, scale: Scale) -> Place:
    x, y = row.x / scale.width, row.y / scale.height
    if row.area > 0:
        return Place(x, y, disc_diameter(row.area / (scale.width * scale.height)))
    return Place(x + 0.5, y + 0.5)


def _label_of(cells: dict[str, str]) -> str:
    """Return the group's name or number, or the counter."""
    if cells.get("group_name"):
        return class_name(cells["group_name"])
    if cells.get("group", "0") not in ("", "0"):
        return class_name(f"group {cells['group']}")
    return class_name(f"counter {cells['counter']}") if cells.get("counter") else ""
