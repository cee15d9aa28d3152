import numpy as np
import pytest
from reference import everywhere, plain_flood
from scipy import ndimage
from skimage.segmentation import watershed

from lcfcn.watershed import (
    AT_ONCE,
    flood,
    inner,
    new_queue,
    places,
    rank_pixels,
    run_flood,
    sort_by_height,
)

SHAPES = [(1, 1), (1, 2), (1, 9), (9, 1), (2, 2), (5, 8), (21, 34), (97, 131)]


def random_markers(shape, rng, density):
    """Markers in raster order with labels that are not."""
    clicked = rng.random(shape) < density
    clicked.flat[rng.integers(clicked.size)] = True
    markers = np.zeros(shape, dtype=np.int32)
    markers[clicked] = rng.permutation(clicked.sum()) + 1
    return markers


def distinct_heights(shape, rng):
    """Heights over the whole range of float32, no two equal."""
    heights = np.unique(np.exp2(rng.uniform(-120, 120, 2 * shape[0] * shape[1])).astype(np.float32))
    return rng.permutation(heights)[: shape[0] * shape[1]].reshape(shape)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("density", [0.0, 0.01, 0.2, 0.9])
@pytest.mark.parametrize("inside", [1.0, 0.9, 0.6])
def test_without_ties_the_labels_are_scikit_images(shape, density, inside):
    rng = np.random.default_rng(0)
    for _ in range(3):
        relief, markers = distinct_heights(shape, rng), random_markers(shape, rng, density)
        roi = rng.random(shape) < inside
        np.testing.assert_array_equal(flood(relief, markers, roi), watershed(relief, markers, mask=roi))


@pytest.mark.parametrize("n_heights", [1, 2, 3, 20])
@pytest.mark.parametrize("shape", [(1, 9), (9, 1), (5, 8), (21, 34), (40, 57)])
def test_with_ties_the_first_in_is_the_first_out(n_heights, shape):
    rng = np.random.default_rng(1)
    for density in (0.005, 0.05, 0.4):
        for _ in range(3):
            relief = rng.integers(0, n_heights, shape).astype(np.float32) / 8
            relief = ndimage.maximum_filter(relief, 3) if density < 0.1 else relief
            markers, roi = random_markers(shape, rng, density), rng.random(shape) < 0.95
            np.testing.assert_array_equal(flood(relief, markers, roi), plain_flood(relief, markers, roi))


def test_an_image_with_more_heights_than_one_word_of_words_of_words():
    rng = np.random.default_rng(2)
    shape = (530, 540)  # more than 64**3 slots
    relief, markers = distinct_heights(shape, rng), random_markers(shape, rng, 0.001)
    np.testing.assert_array_equal(flood(relief, markers, everywhere(shape)), watershed(relief, markers))


def test_the_flood_walks_round_a_wall_and_stays_inside_the_region():
    relief = np.zeros((5, 7), dtype=np.float32)
    relief[:, 3] = 1
    markers = np.zeros((5, 7), dtype=np.int32)
    markers[2, 0], markers[2, 6] = 1, 2
    np.testing.assert_array_equal(
        flood(relief, markers, everywhere((5, 7)))[:, [0, 1, 2, 4, 5, 6]], [[1] * 3 + [2] * 3] * 5
    )
    roi = np.ones((5, 7), dtype=bool)
    roi[:, 3] = False
    np.testing.assert_array_equal(flood(relief, markers, roi), [[1, 1, 1, 0, 2, 2, 2]] * 5)
    diagonal = np.eye(4, dtype=bool)
    assert flood(np.zeros((4, 4), dtype=np.float32), np.diag([1, 0, 0, 0]).astype(np.int32), diagonal).sum() == 1


def test_a_marker_outside_the_region_is_none():
    markers = np.array([[1, 0, 2]], dtype=np.int32)
    roi = np.array([[False, True, True]])
    np.testing.assert_array_equal(flood(np.zeros((1, 3), dtype=np.float32), markers, roi), [[0, 2, 2]])


def test_levels_are_the_least_climb_from_the_marker():
    relief = np.array([[0.0, 0.4, 0.1, 0.9, 0.2, 0.0]], dtype=np.float32)
    ranks = rank_pixels(relief, everywhere(relief.shape))
    cells, levels = ranks.cells.copy(), np.full_like(ranks.cells, 99)
    seed = places(np.array([0]), np.array([0]), 6)
    run_flood(cells, levels, seed, np.array([1], dtype=np.int32), new_queue(ranks), 8)
    slots = {0.1: 0, 0.2: 1, 0.4: 2, 0.9: 3}
    expected = [AT_ONCE, slots[0.4], slots[0.4], slots[0.9], slots[0.9], slots[0.9]]
    np.testing.assert_array_equal(inner(levels, relief.shape), [expected])


def test_keys_are_sorted_by_their_upper_half_and_stay_in_order():
    rng = np.random.default_rng(3)
    heights = np.concatenate([rng.integers(0, 2**31, 500), rng.integers(0, 50, 500)]).astype(np.uint64)
    keys = heights << np.uint64(32) | np.arange(999, -1, -1).astype(np.uint64)
    np.testing.assert_array_equal(sort_by_height(keys.copy()), keys[np.argsort(heights, kind="stable")])
    assert len(sort_by_height(keys[:0])) == 0
