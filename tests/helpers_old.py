"""Experiments, checkpoints and score rows as they were before version 0.2."""

import json

import torch

from lcfcn.counting.settings import OLD_NAMES
from src.experiments.schema import DEFAULTS
from src.training import checkpoints

OLD_NAME_OF = {new: old for old, new in OLD_NAMES.items()}


def old_exp_dict(exp_dict):
    """The experiment under the old names, without what it leaves to the defaults."""
    written = {key: value for key, value in exp_dict.items() if key not in DEFAULTS or value != DEFAULTS[key]}
    return {OLD_NAME_OF.get(key, key): value for key, value in written.items()}


def old_scores(scores):
    return {"train_bumps" if key == "train_heatmap" else key: value for key, value in scores.items()}


def make_old(savedir):
    """Rewrite an experiment's folder as a version before 0.2 would have left it."""
    last = torch.load(savedir / checkpoints.LAST, weights_only=True)
    progress = last.pop("progress")
    sums = old_scores(progress["sums"])
    if progress["step_in_epoch"]:
        sums["n_batches"] = float(progress["step_in_epoch"])
    last |= {"sums": sums, "exp_dict": old_exp_dict(last["exp_dict"])}
    last["score_list"] = [old_scores(row) for row in last["score_list"]]
    torch.save(last, savedir / checkpoints.LAST)
    checkpoints.save_pickle(savedir / checkpoints.SCORES, last["score_list"])
    if (savedir / checkpoints.BEST).exists():
        best = torch.load(savedir / checkpoints.BEST, weights_only=True)
        torch.save({**best, "exp_dict": old_exp_dict(best["exp_dict"])}, savedir / checkpoints.BEST)
    written = json.loads((savedir / "exp_dict.json").read_text())
    assert not set(written) & set(OLD_NAME_OF), "its exp_dict must be written under the old names"
    return last
