"""Load pretrained weights into a network, from torchvision or from a file, and check that they fit."""

from collections.abc import Callable
from http.client import HTTPException
from pathlib import Path

import torch
from torch import Tensor, nn
from torchvision.models import WeightsEnum

from lcfcn.errors import UserError
from lcfcn.files import load_tensors

WAYS_OUT = "use --set model.pretrained=PATH with a file you have, or --set model.pretrained=None to start from scratch"
HEAD = ("score", "scoring", "upscore")
"""Prefixes of the layers whose shapes depend on the number of classes."""


class ModelError(UserError):
    """The network is unknown, or its weights are missing or do not fit. The message is one line."""


def load_weights(
    network: nn.Module, pretrained: str, imagenet: Callable[[], dict], to_trunk: Callable[[dict], dict]
) -> None:
    """Fill a network with pretrained weights.

    Parameters
    ----------
    network : nn.Module
        Filled in place.
    pretrained : str
        `"imagenet"`, or the path of a state dict. Its names are those of torchvision or timm for the trunk, or those of
        the network (a checkpoint of `trainval.py`, or one published for the authors' code).
    imagenet : callable
        Returns the state dict for `"imagenet"`.
    to_trunk : callable
        Renames the tensors of a trunk's state dict for the network, and leaves out those that the network lacks.

    Raises
    ------
    ModelError
        If the weights are missing or damaged, or belong to another network.
    """
    state = imagenet() if pretrained == "imagenet" else read_state(Path(pretrained))
    own = network.state_dict()
    is_own = any(name in own for name in state)
    found = state if is_own else to_trunk(state)
    if not any(name in own for name in found):
        raise ModelError(
            f"{pretrained} holds no weights of this network (it has {', '.join(sorted(state)[:3]) or 'nothing'}, ...); "
            f"expected names as {', '.join(list(own)[:2])} or those of its trunk: {WAYS_OUT}"
        )
    # torchvision's files have no head and may lack fc6 and fc7. These layers keep their random weights.
    _check_complete(pretrained, found, own, spared=() if is_own else (*HEAD, "decoder", "fc"))
    fitting = {n: v.float() if v.is_floating_point() else v for n, v in found.items() if v.shape == own[n].shape}
    network.load_state_dict(fitting, strict=False)


def _check_complete(source: str, found: dict[str, Tensor], own: dict[str, Tensor], spared: tuple[str, ...]) -> None:
    """Raise `ModelError` for the first tensor that is unknown, has a wrong shape, or is missing and not spared."""
    foreign = [n for n in found if n not in own]
    wrong = [n for n, v in found.items() if n in own and v.shape != own[n].shape and not _is_other_head(n, v, own[n])]
    # Old files lack the counter of batches. Nothing reads it here.
    missing = [n for n in own if n not in found and not n.startswith(spared) and not n.endswith("num_batches_tracked")]
    for name in (foreign + wrong + missing)[:1]:
        came, expected = (tuple(s[name].shape) if name in s else "nothing" for s in (found, own))
        raise ModelError(
            f"{source} has {came} for {name}; expected {expected}: choose the model.base (and model.output_stride) "
            "that it was made for"
        )


def _is_other_head(name: str, came: Tensor, own: Tensor) -> bool:
    """Return whether a tensor of the head differs only in the number of classes. It then keeps its random weights."""
    first = 2 if name.startswith("upscore") else 1
    return name.startswith(HEAD) and came.shape[first:] == own.shape[first:]


def read_state(path: Path) -> dict[str, Tensor]:
    """Read a state dict, or the network of a checkpoint, onto the CPU; raise `ModelError` if that fails."""
    state = load_tensors(path, f"check or fetch these weights, or {WAYS_OUT}", ModelError)
    state = state.get("model", state) if isinstance(state, dict) else {}
    pairs = state.items() if isinstance(state, dict) else ()
    return {name: value for name, value in pairs if isinstance(name, str) and isinstance(value, Tensor)}


def download(weights: WeightsEnum) -> dict[str, Tensor]:
    """Return torchvision's weights, from its cache or its server; raise `ModelError` if neither has them."""
    path = Path(torch.hub.get_dir()) / "checkpoints" / weights.url.rpartition("/")[2]
    if path.is_file():  # torchvision would read it too, but its error for a damaged file does not name the file
        return read_state(path)
    try:
        return dict(weights.get_state_dict(progress=True, check_hash=True))
    except (OSError, HTTPException, RuntimeError) as error:  # no connection, broken off, wrong hash
        reason = getattr(error, "reason", error)
        raise ModelError(
            f"the weights {path} are not there and could not be fetched from {weights.url} ({reason}): "
            f"put the file there, or {WAYS_OUT}"
        ) from None
