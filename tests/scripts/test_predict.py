"""predict.py does what `lcfcn count` does."""

import re
import subprocess
import sys

import pytest
from helpers_data import ROOT
from helpers_networks import draw, save_checkpoint
from helpers_runs import mistake

from lcfcn import cli
from lcfcn.counting.weight_files import LAST
from scripts import predict


@pytest.fixture(scope="module")
def experiment(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    save_checkpoint(folder / LAST)
    return folder


def test_it_writes_what_lcfcn_count_writes(tmp_path, experiment):
    draw(tmp_path / "a.png", [(10, 20)])
    arguments = [str(tmp_path / "a.png"), "-c", str(experiment), "--device", "cpu", "--export", "cvat"]
    assert predict.main([*arguments, "-o", str(tmp_path / "p")]) == 0
    assert cli.main(["count", *arguments, "-o", str(tmp_path / "c")]) == 0
    names = sorted(path.relative_to(tmp_path / "p") for path in (tmp_path / "p").rglob("*") if path.is_file())
    assert [name.as_posix() for name in names] == [
        *["counts.csv", "cvat.xml", "failed.csv", "overlays/a.png.png", "points.csv"]
    ]
    for name in names:
        assert (tmp_path / "p" / name).read_bytes() == (tmp_path / "c" / name).read_bytes()


def test_mistakes_have_its_name(tmp_path, experiment, capsys):
    assert "required: -o" in mistake(predict.main, capsys, [tmp_path, "-c", experiment])
    message = mistake(predict.main, capsys, [tmp_path, "-c", experiment, "-o", tmp_path / "out"])
    assert message.startswith(f"predict.py: error: {tmp_path} names no image")


def test_it_runs_from_the_command_line(tmp_path, experiment):
    draw(tmp_path / "a.png", [(10, 20)])
    out = tmp_path / "out"
    command = ["scripts/predict.py", tmp_path / "a.png", "-c", experiment, "-o", out, "--device", "cpu"]
    done = subprocess.run([sys.executable, *command], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    counted, summary = done.stdout.splitlines()
    assert re.fullmatch(r"a\.png: \d+ object", counted)
    assert summary == f"1 of 1 images done, 0 failed; files in {out}"
