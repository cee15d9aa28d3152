"""Label Studio's exports JSON, JSON_MIN and CSV: key points, and the centres of rectangles, ellipses and polygons.

Coordinates are PERCENT of `original_width` and `original_height`, the size as browsers show the image, from its
top-left corner. A rectangle turns about its top-left corner, clockwise (https://labelstud.io/tags/keypointlabels and
/rectanglelabels, "Result parameters"). A task without an annotation, or whose annotations were cancelled, is not
annotated. A task with an empty result has no object. If a task has several annotations, the reader takes the one marked
as ground truth, or else the first. It leaves predictions out. A region inside another one (`parentID`), such as a joint
of a pose, is part of that object.

If a task has several images, each result belongs to the one that its `to_name` names, or its `item_index` in a list of
images. `src.annotations.label_studio_images` finds out what an image is called. JSON_MIN and CSV have a row for each
annotation, and name no image for their results.
"""

import json
import math
from collections.abc import Iterable, Iterator
from pathlib import Path

from src.annotations.base import (
    AnnotationError,
    Clicks,
    check_amount,
    class_name,
    files_of,
    first_line,
    has_keys,
    identifier,
    image_size_of,
    mappings,
    number,
    parse_json,
    read_each,
    read_text,
)
from src.annotations.common import settle_classes
from src.annotations.label_studio_images import images_of_task, name_of
from src.annotations.matching import ImageFolder
from src.annotations.orientation import SHOWN
from src.annotations.shapes import XY, Place, known_size, place_of_ellipse, place_of_polygons
from src.readers.tables import SEPARATORS, all_rows, first_row, header_names

NAME = "Label Studio JSON, JSON_MIN or CSV"
FRAME = SHOWN
SUFFIXES = (".json", ".csv", ".tsv")
KEYS = ("data", "annotations")
MIN_KEYS = ("annotation_id", "annotator")
FURTHER = "in a further annotation of the image"
PART = "part of another object"


def recognises(path: Path) -> bool:
    """Whether a file, or one in a folder, is a list of tasks with data and annotations, or their short form."""
    return any(_fits(file) for file in files_of(path, *SUFFIXES))


def read(path: Path, images: Path | None) -> list[Clicks]:
    """Read the clicks of each annotated image."""
    root = path if path.is_dir() else path.parent
    folder = ImageFolder(images or root, set())
    return settle_classes(read_each(path, SUFFIXES, _fits, lambda file: _read_file(file, folder)))


def _fits(file: Path) -> bool:
    if file.suffix.lower() != ".json":
        header = first_line(file)
        return set(MIN_KEYS) <= set(header_names(header, max(SEPARATORS, key=header.count)))
    return _is_full(file) or _is_short(file)


def _is_full(file: Path) -> bool:
    return has_keys(file, *KEYS) and not has_keys(file, "images", "categories")


def _is_short(file: Path) -> bool:
    return has_keys(file, *MIN_KEYS) and not has_keys(file, "annotations")


def _read_file(file: Path, folder: ImageFolder) -> list[Clicks]:
    is_json = file.suffix.lower() == ".json"
    tasks = list(_full_tasks(file) if is_json and _is_full(file) else _short_tasks(file, is_json=is_json))
    used = _used_names(tasks, file)
    found: dict[str, Clicks] = {}
    amount = 0
    for data, annotations in tasks:
        for clicks in _read_task(_used_images(data, used, file), annotations, folder, file):
            if clicks.image in found:
                raise AnnotationError(f"{file} has two tasks of the image {clicks.image!r}: remove one")
            found[clicks.image] = clicks
            amount += len(clicks.xy)
            check_amount(amount, file)
    return list(found.values())


def _used_names(tasks: list[tuple[dict, list[dict]]], file: Path) -> set[str]:
    """Return the names of the images that results of a file belong to."""
    results = (r for _, annotations in tasks for a in annotations for r in mappings(a.get("result"), file, "result"))
    return {result["to_name"] for result in results if isinstance(result.get("to_name"), str)}


def _used_images(data: dict, used: set[str], file: Path) -> dict[tuple[str, int], str]:
    """Return the paths of a task's images. Of several keys, those that no result of the file names are left out."""
    urls = images_of_task(data)
    if not urls:
        raise AnnotationError(f"{file} has a task with 0 images; expected data with one: export it again")
    keys = {key for key, _ in urls}
    wanted = (keys & used) or (keys if used or "image" not in keys else {"image"})
    return {place: url for place, url in urls.items() if place[0] in wanted}


def _full_tasks(file: Path) -> Iterator[tuple[dict, list[dict]]]:
    """Yield data and annotations of each annotated task of a JSON export."""
    data = parse_json(file)
    for task in mappings([data] if isinstance(data, dict) else data, file, "the list of tasks"):
        annotations = [a for a in mappings(task.get("annotations"), file, "annotations") if not a.get("was_cancelled")]
        if annotations:
            yield _data_of(task, file), annotations


def _data_of(task: dict, file: Path) -> dict:
    if not isinstance(task.get("data"), dict):
        raise AnnotationError(f"{file} has a task without data: export it again")
    return task["data"]


