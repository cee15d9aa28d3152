"""Train one experiment in several processes, one for each GPU, which torchrun or srun started.

The engine is Lightning Fabric. It needs less code here than Accelerate, because it reads SLURM's variables as well as
torchrun's. A process that trains alone never imports it.
"""

import contextlib
import os
import sys
import traceback
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.utils.data import DataLoader

from lcfcn.errors import UserError
from lcfcn.launch import SRUN, TORCHRUN, Launch, whole_number
from lcfcn.stopping import Stopped
from src.datasets.batch import pad

if TYPE_CHECKING:
    from lightning_fabric import Fabric

TIMEOUT = timedelta(minutes=10)
"""How long a process waits for another one that does not answer. One that has ended is noticed at once."""
NEEDED = {True: ("MASTER_PORT",), False: ("SLURM_JOB_ID", "SLURM_NTASKS", "SLURM_NODEID", "SLURM_NNODES")}
"""What Fabric reads besides of what torchrun (True) or srun (False) has set."""
CRASH, MISTAKE, SIGNALLED = 1, 2, 128
"""Exit codes. A run that a signal stopped exits with the last one plus the signal's number."""


class Processes:
    """This process among the processes that train together. By default it is alone, and its methods change nothing.

    All methods but `share` wait for the other processes, so each process must call them in the same order. As a context
    manager it lets only the first process print. It also makes each process wait at the end until all have printed
    their errors, because torchrun ends all processes as soon as one has ended.

    Parameters
    ----------
    fabric : Fabric, optional
        The connection to the other processes.
    by_slurm : bool
        Whether srun started the processes. srun may show each process a GPU of its own only.

    Attributes
    ----------
    world_size : int
        The number of processes.
    rank : int
        The number of this process, from 0.
    local_rank : int
        Its number among the processes of this machine.
    """

    def __init__(self, fabric: "Fabric | None" = None, by_slurm: bool = False) -> None:
        self._fabric = fabric
        self.by_slurm = by_slurm
        self.world_size = fabric.world_size if fabric else 1
        self.rank = fabric.global_rank if fabric else 0
        self.local_rank = fabric.local_rank if fabric else 0
        self._agreed_to_end = False
        self._silence = contextlib.ExitStack()

    @classmethod
    def connect(cls) -> "Processes":
        """Connect to the processes that torchrun or srun started. If there is only one, nothing is connected."""
        launch = Launch.from_environment()
        if launch.world_size == 1:
            return cls()
        return cls(_connect(launch.world_size, launch.by_torchrun), by_slurm=not launch.by_torchrun)

    @property
    def is_main(self) -> bool:
        """Whether this is the process that writes files and prints."""
        return self.rank == 0

    def __enter__(self) -> "Processes":
        if not self.is_main:
            self._silence.enter_context(contextlib.redirect_stdout(None))
        return self

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        self._silence.close()
        if self.world_size == 1:
            return
        crashed = isinstance(error, Exception)
        if crashed and _lost_another(error):
            print(f"Process {self.rank} of {self.world_size} ends because it lost another.", file=sys.stderr)
        elif crashed:
            print(f"Process {self.rank} of {self.world_size} failed:", file=sys.stderr)
            traceback.print_exception(error)
        if self._agreed_to_end:
            self._wait_to_part()
        if crashed:
            sys.exit(CRASH)

    def _wait_to_part(self) -> None:
        with contextlib.suppress(RuntimeError):  # another process was killed meanwhile
            self._fabric.barrier()

    def quiet(self) -> contextlib.AbstractContextManager:
        """Return a context in which only the first process prints errors, for errors that all of them make."""
        return contextlib.nullcontext() if self.is_main else contextlib.redirect_stderr(None)

    @contextlib.contextmanager
    def together(self) -> Iterator[None]:
        """Wait until all processes have run the block. If one of them raises, all raise, so that none waits in vain.

        Raises
        ------
        Exception
            What this process raised, if it is the first one that failed.
        SystemExit
            If another process is the first one that failed. That one prints what happened.
        Stopped
            If a process was asked to stop, and none failed. All raise it with the same signal.
        """
        if self.world_size == 1:
            yield
            return
        error = None
        try:
            yield
        except (Exception, SystemExit) as raised:
            error = raised
        codes = np.zeros(self.world_size, dtype=np.int64)
        codes[self.rank] = _exit_code(error)
        try:
            codes = self._reduced(codes)
        except RuntimeError as lost:
            raise (error or lost) from None
        self._agreed_to_end |= bool(codes.any())
        failed = np.flatnonzero((codes != 0) & (codes < SIGNALLED))
        if len(failed) and failed[0] != self.rank:
            raise SystemExit(int(codes[failed[0]]))
        if not len(failed) and codes.any():
            raise Stopped(int(codes.max()) - SIGNALLED)
        if error is not None:
            raise error

    @contextlib.contextmanager
    def by_main(self, context: contextlib.AbstractContextManager) -> Iterator[None]:
        """Enter a context in the first process alone; the others wait until it is entered."""
        with contextlib.ExitStack() as stack:
            with self.together():
                if self.is_main:
                    stack.enter_context(context)
            yield

    def check_alike(self, numbers: Sequence[int], mistake: str) -> None:
        """Raise `UserError` with the message `mistake` unless all processes have the same numbers."""
        if self.world_size > 1:
            greatest = self._reduced(np.array(numbers), "max")
            with self.together():
                if (greatest != numbers).any():
                    raise UserError(mistake)

    def share(self, items: Sequence) -> Sequence:
        """Return this process's share of the items. Shares differ by at most one, and the first ones are larger."""
        return items[self.rank :: self.world_size]

    def batches(self, loader: DataLoader) -> Iterable[dict]:
        """Return this process's shares of the batches of an epoch.

        With several processes, the images of all shares are padded to the same size, as the images of the whole batch
        would be. A share has two more entries: `n_images` of the whole batch, and `weight`, the weight of the mean over
        the share in the mean over the batch. The weight is 0 if the process only repeats an image of another share.
        """
        return loader if self.world_size == 1 else self._batches(loader)

    def _batches(self, loader: DataLoader) -> Iterator[dict]:
        shares = iter(loader)
        for n_images in loader.batch_sampler.sizes():
            with self.together():
                batch = next(shares)
            height, width = self._reduced(np.array(batch["images"].shape[-2:]), "max").tolist()
            weight = self.world_size * len(self.share(range(n_images))) / n_images
            yield {**batch, **pad(batch, height, width), "n_images": n_images, "weight": weight}

    def wrap(self, network: torch.nn.Module) -> torch.nn.Module:
        """Return the network for training in all processes.

        It begins with the first process's weights, and all processes get the mean of their gradients. Batch norm that
        learns sees only this process's share, see `average_buffers`.
        """
        if self.world_size == 1:
            return network
        if not self.is_main:
            # Dropout must drop other units in each process. Checkpoints keep the random state of the first process.
            generator = torch.Generator().set_state(torch.get_rng_state())
            torch.manual_seed(int(torch.randint(2**62, (), generator=generator)) + self.rank)
        return self._fabric.setup_module(network, move_to_device=False)

    @torch.no_grad()
    def average_buffers(self, network: torch.nn.Module) -> None:
        """Give all processes the mean of their batch norm statistics, which are running means themselves."""
        buffers = [buffer for buffer in network.buffers() if buffer.is_floating_point()]
        if self.world_size == 1 or not buffers:
            return
        flat = torch.cat([buffer.flatten() for buffer in buffers])
        means = torch.from_numpy(self._reduced(flat.double().cpu().numpy()) / self.world_size).to(flat)
        for buffer, mean in zip(buffers, means.split([buffer.numel() for buffer in buffers]), strict=True):
            buffer.copy_(mean.view_as(buffer))

    def mean(self, values: Mapping[str, float], weight: float) -> dict[str, float]:
        """Return means over the whole batch from means over the shares and their weights, see `batches`."""
        if self.world_size == 1:
            return dict(values)
        means = self._reduced(np.array(list(values.values())) * weight) / self.world_size
        return dict(zip(values, means.tolist(), strict=True))

    def gather(self, rows: np.ndarray) -> np.ndarray:
        """Return the (n, ...) rows of all items in their order, from the (m, ...) rows of this process's share."""
        if self.world_size == 1:
            return rows
        whole = np.zeros((int(self._reduced(np.array(len(rows)))), *rows.shape[1:]))
        whole[self.rank :: self.world_size] = rows
        return self._reduced(whole)

    def _reduced(self, values: np.ndarray, how: str = "sum") -> np.ndarray:
        """Return the elementwise sum or maximum over the processes. Sums of whole numbers and with zeros are exact."""
        return self._fabric.all_reduce(torch.from_numpy(values), reduce_op=how).numpy()


