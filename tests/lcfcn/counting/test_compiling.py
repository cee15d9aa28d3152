"""The line that says that kernels are compiled: once, when it begins, and never for kernels in the cache."""

import numpy as np
import pytest
import torch
from numba import njit

from exp_configs import EXP_GROUPS
from lcfcn.counting import compiling
from lcfcn.counting.compiling import announce_compiling
from src.models import LCFCN
from src.training.runtime import Runtime


def fresh_kernel():
    """A kernel that numba has not compiled yet."""
    return njit(lambda x: x + 1)


@pytest.fixture(autouse=True)
def nothing_printed_yet():
    compiling._print_once.cache_clear()
    yield
    compiling._print_once.cache_clear()


def test_the_line_comes_when_a_kernel_is_compiled_and_only_once(capsys):
    kernel = fresh_kernel()
    with announce_compiling("Compiling"):
        assert capsys.readouterr().err == ""
        assert kernel(1) == 2
        assert kernel(1.5) == 2.5  # another type: it compiles again
        fresh_kernel()(1)
    assert capsys.readouterr() == ("", "Compiling\n")


def test_a_compiled_kernel_gives_no_line(capsys):
    kernel = fresh_kernel()
    kernel(1)
    with announce_compiling("Compiling"):
        kernel(2)
    fresh_kernel()(1)  # outside
    assert capsys.readouterr() == ("", "")


def test_the_block_ends_and_nothing_listens_any_more_after_an_error(capsys):
    with pytest.raises(KeyError), announce_compiling("Compiling"):
        raise KeyError
    fresh_kernel()(1)
    assert capsys.readouterr().err == ""


class CompilingObjective:
    """A loss that needs a new kernel in its second step."""

    def divisors(self, batch):
        return {}

    def start(self, logits, batch, divisors, step, pool):
        if step == 1:
            fresh_kernel()(1)
        loss = logits.mean()
        return lambda: (loss, {"mean": loss.detach()})


def test_a_training_says_so_in_the_step_that_compiles(capsys):
    (exp_dict,) = EXP_GROUPS["demo"]
    model = LCFCN(exp_dict, Runtime("cpu"), objective=CompilingObjective())
    batch = {"images": torch.zeros(1, 3, 64, 64), "points": torch.zeros(1, 64, 64, dtype=torch.int64)}
    batch |= {"roi": torch.ones(1, 64, 64, dtype=torch.bool), "counts": torch.zeros(1, 1, dtype=torch.int64)}
    model.train_on_loader([batch])
    assert compiling.LOSS not in capsys.readouterr().err
    model.train_on_loader([batch])
    assert compiling.LOSS in capsys.readouterr().err.replace("\r", "\n").splitlines()
    assert np.isfinite(model.progress.mean("train_loss"))
