import json
import math
import os
import pty
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from helpers_runs import only_savedir, scores, stop_at
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import trainval
from benchmarks.kill_test import SMALL, kill_test, outcome, same
from exp_configs import EXP_GROUPS
from lcfcn.networks.registry import build_network
from src.datasets import collate, get_dataset
from src.models import LCFCN
from src.training import checkpoints
from src.training.curves import FOLDER
from src.training.loaders import make_loader
from src.training.runtime import Runtime

COLUMNS = [
    *["epoch", "train_loss", "train_image_level", "train_point_level", "train_split_level", "train_false_positive"],
    *["lr", "train_seconds", "images_per_second", "val_mae", "val_rmse", "val_game_1", "val_game_2", "val_game_3"],
    *["val_score", "val_seconds", "peak_memory_gib"],
]


def train(savedir_base, *overrides, options=()):
    arguments = ["-e", "demo", "-sb", str(savedir_base), "--device", "cpu", *options]
    return trainval.main([*arguments, "--set", *SMALL, "max_epoch=2", *overrides])


def failure(capsys, *arguments):
    """The one line that a user's mistake prints; argparse exits by itself."""
    try:
        code = trainval.main([str(a) for a in arguments])
    except SystemExit as error:
        code = error.code
    err = capsys.readouterr().err
    assert code == 2
    assert err.count("\n") == 1, err
    assert err.startswith(("trainval.py: error: ", f"{os.path.basename(sys.argv[0])}: error: ")), err
    return err


def test_an_experiment_leaves_what_haven_reads(tmp_path, capsys):
    assert train(tmp_path) == 0
    savedir = only_savedir(tmp_path)
    for name in ("exp_dict.json", "score_list.pkl", "score_list_best.pkl", "model.pth", "model_best.pth"):
        assert (savedir / name).stat().st_size > 0
    assert not [p.name for p in sorted(savedir.iterdir()) if p.name.endswith(".tmp")]
    rows = scores(savedir)
    assert [sorted(row) for row in rows] == [sorted(COLUMNS)] * 2
    for row in rows:
        terms = sum(row[f"train_{t}"] for t in ("image_level", "point_level", "split_level", "false_positive"))
        assert row["train_loss"] == pytest.approx(terms, rel=1e-6)
        assert row["val_score"] == -row["val_mae"]
        assert row["val_mae"] <= row["val_rmse"] + 1e-9
        assert row["val_mae"] <= row["val_game_1"] <= row["val_game_2"] <= row["val_game_3"]
    pictures = sorted((savedir / "images").iterdir())
    assert len(pictures) == 2  # there are two validation images
    with Image.open(pictures[0]) as picture:
        assert picture.width == 3 * 320 < 3 * picture.height
    assert json.loads((savedir / "exp_dict.json").read_text())["seed"] == 3
    out = capsys.readouterr().out
    assert str(savedir / "images") in out

    from haven import haven_results

    manager = haven_results.ResultManager(savedir_base=str(tmp_path), verbose=0)
    assert len(manager.get_score_lists()[0]) == 2


def test_the_same_seed_gives_the_same_run_and_resuming_a_finished_one_changes_nothing(tmp_path):
    assert train(tmp_path / "a") == train(tmp_path / "b", options=["-nw", "2"]) == 0
    assert same(outcome(tmp_path / "a"), outcome(tmp_path / "b"))
    assert train(tmp_path / "c", "seed=4") == 0
    assert not same(outcome(tmp_path / "a")["model"], outcome(tmp_path / "c")["model"])
    assert train(tmp_path / "a") == 0
    assert same(outcome(tmp_path / "a"), outcome(tmp_path / "b"))


def test_reset_backs_up_and_restarts(tmp_path):
    assert train(tmp_path) == 0
    savedir = only_savedir(tmp_path)
    (savedir / "note").write_text("old")
    assert train(tmp_path, options=["-r", "1"]) == 0
    assert not (savedir / "note").exists()
    assert (tmp_path / "deleted" / savedir.name / "note").exists()
    assert len(scores(savedir)) == 2


