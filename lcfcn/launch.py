"""How many processes torchrun or srun started for one command, which of them this is, and how to start some here."""

import os
import subprocess
import sys
import time
from dataclasses import dataclass

from lcfcn.errors import UserError
from lcfcn.stopping import StopRequest

TORCHRUN = ("WORLD_SIZE", "RANK", "LOCAL_RANK")
SRUN = ("SLURM_STEP_NUM_TASKS", "SLURM_PROCID", "SLURM_LOCALID")
"""Where the number of processes, the rank and the rank on this machine stand."""


def starter(by_torchrun: bool) -> str:
    """Return the name of the command that starts several processes."""
    return "torchrun" if by_torchrun else "srun"


def whole_number(name: str, because_of: str) -> int:
    """Return the whole number from 0 in a variable of the environment; raise `UserError` if there is none."""
    text = os.environ.get(name)
    if text is None or not (text.isascii() and text.isdigit() and len(text) < 10):
        found = "not set" if text is None else repr(text[:40])
        raise UserError(
            f"{name} is {found}, though {because_of} is {os.environ.get(because_of, 'not set')[:40]}; expected a whole "
            f"number: start the command by {starter(because_of == TORCHRUN[0])}, or unset {because_of}"
        )
    return int(text)


@dataclass(frozen=True)
class Launch:
    """The processes that one command was started as.

    Attributes
    ----------
    world_size : int
        How many they are.
    rank : int
        Which of them this is, from 0.
    local_rank : int
        Which of those on this machine this is, from 0.
    by_torchrun : bool
        Whether torchrun started them, and not srun.
    """

    world_size: int = 1
    rank: int = 0
    local_rank: int = 0
    by_torchrun: bool = False

    @classmethod
    def from_environment(cls) -> "Launch":
        """Read what torchrun or srun has set; one process where neither has.

        Raises
        ------
        UserError
            If there is a number of processes, but not which of them this is.
        """
        by_torchrun = "TORCHELASTIC_RUN_ID" in os.environ
        # SLURM_NTASKS is there too for the one process that a batch script starts by itself.
        size_name, *others = TORCHRUN if by_torchrun else SRUN
        if os.environ.get(size_name, "1") == "1":
            return cls()
        size, *ranks = (whole_number(name, size_name) for name in (size_name, *others))
        if size < 1 or max(ranks) >= size:
            raise UserError(
                f"{size_name} is {size} and {', '.join(others)} are {', '.join(map(str, ranks))}; expected ranks from "
                f"0 and below {size}: start the command by {starter(by_torchrun)}, or unset {size_name}"
            )
        return cls(size, *ranks, by_torchrun) if size > 1 else cls()

    def device(self, name: str) -> str:
        """Return the `--device` of this process: among several that share a machine, a GPU of its own."""
        import torch

        n_gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
        shares = self.world_size > 1 and name in ("auto", "cuda") and n_gpus > 1
        return f"cuda:{self.local_rank % n_gpus}" if shares else name


def run_here(arguments: list[str], n_processes: int) -> int:
    """Run a Python command as several processes of this machine, as torchrun would; return the greatest exit code.

    Each gets its share of the processor cores. A signal that stops this process is passed on, and each finishes its
    work in hand.

    Parameters
    ----------
    arguments : list of str
        For the Python interpreter, such as ["-m", "lcfcn.cli", ...].
    n_processes : int
    """
    threads = max((os.cpu_count() or 1) // n_processes, 1)
    shared = {"TORCHELASTIC_RUN_ID": "local", "WORLD_SIZE": str(n_processes), "OMP_NUM_THREADS": str(threads)}
    with StopRequest(alone=False) as stop:
        children = [
            subprocess.Popen(
                [sys.executable, *arguments], env={**os.environ, **shared, "RANK": str(rank), "LOCAL_RANK": str(rank)}
            )
            for rank in range(n_processes)
        ]
        passed_on = False
        while any(child.poll() is None for child in children):
            if stop.signal is not None and not passed_on:
                passed_on = True
                for child in children:
                    child.send_signal(stop.signal)
            time.sleep(0.05)
    return max(child.returncode if child.returncode >= 0 else 128 - child.returncode for child in children)
