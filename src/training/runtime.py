"""The machine as a training sees it: device, precision, processes, random states, memory."""

import sys

import torch

from lcfcn.counting.device import Device, find_device
from lcfcn.errors import UserError
from src.training.processes import Processes


class Runtime(Device):
    """The device, the precision and the processes that train a network.

    Parameters
    ----------
    device : str
        `auto` (CUDA if there is a GPU), `cpu`, `cuda` or `cuda:N`.
    precision : str
        The precision of the network: `32`, `bf16` or `16`. The loss always runs in float32.
    processes : Processes, optional
        The processes that train together; by default this one alone.

    Raises
    ------
    UserError
        If the device is not there, or the precision is unknown.
    """

    def __init__(self, device: str = "auto", precision: str = "32", processes: Processes | None = None) -> None:
        self.processes = processes or Processes()
        super().__init__(device, precision)

    def find(self, name: str) -> torch.device:
        """Return the device of this process; raise `UserError` if it is not there."""
        return find_device(name) if self.processes.world_size == 1 else find_device_of_one(name, self.processes)

    def make_scaler(self) -> torch.amp.GradScaler:
        """Return the scaler that keeps small gradients from vanishing in float16. Otherwise it does nothing."""
        return torch.amp.GradScaler(self.device.type, enabled=self.precision == "16")

    def random_state(self) -> dict:
        """Return the states of torch's generators. A network uses no other random numbers."""
        cuda = [torch.cuda.get_rng_state(self.device)] if self.is_cuda else []
        return {"cpu": torch.get_rng_state(), "cuda": cuda}

    def set_random_state(self, state: dict) -> None:
        """Restore what `random_state` returned."""
        torch.set_rng_state(state["cpu"])
        if self.is_cuda and state["cuda"]:
            torch.cuda.set_rng_state(state["cuda"][0], self.device)

    def reset_peak_memory(self) -> None:
        """Set the peak memory of the GPU back to 0, so that it does not include an earlier experiment."""
        if self.is_cuda:
            torch.cuda.reset_peak_memory_stats(self.device)

    def peak_memory(self) -> float:
        """Return the peak memory in GiB: of the GPU since the last reset, or of this process since its start."""
        if self.is_cuda:
            return torch.cuda.max_memory_allocated(self.device) / 2**30
        try:
            import resource
        except ImportError:  # Windows has no such module
            return float("nan")
        unit = 1 if sys.platform == "darwin" else 2**10  # ru_maxrss counts bytes on macOS, kibibytes on Linux
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**30


def find_device_of_one(name: str, processes: Processes) -> torch.device:
    """Return the device of one process among several: the GPU with the number of its local rank."""
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
