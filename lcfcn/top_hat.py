"""Black top-hat: turn probabilities into the relief that is flooded.

The black top-hat is the closing of an image minus the image. It is high in a dark valley between bright objects, and 0
where the image is flat or bright. The closing uses a 7x7 square, as in the authors' code: first the maximum over the
square around each pixel, then the minimum of these maxima. Both run row by row in one pass, so that only seven rows of
maxima are kept in memory. Pixels outside the region of interest take no part.
"""

import numpy as np
from numba import njit

TOP_HAT_SIZE = 7
"""Side of the square of the black top-hat, in pixels, as in the authors' code."""

REACH = TOP_HAT_SIZE // 2


@njit(cache=True, nogil=True)
def black_top_hat(probs: np.ndarray, roi_mask: np.ndarray) -> np.ndarray:
    """Compute the black top-hat (closing minus image) with a 7x7 square. Pixels outside the region are ignored.

    Parameters
    ----------
    probs : (H, W) float32 ndarray
        Probability of an object.
    roi_mask : (H, W) bool ndarray
        True inside the region of interest.

    Returns
    -------
    relief : (H, W) float32 ndarray
        0 or more; 0 outside the region.
    """
    height, width = probs.shape
    lowest = np.float32(-np.inf)
    relief = np.zeros((height, width), dtype=np.float32)
    row = np.full(width + 2 * REACH, lowest, dtype=np.float32)
    # The maxima over seven columns, of the last seven rows: of the image, and of the negative of the dilated image
    # (an erosion is the dilation of the negative). Rows beyond the image are lower than any value in both.
    spread = np.full((TOP_HAT_SIZE, width), lowest, dtype=np.float32)
    sunk = np.full((TOP_HAT_SIZE, width), lowest, dtype=np.float32)
    highest = np.empty(width, dtype=np.float32)
    for i in range(height + 2 * REACH):
        spread[i % TOP_HAT_SIZE] = lowest
        if i < height:
            for j in range(width):
                row[j + REACH] = probs[i, j] if roi_mask[i, j] else lowest
            _spread_row(row, spread[i % TOP_HAT_SIZE])
        middle = i - REACH
        sunk[middle % TOP_HAT_SIZE] = lowest
        if 0 <= middle < height:
            _highest_of_rows(spread, highest)
            for j in range(width):
                row[j + REACH] = -highest[j] if roi_mask[middle, j] else lowest
            _spread_row(row, sunk[middle % TOP_HAT_SIZE])
        last = i - 2 * REACH
        if last >= 0:
            _highest_of_rows(sunk, highest)
            for j in range(width):
                relief[last, j] = -highest[j] - probs[last, j] if roi_mask[last, j] else np.float32(0)
    return relief


@njit(cache=True, nogil=True)
def _spread_row(row: np.ndarray, out: np.ndarray) -> None:
    """Write the maximum of each seven neighbours into `out`; `row` is six longer than `out`."""
    for j in range(len(out)):
        greatest = row[j]
        for k in range(1, TOP_HAT_SIZE):
            value = row[j + k]
            greatest = value if value > greatest else greatest
        out[j] = greatest


@njit(cache=True, nogil=True)
def _highest_of_rows(rows: np.ndarray, out: np.ndarray) -> None:
    for j in range(len(out)):
        greatest = rows[0, j]
        for k in range(1, TOP_HAT_SIZE):
            value = rows[k, j]
            greatest = value if value > greatest else greatest
        out[j] = greatest
