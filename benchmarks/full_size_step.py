"""Can the full-size groups take a step with batches of 5? python -m benchmarks.full_size_step -d DATADIR

It takes one step with each different network of the groups for a GPU, on TRANCOS images, from random weights.
"""

import argparse
import time

import numpy as np

from exp_configs import EXP_GROUPS
from src.datasets import collate, get_dataset
from src.models import LCFCN
from src.training.runtime import Runtime


def main() -> None:
    """Print loss, time and parameters of each group's step."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-d", "--datadir", required=True, help="TRANCOS, or images in its layout")
    parser.add_argument("--batch_size", type=int, default=5)
    args = parser.parse_args()
    dataset = get_dataset(EXP_GROUPS["trancos"][0]["dataset"], "train", args.datadir)
    batch = collate([dataset[index] for index in range(args.batch_size)])
    for name in ("trancos", "shanghai"):
        exp_dict = EXP_GROUPS[name][0]
        model = LCFCN({**exp_dict, "model": {**exp_dict["model"], "pretrained": None}}, Runtime())
        model.model_base.train()
        start = time.perf_counter()
        loss = model.train_on_batch(batch)["train_loss"]
        seconds = time.perf_counter() - start
        n_parameters = sum(int(np.prod(p.shape)) for p in model.model_base.parameters())
        print(
            f"{name}: batch {tuple(batch['images'].shape)}, {n_parameters / 1e6:.0f} M parameters, loss {loss:.3f}, "
            f"{seconds:.0f} s on {model.runtime.device}, peak memory {model.runtime.peak_memory():.1f} GiB"
        )


if __name__ == "__main__":
    main()
