"""Which column of a table means what: names that tools give to columns, and what `--columns` says.

A place is given by x and y, or by a box: its corners (xmin, ymin, xmax, ymax), a corner and its sides (xmin, ymin,
width, height, or x, y, width, height), or its centre and its sides (cx, cy, width, height).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from src.annotations.base import AnnotationError, class_name
from src.readers.tables import SEPARATORS, header_names, spelled


def _axis(axis: str, *words: str) -> tuple[str, ...]:
    """Return column names with {} replaced by x or y."""
    return tuple(word.format(axis) for word in words)


CENTRE = (
    "c{}",
    "center_{}",
    "centre_{}",
    "{}_center",
    "{}_centre",
    "{}center",
    "{}centre",
    "centroid_{}",
    "{}_centroid",
)
CENTRE += ("{}c", "{}_c", "mid_{}", "bbox_center_{}", "bbox_centre_{}", "box_center_{}", "{}_mid")
POINT = (
    "{}",
    "{}_coord",
    "{}_coordinate",
    "{}coord",
    "{}_pos",
    "{}_position",
    "{}pos",
    "pos_{}",
    "position_{}",
    "point_{}",
)
POINT += ("coord_{}", "pixel_{}", "click_{}", "location_{}", "{}_location", "loc_{}", "{}_loc", "{}_value")
LOW = ("{0}min", "{0}_min", "min{0}", "min_{0}", "bbox_{0}min", "bbox_{0}_min", "box_{0}min", "bbox_{0}1", "box_{0}1")
LOW += ("{0}_1", "{0}tl", "{0}_tl", "tl_{0}", "topleft_{0}", "top_left_{0}", "bbox_{0}", "box_{0}", "bb_{0}", "bbox{0}")
HIGH = ("{0}max", "{0}_max", "max{0}", "max_{0}", "bbox_{0}max", "bbox_{0}_max", "box_{0}max", "bbox_{0}2", "box_{0}2")
HIGH += ("{0}_2", "{0}br", "{0}_br", "br_{0}", "bottomright_{0}", "bottom_right_{0}")
NAMES = {
    "image": (
        *("image", "image_name", "imagename", "image_path", "imagepath", "image_file", "imagefile", "image_filename"),
        *("filename", "file_name", "file", "file_path", "filepath", "img", "img_name", "img_path", "img_file", "photo"),
        *(
            "picture",
            "path",
            "image_id",
            "imageid",
            "source_image",
            "source_file",
            "file_id",
            "frame_name",
            "photo_name",
        ),
    ),
    "class": (
        *(
            "class",
            "class_name",
            "classname",
            "label",
            "label_name",
            "labelname",
            "category",
            "category_name",
            "species",
        ),
        *(
            "type",
            "object_class",
            "object_type",
            "object_name",
            "cell_type",
            "celltype",
            "taxon",
            "species_name",
            "kind",
        ),
        *(
            "scientific_name",
            "scientificname",
            "common_name",
            "name",
            "tag",
            "classification",
            "class_id",
            "category_id",
            "label_id",
        ),
    ),
    "size": ("size", "diameter"),
    "x": _axis("x", *POINT),
    "y": _axis("y", *POINT),
    "cx": _axis("x", *CENTRE),
    "cy": _axis("y", *CENTRE),
    "xmin": (*_axis("x", *LOW), "left", "bbox_left", "bb_left", "box_left", "x_left", "left_x", "x0", "x1"),
    "ymin": (*_axis("y", *LOW), "top", "bbox_top", "bb_top", "box_top", "y_top", "top_y", "y0", "y1"),
    "xmax": (*_axis("x", *HIGH), "right", "bbox_right", "box_right", "x_right", "right_x", "x2", "x1"),
    "ymax": (*_axis("y", *HIGH), "bottom", "bbox_bottom", "box_bottom", "y_bottom", "bottom_y", "y2", "y1"),
    "width": ("bbox_width", "box_width", "bb_width", "bbox_w", "box_w", "bboxwidth", "width", "w"),
    "height": ("bbox_height", "box_height", "bb_height", "bbox_h", "box_h", "bboxheight", "height", "h"),
    "image_width": ("image_width", "img_width", "imagewidth", "image_w", "img_w"),
    "image_height": ("image_height", "img_height", "imageheight", "image_h", "img_h"),
}
"""The names that a column may have, as `header_names` spells them, the preferred ones first."""

CORNERS = ("xmin", "ymin", "xmax", "ymax")
CORNER_AND_SIDES = ("xmin", "ymin", "width", "height")
CENTRE_AND_SIDES = ("cx", "cy", "width", "height")
PLACE_AND_SIDES = ("x", "y", "width", "height")
"""x and y are the top-left corner of a box, or width and height are those of the image: the numbers tell."""
CENTRES, PLACES = ("cx", "cy"), ("x", "y")
LAYOUTS = (CORNERS, CORNER_AND_SIDES, CENTRE_AND_SIDES, CENTRES, PLACE_AND_SIDES, PLACES)
"""The columns that give a place. The first layout that a table has is taken."""
COORDINATES = tuple(dict.fromkeys(meaning for layout in LAYOUTS for meaning in layout))
PIXELS, FRACTION, MICROMETRES = UNITS = ("pixels", "fraction", "micrometres")
UNIT_ENDINGS = {
    **dict.fromkeys(("px", "pixel", "pixels"), PIXELS),
    **dict.fromkeys(("um", "μm", "micron", "microns", "micrometer", "micrometers", "micrometre"), MICROMETRES),
    **dict.fromkeys(("norm", "normalized", "normalised", "rel", "relative", "frac", "fraction"), FRACTION),
}
"""What the last word of a column's name says about its unit."""


