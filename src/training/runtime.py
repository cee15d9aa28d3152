"""What a training needs of the machine: device, precision, processes, random states, memory."""

import sys

import torch

from lcfcn.counting.device import Device, find_device
from lcfcn.errors import UserError
from src.training.processes import Processes


class Runtime(Device):
    """Where, how precisely and with whom a network is trained.

    Parameters
    ----------
    device : str
        `auto` (CUDA where there is one), `cpu`, `cuda` or `cuda:N`.
    precision : str
        `32`, `bf16` or `16`: of the network. The loss always runs in float32.
    processes : Processes, optional
        Those that train together; this one alone by default.

    Raises
    ------
    UserError
        If there is no such device or precision.
    """

    def __init__(self, device: str = "auto", precision: str = "32", processes: Processes | None = None) -> None:
        self.processes = processes or Processes()
        super().__init__(device, precision)

    def find(self, name: str) -> torch.device:
        """Return the device of this process; raise `UserError` if it is not there."""
        return find_device(name) if self.processes.world_size == 1 else find_device_of_one(name, self.processes)

    def make_scaler(self) -> torch.amp.GradScaler:
        """Return what keeps small gradients from vanishing in float16; it does nothing in other precisions."""
        return torch.amp.GradScaler(self.device.type, enabled=self.precision == "16")

    def random_state(self) -> dict:
        """Return the states of torch's generators, which are all the randomness that a network uses."""
        cuda = [torch.cuda.get_rng_state(self.device)] if self.is_cuda else []
        return {"cpu": torch.get_rng_state(), "cuda": cuda}

    def set_random_state(self, state: dict) -> None:
        """Restore what `random_state` returned."""
        torch.set_rng_state(state["cpu"])
        if self.is_cuda and state["cuda"]:
            torch.cuda.set_rng_state(state["cuda"][0], self.device)

    def reset_peak_memory(self) -> None:
        """Forget what an experiment before used of the GPU."""
        if self.is_cuda:
            torch.cuda.reset_peak_memory_stats(self.device)

    def peak_memory(self) -> float:
        """Return the most memory used so far, in GiB: of the GPU, or of this process in its whole life."""
        if self.is_cuda:
            return torch.cuda.max_memory_allocated(self.device) / 2**30
        try:
            import resource
        except ImportError:  # Windows has no such module
            return float("nan")
        unit = 1 if sys.platform == "darwin" else 2**10  # ru_maxrss counts bytes on macOS, kibibytes on Linux
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**30


def find_device_of_one(name: str, processes: Processes) -> torch.device:
    """Return the device of this process among several: the GPU of its local rank."""
    device = find_device(name)
    if device.type == "cpu":
        return device
    if device.index is not None:
        raise UserError(
            f"--device {name} names one GPU for {processes.world_size} processes: use --device cuda, or one process"
        )
    found = torch.cuda.device_count()
    index = 0 if processes.by_slurm and found == 1 else processes.local_rank
    if index >= found:
        raise UserError(
            f"process {index + 1} of this machine has no GPU, torch sees {found}: start {found} processes here "
            f"(--nproc-per-node={found}), or use --device cpu"
        )
    torch.cuda.set_device(index)
    return torch.device("cuda", index)
