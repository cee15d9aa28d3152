"""What the default recipe leaves to the data: entries of an experiment that are "auto", from its training images."""

import copy
from collections.abc import Callable

import numpy as np
from scipy.spatial import cKDTree

from src.datasets.base import PointDataset
from src.schema import AUTO

APART = 10.0
"""So many pixels of the network's input should lie between neighbours, at the least: more than two of its cells."""
ZOOMS = (1, 2, 4)
SIDE = 384
"""Of a crop, in pixels of the network's input."""
GRID = 32
"""The trunk's coarsest stride: a crop's side is a multiple."""
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
        `dataset.zoom`, `dataset.augment.crop` and `passes` may be 'auto'.
    open_train : callable
        From a `dataset` section to the training images, as `src.datasets.get_dataset`.
    """
    chosen, told = copy.deepcopy(exp_dict), []
    dataset, augment = chosen["dataset"], chosen["dataset"].get("augment") or {}
    if AUTO not in (dataset.get("zoom"), augment.get("crop"), chosen.get("passes")):
        return exp_dict, told
    plain = {key: value for key, value in dataset.items() if key not in ("zoom", "augment")}
    train = open_train(plain)
    step = -(-len(train) // LOOKED_AT)
    records = [train.prepared(index) for index in range(0, len(train), step)]
    if dataset.get("zoom") == AUTO:
        dataset["zoom"], why = _choose_zoom([record.point_list for record in records])
        told.append(f"dataset.zoom={dataset['zoom']}: {why}")
    if augment.get("crop") == AUTO:
        side = min(min(record.roi.shape) for record in records) * dataset.get("zoom", 1)
        augment["crop"] = max(int(min(side, SIDE)) // GRID * GRID, GRID)
        told.append(f"dataset.augment.crop={augment['crop']}: the shortest side of an image is {side:g} when zoomed")
    if chosen.get("passes") == AUTO:
        chosen["passes"] = max(round(EPOCH_IMAGES / len(train)), 1)
        told.append(f"passes={chosen['passes']}: an epoch is so many times the {len(train)} training images")
    return chosen, told


def _choose_zoom(point_lists: list[np.ndarray]) -> tuple[int, str]:
    """The least zoom that leaves enough room between neighbours, and why."""
    nearest = [cKDTree(points).query(points, k=2)[0][:, 1] for points in point_lists if len(points) > 1]
    if not nearest:
        return 1, "no image has two clicks"
    apart = float(np.percentile(np.concatenate(nearest), 25))
    zoom = next((zoom for zoom in ZOOMS if apart * zoom >= APART), ZOOMS[-1])
    return zoom, f"a quarter of the clicks have a neighbour within {apart:.1f} pixels"
