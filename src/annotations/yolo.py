"""YOLO: a text file for each image, named after it, with a line for each object: its class, then fractions.

`src.annotations.yolo_lines` reads the lines: boxes, polygons, turned boxes and poses, with or without a confidence.
Coordinates are fractions of the image's width and height from its top-left corner (Ultralytics' documentation, "Object
detection datasets overview"), so the reader needs the images for their sizes. An empty file says that the image has no
object. An image without a file is not annotated. The folder `labels` is beside the folder `images`: labels/a.txt
belongs to images/a.jpg. `src.annotations.yolo_names` finds the names of the classes.
"""

from pathlib import Path

from src.annotations.base import AnnotationError, Clicks, check_amount, files_of, read_bytes, read_each, read_text
from src.annotations.common import named_after
from src.annotations.image_sizes import ImageSizes
from src.annotations.yolo_lines import Line, form_of, line_of, looks_like_a_line, place_of_line
from src.annotations.yolo_names import LINE_NAMES, Names, find_names, names_of

NAME = "YOLO (a .txt for each image: boxes, polygons, turned boxes or poses)"
OPTIONS = ("orientation",)
LISTS = ("train.txt", "val.txt", "valid.txt", "test.txt", "notes.txt", "requirements.txt", "license.txt")
"""Text files beside labels that are not labels."""


def recognises(path: Path) -> bool:
    """Whether a text file, or one in a folder, begins with an object, or all are empty and a file names the classes."""
    starts = [_start(file) for file in _label_files(path)]
    return any(map(looks_like_a_line, starts)) or (bool(starts) and not any(starts) and bool(find_names(path)))


def read(path: Path, images: Path | None, *, orientation: str | None = None) -> list[Clicks]:
    """Read the clicks of the image of each text file."""
    root = path if path.is_dir() else path.parent
    sizes, names = ImageSizes(images or root, orientation), names_of(path)
    files = set(_label_files(path))
    lines = {file: _lines_of(file) for file in sorted(files) if _fits(file)}
    check_amount(sum(map(len, lines.values())), path)
    form = form_of([line for members in lines.values() for line in members], names, path)
    return read_each(
        path,
        (".txt",),
        lambda file: file not in files or file in lines,
        lambda file: [_read_file(file, root, sizes, names, form, lines[file])] if file in files else [],
    )


def _label_files(path: Path) -> list[Path]:
    return [
        file
        for file in files_of(path, ".txt")
        if file.name.lower() not in (*LINE_NAMES, *LISTS) and not file.name.lower().startswith("readme")
    ]


def _fits(file: Path) -> bool:
    start = _start(file)
    return not start or looks_like_a_line(start, slack=1.0)


def _start(file: Path) -> str:
    """Return the first line, or "" for an empty file. It never raises."""
    try:
        with file.open("rb") as opened:
            lines = opened.read(1 << 16).decode(errors="replace").split("\n")
    except OSError:
        return "?"
    return next((line for line in lines if line.strip()), "")


def _lines_of(file: Path) -> list[Line]:
    lines = read_text(file).splitlines() if read_bytes(file).strip() else []
    return [line_of(line, file, index) for index, line in enumerate(lines, start=1) if line.strip()]


def _read_file(file: Path, root: Path, sizes: ImageSizes, names: Names, form: str, lines: list[Line]) -> Clicks:
    name = named_after(file, root, labels="images")
    height, width = sizes.needed_size(name, file)
    clicks = Clicks(name)
    for line in lines:
        clicks.add(place_of_line(line, form, width, height), _class_of(line.label, names.classes, file))
    return clicks


def _class_of(label: int, names: list[str] | None, file: Path) -> str:
    if names is None:
        return f"class {label}"
    if label >= len(names):
        raise AnnotationError(f"{file} has the class {label}, and only {len(names)} classes have a name: add its name")
    return names[label]
