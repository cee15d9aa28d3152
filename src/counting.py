"""Count and locate on many pictures: from files to tables, overlays and files for annotation tools."""

import argparse
import glob
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from tqdm import tqdm

from lcfcn.blobs import label_blobs
from src import exports, pictures
from src.errors import UserError, one_line
from src.files import csv_text, make_folder, write_bytes
from src.images import IMAGE_SUFFIXES, image_size, read_image
from src.predictor import Prediction, Predictor
from src.runtime import Runtime, Stopped, StopRequest

OVERLAY_SIDE = 2048
"""The longest side of an overlay, in pixels."""
STOPPED = 130


@dataclass
class Outputs:
    """What is done so far. Files of an image are written at once, the tables by `write_tables`.

    `counts`, `points` and `failed` are the rows of the tables, `cvat` the images of cvat.xml, `labelme_files` the names
    that are taken.
    """

    out: Path
    class_names: list[str]
    draws: bool
    exports: list[str]
    counts: list[tuple] = field(default_factory=list)
    points: list[tuple] = field(default_factory=list)
    failed: list[tuple[str, str]] = field(default_factory=list)
    cvat: list[exports.ImagePoints] = field(default_factory=list)
    labelme_files: set[Path] = field(default_factory=set)
    n_done: int = 0

    def fail(self, name: str, error: Exception) -> None:
        """Note a failure, and tell it."""
        self.failed.append((name, one_line(error)))
        tqdm.write(f"predict.py: {name}: {one_line(error)}", file=sys.stderr)

    def keep(self, name: str, path: Path, image: np.ndarray, prediction: Prediction) -> None:
        """Write an image's overlay and exports, then note its rows; UserError if a file can't be written."""
        labels = [self.class_names[label - 1] for label in prediction.labels]
        counts = np.bincount(prediction.labels, minlength=len(self.class_names) + 1)[1:].tolist()
        counted = list(zip(self.class_names, counts, strict=True))
        points = [(x, y, label) for (x, y), label in zip(prediction.points.tolist(), labels, strict=True)]
        if self.draws:
            caption = "   ".join(f"{label}: {count}" for label, count in counted)
            target = self.out / "overlays" / f"{name}.png"
            make_folder(target.parent)
            pictures.save_png(target, overlay(image, prediction, caption))
        if "geojson" in self.exports:
            target = self.out / "geojson" / f"{name}.geojson"
            make_folder(target.parent)
            write_bytes(target, exports.qupath_geojson(points))
        if "labelme" in self.exports:
            self._write_labelme(name, path, image.shape[:2], points)
        if "cvat" in self.exports:
            exports.check_xml(name)
            self.cvat.append(exports.ImagePoints(name, image.shape[:2], points))
        self.counts += [(name, label, count) for label, count in counted]
        measures = zip(points, prediction.scores.tolist(), prediction.areas.tolist(), strict=True)
        self.points += [(name, x, y, label, f"{score:.4f}", area) for (x, y, label), score, area in measures]
        self.n_done += 1

    def _write_labelme(self, name: str, path: Path, size: tuple[int, int], points: exports.Points) -> None:
        file = Path(name).with_suffix(".json")  # labelme --output looks for it under this name
        file = Path(f"{name}.json") if file in self.labelme_files else file
        self.labelme_files.add(file)
        target = self.out / "labelme" / file
        where = Path(os.path.relpath(path, os.path.abspath(target.parent))).as_posix()
        make_folder(target.parent)
        write_bytes(target, exports.labelme_json(points, where, size))

    def write_tables(self) -> None:
        """Write the tables of what is done, each whole."""
        write_table(self.out / "counts.csv", ("image", "class", "count"), self.counts)
        write_table(self.out / "points.csv", ("image", "x", "y", "class", "score", "area"), self.points)
        write_table(self.out / "failed.csv", ("image", "reason"), self.failed)
        if "cvat" in self.exports:
            write_bytes(self.out / "cvat.xml", exports.cvat_xml(self.cvat, self.class_names))


def find_images(arguments: list[str], out: Path, recursive: bool) -> dict[str, Path]:
    """The images that the arguments name, sorted, by their posix paths relative to the folder common to all.

    Raises
    ------
    UserError
        If an argument names no image.
    """
    found: set[str] = set()
    for argument in arguments:
        files = [os.path.abspath(file) for file in _files_of(argument, recursive)]
        # Overlays of an earlier run are no images to count on.
        inside = [file for file in files if not Path(file).is_relative_to(os.path.abspath(out))]
        if not inside:
            raise UserError(
                f"{argument} names no image; expected an image file, a folder with images ({' '.join(IMAGE_SUFFIXES)}) "
                "or a pattern in quotes: check it, or give --recursive for sub-folders"
            )
        found.update(inside)
    common = os.path.commonpath([os.path.dirname(file) for file in found])
    return {Path(os.path.relpath(file, common)).as_posix(): Path(file) for file in sorted(found)}


