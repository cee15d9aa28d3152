"""Objectives: what a network is trained to do. They turn logits and a batch into a loss and its terms."""

from collections.abc import Callable
from concurrent.futures import Executor
from typing import Protocol

import torch
from torch import Tensor

from lcfcn.counting.trained_network import not_finite
from lcfcn.heatmap import start_heatmap_loss
from lcfcn.inputs import NonFiniteError
from lcfcn.lcfcn_loss import start_lcfcn_loss
from src.datasets.batch import image_names
from src.experiments.schema import BATCH

AREA_OF_A_CLICK = 120**2
"""In pixels. If there is less than one click in so large an area, the heat-map loss is divided by the area instead."""


class Objective(Protocol):
    """A loss that `LCFCN` trains its network with."""

    def divisors(self, batch: dict) -> dict[str, float]:
        """Return numbers by which losses are divided. Shares of a batch average them before they compute the loss."""

    def start(
        self, logits: Tensor, batch: dict, divisors: dict[str, float], step: int, pool: Executor
    ) -> Callable[[], tuple[Tensor, dict[str, Tensor]]]:
        """Begin to find the loss of a batch in a training step; return a function that waits for it.

        The function returns the loss and its terms, which add up to it. What takes long on the host runs in the pool.
        """


class LcfcnObjective:
    """The heat-map loss alone at first, and then the LCFCN loss, with the heat-map loss beside it if it has a weight.

    Parameters
    ----------
    exp_dict : dict
        The experiment with all defaults: its `loss`, `heatmap_only` and `heatmap_weight`.
    n_steps : int
        Steps in the whole training.
    """

    def __init__(self, exp_dict: dict, n_steps: int) -> None:
        options = exp_dict["loss"]
        self.divides_by_batch = options.get("divide_by_points") == BATCH
        self.loss = options | {"divide_by_points": False} if self.divides_by_batch else options
        self.heatmap_weight = exp_dict["heatmap_weight"]
        self.n_heatmap_only = round(exp_dict["heatmap_only"] * n_steps)

    def divisors(self, batch: dict) -> dict[str, float]:
        """Return the numbers by which the losses of the whole batch are divided.

        With these divisors an object has the same weight whatever else is in the batch. The heat-map loss has a term
        for every pixel. Without a minimum for its divisor, background with few objects would outweigh all else.
        """
        if not (self.divides_by_batch or self.heatmap_weight or self.n_heatmap_only):
            return {}
        clicks = ((batch["points"] > 0) & batch["roi"]).flatten(1).sum(1)
        area = batch["roi"].flatten(1).sum(1)
        values = {"clicks": clicks.clamp(min=1), "heatmap": torch.maximum(clicks, area / AREA_OF_A_CLICK)}
        return {key: value.double().mean().item() for key, value in values.items()}

    def start(
        self, logits: Tensor, batch: dict, divisors: dict[str, float], step: int, pool: Executor
    ) -> Callable[[], tuple[Tensor, dict[str, Tensor]]]:
        """Begin to find the loss of a batch in a training step; return a function that waits for it.

        The function raises `UserError` if the network's output is not finite, with the image's name.
        """
        given = (logits, batch["points"], batch["roi"], pool)
        is_lcfcn = step >= self.n_heatmap_only
        weight = self.heatmap_weight if is_lcfcn else 1
        wait_lcfcn = start_lcfcn_loss(*given, **self.loss, return_terms=True) if is_lcfcn else None
        wait_heatmap = start_heatmap_loss(*given) if weight else None

        def finish() -> tuple[Tensor, dict[str, Tensor]]:
            loss, terms = None, {}
            try:
                if wait_lcfcn is not None:
                    loss, terms = wait_lcfcn()
                    if self.divides_by_batch:
                        loss = loss / divisors["clicks"]
                        terms = {term: value / divisors["clicks"] for term, value in terms.items()}
                if wait_heatmap is not None:
                    heatmap = wait_heatmap() / divisors["heatmap"] * weight
                    loss, terms = (heatmap if loss is None else loss + heatmap), {**terms, "heatmap": heatmap.detach()}
            except NonFiniteError as error:
                raise not_finite("loss", image_names(batch)[error.index]) from None
            return loss, terms

        return finish
