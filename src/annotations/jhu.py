"""JHU-CROWD++: gt/0001.txt and images/0001.jpg; heads with sizes.

A line is `x y w h o b`: the centre of a head in pixels, the sides of its box, how occluded it is, and whether it is
blurred (the data set's README). Sindagi et al. (TPAMI 2020) name no convention for the coordinates: the reader counts
them from the image's top-left corner, (0, 0). An empty file says that there is nobody.
"""

from pathlib import Path

from src.annotations.base import (
    AnnotationError,
    Click,
    Clicks,
    check_amount,
    files_of,
    number,
    read_bytes,
    read_each,
    read_text,
)
from src.annotations.common import named_after
from src.annotations.nwpu import CLASS
from src.annotations.shapes import known_size

NAME = "JHU-CROWD++ (gt/0001.txt and images/0001.jpg)"
FOLDER = "gt"
N_COLUMNS = 6


def recognises(path: Path) -> bool:
    """Whether a text file in a folder called gt begins with a head."""
    return any(_is_head(_start(file)) for file in _files(path))


def read(path: Path, images: Path | None) -> list[Clicks]:
    """Read the heads of each image that has a file."""
    root = path if path.is_dir() else path.parent
    files = set(_files(path))
    return read_each(path, (".txt",), lambda file: True, lambda file: [_read_file(file, root)] if file in files else [])


def _files(path: Path) -> list[Path]:
    return [file for file in files_of(path, ".txt") if file.absolute().parent.name == FOLDER]


def _start(file: Path) -> str:
    try:
        with file.open("rb") as opened:
            return opened.read(1 << 12).decode(errors="replace").partition("\n")[0]
    except OSError:
        return ""


def _is_head(line: str) -> bool:
    """Whether a line holds six whole numbers, as no fractions are."""
    fields = line.replace(",", " ").split()
    return len(fields) == N_COLUMNS and all(field.lstrip("-").isdecimal() for field in fields)


def _read_file(file: Path, root: Path) -> Clicks:
    clicks = Clicks(named_after(file, root, **{FOLDER: "images"}))
    lines = read_text(file).splitlines() if read_bytes(file).strip() else []
    check_amount(len(lines), file)
    for index, line in enumerate(lines, start=1):
        fields = line.replace(",", " ").split()
        if not fields:
            continue
        if len(fields) != N_COLUMNS:
            raise AnnotationError(f"{file} has {len(fields)} numbers in line {index}; expected x y w h o b: fix it")
        x, y, width, height, *_ = (number(field, file, f"a number of line {index}") for field in fields)
        clicks.xy.append(Click(x, y, CLASS, known_size((abs(width) + abs(height)) / 2)))
    return clicks
