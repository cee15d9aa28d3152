"""Hide the loss's work on the host behind the network's work on the GPU.

The pixel weights of the loss are found on the host. A GPU would wait for them. So a batch is cut into parts: while the
GPU runs the forward pass of the next part, the host finds the weights of the part before, and the backward pass of a
part starts as soon as its weights are there.
"""

from concurrent.futures import Executor, Future, ThreadPoolExecutor
from functools import cached_property

import torch
from torch.nn.modules.batchnorm import _BatchNorm

from lcfcn.errors import UserError
from src.datasets.batch import PADDED
from src.training.runtime import Runtime

MOST_PARTS = 4
"""Parts that are chosen where nothing else is asked for. More of them would leave the GPU too little work in each."""


class MicroBatches:
    """Cuts batches into parts, and holds the threads that find their weights.

    Parameters
    ----------
    n_parts : int, optional
        Parts of a batch. By default one on a CPU, where there is nothing to hide behind, and up to `MOST_PARTS` on a
        GPU, where batch norm does not learn and one process trains alone.

    Notes
    -----
    Any number of parts gives the same gradients, up to rounding and the random choices of dropout. Batch norm that
    learns takes the statistics of a whole batch, and several processes add up their gradients at each backward pass:
    with these, more than one part is refused.
    """

    def __init__(self, n_parts: int | None = None) -> None:
        self.n_parts = n_parts

    def cut(self, batch: dict, network: torch.nn.Module, runtime: Runtime) -> list[dict]:
        """Cut a batch into parts.

        Raises
        ------
        UserError
            If more than one part was asked for, and the network's batch norm learns or several processes train.
        """
        learns = any(isinstance(module, _BatchNorm) and module.training for module in network.modules())
        can_cut = not learns and runtime.processes.world_size == 1
        if self.n_parts is not None and self.n_parts > 1 and not can_cut:
            why = "batch norm learns from whole batches" if learns else "several processes train together"
            raise UserError(
                f"--micro_batches is {self.n_parts} and {why}; expected 1: leave it out"
                + (", or --set model.freeze_batch_norm=True" if learns else "")
            )
        n_parts = self.n_parts or (MOST_PARTS if runtime.is_cuda and can_cut else 1)
        n_images = len(batch["images"])
        size = -(-n_images // min(n_parts, n_images))
        starts = range(0, n_images, size)
        return [batch] if len(starts) == 1 else [part_of(batch, slice(start, start + size)) for start in starts]

    def pool(self, n_parts: int) -> Executor:
        """Return where the weights of a batch of so many parts are found: in place, or in a thread beside."""
        return InPlace() if n_parts == 1 else self._thread

    @cached_property
    def _thread(self) -> Executor:
        return ThreadPoolExecutor(1, thread_name_prefix="loss")


def part_of(batch: dict, images: slice) -> dict:
    """Return some images of a batch."""
    return {**batch, **{key: batch[key][images] for key in PADDED}, "meta": batch["meta"][images]}


class InPlace(Executor):
    """Does at once what it is given."""

    def submit(self, work: object, /, *args: object, **kwargs: object) -> Future:
        """Do the work, and return a future that is done."""
        future: Future = Future()
        try:
            future.set_result(work(*args, **kwargs))
        except BaseException as error:
            future.set_exception(error)
        return future
