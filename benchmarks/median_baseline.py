"""What does the median count of the training images score? python -m benchmarks.median_baseline -e GROUP -d DATADIR"""

import argparse

import numpy as np

from exp_configs import EXP_GROUPS
from lcfcn.metrics import mae
from src.datasets import get_dataset


def main() -> None:
    """Print the median, and its MAE on the validation images. A network must do better."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-e", "--exp_group", choices=sorted(EXP_GROUPS), required=True)
    parser.add_argument("-d", "--datadir")
    args = parser.parse_args()
    dataset_dict = {k: v for k, v in EXP_GROUPS[args.exp_group][0]["dataset"].items() if k not in ("zoom", "augment")}
    train, val = (get_dataset(dataset_dict, split, args.datadir) for split in ("train", "val"))
    median = train.median_count()
    counts = np.array(val.count_list())
    print(f"{median:g}, the median of {len(train)} training images, has MAE {mae(median - counts):.2f} on {len(val)}")


if __name__ == "__main__":
    main()
