"""The four terms of the LCFCN loss as sets of weighted pixels (Laradji et al., ECCV 2018, section 3.1)."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from lcfcn.blobs import class_masks
from lcfcn.components import label_blobs
from lcfcn.split_lines import split_lines
from lcfcn.terms import TERMS


@dataclass(frozen=True)
class PixelSet:
    """Pixels of one image that one term pushes the same way.

    `pixels` are flat indices into (H, W), each named once; `weight` is what each of them weighs: one number or one a
    pixel. `towards` True asks for the channel (-log p), False asks against it (-log(1 - p)).
    """

    term: str
    channel: int
    pixels: np.ndarray
    weight: float | np.ndarray
    towards: bool


@dataclass(frozen=True)
class Weights:
    """Pixel sets that push the same way, merged: what each pixel weighs in each channel.

    `pixels` : (n,) int64, flat indices into (H, W), ascending. `weights` : (4, C, n) float32, in the order of `TERMS`.
    """

    pixels: np.ndarray
    weights: np.ndarray


def find_pixel_sets(
    probs: np.ndarray, points: np.ndarray, roi_mask: np.ndarray, spare_points: bool = False
) -> list[PixelSet]:
    """What one image's clicks ask of its probabilities p: the loss is the sum of `weight * -log(p or 1 - p)`.

    The terms are the paper's equations 2 (image level), 3 (point level), 4 (split level, by watershed) and 5 (false
    positive), weighted as in the authors' code: split lines share one less than the number of clicks that they part,
    where the paper weighs each pixel by the number of clicks, and a blob without a click weighs one, where the paper
    weighs each of its pixels so. At image level the paper averages over classes; here they are summed, so that a class
    costs the same alone and among others.

    Parameters
    ----------
    probs : (C, H, W) float32 ndarray
        C = 1: the sigmoid of the logits. C = K + 1: their softmax, channel 0 the background.
    points : (H, W) int ndarray
        0 = no click, k = a click on an object of class k.
    roi_mask : (H, W) bool ndarray
        What lies outside is in no term, blob, flood or extremum.
    spare_points : bool
        Leave clicked pixels out of the split lines.

    Returns
    -------
    pixel_sets : list of PixelSet
        None of them empty. An image that lies wholly outside its region has none.
    """
    sets = _pixel_sets(probs, points, roi_mask, spare_points) if roi_mask.any() else []
    return [s for s in sets if len(s.pixels)]


def merge(
    pixel_sets: list[PixelSet], towards: bool, shape: tuple[int, int, int], factors: Mapping[str, float]
) -> Weights:
    """Merge the sets of one direction.

    Parameters
    ----------
    pixel_sets : list of PixelSet
        Of one image.
    towards : bool
        Which direction.
    shape : (C, H, W)
        Of the logits.
    factors : mapping
        By what each term's weights are multiplied.
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
    # The channel that is asked to be background: with a sigmoid the only one, against it; else channel 0, for it.
    background = {"channel": 0, "towards": not binary}
    masks = class_masks(probs[None])[0] & roi_mask
    clicks = np.flatnonzero(points != 0)  # of bool it is several times as fast
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
            # A class that is not in the image; with a single class the background asks for just this already.
            yield PixelSet("image_level", channel, _extremum(probs[channel], roi_mask), 1.0, towards=False)
        spared = clicks if spare_points else clicks[:0]
        for term, pixels, weight in _blob_sets(probs[channel], own, label_blobs(mask), roi_mask, spared):
            yield PixelSet(term, pixels=pixels, weight=weight, **background)


def _extremum(values: np.ndarray, roi_mask: np.ndarray) -> np.ndarray:
    """Flat index, as an array of one, of the first greatest value inside the region."""
    return np.array([(values if roi_mask.all() else np.where(roi_mask, values, -np.inf)).argmax()])


def _blob_sets(
    probs: np.ndarray, clicks: np.ndarray, blobs: np.ndarray, roi_mask: np.ndarray, spared: np.ndarray
) -> Iterator[tuple[str, np.ndarray, float | np.ndarray]]:
    """Term, pixels and weight of all that one class's blobs push to the background."""
    of_pixel = blobs.reshape(-1)
    n_clicks = np.bincount(of_pixel[clicks], minlength=int(blobs.max()) + 1)
    if len(clicks) > 1:
        lines = split_lines(probs, clicks, blobs, roi_mask)
        for mask in lines:
            mask.reshape(-1)[spared] = False
        pixels = np.flatnonzero(lines.all_clicks)
        yield "split_level", pixels, (len(clicks) - 1) / max(len(pixels), 1)
        pixels = np.flatnonzero(lines.in_blobs)
        # The pixels of a blob's lines share one less than the number of clicks that they part.
        shares = (n_clicks - 1) / np.maximum(np.bincount(of_pixel[pixels], minlength=len(n_clicks)), 1)
        yield "split_level", pixels, shares[of_pixel[pixels]]
    unclicked = n_clicks == 0
    unclicked[0] = False
    pixels = np.flatnonzero(unclicked.take(of_pixel))
    sizes = np.bincount(of_pixel[pixels], minlength=len(n_clicks))
    yield "false_positive", pixels, 1 / sizes[of_pixel[pixels]]
