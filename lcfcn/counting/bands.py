"""Find the blobs of an image that is too large for memory, band by band from the top.

The input is the masks and probabilities of the bands. The output is a table of blobs (point, score, area), the same as
for the whole image at once. Each band is labelled alone. Pieces of blobs that touch across the border of two bands are
joined at the end, as connected components of a graph.
"""

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from lcfcn.components import EIGHT_NEIGHBOURS, label_blobs


def in_context(bands: Iterable[np.ndarray], margin: int) -> Iterator[tuple[np.ndarray, slice]]:
    """Yield each band (C, h, W) with up to `margin` rows of its neighbours, and the slice of its own rows in it."""
    # The rows in memory, the heights of the bands in them that are not done yet, and the first row of the first one.
    held, waiting, start = None, [], 0
    for band in itertools.chain(bands, [None]):
        if band is not None:
            held = band if held is None else np.concatenate([held, band], axis=1)
            waiting.append(band.shape[1])
        while waiting and (band is None or held.shape[1] >= start + waiting[0] + margin):
            stop = start + waiting.pop(0)
            top = max(start - margin, 0)
            yield held[:, top : stop + margin], slice(start - top, stop - top)
            start = stop
        drop = max(start - margin, 0)
        held, start = (None if held is None else held[:, drop:]), start - drop


@dataclass(frozen=True)
class BlobTable:
    """A table of n blobs, in raster order of their first pixels.

    Attributes
    ----------
    pixels : (n, 2) int64 ndarray
        Row and column of each blob's point; see `lcfcn.components.blob_points`.
    scores : (n,) float64 ndarray
        Mean probability over the blob.
    areas : (n,) int64 ndarray
        Number of pixels.
    """

    pixels: np.ndarray
    scores: np.ndarray
    areas: np.ndarray


class BandBlobs:
    """The blobs of one class. Add all bands from top to bottom, and then pass the same masks to `table`.

    The point of a blob depends on its centroid, which is known after the last band only. So the masks are needed
    twice, and nothing larger than a band is kept in between.
    """

    def __init__(self) -> None:
        self._sums: list[np.ndarray] = []  # (4, n) of each band: area, and sums of rows, columns and probabilities
        self._joints: list[np.ndarray] = []  # (m, 2) of each border: pairs of pieces that touch across it
        self._n_pieces = 0
        self._height = 0
        self._last_row = np.zeros(0, dtype=np.int64)

    def add(self, mask: np.ndarray, probs: np.ndarray) -> None:
        """Add the next band: its mask, (h, W) bool, and the probabilities of the class, (h, W) float."""
        pieces = _Pieces(mask, self._height, self._n_pieces)
        if self._height:
            self._joints.append(_touching(self._last_row, pieces.row(0)))
        self._sums.append(pieces.sums(probs))
        self._last_row = pieces.row(-1)
        self._n_pieces += pieces.n
        self._height += len(mask)

    def table(self, masks: Iterable[np.ndarray]) -> BlobTable:
        """Return the table of all blobs. `masks` are those that were added, band by band."""
        of_piece = self._blob_of_piece()
        pieces_sums = np.concatenate(self._sums, axis=1)
        n_blobs = int(of_piece.max(initial=-1)) + 1
        areas, *sums = (np.bincount(of_piece, values, n_blobs) for values in pieces_sums)
        centre_row, centre_col, scores = (values / areas for values in sums)
        best = np.full(n_blobs, np.inf)
        pixels = np.zeros((n_blobs, 2), dtype=np.int64)
        top = first = 0
        for mask in masks:
            pieces = _Pieces(mask, top, first)
            blob = of_piece[pieces.numbers]
            distance = (pieces.rows - centre_row[blob]) ** 2 + (pieces.cols - centre_col[blob]) ** 2
            # The sort is stable, so the first of equally near pixels in raster order is taken.
            order = np.lexsort((distance, blob))
            chosen = order[np.unique(blob[order], return_index=True)[1]]
            chosen = chosen[distance[chosen] < best[blob[chosen]]]
            best[blob[chosen]] = distance[chosen]
            pixels[blob[chosen]] = np.stack([pieces.rows[chosen], pieces.cols[chosen]], axis=1)
            top, first = top + len(mask), first + pieces.n
        return BlobTable(pixels, scores, areas.astype(np.int64))

    def _blob_of_piece(self) -> np.ndarray:
        """Return the blob of each piece, (pieces,) int64. Blobs are numbered in the order of their first pieces."""
        if not self._n_pieces:
            return np.zeros(0, dtype=np.int64)
        one, other = np.concatenate([*self._joints, np.zeros((0, 2), dtype=np.int64)]).T
        shape = (self._n_pieces, self._n_pieces)
        graph = sparse.coo_array((np.ones(len(one), dtype=bool), (one, other)), shape=shape)
        component = sparse.csgraph.connected_components(graph, directed=False)[1]
        _, first, of_piece = np.unique(component, return_index=True, return_inverse=True)
        rank = np.empty(len(first), dtype=np.int64)
        rank[np.argsort(first)] = np.arange(len(first))
        return rank[of_piece]


class _Pieces:
    """The pieces of blobs in one band: the number of the piece (from `first`), row and column of each pixel."""

    def __init__(self, mask: np.ndarray, top: int, first: int) -> None:
        self._labels = label_blobs(mask)
        self._first = first
        self.n = int(self._labels.max(initial=0))
        rows, self.cols = np.nonzero(self._labels)
        self._local = self._labels[rows, self.cols] - 1
        self._in_band = (rows, self.cols)
        self.rows = rows + top
        self.numbers = self._local + first

    def row(self, index: int) -> np.ndarray:
        """Return the numbers of the pieces along one row, (W,), -1 where there is none."""
        labels = self._labels[index].astype(np.int64)
        return np.where(labels > 0, labels - 1 + self._first, -1)

    def sums(self, probs: np.ndarray) -> np.ndarray:
        """Return for each piece its area, and the sums of its rows, columns and probabilities, (4, n)."""
        weights = (None, self.rows, self.cols, probs[self._in_band])
        return np.stack([np.bincount(self._local, values, self.n) for values in weights])


def _touching(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    """Return the pairs of pieces of two neighbouring rows that touch, at a side or a corner, (m, 2)."""
    reach = EIGHT_NEIGHBOURS.shape[1] // 2
    pairs = [np.zeros((0, 2), dtype=np.int64)]
    for shift in range(-reach, reach + 1):
        upper = above[max(shift, 0) : len(above) + min(shift, 0)]
        lower = below[max(-shift, 0) : len(below) + min(-shift, 0)]
        both = (upper >= 0) & (lower >= 0)
        pairs.append(np.unique(np.stack([upper[both], lower[both]], axis=1), axis=0))
    return np.concatenate(pairs)
