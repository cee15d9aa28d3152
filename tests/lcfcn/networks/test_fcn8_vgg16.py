import pytest
import torch
import torch.nn.functional as F  # noqa: N812
import torchvision.models as tv

from lcfcn.networks.fcn8_vgg16 import FCN8VGG16, vgg16_names
from lcfcn.networks.pretrained import load_weights
from lcfcn.networks.registry import build_network

VGG_SHAPES = {
    "conv1_1.weight": (64, 3, 3, 3),
    "conv2_2.weight": (128, 128, 3, 3),
    "conv3_3.weight": (256, 256, 3, 3),
    "conv4_1.weight": (512, 256, 3, 3),
    "conv5_3.bias": (512,),
    "fc6.weight": (4096, 512, 7, 7),
    "fc7.weight": (4096, 4096, 1, 1),
    "scoring_layer.weight": (3, 4096, 1, 1),
    "score_pool3.weight": (3, 256, 1, 1),
    "score_pool4.bias": (3,),
    "upscore2.weight": (3, 3, 4, 4),
    "upscore_pool4.weight": (3, 3, 4, 4),
    "upscore8.weight": (3, 3, 16, 16),
}


def meta_base(name, n_classes=1, **options):
    with torch.device("meta"):
        return build_network(name, n_classes, **options)


def test_vgg16_has_the_names_of_published_checkpoints():
    state = meta_base("fcn8_vgg16", 2).state_dict()
    for name, shape in VGG_SHAPES.items():
        assert tuple(state[name].shape) == shape, name
    convs = [f"conv{s}_{c}" for s, n in enumerate((2, 2, 3, 3, 3), 1) for c in range(1, n + 1)]
    both = [*convs, "fc6", "fc7", "scoring_layer", "score_pool3", "score_pool4"]
    names = [f"{layer}.{kind}" for layer in both for kind in ("weight", "bias")]
    assert sorted(state) == sorted([*names, "upscore2.weight", "upscore_pool4.weight", "upscore8.weight"])


def test_enlarging_layers_start_bilinear():
    network = FCN8VGG16(2, fc_channels=4)
    for layer in (network.upscore2, network.upscore_pool4, network.upscore8):
        stride, size = layer.stride[0], layer.kernel_size[0]
        map_ = torch.rand(1, 2, 6, 6)
        enlarged = layer(map_).detach()
        expected = F.interpolate(map_, scale_factor=stride, mode="bilinear", align_corners=False)
        inner = slice(stride, 5 * stride)
        margin = (size - stride) // 2
        shifted = slice(stride + margin, 5 * stride + margin)
        torch.testing.assert_close(enlarged[..., shifted, shifted], expected[..., inner, inner])


def test_scoring_layers_start_at_zero():
    network = FCN8VGG16(2, fc_channels=4)
    assert not network.eval()(torch.rand(1, 3, 40, 40)).any()


def passing_through():
    """VGG16 whose convolutions hand on channel 0, so that each score sees where the image is bright."""
    network = FCN8VGG16(1, fc_channels=4).eval()
    for name, layer in network.named_modules():
        if name.startswith(("conv", "fc")):
            torch.nn.init.zeros_(layer.weight)
            torch.nn.init.zeros_(layer.bias)
            centre = layer.kernel_size[0] // 2
            layer.weight.data[0, 0, centre, centre] = 1
    return network


@pytest.mark.parametrize(
    ("layer", "stride", "cell"), [("score_pool3", 8, 16), ("score_pool4", 16, 9), ("scoring_layer", 32, 6)]
)
def test_each_skip_lands_where_it_looked(layer, stride, cell):
    network = passing_through()
    getattr(network, layer).weight.data[:, 0] = 1
    first = stride * cell - 99  # the border of 100 less the 1 that a 3x3 convolution takes
    image = torch.zeros(1, 3, 220, 260)
    image[..., first : first + stride, first : first + stride] = 1
    logits = network(image)[0, 0].detach()
    assert logits.max() > 0
    rows, cols = torch.meshgrid(torch.arange(220.0), torch.arange(260.0), indexing="ij")
    centre = first + (stride - 1) / 2
    for positions in (rows, cols):
        assert float((logits * positions).sum() / logits.sum()) == pytest.approx(centre, abs=1e-3)


