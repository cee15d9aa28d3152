"""Count and locate objects on pictures with a trained network.

python scripts/predict.py IMAGE|FOLDER|GLOB... -c CHECKPOINT|EXPERIMENT_DIR -o OUT
"""

import argparse
import csv
import glob
import io
import os
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np  # noqa: E402
from PIL import Image  # noqa: E402
from tqdm import tqdm  # noqa: E402

from lcfcn.blobs import label_blobs  # noqa: E402
from src import exports, pictures  # noqa: E402
from src.cli import Parser, run_main  # noqa: E402
from src.errors import UserError, one_line  # noqa: E402
from src.files import write_whole  # noqa: E402
from src.images import IMAGE_SUFFIXES, MAX_PIXELS, read_image  # noqa: E402
from src.predictor import TILE, Prediction, Predictor  # noqa: E402
from src.runtime import PRECISIONS, Runtime, Stopped, StopRequest  # noqa: E402

EPILOG = """It writes counts.csv (image,class,count; a row also for none), points.csv (image,x,y,class,score,area: the
centre of the blob's middle pixel, the mean probability over the blob, its pixels), overlays/IMAGE.png, what --export
names, and failed.csv (image,reason). Exit code: 0 all well, 1 some images failed, 2 none could be done, 130 stopped."""
OVERLAY_SIDE = 2048
"""Overlays of larger images are scaled down to it."""
STOPPED = 130


@dataclass
class Results:
    """What is done so far: per image name the rows of the CSV files, the reasons of failures, and what CVAT needs."""

    counts: list[tuple] = field(default_factory=list)
    points: list[tuple] = field(default_factory=list)
    failed: list[tuple[str, str]] = field(default_factory=list)
    cvat: list[exports.ImagePoints] = field(default_factory=list)
    n_done: int = 0

    def fail(self, name: str, error: Exception) -> None:
        """Note a failure, and tell it."""
        self.failed.append((name, one_line(error)))
        tqdm.write(f"predict.py: {name}: {one_line(error)}", file=sys.stderr)


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = Parser(
        description=__doc__, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("images", nargs="+", metavar="IMAGE", help="image files, folders, or patterns in quotes")
    parser.add_argument("-c", "--checkpoint", required=True, type=Path, help="a checkpoint, or an experiment's folder")
    parser.add_argument("-o", "--out", required=True, type=Path, help="the folder to write into")
    parser.add_argument("--recursive", action="store_true", help="look into sub-folders too")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N (default auto)")
    parser.add_argument("--precision", choices=tuple(PRECISIONS), default="32", help="of the network (default 32)")
    parser.add_argument("--batch-size", type=int, default=1, help="images of one size at once (default 1)")
    parser.add_argument("--tile", type=int, default=TILE, help=f"larger images run in tiles of this (default {TILE})")
    parser.add_argument(
        "--max-pixels", type=int, default=MAX_PIXELS, help=f"larger images are refused (default {MAX_PIXELS:,})"
    )
    parser.add_argument("--frame", type=int, default=0, help="which frame of multi-frame files, from 0 (default 0)")
    parser.add_argument(
        "--export", nargs="+", default=[], choices=tuple(sorted(EXPORTS)), help="files for annotation tools"
    )
    parser.add_argument("--no-overlays", action="store_true", help="draw no overlays")
    args = parser.parse_args(argv)
    if args.batch_size < 1:
        parser.error(f"--batch-size is {args.batch_size}; expected 1 or more")
    return args


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
    files = Path(argument).rglob("*") if recursive else Path(argument).iterdir()
    return sorted(str(file) for file in files if _is_image(file) and file.is_file())


def _is_image(path: Path) -> bool:
    return path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith(".")


def run(args: argparse.Namespace) -> int:
    """Predict what the command line names, and return the exit code."""
    files = find_images(args.images, args.out, args.recursive)
    with StopRequest() as stop:
        predictor = Predictor.load(args.checkpoint, Runtime(args.device, args.precision), tile=args.tile, stop=stop)
        make_folder(args.out)
        results, stopped = Results(), False
        try:
            predict_all(files, predictor, args, results)
        except (Stopped, KeyboardInterrupt):
            stopped = True
        write_results(results, args)
    print(f"{results.n_done} of {len(files)} images done, {len(results.failed)} failed, in {args.out}")
    if stopped:
        return STOPPED
    return 0 if not results.failed else 1 if results.n_done else 2


def predict_all(files: dict[str, Path], predictor: Predictor, args: argparse.Namespace, results: Results) -> None:
    """Read, predict and draw image after image; one that fails is noted and the rest goes on."""
    with tqdm(total=len(files), desc="images", unit="image") as bar:
        for batch in batches(read_all(files, args, results), predictor, args.batch_size):
            for name, image, prediction in predict_each(batch, predictor, results):
                try:
                    keep(name, files[name], image, prediction, predictor.class_names, args, results)
                except UserError as error:
                    results.fail(name, error)
            bar.update(results.n_done + len(results.failed) - bar.n)
            predictor.stop.check()


def read_all(files: dict[str, Path], args: argparse.Namespace, results: Results) -> Iterator[tuple[str, np.ndarray]]:
    """Name and (H, W, 3) uint8 pixels of each image that can be read."""
    for name, path in files.items():
        try:
            check_name(name)
            image = read_image(path, frame=args.frame, max_pixels=args.max_pixels)
        except UserError as error:
            results.fail(name, error)
        else:
            yield name, image


def check_name(name: str) -> None:
    """UserError if a file's name is no text."""
    try:
        name.encode()
    except UnicodeEncodeError:
        raise UserError("its name is not UTF-8: rename the file") from None


def batches(
    images: Iterable[tuple[str, np.ndarray]], predictor: Predictor, size: int
) -> Iterator[list[tuple[str, np.ndarray]]]:
    """Neighbouring images of one size together, as many as `size`; one that runs in tiles is alone."""
    batch: list[tuple[str, np.ndarray]] = []
    for name, image in images:
        together = batch and image.shape == batch[0][1].shape and predictor.fits(image)
        if batch and (not together or len(batch) == size):
            yield batch
            batch = []
        batch.append((name, image))
    if batch:
        yield batch


def predict_each(
    batch: list[tuple[str, np.ndarray]], predictor: Predictor, results: Results
) -> Iterator[tuple[str, np.ndarray, Prediction]]:
    """Name, image and prediction of each image of a batch; if the batch fails, one by one."""
    names, images = zip(*batch, strict=True)
    try:
        single = len(batch) == 1
        found = [predictor.predict(images[0], names[0])] if single else predictor.predict_batch(images, names)
    except UserError as error:
        if len(batch) == 1:
            results.fail(names[0], error)
        else:
            for one in batch:
                yield from predict_each([one], predictor, results)
    else:
        yield from zip(names, images, found, strict=True)


def keep(
    name: str,
    path: Path,
    image: np.ndarray,
    prediction: Prediction,
    class_names: list[str],
    args: argparse.Namespace,
    results: Results,
) -> None:
    """Write an image's overlay and exports, then note its rows; UserError if a file can't be written."""
    size, classes = image.shape[:2], [class_names[label - 1] for label in prediction.labels]
    counts = np.bincount(prediction.labels, minlength=len(class_names) + 1)[1:].tolist()
    xy = prediction.points.tolist()
    points = [(x, y, label) for (x, y), label in zip(xy, classes, strict=True)]
    if not args.no_overlays:
        target = args.out / "overlays" / f"{name}.png"
        make_folder(target.parent)
        caption = "   ".join(f"{label}: {count}" for label, count in zip(class_names, counts, strict=True))
        pictures.save_png(target, overlay(image, prediction, caption))
    for kind in sorted(set(args.export)):
        EXPORTS[kind](name, path, size, points, args.out, results)
    results.counts += [(name, label, count) for label, count in zip(class_names, counts, strict=True)]
    measures = zip(points, prediction.scores.tolist(), prediction.areas.tolist(), strict=True)
    results.points += [(name, x, y, label, f"{score:.4f}", area) for (x, y, label), score, area in measures]
    results.n_done += 1


def overlay(image: np.ndarray, prediction: Prediction, caption: str) -> np.ndarray:
    """The image, at most `OVERLAY_SIDE` a side, with its blobs tinted, its points marked, and the caption above."""
    factor = min(1, OVERLAY_SIDE / max(image.shape[:2]))
    class_map = prediction.class_map
    if factor < 1:
        size = [max(round(side * factor), 1) for side in image.shape[1::-1]]
        image = np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BOX))
        class_map = np.asarray(Image.fromarray(class_map).resize(size, Image.Resampling.NEAREST))
    present = np.unique(class_map[class_map > 0])
    blobs = np.stack([label_blobs(class_map == k) for k in present] or [np.zeros(image.shape[:2], dtype=np.int32)])
    tinted = pictures.blob_overlay(image, blobs)
    return pictures.marked(tinted, prediction.points[:, ::-1] * factor, pictures.PREDICTED_COLOUR, caption)


