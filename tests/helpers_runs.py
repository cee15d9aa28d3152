"""Folders of experiments as trainval.py leaves them, without training, and what command lines say of mistakes."""

import os
import pickle
import signal

import torch
from PIL import Image

from benchmarks.kill_test import SMALL
from exp_configs import EXP_GROUPS
from src.datasets import collate, get_dataset
from src.experiments import folders as experiments
from src.experiments import schema
from src.models import LCFCN
from src.training import checkpoints
from src.training.loaders import make_loader
from src.training.runtime import Runtime

PAINT = (200, 0, 200)
"""The colour of each picture, which no plot has."""
N_VAL = 6
"""Validation images of `write_experiment`."""


def make_run(savedir_base, *overrides, maes, group="trancos_light"):
    """One experiment with these `val_mae`, an epoch each, and a picture; its folder."""
    exp_dict = schema.override(EXP_GROUPS[group][0], list(overrides))
    savedir = experiments.open_experiment(exp_dict, savedir_base, reset=False)
    rows = [
        {"epoch": epoch, "train_loss": 9.0 / (epoch + 1), "lr": 1e-9, "val_mae": mae, "val_score": -mae}
        for epoch, mae in enumerate(maes)
    ]
    checkpoints.save_pickle(savedir / checkpoints.SCORES, rows)
    checkpoints.save_pickle(savedir / checkpoints.BEST_SCORES, rows[: maes.index(min(maes)) + 1])
    (savedir / "images").mkdir(exist_ok=True)
    Image.new("RGB", (90, 30), PAINT).save(savedir / "images" / "00000_picture.png")
    return savedir


def write_experiment(savedir_base, n_classes, class_names=None, overrides=()):
    """An experiment whose network was never trained, but sees something; returns its folder and validation scores."""
    sizes = [f"dataset.n_classes={n_classes}", f"model.n_classes={n_classes}", f"dataset_size.val={N_VAL}"]
    exp_dict = schema.override(EXP_GROUPS["demo"][0], [*SMALL, *sizes, *overrides])
    savedir = experiments.open_experiment(exp_dict, savedir_base, reset=False)
    runtime = Runtime("cpu")
    model = LCFCN(exp_dict, runtime)
    for name, parameter in model.model_base.named_parameters():
        if name.startswith("score") and name.endswith("weight"):
            torch.nn.init.normal_(parameter, std=20)
    dataset = get_dataset(exp_dict["dataset"], "val", None, size=N_VAL)
    scores = model.val_on_loader(make_loader(dataset, collate, runtime, workers=0))
    network = {"model": model.get_state_dict()["model"], "exp_dict": model.with_decoding(exp_dict), "epoch": 7}
    network |= {"class_names": class_names or dataset.class_names}
    checkpoints.write_whole(savedir / checkpoints.BEST, lambda file: torch.save(network, file))
    return savedir, scores


def stop_at(step, number=signal.SIGTERM, patch=None):
    """Send this process a signal in its training step of that number; a list that grows by one with each step.

    Without a `MonkeyPatch` that undoes it, it stays so, as for a process that ends anyway.
    """
    train_on_batch = LCFCN.train_on_batch
    steps = []

    def counted(self, batch):
        steps.append(1)
        if len(steps) == step:
            os.kill(os.getpid(), number)
        return train_on_batch(self, batch)

    (patch.setattr if patch else setattr)(LCFCN, "train_on_batch", counted)
    return steps


def mistake(main, capsys, arguments):
    """The one line that a command line prints for a user's mistake."""
    try:
        code = main([str(argument) for argument in arguments])
    except SystemExit as error:
        code = error.code
    err = capsys.readouterr().err
    assert code == 2
    assert err.count("\n") == 1, err
    assert ": error: " in err, err
    return err


def only_savedir(savedir_base):
    (savedir,) = [p for p in sorted(savedir_base.iterdir()) if len(p.name) == 32]
    return savedir


def scores(savedir):
    return pickle.loads((savedir / checkpoints.SCORES).read_bytes())
