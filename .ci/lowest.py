"""What `make test-lowest` asks for: the oldest Python at hand, and the lowest versions that are declared.

python .ci/lowest.py python             # prints the path of the oldest Python from 3.10 on
python .ci/lowest.py pins FILE...       # prints NAME==VERSION for each NAME>=VERSION that the files and the installed
                                        # distributions lcfcn and lcfcn-haven declare
"""

import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

MINORS = range(10, 20)
BOUND = re.compile(r"^(?P<name>[A-Za-z][\w.-]*)(?:\[[\w,]+\])?[^;]*>=\s*(?P<version>[\d.]+)")


def find_python() -> str:
    """Return the oldest Python that can make an environment, among those on the path and those of pyenv."""
    for minor in MINORS:
        for python in _candidates(minor):
            if _works(python):
                return python
    raise SystemExit("there is no Python 3.10 or newer with its venv module: install one")


def _candidates(minor: int) -> Iterator[str]:
    on_path = shutil.which(f"python3.{minor}")
    if on_path:
        yield on_path
    versions = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    yield from map(str, sorted(versions.glob(f"3.{minor}.*/bin/python")))


def _works(python: str) -> bool:
    # On the path, pyenv has a stand-in for each version; those of versions that are switched off fail.
    return subprocess.run([python, "-c", "import ensurepip, venv"], capture_output=True, check=False).returncode == 0


def pins(requirements: Iterable[str]) -> list[str]:
    """Turn each lower bound into the pin of that version.

    >>> pins(["numpy>=1.26", "mkdocs<2,>=1.6; extra == 'docs'", "# a comment", "-e .[count]", "haven-ai==0.7.3"])
    ['mkdocs==1.6', 'numpy==1.26']
    """
    found = [match for match in map(BOUND.match, requirements) if match]
    return sorted(f"{match['name']}=={match['version']}" for match in found)


def main(command: str, *files: str) -> None:
    """Print what was asked for."""
    if command == "python":
        print(find_python())
    elif command == "pins":
        requirements = [line for file in files for line in Path(file).read_text(encoding="utf-8").splitlines()]
        for distribution in ("lcfcn", "lcfcn-haven"):
            requirements += importlib.metadata.requires(distribution) or []
        print(*pins(requirements), sep="\n")
    else:
        raise SystemExit(__doc__)


if __name__ == "__main__":
    main(*sys.argv[1:])
