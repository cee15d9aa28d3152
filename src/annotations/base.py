"""Clicks as the readers of annotations return them, and safe ways to read files that may be broken or hostile.

A format is a module of this package with

- `NAME`, a str for people;
- `recognises(path: Path) -> bool`, which looks at the content of a file or a folder, is quick and never raises;
- `read(path: Path, images: Path | None, **options) -> list[Clicks]`, one entry for each annotated image in the order of
  the source, with an empty `xy` where the image has no object; `images` is the folder that --images names;
- `OPTIONS`, only if it takes any: the names of the options of `read`, which are those of the command line;
- `FRAME`, only if the tool is known: "stored" if it ignores EXIF orientation, "shown" if it turns images by it;
- and, only where annotations are images themselves, `is_annotation(path: Path) -> bool`, which sees by the name
  whether an image file is an annotation and cannot be annotated itself.

Coordinates are 0-based floats (x, y) in the frame that the tool shows, where (0, 0) is the top-left corner of the first
pixel. `src.annotations.orientation` turns those of the stored frame, and `src.annotations.shapes` turns boxes, polygons
and masks into one click each.
"""

import json
import logging
import math
import os
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import NamedTuple
from urllib.parse import unquote, urlsplit
from xml.etree.ElementTree import Element, ParseError

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring

from lcfcn.errors import UserError
from lcfcn.files import require_regular
from src.annotations.shapes import Place
from src.readers.tables import first_row, read_rows

MAX_BYTES = 1_000_000_000
"""Files with more bytes are refused before they are read."""
MAX_OBJECTS = 5_000_000
"""A source with more objects is refused. The largest public crowd data sets have two million."""
MAX_NAME = 1000
"""The longest name of an image or a class, in characters."""

DEFAULT_CLASS = "object"
"""The class of all objects where the source names no class."""

JUNK = ("__MACOSX", "@eaDir", "$RECYCLE.BIN", "System Volume Information")
"""Folders that file managers and network drives put beside files, in addition to all whose name begins with a dot."""

UNLABELLED = "unlabelled"
HIDDEN = "hidden"
NO_POSITION = "shape without a position"

