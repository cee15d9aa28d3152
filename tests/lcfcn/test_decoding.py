import numpy as np
import pytest
from scipy import ndimage

from lcfcn.blobs import class_masks, get_blobs
from lcfcn.components import label_blobs
from lcfcn.decoding import BLOBS, Decoding, cut_at_passes, heights, object_masks

EIGHT = np.ones((3, 3), dtype=bool)


def hills(size, peaks, width=3.0):
    """The highest of some cones: (row, col, height) each, sinking by one in `width` pixels."""
    rows, cols = np.mgrid[: size[0], : size[1]]
    cones = [height - np.hypot(rows - row, cols - col) / width for row, col, height in peaks]
    return np.max(cones, axis=0).astype(np.float32)


def rough(seed, size=(24, 30)):
    return ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=size), 1.5).astype(np.float32) * 10


def persistent_peaks(plane, mask, depth):
    """How many peaks stay, from the definition: a peak counts if on every level down to `depth` below it, its blob at
    that level holds nothing higher (of equally high ones the first in raster order counts)."""
    rank = np.empty(plane.size)
    rank[np.argsort(-plane.ravel(), kind="stable")] = np.arange(plane.size)
    rank = rank.reshape(plane.shape)
    number = 0
    for row, col in np.argwhere(mask):
        higher = mask & (plane > plane[row, col] - depth)
        blobs, _ = ndimage.label(higher, structure=EIGHT)
        if blobs[row, col]:
            number += rank[blobs == blobs[row, col]].min() == rank[row, col]
        else:  # depth 0: the pixel alone, if no neighbour comes before it
            window = (slice(max(row - 1, 0), row + 2), slice(max(col - 1, 0), col + 2))
            number += np.where(mask[window], rank[window], np.inf).min() == rank[row, col]
    return number


@pytest.mark.parametrize("n_classes", [1, 3])
def test_the_default_reading_is_the_papers(n_classes):
    rng = np.random.default_rng(n_classes)
    scores = rng.normal(size=(1 if n_classes == 1 else 4, 30, 40)).astype(np.float32)
    probs = 1 / (1 + np.exp(-scores)) if n_classes == 1 else np.exp(scores) / np.exp(scores).sum(0)
    assert np.array_equal(object_masks(probs, BLOBS), class_masks(probs[None])[0])


def test_heights_are_logits():
    logits = np.linspace(-12, 12, 100, dtype=np.float64).reshape(1, 10, 10)
    assert heights(1 / (1 + np.exp(-logits)))[0] == pytest.approx(logits[0], abs=1e-4)
    probs = np.array([0.5, 0.3, 0.2]).reshape(3, 1, 1)
    assert heights(probs).ravel() == pytest.approx(np.log([0.3 / 0.5, 0.2 / 0.5]), abs=1e-6)
    assert np.isfinite(heights(np.array([[[0.0, 1.0]]]))).all()


def test_two_hills_are_cut_where_they_meet_if_the_pass_is_deep_enough():
    plane = hills((21, 41), [(10, 10, 4.0), (10, 30, 5.0)])
    mask = plane > 0
    assert label_blobs(mask).max() == 1
    level_of_pass = plane[10].copy()[10:31].min()
    lower = 4.0 - level_of_pass
    apart = cut_at_passes(plane, mask, lower - 0.01)
    assert label_blobs(apart).max() == 2
    line = np.argwhere(mask & ~apart)
    # Equally far from both, but for the unit of height by which one is higher: a hyperbola.
    difference = np.hypot(*(line - (10, 10)).T) - np.hypot(*(line - (10, 30)).T)
    assert len(line) >= 15
    assert np.abs(difference + 3).max() < 2
    assert np.array_equal(cut_at_passes(plane, mask, lower + 0.01), mask)


@pytest.mark.parametrize("seed", range(30))
@pytest.mark.parametrize("depth", [0.05, 0.5, 1.5])
def test_objects_are_the_peaks_of_that_persistence(seed, depth):
    plane = rough(seed)
    mask = plane > -0.5
    cut = cut_at_passes(plane, mask, depth)
    blobs = label_blobs(cut)
    assert not (cut & ~mask).any()
    assert blobs.max() == persistent_peaks(plane, mask, depth) > 1
    # Each object holds one of those peaks, so its highest pixel is the highest of its surroundings.
    tops = ndimage.maximum_position(plane, blobs, range(1, blobs.max() + 1))
    surroundings = ndimage.maximum_filter(np.where(mask, plane, -np.inf), size=3)
    assert all(plane[top] == surroundings[top] for top in tops)


def test_cutting_is_by_lines_a_pixel_wide():
    plane = rough(3)
    mask = plane > -1
    cut = cut_at_passes(plane, mask, 0.3)
    assert (mask & ~cut).sum() < 0.2 * mask.sum()
    assert not ndimage.binary_erosion(mask & ~cut, np.ones((3, 3))).any()


def test_an_infinite_depth_never_cuts_and_a_threshold_shrinks():
    plane = rough(5)
    probs = (1 / (1 + np.exp(-plane)))[None]
    assert np.array_equal(object_masks(probs, Decoding(threshold=0.7))[0], heights(probs)[0] > 0.7)
    smooth = object_masks(probs, Decoding(smoothing=2.0))[0]
    assert np.array_equal(smooth, ndimage.gaussian_filter(heights(probs)[0], 2.0, mode="nearest") > 0)


def test_nothing_is_read_where_nothing_is():
    assert not object_masks(np.full((1, 9, 9), 0.1), Decoding(depth=0.1)).any()


def test_below_0_a_pixel_still_belongs_to_one_class():
    probs = np.array([0.4, 0.35, 0.25]).reshape(3, 1, 1)
    assert object_masks(probs, Decoding(threshold=-2)).ravel().tolist() == [True, False]
    assert object_masks(probs, Decoding(threshold=0)).ravel().tolist() == [False, False]


@pytest.mark.parametrize("shape", [(24, 30), (2, 24, 30), (2, 1, 24, 30)])
def test_get_blobs_reads_each_image_so(shape):
    planes = np.stack([rough(seed) for seed in range(2)])
    probs = (1 / (1 + np.exp(-planes)))[: 1 if len(shape) == 2 else 2].reshape(shape)
    roi = np.ones(shape[-2:], dtype=bool)
    roi[:, :4] = False
    decoding = Decoding(threshold=-0.5, depth=0.3)
    blobs = get_blobs(probs, roi, decoding)
    assert blobs.shape == shape
    for plane, found in zip(probs.reshape(-1, 24, 30), blobs.reshape(-1, 24, 30), strict=True):
        assert np.array_equal(found, label_blobs(object_masks(plane[None], decoding, roi)[0]))
