"""Where, and how precisely, a network runs."""

import contextlib
import re

import torch

from lcfcn.counting.defaults import PRECISIONS
from lcfcn.errors import UserError


class Device:
    """A device and a precision.

    Parameters
    ----------
    name : str
        `auto` (CUDA where there is one), `cpu`, `cuda` or `cuda:N`.
    precision : str
        `32`, `bf16` or `16`.

    Raises
    ------
    UserError
        If there is no such device or precision.
    """

    def __init__(self, name: str = "auto", precision: str = "32") -> None:
        if precision not in PRECISIONS:
            raise UserError(f"--precision {precision} is unknown: choose one of {', '.join(PRECISIONS)}")
        self.precision = precision
        self.device = self.find(name)

    def find(self, name: str) -> torch.device:
        """Return the torch device of that name; raise `UserError` if it is not there."""
        return find_device(name)

    @property
    def is_cuda(self) -> bool:
        """Whether it is an NVIDIA GPU."""
        return self.device.type == "cuda"

    def place(self, network: torch.nn.Module) -> torch.nn.Module:
        """Move a network there, in the memory format that is fastest."""
        return network.to(self.device, memory_format=torch.channels_last)  # on GPUs and on one thread of a CPU

    def move_images(self, images: torch.Tensor) -> torch.Tensor:
        """Move images (N, 3, H, W) there, in the network's memory format."""
        return images.to(self.device, memory_format=torch.channels_last, non_blocking=True)

    def autocast(self) -> contextlib.AbstractContextManager:
        """Return a context in which the network runs in the chosen precision."""
        dtype = getattr(torch, PRECISIONS[self.precision])
        return torch.autocast(self.device.type, dtype, enabled=dtype != torch.float32)


def find_device(name: str) -> torch.device:
    """Return the torch device of a `--device` argument; raise `UserError` if it is not there."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if not re.fullmatch(r"cpu|cuda(:[0-9]+)?", name):
        raise UserError(f"--device {name} is unknown: choose auto, cpu, cuda or cuda:N")
    found = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if name != "cpu" and int(name.partition(":")[2] or 0) >= found:
        raise UserError(f"--device {name} is not there: torch sees {found} CUDA devices; use --device cpu or auto")
    return torch.device(name)
