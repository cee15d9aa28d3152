"""labelme JSON: one file for each image, which it names relative to itself. A file without shapes has no object.

A rectangle, a polygon and a circle give the size of their object. A mask gives the size of its box.
"""

import math
import os
from pathlib import Path

from src.annotations.base import (
    AnnotationError,
    Clicks,
    class_name,
    files_of,
    has_keys,
    image_name,
    image_size_of,
    mappings,
    number,
    parse_json,
    read_each,
)
from src.annotations.shapes import Place, box_centre, place_of_box, place_of_ellipse, place_of_polygons

NAME = "labelme JSON"
KEYS = ("shapes", "imagePath")
LINES = ("line", "linestrip")
BOXES = ("rectangle", "mask")


def recognises(path: Path) -> bool:
    """Whether a JSON file, or one in a folder, has shapes and an imagePath."""
    return any(has_keys(file, *KEYS) for file in files_of(path, ".json"))


def read(path: Path, images: Path | None) -> list[Clicks]:
    """Read the clicks of each file's image, named relative to `images` if it is in there, else to `path`."""
    root = path if path.is_dir() else path.parent
    return read_each(
        path, (".json",), lambda file: has_keys(file, *KEYS), lambda file: [_read_file(file, root, images)]
    )


def _read_file(path: Path, root: Path, images: Path | None) -> Clicks:
    data = parse_json(path)
    if not isinstance(data, dict):
        raise AnnotationError(f"{path} is not a labelme file; expected a JSON object: export it again")
    size = image_size_of(data.get("imageHeight"), data.get("imageWidth"))
    clicks = Clicks(_name(data.get("imagePath"), path, root, images), image_size=size)
    for shape in mappings(data.get("shapes"), path, "shapes"):
        clicks.add(_place(shape, path), class_name(shape.get("label")))
    return clicks


def _name(value: object, path: Path, root: Path, images: Path | None) -> str:
    """Return the name of a file's image.

    labelme writes `../images/a.jpg` if files and images are in different folders. Such a path may lead into the named
    folders, and nowhere else.
    """
    if isinstance(value, str):
        target = os.path.normpath(path.parent.absolute() / value.strip().replace("\\", "/"))
        for folder in filter(None, (images, root)):
            base = os.path.normpath(folder.absolute())
            if os.path.commonpath([base, target]) == base:
                return image_name(os.path.relpath(target, base), path)
        raise AnnotationError(
            f"{path} names the image {value[:80]!r}, which is in another folder: name that folder by --images"
        )
    return image_name(value, path)


def _place(shape: dict, path: Path) -> Place | None:
    pairs, kind = shape.get("points"), shape.get("shape_type", "polygon")
    if not isinstance(pairs, list) or not all(isinstance(pair, list) and len(pair) == 2 for pair in pairs):
        raise AnnotationError(f"{path} has a shape whose points are not a list of [x, y]: export it again")
    vertices = [(number(x, path, "x of a shape"), number(y, path, "y of a shape")) for x, y in pairs]
    if not vertices or kind in LINES or (kind == "point" and len(vertices) > 1):
        return None
    if kind == "circle":
        centre, radius = vertices[0], math.dist(vertices[0], vertices[-1])  # the last one is on the rim
        return place_of_ellipse(*centre, radius, radius)
    if kind in BOXES and len(vertices) == 2:
        return place_of_box(*vertices[0], *vertices[1])
    return place_of_polygons([vertices]) if kind == "polygon" else Place(*box_centre(vertices))
