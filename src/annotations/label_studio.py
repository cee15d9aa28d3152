"""Label Studio's JSON export: key points, and the centres of rectangles, ellipses and polygons.

Coordinates are PERCENT of `original_width` and `original_height`, the size as browsers show the image, from its
top-left corner. A rectangle turns about its top-left corner, clockwise (https://labelstud.io/tags/keypointlabels and
/rectanglelabels, "Result parameters"). A task without an annotation, or whose annotations were cancelled, is not
annotated. A task with an empty result has no object. If a task has several annotations, the reader takes the one marked
as ground truth, or else the first. It leaves predictions out.

The image is named by the end of the task's URL or path. Label Studio puts eight digits before the names of uploaded
files (`1a2b3c4d-name.jpg`). The image may have them too.
"""

import math
import re
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

from lcfcn.counting.defaults import IMAGE_SUFFIXES
from src.annotations.base import (
    AnnotationError,
    Clicks,
    check_amount,
    class_name,
    files_of,
    has_keys,
    image_name,
    image_size_of,
    mappings,
    number,
    parse_json,
    read_each,
)
from src.annotations.common import settle_classes
from src.annotations.matching import ImageFolder
from src.annotations.shapes import XY, Place, known_size, place_of_ellipse, place_of_polygons

NAME = "Label Studio JSON"
KEYS = ("data", "annotations")
FURTHER = "in a further annotation of the image"
UPLOAD = re.compile(r"^/?data/upload/(?:.*/)?(?P<prefix>[0-9a-f]{8}-)(?P<name>[^/]+)$")


def recognises(path: Path) -> bool:
    """Whether a JSON file, or one in a folder, is a list of tasks with data and annotations."""
    return any(_fits(file) for file in files_of(path, ".json"))


def read(path: Path, images: Path | None) -> list[Clicks]:
    """Read the clicks of each annotated task."""
    root = path if path.is_dir() else path.parent
    folder = ImageFolder(images or root, set())
    return settle_classes(read_each(path, (".json",), _fits, lambda file: _read_file(file, folder)))


def _fits(file: Path) -> bool:
    return has_keys(file, *KEYS) and not has_keys(file, "images", "categories")


def _read_file(file: Path, folder: ImageFolder) -> list[Clicks]:
    found: dict[str, Clicks] = {}
    amount = 0
    data = parse_json(file)
    for task in mappings([data] if isinstance(data, dict) else data, file, "the list of tasks"):
        annotations = [a for a in mappings(task.get("annotations"), file, "annotations") if not a.get("was_cancelled")]
        if annotations:
            clicks = _read_task(task, annotations, folder, file)
            if clicks.image in found:
                raise AnnotationError(f"{file} has two tasks of the image {clicks.image!r}: remove one")
            found[clicks.image] = clicks
            amount += len(clicks.xy)
            check_amount(amount, file)
    return list(found.values())


def _read_task(task: dict, annotations: list[dict], folder: ImageFolder, file: Path) -> Clicks:
    chosen = next((a for a in annotations if a.get("ground_truth") is True), annotations[0])
    results = list(mappings(chosen.get("result"), file, "result"))
    sizes = (image_size_of(result.get("original_height"), result.get("original_width")) for result in results)
    clicks = Clicks(_image_of(task, folder, file), image_size=next(filter(None, sizes), None))
    for place, label in _objects(results, file):
        clicks.add_unsettled(place, label)
    further = [r for a in annotations if a is not chosen for r in mappings(a.get("result"), file, "result")]
    if further:
        clicks.dropped[FURTHER] += len(further)
    return clicks


def _image_of(task: dict, folder: ImageFolder, file: Path) -> str:
    """Return the name of a task's image: of its upload, with the digits if an image file has them, or its path."""
    data = task.get("data")
    texts = [text for text in data.values() if isinstance(text, str)] if isinstance(data, dict) else []
    urls = [url for url in map(_path_of, texts) if Path(url).suffix.lower() in IMAGE_SUFFIXES]
    if isinstance(data, dict) and isinstance(data.get("image"), str):
        urls = [_path_of(data["image"])]
    if len(urls) != 1:
        raise AnnotationError(f"{file} has a task with {len(urls)} images; expected data with one: export it again")
    upload = UPLOAD.match(urls[0])
    if upload is None:
        return image_name(urls[0].lstrip("/"), file)
    with_digits = image_name(upload["prefix"] + upload["name"], file)
    return with_digits if folder.find(with_digits) else image_name(upload["name"], file)


def _path_of(text: str) -> str:
    """Return the path in a URL or a path. Local storage writes it as ?d=path."""
    try:
        url = urlsplit(text)
    except ValueError:
        return text
    if not url.scheme and not url.path.startswith("/data/"):
        return text
    return parse_qs(url.query).get("d", [unquote(url.path)])[0]


def _objects(results: list[dict], file: Path) -> list[tuple[Place | None, str]]:
    """Return place and class of each region. The results of one region share an id."""
    found: dict[object, tuple[Place | None, str]] = {}
    for index, result in enumerate(results):
        value = result.get("value")
        if not isinstance(value, dict) or not {"x", "points", "rle"} & set(value):
            continue  # a choice, text or rating of the whole image
        key = result["id"] if isinstance(result.get("id"), str) else index
        _, label = found.get(key, (None, ""))
        found[key] = _place(value, result, file), label or _class_of(value)
    return list(found.values())


def _class_of(value: dict) -> str:
    """Return the only label of a region, or "" if there are none or several."""
    lists = [labels for key, labels in value.items() if key.endswith("labels") and isinstance(labels, list)]
    return class_name(lists[0][0]) if len(lists) == 1 and len(lists[0]) == 1 else ""


def _place(value: dict, result: dict, file: Path) -> Place | None:
    """Return the place of a region in pixels, or None for a brush."""
    if result.get("image_rotation") not in (None, 0):
        raise AnnotationError(f"{file} has regions of an image that was turned: turn it back in Label Studio")
    if "rle" in value:
        return None
    width, height = (number(result.get(key), file, key) for key in ("original_width", "original_height"))

    def pixels(x: object, y: object) -> XY:
        return (
            number(x, file, "x of a region") * width / 100,
            number(y, file, "y of a region") * height / 100,
        )

    if "points" in value:
        pairs = value["points"]
        if not isinstance(pairs, list) or not pairs or not all(isinstance(p, list) and len(p) == 2 for p in pairs):
            raise AnnotationError(f"{file} has a polygon that is not a list of [x, y]: export it again")
        return place_of_polygons([[pixels(*pair) for pair in pairs]])
    x, y = pixels(value.get("x"), value.get("y"))
    if "width" in value and "height" in value:
        w, h = pixels(value["width"], value["height"])
        angle = math.radians(number(value.get("rotation", 0), file, "rotation of a region"))
        centre_x = x + (w * math.cos(angle) - h * math.sin(angle)) / 2
        centre_y = y + (w * math.sin(angle) + h * math.cos(angle)) / 2
        return Place(centre_x, centre_y, known_size((abs(w) + abs(h)) / 2))
    if "radiusX" in value and "radiusY" in value:
        return place_of_ellipse(x, y, *pixels(value["radiusX"], value["radiusY"]))
    return Place(x, y)
