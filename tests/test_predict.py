import csv
import os
import pickle
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from exp_configs import EXP_GROUPS
from lcfcn.counting import drawing, folders
from lcfcn.counting.counter import load
from lcfcn.networks.registry import build_network
from lcfcn.stopping import Stopped
from scripts import import_points, predict
from src.annotations import cvat

EXP_DICT = EXP_GROUPS["demo"][0]


class Reds(torch.nn.Module):
    """Red pixels are of class 1, and with two classes the green ones of class 2."""

    def __init__(self, n_classes):
        super().__init__()
        self.n_classes = n_classes

    def forward(self, images):
        objects = 20 * (images[:, : self.n_classes] - 0.5)
        return objects if self.n_classes == 1 else torch.cat([torch.zeros_like(objects[:, :1]), objects], dim=1)


@pytest.fixture
def checkpoint(tmp_path, monkeypatch):
    """A checkpoint whose network says what is red."""

    def build_reds(name, n_classes, **options):
        return Reds(n_classes)

    monkeypatch.setattr("lcfcn.counting.trained_network.build_network", build_reds)
    return save(tmp_path / "net.pth")


def save(path, n_classes=1, **entries):
    exp_dict = {**EXP_DICT, "dataset": {**EXP_DICT["dataset"], "transform": "none"}}
    exp_dict["model"] = {**EXP_DICT["model"], "n_classes": n_classes}
    torch.save({"model": {}, "exp_dict": exp_dict, **entries}, path)
    return path


