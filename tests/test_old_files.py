"""Experiments and checkpoints from before version 0.2 count, are scored, and go on to the same end."""

import json
import shutil
import signal

import numpy as np
import pytest
import torch
from helpers_networks import picture
from helpers_old import OLD_NAME_OF, make_old, old_exp_dict
from helpers_runs import only_savedir, scores, stop_at

import lcfcn
import trainval
from benchmarks.kill_test import SMALL, outcome, same
from exp_configs import EXP_GROUPS
from lcfcn.counting.settings import OLD_NAMES, with_new_names
from lcfcn.counting.weight_files import load_checkpoint, ready_folder
from lcfcn.decoding import Decoding
from lcfcn.errors import UserError
from scripts import evaluate, export
from src.experiments.folders import experiment_id, find_experiments
from src.experiments.schema import check_exp_dict, override, with_defaults
from src.training import checkpoints

SETTINGS = ["heatmap_only=0.2", "heatmap_weight=0.5", "ema_decay=0.9", "flip_test=True", "repeats=2"]
NETWORK = ["model.base=fpn_mobilenet_v2", "model.output_stride=4"]
TODAY = override(EXP_GROUPS["demo"][0], [*SMALL, *NETWORK, *SETTINGS, "decoding=validation", "max_epoch=3"])
OLD = old_exp_dict(TODAY)
"""An experiment that has each of the settings whose name changed. An epoch has six steps."""


def train(savedir_base, *options):
    return trainval.main(["-sb", str(savedir_base), "--device", "cpu", *options])


@pytest.fixture(scope="module", autouse=True)
def group():
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(EXP_GROUPS, "old", [OLD])
        yield


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Where the experiment ran without a stop."""
    folder = tmp_path_factory.mktemp("whole")
    assert train(folder, "-e", "old") == 0
    return folder


@pytest.fixture(scope="module")
def stopped(tmp_path_factory):
    """Where it was stopped after the third step of its second epoch, by a version before 0.2."""
    folder = tmp_path_factory.mktemp("stopped")
    with pytest.MonkeyPatch.context() as patch:
        stop_at(9, signal.SIGINT, patch)
        assert train(folder, "-e", "old") == 130
    left = make_old(only_savedir(folder))
    assert left["sums"]["n_batches"] == 3
    assert set(left["exp_dict"]) == set(OLD)
    assert "train_bumps" in left["score_list"][0]
    assert "train_bumps" in left["sums"]
    return folder


def test_it_has_each_old_name_and_no_new_one():
    assert set(OLD_NAMES) <= set(OLD)
    assert not set(OLD_NAME_OF) & set(OLD)
    assert with_new_names(OLD) == TODAY
    check_exp_dict(OLD)
    assert with_defaults(OLD) == with_defaults(TODAY)


def test_the_hash_is_that_of_the_experiment_as_it_was_written(whole):
    before = json.dumps(OLD)
    (found,) = find_experiments({"old": [OLD]}, ["old"], None, whole, [])
    assert found == OLD
    assert experiment_id(OLD) != experiment_id(TODAY)
    savedir = only_savedir(whole)
    assert savedir.name == experiment_id(OLD)
    assert json.loads((savedir / "exp_dict.json").read_text()) == OLD
    assert json.dumps(OLD) == before
    (by_id,) = find_experiments({}, None, savedir.name, whole, [])
    assert by_id == OLD


@pytest.mark.parametrize(
    ("assignment", "old", "value"),
    [
        ("repeats=3", "passes", 3),
        ("passes=3", "passes", 3),
        ("heatmap_only=0", "warm_up", 0),
        ("decoding={'depth': 2}", "reading", {"depth": 2}),
        ("reading.depth=2", "reading", {"depth": 2}),
        ("decoding.depth=2", "reading", {"depth": 2}),
    ],
)
def test_a_setting_is_overridden_under_the_name_that_it_has(assignment, old, value):
    assert override(OLD, [assignment]) == {**OLD, old: value}
    new = OLD_NAMES[old]
    assert override(TODAY, [assignment]) == {**TODAY, new: value}


def test_an_old_section_keeps_its_other_entries():
    written = {**OLD, "reading": {"threshold": -0.5}}
    assert override(written, ["decoding.depth=2"])["reading"] == {"threshold": -0.5, "depth": 2}


def test_both_names_of_one_setting_are_refused():
    with pytest.raises(UserError, match="has both passes and repeats, which are one setting"):
        check_exp_dict({**OLD, "repeats": 1})


@pytest.mark.parametrize("by", ["group", "id"])
def test_a_run_goes_on_to_the_same_end(whole, stopped, tmp_path, capsys, by):
    shutil.copytree(stopped, tmp_path / "runs")
    options = ["-e", "old"] if by == "group" else ["-ei", experiment_id(OLD)]
    assert train(tmp_path / "runs", *options) == 0
    assert "Resumed in epoch 1, after 3 of its steps" in capsys.readouterr().out
    expected, found = outcome(whole), outcome(tmp_path / "runs")
    for state in (expected, found):  # the best network may be that of the old version still
        state["best"]["exp_dict"] = with_defaults(state["best"]["exp_dict"])
    assert same(expected, found)
    rows = scores(only_savedir(tmp_path / "runs"))
    assert [row["epoch"] for row in rows] == [0, 1, 2]
    assert all(row["train_heatmap"] > 0 and "train_bumps" not in row for row in rows)


def test_the_end_of_an_epoch_is_known_too(whole, tmp_path):
    """Between two epochs an old checkpoint holds no sums."""
    savedir = shutil.copytree(only_savedir(whole), tmp_path / only_savedir(whole).name)
    assert make_old(savedir)["sums"] == {}
    state = checkpoints.load_run(savedir / checkpoints.LAST)
    assert state["progress"] == {"epoch": 3, "step": 18, "step_in_epoch": 0, "sums": {}}
    before = (savedir / checkpoints.BEST).read_bytes()
    assert train(tmp_path, "-e", "old") == 0
    assert (savedir / checkpoints.BEST).read_bytes() == before


@pytest.fixture(scope="module")
def best(whole, tmp_path_factory):
    """The best network of an old experiment, beside its folder's other files."""
    folder = shutil.copytree(whole, tmp_path_factory.mktemp("best") / "runs")
    make_old(only_savedir(folder))
    return only_savedir(folder)


