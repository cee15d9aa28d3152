import pytest
import torch

from lcfcn.counting.defaults import PRECISIONS
from lcfcn.counting.device import Device, find_device
from lcfcn.errors import UserError


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


def test_a_device_is_found_by_its_name():
    assert not Device("cpu").is_cuda
    assert Device("cpu").device == torch.device("cpu")
    with pytest.raises(UserError, match="--precision 8 is unknown: choose one of 32, bf16, 16"):
        Device("cpu", "8")
    with pytest.raises(UserError, match="--device tpu is unknown"):
        Device("tpu")


@pytest.mark.parametrize("precision", PRECISIONS)
def test_a_network_runs_in_its_precision(precision):
    device = Device("cpu", precision)
    with device.autocast():
        output = torch.nn.Linear(2, 2)(torch.zeros(1, 2))
    assert output.dtype == getattr(torch, PRECISIONS[precision])


def test_images_go_there_in_the_networks_memory_format():
    device = Device("cpu")
    network = device.place(torch.nn.Conv2d(3, 4, 3))
    images = device.move_images(torch.rand(2, 3, 8, 8))
    for tensor in (network.weight, images):
        assert tensor.is_contiguous(memory_format=torch.channels_last)
