"""ShanghaiTech: crowds (Zhang et al., "Single-Image Crowd Counting via Multi-Column CNN", CVPR 2016)."""

from pathlib import Path

import numpy as np

from lcfcn.counting.image_files import read_image
from src.datasets.base import PointDataset, Record, require_files
from src.readers.errors import DataError
from src.readers.matlab import read_heads

PARTS = ("A", "B")


class Shanghai(PointDataset):
    """`part` is 'A' or 'B'. `-d` is the part's folder, or a folder that holds it.

    The data set has no validation split. Here the training images whose number is divisible by 10 validate.
    """

    options = ("part",)
    class_names = ("person",)

    def open(self, part: str | None = None) -> None:
        """Find the split's images by number, and check that each has its ground truth."""
        if part not in PARTS:
            raise DataError(f"dataset.part is {part!r}; expected one of {', '.join(PARTS)}")
        folder = self._find_part(part) / ("test_data" if self.split == "test" else "train_data")
        images = sorted((folder / "images").glob("IMG_*.jpg"))
        truths = sorted(_truth_folder(folder).glob("GT_IMG_*.mat"))
        # An image without ground truth is as incomplete as a ground truth without image.
        numbers = sorted({_number(path) for path in images + truths})
        if self.split != "test":
            numbers = [number for number in numbers if (number % 10 == 0) == (self.split == "val")]
        if not numbers:
            raise DataError(f"{folder / 'images'} has no {self.split} image; expected IMG_1.jpg and so on: check -d")
        self.names = [f"IMG_{number}.jpg" for number in numbers]
        self.paths = [folder / "images" / name for name in self.names]
        require_files([file for path in self.paths for file in (path, _truth_of(path))])

    def _find_part(self, part: str) -> Path:
        names, others = ((f"part_{letter}", f"part_{letter}_final") for letter in sorted(PARTS, key=part.__ne__))
        places = [self.datadir / name for name in names]
        places += [self.datadir / "ShanghaiTech" / name for name in names]
        if self.datadir.name not in others:
            places.insert(0, self.datadir)
        for place in places:
            if (place / "train_data").is_dir() or (place / "test_data").is_dir():
                return place
        raise DataError(
            f"-d {self.datadir} has no train_data or test_data, in itself or in {' or '.join(names)}; "
            f"expected the folder of part {part}: check -d"
        )

    def read(self, index: int) -> Record:
        """Read an image and the heads annotated in it."""
        image = read_image(self.paths[index])
        return Record(image, *self.clicks(index), np.ones(image.shape[:2], dtype=bool))

    def clicks(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the heads of one image, without decoding it."""
        xy = read_heads(_truth_of(self.paths[index]))
        return xy[:, ::-1], np.ones(len(xy), dtype=int)

    def count(self, index: int) -> int:
        """Return the number of heads of one image, without decoding it. A head outside the image counts too."""
        return len(read_heads(_truth_of(self.paths[index])))


def _number(path: Path) -> int:
    digits = path.stem.rpartition("_")[2]
    if not (digits.isascii() and digits.isdigit()) or digits != str(int(digits)):
        raise DataError(f"{path} has no number; expected a name such as IMG_1.jpg: rename or remove it")
    return int(digits)


def _truth_folder(folder: Path) -> Path:
    """Return the folder `ground-truth`, which some archives write with an underscore."""
    underscore = folder / "ground_truth"
    return underscore if underscore.is_dir() else folder / "ground-truth"


def _truth_of(image: Path) -> Path:
    return _truth_folder(image.parent.parent) / f"GT_{image.stem}.mat"
