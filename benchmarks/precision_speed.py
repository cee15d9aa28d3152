"""What do bfloat16 and float16 save on this machine? python -m benchmarks.precision_speed --precisions 32 bf16

It takes steps of the group `own` on crops of the synthetic data set. The precisions take turns, so that other work on
the machine slows all of them alike.
"""

import argparse
import statistics
import time

import torch

from exp_configs import EXP_GROUPS
from lcfcn.counting.defaults import PRECISIONS
from src.datasets import collate, get_dataset
from src.models import LCFCN
from src.training.runtime import Runtime

SIDE = 384
DISCS = {"name": "synthetic", "transform": "rgb_normalize", "image_size": SIDE}


def main() -> None:
    """Print the median time of a step in each precision, and its ratio to the first."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--precisions", nargs="+", choices=tuple(PRECISIONS), default=["32", "bf16"])
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--device", default="auto")
    args = parser.parse_args()
    own = EXP_GROUPS["own"][0]
    exp_dict = {**own, "dataset": DISCS, "heatmap_only": 0, "model": {**own["model"], "pretrained": None}}
    dataset = get_dataset(DISCS, "train", None)
    batch = collate([dataset[index] for index in range(exp_dict["batch_size"])])
    models = {
        precision: LCFCN(exp_dict, Runtime(args.device, precision), n_steps=args.rounds)
        for precision in args.precisions
    }
    seconds: dict[str, list[float]] = {precision: [] for precision in models}
    for _ in range(args.rounds):
        for precision, model in models.items():
            model.model_base.train()
            start = time.perf_counter()
            model.train_on_batch(batch)
            seconds[precision].append(time.perf_counter() - start)
    first = statistics.median(seconds[args.precisions[0]])
    print(f"{len(batch['images'])} crops of {SIDE}, {torch.get_num_threads()} threads, {args.device}")
    for precision, times in seconds.items():
        median = statistics.median(times)
        print(f"{precision:>4}: {median * 1000:7.0f} ms a step, ratio {median / first:.2f}")


if __name__ == "__main__":
    main()
