"""Pascal VOC XML, one file for each image: the centres and sizes of boxes.

Pixels count from 1, the top-left one is (1, 1), and a box includes its last row and column (development kit of the
VOC2007 Challenge, bounding boxes of the annotation files): xmin = xmax = 1 is the first pixel, whose centre is 0.5
here. So the centre of a box is (xmin - 1 + xmax) / 2. Some tools count from 0 all the same: their boxes end up half a
pixel too far to the left and to the top. A turned box (roLabelImg's `robndbox`) has its centre, counted from 0. An
image that was renamed together with its file is found by the name of the file.
"""

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
    number,
    parse_xml,
    read_each,
)
from src.annotations.common import found_or_renamed, named_after, settle_classes
from src.annotations.matching import ImageFolder
from src.annotations.shapes import Place, known_size, place_of_box

NAME = "Pascal VOC XML"
ROOT = "annotation"
FOLDERS = {"Annotations": "JPEGImages", "annotations": "images"}


def recognises(path: Path) -> bool:
    """Whether an XML file, or one in a folder, begins with <annotation>."""
    return any(_fits(file) for file in files_of(path, ".xml"))


def read(path: Path, images: Path | None) -> list[Clicks]:
    """Read the clicks of the image that each file names, in the folder of the file."""
    root = path if path.is_dir() else path.parent
    folder = ImageFolder(images or root, set())
    return settle_classes(read_each(path, (".xml",), _fits, lambda file: [_read_file(file, root, folder)]))


def _fits(file: Path) -> bool:
    return has_root(file, ROOT)


def _read_file(file: Path, root: Path, folder: ImageFolder) -> Clicks:
    annotation = parse_xml(file)
    if annotation.tag != ROOT:
        raise AnnotationError(f"{file} begins with <{annotation.tag}>; expected <annotation>: export it again")
    clicks = Clicks(_image_of(annotation, file, root, folder), image_size=_size_of(annotation))
    objects = annotation.findall("object")
    check_amount(len(objects), file)
    for thing in objects:
        clicks.add_unsettled(_place(thing, file), class_name(thing.findtext("name") or ""))
    return clicks


def _place(thing: Element, file: Path) -> Place:
    box, turned = thing.find("bndbox"), thing.find("robndbox")
    if box is not None:
        left, top, right, bottom = _values(box, ("xmin", "ymin", "xmax", "ymax"), file)
        return place_of_box(left - 1, top - 1, right, bottom)
    if turned is None:
        raise AnnotationError(f"{file} has an object without <bndbox>: export it again")
    x, y, width, height = _values(turned, ("cx", "cy", "w", "h"), file)
    return Place(x, y, known_size((abs(width) + abs(height)) / 2))


def _values(box: Element, keys: tuple[str, ...], file: Path) -> list[float]:
    return [number(box.findtext(key), file, f"{key} of a box") for key in keys]


def _image_of(annotation: Element, file: Path, root: Path, folder: ImageFolder) -> str:
    """Return the image that a file names, in its folder, or else the image that the file is named after."""
    after = named_after(file, root, **FOLDERS)
    name = annotation.findtext("filename") or ""
    if not name.strip():
        return after
    folders = after.split("/")[:-1]
    return found_or_renamed(image_name("/".join([*folders, image_name(name, file)]), file), after, file, folder)


def _size_of(annotation: Element) -> tuple[int, int] | None:
    return image_size_of(annotation.findtext("size/height"), annotation.findtext("size/width"))
