"""Data that changes between the stop of a run and its resume."""

import shutil
import signal

import numpy as np
import pytest
import torch
from helpers_runs import mistake, only_savedir, stop_at
from PIL import Image

import trainval
from benchmarks.kill_test import outcome, same
from lcfcn.errors import UserError
from src.datasets import get_dataset
from src.training import checkpoints
from src.training.data_changes import DATA, check_unchanged, describe

NAMES = {"train": ["a.png", "b.png", "c.png", "d.png"], "val": ["v.png", "w.png"]}
SETTINGS = [
    "dataset.zoom=1",
    "dataset.augment={'hflip': True}",
    "model.base=fpn_mobilenet_v2",
    "model.pretrained=None",
    "repeats=1",
    "batch_size=2",
    "max_epoch=2",
    "decoding={}",
]


def write_data(folder, splits=NAMES, classes=("cow", "sheep"), moved=()):
    """Images with a click of each class; in the images that moved, the first lies elsewhere."""
    (folder / "images").mkdir(parents=True, exist_ok=True)
    rows = {"points": ["image,x,y,class"], "splits": ["image,split"]}
    for split, names in splits.items():
        for number, name in enumerate(names):
            pixels = np.random.default_rng(number).integers(0, 255, (64, 64, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / "images" / name)
            rows["splits"].append(f"{name},{split}")
            x = 40 if name in moved else 10
            rows["points"] += [f"{name},{x},{20 + number},{classes[0]}", f"{name},50,{30 + number},{classes[1]}"]
    for table, lines in rows.items():
        (folder / f"{table}.csv").write_text("\n".join(lines) + "\n")
    return folder


def describe_folder(folder, **options):
    return describe({split: get_dataset({"name": "points", **options}, split, str(folder)) for split in NAMES})


def arguments(base, data, *overrides, group="own"):
    return [
        *["-e", group, "-d", str(data), "-sb", str(base), "--device", "cpu", "--set", *SETTINGS],
        *["model.n_classes=2", *overrides],
    ]


def changes(tmp_path, **differences):
    before = describe_folder(write_data(tmp_path / "before"))
    now = describe_folder(write_data(tmp_path / "now", **differences))
    return check_unchanged({DATA: before}, now, tmp_path / "run")


def test_the_same_data_has_not_changed_in_whatever_order_its_clicks_are(tmp_path):
    assert changes(tmp_path) == []
    table = tmp_path / "now" / "points.csv"
    header, *rows = table.read_text().splitlines()
    table.write_text("\n".join([header, *rows[::-1]]) + "\n")
    now = describe_folder(tmp_path / "now")
    assert check_unchanged({DATA: describe_folder(tmp_path / "before")}, now, tmp_path) == []


def test_other_clicks_and_other_validation_images_are_told(tmp_path):
    splits = {"train": NAMES["train"], "val": ["v.png", "x.png", "y.png"]}
    assert changes(tmp_path, splits=splits, moved=["b.png", "v.png"]) == [
        "train: 1 image (b.png) with other clicks",
        "val: 2 images (x.png, y.png) added; 1 image (w.png) gone; 1 image (v.png) with other clicks",
    ]


def test_a_class_that_changes_is_told_as_clicks(tmp_path):
    folder = write_data(tmp_path / "now")
    table = folder / "points.csv"
    table.write_text(table.read_text().replace("a.png,10,20,cow", "a.png,10,20,sheep"))
    before = describe_folder(write_data(tmp_path / "before"))
    assert check_unchanged({DATA: before}, describe_folder(folder), tmp_path) == [
        "train: 1 image (a.png) with other clicks"
    ]


def test_another_order_of_the_images_is_told(tmp_path):
    splits = {"train": ["b.png", "a.png", "c.png", "d.png"], "val": NAMES["val"]}
    folder = write_data(tmp_path / "now")
    table = folder / "splits.csv"
    lines = [f"{name},{split}" for split, names in splits.items() for name in names]
    table.write_text("\n".join(["image,split", *lines]) + "\n")
    before = describe_folder(write_data(tmp_path / "before"))
    assert check_unchanged({DATA: before}, describe_folder(folder), tmp_path) == ["train: another order of the images"]


@pytest.mark.parametrize(
    ("train", "told"),
    [
        ("abc", r"training images: 1 image \(d.png\) gone\. "),
        ("abcde", r"training images: 1 image \(e.png\) added\. "),
        ("aefghi", r"5 images \(e.png, f.png, g.png, ...\) added; 3 images \(b.png, c.png, d.png\) gone"),
    ],
)
def test_other_training_images_are_refused_and_named(tmp_path, train, told):
    splits = {"train": [f"{letter}.png" for letter in train], "val": NAMES["val"]}
    with pytest.raises(UserError, match=told):
        changes(tmp_path, splits=splits)


def test_classes_of_another_order_are_refused_also_by_an_older_checkpoint(tmp_path):
    folder = write_data(tmp_path / "data")
    now = describe_folder(folder, classes=["sheep", "cow"])
    told = r"was begun with the classes cow, sheep, and the data now has sheep, cow; expected the same ones"
    for checkpoint in ({DATA: describe_folder(folder)}, {"class_names": ["cow", "sheep"]}):
        with pytest.raises(UserError, match=told):
            check_unchanged(checkpoint, now, tmp_path)
    assert check_unchanged({}, now, tmp_path) == []
    assert check_unchanged({"class_names": ["sheep", "cow"]}, now, tmp_path) == []


@pytest.fixture(scope="module")
def stopped(tmp_path_factory):
    """A run that was stopped in its second epoch, and its data."""
    folder = tmp_path_factory.mktemp("stopped")
    data = write_data(folder / "data")
    with pytest.MonkeyPatch.context() as patch:
        stop_at(3, signal.SIGINT, patch)
        assert trainval.main(arguments(folder / "runs", data)) == 130
    return folder


@pytest.fixture
def resumable(stopped, tmp_path):
    shutil.copytree(stopped, tmp_path / "here")
    return tmp_path / "here"


def test_a_run_goes_on_with_corrected_clicks_and_says_so(resumable, capsys):
    write_data(resumable / "data", moved=["b.png", "w.png"])
    assert trainval.main(arguments(resumable / "runs", resumable / "data")) == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("Changed since")]
    assert lines == [
        f"Changed since the run stopped, {split}: 1 image ({name}) with other clicks. It goes on with the data of now."
        for split, name in (("train", "b.png"), ("val", "w.png"))
    ]
    state = checkpoints.load_run(only_savedir(resumable / "runs") / checkpoints.LAST)
    assert state[DATA] == describe_folder(resumable / "data")


