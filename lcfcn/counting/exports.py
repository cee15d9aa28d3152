"""Write predicted points as files that annotation tools open, to correct them there and train again.

The input is points in pixels, (0, 0) at the top-left corner of the first pixel, as all three tools have them. The
output is the bytes of a file.

References
----------
QuPath: "Exporting annotations" in its documentation, and RFC 7946. labelme: `labelme/label_file.py` of labelme 5.
CVAT: "CVAT for images 1.1" in its documentation.
"""

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from xml.etree import ElementTree

from lcfcn.errors import UserError

Points = list[tuple[float, float, str]]
"""(x, y, name of the class) of each object."""
NOT_IN_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""The characters that XML 1.0 does not allow."""


@dataclass(frozen=True)
class ImagePoints:
    """An image for `cvat_xml`: its name (a relative posix path), its size (height, width) and its points."""

    name: str
    size: tuple[int, int]
    points: Points


def qupath_geojson(points: Points) -> bytes:
    """Return a GeoJSON FeatureCollection of point annotations, for QuPath's File > Import objects."""
    features = [
        {
            "type": "Feature",
            "geometry": {"type": "Point", "coordinates": [x, y]},
            "properties": {"objectType": "annotation", "classification": {"name": name}},
        }
        for x, y, name in points
    ]
    return _json({"type": "FeatureCollection", "features": features})


def labelme_json(points: Points, image_path: str, size: tuple[int, int]) -> bytes:
    """Return a labelme 5 file. `image_path` leads from the file's folder to the image; `size` is (height, width)."""
    shapes = [
        {
            "label": name,
            "points": [[x, y]],
            "group_id": None,
            "description": "",
            "shape_type": "point",
            "flags": {},
            "mask": None,
        }
        for x, y, name in points
    ]
    file = {"version": "5.5.0", "flags": {}, "shapes": shapes, "imagePath": image_path, "imageData": None}
    return _json({**file, "imageHeight": size[0], "imageWidth": size[1]})


def cvat_xml(images: Sequence[ImagePoints], class_names: Iterable[str]) -> bytes:
    """Return a file of "CVAT for images 1.1" with one `<points>` per object.

    CVAT finds the images by their names. The CVAT task must have labels with the names of the classes.

    Raises
    ------
    UserError
        If a name has a character that XML does not allow.
    """
    root = ElementTree.Element("annotations")
    ElementTree.SubElement(root, "version").text = "1.1"
    task = ElementTree.SubElement(ElementTree.SubElement(root, "meta"), "task")
    for key, text in (("name", "predictions"), ("size", str(len(images))), ("mode", "annotation")):
        ElementTree.SubElement(task, key).text = text
    labels = ElementTree.SubElement(task, "labels")
    for name in class_names:
        label = ElementTree.SubElement(labels, "label")
        ElementTree.SubElement(label, "name").text = check_xml(name)
        ElementTree.SubElement(label, "type").text = "points"
        ElementTree.SubElement(label, "attributes")
    for number, image in enumerate(images):
        height, width = (str(side) for side in image.size)
        attributes = {"id": str(number), "name": check_xml(image.name), "width": width, "height": height}
        element = ElementTree.SubElement(root, "image", attributes)
        for x, y, name in image.points:
            shape = {"label": check_xml(name), "source": "auto", "occluded": "0", "points": f"{x!r},{y!r}"}
            ElementTree.SubElement(element, "points", {**shape, "z_order": "0"})
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)


def check_xml(text: str) -> str:
    """Return the text; raise `UserError` if it has a character that XML does not allow."""
    if NOT_IN_XML.search(text):
        raise UserError(f"{text!r} has a character that XML can't hold: rename it, or leave out --export cvat")
    return text


def _json(data: dict) -> bytes:
    return json.dumps(data, allow_nan=False).encode("ascii")
