"""Blobs of a network's output, and one point for each blob: from a map of probabilities to counted objects."""

import math
from itertools import repeat
from typing import TypeVar

import numpy as np
import torch

from lcfcn.components import blob_points, label_blobs
from lcfcn.decoding import BLOBS, Decoding, object_masks

Array = TypeVar("Array", np.ndarray, torch.Tensor)


def get_blobs(probs: Array, roi_mask: Array | None = None, decoding: Decoding = BLOBS) -> Array:
    """Label the connected blobs of a network's output. Each blob is one object.

    Parameters
    ----------
    probs : (H, W), (N, H, W), (N, 1, H, W) or (N, K + 1, H, W) ndarray or tensor
        Probabilities in [0, 1]. With one channel, or without a channel dimension, they are the sigmoid of an object's
        logits, and a pixel above 0.5 belongs to an object. With K + 1 channels they are a softmax with the background
        in channel 0, and a pixel belongs to its most probable channel.
    roi_mask : (H, W) or (N, H, W) bool ndarray or tensor, optional
        Region of interest. There is no blob outside it.
    decoding : Decoding, optional
        How objects are found. By default as in the paper, where objects that touch are one blob; see `Decoding`.

    Returns
    -------
    blobs : int32 ndarray or tensor, with the shape of `probs`, or (N, K, H, W) for K + 1 channels
        0 = background; 1..n = the 8-connected blobs of each image and class. A tensor if `probs` is one, on the same
        device.

    Raises
    ------
    ValueError
        If the shapes do not fit.

    Examples
    --------
    >>> import torch
    >>> from lcfcn import get_blobs
    >>> probs = torch.tensor([[0.9, 0.1, 0.2, 0.7], [0.8, 0.1, 0.1, 0.9]])
    >>> blobs = get_blobs(probs)
    >>> blobs
    tensor([[1, 0, 0, 2],
            [1, 0, 0, 2]], dtype=torch.int32)
    >>> blobs.amax((-2, -1)).item()  # the count
    2
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
    foreground = class_masks(planes, decoding, roi)
    if maps.ndim < 4:
        foreground = foreground.reshape(maps.shape)
    planes = foreground.reshape(-1, *foreground.shape[-2:])
    blobs = np.stack([label_blobs(plane) for plane in planes]) if len(planes) else planes.astype(np.int32)
    return _like(blobs.reshape(foreground.shape), probs)


def class_masks(probs: np.ndarray, decoding: Decoding = BLOBS, roi_mask: np.ndarray | None = None) -> np.ndarray:
    """Return the pixels of each class, whose 8-connected blobs are the objects.

    Parameters
    ----------
    probs : (N, 1, H, W) or (N, K + 1, H, W) float ndarray
        See `get_blobs`.
    decoding : Decoding, optional
    roi_mask : (H, W) or (N, H, W) bool ndarray, optional
        No pixel outside it belongs to a class.

    Returns
    -------
    masks : (N, 1, H, W) or (N, K, H, W) bool ndarray
    """
    roi = None if roi_mask is None else np.broadcast_to(roi_mask, (len(probs), *probs.shape[-2:]))
    if decoding != BLOBS:
        regions = repeat(None, len(probs)) if roi is None else roi
        return np.stack([object_masks(image, decoding, region) for image, region in zip(probs, regions, strict=True)])
    if probs.shape[1] == 1:
        masks = probs > 0.5
    else:
        masks = probs.argmax(axis=1)[:, None] == np.arange(1, probs.shape[1])[:, None, None]
    return masks if roi is None else masks & roi[:, None]


def blobs2points(blobs: Array) -> Array:
    """Turn each blob into one point.

    Parameters
    ----------
    blobs : (..., H, W) int ndarray or tensor
        Label images, 0 = background.

    Returns
    -------
    points : like `blobs`
        1 at one pixel of each blob, the one nearest to its centroid, else 0. There are as many points as blobs.

    Raises
    ------
    ValueError
        If `blobs` has less than two dimensions.

    Examples
    --------
    >>> import numpy as np
    >>> from lcfcn import blobs2points
    >>> blobs2points(np.array([[1, 1, 1, 0, 2]]))
    array([[0, 1, 0, 0, 1]])
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


def _to_numpy(array: np.ndarray | torch.Tensor) -> np.ndarray:
    if not isinstance(array, torch.Tensor):
        return np.asarray(array)
    array = array.detach()
    return (array.float() if array.is_floating_point() else array).cpu().numpy()


def _like(array: np.ndarray, example: np.ndarray | torch.Tensor) -> np.ndarray | torch.Tensor:
    return torch.from_numpy(array).to(example.device) if isinstance(example, torch.Tensor) else array
