"""How exact are recipes on images that they have not seen? Train each recipe with each seed, and print a table.

python -m benchmarks.accuracy cells -d DATADIR --recipes ours upstream density --seeds 0 1 2 --minutes 10 --split test

All recipes have the same budget of time or of images.
"""

import argparse
import contextlib
import copy
import io
import random
import shlex
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from benchmarks.accuracy_table import add_rows, draw_curve, markdown, read_rows
from exp_configs import EXP_GROUPS, PAPER_ADAM, SHANGHAI, TRANCOS
from lcfcn.cli import Parser, run_main
from lcfcn.counting.defaults import PRECISIONS
from lcfcn.errors import UserError
from lcfcn.files import csv_text, make_folder, write_bytes, write_whole
from lcfcn.lcfcn_loss import compute_game
from lcfcn.metrics import bias, dense_counts, mae, rmse
from scripts import import_points
from src.datasets import PointDataset, collate, open_split
from src.evaluation.pairing import predict_split
from src.evaluation.scoring import flat_scores, tally
from src.experiments import recipe
from src.experiments.folders import experiment_id
from src.experiments.schema import VALIDATION, check_exp_dict, override, with_defaults
from src.models import LCFCN
from src.training.loaders import EpochBatches, make_loader
from src.training.runtime import Runtime

SIGMAS = (4.0, 8.0)
GAMES = (1, 2, 3)
WARM_UP = 8
"""So many batches run before the timing, and so many are timed, to find how many batches the budget allows."""
DENSITY_SIGMA, DENSITY_SCALE = 4.0, 100.0
"""For the density regressor: the standard deviation in pixels of the network's input, and a factor of the density."""
CELLS = {"name": "points", "transform": "rgb_normalize"}
DATASETS = {"cells": CELLS, "shanghai": {**SHANGHAI}, "cars": {**TRANCOS}}
N_DRAWN = 100
"""The first hundred of the cell images train and validate, the others test."""
UPSTREAM = {
    **{"batch_size": 1, **PAPER_ADAM, "betas": PAPER_ADAM["betas"][0], "schedule": None},
    **{"repeats": 1, "heatmap_only": 0, "heatmap_weight": 0, "ema_decay": 0, "loss": {}, "decoding": {}},
}


def recipes(data: str, mobilenet: str = "imagenet", vgg16: str = "imagenet") -> dict[str, dict]:
    """Return the recipes by name, as experiments. `mobilenet` and `vgg16` are names or paths of pretrained weights.

    `ours` is the default for own data. `upstream` has the hyper-parameters of the authors' code (batches of 1, Adam at
    1e-5, no augmentation, whole images, whole blobs) with the network of `ours`, and `upstream_vgg16` with the authors'
    network. `density` is `ours`, trained to regress a density map, which locates nothing.
    """
    ours = copy.deepcopy(EXP_GROUPS["own"][0])
    own = {key: ours["dataset"][key] for key in ("zoom", "augment")}
    ours["dataset"] = {**DATASETS[data], **own}
    ours["model"]["pretrained"] = mobilenet
    if data == "shanghai":
        ours["dataset"]["augment"]["vflip"] = False  # people are not upside down
    upstream = {**copy.deepcopy(ours), "dataset": DATASETS[data], **copy.deepcopy(UPSTREAM)}
    del upstream["model"]["freeze_batch_norm"]  # the authors freeze that of their pretrained trunk
    on_vgg16 = copy.deepcopy(upstream)
    on_vgg16["model"] |= {"base": "fcn8_vgg16", "pretrained": vgg16}
    density = {**copy.deepcopy(ours), "loss": {}, "decoding": {}, "heatmap_only": 0, "heatmap_weight": 0}
    return {"ours": ours, "upstream": upstream, "upstream_vgg16": on_vgg16, "density": density}


