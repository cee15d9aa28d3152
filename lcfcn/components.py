"""Connected components ("blobs") of a mask, and one point for each blob. It needs numpy and scipy only."""

import numpy as np
from scipy import ndimage

EIGHT_NEIGHBOURS = np.ones((3, 3), dtype=bool)


def label_blobs(mask: np.ndarray) -> np.ndarray:
    """Number the 8-connected components of an (H, W) bool mask from 1, in raster order of their first pixels.

    Returns
    -------
    blobs : (H, W) int32 ndarray
        0 = background.
    """
    return ndimage.label(mask, structure=EIGHT_NEIGHBOURS, output=np.int32)[0]


def blob_points(blobs: np.ndarray) -> np.ndarray:
    """Return for each blob its pixel nearest to its centroid, so that the point lies in the blob even for a ring.

    Parameters
    ----------
    blobs : (H, W) int ndarray
        Label image, 0 = background.

    Returns
    -------
    point_list : (n, 2) int64 ndarray
        Row and column, in the order of the labels. Of several equally near pixels it is the first in raster order.
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