@dataclass(frozen=True)
class Columns:
    """Where a table has what.

    Attributes
    ----------
    separator : str
    places : dict
        The number of each column from 0, by its meaning, a key of `NAMES`.
    layout : tuple of str
        The columns that give a place, one of `LAYOUTS`.
    unit : str or None
        The unit that the names of the columns say, one of `UNITS`.
    others : dict
        The names of all other columns, by their numbers.
    has_header : bool
    is_said : bool
        Whether the user named the columns of the place.
    sides_are_said : bool
        Whether width and height are those of boxes for certain, by their names.
    """

    separator: str
    places: dict[str, int]
    layout: tuple[str, ...]
    unit: str | None
    others: dict[int, str]
    has_header: bool = True
    is_said: bool = False
    sides_are_said: bool = False


def columns_of(header: str, said: Mapping[str, str] | None, path: Path) -> Columns | None:
    """Return the columns of a table, or None if its header does not say which one is what.

    Parameters
    ----------
    header : str
        The first line.
    said : mapping or None
        What the user says: the header of a column, or its number from 1, by its meaning.
    path : Path
        For messages.

    Raises
    ------
    AnnotationError
        If `said` names a column that is not there, or the header gives a place in two ways.
    """
    found = [_columns(header, separator, said or {}, path) for separator in SEPARATORS]
    found = [columns for columns in found if columns is not None]
    if not found and said:
        raise _not_there(header, said, path)
    return max(found, key=lambda columns: len(columns.places), default=None)


def _columns(header: str, separator: str, said: Mapping[str, str], path: Path) -> Columns | None:
    names = header_names(header, separator)
    has_header = not said or not all(value.isdecimal() for value in said.values())
    by_said = {meaning: _said_place(value, names) for meaning, value in said.items()}
    if None in by_said.values():
        return None
    units = [_base_and_unit(name) for name in names] if has_header else []
    is_said = bool(set(COORDINATES) & set(by_said))
    by_name = _places_by_name(units)
    free = {m: p for m, p in by_name.items() if not (is_said and m in COORDINATES) and p not in by_said.values()}
    places = free | by_said
    layouts = [layout for layout in LAYOUTS if set(layout) <= set(places)]
    if not layouts:
        return None
    if not is_said:
        _check_one_place(places, names, path)
    layout = layouts[0]
    chosen = {units[places[meaning]][1] for meaning in layout} - {None} if has_header else set()
    if len(chosen) > 1:
        return None
    sides = [names[places[side]] for side in ("width", "height") if side in layout] if has_header else []
    return Columns(
        separator,
        places,
        layout,
        unit=chosen.pop() if chosen else None,
        others={place: name for place, name in enumerate(names) if place not in places.values() and has_header},
        has_header=has_header,
        is_said=is_said,
        sides_are_said=is_said or not set(sides) & {"width", "height", "w", "h"},
    )


def _places_by_name(units: Sequence[tuple[str, str | None]]) -> dict[str, int]:
    """Return the number of each column whose name is known; one in pixels goes before one in another unit."""
    places: dict[str, int] = {}
    for meaning, synonyms in NAMES.items():
        fitting = [
            (unit not in (None, PIXELS), synonyms.index(base), place)
            for place, (base, unit) in enumerate(units)
            if base in synonyms and (unit is None or meaning in (*COORDINATES, "size"))
        ]
        if fitting:
            places[meaning] = min(fitting)[2]
    for high, low in (("xmax", "xmin"), ("ymax", "ymin")):  # x1 is the left side beside x2, and the right one beside x0
        if high in places and places.get(low) == places[high]:
            del places[high]
    return places


def _base_and_unit(name: str) -> tuple[str, str | None]:
    base, _, last = name.rpartition("_")
    return (base, UNIT_ENDINGS[last]) if base and last in UNIT_ENDINGS else (name, None)


def _said_place(value: str, names: Sequence[str]) -> int | None:
    """Return the number of the column that the user names by its header, or by its number from 1."""
    if value.isdecimal():
        return int(value) - 1 if 0 < int(value) <= len(names) else None
    return names.index(spelled(value)) if spelled(value) in names else None


def _check_one_place(places: Mapping[str, int], names: Sequence[str], path: Path) -> None:
    """Raise `AnnotationError` if a table gives a place in several ways, because they may mean different things."""
    ways = [way for way in (PLACES, CENTRES, ("xmin", "ymin")) if set(way) <= set(places)]
    if len(ways) > 1:
        one, other = (" and ".join(class_name(names[places[meaning]]) for meaning in way) for way in ways[:2])
        raise AnnotationError(
            f"{path} has places in the columns {one}, and in {other}: say which ones to read by --columns "
            f"{ways[0][0]}={names[places[ways[0][0]]]},{ways[0][1]}={names[places[ways[0][1]]]}"
        )


def _not_there(header: str, said: Mapping[str, str], path: Path) -> AnnotationError:
    separator = max(SEPARATORS, key=header.count)
    known = class_name(", ".join(filter(None, header_names(header, separator))))
    text = ",".join(f"{meaning}={value}" for meaning, value in said.items())
    return AnnotationError(
        f"{path} has the columns {known[:200]}, which do not fit --columns {text}; expected headers or numbers of its "
        "columns, and for the place x,y or xmin,ymin,xmax,ymax or xmin,ymin,width,height or cx,cy,width,height: fix it"
    )
