"""Two processes on the CPU train as one does. They are forked from a server that has imported all, but for one run by
torchrun itself."""

import multiprocessing
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
import pytest
import torch
from helpers_data import ROOT
from helpers_runs import stop_at

import trainval
from benchmarks.kill_test import outcome
from lcfcn.errors import UserError
from lcfcn.stopping import Stopped, StopRequest
from src import datasets
from src.datasets import collate
from src.models import LCFCN
from src.training import checkpoints
from src.training.loaders import EpochBatches, make_loader
from src.training.processes import Processes
from src.training.runtime import Runtime, find_device_of_one

PRELOADED = ["tests.helpers_forked"]
LIMIT = 120
"""Seconds after which a run counts as hanging."""
# Five batches an epoch, of 5, 5, 5, 5 and 1 images: the last has none for the second process. Three validation images.
SMALL = [
    *["dataset.image_size=64", "dataset.min_objects=3", "dataset.max_objects=6", "model.freeze_batch_norm=True"],
    *["loss.divide_by_points=batch", "heatmap_weight=0.3", "heatmap_only=0.25", "ema_decay=0.9"],
    *["dataset_size.train=21", "dataset_size.val=3", "batch_size=5", "max_epoch=4"],
    *["optimizer=sgd", "momentum=0.9", "lr=0.002"],
]


def command(savedir_base, *options):
    return ["-e", "demo", "-sb", str(savedir_base), "--device", "cpu", *options, "--set", *SMALL]


def spoil(step):
    """Have the first image of this process's share hold NaN in that step."""
    train_on_batch = LCFCN.train_on_batch
    steps = []

    def spoilt(self, batch):
        steps.append(1)
        if len(steps) == step:
            batch["images"][0] = np.nan
        return train_on_batch(self, batch)

    LCFCN.train_on_batch = spoilt


def fail_at(step):
    """Have the loader of this process fail at that batch with what is no user's mistake."""
    collated = []

    def failing(samples):
        collated.append(1)
        if len(collated) == step:
            raise ZeroDivisionError("a mistake of ours")
        return collate(samples)

    datasets.collate = failing


def note_writes(path):
    """Write down each file that this process opens to write, renames or removes from now on."""
    log = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    writing = os.O_WRONLY | os.O_RDWR | os.O_CREAT

    def hook(event, args):
        opened = event == "open" and isinstance(args[2], int) and args[2] & writing
        if opened or event in ("os.mkdir", "os.rename", "os.remove", "os.rmdir"):
            os.write(log, f"{event} {args[0]}\n".encode())

    sys.addaudithook(hook)


