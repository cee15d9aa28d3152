"""CVAT for images XML 1.1. An image without shapes has no object.

One <points> may hold many objects, and each of its points is one. Boxes, polygons, ellipses and masks are clicked at
the centre of their boxes and give a size; a skeleton is clicked at the centre of its visible joints. The runs of a mask
count pixels row by row in its box, the background first ("XML annotation format" in CVAT's documentation). CVAT turns
images by their EXIF orientation. A project may hold two images of one name in two tasks: then it is refused.
"""

from collections.abc import Iterator
from pathlib import Path
from xml.etree.ElementTree import Element

from src.annotations.base import (
    AnnotationError,
    Clicks,
    check_amount,
    class_name,
    files_of,
    has_root,
    image_name,
    image_size_of,
    new_entry,
    number,
    parse_xml,
    read_each,
)
from src.annotations.orientation import SHOWN
from src.annotations.shapes import (
    XY,
    Place,
    box_centre,
    disc_diameter,
    place_of_box,
    place_of_ellipse,
    place_of_polygons,
)

NAME = "CVAT for images XML 1.1"
FRAME = SHOWN
ROOT = "annotations"
NOT_SHAPES = ("tag",)


def recognises(path: Path) -> bool:
    """Whether an XML file, or one in a folder, begins with <annotations>."""
    return any(_fits(file) for file in files_of(path, ".xml"))


def read(path: Path, images: Path | None) -> list[Clicks]:
    """Read the clicks of each image."""
    return read_each(path, (".xml",), _fits, _read_file)


def _fits(file: Path) -> bool:
    return has_root(file, ROOT)


def _read_file(path: Path) -> list[Clicks]:
    root = parse_xml(path)
    if root.tag != ROOT or root.find("track") is not None:
        raise AnnotationError(f"{path} is not a list of images: export it from CVAT as 'CVAT for images 1.1'")
    found: dict[str, Clicks] = {}
    keys: dict[str, str] = {}
    amount = 0
    for image in root.iter("image"):
        size = image_size_of(image.get("height"), image.get("width"))
        clicks = new_entry(found, image_name(image.get("name"), path), size, _key_of(image), keys, path)
        for shape in image:
            if shape.tag not in NOT_SHAPES:
                for place in _places(shape, path):
                    clicks.add(place, class_name(shape.get("label")))
        amount += len(clicks.xy)
        check_amount(amount, path)
    return list(found.values())


def _key_of(image: Element) -> str:
    """Return the identity of an image: its id, and its task where a project was exported."""
    parts = ((what, image.get(what)) for what in ("id", "task_id", "job_id"))
    return " of ".join(f"{what} {value}" for what, value in parts if value is not None) or "without an id"


def _places(shape: Element, path: Path) -> list[Place | None]:
    """Return the places of the objects of a shape; a line, a cuboid and an unknown shape have none."""

    def values(*keys: str) -> list[float]:
        return [number(shape.get(key), path, f"{key} of a {shape.tag}") for key in keys]

    if shape.tag == "points":
        return [Place(x, y) for x, y in _pairs(shape, path)]
    if shape.tag == "polygon":
        return [place_of_polygons([list(_pairs(shape, path))])]
    if shape.tag == "box":
        return [place_of_box(*values("xtl", "ytl", "xbr", "ybr"))]
    if shape.tag == "ellipse":
        x, y = values("cx", "cy")
        radii = values("rx", "ry") if {"rx", "ry"} <= set(shape.keys()) else (0, 0)
        return [place_of_ellipse(x, y, *radii)]
    if shape.tag == "mask":
        return [_place_of_mask(shape, *values("left", "top", "width", "height"))]
    if shape.tag == "skeleton":
        joints = [joint for joint in shape.iter("points") if joint.get("outside") != "1"]
        vertices = [pair for joint in joints for pair in _pairs(joint, path)]
        return [Place(*box_centre(vertices)) if vertices else None]
    return [None]


def _place_of_mask(shape: Element, left: float, top: float, width: float, height: float) -> Place:
    """Return the centre of a mask's box, and the diameter by its area, or by its box if the runs do not fill it."""
    place = place_of_box(left, top, left + width, top + height)
    runs = [int(text) if text.strip().isdecimal() else 0 for text in (shape.get("rle") or "").split(",")]
    return place._replace(size=disc_diameter(sum(runs[1::2]))) if sum(runs) == width * height else place


def _pairs(shape: Element, path: Path) -> Iterator[XY]:
    """Yield the vertices of "x,y;x,y"."""
    for pair in filter(None, (text.strip() for text in (shape.get("points") or "").split(";"))):
        x, _, y = pair.partition(",")
        yield number(x, path, f"x of a {shape.tag}"), number(y, path, f"y of a {shape.tag}")
