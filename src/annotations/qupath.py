"""QuPath: GeoJSON, one file for each image, named after it; and tables of measurements (TSV or CSV) that name images.

Coordinates are pixels of the full-resolution image, the origin (0, 0) its top-left corner (QuPath's documentation,
"Exporting annotations", units and origin). A MultiPoint is many objects, a MultiPolygon is one. A polygon gives the
size of its object by its area without its holes. The class is `classification.name`, or the parts of `names` with
colons between them. A file without features has no object. Objects on another slice or time than the first are dropped;
their channel says nothing about their place.

People draw an annotation around the cells that QuPath is to detect. Such a region is no object: an annotation with an
area that holds detections or cells, or several other objects. It is dropped and told; `regions="keep"` takes it as an
object. TMA cores and tiles are regions too.
"""

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

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
from src.annotations.common import OTHER_SLICE, named_after, settle_classes
from src.annotations.image_sizes import ImageSizes
from src.annotations.qupath_tables import KEEP, REGION, REGION_NOTE, TABLE_SUFFIXES, is_table, read_measurements
from src.annotations.shapes import XY, Place, is_inside, place_of_polygons, polygon_area

NAME = "QuPath GeoJSON or measurements"
OPTIONS = ("regions", "pixel_size")
SUFFIXES = (".geojson", ".json")
NESTING = {"Point": 0, "MultiPoint": 1, "Polygon": 2, "MultiPolygon": 3}
"""How many lists are around each position."""
AREAS = ("Polygon", "MultiPolygon")
DETECTED = ("detection", "cell")
NEVER_OBJECTS = ("tmacore", "tile", "root")
MUCH_LARGER = 10
"""An annotation so many times as large as the largest detection is a region, also if nothing was detected in it."""


class _Feature(NamedTuple):
    """A feature: what QuPath calls it, its class, its places and the outlines of its area."""

    kind: str
    label: str
    places: list[Place | None]
    outlines: list[list[XY]]
    is_in_first: bool


def recognises(path: Path) -> bool:
    """Whether a file, or one in a folder, holds GeoJSON features or measurements."""
    return any(_fits(file) for file in files_of(path, *SUFFIXES)) or any(map(is_table, _table_files(path)))


def read(
    path: Path, images: Path | None, *, regions: str | None = None, pixel_size: float | None = None
) -> list[Clicks]:
    """Read the clicks of each image."""
    root = path if path.is_dir() else path.parent
    if any(map(is_table, _table_files(path))):
        sizes = ImageSizes(images or root, None, pixel_size)
        tables = read_each(path, TABLE_SUFFIXES, is_table, lambda file: read_measurements(file, sizes, regions))
        return settle_classes(tables)
    return settle_classes(read_each(path, SUFFIXES, _fits, lambda file: [_read_file(file, root, regions)]))


def _table_files(path: Path) -> list[Path]:
    return files_of(path, *TABLE_SUFFIXES)


def _fits(file: Path) -> bool:
    return has_keys(file, "type", "features") or has_keys(file, "type", "geometry", "properties")


def _read_file(file: Path, root: Path, regions: str | None) -> Clicks:
    clicks = Clicks(named_after(file, root))
    features = [_feature(feature, file) for feature in _features(file)]
    for feature in features:
        if not feature.is_in_first:
            clicks.dropped[OTHER_SLICE] += len(feature.places)
    features = [feature for feature in features if feature.is_in_first]
    for index, is_region in enumerate(_regions(features)):
        if is_region and regions != KEEP:
            clicks.dropped[REGION] += 1
            continue
        for place in features[index].places:
            clicks.add_unsettled(place, features[index].label)
        check_amount(len(clicks.xy), file)
    if clicks.dropped[REGION]:
        clicks.notes.append(REGION_NOTE)
    return clicks


