"""Files of weights: find the one that a name means, and read it without running what it contains."""

import json
import os
import sys
from functools import cache
from importlib.resources import files
from pathlib import Path

from lcfcn.errors import UserError, suggestion
from lcfcn.files import load_tensors
from lcfcn.names import fault_of_class

LAST, BEST = "model.pth", "model_best.pth"
"""The checkpoints in an experiment's folder: the last one, and the one of the best validation score."""


def ready_folder() -> Path:
    """Return the folder of the ready weights, which travel in the package."""
    return Path(str(files("lcfcn") / "weights"))


@cache
def ready_weights() -> dict[str, dict]:
    """Return what is known of each of the ready weights, by name: see `lcfcn/weights/index.json`.

    Weights that lie in the folder and are not in the index are there, too, and nothing is known of them.
    """
    known = json.loads((ready_folder() / "index.json").read_text(encoding="utf-8"))
    return {**{file.stem: {} for file in sorted(ready_folder().glob("*.pth"))}, **known}


def find_checkpoint(path: str | Path) -> Path:
    """Return the file that a path or a name means.

    Parameters
    ----------
    path : str or Path
        A checkpoint. Or an experiment's folder: its best checkpoint, or else its last. Or, where nothing lies at that
        path, the name of ready weights.

    Raises
    ------
    UserError
        If there is none.
    """
    path = Path(path)
    if os.path.isdir(path):
        for name in (BEST, LAST):
            if os.path.lexists(path / name):  # a link to a lost file is told when it is read
                return path / name
        raise UserError(
            f"{path} holds no {BEST} and no {LAST}; expected a checkpoint or the folder of an experiment: check -c"
        )
    if os.path.lexists(path):
        return path
    known = ready_weights()
    if str(path) in known:
        _say_terms(str(path))
        return ready_folder() / f"{path}.pth"
    raise UserError(
        f"there is no {path}{suggestion(str(path), known)}; expected a checkpoint, the folder of an experiment, or the "
        f"name of ready weights ({', '.join(known) or 'none are there'}): check -c"
    )


@cache
def _say_terms(name: str) -> None:
    """Say once in a process that the data of these weights is for research only."""
    terms = ready_weights()[name].get("terms")
    if terms:
        print(f"{name}: {terms}", file=sys.stderr)


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
    import torch  # finding a file by its name needs none

    is_dict = isinstance(value, dict)
    return is_dict and all(isinstance(k, str) and isinstance(v, torch.Tensor) for k, v in value.items())


def class_names(checkpoint: dict, path: Path, n_classes: int) -> list[str] | None:
    """Return the names of the classes in a checkpoint; None for an older one, which lacks them.

    Raises
    ------
    UserError
        If they are no names, or not as many as the network has classes.
    """
    names = checkpoint.get("class_names")
    is_list = isinstance(names, list) and len(names) == n_classes and all(isinstance(name, str) for name in names)
    for name in filter(fault_of_class, names if is_list else ()):
        raise UserError(f"{path}: the class {name[:80]!r} {fault_of_class(name)}: pass a checkpoint that you trust")
    if names is not None and not is_list:
        raise UserError(
            f"{path} has the class_names {str(names)[:80]!r}; expected a name for each class of its network, "
            f"{n_classes} in a list: pass a checkpoint that trainval.py wrote"
        )
    return names


def default_names(n_classes: int) -> list[str]:
    """Return names for the classes of a checkpoint that has none."""
    return ["object"] if n_classes == 1 else [f"class {k}" for k in range(1, n_classes + 1)]
