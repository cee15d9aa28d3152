"""Label a pixel as a flood from some of the markers would, without flooding again.

The split term needs the watershed of the whole image from the clicks of one blob alone, for each blob with several
clicks. A flood for each of these blobs is slow. Here the image is flooded once, from all markers (the *full flood*,
with its labels, levels and slots: see `lcfcn.watershed`). From it `label_of` computes the label that a flood from one
group of markers alone would give a pixel:

1. If the full flood gave the pixel to a marker of the group, the label stays. Without rivals a marker keeps its pixels.
2. Otherwise find the level at which the group's water reaches the pixel. It is the greater of two levels: that of the
   pixel in the full flood, and that at which the group's water enters the region of the marker that took the pixel.
   The second one stands in the minimum spanning tree of the regions: it is the highest edge on the path from this
   region to the nearest region of the group.
3. A level is a slot, and a slot is one pixel: the *pass* over which the water came. The pixel's label is that of the
   pass, and the label of the pass is that of the neighbour that the group's water reached first. Go on from there with
   step 1. Each step leads to a lower level, so a few steps suffice.

At height 0 there are no slots. Where water arrives without climbing, the order in which it touches the pixels decides.
For these pixels alone the group's flood is run (`Lake`), as far as it is needed. Pixels of one height above 0 keep the
order in which the full flood took them.

The page "The loss explained" of the documentation has a worked example of 8x8 pixels.

References
----------
Cousty et al., "Watershed Cuts: Minimum Spanning Forests and the Drop of Water Principle", PAMI 2009: a flood from
markers is a minimum spanning forest, so one tree holds the levels of all partial floods.
"""

from typing import NamedTuple

import numpy as np
from numba import njit

from lcfcn.union_find import find_root
from lcfcn.watershed import AT_ONCE, LOWEST, sort_by_height

NEVER = np.iinfo(np.int32).max
"""Level of the pixels that no water of the group reaches."""


class Flooded(NamedTuple):
    """The full flood from n markers, and the groups of the markers. `lcfcn.watershed` explains cells and places.

    Attributes
    ----------
    cells, levels : ((H + 2) * (W + 2),) int32 ndarrays
        After `run_flood` with the labels 1 to n.
    waiting : ((H + 2) * (W + 2),) int32 ndarray
        The cells before the flood, all dry.
    pixels : (m,) int32 ndarray
        The place of the pixel in each slot.
    seeds : (n,) int32 ndarray
        The places of the markers in raster order.
    groups : (n,) int32 ndarray
        The group of each marker.
    stride : int
        W + 2.
    """

    cells: np.ndarray
    levels: np.ndarray
    waiting: np.ndarray
    pixels: np.ndarray
    seeds: np.ndarray
    groups: np.ndarray
    stride: int


class Tree(NamedTuple):
    """The minimum spanning tree of the markers' regions, as the order in which rising water joins the regions.

    The nodes 0 to n - 1 are the n markers. Each further node joins two nodes, at the level at which their water meets.
    The water of two markers meets at the level of their lowest common ancestor.

    Attributes
    ----------
    parents : (2 n,) int32 ndarray
        -1 at a root.
    levels : (2 n,) int32 ndarray
        The level at which a node joins its two children; `AT_ONCE` at the markers.
    marks : (2 n,) int32 ndarray
        The last group that was chosen and has a marker below this node.
    joins, asked : (n,) int32 ndarrays
        A cache: the lowest node above this marker that has a marker of the group `asked` below it, or -1.
    """

    parents: np.ndarray
    levels: np.ndarray
    marks: np.ndarray
    joins: np.ndarray
    asked: np.ndarray


class Lake(NamedTuple):
    """The pixels that the group's water reaches without climbing, flooded breadth first as far as needed.

    Attributes
    ----------
    turns : ((H + 2) * (W + 2),) int32 ndarray
        The turn at which a pixel was reached, from 1; 0 if it has not been reached yet.
    places, labels : ((H + 2) * (W + 2),) int32 ndarrays
        Place and label of the pixel of each turn.
    ends : (2,) int64 ndarray
        The last turn whose neighbours have been reached too, and the last turn.
    """

    turns: np.ndarray
    places: np.ndarray
    labels: np.ndarray
    ends: np.ndarray


def new_lake(n_cells: int) -> Lake:
    """Return an empty lake. The parts of its arrays that are never written cost neither time nor memory."""
    places, labels = np.empty(n_cells, dtype=np.int32), np.empty(n_cells, dtype=np.int32)
    return Lake(np.zeros(n_cells, dtype=np.int32), places, labels, np.zeros(2, dtype=np.int64))


