"""Split lines: the borders between the clicks of one class, where the network should predict background.

The input is the probabilities of the class, its clicks, its blobs and the region of interest. The output is two masks.
The first one has the borders of the watershed of the whole image from all clicks. The second one has, inside each blob
with several clicks, the borders of the watershed from the clicks of this blob alone. The relief of both is the black
top-hat of the probabilities, so a border runs along the darkest valley between two clicks.

The image is flooded once, for the first mask. Most of the second mask is a copy of the first one: a pixel may differ
only if the water of a click outside the blob took it or one of its neighbours. For these pixels `lcfcn.subflood` finds
the labels that a flood from the blob's own clicks would give.

References
----------
Laradji et al., "Where are the Blobs: Counting by Localization with Point Supervision", ECCV 2018, section 3.1: the
split-level loss, and its watershed split ("global" and "local").
"""

from typing import NamedTuple

import numpy as np
from numba import njit

from lcfcn.subflood import Flooded, Lake, Tree, choose, join_regions, label_of, new_lake
from lcfcn.top_hat import black_top_hat
from lcfcn.watershed import new_queue, places, rank_pixels, run_flood


class SplitLines(NamedTuple):
    """Two masks of split lines. A line is two pixels wide: both sides of a border belong to it.

    Attributes
    ----------
    all_clicks : (H, W) bool ndarray
        The borders of the flood from all clicks.
    in_blobs : (H, W) bool ndarray
        Inside each blob with several clicks, the borders of the flood of the whole image from its own clicks alone.
    """

    all_clicks: np.ndarray
    in_blobs: np.ndarray


def split_lines(probs: np.ndarray, clicks: np.ndarray, blobs: np.ndarray, roi_mask: np.ndarray) -> SplitLines:
    """Find the lines that separate the clicks of one class.

    A pixel is on a line if one of its 4-neighbours has another label. Both lie inside the region.

    Parameters
    ----------
    probs : (H, W) float32 ndarray
        Probability of the class.
    clicks : (n,) int64 ndarray
        Flat indices of the clicked pixels in ascending order, all inside the region.
    blobs : (H, W) int32 ndarray
        Label image, 0 = background.
    roi_mask : (H, W) bool ndarray
        Region of interest.

    Examples
    --------
    Two clicks in one blob, with a valley between them. Both sides of the border are background.

    >>> import numpy as np
    >>> from lcfcn.components import label_blobs
    >>> probs = np.array([[0.9, 0.8, 0.6, 0.7, 0.9]], dtype=np.float32)
    >>> clicks = np.array([0, 4])
    >>> everywhere = np.ones((1, 5), dtype=bool)
    >>> split_lines(probs, clicks, label_blobs(probs > 0.5), everywhere).all_clicks.astype(int)
    array([[0, 0, 1, 1, 0]])
    """
    # The kernels are compiled for one memory order.
    probs, roi_mask, blobs = (np.ascontiguousarray(array) for array in (probs, roi_mask, blobs))
    stride = probs.shape[1] + 2
    ranks = rank_pixels(black_top_hat(probs, roi_mask), roi_mask)
    seeds = places(*np.divmod(clicks, probs.shape[1]), probs.shape[1])
    queue = new_queue(ranks)
    cells, levels = ranks.cells.copy(), np.empty_like(ranks.cells)
    run_flood(cells, levels, seeds, np.arange(1, len(seeds) + 1, dtype=np.int32), queue, stride)
    lines = SplitLines(np.empty(probs.shape, dtype=bool), np.zeros(probs.shape, dtype=bool))
    _mark_lines(cells, lines.all_clicks)

    clicked_blobs = blobs.reshape(-1)[clicks]
    crowded = np.bincount(clicked_blobs, minlength=int(blobs.max(initial=0)) + 1) > 1
    crowded[0] = False
    if crowded.any():
        flooded = Flooded(cells, levels, ranks.cells, queue.pixels, seeds, clicked_blobs, stride)
        doubtful = np.flatnonzero(_mark_lines_in_blobs(flooded, blobs, crowded, lines))
        if len(doubtful):
            borders = places(*np.divmod(np.flatnonzero(lines.all_clicks), probs.shape[1]), probs.shape[1])
            doubtful = doubtful[np.argsort(blobs.reshape(-1)[doubtful], kind="stable")]
            by_blob = np.argsort(clicked_blobs, kind="stable")
            tree, lake = join_regions(flooded, borders), new_lake(len(cells))
            _mark_own_lines(flooded, tree, lake, blobs, doubtful, by_blob, lines.in_blobs)
    return lines


