"""labelme JSON: one file for each image, which it names relative to itself. A file without shapes has no object.

Shapes of one group (`group_id`) are parts of one object: polygons of one class, and the key points around a rectangle
or polygon. A rectangle, a polygon and a circle give the size of their object, a mask that of its box. An image that was
renamed together with its file is found by the name of the file. labelme turns images by their EXIF orientation.
"""

import math
import os
from collections.abc import Iterable
from pathlib import Path

from src.annotations.base import (
    AnnotationError,
    Clicks,
    class_name,
    files_of,
    has_keys,
    identifier,
    image_name,
    image_size_of,
    mappings,
    number,
    parse_json,
    read_each,
)
from src.annotations.common import found_or_renamed, named_after
from src.annotations.matching import ImageFolder
from src.annotations.orientation import SHOWN
from src.annotations.shapes import XY, Place, box_centre, place_of_box, place_of_ellipse, place_of_polygons

NAME = "labelme JSON"
FRAME = SHOWN
KEYS = ("shapes", "imagePath")
LINES = ("line", "linestrip")
BOXES = ("rectangle", "mask")
AREAS = (*BOXES, "polygon", "circle", "rotation")


def recognises(path: Path) -> bool:
    """Whether a JSON file, or one in a folder, has shapes and an imagePath."""
    return any(has_keys(file, *KEYS) for file in files_of(path, ".json"))


def read(path: Path, images: Path | None) -> list[Clicks]:
    """Read the clicks of each file's image, named relative to `images` if it is in there, else to `path`."""
    root = path if path.is_dir() else path.parent
    folder = ImageFolder(images or root, set())
    return read_each(
        path, (".json",), lambda file: has_keys(file, *KEYS), lambda file: [_read_file(file, root, folder)]
    )


def _read_file(path: Path, root: Path, folder: ImageFolder) -> Clicks:
    data = parse_json(path)
    if not isinstance(data, dict):
        raise AnnotationError(f"{path} is not a labelme file; expected a JSON object: export it again")
    size = image_size_of(data.get("imageHeight"), data.get("imageWidth"))
    name = _name(data.get("imagePath"), path, root, folder)
    clicks = Clicks(found_or_renamed(name, named_after(path, root), path, folder), image_size=size)
    objects = _objects(mappings(data.get("shapes"), path, "shapes"))
    for shapes in objects:
        place = _place(shapes[0], path) if len(shapes) == 1 else place_of_polygons([_outline(s, path) for s in shapes])
        clicks.add(place, class_name(shapes[0].get("label")))
    if sum(map(len, objects)) < len(data["shapes"]) or any(len(shapes) > 1 for shapes in objects):
        clicks.notes.append("shapes of one group_id were read as parts of one object")
    return clicks


def _objects(shapes: Iterable[dict]) -> list[list[dict]]:
    """Return the shapes of each object. Shapes of a group belong together if one of them is an area."""
    alone, groups = [], {}
    for shape in shapes:
        key = identifier(shape.get("group_id"))
        if key is None:
            alone.append([shape])
        else:
            groups.setdefault(key, []).append(shape)
    return alone + [shapes for group in groups.values() for shapes in _parts(group)]


def _parts(group: list[dict]) -> list[list[dict]]:
    """Return the objects of a group: the areas of each class, and points if there is no area that they belong to."""
    by_label: dict[object, list[dict]] = {}
    for shape in group:
        if shape.get("shape_type", "polygon") in AREAS:
            by_label.setdefault(class_name(shape.get("label")), []).append(shape)
    return list(by_label.values()) or [[shape] for shape in group]


def _name(value: object, path: Path, root: Path, folder: ImageFolder) -> str:
    """Return the name of a file's image, relative to the folder of the images or of the files if it leads there.

    labelme writes `../images/a.jpg` if files and images are in different folders, and Windows' paths with backslashes.
    """
    name = image_name(value, path)
    if "://" in value:
        return name
    target = os.path.normpath(path.parent.absolute() / value.strip().replace("\\", "/"))
    for base in (os.path.normpath(parent.absolute()) for parent in (folder.root, root)):
        if os.path.commonpath([base, target]) == base:
            return image_name(os.path.relpath(target, base), path)
    return name


def _place(shape: dict, path: Path) -> Place | None:
    vertices, kind = _vertices(shape, path), shape.get("shape_type", "polygon")
    if not vertices or kind in LINES or (kind == "point" and len(vertices) > 1):
        return None
    if kind == "circle":
        centre, radius = vertices[0], math.dist(vertices[0], vertices[-1])  # the last one is on the rim
        return place_of_ellipse(*centre, radius, radius)
    if kind in BOXES and len(vertices) == 2:
        return place_of_box(*vertices[0], *vertices[1])
    return place_of_polygons([vertices]) if kind in AREAS else Place(*box_centre(vertices))


def _outline(shape: dict, path: Path) -> list[XY]:
    """Return the vertices of an area; those of the box of a rectangle or circle."""
    vertices = _vertices(shape, path)
    place = _place(shape, path)
    if shape.get("shape_type") == "circle" and place is not None:
        reach = (place.size or 0) / 2
        vertices = [(place.x - reach, place.y - reach), (place.x + reach, place.y + reach)]
    if len(vertices) == 2:
        (left, top), (right, bottom) = vertices
        return [(left, top), (right, top), (right, bottom), (left, bottom)]
    return vertices


def _vertices(shape: dict, path: Path) -> list[XY]:
    pairs = shape.get("points")
    if not isinstance(pairs, list) or not all(isinstance(pair, list) and len(pair) == 2 for pair in pairs):
        raise AnnotationError(f"{path} has a shape whose points are not a list of [x, y]: export it again")
    return [(number(x, path, "x of a shape"), number(y, path, "y of a shape")) for x, y in pairs]
