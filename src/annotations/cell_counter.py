"""Markers of Fiji's Cell Counter (CellCounter_a.xml), one file for each image, which it names.

A marker is a pixel, so 0.5 is added to its coordinates. Its class is the name of its type, or "Type 1" and so on in
files of older versions, which have no names. `MarkerZ` is the number of the plane in ImageJ's stack: channels of the
first slice are one place, markers on other slices are dropped. ImageJ ignores EXIF orientation.
"""

import re
from pathlib import Path
from xml.etree.ElementTree import Element

from src.annotations.base import (
    Clicks,
    check_amount,
    class_name,
    files_of,
    image_name,
    number,
    parse_xml,
    read_each,
    start_of,
)
from src.annotations.common import OTHER_SLICE, found_or_renamed, named_after
from src.annotations.image_sizes import ImageSizes
from src.annotations.orientation import STORED
from src.annotations.shapes import Place

NAME = "Fiji Cell Counter XML"
FRAME = STORED
ROOT = "<CellCounter_Marker_File"
OWN_PARTS = re.compile(r"^(counter window - |cellcounter[_ -]+)|[_ -]+cellcounter$", re.IGNORECASE)
"""What Cell Counter adds to the name of the image."""


def recognises(path: Path) -> bool:
    """Whether an XML file, or one in a folder, holds markers of Cell Counter."""
    return any(_fits(file) for file in files_of(path, ".xml"))


def read(path: Path, images: Path | None) -> list[Clicks]:
    """Read the markers of each file's image."""
    root = path if path.is_dir() else path.parent
    sizes = ImageSizes(images or root)
    return read_each(path, (".xml",), _fits, lambda file: [_read_file(file, root, sizes)])


def _fits(file: Path) -> bool:
    return ROOT in start_of(file)


def _read_file(file: Path, root: Path, sizes: ImageSizes) -> Clicks:
    markers = parse_xml(file)
    clicks = Clicks(_image_of(markers, file, root, sizes))
    for kind in markers.iter("Marker_Type"):
        label = _label_of(kind)
        for marker in kind.iter("Marker"):
            _add(marker, label, clicks, sizes, file)
        check_amount(len(clicks.xy), file)
    return clicks


def _add(marker: Element, label: str, clicks: Clicks, sizes: ImageSizes, file: Path) -> None:
    x, y = (number(marker.findtext(f"Marker{axis}"), file, f"Marker{axis}") for axis in "XY")
    z = number(marker.findtext("MarkerZ") or "0", file, "MarkerZ")
    if sizes.in_first_plane(int(z), clicks.image):
        clicks.add(Place(x + 0.5, y + 0.5), label)
    else:
        clicks.dropped[OTHER_SLICE] += 1


def _label_of(kind: Element) -> str:
    name = class_name(kind.findtext("Name") or "")
    return name if name not in ("", "null") else class_name(f"Type {kind.findtext('Type') or ''}")


def _image_of(markers: Element, file: Path, root: Path, sizes: ImageSizes) -> str:
    """Return the image that a file names, beside it, or else the image that it is named after."""
    after = _with_own_parts_removed(named_after(file, root))
    name = (markers.findtext("Image_Properties/Image_Filename") or "").strip()
    if not name:
        return image_name(after, file)
    folders = after.split("/")[:-1]
    named = image_name("/".join([*folders, _with_own_parts_removed(image_name(name, file))]), file)
    return found_or_renamed(named, after, file, sizes.folder)


def _with_own_parts_removed(name: str) -> str:
    *folders, last = name.split("/")
    return "/".join([*folders, OWN_PARTS.sub("", last) or last])
