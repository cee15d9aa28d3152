"""Read MATLAB files, and the heads that ShanghaiTech stores in them."""

from pathlib import Path

import numpy as np
import scipy.io

from lcfcn.errors import one_line
from src.readers.errors import DataError


def read_mat(path: Path) -> dict:
    """Return the variables of a MATLAB file by name; raise `DataError` if it cannot be read."""
    try:
        return scipy.io.loadmat(path)
    except Exception as error:  # scipy raises a different type for each kind of damage
        raise DataError(
            f"{path} cannot be read as a MATLAB file ({one_line(error) or type(error).__name__}): download it again"
        ) from None


def read_heads(path: Path) -> np.ndarray:
    """Return x and y of each head in pixels, (n, 2) float; raise `DataError` if the file has no such table."""
    mat = read_mat(path)
    try:
        info = mat["image_info"][0, 0][0, 0]
        xy, n = np.asarray(info[0], dtype=float).reshape(-1, 2), int(np.asarray(info[1]).item())
    except (KeyError, IndexError, ValueError, TypeError):
        raise DataError(f"{path} has no points; expected image_info as in ShanghaiTech: download it again") from None
    if len(xy) != n or not np.isfinite(xy).all():
        raise DataError(f"{path} claims {n} heads and lists {len(xy)}, or not all are numbers: download it again")
    return xy
