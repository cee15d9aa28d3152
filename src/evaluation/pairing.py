"""Put predictions beside the truth, image by image. They come from a trained network or from any tool's tables."""

import dataclasses
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from tqdm import tqdm

from lcfcn.counting import drawing
from lcfcn.counting.compiling import DECODING, announce_compiling
from lcfcn.counting.pixels import zoom_factors
from lcfcn.counting.weight_files import BEST, class_names, load_checkpoint
from lcfcn.errors import UserError
from lcfcn.files import sha256
from src.datasets import collate, get_dataset, open_split
from src.datasets.base import PointDataset
from src.experiments import folders as experiments
from src.models import LCFCN
from src.readers.errors import DataError
from src.readers.layout import SPLITS
from src.readers.tables import NUMBER, TEXT, codes, line_of, read_frame
from src.training.checkpoints import epoch_of, experiment_of
from src.training.loaders import make_loader
from src.training.runtime import Runtime


@dataclass(frozen=True)
class ScoredImage:
    """The truth and the prediction of one image, with m clicks, n predicted points and K classes.

    Attributes
    ----------
    index : int
        The image's place in its data set.
    name : str
    shape : (int, int)
        Height and width.
    true_points : (m, 2) float ndarray
        Rows and columns of the clicks.
    true_labels : (m,) int ndarray
        Their classes, 1..K.
    true_counts : (K,) ndarray
    pred_points : (n, 2) float ndarray
        Rows and columns of the predicted points.
    pred_labels : (n,) int ndarray
        Their classes, 1..K.
    pred_counts : (K,) ndarray
        The predicted counts. They may differ from the numbers of `pred_points`.
    object_sigmas : (m,) float ndarray or None
        The reach of each click in pixels; NaN or None where the data does not know the size.
    """

    index: int
    name: str
    shape: tuple[int, int]
    true_points: np.ndarray
    true_labels: np.ndarray
    true_counts: np.ndarray
    pred_points: np.ndarray
    pred_labels: np.ndarray
    pred_counts: np.ndarray
    object_sigmas: np.ndarray | None = None


def object_sigmas(dataset: PointDataset, index: int) -> np.ndarray | None:
    """Return the reach of each click of `dataset.prepared(index)`, (m,), if the data set has a method of this name.

    `src.datasets.points.Points` has it. Its reach is between the two of Wang et al., "NWPU-Crowd", PAMI 2021, who take
    half the shorter side of a head's box, and half its diagonal.
    """
    method = getattr(dataset, "object_sigmas", None)
    return None if method is None else method(index)


# An experiment's network


def load_best(savedir_base: Path, exp_id: str, runtime: Runtime) -> tuple[dict, LCFCN, dict]:
    """Load an experiment's best network by validation, see `load_network`.

    Raises
    ------
    UserError
        If there is no such experiment, or its checkpoint is missing or damaged.
    """
    experiments.find_experiments({}, None, exp_id, savedir_base, [])
    return load_network(savedir_base / exp_id / BEST, runtime)


def load_network(path: Path, runtime: Runtime) -> tuple[dict, LCFCN, dict]:
    """Load the network of a checkpoint.

    Returns
    -------
    exp_dict : dict
        The experiment with all its settings.
    model : LCFCN
    about : dict
        `checkpoint` (its file's name), `checkpoint_sha256`, `epoch` and `class_names`.

    Raises
    ------
    UserError
        If the checkpoint is missing, damaged or of another network.
    """
    checkpoint = load_checkpoint(path)
    exp_dict = experiment_of(checkpoint, path)
    model = LCFCN.from_checkpoint(exp_dict, checkpoint, runtime)
    names = class_names(checkpoint, path, exp_dict["model"]["n_classes"])
    about = {"checkpoint": path.name, "checkpoint_sha256": sha256(path), "epoch": epoch_of(checkpoint)}
    return exp_dict, model, {**about, "class_names": names}


