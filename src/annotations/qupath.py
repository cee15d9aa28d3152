"""QuPath's GeoJSON, one file for each image, named after it: points, and the centres of polygons.

Coordinates are pixels of the full-resolution image, the origin (0, 0) its top-left corner (QuPath's documentation,
"Exporting annotations", units and origin). A MultiPoint is many objects, a MultiPolygon is one. A polygon gives the
size of its object by its area without its holes. The class is `classification.name`, or the parts of `names` with
colons between them. A file without features has no object.
"""

from collections.abc import Iterator
from pathlib import Path

from src.annotations.base import (
    AnnotationError,
    Clicks,
    check_amount,
    class_name,
    files_of,
    has_keys,
    mappings,
    number,
    parse_json,
    read_each,
)
from src.annotations.common import named_after, settle_classes
from src.annotations.shapes import XY, Place, place_of_polygons

NAME = "QuPath GeoJSON"
SUFFIXES = (".geojson", ".json")
NESTING = {"Point": 0, "MultiPoint": 1, "Polygon": 2, "MultiPolygon": 3}
"""How many lists are around each position."""


def recognises(path: Path) -> bool:
    """Whether a file, or one in a folder, holds GeoJSON features."""
    return any(_fits(file) for file in files_of(path, *SUFFIXES))


def read(path: Path, images: Path | None) -> list[Clicks]:
    """Read the clicks of each file's image."""
    root = path if path.is_dir() else path.parent
    return settle_classes(read_each(path, SUFFIXES, _fits, lambda file: [_read_file(file, root)]))


def _fits(file: Path) -> bool:
    return has_keys(file, "type", "features") or has_keys(file, "type", "geometry", "properties")


def _read_file(file: Path, root: Path) -> Clicks:
    clicks = Clicks(named_after(file, root))
    for feature in _features(file):
        label = _class_of(feature.get("properties"))
        for place in _places(feature.get("geometry"), file):
            clicks.add_unsettled(place, label)
        check_amount(len(clicks.xy), file)
    return clicks


def _features(file: Path) -> Iterator[dict]:
    """Return the features of a collection or of a list, which older versions wrote, or a single feature."""
    data = parse_json(file)
    if isinstance(data, dict):
        data = data.get("features") if "features" in data else [data]
    return mappings(data, file, "features")


def _class_of(properties: object) -> str:
    classification = properties.get("classification") if isinstance(properties, dict) else None
    if not isinstance(classification, dict):
        return class_name(classification)
    names = classification.get("names")
    parts = names if isinstance(names, list) else [classification.get("name")]
    return ": ".join(filter(None, map(class_name, parts)))


def _places(geometry: object, file: Path) -> list[Place | None]:
    """Return the places of the objects of a geometry; a line and an unknown geometry have none."""
    kind = geometry.get("type") if isinstance(geometry, dict) else None
    if not isinstance(kind, str) or kind not in NESTING:
        return [None]
    coordinates = _nested(geometry.get("coordinates"), NESTING[kind], file)
    if kind == "Point":
        return [Place(*coordinates)]
    if kind == "MultiPoint":
        return [Place(*xy) for xy in coordinates]
    polygons = [coordinates] if kind == "Polygon" else coordinates
    outlines = [rings[0] for rings in polygons if rings]
    return [place_of_polygons(outlines, [ring for rings in polygons for ring in rings[1:]])]


def _nested(value: object, depth: int, file: Path) -> XY | list:
    """Return (x, y), or lists of it nested so deep."""
    if not isinstance(value, list) or (depth == 0 and len(value) < 2):
        raise AnnotationError(f"{file} has coordinates that are not a list of [x, y]: export it again")
    if depth == 0:
        return number(value[0], file, "x of a geometry"), number(value[1], file, "y of a geometry")
    return [_nested(member, depth - 1, file) for member in value]
