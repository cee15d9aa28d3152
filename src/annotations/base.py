"""What all readers of annotations share: the clicks they give, and how they take files that may be broken or hostile.

A format is a module of this package with

- `NAME`, a str for people;
- `recognises(path: Path) -> bool`, by content and cheaply, of a file or a folder; it never raises;
- `read(path: Path, images: Path | None) -> list[Clicks]`, one entry per annotated image in the order of the source,
  with an empty `point_list` where there is no object; `images` is the folder that --images named;
- and, only where annotations are images themselves, `is_annotation(path: Path) -> bool`, by name: they are none of the
  images that could be annotated.

Coordinates are those of the image as viewers show it, EXIF rotation applied: 0-based floats, (0, 0) the top-left corner
of the first pixel. Whatever has an extent (a box, polygon, circle, mask) is clicked in the centre of its bounding box.
"""

import json
import math
import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath, PureWindowsPath
from xml.etree.ElementTree import Element, ParseError

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring

from lcfcn.errors import UserError
from src.readers.tables import read_rows

MAX_BYTES = 1_000_000_000
"""Larger files are refused before they are read."""
MAX_OBJECTS = 5_000_000
"""A source with more objects is refused; the largest public crowd sets have two million."""
MAX_NAME = 1000
"""The longest name of an image or a class, in characters."""

DEFAULT_CLASS = "object"
"""The class of each object where the format has none."""

UNLABELLED = "unlabelled"
HIDDEN = "hidden"
NO_POSITION = "shape without a position"

