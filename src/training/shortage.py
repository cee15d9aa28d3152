"""Tell in one line, with the ways out, that memory ran out or that a loader process was killed."""

import contextlib
import re
from collections.abc import Iterator

import torch

from lcfcn.errors import UserError, one_line

NO_MEMORY = re.compile(
    r"out of memory|(can't|cannot|unable to) (allocate|mmap)|not enough memory|bad_alloc|_ALLOC_FAILED|MemoryError",
    re.I,
)
"""How torch, numpy and the system say that memory ran out, where the error has no type of its own."""
LOADER = re.compile(r"DataLoader worker .*(is killed by signal: [\w ]*|exited unexpectedly)|shared memory", re.I)
"""How torch says that a loader process has gone, or that there is no room for what it loads."""
SMALLER = "--set batch_size=N, a smaller dataset.augment.crop or a smaller dataset.zoom, as a new run"


@contextlib.contextmanager
def told_if_short(workers: int) -> Iterator[None]:
    """Raise `UserError` where memory runs out, or where a loader process is killed.

    Parameters
    ----------
    workers : int
        Processes that load data.
    """
    try:
        yield
    except UserError:
        raise
    except (MemoryError, RuntimeError, OSError) as error:
        reason = _reason(error)
        if reason is None:
            raise
        fewer = f"fewer loader processes (-nw is {workers}), " if workers else ""
        raise UserError(
            f"{reason}; the last checkpoint stays: give the same command on a machine with more memory or with {fewer}"
            f"--micro_batches N where batch norm does not learn; or take {SMALLER}"
        ) from None


def _reason(error: Exception) -> str | None:
    """Return what ran out; None if the error is about something else."""
    text = one_line(error)[:200]
    found = LOADER.search(text)
    if found:
        return f"a process that loads data has gone ({found.group()}), as when memory ran out"
    if isinstance(error, torch.OutOfMemoryError):
        return f"the memory of the GPU ran out ({text})"
    if isinstance(error, MemoryError) or NO_MEMORY.search(f"{type(error).__name__} {error}"):
        return f"memory ran out ({text or type(error).__name__})"
    return None
