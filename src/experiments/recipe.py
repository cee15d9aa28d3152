"""Choose the settings that are "auto" in an experiment, from its training images."""

import copy
from collections.abc import Callable
from pathlib import Path

import numpy as np
from scipy.spatial import cKDTree

from lcfcn.counting.settings import check_zoom
from lcfcn.errors import UserError
from lcfcn.networks.trunk import CELL
from src.datasets.base import PointDataset
from src.experiments.schema import AUTO

APART = 16.0
"""At least so many pixels of the network's input should be between neighbours: four cells of its finest map."""
ZOOMS = (1, 2, 4)
MOST_PIXELS = 16_000_000
"""The largest size of a zoomed image. In validation the network gets it as a whole."""
SIDE = 384
"""The largest side of a crop, in pixels of the network's input."""
EPOCH_IMAGES = 400
"""Fewer training images are repeated within an epoch, so that validation does not take most of the time."""
LOOKED_AT = 50
"""So many of the training images are looked at, spread over all of them."""


def choose(exp_dict: dict, open_train: Callable[[dict], PointDataset]) -> tuple[dict, list[str]]:
    """Return the experiment with each 'auto' replaced, and a line for each choice and its reason.

    The choice depends only on the training images. So a run that resumes chooses the same again.

    Parameters
    ----------
    exp_dict : dict
        `dataset.zoom`, `dataset.augment.crop` and `repeats` may be 'auto'.
    open_train : callable
        Opens the training images for a `dataset` section, as `src.datasets.get_dataset` does.
    """
    chosen, messages = copy.deepcopy(exp_dict), []
    dataset, augment = chosen["dataset"], chosen["dataset"].get("augment") or {}
    if not isinstance(augment, dict) or AUTO not in (dataset.get("zoom"), augment.get("crop"), chosen.get("repeats")):
        return exp_dict, messages
    if dataset.get("zoom") != AUTO:
        check_zoom(dataset.get("zoom", 1))
    plain = {key: value for key, value in dataset.items() if key not in ("zoom", "augment")}
    train = open_train(plain)
    step = -(-len(train) // LOOKED_AT)
    records = [train.prepared(index) for index in range(0, len(train), step)]
    if dataset.get("zoom") == AUTO:
        largest = max(record.roi.size for record in records)
        dataset["zoom"], why = _choose_zoom([record.point_list for record in records], largest)
        messages.append(f"dataset.zoom={dataset['zoom']}: {why}")
    if augment.get("crop") == AUTO:
        side = min(min(record.roi.shape) for record in records) * dataset.get("zoom", 1)
        # With less than two cells of the coarsest map, batch norm could not learn from a batch of one image.
        augment["crop"] = max(int(min(side, SIDE)) // CELL, 2) * CELL
        messages.append(
            f"dataset.augment.crop={augment['crop']}: the shortest side of an image is {side:g} when zoomed"
        )
    if chosen.get("repeats") == AUTO:
        chosen["repeats"] = max(round(EPOCH_IMAGES / len(train)), 1)
        messages.append(f"repeats={chosen['repeats']}: an epoch is so many times the {len(train)} training images")
    return chosen, messages


def check_same(chosen: dict, before: dict, savedir: Path) -> None:
    """Raise `UserError` if a run would go on with other choices than before, because the images have changed."""
    for key in ("dataset", "repeats"):
        if chosen.get(key) != before.get(key):
            raise UserError(
                f"{savedir} was begun with {key} {before.get(key)}, and the training images now ask for "
                f"{chosen.get(key)}: give the same images with -d, or start again with -r 1"
            )


def _choose_zoom(point_lists: list[np.ndarray], largest: int) -> tuple[int, str]:
    """Return the smallest zoom that leaves enough pixels between neighbours, and the reason.

    `largest` is the number of pixels of the largest image.
    """
    nearest = [cKDTree(points).query(points, k=2)[0][:, 1] for points in point_lists if len(points) > 1]
    if not nearest:
        return 1, "no image has two clicks"
    apart = float(np.percentile(np.concatenate(nearest), 25))
    possible = [zoom for zoom in ZOOMS if zoom == 1 or largest * zoom**2 <= MOST_PIXELS]
    zoom = next((zoom for zoom in possible if apart * zoom >= APART), possible[-1])
    limited = "" if apart * zoom >= APART or zoom == ZOOMS[-1] else f", and images of {largest:,} pixels allow no more"
    return zoom, f"a quarter of the clicks have a neighbour within {apart:.1f} pixels{limited}"
