"""MATLAB files, and the heads that ShanghaiTech stores in them."""

from pathlib import Path

import numpy as np
import scipy.io

from lcfcn.errors import one_line
from src.readers.errors import DataError


def read_mat(path: Path) -> dict:
    """A MATLAB file as a dict."""
    try:
        return scipy.io.loadmat(path)
    except Exception as error:  # scipy raises a different type for each kind of damage
        raise DataError(
            f"{path} cannot be read as a MATLAB file ({one_line(error) or type(error).__name__}): fetch it again"
        ) from None


def read_heads(path: Path) -> np.ndarray:
    """x and y of each head, (n, 2) float."""
    mat = read_mat(path)
    try:
        info = mat["image_info"][0, 0][0, 0]
        xy, n = np.asarray(info[0], dtype=float).reshape(-1, 2), int(np.asarray(info[1]).item())
    except (KeyError, IndexError, ValueError, TypeError):
        raise DataError(f"{path} has no points; expected image_info as ShanghaiTech gives it: fetch it again") from None
    if len(xy) != n or not np.isfinite(xy).all():
        raise DataError(f"{path} says {n} heads and lists {len(xy)}, or not all are numbers: fetch it again")
    return xy
