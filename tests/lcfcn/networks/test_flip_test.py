import torch

from lcfcn.networks.flip_test import FlipTest
from lcfcn.networks.registry import build_network


def test_it_is_the_mean_of_the_logits_of_both_images():
    torch.manual_seed(0)
    network = build_network("fpn_mobilenet_v2", 2).eval()
    torch.nn.init.normal_(network.score.weight, std=20)
    images = torch.rand(2, 3, 64, 96)
    with torch.no_grad():
        expected = (network(images) + network(images.flip(-1)).flip(-1)) / 2
        found = FlipTest(network)(images)
        torch.testing.assert_close(found, expected)
        assert (found - network(images)).abs().max() > 0.1
        torch.testing.assert_close(FlipTest(network)(images.flip(-1)), found.flip(-1))


def test_a_width_of_no_whole_cells_stays():
    network = FlipTest(torch.nn.Conv2d(3, 1, 3, padding=1))
    for width in (1, 31, 32, 33):
        images = torch.rand(1, 3, 5, width)
        assert network(images).shape == (1, 1, 5, width)
