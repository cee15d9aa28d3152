"""What a flood from some of the markers gives, read off the flood from all of them.

The image is flooded once. Where that flood's label is one of the chosen markers', the flood from these alone gives the
same: a competitor can only take pixels away. Elsewhere the label is found by going back the way that the flood from
the chosen ones would have come, a few steps for a pixel, because it is known

- when it arrives: at the greater of the level at which the flood from all arrived there, and the level at which the
  chosen markers first reach the region of the marker that took the pixel. Levels are an ultrametric: the latter stands
  in the minimum spanning tree of the markers, as for any flood along minimum spanning forests (Cousty et al.,
  "Watershed Cuts: Minimum Spanning Forests and the Drop of Water Principle", PAMI 2009);
- whence it comes: all that is reached at one level, which is one slot of the order, has the label of the pixel of that
  slot, the pass; and a pass has the label of its neighbour at which the flood arrived first.

Only what is joined to several chosen markers at height 0 is divided by the way's length instead; there the flood is
walked as far as it is asked for. Pixels of equal height keep the order in which the flood from all took them.
"""

from typing import NamedTuple

import numpy as np
from numba import njit

from lcfcn.union_find import find_root
from lcfcn.watershed import AT_ONCE, LOWEST, sort_by_height

NEVER = np.iinfo(np.int32).max
"""Level of what no chosen marker reaches."""


class Flooded(NamedTuple):
    """A flood from all markers, and who chose them; places and cells are those of `lcfcn.watershed`.

    `cells`, `levels` : ((H + 2) * (W + 2),) int32, after `run_flood` with the labels 1 to n.
    `waiting` : ((H + 2) * (W + 2),) int32, the cells before it.
    `pixels` : (m,) int32, the place of each slot.
    `seeds` : (n,) int32, the places of the markers in raster order.
    `groups` : (n,) int32, the group of markers that each belongs to; one group at a time floods alone.
    `stride` : int, W + 2.
    """

    cells: np.ndarray
    levels: np.ndarray
    waiting: np.ndarray
    pixels: np.ndarray
    seeds: np.ndarray
    groups: np.ndarray
    stride: int


class Tree(NamedTuple):
    """How the regions of the markers join as the water rises: nodes 0 to n - 1 are the markers, then one a junction.

    `parents` : (2 n,) int32, -1 at a root. `levels` : (2 n,) int32, at which a junction joins.
    `marks` : (2 n,) int32, the last group that a node was marked to hold.
    `joins`, `asked` : (n,) int32, where a marker joins the last group that was asked about it, -1 if nowhere, and
    which group this was.
    """

    parents: np.ndarray
    levels: np.ndarray
    marks: np.ndarray
    joins: np.ndarray
    asked: np.ndarray


class Lake(NamedTuple):
    """What one group's flood reaches at once, walked as far as asked.

    `turns` : ((H + 2) * (W + 2),) int32, 0 if not yet reached, else when. `places`, `labels` : by turn, from 1.
    `ends` : (2,) int64, the last turn whose neighbours are reached too, and the last turn.
    """

    turns: np.ndarray
    places: np.ndarray
    labels: np.ndarray
    ends: np.ndarray


def new_lake(n_cells: int) -> Lake:
    """An empty lake. What it never reaches of its arrays costs neither time nor memory."""
    places, labels = np.empty(n_cells, dtype=np.int32), np.empty(n_cells, dtype=np.int32)
    return Lake(np.zeros(n_cells, dtype=np.int32), places, labels, np.zeros(2, dtype=np.int64))


@njit(cache=True, nogil=True)
def join_regions(flooded: Flooded, borders: np.ndarray) -> Tree:
    """The tree of the levels at which regions meet (Kruskal: borders from low to high, each that joins two trees).

    `borders` are the places of all pixels that have a 4-neighbour in another region.
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
    tops = np.arange(2 * n_markers).astype(np.int32)  # of the tree that a node is in, as far as it is known
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
    """Level and place of each pair of neighbours in different regions, to the right or (odd) below."""
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
    """Let a group of markers, given by their numbers in raster order, be the chosen one."""
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
    """Label that the flood from the chosen group alone gives a pixel; 0 where it never arrives or at a barrier."""
    while True:
        label = flooded.cells[place]
        if label <= 0 or flooded.groups[label - 1] == group:
            return max(label, 0)
        level = _arrival(place, group, flooded, tree)
        if level == NEVER:
            return 0
        if level == AT_ONCE:
            return lake.labels[_turn(place, flooded, lake)]
        place = flooded.pixels[level]
        label = flooded.cells[place]
        if flooded.groups[label - 1] == group:
            return label
        place = _first_neighbour(place, group, flooded, tree, lake)


@njit(cache=True, nogil=True)
def _arrival(place: int, group: int, flooded: Flooded, tree: Tree) -> int:
    """Level at which the chosen group's flood reaches a pixel."""
    marker = flooded.cells[place] - 1
    if tree.asked[marker] != group:
        node = marker
        while node >= 0 and tree.marks[node] != group:
            node = tree.parents[node]
        tree.asked[marker], tree.joins[marker] = group, node
    join = tree.joins[marker]
    return max(flooded.levels[place], tree.levels[join]) if join >= 0 else NEVER


@njit(cache=True, nogil=True)
def _first_neighbour(place: int, group: int, flooded: Flooded, tree: Tree, lake: Lake) -> int:
    """The neighbour of a pass that the chosen group's flood reaches first."""
    first, first_level, first_turn = place, NEVER, 0
    for step in (-flooded.stride, -1, 1, flooded.stride):
        if flooded.cells[place + step] > 0:
            level = _arrival(place + step, group, flooded, tree)
            turn = _turn(place + step, flooded, lake) if level == AT_ONCE else 0
            if level < first_level or (level == first_level and turn < first_turn):
                first, first_level, first_turn = place + step, level, turn
    return first


@njit(cache=True, nogil=True)
def _turn(place: int, flooded: Flooded, lake: Lake) -> int:
    """When the chosen group's flood reaches a pixel that it reaches at once."""
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
