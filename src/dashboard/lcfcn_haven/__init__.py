"""Lets haven-ai 0.7.3, the last release with a dashboard, run on today's Jupyter, pandas and numpy.

Idle until `haven` is imported; what is then repaired, why and for which version stands in `lcfcn_haven.repairs`.

Every IPython kernel of the environment calls `install` at its start, because the environment carries
`etc/ipython/startup/50-lcfcn-haven.py` (pyproject.toml puts it there). So a notebook's cell needs no line more.
It is a file of its own name: an `ipython_config.py` there could belong to another package too, and what a user's own
configuration sets would replace what it asks for. A `.pth` file would reach into every Python process instead.
"""

import importlib
import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType


class _HavenFinder(MetaPathFinder):
    """Finds Haven's modules as Python would, and has them repaired as they load."""

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        if name.partition(".")[0] != "haven":
            return None
        spec = PathFinder.find_spec(name, path, target)
        repair = importlib.import_module("lcfcn_haven.repairs").REPAIRS.get(name)
        if spec is not None and repair is not None:
            execute = spec.loader.exec_module

            def execute_and_repair(module: ModuleType) -> None:
                with repair(module):
                    execute(module)

            spec.loader.exec_module = execute_and_repair
        return spec


def install() -> None:
    """Have Haven repaired when it is imported; a second call changes nothing."""
    if not any(isinstance(finder, _HavenFinder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _HavenFinder())
