import numpy as np
import pytest
import torch
from skimage.measure import label

from lcfcn.blobs import blobs2points, get_blobs
from lcfcn.components import blob_points

SHAPES = [(1, 1), (1, 7), (8, 1), (5, 9), (24, 31)]
DENSITIES = [0.0, 0.05, 0.3, 0.6, 1.0]


def as_numpy(array):
    return array


@pytest.fixture(params=[as_numpy, torch.from_numpy], ids=["numpy", "torch"])
def kind(request):
    return request.param


def masks(seed=0):
    rng = np.random.default_rng(seed)
    return [rng.random(shape) < density for shape in SHAPES for density in DENSITIES for _ in range(4)]


def test_blobs_are_the_8_connected_components_above_a_half(kind):
    rng = np.random.default_rng(1)
    for mask in masks():
        probs = np.where(mask, rng.uniform(0.5001, 1, mask.shape), rng.uniform(0, 0.5, mask.shape)).astype(np.float32)
        blobs = np.asarray(get_blobs(kind(probs)))
        assert blobs.dtype == np.int32
        np.testing.assert_array_equal(blobs, label(mask, connectivity=2))


def test_exactly_a_half_is_background():
    assert get_blobs(np.full((3, 3), 0.5)).max() == 0


def test_diagonal_neighbours_are_one_blob():
    np.testing.assert_array_equal(get_blobs(np.eye(4)), np.eye(4))
    assert get_blobs(np.array([[1.0, 0, 1], [0, 0, 0], [1, 0, 1]])).max() == 4


@pytest.mark.parametrize("leading", [(), (3,), (3, 1)])
def test_leading_dimensions_stay_and_each_image_is_numbered_from_one(kind, leading):
    probs = np.random.default_rng(2).random((*leading, 12, 15)).astype(np.float32)
    blobs = get_blobs(kind(probs))
    assert type(blobs) is type(kind(probs))
    assert tuple(blobs.shape) == probs.shape
    for blob_map, prob_map in zip(np.asarray(blobs).reshape(-1, 12, 15), probs.reshape(-1, 12, 15), strict=True):
        np.testing.assert_array_equal(blob_map, label(prob_map > 0.5, connectivity=2))


def test_with_several_channels_a_pixel_belongs_to_its_most_probable_class(kind):
    logits = torch.from_numpy(np.random.default_rng(3).normal(0, 2, (2, 4, 12, 15)).astype(np.float32))
    probs = logits.softmax(1).numpy()
    blobs = np.asarray(get_blobs(kind(probs)))
    assert blobs.shape == (2, 3, 12, 15)
    for n in range(2):
        for k in (1, 2, 3):
            np.testing.assert_array_equal(blobs[n, k - 1], label(probs[n].argmax(0) == k, connectivity=2))
    # Less than a half is enough, as long as no other channel has more.
    np.testing.assert_array_equal(get_blobs(np.array([0.3, 0.4, 0.3]).reshape(1, 3, 1, 1)).reshape(-1), [1, 0])


def test_two_channels_give_the_blobs_of_the_sigmoid(kind):
    prob = np.random.default_rng(4).random((2, 1, 12, 15)).astype(np.float32)
    two = np.concatenate([1 - prob, prob], axis=1)
    np.testing.assert_array_equal(np.asarray(get_blobs(kind(two))), np.asarray(get_blobs(kind(prob))))


def test_a_region_cuts_blobs_and_keeps_the_shape(kind):
    probs = np.ones((5, 6), dtype=np.float32)
    roi = np.ones((5, 6), dtype=bool)
    roi[:, 2:4] = False
    blobs = np.asarray(get_blobs(kind(probs), kind(roi)))
    np.testing.assert_array_equal(blobs, np.broadcast_to([1, 1, 0, 0, 2, 2], (5, 6)))


@pytest.mark.parametrize("channels", [None, 1, 3])
def test_one_region_for_all_images_or_one_for_each(kind, channels):
    rng = np.random.default_rng(5)
    middle = () if channels is None else (channels,)
    probs = rng.random((2, *middle, 9, 11)).astype(np.float32)
    rois = rng.random((2, 9, 11)) < 0.7
    one, each = np.asarray(get_blobs(kind(probs), kind(rois[0]))), np.asarray(get_blobs(kind(probs), kind(rois)))
    np.testing.assert_array_equal(one[0], each[0])
    for n in range(2):
        planes = each[n].reshape(-1, 9, 11)
        for k, plane in enumerate(planes, start=1):
            mask = probs[n].argmax(0) == k if channels == 3 else probs[n].reshape(9, 11) > 0.5
            np.testing.assert_array_equal(plane, label(mask & rois[n], connectivity=2))


@pytest.mark.parametrize("shape", [(4,), (1, 1, 1, 4, 4)])
def test_probs_of_another_dimension_are_refused(shape):
    with pytest.raises(ValueError, match="expected"):
        get_blobs(np.zeros(shape))


