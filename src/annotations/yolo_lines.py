"""The lines of YOLO's text files: `class` and then fractions, in one of several forms.

- A box: cx cy width height, and perhaps a confidence, or the number of a track.
- A polygon, or a turned box of four corners: x1 y1 x2 y2 x3 y3 and so on, and perhaps a confidence.
- A pose: a box, and x y or x y visibility of each of its keypoints. The box's centre is clicked.

Polygons and poses may look alike. The data's yaml tells poses by `kpt_shape`. Without a yaml, a pose is known by its
visibilities of 0, 1 and 2; and numbers that may be both are refused.
"""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from src.annotations.base import AnnotationError
from src.annotations.shapes import Place, known_size, place_of_polygons
from src.annotations.yolo_names import Names

HAIR = 0.01
"""Tools round, so a fraction may be so far outside 0 to 1."""
POLYGON, POSE, BOX = "polygon", "pose", "box"
N_BOX = 4
MAX_CLASS = 10**6
STRAY = 1.5
"""A corner of a polygon is no further from its neighbour than this share of the polygon's length."""


class Line(NamedTuple):
    """One object: the number of its class, and the numbers behind it."""

    label: int
    values: tuple[float, ...]
    where: str


def looks_like_a_line(text: str, slack: float = HAIR) -> bool:
    """Whether a line begins with a class and four fractions; `slack` is how far they may be outside 0 to 1."""
    numbers = _numbers(text)
    if numbers is None or len(numbers) < 1 + N_BOX or not _is_class(numbers[0]):
        return False
    return all(-slack <= number <= 1 + slack for number in numbers[1 : 1 + N_BOX])


def _numbers(text: str) -> list[float] | None:
    try:
        return [float(field) for field in text.split()]
    except ValueError:
        return None


def _is_class(number: float) -> bool:
    return 0 <= number < MAX_CLASS and number == int(number)


def line_of(text: str, file: Path, index: int) -> Line:
    """Read a line; raise `AnnotationError` if it is none."""
    numbers = _numbers(text)
    where = f"line {index}"
    if numbers is None or len(numbers) < 1 + N_BOX or not all(map(math.isfinite, numbers)) or not _is_class(numbers[0]):
        raise AnnotationError(
            f"{file} has {text.strip()[:60]!r} in {where}; expected a class and fractions, such as class cx cy width "
            "height: export it as YOLO"
        )
    outside = [number for number in numbers[1 : 1 + N_BOX] if not -HAIR <= number <= 1 + HAIR]
    if outside:
        raise AnnotationError(
            f"{file} has {outside[0]:g} in {where}; expected fractions of the image's size, from 0 to 1: fix it"
        )
    return Line(int(numbers[0]), tuple(numbers[1:]), where)


def form_of(lines: Sequence[Line], names: Names, path: Path) -> str:
    """Return the form of the lines that are longer than boxes, the same for all files of a source.

    Parameters
    ----------
    lines : sequence of Line
    names : Names
        What the yaml of the data tells.
    path : Path
        For messages.

    Raises
    ------
    AnnotationError
        If the lines may be polygons or poses, or are neither.
    """
    longer = [line for line in lines if len(line.values) > N_BOX + 1]
    lengths = {len(line.values) for line in longer}
    if names.keypoints is not None:
        expected = N_BOX + math.prod(names.keypoints)
        if lengths - {expected, expected + 1}:
            raise AnnotationError(
                f"{path} has lines of {1 + max(lengths)} numbers; expected {1 + expected} by the kpt_shape of its "
                "yaml: fix kpt_shape"
            )
        return POSE
    if not longer or all(_is_tracked(line.values) for line in longer):
        return BOX
    are_alike = len(lengths) == 1 and len(longer) == len(lines)  # as poses are
    if are_alike and all(_has_visibilities(line.values) for line in longer):
        return POSE
    if are_alike and not names.by_yaml and _may_be_poses(longer):
        raise AnnotationError(
            f"{path} has lines of {1 + len(longer[0].values)} numbers, which may be polygons or boxes with keypoints: "
            "add the yaml of the data, with kpt_shape for keypoints"
        )
    return _checked(longer, POLYGON, path)


def _may_be_poses(lines: Sequence[Line]) -> bool:
    """Whether lines fit as boxes with pairs inside, and not as well as polygons.

    Neighbouring corners of a polygon are near each other. Width and height of a box, read as a corner, are mostly far
    from the others.
    """
    if len(lines[0].values) % 2 or not all(_is_pose(line.values) for line in lines):
        return False
    return any(_has_stray_corner(line.values) for line in lines)


def _has_stray_corner(values: tuple[float, ...]) -> bool:
    """Whether the second corner is far from the first, by the reach of all others, and no corner of a box."""
    first, second, *others = zip(values[::2], values[1::2], strict=True)
    reach = max(math.dist(one, other) for one in (first, *others) for other in (first, *others))
    return math.dist(first, second) > STRAY * reach and not _is_parallelogram(values)


def _checked(lines: Sequence[Line], form: str, path: Path) -> str:
    """Return the form; raise `AnnotationError` if a vertex is outside the image."""
    for line in lines:
        outside = [value for value in _vertices(line.values) if not -HAIR <= value <= 1 + HAIR]
        if outside:
            raise AnnotationError(
                f"{path} has {outside[0]:g} in {line.where} of a polygon; expected fractions from 0 to 1: fix it"
            )
    return form


def _is_tracked(values: tuple[float, ...]) -> bool:
    """Whether a box, a confidence and the number of a track follow."""
    return len(values) == N_BOX + 2 and values[-1] > 1 and values[-1].is_integer()


def _has_visibilities(values: tuple[float, ...]) -> bool:
    """Whether behind a box each third number is a visibility."""
    flags = values[N_BOX + 2 :: 3]
    return (len(values) - N_BOX) % 3 == 0 and set(flags) <= {0, 1, 2}


def _is_pose(values: tuple[float, ...]) -> bool:
    """Whether pairs of numbers behind a box are in the box, or 0 0 as of a hidden keypoint."""
    x, y, width, height = values[:N_BOX]
    pairs = zip(values[N_BOX::2], values[N_BOX + 1 :: 2], strict=True)
    return all(
        (abs(px - x) <= width / 2 + HAIR and abs(py - y) <= height / 2 + HAIR) or px == py == 0 for px, py in pairs
    )


def _is_parallelogram(values: tuple[float, ...]) -> bool:
    """Whether four corners are those of a turned box: its diagonals have the same middle."""
    if len(values) != 8:
        return False
    x1, y1, x2, y2, x3, y3, x4, y4 = values
    return abs(x1 + x3 - x2 - x4) <= HAIR and abs(y1 + y3 - y2 - y4) <= HAIR


def _vertices(values: tuple[float, ...]) -> tuple[float, ...]:
    """Return the coordinates of a polygon without the confidence behind them."""
    return values[: len(values) // 2 * 2]


def place_of_line(line: Line, form: str, width: int, height: int) -> Place | None:
    """Return the place of an object in pixels of an image; a place a hair outside is moved to the border."""
    if form == POLYGON and len(line.values) > N_BOX + 1:
        fractions = [min(max(value, 0.0), 1.0) for value in _vertices(line.values)]
        pairs = zip(fractions[::2], fractions[1::2], strict=True)
        return place_of_polygons([[(x * width, y * height) for x, y in pairs]])
    x, y, box_width, box_height = line.values[:N_BOX]
    x, y = (min(max(value, 0.0), 1.0) for value in (x, y))
    return Place(x * width, y * height, known_size((abs(box_width) * width + abs(box_height) * height) / 2))
