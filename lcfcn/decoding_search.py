"""Search for the decoding that counts best on images whose counts are known.

The input is the maps of a network on validation images, and the true counts. The output is the decoding with the least
counting error. A grid of some hundred decodings is tried. Decoding each map that often would be slow. So the peaks of
a map and their persistences are found once for each smoothing (see `lcfcn.decoding`). For any threshold and depth, the
count is then the number of peaks that pass two comparisons.
"""

from itertools import product
from typing import NamedTuple

import numpy as np
from numba import njit

from lcfcn.decoding import Decoding, candidates, heights, smoothed
from lcfcn.union_find import find_root

THRESHOLDS = tuple(quarter / 4 for quarter in range(-20, 7))
"""In logits, for probabilities from 0.007 to 0.82."""
DEPTHS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, float("inf"))
"""In logits."""
SMOOTHINGS = (0.0, 0.7)
"""In pixels."""
DECODINGS = tuple(
    sorted(
        (Decoding(*values) for values in product(THRESHOLDS, DEPTHS, SMOOTHINGS)),
        key=lambda decoding: (decoding.smoothing, -decoding.depth, abs(decoding.threshold)),
    )
)
"""The grid, sorted so that the decoding nearest to the paper's comes first: the first of equally good ones is taken."""
INFINITELY_LOW = -np.inf


class Peaks(NamedTuple):
    """The n peaks of a map.

    Attributes
    ----------
    tops : (n,) float64 ndarray
        Height of each peak.
    passes : (n,) float64 ndarray
        Height of the lowest point of the best path to a higher peak; -inf if there is no path.
    places : (n, 2) int64 ndarray
        Row and column of each peak.
    """

    tops: np.ndarray
    passes: np.ndarray
    places: np.ndarray

    def are_objects(self, threshold: float, depth: float) -> np.ndarray:
        """Return for each peak whether it is an object of this decoding, (n,) bool.

        It is one if it is above the threshold, and the path to a higher peak sinks by `depth` or below the threshold.
        """
        return (self.tops > threshold) & ((self.tops - self.passes >= depth) | (self.passes <= threshold))


def find_peaks(plane: np.ndarray, mask: np.ndarray) -> Peaks:
    """Find the peaks of a map and their passes: the 0-dimensional persistence of its super-level sets.

    The pixels are visited from the highest down. Where two peaks meet, the pixel is the pass of the lower one.

    Parameters
    ----------
    plane : (H, W) float32 ndarray
        Heights.
    mask : (H, W) bool ndarray
        The pixels to visit, with 8 neighbours each.

    Returns
    -------
    peaks : Peaks
        `peaks.are_objects(threshold, depth)` has as many objects as `cut_at_passes` leaves blobs of the mask's pixels
        above the threshold.

    References
    ----------
    Edelsbrunner et al., "Topological persistence and simplification", 2002.
    """
    pixels = np.flatnonzero(mask)
    order = pixels[np.argsort(-plane.ravel()[pixels], kind="stable")]
    peaks, passes = _meet(plane, order)
    tops = plane.ravel()[peaks].astype(np.float64)
    return Peaks(tops, passes, np.stack(np.divmod(peaks, plane.shape[1]), axis=1))


@njit(cache=True)
def _meet(plane: np.ndarray, order: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the flat index of each peak, and the height at which it meets a higher one."""
    height, width = plane.shape
    labels = np.zeros((height, width), np.int32)  # 0 has not been visited
    parents = np.zeros(len(order) + 1, np.int32)
    peaks = np.zeros(len(order), np.int64)
    passes = np.full(len(order), INFINITELY_LOW)
    n = 0
    for place in order:
        row, col = place // width, place % width
        joined = 0
        for r in range(max(row - 1, 0), min(row + 2, height)):
            for c in range(max(col - 1, 0), min(col + 2, width)):
                other = labels[r, c]
                if other == 0:
                    continue
                other = find_root(parents, other)
                if joined == 0 or joined == other:
                    joined = other
                    continue
                # Peaks are numbered from the highest down, so the greater number is the lower peak.
                lower = max(joined, other)
                joined = min(joined, other)
                parents[lower] = joined
                passes[lower - 1] = plane[row, col]
        if joined == 0:
            n += 1
            joined = parents[n] = n
            peaks[n - 1] = place
        labels[row, col] = joined
    return peaks[:n], passes[:n]


class DecodingSearch:
    """The peaks of images whose true counts are known, and what each of `DECODINGS` counts on them."""

    def __init__(self) -> None:
        self.peaks: dict[float, list[list[Peaks]]] = {smoothing: [] for smoothing in SMOOTHINGS}
        self.true_counts: list[np.ndarray] = []

    def add(self, probs: np.ndarray, true_counts: np.ndarray, roi_mask: np.ndarray | None = None) -> None:
        """Add an image.

        Parameters
        ----------
        probs : (1, H, W) or (K + 1, H, W) float ndarray
            See `lcfcn.decoding.heights`.
        true_counts : (1 or K,) int ndarray
        roi_mask : (H, W) bool ndarray, optional
        """
        planes = heights(probs)
        for smoothing, images in self.peaks.items():
            smooth = smoothed(planes, smoothing)
            masks = candidates(smooth, THRESHOLDS[0], roi_mask)
            images.append([find_peaks(plane, mask) for plane, mask in zip(smooth, masks, strict=True)])
        self.true_counts.append(np.asarray(true_counts))

    def objects(self, decoding: Decoding) -> list[list[np.ndarray]]:
        """Return the objects of each image and class, as (n, 2) rows and columns of their peaks."""
        return [
            [peaks.places[peaks.are_objects(decoding.threshold, decoding.depth)] for peaks in image]
            for image in self.peaks[decoding.smoothing]
        ]

    def errors(self) -> np.ndarray:
        """Return the errors of the counts (predicted - true) of all `DECODINGS`, (images, classes, decodings) int."""
        counts = [[[len(found) for found in image] for image in self.objects(decoding)] for decoding in DECODINGS]
        return np.stack(counts, axis=-1) - np.array(self.true_counts)[..., None]


def best_decoding(errors: np.ndarray) -> int:
    """Return the index in `DECODINGS` of the least mean absolute error; `errors` come from `DecodingSearch.errors`."""
    return int(np.abs(errors).mean(axis=(0, 1)).argmin())
