"""Scores of counts by hand; matching and its scores, against all matchings there are, and by hand."""

import itertools

import numpy as np
import pytest
import torch
from scipy import stats
from scipy.optimize import linear_sum_assignment

from lcfcn.metrics import (
    bias,
    bootstrap_interval,
    compute_game,
    count_matches,
    dense_counts,
    localisation_scores,
    mae,
    match_points,
    mrmse,
    mrmse_nz,
    nae,
    rmse,
)

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


def most_pairs(pred, true, reach):
    """The size of the largest matching, by trying each partner of each prediction, or none."""
    if not len(pred):
        return 0
    first, rest = pred[0], pred[1:]
    best = most_pairs(rest, true, reach)
    for j in range(len(true)):
        if np.linalg.norm(first - true[j]) <= reach[j]:
            others = [i for i in range(len(true)) if i != j]
            best = max(best, 1 + most_pairs(rest, true[others], reach[others]))
    return best


def small_cases(n=150):
    rng = np.random.default_rng(1)
    for _ in range(n):
        n_pred, n_true = rng.integers(0, 6, size=2)
        # On a coarse grid distances often equal sigma.
        yield rng.integers(0, 6, (n_pred, 2)), rng.integers(0, 6, (n_true, 2)), rng.integers(0, 4, n_true)


def check_pairs(pairs, pred, true, reach):
    assert pairs.shape == (len(pairs), 2)
    assert pairs.dtype == np.int64
    for column in pairs.T:
        assert len(set(column.tolist())) == len(column)
    distances = np.linalg.norm(pred[pairs[:, 0]] - true[pairs[:, 1]], axis=1)
    assert (distances <= np.broadcast_to(reach, len(true))[pairs[:, 1]]).all()


def test_no_matching_has_more_pairs():
    sizes = []
    for pred, true, reach in small_cases():
        pairs = match_points(pred, true, reach)
        check_pairs(pairs, pred, true, reach)
        assert len(pairs) == most_pairs(pred, true, reach)
        sizes.append(len(pairs))
    assert len(set(sizes)) > 3


@pytest.mark.parametrize("sigma", [0, 1, 2, 2.5])
def test_one_sigma_for_all(sigma):
    for pred, true, _ in small_cases(60):
        pairs = match_points(pred, true, sigma)
        check_pairs(pairs, pred, true, sigma)
        assert len(pairs) == most_pairs(pred, true, np.full(len(true), sigma))


@pytest.mark.parametrize("sigma", [2.0, 6.0, 20.0])
def test_hundreds_of_points_against_an_assignment(sigma):
    rng = np.random.default_rng(2)
    pred, true = rng.uniform(0, 100, (250, 2)), rng.uniform(0, 100, (220, 2))
    reach = sigma * rng.uniform(0.5, 1.5, len(true))
    near = np.linalg.norm(pred[:, None] - true[None], axis=2) <= reach
    rows, cols = linear_sum_assignment(~near)
    assert len(match_points(pred, true, reach)) == near[rows, cols].sum()


def test_nearest_first_would_find_one_pair_less():
    """The middle prediction is nearest to the first object, and the only one that reaches the second."""
    pred, true = np.array([[0, 0], [0, 5]]), np.array([[0, 4], [0, 9]])
    np.testing.assert_array_equal(match_points(pred, true, 4), [[0, 0], [1, 1]])


def test_a_long_chain_is_undone_as_a_whole():
    """Every prediction reaches two objects; one pairing uses all of them."""
    n = 40
    true = np.stack([np.zeros(n), np.arange(n) * 2.0], axis=1)
    pred = true[::-1] + (0, 1)
    pairs = match_points(pred, true, 1)
    assert len(pairs) == n


@pytest.mark.parametrize(("row", "col"), list(itertools.product(range(1, 6), range(6))))
def test_the_distance_itself_still_matches(row, col):
    """Compared by squares, sqrt(13) would fall short of itself."""
    sigma = float(np.hypot(row, col))
    assert len(match_points([[0, 0]], [[row, col]], sigma)) == 1
    assert len(match_points([[0, 0]], [[row, col]], np.nextafter(sigma, 0))) == 0


def test_two_points_on_one_place_are_two():
    assert len(match_points([[3, 3], [3, 3]], [[3, 3], [3, 3], [3, 3]], 0)) == 2


@pytest.mark.parametrize("empty", [[], np.zeros((0, 2))])
def test_nothing_matches_nothing(empty):
    assert match_points(empty, [[1, 1]], 4).shape == (0, 2)
    assert match_points([[1, 1]], empty, 4).shape == (0, 2)
    assert match_points(empty, empty, np.zeros(0)).shape == (0, 2)


@pytest.mark.parametrize(
    ("pred", "true", "sigma", "message"),
    [
        ([[0, 0]], [[0, 0]], -1, "sigma is -1"),
        ([[0, 0]], [[0, 0]], np.nan, "sigma is nan"),
        ([[0, 0]], [[0, 0]], np.ones(2), "for 1 true points; expected one number"),
        ([[0, np.nan]], [[0, 0]], 1, "pred_points has shape"),
        ([[0, 0]], [[0, 0, 0]], 1, r"true_points has shape \(1, 3\)"),
    ],
)
def test_bad_points_and_sigmas_are_refused(pred, true, sigma, message):
    with pytest.raises(ValueError, match=message):
        match_points(pred, true, sigma)


