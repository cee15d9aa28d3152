import os
import signal

import pytest
import torch

from lcfcn.counting.device import find_device
from lcfcn.errors import UserError
from lcfcn.stopping import Stopped, StopRequest
from src.training import loaders
from src.training.loaders import EpochBatches, make_loader
from src.training.runtime import Runtime


def test_devices(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert find_device("auto") == torch.device("cuda")
    assert find_device("cuda:1") == torch.device("cuda:1")
    with pytest.raises(UserError, match="cuda:2 is not there: torch sees 2"):
        find_device("cuda:2")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert find_device("auto") == torch.device("cpu")
    with pytest.raises(UserError, match="cuda is not there: torch sees 0"):
        find_device("cuda")
    for name in ("gpu", "cpu:1", "cuda:x", ""):
        with pytest.raises(UserError, match="is unknown"):
            find_device(name)


def test_order_depends_on_seed_and_epoch_alone():
    def order(seed, epoch, first_batch=0):
        batches = EpochBatches(10, 4, seed)
        batches.set_epoch(epoch, first_batch)
        return list(batches)

    assert [len(batch) for batch in order(0, 0)] == [4, 4, 2]
    assert sorted(key for batch in order(0, 1) for key in batch) == [(1, i) for i in range(10)]
    assert order(0, 1) == order(0, 1)
    assert [i for _, i in sum(order(0, 1), [])] != [i for _, i in sum(order(0, 2), [])]
    assert order(0, 1) != order(1, 1)
    assert order(0, 1, first_batch=2) == order(0, 1)[2:]
    assert len(EpochBatches(10, 4, 0)) == 3


class Keys(torch.utils.data.Dataset):
    def __len__(self):
        return 5

    def __getitem__(self, key):
        return key


@pytest.mark.parametrize("workers", [0, 2])
def test_living_workers_see_the_epoch_and_torchs_generator_stays(workers):
    batches = EpochBatches(5, 2, seed=0)
    loader = make_loader(Keys(), list, Runtime("cpu"), workers=workers, batches=batches)
    before = torch.get_rng_state()
    for epoch in (0, 7):
        batches.set_epoch(epoch)
        assert {e for batch in loader for e, _ in batch} == {epoch}
    assert torch.equal(torch.get_rng_state(), before)


def test_random_state_is_taken_up_again():
    runtime = Runtime("cpu")
    state = runtime.random_state()
    first = torch.rand(3)
    runtime.set_random_state(state)
    assert torch.equal(torch.rand(3), first)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_asks_and_a_second_one_stops_at_once(number):
    handler = signal.getsignal(number)
    with StopRequest() as stop:
        stop.check()
        os.kill(os.getpid(), number)
        with pytest.raises(Stopped):
            stop.check()
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), number)
    assert signal.getsignal(number) == handler


def test_a_scheduler_that_asks_does_not_hurry_a_run():
    for numbers in ([signal.SIGTERM, signal.SIGUSR2], [signal.SIGUSR2, signal.SIGUSR2, signal.SIGTERM]):
        with StopRequest() as stop:
            for number in numbers:
                os.kill(os.getpid(), number)
            with pytest.raises(Stopped) as stopped:
                stop.check()
        assert stopped.value.number == numbers[-1]


def test_workers_leave_signals_to_the_main_process(monkeypatch):
    ignored = {}
    monkeypatch.setattr(signal, "signal", ignored.__setitem__)
    loaders._ignore_stop_signals(0)
    assert ignored == dict.fromkeys((signal.SIGINT, signal.SIGTERM, signal.SIGUSR2), signal.SIG_IGN)
