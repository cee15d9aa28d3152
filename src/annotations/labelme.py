"""labelme JSON: one file an image, which it names relative to itself. A file without shapes has no object."""

import os
from pathlib import Path

from src.annotations.base import (
    AnnotationError,
    Clicks,
    box_centre,
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

NAME = "labelme JSON"
KEYS = ("shapes", "imagePath")
LINES = ("line", "linestrip")


def recognises(path: Path) -> bool:
    """Whether a JSON file, or one in a folder, has shapes and an imagePath."""
    return any(has_keys(file, *KEYS) for file in files_of(path, ".json"))


def read(path: Path, images: Path | None) -> list[Clicks]:
    """The clicks of each file's image, named relative to `images` if it lies in there, else to `path`."""
    root = path if path.is_dir() else path.parent
    return read_each(
        path, (".json",), lambda file: has_keys(file, *KEYS), lambda file: [_read_file(file, root, images)]
    )


def _read_file(path: Path, root: Path, images: Path | None) -> Clicks:
    data = parse_json(path)
    if not isinstance(data, dict):
        raise AnnotationError(f"{path} holds no labelme object: export it again")
    size = image_size_of(data.get("imageHeight"), data.get("imageWidth"))
    clicks = Clicks(_name(data.get("imagePath"), path, root, images), size=size)
    for shape in mappings(data.get("shapes"), path, "shapes"):
        clicks.add(_position(shape, path), class_name(shape.get("label")))
    return clicks


def _name(value: object, path: Path, root: Path, images: Path | None) -> str:
    """labelme writes `../images/a.jpg` where files and images lie apart: that is allowed into the named folders."""
    if isinstance(value, str):
        target = os.path.normpath(path.parent.absolute() / value.strip().replace("\\", "/"))
        for folder in filter(None, (images, root)):
            base = os.path.normpath(folder.absolute())
            if os.path.commonpath([base, target]) == base:
                return image_name(os.path.relpath(target, base), path)
        raise AnnotationError(
            f"{path} names the image {value[:80]!r}, which lies elsewhere: name its folder by --images"
        )
    return image_name(value, path)


def _position(shape: dict, path: Path) -> tuple[float, float] | None:
    pairs, kind = shape.get("points"), shape.get("shape_type", "polygon")
    if not isinstance(pairs, list) or not all(isinstance(pair, list) and len(pair) == 2 for pair in pairs):
        raise AnnotationError(f"{path} has a shape whose points are no list of [x, y]: export it again")
    vertices = [(number(x, path, "x of a shape"), number(y, path, "y of a shape")) for x, y in pairs]
    if not vertices or kind in LINES or (kind == "point" and len(vertices) > 1):
        return None
    # A circle is its centre and a point of its rim.
    return vertices[0] if kind == "circle" else box_centre(vertices)
