"""Count on many image files: tables, overlays and files for annotation tools."""

import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from tqdm import tqdm

from lcfcn.counting.counter import Counter
from lcfcn.counting.defaults import MAX_PIXELS
from lcfcn.counting.exports import ImagePoints, check_xml, cvat_xml, labelme_json, qupath_geojson
from lcfcn.counting.image_files import image_size, read_image
from lcfcn.counting.journal import Journal, stat_of
from lcfcn.counting.result import COUNTS, COUNTS_HEADER, POINTS, POINTS_HEADER, Result
from lcfcn.errors import UserError, one_line
from lcfcn.files import make_folder, write_bytes, write_table
from lcfcn.names import file_name, printable
from lcfcn.stopping import Stopped

FAILED, FAILED_HEADER = "failed.csv", ("image", "reason")


@dataclass(frozen=True)
class Reading:
    """How image files are read.

    Attributes
    ----------
    frames : dict
        By the names of images, which frame is read. Others are read at their first one.
    channels, max_pixels
        See `lcfcn.counting.image_files.read_image`.
    """

    frames: dict[str, int] = field(default_factory=dict)
    channels: Sequence[int] | None = None
    max_pixels: int = MAX_PIXELS

    def read(self, name: str, path: Path, remarks: list[str]) -> np.ndarray:
        """Return an image; see `lcfcn.counting.image_files.read_image`."""
        options = {"channels": self.channels, "max_pixels": self.max_pixels, "remarks": remarks}
        return read_image(path, frame=self.frames.get(name), **options)


@dataclass
class Outputs:
    """Takes the results of many images: it writes the files of each image at once, and the tables at the end.

    Attributes
    ----------
    files : dict
        All images, as `lcfcn.counting.file_lists.find_images` returns them.
    class_names : list of str
    out : Path or None
        The folder to write into; None writes nothing.
    journal : Journal or None
        Where the rows wait for the end; needed where there is a folder.
    draws : bool
        Whether to draw overlays.
    exports : list of str
        Formats for annotation tools, from `lcfcn.counting.defaults.EXPORTS`.
    program : str
        Stands before messages.
    on_result : callable, optional
        Is called with each result.
    totals : dict
        The number of objects of each class so far.
    n_done, n_failed : int
        Images so far.
    """

    files: dict[str, Path]
    class_names: list[str]
    out: Path | None = None
    journal: Journal | None = None
    draws: bool = True
    exports: list[str] = field(default_factory=list)
    program: str = "lcfcn count"
    on_result: Callable[[Result], None] | None = None
    totals: dict[str, int] = field(default_factory=dict)
    n_done: int = 0
    n_failed: int = 0

    def __post_init__(self) -> None:
        self.totals = dict.fromkeys(self.class_names, 0)
        self._labelme_names = labelme_names(self.files)

    def to_do(self, rank: int = 0, world_size: int = 1) -> list[str]:
        """Return the images that this process has to count: its share, without those that are done; print how many."""
        share = list(self.files)[rank::world_size]
        if self.journal is None:
            return share
        left = [name for name in share if not self.journal.is_done(name, stat_of(self.files[name]))]
        if len(left) < len(share):
            print(f"Going on where an earlier run stopped: {len(left)} of {len(share)} images are left", flush=True)
        return left

    def fail(self, name: str, error: Exception) -> None:
        """Note an image that failed, and print the reason."""
        self.n_failed += 1
        reason = one_line(error) if isinstance(error, UserError) else f"{type(error).__name__}: {one_line(error)}"
        tqdm.write(f"{self.program}: {printable(name)}: {reason}", file=sys.stderr)
        if self.journal is not None:
            self.journal.add({"image": name, "stat": stat_of(self.files[name]), "failed": reason})

    def tell(self, name: str, remarks: list[str]) -> None:
        """Print what is unusual about an image, in one line."""
        if remarks:
            tqdm.write(f"{self.program}: {name}: {'; '.join(remarks)}", file=sys.stderr)

    def keep(self, result: Result) -> None:
        """Note an image's rows; its files are written already."""
        if self.journal is not None:
            entry = {"image": result.name, "stat": stat_of(self.files[result.name]), "size": result.image.shape[:2]}
            entry |= {"counts": list(result.counts.values()), "points": [row[1:] for row in result.point_rows()]}
            self.journal.add(entry)
        self.n_done += 1
        for name, count in result.counts.items():
            self.totals[name] += count
        if self.on_result:
            self.on_result(result)

    def write_files(self, result: Result) -> None:
        """Write an image's overlay and exports; raise `UserError` if one cannot be written."""
        if self.out is None:
            return
        points, size, name = result.xy_names(), result.image.shape[:2], result.name
        if self.draws:
            result.save_overlay(self.out)
        if "geojson" in self.exports:
            _write_text(self.out / "geojson" / file_name(name, ".geojson"), qupath_geojson(points))
        if "labelme" in self.exports:
            target = self.out / "labelme" / self._labelme_names[name]
            image = Path(os.path.relpath(self.files[name], os.path.abspath(target.parent))).as_posix()
            _write_text(target, labelme_json(points, image, size))
        if "cvat" in self.exports:
            check_xml(name)

    def is_complete(self) -> bool:
        """Whether each image is done or has failed, by whatever process."""
        self.journal.refresh()
        return all(name in self.journal.done for name in self.files)

    def write_tables(self) -> None:
        """Write the tables of what is done, each whole, in the order of `files`."""
        tables = (
            (COUNTS, COUNTS_HEADER, self._count_rows),
            (POINTS, POINTS_HEADER, self._point_rows),
            (FAILED, FAILED_HEADER, self._failed_rows),
        )
        for name, header, rows in tables:
            write_table(self.out / name, header, rows())
        if "cvat" in self.exports:
            images = [
                ImagePoints(e["image"], tuple(e["size"]), [(x, y, label) for x, y, label, *_ in e["points"]])
                for e in self._entries()
            ]
            write_bytes(self.out / "cvat.xml", cvat_xml(images, self.class_names))

    def _entries(self, *, failed: bool = False) -> Iterator[dict]:
        return (entry for entry in self.journal.entries(list(self.files)) if ("failed" in entry) == failed)

    def _count_rows(self) -> Iterator[tuple]:
        for entry in self._entries():
            for name, count in zip(self.class_names, entry["counts"], strict=True):
                yield entry["image"], name, count

    def _point_rows(self) -> Iterator[tuple]:
        return ((entry["image"], *row) for entry in self._entries() for row in entry["points"])

    def _failed_rows(self) -> Iterator[tuple]:
        return ((entry["image"], entry["failed"]) for entry in self._entries(failed=True))

    def count_again(self) -> None:
        """Set the totals to those of all that is done, by whatever process and run."""
        self.totals, self.n_done = dict.fromkeys(self.class_names, 0), 0
        for entry in self._entries():
            self.n_done += 1
            for name, count in zip(self.class_names, entry["counts"], strict=True):
                self.totals[name] += count
        self.n_failed = sum(1 for _ in self._entries(failed=True))


