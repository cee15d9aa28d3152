"""UCF-QNRF and UCF_CC_50: img_0001_ann.mat beside img_0001.jpg; heads.

`annPoints` holds x and y of each head in pixels. Idrees et al. (ECCV 2018) name no convention for the coordinates: the
reader counts them from the image's top-left corner, (0, 0).
"""

from pathlib import Path

import scipy.io

from src.annotations.base import Click, Clicks, check_amount, files_of
from src.annotations.common import named_after
from src.annotations.nwpu import CLASS, points_of_mat

NAME = "UCF-QNRF (img_0001_ann.mat beside img_0001.jpg)"
ENDING = "_ann"


def recognises(path: Path) -> bool:
    """Whether there is a _ann.mat with points."""
    return any(map(_has_points, _files(path)))


def read(path: Path, images: Path | None) -> list[Clicks]:
    """Read the heads of each image that has a file."""
    root = path if path.is_dir() else path.parent
    found = []
    for file in _files(path):
        points = points_of_mat(file)
        check_amount(len(points), file)
        name = named_after(file, root).removesuffix(ENDING)
        found.append(Clicks(name, [Click(x, y, CLASS) for x, y in points]))
    return found


def _files(path: Path) -> list[Path]:
    return [file for file in files_of(path, ".mat") if file.stem.endswith(ENDING) and file.stem != ENDING]


def _has_points(file: Path) -> bool:
    try:
        return any(name == "annPoints" for name, *_ in scipy.io.whosmat(file))
    except Exception:  # scipy raises a different type for each kind of damage
        return False
