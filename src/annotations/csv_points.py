"""Tables of points or boxes: one row an object, with columns in any order, named by a header.

Cells are separated by commas, semicolons or tabs. `src.annotations.columns` lists the names that columns may have. A
row that names only an image says that the image was annotated and has no object; so does R's NA for x and y. The column
`size` is optional: the object's diameter in pixels, empty where it is not known. A box is clicked at its centre, and
its sides give the size.

Coordinates are pixels, (0, 0) the top-left corner of the first one, unless the header or `units` says something else. A
table is refused if it may mean several things: numbers from 0 to 1 may be fractions of the image's size, 1,234 may be
1234, one row an image with whole numbers in further columns may be a table of counts.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from lcfcn.counting.defaults import IMAGE_SUFFIXES
from src.annotations.base import (
    DEFAULT_CLASS,
    AnnotationError,
    Clicks,
    check_amount,
    class_name,
    entry,
    files_of,
    image_name,
    image_size_of,
    number,
    read_each,
    read_text,
    start_of,
)
from src.annotations.columns import (
    CENTRE_AND_SIDES,
    CENTRES,
    CORNERS,
    FRACTION,
    MICROMETRES,
    PIXELS,
    PLACE_AND_SIDES,
    PLACES,
    Columns,
    columns_of,
)
from src.annotations.image_sizes import ImageSizes
from src.annotations.qupath_tables import is_header
from src.annotations.shapes import Place, known_size, place_of_box
from src.readers.numbers import NumberStyle, OpenNumberError, has_value, style_of
from src.readers.tables import all_rows, first_row

NAME = "CSV of points or boxes (a header with image, x, y and, if there are several, class)"
OPTIONS = ("columns", "units", "pixel_size", "orientation")
COUNT_NAMES = (
    "count",
    "counts",
    "number",
    "total",
    "n",
    "individualcount",
    "individual_count",
    "abundance",
    "quantity",
)
NO_COUNTS = (
    *("", "id", "index", "idx", "no", "nr", "#", "object_id", "point_id", "cell_id", "track", "track_id", "frame"),
    *("slice", "z", "t", "time", "channel", "ch", "year", "month", "day", "area", "x_index", "unnamed:_0"),
)
"""Columns of whole numbers that count nothing."""
OTHER_TOOLS = ("survey_id", "region_shape_attributes", "annotation_id", "axis_0")
"""Columns of tables that other readers take."""
HAIR = 0.01
"""Fractions may be so far outside 0 to 1: tools round them."""
SLACK = 2.0
"""Pixels that boxes may stick out of their image."""


@dataclass
class Table:
    """The rows of a table: images, classes, cells of the place and the size, and where they stand in the file."""

    columns: Columns
    images: list[str] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)
    cells: list[tuple[str, ...]] = field(default_factory=list)
    wheres: list[str] = field(default_factory=list)


def recognises(path: Path) -> bool:
    """Whether a file, or one in a folder, has a header with an image and a place."""
    return any(_fits(file) for file in files_of(path, *_suffixes(path)))


def read(
    path: Path,
    images: Path | None,
    *,
    columns: Mapping[str, str] | None = None,
    units: str | None = None,
    pixel_size: float | None = None,
    orientation: str | None = None,
) -> list[Clicks]:
    """Read the clicks of each image. The images come in the order in which the rows first name them."""
    sizes = ImageSizes(images or (path if path.is_dir() else path.parent), orientation, pixel_size)
    return read_each(
        path,
        _suffixes(path),
        lambda file: columns is not None or _fits(file),
        lambda file: read_table_of_places(file, sizes, columns=columns, units=units),
    )


def _suffixes(path: Path) -> tuple[str, ...]:
    """Return the suffixes that a named file may have, or that are looked for in a folder."""
    return (".csv", ".tsv") if path.is_dir() else (".csv", ".tsv", ".txt")


def _fits(file: Path) -> bool:
    try:
        return _columns_with_image(start_of(file), None, file) is not None
    except AnnotationError:  # a place is given in two ways: reading says so
        return True


def _columns_with_image(text: str, said: Mapping[str, str] | None, file: Path) -> Columns | None:
    """Return the columns of a table that names images, or None."""
    columns = columns_of(first_row(text), said, file)
    if columns is None or (said is None and _is_of_another_tool(first_row(text), columns)):
        return None
    if "image" not in columns.places:
        return _with_image_by_content(columns, text, file)
    return columns


def _is_of_another_tool(header: str, columns: Columns) -> bool:
    return bool(set(columns.others.values()) & set(OTHER_TOOLS)) or is_header(header)


def _with_image_by_content(columns: Columns, text: str, file: Path) -> Columns | None:
    """Return the columns with the one whose first cell is the name of an image file, or None if there is none."""
    exact = [name.strip(' "') for name in first_row(text).split(columns.separator)]
    if {"X", "Y"} <= set(exact):
        return None  # a table of ImageJ
    try:
        _, cells = next(all_rows(text, file, columns.separator, AnnotationError), ("", []))
    except AnnotationError:
        return None
    named = [
        place for place, cell in enumerate(cells) if Path(cell.replace("\\", "/")).suffix.lower() in IMAGE_SUFFIXES
    ]
    if len(named) != 1:
        return None
    places = {meaning: place for meaning, place in columns.places.items() if place != named[0]}
    return _replaced(columns, {**places, "image": named[0]})


def _replaced(columns: Columns, places: dict[str, int]) -> Columns:
    others = {place: name for place, name in columns.others.items() if place not in places.values()}
    return Columns(**{**vars(columns), "places": places, "others": others})


def read_table_of_places(
    file: Path, sizes: ImageSizes, *, columns: Mapping[str, str] | None = None, units: str | None = None
) -> list[Clicks]:
    """Read a table, see this module; raise `AnnotationError` if it is damaged or may mean several things.

    Parameters
    ----------
    file : Path
    sizes : ImageSizes
        Finds the size of an image, which fractions and some boxes need.
    columns : mapping or None
        What the user says about the columns, see `src.annotations.columns`.
    units : 'pixels', 'fraction', 'micrometres' or None
        What the user says about the coordinates.
    """
    text = read_text(file)
    check_amount(max(map(text.strip().count, "\r\n")), file)
    found_columns = _columns_with_image(text, columns, file)
    if found_columns is None:
        raise AnnotationError(
            f"{file} has no columns of images and places that are known by their names: say which they are by "
            "--columns image=...,x=...,y=..."
        )
    table = _rows_of(text, file, found_columns)
    values = _values_of(table, file)
    layout, sides_of_image, notes = _layout_of(table, values, sizes, file)
    unit = _unit_of(table.columns, layout, values, units, file)
    told_sizes = _told_sizes(table, values, by_sides=sides_of_image)
    scale = _Scale(unit, sizes, file)
    notes = [*notes, *_class_note(table), *scale.notes("size" in table.columns.places)]
    return _clicks_of(table, values, layout, told_sizes, scale, notes, file)


def _rows_of(text: str, file: Path, columns: Columns) -> Table:
    """Return the rows; raise `AnnotationError` if they are counts."""
    table = Table(columns)
    wanted = [columns.places[meaning] for meaning in columns.layout]
    wanted += [columns.places[meaning] for meaning in ("size", *_size_of_image(columns)) if meaning in columns.places]
    counts = _CountColumns(columns)
    for where, cells in all_rows(text, file, columns.separator, AnnotationError, has_header=columns.has_header):
        table.images.append(cells[columns.places["image"]])
        table.labels.append(cells[columns.places["class"]] if "class" in columns.places else DEFAULT_CLASS)
        table.cells.append(tuple(cells[place] if has_value(cells[place]) else "" for place in wanted))
        table.wheres.append(where)
        counts.add(cells)
    counts.check(table, file)
    return table


def _size_of_image(columns: Columns) -> tuple[str, ...]:
    """Return the columns that hold the size of the image itself.

    Beside corners, width and height are mostly those of the image, as TensorFlow's tables have them.
    """
    own = ("image_width", "image_height")
    return ("width", "height") if columns.layout == CORNERS and not set(own) <= set(columns.places) else own


class _CountColumns:
    """Looks for columns that count objects: then a row is an image, or several objects, and no place of one."""

    def __init__(self, columns: Columns) -> None:
        self.columns = columns
        self.whole = {} if columns.is_said else dict(columns.others)
        self.not_one: set[int] = set()

    def add(self, cells: Sequence[str]) -> None:
        for place in list(self.whole):
            if not cells[place].isdecimal():
                if has_value(cells[place]):
                    del self.whole[place]
            elif cells[place] != "1":
                self.not_one.add(place)

    def check(self, table: Table, file: Path) -> None:
        counting = [place for place in self.whole if place in self.not_one]
        by_name = [self.whole[place] for place in counting if self.whole[place] in COUNT_NAMES]
        one_row_each = len(set(table.images)) == len(table.images)
        suspects = [self.whole[place] for place in counting if self.whole[place] not in NO_COUNTS]
        if "class" in table.columns.places or not one_row_each:
            suspects = by_name
        if suspects:
            raise AnnotationError(
                f"{file} looks like a table of counts (the column {class_name(suspects[0])} has whole numbers, and a "
                "row is no single object): export the places of the objects, or name image, x and y by --columns"
            )


def _values_of(table: Table, file: Path) -> list[tuple[float, ...] | None]:
    """Return the numbers of each row, None for a row that names only an image; a cell without a number is NaN."""
    n_place = len(table.columns.layout)
    style = _style_of(table, file)
    return [
        _row_values(cells, table.columns.layout, style, file, where) if any(cells[:n_place]) else None
        for cells, where in zip(table.cells, table.wheres, strict=True)
    ]


def _style_of(table: Table, file: Path) -> NumberStyle:
    cells = (cell for row in table.cells for cell in row if cell)
    try:
        return style_of(cells, comma_separates_cells=table.columns.separator == ",")
    except OpenNumberError as error:
        raise AnnotationError(f"{file}: {error}: write them so") from None


def _told_sizes(
    table: Table, values: Sequence[tuple[float, ...] | None], *, by_sides: bool
) -> dict[str, tuple[int, int] | None]:
    """Return height and width of each image as the table tells them, nothing if its columns tell something else.

    `by_sides` says that the last two columns of the place are the image's width and height.
    """
    columns = table.columns
    n_place = len(columns.layout)
    start = 2 if by_sides else n_place + ("size" in columns.places)
    if not by_sides and not set(_size_of_image(columns)) <= set(columns.places):
        return {}
    rows = [(image, row) for image, row in zip(table.images, values, strict=True) if row is not None]
    told = {(image, row[start + 1], row[start]) for image, row in rows}
    sizes = {image: image_size_of(f"{height:g}", f"{width:g}") for image, height, width in told}
    if len(sizes) < len(told) or None in sizes.values():
        return {}
    if columns.layout == CORNERS and any(
        row[2] > row[start] + SLACK or row[3] > row[start + 1] + SLACK for _, row in rows
    ):
        return {}  # they are the sides of the boxes
    return sizes


def _row_values(
    cells: tuple[str, ...], layout: Sequence[str], style: NumberStyle, file: Path, where: str
) -> tuple[float, ...]:
    place = (number(style.plain(cell), file, f"{name} of {where}") for name, cell in zip(layout, cells, strict=False))
    rest = cells[len(layout) :]
    return (*place, *(number(style.plain(cell), file, f"size of {where}") if cell else math.nan for cell in rest))


def _layout_of(
    table: Table, values: Sequence[tuple[float, ...] | None], sizes: ImageSizes, file: Path
) -> tuple[tuple[str, ...], bool, list[str]]:
    """Return the layout, whether width and height are those of the image, and notes for the user.

    Beside x and y, width and height are those of the boxes, unless they are those of the images.
    """
    columns = table.columns
    if columns.layout not in (PLACE_AND_SIDES, CENTRE_AND_SIDES):
        return columns.layout, False, []
    rows = [(image, row) for image, row in zip(table.images, values, strict=True) if row is not None]
    if not columns.sides_are_said and rows and all(_has_size_of(image, row, sizes, file) for image, row in rows):
        return (PLACES if columns.layout == PLACE_AND_SIDES else CENTRES), True, []
    if columns.layout == CENTRE_AND_SIDES:
        return columns.layout, False, []
    if not columns.is_said:
        _check_corners(rows, sizes, file)
    return columns.layout, False, ["x and y were read as the top-left corners of boxes, beside width and height"]


def _has_size_of(image: str, row: tuple[float, ...], sizes: ImageSizes, file: Path) -> bool:
    """Whether width and height of a row are those of its image, as shown or as stored."""
    frame = sizes.frame(image_name(image, file))
    return frame is not None and (row[3], row[2]) in (frame.shown, (frame.height, frame.width))


def _check_corners(rows: Sequence[tuple[str, tuple[float, ...]]], sizes: ImageSizes, file: Path) -> None:
    """Raise `AnnotationError` if boxes stick out of their images, and would not if x and y were their centres."""
    as_corner, as_centre = True, True
    for image, (x, y, width, height, *_) in rows:
        size = sizes.size(image_name(image, file))
        if size is not None:
            as_corner &= x + width <= size[1] + SLACK and y + height <= size[0] + SLACK
            as_centre &= x - width / 2 >= -SLACK and y - height / 2 >= -SLACK
            as_centre &= x + width / 2 <= size[1] + SLACK and y + height / 2 <= size[0] + SLACK
    if as_centre and not as_corner:
        raise AnnotationError(
            f"{file} has boxes that leave their images if x and y are their top-left corners, and fit if x and y are "
            "their centres: say --columns cx=x,cy=y,width=width,height=height, or xmin=x,ymin=y in their place"
        )


def _unit_of(
    columns: Columns,
    layout: Sequence[str],
    values: Sequence[tuple[float, ...] | None],
    said: str | None,
    file: Path,
) -> str:
    """Return the unit of the coordinates; raise `AnnotationError` if they may be fractions or pixels."""
    if said or columns.unit:
        return said or columns.unit
    numbers = [value for row in values if row is not None for value in row[: len(layout)]]
    within = bool(numbers) and all(-HAIR <= value <= 1 + HAIR for value in numbers)
    if within and any(not value.is_integer() for value in numbers):
        raise AnnotationError(
            f"{file} has coordinates from 0 to 1 only, which look like fractions of the image's size: add --units "
            "fraction, or --units pixels"
        )
    return PIXELS


def _class_note(table: Table) -> list[str]:
    """Return a note if no column is known as the class, and another may be it."""
    others = [name for name in table.columns.others.values() if name]
    if "class" in table.columns.places or not others:
        return []
    names = class_name(", ".join(others))[:200]
    return [f"no column is known as the class; {names} were not read (--columns class=... reads one)"]


def _clicks_of(
    table: Table,
    values: Sequence[tuple[float, ...] | None],
    layout: tuple[str, ...],
    told_sizes: Mapping[str, tuple[int, int] | None],
    scale: "_Scale",
    notes: list[str],
    file: Path,
) -> list[Clicks]:
    found: dict[str, Clicks] = {}
    by_spelling: dict[str, Clicks] = {}  # so that a name is checked once, not in each row
    n_place = len(table.columns.layout)
    has_size = "size" in table.columns.places
    for spelling, label, row, where in zip(table.images, table.labels, values, table.wheres, strict=True):
        if spelling not in by_spelling:
            by_spelling[spelling] = entry(found, image_name(spelling, file), told_sizes.get(spelling))
            by_spelling[spelling].notes.extend(notes)
        clicks = by_spelling[spelling]
        if row is not None:
            factors = scale.factors(clicks.image)
            size = scale.size(row[n_place], factors, where) if has_size else None
            place = _place(row[:n_place], layout, factors, size)
            clicks.add(place, class_name(label) if has_value(label) else "")
    return list(found.values())


class _Scale:
    """Turns the numbers of a table into pixels."""

    def __init__(self, unit: str, sizes: ImageSizes, file: Path) -> None:
        self.unit, self._sizes, self._file = unit, sizes, file

    def notes(self, has_size: bool) -> list[str]:
        """Return what the user should know about the units."""
        if self.unit == FRACTION and has_size:
            return ["the column of sizes was not read, because the coordinates are fractions"]
        return []

    def factors(self, image: str) -> tuple[float, float]:
        """Return the pixels in one unit of x and of y."""
        if self.unit == PIXELS:
            return 1.0, 1.0
        if self.unit == MICROMETRES:
            width, height = self._sizes.pixel_size(image, self._file)
            return 1 / width, 1 / height
        height, width = self._sizes.needed_size(image, self._file)
        return float(width), float(height)

    def size(self, size: float, factors: tuple[float, float], where: str) -> float | None:
        """Return the size of an object in pixels, or None if it is not known."""
        if math.isnan(size) or self.unit == FRACTION:
            return None
        if size <= 0:
            raise AnnotationError(
                f"{self._file} has {size:g} as size of {where}; expected a diameter above 0, or nothing: fix it"
            )
        return size * sum(factors) / 2


def _place(row: Sequence[float], layout: Sequence[str], factors: tuple[float, float], size: float | None) -> Place:
    """Return the place of an object in pixels, and its size, or that of its box."""
    across, down = factors
    if layout in (PLACES, CENTRES):
        return Place(row[0] * across, row[1] * down, size)
    first, second, third, fourth = row[0] * across, row[1] * down, row[2] * across, row[3] * down
    if layout == CORNERS:
        place = place_of_box(first, second, third, fourth)
    elif layout == CENTRE_AND_SIDES:
        place = Place(first, second, known_size((abs(third) + abs(fourth)) / 2))
    else:
        place = place_of_box(first, second, first + third, second + fourth)
    return place if size is None else place._replace(size=size)