def _files_of(argument: str, recursive: bool) -> list[str]:
    if os.path.isfile(argument):
        return [argument]
    if not os.path.isdir(argument):
        named = sorted(glob.glob(argument, recursive=True))
        return [file for file in named if os.path.isfile(file) and _is_image(Path(file))]
    files = sorted(Path(argument).rglob("*") if recursive else Path(argument).iterdir())
    return [str(file) for file in files if _is_image(file) and file.is_file()]


def _is_image(path: Path) -> bool:
    return path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith(".")


def run(args: argparse.Namespace) -> int:
    """Predict what the command line names, and return the exit code."""
    files = find_images(args.images, args.out, args.recursive)
    with StopRequest() as stop:
        predictor = Predictor.load(args.checkpoint, Runtime(args.device, args.precision), tile=args.tile, stop=stop)
        make_folder(args.out)
        outputs = Outputs(args.out, predictor.class_names, draws=not args.no_overlays, exports=args.export)
        stopped = False
        try:
            predict_all(files, predictor, args, outputs)
        except (Stopped, KeyboardInterrupt):
            stopped = True
        outputs.write_tables()
    print(f"{outputs.n_done} of {len(files)} images done, {len(outputs.failed)} failed, in {args.out}")
    if stopped:
        return STOPPED
    return 0 if not outputs.failed else 1 if outputs.n_done else 2


def predict_all(files: dict[str, Path], predictor: Predictor, args: argparse.Namespace, outputs: Outputs) -> None:
    """Read, predict and draw group after group; an image that fails is noted and the rest goes on."""
    with tqdm(total=len(files), desc="images", unit="image") as bar:
        for group in groups(files, predictor, args.batch_size):
            predict_group({name: files[name] for name in group}, predictor, args, outputs)
            bar.update(len(group))
            predictor.stop.check()


def groups(files: dict[str, Path], predictor: Predictor, batch_size: int) -> Iterator[list[str]]:
    """Neighbours of one size together, as many as `batch_size`; what runs in tiles, or can't be read, is alone."""
    group: list[str] = []
    size = None
    for name, path in files.items():
        found = header_size(path) if batch_size > 1 else None
        if group and (found is None or found != size or len(group) == batch_size or not predictor.fits(found)):
            yield group
            group = []
        group.append(name)
        size = found
    if group:
        yield group


def header_size(path: Path) -> tuple[int, int] | None:
    """Height and width of an image; None if it can't be read, which is told when its turn comes."""
    try:
        return image_size(path)
    except UserError:
        return None


def predict_group(files: dict[str, Path], predictor: Predictor, args: argparse.Namespace, outputs: Outputs) -> None:
    """Predict a few images at once, and write what was found; pixels live no longer than this."""
    images = {}
    for name, path in files.items():
        try:
            check_name(name)
            images[name] = read_image(path, frame=args.frame, max_pixels=args.max_pixels)
        except UserError as error:
            outputs.fail(name, error)
    at_once = predict_at_once(images, predictor)
    for name, image in images.items():
        try:
            prediction = at_once[name] if name in at_once else predictor.predict(image, name)
            outputs.keep(name, files[name], image, prediction)
        except UserError as error:
            outputs.fail(name, error)


def predict_at_once(images: dict[str, np.ndarray], predictor: Predictor) -> dict[str, Prediction]:
    """Predictions of several images of one size by name; none if that can't be done."""
    shapes = {image.shape for image in images.values()}  # frames of a file may differ from its header
    if len(images) < 2 or len(shapes) > 1 or not predictor.fits(*shapes):
        return {}
    try:
        found = predictor.predict_batch(list(images.values()), list(images))
    except UserError:  # one by one it shows whose error it is
        return {}
    return dict(zip(images, found, strict=True))


def check_name(name: str) -> None:
    """UserError if a file's name is no text."""
    try:
        name.encode()
    except UnicodeEncodeError:
        raise UserError("its name is not UTF-8: rename the file") from None


def overlay(image: np.ndarray, prediction: Prediction, caption: str) -> np.ndarray:
    """The image with its blobs tinted, its points marked, and the caption above.

    Of larger ones than `OVERLAY_SIDE` every second (third, ...) pixel is shown.
    """
    step = -(-max(image.shape[:2]) // OVERLAY_SIDE)
    class_map = prediction.class_map[::step, ::step]
    present = np.unique(class_map[class_map > 0])
    blobs = np.stack([label_blobs(class_map == k) for k in present] or [np.zeros(class_map.shape, dtype=np.int32)])
    tinted = pictures.blob_overlay(image[::step, ::step], blobs)
    return pictures.marked(tinted, prediction.points[:, ::-1] / step, pictures.PREDICTED_COLOUR, caption)


def write_table(path: Path, header: tuple[str, ...], rows: list[tuple]) -> None:
    """A table in UTF-8; of a name that is no text the bytes are written as \\udcXX."""
    write_bytes(path, csv_text(header, rows).encode(errors="backslashreplace"))
