"""Count on many image files: tables, overlays and files for annotation tools."""

import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from tqdm import tqdm

from lcfcn.counting.counter import Counter
from lcfcn.counting.exports import ImagePoints, Points, check_xml, cvat_xml, labelme_json, qupath_geojson
from lcfcn.counting.image_files import image_size, read_image
from lcfcn.counting.result import COUNTS, COUNTS_HEADER, POINTS, POINTS_HEADER, Result, write_table
from lcfcn.errors import UserError, one_line
from lcfcn.files import make_folder, write_bytes

FAILED, FAILED_HEADER = "failed.csv", ("image", "reason")


@dataclass
class Outputs:
    """Collects what is done so far. The files of an image are written at once, and the tables by `write_tables`.

    Attributes
    ----------
    out : Path or None
        The folder to write into; None writes nothing.
    class_names : list of str
    draws : bool
        Whether to draw overlays.
    exports : list of str
        Formats for annotation tools, from `lcfcn.counting.defaults.EXPORTS`.
    program : str
        Stands before messages.
    on_result : callable, optional
        Is called with each result.
    counts, points, failed : list
        The rows of the tables.
    """

    out: Path | None
    class_names: list[str]
    draws: bool = True
    exports: list[str] = field(default_factory=list)
    program: str = "lcfcn count"
    on_result: Callable[[Result], None] | None = None
    counts: list[tuple] = field(default_factory=list)
    points: list[tuple] = field(default_factory=list)
    failed: list[tuple[str, str]] = field(default_factory=list)
    n_done: int = 0
    _cvat: list[ImagePoints] = field(default_factory=list)
    _labelme_files: set[Path] = field(default_factory=set)

    def fail(self, name: str, error: Exception) -> None:
        """Note an image that failed, and print the reason."""
        self.failed.append((name, one_line(error)))
        tqdm.write(f"{self.program}: {name}: {one_line(error)}", file=sys.stderr)

    def keep(self, path: Path, result: Result) -> None:
        """Write an image's overlay and exports, then note its rows; raise `UserError` if a file cannot be written."""
        if self.out is not None:
            self._write_files(path, result)
        self.counts += result.count_rows()
        self.points += result.point_rows()
        self.n_done += 1
        if self.on_result:
            self.on_result(result)

    def _write_files(self, path: Path, result: Result) -> None:
        points, size = result.xy_names(), result.image.shape[:2]
        if self.draws:
            result.save_overlay(self.out)
        if "geojson" in self.exports:
            target = self.out / "geojson" / f"{result.name}.geojson"
            make_folder(target.parent)
            write_bytes(target, qupath_geojson(points))
        if "labelme" in self.exports:
            self._write_labelme(path, result.name, size, points)
        if "cvat" in self.exports:
            check_xml(result.name)
            self._cvat.append(ImagePoints(result.name, size, points))

    def _write_labelme(self, path: Path, name: str, size: tuple[int, int], points: Points) -> None:
        file = Path(name).with_suffix(".json")  # labelme --output looks for it under this name
        file = Path(f"{name}.json") if file in self._labelme_files else file
        self._labelme_files.add(file)
        target = self.out / "labelme" / file
        where = Path(os.path.relpath(path, os.path.abspath(target.parent))).as_posix()
        make_folder(target.parent)
        write_bytes(target, labelme_json(points, where, size))

    def write_tables(self) -> None:
        """Write the tables of what is done, each whole."""
        if self.out is None:
            return
        write_table(self.out / COUNTS, COUNTS_HEADER, self.counts)
        write_table(self.out / POINTS, POINTS_HEADER, self.points)
        write_table(self.out / FAILED, FAILED_HEADER, self.failed)
        if "cvat" in self.exports:
            write_bytes(self.out / "cvat.xml", cvat_xml(self._cvat, self.class_names))

    def totals(self) -> dict[str, int]:
        """Return the number of objects of each class on all images."""
        sums = dict.fromkeys(self.class_names, 0)
        for _, name, count in self.counts:
            sums[name] += count
        return sums


def count_files(
    files: dict[str, Path],
    counter: Counter,
    outputs: Outputs,
    *,
    batch_size: int = 1,
    frame: int = 0,
    max_pixels: int,
) -> None:
    """Read, count and draw group after group. An image that fails is noted, and the rest goes on.

    Parameters
    ----------
    files : dict
        As `lcfcn.counting.file_lists.find_images` returns them.
    counter : Counter
        Its `check` is called after each group too.
    outputs : Outputs
    batch_size : int
        How many images of one size run at once.
    frame, max_pixels
        See `lcfcn.counting.image_files.read_image`.
    """
    with tqdm(total=len(files), desc="images", unit="image", disable=None) as bar:
        for group in groups(files, counter, batch_size):
            _count_group({name: files[name] for name in group}, counter, outputs, frame, max_pixels)
            bar.update(len(group))
            counter.check()


def groups(files: dict[str, Path], counter: Counter, batch_size: int) -> Iterator[list[str]]:
    """Yield neighbours of one size together, up to `batch_size`; what runs in tiles or cannot be read comes alone."""
    group: list[str] = []
    size = None
    for name, path in files.items():
        found = _header_size(path) if batch_size > 1 else None
        if group and (found is None or found != size or len(group) == batch_size or not counter.fits(found)):
            yield group
            group = []
        group.append(name)
        size = found
    if group:
        yield group


def _header_size(path: Path) -> tuple[int, int] | None:
    """Return height and width of an image; None if it cannot be read, which is reported when its turn comes."""
    try:
        return image_size(path)
    except UserError:
        return None


def _count_group(files: dict[str, Path], counter: Counter, outputs: Outputs, frame: int, max_pixels: int) -> None:
    """Count on a few images at once, and write what was found. Pixels live no longer than this."""
    images = {}
    for name, path in files.items():
        try:
            _check_name(name)
            images[name] = read_image(path, frame=frame, max_pixels=max_pixels)
        except UserError as error:
            outputs.fail(name, error)
    at_once = _count_at_once(images, counter)
    for name, image in images.items():
        try:
            outputs.keep(files[name], at_once[name] if name in at_once else counter.count_pixels(image, name))
        except UserError as error:
            outputs.fail(name, error)


def _count_at_once(images: dict[str, np.ndarray], counter: Counter) -> dict[str, Result]:
    """Return the results of several images of one size by name; none if they cannot run at once."""
    shapes = {image.shape for image in images.values()}  # frames of a file may differ from its header
    if len(images) < 2 or len(shapes) > 1 or not counter.fits(*shapes):
        return {}
    try:
        found = counter.count_batch(list(images.values()), list(images))
    except UserError:  # one by one, it shows which image is the cause
        return {}
    return dict(zip(images, found, strict=True))


def _check_name(name: str) -> None:
    """Raise `UserError` if a file's name is no text."""
    try:
        name.encode()
    except UnicodeEncodeError:
        raise UserError("its name is not UTF-8: rename the file") from None
