"""The four terms of the LCFCN loss as sets of weighted pixels.

The input is the probabilities of one image, its clicks and its region of interest. The output is sets of pixels. Each
set belongs to one term and to one channel of the network's output, and says in which direction its pixels are pushed:
towards the channel (-log p) or against it (-log(1 - p)). The loss is the sum over all sets and pixels of weight times
cross-entropy.

`find_pixel_sets` finds the sets, and `merge` adds up the weights of all sets of one direction. Nothing here has a
gradient: the weights are constants, as in the authors' code.

References
----------
Laradji et al., "Where are the Blobs: Counting by Localization with Point Supervision", ECCV 2018, section 3.1.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from lcfcn.blobs import class_masks
from lcfcn.components import label_blobs
from lcfcn.split_lines import split_lines
from lcfcn.terms import TERMS


@dataclass(frozen=True)
class PixelSet:
    """Pixels of one image that one term pushes in one direction.

    Attributes
    ----------
    term : str
        One of `lcfcn.terms.TERMS`.
    channel : int
        Channel of the network's output.
    pixels : (n,) int64 ndarray
        Flat indices into (H, W). None occurs twice.
    weight : float or (n,) float ndarray
        The weight of each pixel.
    towards : bool
        True: the pixels should belong to the channel (-log p). False: they should not (-log(1 - p)).
    """

    term: str
    channel: int
    pixels: np.ndarray
    weight: float | np.ndarray
    towards: bool


@dataclass(frozen=True)
class Weights:
    """All pixel sets of one direction, merged.

    Attributes
    ----------
    pixels : (n,) int64 ndarray
        Flat indices into (H, W), ascending.
    weights : (4, C, n) float32 ndarray
        The weight of each pixel in each channel and term, in the order of `TERMS`.
    """

    pixels: np.ndarray
    weights: np.ndarray


def find_pixel_sets(
    probs: np.ndarray, points: np.ndarray, roi_mask: np.ndarray, spare_points: bool = False
) -> list[PixelSet]:
    """Find the weighted pixels of one image: the loss is the sum of weight times -log p, or -log(1 - p).

    The terms are those of the paper: equations 2 (image level), 3 (point level), 4 (split level, by watershed) and 5
    (false positive). The weights are those of the authors' code:

    - The pixels of the lines that separate n clicks weigh n - 1 in all. In the paper each pixel weighs n.
    - The pixels of a blob without a click weigh 1 in all. In the paper each pixel weighs 1.

    At image level the classes are summed, where the paper averages over them, so that the loss of a class does not
    depend on the number of classes.

    Parameters
    ----------
    probs : (C, H, W) float32 ndarray
        C = 1: the sigmoid of the logits. C = K + 1: their softmax, channel 0 the background.
    points : (H, W) int ndarray
        0 = no click, k = a click on an object of class k.
    roi_mask : (H, W) bool ndarray
        Pixels outside it are ignored, as if the image ended there.
    spare_points : bool
        Leave clicked pixels out of the split lines.

    Returns
    -------
    pixel_sets : list of PixelSet
        No set is empty. An image without any pixel inside its region has no sets.

    Examples
    --------
    Four pixels in a row: a click on a blob of one pixel, and a blob without a click.

    >>> import numpy as np
    >>> probs = np.array([[[0.9, 0.1, 0.2, 0.8]]], dtype=np.float32)
    >>> points = np.array([[1, 0, 0, 0]])
    >>> for s in find_pixel_sets(probs, points, np.ones((1, 4), dtype=bool)):
    ...     print(s.term, s.pixels, "object" if s.towards else "background")
    image_level [1] background
    image_level [0] object
    point_level [0] object
    false_positive [3] background
    """
    sets = _pixel_sets(probs, points, roi_mask, spare_points) if roi_mask.any() else []
    return [s for s in sets if len(s.pixels)]


def merge(
    pixel_sets: list[PixelSet], towards: bool, shape: tuple[int, int, int], factors: Mapping[str, float]
) -> Weights:
    """Add up the weights of all sets of one direction.

    Parameters
    ----------
    pixel_sets : list of PixelSet
        The sets of one image.
    towards : bool
        The direction.
    shape : (C, H, W)
        Shape of the logits.
    factors : mapping
        The factor of each term.
    """
    chosen = [s for s in pixel_sets if s.towards == towards]
    named = np.zeros(shape[1] * shape[2], dtype=bool)
    for s in chosen:
        named[s.pixels] = True
    pixels = np.flatnonzero(named)
    place = np.empty(len(named), dtype=np.int32)
    place[pixels] = np.arange(len(pixels), dtype=np.int32)
    weights = np.zeros((len(TERMS), shape[0], len(pixels)), dtype=np.float32)
    for s in chosen:
        weights[TERMS.index(s.term), s.channel, place[s.pixels]] += s.weight * factors[s.term]
    return Weights(pixels, weights)


def _pixel_sets(probs: np.ndarray, points: np.ndarray, roi_mask: np.ndarray, spare_points: bool) -> Iterator[PixelSet]:
    binary = len(probs) == 1
    # Background means "against channel 0" with a sigmoid, and "towards channel 0" with a softmax.
    background = {"channel": 0, "towards": not binary}
    masks = class_masks(probs[None])[0] & roi_mask
    clicks = np.flatnonzero(points != 0)  # several times as fast as flatnonzero of integers
    clicks = clicks[roi_mask.reshape(-1)[clicks]]
    classes = points.reshape(-1)[clicks]
    if len(clicks) < np.count_nonzero(roi_mask):
        pixel = _extremum(-probs[0] if binary else probs[0], roi_mask)
        yield PixelSet("image_level", pixels=pixel, weight=1.0, **background)
    for k, mask in enumerate(masks, start=1):
        channel = 0 if binary else k
        own = clicks[classes == k]
        if len(own):
            yield PixelSet("image_level", channel, _extremum(probs[channel], roi_mask), 1.0, towards=True)
            yield PixelSet("point_level", channel, own, 1.0, towards=True)
        elif len(probs) > 2:
            # The class is not in the image. With a single class the background pixel above says the same already.
            yield PixelSet("image_level", channel, _extremum(probs[channel], roi_mask), 1.0, towards=False)
        spared = clicks if spare_points else clicks[:0]
        for term, pixels, weight in _blob_sets(probs[channel], own, label_blobs(mask), roi_mask, spared):
            yield PixelSet(term, pixels=pixels, weight=weight, **background)


def _extremum(values: np.ndarray, roi_mask: np.ndarray) -> np.ndarray:
    """Return the flat index of the first greatest value inside the region, as an array of one element."""
    return np.array([(values if roi_mask.all() else np.where(roi_mask, values, -np.inf)).argmax()])


def _blob_sets(
    probs: np.ndarray, clicks: np.ndarray, blobs: np.ndarray, roi_mask: np.ndarray, spared: np.ndarray
) -> Iterator[tuple[str, np.ndarray, float | np.ndarray]]:
    """Yield term, pixels and weights of the pixels of one class that should be background: lines and empty blobs."""
    of_pixel = blobs.reshape(-1)
    n_clicks = np.bincount(of_pixel[clicks], minlength=int(blobs.max()) + 1)
    if len(clicks) > 1:
        lines = split_lines(probs, clicks, blobs, roi_mask)
        for mask in lines:
            mask.reshape(-1)[spared] = False
        pixels = np.flatnonzero(lines.all_clicks)
        yield "split_level", pixels, (len(clicks) - 1) / max(len(pixels), 1)
        pixels = np.flatnonzero(lines.in_blobs)
        # All line pixels of a blob together weigh one less than its number of clicks.
        shares = (n_clicks - 1) / np.maximum(np.bincount(of_pixel[pixels], minlength=len(n_clicks)), 1)
        yield "split_level", pixels, shares[of_pixel[pixels]]
    unclicked = n_clicks == 0
    unclicked[0] = False
    pixels = np.flatnonzero(unclicked.take(of_pixel))
    sizes = np.bincount(of_pixel[pixels], minlength=len(n_clicks))
    yield "false_positive", pixels, 1 / sizes[of_pixel[pixels]]
