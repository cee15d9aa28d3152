"""benchmarks.accuracy on tiny data: what it trains, draws, scores and tabulates."""

import csv
import io
import json

import numpy as np
import pytest
import torch
from helpers_data import make_trancos, noise_image
from PIL import Image

from benchmarks import accuracy, accuracy_table
from lcfcn.errors import UserError
from scripts import evaluate
from src.datasets import collate, get_dataset
from src.experiments.schema import check_exp_dict
from src.models import LCFCN
from src.training.micro_batches import InPlace
from src.training.runtime import Runtime

OVERRIDES = ["--mobilenet", "None", "--device", "cpu", "--set", "model.pretrained=None"]


def arguments(*given):
    return accuracy.parse_args([str(a) for a in given])


@pytest.fixture(scope="module")
def cars(tmp_path_factory):
    clicks = [(row, col) for row in range(4, 60, 12) for col in range(4, 60, 12)]
    root = tmp_path_factory.mktemp("cars")
    return make_trancos(root, clicks=[(r, c) for r, c in clicks if 2 <= r < 20 and 3 <= c < 31], size=(64, 64))


@pytest.fixture(scope="module")
def cells(tmp_path_factory):
    """200 images with dots in the names and kind of the VGG cells; the number of dots tells the image."""
    folder = tmp_path_factory.mktemp("cells")
    for number in range(1, 201):
        dots = np.zeros((16, 16, 3), dtype=np.uint8)
        dots.reshape(-1, 3)[np.arange(number % 7 + 1) * 2 * 16 + 3, 0] = 255
        Image.fromarray(noise_image(16, 16, seed=number)).save(folder / f"{number:03d}cell.png")
        Image.fromarray(dots).save(folder / f"{number:03d}dots.png")
    return folder


@pytest.mark.parametrize("data", sorted(accuracy.DATASETS))
def test_recipes_are_experiments_and_upstream_is_the_authors(data):
    found = accuracy.recipes(data, "here.pth", "there.pth")
    for exp_dict in found.values():
        check_exp_dict(exp_dict)
    upstream = found["upstream"]
    authors = {"batch_size": 1, "optimizer": "adam", "lr": 1e-5, "betas": [0.99, 0.999], "weight_decay": 5e-4}
    assert {key: upstream[key] for key in authors} == authors
    assert not {"augment", "zoom"} & set(upstream["dataset"])
    assert upstream["loss"] == upstream["decoding"] == {}
    assert upstream["schedule"] is None
    assert upstream["heatmap_only"] == upstream["ema_decay"] == 0
    assert upstream["model"]["base"] == found["ours"]["model"]["base"]
    assert found["upstream_vgg16"]["model"]["base"] == "fcn8_vgg16"
    assert [found[name]["model"]["pretrained"] for name in ("ours", "upstream_vgg16")] == ["here.pth", "there.pth"]
    assert found["ours"]["dataset"]["augment"]["vflip"] == (data != "shanghai")


def test_each_seed_draws_other_training_images_and_the_test_images_stay(cells):
    drawn = []
    for seed in (0, 1, 0):
        with accuracy.opened(arguments("cells", "-d", cells, "--images", 1), seed, 30) as (datadir, sizes):
            assert sizes == {"train": "all", "val": "all"}
            splits = {s: get_dataset(accuracy.CELLS, s, datadir).names for s in ("train", "val", "test")}
        assert splits["test"] == [f"{number}cell.png" for number in range(101, 201)]
        assert len(splits["train"]) == len(splits["val"]) == 30
        assert not set(splits["train"]) & set(splits["val"])
        assert set(splits["train"] + splits["val"]) <= {f"{number:03d}cell.png" for number in range(1, 101)}
        drawn.append(splits)
    assert drawn[0] == drawn[2] != drawn[1]
    with accuracy.opened(arguments("cells", "-d", cells, "--images", 1), 0, 80) as (datadir, _):
        assert [len(get_dataset(accuracy.CELLS, s, datadir)) for s in ("train", "val")] == [80, 20]


def test_a_row_a_run_and_a_line_for_the_seeds(cars, tmp_path, capsys):
    rows, notes = tmp_path / "rows.csv", tmp_path / "notes.md"
    notes.write_text("before\n")
    given = ["cars", "-d", cars, "--images", 4, "--rows", rows, "--append", notes, *OVERRIDES]
    assert accuracy.main([str(a) for a in [*given, "repeats=2", "--recipes", "ours", "density", "--seeds", 0, 1]]) == 0
    assert (
        accuracy.main(
            [
                str(a)
                for a in [*given, "model.freeze_batch_norm=True", "--recipes", "upstream", "--keep", tmp_path / "kept"]
            ]
        )
        == 0
    )
    (kept,) = sorted((tmp_path / "kept").glob("cars_upstream_*.pth"))
    about = ["-c", kept, "-d", cars, "--split", "val", "-o", tmp_path / "scores", "--device", "cpu"]
    assert evaluate.main([str(a) for a in about]) == 0
    report = json.loads((tmp_path / "scores" / "scores_val.json").read_text())
    with rows.open(encoding="utf-8", newline="") as file:
        found = list(csv.DictReader(file))
    assert [(r["recipe"], r["seed"]) for r in found] == [
        *[("ours", "0"), ("ours", "1"), ("density", "0"), ("density", "1"), ("upstream", "0")]
    ]
    assert report["all"]["scores"]["mae"]["value"] == float(found[-1]["mae"])
    assert {r["images"] for r in found} == {"4"}
    assert all(float(r["mae"]) >= abs(float(r["bias"])) - 1e-9 for r in found)
    assert {r["f1_8"] for r in found if r["recipe"] == "density"} == {"nan"}
    assert notes.read_text().startswith("before\n\n`python -m benchmarks.accuracy ")
    assert len([line for line in notes.read_text().splitlines() if line.startswith("| cars")]) == 3
    table = accuracy_table.markdown(accuracy_table.read_rows(rows)).splitlines()
    assert len(table) == 5
    maes = [float(r["mae"]) for r in found[:2]]
    columns = [[cell.strip() for cell in line.split("|")[1:-1]] for line in (table[0], table[2], table[3])]
    assert {r["budget"] for r in found} == {"4 images"}
    ours, density = (dict(zip(columns[0], cells, strict=True)) for cells in columns[1:])
    assert (ours["seeds"], ours["MAE"]) == ("0 1", f"{np.mean(maes):.2f} ± {np.std(maes, ddof=1):.2f}")
    assert density["F1 σ=4"] == density["F1 σ=8"] == "-"
    assert table[2].split() in [line.split() for line in capsys.readouterr().out.splitlines()]