def test_the_first_share_of_the_steps_warms_up_also_in_a_run_that_goes_on(tmp_path, monkeypatch):
    assert train(tmp_path / "a", "heatmap_only=0.5") == 0
    first, second = scores(only_savedir(tmp_path / "a"))
    assert first["train_loss"] == first["train_heatmap"] > 0
    assert "train_point_level" not in first
    assert "train_heatmap" not in second
    assert second["train_point_level"] > 0
    with monkeypatch.context() as patch:
        stop_at(2, signal.SIGINT, patch)
        assert train(tmp_path / "b", "heatmap_only=0.5") == 130
    assert train(tmp_path / "b", "heatmap_only=0.5") == 0
    assert same(outcome(tmp_path / "a"), outcome(tmp_path / "b"))


def test_bumps_are_learned_beside_the_loss_with_their_weight(tmp_path):
    for weight in (0, 0.5, 1):
        # A single step.
        assert train(tmp_path / f"{weight}", f"heatmap_weight={weight}", "max_epoch=1", "batch_size=6") == 0
    none, half, whole = (scores(only_savedir(tmp_path / f"{weight}"))[0] for weight in (0, 0.5, 1))
    assert "train_heatmap" not in none
    assert whole["train_heatmap"] == pytest.approx(2 * half["train_heatmap"], rel=1e-5)
    for row in (half, whole):
        assert row["train_loss"] == pytest.approx(none["train_loss"] + row["train_heatmap"], rel=1e-5)
    assert not same(outcome(tmp_path / "0")["model"], outcome(tmp_path / "1")["model"])


def test_the_average_is_validated_and_kept_and_goes_on_where_it_was(tmp_path, monkeypatch):
    assert train(tmp_path / "none") == train(tmp_path / "whole", "ema_decay=0.9") == 0
    with monkeypatch.context() as patch:
        stop_at(5, signal.SIGINT, patch)
        assert train(tmp_path / "cut", "ema_decay=0.9") == 130
    assert train(tmp_path / "cut", "ema_decay=0.9") == 0
    none, whole, cut = (outcome(tmp_path / name) for name in ("none", "whole", "cut"))
    assert same(whole, cut)
    assert same(whole["trained"], none["model"])
    assert not same(whole["model"], none["model"])
    assert train(tmp_path / "one", "ema_decay=0.9", "max_epoch=1") == 0
    one, savedir = outcome(tmp_path / "one"), only_savedir(tmp_path / "one")
    assert same(one["best"]["model"], one["model"])
    best = checkpoints.load_checkpoint(savedir / checkpoints.BEST)
    model = LCFCN.from_checkpoint(best["exp_dict"], best, Runtime("cpu"))
    dataset = get_dataset(one["exp_dict"]["dataset"], "val", None, size=2, seed=3)
    again = model.val_on_loader(make_loader(dataset, collate, model.runtime, workers=0))
    assert again["val_mae"] == checkpoints.best_row(scores(savedir))["val_mae"]
    assert again["val_game_3"] == checkpoints.best_row(scores(savedir))["val_game_3"]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 130), (signal.SIGUSR2, 140)])
def test_a_signal_saves_in_mid_epoch_and_the_run_ends_the_same(tmp_path, monkeypatch, capsys, number, code):
    assert train(tmp_path / "whole") == 0
    n_steps = stop_at(5, number, monkeypatch)  # the second batch of the second epoch
    assert train(tmp_path / "cut") == code
    assert "Stopped after the current batch" in capsys.readouterr().out
    state = checkpoints.load_checkpoint(only_savedir(tmp_path / "cut") / checkpoints.LAST)
    assert (state["progress"]["epoch"], state["progress"]["step"], state["progress"]["step_in_epoch"]) == (1, 5, 2)
    assert len(state["score_list"]) == 1
    assert train(tmp_path / "cut") == 0
    assert len(n_steps) == 6
    whole, cut = outcome(tmp_path / "whole"), outcome(tmp_path / "cut")
    assert same(whole["model"], cut["model"])
    assert same(whole["opt"], cut["opt"])
    assert same(whole["score_list"], cut["score_list"])


