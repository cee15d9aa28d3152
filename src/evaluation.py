"""Scores of a split's images, with how sure they are: of an experiment's network, or of what any tool predicted.

Nothing here chooses anything: no threshold, no checkpoint, no image.
"""

import csv
import dataclasses
import hashlib
import io
import json
import math
import re
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from tqdm import tqdm

from lcfcn import metrics
from lcfcn.lcfcn_loss import get_blobs
from src import experiments, pictures
from src.annotations.base import check_amount, read_text
from src.checkpoints import BEST, load_checkpoint
from src.datasets import collate, get_dataset
from src.datasets.base import SPLITS, DataError, PointDataset
from src.errors import UserError
from src.files import csv_text, make_folder, write_bytes, write_whole
from src.models import LCFCN
from src.runtime import Runtime, make_loader

GAME_LEVELS = (0, 1, 2, 3)
SIGMAS = (4.0, 8.0)
"""Reaches in pixels at which crowds' heads are usually scored (Liang et al., "Focal Inverse Distance Transform Maps
for Crowd Localization", IEEE Transactions on Multimedia 2022)."""
SWEEP = (1.0, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0, 16.0, 24.0, 32.0)
PER_OBJECT = "object"
"""The reach that is each object's own, where the data knows it."""
N_DRAWS = 2000
N_WORST = 10

Sigma = float | str