def _feature(feature: dict, file: Path) -> _Feature:
    properties = feature.get("properties")
    properties = properties if isinstance(properties, dict) else {}
    geometry = feature.get("geometry")
    places, outlines = _places(geometry, file)
    kind = str(properties.get("objectType") or properties.get("object_type") or feature.get("id") or "")
    kind = kind.casefold().removeprefix("path").removesuffix("object")  # PathCellObject in old versions
    return _Feature(kind, _class_of(properties), places, outlines, _is_in_first(geometry, properties, file))


def _is_in_first(geometry: object, properties: dict, file: Path) -> bool:
    """Whether a feature is in the first slice and time."""
    planes = [holder.get("plane") for holder in (geometry, properties) if isinstance(holder, dict)]
    plane = next((plane for plane in planes if isinstance(plane, dict)), {})
    return all(number(plane.get(axis, 0), file, f"{axis} of a plane") <= 0 for axis in "zt")


def _regions(features: Sequence[_Feature]) -> Iterator[bool]:
    """Tell of each feature whether it is a region around objects."""
    everything = _centres(features)
    detections = [feature for feature in features if feature.kind in DETECTED]
    detected = _centres(detections)
    largest = max((_area(feature) for feature in detections), default=math.inf)
    for feature in features:
        if feature.kind in NEVER_OBJECTS:
            yield True
        elif feature.kind in DETECTED or not feature.outlines:
            yield False
        else:
            is_large = _area(feature) > MUCH_LARGER * largest
            yield is_large or _holds(feature.outlines, detected, 1) or _holds(feature.outlines, everything, 3)


def _centres(features: Sequence[_Feature]) -> np.ndarray:
    """Return x and y of all places, (n, 2) float."""
    return np.array([place[:2] for feature in features for place in feature.places if place], dtype=float).reshape(
        -1, 2
    )


def _area(feature: _Feature) -> float:
    return sum(map(polygon_area, feature.outlines))


def _holds(outlines: list[list[XY]], centres: np.ndarray, n: int) -> bool:
    """Whether so many centres are inside an area. Its own centre may be one of them."""
    for outline in outlines:
        low, high = np.min(outline, axis=0), np.max(outline, axis=0)
        for x, y in centres[((centres >= low) & (centres <= high)).all(axis=1)].tolist():
            n -= is_inside(x, y, outline)
            if n == 0:
                return True
    return False


def _features(file: Path) -> Iterator[dict]:
    """Return the features of a collection or of a list, which older versions wrote, or a single feature."""
    data = parse_json(file)
    if isinstance(data, dict):
        data = data.get("features") if "features" in data else [data]
    return mappings(data, file, "features")


def _class_of(properties: dict) -> str:
    classification = properties.get("classification")
    if not isinstance(classification, dict):
        return class_name(classification)
    names = classification.get("names")
    parts = names if isinstance(names, list) else [classification.get("name")]
    return ": ".join(filter(None, map(class_name, parts)))


def _places(geometry: object, file: Path) -> tuple[list[Place | None], list[list[XY]]]:
    """Return the places of the objects of a geometry, and its outlines; a line and an unknown geometry have none."""
    kind = geometry.get("type") if isinstance(geometry, dict) else None
    if not isinstance(kind, str) or kind not in NESTING:
        return [None], []
    coordinates = _nested(geometry.get("coordinates"), NESTING[kind], file)
    if kind == "Point":
        return [Place(*coordinates)], []
    if kind == "MultiPoint":
        return [Place(*xy) for xy in coordinates], []
    polygons = [coordinates] if kind == "Polygon" else coordinates
    outlines = [rings[0] for rings in polygons if rings]
    place = place_of_polygons(outlines, [ring for rings in polygons for ring in rings[1:]])
    return [place], [outline for outline in outlines if outline]


def _nested(value: object, depth: int, file: Path) -> XY | list:
    """Return (x, y), or lists of it nested so deep."""
    if not isinstance(value, list) or (depth == 0 and len(value) < 2):
        raise AnnotationError(f"{file} has coordinates that are not a list of [x, y]: export it again")
    if depth == 0:
        return number(value[0], file, "x of a geometry"), number(value[1], file, "y of a geometry")
    return [_nested(member, depth - 1, file) for member in value]
