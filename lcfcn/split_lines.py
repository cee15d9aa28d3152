"""Split lines: where floods from different clicks meet (Laradji et al., ECCV 2018, section 3.1)."""

from typing import NamedTuple

import numpy as np
from numba import njit

from lcfcn.subflood import Flooded, Lake, Tree, choose, join_regions, label_of, new_lake
from lcfcn.top_hat import black_top_hat
from lcfcn.watershed import new_queue, places, rank_pixels, run_flood


class SplitLines(NamedTuple):
    """Where floods meet, both sides of the line ("thick"), as (H, W) bool.

    `all_clicks` : of the flood from all clicks; `in_blobs` : inside each blob with several clicks, of the flood of the
    whole image from that blob's clicks alone.
    """

    all_clicks: np.ndarray
    in_blobs: np.ndarray


def split_lines(probs: np.ndarray, clicks: np.ndarray, blobs: np.ndarray, roi_mask: np.ndarray) -> SplitLines:
    """Lines that part the clicks of one class from one another.

    A pixel is on a line if a 4-neighbour has another label; both lie inside the region.

    Parameters
    ----------
    probs : (H, W) float32 ndarray
        Probability of an object; its black top-hat is flooded.
    clicks : (n,) int64 ndarray
        Flat indices of the clicked pixels, ascending, all inside the region.
    blobs : (H, W) int32 ndarray
        Label image, 0 = background.
    roi_mask : (H, W) bool ndarray
        Region of interest.

    Notes
    -----
    Few blobs need more than the flood from all clicks: those that another click's flood enters or touches.
    `lcfcn.subflood` tells what their own floods would have given there.
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
    """Copy the lines inside crowded blobs; returns where the flood of a click elsewhere has been or touches."""
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
    """Mark the lines of each blob's own flood on doubtful pixels; these and the clicks are sorted by blob."""
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