BYTE_ORDER_MARKS = ((b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"))


class AnnotationError(UserError):
    """A source of annotations is unknown, incomplete or damaged. The message is one line and names the file."""


@dataclass(frozen=True)
class Options:
    """What a user says about a source, as the command line names it. None where the source has to say it itself.

    Attributes
    ----------
    format : str, optional
        The name of a format's module.
    orientation : 'stored' or 'shown', optional
        The frame of the coordinates, see `src.annotations.orientation`.
    columns : mapping, optional
        The header of a table's column, by what it means, see `src.annotations.csv_points`.
    units : 'pixels', 'fraction' or 'micrometres', optional
        What a table's coordinates are.
    pixel_size : float, optional
        The side of a pixel in micrometres, for images that do not say it.
    regions : 'drop' or 'keep', optional
        Whether an outline around other objects is an object too.
    """

    format: str | None = None
    orientation: str | None = None
    columns: Mapping[str, str] | None = None
    units: str | None = None
    pixel_size: float | None = None
    regions: str | None = None

    def of_format(self, module: ModuleType) -> dict[str, object]:
        """Return the arguments for a format's `read`; raise `UserError` for an option that it does not take."""
        given = {
            name: getattr(self, name)
            for name in ("columns", "units", "pixel_size", "regions")
            if getattr(self, name) is not None
        }
        taken = getattr(module, "OPTIONS", ())
        unfit = [name for name in given if name not in taken]
        if unfit:
            raise UserError(f"--{unfit[0].replace('_', '-')} does not go with {module.NAME}: leave it out")
        return given | ({"orientation": self.orientation} if "orientation" in taken else {})


NOTHING_SAID = Options()


class Click(NamedTuple):
    """One object: `x` and `y` in pixels, the name of its class, and its `size` if the source knows it.

    The size is the object's diameter in pixels, see `src.annotations.shapes`.
    """

    x: float
    y: float
    class_name: str
    size: float | None = None


@dataclass(frozen=True)
class Clicks:
    """One annotated image.

    Attributes
    ----------
    image : str
        The image's name in the source, see `image_name`.
    xy : list of Click
        The objects.
    image_size : (int, int) or None
        Height and width of the image, if the source gives them.
    dropped : Counter
        How many objects were left out, by reason.
    notes : list of str
        What the user should know about how the image was read, in sentences for the report.
    """

    image: str
    xy: list[Click] = field(default_factory=list)
    image_size: tuple[int, int] | None = None
    dropped: Counter[str] = field(default_factory=Counter)
    notes: list[str] = field(default_factory=list, compare=False)

    def add(self, place: Place | None, class_name: str) -> None:
        """Add an object, or count it as dropped if it has no place or no class."""
        if class_name or place is None:
            self.add_unsettled(place, class_name)
        else:
            self.dropped[UNLABELLED] += 1

    def add_unsettled(self, place: Place | None, class_name: str) -> None:
        """Add an object whose class may be "", for `src.annotations.common.settle_classes` to decide on."""
        if place is None:
            self.dropped[NO_POSITION] += 1
        else:
            self.xy.append(Click(place.x, place.y, class_name, place.size))


def entry(found: dict[str, Clicks], image: str, image_size: tuple[int, int] | None = None) -> Clicks:
    """Return the entry of an image in `found`, and make it if there is none yet."""
    if image not in found:
        found[image] = Clicks(image, image_size=image_size)
    return found[image]


def new_entry(
    found: dict[str, Clicks], image: str, size: tuple[int, int] | None, key: str, keys: dict[str, str], path: Path
) -> Clicks:
    """Return a new entry of an image, which the file `path` identifies by `key`.

    Parameters
    ----------
    found : dict
        The entries so far, by the image's name. The new one is added.
    image : str
    size : (int, int) or None
        Height and width.
    key : str
        The file's own identity of the image, for people, such as "id 3".
    keys : dict
        The identity of each image so far, by its name. The new one is added.
    path : Path

    Raises
    ------
    AnnotationError
        If another image of the file has the same name. Their objects must not be put together.
    """
    if image in keys:
        raise AnnotationError(
            f"{path} has two images called {image!r} ({keys[image]} and {key}): export them one by one, or rename one"
        )
    keys[image] = key
    return entry(found, image, size)


@contextmanager
def quiet_libraries() -> Iterator[None]:
    """Keep libraries from logging what they find odd in a file: what matters is told in an error."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(before)


def check_amount(number: int, path: Path) -> None:
    """Raise `AnnotationError` if a source has too many objects. Readers call this while they read."""
    if number > MAX_OBJECTS:
        raise AnnotationError(f"{path} has more than {MAX_OBJECTS:,} objects: split it, and import the parts")


def read_bytes(path: Path) -> bytes:
    """Return the bytes of a file; raise `AnnotationError` if it is too large or cannot be read."""
    require_regular(path, AnnotationError)
    try:
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise AnnotationError(f"{path} has {size:,} bytes; expected at most {MAX_BYTES:,}: split it")
        return path.read_bytes()
    except OSError as error:
        raise AnnotationError(f"{path} cannot be read ({error.strerror}): check the path and its rights") from None


def read_text(path: Path) -> str:
    """Return the text of a file, decoded as UTF-8 or as its byte order mark says."""
    data = read_bytes(path)
    encoding = next((name for mark, name in BYTE_ORDER_MARKS if data.startswith(mark)), "utf-8")
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise AnnotationError(f"{path} is not {encoding} text (line {line}): save it as UTF-8") from None
    if not text.strip():
        raise AnnotationError(f"{path} is empty: export it again")
    if "\0" in text:
        raise AnnotationError(f"{path} holds zero bytes, so it is not UTF-8 text: save it as UTF-8")
    return text


def read_table(
    path: Path, columns: Mapping[str, tuple[str, ...]], needed: Sequence[str]
) -> Iterator[tuple[str, dict[str, str]]]:
    """Read the rows of a CSV file, see `src.readers.tables.read_rows`; raise `AnnotationError` if it has too many."""
    text = read_text(path)
    check_amount(max(map(text.strip().count, "\r\n")), path)
    return read_rows(text, path, columns, needed, AnnotationError)


def parse_json(path: Path) -> object:
    """Return the content of a JSON file; raise `AnnotationError` if it is not JSON."""
    try:
        return json.loads(read_text(path))
    except RecursionError:
        raise AnnotationError(f"{path} is nested too deeply for annotations: export it again") from None
    except AnnotationError:
        raise
    except ValueError as error:  # JSONDecodeError, and a number of thousands of digits
        raise AnnotationError(f"{path} is not JSON ({_short(error)}): export it again") from None


def parse_xml(path: Path) -> Element:
    """Return the root of an XML file.

    Document types and entities are refused, because they can fill the memory or read other files.
    """
    try:
        return parse_xml_text(read_bytes(path))
    except DefusedXmlException:
        raise AnnotationError(
            f"{path} declares a document type or entities, which annotations never need: remove <!DOCTYPE ...>"
        ) from None
    except (ParseError, ValueError, LookupError) as error:  # the last two come from an unknown encoding
        raise AnnotationError(f"{path} is not XML ({_short(error)}): export it again") from None


def parse_xml_text(text: str | bytes) -> Element:
    """Return the root of XML without document types and entities; raise the errors of the parser."""
    return fromstring(text, forbid_dtd=True)


def files_of(path: Path, *suffixes: str) -> list[Path]:
    """Return the file itself, or the files of a folder and its sub-folders with one of the suffixes, sorted.

    The suffixes are lower case and match any case. Hidden files and folders are passed over, such as the `._a.json` of
    macOS, and so are the folders in `JUNK`.
    """
    if not os.path.isdir(path):  # unlike Path's own it never raises
        return [path] if path.suffix.lower() in suffixes and os.path.isfile(path) else []
    return sorted(file for file in visible_files(path) if file.suffix.lower() in suffixes and os.path.isfile(file))


def visible_files(folder: Path) -> Iterator[Path]:
    """Yield the files of a folder and its sub-folders that are neither hidden nor in a folder of `JUNK`."""
    for parent, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not is_hidden(name))
        yield from (Path(parent, name) for name in names if not is_hidden(name))


def is_hidden(name: str) -> bool:
    """Whether a file or folder of this name is passed over."""
    return name.startswith(".") or name in JUNK


def has_keys(path: Path, *keys: str) -> bool:
    """Whether a JSON file has each of the keys, at any depth and in any order. It never raises and parses nothing."""
    try:
        text = read_text(path)
    except AnnotationError:
        return False
    return text.lstrip()[:1] in {"{", "["} and all(re.search(rf'"{re.escape(key)}"\s*:', text) for key in keys)


def has_root(path: Path, tag: str) -> bool:
    """Whether an XML file seems to begin with an element of this name. It never raises and parses nothing."""
    try:
        with path.open("rb") as file:
            data = file.read(1 << 16).replace(b"\0", b"")  # without the zeros of UTF-16
    except OSError:
        return False
    return re.search(rb"<%b[\s>/]" % tag.encode(), data) is not None


def first_line(path: Path) -> str:
    """Return the first line of a text file that is not blank nor Excel's `sep=;`, or "" if there is none.

    It never raises.
    """
    return first_row(start_of(path))


def start_of(path: Path, n_bytes: int = 1 << 16) -> str:
    """Return the beginning of a text file, or "" if it cannot be read. It never raises."""
    try:
        with path.open("rb") as file:
            data = file.read(n_bytes)
    except OSError:
        return ""
    encoding = next((name for mark, name in BYTE_ORDER_MARKS if data.startswith(mark)), "utf-8")
    return data.decode(encoding, errors="replace")


def image_name(value: object, path: Path) -> str:
    """Return the name of an image as a posix path without root and "..", from `value` in the file `path`.

    Annotations name images by paths of other machines: a backslash counts as a slash, and a drive, a leading slash, the
    host of a URL and ".." are left out. Such a name leads nowhere by itself. `src.annotations.matching` looks for the
    image file that ends in it.

    Raises
    ------
    AnnotationError
        If the value is not the name of a file.
    """
    if not isinstance(value, str) or not value.strip():
        raise AnnotationError(f"{path} names an image {_short(value)}; expected a file name: fix it")
    posix = _path_of_url(value.strip()).replace("\\", "/")
    if len(posix) > MAX_NAME or not posix.isprintable():
        raise AnnotationError(f"{path} names an image {_short(value)}, which is not a file name: fix it")
    parts: list[str] = []
    for part in re.sub("^/*[A-Za-z]:/", "", posix).split("/"):
        if part == "..":
            parts = parts[:-1]
        elif part not in ("", "."):
            parts.append(part)
    if not parts:
        raise AnnotationError(f"{path} names an image {_short(value)}; expected a file name: fix it")
    return "/".join(parts)


def _path_of_url(text: str) -> str:
    """Return the path of a URL, and any other text as it is."""
    if not re.match("[A-Za-z][A-Za-z0-9+.-]+://", text):
        return text
    try:
        return unquote(urlsplit(text).path)
    except ValueError:
        return text


def identifier(value: object) -> str | int | None:
    """Return an identity that is the same for 1, 1.0 and "1", or None if the value is none."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, bool) or not isinstance(value, str | int):
        return None
    return int(value) if isinstance(value, str) and re.fullmatch("0|[1-9][0-9]{0,17}", value) else value


def class_name(value: object) -> str:
    """Return the name of a class on one line, or "" if there is none."""
    if isinstance(value, bool) or not isinstance(value, str | int):
        return ""
    text = str(value) if isinstance(value, str) or abs(value) < 2**63 else ""
    text = text[:MAX_NAME]
    return " ".join((text if text.isprintable() else "".join(c if c.isprintable() else " " for c in text)).split())


def number(value: object, path: Path, what: str) -> float:
    """Return a finite number from a file. `what` names it in the error, such as "x of line 3"."""
    try:
        result = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        result = math.nan
    if not math.isfinite(result):
        raise AnnotationError(f"{path} has {_short(value)} as {what}; expected a finite number: fix it")
    return result


def image_size_of(height: object, width: object) -> tuple[int, int] | None:
    """Return (height, width) if a source gives both as whole numbers above 0, else None."""
    try:
        size = int(str(height)), int(str(width))
    except ValueError:
        return None
    return size if min(size) > 0 else None


def read_each(
    path: Path, suffixes: tuple[str, ...], fits: Callable[[Path], bool], read_one: Callable[[Path], list[Clicks]]
) -> list[Clicks]:
    """Read the file, or all files of a folder with these suffixes, by `read_one`.

    A file that does not fit the format is an error. It may be a damaged one, whose image would silently count as not
    annotated.
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
        check_amount(sum(len(clicks.xy) for _, clicks in found.values()), path)
    return [clicks for _, clicks in found.values()]


def mappings(value: object, path: Path, what: str) -> Iterator[dict]:
    """Yield the members of a JSON list; raise `AnnotationError` unless each of them is an object."""
    if not isinstance(value, list) or not all(isinstance(member, dict) for member in value):
        raise AnnotationError(f"{path}: {what} is {_short(value)}; expected a list of objects: export it again")
    yield from value


def _short(value: object) -> str:
    """Return a value in few characters, for a message, without looking into lists and objects."""
    if isinstance(value, list | dict):
        return "a list" if isinstance(value, list) else "an object"
    text = " ".join(str(value).split()) if isinstance(value, Exception) else repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
