"""Pascal VOC XML, one file for each image: the centres and sizes of boxes.

Pixels count from 1, the top-left one is (1, 1), and a box includes its last row and column (development kit of the
VOC2007 Challenge, bounding boxes of the annotation files): xmin = xmax = 1 is the first pixel, whose centre is 0.5
here. So the centre of a box is (xmin - 1 + xmax) / 2. Some tools count from 0 all the same: their boxes end up half a
pixel too far to the left and to the top.
"""

import re
from pathlib import Path
from xml.etree.ElementTree import Element

from src.annotations.base import (
    AnnotationError,
    Clicks,
    check_amount,
    class_name,
    files_of,
    image_name,
    image_size_of,
    number,
    parse_xml,
    read_each,
)
from src.annotations.common import named_after, settle_classes
from src.annotations.shapes import place_of_box

NAME = "Pascal VOC XML"
ROOT = re.compile(rb"<annotation[\s>/]")
FOLDERS = {"Annotations": "JPEGImages", "annotations": "images"}


def recognises(path: Path) -> bool:
    """Whether an XML file, or one in a folder, begins with <annotation>."""
    return any(_fits(file) for file in files_of(path, ".xml"))


def read(path: Path, images: Path | None) -> list[Clicks]:
    """Read the clicks of the image that each file names, in the folder of the file."""
    root = path if path.is_dir() else path.parent
    return settle_classes(read_each(path, (".xml",), _fits, lambda file: [_read_file(file, root)]))


def _fits(file: Path) -> bool:
    try:
        with file.open("rb") as opened:
            return ROOT.search(opened.read(1 << 16).replace(b"\0", b"")) is not None  # without the zeros of UTF-16
    except OSError:
        return False


def _read_file(file: Path, root: Path) -> Clicks:
    annotation = parse_xml(file)
    if annotation.tag != "annotation":
        raise AnnotationError(f"{file} begins with <{annotation.tag}>; expected <annotation>: export it again")
    clicks = Clicks(_image_of(annotation, file, root), image_size=_size_of(annotation))
    objects = annotation.findall("object")
    check_amount(len(objects), file)
    for thing in objects:
        box = thing.find("bndbox")
        if box is None:
            raise AnnotationError(f"{file} has an object without <bndbox>: export it again")
        left, top, right, bottom = (
            number(box.findtext(key), file, f"{key} of a box") for key in ("xmin", "ymin", "xmax", "ymax")
        )
        clicks.add_unsettled(place_of_box(left - 1, top - 1, right, bottom), class_name(thing.findtext("name") or ""))
    return clicks


def _image_of(annotation: Element, file: Path, root: Path) -> str:
    """Return the image that a file names, in its folder, or else the image that the file is named after."""
    after = named_after(file, root, **FOLDERS)
    name = annotation.findtext("filename") or ""
    folder = "/".join(after.split("/")[:-1])
    return image_name("/".join(filter(None, (folder, image_name(name, file)))), file) if name.strip() else after


def _size_of(annotation: Element) -> tuple[int, int] | None:
    return image_size_of(annotation.findtext("size/height"), annotation.findtext("size/width"))
