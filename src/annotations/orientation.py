"""Turn clicks into the frame in which an image is shown.

A camera that is held upright stores the image as it lies on the sensor, and an EXIF orientation (1 to 8; EXIF 2.32,
table 6) that says how to turn it. Some annotation tools ignore the orientation, so their clicks are in the frame as
stored. This project turns the image, so such clicks have to be turned too.

If a source gives the size of an image, and a quarter turn changes it, the size tells the frame. It cannot tell half
turns and mirrored images, nor square ones. Then it is the frame that the other images of the source have, or that the
user names, or that the tool is known to use. If none of these is known, the source is refused.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from lcfcn.counting.image_files import image_orientation, image_size
from src.annotations.base import AnnotationError, Click, Clicks

STORED, SHOWN = FRAMES = ("stored", "shown")


class Frame(NamedTuple):
    """Height and width of an image as its file stores it, and its EXIF orientation, 1 to 8."""

    height: int
    width: int
    orientation: int

    @property
    def shown(self) -> tuple[int, int]:
        """Height and width after the image has been turned."""
        return (self.width, self.height) if self.orientation >= 5 else (self.height, self.width)

    def size(self, frame: str | None) -> tuple[int, int]:
        """Return height and width in the frame "stored", or else as shown."""
        return (self.height, self.width) if frame == STORED else self.shown

    def turned(self, x: float, y: float) -> tuple[float, float]:
        """Return the place in the image as shown of a place in the image as stored.

        >>> Frame(height=80, width=120, orientation=3).turned(30, 20)
        (90, 60)
        >>> Frame(height=80, width=120, orientation=6).turned(30, 20)
        (60, 30)
        """
        right, down = self.width - x, self.height - y
        by_orientation = {
            **{1: (x, y), 2: (right, y), 3: (right, down), 4: (x, down)},
            **{5: (y, x), 6: (down, x), 7: (down, right), 8: (y, right)},
        }
        return by_orientation[self.orientation]


def frame_of(image: Path) -> Frame:
    """Read the frame of an image from its header."""
    orientation, (height, width) = image_orientation(image), image_size(image)
    return Frame(width, height, orientation) if orientation >= 5 else Frame(height, width, orientation)


def upright(
    found: Sequence[tuple[Path, Clicks]], *, asked: str | None, known: str | None, source: Path
) -> tuple[list[tuple[Path, Clicks, tuple[int, int]]], int]:
    """Return the images with their clicks in the frame that is shown.

    Parameters
    ----------
    found : sequence of (Path, Clicks)
        Image files with the clicks as they were read.
    asked : "stored", "shown" or None
        The frame that the user names.
    known : "stored", "shown" or None
        The frame that the tool is known to use.
    source : Path
        The annotations, for messages.

    Returns
    -------
    upright : list of (Path, Clicks, (height, width))
        The size is that of the image as shown.
    n_turned : int
        How many images had clicks that were turned.

    Raises
    ------
    AnnotationError
        If the frame of an image is not certain, or a size contradicts `asked`.
    """
    frames = [frame_of(file) for file, _ in found]
    told = [_frame_by_size(clicks, frame) for (_, clicks), frame in zip(found, frames, strict=True)]
    _check_asked(asked, told, found)
    others = set(told) - {None}
    default = asked or (others.pop() if len(others) == 1 else None) or known
    open_ones = [
        file.name
        for (file, clicks), frame, frame_name in zip(found, frames, told, strict=True)
        if frame.orientation != 1 and clicks.xy and not (frame_name or default) and _may_be_of(clicks, frame)
    ]
    if open_ones:
        raise AnnotationError(
            f"{len(open_ones)} images of {source} carry an EXIF orientation (such as {open_ones[0]}), and their size "
            "does not tell whether the tool turned them: add --orientation stored if it ignores EXIF, or --orientation "
            "shown"
        )
    chosen = [frame_name or default for frame_name in told]
    pairs = [_turn(clicks, frame, name) for (_, clicks), frame, name in zip(found, frames, chosen, strict=True)]
    n_turned = sum(is_turned for _, is_turned in pairs)
    files = [file for file, _ in found]
    return [(f, c, frame.shown) for f, (c, _), frame in zip(files, pairs, frames, strict=True)], n_turned


def _frame_by_size(clicks: Clicks, frame: Frame) -> str | None:
    """Return the frame that the size in the annotations tells, or None if it tells none."""
    stored = frame.size(STORED)
    if clicks.image_size is None or stored == frame.shown:
        return None
    return {stored: STORED, frame.shown: SHOWN}.get(clicks.image_size)


def _may_be_of(clicks: Clicks, frame: Frame) -> bool:
    """Whether the size in the annotations is one of the image; another size is told when the clicks are checked."""
    return clicks.image_size in (None, frame.size(STORED), frame.shown)


def _check_asked(asked: str | None, told: Sequence[str | None], found: Sequence[tuple[Path, Clicks]]) -> None:
    for frame, (_, clicks) in zip(told, found, strict=True):
        if asked and frame and frame != asked:
            height, width = clicks.image_size
            raise AnnotationError(
                f"{clicks.image} was annotated as {width} x {height}, which is its size as {frame}: leave out "
                f"--orientation {asked}"
            )


def _turn(clicks: Clicks, frame: Frame, name: str | None) -> tuple[Clicks, bool]:
    """Return the clicks in the frame that is shown, and whether they had to be turned."""
    if name != STORED or frame.orientation == 1:
        return clicks, False
    xy = [Click(*frame.turned(click.x, click.y), *click[2:]) for click in clicks.xy]
    size = frame.shown if clicks.image_size == frame.size(STORED) else clicks.image_size
    return replace(clicks, xy=xy, image_size=size), bool(xy)
