"""Check all that only a GPU can show, in at most 8 minutes: python -m benchmarks.gpu_check --data DATA --out OUT.

It writes gpu.md and gpu.json into OUT, after each part, the most valuable part first; a part that fails leaves its
reason there, and the others run. On a machine without a GPU, `--device cpu --quick` rehearses it.

DATA is made beforehand, small enough to be carried to another machine (about 50 MB):

python -m benchmarks.gpu_check --prepare --cars CARS --shanghai SHANGHAITECH --mobilenet WEIGHTS --data DATA
"""

import argparse
import copy
import json
import shutil
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import scipy.io
import torch
from PIL import Image

from lcfcn.cli import Parser, run_main
from lcfcn.errors import UserError
from lcfcn.files import make_folder, markdown_rows, write_bytes
from lcfcn.lcfcn_loss import compute_lcfcn_loss
from src.datasets import collate, get_dataset
from src.experiments.schema import with_defaults
from src.models import LCFCN
from src.readers.matlab import read_heads
from src.training.loaders import EpochBatches, make_loader
from src.training.runtime import Runtime

CARS, SHANGHAI, MOBILENET = "cars", "ShanghaiTech", "mobilenet_v2.pth"
"""What DATA holds: two data sets in their own layouts, and pretrained weights."""
SHRUNK, QUALITY = 0.5, 80
"""How much the photos of ShanghaiTech are made smaller, and their JPEG quality."""
BUDGET = 8 * 60
"""Seconds for all parts together."""
NETWORKS = ("fpn_mobilenet_v2", "fpn_resnet50", "fcn8_resnet50", "fcn8_vgg16")
SHAPES = ((480, 640, 37, (1, 8, 32)), (768, 1024, 500, (1, 8)))
"""Height, width, clicks an image, batch sizes."""
COUNTED = 16
"""Images that are counted on both devices."""


# The data


def prepare(cars: Path, shanghai: Path, mobilenet: Path, data: Path) -> None:
    """Copy the cars and the weights, and shrink the photos of ShanghaiTech part B with their heads."""
    make_folder(data)
    shutil.copytree(cars, data / CARS, dirs_exist_ok=True)
    shutil.copyfile(mobilenet, data / MOBILENET)
    source, target = shanghai / "part_B" / "train_data", data / SHANGHAI / "part_B" / "train_data"
    for folder in ("images", "ground-truth"):
        make_folder(target / folder)
    for path in sorted((source / "images").glob("*.jpg")):
        image = Image.open(path).convert("RGB")
        small = image.resize([round(side * SHRUNK) for side in image.size], Image.Resampling.LANCZOS)
        small.save(target / "images" / path.name, quality=QUALITY)
        heads = read_heads(source / "ground-truth" / f"GT_{path.stem}.mat") * SHRUNK
        save_heads(target / "ground-truth" / f"GT_{path.stem}.mat", heads)


def save_heads(path: Path, xy: np.ndarray) -> None:
    """Write heads as ShanghaiTech does."""
    info = np.empty((1, 1), dtype=[("location", object), ("number", object)])
    info[0, 0] = (xy, np.array([[len(xy)]]))
    cell = np.empty((1, 1), dtype=object)
    cell[0, 0] = info
    scipy.io.savemat(path, {"image_info": cell}, do_compression=True)


# Experiments, which need no Haven here


def experiment(base: str, *, lr: float = 1e-3, frozen: bool = True, **settings: object) -> dict:
    """Return the settings of a network without pretrained weights, trained by plain SGD unless told otherwise."""
    model = {"name": "lcfcn", "base": base, "n_classes": 1, "pretrained": None}
    if base != "fcn8_vgg16":
        model["freeze_batch_norm"] = frozen
    return with_defaults(
        {
            "dataset": {"name": "synthetic", "transform": "rgb_normalize"},
            "model": model,
            "batch_size": 4,
            "max_epoch": 1,
            "dataset_size": {"train": "all", "val": "all"},
            "optimizer": "sgd",
            "lr": lr,
            "seed": 0,
            **settings,
        }
    )


def drawn_batch(n: int, height: int, width: int, n_clicks: int, seed: int = 0) -> dict:
    """Return a batch of noise with random clicks, as `collate` makes them."""
    rng = np.random.default_rng(seed)
    points = np.zeros((n, height * width), dtype=np.int64)
    for row in points:
        row[rng.choice(height * width, n_clicks, replace=False)] = 1
    images = torch.from_numpy(rng.normal(size=(n, 3, height, width)).astype(np.float32))
    roi = torch.ones((n, height, width), dtype=torch.bool)
    meta = [{"index": i, "name": f"drawn {i}", "path": "memory"} for i in range(n)]
    return {"images": images, "points": torch.from_numpy(points).reshape(n, height, width), "roi": roi, "meta": meta}


