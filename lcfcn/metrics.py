"""Scores of counts and of locations. They need numpy and scipy only, so the predictions of any tool can be scored.

Errors are always predicted minus true. A score of nothing, such as the precision of no predictions, is NaN.
"""

from collections.abc import Callable, Sequence

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import maximum_bipartite_matching
from scipy.spatial import cKDTree


def compute_game(pred_points: np.ndarray, gt_points: np.ndarray, L: int = 1) -> float:  # noqa: N803
    """Compute the Grid Average Mean absolute Error (GAME) of one image.

    The image is cut into a grid of 2^L by 2^L cells. The absolute errors of the cells' counts are added, so that an
    object too many in one place does not cancel an object too few in another. GAME(0) is the absolute error of the
    count.

    Parameters
    ----------
    pred_points, gt_points : (H, W) ndarray or CPU tensor
        Number of points at each pixel.
    L : int
        Level, 0 or more.

    Returns
    -------
    game : float
        A number of points. If the sides are not multiples of 2^L, the cells differ by a row or a column.

    Raises
    ------
    ValueError
        If the shapes differ or are not (H, W), or L is negative.

    References
    ----------
    Guerrero-Gomez-Olmedo et al., "Extremely Overlapping Vehicle Counting", IbPRIA 2015, equation 1.

    Examples
    --------
    One object on each side, but both are predicted on the left: the count is right, and the places are not.

    >>> import numpy as np
    >>> from lcfcn import compute_game
    >>> true, predicted = np.array([[1, 0, 0, 1]] * 2), np.array([[1, 1, 0, 0]] * 2)
    >>> compute_game(predicted, true, L=0), compute_game(predicted, true, L=1)
    (0.0, 4.0)
    """
    pred, gt = np.asarray(pred_points), np.asarray(gt_points)
    if pred.shape != gt.shape or pred.ndim != 2:
        raise ValueError(
            f"pred_points has shape {pred.shape} and gt_points {gt.shape}; expected both (H, W): "
            "pass one image's dense maps"
        )
    if L < 0:
        raise ValueError(f"L is {L}; expected 0 or more: the grid has 2^L by 2^L cells")
    error = pred.astype(np.float64) - gt.astype(np.float64)
    # First row and column of each cell. A cell has at least one pixel, so an image may have fewer cells than 2^L.
    rows, cols = (np.unique(np.arange(2**L) * side // 2**L) for side in error.shape)
    return float(np.abs(np.add.reduceat(np.add.reduceat(error, rows, axis=0), cols, axis=1)).sum())


def dense_counts(point_list: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Count the points at each pixel.

    Parameters
    ----------
    point_list : (n, 2) float ndarray
        Row and column of each point. The pixel of a point is the floor of both.
    shape : (H, W)

    Returns
    -------
    counts : (H, W) int64 ndarray

    Raises
    ------
    IndexError
        If a point lies outside the image.

    Examples
    --------
    >>> dense_counts([(0.2, 1.9), (0.7, 1.1)], (2, 3))
    array([[0, 2, 0],
           [0, 0, 0]])
    """
    pixels = np.floor(np.asarray(point_list, dtype=np.float64).reshape(-1, 2))
    outside = ~((pixels >= 0) & (pixels < shape)).all(axis=1)
    if outside.any():
        row, col = np.asarray(point_list).reshape(-1, 2)[outside.argmax()].tolist()
        raise IndexError(
            f"the point at row {row}, column {col} lies outside an image of {shape[0]} by {shape[1]} pixels: "
            "move it to the border or leave it out"
        )
    counts = np.zeros(shape, dtype=np.int64)
    np.add.at(counts, tuple(pixels.astype(np.int64).T), 1)
    return counts


def mae(errors: np.ndarray) -> float:
    """Return the mean absolute error of the counts.

    Parameters
    ----------
    errors : ndarray
        Predicted minus true count of each image.

    Examples
    --------
    >>> mae([2, -1, 0])
    1.0
    """
    return float(np.abs(errors).mean())


def rmse(errors: np.ndarray) -> float:
    """Return the root of the mean squared error of the counts. Papers on crowd counting call it "MSE".

    Parameters
    ----------
    errors : ndarray
        Predicted minus true count of each image.

    Examples
    --------
    >>> rmse([3, -4, 0, 0])
    2.5
    """
    return float(np.sqrt(np.square(errors, dtype=np.float64).mean()))


def bias(errors: np.ndarray) -> float:
    """Return the mean error of the counts: above 0 if too many objects are found.

    Parameters
    ----------
    errors : ndarray
        Predicted minus true count of each image.

    Examples
    --------
    >>> bias([2, -1, 2])
    1.0
    """
    return float(np.mean(errors))


def nae(pred_counts: np.ndarray, true_counts: np.ndarray) -> float:
    """Return the mean normalised absolute error of the counts: the mean of |predicted - true| / true.

    Images without an object are left out. If no image has an object, the result is NaN.

    Parameters
    ----------
    pred_counts, true_counts : (N,) ndarrays

    References
    ----------
    Wang et al., "NWPU-Crowd: A Large-Scale Benchmark for Crowd Counting and Localization", PAMI 2021.

    Examples
    --------
    >>> nae([12, 8, 3], [10, 8, 0])
    0.1
    """
    pred, true = np.asarray(pred_counts, dtype=np.float64), np.asarray(true_counts, dtype=np.float64)
    counted = true > 0
    return float((np.abs(pred - true)[counted] / true[counted]).mean()) if counted.any() else float("nan")


def mrmse(pred_counts: np.ndarray, true_counts: np.ndarray) -> float:
    """Return the mean over the classes of the RMSE over the images (mRMSE).

    Parameters
    ----------
    pred_counts, true_counts : (N, K) ndarrays
        Counts of N images and K classes. They are not rounded.

    References
    ----------
    Chattopadhyay et al., "Counting Everyday Objects in Everyday Scenes", CVPR 2017.

    Examples
    --------
    >>> mrmse([[3, 1], [4, 0]], [[3, 0], [4, 1]])
    0.5
    """
    errors = np.asarray(pred_counts, dtype=np.float64) - np.asarray(true_counts)
    return float(np.mean([rmse(of_class) for of_class in errors.T]))


def mrmse_nz(pred_counts: np.ndarray, true_counts: np.ndarray) -> float:
    """Return `mrmse`, with each class over those images only that have an object of this class (mRMSE-nz).

    A class without any object is left out. If there is no object at all, the result is NaN.

    Parameters
    ----------
    pred_counts, true_counts : (N, K) ndarrays
        See `mrmse`.

    Examples
    --------
    >>> mrmse_nz([[3, 1], [4, 0]], [[3, 0], [2, 1]])
    1.2071067811865475
    """
    errors = np.asarray(pred_counts, dtype=np.float64) - np.asarray(true_counts)
    has_objects = np.asarray(true_counts) > 0
    by_class = [rmse(e[has]) for e, has in zip(errors.T, has_objects.T, strict=True) if has.any()]
    return float(np.mean(by_class)) if by_class else float("nan")


def match_points(pred_points: np.ndarray, true_points: np.ndarray, sigma: float | np.ndarray) -> np.ndarray:
    """Match predictions one to one with true points that are at most `sigma` away.

    As many pairs as possible are found: a maximum-cardinality matching of the bipartite graph that has an edge between
    a prediction and a true point if their Euclidean distance is at most `sigma`. A greedy matching, nearest first, may
    find fewer pairs.

    Parameters
    ----------
    pred_points : (n, 2) ndarray
        Coordinates of the predictions.
    true_points : (m, 2) ndarray
        In the same unit and order of axes as the predictions: both (row, col) or both (x, y).
    sigma : float or (m,) ndarray
        Greatest distance, for all true points or for each.

    Returns
    -------
    pairs : (k, 2) int64 ndarray
        Index of the prediction and of the true point. k is unique. If several matchings have k pairs, one of them is
        returned, and it is not always the one of the least distances.

    Raises
    ------
    ValueError
        If the points are not (n, 2) and finite, or `sigma` is negative, NaN or of another length.

    References
    ----------
    Wang et al., "NWPU-Crowd", PAMI 2021, and its published evaluation define hits in this way. The matching is that of
    Hopcroft and Karp, SIAM J. Comput. 1973.

    Examples
    --------
    >>> import numpy as np
    >>> from lcfcn import match_points
    >>> pairs = match_points([(10, 10), (50, 50)], [(12, 10), (90, 90)], sigma=5)
    >>> pairs
    array([[0, 0]])
    """
    pred, true = (_as_points(name, p) for name, p in (("pred_points", pred_points), ("true_points", true_points)))
    reach = np.asarray(sigma, dtype=np.float64)
    if reach.shape not in ((), (len(true),)) or not (reach >= 0).all():
        raise ValueError(
            f"sigma is {sigma} for {len(true)} true points; expected one number of 0 or more, or one for each of them"
        )
    if not len(pred) or not len(true):
        return np.zeros((0, 2), dtype=np.int64)
    reach = np.broadcast_to(reach, len(true))
    # The tree compares squared distances, which round. So ask it for a little more, and compare the distances here.
    near = cKDTree(pred).query_ball_point(true, reach * (1 + 1e-9))
    of_true = np.repeat(np.arange(len(true)), [len(indices) for indices in near])
    of_pred = np.concatenate([np.asarray(indices, dtype=np.int64) for indices in near])
    hits = np.hypot(*(pred[of_pred] - true[of_true]).T) <= reach[of_true]
    edges = (np.ones(hits.sum(), dtype=np.int8), (of_pred[hits], of_true[hits]))
    partner = maximum_bipartite_matching(csr_array(edges, shape=(len(pred), len(true))), perm_type="column")
    matched = np.flatnonzero(partner >= 0)
    return np.stack([matched, partner[matched]], axis=1).astype(np.int64)


def _as_points(name: str, points: np.ndarray) -> np.ndarray:
    array = np.asarray(points, dtype=np.float64)
    array = array.reshape(0, 2) if array.size == 0 else array
    if array.ndim != 2 or array.shape[1] != 2 or not np.isfinite(array).all():
        raise ValueError(f"{name} has shape {np.shape(points)}; expected (n, 2) finite numbers, two a point")
    return array


def count_matches(
    pred_points: np.ndarray,
    pred_labels: np.ndarray,
    true_points: np.ndarray,
    true_labels: np.ndarray,
    n_classes: int,
    sigma: float | np.ndarray,
) -> np.ndarray:
    """Count the true positives, false positives and false negatives of each class in one image.

    Parameters
    ----------
    pred_points, true_points : (n, 2) and (m, 2) ndarrays
        See `match_points`.
    pred_labels, true_labels : (n,) and (m,) int ndarrays
        Classes, 1..`n_classes`. A prediction is matched only with a true point of its class.
    n_classes : int
        Number of classes.
    sigma : float or (m,) ndarray
        See `match_points`.

    Returns
    -------
    matches : (n_classes, 3) int64 ndarray
        True positives (matched pairs), false positives (unmatched predictions) and false negatives (unmatched true
        points).

    Examples
    --------
    >>> count_matches([(10, 10), (50, 50)], [1, 1], [(12, 10), (90, 90)], [1, 2], n_classes=2, sigma=5)
    array([[1, 1, 0],
           [0, 0, 1]])
    """
    pred, true = _as_points("pred_points", pred_points), _as_points("true_points", true_points)
    matches = np.zeros((n_classes, 3), dtype=np.int64)
    for k in range(n_classes):
        of_pred, of_true = np.asarray(pred_labels) == k + 1, np.asarray(true_labels) == k + 1
        reach = np.asarray(sigma, dtype=np.float64)
        pairs = match_points(pred[of_pred], true[of_true], reach[of_true] if reach.ndim else reach)
        matches[k] = len(pairs), of_pred.sum() - len(pairs), of_true.sum() - len(pairs)
    return matches


def localisation_scores(matches: np.ndarray | Sequence) -> dict[str, float]:
    """Compute precision, recall and F1 from the matches of images or classes, added up.

    precision = tp / (tp + fp), recall = tp / (tp + fn), f1 = 2 tp / (2 tp + fp + fn), the harmonic mean of both (Wang
    et al., "NWPU-Crowd", PAMI 2021). A score of 0 / 0 is NaN: the precision without a prediction, the recall without
    an object, and the F1 without either.

    Parameters
    ----------
    matches : (..., 3) int ndarray
        From `count_matches`, for example stacked over images.

    Returns
    -------
    scores : dict
        `tp`, `fp`, `fn` (int), `precision`, `recall`, `f1` (float).

    Examples
    --------
    >>> scores = localisation_scores([[3, 1, 0], [5, 1, 2]])
    >>> scores["precision"], scores["recall"]
    (0.8, 0.8)
    """
    tp, fp, fn = np.asarray(matches, dtype=np.int64).reshape(-1, 3).sum(axis=0).tolist()

    def quotient(part: int, whole: int) -> float:
        return part / whole if whole else float("nan")

    return {
        "tp": tp,
        "fp": fp,
        "fn": fn,
        "precision": quotient(tp, tp + fp),
        "recall": quotient(tp, tp + fn),
        "f1": quotient(2 * tp, 2 * tp + fp + fn),
    }


def bootstrap_interval(
    statistic: Callable[[np.ndarray], float | np.ndarray], n_images: int, n: int = 2000, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Compute the 95 % percentile bootstrap interval of a score over the images.

    The images are drawn with replacement, and the score is computed for each draw. The interval shows how much the
    score would vary with other images of the same kind.

    Parameters
    ----------
    statistic : callable
        Takes (n_images,) int64 indices of images, and returns a score or an array of scores.
    n_images : int
        Number of images.
    n : int
        Number of draws.
    seed : int
        The same seed gives the same interval.

    Returns
    -------
    low, high : ndarrays with the shape of the statistic
        The 2.5 % and 97.5 % percentiles. Draws whose score is NaN are left out. The result is NaN if no draw is left,
        or if there are fewer than two images.

    References
    ----------
    Efron and Tibshirani, "An Introduction to the Bootstrap", 1993, chapter 13.

    Examples
    --------
    >>> import numpy as np
    >>> errors = np.array([3, -1, 0, 2, -4, 1, 0, 5])
    >>> low, high = bootstrap_interval(lambda images: mae(errors[images]), len(errors))
    >>> bool(low < mae(errors) < high)
    True
    """
    if n_images < 2:
        n = 1  # for the shape alone
    rng = np.random.default_rng(seed)
    values = np.stack([statistic(rng.integers(n_images, size=n_images)) for _ in range(n)]).astype(np.float64)
    low_high = np.full((2, *values.shape[1:]), np.nan)
    known = ~np.isnan(values).all(axis=0) & (n_images > 1)
    low_high[:, known] = np.nanpercentile(values[:, known], [2.5, 97.5], axis=0)
    return low_high[0], low_high[1]
