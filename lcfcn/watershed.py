"""Watershed from markers: flood a relief, and label each pixel by the marker whose water reaches it first.

A relief gives each pixel a height, and each marker is a pixel with a label. Water spreads from the markers through
4-neighbours. Of all pixels that it touches it takes the lowest one next. This is the algorithm of
`skimage.segmentation.watershed`, and faster for two reasons: the pixels are sorted by height once, by a radix sort, and
the touched pixels are kept in a set of bits, not in a heap.

Four words are used in this module and in `lcfcn.subflood`:

- *cells* are the pixels as a flat int32 array, with a rim of one cell around the image. The rim saves all checks for
  the border of the image. A cell is 0 if it is a barrier (the rim, or outside the region), above 0 if it is flooded
  (its label), and below 0 if it is still dry.
- The *place* of a pixel is its index in the cells.
- The *slot* of a pixel is its number in the order of heights, from 0. Pixels of height 0 have no slot (in a top-hat
  they are half of all pixels or more). Water takes them at once, in the order in which it touches them.
- The *level* of a flooded pixel is the greatest slot that the water had taken until then: how high it had to climb.

A dry cell holds its place in the order as a code: `LOWEST` for height 0; -2 - 2 * slot if no other pixel has this
height; -3 - 2 * m if it has the m-th of the heights that several pixels share. Such pixels get their slots during the
flood, in the order in which water touches them.

References
----------
Beucher and Meyer, "The morphological approach to segmentation: the watershed transformation", in "Mathematical
Morphology in Image Processing", 1993.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from llvmlite import ir  # numba is built on it
from numba import njit, types
from numba.core.typing import Context, Signature
from numba.extending import intrinsic

LOWEST = -1
"""Code of a dry pixel of height 0."""

AT_ONCE = -1
"""Level of the pixels that water reaches without climbing: a path of pixels of height 0 joins them to a marker."""

DIGIT_BITS = 11  # three digits hold the 31 bits of a height of 0 or more


class Ranks(NamedTuple):
    """The order in which a relief is flooded.

    Attributes
    ----------
    cells : ((H + 2) * (W + 2),) int32 ndarray
        The pixels, all dry.
    pixels : (n,) int32 ndarray
        The place of the pixel in each slot: the n pixels above height 0, from low to high.
    first_slots : (m,) int32 ndarray
        The first slot of each of the m heights that several pixels share.
    """

    cells: np.ndarray
    pixels: np.ndarray
    first_slots: np.ndarray


class Queue(NamedTuple):
    """The dry pixels that water touches. It is empty before and after a flood, but a flood uses up `next_slots`.

    Attributes
    ----------
    fifo : int32 ndarray
        Places of height 0, first in, first out.
    pixels, next_slots : int32 ndarrays
        At first `Ranks.pixels` and `Ranks.first_slots`. Pixels of one height take its slots in the order in which
        they are touched.
    bits0, bits1, bits2 : uint64 ndarrays
        The set of the touched slots. A bit of `bits0` is a slot. A bit of `bits1` says that a word of `bits0` is not
        0, and a bit of `bits2` that a word of `bits1` is not 0. So the least slot is found in three steps.
    """

    fifo: np.ndarray
    pixels: np.ndarray
    next_slots: np.ndarray
    bits0: np.ndarray
    bits1: np.ndarray
    bits2: np.ndarray


def flood(relief: np.ndarray, markers: np.ndarray, roi_mask: np.ndarray) -> np.ndarray:
    """Flood a relief from markers.

    The loss floods by `lcfcn.split_lines`; this function is the same flood with plain arrays.

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
        The label of the marker whose water arrived first; 0 outside the region and where no water arrives.

    Notes
    -----
    A flooded pixel hands its label to its dry neighbours (up, left, right, down), and these enter the queue with their
    own height, as in `skimage.segmentation.watershed`. Of equal heights the first in the queue is the first out. The
    markers enter it in raster order. If no two heights are equal, the labels are those of scikit-image, pixel by pixel.
    If some are, the labels are those of one of the orders in which scikit-image's heap may return them.

    Examples
    --------
    Two markers in a valley each, with a ridge of height 0.9 between them.

    >>> import numpy as np
    >>> relief = np.array([[0.0, 0.4, 0.1, 0.9, 0.2, 0.0]], dtype=np.float32)
    >>> markers = np.array([[1, 0, 0, 0, 0, 2]], dtype=np.int32)
    >>> flood(relief, markers, np.ones((1, 6), dtype=bool))
    array([[1, 1, 1, 2, 2, 2]], dtype=int32)
    """
    ranks = rank_pixels(np.ascontiguousarray(relief, dtype=np.float32), roi_mask)
    rows, cols = np.nonzero(np.where(roi_mask, markers, 0))
    seeds = places(rows, cols, relief.shape[1])
    cells = ranks.cells.copy()
    labels = markers[rows, cols].astype(np.int32)
    run_flood(cells, np.empty_like(cells), seeds, labels, new_queue(ranks), relief.shape[1] + 2)
    return np.maximum(inner(cells, relief.shape), 0)


def places(rows: np.ndarray, cols: np.ndarray, width: int) -> np.ndarray:
    """Return the places of pixels, in the cells of an image of this width, as int32."""
    return ((rows + 1) * (width + 2) + cols + 1).astype(np.int32)


def inner(cells: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Return the cells without their rim, as an (H, W) view."""
    return cells.reshape(shape[0] + 2, shape[1] + 2)[1:-1, 1:-1]


