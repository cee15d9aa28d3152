"""COCO JSON. Each image in its list of images counts as annotated.

An annotation with several keypoints is a pose, which is one object, if its category declares several keypoints or if it
has a box or polygons too. Otherwise each keypoint with v > 0 is an object. A pose, and an annotation without a visible
keypoint, is clicked at the centre of its box, or else of the box around its visible keypoints or its polygons. The box
or the polygons give its size. A crowd (iscrowd) stands for several objects without positions, and is dropped.
"""

from collections import Counter
from pathlib import Path

from src.annotations.base import (
    HIDDEN,
    NO_POSITION,
    AnnotationError,
    Clicks,
    check_amount,
    class_name,
    files_of,
    has_keys,
    identifier,
    image_name,
    image_size_of,
    mappings,
    new_entry,
    number,
    parse_json,
    read_each,
)
from src.annotations.shapes import XY, Place, box_centre, place_of_box, place_of_polygons

NAME = "COCO JSON"
KEYS = ("images", "annotations", "categories")
CROWD = "crowd without single positions"


def recognises(path: Path) -> bool:
    """Whether a JSON file, or one in a folder, has images, annotations and categories."""
    return any(has_keys(file, *KEYS) for file in files_of(path, ".json"))


def read(path: Path, images: Path | None) -> list[Clicks]:
    """Read the clicks of each image of the list."""
    return read_each(path, (".json",), lambda file: has_keys(file, *KEYS), _read_file)


def _read_file(path: Path) -> list[Clicks]:
    data = parse_json(path)
    if not isinstance(data, dict):
        raise AnnotationError(f"{path} is not a COCO file; expected a JSON object: export it again")
    categories = _by_id(data.get("categories"), path, "categories")
    images = _by_id(data.get("images"), path, "images")
    annotations = list(mappings(data.get("annotations"), path, "annotations"))
    _check_poses(annotations, categories, path)
    found: dict[str, Clicks] = {}
    keys: dict[str, str] = {}
    by_id: dict[str | int, Clicks] = {}
    for id_, image in images.items():
        size = image_size_of(_whole(image.get("height")), _whole(image.get("width")))
        by_id[id_] = new_entry(found, _name_of(image, path), size, f"id {id_}", keys, path)
    amount = 0
    for annotation in annotations:
        clicks = _named(by_id, annotation, "image_id", path)
        known = annotation.get("category_id") is not None
        category = _named(categories, annotation, "category_id", path) if known else {}
        places, dropped = _places(annotation, _declared(category), path)
        clicks.dropped.update(dropped)
        for place in places:
            clicks.add(place, class_name(category.get("name")))
        amount += len(places)
        check_amount(amount, path)
    return list(found.values())


def _by_id(members: object, path: Path, what: str) -> dict[str | int, dict]:
    """Return the members of a list by their id; raise `AnnotationError` if two have the same one."""
    found: dict[str | int, dict] = {}
    for member in mappings(members, path, what):
        id_ = _id(member, "id", path)
        if id_ in found:
            one, other = (str(m.get("file_name", m.get("name")))[:80] for m in (found[id_], member))
            raise AnnotationError(f"{path} has two {what} with the id {id_} ({one} and {other}): export it again")
        found[id_] = member
    return found


def _name_of(image: dict, path: Path) -> str:
    """Return the name of an image; some tools write its address or its path instead."""
    names = (image.get(key) for key in ("file_name", "coco_url", "path", "filename", "name"))
    return image_name(next(filter(None, names), None), path)


def _whole(value: object) -> object:
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _id(member: dict, key: str, path: Path) -> str | int:
    value = identifier(member.get(key))
    if value is None:
        raise AnnotationError(f"{path} has an entry without {key}, or one that is no number or text: export it again")
    return value


def _named(members: dict, annotation: dict, key: str, path: Path) -> object:
    value = _id(annotation, key, path)
    if value not in members:
        raise AnnotationError(f"{path} has an annotation whose {key} {value!r} is not listed: export it again")
    return members[value]


def _check_poses(annotations: list[dict], categories: dict[str | int, dict], path: Path) -> None:
    """Raise `AnnotationError` if annotations have equally many keypoints, and nothing says whether they are poses."""
    counts = [
        len(annotation["keypoints"]) // 3
        for annotation in annotations
        if isinstance(annotation.get("keypoints"), list)
        and not (annotation.get("bbox") or annotation.get("segmentation"))
        and not _declared(categories.get(identifier(annotation.get("category_id")), {}))
    ]
    if len(counts) > 1 and len(set(counts)) == 1 and counts[0] > 1:
        raise AnnotationError(
            f"{path} has {counts[0]} keypoints in each annotation, which may be one object or {counts[0]}: list the "
            "names of the keypoints in its categories if they are one, or one annotation for each object"
        )


def _declared(category: dict) -> int:
    """Return how many keypoints each object of a category has."""
    names = category.get("keypoints")
    return len(names) if isinstance(names, list) else 0


def _places(annotation: dict, n_declared: int, path: Path) -> tuple[list[Place], Counter[str]]:
    """Return the places of the objects of an annotation, and how many objects are dropped, by reason."""
    if annotation.get("iscrowd") in (1, True):
        return [], Counter({CROWD: 1})
    keypoints, n_hidden = _keypoints(annotation.get("keypoints"), path)
    box = _place_of_box(annotation.get("bbox"), path)
    has_area = (box is not None and box.size is not None) or bool(annotation.get("segmentation"))
    is_pose = n_declared > 1 or (has_area and len(keypoints) + n_hidden > 1)
    if keypoints and not is_pose:
        return [Place(x, y) for x, y in keypoints], Counter({HIDDEN: n_hidden} if n_hidden else {})
    place = box if box is not None and (box.size is not None or not keypoints) else None
    if place is None and keypoints:
        place = Place(*box_centre(keypoints))
    if place is None:
        place = place_of_polygons(_polygons(annotation.get("segmentation"), path))
    if place is None:
        return [], Counter({HIDDEN if n_hidden else NO_POSITION: 1})
    return [place], Counter()


def _keypoints(values: object, path: Path) -> tuple[list[XY], int]:
    """Return the keypoints with v > 0 of a flat list of x, y, v, and the number of the others."""
    numbers = _numbers(values, 3, "keypoints", path)
    visible = [(x, y) for x, y, v in numbers if v > 0]
    return visible, len(numbers) - len(visible)


def _place_of_box(values: object, path: Path) -> Place | None:
    """Return the place of [x, y, width, height], None if there is no box."""
    boxes = _numbers(values, 4, "bbox", path)
    if not boxes:
        return None
    x, y, width, height = boxes[0]
    return place_of_box(x, y, x + width, y + height)


def _polygons(values: object, path: Path) -> list[list[XY]]:
    """Return the polygons of a segmentation; a segmentation of runs has none."""
    polygons = values if isinstance(values, list) else []
    return [[(x, y) for x, y in _numbers(polygon, 2, "segmentation", path)] for polygon in polygons]


def _numbers(values: object, each: int, what: str, path: Path) -> list[list[float]]:
    """Return a flat list of numbers in groups of `each`; nothing comes of a value that is not there."""
    if values is None:
        return []
    if not isinstance(values, list) or len(values) % each:
        raise AnnotationError(f"{path} has {what} that are not a list of {each} numbers each: export it again")
    numbers = [number(value, path, what) for value in values]
    return [numbers[start : start + each] for start in range(0, len(numbers), each)]
