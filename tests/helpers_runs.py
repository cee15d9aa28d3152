"""Folders of experiments as trainval.py leaves them, without training."""

from PIL import Image

from exp_configs import EXP_GROUPS
from src import checkpoints, experiments, schema

PAINT = (200, 0, 200)
"""The colour of each picture, which no plot has."""


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
