"""Write ready weights: a trained network as one small file that counts, with a card that says what it is."""

import hashlib
import io
import json
from pathlib import Path, PureWindowsPath

import torch
from torch import Tensor

from lcfcn.counting.device import Device
from lcfcn.counting.settings import with_new_names
from lcfcn.counting.trained_network import TrainedNetwork
from lcfcn.counting.weight_files import class_names, default_names, find_checkpoint, load_checkpoint
from lcfcn.errors import UserError
from lcfcn.files import make_folder, write_bytes
from src.experiments.schema import VALIDATION
from src.release import model_card, onnx_file
from src.training.checkpoints import SCORES, epoch_of, experiment_of, is_scores, read_scores

NO_SCORES = ("val_seconds", "val_score")
"""Entries of a row that are named as validation scores are, but are the time, and the MAE once more."""


def export(source: Path, target: Path, *, half: bool = False, onnx: bool = False, force: bool = False) -> list[Path]:
    """Write a trained network as ready weights, with its card beside it, and return the files.

    Parameters
    ----------
    source : Path
        A checkpoint, the folder of an experiment, or the name of ready weights.
    target : Path
        The file of the weights, ends in .pth. The card ends in .md, and the ONNX file in .onnx.
    half : bool
        Write the weights in float16. They become float32 again when they are loaded.
    onnx : bool
        Write an ONNX file of these weights too.
    force : bool
        Overwrite files that are there.

    Raises
    ------
    UserError
        If a file is there already, the checkpoint is wrong, a weight is too large for float16, a package for ONNX is
        missing, or a file cannot be written.
    """
    onnx_target, card_target = target.with_suffix(".onnx"), target.with_suffix(".md")
    _check_free([target, card_target, *([onnx_target] if onnx else [])], force)
    if onnx:
        onnx_file.check_installed()
    path = find_checkpoint(source)
    ready = ready_weights(path, half=half)
    trained = TrainedNetwork.from_checkpoint(ready, path, Device("cpu"))
    contents = {target: _saved(ready)}
    if onnx:
        contents[onnx_target] = onnx_file.onnx_bytes(
            trained, ready["class_names"] or default_names(trained.settings.n_classes)
        )
    about = [model_card.FileFacts(f.name, len(data), hashlib.sha256(data).hexdigest()) for f, data in contents.items()]
    # The card comes last. If it is there, all files are there.
    contents[card_target] = model_card.text(ready, about, trained, _chosen(path, ready["exp_dict"])).encode()
    make_folder(target.parent)
    for file, data in contents.items():
        write_bytes(file, data)
    return list(contents)


def _check_free(files: list[Path], force: bool) -> None:
    taken = [file for file in files if file.exists()]
    if taken and not force:
        raise UserError(f"{taken[0]} is there already: choose another -o, or add --force")


def ready_weights(path: Path, *, half: bool) -> dict:
    """Return the content of a file of ready weights: what counting and scoring need of a checkpoint, and its source.

    Returns
    -------
    ready : dict
        `model`, the state dict, in float16 if `half`; `exp_dict`, with only the file's name in `model.pretrained`;
        `class_names`, a list or None; `epoch`, an int or None; `scores`, the validation scores of that epoch by name,
        empty if they are not known.

    Raises
    ------
    UserError
        If the checkpoint is wrong, or a weight is too large for float16.
    """
    checkpoint = load_checkpoint(path)
    exp_dict = experiment_of(checkpoint, path)
    model, epoch, pretrained = checkpoint["model"], epoch_of(checkpoint), exp_dict["model"]["pretrained"]
    # A path from Windows may have either slash.
    pretrained = pretrained and PureWindowsPath(pretrained).name
    return {
        "model": {name: _halved(name, value) for name, value in model.items()} if half else model,
        "exp_dict": {**exp_dict, "model": {**exp_dict["model"], "pretrained": pretrained}},
        "class_names": class_names(checkpoint, path, exp_dict["model"]["n_classes"]),
        "epoch": epoch,
        "scores": _scores(checkpoint, path, epoch),
    }


def _halved(name: str, value: Tensor) -> Tensor:
    """Return a tensor in float16. An integer tensor, such as batch norm's number of batches, stays as it is."""
    if not value.is_floating_point():
        return value
    halved = value.half()
    if not halved.isfinite().all():
        most, limit = value.abs().max().item(), torch.finfo(torch.float16).max
        raise UserError(f"{name} has the weight {most:g}; expected at most {limit:g} with --half: leave --half out")
    return halved


def _scores(checkpoint: dict, path: Path, epoch: int | None) -> dict[str, float]:
    """Return the validation scores of a checkpoint's epoch, from the experiment's table beside it or from itself."""
    rows = read_scores(path.with_name(SCORES))
    own = checkpoint.get("scores") or {}
    row = next((row for row in rows if row["epoch"] == epoch), own if is_scores(own) else {})
    return {key: value for key, value in row.items() if key.startswith("val_") and key not in NO_SCORES}


def _chosen(path: Path, exp_dict: dict) -> list[str]:
    """Return what the validation images chose.

    A checkpoint's experiment holds the decoding that is used. The exp_dict.json in the folder says whether validation
    chose it. Without that file the decoding counts as chosen, because then the card claims less.
    """
    try:
        written = json.loads(path.with_name("exp_dict.json").read_text(encoding="utf-8"))
        asked = with_new_names(written).get("decoding")
    except (OSError, ValueError):
        asked = VALIDATION if exp_dict.get("decoding") else None
    return ["epoch", "decoding"] if asked == VALIDATION else ["epoch"]


def _saved(ready: dict) -> bytes:
    file = io.BytesIO()
    torch.save(ready, file)
    return file.getvalue()