def test_unchanged_data_says_nothing(resumable, capsys):
    assert trainval.main(arguments(resumable / "runs", resumable / "data")) == 0
    assert "Changed" not in capsys.readouterr().out


@pytest.mark.parametrize("extra", [["e.png"], [f"{letter}.png" for letter in "efghijkl"]])
def test_added_training_images_are_one_line_and_the_checkpoint_stays(resumable, capsys, extra):
    path = only_savedir(resumable / "runs") / checkpoints.LAST
    before = path.read_bytes()
    write_data(resumable / "data", splits={"train": [*NAMES["train"], *extra], "val": NAMES["val"]})
    told = mistake(trainval.main, capsys, arguments(resumable / "runs", resumable / "data"))
    assert f"was begun with other training images: {len(extra)} image" in told
    assert "e.png" in told
    assert path.read_bytes() == before


def test_added_images_do_not_end_an_older_run_in_the_schedule(resumable, capsys):
    path = only_savedir(resumable / "runs") / checkpoints.LAST
    state = checkpoints.load_run(path)
    del state[DATA]
    torch.save(state, path)
    write_data(resumable / "data", splits={"train": [*NAMES["train"], "e.png", "f.png"], "val": NAMES["val"]})
    told = mistake(trainval.main, capsys, arguments(resumable / "runs", resumable / "data"))
    assert "the run was planned for 5 steps, and the training images now make it 7" in told


def test_a_link_to_a_lost_checkpoint_does_not_start_again(resumable, capsys):
    path = only_savedir(resumable / "runs") / checkpoints.LAST
    away = resumable / "away.pth"
    path.rename(away)
    path.symlink_to(away)
    away.rename(resumable / "lost.pth")
    told = mistake(trainval.main, capsys, arguments(resumable / "runs", resumable / "data"))
    assert f"{path} is a link to {away}, which is not there: bring that file back" in told
    (resumable / "lost.pth").rename(away)
    assert trainval.main(arguments(resumable / "runs", resumable / "data")) == 0


def test_the_run_itself_is_what_it_would_have_been(stopped, resumable, tmp_path):
    assert trainval.main(arguments(tmp_path / "whole", stopped / "data")) == 0
    assert trainval.main(arguments(resumable / "runs", resumable / "data")) == 0
    assert same(outcome(tmp_path / "whole"), outcome(resumable / "runs"))