def test_the_density_regressor_learns_maps_that_sum_to_the_counts(cars):
    exp_dict = {**accuracy.recipes("cars")["density"], "repeats": 1, "ema_decay": 0}
    exp_dict["dataset"] = {"name": "trancos", "transform": "rgb_normalize"}
    exp_dict["model"] = {**exp_dict["model"], "pretrained": None}
    objective = accuracy.DensityObjective()
    model = LCFCN(exp_dict, Runtime("cpu"), objective=objective)
    assert float(objective.kernel.sum()) == pytest.approx(1)
    dataset = get_dataset(exp_dict["dataset"], "val", cars)
    batch = collate([dataset[0]])
    truth = torch.zeros((1, 1, *batch["points"].shape[1:]))
    truth[0, 0][batch["points"][0] > 0] = 1.0
    padded = torch.nn.functional.pad(truth, (12, 12, 12, 12))
    blurred = torch.nn.functional.conv2d(padded, objective.kernel) * accuracy.DENSITY_SCALE
    inside = batch["roi"][:, None]
    expected = (blurred**2 * inside).mean()
    loss, terms = objective.start(torch.zeros_like(truth), batch, objective.divisors(batch), 0, InPlace())()
    torch.testing.assert_close(loss, expected)
    assert terms == {"squared_error": loss}

    class Constant(torch.nn.Module):
        def forward(self, images):
            return torch.full((1, 1, *images.shape[-2:]), accuracy.DENSITY_SCALE / 100)

    model.model_base = Constant()
    given = dataset[0]
    given["roi"][:5] = False  # what is found there does not count
    scores = accuracy.density_scores(model, [given])
    counted = float(given["roi"].sum()) / 100
    assert scores["bias"] == pytest.approx(counted - int(batch["counts"].sum()), rel=1e-5)
    assert scores["mae"] == pytest.approx(abs(scores["bias"]))
    assert scores["game_1"] >= scores["mae"] - 1e-6


def test_minutes_are_turned_into_steps(cars, monkeypatch):
    steps = []

    def train_on(model, loader, batches, n_steps):
        steps.append(n_steps)
        return n_steps * 4, 2.0 * n_steps  # two seconds a step

    monkeypatch.setattr(accuracy, "_train_on", train_on)
    exp_dict = {**accuracy.recipes("cars")["density"], "repeats": 1}
    exp_dict["model"] = {**exp_dict["model"], "pretrained": None}
    dataset = get_dataset({"name": "trancos", "transform": "rgb_normalize"}, "train", cars)
    args = arguments("cars", "-d", cars, "--minutes", 3, "--device", "cpu")
    trained = accuracy.train(exp_dict, dataset, args, accuracy.LCFCN)
    assert steps == [accuracy.WARM_UP, accuracy.WARM_UP, 90]
    assert (trained.n_images, trained.minutes) == (360, 3.0)


def test_the_curve_shows_the_mean_of_the_seeds_over_the_images(tmp_path, monkeypatch):
    text = "data,split,recipe,settings,budget,n_train,seed,mae\n" + "".join(
        f"cells,test,ours,,9 images,{n},{seed},{mae}\n"
        for n, seed, mae in [(50, 0, 3), (5, 0, 9), (5, 1, 13), (50, 1, 5)]
    )
    drawn = {}

    def errorbar(self, x, y, yerr, **kwargs):
        drawn[kwargs["label"]] = (list(x), list(y), [list(side) for side in yerr])

    monkeypatch.setattr("matplotlib.axes.Axes.errorbar", errorbar)
    monkeypatch.setattr("matplotlib.figure.Figure.legend", lambda self, **kwargs: None)
    accuracy_table.draw_curve(list(csv.DictReader(io.StringIO(text))), tmp_path / "curve.png")
    assert drawn == {"cells test, ours, 9 images": ([5, 50], [11.0, 4.0], [[2.0, 1.0], [2.0, 1.0]])}
    with Image.open(tmp_path / "curve.png") as picture:
        assert picture.width > 300


def test_data_that_is_not_there_is_one_line(tmp_path, capsys):
    assert accuracy.main(["cells", "-d", str(tmp_path), "--images", "1"]) == 2
    assert capsys.readouterr().err.strip().splitlines()[-1].startswith("accuracy.py: error: ")


def test_rows_of_other_columns_are_not_mixed(tmp_path):
    accuracy_table.add_rows(tmp_path / "rows.csv", [{"data": "cells", "mae": 1}])
    with pytest.raises(UserError, match="has the columns data, mae; expected data, zoom, mae"):
        accuracy_table.add_rows(
            tmp_path / "rows.csv",
            [*accuracy_table.read_rows(tmp_path / "rows.csv"), {"data": "cells", "zoom": 1, "mae": 2}],
        )
    assert accuracy_table.read_rows(tmp_path / "rows.csv") == [{"data": "cells", "mae": "1"}]
