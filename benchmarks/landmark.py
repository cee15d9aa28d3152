"""Draw one validation image twice, with its true and with its predicted points.

python -m benchmarks.landmark -sb SAVEDIR_BASE -ei EXP_ID -d DATADIR --image image-1-000030.jpg -o results/landmark.png
"""

import argparse
from pathlib import Path

import numpy as np

from lcfcn.counting import drawing
from lcfcn.counting.pixels import denormalize
from src.datasets import collate, get_dataset
from src.evaluation import pairing
from src.training.runtime import Runtime


def main() -> None:
    """Load the best network of an experiment, and draw its points on one image beside the true ones."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-sb", "--savedir_base", type=Path, required=True)
    parser.add_argument("-ei", "--exp_id", required=True)
    parser.add_argument("-d", "--datadir")
    parser.add_argument("--image", help="name of the validation image; the first by default")
    parser.add_argument("-o", "--output", type=Path, required=True)
    args = parser.parse_args()
    exp_dict, model, _ = pairing.load_best(args.savedir_base, args.exp_id, Runtime())
    model.model_base.eval()
    dataset = get_dataset(exp_dict["dataset"], "val", args.datadir)
    sample = dataset[dataset.names.index(args.image) if args.image else 0]
    batch = collate([sample])
    blobs = model.predict_blobs(batch)[0]
    image = denormalize(sample["images"], exp_dict["dataset"]["transform"])
    true_points = sample["meta"]["point_list"].numpy()
    predicted = drawing.predicted_points(blobs)
    sides = [
        drawing.marked(image, true_points, drawing.TRUE_COLOUR, f"true points: {len(true_points)}"),
        drawing.marked(image, predicted, drawing.PREDICTED_COLOUR, f"predicted points: {len(predicted)}"),
    ]
    drawing.save_png(args.output, np.concatenate(sides, axis=1))


if __name__ == "__main__":
    main()
