"""ShanghaiTech: part_A or part_B as it is unpacked, with images and ground-truth/GT_IMG_1.mat; heads.

`image_info` holds x and y of each head in pixels. Zhang et al. (CVPR 2016) name no convention for the coordinates: the
reader counts them from the image's top-left corner, (0, 0), as `src.datasets.shanghai` does.
"""

from pathlib import Path

from src.annotations.base import AnnotationError, Click, Clicks, check_amount, files_of
from src.readers.errors import DataError
from src.readers.matlab import read_heads

NAME = "ShanghaiTech (images beside ground-truth/GT_IMG_1.mat)"
TRUTHS = ("ground-truth", "ground_truth")
START = "GT_"
PERSON = "person"
"""The name of the class, as in `src.datasets.shanghai`."""


def recognises(path: Path) -> bool:
    """Whether there is a GT_*.mat in a folder called ground-truth."""
    return bool(_truths(path))


def read(path: Path, images: Path | None) -> list[Clicks]:
    """Read the heads of each image that has a file of ground truth."""
    root = path if path.is_dir() else path.parent
    found = []
    for truth in _truths(path):
        name = truth.stem.removeprefix(START)
        image = truth.parent.parent / "images" / name
        try:
            heads = read_heads(truth)
        except DataError as error:
            raise AnnotationError(str(error)) from None
        inside = image.relative_to(root).as_posix() if image.is_relative_to(root) else name
        found.append(Clicks(inside, [Click(x, y, PERSON) for x, y in heads.tolist()]))
        check_amount(len(heads), truth)
    return found


def _truths(path: Path) -> list[Path]:
    files = files_of(path, ".mat")
    return [file for file in files if file.parent.name in TRUTHS and file.name.startswith(START)]
