"""Haven's modules. Only this module imports them.

Haven takes over a second to import. Most of that time goes to nbformat and its JSON schema, which Haven uses only to
write notebooks. Here nbformat is not loaded before Haven uses it.
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
    """Replace nbformat for the imports in the block by a module that loads it when a name of it is first used."""
    if NBFORMAT in sys.modules:
        yield
        return
    # importlib's LazyLoader does not do: it loads as soon as an import statement runs.
    stand_in = ModuleType(NBFORMAT)
    stand_in.__getattr__ = lambda name: getattr(importlib.import_module(NBFORMAT), name)
    sys.modules[NBFORMAT] = stand_in
    try:
        yield
    finally:
        del sys.modules[NBFORMAT]


with _nbformat_loads_when_used(), warnings.catch_warnings():
    # haven-ai 0.7.3 reads its own version with pkg_resources, which warns that it will be removed.
    warnings.filterwarnings("ignore", message="pkg_resources is deprecated", category=UserWarning)
    from haven import haven_chk, haven_utils, haven_wizard

__all__ = ["haven_chk", "haven_utils", "haven_wizard"]
