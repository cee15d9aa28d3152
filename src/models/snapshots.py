"""Pictures of validation images during the training."""

from collections.abc import Iterable
from pathlib import Path

import matplotlib
import numpy as np

from lcfcn.blobs import get_blobs
from lcfcn.counting.drawing import (
    TRUE_COLOUR,
    blob_overlay,
    captioned,
    count_text,
    enlarged,
    marked,
    save_png,
)
from lcfcn.counting.pixels import denormalize
from lcfcn.counting.trained_network import TrainedNetwork
from lcfcn.names import file_name
from src.datasets.batch import image_names

LONGEST = 100
"""So many bytes may the name of a picture have, so that it fits into any folder of an experiment."""


def draw_snapshots(trained: TrainedNetwork, batches: Iterable[dict], savedir: Path) -> list[Path]:
    """Draw each image with true points | predicted blobs with their count | heat map, and return the files."""
    files = []
    for batch in batches:
        probs = trained.probs(batch["images"], image_names(batch))
        blobs = get_blobs(probs, batch["roi"].numpy(), trained.settings.decoding)
        for n, meta in enumerate(batch["meta"]):
            image = denormalize(batch["images"][n], trained.settings.transform)
            heat = probs[n, 0] if probs.shape[1] == 1 else 1 - probs[n, 0]
            sheet = result_sheet(image, meta["point_list"].numpy(), blobs[n], heat)
            name = f"{meta['index']:05d}_{Path(meta['name']).stem}"
            files.append(Path(savedir) / file_name(name, ".png", longest=LONGEST))
            save_png(files[-1], sheet)
    return files


def result_sheet(image: np.ndarray, point_list: np.ndarray, blobs: np.ndarray, heat: np.ndarray) -> np.ndarray:
    """Image with true points | predicted blobs with their count | heat map, side by side.

    Parameters
    ----------
    image : (H, W, 3) uint8 ndarray
    point_list : (n, 2) float ndarray
        Rows and columns of the clicks.
    blobs : (K, H, W) int ndarray
        Label image of each class.
    heat : (H, W) float ndarray
        Probability of any object, 0 to 1.

    Returns
    -------
    sheet : (H', W', 3) uint8 ndarray
    """
    truth = marked(image, point_list, TRUE_COLOUR, f"true: {len(point_list)}")
    predicted = captioned(enlarged(blob_overlay(image, blobs)), f"predicted: {count_text(blobs)}")
    heat_map = (matplotlib.colormaps["inferno"](heat)[..., :3] * 255).astype(np.uint8)
    return np.concatenate([truth, predicted, captioned(enlarged(heat_map), "probability")], axis=1)