@pytest.mark.parametrize(
    ("probs", "roi"),
    [
        ((4, 5), (5, 4)),
        ((4, 5), (1, 4, 5)),
        ((2, 4, 5), (4, 4)),
        ((2, 1, 4, 5), (2, 1, 4, 5)),
        ((2, 4, 5), (3, 4, 5)),
        ((1, 4, 5), (3, 4, 5)),
        ((3, 1, 4, 5), (1, 4, 5)),
    ],
)
def test_a_region_that_does_not_fit_is_refused(probs, roi):
    with pytest.raises(ValueError, match="roi_mask has shape"):
        get_blobs(np.zeros(probs), np.ones(roi, dtype=bool))


def test_half_precision_tensors_have_blobs():
    probs = torch.tensor([[0.1, 0.9], [0.9, 0.1]])
    for dtype in (torch.float16, torch.bfloat16):
        assert get_blobs(probs.to(dtype)).tolist() == [[0, 1], [1, 0]]


def test_a_tensor_that_needs_gradient_is_taken():
    assert get_blobs(torch.ones(2, 2, requires_grad=True)).tolist() == [[1, 1], [1, 1]]


def distance(shape, centre):
    rows, cols = np.indices(shape)
    return np.hypot(rows - centre[0], cols - centre[1])


def test_a_disc_has_its_point_at_the_centre():
    blobs = (distance((31, 40), (12, 25)) < 7).astype(np.int32)
    np.testing.assert_array_equal(blob_points(blobs), [[12, 25]])
    np.testing.assert_array_equal(np.argwhere(blobs2points(blobs)), [[12, 25]])


def test_rings_and_what_they_hold_have_one_point_each_inside(kind):
    from_centre = distance((41, 41), (20, 20))
    blobs = np.select([from_centre < 4, (from_centre > 8) & (from_centre < 12), from_centre > 17], [1, 2, 3], 0)
    blobs = blobs.astype(np.int32)
    points = np.asarray(blobs2points(kind(blobs)))
    assert sorted(blobs[points == 1]) == [1, 2, 3]
    assert points.sum() == 3
    assert points[20, 20] == 1


def test_a_c_has_its_point_inside():
    blobs = np.zeros((11, 11), dtype=np.int32)
    blobs[1:10, 1:9] = 7
    blobs[3:8, 3:] = 0
    points = blobs2points(blobs)
    assert points.sum() == 1
    assert blobs[points == 1].tolist() == [7]


def test_of_two_equally_near_pixels_the_first_counts():
    np.testing.assert_array_equal(blob_points(np.array([[0, 3, 3, 0]])), [[0, 1]])
    np.testing.assert_array_equal(blob_points(np.array([[5], [5]])), [[0, 0]])


def test_as_many_points_as_blobs_each_nearest_its_centroid(kind):
    for mask in masks(6):
        blobs = label(mask, connectivity=2).astype(np.int32)
        points = np.asarray(blobs2points(kind(blobs)))
        np.testing.assert_array_equal(np.sort(blobs[points == 1]), np.arange(1, blobs.max() + 1))
        assert points.sum() == blobs.max()
        for number, (row, col) in enumerate(blob_points(blobs), start=1):
            pixels = np.argwhere(blobs == number)
            far = np.linalg.norm(pixels - pixels.mean(0), axis=1)
            assert np.linalg.norm([row, col] - pixels.mean(0)) <= far.min() + 1e-9
            assert points[row, col] == 1


def test_labels_may_have_gaps():
    blobs = np.array([[9, 0, 2], [9, 0, 0]])
    assert sorted(blobs[blobs2points(blobs) == 1]) == [2, 9]


@pytest.mark.parametrize("dtype", [np.int32, np.int64, np.uint8])
@pytest.mark.parametrize("leading", [(), (3,), (2, 3)])
def test_points_have_the_shape_and_dtype_of_the_blobs(kind, leading, dtype):
    rng = np.random.default_rng(7)
    blobs = np.asarray(get_blobs(rng.random((6, 9, 8)))).astype(dtype)[: int(np.prod(leading))].reshape(*leading, 9, 8)
    before = blobs.copy()
    points = blobs2points(kind(blobs))
    assert points.dtype == kind(blobs).dtype
    np.testing.assert_array_equal(blobs, before)
    assert tuple(points.shape) == blobs.shape
    planes = zip(np.asarray(points).reshape(-1, 9, 8), blobs.reshape(-1, 9, 8), strict=True)
    for point_map, blob_map in planes:
        assert point_map.sum() == blob_map.max()
        np.testing.assert_array_equal(np.sort(blob_map[point_map == 1]), np.arange(1, blob_map.max() + 1))


def test_no_blob_no_point_and_no_image_no_map():
    assert blobs2points(np.zeros((3, 4), dtype=np.int32)).sum() == 0
    assert blobs2points(np.zeros((0, 3, 4), dtype=np.int32)).shape == (0, 3, 4)
    assert get_blobs(np.zeros((0, 3, 4))).shape == (0, 3, 4)


def test_a_list_of_labels_is_no_label_image():
    with pytest.raises(ValueError, match="expected"):
        blobs2points(np.zeros(4, dtype=np.int32))
