"""Keep freed memory, where the C library allows it, since asking for it anew takes much of a CPU prediction's time."""

import ctypes
import os

VARIABLE = "LCFCN_KEEP_MEMORY"
"""Set it to 0 to leave the C library as it is."""
M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # from malloc.h
NEVER = 2**31 - 1


def keep_freed_memory() -> bool:
    """Tell glibc to keep what is freed instead of giving it back to the system; return whether it will.

    A network frees and asks for the same large blocks again and again. By default glibc gives each of them back to the
    system, which then has to clear its pages anew. With this call the process keeps the most memory that it ever
    needed, and on the machines where it was tried about a tenth more. It does nothing without glibc, where the
    environment already sets glibc's own `MALLOC_...` variables, or where `LCFCN_KEEP_MEMORY` is 0.

    Notes
    -----
    It holds for the whole process and all its libraries. `lcfcn.load` and the project's commands call it.
    """
    if os.environ.get(VARIABLE) == "0" or any(name.startswith("MALLOC_") for name in os.environ):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # macOS, musl and Windows have no mallopt
        return False
    return all([mallopt(M_MMAP_MAX, 0), mallopt(M_TRIM_THRESHOLD, NEVER)])
