import numpy as np
import pytest
import torch

from lcfcn.metrics import bias, compute_game, dense_counts, mae, mrmse, mrmse_nz, nae, rmse

SHAPES = [(1, 1), (1, 5), (4, 4), (5, 7), (7, 3), (13, 9), (16, 23)]


def game_by_hand(pred, gt, level):
    """Cell by cell: cell i of g reaches from i/g to (i + 1)/g of the side, rounded down."""
    cells = 2**level
    height, width = pred.shape
    total = 0
    for i in range(cells):
        for j in range(cells):
            error = 0
            for row in range(i * height // cells, (i + 1) * height // cells):
                for col in range(j * width // cells, (j + 1) * width // cells):
                    error += int(pred[row, col]) - int(gt[row, col])
            total += abs(error)
    return total


def random_pairs(n=6):
    rng = np.random.default_rng(0)
    scenes = [(shape, rate) for shape in SHAPES for rate in (0.1, 1) for _ in range(n)]
    return [(rng.poisson(rate, shape), rng.poisson(0.3, shape)) for shape, rate in scenes]


def test_game_counts_cell_by_cell():
    for pred, gt in random_pairs():
        for level in range(5):
            assert compute_game(pred, gt, level) == game_by_hand(pred, gt, level)


def test_game_0_is_the_error_of_the_count():
    for pred, gt in random_pairs():
        assert compute_game(pred, gt, 0) == abs(int(pred.sum()) - int(gt.sum()))


def test_game_never_falls_with_finer_cells_and_ends_at_single_pixels():
    for pred, gt in random_pairs():
        levels = [compute_game(pred, gt, level) for level in range(7)]
        assert levels == sorted(levels)
        assert levels[-1] == np.abs(pred - gt).sum()


def test_a_point_in_the_wrong_quarter_counts_twice():
    pred, gt = np.zeros((2, 6, 6))
    pred[0, 0] = gt[5, 5] = 1
    assert [compute_game(pred, gt, level) for level in (0, 1)] == [0, 2]
    assert compute_game(pred, gt) == 2  # level 1 is the default


@pytest.mark.parametrize("shape", [(5, 7), (9, 3), (11, 11)])
@pytest.mark.parametrize("level", [0, 1, 2, 3])
def test_points_in_the_last_row_and_column_are_not_lost(shape, level):
    pred, gt = np.zeros((2, *shape), dtype=np.uint8)
    gt[-1, :] = gt[:, -1] = 1  # unsigned: a difference of the maps as they are would wrap
    assert compute_game(pred, gt, level) == sum(shape) - 1


def test_game_takes_tensors():
    pred, gt = random_pairs()[-1]
    assert compute_game(torch.from_numpy(pred), torch.from_numpy(gt), 2) == game_by_hand(pred, gt, 2)
    assert isinstance(compute_game(pred, gt), float)


@pytest.mark.parametrize(("pred", "gt"), [((4, 5), (5, 4)), ((1, 4, 5), (1, 4, 5)), ((20,), (20,))])
def test_game_refuses_maps_that_do_not_fit(pred, gt):
    with pytest.raises(ValueError, match=r"expected both \(H, W\)"):
        compute_game(np.zeros(pred), np.zeros(gt))


def test_game_refuses_a_negative_level():
    with pytest.raises(ValueError, match="L is -1; expected 0 or more"):
        compute_game(np.zeros((4, 4)), np.zeros((4, 4)), L=-1)


def test_dense_counts_floors_and_adds_up():
    counts = dense_counts(np.array([[0.0, 0.99], [1.5, 2.0], [1.0, 2.7], [2.999, 0.0]]), (3, 4))
    np.testing.assert_array_equal(counts, [[1, 0, 0, 0], [0, 0, 2, 0], [1, 0, 0, 0]])
    assert counts.dtype == np.int64


@pytest.mark.parametrize("empty", [[], np.zeros((0, 2))])
def test_dense_counts_of_no_points(empty):
    counts = dense_counts(empty, (2, 3))
    np.testing.assert_array_equal(counts, np.zeros((2, 3)))


@pytest.mark.parametrize("point", [(2.0, 0.0), (0.0, 3.0), (-0.5, 1.0), (1.0, -1e-9), (np.nan, 0.0), (1e300, 0.0)])
def test_dense_counts_refuses_points_beyond_the_image(point):
    """A negative coordinate would count at the other end."""
    with pytest.raises(IndexError, match=r"lies outside an image of 2 by 3 pixels: move it"):
        dense_counts(np.array([[1.0, 1.0], point]), (2, 3))


def test_mae_and_rmse_by_hand():
    errors = np.array([3, -4, 0, 1])
    assert mae(errors) == 2
    assert rmse(errors) == pytest.approx(np.sqrt(26 / 4))
    assert mae([-2.5, 2.5]) == 2.5
    assert rmse([-2.5, 2.5]) == 2.5
    # Small integer types hold no squares of crowds.
    assert rmse(np.array([300, -300], dtype=np.int16)) == 300


def test_bias_by_hand():
    assert bias(np.array([3, -4, 0, -1])) == -0.5


def test_nae_by_hand():
    """1/4, 2/2 and 0; the image without an object is left out."""
    assert nae([5, 0, 10, 7], [4, 2, 10, 0]) == pytest.approx((0.25 + 1 + 0) / 3)
    assert nae([2.5], [2]) == 0.25


def test_nae_image_by_image():
    rng = np.random.default_rng(5)
    pred, true = rng.poisson(4, 200), rng.poisson(1, 200)
    quotients = [abs(int(p) - int(t)) / int(t) for p, t in zip(pred, true, strict=True) if t > 0]
    assert 0 < len(quotients) < 200
    assert nae(pred, true) == pytest.approx(sum(quotients) / len(quotients))


def test_nae_without_any_object_is_nan():
    assert np.isnan(nae([0, 3], [0, 0]))
    assert np.isnan(nae([], []))


COUNTS = np.array([[3, 0, 0], [0, 1, 0], [5, 4, 2]]), np.array([[0, 0, 0], [4, 1, 0], [5, 0, 0]])


def test_mrmse_by_hand():
    """Errors of the classes: 3, -4, 0; 0, 0, 4; 0, 0, 2."""
    assert mrmse(*COUNTS) == pytest.approx((np.sqrt(25 / 3) + np.sqrt(16 / 3) + np.sqrt(4 / 3)) / 3)


def test_mrmse_nz_by_hand():
    """The first class has objects in the images of errors -4 and 0, the second in that of 0, the third in none."""
    assert mrmse_nz(*COUNTS) == pytest.approx((np.sqrt(16 / 2) + 0) / 2)


def test_mrmse_class_by_class():
    rng = np.random.default_rng(6)
    pred, true = rng.poisson(3, (50, 4)).astype(np.uint8), rng.poisson(1, (50, 4)).astype(np.uint8)
    plain, nz = [], []
    for k in range(4):
        squares = [(int(p) - int(t)) ** 2 for p, t in zip(pred[:, k], true[:, k], strict=True)]
        with_object = [square for square, t in zip(squares, true[:, k], strict=True) if t]
        plain.append((sum(squares) / len(squares)) ** 0.5)
        nz.append((sum(with_object) / len(with_object)) ** 0.5)
    assert mrmse(pred, true) == pytest.approx(sum(plain) / 4)
    assert mrmse_nz(pred, true) == pytest.approx(sum(nz) / 4)


def test_mrmse_of_one_class_is_the_rmse():
    pred, true = np.array([[3], [1]]), np.array([[1], [1]])
    assert mrmse(pred, true) == rmse((pred - true)[:, 0])


def test_mrmse_nz_without_any_object_is_nan():
    assert np.isnan(mrmse_nz([[1, 2]], [[0, 0]]))