def _connect(size: int, by_torchrun: bool) -> "Fabric":
    # A process that trains alone must not wait for these imports.
    import logging

    from lightning_fabric import Fabric
    from lightning_fabric.plugins.environments import SLURMEnvironment, TorchElasticEnvironment
    from lightning_fabric.strategies import DDPStrategy

    for name in NEEDED[by_torchrun]:
        whole_number(name, (TORCHRUN if by_torchrun else SRUN)[0])
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)  # without its greeting
    # Fabric needs a variable that srun sets only with --ntasks-per-node, and compares it with `devices`.
    n_here = size if by_torchrun else int(os.environ.setdefault("SLURM_NTASKS_PER_NODE", str(size)))
    strategy = DDPStrategy(
        # Numbers are exchanged on the host, without waiting for a GPU. Gradients are exchanged between GPUs.
        process_group_backend="cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo",
        timeout=TIMEOUT,
        forward_sync_buffers=False,
    )
    fabric = Fabric(
        accelerator="cpu",
        devices=n_here,
        num_nodes=1 if by_torchrun else whole_number("SLURM_NNODES", SRUN[0]),
        strategy=strategy,
        plugins=[TorchElasticEnvironment() if by_torchrun else SLURMEnvironment()],
    )
    fabric.launch()
    return fabric


def _lost_another(error: Exception) -> bool:
    """Whether an error only says that another process has ended. gloo has no class for it."""
    return isinstance(error, torch.distributed.DistError) or (type(error) is RuntimeError and "/gloo/" in str(error))


def _exit_code(error: BaseException | None) -> int:
    if error is None:
        return 0
    if isinstance(error, SystemExit):
        return error.code if isinstance(error.code, int) else int(error.code is not None)
    if isinstance(error, Stopped):
        return SIGNALLED + error.number
    return MISTAKE if isinstance(error, UserError) else CRASH
