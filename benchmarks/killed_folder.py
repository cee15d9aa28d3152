"""Count a folder on several processes that are killed again and again, and compare the tables with a quiet run's.

python -m benchmarks.killed_folder --images 1000 --broken 100 --processes 2 --kills 3
"""

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from lcfcn.counting.folders import FAILED
from lcfcn.counting.journal import FOLDER
from lcfcn.counting.result import COUNTS, POINTS

ROOT = Path(__file__).parents[1]


def draw_images(folder: Path, n: int, n_broken: int, seed: int = 0) -> None:
    """Write n small images of bright discs, of which some are broken off in the middle of the file."""
    rng = np.random.default_rng(seed)
    folder.mkdir()
    rows, cols = np.ogrid[:96, :128]
    broken = set(rng.choice(n, n_broken, replace=False).tolist())
    for i in range(n):
        image = rng.integers(0, 90, size=(96, 128, 3), dtype=np.uint8)
        for row, col in rng.integers(8, 88, size=(5, 2)):
            image[(rows - row) ** 2 + (cols - col) ** 2 < 30] = 220
        path = folder / f"{i:06d}.png"
        Image.fromarray(image).save(path)
        if i in broken:
            path.write_bytes(path.read_bytes()[:200])


def command(images: Path, weights: str, out: Path, processes: int) -> list[str]:
    """Return the command that counts the images."""
    launcher = ["-m", "torch.distributed.run", "--nproc-per-node", str(processes)] if processes > 1 else []
    return [sys.executable, *launcher, "-m", "lcfcn.cli", "count", str(images), "-c", weights, "-o", str(out)]


def run(arguments: list[str], *, kill_when: Callable[[], bool] = lambda: False) -> int | None:
    """Run a command and return its exit code, or kill it with all its processes at some moment."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        arguments, env=environment, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        while process.poll() is None:
            if kill_when():
                os.killpg(process.pid, signal.SIGKILL)
                return None
            time.sleep(0.02)
        return process.returncode


def n_lines(out: Path) -> int:
    """Return how many lines of images the journal has."""
    return sum(file.read_bytes().count(b'"image"') for file in sorted((out / FOLDER).glob("*.jsonl")))


def main() -> None:
    """Print whether the tables are equal, and how far each killed run came."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--broken", type=int, default=100)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--kills", type=int, default=3)
    parser.add_argument("-c", "--checkpoint", default="shanghai_B")
    parser.add_argument("--seed", type=int, default=0, help="of the moments of the kills")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        images, quiet, killed = (Path(folder) / name for name in ("images", "quiet", "killed"))
        draw_images(images, args.images, args.broken)
        code = run(command(images, args.checkpoint, quiet, 1))
        print(f"quiet run on one process: exit code {code}", flush=True)
        moments = random.Random(args.seed)
        for kill in range(args.kills):
            wanted = n_lines(killed) + moments.randrange(1, args.images // (args.kills + 1))
            run(
                command(images, args.checkpoint, killed, args.processes),
                kill_when=lambda n=wanted: n_lines(killed) >= n,
            )
            print(f"kill {kill + 1}: {n_lines(killed)} lines of {args.images} images are written", flush=True)
        code = run(command(images, args.checkpoint, killed, args.processes))
        same = all((quiet / name).read_bytes() == (killed / name).read_bytes() for name in (COUNTS, POINTS, FAILED))
        print(f"last run: exit code {code}; tables equal: {same}; journal left: {(killed / FOLDER).exists()}")


if __name__ == "__main__":
    main()