# a. Correctness


def check_loss(device: torch.device) -> Iterator[dict]:
    """Compare loss and gradient on the device with the CPU's, over types, classes, regions and batches."""
    generator = torch.Generator().manual_seed(0)
    for dtype in (torch.float32, torch.bfloat16, torch.float16):
        for channels, with_roi, on_device in ((1, False, False), (1, True, True), (3, True, False), (3, False, True)):
            shape = (4, channels, 96, 128)
            logits = (torch.randn(shape, generator=generator) * 3).to(dtype)
            points = torch.zeros((4, 96, 128), dtype=torch.int64)
            for image in points[:3]:
                where = torch.randint(0, 96 * 128, (20,), generator=generator)
                image.view(-1)[where] = torch.randint(1, max(channels, 2), (20,), generator=generator)
            roi = torch.zeros((4, 96, 128), dtype=torch.bool) if with_roi else None
            if with_roi:
                roi[:, 8:80, 8:120] = True
            values = []
            for place in (torch.device("cpu"), device):
                own = logits.to(place, copy=True).requires_grad_(True)
                moved = place if on_device else torch.device("cpu")
                loss = compute_lcfcn_loss(own, points.to(moved), None if roi is None else roi.to(moved))
                loss.backward()
                values.append((loss.detach().cpu(), own.grad.float().cpu()))
            (loss_a, grad_a), (loss_b, grad_b) = values
            error = float((loss_a - loss_b).abs() / loss_a.abs())
            grad_error = float((grad_a - grad_b).abs().sum() / grad_a.abs().sum())
            yield {
                "what": f"loss, {str(dtype).removeprefix('torch.')}, {channels} channels, "
                f"{'with' if with_roi else 'no'} region, points on the {'device' if on_device else 'host'}",
                "loss": error,
                "gradient": grad_error,
                "fine": error < 1e-5 and grad_error < (1e-4 if dtype == torch.float32 else 2e-2),
            }


def check_steps(device: torch.device) -> Iterator[dict]:
    """Train ten steps on the device and on the CPU from the same weights."""
    losses = []
    for name in ("cpu", device.type):
        model = LCFCN(experiment("fpn_mobilenet_v2"), Runtime(name), n_steps=10)
        model.model_base.train()
        batch = drawn_batch(4, 128, 160, 12)
        losses.append([model.train_on_batch(batch)["train_loss"] for _ in range(10)])
    worst = float(np.max(np.abs(np.subtract(*losses)) / np.abs(losses[0])))
    yield {"what": "ten training steps against the CPU", "worst relative difference": worst, "fine": worst < 1e-2}


def check_resume(device: torch.device) -> Iterator[dict]:
    """Stop after three of six steps, and go on from a checkpoint on the device."""
    exp_dict = experiment("fpn_mobilenet_v2", optimizer="adamw", ema_decay=0.9)
    batches = [drawn_batch(2, 96, 96, 5, seed) for seed in range(6)]

    def steps(model: LCFCN, chosen: list[dict]) -> LCFCN:
        model.model_base.train()
        for batch in chosen:
            model.progress.add_step(model.train_on_batch(batch), 2, 1.0)
        return model

    whole = steps(LCFCN(exp_dict, Runtime(device.type), n_steps=6), batches)
    half = steps(LCFCN(exp_dict, Runtime(device.type), n_steps=6), batches[:3])
    state = copy.deepcopy({**half.get_state_dict(), "score_list": []})
    again = LCFCN(exp_dict, Runtime(device.type), n_steps=6)
    again.load_state_dict(state)
    steps(again, batches[3:])
    pairs = zip(whole.network.parameters(), again.network.parameters(), strict=True)
    worst = max(float((a - b).detach().abs().max()) for a, b in pairs)
    yield {"what": "resumed against never stopped, weights", "greatest difference": worst, "fine": worst < 1e-4}


def check_counts(device: torch.device, data: Path) -> Iterator[dict]:
    """Count with ready weights on the CPU and on the device, in float32 and float16."""
    import lcfcn

    paths = sorted((data / SHANGHAI / "part_B" / "train_data" / "images").glob("*.jpg"))[:COUNTED]
    precisions = ["bf16"] if device.type == "cpu" else ["32", "16"]
    counts = {}
    for name, precision in [("cpu", "32"), *((device.type, precision) for precision in precisions)]:
        counter = lcfcn.load("shanghai_B", device=name, precision=precision)
        counts[f"{name} {precision}"] = [counter.count(path).count for path in paths]
    first, *others = counts
    for other in others:
        worst = int(np.abs(np.subtract(counts[first], counts[other])).max())
        limit = 1 if other.endswith("32") else 5
        yield {
            "what": f"counts of {len(paths)} images, {other} against {first}",
            "worst": worst,
            "fine": worst <= limit,
        }


