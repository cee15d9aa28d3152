"""Memory that runs out is one line, and the last checkpoint stays."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from helpers_runs import mistake, only_savedir

import trainval
from benchmarks.kill_test import SMALL, outcome, same
from lcfcn.errors import UserError
from src.models import LCFCN
from src.training import checkpoints
from src.training.shortage import told_if_short

ROOT = Path(trainval.__file__).parent


def arguments(savedir_base, *overrides, options=()):
    here = ["-e", "demo", "-sb", str(savedir_base), "--device", "cpu", *options]
    return [*here, "--set", *SMALL, "max_epoch=2", *overrides]


def train(savedir_base, *overrides, options=()):
    return trainval.main(arguments(savedir_base, *overrides, options=options))


def end_of(code):
    """Run Python in another process, and return its exit code and what it printed as an error."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True)
    return done.returncode, done.stderr


def failing(error):
    def train_on_batch(self, batch):
        raise error

    return train_on_batch


class ArrayMemoryError(MemoryError):
    """numpy's has a message of its own."""


WORKER = "DataLoader worker (pid 77) is killed by signal: Killed. "
SHORT = [
    (MemoryError(), "memory ran out (MemoryError)"),
    (ArrayMemoryError("Unable to allocate 8.00 EiB"), "memory ran out (Unable to allocate 8.00 EiB)"),
    (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB."), "the memory of the GPU ran out (CUDA out"),
    (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling x"), "memory ran out (CUDA error: CUBLAS"),
    (
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried 9 bytes"),
        "memory ran out ([enf",
    ),
    (RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 9 bytes"), "memory ran out (Default"),
    (
        RuntimeError("Caught MemoryError in DataLoader worker process 0.\nTraceback:\n x\nMemoryError\n"),
        "memory ran out",
    ),
    (OSError(12, "Cannot allocate memory"), "memory ran out ([Errno 12] Cannot allocate memory)"),
    (
        RuntimeError(WORKER),
        "a process that loads data has gone (DataLoader worker (pid 77) is killed by signal: Killed",
    ),
    (RuntimeError("unable to open shared memory object </torch_1>"), "a process that loads data has gone (shared mem"),
]


@pytest.mark.parametrize(("error", "told"), SHORT)
def test_memory_that_runs_out_is_one_line_with_the_ways_out(tmp_path, monkeypatch, capsys, error, told):
    monkeypatch.setattr(LCFCN, "train_on_batch", failing(error))
    line = mistake(trainval.main, capsys, arguments(tmp_path))
    assert f"trainval.py: error: {told}" in line
    assert "the last checkpoint stays" in line
    assert "--set batch_size=N, a smaller dataset.augment.crop or a smaller dataset.zoom" in line
    assert "-nw" not in line


def test_memory_that_runs_out_in_the_second_epoch_leaves_the_first(tmp_path, monkeypatch):
    step, steps = LCFCN.train_on_batch, []

    def train_on_batch(self, batch):
        steps.append(1)
        if len(steps) == 5:
            raise MemoryError
        return step(self, batch)

    assert train(tmp_path / "whole") == 0
    with monkeypatch.context() as patch:
        patch.setattr(LCFCN, "train_on_batch", train_on_batch)
        assert train(tmp_path / "cut") == 2
    assert len(checkpoints.load_run(only_savedir(tmp_path / "cut") / checkpoints.LAST)["score_list"]) == 1
    assert train(tmp_path / "cut") == 0
    assert same(outcome(tmp_path / "whole"), outcome(tmp_path / "cut"))


def test_what_is_no_shortage_stays_what_it_is():
    for error in (RuntimeError("shapes differ"), UserError("a mistake about memory: out of memory"), OSError(5, "x")):
        with pytest.raises(type(error), match=str(error.args[-1])) as caught, told_if_short(workers=2):
            raise error
        assert caught.value is error


def test_memory_that_really_runs_out_is_one_line(tmp_path):
    limit = "import resource; resource.setrlimit(resource.RLIMIT_AS, (6 << 30, 6 << 30)); "
    command = arguments(tmp_path, "dataset.image_size=4096", "batch_size=6", "dataset.augment=None")
    run = f"import trainval; {limit}import sys; sys.exit(trainval.main({command!r}))"
    code, err = end_of(run)
    assert code == 2
    assert "error: memory ran out" in err.splitlines()[-1]
    assert "Traceback" not in err


def test_a_killed_loader_process_is_one_line(tmp_path):
    kill = (
        "import os, signal; from src.datasets.synthetic import Synthetic; read = Synthetic.read; home = os.getpid(); "
        "Synthetic.read = lambda s, i: os.kill(os.getpid(), signal.SIGKILL) if os.getpid() != home else read(s, i); "
    )
    run = f"import trainval; {kill}import sys; sys.exit(trainval.main({arguments(tmp_path, options=['-nw', '1'])!r}))"
    code, err = end_of(run)
    assert code == 2
    assert "a process that loads data has gone (DataLoader worker" in err.splitlines()[-1]
    assert "fewer loader processes (-nw is 1)" in err.splitlines()[-1]
    assert "Traceback" not in err