@pytest.mark.slow
def test_tensorboard_has_each_score_once_also_of_a_run_that_went_on(tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        stop_at(5, signal.SIGINT, patch)
        assert train(tmp_path, options=["--tensorboard"]) == 130
    assert train(tmp_path, options=["--tensorboard"]) == 0
    savedir = only_savedir(tmp_path)
    assert len(sorted((savedir / FOLDER).iterdir())) == 2
    events = EventAccumulator(str(savedir / FOLDER)).Reload()
    rows = scores(savedir)
    assert sorted(events.Tags()["scalars"]) == sorted(set(COLUMNS) - {"epoch"})
    for name in events.Tags()["scalars"]:
        found = [(event.step, event.value) for event in events.Scalars(name)]
        assert found == [(row["epoch"], pytest.approx(row[name], rel=1e-6)) for row in rows], name
    assert len(rows) == 2


def test_killed_runs_end_as_if_they_had_never_stopped(tmp_path):
    runs, alike = kill_test(tmp_path, n_kills=5)
    assert runs == alike >= 1


def test_non_finite_loss_stops_the_run_with_the_images_name_and_keeps_the_checkpoint(tmp_path, monkeypatch, capsys):
    assert train(tmp_path) == 0
    path = only_savedir(tmp_path) / checkpoints.LAST
    state = checkpoints.load_checkpoint(path)
    whole = path.read_bytes()
    for value in state["model"].values():
        if value.is_floating_point():
            value.fill_(math.nan)
    state |= {"score_list": state["score_list"][:1], "progress": {**state["progress"], "epoch": 1}}
    monkeypatch.setattr(checkpoints, "load_checkpoint", lambda _: state)
    assert train(tmp_path) == 2
    err = capsys.readouterr().err
    assert "the loss is not finite at image synthetic_train" in err.splitlines()[-1]
    assert path.read_bytes() == whole


def test_arguments_that_are_no_good_are_one_line_and_write_nothing(tmp_path, capsys):
    base = tmp_path / "runs"
    here = ["-sb", base, "--device", "cpu"]
    file = tmp_path / "file"
    file.write_text("")
    for arguments, message in [
        (["-e", "tranco", *here], "-e tranco is unknown; did you mean trancos?; choose from demo"),
        (["-e", "trancos", *here], "-d"),
        (["-e", "trancos", "-d", tmp_path / "nowhere", *here], "nowhere"),
        ([*here], "there is no experiment to run"),
        (["-ei", "0" * 32, *here], f"-ei {'0' * 32} is unknown"),
        (["-e", "demo", "-ei", "0" * 32, *here], f"-ei {'0' * 32} is not in demo"),
        (["-e", "demo", "-sb", base, "--device", "cuda:77"], "cuda:77 is not there"),
        (["-e", "demo", "-sb", base, "--device", "tpu"], "tpu is unknown"),
        (["-e", "demo", "-sb", base, "--precision", "8"], "--precision"),
        (["-e", "demo", "-sb", file / "runs", "--device", "cpu"], "is not a folder"),
        (["-e", "demo", *here, "--set", "colour=red"], "--set colour is unknown; choose from batch_size"),
        (["-e", "demo", *here, "--set", "model.base=unet"], "fcn8_mobilenet_v2"),
        (["-e", "demo", *here, "--set", "dataset.name=nothing"], "trancos"),
        (["-e", "demo", *here, "--set", "optimizer=lion"], "adamw"),
        (
            ["-e", "demo", *here, "--set", "flip_test=True"],
            "flip_test is True with model.base fcn8_mobilenet_v2; expected",
        ),
        (["-e", "demo", *here, "--set", "schedule={'name': 'saw'}"], "cosine"),
        (["-e", "demo", *here, "--set", "model.n_classes=2"], "n_classes"),
        (["-e", "demo", *here, "--set", f"model.pretrained={tmp_path}/none.pth"], "none.pth"),
        (["-e", "demo", *here, "--set", "model.pretrained=3"], "model.pretrained is 3"),
        (["-e", "demo", *here, "--set", "model.base=[1]"], "model.base is [1]"),
        (["-e", "demo", *here, "--set", "model.freeze_batch_norm=x"], "model.freeze_batch_norm is 'x'"),
        (["-e", "demo", *here, "--set", "betas=1"], "refuses"),
        (["-e", "demo", *here, "--set", "weight_decay=-1"], "refuses"),
        (["-e", "demo", *here, "--set", "momentum=0.9"], "does not use momentum"),
        (["-e", "demo", *here, "--set", "optimizer=[1]"], "sgd"),
        (["-e", "demo", *here, "--set", "schedule=cosine"], "schedule is 'cosine'"),
        (["-e", "demo", *here, "--set", "schedule={'name':'one_cycle','pct_start':2}"], "refuses"),
        (["-e", "demo", *here, "--set", "lr=1e999"], "lr is inf"),
        (["-e", "demo", *here, "--set", "lr={[]:1}"], "lr is '{[]:1}'"),
        (["-e", "demo", *here, "--set", f"seed={2**40}"], "seed is"),
        (["-e", "demo", "-sb", base, "--device", "cpu:"], "cpu: is unknown"),
        (["-e", "demo"], "-sb"),
        (["-e", "demo", *here, "-r", "2"], "-r"),
        (["-e", "demo", *here, "--no_such_flag"], "no_such_flag"),
        (["-e", "demo", *here, "-nw", "-1"], "-nw"),
    ]:
        assert message in failure(capsys, *arguments)
        assert not base.exists(), arguments


def test_a_truncated_checkpoint_is_refused_and_kept(tmp_path, capsys):
    assert train(tmp_path) == 0
    path = only_savedir(tmp_path) / checkpoints.LAST
    path.write_bytes(path.read_bytes()[:1000])
    assert train(tmp_path) == 2
    assert "model.pth cannot be read" in capsys.readouterr().err.splitlines()[-1]
    assert path.stat().st_size == 1000
    assert train(tmp_path, options=["-r", "1"]) == 0


def test_a_network_alone_is_no_run_to_resume(tmp_path, capsys):
    assert train(tmp_path) == 0
    savedir = only_savedir(tmp_path)
    (savedir / checkpoints.LAST).write_bytes((savedir / checkpoints.BEST).read_bytes())
    assert train(tmp_path) == 2
    assert "holds no opt, schedule" in capsys.readouterr().err.splitlines()[-1]


def test_a_run_resumes_in_another_precision(tmp_path, monkeypatch):
    stop_at(4, signal.SIGINT, monkeypatch)
    assert train(tmp_path) == 130
    assert train(tmp_path, options=["--precision", "bf16"]) == 0
    assert len(scores(only_savedir(tmp_path))) == 2


def test_a_signal_to_the_whole_group_saves_too(tmp_path):
    command = [sys.executable, "trainval.py", "-e", "demo", "-sb", str(tmp_path), "--device", "cpu", "-nw", "1"]
    command += ["--set", *SMALL, "max_epoch=500"]
    root = Path(trainval.__file__).parent
    with subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True, cwd=root, text=True) as process:
        for line in process.stdout:
            if line.startswith("epoch"):
                break
        os.killpg(process.pid, signal.SIGTERM)
        rest = process.stdout.read()
        assert process.wait(timeout=60) == 130
    assert "Stopped after the current batch" in rest
    assert checkpoints.load_run(only_savedir(tmp_path) / checkpoints.LAST)["score_list"]


