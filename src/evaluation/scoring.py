"""Scores of predictions beside the truth, with how sure they are, and the report of them.

Nothing here chooses anything: no threshold, no checkpoint, no image.
"""

import dataclasses
import io
import json
import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from lcfcn import metrics
from lcfcn.counting import drawing
from lcfcn.errors import UserError
from lcfcn.files import csv_text, make_folder, markdown_rows, write_bytes, write_whole
from src.datasets.base import PointDataset
from src.evaluation.pairing import ScoredImage

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

    def at(self, sigmas: Sequence[Sigma]) -> "Tally":
        """The same at some of the sigmas, in that order."""
        chosen = [self.sigmas.index(sigma) for sigma in sigmas]
        return dataclasses.replace(self, sigmas=tuple(sigmas), matches=self.matches[:, chosen])


def tally(images: Sequence[ScoredImage], n_classes: int, sigmas: Iterable[Sigma]) -> Tally:
    """Count what is right and wrong in each image, at the sigmas and those of the sweep, from the least on.

    Raises
    ------
    UserError
        If the sigma of each object is asked for and an image has none.
    """
    sigmas = tuple(sorted({*SWEEP, *sigmas}, key=lambda sigma: math.inf if sigma == PER_OBJECT else sigma))
    return Tally(
        sigmas,
        true_counts=np.stack([image.true_counts for image in images]),
        pred_counts=np.stack([image.pred_counts for image in images]),
        games=np.array([_games(image, n_classes) for image in images]),
        matches=np.stack([_match(image, n_classes, sigmas) for image in images]),
    )


def _match(image: ScoredImage, n_classes: int, sigmas: Iterable[Sigma]) -> np.ndarray:
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
    found: Tally,
    class_names: Sequence[str],
    sigmas: Sequence[Sigma] = SIGMAS,
    seed: int = 0,
    n_draws: int = N_DRAWS,
) -> dict:
    """All scores of a tally with their 95 % intervals, ready for JSON; a score that nothing defines is None.

    Parameters
    ----------
    found : Tally
    sigmas : sequence
        Those of the scores, among those of the tally, all of which make the sweep.
    seed, n_draws : int
        Of the intervals.

    Returns
    -------
    report : dict
        `n_images`, `n_images_without_object`, `classes`, `sigmas`, `bootstrap` (how the intervals were made), and
        `all`: `n_objects`, `n_predicted`, `scores` (by name, `value` and `interval`, see `flat_scores`), `sweep` (a
        row a sigma: `tp`, `fp`, `fn`, `precision`, `recall`, `f1`). With several classes `by_class` has the same of
        each.
    """
    report = {
        "n_images": len(found.true_counts),
        "n_images_without_object": int((found.true_counts.sum(axis=1) == 0).sum()),
        "classes": list(class_names),
        "sigmas": list(sigmas),
        "bootstrap": {"level": 0.95, "method": "percentile, over images", "n_draws": n_draws, "seed": seed},
        "all": _block(found, sigmas, seed, n_draws),
    }
    if found.n_classes > 1:
        report["by_class"] = {
            name: _block(found.of_class(k), sigmas, seed, n_draws) for k, name in enumerate(class_names)
        }
    return _without_nan(report)


