"""How well does the loss agree with the plain references? python -m benchmarks.loss_agreement [--golden FOLDER]

It compares loss, terms, gradient and split lines with the slow reference of the tests on hundreds of random scenes, and
on golden scenes if their folder is given. The reference runs with scikit-image's flood, and with one that follows the
rule for equal heights. It prints a table of docs/loss.md, and takes minutes.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from scipy import ndimage

from lcfcn.lcfcn_loss import compute_lcfcn_loss
from lcfcn.targets import find_pixel_sets
from tests.reference import (
    CLICKS,
    MAPS,
    SIZES,
    flood_lines,
    probabilities,
    random_clicks,
    random_map,
    reference_loss,
)

SEEDS = 3


def main() -> None:
    """Print a line for each comparison."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--golden", type=Path, help="folder of golden scenes (.npz)")
    args = parser.parse_args()
    for n_channels in (1, 3):
        for plain, name in ((True, "with the rule for equal heights"), (False, "on scikit-image")):
            rows = [compare(logits, points, plain) for logits, points in random_scenes(n_channels)]
            print_summary(f"{n_channels} channels, random scenes, reference {name}", rows)
    if args.golden:
        scenes = [np.load(path) for path in sorted(args.golden.glob("*.npz"))]
        pairs = [(torch.from_numpy(scene["logits"])[None].double(), scene["points"]) for scene in scenes]
        for plain, name in ((True, "with the rule for equal heights"), (False, "on scikit-image")):
            print_summary(f"golden scenes, reference {name}", [compare(*pair, plain) for pair in pairs])


def random_scenes(n_channels: int) -> Iterator[tuple[torch.Tensor, np.ndarray]]:
    """Yield logits (C, H, W) float64 and points (H, W) of every kind, density and size."""
    for seed in range(SEEDS):
        for kind in MAPS:
            for clicks in CLICKS:
                for shape in SIZES:
                    rng = np.random.default_rng(seed)
                    logits = np.stack([random_map(kind, shape, rng) for _ in range(n_channels)])
                    # With larger logits the reference's 1 - p of several classes is 0.
                    limit = 99 if n_channels == 1 else 7
                    points = random_clicks(clicks, shape, rng, max(n_channels - 1, 1))
                    yield torch.from_numpy(logits).double().clamp(-limit, limit), points


def compare(logits: torch.Tensor, points: np.ndarray, plain: bool) -> dict[str, float]:
    """Return the relative differences of one scene, and how many of its split pixels differ."""
    leaf = logits.clone().requires_grad_()
    loss, terms = compute_lcfcn_loss(leaf, torch.from_numpy(points), return_terms=True)
    (gradient,) = torch.autograd.grad(loss, leaf)
    expected, expected_terms, expected_gradient = reference_loss(logits, points, plain=plain)
    without_flood = ("image_level", "point_level", "false_positive")
    ours, theirs = our_lines(logits, points), reference_lines(logits, points, plain)
    return {
        "loss": relative(loss.item(), expected),
        "terms without a flood": max(relative(terms[name].item(), expected_terms[name]) for name in without_flood),
        "gradient (L1)": relative(0, float((gradient - expected_gradient).abs().sum()), expected_gradient.abs().sum()),
        "split": ours.sum(),
        "differ": (ours != theirs).sum(),
        "far": (ours & ~ndimage.binary_dilation(theirs, np.ones((1, 3, 3)))).sum(),
    }


def relative(value: float, expected: float, scale: float | None = None) -> float:
    """Return a difference, relative to the expected value if that is not 0."""
    scale = abs(expected) if scale is None else float(scale)
    return abs(value - expected) / scale if scale > 1e-9 else abs(value - expected)


def our_lines(logits: torch.Tensor, points: np.ndarray) -> np.ndarray:
    """Return the split lines over the whole image of each class, (K, H, W) bool."""
    lines = []
    for k in range(1, max(len(logits), 2)):
        own = np.where(points == k, 1, 0)
        probs = probabilities(logits)[k if len(logits) > 1 else 0][None]
        mask = np.zeros(points.shape, dtype=bool)
        sets = find_pixel_sets(probs, own, np.ones(points.shape, dtype=bool))
        for pixel_set in [s for s in sets if s.term == "split_level"][:1]:
            mask.reshape(-1)[pixel_set.pixels] = True
        lines.append(mask)
    return np.stack(lines)


def reference_lines(logits: torch.Tensor, points: np.ndarray, plain: bool) -> np.ndarray:
    """Return the split lines of the reference, (K, H, W) bool."""
    lines = []
    for k in range(1, max(len(logits), 2)):
        clicks = list(map(tuple, np.argwhere(points == k)))
        probs = probabilities(logits)[k if len(logits) > 1 else 0]
        several = len(clicks) > 1
        lines.append(flood_lines(probs, clicks, None, plain, clicks) if several else np.zeros(points.shape, bool))
    return np.stack(lines)


def print_summary(name: str, rows: list[dict[str, float]]) -> None:
    """Print the largest differences over the scenes, and the share of split pixels that differ."""
    worst = ", ".join(f"{key} {max(row[key] for row in rows):.1e}" for key in list(rows[0])[:3])
    exact = sum(row["loss"] < 1e-6 and row["gradient (L1)"] < 2e-5 for row in rows)
    split, differ, far = (sum(row[key] for row in rows) for key in ("split", "differ", "far"))
    print(f"{name}: {len(rows)} scenes, {exact} of them equal; worst relative differences: {worst};")
    shares = f"{differ / max(split, 1):.2%} differ, {far / max(split, 1):.2%} by more than a pixel"
    print(f"    of {split} pixels of lines over the whole image {shares}", flush=True)


if __name__ == "__main__":
    main()
