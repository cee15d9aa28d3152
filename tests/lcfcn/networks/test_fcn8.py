import pytest
import torch

from lcfcn.networks.registry import build_network

LIGHT = ("fcn8_resnet18", "fcn8_mobilenet_v2")


def meta_base(name, n_classes=1, **options):
    with torch.device("meta"):
        return build_network(name, n_classes, **options)


@pytest.mark.parametrize("name", LIGHT)
def test_stride_four_adds_one_skip(name):
    plain, fine = meta_base(name), meta_base(name, output_stride=4)
    assert set(fine.state_dict()) - set(plain.state_dict()) == {"score_4s.weight", "score_4s.bias"}
    assert fine(torch.empty(1, 3, 50, 70, device="meta")).shape == (1, 1, 50, 70)


def test_upscaled_scores_add_up():
    """With constant maps the logits are the sum of what the scores make of them."""
    network = build_network("fcn8_resnet18", 1, output_stride=4)
    for stride in (4, 8, 16, 32):
        score = getattr(network, f"score_{stride}s")
        torch.nn.init.zeros_(score.weight)
        torch.nn.init.constant_(score.bias, float(stride))
    assert network(torch.rand(1, 3, 45, 70)).detach() == pytest.approx(60.0, abs=1e-4)
