"""The four terms of the LCFCN loss as two maps of per-pixel weights (Laradji et al., ECCV 2018, section 3)."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from lcfcn.blobs import class_masks, label_blobs, split_lines
from lcfcn.watershed import black_top_hat

TERMS = ("image_level", "point_level", "split_level", "false_positive")


@dataclass(frozen=True)
class PixelSet:
    """Pixels of one image that one term pushes the same way.

    `pixels` are flat indices into (H, W), `weight` is what each of them weighs: one number or one a pixel.
    `towards` True asks for the channel (-log p), False asks against it (-log(1 - p)).
    """

    term: str
    channel: int
    pixels: np.ndarray
    weight: float | np.ndarray
    towards: bool


@dataclass(frozen=True)
class Targets:
    """What one image asks of its probabilities p: `sum w_fg * -log(p) + sum w_bg * -log(1 - p)`.

    `weight_fg` and `weight_bg` are (C, H, W) float32 with the channels of the logits; `pixel_sets` holds the same
    weights apart, by term.
    """

    weight_fg: np.ndarray
    weight_bg: np.ndarray
    pixel_sets: list[PixelSet] = field(repr=False)


def build_targets(probs: np.ndarray, points: np.ndarray, roi_mask: np.ndarray) -> Targets:
    """Turn one image's probabilities and clicks into weights.

    The paper averages some terms over the classes; here the classes are summed, so that one class costs the same
    alone and among others.

    Parameters
    ----------
    probs : (C, H, W) float32 ndarray
        C = 1: the sigmoid of the logits. C = K + 1: their softmax, channel 0 the background.
    points : (H, W) int ndarray
        0 = no click, k = a click on an object of class k.
    roi_mask : (H, W) bool ndarray
        What lies outside is in no term, blob, flood or extremum.

    Returns
    -------
    targets : Targets
        Of an image that lies wholly outside its region all weights are 0.
    """
    weight_fg = np.zeros(probs.shape, dtype=np.float32)
    weight_bg = np.zeros(probs.shape, dtype=np.float32)
    points = np.where(roi_mask, points, 0)
    pixel_sets = [s for s in _pixel_sets(probs, points, roi_mask) if len(s.pixels)] if roi_mask.any() else []
    for s in pixel_sets:
        weights = weight_fg if s.towards else weight_bg
        weights[s.channel].reshape(-1)[s.pixels] += s.weight  # a set names a pixel once, so nothing is lost
    return Targets(weight_fg, weight_bg, pixel_sets)


def _pixel_sets(probs: np.ndarray, points: np.ndarray, roi_mask: np.ndarray) -> Iterator[PixelSet]:
    binary = len(probs) == 1
    # The channel that is asked to be background: with a sigmoid the only one, against it; else channel 0, for it.
    background = {"channel": 0, "towards": not binary}
    masks = class_masks(probs[None])[0] & roi_mask
    if (points[roi_mask] == 0).any():
        pixel = _extremum(-probs[0] if binary else probs[0], roi_mask)
        yield PixelSet("image_level", pixels=pixel, weight=1.0, **background)
    for k, mask in enumerate(masks, start=1):
        channel = 0 if binary else k
        clicked = points == k
        if clicked.any():
            pixel = _extremum(probs[channel], roi_mask)
            yield PixelSet("image_level", channel, pixel, 1.0, towards=True)
            yield PixelSet("point_level", channel, np.flatnonzero(clicked), 1.0, towards=True)
        elif len(probs) > 2:
            # A class that is not in the image; with a single class the background asks for just this already.
            yield PixelSet("image_level", channel, _extremum(probs[channel], roi_mask), 1.0, towards=False)
        for term, pixels, weight in _blob_sets(probs[channel], clicked, label_blobs(mask), roi_mask):
            yield PixelSet(term, pixels=pixels, weight=weight, **background)


def _extremum(values: np.ndarray, roi_mask: np.ndarray) -> np.ndarray:
    """Flat index, as an array of one, of the first greatest value inside the region."""
    return np.array([np.where(roi_mask, values, -np.inf).argmax()])


def _blob_sets(
    probs: np.ndarray, clicked: np.ndarray, blobs: np.ndarray, roi_mask: np.ndarray
) -> Iterator[tuple[str, np.ndarray, float | np.ndarray]]:
    """Term, pixels and weight of all that one class's blobs push to the background."""
    n_blobs = int(blobs.max(initial=0))
    sizes = np.bincount(blobs.reshape(-1), minlength=n_blobs + 1)
    clicks_in = np.bincount(blobs[clicked], minlength=n_blobs + 1)
    n_points = int(clicked.sum())
    if n_points > 1:
        relief = black_top_hat(probs, roi_mask)
        yield _split_set(split_lines(relief, _markers(clicked), roi_mask), n_points)
        for blob in np.flatnonzero(clicks_in[1:] > 1) + 1:
            inside = blobs == blob
            lines = split_lines(relief, _markers(clicked & inside), roi_mask) & inside
            yield _split_set(lines, int(clicks_in[blob]))
    unclicked = np.flatnonzero((blobs > 0) & (clicks_in[blobs] == 0))
    yield "false_positive", unclicked, 1.0 / sizes[blobs.reshape(-1)[unclicked]]


def _split_set(lines: np.ndarray, n_points: int) -> tuple[str, np.ndarray, float]:
    """Split lines share one less than the number of points that they part; without a line there is no share."""
    pixels = np.flatnonzero(lines)
    return "split_level", pixels, (n_points - 1) / max(len(pixels), 1)


def _markers(clicked: np.ndarray) -> np.ndarray:
    """One label a click, in raster order."""
    markers = np.zeros(clicked.shape, dtype=np.int32)
    markers[clicked] = np.arange(1, clicked.sum() + 1)
    return markers