@njit(cache=True, nogil=True)
def _mark_lines(cells: np.ndarray, lines: np.ndarray) -> None:
    height, width = lines.shape
    for i in range(height):
        row = (i + 1) * (width + 2) + 1
        for j in range(width):
            lines[i, j] = _on_line(cells, row + j, width + 2)


@njit(cache=True, nogil=True, inline="always")
def _on_line(cells: np.ndarray, place: int, stride: int) -> bool:
    label = cells[place]
    up, left, right, down = cells[place - stride], cells[place - 1], cells[place + 1], cells[place + stride]
    parted = (up != label) & (up > 0) | (left != label) & (left > 0)
    return (label > 0) & (parted | (right != label) & (right > 0) | (down != label) & (down > 0))


@njit(cache=True, nogil=True)
def _mark_lines_in_blobs(flooded: Flooded, blobs: np.ndarray, crowded: np.ndarray, lines: SplitLines) -> np.ndarray:
    """Copy the lines of all clicks inside the crowded blobs, and return the (H, W) mask of the doubtful pixels.

    A pixel is doubtful if a click outside its blob took it, or if it is on a line and such a click took a neighbour.
    """
    height, width = blobs.shape
    doubtful = np.zeros((height, width), dtype=np.bool_)
    for i in range(height):
        for j in range(width):
            blob = blobs[i, j]
            if crowded[blob]:
                lines.in_blobs[i, j] = lines.all_clicks[i, j]
                place = (i + 1) * flooded.stride + j + 1
                label = flooded.cells[place]
                doubtful[i, j] = label > 0 and flooded.groups[label - 1] != blob
                if lines.all_clicks[i, j]:
                    for step in (-flooded.stride, -1, 1, flooded.stride):
                        label = flooded.cells[place + step]
                        doubtful[i, j] |= label > 0 and flooded.groups[label - 1] != blob
    return doubtful


@njit(cache=True, nogil=True)
def _mark_own_lines(
    flooded: Flooded,
    tree: Tree,
    lake: Lake,
    blobs: np.ndarray,
    doubtful: np.ndarray,
    by_blob: np.ndarray,
    in_blobs: np.ndarray,
) -> None:
    """Mark the lines of each blob's own flood on the doubtful pixels.

    `doubtful` holds flat indices of pixels, and `by_blob` the numbers of the clicks. Both are sorted by blob.
    """
    width = blobs.shape[1]
    chosen, end = -1, 0
    for pixel in doubtful:
        i, j = pixel // width, pixel % width
        if blobs[i, j] != chosen:
            chosen = blobs[i, j]
            start = end
            while flooded.groups[by_blob[start]] != chosen:
                start += 1
            end = start
            while end < len(by_blob) and flooded.groups[by_blob[end]] == chosen:
                end += 1
            choose(chosen, by_blob[start:end], flooded, tree, lake)
        place = (i + 1) * flooded.stride + j + 1
        label = label_of(place, chosen, flooded, tree, lake)
        parted = False
        for step in (-flooded.stride, -1, 1, flooded.stride):
            other = label_of(place + step, chosen, flooded, tree, lake)
            parted |= other > 0 and other != label
        in_blobs[i, j] = parted and label > 0