def test_a_crop_too_small_for_batch_norm_is_told(tmp_path, capsys):
    assert train(tmp_path, "batch_size=1", "dataset.augment={'crop': 32}") == 2
    assert "too small for batch norm" in capsys.readouterr().err.splitlines()[-1]


def test_several_classes_train(tmp_path):
    assert train(tmp_path, "dataset.n_classes=2", "model.n_classes=2") == 0
    row = scores(only_savedir(tmp_path))[-1]
    assert row["val_mae"] == pytest.approx((row["val_mae_1"] + row["val_mae_2"]) / 2)


def test_bfloat16_trains(tmp_path):
    assert train(tmp_path, options=["--precision", "bf16"]) == 0


def trancos_arguments(shared, tmp_path, *overrides):
    weights = shared / "weights" / "mobilenet_v2_imagenet_features.pth"
    small = ["max_epoch=1", "dataset_size.train=4", "dataset_size.val=2", f"model.pretrained={weights}"]
    return ["-e", "trancos_light", "-sb", str(tmp_path), "--device", "cpu", "--set", *small, *overrides]


def test_real_cars_train_from_pretrained_weights(shared, tmp_path):
    datadir = str(shared / "data" / "trancos_layout")
    assert trainval.main([*trancos_arguments(shared, tmp_path), "-d", datadir]) == 0
    assert math.isfinite(scores(only_savedir(tmp_path))[0]["val_mae"])


