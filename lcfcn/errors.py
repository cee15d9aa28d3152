"""Errors that a user can fix, each told in one line."""

import difflib
from collections.abc import Iterable

from lcfcn.names import printable

LONGEST = 2000
"""So many characters of a message are shown at the most: a file may hold a name of a million."""


class UserError(ValueError):
    """A mistake in the input. The message is one line: what came, what was expected, and how to fix it."""


def one_line(error: BaseException) -> str:
    """Return the message of an error as one line.

    An error in a loader's worker process arrives with the worker's traceback as its message. Its last line is the
    error itself. Of a very long message both ends are returned: the second says how to fix it.
    """
    lines = [line.strip() for line in str(error).strip().splitlines() if line.strip()]
    is_of_worker = len(lines) > 1 and lines[0].startswith("Caught ")
    text = printable(lines[-1].partition(": ")[2] if is_of_worker else " ".join(lines))
    return text if len(text) <= LONGEST else f"{text[: LONGEST // 2]} ... {text[-LONGEST // 2 :]}"


def suggestion(name: str, known: Iterable[str]) -> str:
    """Return ``"; did you mean X?"`` for the known name nearest to a mistyped one, or an empty text.

    >>> suggestion("n_clases", ["n_classes", "base"])
    '; did you mean n_classes?'
    """
    near = difflib.get_close_matches(str(name), list(known), n=1)
    return f"; did you mean {near[0]}?" if near else ""