# b. Time


def time_steps(device: torch.device, base: str, *, quick: bool) -> Iterator[dict]:
    """Time training steps and the loss's share of them."""
    for height, width, n_clicks, sizes in SHAPES[:1] if quick else SHAPES:
        for n in sizes[:1] if quick else sizes:
            for precision in ("32", "bf16"):
                try:
                    yield time_step(device, base, drawn_batch(n, height, width, n_clicks), precision, quick=quick)
                except torch.cuda.OutOfMemoryError:
                    yield {
                        "network": base,
                        "batch": n,
                        "size": f"{height}x{width}",
                        "precision": precision,
                        "memory": "out",
                    }
                finally:
                    if device.type == "cuda":
                        torch.cuda.empty_cache()


def time_step(device: torch.device, base: str, batch: dict, precision: str, *, quick: bool) -> dict:
    """Time one network's step on one batch: wall-clock, and the part that the loss takes when it is measured alone."""
    runtime = Runtime(device.type, precision)
    model = LCFCN(experiment(base), runtime, n_steps=100)
    model.model_base.train()
    runtime.reset_peak_memory()
    n_steps = 2 if quick else 10
    whole = timed(device, lambda: model.train_on_batch(batch), n_steps)
    images = runtime.move_images(batch["images"])

    def forward() -> torch.Tensor:
        with runtime.autocast():
            return model.model_base(images)

    logits = forward().detach()
    parts = {
        "copy": timed(device, lambda: runtime.move_images(batch["images"]), n_steps),
        "forward": timed(device, forward, n_steps),
        "loss": timed(device, lambda: compute_lcfcn_loss(logits, batch["points"], batch["roi"]), n_steps),
    }
    n, _, height, width = batch["images"].shape
    return {
        "network": base,
        "size": f"{height}x{width}",
        "batch": n,
        "precision": precision,
        "step_ms": whole * 1e3,
        **{f"{name}_ms": seconds * 1e3 for name, seconds in parts.items()},
        "rest_ms": max(whole - sum(parts.values()), 0) * 1e3,
        "loss_share": parts["loss"] / whole,
        "images_per_second": n / whole,
        "peak_memory_gib": runtime.peak_memory(),
    }


def timed(device: torch.device, work: Callable[[], object], n: int) -> float:
    """Return the seconds of one call: the median of `n` after a warm-up."""
    seconds = []
    for i in range(n + 2):
        if device.type == "cuda":
            torch.cuda.synchronize()
        start = time.perf_counter()
        work()
        if device.type == "cuda":
            torch.cuda.synchronize()
        if i >= 2:
            seconds.append(time.perf_counter() - start)
    return float(np.median(seconds))


# c. Training


def train(device: torch.device, data: Path, name: str, seconds: float) -> Iterator[dict]:
    """Train on real images for so many seconds; a row an epoch."""
    augment = {"scale": [0.5, 1.25], "crop": 320, "hflip": True, "vflip": name == CARS, "jitter": 0.3}
    dataset_dict = {"name": "trancos", "transform": "rgb_normalize", "augment": augment}
    if name == SHANGHAI:  # the photos are half their size already
        dataset_dict = {**dataset_dict, "name": "shanghai", "part": "B", "zoom": 1 / SHRUNK}
    exp_dict = experiment(
        "fpn_mobilenet_v2",
        frozen=False,
        dataset=dataset_dict,
        batch_size=8,
        optimizer="adamw",
        weight_decay=1e-4,
        heatmap_weight=0.2,
        ema_decay=0.99,
        loss={"spare_points": True, "divide_by_points": "batch", "term_weights": {"split_level": 4}},
        decoding="validation",
    )
    exp_dict["model"]["pretrained"] = str(data / MOBILENET)
    folder = data / (CARS if name == CARS else SHANGHAI)
    train_set, val_set = (get_dataset(dataset_dict, split, str(folder)) for split in ("train", "val"))
    precision = "bf16" if device.type == "cuda" else "32"
    runtime = Runtime(device.type, precision)
    batches = EpochBatches(len(train_set), exp_dict["batch_size"], 0)
    workers = 8 if device.type == "cuda" else 0
    train_loader = make_loader(train_set, collate, runtime, workers=workers, batches=batches)
    val_loader = make_loader(val_set, collate, runtime, workers=0)
    model = LCFCN(exp_dict, runtime, n_steps=1000)
    start = time.perf_counter()
    while time.perf_counter() - start < seconds:
        batches.set_epoch(model.progress.epoch)
        scores = {**model.train_on_loader(train_loader), **model.val_on_loader(val_loader)}
        keys = ("train_loss", "val_mae", "images_per_second", "train_seconds", "val_seconds")
        yield {"data": name, "epoch": model.progress.epoch, **{key: scores[key] for key in keys}}
        model.progress.start_next_epoch()