def open_known_split(
    exp_dict: dict, split: str, datadir: str | None, class_names: Sequence[str] | None
) -> PointDataset:
    """Open a split as training opens it; raise `UserError` if its classes are not those of the network."""
    dataset = open_split(exp_dict, split, datadir)
    n_classes = exp_dict["model"]["n_classes"]
    if dataset.n_classes != n_classes or (class_names and list(class_names) != dataset.class_names):
        known = ", ".join(class_names) if class_names else f"{n_classes} of them"
        raise UserError(
            f"the data has the classes {', '.join(dataset.class_names)}, and the network learned {known}: "
            "give -d the data it was trained on"
        )
    return dataset


@torch.no_grad()
def predict_split(model: LCFCN, dataset: PointDataset, runtime: Runtime) -> list[ScoredImage]:
    """Count and locate on one image after the other, as validation does.

    The points are in pixels of the image files, before the data set's zoom.
    """
    model.network.eval()
    with announce_compiling(DECODING), _progress(make_loader(dataset, collate, runtime, workers=0), "evaluate") as bar:
        return [_predict_image(model, dataset, batch) for batch in bar]


def _predict_image(model: LCFCN, dataset: PointDataset, batch: dict) -> ScoredImage:
    (blobs,) = model.predict_blobs(batch)
    (meta,) = batch["meta"]
    counts = blobs.max(axis=(1, 2))
    factors = zoom_factors(blobs.shape[1:], meta["size"])
    return ScoredImage(
        index=meta["index"],
        name=meta["name"],
        shape=meta["size"],
        true_points=meta["point_list"].numpy().astype(np.float64) / factors,
        true_labels=meta["labels"].numpy(),
        true_counts=batch["counts"][0].numpy(),
        pred_points=drawing.predicted_points(blobs) / factors,
        pred_labels=np.repeat(np.arange(1, len(blobs) + 1), counts),
        pred_counts=counts,
        object_sigmas=object_sigmas(dataset, meta["index"]),
    )


def _progress(items: Iterable, what: str) -> tqdm:
    """Return a progress bar on a terminal, and nothing in a file, where it would share a line with an error."""
    return tqdm(items, desc=what, leave=False, disable=None)


# Any tool's predictions


@dataclass(frozen=True)
class Table:
    """A table of predictions.

    Attributes
    ----------
    path : Path
    frame : DataFrame
        The numeric columns, and `label`, 1..K.
    rows : dict
        The numbers of the rows of each image.
    wheres : list of str, optional
        Where each row is in the file, if it is not a table with a line for each.
    """

    path: Path
    frame: pd.DataFrame
    rows: dict[str, np.ndarray]
    wheres: list[str] | None = None

    def of(self, name: str) -> pd.DataFrame:
        """Return the rows of an image; none if no row names it."""
        return self.frame.iloc[self.rows.get(name, [])]

    def place(self, row: int) -> str:
        """Return where a row of `frame` is in the file, for messages."""
        where = f"line {line_of(self.path, row, UserError)}" if self.wheres is None else self.wheres[row]
        return f"{self.path}, {where}"


def read_table(path: Path, columns: tuple[str, ...], class_names: Sequence[str]) -> Table:
    """Read a CSV in UTF-8 with the columns `image`, `class` and the numeric `columns`.

    If there is only one class, the column `class` may be missing. Other columns are ignored.

    Raises
    ------
    UserError
        If the file cannot be read, a column is missing, or a cell is not a number or not a class where it must be.
    """
    kinds = {"image": TEXT, **dict.fromkeys(columns, NUMBER), "class": TEXT}
    frame = read_frame(path, kinds, UserError, optional=["class"] if len(class_names) == 1 else [])
    labels = codes(frame["class"], class_names) + 1 if "class" in frame else np.ones(len(frame), dtype=np.int64)
    table = Table(
        path,
        frame[list(columns)].assign(label=labels),
        frame.groupby("image", observed=True, sort=False).indices,
    )
    if (labels == 0).any():
        row = int((labels == 0).argmax())
        name = frame["class"][row]
        raise UserError(
            f"{table.place(row)}: the class is {name[:80]!r}; expected one of {', '.join(class_names)}: correct it"
        )
    return table


