import numpy as np
import pytest
from scipy import ndimage

from lcfcn.components import blob_points, label_blobs


def test_diagonal_neighbours_are_one_blob_and_numbers_follow_the_raster():
    mask = np.array([[0, 0, 1, 0, 1], [0, 1, 0, 0, 0], [0, 0, 0, 0, 1]], dtype=bool)
    blobs = label_blobs(mask)
    assert blobs.dtype == np.int32
    assert blobs.tolist() == [[0, 0, 1, 0, 2], [0, 1, 0, 0, 0], [0, 0, 0, 0, 3]]


@pytest.mark.parametrize("density", [0.1, 0.35, 0.5])
def test_each_point_is_the_blobs_pixel_nearest_its_centroid(density):
    mask = np.random.default_rng(0).random((30, 41)) < density
    blobs = label_blobs(mask)
    points = blob_points(blobs)
    assert len(points) == blobs.max()
    for label, point in enumerate(points, start=1):
        pixels = np.argwhere(blobs == label)
        distances = ((pixels - ndimage.center_of_mass(blobs == label)) ** 2).sum(1)
        assert blobs[tuple(point)] == label
        assert ((point - ndimage.center_of_mass(blobs == label)) ** 2).sum() == pytest.approx(distances.min())


def test_of_equally_near_pixels_the_first_is_taken():
    assert blob_points(np.array([[1, 1]])).tolist() == [[0, 0]]
    assert blob_points(np.ones((2, 2), dtype=int)).tolist() == [[0, 0]]


def test_no_blob_has_no_point():
    assert blob_points(np.zeros((3, 4), dtype=np.int32)).shape == (0, 2)
    assert label_blobs(np.zeros((0, 4), dtype=bool)).shape == (0, 4)
