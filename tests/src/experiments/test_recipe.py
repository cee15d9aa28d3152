import copy
import json
import os
import signal

import numpy as np
import pytest
from helpers_data import make_trancos
from helpers_runs import mistake

import trainval
from exp_configs import EXP_GROUPS
from lcfcn.decoding import Decoding
from lcfcn.networks.trunk import CELL
from src.datasets.base import Record
from src.experiments import folders as experiments
from src.experiments import recipe, schema, standings
from src.models import LCFCN
from src.training import checkpoints

OWN = EXP_GROUPS["own"][0]


class Images:
    """Stands in for training images, all alike."""

    def __init__(self, n, size=(256, 256), points=((5.5, 5.5),)):
        self.n, self.size, self.points = n, size, np.array(points, dtype=float).reshape(-1, 2)

    def __len__(self):
        return self.n

    def prepared(self, index):
        assert 0 <= index < self.n
        roi = np.ones(self.size, dtype=bool)
        return Record(np.zeros((*self.size, 3), np.uint8), self.points, np.ones(len(self.points), int), roi)


def lattice(distance, n=6):
    return [(distance * row + 0.5, distance * col + 0.5) for row in range(n) for col in range(n)]


def chosen(images, **entries):
    return recipe.choose({**OWN, **entries}, lambda dataset_dict: images)


@pytest.mark.parametrize(("distance", "zoom"), [(40, 1), (16, 1), (15, 2), (8, 2), (7, 4), (1, 4)])
def test_neighbours_are_brought_apart_by_the_least_zoom(distance, zoom):
    exp_dict, told = chosen(Images(3, points=lattice(distance)))
    assert exp_dict["dataset"]["zoom"] == zoom
    assert f"{distance:.1f} pixels" in told[0]


def test_a_quarter_of_the_clicks_decides_about_the_zoom():
    far = [(1000.5, 1000.5 + 50 * k) for k in range(6)]
    close = [(0.5, 0.5), (0.5, 3.5)]  # a quarter of 8, so that the 25th percentile lies just above theirs
    assert chosen(Images(2, points=far + close))[0]["dataset"]["zoom"] == 1
    assert chosen(Images(2, points=far + close + [(0.5, 6.5)]))[0]["dataset"]["zoom"] == 4


@pytest.mark.parametrize("points", [[], [(3.5, 4.5)]])
def test_images_without_neighbours_stay_as_large_as_they_are(points):
    exp_dict, told = chosen(Images(2, points=points))
    assert exp_dict["dataset"]["zoom"] == 1
    assert "no image has two clicks" in told[0]


@pytest.mark.parametrize(
    ("size", "distance", "crop"),
    [((256, 300), 40, 256), ((250, 300), 40, 224), ((250, 300), 9, 384), ((20, 90), 40, 64), ((900, 900), 40, 384)],
)
def test_a_crop_fits_the_zoomed_images_and_the_trunk(size, distance, crop):
    assert chosen(Images(2, size, lattice(distance)))[0]["dataset"]["augment"]["crop"] == crop


@pytest.mark.parametrize(("n", "repeats"), [(5, 80), (50, 8), (360, 1), (1000, 1)])
def test_an_epoch_is_long_enough(n, repeats):
    exp_dict, told = chosen(Images(n))
    assert exp_dict["repeats"] == repeats
    assert f"the {n} training images" in told[-1]


def test_a_zoom_leaves_images_small_enough_to_validate_on():
    points = lattice(4)
    exp_dict, told = chosen(Images(2, (3000, 2000), points))
    assert exp_dict["dataset"]["zoom"] == 1
    assert "images of 6,000,000 pixels allow no more" in told[0]
    assert chosen(Images(2, (2000, 1500), points))[0]["dataset"]["zoom"] == 2
    assert "allow" not in chosen(Images(2, (2000, 1500), lattice(9)))[1][0]


def test_what_is_given_is_kept_and_no_image_is_read_for_it():
    given = copy.deepcopy(OWN)
    given["dataset"]["zoom"], given["dataset"]["augment"]["crop"], given["repeats"] = 1.5, 100, 3
    assert recipe.choose(given, None) == (given, [])
    exp_dict, told = chosen(Images(3), dataset=given["dataset"])
    assert exp_dict["dataset"] == given["dataset"]
    assert len(told) == 1


def test_the_images_are_looked_at_as_they_are_and_the_experiment_stays_as_it_was():
    asked = []

    def open_train(dataset_dict):
        asked.append(dataset_dict)
        return Images(3)

    before = copy.deepcopy(OWN)
    recipe.choose(OWN, open_train)
    assert before == OWN
    assert asked == [{"name": "points", "transform": "rgb_normalize"}]


# Whole runs.

SMALL = ["model.pretrained=None", "max_epoch=6", "patience=2", "repeats=2"]


def run(tmp_path, *overrides):
    if not (tmp_path / "data").exists():
        make_trancos(tmp_path / "data", size=(48, 64))
    dataset = {**OWN["dataset"], "name": "trancos"}
    code = trainval.main(
        ["-e", "own", "-d", str(tmp_path / "data"), "-sb", str(tmp_path / "runs"), "--device", "cpu"]
        + ["--set", f"dataset={dataset}", *SMALL, *overrides]
    )
    (savedir,) = [p for p in sorted((tmp_path / "runs").iterdir()) if len(p.name) == 32]
    return code, savedir


def set_scores(monkeypatch, maes):
    """Let validation find these MAEs, one an epoch."""
    left = iter(maes)

    def val_on_loader(self, loader):
        mae = next(left)
        return {"val_mae": mae, "val_score": -mae, "val_seconds": 0.0}

    monkeypatch.setattr(LCFCN, "val_on_loader", val_on_loader)


