"""Many files: tables, overlays, files for annotation tools; batches; what fails."""

import csv
import os
import sys

import numpy as np
import pytest
import torch
from helpers_networks import BLUE, GREEN, SURE, Reds, draw, save_checkpoint
from PIL import Image

from lcfcn import cli
from lcfcn.counting import drawing, folders
from lcfcn.counting.counter import load
from lcfcn.stopping import Stopped
from scripts import import_points
from src.annotations import cvat


@pytest.fixture
def checkpoint(tmp_path, monkeypatch):
    """A checkpoint whose network says what is red."""
    monkeypatch.setattr("lcfcn.counting.trained_network.build_network", lambda name, n_classes, **_: Reds(n_classes))
    return save(tmp_path / "net.pth")


def save(path, n_classes=1, **entries):
    save_checkpoint(path, Reds(n_classes), n_classes, transform="none", **entries)
    return path


def table(path):
    with path.open(encoding="utf-8", newline="") as file:
        header, *rows = csv.reader(file)
    return header, [tuple(row) for row in rows]


def run(*arguments):
    return cli.main(["count", *map(str, arguments), "--device", "cpu"])


def test_counts_points_and_overlays(tmp_path, checkpoint):
    draw(tmp_path / "photos" / "b ü.png", [(10, 20), (30, 50)])
    draw(tmp_path / "photos" / "a.png")
    out = tmp_path / "out"
    assert run(tmp_path / "photos", "-c", checkpoint, "-o", out) == 0
    assert table(out / "counts.csv") == (
        ["image", "class", "count"],
        [("a.png", "object", "0"), ("b ü.png", "object", "2")],
    )
    score = f"{SURE:.4f}"
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
    draw(tmp_path / "in" / "a.png", [(10, 20)], colour=GREEN)
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
    lines = [line for line in capsys.readouterr().err.replace("\r", "\n").splitlines() if "lcfcn count:" in line]
    assert [line.split(": ")[1] for line in lines] == ["b.png", "c.png"]
    assert all(reason in line for (_, reason), line in zip(failed, lines, strict=True))
    assert not (out / "overlays" / "b.png.png").exists()


def test_all_bad_is_exit_code_2(tmp_path, checkpoint):
    (tmp_path / "b.png").write_bytes(b"no image")
    assert run(tmp_path / "b.png", "-c", checkpoint, "-o", tmp_path / "out") == 2
    assert len(table(tmp_path / "out" / "failed.csv")[1]) == 1


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
    draw(tmp_path / "in" / "b.png", [(5, 5)], colour=BLUE)
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
    draw(tmp_path / "in" / "x ü" / "a.bmp", [(5, 7)], colour=GREEN)
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


@pytest.mark.skipif(sys.platform == "win32", reason="names are bytes on Linux only")
def test_a_name_that_is_no_text_fails_alone(tmp_path, checkpoint):
    draw(tmp_path / "in" / "a.png")
    (tmp_path / "in" / "a.png").rename(os.fsdecode(os.fsencode(tmp_path / "in") + b"/\xff.png"))
    draw(tmp_path / "in" / "b.png")
    assert run(tmp_path / "in", "-c", checkpoint, "-o", tmp_path / "out") == 1
    ((name, reason),) = table(tmp_path / "out" / "failed.csv")[1]
    assert (name, "not UTF-8" in reason) == ("\\udcff.png", True)
