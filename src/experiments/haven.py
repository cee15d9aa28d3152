"""Haven's modules. Only this module imports them.

Haven takes over a second to import. Most of that time goes to nbformat and its JSON schema, which Haven uses only to
write notebooks. Here nbformat is not loaded before Haven uses it.

Haven by itself also runs the code that a file of scores or weights may hold. Here such a file is refused.
"""

import importlib
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

from lcfcn.files import load_plain_pickle, load_tensors

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


def _load_weights(path: str, map_location: object = None) -> object:
    """Read weights onto the CPU; `map_location` is there because Haven's callers may give it."""
    return load_tensors(Path(path), "restore the file")


def _load_checkpoint(exp_dict: dict, savedir_base: str, fname: str = "model_best.pth") -> object:
    return _load_weights(os.path.join(savedir_base, haven_utils.hash_dict(exp_dict), fname))


# All of Haven's modules find these functions here, and it has no other way to read a pickle.
haven_utils.load_pkl = load_plain_pickle
haven_utils.torch_load = _load_weights
haven_chk.load_checkpoint = _load_checkpoint
