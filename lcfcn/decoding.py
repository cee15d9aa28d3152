"""Decoding: find the objects in the network's map.

The input is a map of probabilities. The output is a mask for each class whose 8-connected blobs are the objects. In the
paper a blob is a connected set of pixels above 0.5, so objects that touch count as one. Here three numbers (`Decoding`)
say what an object is:

1. The map is turned into logits, and smoothed by a Gaussian (`smoothing`).
2. Pixels above `threshold` are kept.
3. A blob with several peaks is cut between two of them, if the map sinks by at least `depth` on the way from the lower
   peak to the higher one.

Step 3 is a watershed of the map from its peaks, with the shallow ones left out. How far the map sinks below a peak
before it rises to a higher one is called the persistence of the peak.

References
----------
Edelsbrunner, Letscher and Zomorodian, "Topological persistence and simplification", Discrete & Computational Geometry
2002.
"""

from typing import NamedTuple

import numpy as np
from numba import njit
from scipy import ndimage

from lcfcn.union_find import find_root

LINE = -1
"""Label of a pixel between two objects that are cut apart."""


class Decoding(NamedTuple):
    """How objects are found in a map of heights (logits). The defaults are the paper's: all blobs above 0.5.

    Attributes
    ----------
    threshold : float
        A pixel belongs to an object if its height is above it; in logits, so that 0 is a probability of 0.5.
    depth : float
        A blob is cut between two peaks if the map sinks by at least `depth` from the lower peak to the lowest point of
        the best path between them; in logits. Infinity never cuts.
    smoothing : float
        Standard deviation of a Gaussian that smooths the heights first, in pixels. 0 does not smooth.

    Examples
    --------
    Two objects touch. The map sinks from 0.9 to 0.6 between them, which is 1.8 in logits.

    >>> import numpy as np
    >>> from lcfcn import Decoding, get_blobs
    >>> probs = np.array([[0.8, 0.9, 0.6, 0.95, 0.8]])
    >>> get_blobs(probs)
    array([[1, 1, 1, 1, 1]], dtype=int32)
    >>> get_blobs(probs, decoding=Decoding(depth=1.0))
    array([[1, 1, 0, 2, 2]], dtype=int32)
    >>> get_blobs(probs, decoding=Decoding(depth=2.0))
    array([[1, 1, 1, 1, 1]], dtype=int32)
    """

    threshold: float = 0.0
    depth: float = float("inf")
    smoothing: float = 0.0


BLOBS = Decoding()
"""The paper's decoding."""


def heights(probs: np.ndarray) -> np.ndarray:
    """Turn probabilities into heights: by how much each class leads, in logits.

    Parameters
    ----------
    probs : (1, H, W) or (K + 1, H, W) float ndarray
        Probabilities of an object, or of background and K classes.

    Returns
    -------
    heights : (1 or K, H, W) float32 ndarray
        log p(class) - log p(most probable other class, or background). Above 0 where the class is most probable.
    """
    tiny = np.finfo(np.float32).tiny
    if len(probs) == 1:
        return (np.log(np.maximum(probs, tiny)) - np.log(np.maximum(1 - probs, tiny))).astype(np.float32)
    logs = np.log(np.maximum(probs, tiny))
    best_two = np.partition(logs, -2, axis=0)[-2:]
    return np.where(logs == best_two[1], logs - best_two[0], logs - best_two[1])[1:].astype(np.float32)


def object_masks(probs: np.ndarray, decoding: Decoding, roi_mask: np.ndarray | None = None) -> np.ndarray:
    """Return masks whose 8-connected blobs are the objects.

    Parameters
    ----------
    probs : (1, H, W) or (K + 1, H, W) float ndarray
        See `heights`.
    decoding : Decoding
    roi_mask : (H, W) bool ndarray, optional
        Region of interest. There is no object outside it, and no object crosses the outside.

    Returns
    -------
    masks : (1 or K, H, W) bool ndarray
        One mask per class. A pixel belongs to one class at most. Lines of one pixel run between objects that
        `decoding.depth` cuts apart.
    """
    planes = smoothed(heights(probs), decoding.smoothing)
    masks = candidates(planes, decoding.threshold, roi_mask)
    if np.isinf(decoding.depth):
        return masks
    return np.stack([cut_at_passes(plane, mask, decoding.depth) for plane, mask in zip(planes, masks, strict=True)])


def smoothed(planes: np.ndarray, smoothing: float) -> np.ndarray:
    """Smooth each plane of (K, H, W) heights by a Gaussian; `smoothing` is its standard deviation in pixels."""
    if smoothing == 0:
        return planes
    return np.stack([ndimage.gaussian_filter(plane, smoothing, mode="nearest") for plane in planes])


def candidates(planes: np.ndarray, threshold: float, roi_mask: np.ndarray | None = None) -> np.ndarray:
    """Return the pixels of (K, H, W) heights above the threshold and in the region, each for its highest class only."""
    masks = planes > threshold
    if len(planes) > 1:  # with a threshold below 0 a pixel may be above it in several classes
        masks &= planes.argmax(axis=0) == np.arange(len(planes))[:, None, None]
    return masks if roi_mask is None else masks & roi_mask


def cut_at_passes(plane: np.ndarray, mask: np.ndarray, depth: float) -> np.ndarray:
    """Cut blobs between peaks that are at least `depth` above the lowest point of the path between them.

    The pixels are visited from the highest down, and each joins the objects around it. A pixel between two objects
    joins them into one if the lower of their peaks is less than `depth` above the pixel. Otherwise it becomes a line.
    So each object has one peak with a persistence of at least `depth`; see the module's docstring.

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
        The mask without the lines. Each blob keeps at least its highest pixel.
    """
    places = np.flatnonzero(mask)
    order = places[np.argsort(-plane.ravel()[places], kind="stable")]
    return _cut(plane, order, depth) > 0


@njit(cache=True)
def _cut(plane: np.ndarray, order: np.ndarray, depth: float) -> np.ndarray:
    height, width = plane.shape
    labels = np.zeros((height, width), np.int32)  # 0 has not been visited
    parents = np.zeros(len(order) + 1, np.int32)  # union-find of the objects; 0 = given up, see below
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
        # The pixel lies between two deep objects, or between a shallow one and an older line.
        on_line = n_deep > 1 or (beside_line and n_deep == 0)
        labels[row, col] = LINE if on_line else highest
        for other in around[:n_around]:
            is_shallow = peaks[other] - plane[row, col] < depth
            if is_shallow and (on_line or other != highest):
                # A shallow object beside a line is given up: no pixel could join it to a deep one any more, so it
                # would count as an object of its own.
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
    """Write the objects among the 8 neighbours into `around`; return their number, and if a neighbour is on a line."""
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
