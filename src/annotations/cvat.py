"""CVAT for images XML 1.1. One <points> may hold many objects; an image without shapes has no object."""

import re
from collections.abc import Iterator
from pathlib import Path
from xml.etree.ElementTree import Element

from src.annotations.base import (
    AnnotationError,
    Clicks,
    box_centre,
    check_amount,
    class_name,
    entry,
    files_of,
    image_name,
    image_size_of,
    number,
    parse_xml,
    read_each,
)

NAME = "CVAT for images XML 1.1"
ROOT = re.compile(rb"<annotations[\s>/]")
NOT_SHAPES = ("tag",)
Position = tuple[float, float]


def recognises(path: Path) -> bool:
    """Whether an XML file, or one in a folder, begins with <annotations>."""
    return any(_fits(file) for file in files_of(path, ".xml"))


def read(path: Path, images: Path | None) -> list[Clicks]:
    """The clicks of each image: of <points> each, of others the centre of what they bound, of a skeleton one."""
    return read_each(path, (".xml",), _fits, _read_file)


def _fits(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return ROOT.search(file.read(1 << 16).replace(b"\0", b"")) is not None  # without the zeros of UTF-16
    except OSError:
        return False


def _read_file(path: Path) -> list[Clicks]:
    root = parse_xml(path)
    if root.tag != "annotations" or root.find("track") is not None:
        raise AnnotationError(f"{path} is no list of images: export it from CVAT as 'CVAT for images 1.1'")
    found: dict[str, Clicks] = {}
    amount = 0
    for image in root.iter("image"):
        size = image_size_of(image.get("height"), image.get("width"))
        clicks = entry(found, image_name(image.get("name"), path), size)
        for shape in image:
            if shape.tag not in NOT_SHAPES:
                for position in _positions(shape, path):
                    clicks.add(position, class_name(shape.get("label")))
        amount += len(clicks.point_list)
        check_amount(amount, path)
    return list(found.values())


def _positions(shape: Element, path: Path) -> Iterator[Position | None]:
    """Where the objects of a shape are; None for one that has no position."""
    if shape.tag == "points":
        yield from _pairs(shape, path)
    else:
        vertices = list(_vertices(shape, path))
        yield box_centre(vertices) if vertices else None


def _vertices(shape: Element, path: Path) -> Iterator[Position]:
    """What bounds a shape; nothing for lines, cuboids and what is unknown."""

    def value(key: str) -> float:
        return number(shape.get(key), path, f"{key} of a {shape.tag}")

    if shape.tag == "polygon":
        yield from _pairs(shape, path)
    elif shape.tag == "box":
        yield value("xtl"), value("ytl")
        yield value("xbr"), value("ybr")
    elif shape.tag == "ellipse":
        yield value("cx"), value("cy")
    elif shape.tag == "mask":
        yield value("left"), value("top")
        yield value("left") + value("width"), value("top") + value("height")
    elif shape.tag == "skeleton":
        for joint in shape.iter("points"):
            if joint.get("outside") != "1":
                yield from _pairs(joint, path)


def _pairs(shape: Element, path: Path) -> Iterator[Position]:
    """The vertices of "x,y;x,y"."""
    for pair in filter(None, (text.strip() for text in (shape.get("points") or "").split(";"))):
        x, _, y = pair.partition(",")
        yield number(x, path, f"x of a {shape.tag}"), number(y, path, f"y of a {shape.tag}")
