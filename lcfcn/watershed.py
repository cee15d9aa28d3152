"""The flood that finds the borders between neighbouring objects: its relief, its order, its kernel.

A flood works on `cells`, one int32 a pixel, flat, with a rim of one cell around the image, so that no neighbour of a
pixel lies outside the array: 0 is a barrier (rim, outside the region), above 0 the label of the flood that arrived,
below 0 a pixel that waits. What waits says when its turn is: `LOWEST` for height 0, else the code of its rank.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from llvmlite import ir  # numba is built on it
from numba import njit, types
from numba.core.typing import Context, Signature
from numba.extending import intrinsic

LOWEST = -1
"""Code of a waiting pixel of height 0."""

AT_ONCE = -1
"""Level of what a flood reaches before it has to climb: what is joined to a marker at height 0."""

DIGIT_BITS = 11  # three digits hold the 31 bits of a height that is not negative


class Ranks(NamedTuple):
    """The order in which a relief is flooded.

    `cells` : ((H + 2) * (W + 2),) int32, the pixels, all waiting, inside their rim.
    `pixels` : (n,) int32, the n pixels above height 0, as places in `cells`, from low to high; one slot each.
    `first_slots` : (m,) int32, the first slot of each of the m heights that several pixels share.
    """

    cells: np.ndarray
    pixels: np.ndarray
    first_slots: np.ndarray


class Queue(NamedTuple):
    """What waits during a flood; empty again after it, except that `next_slots` is used up.

    `fifo` : places in the order in which they came, for height 0.
    `pixels`, `next_slots` : as `Ranks.pixels` and `Ranks.first_slots`; pixels of one height take its slots in the
    order in which they come, so that the least slot is the first in.
    `bits0`, `bits1`, `bits2` : uint64, a set of slots; a bit of one level says that a word of the level below is
    not empty, so that the least slot is found in three steps.
    """

    fifo: np.ndarray
    pixels: np.ndarray
    next_slots: np.ndarray
    bits0: np.ndarray
    bits1: np.ndarray
    bits2: np.ndarray


def flood(relief: np.ndarray, markers: np.ndarray, roi_mask: np.ndarray) -> np.ndarray:
    """Flood a relief from markers, through 4-neighbours, lowest pixel first.

    Parameters
    ----------
    relief : (H, W) float32 ndarray
        Height of each pixel, 0 or more.
    markers : (H, W) int32 ndarray
        0 where there is no marker, else the marker's label.
    roi_mask : (H, W) bool ndarray
        The flood stays inside it.

    Returns
    -------
    labels : (H, W) int32 ndarray
        The label of the marker whose flood arrived first; 0 outside the region and where no flood arrives.

    Notes
    -----
    A flooded pixel hands its label to its waiting neighbours (up, left, right, down) and these queue by their own
    height, as in `skimage.segmentation.watershed`. Of equal heights the first in the queue is the first out; the
    markers enter it in raster order. Without ties the labels are scikit-image's, pixel by pixel; with ties they are
    those of one of the orders that its heap could have taken.
    """
    ranks = rank_pixels(np.ascontiguousarray(relief, dtype=np.float32), roi_mask)
    rows, cols = np.nonzero(np.where(roi_mask, markers, 0))
    seeds = places(rows, cols, relief.shape[1])
    cells = ranks.cells.copy()
    labels = markers[rows, cols].astype(np.int32)
    run_flood(cells, np.empty_like(cells), seeds, labels, new_queue(ranks), relief.shape[1] + 2)
    return np.maximum(inner(cells, relief.shape), 0)


def places(rows: np.ndarray, cols: np.ndarray, width: int) -> np.ndarray:
    """Places in the cells of an image of this width, int32."""
    return ((rows + 1) * (width + 2) + cols + 1).astype(np.int32)


def inner(cells: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """The cells without their rim, as an (H, W) view."""
    return cells.reshape(shape[0] + 2, shape[1] + 2)[1:-1, 1:-1]


def new_queue(ranks: Ranks) -> Queue:
    """An empty queue for the pixels of a relief."""
    n_words = [(len(ranks.pixels) >> shift) + 1 for shift in (6, 12, 18)]
    bits = [np.zeros(n, dtype=np.uint64) for n in n_words]
    return Queue(np.empty_like(ranks.cells), ranks.pixels, ranks.first_slots.copy(), *bits)


@njit(cache=True, nogil=True)
def rank_pixels(relief: np.ndarray, roi_mask: np.ndarray) -> Ranks:
    """Sort the pixels of a relief by height.

    Parameters
    ----------
    relief : (H, W) float32 ndarray
        Heights, 0 or more; half or more of the pixels of a top-hat are 0 and need no place in the order.
    roi_mask : (H, W) bool ndarray
        Pixels outside the region become barriers.
    """
    height, width = relief.shape
    bits = relief.view(np.uint32)  # floats that are not negative are ordered as their bits are
    cells = np.zeros((height + 2) * (width + 2), dtype=np.int32)
    n = 0
    for i in range(height):
        for j in range(width):
            n += roi_mask[i, j] and bits[i, j] != 0
    keys = np.empty(n, dtype=np.uint64)
    n = 0
    for i in range(height):
        for j in range(width):
            if roi_mask[i, j]:
                place = (i + 1) * (width + 2) + j + 1
                cells[place] = LOWEST
                if bits[i, j] != 0:
                    keys[n] = np.uint64(bits[i, j]) << np.uint64(32) | np.uint64(place)
                    n += 1
    return _number(sort_by_height(keys), cells)


@njit(cache=True, nogil=True)
def sort_by_height(keys: np.ndarray) -> np.ndarray:
    """Radix sort of uint64 by their upper halves, which are below 2**31; equal ones stay in order."""
    other = np.empty_like(keys)
    starts = np.empty(1 << DIGIT_BITS, dtype=np.int64)
    for digit in range(3):
        shift, mask = np.uint64(32 + DIGIT_BITS * digit), np.uint64((1 << DIGIT_BITS) - 1)
        starts[:] = 0
        for key in keys:
            starts[key >> shift & mask] += 1
        total = 0
        for value in range(len(starts)):
            starts[value], total = total, total + starts[value]
        for key in keys:
            value = key >> shift & mask
            other[starts[value]] = key
            starts[value] += 1
        keys, other = other, keys
    return keys


@njit(cache=True, nogil=True)
def _number(keys: np.ndarray, cells: np.ndarray) -> Ranks:
    """Give each sorted pixel its slot, and each height that several share its first slot."""
    pixels = np.empty(len(keys), dtype=np.int32)
    n_shared = 0
    for slot in range(len(keys)):
        pixels[slot] = np.int32(keys[slot] & np.uint64(0xFFFFFFFF))
        n_shared += _shares(keys, slot, 1) and not _shares(keys, slot, -1)
    first_slots = np.empty(n_shared, dtype=np.int32)
    n_shared = 0
    for slot in range(len(keys)):
        if _shares(keys, slot, -1) or _shares(keys, slot, 1):
            if not _shares(keys, slot, -1):
                first_slots[n_shared] = slot
                n_shared += 1
            cells[pixels[slot]] = -3 - 2 * (n_shared - 1)
        else:
            cells[pixels[slot]] = -2 - 2 * slot
    return Ranks(cells, pixels, first_slots)


@njit(cache=True, nogil=True)
def _shares(keys: np.ndarray, slot: int, step: int) -> bool:
    other = slot + step
    return 0 <= other < len(keys) and keys[other] >> np.uint64(32) == keys[slot] >> np.uint64(32)


@njit(cache=True, nogil=True)
def run_flood(
    cells: np.ndarray, levels: np.ndarray, seeds: np.ndarray, labels: np.ndarray, queue: Queue, stride: int
) -> None:
    """Flood the waiting cells in place.

    Parameters
    ----------
    cells : ((H + 2) * (W + 2),) int32 ndarray
        See the module; `stride` is W + 2.
    levels : ((H + 2) * (W + 2),) int32 ndarray
        Is given, for each pixel that is reached, the greatest slot that the flood had taken until then: how high it
        had to climb to reach it, or `AT_ONCE`.
    seeds, labels : (n,) int32 ndarray
        Places of the markers in raster order, and their labels.
    queue : Queue
        Empty.
    """
    head, tail = 0, 0
    for seed, label in zip(seeds, labels):  # noqa: B905 - numba knows no `strict`
        tail = _enter(seed, label, cells, queue, tail)
    level = AT_ONCE
    while True:
        if head < tail:
            place = queue.fifo[head]
            head += 1
        else:
            head, tail = 0, 0
            slot = _take_least(queue)
            if slot < 0:
                return
            level = max(level, slot)
            place = queue.pixels[slot]
        levels[place] = level
        label = cells[place]
        for step in (-stride, -1, 1, stride):
            if cells[place + step] < 0:
                tail = _enter(place + step, label, cells, queue, tail)


@njit(cache=True, nogil=True)
def _enter(place: int, label: int, cells: np.ndarray, queue: Queue, tail: int) -> int:
    """Give a waiting cell its label and a place in the queue; returns the end of the queue for height 0."""
    code = cells[place]
    cells[place] = label
    if code == LOWEST:
        queue.fifo[tail] = place
        return tail + 1
    slot = (-2 - code) >> 1
    if code & 1:  # a height that several share
        shared = slot
        slot = queue.next_slots[shared]
        queue.next_slots[shared] = slot + 1
        queue.pixels[slot] = place
    word0, word1 = slot >> 6, slot >> 12
    queue.bits0[word0] |= np.uint64(1) << np.uint64(slot & 63)
    queue.bits1[word1] |= np.uint64(1) << np.uint64(word0 & 63)
    queue.bits2[slot >> 18] |= np.uint64(1) << np.uint64(word1 & 63)
    return tail


@njit(cache=True, nogil=True)
def _take_least(queue: Queue) -> int:
    """Take the least slot out of the set; -1 if it is empty."""
    word2 = 0
    while word2 < len(queue.bits2) and queue.bits2[word2] == 0:
        word2 += 1
    if word2 == len(queue.bits2):
        return -1
    word1 = word2 << 6 | _trailing_zeros(queue.bits2[word2])
    word0 = word1 << 6 | _trailing_zeros(queue.bits1[word1])
    slot = word0 << 6 | _trailing_zeros(queue.bits0[word0])
    queue.bits0[word0] &= queue.bits0[word0] - np.uint64(1)  # clears the lowest bit
    if queue.bits0[word0] == 0:
        queue.bits1[word1] &= queue.bits1[word1] - np.uint64(1)
        if queue.bits1[word1] == 0:
            queue.bits2[word2] &= queue.bits2[word2] - np.uint64(1)
    return slot


@intrinsic
def _trailing_zeros(typing_context: Context, word: types.Type) -> tuple[Signature, Callable]:
    """Place of the lowest bit of a uint64 that is not 0, by the processor's own instruction."""

    def generate(context: object, builder: ir.IRBuilder, signature: Signature, arguments: tuple) -> ir.Value:
        return builder.cttz(arguments[0], ir.Constant(ir.IntType(1), 1))

    return types.int64(types.uint64), generate