def test_a_run_says_what_it_chose_keeps_it_in_the_checkpoint_and_its_name_stays(tmp_path, capsys):
    code, savedir = run(tmp_path, "max_epoch=1")
    assert code == 0
    out = capsys.readouterr().out
    assert "Chosen from the training images: dataset.zoom=" in out
    assert "Chosen from the training images: dataset.augment.crop=" in out
    exp_dict = json.loads((savedir / "exp_dict.json").read_text())
    assert exp_dict["dataset"]["zoom"] == exp_dict["dataset"]["augment"]["crop"] == "auto"
    assert experiments.experiment_id(exp_dict) == savedir.name
    kept = checkpoints.load_checkpoint(savedir / checkpoints.BEST)["exp_dict"]
    assert kept["dataset"]["zoom"] in recipe.ZOOMS
    assert kept["dataset"]["augment"]["crop"] % CELL == 0
    assert kept["decoding"] != "validation"


def test_a_run_ends_when_its_patience_is_over_and_is_done_then(tmp_path, capsys, monkeypatch):
    set_scores(monkeypatch, [5.0, 4.0, 4.5, 4.0, 1.0])
    code, savedir = run(tmp_path)
    assert code == 0
    rows = checkpoints.load_run(savedir / checkpoints.LAST)["score_list"]
    assert [row["val_mae"] for row in rows] == [5.0, 4.0, 4.5, 4.0]
    assert [row.get("stopped_early") for row in rows] == [None, None, None, True]
    assert "val_mae has not improved for 2 epochs" in capsys.readouterr().out
    assert run(tmp_path)[0] == 0  # neither goes on, nor asks for a fifth score
    assert len(checkpoints.load_run(savedir / checkpoints.LAST)["score_list"]) == 4
    monkeypatch.setattr(standings, "find_jobs", lambda names: {})
    (standing,) = standings.find_standings([json.loads((savedir / "exp_dict.json").read_text())], savedir.parent)
    assert standing.state == standings.DONE


def test_a_run_that_goes_on_improving_is_not_ended(tmp_path, monkeypatch):
    set_scores(monkeypatch, [5.0, 4.0, 4.5, 3.0, 3.5, 2.0])
    _, savedir = run(tmp_path)
    rows = checkpoints.load_run(savedir / checkpoints.LAST)["score_list"]
    assert len(rows) == 6
    assert not checkpoints.stopped_early(rows)


def test_a_run_does_not_go_on_with_other_choices(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(recipe, "EPOCH_IMAGES", 8)
    code, savedir = run(tmp_path, "max_epoch=1", "repeats=auto")
    assert code == 0
    monkeypatch.setattr(recipe, "EPOCH_IMAGES", 12)
    before = (savedir / checkpoints.LAST).read_bytes()
    code, savedir = run(tmp_path, "max_epoch=1", "repeats=auto")
    err = capsys.readouterr().err.splitlines()[-1]
    assert code == 2
    assert "was begun with repeats 4, and the training images now ask for 6" in err
    assert "-r 1" in err
    assert (savedir / checkpoints.LAST).read_bytes() == before


def test_a_run_that_goes_on_keeps_the_reading_until_it_validates_again(tmp_path, monkeypatch):
    def val_on_loader(self, loader):
        self.decoding = Decoding(-1.5, 0.1)
        return {"val_mae": 1.0, "val_score": -1.0, "val_seconds": 0.0}

    train_on_batch, steps = LCFCN.train_on_batch, []

    def stopping(self, batch):
        steps.append(1)
        if len(steps) in (3, 4):  # epochs have two batches: in the second epoch, and again when it goes on
            os.kill(os.getpid(), signal.SIGTERM)
        return train_on_batch(self, batch)

    monkeypatch.setattr(LCFCN, "val_on_loader", val_on_loader)
    monkeypatch.setattr(LCFCN, "train_on_batch", stopping)
    for _ in range(2):
        code, savedir = run(tmp_path, "repeats=4", "max_epoch=4", "patience=None")
        assert code == 130
        kept = checkpoints.load_run(savedir / checkpoints.LAST)["exp_dict"]["decoding"]
        assert kept == {"threshold": -1.5, "depth": 0.1}


@pytest.mark.parametrize(
    "value", ["patience=0", "patience=2.5", "patience=True", "patience=auto", "repeats=0", "repeats=often"]
)
def test_wrong_values_are_one_line(tmp_path, capsys, value):
    err = mistake(trainval.main, capsys, ["-e", "own", "-d", tmp_path, "-sb", tmp_path, "--set", value])
    assert f"{value.partition('=')[0]} is " in err
    assert "expected a whole number from 1 to" in err


@pytest.mark.parametrize(
    "value", ["dataset.zoom=2x", "dataset.zoom=None", "dataset.augment=none", "dataset.augment=True"]
)
def test_what_the_data_set_refuses_is_one_line_also_beside_auto(tmp_path, capsys, value):
    make_trancos(tmp_path / "data", size=(48, 64))
    dataset = {**OWN["dataset"], "name": "trancos"}
    given = ["-e", "own", "-d", tmp_path / "data", "-sb", tmp_path / "runs", "--set", f"dataset={dataset}", value]
    err = mistake(trainval.main, capsys, given)
    assert value.partition("=")[0] in err


def test_patience_may_be_left_out():
    schema.check_exp_dict({**OWN, "patience": None})
    assert not checkpoints.is_patience_over([{"epoch": e, "val_score": -1.0} for e in range(9)], None)
