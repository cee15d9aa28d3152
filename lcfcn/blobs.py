"""Blobs, their points, and the lines that split them."""

from typing import TypeVar

import numpy as np
import torch
from scipy import ndimage

from lcfcn.watershed import flood

Array = TypeVar("Array", np.ndarray, torch.Tensor)

EIGHT_NEIGHBOURS = np.ones((3, 3), dtype=bool)


def get_blobs(probs: Array, roi_mask: Array | None = None) -> Array:
    """Label the connected blobs of a network's output: each blob is one object.

    Parameters
    ----------
    probs : (H, W), (N, H, W), (N, 1, H, W) or (N, K + 1, H, W) ndarray or tensor
        Probabilities in [0, 1]. Up to three dimensions, and with one channel, they are those of an object
        (sigmoid), and a pixel above 0.5 belongs to one. With K + 1 channels they come from a softmax with the
        background in channel 0, and a pixel belongs to its most probable channel.
    roi_mask : bool, (H, W) or (N, H, W), optional
        Region of interest; there is no blob outside it.

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
    foreground = class_masks(maps) if maps.ndim == 4 else maps > 0.5
    if roi_mask is not None:
        roi = _to_numpy(roi_mask).astype(bool)
        image_shape = maps.shape[-2:]
        if roi.shape != image_shape and (maps.ndim == 2 or roi.shape != (len(maps), *image_shape)):
            raise ValueError(
                f"roi_mask has shape {tuple(roi.shape)} and probs {tuple(maps.shape)}; "
                "expected (H, W), or (N, H, W) for a batch, of the same size: crop or pad one of them"
            )
        foreground = foreground & (roi[:, None] if maps.ndim == 4 and roi.ndim == 3 else roi)
    planes = foreground.reshape(-1, *foreground.shape[-2:])
    blobs = np.stack([label_blobs(plane) for plane in planes]) if len(planes) else planes.astype(np.int32)
    return _like(blobs.reshape(foreground.shape), probs)


def class_masks(probs: np.ndarray) -> np.ndarray:
    """Which pixels belong to which class: (N, 1, H, W) or (N, K + 1, H, W) to (N, 1 or K, H, W) bool."""
    if probs.shape[1] == 1:
        return probs > 0.5
    classes = np.arange(1, probs.shape[1])
    return probs.argmax(axis=1)[:, None] == classes[:, None, None]


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


def split_lines(relief: np.ndarray, markers: np.ndarray, roi_mask: np.ndarray) -> np.ndarray:
    """Where the floods of different markers meet, both sides of the line ("thick").

    Parameters
    ----------
    relief : (H, W) float32 ndarray
        What is flooded, see `lcfcn.watershed.black_top_hat`.
    markers : (H, W) int ndarray
        One label a point, 0 elsewhere.
    roi_mask : (H, W) bool ndarray
        Region of interest.

    Returns
    -------
    lines : (H, W) bool ndarray
        Pixels inside the region with a 4-neighbour inside the region that has another label.
    """
    labels = flood(relief, markers, roi_mask)
    lines = np.zeros(labels.shape, dtype=bool)
    vertical = (labels[1:] != labels[:-1]) & roi_mask[1:] & roi_mask[:-1]
    horizontal = (labels[:, 1:] != labels[:, :-1]) & roi_mask[:, 1:] & roi_mask[:, :-1]
    lines[1:] |= vertical
    lines[:-1] |= vertical
    lines[:, 1:] |= horizontal
    lines[:, :-1] |= horizontal
    return lines


def _to_numpy(array: np.ndarray | torch.Tensor) -> np.ndarray:
    if not isinstance(array, torch.Tensor):
        return np.asarray(array)
    array = array.detach()
    return (array.float() if array.is_floating_point() else array).cpu().numpy()


def _like(array: np.ndarray, example: np.ndarray | torch.Tensor) -> np.ndarray | torch.Tensor:
    return torch.from_numpy(array).to(example.device) if isinstance(example, torch.Tensor) else array
