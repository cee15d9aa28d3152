"""Does a run that is killed and resumed give the same result? python -m benchmarks.kill_test --kills 20

It trains a small experiment once without interruption. Then it trains it again with `kill -9` at random moments, and
resumes it each time. It compares weights, optimizer, random state and scores bit for bit, but not times and memory.
"""

import argparse
import multiprocessing
import random
import sys
import tempfile
import time
from pathlib import Path

import torch

from src.training import checkpoints

MEASURED = ("train_seconds", "val_seconds", "images_per_second", "peak_memory_gib")
SMALL = [
    "dataset.image_size=64",
    "dataset.min_objects=3",
    "dataset.max_objects=6",
    "dataset_size.train=6",
    "dataset_size.val=2",
    "batch_size=2",
    "max_epoch=6",
    "seed=3",
]


def train(savedir_base: str, overrides: list[str]) -> None:
    """Run the command line of the small experiment, in a child process."""
    import trainval

    sys.exit(trainval.main(["-e", "demo", "-sb", savedir_base, "--device", "cpu", "--set", *overrides]))


def run_once(
    context: multiprocessing.context.BaseContext, savedir_base: Path, overrides: list[str], limit: float
) -> bool:
    """Start the experiment, kill it after `limit` seconds, and return whether it ended before that."""
    process = context.Process(target=train, args=(str(savedir_base), overrides))
    process.start()
    process.join(limit)
    if process.exitcode is None:
        process.kill()
        process.join()
        return False
    if process.exitcode != 0:
        raise RuntimeError(f"the run ended with exit code {process.exitcode}; expected 0")
    return True


def outcome(savedir_base: Path) -> dict:
    """Return the checkpoint of the only experiment in a folder, without the measured times and memory."""
    (path,) = sorted(savedir_base.glob(f"*/{checkpoints.LAST}"))
    state = checkpoints.load_checkpoint(path)
    state["score_list"] = [{k: v for k, v in row.items() if k not in MEASURED} for row in state["score_list"]]
    state["best"] = checkpoints.load_checkpoint(path.with_name(checkpoints.BEST))
    return state


def same(a: object, b: object) -> bool:
    """Whether two nested structures of tensors and plain values are equal bit for bit."""
    if isinstance(a, torch.Tensor):
        return isinstance(b, torch.Tensor) and a.dtype == b.dtype and torch.equal(a, b)
    if isinstance(a, dict):
        return isinstance(b, dict) and a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple):
        return isinstance(b, list | tuple) and len(a) == len(b) and all(map(same, a, b))
    return a == b


def kill_test(folder: Path, n_kills: int, seed: int = 0, overrides: tuple[str, ...] = ()) -> tuple[int, int]:
    """Kill runs `n_kills` times at random moments. Return how many runs ended, and how many gave the same result."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["trainval"])
    overrides = [*SMALL, *overrides]
    warm_up = context.Process(target=print)  # the first child waits until the server has imported torch
    warm_up.start()
    warm_up.join()
    start = time.perf_counter()
    run_once(context, folder / "whole", overrides, limit=600)
    duration = time.perf_counter() - start
    expected = outcome(folder / "whole")
    rng = random.Random(seed)
    kills = runs = alike = 0
    while kills < n_kills:
        savedir_base = folder / f"killed_{runs}"
        for _ in range(min(5, n_kills - kills)):
            if run_once(context, savedir_base, overrides, limit=rng.uniform(0.05, 0.6) * duration):
                break
            kills += 1
        run_once(context, savedir_base, overrides, limit=600)
        runs += 1
        alike += same(outcome(savedir_base), expected)
    return runs, alike


def main() -> int:
    """Print how many runs gave the same result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        runs, alike = kill_test(Path(folder), args.kills, args.seed)
    print(f"{args.kills} kills in {runs} runs: {alike} of {runs} ended bit-identical to the run that was never killed")
    return 0 if alike == runs else 1


if __name__ == "__main__":
    sys.exit(main())
