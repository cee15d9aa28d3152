"""What all command lines share."""

import argparse
import sys
from collections.abc import Callable
from typing import NoReturn

from src.errors import UserError, one_line


class Parser(argparse.ArgumentParser):
    """argparse, but a mistake is one line."""

    def error(self, message: str) -> NoReturn:
        """Print the mistake and exit with 2."""
        self.exit(2, f"{self.prog}: error: {message}; see --help\n")


def run_main(name: str, run: Callable[[], int | None]) -> int:
    """Run a command line's work, and return its exit code: what `run` returns or 0, and 2 after a user's mistake.

    `name` stands before the mistake, as argparse puts it before its own.
    """
    try:
        return run() or 0
    except UserError as error:
        print(f"{name}: error: {one_line(error)}", file=sys.stderr)
        return 2
