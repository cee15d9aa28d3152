"""Counting and localisation scores. Only numpy and scipy: any tool's predictions can be scored.

A score that nothing defines, such as the precision of no predictions, is NaN.
"""

from collections.abc import Callable, Sequence

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import maximum_bipartite_matching
from scipy.spatial import cKDTree


def compute_game(pred_points: np.ndarray, gt_points: np.ndarray, L: int = 1) -> float:  # noqa: N803
    """Grid Average Mean absolute Error of one image (Guerrero-Gomez-Olmedo et al., IbPRIA 2015, equation 1).

    The image is cut into a grid of 2^L by 2^L cells; the errors of their counts are added, so that an error here
    no longer makes up for one there. GAME(0) is the absolute error of the count.

    Parameters
    ----------
    pred_points, gt_points : (H, W) ndarray or CPU tensor
        Points per pixel: 0/1, or counts where several lie on one pixel.
    L : int
        Level, 0 or more.

    Returns
    -------
    game : float
        Number of points. Rows and columns that do not divide are shared out, so no point is lost.

    Raises
    ------
    ValueError
        If the shapes differ or are not (H, W), or L is negative.
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
    # Where the cells begin; unique, since in an image of fewer pixels than cells a pixel is the smallest cell.
    rows, cols = (np.unique(np.arange(2**L) * side // 2**L) for side in error.shape)
    return float(np.abs(np.add.reduceat(np.add.reduceat(error, rows, axis=0), cols, axis=1)).sum())


def dense_counts(point_list: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """An (H, W) int64 map of how many points of an (n, 2) list of rows and columns have each pixel as their floor.

    Raises
    ------
    IndexError
        If a point lies outside the image: on which pixel it counts is for the caller to say.
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
    """Mean absolute error of the counts, from the errors (predicted - true) of the images."""
    return float(np.abs(errors).mean())


def rmse(errors: np.ndarray) -> float:
    """Root of the mean squared error of the counts, from the errors of the images (the field's "MSE")."""
    return float(np.sqrt(np.square(errors, dtype=np.float64).mean()))


def bias(errors: np.ndarray) -> float:
    """Mean error of the counts, from the errors (predicted - true) of the images: above 0 where too many are found."""
    return float(np.mean(errors))


def nae(pred_counts: np.ndarray, true_counts: np.ndarray) -> float:
    """Mean normalised absolute error of the counts (Wang et al., "NWPU-Crowd", PAMI 2021).

    The mean of |predicted - true| / true over the images with an object. Images without one have no such quotient and
    are left out, as there; of no others it is NaN.
    """
    pred, true = np.asarray(pred_counts, dtype=np.float64), np.asarray(true_counts, dtype=np.float64)
    counted = true > 0
    return float((np.abs(pred - true)[counted] / true[counted]).mean()) if counted.any() else float("nan")


def mrmse(pred_counts: np.ndarray, true_counts: np.ndarray) -> float:
    """Mean over the classes of the RMSE over the images (Chattopadhyay et al., "Counting Everyday Objects in Everyday
    Scenes", CVPR 2017: mRMSE), from (N, K) counts, which are taken as they are, not rounded."""
    errors = np.asarray(pred_counts, dtype=np.float64) - np.asarray(true_counts)
    return float(np.mean([rmse(of_class) for of_class in errors.T]))


def mrmse_nz(pred_counts: np.ndarray, true_counts: np.ndarray) -> float:
    """`mrmse`, but each class over the images that have an object of it (there: m-RMSE-nz).

    A class without any object is left out; without any object at all it is NaN.
    """
    errors = np.asarray(pred_counts, dtype=np.float64) - np.asarray(true_counts)
    has_objects = np.asarray(true_counts) > 0
    by_class = [rmse(e[has]) for e, has in zip(errors.T, has_objects.T, strict=True) if has.any()]
    return float(np.mean(by_class)) if by_class else float("nan")


def match_points(pred_points: np.ndarray, true_points: np.ndarray, sigma: float | np.ndarray) -> np.ndarray:
    """Pair as many predictions with true points as can be, each at most once, none farther apart than sigma.

    A maximum-cardinality matching of the bipartite graph that joins a prediction and a true point where their
    Euclidean distance <= sigma, as Wang et al., "NWPU-Crowd", PAMI 2021 and its published evaluation
    define hits; found by Hopcroft and Karp, SIAM J. Comput. 1973. Taking the nearest first would find fewer.

    Parameters
    ----------
    pred_points : (n, 2) ndarray
    true_points : (m, 2) ndarray
        In the same unit, and both (row, col) or both (x, y).
    sigma : float or (m,) ndarray
        The reach of all true points, or of each.

    Returns
    -------
    pairs : (k, 2) int64 ndarray
        Index of the prediction and of the true point. k is unique; where several matchings have k pairs it is one
        of them, not the nearest.

    Raises
    ------
    ValueError
        If the points are not (n, 2) and finite, or sigma is negative, no number or of another length.
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
    # The tree compares squares: it is asked for a little more, and the distance itself decides.
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
    """True positives, false positives and false negatives of each class in one image, see `match_points`.

    Parameters
    ----------
    pred_points, true_points : (n, 2), (m, 2) ndarray
    pred_labels, true_labels : (n,), (m,) int ndarray
        Classes, 1..`n_classes`. A prediction matches only a true point of its class.
    sigma : float or (m,) ndarray

    Returns
    -------
    matches : (n_classes, 3) int64 ndarray
        The matched pairs, the predictions left over, the true points left over.
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
    """Precision, recall and F1 of true and false positives pooled over images, classes, or both.

    precision = tp / (tp + fp), recall = tp / (tp + fn), f1 = 2 tp / (2 tp + fp + fn), which is their harmonic mean
    (Wang et al., "NWPU-Crowd", PAMI 2021). Where that is 0 / 0 there is no such score and it is NaN:
    precision without a prediction, recall without an object, f1 without either.

    Parameters
    ----------
    matches : (..., 3) int ndarray
        As `count_matches` gives them; all are added up.

    Returns
    -------
    scores : dict
        `tp`, `fp`, `fn` (int), `precision`, `recall`, `f1`.
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
    """95 % percentile interval of a score over the images (Efron and Tibshirani, "An Introduction to the Bootstrap",
    1993, chapter 13): how much it would swing with other images of the same kind.

    Parameters
    ----------
    statistic : callable
        Takes (n_images,) int64 indices of images, drawn with replacement, and gives one score or an array of several,
        which are then all taken of the same draws.
    n_images : int
    n : int
        How often images are drawn.
    seed : int
        The same seed gives the same interval.

    Returns
    -------
    low, high : ndarray of the statistic's shape
        Draws whose score is NaN are left out; NaN where none is left, and of fewer than two images, whose spread
        nothing tells.
    """
    if n_images < 2:
        n = 1  # for the shape alone
    rng = np.random.default_rng(seed)
    values = np.stack([statistic(rng.integers(n_images, size=n_images)) for _ in range(n)]).astype(np.float64)
    low_high = np.full((2, *values.shape[1:]), np.nan)
    known = ~np.isnan(values).all(axis=0) & (n_images > 1)
    low_high[:, known] = np.nanpercentile(values[:, known], [2.5, 97.5], axis=0)
    return low_high[0], low_high[1]