@njit(cache=True, nogil=True)
def join_regions(flooded: Flooded, borders: np.ndarray) -> Tree:
    """Build the minimum spanning tree of the regions of a full flood (Kruskal's algorithm).

    All pairs of neighbours in different regions are sorted by the level at which the water is on both. From low to
    high, each pair that joins two trees becomes a node.

    Parameters
    ----------
    flooded : Flooded
    borders : (b,) int32 ndarray
        The places of all pixels that have a 4-neighbour in another region.
    """
    keys = sort_by_height(_border_keys(flooded, borders))
    n_markers = len(flooded.seeds)
    tree = Tree(
        np.full(2 * n_markers, -1, dtype=np.int32),
        np.full(2 * n_markers, AT_ONCE, dtype=np.int32),
        np.full(2 * n_markers, -1, dtype=np.int32),
        np.full(n_markers, -1, dtype=np.int32),
        np.full(n_markers, -1, dtype=np.int32),
    )
    tops = np.arange(2 * n_markers).astype(np.int32)  # union-find: the root of the tree that a node belongs to
    n_nodes = n_markers
    for key in keys:
        border = np.int64(key & np.uint64(0xFFFFFFFF))
        place, step = border >> 1, flooded.stride if border & 1 else 1
        one = find_root(tops, flooded.cells[place] - 1)
        other = find_root(tops, flooded.cells[place + step] - 1)
        if one != other:
            for node in (one, other):
                tops[node] = tree.parents[node] = n_nodes
            tree.levels[n_nodes] = np.int64(key >> np.uint64(32)) + AT_ONCE
            n_nodes += 1
    return tree


@njit(cache=True, nogil=True)
def _border_keys(flooded: Flooded, borders: np.ndarray) -> np.ndarray:
    """Return a sort key for each pair of neighbours in different regions.

    The upper half is the level at which the water is on both; the lower half is twice the place of the first pixel,
    plus 1 if the second one is below it and not to its right.
    """
    keys = np.empty(2 * len(borders), dtype=np.uint64)
    n = 0
    for place in borders:
        label = flooded.cells[place]
        for below in range(2):
            other = place + (flooded.stride if below else 1)
            if flooded.cells[other] > 0 and flooded.cells[other] != label:
                level = max(flooded.levels[place], flooded.levels[other]) - AT_ONCE
                keys[n] = np.uint64(level) << np.uint64(32) | np.uint64(np.int64(place) << 1 | below)
                n += 1
    return keys[:n]


@njit(cache=True, nogil=True)
def choose(group: int, members: np.ndarray, flooded: Flooded, tree: Tree, lake: Lake) -> None:
    """Prepare `tree` and `lake` for a group of markers. `members` are the numbers of its markers in raster order."""
    lake.turns[lake.places[1 : lake.ends[1] + 1]] = 0
    lake.ends[:] = 0
    for marker in members:
        if flooded.waiting[flooded.seeds[marker]] == LOWEST:
            _reach(flooded.seeds[marker], marker + 1, lake)
        node = marker
        while node >= 0 and tree.marks[node] != group:
            tree.marks[node] = group
            node = tree.parents[node]


@njit(cache=True, nogil=True)
def label_of(place: int, group: int, flooded: Flooded, tree: Tree, lake: Lake) -> int:
    """Return the label that a flood from the chosen group alone gives a pixel; see the module's docstring.

    It is 0 at a barrier, and where no water of the group arrives.
    """
    while True:
        label = flooded.cells[place]
        if label <= 0 or flooded.groups[label - 1] == group:
            return max(label, 0)
        level = arrival_level(place, group, flooded, tree)
        if level == NEVER:
            return 0
        if level == AT_ONCE:
            return lake.labels[_turn(place, flooded, lake)]
        place = flooded.pixels[level]
        label = flooded.cells[place]
        if flooded.groups[label - 1] == group:
            return label
        place = first_neighbour(place, group, flooded, tree, lake)


@njit(cache=True, nogil=True)
def arrival_level(place: int, group: int, flooded: Flooded, tree: Tree) -> int:
    """Return the level at which the water of the chosen group reaches a pixel (step 2), or `NEVER`."""
    marker = flooded.cells[place] - 1
    if tree.asked[marker] != group:
        node = marker
        while node >= 0 and tree.marks[node] != group:
            node = tree.parents[node]
        tree.asked[marker], tree.joins[marker] = group, node
    join = tree.joins[marker]
    return max(flooded.levels[place], tree.levels[join]) if join >= 0 else NEVER


@njit(cache=True, nogil=True)
def first_neighbour(place: int, group: int, flooded: Flooded, tree: Tree, lake: Lake) -> int:
    """Return the neighbour of a pass that the water of the chosen group reaches first (step 3)."""
    first, first_level, first_turn = place, NEVER, 0
    for step in (-flooded.stride, -1, 1, flooded.stride):
        if flooded.cells[place + step] > 0:
            level = arrival_level(place + step, group, flooded, tree)
            turn = _turn(place + step, flooded, lake) if level == AT_ONCE else 0
            if level < first_level or (level == first_level and turn < first_turn):
                first, first_level, first_turn = place + step, level, turn
    return first


@njit(cache=True, nogil=True)
def _turn(place: int, flooded: Flooded, lake: Lake) -> int:
    """Return the turn at which the group's water reaches a pixel without climbing; flood the lake as far as needed."""
    while lake.turns[place] == 0:
        lake.ends[0] += 1
        source, label = lake.places[lake.ends[0]], lake.labels[lake.ends[0]]
        for step in (-flooded.stride, -1, 1, flooded.stride):
            if flooded.waiting[source + step] == LOWEST and lake.turns[source + step] == 0:
                _reach(source + step, label, lake)
    return lake.turns[place]


@njit(cache=True, nogil=True)
def _reach(place: int, label: int, lake: Lake) -> None:
    lake.ends[1] += 1
    turn = lake.ends[1]
    lake.turns[place], lake.places[turn], lake.labels[turn] = turn, place, label