def new_queue(ranks: Ranks) -> Queue:
    """Return an empty queue for the pixels of a relief."""
    n_words = [(len(ranks.pixels) >> shift) + 1 for shift in (6, 12, 18)]
    bits = [np.zeros(n, dtype=np.uint64) for n in n_words]
    return Queue(np.empty_like(ranks.cells), ranks.pixels, ranks.first_slots.copy(), *bits)


@njit(cache=True, nogil=True)
def rank_pixels(relief: np.ndarray, roi_mask: np.ndarray) -> Ranks:
    """Sort the pixels of a relief by height.

    Parameters
    ----------
    relief : (H, W) float32 ndarray
        Heights, 0 or more.
    roi_mask : (H, W) bool ndarray
        Pixels outside the region become barriers.
    """
    height, width = relief.shape
    bits = relief.view(np.uint32)  # floats of 0 or more have the order of their bits, read as integers
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
    """Sort uint64 by their upper halves, which are below 2**31 (a radix sort). Equal ones keep their order."""
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
    """Write the code of each pixel into its cell, and collect the first slot of each height that several share."""
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
    """Flood the dry cells in place.

    Parameters
    ----------
    cells : ((H + 2) * (W + 2),) int32 ndarray
        See the module's docstring.
    levels : ((H + 2) * (W + 2),) int32 ndarray
        Filled with the level of each flooded pixel, or `AT_ONCE`.
    seeds, labels : (n,) int32 ndarrays
        Places of the markers in raster order, and their labels.
    queue : Queue
        Empty.
    stride : int
        W + 2: the step in the cells from one row to the next.
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
    """Give a dry cell its label and put it into the queue; return the new end of the queue for height 0."""
    code = cells[place]
    cells[place] = label
    if code == LOWEST:
        queue.fifo[tail] = place
        return tail + 1
    slot = (-2 - code) >> 1
    if code & 1:  # several pixels share this height: take the next of its slots
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
    """Take the least slot out of the set and return it; return -1 if the set is empty."""
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
    """Return the position of the lowest bit of a uint64 that is not 0, by one instruction of the processor."""

    def generate(context: object, builder: ir.IRBuilder, signature: Signature, arguments: tuple) -> ir.Value:
        return builder.cttz(arguments[0], ir.Constant(ir.IntType(1), 1))

    return types.int64(types.uint64), generate
