"""VIA 3, the VGG Image Annotator: a project as JSON, or its export as CSV.

A region is `[shape, x, y, ...]` in pixels from the image's top-left corner, with a number for its shape (`_VIA_RSHAPE`
in VIA's source). Its attributes are numbers of options, whose names the project lists. The class is the region's
attribute `class`, `label`, `name`, `type`, `category` or `species`, or its only attribute. In a project each image
counts as annotated; a CSV lists only images that have a region. Regions of videos are refused, and regions at a time
are dropped.
"""

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from src.annotations.base import (
    AnnotationError,
    Clicks,
    check_amount,
    class_name,
    entry,
    files_of,
    has_keys,
    image_name,
    new_entry,
    number,
    parse_json,
    read_each,
    read_text,
    start_of,
)
from src.annotations.common import OTHER_SLICE, settle_classes
from src.annotations.shapes import XY, Place, box_centre, place_of_box, place_of_ellipse, place_of_polygons
from src.annotations.via import class_of_attributes
from src.readers.tables import all_rows

NAME = "VIA 3 JSON or CSV"
SUFFIXES = (".json", ".csv")
HEADER = "# CSV_HEADER = metadata_id,file_list,"
N_COLUMNS = 6
POINT, RECTANGLE, CIRCLE, ELLIPSE, POLYGON, EXTREME_RECTANGLE, EXTREME_CIRCLE = 1, 2, 3, 4, 7, 8, 9
LENGTHS = {POINT: 2, RECTANGLE: 4, CIRCLE: 3, ELLIPSE: 4, EXTREME_RECTANGLE: 8, EXTREME_CIRCLE: 6}
"""How many numbers a shape has behind its own; a polygon has any even number, and others have no position."""
IMAGE = 2
"""The type of a file that is an image; others are films and sounds."""


class _Region(NamedTuple):
    """One entry: its shape, how many times it is bound to, and its attributes by number."""

    xy: list
    n_times: int
    values: dict


def recognises(path: Path) -> bool:
    """Whether a file, or one in a folder, is a project or an export of VIA 3."""
    return any(_fits(file) for file in files_of(path, *SUFFIXES))


def read(path: Path, images: Path | None) -> list[Clicks]:
    """Read the clicks of each image of the file: the centres of its regions."""
    return settle_classes(read_each(path, SUFFIXES, _fits, _read_file))


def _fits(file: Path) -> bool:
    if file.suffix.lower() == ".csv":
        return HEADER in start_of(file)
    return has_keys(file, "fid_list", "fname", "metadata")


def _read_file(file: Path) -> list[Clicks]:
    found: dict[str, Clicks] = {}
    is_csv = file.suffix.lower() == ".csv"
    for amount, (clicks, region, attributes) in enumerate((_csv if is_csv else _project)(file, found)):
        check_amount(amount, file)
        if not region.xy:
            continue  # it describes the whole image
        if region.n_times:
            clicks.dropped[OTHER_SLICE] += 1
        else:
            named = {name: _option(region.values.get(key), options) for key, (name, options) in attributes.items()}
            given = {name: value for name, value in named.items() if value}
            clicks.add_unsettled(_place(region.xy, file), class_of_attributes(given))
    return list(found.values())


def _project(file: Path, found: dict[str, Clicks]) -> Iterator[tuple[Clicks, _Region, dict]]:
    """Yield image, region and attributes of each entry of a project, and add its images to `found`."""
    data = parse_json(file)
    files, views, entries, attributes = (
        _mapping(_mapping(data, file).get(key), file) for key in ("file", "view", "metadata", "attribute")
    )
    keys: dict[str, str] = {}
    by_view: dict[str, Clicks] = {}
    for view, members in views.items():
        ids = _mapping(members, file).get("fid_list")
        if not isinstance(ids, list) or len(ids) != 1 or str(ids[0]) not in files:
            raise AnnotationError(
                f"{file} has a view that does not show one file: save each image in a view of its own"
            )
        image = _mapping(files[str(ids[0])], file)
        if image.get("type", IMAGE) not in (IMAGE, str(IMAGE)):
            raise AnnotationError(f"{file} has films or sounds ({str(image.get('fname'))[:80]}): annotate images")
        name = image_name(_address(image), file)
        by_view[view] = new_entry(found, name, None, f"file {ids[0]}", keys, file)
    known = _attributes(attributes)
    for member in entries.values():
        member = _mapping(member, file)
        view = str(member.get("vid"))
        if view not in by_view:
            raise AnnotationError(f"{file} has a region of the view {view[:40]!r}, which is not listed: save it again")
        yield by_view[view], _region(member.get("xy"), member.get("z"), member.get("av"), file), known


def _address(image: dict) -> object:
    """Return the name of a file, or its address if it lies elsewhere (`_VIA_FILE_LOC`)."""
    source = image.get("src")
    return source if image.get("loc") in (2, 3, "2", "3") and isinstance(source, str) and source else image.get("fname")


