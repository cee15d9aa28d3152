import pytest
import torch
import torchvision.models as tv

from lcfcn.networks.registry import build_network


@pytest.mark.parametrize("stride", [8, 4, 2])
def test_the_pyramid_adds_up_its_features(stride):
    """With constant maps and convolutions that pass on, the logits are the sum over the strides that are used."""
    network = build_network("fpn_mobilenet_v2", 1, output_stride=stride)
    for name, layer in network.decoder.items():
        torch.nn.init.zeros_(layer.weight)
        torch.nn.init.zeros_(layer.bias)
        if name.startswith("lateral"):
            torch.nn.init.constant_(layer.bias, float(name.removeprefix("lateral_").removesuffix("s")))
        else:
            layer.weight.data[:, :, 1, 1] = torch.eye(len(layer.weight))
    torch.nn.init.constant_(network.score.weight, 1 / network.score.in_channels)
    used = [s for s in (2, 4, 8, 16, 32) if s >= stride]
    logits = network.eval()(torch.rand(1, 3, 45, 70)).detach()
    assert logits.shape == (1, 1, 45, 70)
    assert logits == pytest.approx(float(sum(used)), abs=1e-4)


def test_what_the_pyramid_says_of_a_place_does_not_depend_on_the_size_of_the_image():
    network = build_network("fpn_mobilenet_v2", 1).eval()
    torch.nn.init.normal_(network.score.weight)
    images = torch.rand(1, 3, 64, 1024)
    whole = network(images)
    assert torch.allclose(network(images[..., :640])[..., :320], whole[..., :320], atol=1e-4)
    assert torch.allclose(network(images[..., 384:])[..., 320:], whole[..., 704:], atol=1e-4)
    assert whole.std() > 1e-3


def test_a_pyramids_trunk_takes_torchvisions_weights(tmp_path):
    path = tmp_path / "resnet18.pth"
    weights = tv.resnet18().state_dict()
    torch.save(weights, path)
    network = build_network("fpn_resnet18", 2, pretrained=str(path), output_stride=2)
    assert torch.equal(network.resnet18_32s.conv1.weight, weights["conv1.weight"])


def test_the_pyramids_scores_are_finer_than_half_precision():
    # Objects are told apart by hundredths of a logit, and bfloat16 has steps of a 32nd above 4.
    torch.manual_seed(0)
    network = build_network("fpn_mobilenet_v2", 1).eval()
    network.score.bias.data.fill_(6.0)
    images = torch.randn(1, 3, 64, 64)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        logits = network(images)
    assert logits.dtype == torch.float32
    with torch.no_grad():
        exact = network(images)
    assert (logits - exact).abs().max() < 0.005
    assert exact.std() > 0.0005