@dataclass(frozen=True)
class ScoredImage:
    """What is true and what was predicted in one image.

    `index` of the image in its data set; `shape` (height, width); `true_points` (m, 2) and `pred_points` (n, 2) float,
    (row, col); `true_labels` (m,) and `pred_labels` (n,) int, 1..K; `true_counts` and `pred_counts` (K,), of which the
    latter need not be the number of `pred_points`; `object_sigmas` (m,) float in pixels, or None where the data does
    not know how large its objects are.
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
    """The reach of each click of `dataset.prepared(index)`, (m,), if the data set has a method of this name.

    Wang et al., "NWPU-Crowd", PAMI 2021, take half the shorter side of a head's box, or half its diagonal.
    """
    method = getattr(dataset, "object_sigmas", None)
    return None if method is None else method(index)


# An experiment's network


def load_network(savedir_base: Path, exp_id: str, runtime: Runtime) -> tuple[dict, LCFCN, dict]:
    """An experiment's `exp_dict`, its best network by validation, and what else its checkpoint says.

    Raises
    ------
    UserError
        If there is no such experiment, or its checkpoint is missing, damaged or of another network.
    """
    (exp_dict,) = experiments.find_experiments({}, None, exp_id, savedir_base, [])
    path = savedir_base / exp_id / BEST
    checkpoint = load_checkpoint(path)
    model = LCFCN.from_checkpoint(exp_dict, checkpoint, runtime)
    names, epoch = checkpoint.get("class_names"), checkpoint.get("epoch")
    if names is not None and not (isinstance(names, list) and all(isinstance(name, str) for name in names)):
        raise UserError(f"{path} has the class_names {str(names)[:80]!r}; expected a list of names: restore the file")
    about = {"checkpoint": BEST, "checkpoint_sha256": sha256(path), "epoch": epoch if isinstance(epoch, int) else None}
    return exp_dict, model, {**about, "class_names": names}


def open_split(exp_dict: dict, split: str, datadir: str | None, class_names: Sequence[str] | None) -> PointDataset:
    """A split as training opens it; UserError if its classes are not those of the network."""
    size = exp_dict["dataset_size"].get(split, "all")
    dataset = get_dataset(exp_dict["dataset"], split, datadir, seed=exp_dict["seed"], size=size)
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
    """Count and locate image by image, as validation does (see `LCFCN.val_on_batch`)."""
    model.model_base.eval()
    with _progress(make_loader(dataset, collate, runtime, workers=0), "evaluate") as bar:
        return [_predict_image(model, dataset, batch) for batch in bar]


def _predict_image(model: LCFCN, dataset: PointDataset, batch: dict) -> ScoredImage:
    (blobs,) = get_blobs(model.predict_probs(batch), batch["roi"].numpy())
    (meta,) = batch["meta"]
    counts = blobs.max(axis=(1, 2))
    return ScoredImage(
        index=meta["index"],
        name=meta["name"],
        shape=blobs.shape[1:],
        true_points=meta["point_list"].numpy().astype(np.float64),
        true_labels=meta["labels"].numpy(),
        true_counts=batch["counts"][0].numpy(),
        pred_points=pictures.predicted_points(blobs),
        pred_labels=np.repeat(np.arange(1, len(blobs) + 1), counts),
        pred_counts=counts,
        object_sigmas=object_sigmas(dataset, meta["index"]),
    )


def _progress(items: Iterable, what: str) -> tqdm:
    """A bar on a terminal and nothing elsewhere, where it would stand in the same line as an error."""
    return tqdm(items, desc=what, leave=False, disable=None)


# Any tool's predictions


@dataclass
class Table:
    """The rows of a file of predictions, by image: `rows[name]` holds `width` numbers a row, the last its line."""

    path: Path
    width: int
    rows: dict[str, array] = field(default_factory=dict)

    def of(self, name: str) -> np.ndarray:
        """(n, width) float, empty if no row names the image."""
        return np.array(self.rows.get(name, ()), dtype=np.float64).reshape(-1, self.width)


def read_table(path: Path, columns: tuple[str, ...], class_names: Sequence[str]) -> Table:
    """Read a CSV with a header, UTF-8: `image`, the numeric `columns`, and `class`.

    Each row becomes the numbers of the columns, its class as 1..K, and its line in the file. Where there is one class,
    the column `class` may be missing. Other columns are passed over.

    Raises
    ------
    UserError
        If the file cannot be read, a column is missing, or a row has no number or class where it should.
    """
    reader = csv.reader(io.StringIO(read_text(path), newline=""))
    table = Table(path, width=len(columns) + 2)
    labels = {name: float(label) for label, name in enumerate(class_names, start=1)}
    try:
        header = next(reader)
        needed = ["image", *columns, "class"]
        if len(class_names) == 1 and "class" not in header:
            needed.remove("class")
        missing = [name for name in needed if header.count(name) != 1]
        if missing:
            raise UserError(
                f"{path} has the columns {', '.join(header)[:200]}; expected {', '.join(needed)}, each once: "
                f"mend {missing[0]}"
            )
        places = [header.index(name) for name in needed]
        for number, row in enumerate(reader, start=1):
            if not row:
                continue
            check_amount(number, path)
            image, *values = _cells(row, places, reader.line_num, path)
            label = _label(values.pop(), labels, reader.line_num, path) if "class" in needed else 1.0
            numbers = [_number(text, reader.line_num, path) for text in values]
            table.rows.setdefault(image, array("d")).extend([*numbers, label, reader.line_num])
    except csv.Error as error:
        raise UserError(f"{path}, line {reader.line_num}, is no CSV ({error}): export it again") from None
    return table


def _cells(row: list[str], places: list[int], line: int, path: Path) -> list[str]:
    if len(row) <= max(places):
        raise UserError(f"{path}, line {line}, has {len(row)} cells; expected {max(places) + 1} or more: mend it")
    return [row[place] for place in places]


def _label(name: str, labels: dict[str, float], line: int, path: Path) -> float:
    if name not in labels:
        raise UserError(f"{path}, line {line}, has the class {name[:80]!r}; expected one of {', '.join(labels)}")
    return labels[name]


def _number(text: str, line: int, path: Path) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise UserError(f"{path}, line {line}, has {text[:80]!r} where a number belongs: mend or drop the row")
    return number


def drop_other_splits(table: Table, dataset: PointDataset, dataset_dict: dict) -> int:
    """Take the rows of images of the data set's other splits out of a table, and return how many they were.

    Raises
    ------
    UserError
        If a row names an image that no split has.
    """
    unknown = set(table.rows) - set(dataset.names)
    if not unknown:
        return 0
    elsewhere = _names_elsewhere(dataset, dataset_dict)
    n_dropped = 0
    for name in sorted(unknown):
        rows = table.of(name)
        if name not in elsewhere:
            raise UserError(
                f"{table.path}, line {int(rows[0, -1])}, names the image {name[:120]!r}, which no split of the data "
                f"has; expected names such as {dataset.names[0]}: write them as the data set does"
            )
        n_dropped += len(rows)
        del table.rows[name]
    return n_dropped


def _names_elsewhere(dataset: PointDataset, dataset_dict: dict) -> set[str]:
    names: set[str] = set()
    for split in SPLITS:
        try:
            names.update(get_dataset(dataset_dict, split, dataset.datadir).names)
        except DataError:  # a data set need not have every split
            continue
    return names


def join_predictions(dataset: PointDataset, points: Table, counts: Table | None = None) -> list[ScoredImage]:
    """Put the predictions beside the truth; an image that no row names has none.

    `points` are read with the columns x and y, (0, 0) the top-left corner of the first pixel of the image file. Those
    outside the region of interest are left out, as clicks there are. `counts`, read with the column count, stand
    in for the number of points, such as those of a tool that estimates densities.

    Raises
    ------
    UserError
        If a point lies outside its image, or a count is negative or given twice.
    """
    with _progress(range(len(dataset)), "read") as bar:
        return [_join_image(dataset, index, points, counts) for index in bar]


def _join_image(dataset: PointDataset, index: int, points: Table, counts: Table | None) -> ScoredImage:
    name = dataset.names[index]
    truth = dataset.prepared(index)
    roi = dataset.read(index).roi if dataset.crops_to_roi else truth.roi
    x, y, labels, lines = points.of(name).T
    height, width = roi.shape
    outside = ~((x >= 0) & (x <= width) & (y >= 0) & (y <= height))
    if outside.any():
        first = outside.argmax()
        raise UserError(
            f"{points.path}, line {int(lines[first])}, has x {x[first]:g} and y {y[first]:g}, and {name} is {width} "
            f"wide and {height} high: mend the row, or swap x and y"
        )
    # What lies on the right or bottom border belongs to the last pixel.
    pred = np.stack([np.minimum(y, np.nextafter(height, 0)), np.minimum(x, np.nextafter(width, 0))], axis=1)
    inside = roi[tuple(pred.astype(int).T)]
    corner = np.argwhere(roi).min(axis=0) if dataset.crops_to_roi else np.zeros(2)
    labels = labels[inside].astype(int)
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
    for count, label, line in counts.of(name):
        if count < 0 or label in seen:
            what = f"a count of {count:g}" if count < 0 else f"a second count of {name}"
            raise UserError(f"{counts.path}, line {int(line)}, has {what}; expected one an image and class, 0 or more")
        seen.add(label)
        found[int(label) - 1] = count
    return found


# Scores


@dataclass(frozen=True)
class Tally:
    """What scores are made of: (N, K) `true_counts` and `pred_counts`, (N, K, levels) `games`, and for each of the
    `sigmas` the (N, S, K, 3) `matches` of `metrics.count_matches`."""

    sigmas: tuple[Sigma, ...]
    true_counts: np.ndarray
    pred_counts: np.ndarray
    games: np.ndarray
    matches: np.ndarray

    @property
    def n_classes(self) -> int:
        """K, the kinds of objects."""
        return self.true_counts.shape[1]

    def of_class(self, k: int) -> "Tally":
        """The same of one class, counted from 0."""
        arrays = (self.true_counts[:, [k]], self.pred_counts[:, [k]], self.games[:, [k]], self.matches[:, :, [k]])
        return Tally(self.sigmas, *arrays)

    def of_images(self, indices: np.ndarray) -> "Tally":
        """The same of some images."""
        arrays = (self.true_counts, self.pred_counts, self.games, self.matches)
        return Tally(self.sigmas, *(values[indices] for values in arrays))


def tally(images: Sequence[ScoredImage], n_classes: int, sigmas: Iterable[Sigma]) -> Tally:
    """Count what is right and wrong in each image.

    Raises
    ------
    UserError
        If the sigma of each object is asked for and an image has none.
    """
    sigmas = tuple(sigmas)
    return Tally(
        sigmas,
        true_counts=np.stack([image.true_counts for image in images]),
        pred_counts=np.stack([image.pred_counts for image in images]),
        games=np.array([_games(image, n_classes) for image in images]),
        matches=np.stack([match_image(image, n_classes, sigmas) for image in images]),
    )


def match_image(image: ScoredImage, n_classes: int, sigmas: Iterable[Sigma]) -> np.ndarray:
    """(S, K, 3) true positives, false positives and false negatives of one image."""
    return np.stack(
        [
            metrics.count_matches(
                image.pred_points,
                image.pred_labels,
                image.true_points,
                image.true_labels,
                n_classes,
                _reach(image) if sigma == PER_OBJECT else sigma,
            )
            for sigma in sigmas
        ]
    )


def _reach(image: ScoredImage) -> np.ndarray:
    if image.object_sigmas is None:
        raise UserError(
            f"--sigmas {PER_OBJECT} needs the size of each object, and the data has none for {image.name}: "
            "give numbers of pixels"
        )
    return image.object_sigmas


def _games(image: ScoredImage, n_classes: int) -> list[list[float]]:
    games = []
    for label in range(1, n_classes + 1):
        pred = metrics.dense_counts(image.pred_points[image.pred_labels == label], image.shape)
        true = metrics.dense_counts(image.true_points[image.true_labels == label], image.shape)
        games.append([metrics.compute_game(pred, true, level) for level in GAME_LEVELS])
    return games


def name_of(sigma: Sigma) -> str:
    """A sigma as it stands in the names of scores: 4, 2.5, object."""
    return sigma if isinstance(sigma, str) else f"{sigma:g}"


def flat_scores(found: Tally) -> dict[str, float]:
    """All scores by name: `mae`, `rmse`, `nae`, `bias`, `game_0..3`, each the mean over the classes; with several
    classes `mrmse` and `mrmse_nz`; `precision_S`, `recall_S` and `f1_S` of each sigma, pooled over images and classes.
    """
    pred, true = found.pred_counts, found.true_counts
    naes = np.array([metrics.nae(p, t) for p, t in zip(pred.T, true.T, strict=True)])
    scores = {
        "mae": float(np.mean([metrics.mae(errors) for errors in (pred - true).T])),
        "rmse": metrics.mrmse(pred, true),
        "nae": math.nan if np.isnan(naes).all() else float(np.nanmean(naes)),
        "bias": metrics.bias(pred - true),
        **{f"game_{level}": float(found.games[..., i].mean()) for i, level in enumerate(GAME_LEVELS)},
    }
    if found.n_classes > 1:
        scores |= {"mrmse": scores["rmse"], "mrmse_nz": metrics.mrmse_nz(pred, true)}
    for i, sigma in enumerate(found.sigmas):
        located = metrics.localisation_scores(found.matches[:, i])
        scores |= {f"{key}_{name_of(sigma)}": located[key] for key in ("precision", "recall", "f1")}
    return scores


def score(
    images: Sequence[ScoredImage],
    class_names: Sequence[str],
    sigmas: Sequence[Sigma] = SIGMAS,
    seed: int = 0,
    n_draws: int = N_DRAWS,
) -> dict:
    """All scores of the images with their 95 % intervals, ready for JSON; a score that nothing defines is None.

    Returns
    -------
    report : dict
        `n_images`, `n_images_without_object`, `classes`, `sigmas`, `bootstrap` (how the intervals were made), and
        `all`: `n_objects`, `n_predicted`, `scores` (by name, `value` and `interval`, see `flat_scores`), `sweep` (a
        row a sigma: `tp`, `fp`, `fn`, `precision`, `recall`, `f1`). With several classes `by_class` has the same of
        each.
    """
    n_classes = len(class_names)
    reaches = list(dict.fromkeys([*SWEEP, *sigmas]))
    numbers, words = [s for s in reaches if s != PER_OBJECT], [s for s in reaches if s == PER_OBJECT]
    reaches = (*sorted(numbers), *words)
    swept = tally(images, n_classes, reaches)
    chosen = [reaches.index(sigma) for sigma in sigmas]
    at_sigmas = dataclasses.replace(swept, sigmas=tuple(sigmas), matches=swept.matches[:, chosen])
    report = {
        "n_images": len(images),
        "n_images_without_object": int((at_sigmas.true_counts.sum(axis=1) == 0).sum()),
        "classes": list(class_names),
        "sigmas": list(sigmas),
        "bootstrap": {"level": 0.95, "method": "percentile, over images", "n_draws": n_draws, "seed": seed},
        "all": _block(at_sigmas, swept, seed, n_draws),
    }
    if n_classes > 1:
        report["by_class"] = {
            name: _block(at_sigmas.of_class(k), swept.of_class(k), seed, n_draws) for k, name in enumerate(class_names)
        }
    return _without_nan(report)


def _block(found: Tally, swept: Tally, seed: int, n_draws: int) -> dict:
    values = flat_scores(found)
    low, high = metrics.bootstrap_interval(
        lambda indices: np.array(list(flat_scores(found.of_images(indices)).values())),
        len(found.true_counts),
        n=n_draws,
        seed=seed,
    )
    triples = zip(values.items(), low.tolist(), high.tolist(), strict=True)
    return {
        "n_objects": int(found.true_counts.sum()),
        "n_predicted": float(found.pred_counts.sum()),
        "scores": {name: {"value": value, "interval": [least, most]} for (name, value), least, most in triples},
        "sweep": [
            {"sigma": sigma, **metrics.localisation_scores(swept.matches[:, i])} for i, sigma in enumerate(swept.sigmas)
        ],
    }


def _without_nan(value: object) -> object:
    """JSON knows no NaN: None stands for it."""
    if isinstance(value, dict):
        return {key: _without_nan(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_without_nan(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


# What is written


def score_table(report: dict) -> str:
    """The scores as Markdown that reads well as plain text too."""
    blocks = {"all": report["all"], **report.get("by_class", {})}
    n_empty = report["n_images_without_object"]
    lines = [
        f"# Scores on {report['split']}: {report['n_images']} images, {report['all']['n_objects']} objects",
        "",
        f"Of {source_text(report['source'])}. In brackets: 95 % interval over images ({n_empty} of them without an "
        "object). A dash: nothing defines that score here.",
        "",
        *_rows(
            [
                ["score", *blocks],
                *(
                    [name, *(_cell(block["scores"].get(name)) for block in blocks.values())]
                    for name in report["all"]["scores"]
                ),
            ]
        ),
    ]
    for name, block in blocks.items():
        keys = ("precision", "recall", "f1", "tp", "fp", "fn")
        rows = [[name_of(row["sigma"]), *(_text(row[key]) for key in keys)] for row in block["sweep"]]
        lines += ["", f"Located within sigma pixels ({name}):", "", *_rows([["sigma", *keys], *rows])]
    return "\n".join(lines) + "\n"


def source_text(source: dict) -> str:
    """What was scored, in words."""
    if "exp_id" in source:
        return f"experiment {source['exp_id']}, {source['checkpoint']} of epoch {_text(source['epoch'])}"
    return f"the predictions {source['predictions']}"


def _rows(rows: list[list[str]]) -> list[str]:
    """A Markdown table whose columns line up."""
    rows = [[cell.replace("|", "\\|") for cell in row] for row in rows]
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = ["| " + " | ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)) + " |" for row in rows]
    return [lines[0], "|" + "|".join("-" * (width + 2) for width in widths) + "|", *lines[1:]]


def _cell(scored: dict | None) -> str:
    if scored is None or scored["value"] is None:
        return "-"
    low, high = scored["interval"]
    return f"{_text(scored['value'])} [{_text(low)}, {_text(high)}]"


def _text(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def write_report(
    out: Path, report: dict, images: Sequence[ScoredImage], dataset: PointDataset, sigmas: Sequence[Sigma]
) -> None:
    """Write the scores, the table, the images' counts, the scatter and the worst images into a folder.

    Raises
    ------
    UserError
        If a file cannot be written.
    """
    split = report["split"]
    write_bytes(out / f"images_{split}.csv", _image_rows(images, dataset.class_names, sigmas).encode())
    write_whole(out / f"scatter_{split}.png", lambda file: _scatter(images, dataset.class_names, file))
    _write_worst(out / "worst", split, images, dataset)
    write_bytes(out / f"scores_{split}.md", score_table(report).encode())
    # Last: where it stands, all is there.
    write_bytes(out / f"scores_{split}.json", f"{json.dumps(report, indent=2, allow_nan=False)}\n".encode())


def _image_rows(images: Sequence[ScoredImage], class_names: Sequence[str], sigmas: Sequence[Sigma]) -> str:
    """One row an image and class: counts, and what was located at each sigma."""
    located = [f"{key}_{name_of(sigma)}" for sigma in sigmas for key in ("tp", "fp", "fn")]
    rows = []
    for image in images:
        matches = match_image(image, len(class_names), sigmas)
        for k, name in enumerate(class_names):
            counts = (int(image.true_counts[k]), f"{image.pred_counts[k]:g}")
            rows.append((image.name, name, *counts, *matches[:, k].ravel().tolist()))
    return csv_text(("image", "class", "true", "predicted", *located), rows)


def _scatter(images: Sequence[ScoredImage], class_names: Sequence[str], file: io.BufferedIOBase) -> None:
    """Predicted against true count, a dot an image and class, and the line where they are equal."""
    figure = Figure(figsize=(5.5, 5.5), layout="constrained")
    canvas = FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    true, pred = (np.stack([getattr(image, f"{key}_counts") for image in images]) for key in ("true", "pred"))
    most = max(true.max(), pred.max(), 1) * 1.05
    axes.plot([0, most], [0, most], color="0.6", linewidth=1, zorder=0)
    for k, name in enumerate(class_names):
        axes.scatter(true[:, k], pred[:, k], s=18, alpha=0.6, label=name)
    axes.set(xlabel="true count", ylabel="predicted count", xlim=(0, most), ylim=(0, most), aspect="equal")
    axes.set_title(f"{len(images)} images; on the line the count is right", fontsize=10)
    if len(class_names) > 1:
        axes.legend()
    canvas.print_png(file)


def worst_images(images: Sequence[ScoredImage]) -> list[ScoredImage]:
    """The ten whose counts are farthest off, summed over the classes; of equal ones those less well located come
    first, at the smallest usual sigma, and then in the order of the data set."""

    def badness(image: ScoredImage) -> tuple[float, int]:
        (matches,) = match_image(image, len(image.true_counts), SIGMAS[:1])
        return float(np.abs(image.pred_counts - image.true_counts).sum()), int(matches[:, 1:].sum())

    return sorted(images, key=badness, reverse=True)[:N_WORST]


def _write_worst(folder: Path, split: str, images: Sequence[ScoredImage], dataset: PointDataset) -> None:
    """`SPLIT_01_NAME.png` and so on, true clicks beside predicted ones; those of an earlier evaluation go."""
    make_folder(folder)
    mine = re.compile(re.escape(split) + r"_\d\d_.*\.png")
    for path in sorted(folder.iterdir()):
        if mine.fullmatch(path.name):
            path.unlink()
    for rank, image in enumerate(worst_images(images), start=1):
        picture = dataset.prepared(image.index).image
        captions = (f"true: {image.true_counts.sum()}", f"predicted: {image.pred_counts.sum():g}")
        sides = [
            pictures.marked(picture, image.true_points, pictures.TRUE_COLOUR, captions[0]),
            pictures.marked(picture, image.pred_points, pictures.PREDICTED_COLOUR, captions[1]),
        ]
        name = f"{split}_{rank:02d}_{Path(image.name).stem[:100]}.png"
        pictures.save_png(folder / name, np.concatenate(sides, axis=1))


def sha256(path: Path) -> str:
    """The fingerprint of a file, by which it is known later."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}): check the path and its rights") from None