BYTE_ORDER_MARKS = ((b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"))


class AnnotationError(UserError):
    """A source of annotations that is unknown, incomplete or damaged, told in one line that names the file."""


@dataclass(frozen=True)
class Clicks:
    """One annotated image.

    `image` is its name as the source gives it, a posix path that may hold folders and never climbs; `point_list` holds
    (x, y, class name); `size` is (height, width) if the source tells; `dropped` counts what was left out, by reason.
    """

    image: str
    point_list: list[tuple[float, float, str]] = field(default_factory=list)
    size: tuple[int, int] | None = None
    dropped: Counter[str] = field(default_factory=Counter)

    def add(self, position: tuple[float, float] | None, class_name: str) -> None:
        """Add an object, or count it as dropped if it has no position or no class."""
        if position is None:
            self.dropped[NO_POSITION] += 1
        elif not class_name:
            self.dropped[UNLABELLED] += 1
        else:
            self.point_list.append((*position, class_name))


def entry(found: dict[str, Clicks], image: str, size: tuple[int, int] | None = None) -> Clicks:
    """The entry of an image in `found`, which is made when the image is named first."""
    if image not in found:
        found[image] = Clicks(image, size=size)
    return found[image]


def check_amount(number: int, path: Path) -> None:
    """AnnotationError if a source has too many objects; readers ask while they read."""
    if number > MAX_OBJECTS:
        raise AnnotationError(f"{path} has more than {MAX_OBJECTS:,} objects: split it, and import the parts")


def read_bytes(path: Path) -> bytes:
    """A whole file, unless it is too large."""
    try:
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise AnnotationError(f"{path} has {size:,} bytes; expected at most {MAX_BYTES:,}: split it")
        return path.read_bytes()
    except OSError as error:
        raise AnnotationError(f"{path} cannot be read ({error.strerror}): check the path and its rights") from None


def read_text(path: Path) -> str:
    """A whole text file: UTF-8, or what its byte order mark says."""
    data = read_bytes(path)
    encoding = next((name for mark, name in BYTE_ORDER_MARKS if data.startswith(mark)), "utf-8")
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise AnnotationError(f"{path} is no {encoding} text (line {line}): save it as UTF-8") from None
    if not text.strip():
        raise AnnotationError(f"{path} is empty: export it again")
    if "\0" in text:
        raise AnnotationError(f"{path} holds zero bytes, so it is no UTF-8 text: save it as UTF-8")
    return text


def read_table(
    path: Path, columns: Mapping[str, tuple[str, ...]], needed: Sequence[str]
) -> Iterator[tuple[str, dict[str, str]]]:
    """`src.readers.tables.read_rows` of a file, unless it has too many rows."""
    text = read_text(path).lstrip("\r\n")
    check_amount(max(map(text.count, "\r\n")) - 1, path)
    return read_rows(text, path, columns, needed, AnnotationError)


def parse_json(path: Path) -> object:
    """What a JSON file holds."""
    try:
        return json.loads(read_text(path))
    except RecursionError:
        raise AnnotationError(f"{path} is nested too deeply for JSON of annotations: export it again") from None
    except AnnotationError:
        raise
    except ValueError as error:  # JSONDecodeError, and a number of thousands of digits
        raise AnnotationError(f"{path} is no JSON ({_short(error)}): export it again") from None


def parse_xml(path: Path) -> Element:
    """The root of an XML file; document types and entities, which can be bombs or name other files, are refused."""
    data = read_bytes(path)
    try:
        return fromstring(data, forbid_dtd=True)
    except DefusedXmlException:
        raise AnnotationError(
            f"{path} declares a document type or entities, which annotations never need: take <!DOCTYPE ...> out"
        ) from None
    except (ParseError, ValueError, LookupError) as error:  # the latter two for what it says of its encoding
        raise AnnotationError(f"{path} is no XML ({_short(error)}): export it again") from None


def files_of(path: Path, *suffixes: str) -> list[Path]:
    """The file itself, or those of a folder and its sub-folders with one of the suffixes (lower case), sorted."""
    if not os.path.isdir(path):  # unlike Path's own it never raises
        return [path] if path.suffix.lower() in suffixes and os.path.isfile(path) else []
    return sorted(file for file in path.rglob("*") if file.suffix.lower() in suffixes and os.path.isfile(file))


def has_keys(path: Path, *keys: str) -> bool:
    """Whether a JSON file has each of the keys, at any depth and in any order; never raises, parses nothing."""
    try:
        text = read_text(path)
    except AnnotationError:
        return False
    return text.lstrip()[:1] in {"{", "["} and all(re.search(rf'"{re.escape(key)}"\s*:', text) for key in keys)


def first_line(path: Path) -> str:
    """The first line of a text file that is not blank, "" where there is none; never raises."""
    try:
        with path.open("rb") as file:
            data = file.read(1 << 16)
    except OSError:
        return ""
    encoding = next((name for mark, name in BYTE_ORDER_MARKS if data.startswith(mark)), "utf-8")
    return next((line for line in data.decode(encoding, errors="replace").splitlines() if line.strip()), "")


def image_name(value: object, path: Path) -> str:
    """The name of an image as a posix path, from `value` in the file `path`; one that climbs is refused.

    Backslashes count as slashes: Windows wrote them.
    """
    if not isinstance(value, str) or not value.strip():
        raise AnnotationError(f"{path} names an image {_short(value)}; expected a file name: fix it")
    posix = value.strip().replace("\\", "/")
    if len(posix) > MAX_NAME or not posix.isprintable():
        raise AnnotationError(f"{path} names an image {_short(value)}, which is no file name: fix it")
    parts = PurePosixPath(posix).parts
    if posix.startswith("/") or PureWindowsPath(posix).drive or ".." in parts or not parts:
        raise AnnotationError(
            f"{path} names the image {_short(value)}; expected a name inside the folder of images, "
            "without .. and not from the root: fix it"
        )
    return "/".join(parts)


def class_name(value: object) -> str:
    """The name of a class on one line, "" if there is none."""
    if isinstance(value, bool) or not isinstance(value, str | int):
        return ""
    text = str(value) if isinstance(value, str) or abs(value) < 2**63 else ""
    text = text[:MAX_NAME]
    return " ".join((text if text.isprintable() else "".join(c if c.isprintable() else " " for c in text)).split())


def number(value: object, path: Path, what: str) -> float:
    """A finite number from a file; `what` says in the error which one, such as "x of line 3"."""
    try:
        result = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        result = math.nan
    if not math.isfinite(result):
        raise AnnotationError(f"{path} has {_short(value)} as {what}; expected a finite number: fix it")
    return result


def image_size_of(height: object, width: object) -> tuple[int, int] | None:
    """(height, width) if a source tells both as whole numbers, else None."""
    try:
        size = int(str(height)), int(str(width))
    except ValueError:
        return None
    return size if min(size) > 0 else None


def box_centre(vertices: Iterable[tuple[float, float]]) -> tuple[float, float]:
    """(x, y) of the centre of the bounding box of vertices, one or more."""
    xs, ys = zip(*vertices, strict=True)
    return min(xs) / 2 + max(xs) / 2, min(ys) / 2 + max(ys) / 2


def read_each(
    path: Path, suffixes: tuple[str, ...], fits: Callable[[Path], bool], read_one: Callable[[Path], list[Clicks]]
) -> list[Clicks]:
    """What `read_one` gives of the file, or of all files of a folder that end so; each must fit.

    A file that doesn't fit is an error: it may be a damaged one, whose image would silently count as not annotated.
    """
    found: dict[str, tuple[Path, Clicks]] = {}
    for file in files_of(path, *suffixes):
        if not fits(file):
            raise AnnotationError(f"{file} is of another format than the rest of {path}: name one file, or move it out")
        for clicks in read_one(file):
            if clicks.image in found:
                other = found[clicks.image][0]
                raise AnnotationError(f"{other} and {file} both annotate {clicks.image}: name one file, or join them")
            found[clicks.image] = file, clicks
        check_amount(sum(len(clicks.point_list) for _, clicks in found.values()), path)
    return [clicks for _, clicks in found.values()]


def mappings(value: object, path: Path, what: str) -> Iterator[dict]:
    """The members of a JSON list, each of which must be an object."""
    if not isinstance(value, list) or not all(isinstance(member, dict) for member in value):
        raise AnnotationError(f"{path}: {what} is {_short(value)}; expected a list of objects: export it again")
    yield from value


def _short(value: object) -> str:
    """A value in few characters, for a message; what is nested is not looked into."""
    if isinstance(value, list | dict):
        return "a list" if isinstance(value, list) else "an object"
    text = " ".join(str(value).split()) if isinstance(value, Exception) else repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
