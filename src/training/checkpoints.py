"""Save and load checkpoints. From the last one a run goes on as if it had never stopped; the best one predicts."""

import math
import os
from pathlib import Path

import torch

from lcfcn.counting.settings import CountingSettings, is_number, with_new_names
from lcfcn.counting.weight_files import BEST, LAST, load_checkpoint
from lcfcn.errors import UserError
from lcfcn.files import load_plain_pickle, save_pickle, write_whole
from src.experiments.schema import check_exp_dict, with_defaults
from src.training.progress import Progress

RUN = {
    **dict.fromkeys(("model", "opt", "schedule", "scaler", "random", "progress", "exp_dict"), dict),
    "score_list": list,
}
"""The entries of a checkpoint that a run resumes from, and their types."""
OLD_SCORES = {"train_bumps": "train_heatmap"}
"""The scores that had other names before version 0.2."""
SCORES, BEST_SCORES = "score_list.pkl", "score_list_best.pkl"
ROW = ("epoch", "val_mae", "val_score")
"""What each row of scores has, beside other scores."""


def last_of(savedir: Path) -> Path | None:
    """Return the checkpoint that a run resumes from; None if there is none.

    Raises
    ------
    UserError
        If it is a link to a file that is not there. Otherwise the run would start again without a word.
    """
    path = savedir / LAST
    if os.path.lexists(path) and not os.path.exists(path):
        raise UserError(
            f"{path} is a link to {os.readlink(path)}, which is not there: bring that file back, as by mounting its "
            "disk, or start again with -r 1"
        )
    return path if os.path.exists(path) else None


def load_run(path: Path) -> dict:
    """Read a checkpoint that a run can resume from; raise `UserError` if it lacks an entry for that."""
    checkpoint = _with_progress(load_checkpoint(path))
    missing = [key for key, kind in RUN.items() if not isinstance(checkpoint.get(key), kind)]
    if missing:
        raise UserError(
            f"{path} holds no {', '.join(missing)}; expected a {LAST} that a run wrote: restore it, or start again "
            "with -r 1, or use a network alone with --set model.pretrained=PATH"
        )
    check_scores(checkpoint["score_list"], path)
    rows = [_with_new_names(row) for row in checkpoint["score_list"]]
    return {**checkpoint, "score_list": rows, "exp_dict": with_new_names(checkpoint["exp_dict"])}


def _with_progress(checkpoint: dict) -> dict:
    """Return a checkpoint with its progress, which other entries held before version 0.2."""
    sums, schedule, rows = (checkpoint.get(key) for key in ("sums", "schedule", "score_list"))
    is_old = isinstance(sums, dict) and isinstance(schedule, dict) and isinstance(rows, list)
    if "progress" in checkpoint or not is_old:
        return checkpoint
    sums = _with_new_names(sums)
    step_in_epoch = int(sums.pop("n_batches", 0))
    progress = Progress(len(rows), schedule.get("last_epoch", 0), step_in_epoch, sums)
    return {**{key: value for key, value in checkpoint.items() if key != "sums"}, "progress": progress.state()}


def _with_new_names(scores: dict) -> dict:
    return {OLD_SCORES.get(name, name): value for name, value in scores.items()}


def read_scores(path: Path) -> list[dict]:
    """Return the rows of scores in a file, none if there is no file; raise `UserError` if they are damaged."""
    return check_scores(load_plain_pickle(path) or [], path)


def check_scores(rows: object, path: Path) -> list[dict]:
    """Return rows of scores from a file; raise `UserError` unless each is a dict of numbers with all of `ROW`."""
    rows = rows if isinstance(rows, list) else [rows]
    damaged = [row for row in rows if not (is_scores(row) and all(is_number(row.get(name)) for name in ROW))]
    if damaged:
        raise UserError(
            f"{path} has the row of scores {str(damaged[0])[:80]}; expected a dict of numbers with {', '.join(ROW)}: "
            "restore the file, or start again with -r 1, which keeps a backup"
        )
    return rows


def is_scores(row: object) -> bool:
    """Whether a value from a file is a dict of names to numbers."""
    is_dict = isinstance(row, dict) and all(isinstance(name, str) for name in row)
    return is_dict and all(isinstance(value, int | float) for value in row.values())


def epoch_of(checkpoint: dict) -> int | None:
    """Return the epoch of a checkpoint's network, or None if it is not known."""
    epoch = checkpoint.get("epoch")
    return epoch if isinstance(epoch, int) else None


def experiment_of(checkpoint: dict, path: Path) -> dict:
    """Return the experiment of a checkpoint's network, with all defaults and with the chosen decoding.

    Raises
    ------
    UserError
        If the checkpoint holds no experiment, or a wrong one.
    """
    CountingSettings.from_exp_dict(checkpoint.get("exp_dict"), path)
    check_exp_dict(checkpoint["exp_dict"])
    return with_defaults(checkpoint["exp_dict"])


def best_row(score_list: list[dict]) -> dict | None:
    """Return the first row with the best `val_score`. A score that is not finite is never the best."""
    finite = [row for row in score_list if math.isfinite(row["val_score"])]
    return max(finite, key=lambda row: row["val_score"], default=None)


def is_best(score_list: list[dict]) -> bool:
    """Whether the last row is the best of all."""
    return best_row(score_list) is score_list[-1]


def is_patience_over(score_list: list[dict], patience: int | None) -> bool:
    """Whether the last `patience` epochs brought no better score. It is never so if `patience` is None."""
    best = best_row(score_list)
    return patience is not None and best is not None and score_list[-1]["epoch"] - best["epoch"] >= patience


def stopped_early(score_list: list[dict]) -> bool:
    """Whether a run ended before its last epoch because its score no longer improved."""
    return bool(score_list) and score_list[-1].get("stopped_early", False)


def save_epoch(savedir: Path, state: dict, score_list: list[dict], exp_dict: dict) -> bool:
    """Save the end of an epoch, and return whether its network is the best so far.

    A run resumes from `model.pth`, which holds the scores too. It is written after the best network. If a run is killed
    in between, it repeats the epoch and writes the same best network again. (A repeated epoch on a GPU does not give
    the same bits. Then the network is nearly equal, or is not written if it is no longer the best.)
    """
    best = is_best(score_list)
    if best:
        # All that counting needs: exp_dict names the network and the normalisation of its images.
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
