"""What the default recipe leaves to the data: entries of an experiment that are "auto", from its training images."""

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
"""So many pixels of the network's input should lie between neighbours, at the least: four cells of its finest map."""
ZOOMS = (1, 2, 4)
MOST_PIXELS = 16_000_000
"""Of a zoomed image, which validation shows to the network as a whole."""
SIDE = 384
"""Of a crop, in pixels of the network's input."""
EPOCH_IMAGES = 400
"""Fewer images are passed several times in an epoch, so that validation does not take most of the time."""
LOOKED_AT = 50
"""Images that are looked at, spread over the training images."""


def choose(exp_dict: dict, open_train: Callable[[dict], PointDataset]) -> tuple[dict, list[str]]:
    """The experiment with each 'auto' replaced, and what was chosen and why, a line each.

    It depends on the training images alone, so that a run that goes on chooses the same again.

    Parameters
    ----------
    exp_dict : dict
        `dataset.zoom`, `dataset.augment.crop` and `repeats` may be 'auto'.
    open_train : callable
        From a `dataset` section to the training images, as `src.datasets.get_dataset`.
    """
    chosen, told = copy.deepcopy(exp_dict), []
    dataset, augment = chosen["dataset"], chosen["dataset"].get("augment") or {}
    if not isinstance(augment, dict) or AUTO not in (dataset.get("zoom"), augment.get("crop"), chosen.get("repeats")):
        return exp_dict, told
    if dataset.get("zoom") != AUTO:
        check_zoom(dataset.get("zoom", 1))
    plain = {key: value for key, value in dataset.items() if key not in ("zoom", "augment")}
    train = open_train(plain)
    step = -(-len(train) // LOOKED_AT)
    records = [train.prepared(index) for index in range(0, len(train), step)]
    if dataset.get("zoom") == AUTO:
        largest = max(record.roi.size for record in records)
        dataset["zoom"], why = _choose_zoom([record.point_list for record in records], largest)
        told.append(f"dataset.zoom={dataset['zoom']}: {why}")
    if augment.get("crop") == AUTO:
        side = min(min(record.roi.shape) for record in records) * dataset.get("zoom", 1)
        # Of less than two cells of the coarsest map, batch norm would learn nothing from a batch of one image.
        augment["crop"] = max(int(min(side, SIDE)) // CELL, 2) * CELL
        told.append(f"dataset.augment.crop={augment['crop']}: the shortest side of an image is {side:g} when zoomed")
    if chosen.get("repeats") == AUTO:
        chosen["repeats"] = max(round(EPOCH_IMAGES / len(train)), 1)
        told.append(f"repeats={chosen['repeats']}: an epoch is so many times the {len(train)} training images")
    return chosen, told


def check_same(chosen: dict, before: dict, savedir: Path) -> None:
    """UserError if a run would go on with other choices than it began with, as where the images have changed."""
    for key in ("dataset", "repeats"):
        if chosen.get(key) != before.get(key):
            raise UserError(
                f"{savedir} was begun with {key} {before.get(key)}, and the training images now ask for "
                f"{chosen.get(key)}: give -d the images it began with, or start it again by -r 1"
            )


def _choose_zoom(point_lists: list[np.ndarray], largest: int) -> tuple[int, str]:
    """The least zoom that leaves enough room between neighbours in images of so many pixels, and why."""
    nearest = [cKDTree(points).query(points, k=2)[0][:, 1] for points in point_lists if len(points) > 1]
    if not nearest:
        return 1, "no image has two clicks"
    apart = float(np.percentile(np.concatenate(nearest), 25))
    possible = [zoom for zoom in ZOOMS if zoom == 1 or largest * zoom**2 <= MOST_PIXELS]
    zoom = next((zoom for zoom in possible if apart * zoom >= APART), possible[-1])
    limited = "" if apart * zoom >= APART or zoom == ZOOMS[-1] else f", and images of {largest:,} pixels allow no more"
    return zoom, f"a quarter of the clicks have a neighbour within {apart:.1f} pixels{limited}"
