import sys
from pathlib import Path

import pytest
import torch

from src.training.runtime import Runtime


def test_random_state_is_taken_up_again():
    runtime = Runtime("cpu")
    state = runtime.random_state()
    first = torch.rand(3)
    runtime.set_random_state(state)
    assert torch.equal(torch.rand(3), first)


def test_only_half_precision_scales_gradients():
    assert [Runtime("cpu", precision).make_scaler().is_enabled() for precision in ("32", "bf16", "16")] == [0, 0, 1]


@pytest.mark.skipif(sys.platform != "linux", reason="reads what Linux says of a process")
def test_the_peak_of_memory_is_that_of_the_process():
    runtime = Runtime("cpu")
    runtime.reset_peak_memory()
    found = runtime.peak_memory()
    (line,) = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM:")]
    assert found == pytest.approx(int(line.split()[1]) / 2**20, rel=0.05)
