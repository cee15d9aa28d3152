"""YOLO boxes: a text file for each image, named after it, with lines `class cx cy width height`; centres and sizes.

Coordinates are fractions of the image's width and height from its top-left corner (Ultralytics' documentation, "Object
detection datasets overview"), so the reader needs the images for their sizes. An empty file says that the image has no
object. An image without a file is not annotated. The folder `labels` is beside the folder `images`: labels/a.txt
belongs to images/a.jpg. The names of the classes come from `names` in data.yaml, or from the lines of classes.txt,
obj.names or predefined_classes.txt.
"""

from pathlib import Path

import yaml

from lcfcn.counting.image_files import image_size
from src.annotations.base import (
    AnnotationError,
    Clicks,
    class_name,
    files_of,
    read_bytes,
    read_each,
    read_text,
)
from src.annotations.common import named_after
from src.annotations.matching import ImageFolder
from src.annotations.shapes import Place, known_size

NAME = "YOLO boxes (a .txt for each image)"
YAML_NAMES = ("data.yaml", "data.yml", "dataset.yaml")
LINE_NAMES = ("classes.txt", "obj.names", "predefined_classes.txt")
LISTS = ("train.txt", "val.txt", "valid.txt", "test.txt", "notes.txt")
"""Text files beside labels that are not labels."""


def recognises(path: Path) -> bool:
    """Whether a text file, or one in a folder, begins with a box, or all are empty and a file names the classes."""
    files = _label_files(path)
    starts = [_start(file) for file in files]
    return any(map(_is_box, starts)) or (bool(files) and not any(starts) and _names_file(path) is not None)


def read(path: Path, images: Path | None) -> list[Clicks]:
    """Read the clicks of the image of each text file."""
    root = path if path.is_dir() else path.parent
    folder, names = ImageFolder(images or root, set()), _class_names(path)
    files = set(_label_files(path))
    return read_each(
        path,
        (".txt",),
        lambda file: file not in files or not _start(file) or _is_box(_start(file)),
        lambda file: [_read_file(file, root, folder, names)] if file in files else [],
    )


def _label_files(path: Path) -> list[Path]:
    return [
        file
        for file in files_of(path, ".txt")
        if file.name.lower() not in (*LINE_NAMES, *LISTS) and not file.name.lower().startswith("readme")
    ]


def _start(file: Path) -> str:
    """Return the first line, or "" for an empty file. It never raises."""
    try:
        with file.open("rb") as opened:
            lines = opened.read(1 << 12).decode(errors="replace").split("\n")
    except OSError:
        return "?"
    return next((line for line in lines if line.strip()), "")


def _is_box(line: str) -> bool:
    fields = line.split()
    try:
        return len(fields) == 5 and fields[0].isdecimal() and all(0 <= float(field) <= 1 for field in fields[1:])
    except ValueError:
        return False


def _read_file(file: Path, root: Path, folder: ImageFolder, names: list[str] | None) -> Clicks:
    name = named_after(file, root, labels="images")
    image = folder.find(name)
    if image is None:
        raise AnnotationError(
            f"{file} needs the size of its image, and {folder.root} has no {name}: name the image's folder by --images"
        )
    height, width = image_size(image)
    clicks = Clicks(name)
    for index, line in enumerate(read_text(file).splitlines() if read_bytes(file).strip() else [], start=1):
        if line.strip():
            label, x, y, w, h = _box(line, file, index)
            place = Place(x * width, y * height, known_size((w * width + h * height) / 2))
            clicks.add(place, _class_of(label, names, file))
    return clicks


def _box(line: str, file: Path, index: int) -> tuple[str, float, float, float, float]:
    """Return class, cx, cy, width and height."""
    if not _is_box(line):
        raise AnnotationError(
            f"{file} has {line.strip()[:60]!r} in line {index}; expected class cx cy width height, the latter four "
            "from 0 to 1: export it as YOLO detection"
        )
    label, *numbers = line.split()
    return label, *map(float, numbers)


def _class_of(label: str, names: list[str] | None, file: Path) -> str:
    if names is None:
        return f"class {int(label)}"
    if len(label) > 9 or int(label) >= len(names):
        raise AnnotationError(
            f"{file} has the class {label[:20]}, and only {len(names)} classes have a name: add its name"
        )
    return names[int(label)]


def _names_file(path: Path) -> Path | None:
    """Return the file that names the classes: in the folder, in the one above `labels`, or anywhere below."""
    root = path if path.is_dir() else path.parent
    known = (*YAML_NAMES, *LINE_NAMES)
    folders = (root, root.absolute().parent) if root.absolute().name == "labels" else (root,)
    beside = [folder / name for folder in folders for name in known]
    below = [file for file in files_of(root, ".yaml", ".yml", ".txt", ".names") if file.name in known]
    return next((file for file in [*beside, *below] if file.is_file()), None)


def _class_names(path: Path) -> list[str] | None:
    """Return the names of the classes in the order of their numbers, or None if no file has them."""
    file = _names_file(path)
    if file is None:
        return None
    if file.name in LINE_NAMES:
        names: object = read_text(file).strip().splitlines()
    else:
        names = _yaml_names(file)
    if isinstance(names, dict) and set(names) == set(range(len(names))):
        names = [names[index] for index in range(len(names))]
    if not isinstance(names, list) or not names or not all(map(class_name, names)):
        raise AnnotationError(f"{file} names no classes; expected a name for each, numbered from 0: fix it")
    return [class_name(name) for name in names]


def _yaml_names(file: Path) -> object:
    try:
        data = yaml.safe_load(read_text(file))
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # ValueError for impossible dates
        if isinstance(error, AnnotationError):
            raise
        raise AnnotationError(f"{file} is not YAML: fix it, or name the classes in a classes.txt") from None
    return data.get("names") if isinstance(data, dict) else None
