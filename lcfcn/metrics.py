"""Counting scores. Only numpy: any tool's predictions can be scored."""

import numpy as np


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
    """An (H, W) int64 map of how many points of an (n, 2) list of rows and columns have each pixel as their floor."""
    counts = np.zeros(shape, dtype=np.int64)
    rows, cols = np.floor(np.asarray(point_list).reshape(-1, 2)).astype(np.int64).T
    np.add.at(counts, (rows, cols), 1)
    return counts


def mae(errors: np.ndarray) -> float:
    """Mean absolute error of the counts, from the errors (predicted - true) of the images."""
    return float(np.abs(errors).mean())


def rmse(errors: np.ndarray) -> float:
    """Root of the mean squared error of the counts, from the errors of the images (the field's "MSE")."""
    return float(np.sqrt(np.square(errors, dtype=np.float64).mean()))
