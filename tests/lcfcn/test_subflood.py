import numpy as np
import pytest
from reference import plain_flood
from scipy import ndimage
from skimage.segmentation import watershed

from lcfcn.subflood import Flooded, choose, join_regions, label_of, new_lake
from lcfcn.watershed import inner, new_queue, places, rank_pixels, run_flood

SHAPES = [(1, 1), (1, 9), (8, 1), (5, 8), (21, 34), (38, 51)]


def random_relief(kind, shape, rng):
    """Heights that are distinct above 0, with lakes at 0, without, or with plateaus at other heights too."""
    smooth = ndimage.gaussian_filter(rng.normal(size=shape), 1.5 if min(shape) > 5 else 0)
    if kind == "lakes":
        return np.maximum(smooth, np.median(smooth)) - np.median(smooth)
    if kind == "plateaus":
        return np.digitize(smooth, np.quantile(smooth, [0.3, 0.5, 0.7, 0.9])).astype(float)
    return smooth - smooth.min() + 1 if kind == "smooth" else rng.random(shape) + 0.1


def random_clicks(shape, roi, rng, density):
    """Flat places of clicks inside the region, ascending, and a group of each."""
    clicks = np.flatnonzero((rng.random(shape) < density) & roi)
    return clicks, rng.integers(0, max(len(clicks) // 4, 1), len(clicks))


def flooded_by(relief, clicks, groups, roi):
    width = relief.shape[1]
    ranks = rank_pixels(relief.astype(np.float32), roi)
    seeds = places(*np.divmod(clicks, width), width)
    queue = new_queue(ranks)
    cells, levels = ranks.cells.copy(), np.empty_like(ranks.cells)
    run_flood(cells, levels, seeds, np.arange(1, len(seeds) + 1, dtype=np.int32), queue, width + 2)
    return Flooded(cells, levels, ranks.cells, queue.pixels, seeds, groups, width + 2)


def borders_of(labels, stride):
    padded = labels.reshape(-1, stride)
    found = np.zeros(padded.shape, dtype=bool)
    for axis, step in ((0, 1), (0, -1), (1, 1), (1, -1)):
        other = np.roll(padded, step, axis)
        found |= (padded > 0) & (other > 0) & (other != padded)
    return np.flatnonzero(found).astype(np.int32)


def labels_of_each_group(flooded, shape, rng):
    """Group and (H, W) labels, the pixels asked in random order."""
    tree, lake = join_regions(flooded, borders_of(flooded.cells, flooded.stride)), new_lake(len(flooded.cells))
    for group in np.unique(flooded.groups):
        choose(group, np.flatnonzero(flooded.groups == group), flooded, tree, lake)
        labels = np.zeros(shape, dtype=np.int32)
        for pixel in rng.permutation(labels.size):
            (place,) = places(*np.divmod(np.array([pixel]), shape[1]), shape[1])
            labels.flat[pixel] = label_of(place, group, flooded, tree, lake)
        yield group, labels


def heights_of_slots(flooded, shape):
    """The relief whose heights are the slots: what the flood from all markers took them for."""
    heights = np.zeros(len(flooded.cells))
    # From the last: where a height has pixels that no flood reached, its last slots are left as they were.
    heights[flooded.pixels[::-1]] = np.arange(len(flooded.pixels), 0, -1)
    return inner(heights, shape)


def markers_at(clicks, groups, group, shape):
    markers = np.zeros(shape, dtype=np.int32)
    markers.flat[clicks[groups == group]] = np.flatnonzero(groups == group) + 1
    return markers


@pytest.mark.parametrize("kind", ["smooth", "noise"])
@pytest.mark.parametrize("inside", [1.0, 0.8])
@pytest.mark.parametrize("density", [0.02, 0.2])
def test_without_ties_it_is_the_flood_of_the_group_alone(kind, inside, density):
    rng = np.random.default_rng(0)
    for shape in SHAPES:
        relief, roi = random_relief(kind, shape, rng).astype(np.float32), rng.random(shape) < inside
        clicks, groups = random_clicks(shape, roi, rng, density)
        flooded = flooded_by(relief, clicks, groups, roi)
        for group, labels in labels_of_each_group(flooded, shape, rng):
            expected = watershed(relief, markers_at(clicks, groups, group, shape), mask=roi)
            np.testing.assert_array_equal(labels, expected)


@pytest.mark.parametrize("kind", ["lakes", "plateaus"])
@pytest.mark.parametrize("inside", [1.0, 0.8])
@pytest.mark.parametrize("density", [0.02, 0.2])
def test_with_ties_it_is_the_flood_in_the_order_that_all_took(kind, inside, density):
    rng = np.random.default_rng(1)
    for shape in SHAPES:
        relief, roi = random_relief(kind, shape, rng).astype(np.float32), rng.random(shape) < inside
        clicks, groups = random_clicks(shape, roi, rng, density)
        flooded = flooded_by(relief, clicks, groups, roi)
        heights = heights_of_slots(flooded, shape)
        # The order is one of the relief's.
        reached = inner(flooded.cells, shape) > 0
        assert (np.diff(relief[reached][np.argsort(heights[reached], kind="stable")]) >= 0).all()
        for group, labels in labels_of_each_group(flooded, shape, rng):
            expected = plain_flood(heights, markers_at(clicks, groups, group, shape), roi)
            np.testing.assert_array_equal(labels, expected)


def test_water_that_breaks_out_comes_back_from_behind():
    # Markers 1 and 3 flood together, 2 between them does not: its hollow is reached over the lower of the two walls,
    # up to the pixel at the other wall, which the marker behind it has taken.
    relief = np.array([[0.0, 0.5, 0.0, 0.0, 0.9, 0.0]], dtype=np.float32)
    clicks, groups = np.array([0, 3, 5]), np.array([7, 8, 7])
    flooded = flooded_by(relief, clicks, groups, np.ones((1, 6), dtype=bool))
    np.testing.assert_array_equal(inner(flooded.cells, (1, 6)), [[1, 1, 2, 2, 2, 3]])
    labels = dict(labels_of_each_group(flooded, (1, 6), np.random.default_rng(0)))
    np.testing.assert_array_equal(labels[7], [[1, 1, 1, 1, 3, 3]])
    np.testing.assert_array_equal(labels[8], [[2, 2, 2, 2, 2, 2]])


def test_what_is_cut_off_is_never_reached():
    relief = np.zeros((1, 5), dtype=np.float32)
    roi = np.array([[True, True, False, True, True]])
    flooded = flooded_by(relief, np.array([0, 4]), np.array([0, 1]), roi)
    labels = dict(labels_of_each_group(flooded, (1, 5), np.random.default_rng(0)))
    np.testing.assert_array_equal(labels[0], [[1, 1, 0, 0, 0]])
    np.testing.assert_array_equal(labels[1], [[0, 0, 0, 2, 2]])
