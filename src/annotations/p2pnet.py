"""P2PNet's lists: train.list and others, with a line `images/a.jpg labels/a.txt` for each image.

A text file has a line `x y` for each object, in pixels from the image's top-left corner, (0, 0). An empty file says
that the image has no object. Paths may be those of another machine: the file is found by the end of its path.
"""

from pathlib import Path

from lcfcn.counting.defaults import IMAGE_SUFFIXES
from src.annotations.base import (
    DEFAULT_CLASS,
    AnnotationError,
    Click,
    Clicks,
    check_amount,
    files_of,
    first_line,
    image_name,
    number,
    read_bytes,
    read_text,
)
from src.annotations.matching import common_end

NAME = "P2PNet lists (train.list with lines images/a.jpg labels/a.txt)"
SUFFIXES = (".list", ".txt")


def recognises(path: Path) -> bool:
    """Whether a list, or one in a folder, names an image and a text file in its first line."""
    return any(_pair(first_line(file)) for file in files_of(path, *SUFFIXES))


def read(path: Path, images: Path | None) -> list[Clicks]:
    """Read the points of each image of each list."""
    root = path if path.is_dir() else path.parent
    texts = files_of(root, ".txt")
    found: dict[str, tuple[Path, Clicks]] = {}
    for file in files_of(path, *SUFFIXES):
        if not _pair(first_line(file)):
            continue
        for index, line in enumerate(read_text(file).splitlines(), start=1):
            if line.strip():
                _add(line, f"line {index}", file, texts, found)
    return [clicks for _, clicks in found.values()]


def _pair(line: str) -> tuple[str, str] | None:
    """Return the paths of an image and of a text file, or None if a line has something else."""
    image, _, text = line.strip().rpartition(" ") if " " in line else line.strip().rpartition("\t")
    is_pair = Path(image.strip()).suffix.lower() in IMAGE_SUFFIXES and text.lower().endswith(".txt")
    return (image.strip(), text) if is_pair else None


def _add(line: str, where: str, file: Path, texts: list[Path], found: dict[str, tuple[Path, Clicks]]) -> None:
    pair = _pair(line)
    if pair is None:
        raise AnnotationError(f"{file} has {line.strip()[:80]!r} in {where}; expected an image and a .txt file: fix it")
    name, text = image_name(pair[0], file), _text_file(image_name(pair[1], file), file, texts)
    if name in found:
        if found[name][0] != text:
            raise AnnotationError(f"{found[name][0]} and {text} both annotate {name}: remove a line of {file}")
        return
    clicks = Clicks(name)
    lines = read_text(text).splitlines() if read_bytes(text).strip() else []
    check_amount(len(lines), text)
    for index, row in enumerate(lines, start=1):
        fields = row.replace(",", " ").split()
        if len(fields) not in (0, 2):
            raise AnnotationError(f"{text} has {len(fields)} numbers in line {index}; expected x and y: fix it")
        if fields:
            x, y = (number(field, text, f"a number of line {index}") for field in fields)
            clicks.xy.append(Click(x, y, DEFAULT_CLASS))
    found[name] = text, clicks


def _text_file(name: str, file: Path, texts: list[Path]) -> Path:
    """Return the text file that a list calls `name`: beside it, or else the one with the longest common end."""
    beside = file.parent / name
    if beside in texts:
        return beside
    parts = name.split("/")
    lengths = {text: common_end(text.absolute().parts, parts) for text in texts}
    longest = max(lengths.values(), default=0)
    nearest = [text for text, length in lengths.items() if length == longest]
    if not longest or len(nearest) > 1:
        what = f"several files end in {name}" if longest else f"there is no {name}"
        raise AnnotationError(
            f"{file} needs the points of {name}, and {what} beside it: name the folder that holds both"
        )
    return nearest[0]
