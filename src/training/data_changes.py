"""Find what has changed in the data since a run stopped.

A checkpoint holds the names of the classes, the names of the images of both splits, and a fingerprint of the clicks of
each image. The pixels of the images are not compared.
"""

from pathlib import Path

from lcfcn.counting.weight_files import BEST
from lcfcn.errors import UserError
from src.datasets.base import PointDataset

DATA = "data"
"""In a checkpoint: what `describe` returned."""
SHOWN = 3
"""So many names of images stand in a message."""


def describe(datasets: dict[str, PointDataset]) -> dict:
    """Return what a checkpoint keeps of the data: the `classes`, and by split the fingerprint of each image."""
    return {"classes": list(datasets["train"].class_names), **{s: d.fingerprints for s, d in datasets.items()}}


def check_unchanged(checkpoint: dict, now: dict, savedir: Path) -> list[str]:
    """Compare the data of a checkpoint with the data of now, and return what has changed, a line for each split.

    Other clicks, other validation images and another order are returned. Other classes and other training images are
    refused: the channels of the network belong to the classes, and the learning rate and the order of the batches were
    planned for those images.

    Parameters
    ----------
    checkpoint : dict
        What a run resumes from. One from before version 0.2 knows at most the classes.
    now : dict
        What `describe` returns.
    savedir : Path
        The experiment's folder, for messages.

    Raises
    ------
    UserError
        If the classes, their order or the training images differ.
    """
    before = checkpoint.get(DATA)
    before = before if isinstance(before, dict) else {"classes": checkpoint.get("class_names")}
    classes = before.get("classes")
    if isinstance(classes, list) and classes != now["classes"]:
        raise UserError(
            f"{savedir} was begun with the classes {', '.join(map(str, classes))}, and the data now has "
            f"{', '.join(now['classes'])}; expected the same ones in the same order: give -d the data that it began "
            "with, or start it again with -r 1"
        )
    changes = {split: _compare(before[split], now[split]) for split in now if isinstance(before.get(split), dict)}
    if any(change.endswith(("added", "gone")) for change in changes.get("train", [])):
        raise UserError(
            f"{savedir} was begun with other training images: {'; '.join(changes['train'])}. Its learning rate and the "
            "order of its batches were planned for the images that it began with: give -d those, start it again with "
            f"-r 1, or begin another run from its weights with --set model.pretrained={savedir / BEST}"
        )
    return [f"{split}: {'; '.join(found)}" for split, found in changes.items() if found]


def _compare(before: dict[str, str], now: dict[str, str]) -> list[str]:
    """Return how the images of a split and their clicks differ."""
    kept = [name for name in now if name in before]
    found = {
        "added": [name for name in now if name not in before],
        "gone": [name for name in before if name not in now],
        "with other clicks": [name for name in kept if before[name] != now[name]],
    }
    changes = [f"{_listed(names)} {what}" for what, names in found.items() if names]
    in_order = kept == [name for name in before if name in now]
    return changes if in_order else [*changes, "another order of the images"]


def _listed(names: list[str]) -> str:
    more = ", ..." if len(names) > SHOWN else ""
    return f"{len(names)} image{'s' * (len(names) > 1)} ({', '.join(names[:SHOWN])}{more})"