@pytest.mark.parametrize("workers", ["0", "1"])
def test_a_damaged_file_stops_the_run_with_its_name_and_keeps_the_checkpoint(shared, tmp_path, capsys, workers):
    source = shared / "data" / "trancos_layout"
    copy = tmp_path / "TRANCOS_v3"
    (copy / "images").mkdir(parents=True)
    (copy / "image_sets").symlink_to(source / "image_sets")
    for path in sorted((source / "images").iterdir()):
        (copy / "images" / path.name).symlink_to(path)
    arguments = [*trancos_arguments(shared, tmp_path / "runs", "max_epoch=2"), "-d", str(tmp_path), "-nw", workers]
    name = (source / "image_sets" / "training.txt").read_text().split()[2]
    damaged = copy / "images" / name
    content = damaged.read_bytes()
    damaged.unlink()
    damaged.write_bytes(content[: len(content) // 2])
    assert trainval.main(arguments) == 2
    assert name in capsys.readouterr().err.splitlines()[-1]
    assert not (only_savedir(tmp_path / "runs") / checkpoints.LAST).exists()


def test_full_size_groups_build_and_their_data_is_asked_for():
    for name in ("trancos", "shanghai", "trancos_debug"):
        for exp_dict in EXP_GROUPS[name]:
            options = {k: v for k, v in exp_dict["model"].items() if k not in ("name", "base", "pretrained")}
            with torch.device("meta"):
                network = build_network(exp_dict["model"]["base"], pretrained=None, **options)
            assert sum(p.numel() for p in network.parameters()) > 130e6


@pytest.mark.usefixtures("hang_up_counts")
def test_hanging_up_saves_in_mid_epoch_and_the_run_ends_the_same(tmp_path, monkeypatch):
    assert train(tmp_path / "whole") == 0
    with monkeypatch.context() as patch:
        stop_at(5, signal.SIGHUP, patch)
        assert train(tmp_path / "cut") == 130
    state = checkpoints.load_run(only_savedir(tmp_path / "cut") / checkpoints.LAST)
    assert state["progress"]["step_in_epoch"] == 2
    assert train(tmp_path / "cut") == 0
    assert same(outcome(tmp_path / "whole"), outcome(tmp_path / "cut"))


@pytest.mark.usefixtures("hang_up_counts")
def test_a_closed_terminal_leaves_a_checkpoint(tmp_path):
    ours, theirs = pty.openpty()
    ends = {"stdin": theirs, "stdout": theirs, "stderr": theirs, "start_new_session": True}
    command = ["-e", "demo", "-sb", str(tmp_path), "--device", "cpu", "--set", *SMALL, "max_epoch=500"]
    set_terminal = "import fcntl, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); "
    run = f"{set_terminal}import sys, trainval; sys.exit(trainval.main({command!r}))"
    process = subprocess.Popen([sys.executable, "-c", run], cwd=Path(trainval.__file__).parent, **ends)
    os.close(theirs)
    seen = b""
    while b"epoch   1" not in seen:
        seen += os.read(ours, 1000)
    os.close(ours)
    assert process.wait(timeout=120) == 130
    assert checkpoints.load_run(only_savedir(tmp_path) / checkpoints.LAST)["score_list"]
