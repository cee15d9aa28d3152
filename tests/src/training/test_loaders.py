import signal

import pytest
import torch

from src.training import loaders
from src.training.loaders import EpochBatches, make_loader
from src.training.runtime import Runtime


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


def test_workers_leave_signals_to_the_main_process(monkeypatch):
    ignored = {}
    monkeypatch.setattr(signal, "signal", ignored.__setitem__)
    loaders._ignore_stop_signals(0)
    assert ignored == dict.fromkeys((signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR2), signal.SIG_IGN)