def test_its_network_counts_the_same(whole, best):
    assert "reading" in load_checkpoint(best / checkpoints.BEST)["exp_dict"]
    found, expected = (lcfcn.load(folder, device="cpu") for folder in (best, only_savedir(whole)))
    assert found.trained.settings == expected.trained.settings
    assert found.trained.settings.flip_test
    image = picture(64, 96)
    np.testing.assert_array_equal(found.count(image).xy, expected.count(image).xy)


def test_its_network_scores_as_it_was_validated(best, tmp_path):
    arguments = ["-sb", best.parent, "-ei", best.name, "--split", "val", "-o", tmp_path, "--device", "cpu"]
    assert evaluate.main([str(argument) for argument in arguments]) == 0
    report = json.loads((tmp_path / "scores_val.json").read_text())
    assert report["all"]["scores"]["mae"]["value"] == checkpoints.best_row(scores(best))["val_mae"]


def test_its_card_says_that_validation_chose_the_decoding(best, tmp_path):
    assert export.main([str(best), "-o", str(tmp_path / "a.pth")]) == 0
    assert "These images chose the epoch and the decoding" in (tmp_path / "a.md").read_text(encoding="utf-8")
    ready = torch.load(tmp_path / "a.pth", weights_only=True)
    assert not set(ready["exp_dict"]) & set(OLD_NAMES)
    assert ready["scores"]["val_mae"] == checkpoints.best_row(scores(best))["val_mae"]


def test_the_ready_weights_are_from_before_too():
    assert {"reading", "mirror"} <= set(load_checkpoint(ready_folder() / "shanghai_B.pth")["exp_dict"])
    settings = lcfcn.load("shanghai_B", device="cpu").trained.settings
    assert (settings.zoom, settings.flip_test) == (1.5, True)
    assert settings.decoding == Decoding(threshold=-0.25, depth=0.2, smoothing=0.7)
