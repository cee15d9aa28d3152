"""Find the image files that annotations name, and keep the clicks that are inside them."""

import math
import unicodedata
from collections import Counter
from pathlib import Path, PurePosixPath

from lcfcn.counting.defaults import IMAGE_SUFFIXES
from src.annotations.base import AnnotationError, Click, Clicks, files_of

OUTSIDE = "outside the image"
DUPLICATE = "duplicate"
OTHER_CLASS = "class not asked for"


class ImageFolder:
    """The image files of a folder and its sub-folders, to be found by the names that annotations use.

    Parameters
    ----------
    root : Path
        The folder.
    without : set of Path
        Image files to leave out, such as those that are annotations themselves.

    Attributes
    ----------
    files : list of Path
        The image files, sorted.
    """

    def __init__(self, root: Path, without: set[Path]) -> None:
        self.root = root
        self.files = [file for file in files_of(root, *IMAGE_SUFFIXES) if file not in without]
        self._by_tail: dict[str, list[Path]] = {}
        for file in self.files:
            for tail in _tails(self.name(file)):
                for key in {tail, _without_suffix(tail)}:
                    self._by_tail.setdefault(_plain(key), []).append(file)

    def name(self, file: Path) -> str:
        """Return the name of a file in this folder, a posix path."""
        return file.relative_to(self.root).as_posix()

    def find(self, image: str) -> Path | None:
        """Return the file that a source calls `image`, or None if there is none.

        For "a/b/c.png" it is the file a/b/c.png in the folder. If there is none, it is the file whose path ends in
        a/b/c.png, or else in b/c.png, or else in c.png. If there is none either, the same search runs again without
        regard to the suffix, so that c.jpg is found too.

        Raises
        ------
        AnnotationError
            If several files fit equally well.
        """
        for wanted in (image, _without_suffix(image)):
            for tail in _tails(wanted):
                found = self._by_tail.get(_plain(tail), [])
                exact = [file for file in found if _plain(wanted) in self._names(file)]
                if len(exact or found) > 1:
                    raise AnnotationError(
                        f"{image!r} may be {self.name(found[0])} or {self.name(found[1])} in {self.root}: "
                        "give its folder and suffix in the annotations, or move one away"
                    )
                if found:
                    return (exact or found)[0]
        return None

    def _names(self, file: Path) -> set[str]:
        name = self.name(file)
        return {_plain(name), _plain(_without_suffix(name))}


def _tails(name: str) -> list[str]:
    """Return a/b/c, b/c and c for a/b/c."""
    parts = name.split("/")
    return ["/".join(parts[start:]) for start in range(len(parts))]


def _without_suffix(name: str) -> str:
    """Return the name without the suffix of an image. Any other dot belongs to the name."""
    path = PurePosixPath(name)
    return str(path.with_suffix("")) if path.suffix.lower() in IMAGE_SUFFIXES else name


def _plain(name: str) -> str:
    """Return one spelling of letters that Unicode can spell in several ways, as macOS does in file names."""
    return unicodedata.normalize("NFC", name)


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
        more = f" (and {len(missing) - 1} more)" if len(missing) > 1 else ""
        raise AnnotationError(
            f"{folder.root} has no image {missing[0]!r}{more}: name the folder of the images by --images"
        )
    taken: dict[Path, str] = {}
    for file, clicks in found:
        if file in taken:
            raise AnnotationError(
                f"{taken[file]!r} and {clicks.image!r} of the annotations are both {folder.name(file)}, "
                f"as no other file in {folder.root} fits: name the folder of the images by --images"
            )
        taken[file] = clicks.image
    return found


def cleaned(clicks: Clicks, size: tuple[int, int], classes: list[str] | None) -> tuple[list[Click], Counter[str]]:
    """Keep the clicks that are inside an image, of the wanted classes, and each object once.

    A click on the outer edge of the last row or column moves inside by the smallest possible step. Two clicks of a
    class on one pixel are one object.

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
    if clicks.image_size not in (None, size):
        (height, width), (told_height, told_width) = size, clicks.image_size
        raise AnnotationError(
            f"{clicks.image} was annotated as {told_width} x {told_height}, and the file is {width} x {height} as "
            "viewers show it, EXIF rotation applied: find the image that was annotated, or scale or turn the clicks"
        )
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


def _inside(value: float, limit: int) -> float | None:
    """Return the coordinate, moved inside if it is on the outer edge, or None if it is outside."""
    if value == limit:
        return math.nextafter(limit, 0)
    return value if 0 <= value < limit else None
