import contextlib
import os
import signal

import pytest

from lcfcn.stopping import TIME_IS_UP, Stopped, StopRequest


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_asks_and_a_second_one_stops_at_once(number):
    handler = signal.getsignal(number)
    with StopRequest() as stop:
        stop.check()
        os.kill(os.getpid(), number)
        with pytest.raises(Stopped) as stopped:
            stop.check()
        assert stopped.value.number == number
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), number)
    assert signal.getsignal(number) == handler


def test_a_scheduler_that_asks_does_not_hurry_a_run():
    assert signal.SIGUSR2 == TIME_IS_UP
    for numbers in ([signal.SIGTERM, signal.SIGUSR2], [signal.SIGUSR2, signal.SIGUSR2, signal.SIGTERM]):
        with StopRequest() as stop:
            for number in numbers:
                os.kill(os.getpid(), number)
            with pytest.raises(Stopped) as stopped:
                stop.check()
        assert stopped.value.number == numbers[-1]


def test_of_several_processes_a_second_signal_stops_none():
    with StopRequest(alone=False) as stop:
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)
        with pytest.raises(Stopped):
            stop.check()


def test_handlers_come_back_also_after_an_error():
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR2)}
    with contextlib.suppress(ZeroDivisionError), StopRequest():
        assert all(signal.getsignal(number) != handler for number, handler in before.items())
        raise ZeroDivisionError
    assert {number: signal.getsignal(number) for number in before} == before


@pytest.mark.usefixtures("hang_up_counts")
@pytest.mark.parametrize(
    "numbers",
    [
        [signal.SIGHUP, signal.SIGHUP],
        [signal.SIGHUP, signal.SIGTERM],
        [signal.SIGTERM, signal.SIGHUP],
    ],
)
def test_a_terminal_that_closes_asks_and_does_not_hurry(numbers):
    before = signal.getsignal(signal.SIGHUP)
    with StopRequest() as stop:
        for number in numbers:
            os.kill(os.getpid(), number)
        with pytest.raises(Stopped):
            stop.check()
    assert signal.getsignal(signal.SIGHUP) == before


def test_nohup_is_heeded():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with StopRequest() as stop:
            os.kill(os.getpid(), signal.SIGHUP)
            stop.check()
    finally:
        signal.signal(signal.SIGHUP, before)