# The report


class Report:
    """Collects the rows of all parts, and writes them after each one."""

    def __init__(self, out: Path, device: torch.device) -> None:
        self.out = out
        self.start = time.perf_counter()
        gpu = torch.cuda.get_device_name() if device.type == "cuda" else "no GPU: a rehearsal on the CPU"
        self.about = {"device": gpu, "torch": torch.__version__, "python": sys.version.split()[0]}
        self.parts: dict[str, list[dict]] = {}
        self.failures: dict[str, str] = {}

    def left(self) -> float:
        """Return the seconds that are left."""
        return BUDGET - (time.perf_counter() - self.start)

    def run(self, name: str, rows: Iterator[dict]) -> None:
        """Run a part, keep its rows, and write the report; a failure is kept too."""
        self.parts[name] = []
        try:
            for row in rows:
                self.parts[name].append(row)
                if self.left() < 0:
                    raise TimeoutError("the time for all parts was over")
        except Exception:
            self.failures[name] = traceback.format_exc()
        print(f"{name}: {len(self.parts[name])} rows{', FAILED' * (name in self.failures)}", flush=True)
        self.write()

    def write(self) -> None:
        """Write gpu.json and gpu.md."""
        seconds = time.perf_counter() - self.start
        whole = {**self.about, "seconds": seconds, "parts": self.parts, "failures": self.failures}
        write_bytes(self.out / "gpu.json", json.dumps(whole, indent=2).encode())
        lines = ["# What a GPU showed", "", *(f"- {key}: {value}" for key, value in self.about.items())]
        lines += [f"- took {seconds:.0f} s", f"- command: `python -m benchmarks.gpu_check {' '.join(sys.argv[1:])}`"]
        for name, rows in self.parts.items():
            lines += ["", f"## {name}", ""]
            if rows:
                keys = list(dict.fromkeys(key for row in rows for key in row))
                lines += markdown_rows([keys, *([_cell(row.get(key)) for key in keys] for row in rows)])
            if name in self.failures:
                lines += ["", "It failed:", "", "```", self.failures[name].rstrip(), "```"]
        write_bytes(self.out / "gpu.md", ("\n".join(lines) + "\n").encode())


def _cell(value: object) -> str:
    return "" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)


def check(args: argparse.Namespace) -> None:
    """Run all parts."""
    if args.device == "cuda" and not torch.cuda.is_available():
        raise UserError("torch sees no GPU here: --device cpu --quick rehearses the check")
    make_folder(args.out)
    device = torch.device(args.device)
    report = Report(args.out, device)
    report.run("The loss against the CPU", check_loss(device))
    report.run("Training steps against the CPU", check_steps(device))
    report.run("Resuming", check_resume(device))
    report.run("Counts against the CPU", check_counts(device, args.data))
    networks = NETWORKS[:1] if args.quick else NETWORKS
    for base in networks:
        report.run(f"Steps of {base}", time_steps(device, base, quick=args.quick))
    report.run("Training on the cars", train(device, args.data, CARS, 5 if args.quick else min(120, report.left() / 2)))
    if not args.quick:
        report.run("Training on ShanghaiTech B", train(device, args.data, SHANGHAI, report.left() - 30))
    print(f"Written: {args.out / 'gpu.md'} and gpu.json")


def main(argv: list[str] | None = None) -> int:
    """Run the command line; return 0, or 2 after a user's mistake."""
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False)
    parser.add_argument("--data", type=Path, required=True, help="what --prepare made")
    parser.add_argument("--out", type=Path, default=Path("results"), help="where gpu.md and gpu.json go")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--quick", action="store_true", help="few and small, to rehearse it")
    parser.add_argument("--prepare", action="store_true", help="make --data from the next three")
    for name in ("cars", "shanghai", "mobilenet"):
        parser.add_argument(f"--{name}", type=Path, metavar="PATH")
    args = parser.parse_args(argv)
    if args.prepare:
        return run_main("gpu_check", lambda: prepare(args.cars, args.shanghai, args.mobilenet, args.data))
    return run_main("gpu_check", lambda: check(args))


if __name__ == "__main__":
    sys.exit(main())
