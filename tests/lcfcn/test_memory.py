"""Freed memory is kept where the C library can, and the user's own settings are respected."""

import subprocess
import sys

import pytest

from lcfcn import memory

PAGE_FAULTS = """
import resource, sys
import numpy as np
from lcfcn.memory import keep_freed_memory
kept = keep_freed_memory() if sys.argv[1] == "keep" else False
np.ones(2**25).sum()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20):
    np.ones(2**22).sum()
print(kept, resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def page_faults(mode):
    done = subprocess.run([sys.executable, "-c", PAGE_FAULTS, mode], capture_output=True, text=True, check=True)
    kept, faults = done.stdout.split()
    return kept == "True", int(faults)


@pytest.mark.skipif(not memory.keep_freed_memory(), reason="this C library has no mallopt")
def test_a_block_that_is_asked_for_again_is_not_cleared_again():
    kept, with_it = page_faults("keep")
    assert kept
    _, without = page_faults("leave")
    assert with_it < without / 10


@pytest.mark.parametrize(("name", "value"), [("LCFCN_KEEP_MEMORY", "0"), ("MALLOC_TRIM_THRESHOLD_", "1000")])
def test_the_environment_decides(monkeypatch, name, value):
    monkeypatch.setenv(name, value)
    assert not memory.keep_freed_memory()


def test_another_c_library_is_left_as_it_is(monkeypatch):
    monkeypatch.setattr(memory.ctypes, "CDLL", lambda name: object())
    assert not memory.keep_freed_memory()
