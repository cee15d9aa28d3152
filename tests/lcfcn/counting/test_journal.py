"""What is counted is never lost: the journal, and the tables that come of it."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from helpers_data import ROOT
from PIL import Image

from lcfcn import cli
from lcfcn.counting import folders
from lcfcn.counting.folders import labelme_names
from lcfcn.counting.journal import FOLDER, Journal, stat_of
from lcfcn.errors import UserError
from lcfcn.launch import Launch

ABOUT = {"weights": "abc", "tile": 1536}


def entry(name, n=1, **more):
    return {
        "image": name,
        "stat": [1, 2],
        "size": [4, 4],
        "counts": [n],
        "points": [[1.5, 2.5, "object", "0.9", 7]],
        **more,
    }


@pytest.fixture
def open_journal(tmp_path):
    """Opens journals in one folder, and closes them at the end of the test."""
    with contextlib.ExitStack() as stack:

        def opened(about=ABOUT, rank=0):
            journal = Journal(tmp_path, about, rank)
            stack.callback(journal.close)
            return journal

        yield opened


def test_lines_are_read_back_in_any_order_and_the_last_one_counts(open_journal):
    first = open_journal()
    for name, n in (("b", 1), ("a", 2), ("b", 3), ("ü\udcff", 4)):
        first.add(entry(name, n))
    assert [e["counts"] for e in first.entries(["a", "b", "c", "ü\udcff"])] == [[2], [3], [4]]
    second = open_journal(rank=1)
    assert [e["counts"] for e in second.entries(["ü\udcff", "a"])] == [[4], [2]]
    assert second.is_done("a", [1, 2])
    assert not second.is_done("a", [1, 3])  # the file has changed
    assert not second.is_done("c", [1, 2])


def test_a_line_that_a_kill_cut_off_is_no_line(tmp_path, open_journal):
    journal = open_journal()
    journal.add(entry("a"))
    (path,) = (tmp_path / FOLDER).glob("*.jsonl")
    path.write_bytes(path.read_bytes() + json.dumps(entry("b")).encode()[:-3])
    again = open_journal()
    assert list(again.done) == ["a"]


def test_a_failed_image_is_done_until_its_file_changes(open_journal):
    """Tried again, it would be counted by one process while another one writes the tables."""
    journal = open_journal()
    journal.add({"image": "a", "stat": [1, 2], "failed": "no image"})
    assert journal.is_done("a", [1, 2])
    assert not journal.is_done("a", [3, 4])


def test_another_command_is_refused_and_named(open_journal):
    open_journal()
    with pytest.raises(UserError, match="unfinished counts with another tile: choose another -o"):
        open_journal({**ABOUT, "tile": 512})


def test_one_process_may_write_the_tables_and_a_killed_one_leaves_no_claim(tmp_path, open_journal):
    one, other = open_journal(), open_journal(rank=1)
    assert [one.claim(), other.claim()] == [True, False]
    assert open_journal().claim()
    one.remove()
    assert not (tmp_path / FOLDER).exists()
    assert not other.claim()


def test_labelme_files_keep_their_names_whoever_writes_them():
    names = labelme_names(["a.jpg", "a.png", "sub/a.jpg"])
    assert {name: path.as_posix() for name, path in names.items()} == {
        "a.jpg": "a.json",
        "a.png": "a.png.json",
        "sub/a.jpg": "sub/a.json",
    }


# The command line, with ready weights on drawn images


def draw(folder, n, broken=()):
    folder.mkdir()
    rng = np.random.default_rng(0)
    for i in range(n):
        path = folder / f"{i:02d}.png"
        Image.fromarray(rng.integers(0, 255, size=(40, 48, 3), dtype=np.uint8)).save(path)
        if i in broken:
            path.write_bytes(path.read_bytes()[:100])


def count(images, out, *options):
    return cli.main(["count", str(images), "-c", "shanghai_B", "-o", str(out), "--no-overlays", *map(str, options)])


def tables(out):
    return [(out / name).read_bytes() for name in ("counts.csv", "points.csv", "failed.csv")]


def test_a_run_goes_on_where_it_was_cut_off(tmp_path, monkeypatch, capsys):
    draw(tmp_path / "in", 5, broken=[1])
    assert count(tmp_path / "in", tmp_path / "quiet") == 1
    keep, kept = folders.Outputs.keep, []

    def killed(self, result):
        if len(kept) == 2:
            raise SystemExit(9)  # nothing handles it
        kept.append(result.name)
        keep(self, result)

    monkeypatch.setattr(folders.Outputs, "keep", killed)
    with pytest.raises(SystemExit):
        count(tmp_path / "in", tmp_path / "out")
    assert not (tmp_path / "out" / "counts.csv").exists()
    monkeypatch.setattr(folders.Outputs, "keep", keep)
    capsys.readouterr()
    assert count(tmp_path / "in", tmp_path / "out") == 1
    printed = capsys.readouterr().out
    assert "Going on where an earlier run stopped: 2 of 5 images are left" in printed
    assert all(f"{name}:" not in printed for name in kept)
    assert "4 of 5 images done, 1 failed" in printed
    assert tables(tmp_path / "out") == tables(tmp_path / "quiet")
    assert not (tmp_path / "out" / FOLDER).exists()


def test_an_image_that_changed_meanwhile_is_counted_again(tmp_path, monkeypatch):
    draw(tmp_path / "in", 2)
    monkeypatch.setattr(folders.Outputs, "is_complete", lambda self: False)
    count(tmp_path / "in", tmp_path / "out")
    monkeypatch.undo()
    os.utime(tmp_path / "in" / "00.png", ns=(5, 5))
    (journal,) = (tmp_path / "out" / FOLDER).glob("*.jsonl")
    done = [json.loads(line) for line in journal.read_text().splitlines()[1:]]
    assert [e["image"] for e in done] == ["00.png", "01.png"]
    assert done[1]["stat"] == stat_of(tmp_path / "in" / "01.png")
    assert done[0]["stat"] != stat_of(tmp_path / "in" / "00.png")
    assert count(tmp_path / "in", tmp_path / "out") == 0


def test_anything_that_an_image_raises_is_its_row(tmp_path, monkeypatch):
    draw(tmp_path / "in", 2)
    read = folders.read_image

    def odd(path, **options):
        if path.name == "00.png":
            raise ZeroDivisionError("height 0")
        return read(path, **options)

    monkeypatch.setattr(folders, "read_image", odd)
    assert count(tmp_path / "in", tmp_path / "out") == 1
    assert (tmp_path / "out" / "failed.csv").read_text() == "image,reason\n00.png,ZeroDivisionError: height 0\n"
    assert "01.png" in (tmp_path / "out" / "counts.csv").read_text()


def test_several_processes_need_a_folder(capsys):
    assert cli.main(["count", "x.png", "-c", "shanghai_B", "--processes", "2"]) == 2
    assert "2 processes share the images, so -o is needed" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({}, Launch()),
        ({"SLURM_NTASKS": "8"}, Launch()),
        ({"TORCHELASTIC_RUN_ID": "x", "WORLD_SIZE": "4", "RANK": "3", "LOCAL_RANK": "1"}, Launch(4, 3, 1, True)),
        ({"SLURM_STEP_NUM_TASKS": "2", "SLURM_PROCID": "1", "SLURM_LOCALID": "0"}, Launch(2, 1, 0, False)),
    ],
)
def test_the_launch_is_read_from_the_environment(monkeypatch, variables, expected):
    for name in ("TORCHELASTIC_RUN_ID", "WORLD_SIZE", "RANK", "LOCAL_RANK", "SLURM_STEP_NUM_TASKS", "SLURM_PROCID"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert Launch.from_environment() == expected


@pytest.mark.slow
def test_two_processes_that_are_killed_leave_the_table_of_one_quiet_run(tmp_path):
    draw(tmp_path / "in", 24, broken=[3, 8])
    count(tmp_path / "in", tmp_path / "quiet")
    command = [sys.executable, "-m", "lcfcn.cli", "count", str(tmp_path / "in"), "-c", "shanghai_B"]
    command += ["-o", str(tmp_path / "out"), "--no-overlays", "--processes", "2"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}

    def lines():
        return sum(path.read_bytes().count(b'"image"') for path in (tmp_path / "out" / FOLDER).glob("*.jsonl"))

    with subprocess.Popen(command, env=environment, start_new_session=True, stdout=subprocess.DEVNULL) as process:
        while lines() < 6:
            assert process.poll() is None
            time.sleep(0.01)
        os.killpg(process.pid, signal.SIGKILL)
    assert not (tmp_path / "out" / "counts.csv").exists()
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 1, done.stderr
    assert "22 of 24 images done, 2 failed" in done.stdout
    assert tables(tmp_path / "out") == tables(tmp_path / "quiet")