def drop_other_splits(table: Table, dataset: PointDataset, dataset_dict: dict) -> tuple[Table, int]:
    """Return a table without the rows of images of other splits, and how many rows these were.

    Raises
    ------
    UserError
        If a row names an image that no split has.
    """
    ours = set(dataset.names)
    kept = {name: rows for name, rows in table.rows.items() if name in ours}
    others = {name: rows for name, rows in table.rows.items() if name not in ours}
    unknown = set(others) - set(files_of_all_splits(dataset, dataset_dict).values()) if others else set()
    if unknown:
        name = min(unknown, key=lambda name: others[name][0])
        raise UserError(
            f"{table.place(others[name][0])}: the image {name[:120]!r} is in no split of the data; expected names "
            f"such as {dataset.names[0]}: write them as the data set does"
        )
    return dataclasses.replace(table, rows=kept), sum(map(len, others.values()))


def files_of_all_splits(dataset: PointDataset, dataset_dict: dict) -> dict[Path, str]:
    """Return the names of the images of all splits of a data set by their files."""
    found: dict[Path, str] = {}
    for split in SPLITS:
        try:
            other = get_dataset(dataset_dict, split, dataset.datadir)
        except DataError:  # a data set need not have every split
            continue
        found.update(zip(other.paths, other.names, strict=True))
    return found


def join_predictions(dataset: PointDataset, points: Table, counts: Table | None = None) -> list[ScoredImage]:
    """Put predictions beside the truth. An image that no row names has no predictions.

    Parameters
    ----------
    dataset : PointDataset
    points : Table
        Has the columns x and y; (0, 0) is the top-left corner of the first pixel of the image file. Points outside the
        region of interest are left out, as clicks are.
    counts : Table, optional
        Has the column count. It is used instead of the number of points, for instance for a tool that estimates
        densities.

    Raises
    ------
    UserError
        If a point is outside its image, or a count is negative or given twice.
    """
    with _progress(range(len(dataset)), "read") as bar:
        return [_join_image(dataset, index, points, counts) for index in bar]


def _join_image(dataset: PointDataset, index: int, points: Table, counts: Table | None) -> ScoredImage:
    name = dataset.names[index]
    truth = dataset.prepared(index)
    roi = dataset.read(index).roi if dataset.crops_to_roi else truth.roi
    found = points.of(name)
    x, y, labels = (found[column].to_numpy() for column in ("x", "y", "label"))
    height, width = roi.shape
    outside = ~((x >= 0) & (x <= width) & (y >= 0) & (y <= height))
    if outside.any():
        first = outside.argmax()
        raise UserError(
            f"{points.place(found.index[first])}: x {x[first]:g}, y {y[first]:g} is outside {name}, which is {width} "
            f"wide and {height} high: fix the row, or swap x and y"
        )
    # A point on the right or bottom edge belongs to the last pixel.
    pred = np.stack([np.minimum(y, np.nextafter(height, 0)), np.minimum(x, np.nextafter(width, 0))], axis=1)
    inside = roi[tuple(pred.astype(int).T)]
    corner = np.argwhere(roi).min(axis=0) if dataset.crops_to_roi else np.zeros(2)
    labels = labels[inside]
    return ScoredImage(
        index=index,
        name=name,
        shape=truth.roi.shape,
        true_points=truth.point_list,
        true_labels=truth.labels,
        true_counts=_histogram(truth.labels, dataset.n_classes),
        pred_points=pred[inside] - corner,
        pred_labels=labels,
        pred_counts=_histogram(labels, dataset.n_classes) if counts is None else _counts_of(counts, name, dataset),
        object_sigmas=object_sigmas(dataset, index),
    )


def _histogram(labels: np.ndarray, n_classes: int) -> np.ndarray:
    return np.bincount(labels, minlength=n_classes + 1)[1:]


def _counts_of(counts: Table, name: str, dataset: PointDataset) -> np.ndarray:
    found = np.zeros(dataset.n_classes)
    seen = set()
    for row, count, label in counts.of(name)[["count", "label"]].itertuples():
        if count < 0 or label in seen:
            what = f"the count is {count:g}" if count < 0 else f"a second count of {name}"
            raise UserError(f"{counts.place(row)}: {what}; expected one an image and class, 0 or more: correct it")
        seen.add(label)
        found[label - 1] = count
    return found
