"""Blobs, their points, and the lines that split them."""

import math
from itertools import repeat
from typing import NamedTuple, TypeVar

import numpy as np
import torch
from numba import njit
from scipy import ndimage

from lcfcn.reading import BLOBS, Reading, object_masks
from lcfcn.subflood import Flooded, Lake, Tree, choose, join_regions, label_of, new_lake
from lcfcn.watershed import black_top_hat, new_queue, places, rank_pixels, run_flood

Array = TypeVar("Array", np.ndarray, torch.Tensor)

EIGHT_NEIGHBOURS = np.ones((3, 3), dtype=bool)


def get_blobs(probs: Array, roi_mask: Array | None = None, reading: Reading = BLOBS) -> Array:
    """Label the connected blobs of a network's output: each blob is one object.

    Parameters
    ----------
    probs : (H, W), (N, H, W), (N, 1, H, W) or (N, K + 1, H, W) ndarray or tensor
        Probabilities in [0, 1]. Up to three dimensions, and with one channel, they are those of an object
        (sigmoid), and a pixel above 0.5 belongs to one. With K + 1 channels they come from a softmax with the
        background in channel 0, and a pixel belongs to its most probable channel.
    roi_mask : bool, (H, W) or (N, H, W), optional
        Region of interest; there is no blob outside it.
    reading : Reading, optional
        Other ways to read objects from the map than the paper's, which counts touching ones as one.

    Returns
    -------
    blobs : int32, the shape of `probs`, or (N, K, H, W) for K + 1 channels
        0 is the background, 1..n the 8-connected blobs of each image and class; same kind and device as `probs`.

    Raises
    ------
    ValueError
        If the shapes do not fit.
    """
    maps = _to_numpy(probs)
    if maps.ndim not in (2, 3, 4):
        raise ValueError(
            f"probs has shape {tuple(maps.shape)}; expected (H, W), (N, H, W) or (N, C, H, W): "
            "add or remove leading dimensions"
        )
    planes = maps if maps.ndim == 4 else maps.reshape(math.prod(maps.shape[:-2]), 1, *maps.shape[-2:])
    roi = None
    if roi_mask is not None:
        roi = _to_numpy(roi_mask).astype(bool)
        image_shape = maps.shape[-2:]
        if roi.shape != image_shape and (maps.ndim == 2 or roi.shape != (len(maps), *image_shape)):
            raise ValueError(
                f"roi_mask has shape {tuple(roi.shape)} and probs {tuple(maps.shape)}; "
                "expected (H, W), or (N, H, W) for a batch, of the same size: crop or pad one of them"
            )
    foreground = class_masks(planes, reading, roi)
    if maps.ndim < 4:
        foreground = foreground.reshape(maps.shape)
    planes = foreground.reshape(-1, *foreground.shape[-2:])
    blobs = np.stack([label_blobs(plane) for plane in planes]) if len(planes) else planes.astype(np.int32)
    return _like(blobs.reshape(foreground.shape), probs)


def class_masks(probs: np.ndarray, reading: Reading = BLOBS, roi_mask: np.ndarray | None = None) -> np.ndarray:
    """Which pixels belong to which class: (N, 1, H, W) or (N, K + 1, H, W) to (N, 1 or K, H, W) bool.

    `roi_mask`, (H, W) or (N, H, W) bool, leaves none outside it.
    """
    roi = None if roi_mask is None else np.broadcast_to(roi_mask, (len(probs), *probs.shape[-2:]))
    if reading != BLOBS:
        regions = repeat(None, len(probs)) if roi is None else roi
        return np.stack([object_masks(image, reading, region) for image, region in zip(probs, regions, strict=True)])
    if probs.shape[1] == 1:
        masks = probs > 0.5
    else:
        masks = probs.argmax(axis=1)[:, None] == np.arange(1, probs.shape[1])[:, None, None]
    return masks if roi is None else masks & roi[:, None]


def label_blobs(mask: np.ndarray) -> np.ndarray:
    """Number the 8-connected components of an (H, W) bool mask, in raster order of their first pixel, as int32."""
    return ndimage.label(mask, structure=EIGHT_NEIGHBOURS, output=np.int32)[0]


def blob_points(blobs: np.ndarray) -> np.ndarray:
    """The pixel of each blob that lies nearest its centroid, so also inside a ring or a C.

    Parameters
    ----------
    blobs : (H, W) int ndarray
        Label image, 0 = background.

    Returns
    -------
    point_list : (n, 2) int64 ndarray
        Row and column, in the order of the labels; of several equally near pixels the first in raster order.
    """
    rows, cols = np.nonzero(blobs)
    labels = blobs[rows, cols]
    _, of_blob, sizes = np.unique(labels, return_inverse=True, return_counts=True)
    centre_row = np.bincount(of_blob, rows, len(sizes)) / sizes
    centre_col = np.bincount(of_blob, cols, len(sizes)) / sizes
    distance = (rows - centre_row[of_blob]) ** 2 + (cols - centre_col[of_blob]) ** 2
    nearest_first = np.lexsort((distance, of_blob))
    first_of_blob = np.searchsorted(of_blob[nearest_first], np.arange(len(sizes)))
    chosen = nearest_first[first_of_blob]
    return np.stack([rows[chosen], cols[chosen]], axis=1)


def blobs2points(blobs: Array) -> Array:
    """Turn each blob into one point.

    Parameters
    ----------
    blobs : int, (H, W) or with leading dimensions, ndarray or tensor
        Label images, 0 = background.

    Returns
    -------
    points : the shape, kind, dtype and device of `blobs`
        1 at one pixel inside each blob (see `blob_points`), else 0: as many points as there are blobs.
    """
    labels = _to_numpy(blobs)
    if labels.ndim < 2:
        raise ValueError(f"blobs has shape {tuple(labels.shape)}; expected (H, W) or (..., H, W): pass label images")
    planes = labels.reshape(-1, *labels.shape[-2:])
    points = np.zeros_like(planes)
    for plane, out in zip(planes, points, strict=True):
        rows, cols = blob_points(plane).T
        out[rows, cols] = 1
    return _like(points.reshape(labels.shape), blobs)


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


def _to_numpy(array: np.ndarray | torch.Tensor) -> np.ndarray:
    if not isinstance(array, torch.Tensor):
        return np.asarray(array)
    array = array.detach()
    return (array.float() if array.is_floating_point() else array).cpu().numpy()


def _like(array: np.ndarray, example: np.ndarray | torch.Tensor) -> np.ndarray | torch.Tensor:
    return torch.from_numpy(array).to(example.device) if isinstance(example, torch.Tensor) else array
