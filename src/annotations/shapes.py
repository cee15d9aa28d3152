"""From shapes to clicks: a box, polygon, circle or ellipse becomes one click at the centre of its bounding box.

A shape also gives the size of its object, the diameter in pixels: of a box the mean of its two sides, of anything else
the diameter of the disc that has the same area, 2 sqrt(area / pi). A point has no size.
"""

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

XY = tuple[float, float]


class Place(NamedTuple):
    """Where an object is: x and y in pixels, and its diameter in pixels, or None if the source does not know it."""

    x: float
    y: float
    size: float | None = None


def disc_diameter(area: float) -> float | None:
    """Return the diameter of the disc of this area, or None if the area is not above 0.

    >>> disc_diameter(math.pi)
    2.0
    """
    return known_size(2 * math.sqrt(area / math.pi)) if area > 0 else None


def known_size(diameter: float) -> float | None:
    """Return the diameter, or None if it is not a finite number above 0."""
    return diameter if 0 < diameter < math.inf else None


def box_centre(vertices: Iterable[XY]) -> XY:
    """Return x and y of the centre of the bounding box of one vertex or more."""
    xs, ys = zip(*vertices, strict=True)
    return min(xs) / 2 + max(xs) / 2, min(ys) / 2 + max(ys) / 2


def place_of_box(left: float, top: float, right: float, bottom: float) -> Place:
    """Return the centre of a box and the mean of its sides.

    >>> place_of_box(0, 0, 10, 20)
    Place(x=5.0, y=10.0, size=15.0)
    """
    return Place(*box_centre([(left, top), (right, bottom)]), known_size(abs(right - left) / 2 + abs(bottom - top) / 2))


def place_of_ellipse(x: float, y: float, radius_x: float, radius_y: float) -> Place:
    """Return the centre of an ellipse and the diameter of the disc of its area. A circle has two equal radii."""
    return Place(x, y, disc_diameter(math.pi * abs(radius_x * radius_y)))


def place_of_polygons(outlines: Sequence[Sequence[XY]], holes: Sequence[Sequence[XY]] = ()) -> Place | None:
    """Return the place of one object that consists of polygons, or None if they have no vertex.

    Parameters
    ----------
    outlines : sequence of polygons
        Lists of (x, y). The areas of several polygons add up.
    holes : sequence of polygons
        Their areas are subtracted.
    """
    vertices = [vertex for outline in outlines for vertex in outline]
    if not vertices:
        return None
    area = sum(map(polygon_area, outlines)) - sum(map(polygon_area, holes))
    return Place(*box_centre(vertices), disc_diameter(area))


def polygon_area(vertices: Sequence[XY]) -> float:
    """Return the area that a polygon encloses, by the shoelace formula.

    >>> polygon_area([(0, 0), (4, 0), (4, 3), (0, 3)])
    12.0
    """
    following = [*vertices[1:], *vertices[:1]]
    return abs(sum(x * next_y - next_x * y for (x, y), (next_x, next_y) in zip(vertices, following, strict=True))) / 2


def is_inside(x: float, y: float, outline: Sequence[XY]) -> bool:
    """Whether a place is inside a polygon, by the number of sides to its right.

    >>> [is_inside(x, 1, [(0, 0), (4, 0), (4, 3), (0, 3)]) for x in (-1, 1, 5)]
    [False, True, False]
    """
    inside = False
    for (x1, y1), (x2, y2) in zip(outline, [*outline[1:], *outline[:1]], strict=True):
        if (y1 > y) != (y2 > y) and x < (x2 - x1) * (y - y1) / (y2 - y1) + x1:
            inside = not inside
    return inside
