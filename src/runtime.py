"""Device, precision, loaders, random states and signals: all that knows about the machine."""

import contextlib
import re
import resource
import signal
import sys
from collections.abc import Callable, Iterator

import torch
from torch.utils.data import DataLoader, Dataset

from src.defaults import PRECISIONS
from src.distributed import Team
from src.errors import Stopped, UserError

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR2)
START_AGAIN = 128 + signal.SIGUSR2
"""Exit code of a run that saved because its time on the machine is up: it wants to be started again."""


class Runtime:
    """Where and how precisely a network runs.

    Parameters
    ----------
    device : str
        `auto` (CUDA where there is one), `cpu`, `cuda` or `cuda:N`.
    precision : str
        `32`, `bf16` or `16`: of the network; the loss is always taken in float32.
    team : Team, optional
        The processes that train together; this one alone by default.

    Raises
    ------
    UserError
        If there is no such device or precision.
    """

    def __init__(self, device: str = "auto", precision: str = "32", team: Team | None = None) -> None:
        self.team = team or Team()
        self.device = find_device(device) if self.team.size == 1 else find_device_of_one(device, self.team)
        if precision not in PRECISIONS:
            raise UserError(f"--precision {precision} is unknown: choose one of {', '.join(PRECISIONS)}")
        self.precision = precision
        self.memory_format = torch.channels_last  # faster on GPUs and, with one thread, on CPUs

    @property
    def is_cuda(self) -> bool:
        """Whether the network runs on an NVIDIA GPU."""
        return self.device.type == "cuda"

    def place(self, network: torch.nn.Module) -> torch.nn.Module:
        """Move a network to the device, in the device's memory format."""
        return network.to(self.device, memory_format=self.memory_format)

    def images(self, batch: dict) -> torch.Tensor:
        """The batch's images (N, 3, H, W) on the device; points and region stay on the host, where the loss is."""
        return batch["images"].to(self.device, memory_format=self.memory_format, non_blocking=True)

    def make_scaler(self) -> torch.amp.GradScaler:
        """What keeps small gradients from vanishing in float16; it does nothing in other precisions."""
        return torch.amp.GradScaler(self.device.type, enabled=self.precision == "16")

    def autocast(self) -> contextlib.AbstractContextManager:
        """Run what is inside in the chosen precision."""
        dtype = getattr(torch, PRECISIONS[self.precision])
        return torch.autocast(self.device.type, dtype, enabled=dtype != torch.float32)

    def random_state(self) -> dict:
        """The states of torch's generators, which is all the randomness a network uses."""
        cuda = [torch.cuda.get_rng_state(self.device)] if self.is_cuda else []
        return {"cpu": torch.get_rng_state(), "cuda": cuda}

    def set_random_state(self, state: dict) -> None:
        """Take up `random_state` again."""
        torch.set_rng_state(state["cpu"])
        if self.is_cuda and state["cuda"]:
            torch.cuda.set_rng_state(state["cuda"][0], self.device)

    def reset_peak_memory(self) -> None:
        """Forget what an experiment before used of the GPU."""
        if self.is_cuda:
            torch.cuda.reset_peak_memory_stats(self.device)

    def peak_memory(self) -> float:
        """The most memory used so far, in GiB: of the GPU, or of this process in its whole life."""
        if self.is_cuda:
            return torch.cuda.max_memory_allocated(self.device) / 2**30
        unit = 1 if sys.platform == "darwin" else 2**10  # ru_maxrss counts bytes on macOS, kibibytes on Linux
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**30