def export_geojson(
    name: str, _path: Path, _size: tuple[int, int], points: exports.Points, out: Path, _results: Results
) -> None:
    """geojson/IMAGE.geojson, for QuPath."""
    write_bytes(out / "geojson" / f"{name}.geojson", exports.qupath_geojson(points))


def export_labelme(
    name: str, path: Path, size: tuple[int, int], points: exports.Points, out: Path, _results: Results
) -> None:
    """labelme/IMAGE.json, which names the image where it lies."""
    target = out / "labelme" / f"{name}.json"
    where = Path(os.path.relpath(path, os.path.abspath(target.parent))).as_posix()
    write_bytes(target, exports.labelme_json(points, where, size))


def export_cvat(
    name: str, _path: Path, size: tuple[int, int], points: exports.Points, _out: Path, results: Results
) -> None:
    """Keep an image for cvat.xml, one file for all."""
    exports.check_xml(name)
    results.cvat.append(exports.ImagePoints(name, size, points))


EXPORTS = {"cvat": export_cvat, "geojson": export_geojson, "labelme": export_labelme}


def write_results(results: Results, args: argparse.Namespace) -> None:
    """Write the tables of what is done, each whole."""
    write_csv(args.out / "counts.csv", ("image", "class", "count"), results.counts)
    write_csv(args.out / "points.csv", ("image", "x", "y", "class", "score", "area"), results.points)
    write_csv(args.out / "failed.csv", ("image", "reason"), results.failed)
    if "cvat" in args.export:
        write_bytes(args.out / "cvat.xml", exports.cvat_xml(results.cvat))


def write_csv(path: Path, header: tuple[str, ...], rows: list[tuple]) -> None:
    """A table in UTF-8; of a name that is no text the bytes are written as \\udcXX."""
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows([header, *rows])
    write_bytes(path, text.getvalue().encode(errors="backslashreplace"))


def write_bytes(path: Path, data: bytes) -> None:
    """A whole file, with its folder."""
    make_folder(path.parent)
    write_whole(path, lambda file: file.write(data))


def make_folder(path: Path) -> None:
    """A folder with those above it; UserError if it can't be made."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"the folder {path} cannot be made ({error.strerror}): choose another -o") from None


def main(argv: list[str] | None = None) -> int:
    """Run the command line; see the epilog for the exit codes."""
    args = parse_args(argv)
    return run_main("predict.py", lambda: run(args))


if __name__ == "__main__":
    sys.exit(main())
