"""ShanghaiTech: crowds (Zhang et al., "Single-Image Crowd Counting via Multi-Column CNN", CVPR 2016)."""

from pathlib import Path

import numpy as np

from src.datasets.base import DataError, PointDataset, Record, read_mat, read_rgb, require_files

PARTS = ("A", "B")


class Shanghai(PointDataset):
    """`part` is 'A' or 'B'; `-d` is the part's folder, or one that holds it.

    No validation split ships: here it is the training images whose number is divisible by 10.
    """

    options = ("part",)
    class_names = ("person",)

    def open(self, part: str | None = None) -> None:
        """Find the split's images by number, and check that each has its ground truth."""
        if part not in PARTS:
            raise DataError(f"dataset.part is {part!r}; expected one of {', '.join(PARTS)}")
        folder = self._find_part(part) / ("test_data" if self.split == "test" else "train_data")
        images = sorted((folder / "images").glob("IMG_*.jpg"), key=_number)
        if self.split != "test":
            images = [path for path in images if (_number(path) % 10 == 0) == (self.split == "val")]
        if not images:
            raise DataError(f"{folder / 'images'} has no {self.split} image; expected IMG_1.jpg and so on: check -d")
        self.names = [path.name for path in images]
        self.paths = images
        require_files([_truth_of(path) for path in images])

    def _find_part(self, part: str) -> Path:
        names = (f"part_{part}", f"part_{part}_final")
        places = [self.datadir / name for name in names]
        places += [
            place / name for place in (self.datadir / "ShanghaiTech", self.datadir / "shanghaitech") for name in names
        ]
        if self.datadir.name in names or not any(place.is_dir() for place in places):
            places.insert(0, self.datadir)
        for place in places:
            if (place / "train_data" / "images").is_dir():
                return place
        raise DataError(f"-d {self.datadir} holds no {' or '.join(names)} with train_data/images: check -d")

    def read(self, index: int) -> Record:
        """Read an image and the heads annotated in it."""
        path = self.paths[index]
        image = read_rgb(path)
        truth = _truth_of(path)
        mat = read_mat(truth)
        try:
            info = mat["image_info"][0, 0][0, 0]
            xy, n = np.asarray(info[0], dtype=float).reshape(-1, 2), int(np.asarray(info[1]).item())
        except (KeyError, IndexError, ValueError, TypeError):
            raise DataError(
                f"{truth} has no points; expected image_info as ShanghaiTech gives it: fetch it again"
            ) from None
        if len(xy) != n or not np.isfinite(xy).all():
            raise DataError(f"{truth} says {n} heads and lists {len(xy)}, or not all are numbers: fetch it again")
        return Record(image, xy[:, ::-1], np.ones(n, dtype=int), np.ones(image.shape[:2], dtype=bool))


def _number(path: Path) -> int:
    digits = path.stem.removeprefix("IMG_")
    if not digits.isdigit():
        raise DataError(f"{path} has no number; expected a name such as IMG_1.jpg: rename or remove it")
    return int(digits)


def _truth_of(image: Path) -> Path:
    return image.parent.parent / "ground-truth" / f"GT_{image.stem}.mat"
