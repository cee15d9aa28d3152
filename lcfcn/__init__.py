"""LCFCN: count and locate objects from one click each.

Laradji et al., "Where are the Blobs: Counting by Localization with Point Supervision", ECCV 2018
(https://arxiv.org/abs/1807.09856).

The loss needs no more than ``pip install lcfcn``:

>>> import torch
>>> import lcfcn
>>> logits = torch.zeros(1, 1, 8, 8, requires_grad=True)
>>> points = torch.zeros(1, 8, 8, dtype=torch.int64)
>>> points[0, 2, 3] = 1
>>> lcfcn.compute_lcfcn_loss(logits, points).backward()

Counting needs ``pip install 'lcfcn[count]'``: see `load`.
"""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lcfcn.blobs import blobs2points, get_blobs
    from lcfcn.counting.counter import Counter, load
    from lcfcn.counting.result import Result
    from lcfcn.decoding import Decoding
    from lcfcn.errors import UserError
    from lcfcn.heatmap import compute_heatmap_loss
    from lcfcn.inputs import NonFiniteError
    from lcfcn.lcfcn_loss import LCFCNLoss, compute_lcfcn_loss, compute_loss
    from lcfcn.metrics import compute_game, match_points
    from lcfcn.networks.registry import build_network, list_networks

__version__ = "0.2.0"

_HOMES = {
    "Counter": "counting.counter",
    "Decoding": "decoding",
    "LCFCNLoss": "lcfcn_loss",
    "NonFiniteError": "inputs",
    "Result": "counting.result",
    "UserError": "errors",
    "blobs2points": "blobs",
    "build_network": "networks.registry",
    "compute_game": "metrics",
    "compute_heatmap_loss": "heatmap",
    "compute_lcfcn_loss": "lcfcn_loss",
    "compute_loss": "lcfcn_loss",
    "get_blobs": "blobs",
    "list_networks": "networks.registry",
    "load": "counting.counter",
    "match_points": "metrics",
}
"""The module of each public name. A module is imported when its name is first used: torch takes seconds."""

__all__ = [
    "Counter",
    "Decoding",
    "LCFCNLoss",
    "NonFiniteError",
    "Result",
    "UserError",
    "__version__",
    "blobs2points",
    "build_network",
    "compute_game",
    "compute_heatmap_loss",
    "compute_lcfcn_loss",
    "compute_loss",
    "get_blobs",
    "list_networks",
    "load",
    "match_points",
]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'lcfcn' has no attribute {name!r}")
    return getattr(importlib.import_module(f"lcfcn.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
