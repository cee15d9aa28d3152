"""One run at a time writes into an experiment's folder.

The system itself keeps the lock and drops it when the process ends, however it ends. So a crash leaves no lock behind.
The lock also holds between machines that share a disk, where the disk knows locks.
"""

import contextlib
import errno
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from lcfcn.errors import UserError

try:
    import fcntl
except ImportError:  # Windows has none, and there nothing is locked
    fcntl = None

LOCK = "run.lock"
"""In an experiment's folder: the file that is locked. It says who locked it last, and stays when the run has ended."""


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[bool]:
    """Hold a folder for this process, and yield whether the system and the disk can lock at all.

    Raises
    ------
    UserError
        If another process holds it.
    """
    if fcntl is None:
        yield False
        return
    with (folder / LOCK).open("a+b") as file:
        yield _lock(file, folder)


def check_free(folder: Path) -> None:
    """Raise `UserError` if another process holds a folder, which may not exist yet."""
    if (folder / LOCK).exists():
        with locked(folder):
            pass


def _lock(file: BinaryIO, folder: Path) -> bool:
    try:
        # A lock of fcntl, not of flock: loader processes that outlive a killed run would inherit the latter.
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno not in (errno.EACCES, errno.EAGAIN):
            return False  # this disk knows no locks
        file.seek(0)
        holder = file.read(200).decode(errors="replace").strip() or "unknown"
        raise UserError(
            f"{folder} is in use by another run ({holder}): wait until it ends, or stop it, and give the same command "
            "again; it goes on from the checkpoint"
        ) from None
    file.truncate(0)
    file.write(f"process {os.getpid()} on {socket.gethostname()}".encode())
    file.flush()
    return True