class DensityObjective:
    """The squared error of a density map whose sum is the count (Lempitsky & Zisserman, NIPS 2010), to compare with."""

    def __init__(self) -> None:
        side = torch.arange(-3 * DENSITY_SIGMA, 3 * DENSITY_SIGMA + 1)
        bell = torch.exp(-(side**2) / (2 * DENSITY_SIGMA**2))
        self.kernel = (torch.outer(bell, bell) / bell.sum() ** 2)[None, None]

    def divisors(self, batch: dict) -> dict[str, float]:
        """Return no divisors: the error is a mean over pixels."""
        return {}

    def start(
        self, logits: torch.Tensor, batch: dict, divisors: dict[str, float], step: int, pool: Executor
    ) -> Callable[[], tuple[torch.Tensor, dict[str, torch.Tensor]]]:
        """Return a function that returns the squared error of a batch."""
        points = (batch["points"] > 0).float()[:, None]
        target = torch.nn.functional.conv2d(points, self.kernel, padding="same").to(logits) * DENSITY_SCALE
        loss = ((logits - target) ** 2 * batch["roi"][:, None].to(logits)).mean()
        return lambda: (loss, {"squared_error": loss.detach()})


@torch.no_grad()
def density_scores(model: LCFCN, dataset: PointDataset) -> dict[str, float]:
    """Score the counts of a network that was trained by `DensityObjective`."""
    model.network.eval()
    errors, games = [], []
    for batch in tqdm(make_loader(dataset, collate, model.runtime, workers=0), desc="evaluate", leave=False):
        density = model.trained.looks(model.runtime.move_images(batch["images"]))[0, 0].cpu()
        found = density * batch["roi"][0] / DENSITY_SCALE
        truth = dense_counts(batch["meta"][0]["point_list"].numpy(), found.shape)
        errors.append(float(found.sum()) - int(batch["counts"].sum()))
        games.append([compute_game(found.numpy(), truth, level) for level in GAMES])
    by_level = {f"game_{level}": mean for level, mean in zip(GAMES, np.mean(games, axis=0), strict=True)}
    errors = np.array(errors)
    return {"mae": mae(errors), "rmse": rmse(errors), "bias": bias(errors), **by_level}


@dataclass(frozen=True)
class Trained:
    """A trained network, the number of images it saw, and the minutes of its training without validation."""

    model: LCFCN
    n_images: int
    minutes: float