def _short_tasks(file: Path, *, is_json: bool) -> Iterator[tuple[dict, list[dict]]]:
    """Yield data and annotations of each task of a JSON_MIN or CSV export, whose rows are annotations."""
    rows = mappings(parse_json(file), file, "the list of annotations") if is_json else _csv_rows(file)
    by_task: dict[object, tuple[dict, list[dict]]] = {}
    for index, row in enumerate(rows):
        key = identifier(row.get("id"))
        data, annotations = by_task.setdefault(("row", index) if key is None else key, (row, []))
        annotations.append({"result": list(_short_results(row))})
    yield from by_task.values()


def _csv_rows(file: Path) -> Iterator[dict]:
    """Yield the rows of a CSV export. Cells that are JSON are taken as such."""
    text = read_text(file)
    header = first_row(text)
    separator = max(SEPARATORS, key=header.count)
    names = [name.strip('" ') for name in header.split(separator)]
    for _, cells in all_rows(text, file, separator, AnnotationError):
        yield {name: _cell(cell) for name, cell in zip(names, cells, strict=False)}


def _cell(text: str) -> object:
    if not text.startswith("["):
        return text
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _short_results(row: dict) -> Iterator[dict]:
    """Yield the regions of a row in the form that the full export has."""
    for members in row.values():
        for value in members if isinstance(members, list) else []:
            if isinstance(value, dict) and "original_width" in value:
                sizes = {key: value[key] for key in ("original_width", "original_height") if key in value}
                yield {"value": value, "image_rotation": value.get("image_rotation"), **sizes}


def _read_task(
    urls: dict[tuple[str, int], str], annotations: list[dict], folder: ImageFolder, file: Path
) -> Iterator[Clicks]:
    """Yield the clicks of each image of a task."""
    chosen = next((a for a in annotations if a.get("ground_truth") is True), annotations[0])
    results = list(mappings(chosen.get("result"), file, "result"))
    by_image = _results_by_image(results, urls, file)
    further = sum(len(list(mappings(a.get("result"), file, "result"))) for a in annotations if a is not chosen)
    for key, url in urls.items():
        members = by_image.get(key, [])
        sizes = (image_size_of(result.get("original_height"), result.get("original_width")) for result in members)
        clicks = Clicks(name_of(url, folder, file), image_size=next(filter(None, sizes), None))
        _add_objects(members, clicks, file)
        if further:
            clicks.dropped[FURTHER] += further
            further = 0
        yield clicks


def _results_by_image(results: list[dict], urls: dict[tuple[str, int], str], file: Path) -> dict[tuple, list[dict]]:
    """Return the results of each image of a task, by its key in the data and its number in a list of images."""
    if len(urls) == 1:
        return {next(iter(urls)): results}
    found: dict[tuple, list[dict]] = {}
    keys = {key for key, _ in urls}
    for result in results:
        name, index = result.get("to_name"), result.get("item_index", 0)
        key = (next(iter(keys)) if len(keys) == 1 else name, index)
        if key not in urls or (len(keys) == 1 and "item_index" not in result):
            raise AnnotationError(
                f"{file} has a task with {len(urls)} images ({', '.join(sorted(keys))}), and a result that belongs to "
                f"{str(name)[:80] if name else 'none'}: export it as JSON, with the images called as in the data"
            )
        found.setdefault(key, []).append(result)
    return found


def _add_objects(results: list[dict], clicks: Clicks, file: Path) -> None:
    """Add the object of each region. The results of one region share an id."""
    found: dict[object, tuple[Place | None, str]] = {}
    parents: dict[object, object] = {}
    for index, result in enumerate(results):
        value = result.get("value")
        if not isinstance(value, dict) or not {"x", "points", "rle"} & set(value):
            continue  # a choice, text or rating of the whole image
        key = result["id"] if isinstance(result.get("id"), str) else index
        _, label = found.get(key, (None, ""))
        found[key] = _place(value, result, file), label or _class_of(value)
        parents[key] = result.get("parentID", result.get("parent_id"))
    for key, (place, label) in found.items():
        if isinstance(parents[key], str) and parents[key] in found and parents[key] != key:
            clicks.dropped[PART] += 1
        else:
            clicks.add_unsettled(place, label)


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
        return place_of_polygons([[pixels(*pair) for pair in _pairs(value["points"], file)]])
    x, y = pixels(value.get("x"), value.get("y"))
    if "radiusX" in value and "radiusY" in value:
        return place_of_ellipse(x, y, *pixels(value["radiusX"], value["radiusY"]))
    if "width" in value and "height" in value:
        w, h = pixels(value["width"], value["height"])
        angle = math.radians(number(value.get("rotation", 0), file, "rotation of a region"))
        centre_x = x + (w * math.cos(angle) - h * math.sin(angle)) / 2
        centre_y = y + (w * math.sin(angle) + h * math.cos(angle)) / 2
        return Place(centre_x, centre_y, known_size((abs(w) + abs(h)) / 2))
    return Place(x, y)


def _pairs(pairs: object, file: Path) -> Iterable[list]:
    if not isinstance(pairs, list) or not pairs or not all(isinstance(p, list) and len(p) == 2 for p in pairs):
        raise AnnotationError(f"{file} has a polygon that is not a list of [x, y]: export it again")
    return pairs
