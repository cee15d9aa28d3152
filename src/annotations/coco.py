"""COCO JSON. Each image of its list counts as annotated.

Where a category declares no keypoints or one, each keypoint with v > 0 is an object. Where it declares several, or no
keypoint is visible, the annotation is one object: a pose in the centre of its box, or of the box around its visible
keypoints or its polygons. A crowd (iscrowd) is several objects without single positions, and dropped.
"""

from collections import Counter
from pathlib import Path

from src.annotations.base import (
    HIDDEN,
    NO_POSITION,
    AnnotationError,
    Clicks,
    box_centre,
    check_amount,
    class_name,
    entry,
    files_of,
    has_keys,
    image_name,
    image_size_of,
    mappings,
    number,
    parse_json,
    read_each,
)

NAME = "COCO JSON"
KEYS = ("images", "annotations", "categories")
CROWD = "crowd without single positions"
Position = tuple[float, float]


def recognises(path: Path) -> bool:
    """Whether a JSON file, or one in a folder, has images, annotations and categories."""
    return any(has_keys(file, *KEYS) for file in files_of(path, ".json"))


def read(path: Path, images: Path | None) -> list[Clicks]:
    """The clicks of each image of the list."""
    return read_each(path, (".json",), lambda file: has_keys(file, *KEYS), _read_file)


def _read_file(path: Path) -> list[Clicks]:
    data = parse_json(path)
    if not isinstance(data, dict):
        raise AnnotationError(f"{path} holds no COCO object: export it again")
    categories = {_id(c, "id", path): c for c in mappings(data.get("categories"), path, "categories")}
    found: dict[str, Clicks] = {}
    by_id: dict[str | int, Clicks] = {}
    for image in mappings(data.get("images"), path, "images"):
        size = image_size_of(image.get("height"), image.get("width"))
        by_id[_id(image, "id", path)] = entry(found, image_name(image.get("file_name"), path), size)
    amount = 0
    for annotation in mappings(data.get("annotations"), path, "annotations"):
        clicks = _named(by_id, annotation, "image_id", path)
        known = annotation.get("category_id") is not None
        category = _named(categories, annotation, "category_id", path) if known else {}
        positions, clicks_dropped = _positions(annotation, _declared(category), path)
        clicks.dropped.update(clicks_dropped)
        for position in positions:
            clicks.add(position, class_name(category.get("name")))
        amount += len(positions)
        check_amount(amount, path)
    return list(found.values())


def _id(member: dict, key: str, path: Path) -> str | int:
    value = member.get(key)
    if not isinstance(value, str | int):
        raise AnnotationError(f"{path} has an entry without {key}: export it again")
    return value


def _named(members: dict, annotation: dict, key: str, path: Path) -> object:
    value = _id(annotation, key, path)
    if value not in members:
        raise AnnotationError(f"{path} has an annotation whose {key} {value!r} is not listed: export it again")
    return members[value]


def _declared(category: dict) -> int:
    """How many keypoints each object of a category has."""
    names = category.get("keypoints")
    return len(names) if isinstance(names, list) else 0


def _positions(annotation: dict, n_declared: int, path: Path) -> tuple[list[Position], Counter[str]]:
    """Where the objects of an annotation are, and what of it was dropped."""
    if annotation.get("iscrowd") in (1, True):
        return [], Counter({CROWD: 1})
    keypoints, n_hidden = _keypoints(annotation.get("keypoints"), path)
    if keypoints and n_declared <= 1:
        return keypoints, Counter({HIDDEN: n_hidden} if n_hidden else {})
    vertices = _box(annotation.get("bbox"), path) or keypoints or _polygons(annotation.get("segmentation"), path)
    if vertices:
        return [box_centre(vertices)], Counter()
    return [], Counter({HIDDEN if n_hidden else NO_POSITION: 1})


def _keypoints(values: object, path: Path) -> tuple[list[Position], int]:
    """Those with v > 0 of a flat list of x, y, v, and how many others there are."""
    numbers = _numbers(values, 3, "keypoints", path)
    visible = [(x, y) for x, y, v in numbers if v > 0]
    return visible, len(numbers) - len(visible)


def _box(values: object, path: Path) -> list[Position]:
    """Two corners of [x, y, width, height]."""
    corners = [((x, y), (x + w, y + h)) for x, y, w, h in _numbers(values, 4, "bbox", path)]
    return list(corners[0]) if corners else []


def _polygons(values: object, path: Path) -> list[Position]:
    """All vertices of a segmentation that is polygons, not runs."""
    polygons = values if isinstance(values, list) else []
    return [(x, y) for polygon in polygons for x, y in _numbers(polygon, 2, "segmentation", path)]


def _numbers(values: object, each: int, what: str, path: Path) -> list[list[float]]:
    """A flat list of numbers in groups of `each`; none where there is no list."""
    if values is None:
        return []
    if not isinstance(values, list) or len(values) % each:
        raise AnnotationError(f"{path} has {what} that are no list of {each} numbers each: export it again")
    numbers = [number(value, path, what) for value in values]
    return [numbers[start : start + each] for start in range(0, len(numbers), each)]
