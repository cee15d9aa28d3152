"""The flood that finds the borders between neighbouring objects."""

import numpy as np
from scipy import ndimage
from skimage.segmentation import watershed

TOP_HAT_SIZE = 7
"""Side of the square of the black top-hat, in pixels, as in the authors' code."""


def black_top_hat(probs: np.ndarray, roi_mask: np.ndarray) -> np.ndarray:
    """Black top-hat (closing minus image) of `probs` with a 7x7 square, blind to what lies outside the region.

    Parameters
    ----------
    probs : (H, W) float32 ndarray
        Probability of an object.
    roi_mask : (H, W) bool ndarray
        True inside the region of interest.

    Returns
    -------
    relief : (H, W) float32 ndarray
        High where a dark valley runs between bright objects, 0 on flat ground and outside the region.
    """
    dilated = ndimage.maximum_filter(
        np.where(roi_mask, probs, -np.inf), size=TOP_HAT_SIZE, mode="constant", cval=-np.inf
    )
    closed = ndimage.minimum_filter(
        np.where(roi_mask, dilated, np.inf), size=TOP_HAT_SIZE, mode="constant", cval=np.inf
    )
    return np.where(roi_mask, closed - probs, 0).astype(np.float32)


def flood(relief: np.ndarray, markers: np.ndarray, roi_mask: np.ndarray) -> np.ndarray:
    """Flood a relief from markers, through 4-neighbours, lowest pixel first.

    Parameters
    ----------
    relief : (H, W) float32 ndarray
        Height of each pixel.
    markers : (H, W) int32 ndarray
        0 where there is no marker, else the marker's label.
    roi_mask : (H, W) bool ndarray
        The flood stays inside it.

    Returns
    -------
    labels : (H, W) int32 ndarray
        The label of the marker whose flood arrived first; 0 outside the region and where no flood arrives.
    """
    return watershed(relief, markers.astype(np.int32), mask=roi_mask)
