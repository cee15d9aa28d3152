"""Print a line when numba begins to compile kernels. It keeps them in a cache, so this happens once on a machine."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

from numba.core.event import Event, Listener, install_listener
from tqdm import tqdm

LOSS = "Compiling the loss's kernels: about 15 seconds, once on this machine ..."
DECODING = "Compiling the kernels that separate objects: a few seconds, once on this machine ..."


@contextmanager
def announce_compiling(line: str) -> Iterator[None]:
    """Print a line on stderr as soon as numba compiles in the block, and nothing if all kernels are in its cache.

    A process prints the same line only once.
    """
    with install_listener("numba:compile", _Listener(line)):
        yield


class _Listener(Listener):
    def __init__(self, line: str) -> None:
        self.line = line

    def on_start(self, event: Event) -> None:
        _print_once(self.line)

    def on_end(self, event: Event) -> None:
        pass


@cache
def _print_once(line: str) -> None:
    tqdm.write(line, file=sys.stderr)  # above a progress bar, if there is one
