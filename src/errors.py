"""What a user can mend, and what a user can ask for."""

import signal


class UserError(ValueError):
    """A mistake in the input, told in one line: what came, what was expected and how to mend it."""


class Stopped(Exception):  # noqa: N818 - a request, no error
    """The user, or a scheduler, asked the run to stop, and the batch in hand is done.

    Attributes
    ----------
    number : int
        The signal that asked.
    """

    def __init__(self, number: int = signal.SIGINT) -> None:
        super().__init__(number)
        self.number = number


def one_line(error: Exception) -> str:
    """The message of an error as one line.

    An error in a loader's worker process arrives with the worker's traceback as its message, the error itself last.
    """
    lines = [line.strip() for line in str(error).strip().splitlines() if line.strip()]
    if len(lines) > 1 and lines[0].startswith("Caught "):
        return lines[-1].partition(": ")[2]
    return " ".join(lines)