def _csv(file: Path, found: dict[str, Clicks]) -> Iterator[tuple[Clicks, _Region, dict]]:
    """Yield image, region and attributes of each row of an export, and add its images to `found`."""
    text = read_text(file)
    lines = text.splitlines()
    comments = [line for line in lines if line.startswith("#")]
    known = _attributes(_comment(comments, file))
    rows = "\n".join(line for line in lines if not line.startswith("#"))
    for where, cells in all_rows(rows, file, ",", AnnotationError, has_header=False):
        if len(cells) < N_COLUMNS:
            raise AnnotationError(f"{file} has {len(cells)} cells in {where}; expected {N_COLUMNS}: export it again")
        names, times, xy, values = (_json(cell, file, where) for cell in (cells[1], *cells[3:N_COLUMNS]))
        if not isinstance(names, list) or len(names) != 1:
            raise AnnotationError(
                f"{file} has a region of several files in {where}: save each image in a view of its own"
            )
        yield entry(found, image_name(names[0], file)), _region(xy, times, values, file), known


def _comment(comments: list[str], file: Path) -> dict:
    """Return the attributes that the comment of an export lists."""
    for line in comments:
        name, _, value = line.lstrip("# ").partition("=")
        if name.strip() in ("ATTRIBUTE", "ATTRIBUTES"):
            return _mapping(_json(value, file, "its comment of attributes"), file)
    return {}


def _json(text: str, file: Path, where: str) -> object:
    try:
        return json.loads(text or "[]")
    except (ValueError, RecursionError):
        raise AnnotationError(f"{file} has a cell in {where} that is not JSON: export it again") from None


def _mapping(value: object, file: Path) -> dict:
    if not isinstance(value, dict):
        raise AnnotationError(f"{file} has an entry that is not a JSON object, as VIA 3 writes it: save it again")
    return value


def _attributes(attributes: dict) -> dict[str, tuple[str, dict]]:
    """Return name and options of each attribute; exports of older versions give its name alone."""
    found = {}
    for key, attribute in attributes.items():
        if isinstance(attribute, dict):
            options = attribute.get("options")
            found[key] = (class_name(attribute.get("aname")), options if isinstance(options, dict) else {})
        else:
            found[key] = (class_name(attribute), {})
    return {key: (name, options) for key, (name, options) in found.items() if name and not name.startswith("_DEFAULT")}


def _option(value: object, options: dict) -> str:
    """Return the name of an option, or the text itself of an attribute without options; "" for several options."""
    text = class_name(value)
    return class_name(options.get(text, "" if "," in text else text)) if options else text


def _region(xy: object, times: object, values: object, file: Path) -> _Region:
    if not isinstance(xy, list) or not isinstance(times, list | None) or not isinstance(values, dict | list | None):
        raise AnnotationError(f"{file} has a region that is not written as VIA 3 does: save it again")
    return _Region(xy, len(times or []), values if isinstance(values, dict) else {})


def _place(xy: list, file: Path) -> Place | None:
    """Return the place of a region; a line and an unknown shape have none."""
    kind, *numbers = (number(value, file, "a region") for value in xy)
    if kind == POLYGON and len(numbers) % 2 == 0:
        return place_of_polygons([_pairs(numbers)])
    if kind not in LENGTHS:
        return None
    if len(numbers) != LENGTHS[int(kind)]:
        raise AnnotationError(f"{file} has a shape {kind:g} with {len(numbers)} numbers: save it again")
    if kind == POINT:
        return Place(*numbers)
    if kind == RECTANGLE:
        left, top, width, height = numbers
        return place_of_box(left, top, left + width, top + height)
    if kind == CIRCLE:
        return place_of_ellipse(*numbers[:2], numbers[2], numbers[2])
    if kind == ELLIPSE:
        return place_of_ellipse(*numbers)
    if kind == EXTREME_CIRCLE:
        return _place_of_rim(_pairs(numbers))
    xs, ys = numbers[::2], numbers[1::2]
    return place_of_box(min(xs), min(ys), max(xs), max(ys))


def _pairs(numbers: list[float]) -> list[XY]:
    return list(zip(numbers[::2], numbers[1::2], strict=True))


def _place_of_rim(rim: list[XY]) -> Place:
    """Return the centre of the circle through three points, or of the box around them if they lie in a line."""
    (ax, ay), (bx, by), (cx, cy) = rim
    twice = 2 * (ax * (by - cy) + bx * (cy - ay) + cx * (ay - by))
    if not twice:
        return Place(*box_centre(rim))
    a, b, c = (x * x + y * y for x, y in rim)
    x = (a * (by - cy) + b * (cy - ay) + c * (ay - by)) / twice
    y = (a * (cx - bx) + b * (ax - cx) + c * (bx - ax)) / twice
    if not (math.isfinite(x) and math.isfinite(y)):
        return Place(*box_centre(rim))
    radius = math.dist((x, y), rim[0])
    return place_of_ellipse(x, y, radius, radius)
