"""From clicks as a source gives them to clicks in image files that are there."""

import math
import unicodedata
from collections import Counter
from pathlib import Path, PurePosixPath

from lcfcn.counting.defaults import IMAGE_SUFFIXES
from src.annotations.base import AnnotationError, Clicks, files_of

OUTSIDE = "outside the image"
DUPLICATE = "duplicate"
OTHER_CLASS = "class not asked for"


class ImageFolder:
    """The image files of a folder and its sub-folders, found by the names that annotations have for them.

    Parameters
    ----------
    root : Path
    without : set of Path
        Image files that are none to annotate.
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
        """The name of a file in this folder, a posix path."""
        return file.relative_to(self.root).as_posix()

    def find(self, image: str) -> Path | None:
        """The file that a source calls `image`, None if there is none.

        It is the file of that path; else the one whose path ends so, or ends as the name does, as far as that goes;
        the suffix may differ if no file has it.

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
                        "give its folder and suffix in the annotations, or move one out"
                    )
                if found:
                    return (exact or found)[0]
        return None

    def _names(self, file: Path) -> set[str]:
        name = self.name(file)
        return {_plain(name), _plain(_without_suffix(name))}


def _tails(name: str) -> list[str]:
    """a/b/c, b/c, c."""
    parts = name.split("/")
    return ["/".join(parts[start:]) for start in range(len(parts))]


def _without_suffix(name: str) -> str:
    """The name without the suffix of an image; another dot belongs to the name."""
    path = PurePosixPath(name)
    return str(path.with_suffix("")) if path.suffix.lower() in IMAGE_SUFFIXES else name


def _plain(name: str) -> str:
    """One spelling of letters that Unicode spells in several ways, as macOS does in file names."""
    return unicodedata.normalize("NFC", name)


def match(clicks_list: list[Clicks], folder: ImageFolder) -> list[tuple[Path, Clicks]]:
    """The file of each annotated image.

    Raises
    ------
    AnnotationError
        If an image is not found, several files fit, or two annotated images are one file.
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


def cleaned(
    clicks: Clicks, size: tuple[int, int], classes: list[str] | None
) -> tuple[list[tuple[float, float, str]], Counter[str]]:
    """The clicks inside an image of (height, width), each object once, of these classes; and what was dropped, by
    reason.

    A click on the outer edge of the last row or column is moved inside by the least number there is. Two clicks of a
    class on one pixel are one object.

    Raises
    ------
    AnnotationError
        If the source tells another size: the clicks belong to another version of the image.
    """
    if clicks.size not in (None, size):
        (height, width), (told_height, told_width) = size, clicks.size
        raise AnnotationError(
            f"{clicks.image} was annotated as {told_width} x {told_height}, and the file is {width} x {height} as "
            "viewers show it, EXIF rotation applied: find the image that was annotated, or scale or turn the clicks"
        )
    kept, seen, dropped = [], set(), Counter(clicks.dropped)
    for x, y, name in clicks.point_list:
        inside = [_inside(value, limit) for value, limit in zip((x, y), size[::-1], strict=True)]
        if None in inside:
            dropped[OUTSIDE] += 1
        elif classes is not None and name not in classes:
            dropped[OTHER_CLASS] += 1
        elif (key := (*map(math.floor, inside), name)) in seen:
            dropped[DUPLICATE] += 1
        else:
            seen.add(key)
            kept.append((*inside, name))
    return kept, dropped


def _inside(value: float, limit: int) -> float | None:
    if value == limit:
        return math.nextafter(limit, 0)
    return value if 0 <= value < limit else None
