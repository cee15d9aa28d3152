"""The command `lcfcn`: what it prints, what it writes, its exit codes, and what it says of mistakes."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile
from helpers_networks import GREEN, Reds, draw, save_checkpoint, squares
from helpers_runs import mistake
from PIL import Image

import lcfcn
from lcfcn import cli
from lcfcn.counting import folders
from lcfcn.counting.weight_files import ready_weights
from lcfcn.errors import UserError
from lcfcn.stopping import Stopped

ROOT = Path(lcfcn.__file__).parents[1]


@pytest.fixture
def checkpoint(tmp_path, monkeypatch):
    """A checkpoint whose network finds red apples and green pears."""
    monkeypatch.setattr("lcfcn.counting.trained_network.build_network", lambda name, n_classes, **_: Reds(n_classes))
    path = tmp_path / "net.pth"
    save_checkpoint(path, Reds(2), n_classes=2, transform="none", class_names=["apple", "pear"])
    return path


def count(*arguments):
    return cli.main(["count", *map(str, arguments), "--device", "cpu"])


def draw_both(path, red=(), green=()):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(squares(red) | squares(green, colour=GREEN)).save(path)
    return path


def test_it_prints_a_line_an_image_and_the_totals(tmp_path, checkpoint, capsys):
    draw_both(tmp_path / "in" / "b ü.png", red=[(10, 20), (30, 50)], green=[(5, 5)])
    draw_both(tmp_path / "in" / "a.png", green=[(10, 20)])
    before = sorted(tmp_path.rglob("*"))
    assert count(tmp_path / "in", "-c", checkpoint) == 0
    assert capsys.readouterr().out.splitlines() == [
        "a.png: 0 apple, 1 pear",
        "b ü.png: 2 apple, 1 pear",
        "all images: 2 apple, 2 pear",
        "2 of 2 images done, 0 failed",
    ]
    assert sorted(tmp_path.rglob("*")) == before


def test_of_one_image_there_are_no_totals(tmp_path, checkpoint, capsys):
    path = draw_both(tmp_path / "a.png", red=[(10, 20)])
    assert count(path, "-c", checkpoint) == 0
    assert capsys.readouterr().out.splitlines() == ["a.png: 1 apple, 0 pear", "1 of 1 images done, 0 failed"]


def test_with_a_folder_it_writes_what_results_save(tmp_path, checkpoint, capsys):
    draw_both(tmp_path / "in" / "a.png", green=[(10, 20)])
    draw_both(tmp_path / "in" / "b.png", red=[(10, 20), (30, 50)])
    out = tmp_path / "out"
    assert count(tmp_path / "in", "-c", checkpoint, "-o", out) == 0
    assert capsys.readouterr().out.splitlines()[-1] == f"2 of 2 images done, 0 failed; files in {out}"
    for result in lcfcn.load(checkpoint, device="cpu").count(tmp_path / "in"):
        result.save(tmp_path / "saved")
    files = ["counts.csv", "overlays/a.png.png", "overlays/b.png.png", "points.csv"]
    for folder, found in ((tmp_path / "saved", files), (out, sorted([*files, "failed.csv"]))):
        assert sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()) == found
    for name in files:
        assert (out / name).read_bytes() == (tmp_path / "saved" / name).read_bytes(), name
    assert (out / "failed.csv").read_text() == "image,reason\n"


def test_images_that_fail_are_told_and_the_exit_code_says_so(tmp_path, checkpoint, capsys):
    bad = tmp_path / "in" / "b.png"
    draw_both(tmp_path / "in" / "a.png", red=[(10, 20)])
    bad.write_bytes(b"no image")
    assert count(tmp_path / "in", "-c", checkpoint) == 1
    told = capsys.readouterr()
    assert told.out.splitlines() == [
        "a.png: 1 apple, 0 pear",
        "all images: 1 apple, 0 pear",
        "1 of 2 images done, 1 failed",
    ]
    assert [line for line in told.err.splitlines() if line.startswith("lcfcn count: b.png: ")]
    assert count(bad, "-c", checkpoint) == 2
    assert capsys.readouterr().out == "0 of 1 images done, 1 failed\n"


@pytest.mark.parametrize("stop", [Stopped, KeyboardInterrupt])
def test_stopped_it_tells_what_is_done(tmp_path, checkpoint, capsys, monkeypatch, stop):
    for name in ("a", "b", "c"):
        draw_both(tmp_path / "in" / f"{name}.png", red=[(5, 5)])
    read_image = folders.read_image

    def reading(path, **options):
        if path.name == "c.png":
            raise stop
        return read_image(path, **options)

    monkeypatch.setattr(folders, "read_image", reading)
    assert count(tmp_path / "in", "-c", checkpoint) == 130
    lines = capsys.readouterr().out.splitlines()
    assert lines[-3:] == ["all images: 2 apple, 0 pear", "2 of 3 images done, 0 failed", "Stopped."]


def draw_stack(path):
    """Three slices of two channels: one apple and no pear, two and one, none and two."""
    path.parent.mkdir(parents=True, exist_ok=True)
    red = [squares(places)[..., 0] for places in ([(5, 5)], [(5, 5), (20, 30)], [])]
    green = [squares(places)[..., 0] for places in ([], [(30, 40)], [(30, 40), (10, 50)])]
    values = np.stack([np.stack(pair) for pair in zip(red, green, strict=True)])
    tifffile.imwrite(path, values, imagej=True, metadata={"axes": "ZCYX"})
    return path


FRAMES = "3 frames, of which frame 0 was read (--frame N or all chooses)"
CHANNELS = "2 channels: 0 and 1 became red and green (--channels chooses)"


@pytest.mark.parametrize(
    ("arguments", "counts", "remarks"),
    [
        ([], "1 apple, 0 pear", [FRAMES, CHANNELS, "channel 1 is blank (--channels 0 leaves it out)"]),
        (["--frame", "1"], "2 apple, 1 pear", [CHANNELS]),
        (["--frame", "2"], "0 apple, 2 pear", [CHANNELS, "channel 0 is blank (--channels 1 leaves it out)"]),
    ],
)
def test_a_stack_is_counted_at_one_frame_and_told(tmp_path, checkpoint, capsys, arguments, counts, remarks):
    path = draw_stack(tmp_path / "a.tif")
    assert count(path, "-c", checkpoint, *arguments) == 0
    printed = capsys.readouterr()
    assert printed.out.splitlines()[0] == f"a.tif: {counts}"
    assert printed.err.splitlines() == [f"lcfcn count: a.tif: {'; '.join(remarks)}"]


@pytest.mark.parametrize("batch_size", [1, 2])
def test_all_frames_have_a_row_each(tmp_path, checkpoint, capsys, batch_size):
    draw_stack(tmp_path / "in" / "b.tif")
    draw_both(tmp_path / "in" / "a.png", red=[(10, 20)], green=[(5, 5)])
    out = tmp_path / "out"
    options = ["-c", checkpoint, "--frame", "all", "--export", "labelme"]
    assert count(tmp_path / "in", *options, "-o", out, "--batch-size", batch_size) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[:5] == [
        "a.png: 1 apple, 1 pear",
        "b.tif#0: 1 apple, 0 pear",
        "b.tif#1: 2 apple, 1 pear",
        "b.tif#2: 0 apple, 2 pear",
        "all images: 4 apple, 4 pear",
    ]
    rows = (out / "counts.csv").read_text().splitlines()[1:]
    assert [row.split(",")[0] for row in rows[::2]] == ["a.png", "b.tif#0", "b.tif#1", "b.tif#2"]
    overlays = sorted(path.name for path in (out / "overlays").iterdir())
    assert overlays == ["a.png.png", "b.tif#0.png", "b.tif#1.png", "b.tif#2.png"]
    assert len(list((out / "labelme").iterdir())) == 4


def test_chosen_channels_are_seen_in_their_order(tmp_path, checkpoint, capsys):
    path = draw_stack(tmp_path / "a.tif")
    assert count(path, "-c", checkpoint, "--frame", "1", "--channels", "1", "0") == 0
    printed = capsys.readouterr()
    assert printed.out.splitlines()[0] == "a.tif: 1 apple, 2 pear"
    assert not printed.err


def test_frames_and_channels_that_are_not_there_fail_in_one_line(tmp_path, checkpoint, capsys):
    path = draw_stack(tmp_path / "a.tif")
    for options, message in (
        (["--frame", "3"], "a.tif has no frame 3; expected one from 0 to 2: choose another"),
        (["--channels", "2"], "a.tif has 2 channels, and 2 came; expected 1 to 3 of 0 to 1: choose others"),
    ):
        assert count(path, "-c", checkpoint, *options) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert line.endswith(message)


def test_images_that_are_left_out_are_told_before_the_work(tmp_path, checkpoint, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    draw(tmp_path / "in" / "a.png")
    draw(tmp_path / "in" / "sub" / "b.png")
    (tmp_path / "in" / "c.psd").write_bytes(b"8BPS")
    assert count("in", "-c", checkpoint) == 0
    assert capsys.readouterr().err.splitlines() == [
        "lcfcn count: 1 image (in/sub/b.png) in sub-folders left out: --recursive counts there too",
        "lcfcn count: 1 image (in/c.psd) left out, of formats that are not read: convert to PNG",
    ]


def test_it_lists_the_ready_weights(capsys):
    assert cli.main(["weights"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.partition(":")[0] for line in lines] == list(ready_weights())
    (line,) = [line for line in lines if line.startswith("shanghai_B: ")]
    assert "people" in line
    assert "ShanghaiTech" in line


def test_it_tells_its_version(capsys):
    with pytest.raises(SystemExit) as done:
        cli.main(["--version"])
    assert done.value.code == 0
    assert capsys.readouterr().out == f"lcfcn {lcfcn.__version__}\n"


@pytest.mark.parametrize("arguments", [["--help"], ["count", "--help"]])
def test_help_describes_the_options(capsys, arguments):
    with pytest.raises(SystemExit) as done:
        cli.main(arguments)
    assert done.value.code == 0
    assert ("Exit code: 0 all well" in " ".join(capsys.readouterr().out.split())) == (len(arguments) == 2)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "required: COMMAND"),
        (["cuont"], "invalid choice: 'cuont'"),
        (["count"], "required: IMAGE, -c/--checkpoint"),
        (["count", "a.png", "-c", "shanghai_B", "--devise", "cpu"], "--devise cpu; did you mean --device?; see --help"),
        (["count", "a.png", "-c", "shanghai_B", "--outt=x"], "unrecognized arguments: --outt=x; did you mean --out?"),
        (["count", "a.png", "-c", "shanghai_B", "--zzzzz"], "unrecognized arguments: --zzzzz; see --help"),
        (["count", "a.png", "-c", "shanghai_B", "--batch-size", "0"], "--batch-size: it is 0; expected 1 or more"),
        (["count", "none.png", "-c", "shanghai_B"], "none.png names no image"),
        (["count", "a.png", "-c", "shanghai_b"], "there is no shanghai_b; did you mean shanghai_B?"),
        (["count", "a.png", "-c", "net.pth", "--device", "tpu"], "--device tpu is unknown"),
        (["count", "none*.png", "-c", "net.pth"], "none*.png names no image"),
        (["count", "empty", "-c", "net.pth"], "empty names no image"),
        (["count", "a.png", "-c", "net.pth", "--tile", "10"], "--tile is 10"),
        (["count", "a.png", "-c", "empty"], "holds no model_best.pth"),
        (["count", "a.png", "-c", "a.png"], "a.png cannot be read"),
        (["count", "a.png", "-c", "net.pth", "--export", "word"], "invalid choice"),
        (["count", "a.png", "-c", "net.pth", "-o", "net.pth"], "the folder net.pth cannot be made"),
    ],
)
def test_mistakes_are_one_line_and_nothing_is_written(tmp_path, monkeypatch, capsys, checkpoint, arguments, message):
    monkeypatch.chdir(tmp_path)
    draw(tmp_path / "a.png")
    (tmp_path / "empty").mkdir()
    before = sorted(path.name for path in tmp_path.rglob("*"))
    assert message in mistake(cli.main, capsys, arguments)
    assert sorted(path.name for path in tmp_path.rglob("*")) == before


def test_a_users_mistake_is_one_line_with_the_programs_name(capsys):
    def wrong():
        raise UserError("x is 1;\n  expected 2")

    assert cli.run_main("name", wrong) == 2
    assert capsys.readouterr().err == "name: error: x is 1; expected 2\n"
    assert [cli.run_main("name", lambda code=code: code) for code in (None, 0, 5)] == [0, 0, 5]


def test_it_runs_as_a_module_of_its_own(tmp_path):
    """From another folder, as it is installed: with no path of this project but the package's."""
    path = draw(tmp_path / "a.png")
    command = [sys.executable, "-m", "lcfcn.cli", "count", path.name, "-c", "shanghai_B", "--device", "cpu"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["a.png: 0 person", "1 of 1 images done, 0 failed"]
    assert "research only" in done.stderr
