"""How objects are read from a map: blobs as they are, or cut where the map sinks deep enough between two peaks."""

from typing import NamedTuple

import numpy as np
from numba import njit
from scipy import ndimage

from lcfcn.union_find import find_root

LINE = -1
"""In the labels of a cut: a pixel between two objects."""


class Decoding(NamedTuple):
    """How objects are read from a map of heights.

    The defaults are the paper's: the objects are the connected blobs of what is more probable than not.

    Attributes
    ----------
    threshold : float
        A pixel belongs to an object if its height is above; in logits.
    depth : float
        A blob with several peaks is cut between two of them if the map sinks so far, in logits, from the lower one to
        the pass; infinity never cuts.
    smoothing : float
        Standard deviation of the Gaussian that smooths the heights first, in pixels; 0 leaves them.
    """

    threshold: float = 0.0
    depth: float = float("inf")
    smoothing: float = 0.0


BLOBS = Decoding()
"""The paper's decoding."""


def heights(probs: np.ndarray) -> np.ndarray:
    """How far each class leads, in logits.

    Parameters
    ----------
    probs : (1, H, W) or (K + 1, H, W) float ndarray
        Probabilities of an object, or of background and K classes.

    Returns
    -------
    heights : (1 or K, H, W) float32 ndarray
        log p(class) - log p(the most probable other); above 0 where the class is the most probable.
    """
    tiny = np.finfo(np.float32).tiny
    if len(probs) == 1:
        return (np.log(np.maximum(probs, tiny)) - np.log(np.maximum(1 - probs, tiny))).astype(np.float32)
    logs = np.log(np.maximum(probs, tiny))
    best_two = np.partition(logs, -2, axis=0)[-2:]
    return np.where(logs == best_two[1], logs - best_two[0], logs - best_two[1])[1:].astype(np.float32)


def object_masks(probs: np.ndarray, decoding: Decoding, roi_mask: np.ndarray | None = None) -> np.ndarray:
    """Which pixels belong to an object, such that its 8-connected blobs are the objects.

    Parameters
    ----------
    probs : (1, H, W) or (K + 1, H, W) float ndarray
        As for `heights`.
    decoding : Decoding
    roi_mask : (H, W) bool ndarray, optional
        Region of interest: there is no object outside it, and none is joined through what lies outside.

    Returns
    -------
    masks : (1 or K, H, W) bool ndarray
        One a class, of which a pixel belongs to one at most. Lines one pixel wide part what `decoding.depth` cuts.
    """
    planes = smoothed(heights(probs), decoding.smoothing)
    masks = candidates(planes, decoding.threshold, roi_mask)
    if np.isinf(decoding.depth):
        return masks
    return np.stack([cut_at_passes(plane, mask, decoding.depth) for plane, mask in zip(planes, masks, strict=True)])


def smoothed(planes: np.ndarray, smoothing: float) -> np.ndarray:
    """(K, H, W) heights, each plane smoothed by a Gaussian of that standard deviation, in pixels."""
    if smoothing == 0:
        return planes
    return np.stack([ndimage.gaussian_filter(plane, smoothing, mode="nearest") for plane in planes])


def candidates(planes: np.ndarray, threshold: float, roi_mask: np.ndarray | None = None) -> np.ndarray:
    """Where (K, H, W) heights are above the threshold, inside the region; each pixel for its highest class only."""
    masks = planes > threshold
    if len(planes) > 1:  # below 0 several classes may be above the threshold
        masks &= planes.argmax(axis=0) == np.arange(len(planes))[:, None, None]
    return masks if roi_mask is None else masks & roi_mask


def cut_at_passes(plane: np.ndarray, mask: np.ndarray, depth: float) -> np.ndarray:
    """Cut blobs along the lines where floods from peaks that are deep enough apart would meet.

    Water sinks from the highest pixel down. A pixel between two peaks joins them into one object if the lower of the
    two is less than `depth` above it, and is a line otherwise: the objects are the peaks of a persistence of at least
    `depth` (Edelsbrunner et al., "Topological persistence and simplification", 2002), each with its surroundings.

    Parameters
    ----------
    plane : (H, W) float32 ndarray
        Heights.
    mask : (H, W) bool ndarray
        Pixels of the blobs.
    depth : float
        0 or more, in the unit of `plane`.

    Returns
    -------
    mask : (H, W) bool ndarray
        Without the lines. Each blob keeps at least its highest pixel.
    """
    places = np.flatnonzero(mask)
    order = places[np.argsort(-plane.ravel()[places], kind="stable")]
    return _cut(plane, order, depth) > 0


@njit(cache=True)
def _cut(plane: np.ndarray, order: np.ndarray, depth: float) -> np.ndarray:
    height, width = plane.shape
    labels = np.zeros((height, width), np.int32)  # 0 has not been reached
    parents = np.zeros(len(order) + 1, np.int32)  # an object whose parent is 0 was given up, see below
    peaks = np.zeros(len(order) + 1, np.float64)
    around = np.zeros(8, np.int32)
    n = 0
    for place in order:
        row, col = place // width, place % width
        n_around, beside_line = _objects_around(labels, parents, row, col, around)
        if n_around == 0:
            labels[row, col] = LINE
            if not beside_line:
                n += 1
                parents[n] = labels[row, col] = n
                peaks[n] = plane[row, col]
            continue
        highest = around[0]
        for other in around[1:n_around]:
            if peaks[other] > peaks[highest]:
                highest = other
        n_deep = 0
        for other in around[:n_around]:
            n_deep += peaks[other] - plane[row, col] >= depth
        # It lies between two objects, or where a shallow one meets a line, which is older.
        on_line = n_deep > 1 or (beside_line and n_deep == 0)
        labels[row, col] = LINE if on_line else highest
        for other in around[:n_around]:
            is_shallow = peaks[other] - plane[row, col] < depth
            if is_shallow and (on_line or other != highest):
                # On a line nothing would join it to the object that it is part of: it would count as another.
                parents[other] = 0 if on_line else highest
    for place in order:
        row, col = place // width, place % width
        if labels[row, col] > 0:
            labels[row, col] = find_root(parents, labels[row, col])
    return labels


@njit(cache=True)
def _objects_around(
    labels: np.ndarray, parents: np.ndarray, row: int, col: int, around: np.ndarray
) -> tuple[int, bool]:
    """Write the different objects of the 8 neighbours into `around`; their number, and whether one is on a line."""
    n = 0
    beside_line = False
    for r in range(max(row - 1, 0), min(row + 2, labels.shape[0])):
        for c in range(max(col - 1, 0), min(col + 2, labels.shape[1])):
            label = labels[r, c]
            root = find_root(parents, label) if label > 0 else 0
            beside_line |= label != 0 and root == 0
            is_new = root > 0
            for known in around[:n]:
                is_new &= known != root
            if is_new:
                around[n] = root
                n += 1
    return n, beside_line
