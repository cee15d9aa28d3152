"""Check everything that experiments need before anything is written."""

import json
from functools import partial
from pathlib import Path

from lcfcn.errors import UserError
from src.datasets import open_split
from src.datasets.base import PointDataset
from src.experiments import recipe
from src.experiments.folders import experiment_id
from src.experiments.schema import with_defaults
from src.models import LCFCN
from src.training.checkpoints import last_of, load_run
from src.training.data_changes import check_unchanged, describe
from src.training.runtime import Runtime


def prepare(
    exp_dict: dict, datadir: str | None, savedir_base: Path, *, reset: bool
) -> tuple[dict, dict[str, PointDataset]]:
    """Return an experiment with all its settings, and its data sets.

    Settings that are left to the data are chosen and printed, one on each line.

    Parameters
    ----------
    exp_dict : dict
        The experiment as it was written.
    datadir : str or None
        Where the data is.
    savedir_base : Path
    reset : bool
        Whether the run starts again. If not, it must go on with the settings that it began with.

    Raises
    ------
    UserError
        If the data, the settings or a checkpoint to resume from do not fit together.
    """
    settings = with_defaults(exp_dict)

    chosen, messages = recipe.choose(settings, partial(open_split, settings, "train", datadir))
    for message in messages:
        print(f"Chosen from the training images: {message}", flush=True)
    n_classes = settings["model"]["n_classes"]
    datasets = {split: open_split(chosen, split, datadir) for split in ("train", "val")}
    if datasets["train"].n_classes != n_classes:
        raise UserError(
            f"model.n_classes is {n_classes} and the data has {datasets['train'].n_classes} classes: "
            f"--set model.n_classes={datasets['train'].n_classes}"
        )
    if not reset:
        _check_resumable(savedir_base / experiment_id(exp_dict), chosen, datasets)
    return chosen, datasets


def _check_resumable(savedir: Path, chosen: dict, datasets: dict[str, PointDataset]) -> None:
    """Raise `UserError` if a run cannot go on from its last checkpoint; print how its data has changed meanwhile."""
    last = last_of(savedir)
    if last is None:
        return
    checkpoint = load_run(last)
    for change in check_unchanged(checkpoint, describe(datasets), savedir):
        print(f"Changed since the run stopped, {change}. It goes on with the data of now.", flush=True)
    recipe.check_same(chosen, with_defaults(checkpoint["exp_dict"]), savedir)


def check_networks(exp_list: list[dict], runtime: Runtime) -> None:
    """Build each different network with its optimizer once, to find wrong settings or missing weights now."""
    complete = [with_defaults(exp_dict) for exp_dict in exp_list]
    keys = ("model", "optimizer", "schedule", "flip_test")
    for exp_dict in {json.dumps([e[key] for key in keys]): e for e in complete}.values():
        LCFCN(exp_dict, runtime)