def find_device(name: str) -> torch.device:
    """The torch device of a --device argument; UserError if it is not there."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if not re.fullmatch(r"cpu|cuda(:[0-9]+)?", name):
        raise UserError(f"--device {name} is unknown: choose auto, cpu, cuda or cuda:N")
    found = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if name != "cpu" and int(name.partition(":")[2] or 0) >= found:
        raise UserError(f"--device {name} is not there: torch sees {found} CUDA devices; use --device cpu or auto")
    return torch.device(name)


def find_device_of_one(name: str, team: Team) -> torch.device:
    """The device of this process among several: of GPUs the one that its place on this machine counts to."""
    device = find_device(name)
    if device.type == "cpu":
        return device
    if device.index is not None:
        raise UserError(f"--device {name} names one GPU for {team.size} processes: use --device cuda, or one process")
    found = torch.cuda.device_count()
    index = 0 if team.by_slurm and found == 1 else team.local_rank
    if index >= found:
        raise UserError(
            f"process {index + 1} of this machine has no GPU, torch sees {found}: start {found} processes here "
            f"(--nproc-per-node={found}), or use --device cpu"
        )
    torch.cuda.set_device(index)
    return torch.device("cuda", index)


class EpochBatches:
    """Batch sampler whose order depends on the seed and the epoch alone, and that can start in mid-epoch.

    It yields lists of (epoch, index), so that workers that live through all epochs know which one it is. Of several
    processes each gets its share, or the first image where a batch has not enough for all. An epoch may be several
    passes through the samples, which count as different epochs in what is yielded: each is augmented anew.
    """

    def __init__(
        self, n_samples: int, batch_size: int, seed: int, team: Team | None = None, *, passes: int = 1
    ) -> None:
        self.n_samples = n_samples
        self.passes = passes
        self.batch_size = batch_size
        self.seed = seed
        self.team = team or Team()
        self.epoch = 0
        self.first_batch = 0

    def set_epoch(self, epoch: int, first_batch: int = 0) -> None:
        """Say which epoch comes next, and how many of its batches are done already."""
        self.epoch = epoch
        self.first_batch = first_batch

    def __len__(self) -> int:
        return -(-self.n_samples * self.passes // self.batch_size)

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        order = [key for number in range(self.passes) for key in self._pass(self.epoch * self.passes + number)]
        for first in self._firsts():
            batch = order[first : first + self.batch_size]
            yield self.team.share(batch) or batch[:1]

    def _pass(self, number: int) -> list[tuple[int, int]]:
        generator = torch.Generator().manual_seed(1_000_003 * self.seed + number)
        return [(number, index) for index in torch.randperm(self.n_samples, generator=generator).tolist()]

    def _firsts(self) -> range:
        return range(self.first_batch * self.batch_size, self.n_samples * self.passes, self.batch_size)

    def sizes(self) -> list[int]:
        """How many images the batches to come hold, over all processes."""
        return [min(self.batch_size, self.n_samples * self.passes - first) for first in self._firsts()]


def make_loader(
    dataset: Dataset, collate: Callable, runtime: Runtime, *, workers: int, batches: EpochBatches | None = None
) -> DataLoader:
    """A loader over `batches`, or over this process's share of the samples one by one in their order; it leaves
    torch's own generator alone."""
    one_by_one = {"batch_size": 1, "sampler": runtime.team.share(range(len(dataset)))}
    order = {"batch_sampler": batches} if batches is not None else one_by_one
    return DataLoader(
        dataset,
        **order,
        collate_fn=collate,
        num_workers=workers,
        pin_memory=runtime.is_cuda,
        persistent_workers=workers > 0,
        worker_init_fn=_init_worker,
        generator=torch.Generator().manual_seed(0),
    )


def _init_worker(_: int) -> None:
    """Signals often reach the whole group of processes: the main one decides when its workers end."""
    for number in STOP_SIGNALS:
        signal.signal(number, signal.SIG_IGN)


class StopRequest:
    """Context in which signals ask the run to stop after the batch in hand.

    Ctrl-C and SIGTERM: a second one stops at once. SIGUSR2, by which SLURM says that a job's time is nearly up, asks no
    more than once, and what comes after it does not hurry either: SLURM itself ends what takes too long.

    Of several processes a second one stops none: torchrun passes on the Ctrl-C that they had from the terminal.
    """

    def __init__(self, team: Team | None = None) -> None:
        self.alone = team is None or team.size == 1
        self.signal: int | None = None

    def __enter__(self) -> "StopRequest":
        self._before = {number: signal.signal(number, self._ask) for number in STOP_SIGNALS}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _ask(self, number: int, _: object) -> None:
        if self.signal is not None and self.alone and signal.SIGUSR2 not in (self.signal, number):
            raise KeyboardInterrupt
        self.signal = number

    def check(self) -> None:
        """Raise `Stopped` if a stop was asked for."""
        if self.signal is not None:
            raise Stopped(self.signal)