def labelme_names(names: Iterable[str]) -> dict[str, Path]:
    """Return the labelme file of each image: its name with .json, or, where that is taken, with .json added."""
    chosen: dict[str, Path] = {}
    taken: set[Path] = set()
    for name in names:
        # labelme --output looks for it under this name.
        file = Path(file_name(str(Path(name).with_suffix("")), ".json"))
        chosen[name] = Path(file_name(name, ".json")) if file in taken else file
        taken.add(chosen[name])
    return chosen


def _write_text(target: Path, data: bytes) -> None:
    make_folder(target.parent)
    write_bytes(target, data)


def count_files(names: list[str], counter: Counter, outputs: Outputs, reading: Reading, *, batch_size: int = 1) -> None:
    """Read, count and draw group after group. An image that fails is noted, and the rest goes on.

    Parameters
    ----------
    names : list of str
        Of `outputs.files`.
    counter : Counter
        Its `check` is called after each group too.
    outputs : Outputs
    reading : Reading
    batch_size : int
        How many images of one size run at once.
    """
    with tqdm(total=len(names), desc="images", unit="image", disable=None) as bar:
        for group in groups({name: outputs.files[name] for name in names}, counter, batch_size):
            _count_group(group, counter, outputs, reading)
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


def _count_group(names: list[str], counter: Counter, outputs: Outputs, reading: Reading) -> None:
    """Count on a few images at once, and write what was found. Pixels live no longer than this.

    Whatever an image raises becomes its row in failed.csv, and the rest goes on.
    """
    images = {}
    for name in names:
        try:
            _check_name(name)
            remarks: list[str] = []
            images[name] = reading.read(name, outputs.files[name], remarks)
            outputs.tell(name, remarks)
        except Stopped:
            raise
        except Exception as error:
            outputs.fail(name, error)
    at_once = _count_at_once(images, counter)
    for name, image in images.items():
        try:
            result = at_once[name] if name in at_once else counter.count_pixels(image, name)
            outputs.write_files(result)
        except Stopped:
            raise
        except Exception as error:
            outputs.fail(name, error)
        else:
            outputs.keep(result)


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
