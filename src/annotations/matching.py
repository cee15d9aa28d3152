"""Find the image files that annotations name, and keep the clicks that are inside them."""

import math
import unicodedata
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path, PurePosixPath

from lcfcn.counting.defaults import IMAGE_SUFFIXES, UNREAD_SUFFIXES
from src.annotations.base import AnnotationError, Click, Clicks, files_of, visible_files

OUTSIDE = "outside the image"
DUPLICATE = "duplicate"
OTHER_CLASS = "class not asked for"
HAIR = 0.005
"""A click that is less than this outside its image, in pixels, was rounded, and moves inside."""


class ImageFolder:
    """The image files of a folder and its sub-folders, to be found by the names that annotations use.

    Parameters
    ----------
    root : Path
        The folder.
    without : set of Path
        Image files to leave out, such as those that are annotations themselves.
    files : list of Path, optional
        The image files, if they are not to be looked for.

    Attributes
    ----------
    files : list of Path
        The image files, sorted.
    """

    def __init__(self, root: Path, without: set[Path], files: list[Path] | None = None) -> None:
        self.root = root
        self.files = [file for file in files or files_of(root, *IMAGE_SUFFIXES) if file not in without]
        self._by_stem: dict[str, list[Path]] = {}
        for file in self.files:
            self._by_stem.setdefault(_folded(_without_suffix(file.name)), []).append(file)
        self._folders = {_parts(folder) for folder in {file.parent for file in self.files}}

    def name(self, file: Path) -> str:
        """Return the name of a file in this folder, a posix path."""
        return file.relative_to(self.root).as_posix()

    def find(self, image: str) -> Path | None:
        """Return the file that a source calls `image`, or None if there is none.

        Annotations may come from another machine, so the beginning of the path need not agree: of the files with the
        same last part, it is the one whose path shares the longest end with `image`. If no last part is the same, it
        may differ in its suffix (a.jpg is found for a.png), or else in upper and lower case.

        A file in another folder than the one named is taken only if that folder is not here: for day2/a.png it is never
        day1/a.png where there is a folder day2.

        Raises
        ------
        AnnotationError
            If several files fit equally well.
        """
        *parents, last = (_plain(part) for part in image.split("/"))
        candidates = self._by_stem.get(_folded(_without_suffix(last)), [])
        for spelling in (str, _without_suffix, str.casefold, _folded_stem):
            found = [file for file in candidates if spelling(_plain(file.name)) == spelling(last)]
            if found:
                return self._nearest(found, image, parents, spelling)
        return None

    def _nearest(
        self, found: list[Path], image: str, parents: Sequence[str], spelling: Callable[[str], str]
    ) -> Path | None:
        """Return the file whose folders share the longest end with `parents`, or None if it must be elsewhere."""
        exact = [file for file in found if spelling(_plain(self.name(file))) == spelling(_plain(image))]
        if len(exact) == 1:
            return exact[0]
        lengths = [common_end(_parts(file.parent), parents) for file in found]
        longest = max(lengths)
        nearest = [file for file, length in zip(found, lengths, strict=True) if length == longest]
        other = tuple(parents[-longest - 1 :])
        if longest < len(parents) and any(folder[-len(other) :] == other for folder in self._folders):
            return None
        if len(nearest) > 1:
            raise AnnotationError(
                f"{image!r} may be {self.name(nearest[0])} or {self.name(nearest[1])} in {self.root}: "
                "give its folder and suffix in the annotations, or move one away"
            )
        return nearest[0]

    def unread(self, image: str) -> Path | None:
        """Return a file that is `image`, or differs in its suffix alone, but is of a kind that is not read."""
        last = PurePosixPath(image)
        names = {last.name.casefold(), *(last.stem.casefold() + suffix for suffix in UNREAD_SUFFIXES)}
        names |= {last.name.casefold() + suffix for suffix in UNREAD_SUFFIXES}
        found = (file for file in visible_files(self.root) if file.name.casefold() in names)
        return min((file for file in found if file.suffix.lower() not in IMAGE_SUFFIXES), default=None)


def _parts(folder: Path) -> tuple[str, ...]:
    """Return the parts of a folder's absolute path."""
    return tuple(_plain(part) for part in folder.absolute().parts)


