"""The folder of a data set, as `-d` names it."""

import os
from pathlib import Path

from src.readers.errors import DataError


def check_datadir(datadir: str, name: str = "") -> Path:
    """Return the folder of `-d`; raise `DataError` if it is not one. `name` is that of the data set."""
    if not os.path.isdir(datadir):
        which = f" {name}" if name else ""
        raise DataError(f"-d {datadir} is not a folder; expected the folder of the data set{which}: check -d")
    return Path(datadir)