def train(
    exp_dict: dict, train_set: PointDataset, args: argparse.Namespace, objective: DensityObjective | None
) -> Trained:
    """Train for as many batches as the budget allows. The learning-rate schedule spans all of them."""
    runtime = Runtime(args.device, args.precision)
    repeats = exp_dict["repeats"]
    batches = EpochBatches(len(train_set), exp_dict["batch_size"], exp_dict["seed"], repeats=repeats)
    loader = make_loader(train_set, collate, runtime, workers=0, batches=batches)
    if args.images:
        n_steps = max(args.images // exp_dict["batch_size"], 1)
    else:
        trial = LCFCN(exp_dict, runtime, n_steps=2 * WARM_UP, objective=objective)
        _train_on(trial, loader, batches, WARM_UP)
        _, seconds = _train_on(trial, loader, batches, WARM_UP)
        n_steps = max(round(args.minutes * 60 * WARM_UP / seconds), 1)
    model = LCFCN(exp_dict, runtime, n_steps=n_steps, objective=objective)
    n_images, seconds = _train_on(model, loader, batches, n_steps)
    return Trained(model, n_images, seconds / 60)


def _train_on(
    model: LCFCN, loader: torch.utils.data.DataLoader, batches: EpochBatches, n_steps: int
) -> tuple[int, float]:
    """Take so many steps, and return the number of images seen and the seconds."""
    model.model_base.train()
    n_images, start = 0, time.perf_counter()
    with tqdm(zip(range(n_steps), _endless(loader, batches), strict=False), total=n_steps, leave=False) as bar:
        for _, batch in bar:
            bar.set_postfix(loss=f"{model.train_on_batch(batch)['train_loss']:.3g}")
            n_images += len(batch["images"])
    return n_images, time.perf_counter() - start


def _endless(loader: torch.utils.data.DataLoader, batches: EpochBatches) -> Iterator[dict]:
    """Yield the batches of one epoch after the other."""
    epoch = 0
    while True:
        batches.set_epoch(epoch)
        yield from loader
        epoch += 1


@contextlib.contextmanager
def opened(args: argparse.Namespace, seed: int, n_train: int | None) -> Iterator[tuple[str, dict]]:
    """Yield where the data of one run is, and its `dataset_size`.

    For the cells, each seed draws its own training images, and as many validation images, if so many are left
    (Lempitsky & Zisserman). For the other data sets the first `n_train` images train.
    """
    if args.data != "cells":
        yield args.datadir, {"train": n_train or "all", "val": "all"}
        return
    numbers = list(range(1, N_DRAWN + 1))
    random.Random(seed).shuffle(numbers)
    n = n_train or N_DRAWN // 2
    split_of = {number: "train" if place < n else "val" for place, number in enumerate(numbers[: 2 * n])}
    split_of |= dict.fromkeys(range(N_DRAWN + 1, 2 * N_DRAWN + 1), "test")
    rows = [(f"{number:03d}cell.png", split) for number, split in sorted(split_of.items())]
    with tempfile.TemporaryDirectory() as folder:
        splits, output = Path(folder) / "splits.csv", Path(folder) / "cells"
        write_bytes(splits, csv_text(("image", "split"), rows).encode())
        with contextlib.redirect_stdout(io.StringIO()):
            code = import_points.main([args.datadir, "-o", str(output), "--splits", str(splits)])
        if code:
            raise UserError(f"-d {args.datadir} is not the folder of the 200 cell images and their dots: check -d")
        yield str(output), {"train": "all", "val": "all"}


def run_one(args: argparse.Namespace, name: str, seed: int, n_train: int | None) -> dict[str, object]:
    """Train a recipe with a seed, score it, and return its row of the table."""
    exp_dict = override(recipes(args.data, args.mobilenet, args.vgg16)[name], args.set)
    with opened(args, seed, n_train) as (datadir, sizes):
        exp_dict = {**exp_dict, "seed": seed, "dataset_size": sizes}
        check_exp_dict(exp_dict)

        exp_dict, _ = recipe.choose(with_defaults(exp_dict), partial(open_split, exp_dict, "train", datadir))
        train_set, val_set = (open_split(exp_dict, split, datadir) for split in ("train", "val"))
        trained = train(exp_dict, train_set, args, DensityObjective() if name == "density" else None)
        trained.model.runtime = Runtime(args.device)  # score in float32, whatever the precision of the training
        if exp_dict.get("decoding") == VALIDATION:
            trained.model.val_on_loader(make_loader(val_set, collate, trained.model.runtime, workers=0))
        scored = val_set if args.split == "val" else open_split(exp_dict, args.split, datadir)
        scores = score(trained.model, scored)
    if args.keep and name != "density":
        keep(trained.model, exp_dict, train_set, args.keep / f"{args.data}_{name}_{experiment_id(exp_dict)[:8]}.pth")
    return {
        "data": args.data,
        "split": args.split,
        "recipe": name,
        "settings": " ".join(args.set),
        "budget": f"{args.images} images" if args.images else f"{args.minutes:g} minutes",
        "n_train": len(train_set),
        "seed": seed,
        **scores,
        "images": trained.n_images,
        "minutes": trained.minutes,
        "parameters": sum(p.numel() for p in trained.model.network.parameters()),
        "zoom": trained.model.trained.settings.zoom,
        "decoding": "/".join(f"{value:g}" for value in trained.model.decoding) if name != "density" else "sum",
        "device": f"{trained.model.runtime.device}, {torch.get_num_threads()} threads, {args.precision}",
    }


def keep(model: LCFCN, exp_dict: dict, train_set: PointDataset, path: Path) -> None:
    """Write a network as a checkpoint for predict.py and evaluate.py."""
    network = {"model": model.network.state_dict(), "exp_dict": model.with_decoding(exp_dict)}
    make_folder(path.parent)
    write_whole(path, lambda file: torch.save({**network, "class_names": train_set.class_names}, file))


def score(model: LCFCN, dataset: PointDataset) -> dict[str, float]:
    """Return the scores of the table. A score of places is NaN if the network locates nothing."""
    if isinstance(model.objective, DensityObjective):
        scores = density_scores(model, dataset)
    else:
        scores = flat_scores(tally(predict_split(model, dataset, model.runtime), dataset.n_classes, SIGMAS))
    keys = ("mae", "rmse", "bias", *(f"game_{level}" for level in GAMES), *(f"f1_{sigma:g}" for sigma in SIGMAS))
    return {key: scores.get(key, float("nan")) for key in keys}


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = Parser(description=__doc__, allow_abbrev=False)
    parser.add_argument("data", choices=sorted(DATASETS))
    parser.add_argument("-d", "--datadir", required=True, help="where the data set is")
    parser.add_argument("--recipes", nargs="+", default=["ours"], choices=sorted(recipes("cars")))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    budget = parser.add_mutually_exclusive_group(required=True)
    budget.add_argument("--minutes", type=float, help="minutes of training, without validation and scoring")
    budget.add_argument("--images", type=int, help="images seen in training")
    parser.add_argument(
        "--n-train",
        nargs="+",
        type=int,
        default=[None],
        help="training images (default: 50 of the cells, all of other data)",
    )
    parser.add_argument("--split", choices=("val", "test"), default="val", help="the images to score (default val)")
    parser.add_argument(
        "--set", nargs="+", action="extend", default=[], metavar="KEY=VALUE", help="replace a setting in all recipes"
    )
    parser.add_argument("--mobilenet", default="imagenet", metavar="PATH", help="pretrained weights of MobileNetV2")
    parser.add_argument("--vgg16", default="imagenet", metavar="PATH", help="pretrained weights of VGG16")
    parser.add_argument("--device", default="auto")
    parser.add_argument(
        "--precision", choices=tuple(PRECISIONS), default="32", help="precision of the training (default 32)"
    )
    parser.add_argument("--rows", type=Path, metavar="CSV", help="add a row to this file after each run")
    parser.add_argument("--append", type=Path, metavar="MD", help="add command and table to this file at the end")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="keep the trained networks in this folder")
    parser.add_argument("--curve", type=Path, metavar="PNG", help="draw the error over the number of training images")
    return parser.parse_args(argv)


def run(args: argparse.Namespace, command: str) -> None:
    """Run all recipes with all seeds, and print the table."""
    known = read_rows(args.rows) if args.rows else []
    rows = []
    for n_train in args.n_train:
        for name in args.recipes:
            for seed in args.seeds:
                rows.append(run_one(args, name, seed, n_train))
                print({key: rows[-1][key] for key in ("recipe", "n_train", "seed", "mae", "minutes")}, flush=True)
                if args.rows:
                    add_rows(args.rows, known + rows)
    table = markdown(rows)
    print(table)
    if args.append:
        before = args.append.read_text(encoding="utf-8") if args.append.exists() else ""
        write_bytes(args.append, f"{before}\n`{command}`\n\n{table}\n".encode())
    if args.curve:
        draw_curve(known + rows, args.curve)


def main(argv: list[str] | None = None) -> int:
    """Run the command line."""
    args = parse_args(argv)
    command = shlex.join(["python", "-m", "benchmarks.accuracy", *(sys.argv[1:] if argv is None else argv)])
    return run_main("accuracy.py", lambda: run(args, command))


if __name__ == "__main__":
    sys.exit(main())