def common_end(first: Sequence[str], second: Sequence[str]) -> int:
    """Return how many parts at the end of two paths are the same."""
    length = 0
    for one, other in zip(reversed(first), reversed(second), strict=False):
        if one != other:
            break
        length += 1
    return length


def _without_suffix(name: str) -> str:
    """Return the name without the suffix of an image. Any other dot belongs to the name."""
    path = PurePosixPath(name)
    return str(path.with_suffix("")) if path.suffix.lower() in IMAGE_SUFFIXES else name


def _plain(name: str) -> str:
    """Return one spelling of letters that Unicode can spell in several ways, as macOS does in file names."""
    return unicodedata.normalize("NFC", name)


def _folded(name: str) -> str:
    return _plain(name).casefold()


def _folded_stem(name: str) -> str:
    return _without_suffix(name).casefold()


def match(clicks_list: list[Clicks], folder: ImageFolder) -> list[tuple[Path, Clicks]]:
    """Return each annotated image with its file.

    Raises
    ------
    AnnotationError
        If an image is not found, several files fit, or two annotated images are the same file.
    """
    found = [(folder.find(clicks.image), clicks) for clicks in clicks_list]
    missing = [clicks.image for file, clicks in found if file is None]
    if missing:
        raise _missing(missing, folder)
    taken: dict[Path, str] = {}
    for file, clicks in found:
        if file in taken:
            raise AnnotationError(
                f"{taken[file]!r} and {clicks.image!r} of the annotations are both {folder.name(file)}, "
                f"as no other file in {folder.root} fits: name the folder of the images by --images"
            )
        taken[file] = clicks.image
    return found


def _missing(missing: list[str], folder: ImageFolder) -> AnnotationError:
    """Return the error of images that were not found."""
    more = f" (and {len(missing) - 1} more)" if len(missing) > 1 else ""
    unread = folder.unread(missing[0])
    if unread is not None:
        kind = unread.suffix.removeprefix(".").upper()
        return AnnotationError(
            f"{folder.root} has {missing[0]!r}{more} as {folder.name(unread)}, and {kind} is not read: convert it to "
            "PNG, JPEG or TIFF"
        )
    return AnnotationError(
        f"{folder.root} has no image {missing[0]!r}{more}: name the folder that holds it by --images, or remove it "
        "from the annotations"
    )


def cleaned(clicks: Clicks, size: tuple[int, int], classes: list[str] | None) -> tuple[list[Click], Counter[str]]:
    """Keep the clicks that are inside an image, of the wanted classes, and each object once.

    A click on the outer edge, or a hair outside, moves inside. Two clicks of a class on one pixel are one object.

    Parameters
    ----------
    clicks : Clicks
        The clicks of the image.
    size : (int, int)
        Height and width of the image file.
    classes : list of str or None
        The wanted classes; None for all.

    Returns
    -------
    kept : list of Click
    dropped : Counter
        How many clicks were dropped, by reason.

    Raises
    ------
    AnnotationError
        If the source gives another size: then the clicks belong to another version of the image.
    """
    check_size(clicks, size)
    kept, seen, dropped = [], set(), Counter(clicks.dropped)
    for click in clicks.xy:
        inside = [_inside(value, limit) for value, limit in zip((click.x, click.y), size[::-1], strict=True)]
        if None in inside:
            dropped[OUTSIDE] += 1
        elif classes is not None and click.class_name not in classes:
            dropped[OTHER_CLASS] += 1
        elif (key := (*map(math.floor, inside), click.class_name)) in seen:
            dropped[DUPLICATE] += 1
        else:
            seen.add(key)
            kept.append(Click(*inside, *click[2:]))
    return kept, dropped


def check_size(clicks: Clicks, size: tuple[int, int]) -> None:
    """Raise `AnnotationError` if a source gives another size, as its clicks belong to another version of the image."""
    if clicks.image_size not in (None, size):
        (height, width), (told_height, told_width) = size, clicks.image_size
        raise AnnotationError(
            f"{clicks.image} was annotated as {told_width} x {told_height}, and the file is {width} x {height} as "
            "viewers show it, EXIF rotation applied: find the image that was annotated, or scale or turn the clicks"
        )


def _inside(value: float, limit: int) -> float | None:
    """Return the coordinate, moved inside if it is on the outer edge or a hair outside, or None if it is outside."""
    if -HAIR < value < limit + HAIR:
        return min(max(value, 0.0), math.nextafter(limit, 0))
    return None
