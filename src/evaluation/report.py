"""Write the report of an evaluation: tables, the scatter of the counts, and the worst images."""

import io
import json
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from lcfcn.counting import drawing
from lcfcn.files import csv_text, make_folder, markdown_rows, write_bytes, write_whole
from lcfcn.names import file_name
from src.datasets.base import PointDataset
from src.evaluation.pairing import ScoredImage
from src.evaluation.reach import SIGMAS, name_of
from src.evaluation.scoring import Tally

N_WORST = 10
"""So many of the worst images are drawn."""


def score_table(report: dict) -> str:
    """Return the scores as Markdown that is easy to read as plain text too."""
    blocks = {"all": report["all"], **report.get("by_class", {})}
    n_empty = report["n_images_without_object"]
    lines = [
        f"# Scores on {report['split']}: {report['n_images']} images, {report['all']['n_objects']} objects",
        "",
        f"Of {source_text(report['source'])}. In brackets: 95 % interval over images ({n_empty} of them without an "
        "object). A dash: this score is not defined here.",
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
    """Return what was scored, in words."""
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

    The JSON file comes last. If it is there, all files are there.

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
    write_bytes(out / f"scores_{split}.json", f"{json.dumps(report, indent=2, allow_nan=False)}\n".encode())


def _image_rows(images: Sequence[ScoredImage], found: Tally, class_names: Sequence[str]) -> str:
    """Return a table with a row for each image and class: its counts, and the matches at each reach."""
    located = [f"{key}_{name_of(sigma)}" for sigma in found.sigmas for key in ("tp", "fp", "fn")]
    rows = []
    for image, matches in zip(images, found.matches, strict=True):
        for k, name in enumerate(class_names):
            counts = (int(image.true_counts[k]), f"{image.pred_counts[k]:g}")
            rows.append((image.name, name, *counts, *matches[:, k].ravel().tolist()))
    return csv_text(("image", "class", "true", "predicted", *located), rows)


def _scatter(found: Tally, class_names: Sequence[str], file: io.BufferedIOBase) -> None:
    """Draw predicted against true count, a dot for each image and class, and the line where both are equal."""
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
    """Return the ten images whose counts, summed over the classes, are farthest off.

    Of images with equal errors, the one with more wrong points at the smallest usual reach comes first, and then the
    one that comes first in the data set.
    """
    off = np.abs(found.pred_counts - found.true_counts).sum(axis=1)
    (wrong,) = found.at(SIGMAS[:1]).matches[..., 1:].sum(axis=(2, 3)).T
    order = np.lexsort((-wrong, -off))
    return [images[index] for index in order[:N_WORST]]


def _write_worst(folder: Path, split: str, worst: Sequence[ScoredImage], dataset: PointDataset) -> None:
    """Draw true beside predicted points as `SPLIT_01_NAME.png` and so on; delete those of an earlier evaluation."""
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
        name = file_name(f"{split}_{rank:02d}_{Path(image.name).stem}", ".png", longest=120)
        drawing.save_png(folder / name, np.concatenate(sides, axis=1))
