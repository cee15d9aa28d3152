"""Loaders: the order of the images in an epoch, and the process that loads each of them."""

import signal
from collections.abc import Callable, Iterator

import torch
from torch.utils.data import DataLoader, Dataset

from lcfcn.stopping import STOP_SIGNALS
from src.training.processes import Processes
from src.training.runtime import Runtime


class EpochBatches:
    """A batch sampler whose order depends only on the seed and the epoch, and that can start in the middle of an epoch.

    It yields lists of (pass, index). The pass makes the augmentation of each pass differ, also in worker processes,
    which live through all epochs. Among several processes each gets its share of a batch, or the first image if the
    batch has not enough images for all.

    Parameters
    ----------
    n_samples : int
        Training images.
    batch_size : int
        The images of all processes together.
    seed : int
    processes : Processes, optional
    repeats : int
        How often an epoch sees each image. Each repeat is a pass of its own.
    """

    def __init__(
        self, n_samples: int, batch_size: int, seed: int, processes: Processes | None = None, *, repeats: int = 1
    ) -> None:
        self.n_samples = n_samples
        self.repeats = repeats
        self.batch_size = batch_size
        self.seed = seed
        self.processes = processes or Processes()
        self.epoch = 0
        self.first_batch = 0

    def set_epoch(self, epoch: int, first_batch: int = 0) -> None:
        """Set the next epoch, and how many of its batches are done already."""
        self.epoch = epoch
        self.first_batch = first_batch

    def __len__(self) -> int:
        return -(-self.n_samples * self.repeats // self.batch_size)

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        order = [key for number in range(self.repeats) for key in self._pass(self.epoch * self.repeats + number)]
        for first in self._firsts():
            batch = order[first : first + self.batch_size]
            yield self.processes.share(batch) or batch[:1]

    def _pass(self, number: int) -> list[tuple[int, int]]:
        generator = torch.Generator().manual_seed(1_000_003 * self.seed + number)
        return [(number, index) for index in torch.randperm(self.n_samples, generator=generator).tolist()]

    def _firsts(self) -> range:
        return range(self.first_batch * self.batch_size, self.n_samples * self.repeats, self.batch_size)

    def sizes(self) -> list[int]:
        """Return how many images each of the remaining batches holds, over all processes."""
        return [min(self.batch_size, self.n_samples * self.repeats - first) for first in self._firsts()]


def make_loader(
    dataset: Dataset, collate: Callable, runtime: Runtime, *, workers: int, batches: EpochBatches | None = None
) -> DataLoader:
    """Return a loader over `batches`, or over this process's share of the samples, one by one in their order.

    The loader leaves torch's own generator alone.
    """
    one_by_one = {"batch_size": 1, "sampler": runtime.processes.share(range(len(dataset)))}
    order = {"batch_sampler": batches} if batches is not None else one_by_one
    return DataLoader(
        dataset,
        **order,
        collate_fn=collate,
        num_workers=workers,
        pin_memory=runtime.is_cuda,
        persistent_workers=workers > 0,
        worker_init_fn=_ignore_stop_signals,
        generator=torch.Generator().manual_seed(0),
    )


def _ignore_stop_signals(_: int) -> None:
    """Ignore stop signals in a worker. They often reach all processes, and the main process ends its workers."""
    for number in STOP_SIGNALS:
        signal.signal(number, signal.SIG_IGN)
