"""Runs of evaluate.py, reports, predictions of any tool on TRANCOS's layout, and drawn images."""

import csv
import json

import numpy as np
from helpers_runs import mistake

from scripts import evaluate
from src.evaluation import scoring
from src.evaluation.pairing import ScoredImage


def arguments_of(savedir, *more):
    return ["-sb", str(savedir.parent), "-ei", savedir.name, "--device", "cpu", "--split", "val", *map(str, more)]


def refuse_constant(name):
    raise AssertionError(f"{name} is no JSON")


def read_report(out, split):
    text = (out / f"scores_{split}.json").read_text(encoding="utf-8")
    return json.loads(text, parse_constant=refuse_constant)


def values(block):
    return {name: scored["value"] for name, scored in block["scores"].items()}


def read_rows(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def failure(capsys, arguments):
    return mistake(evaluate.main, capsys, arguments)


CLICKS = ((3, 4), (10, 20), (0, 0), (19, 30))


INSIDE = 3


def score_points(trancos, tmp_path, lines, *more, counts=None, split="test"):
    """Write the files, score them and return the report."""
    arguments = prediction_arguments(trancos, tmp_path, lines, counts, split)
    assert evaluate.main([*arguments, *more]) == 0
    return read_report(tmp_path / "out", split)


def prediction_arguments(trancos, tmp_path, lines, counts=None, split="test"):
    (tmp_path / "points.csv").write_bytes(lines if isinstance(lines, bytes) else "\n".join(lines).encode())
    arguments = ["--predictions", tmp_path / "points.csv", "-d", trancos, "--dataset", "trancos", "--split", split]
    if counts is not None:
        (tmp_path / "counts.csv").write_text("\n".join(counts))
        arguments += ["--counts", tmp_path / "counts.csv"]
    return [str(argument) for argument in (*arguments, "-o", tmp_path / "out")]


HEADER = "image,x,y,class"


NAME = "image-1-000004.jpg"


def at(col, row, name=NAME, label="car"):
    return f"{name},{col},{row},{label}"


def drawn_images(n=12, n_classes=3, seed=0):
    rng = np.random.default_rng(seed)
    images = []
    for index in range(n):
        n_true, n_pred = rng.integers(0, 9, size=2) if index else (0, 0)
        true_labels, pred_labels = (rng.integers(1, n_classes + 1, size) for size in (n_true, n_pred))
        images.append(
            ScoredImage(
                index=index,
                name=f"{index}.png",
                shape=(20, 31),
                true_points=rng.uniform(0, (20, 31), (n_true, 2)),
                true_labels=true_labels,
                true_counts=np.bincount(true_labels, minlength=n_classes + 1)[1:],
                pred_points=rng.uniform(0, (20, 31), (n_pred, 2)),
                pred_labels=pred_labels,
                pred_counts=np.bincount(pred_labels, minlength=n_classes + 1)[1:],
                object_sigmas=rng.uniform(0, 9, n_true),
            )
        )
    return images


def scored(images, class_names, sigmas=scoring.SIGMAS, **options):
    return scoring.score(scoring.tally(images, len(class_names), sigmas), class_names, sigmas, **options)