def test_vgg16_half_precision_weights_load(shared):
    path = shared / "weights" / "vgg16_hed_features_fp16.pth"
    network = build_network("fcn8_vgg16", 1, pretrained=str(path))
    theirs = tv.vgg16().features
    theirs.load_state_dict({k.removeprefix("features."): v for k, v in torch.load(path, weights_only=True).items()})
    ours = [m for name, m in network.named_modules() if name.startswith("conv")]
    convs = [m for m in theirs if isinstance(m, torch.nn.Conv2d)]
    assert len(ours) == len(convs) == 13
    for our, their in zip(ours, convs, strict=True):
        assert our.weight.dtype == torch.float32
        assert torch.equal(our.weight, their.weight)
        assert torch.equal(our.bias, their.bias)


def test_classifier_becomes_fc6_and_fc7():
    linear = torch.nn.Linear(512 * 7 * 7, 4096, device="meta")
    state = {"classifier.0.weight": linear.weight, "classifier.0.bias": linear.bias}
    assert vgg16_names(state)["fc6.weight"].shape == (4096, 512, 7, 7)


def load_vgg16(path, content, n_outputs=1):
    """A small VGG16 filled from a file with this content."""
    torch.save(content, path)
    network = FCN8VGG16(n_outputs, fc_channels=4)
    load_weights(network, str(path), dict, vgg16_names)
    return network


def test_vgg16_gives_torchvisions_features(tmp_path):
    """The same maps as torchvision's VGG16, once that has the wide border and the pools that round up."""
    theirs = tv.vgg16().eval()
    trunk = {name: value for name, value in theirs.state_dict().items() if name.startswith("features")}
    network = load_vgg16(tmp_path / "vgg16.pth", trunk).eval()
    theirs.features[0].padding = (100, 100)
    for layer in theirs.features:
        if isinstance(layer, torch.nn.MaxPool2d):
            layer.ceil_mode = True
    seen = []
    network.fc6.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    images = torch.rand(1, 3, 33, 47)
    with torch.no_grad():
        network(images)
        torch.testing.assert_close(seen[0], theirs.features(images))


def test_vgg16_checkpoints_load_strictly_but_for_the_classes(tmp_path):
    source = FCN8VGG16(1, fc_channels=4)
    for parameter in source.parameters():
        torch.nn.init.normal_(parameter)
    published = {"model": source.state_dict(), "opt": {"state": {}}}
    same = load_vgg16(tmp_path / "same.pth", published).state_dict()
    for name, value in source.state_dict().items():
        assert torch.equal(same[name], value), name
    other, made = load_vgg16(tmp_path / "other.pth", published, 3).state_dict(), FCN8VGG16(3, 4).state_dict()
    for name, value in other.items():
        expected = made if name.startswith(("scor", "upscore")) else source.state_dict()
        assert torch.equal(value, expected[name]), name


def test_vgg16_can_learn_in_every_layer_and_drops_single_values():
    network = FCN8VGG16(2, fc_channels=16)
    assert type(network.dropout) is torch.nn.Dropout
    assert network.dropout.p == 0.5
    for name, layer in network.named_modules():
        if name.startswith(("conv", "fc")):  # a variance of 2 / inputs keeps the scale through a ReLU
            assert float(layer.weight.detach().var()) * layer.weight[0].numel() == pytest.approx(2, rel=0.5), name
    for layer in (network.scoring_layer, network.score_pool3, network.score_pool4):
        torch.nn.init.normal_(layer.weight)
    (network.eval()(torch.randn(1, 3, 32, 32)) ** 2).sum().backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad.abs().sum() > 0, name