def draw(path, squares=(), size=(40, 60), colour=(255, 0, 0)):
    """A black image with squares of 3 x 3 pixels whose middles are (row, col)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = np.zeros((*size, 3), dtype=np.uint8)
    for row, col in squares:
        image[row - 1 : row + 2, col - 1 : col + 2] = colour
    Image.fromarray(image).save(path)
    return path


def table(path):
    with path.open(encoding="utf-8", newline="") as file:
        header, *rows = csv.reader(file)
    return header, [tuple(row) for row in rows]


def run(*arguments):
    return predict.main([str(argument) for argument in (*arguments, "--device", "cpu")])


def test_counts_points_and_overlays(tmp_path, checkpoint):
    draw(tmp_path / "photos" / "b ü.png", [(10, 20), (30, 50)])
    draw(tmp_path / "photos" / "a.png")
    out = tmp_path / "out"
    assert run(tmp_path / "photos", "-c", checkpoint, "-o", out) == 0
    assert table(out / "counts.csv") == (
        ["image", "class", "count"],
        [("a.png", "object", "0"), ("b ü.png", "object", "2")],
    )
    score = f"{1 / (1 + np.exp(-10)):.4f}"
    assert table(out / "points.csv") == (
        ["image", "x", "y", "class", "score", "area"],
        [("b ü.png", "20.5", "10.5", "object", score, "9"), ("b ü.png", "50.5", "30.5", "object", score, "9")],
    )
    assert table(out / "failed.csv") == (["image", "reason"], [])
    overlay = np.asarray(Image.open(out / "overlays" / "b ü.png.png"))
    plain = np.asarray(Image.open(out / "overlays" / "a.png.png"))
    marked = (overlay == drawing.PREDICTED_COLOUR).all(axis=-1)
    assert overlay.shape == plain.shape
    assert marked.any()
    assert not (plain == drawing.PREDICTED_COLOUR).all(axis=-1).any()
    assert sorted(p.name for p in out.iterdir()) == ["counts.csv", "failed.csv", "overlays", "points.csv"]


def test_several_classes_by_name_and_in_their_order(tmp_path, checkpoint):
    save(checkpoint, n_classes=2, class_names=["red, big", "green"])
    draw(tmp_path / "in" / "a.png", [(10, 20)], colour=(0, 255, 0))
    draw(tmp_path / "in" / "b.png", [(10, 20), (30, 40)])
    out = tmp_path / "out"
    assert run(tmp_path / "in", "-c", checkpoint, "-o", out) == 0
    counts = [("a.png", "red, big", "0"), ("a.png", "green", "1"), ("b.png", "red, big", "2"), ("b.png", "green", "0")]
    assert table(out / "counts.csv")[1] == counts
    assert [row[3] for row in table(out / "points.csv")[1]] == ["green", "red, big", "red, big"]


def test_names_are_relative_to_the_common_folder(tmp_path, checkpoint):
    draw(tmp_path / "in" / "day 1" / "x.png")
    draw(tmp_path / "in" / "day 2" / "deep" / "x.PNG", [(5, 5)])
    draw(tmp_path / "in" / ".hidden.png")
    (tmp_path / "in" / "notes.txt").write_text("none")
    out = tmp_path / "out"
    assert run(tmp_path / "in", "-c", checkpoint, "-o", out, "--recursive") == 0
    counts = [("day 1/x.png", "object", "0"), ("day 2/deep/x.PNG", "object", "1")]
    assert table(out / "counts.csv")[1] == counts
    assert (out / "overlays" / "day 2" / "deep" / "x.PNG.png").is_file()


def test_a_pattern_and_a_file_named_twice(tmp_path, checkpoint):
    for name in ("a1.png", "a2.png", "b[1].png", "b1.png"):
        draw(tmp_path / "in" / name)
    folder = tmp_path / "in"
    assert run(f"{folder}/a*.png", folder / "a1.png", folder / "b[1].png", "-c", checkpoint, "-o", tmp_path / "o") == 0
    assert [row[0] for row in table(tmp_path / "o" / "counts.csv")[1]] == ["a1.png", "a2.png", "b[1].png"]


def test_overlays_of_an_earlier_run_are_not_counted(tmp_path, checkpoint):
    draw(tmp_path / "a.png")
    for _ in range(2):
        assert run(tmp_path, "-c", checkpoint, "-o", tmp_path / "out", "--recursive") == 0
        assert len(table(tmp_path / "out" / "counts.csv")[1]) == 1


def test_bad_files_are_listed_and_the_rest_goes_on(tmp_path, checkpoint, capsys):
    draw(tmp_path / "in" / "a.png", [(10, 20)])
    (tmp_path / "in" / "b.png").write_bytes(b"no image")
    draw(tmp_path / "in" / "c.png", size=(300, 400))
    draw(tmp_path / "in" / "d.png", [(10, 20)])
    out = tmp_path / "out"
    arguments = (tmp_path / "in", "-c", checkpoint, "-o", out, "--max-pixels", 10_000, "--batch-size", 3)
    assert run(*arguments) == 1
    assert [row[0] for row in table(out / "counts.csv")[1]] == ["a.png", "d.png"]
    failed = table(out / "failed.csv")[1]
    assert [name for name, _ in failed] == ["b.png", "c.png"]
    lines = [line for line in capsys.readouterr().err.replace("\r", "\n").splitlines() if "predict.py:" in line]
    assert [line.split(": ")[1] for line in lines] == ["b.png", "c.png"]
    assert all(reason in line for (_, reason), line in zip(failed, lines, strict=True))
    assert not (out / "overlays" / "b.png.png").exists()


def test_all_bad_is_exit_code_2(tmp_path, checkpoint):
    (tmp_path / "b.png").write_bytes(b"no image")
    assert run(tmp_path / "b.png", "-c", checkpoint, "-o", tmp_path / "out") == 2
    assert len(table(tmp_path / "out" / "failed.csv")[1]) == 1


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["missing.png"], "missing.png names no image"),
        (["none*.png"], "none*.png names no image"),
        (["empty"], "empty names no image"),
        (["a.png", "--batch-size", "0"], "argument --batch-size: it is 0; expected 1 or more"),
        (["a.png", "--tile", "10"], "--tile is 10"),
        (["a.png", "-c", "missing.pth"], "there is no missing.pth"),
        (["a.png", "-c", "empty"], "holds no model_best.pth"),
        (["a.png", "-c", "a.png"], "a.png cannot be read"),
        (["a.png", "--export", "word"], "invalid choice"),
        (["a.png", "-o", "net.pth"], "the folder net.pth cannot be made"),
    ],
)
def test_mistakes_are_one_line_and_nothing_is_written(tmp_path, checkpoint, monkeypatch, capsys, arguments, told):
    monkeypatch.chdir(tmp_path)
    draw(tmp_path / "a.png")
    (tmp_path / "empty").mkdir()
    before = sorted(p.name for p in tmp_path.iterdir())
    command = [arguments[0], "-c", "net.pth", "-o", "out", *arguments[1:]]
    try:
        code = run(*command)
    except SystemExit as error:
        code = error.code
    assert code == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert told in lines[0]
    assert sorted(p.name for p in tmp_path.iterdir()) == before


class Evil:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (Path.touch, (self.path,))


@pytest.mark.parametrize("writer", [pickle.dumps, None])
def test_code_in_a_checkpoint_is_not_run(tmp_path, checkpoint, capsys, writer):
    draw(tmp_path / "a.png")
    trace = tmp_path / "trace"
    bad = tmp_path / "bad.pth"
    if writer:
        bad.write_bytes(writer({"model": Evil(trace)}))
    else:
        torch.save({"model": Evil(trace)}, bad)
    assert run(tmp_path / "a.png", "-c", bad, "-o", tmp_path / "out") == 2
    assert len(capsys.readouterr().err.splitlines()) == 1
    assert not trace.exists()
    assert not (tmp_path / "out").exists()


def test_batches_give_what_single_images_give(tmp_path, checkpoint):
    for number, size in enumerate([(40, 60), (40, 60), (40, 60), (50, 60), (40, 60), (200, 300)]):
        draw(tmp_path / "in" / f"{number}.png", [(10 + number, 20), (30, 40)][: 1 + number % 2], size)
    rows = []
    for size in (1, 2, 4):
        out = tmp_path / f"out{size}"
        assert run(tmp_path / "in", "-c", checkpoint, "-o", out, "--batch-size", size, "--tile", 200) == 0
        rows.append([table(out / name) for name in ("counts.csv", "points.csv")])
    assert rows[0] == rows[1] == rows[2]
    assert len(rows[0][1][1]) == 9


def test_groups_hold_neighbours_of_one_size_that_fit(tmp_path, checkpoint):
    sizes = [(40, 60), (40, 60), (40, 60), (60, 40), (200, 300), (200, 300), (40, 60), (40, 60)]
    files = {str(n): draw(tmp_path / f"{n}.png", size=size) for n, size in enumerate(sizes)}
    files["7"].write_bytes(b"no image")
    counter = load(checkpoint, device="cpu", tile=200)
    assert list(folders.groups(files, counter, 2)) == [["0", "1"], ["2"], ["3"], ["4"], ["5"], ["6"], ["7"]]
    assert len(list(folders.groups(files, counter, 1))) == len(sizes)


def test_an_image_whose_output_breaks_does_not_spoil_its_batch(tmp_path, checkpoint, monkeypatch):
    def forward(self, images):
        logits = 20 * (images[:, :1] - 0.5)
        return torch.where(images[:, 2:].amax((1, 2, 3), keepdim=True) > 0.5, torch.nan, logits)

    monkeypatch.setattr(Reds, "forward", forward)
    draw(tmp_path / "in" / "a.png", [(5, 5)])
    draw(tmp_path / "in" / "b.png", [(5, 5)], colour=(0, 0, 255))
    draw(tmp_path / "in" / "c.png", [(5, 5)])
    out = tmp_path / "out"
    assert run(tmp_path / "in", "-c", checkpoint, "-o", out, "--batch-size", 3) == 1
    assert table(out / "counts.csv")[1] == [("a.png", "object", "1"), ("c.png", "object", "1")]
    ((name, reason),) = table(out / "failed.csv")[1]
    assert name == "b.png"
    assert "not finite" in reason


@pytest.mark.parametrize("stop", [Stopped, KeyboardInterrupt])
def test_a_run_that_is_stopped_writes_what_is_done(tmp_path, checkpoint, monkeypatch, stop):
    for name in ("a", "b", "c"):
        draw(tmp_path / "in" / f"{name}.png", [(5, 5)])
    before = folders.read_image

    def read_image(path, **options):
        if path.name == "c.png":
            raise stop
        return before(path, **options)

    monkeypatch.setattr(folders, "read_image", read_image)
    out = tmp_path / "out"
    assert run(tmp_path / "in", "-c", checkpoint, "-o", out, "--export", "cvat") == 130
    assert [row[0] for row in table(out / "counts.csv")[1]] == ["a.png", "b.png"]
    assert len(cvat.read(out / "cvat.xml", None)) == 2


def test_exports_are_read_back_as_the_points_of_the_table(tmp_path, checkpoint):
    """Through the importer's command line, classes with names in Unicode."""
    save(checkpoint, n_classes=2, class_names=["Rotes & <Großes>", "緑, 小"])
    draw(tmp_path / "in" / "x ü" / "a.png", [(10, 20), (30, 50)])
    draw(tmp_path / "in" / "x ü" / "a.bmp", [(5, 7)], colour=(0, 255, 0))
    draw(tmp_path / "in" / "b.png")
    out = tmp_path / "out"
    exports = ("--export", "geojson", "labelme", "cvat")
    assert run(tmp_path / "in", "-c", checkpoint, "-o", out, "--recursive", "--no-overlays", *exports) == 0
    assert not (out / "overlays").exists()
    rows = table(out / "points.csv")[1]
    points = [(image, float(x), float(y), label) for image, x, y, label, *_ in rows]
    assert [(image, label) for image, _, _, label in points] == [
        ("x ü/a.bmp", "緑, 小"),
        ("x ü/a.png", "Rotes & <Großes>"),
        ("x ü/a.png", "Rotes & <Großes>"),
    ]
    files = sorted(path.relative_to(out).as_posix() for path in (out / "labelme").rglob("*.json"))
    assert files == ["labelme/b.json", "labelme/x ü/a.json", "labelme/x ü/a.png.json"]  # labelme looks for a.json
    for source in ("geojson", "labelme", "cvat.xml"):
        dataset = tmp_path / f"from {source}"
        arguments = [out / source, "--images", tmp_path / "in", "-o", dataset]
        assert import_points.main([str(argument) for argument in arguments]) == 0
        read = table(dataset / "points.csv")[1]
        assert [(image, float(x), float(y), label) for image, x, y, label in read] == points
        assert [name for name, _ in table(dataset / "splits.csv")[1]] == ["b.png", "x ü/a.bmp", "x ü/a.png"]


