"""QuPath's GeoJSON, one file an image, named after it: points, and the centres of polygons.

Coordinates are pixels of the full-resolution image, the origin (0, 0) its top-left corner (QuPath's documentation,
"Exporting annotations", units and origin). A MultiPoint is many objects. The class is `classification.name`, or the
parts of `names` with colons between them. A file without features has no object.
"""

from collections.abc import Iterator
from pathlib import Path

from src.annotations.base import (
    AnnotationError,
    Clicks,
    box_centre,
    check_amount,
    class_name,
    files_of,
    has_keys,
    mappings,
    number,
    parse_json,
    read_each,
)
from src.annotations.common import named_after, put, settle_classes

NAME = "QuPath GeoJSON"
SUFFIXES = (".geojson", ".json")
DEPTHS = {"Point": 0, "MultiPoint": 1, "Polygon": 2, "MultiPolygon": 3}
"""How many lists are around each position."""
Position = tuple[float, float]


def recognises(path: Path) -> bool:
    """Whether a file, or one in a folder, holds GeoJSON features."""
    return any(_fits(file) for file in files_of(path, *SUFFIXES))


def read(path: Path, images: Path | None) -> list[Clicks]:
    """The clicks of each file's image."""
    root = path if path.is_dir() else path.parent
    return settle_classes(read_each(path, SUFFIXES, _fits, lambda file: [_read_file(file, root)]))


def _fits(file: Path) -> bool:
    return has_keys(file, "type", "features") or has_keys(file, "type", "geometry", "properties")


def _read_file(file: Path, root: Path) -> Clicks:
    clicks = Clicks(named_after(file, root))
    for feature in _features(file):
        label = _class_of(feature.get("properties"))
        for position in _positions(feature.get("geometry"), file):
            put(clicks, position, label)
        check_amount(len(clicks.point_list), file)
    return clicks


def _features(file: Path) -> Iterator[dict]:
    """Those of a collection, of a list as older versions wrote, or a single one."""
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


def _positions(geometry: object, file: Path) -> list[Position | None]:
    """Where the objects of a geometry are; None for one that has no position, as a line."""
    kind = geometry.get("type") if isinstance(geometry, dict) else None
    if not isinstance(kind, str) or kind not in DEPTHS:
        return [None]
    vertices = list(_vertices(geometry.get("coordinates"), DEPTHS[kind], file))
    if DEPTHS[kind] <= 1:
        return vertices
    return [box_centre(vertices) if vertices else None]


def _vertices(value: object, depth: int, file: Path) -> Iterator[Position]:
    if not isinstance(value, list) or (depth == 0 and len(value) < 2):
        raise AnnotationError(f"{file} has coordinates that are no list of [x, y]: export it again")
    if depth == 0:
        yield number(value[0], file, "x of a geometry"), number(value[1], file, "y of a geometry")
    else:
        for member in value:
            yield from _vertices(member, depth - 1, file)
