"""Checkpoints: what a run needs to go on as if it had never stopped, and the best network so far."""

import math
import os
from pathlib import Path

import torch

from src.datasets.base import check_zoom
from src.datasets.transforms import TRANSFORMS
from src.errors import UserError
from src.files import load_tensors, save_pickle, write_whole
from src.schema import check_exp_dict

LAST, BEST = "model.pth", "model_best.pth"
RUN = {**dict.fromkeys(("model", "opt", "schedule", "scaler", "random", "sums", "exp_dict"), dict), "score_list": list}
"""What a run needs to go on, and its type."""
SCORES, BEST_SCORES = "score_list.pkl", "score_list_best.pkl"
READY = Path(__file__).parents[1] / "results" / "weights"
"""Where ready weights lie, which are found by their name alone."""


def find_checkpoint(path: Path) -> Path:
    """The file that `-c` names.

    Parameters
    ----------
    path : Path
        A checkpoint; or an experiment's folder, of which it is the best checkpoint or else the last; or, where nothing
        lies at that path, the name of ready weights, without the ending.

    Raises
    ------
    UserError
        If there is none.
    """
    if os.path.isdir(path):
        for name in (BEST, LAST):
            if os.path.isfile(path / name):
                return path / name
        raise UserError(
            f"{path} holds no {BEST} and no {LAST}; expected a checkpoint or the folder of an experiment: check -c"
        )
    if os.path.lexists(path):
        return path
    known = {file.stem: file for file in sorted(READY.glob("*.pth"))}
    if str(path) in known:
        return known[str(path)]
    raise UserError(
        f"there is no {path}; expected a checkpoint, the folder of an experiment, or the name of ready weights "
        f"({', '.join(known) or 'none are there'}): check -c"
    )


def load_checkpoint(path: Path) -> dict:
    """Read a checkpoint onto the CPU, without running anything that it contains.

    Raises
    ------
    UserError
        If the file is missing, damaged or no checkpoint.
    """
    ways_out = "restore the file, or start the experiment again with -r 1, which keeps a backup"
    checkpoint = load_tensors(path, ways_out)
    if not isinstance(checkpoint, dict) or not _is_state_dict(checkpoint.get("model")):
        raise UserError(f"{path} holds no network under the key 'model': pass a checkpoint that trainval.py wrote")
    return checkpoint


def _is_state_dict(value: object) -> bool:
    is_dict = isinstance(value, dict)
    return is_dict and all(isinstance(k, str) and isinstance(v, torch.Tensor) for k, v in value.items())


def load_run(path: Path) -> dict:
    """Read a checkpoint that a run can resume from; UserError also if it holds less than that."""
    checkpoint = load_checkpoint(path)
    missing = [key for key, kind in RUN.items() if not isinstance(checkpoint.get(key), kind)]
    if missing:
        raise UserError(
            f"{path} holds no {', '.join(missing)}: a run resumes from its own {LAST} only; restore it, or start again "
            "with -r 1, and use a network alone with --set model.pretrained=PATH"
        )
    return checkpoint


def class_names(checkpoint: dict, path: Path, n_classes: int) -> list[str] | None:
    """The names of the classes that a checkpoint's network knows; older ones lack them.

    Raises
    ------
    UserError
        If they are no names, or not as many as the network has classes.
    """
    names = checkpoint.get("class_names")
    is_list = isinstance(names, list) and len(names) == n_classes and all(isinstance(name, str) for name in names)
    if names is not None and not is_list:
        raise UserError(
            f"{path} has the class_names {str(names)[:80]!r}; expected a name for each class of its network, "
            f"{n_classes} in a list: pass a checkpoint that trainval.py wrote"
        )
    return names


def epoch_of(checkpoint: dict) -> int | None:
    """The epoch that a checkpoint's network is of, if it says so."""
    epoch = checkpoint.get("epoch")
    return epoch if isinstance(epoch, int) else None


def experiment_of(checkpoint: dict, path: Path) -> dict:
    """The experiment of a checkpoint's network, with what training found out for itself, such as its reading.

    Raises
    ------
    UserError
        If there is none, or it is not well formed.
    """
    exp_dict = checkpoint.get("exp_dict")
    if not isinstance(exp_dict, dict):
        raise UserError(
            f"{path} does not say which network it holds (no 'exp_dict'): pass a checkpoint that trainval.py wrote"
        )
    check_exp_dict(exp_dict)
    transform = exp_dict["dataset"]["transform"]
    if not isinstance(transform, str) or transform not in TRANSFORMS:
        raise UserError(f"{path} has the unknown dataset.transform {transform!r}: known are {', '.join(TRANSFORMS)}")
    check_zoom(exp_dict["dataset"].get("zoom", 1))
    return exp_dict


def best_row(score_list: list[dict]) -> dict | None:
    """The first row of the best `val_score`; a score that is no number is never the best."""
    finite = [row for row in score_list if math.isfinite(row["val_score"])]
    return max(finite, key=lambda row: row["val_score"], default=None)


def is_best(score_list: list[dict]) -> bool:
    """Whether the last row is the best of all."""
    return best_row(score_list) is score_list[-1]


def is_patience_over(score_list: list[dict], patience: int | None) -> bool:
    """Whether the last so many epochs brought no better score than there was before; never without a patience."""
    best = best_row(score_list)
    return patience is not None and best is not None and score_list[-1]["epoch"] - best["epoch"] >= patience


def stopped_early(score_list: list[dict]) -> bool:
    """Whether a run ended before its last epoch because its score no longer improved."""
    return bool(score_list) and score_list[-1].get("stopped_early", False)


def save_epoch(savedir: Path, state: dict, score_list: list[dict], exp_dict: dict) -> bool:
    """Save the end of an epoch, and return whether its network is the best so far.

    `model.pth` carries the scores too, and is what a run resumes from. It is written after the best network: a run
    killed in between repeats the epoch and writes the same best network again (on a GPU, where repeating does not
    give the same bits, a nearly equal one, or none if it is no longer the best).
    """
    best = is_best(score_list)
    if best:
        # All that predicting needs: exp_dict tells the network and how its images are normalised.
        network = {key: state[key] for key in ("model", "class_names")}
        network |= {"exp_dict": exp_dict, "epoch": score_list[-1]["epoch"]}
        write_whole(savedir / BEST, lambda file: torch.save(network, file))
        save_pickle(savedir / BEST_SCORES, score_list)
    save_last(savedir, state, score_list, exp_dict)
    save_pickle(savedir / SCORES, score_list)
    return best


def save_last(savedir: Path, state: dict, score_list: list[dict], exp_dict: dict) -> None:
    """Save what a run resumes from."""
    checkpoint = {**state, "score_list": score_list, "exp_dict": exp_dict}
    write_whole(savedir / LAST, lambda file: torch.save(checkpoint, file))
