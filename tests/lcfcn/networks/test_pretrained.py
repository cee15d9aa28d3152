from http.client import IncompleteRead
from urllib.error import URLError

import pytest
import torch
import torchvision.models as tv

from lcfcn.networks.fcn8_vgg16 import FCN8VGG16, vgg16_names
from lcfcn.networks.pretrained import ModelError, load_weights
from lcfcn.networks.registry import build_network


def test_published_checkpoints_and_own_ones_load_with_another_head(tmp_path):
    source = build_network("fcn8_resnet18", 1)
    path = tmp_path / "upstream.pth"
    torch.save({"model": source.state_dict(), "opt": {}}, path)
    same = build_network("fcn8_resnet18", 1, pretrained=str(path))
    for name, value in source.state_dict().items():
        assert torch.equal(same.state_dict()[name], value), name
    other = build_network("fcn8_resnet18", 3, pretrained=str(path))
    assert torch.equal(other.resnet18_32s.conv1.weight, source.resnet18_32s.conv1.weight)
    assert other.score_8s.weight.shape == (4, 128, 1, 1)


def test_torchvisions_resnet_file_loads(tmp_path):
    trunk = tv.resnet18()
    path = tmp_path / "resnet18.pth"
    # Old files of torchvision lack these.
    torch.save({k: v for k, v in trunk.state_dict().items() if "num_batches" not in k}, path)
    network = build_network("fcn8_resnet18", 1, pretrained=str(path))
    assert torch.equal(network.resnet18_32s.layer4[1].conv2.weight, trunk.layer4[1].conv2.weight)


def test_bad_weights_are_one_line_that_names_the_file(tmp_path):
    path = tmp_path / "weights.pth"
    state = tv.resnet18().state_dict()
    cases = {"garbage": b"garbage"}
    for name, content in {
        "foreign": {"encoder.weight": torch.zeros(1)},
        "deeper": tv.resnet34().state_dict(),
        "partial": {k: v for k, v in state.items() if not k.startswith("layer4")},
        "no dict": [1, 2],
    }.items():
        torch.save(content, path)
        cases[name] = path.read_bytes()
    torch.save(state, path)
    cases["truncated"] = path.read_bytes()[:100_000]
    for name, content in cases.items():
        path.write_bytes(content)
        with pytest.raises(ModelError, match=r"weights\.pth") as error:
            build_network("fcn8_resnet18", 1, pretrained=str(path))
        assert "\n" not in str(error.value), name
        assert path.read_bytes() == content
    with pytest.raises(ModelError, match=r"there is no .*none\.pth"):
        build_network("fcn8_resnet18", 1, pretrained=str(tmp_path / "none.pth"))


def test_without_network_and_cache_the_missing_file_and_the_ways_out_are_named(tmp_path, monkeypatch):
    def refuse(*args, **kwargs):
        raise URLError("no route to host")

    monkeypatch.setattr(torch.hub, "_hub_dir", str(tmp_path))
    monkeypatch.setattr(torch.hub, "urlopen", refuse)
    with pytest.raises(ModelError) as error:
        build_network("fcn8_resnet18", 1, pretrained="imagenet")
    message = str(error.value)
    assert str(tmp_path / "checkpoints" / "resnet18-f37072fd.pth") in message
    assert "https://" in message
    assert "model.pretrained=PATH" in message
    assert "model.pretrained=None" in message
    assert "\n" not in message


def test_cached_imagenet_weights_need_no_network(tmp_path, monkeypatch):
    trunk = tv.resnet18()
    (tmp_path / "checkpoints").mkdir()
    torch.save(trunk.state_dict(), tmp_path / "checkpoints" / "resnet18-f37072fd.pth")
    monkeypatch.setattr(torch.hub, "_hub_dir", str(tmp_path))
    network = build_network("fcn8_resnet18", 1, pretrained="imagenet")
    assert torch.equal(network.resnet18_32s.conv1.weight, trunk.conv1.weight)


def test_damaged_cached_weights_are_named(tmp_path, monkeypatch):
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "resnet18-f37072fd.pth").write_bytes(b"cut off")
    monkeypatch.setattr(torch.hub, "_hub_dir", str(tmp_path))
    with pytest.raises(ModelError, match=r"resnet18-f37072fd\.pth cannot be read"):
        build_network("fcn8_resnet18", 1, pretrained="imagenet")


def test_a_download_that_breaks_off_is_told_like_no_network(tmp_path, monkeypatch):
    def break_off(*args, **kwargs):
        raise IncompleteRead(b"")

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(torch.hub, "_hub_dir", None)
    monkeypatch.setattr(torch.hub, "urlopen", break_off)
    with pytest.raises(ModelError, match=r"hub/checkpoints/resnet18-f37072fd\.pth are not there"):
        build_network("fcn8_resnet18", 1, pretrained="imagenet")


def load_vgg16(path, content, n_outputs=1):
    """A small VGG16 filled from a file with this content."""
    torch.save(content, path)
    network = FCN8VGG16(n_outputs, fc_channels=4)
    load_weights(network, str(path), dict, vgg16_names)
    return network


@pytest.mark.parametrize("lost", ["fc6.weight", "fc7.bias", "score_pool3.weight", "upscore8.weight", "conv4_2.bias"])
def test_own_names_are_all_needed(tmp_path, lost):
    state = FCN8VGG16(1, fc_channels=4).state_dict()
    del state[lost]
    with pytest.raises(ModelError, match=f"has nothing for {lost}; expected "):
        load_vgg16(tmp_path / "part.pth", state)


def test_weights_of_other_networks_are_refused_in_one_line(tmp_path):
    with torch.device("meta"):
        shapes = {name: value.shape for name, value in tv.vgg16().features.state_dict().items()}
        deeper, normed = (
            {f"features.{n}": v for n, v in m().features.state_dict().items()} for m in (tv.vgg19, tv.vgg16_bn)
        )
    vgg16 = {f"features.{name}": torch.zeros(shape) for name, shape in shapes.items()}
    for content, message in [
        ({"features.conv0.weight": torch.zeros(64, 3, 7, 7)}, "expected names as conv1_1.weight"),
        ({name: torch.zeros(value.shape) for name, value in deeper.items()}, "for conv4_2.weight"),
        ({name: torch.zeros(value.shape) for name, value in normed.items()}, "for conv"),
        ({**vgg16, "classifier.0.weight": torch.zeros(4096, 512)}, r"has \(4096, 512\) for fc6.weight"),
        ({"model": [1, 2]}, "it has nothing"),
        ({0: torch.zeros(1)}, "it has nothing"),
        ({**FCN8VGG16(1, 4).state_dict(), "score_pool3.weight": torch.zeros(1, 7, 1, 1)}, r"has \(1, 7, 1, 1\)"),
    ]:
        with pytest.raises(ModelError, match=message) as error:
            load_vgg16(tmp_path / "weights.pth", content)
        assert "\n" not in str(error.value)
