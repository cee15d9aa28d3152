"""Batch norm folded into convolutions gives the same logits, or is left alone."""

import pytest
import torch
from torch import nn

from lcfcn.networks.folding import fold_batch_norm
from lcfcn.networks.registry import build_network


def with_statistics(network):
    generator = torch.Generator().manual_seed(1)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.copy_(torch.randn(module.running_mean.shape, generator=generator) * 0.1)
            module.running_var.copy_(torch.rand(module.running_var.shape, generator=generator) + 0.5)
    return network.eval()


@pytest.mark.parametrize("name", ["fpn_mobilenet_v2", "fcn8_resnet18", "fpn_resnet50"])
def test_the_logits_stay_and_no_batch_norm_is_left(name):
    network = with_statistics(build_network(name, 2))
    folded = fold_batch_norm(network)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in folded.modules())
    assert any(isinstance(module, nn.BatchNorm2d) for module in network.modules())  # the one that came is as it was
    images = torch.rand(2, 3, 64, 96, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected = network(images)
        torch.testing.assert_close(folded(images), expected, rtol=1e-3, atol=1e-4 * float(expected.abs().max()))


def test_layers_that_do_not_follow_each_other_are_left_alone():
    class Odd(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(3, 3, 1)
            self.norm = nn.BatchNorm2d(3)  # right behind the convolution by name, and before it in the work

        def forward(self, images):
            return self.conv(torch.relu(self.norm(images)))

    network = with_statistics(Odd())
    assert fold_batch_norm(network) is network


def test_a_network_without_batch_norm_comes_back_itself():
    network = nn.Conv2d(3, 1, 1).eval()
    assert fold_batch_norm(network) is network