def child(rank, port, folder, arguments, faults):
    """What one of two processes does; what it prints goes to `out0`, `err0` and so on."""
    for number, name in ((1, "out"), (2, "err")):
        os.dup2(os.open(folder / f"{name}{rank}", os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
    torch.set_num_threads(1)
    os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": "2", "TORCHELASTIC_RUN_ID": "test"}
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    if rank == 1:
        note_writes(folder / "writes1")
    for fault, values in faults.get(rank, []):
        fault(*values)
    sys.exit(trainval.main(arguments))


class Pair:
    """The outcome of two processes."""

    def __init__(self, folder, arguments, **faults):
        folder.mkdir(exist_ok=True)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(PRELOADED)
        by_rank = {int(key.removeprefix("rank")): value for key, value in faults.items()}
        processes = [context.Process(target=child, args=(r, port, folder, arguments, by_rank)) for r in range(2)]
        for process in processes:
            process.start()
        for process in processes:
            process.join(LIMIT)
        self.codes = [process.exitcode for process in processes]
        for process in processes:
            process.kill()
        self.out, self.err = ([(folder / f"{name}{r}").read_text() for r in range(2)] for name in ("out", "err"))
        self.writes = (folder / "writes1").read_text()
        self.mistakes = [line for text in self.err for line in text.splitlines() if "error: " in line]


def alone(savedir_base, stop=None):
    """One process, stopped in a step if that is given."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(LCFCN, "train_on_batch", LCFCN.train_on_batch)
        if stop is not None:
            stop_at(stop)
        return trainval.main(command(savedir_base))


class Line:
    """What Fabric is to the processes, among threads of this process: each waits for the others in `all_reduce`."""

    def __init__(self, size):
        self.world_size = size
        self.shared = threading.Barrier(size, timeout=LIMIT)
        self.given = [None] * size
        self.place = threading.local()

    @property
    def global_rank(self):
        return self.place.rank

    local_rank = global_rank

    def all_reduce(self, values, reduce_op):
        self.given[self.place.rank] = values
        self.shared.wait()
        stacked = torch.stack(self.given)
        self.shared.wait()
        return stacked.sum(0) if reduce_op == "sum" else stacked.amax(0)


def in_team(size, work):
    """What `work(processes)` returns or raises in each of so many threads."""
    line = Line(size)

    def run(rank):
        line.place.rank = rank
        try:
            return work(Processes(line))
        except (Exception, SystemExit) as error:
            return error

    with ThreadPoolExecutor(size) as pool:
        return list(pool.map(run, range(size)))


def raised(errors):
    """What each process has after a `together` in which they raise these."""

    def work(processes):
        with processes.together():
            if errors[processes.rank] is not None:
                raise errors[processes.rank]

    return in_team(len(errors), work)


def test_one_mistake_ends_all_and_is_told_by_the_first_that_made_it():
    first, second = UserError("first"), UserError("second")
    results = raised([None, first, second])
    assert results[1] is first
    assert [(type(results[i]), results[i].code) for i in (0, 2)] == [(SystemExit, 2)] * 2
    assert raised([None, None]) == [None, None]


def test_a_failure_ends_all_with_its_code():
    failure = ZeroDivisionError()
    results = raised([failure, None])
    assert results[0] is failure
    assert results[1].code == 1


def test_all_stop_for_the_same_signal_unless_one_made_a_mistake():
    results = raised([None, Stopped(signal.SIGUSR2), Stopped(signal.SIGTERM)])
    assert [(type(result), result.number) for result in results] == [(Stopped, signal.SIGTERM)] * 3
    results = raised([Stopped(signal.SIGTERM), UserError("mistake")])
    assert results[0].code == 2
    assert str(results[1]) == "mistake"


def test_shares_are_even_and_together_the_whole():
    shares = in_team(3, lambda processes: processes.share([10, 11, 12, 13]))
    assert shares == [[10, 13], [11], [12]]
    gathered = in_team(3, lambda processes: processes.gather(np.reshape(processes.share([10, 11, 12, 13]), (-1, 1))))
    for rows in gathered:
        assert rows.tolist() == [[10], [11], [12], [13]]


class Sized(torch.utils.data.Dataset):
    """Images whose width is their number + 1."""

    def __len__(self):
        return 4

    def __getitem__(self, key):
        maps = {"points": torch.zeros(2, key[1] + 1), "roi": torch.ones(2, key[1] + 1, dtype=torch.bool)}
        return {"images": torch.ones(3, 2, key[1] + 1), **maps, "counts": torch.zeros(1), "meta": {"index": key[1]}}


def test_shares_of_a_batch_are_padded_alike_and_weighed():
    def work(processes):
        batches = EpochBatches(4, 3, seed=0, processes=processes)
        loader = make_loader(Sized(), collate, Runtime("cpu", processes=processes), workers=0, batches=batches)
        return [({meta["index"] for meta in batch["meta"]}, batch) for batch in processes.batches(loader)]

    of_one = [{index for _, index in keys} for keys in EpochBatches(4, 3, seed=0)]
    first, second = in_team(2, work)
    for whole, (mine, batch), (theirs, other) in zip(of_one, first, second, strict=True):
        assert mine | theirs == whole
        assert batch["images"].shape[-1] == other["images"].shape[-1] == max(whole) + 1
        assert batch["n_images"] == other["n_images"] == len(whole)
        assert not batch["roi"][..., min(mine) + 1 :].all() or min(mine) == max(whole)
    assert [batch["weight"] for _, batch in first] == [4 / 3, 2.0]
    assert [batch["weight"] for _, batch in second] == [2 / 3, 0.0]


def test_batch_norm_gets_the_mean_of_what_the_processes_learned():
    def work(processes):
        network = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.BatchNorm1d(2), torch.nn.BatchNorm1d(3))
        network[1].running_mean.fill_(processes.rank)
        network[2].running_var.fill_(10 * processes.rank)
        processes.average_buffers(network)
        return network[1].running_mean.tolist(), network[2].running_var.tolist(), int(network[1].num_batches_tracked)

    assert in_team(2, work) == [([0.5, 0.5], [5.0, 5.0, 5.0], 0)] * 2


def test_processes_that_find_different_checkpoints_say_so():
    results = in_team(2, lambda processes: processes.check_alike([3, processes.rank], "not the same"))
    assert results[0].args == ("not the same",)
    assert results[1].code == 2
    assert in_team(2, lambda processes: processes.check_alike([3, 1], "not the same")) == [None, None]


def test_each_process_has_its_gpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    chosen = []
    monkeypatch.setattr(torch.cuda, "set_device", chosen.append)
    for name in ("auto", "cuda"):
        assert in_team(2, partial(find_device_of_one, name)) == [torch.device("cuda", 0), torch.device("cuda", 1)]
    assert sorted(chosen) == [0, 0, 1, 1]
    assert in_team(2, partial(find_device_of_one, "cpu")) == [torch.device("cpu")] * 2
    assert "names one GPU for 2 processes" in str(in_team(2, partial(find_device_of_one, "cuda:1"))[0])
    third = in_team(3, partial(find_device_of_one, "auto"))[2]
    assert "process 3 of this machine has no GPU, torch sees 2: start 2" in str(third)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    assert isinstance(in_team(2, partial(find_device_of_one, "auto"))[1], UserError)
    processes = Processes()
    processes.world_size, processes.local_rank, processes.by_slurm = 2, 1, True
    assert find_device_of_one("auto", processes) == torch.device("cuda", 0)  # SLURM shows each process one of its own


def test_of_several_processes_a_second_signal_stops_none():
    with StopRequest(alone=False) as stop:
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)
        with pytest.raises(Stopped):
            stop.check()


def test_one_process_by_itself_is_a_team_of_one_and_never_imports_the_engine(monkeypatch):
    for name in ("TORCHELASTIC_RUN_ID", "SLURM_STEP_NUM_TASKS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("SLURM_NTASKS", "8")  # as in a batch script, which runs once
    monkeypatch.setitem(sys.modules, "lightning_fabric", None)
    processes = Processes.connect()
    assert (processes.world_size, processes.rank, processes.is_main) == (1, 0, True)


STOP = 18  # the third batch of the last epoch


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """One process stopped and gone on with by one and by two; two stopped and gone on with by two and by one."""
    base = tmp_path_factory.mktemp("runs")
    found = {"base": base}
    assert alone(base / "1", STOP) == 130
    found["stopped pair"] = Pair(base / "p2", command(base / "2"), rank1=[(stop_at, (STOP,))])
    for number in "12":
        found[f"{number} stopped"] = checkpoints.load_checkpoint(next((base / number).glob(f"*/{checkpoints.LAST}")))
    shutil.copytree(base / "1", base / "12")
    shutil.copytree(base / "2", base / "21")
    assert alone(base / "1") == alone(base / "21") == 0
    found["12 pair"] = Pair(base / "p12", command(base / "12"))
    found["2 pair"] = Pair(base / "p22", command(base / "2"))
    for name in ("1", "12", "21", "2"):
        found[name] = outcome(base / name)
    return found


def difference(a, b):
    """The greatest difference between two state dicts of the same names."""
    assert a.keys() == b.keys()
    return max(float((a[key].double() - b[key].double()).abs().max()) for key in a)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["2", "12", "21"])
def test_two_processes_train_as_one_and_take_up_each_others_runs(runs, name):
    one, other = runs["1"], runs[name]
    assert difference(one["model"], other["model"]) < 1e-6
    assert difference(one["best"]["model"], other["best"]["model"]) < 1e-6
    assert len(one["score_list"]) == len(other["score_list"]) == 4
    for mine, theirs in zip(one["score_list"], other["score_list"], strict=True):
        assert mine.keys() == theirs.keys()
        for key, value in mine.items():
            assert theirs[key] == (pytest.approx(value, rel=1e-6) if key.startswith("train") else value), key


@pytest.mark.slow
def test_a_signal_to_one_process_stops_both_at_the_same_batch(runs):
    pair, one, two = runs["stopped pair"], runs["1 stopped"], runs["2 stopped"]
    assert pair.codes == [130, 130]
    assert pair.out[0].count("Stopped after the current batch") == 1
    for key, value in {"epoch": 3, "step": STOP, "step_in_epoch": 3}.items():
        assert one["progress"][key] == two["progress"][key] == value
    sums, others = one["progress"]["sums"], two["progress"]["sums"]
    assert sums["n_images"] == others["n_images"] == 15
    assert one.keys() == two.keys()
    assert sums["train_loss"] == pytest.approx(others["train_loss"], rel=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["stopped pair", "12 pair", "2 pair"])
def test_only_the_first_process_prints_and_writes(runs, name):
    pair = runs[name]
    assert "epoch " in pair.out[0]
    assert "val:" in pair.err[0]
    assert pair.out[1] == pair.err[1] == ""
    assert str(runs["base"]) not in pair.writes


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-e", "demo", "-sb", "runs", "-nw", "-1"], "-nw is -1"),
        (["-e", "tranco", "-sb", "runs"], "-e tranco is unknown"),
    ],
)
def test_a_mistake_of_all_is_told_once(tmp_path, arguments, message):
    pair = Pair(tmp_path, arguments)
    assert pair.codes == [2, 2]
    assert len(pair.mistakes) == 1
    assert message in pair.mistakes[0]
    assert pair.err[1] == ""


@pytest.mark.slow
def test_a_loss_that_is_not_finite_in_one_process_ends_both_and_names_the_image(tmp_path):
    pair = Pair(tmp_path, command(tmp_path / "runs"), rank1=[(spoil, (2,))])
    assert pair.codes == [2, 2]
    assert len(pair.mistakes) == 1
    assert "the loss is not finite at image synthetic_train" in pair.mistakes[0]
    assert not list((tmp_path / "runs").glob(f"*/{checkpoints.LAST}"))


@pytest.mark.slow
def test_a_process_that_fails_tells_why_and_the_other_ends(tmp_path):
    pair = Pair(tmp_path, command(tmp_path / "runs"), rank1=[(fail_at, (3,))])
    assert pair.codes == [1, 1]
    assert pair.err[1].startswith("Process 1 of 2 failed:\nTraceback")
    assert pair.err[1].endswith("ZeroDivisionError: a mistake of ours\n")
    assert "failed" not in pair.err[0]


KILLED = """
import os, signal, sys
import trainval
from src.models import LCFCN

def killed(self, batch):
    os.kill(os.getpid(), signal.SIGKILL)

if os.environ["RANK"] == "1":
    LCFCN.train_on_batch = killed
sys.exit(trainval.main(sys.argv[1:]))
"""


@pytest.mark.slow
def test_under_torchrun_a_killed_process_ends_all(tmp_path):
    script = tmp_path / "killed.py"
    script.write_text(KILLED)
    run = subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2", script, *command(tmp_path / "runs")],
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=LIMIT,
    )
    assert run.returncode == 1
    assert "Signal 9 (SIGKILL) received" in run.stderr
    assert "rank      : 1" in run.stderr
    assert "Process 0 of 2 ends because it lost another." in run.stderr
    assert "gloo" not in run.stderr
