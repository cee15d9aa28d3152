"""Errors that a user can fix, each told in one line."""

import difflib
from collections.abc import Iterable


class UserError(ValueError):
    """A mistake in the input. The message is one line: what came, what was expected, and how to fix it."""


def one_line(error: BaseException) -> str:
    """Return the message of an error as one line.

    An error in a loader's worker process arrives with the worker's traceback as its message. Its last line is the
    error itself.
    """
    lines = [line.strip() for line in str(error).strip().splitlines() if line.strip()]
    if len(lines) > 1 and lines[0].startswith("Caught "):
        return lines[-1].partition(": ")[2]
    return " ".join(lines)


def suggestion(name: str, known: Iterable[str]) -> str:
    """Return ``"; did you mean X?"`` for the known name nearest to a mistyped one, or an empty text.

    >>> suggestion("n_clases", ["n_classes", "base"])
    '; did you mean n_classes?'
    """
    near = difflib.get_close_matches(str(name), list(known), n=1)
    return f"; did you mean {near[0]}?" if near else ""