def test_matches_by_class_by_hand():
    true, true_labels = np.array([[0, 0], [0, 10], [9, 9], [20, 20]]), np.array([1, 1, 2, 2])
    pred, pred_labels = np.array([[0, 1], [0, 11], [9, 9], [9, 8], [50, 50]]), np.array([1, 2, 1, 2, 1])
    expected = [[1, 2, 1], [1, 1, 1], [0, 0, 0]]
    np.testing.assert_array_equal(count_matches(pred, pred_labels, true, true_labels, 3, 2.0), expected)


def test_a_sigma_of_each_object_follows_its_class():
    true, labels = np.array([[0, 0], [0, 20], [0, 40]]), np.array([2, 1, 2])
    pred = true + (0, 3)
    matches = count_matches(pred, labels, true, labels, 2, np.array([3, 2, 1]))
    np.testing.assert_array_equal(matches, [[0, 1, 1], [1, 1, 1]])


def test_matches_add_up_to_the_points():
    rng = np.random.default_rng(3)
    pred, true = rng.uniform(0, 30, (40, 2)), rng.uniform(0, 30, (30, 2))
    pred_labels, true_labels = rng.integers(1, 4, 40), rng.integers(1, 4, 30)
    for sigma in (0.5, 3, 9):
        tp, fp, fn = count_matches(pred, pred_labels, true, true_labels, 3, sigma).T
        np.testing.assert_array_equal(tp + fp, np.bincount(pred_labels, minlength=4)[1:])
        np.testing.assert_array_equal(tp + fn, np.bincount(true_labels, minlength=4)[1:])


def test_scores_by_hand():
    found = localisation_scores([[6, 2, 4]])
    assert found == {"tp": 6, "fp": 2, "fn": 4, "precision": 0.75, "recall": 0.6, "f1": pytest.approx(2 / 3)}
    harmonic = 2 * found["precision"] * found["recall"] / (found["precision"] + found["recall"])
    assert found["f1"] == pytest.approx(harmonic)


def test_scores_are_pooled_and_not_averaged():
    """Nine of ten in one image and none of one in another are nine of eleven."""
    matches = np.array([[[9, 1, 1]], [[0, 0, 1]]])
    found = localisation_scores(matches)
    assert (found["tp"], found["fp"], found["fn"]) == (9, 1, 2)
    assert found["recall"] == pytest.approx(9 / 11)


@pytest.mark.parametrize(
    ("matches", "precision", "recall", "f1"),
    [
        ([0, 0, 0], np.nan, np.nan, np.nan),
        ([0, 3, 0], 0, np.nan, 0),
        ([0, 0, 3], np.nan, 0, 0),
        ([0, 2, 3], 0, 0, 0),
        ([5, 0, 0], 1, 1, 1),
    ],
)
def test_what_nothing_defines_is_nan(matches, precision, recall, f1):
    found = localisation_scores(matches)
    np.testing.assert_equal([found["precision"], found["recall"], found["f1"]], [precision, recall, f1])


def test_the_interval_agrees_with_scipy():
    values = np.random.default_rng(4).gamma(2, 3, size=60)
    low, high = bootstrap_interval(lambda i: np.sqrt(np.mean(values[i] ** 2)), len(values), n=4000, seed=5)
    expected = stats.bootstrap(
        (values,), lambda v, axis: np.sqrt(np.mean(v**2, axis=axis)), n_resamples=4000, method="percentile", rng=6
    ).confidence_interval
    width = expected.high - expected.low
    np.testing.assert_allclose([low, high], expected, atol=0.06 * width)


def test_the_interval_of_two_images_by_hand():
    """Of 0 and 1 the mean is 0, 0.5 or 1, the outer ones each in a quarter of the draws."""
    assert bootstrap_interval(lambda i: i.mean(), 2) == (0, 1)


def test_the_interval_covers_as_often_as_it_says():
    rng = np.random.default_rng(7)
    hits = 0
    for seed in range(200):
        values = rng.normal(size=40)
        low, high = bootstrap_interval(lambda i, values=values: values[i].mean(), 40, n=300, seed=seed)
        hits += low <= 0 <= high
    assert 0.87 <= hits / 200 <= 0.98


def test_the_interval_depends_on_the_seed_alone():
    values = np.random.default_rng(8).normal(size=30)
    first, again, other = (bootstrap_interval(lambda i: values[i].mean(), 30, n=200, seed=s) for s in (0, 0, 1))
    assert first == again != other


def test_several_scores_take_the_same_draws():
    values = np.random.default_rng(9).normal(size=20)
    low, high = bootstrap_interval(lambda i: np.array([values[i].mean(), 2 * values[i].mean()]), 20, n=200)
    np.testing.assert_allclose([2 * low[0], 2 * high[0]], [low[1], high[1]])
    assert low[0] == bootstrap_interval(lambda i: values[i].mean(), 20, n=200)[0]


def test_draws_without_a_score_are_left_out():
    values = np.array([np.nan] * 3 + [1.0, 2.0])

    def mean_of_known(indices):
        known = values[indices][~np.isnan(values[indices])]
        return np.array([known.mean() if len(known) else np.nan, np.nan])

    low, high = bootstrap_interval(mean_of_known, 5)
    np.testing.assert_array_equal([low, high], [[1, np.nan], [2, np.nan]])


def test_one_image_has_no_interval():
    np.testing.assert_array_equal(bootstrap_interval(lambda i: 3.0, 1), [np.nan, np.nan])
