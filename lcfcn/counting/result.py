"""What was found on one image: counts, points, a picture, files."""

import csv
import io
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from lcfcn.counting import drawing
from lcfcn.counting.pixels import zoom_factors
from lcfcn.errors import UserError
from lcfcn.files import csv_cell, make_folder, write_table
from lcfcn.names import file_name

if TYPE_CHECKING:
    import pandas as pd

COUNTS, POINTS, OVERLAYS = "counts.csv", "points.csv", "overlays"
"""What `Result.save` and `lcfcn count` write."""
COUNTS_HEADER = ("image", "class", "count")
POINTS_HEADER = ("image", "x", "y", "class", "score", "area")


@dataclass(frozen=True, repr=False, eq=False)
class Result:
    """The n objects found on one image, class by class, from top to bottom.

    Attributes
    ----------
    name : str
        The image's name.
    image : (H, W, 3) uint8 ndarray
        RGB.
    class_names : list of K str
    xy : (n, 2) float64 ndarray
        x and y of each object in pixels, (0, 0) the top-left corner of the first pixel. It is the centre of the pixel
        of the object's blob that is nearest to the blob's centroid.
    labels : (n,) int64 ndarray
        The class of each object, 1..K.
    scores : (n,) float64 ndarray
        The mean probability of the class over the object's blob.
    areas : (n,) int64 ndarray
        The pixels of the object's blob.
    class_map : (H, W) uint8 or uint16 ndarray
        The class of each pixel, 0 = background.
    remarks : tuple of str
        Oddities of the image file that may change the count, a line each; see
        `lcfcn.counting.image_files.read_image`.
    """

    name: str
    image: np.ndarray
    class_names: list[str]
    xy: np.ndarray
    labels: np.ndarray
    scores: np.ndarray
    areas: np.ndarray
    class_map: np.ndarray
    remarks: tuple[str, ...] = ()

    @property
    def count(self) -> int:
        """The number of objects of all classes together."""
        return len(self.labels)

    @property
    def counts(self) -> dict[str, int]:
        """The number of objects of each class, by its name."""
        numbers = np.bincount(self.labels, minlength=len(self.class_names) + 1)[1:].tolist()
        return dict(zip(self.class_names, numbers, strict=True))

    @cached_property
    def points(self) -> "pd.DataFrame":
        """A table with one row an object: x, y (pixels), class, score (0 to 1), area (pixels)."""
        import pandas as pd  # here, so that counting does not wait for it

        classes = [self.class_names[label - 1] for label in self.labels]
        columns = {"x": self.xy[:, 0], "y": self.xy[:, 1], "class": classes, "score": self.scores, "area": self.areas}
        return pd.DataFrame(columns)

    def overlay(self) -> Image.Image:
        """Return the image with the objects tinted, their points marked, and the counts above."""
        return Image.fromarray(drawing.overlay(self.image, self.class_map, self.xy, self.caption()))

    def caption(self) -> str:
        """Return the counts as one line of text."""
        return "   ".join(f"{name}: {count}" for name, count in self.counts.items())

    def show(self) -> None:
        """Show the overlay: in the notebook if this is one, else in the system's image viewer."""
        if _is_notebook():
            from IPython.display import display

            display(self.overlay())
        else:
            self.overlay().show(title=self.name)

    def save(self, out: str | Path) -> None:
        """Write counts.csv, points.csv and overlays/NAME.png into a folder, as `lcfcn count -o` does.

        Rows of other images in these tables stay, and earlier rows of this image are replaced. So several results can
        be saved into one folder.

        Parameters
        ----------
        out : str or Path

        Raises
        ------
        UserError
            If a file cannot be written, or a table there is of another kind.
        """
        folder = Path(out)
        tables = ((COUNTS, COUNTS_HEADER, self.count_rows()), (POINTS, POINTS_HEADER, self.point_rows()))
        others = {name: _read_rows(folder / name, header) for name, header, _ in tables}
        make_folder(folder)
        for name, header, rows in tables:
            kept = [row for row in others[name] if row[0] != csv_cell(self.name)]
            write_table(folder / name, header, [*kept, *rows])
        self.save_overlay(folder)

    def save_overlay(self, out: Path) -> None:
        """Write overlays/NAME.png into a folder."""
        target = out / OVERLAYS / file_name(self.name, ".png")
        make_folder(target.parent)
        drawing.save_png(target, np.asarray(self.overlay()))

    def count_rows(self) -> list[tuple]:
        """Return this image's rows of counts.csv, one a class."""
        return [(self.name, name, count) for name, count in self.counts.items()]

    def point_rows(self) -> list[tuple]:
        """Return this image's rows of points.csv, one an object."""
        measures = zip(self.xy_names(), self.scores.tolist(), self.areas.tolist(), strict=True)
        return [(self.name, x, y, name, f"{score:.4f}", area) for (x, y, name), score, area in measures]

    def xy_names(self) -> list[tuple[float, float, str]]:
        """Return x, y and the name of the class of each object."""
        names = [self.class_names[label - 1] for label in self.labels]
        return [(x, y, name) for (x, y), name in zip(self.xy.tolist(), names, strict=True)]

    def resized_to(self, image: np.ndarray) -> "Result":
        """Return what was found on a zoomed image in pixels of the image as it came, (H, W, 3)."""
        if self.class_map.shape == image.shape[:2]:
            return replace(self, image=image)
        factors = zoom_factors(self.class_map.shape, image.shape)
        rows, cols = (
            ((np.arange(side) + 0.5) * factor).astype(int)
            for side, factor in zip(image.shape[:2], factors, strict=True)
        )
        return replace(
            self,
            image=image,
            xy=self.xy / factors[::-1],
            areas=np.maximum(np.rint(self.areas / factors.prod()), 1).astype(np.int64),
            class_map=self.class_map[rows[:, None], cols],
        )

    def __repr__(self) -> str:
        counts = ", ".join(f"{name}: {count}" for name, count in self.counts.items())
        return f"Result({self.name!r}, {counts})"


def _is_notebook() -> bool:
    """Whether an IPython kernel runs this, which can display images."""
    try:
        from IPython import get_ipython
    except ImportError:
        return False
    return hasattr(get_ipython(), "kernel")


def _read_rows(path: Path, header: tuple[str, ...]) -> list[list[str]]:
    """Read the rows of a table that `Result.save` wrote; none if there is no file.

    Raises
    ------
    UserError
        If the file is another table.
    """
    try:
        found = list(csv.reader(io.StringIO(path.read_text(encoding="utf-8"), newline="")))
    except FileNotFoundError:
        return []
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path} cannot be read ({error}): choose another folder") from None
    if not found or tuple(found[0]) != header:
        raise UserError(f"{path} is another table; expected the header {','.join(header)}: choose another folder")
    return found[1:]
