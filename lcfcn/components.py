"""Connected components of masks, and one point for each. Only numpy and scipy."""

import numpy as np
from scipy import ndimage

EIGHT_NEIGHBOURS = np.ones((3, 3), dtype=bool)


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