def test_the_overlay_of_a_large_image_is_small_and_its_points_are_in_place():
    image = np.zeros((100, 5000, 3), dtype=np.uint8)
    class_map = np.zeros(image.shape[:2], dtype=np.uint8)
    class_map[40:61, 3990:4011] = 1
    drawn = drawing.overlay(image, class_map, np.array([[4000.5, 50.5]]), "object: 1")
    assert max(drawn.shape) <= drawing.OVERLAY_SIDE
    rows, cols = np.nonzero((drawn == drawing.PREDICTED_COLOUR).all(axis=-1))
    caption = drawn.shape[0] - 34
    assert cols.mean() == pytest.approx(4000 / 3, abs=1)
    assert rows.mean() - caption == pytest.approx(50 / 3, abs=1)


@pytest.mark.skipif(sys.platform == "win32", reason="names are bytes on Linux only")
def test_a_name_that_is_no_text_fails_alone(tmp_path, checkpoint):
    draw(tmp_path / "in" / "a.png")
    (tmp_path / "in" / "a.png").rename(os.fsdecode(os.fsencode(tmp_path / "in") + b"/\xff.png"))
    draw(tmp_path / "in" / "b.png")
    assert run(tmp_path / "in", "-c", checkpoint, "-o", tmp_path / "out") == 1
    ((name, reason),) = table(tmp_path / "out" / "failed.csv")[1]
    assert (name, "not UTF-8" in reason) == ("\\udcff.png", True)


def test_it_runs_from_the_command_line_with_a_real_network(tmp_path):
    model = EXP_DICT["model"]
    network = build_network(model["base"], model["n_classes"], output_stride=model["output_stride"])
    torch.save({"model": network.state_dict(), "exp_dict": EXP_DICT}, tmp_path / "model.pth")
    draw(tmp_path / "a.png", [(10, 20)])
    command = ["scripts/predict.py", tmp_path / "a.png", "-c", tmp_path, "-o", tmp_path / "out", "--device", "cpu"]
    root = Path(predict.__file__).parents[1]
    done = subprocess.run([sys.executable, *command], cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    counted, summary = done.stdout.splitlines()
    assert re.fullmatch(r"a\.png: \d+ object", counted)
    assert summary == f"1 of 1 images done, 0 failed; files in {tmp_path / 'out'}"
    assert len(table(tmp_path / "out" / "counts.csv")[1]) == 1
