"""VIA 2, the VGG Image Annotator: a project or an export of annotations as JSON, and its CSV.

Coordinates are pixels from the image's top-left corner, (0, 0), as the browser's canvas gives them, rounded by VIA
(`shape_attributes`, such as `cx` and `cy` of a point; "File formats" on
https://www.robots.ox.ac.uk/~vgg/software/via/). The class is the region's attribute `class`, `label`, `name`, `type`,
`category` or `species`, or its only attribute. VIA does not distinguish an image without objects from one that nobody
looked at. Each image of a file counts as annotated, so remove the others from the project before the export. VIA knows
images by name and size, so two of one name are refused. Browsers turn images by their EXIF orientation since 2020, and
did not before.
"""

import json
from collections.abc import Iterator
from pathlib import Path

from src.annotations.base import (
    AnnotationError,
    Clicks,
    check_amount,
    class_name,
    files_of,
    first_line,
    has_keys,
    image_name,
    new_entry,
    number,
    parse_json,
    read_each,
    read_table,
)
from src.annotations.common import settle_classes
from src.annotations.shapes import Place, place_of_box, place_of_ellipse, place_of_polygons

NAME = "VIA (VGG Image Annotator 2) JSON or CSV"
SUFFIXES = (".json", ".csv")
COLUMNS = {
    "image": ("filename", "#filename"),
    "shape": ("region_shape_attributes",),
    "attributes": ("region_attributes",),
    "size": ("file_size",),
}
RADII = {"point": (), "circle": ("r", "r"), "ellipse": ("rx", "ry")}
CLASS_KEYS = ("class", "label", "name", "type", "category", "species", "object", "class_name", "kind")


def recognises(path: Path) -> bool:
    """Whether a JSON or CSV file, or one in a folder, has VIA's names for files and regions."""
    return any(_fits(file) for file in files_of(path, *SUFFIXES))


def read(path: Path, images: Path | None) -> list[Clicks]:
    """Read the clicks of each image of the file: the centres of its regions."""
    return settle_classes(read_each(path, SUFFIXES, _fits, _read_file))


def _fits(file: Path) -> bool:
    if file.suffix.lower() == ".csv":
        header = first_line(file)
        return all(COLUMNS[column][0] in header for column in ("image", "shape", "attributes"))
    return has_keys(file, "filename", "regions")


def _read_file(file: Path) -> list[Clicks]:
    found: dict[str, Clicks] = {}
    keys: dict[str, str] = {}
    regions = _csv_regions(file) if file.suffix.lower() == ".csv" else _json_regions(file)
    for amount, (key, name, shape, attributes) in enumerate(regions):
        check_amount(amount, file)
        image = image_name(name, file)
        clicks = found[image] if keys.get(image) == key else new_entry(found, image, None, key, keys, file)
        if shape:
            clicks.add_unsettled(_place(shape, file), class_of_attributes(attributes))
    return list(found.values())


def _json_regions(file: Path) -> Iterator[tuple[str, object, dict, object]]:
    """Yield identity and name of the image, shape and attributes of each region, and each image once alone."""
    data = parse_json(file)
    images = data.get("_via_img_metadata", data) if isinstance(data, dict) else None
    if not isinstance(images, dict):
        raise AnnotationError(f"{file} has no images as VIA writes them: export it again")
    for key, image in images.items():
        key, image = f"key {key[:80]}", _mapping(image, file)
        yield key, image.get("filename"), {}, {}
        regions = image.get("regions")
        for region in regions.values() if isinstance(regions, dict) else _list(regions, file):  # VIA 1 numbers them
            region = _mapping(region, file)
            shape = _mapping(region.get("shape_attributes"), file)
            yield key, image.get("filename"), shape, region.get("region_attributes")


def _csv_regions(file: Path) -> Iterator[tuple[str, object, dict, object]]:
    for where, row in read_table(file, COLUMNS, needed=("image", "shape", "attributes")):
        shape, attributes = (_parsed(row[column], file, where) for column in ("shape", "attributes"))
        yield f"file_size {row.get('size', '')}", row["image"], _mapping(shape, file), attributes


def _parsed(text: str, file: Path, where: str) -> object:
    try:
        return json.loads(text or "{}")
    except (ValueError, RecursionError):
        raise AnnotationError(f"{file} has attributes in {where} that are not JSON: export it again") from None


def _mapping(value: object, file: Path) -> dict:
    if not isinstance(value, dict):
        raise AnnotationError(f"{file} has an image or region that is not a JSON object: export it again")
    return value


def _list(value: object, file: Path) -> list:
    if not isinstance(value, list):
        raise AnnotationError(f"{file} has regions or vertices that are not a list: export it again")
    return value


def _place(shape: dict, file: Path) -> Place | None:
    """Return the place of a region; a line and an unknown shape have none."""

    def value(key: str) -> float:
        return number(shape.get(key), file, f"{key} of a region")

    kind = shape.get("name")
    if kind == "rect":
        left, top = value("x"), value("y")
        return place_of_box(left, top, left + value("width"), top + value("height"))
    if kind == "polygon":
        xs, ys = (
            [number(at, file, "a vertex") for at in _list(shape.get(key), file)]
            for key in ("all_points_x", "all_points_y")
        )
        if not xs or len(xs) != len(ys):
            raise AnnotationError(f"{file} has a polygon with {len(xs)} x and {len(ys)} y: export it again")
        return place_of_polygons([list(zip(xs, ys, strict=True))])
    if not isinstance(kind, str) or kind not in RADII:
        return None
    x, y = value("cx"), value("cy")
    radii = [value(key) for key in RADII[kind] if key in shape]
    return place_of_ellipse(x, y, *radii) if len(radii) == 2 else Place(x, y)


def class_of_attributes(attributes: object) -> str:
    """Return the value of the attribute that names the class, or the only tick box that is set."""
    if not isinstance(attributes, dict) or not attributes:
        return ""
    by_key = {key.strip().lower(): value for key, value in attributes.items()}
    only = next(iter(by_key.values())) if len(by_key) == 1 else ""
    value = next((by_key[key] for key in CLASS_KEYS if key in by_key), only)
    if isinstance(value, dict):
        ticked = [key for key, is_set in value.items() if is_set]
        value = ticked[0] if len(ticked) == 1 else ""
    return class_name(value)
