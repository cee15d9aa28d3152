"""How fast is the loss? python -m benchmarks.loss_speed [--reference]

It prints the table of docs/loss.md: forward and backward of the loss alone on drawn scenes, beside one call of
`skimage.segmentation.watershed` on the same top-hat and markers, and with --reference beside the plain reference of the
tests, which takes minutes. It also prints how the time grows with clicks and pixels, a batch on all threads against its
images one by one, the memory, the first call of a fresh process, and the share of a training step. Times are the
shortest of several runs.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from skimage.segmentation import watershed

from benchmarks.scenes import TYPES, Scene, draw
from lcfcn.components import label_blobs
from lcfcn.lcfcn_loss import compute_lcfcn_loss
from lcfcn.networks.registry import build_network
from lcfcn.top_hat import black_top_hat
from tests.reference import reference_loss

FIRST_CALL = """
import torch, time
start = time.perf_counter()
from lcfcn.lcfcn_loss import compute_lcfcn_loss
points = (torch.rand(64, 64) < 0.01).long()
compute_lcfcn_loss(torch.randn(1, 64, 64, requires_grad=True), points).backward()
print(time.perf_counter() - start)
"""


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--reference", action="store_true", help="time the plain reference of the tests too")
    parser.add_argument("--memory", metavar="SCENE.npz", help="print the memory of one scene only")
    args = parser.parse_args()
    if args.memory:
        print(bytes_a_pixel(args.memory))
        return
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    print("One image, one thread, forward and backward:")
    for scene in TYPES:
        print_scene(scene, args.reference)
    print_growth()
    torch.set_num_threads(threads)
    print_batch()
    print_memory()
    print_start()
    print_training_step()


def seconds(function: Callable[[], object], repeats: int = 7) -> float:
    """Return the shortest time of several runs, after one run that is not timed."""
    function()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return min(times)


def forward_and_backward(logits: np.ndarray, points: np.ndarray) -> Callable[[], None]:
    """Return a call of the loss as in training, for logits (N, H, W) or (H, W)."""
    leaf = torch.from_numpy(logits).unsqueeze(-3).requires_grad_()
    clicks = torch.from_numpy(points)

    def call() -> None:
        leaf.grad = None
        compute_lcfcn_loss(leaf, clicks).backward()

    return call


def print_scene(scene: Scene, with_reference: bool) -> None:
    """Print the time of the loss beside one flood of scikit-image, and beside the plain reference."""
    logits, points = draw(scene)
    probs = torch.from_numpy(logits).sigmoid().numpy()
    blobs = label_blobs(probs > 0.5)
    relief = black_top_hat(probs, np.ones(probs.shape, dtype=bool))
    markers = np.zeros(points.shape, dtype=np.int32)
    markers[points > 0] = np.arange(1, (points > 0).sum() + 1)
    flood = seconds(lambda: watershed(relief, markers))
    loss = seconds(forward_and_backward(logits, points))
    crowded = (np.bincount(blobs[points > 0])[1:] > 1).sum()
    line = (
        f"{scene.height}x{scene.width}, {(points > 0).sum()} clicks, {blobs.max()} blobs ({crowded} of several clicks)"
    )
    line += f": {loss * 1e3:.1f} ms; one watershed call {flood * 1e3:.1f} ms: ratio {loss / flood:.2f}"
    if with_reference:
        start = time.perf_counter()
        reference_loss(torch.from_numpy(logits)[None], points)
        plain = time.perf_counter() - start
        line += f"; plain reference {plain:.1f} s: {plain / loss:.0f} times as long"
    print(line, flush=True)


def print_growth() -> None:
    """Print how the time grows with the clicks, and the time for each pixel for growing images."""
    few, many = (seconds(forward_and_backward(*draw(Scene(768, 1024, n, 4)))) for n in (100, 3000))
    print(f"768x1024: 3000 clicks take {many / few:.2f} times what 100 take")
    for side in (256, 512, 1024, 2048):
        scene = Scene(side, side, side * side // 6400, 6)
        print(
            f"{side}x{side}: {seconds(forward_and_backward(*draw(scene))) / side**2 * 1e9:.0f} ns a pixel", flush=True
        )


def print_batch() -> None:
    """Print the time of a batch of 8 on all threads, against its images one by one."""
    for scene in TYPES:
        logits, points = (np.stack(arrays) for arrays in zip(*(draw(scene, seed) for seed in range(8)), strict=True))
        singles = [forward_and_backward(*image) for image in zip(logits, points, strict=True)]
        one_by_one = seconds(lambda calls=singles: [call() for call in calls], 3)
        batch = seconds(forward_and_backward(logits, points), 3)
        print(
            f"8 of {scene.height}x{scene.width}, {scene.n_points} clicks, on {torch.get_num_threads()} threads: "
            f"{batch * 1e3:.0f} ms, {one_by_one / batch:.2f} times as fast as one by one",
            flush=True,
        )


def bytes_a_pixel(path: str) -> float:
    """Return the peak memory beyond logits and points, for each pixel of a stored scene. Call it once in a process."""
    stored = np.load(path)
    call = forward_and_backward(stored["logits"], stored["points"])
    forward_and_backward(*draw(Scene(64, 64, 5, 4)))()
    before = peak_memory()
    call()
    return (peak_memory() - before) / stored["points"].size


def peak_memory() -> int:
    """Return the peak memory of this process in bytes. `getrusage` would include the process that started it."""
    (line,) = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")]
    return int(line.split()[1]) * 1024


def print_memory() -> None:
    """Print the memory for one image, in a process that has not drawn it."""
    for scene in (Scene(2048, 2048, 655, 6), Scene(2048, 2048, 15000, 4)):
        with tempfile.TemporaryDirectory() as folder:
            path = f"{folder}/scene.npz"
            logits, points = draw(scene)
            np.savez(path, logits=logits, points=points)
            used = float(run_python("-m", __spec__.name, "--memory", path))
        print(f"2048x2048, {scene.n_points} clicks: {used:.1f} bytes a pixel beyond the input")


def print_start() -> None:
    """Print import and first call in fresh processes with torch imported: with nothing compiled yet, and then again."""
    with tempfile.TemporaryDirectory() as folder:
        for name in ("the first time a program starts (it compiles)", "the second time"):
            print(f"{name}: {float(run_python('-c', FIRST_CALL, NUMBA_CACHE_DIR=folder)):.2f} s", flush=True)


def run_python(*args: str, **environment: str) -> str:
    """Return the output of a fresh interpreter."""
    done = subprocess.run(
        [sys.executable, *args], check=True, capture_output=True, text=True, env={**os.environ, **environment}
    )
    return done.stdout


def print_training_step() -> None:
    """Print the share of the loss in a step of fcn8_resnet18 at 480x640."""
    logits, points = draw(TYPES[0])
    network = build_network("fcn8_resnet18", 1)
    optimizer = torch.optim.SGD(network.parameters(), lr=1e-4)
    images, clicks = torch.randn(1, 3, 480, 640), torch.from_numpy(points)[None]
    spent = []

    def step() -> None:
        optimizer.zero_grad()
        # Add the drawn scene to the network's output, so that the loss has as much work as in training.
        output = network(images) + torch.from_numpy(logits)
        start = time.perf_counter()
        loss = compute_lcfcn_loss(output, clicks)
        spent.append(time.perf_counter() - start)
        loss.backward()
        optimizer.step()

    total = seconds(step, 5)
    print(f"a step of fcn8_resnet18 at 480x640: {total * 1e3:.0f} ms, of which the loss {min(spent) / total:.1%}")


if __name__ == "__main__":
    main()
