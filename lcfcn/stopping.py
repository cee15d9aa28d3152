"""Stop after the work in hand, where a signal asks for it."""

import signal


def _signals() -> tuple[int, ...]:
    """Ctrl-C and SIGTERM everywhere, SIGHUP and SIGUSR2 where the system has them (Windows has not)."""
    names = ("SIGINT", "SIGTERM", "SIGHUP", "SIGUSR2")
    return tuple(getattr(signal, name) for name in names if hasattr(signal, name))


STOP_SIGNALS = _signals()
TIME_IS_UP = getattr(signal, "SIGUSR2", None)
"""SLURM sends it shortly before a job's time ends."""
HANG_UP = getattr(signal, "SIGHUP", None)
"""A terminal that is closed sends it, often twice. `nohup` has it ignored."""
HURRYING = (signal.SIGINT, signal.SIGTERM)
"""A second one of these stops at once."""


class Stopped(Exception):  # noqa: N818 - a request, no error
    """The user or a scheduler asked the run to stop, and the work in hand is done.

    Attributes
    ----------
    number : int
        The signal that asked.
    """

    def __init__(self, number: int = signal.SIGINT) -> None:
        super().__init__(number)
        self.number = number


class StopRequest:
    """A context in which signals ask the run to stop after the work in hand.

    A second Ctrl-C or SIGTERM stops at once. SIGUSR2 and SIGHUP only ask: SLURM itself ends what takes too long, and a
    closed terminal may send SIGHUP twice. SIGHUP stays ignored where `nohup` has it ignored.

    Parameters
    ----------
    alone : bool
        Whether this process works alone. Among several processes a second signal does not stop at once: torchrun
        passes on the Ctrl-C that they have already received from the terminal.
    """

    def __init__(self, alone: bool = True) -> None:
        self.alone = alone
        self.signal: int | None = None

    def __enter__(self) -> "StopRequest":
        heeded = [n for n in STOP_SIGNALS if n != HANG_UP or signal.getsignal(n) != signal.SIG_IGN]
        self._before = {number: signal.signal(number, self._ask) for number in heeded}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _ask(self, number: int, _: object) -> None:
        if self.alone and self.signal in HURRYING and number in HURRYING:
            raise KeyboardInterrupt
        self.signal = number

    def check(self) -> None:
        """Raise `Stopped` if a signal came."""
        if self.signal is not None:
            raise Stopped(self.signal)