def _block(found: Tally, sigmas: Sequence[Sigma], seed: int, n_draws: int) -> dict:
    scored = found.at(sigmas)
    values = flat_scores(scored)
    low, high = metrics.bootstrap_interval(
        lambda indices: np.array(list(flat_scores(scored.of_images(indices)).values())),
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
            {"sigma": sigma, **metrics.localisation_scores(found.matches[:, i])} for i, sigma in enumerate(found.sigmas)
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
        *markdown_rows(
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
        lines += ["", f"Located within sigma pixels ({name}):", "", *markdown_rows([["sigma", *keys], *rows])]
    return "\n".join(lines) + "\n"


def source_text(source: dict) -> str:
    """What was scored, in words."""
    if "exp_id" in source:
        return f"experiment {source['exp_id']}, {source['checkpoint']} of epoch {_text(source['epoch'])}"
    if "checkpoint" in source:
        return f"the network {source['checkpoint']} of epoch {_text(source['epoch'])}"
    return f"the predictions {source['predictions']}"


def _cell(scored: dict | None) -> str:
    if scored is None or scored["value"] is None:
        return "-"
    low, high = scored["interval"]
    return f"{_text(scored['value'])} [{_text(low)}, {_text(high)}]"


def _text(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def write_report(out: Path, report: dict, images: Sequence[ScoredImage], found: Tally, dataset: PointDataset) -> None:
    """Write the scores, the table, the images' counts, the scatter and the worst images into a folder.

    Raises
    ------
    UserError
        If a file cannot be written.
    """
    split = report["split"]
    rows = _image_rows(images, found.at(report["sigmas"]), dataset.class_names)
    write_bytes(out / f"images_{split}.csv", rows.encode())
    write_whole(out / f"scatter_{split}.png", lambda file: _scatter(found, dataset.class_names, file))
    _write_worst(out / "worst", split, worst_images(images, found), dataset)
    write_bytes(out / f"scores_{split}.md", score_table(report).encode())
    # Last: where it stands, all is there.
    write_bytes(out / f"scores_{split}.json", f"{json.dumps(report, indent=2, allow_nan=False)}\n".encode())


def _image_rows(images: Sequence[ScoredImage], found: Tally, class_names: Sequence[str]) -> str:
    """One row an image and class: counts, and what was located at each sigma."""
    located = [f"{key}_{name_of(sigma)}" for sigma in found.sigmas for key in ("tp", "fp", "fn")]
    rows = []
    for image, matches in zip(images, found.matches, strict=True):
        for k, name in enumerate(class_names):
            counts = (int(image.true_counts[k]), f"{image.pred_counts[k]:g}")
            rows.append((image.name, name, *counts, *matches[:, k].ravel().tolist()))
    return csv_text(("image", "class", "true", "predicted", *located), rows)


def _scatter(found: Tally, class_names: Sequence[str], file: io.BufferedIOBase) -> None:
    """Predicted against true count, a dot an image and class, and the line where they are equal."""
    figure = Figure(figsize=(5.5, 5.5), layout="constrained")
    canvas = FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    true, pred = found.true_counts, found.pred_counts
    most = max(true.max(), pred.max(), 1) * 1.05
    axes.plot([0, most], [0, most], color="0.6", linewidth=1, zorder=0)
    for k, name in enumerate(class_names):
        axes.scatter(true[:, k], pred[:, k], s=18, alpha=0.6, label=name)
    axes.set(xlabel="true count", ylabel="predicted count", xlim=(0, most), ylim=(0, most), aspect="equal")
    axes.set_title(f"{len(true)} images; on the line the count is right", fontsize=10)
    if len(class_names) > 1:
        axes.legend()
    canvas.print_png(file)


def worst_images(images: Sequence[ScoredImage], found: Tally) -> list[ScoredImage]:
    """The ten whose counts are farthest off, summed over the classes; of equal ones those less well located come
    first, at the smallest usual sigma, and then in the order of the data set."""
    off = np.abs(found.pred_counts - found.true_counts).sum(axis=1)
    (wrong,) = found.at(SIGMAS[:1]).matches[..., 1:].sum(axis=(2, 3)).T
    order = np.lexsort((-wrong, -off))
    return [images[index] for index in order[:N_WORST]]


def _write_worst(folder: Path, split: str, worst: Sequence[ScoredImage], dataset: PointDataset) -> None:
    """`SPLIT_01_NAME.png` and so on, true clicks beside predicted ones; those of an earlier evaluation go."""
    make_folder(folder)
    mine = re.compile(re.escape(split) + r"_\d\d_.*\.png")
    for path in sorted(folder.iterdir()):
        if mine.fullmatch(path.name):
            path.unlink()
    for rank, image in enumerate(worst, start=1):
        picture = dataset.prepared(image.index).image
        captions = (f"true: {image.true_counts.sum()}", f"predicted: {image.pred_counts.sum():g}")
        sides = [
            drawing.marked(picture, image.true_points, drawing.TRUE_COLOUR, captions[0]),
            drawing.marked(picture, image.pred_points, drawing.PREDICTED_COLOUR, captions[1]),
        ]
        name = f"{split}_{rank:02d}_{Path(image.name).stem[:100]}.png"
        drawing.save_png(folder / name, np.concatenate(sides, axis=1))
