"""Haven's modules. This is the one place that imports them.

As it is, Haven takes over a second to import. Most of that time goes to nbformat and its JSON schema, which Haven uses
only to write notebooks. Here nbformat loads when Haven uses it.
"""

import importlib
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

NBFORMAT = "nbformat"


@contextmanager
def _nbformat_loads_when_used() -> Iterator[None]:
    """Give what is imported inside a module that becomes nbformat at the first use of one of its names."""
    if NBFORMAT in sys.modules:
        yield
        return
    # Not importlib's LazyLoader: an import statement itself makes that one load.
    stand_in = ModuleType(NBFORMAT)
    stand_in.__getattr__ = lambda name: getattr(importlib.import_module(NBFORMAT), name)
    sys.modules[NBFORMAT] = stand_in
    try:
        yield
    finally:
        del sys.modules[NBFORMAT]


with _nbformat_loads_when_used(), warnings.catch_warnings():
    # haven-ai 0.7.3 reads its own version through pkg_resources, which warns that it will go.
    warnings.filterwarnings("ignore", message="pkg_resources is deprecated", category=UserWarning)
    from haven import haven_chk, haven_utils, haven_wizard

__all__ = ["haven_chk", "haven_utils", "haven_wizard"]
