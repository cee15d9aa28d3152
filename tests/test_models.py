import sys
from http.client import IncompleteRead
from urllib.error import URLError

import pytest
import timm
import torch
import torch.nn.functional as F  # noqa: N812
import torchvision.models as tv

from lcfcn.networks.fcn8_vgg16 import FCN8VGG16, vgg16_names
from lcfcn.networks.pretrained import ModelError, load_weights
from lcfcn.networks.registry import build_network, list_networks

LIGHT = ("fcn8_resnet18", "fcn8_mobilenet_v2")
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
    # Some releases of timm compute with the sizes of a trunk when they build it.
    with torch.device("cpu" if "timm" in name else "meta"):
        return build_network(name, n_classes, **options).to("meta")


@pytest.mark.parametrize("name", [*sorted(list_networks()), "fpn_timm_convnext_atto", "fpn_timm_tf_efficientnet_lite0"])
@pytest.mark.parametrize(("n_classes", "channels"), [(1, 1), (2, 3), (3, 4)])
def test_logits_have_the_images_size_and_the_classes_channels(name, n_classes, channels):
    network = meta_base(name, n_classes)
    for size in [(480, 640), (33, 47), (32, 32), (101, 64), (7, 5)]:
        logits = network.eval()(torch.empty(2, 3, *size, device="meta"))
        assert logits.shape == (2, channels, *size)


@pytest.mark.parametrize("name", LIGHT)
def test_stride_four_adds_one_skip(name):
    plain, fine = meta_base(name), meta_base(name, output_stride=4)
    assert set(fine.state_dict()) - set(plain.state_dict()) == {"score_4s.weight", "score_4s.bias"}
    assert fine(torch.empty(1, 3, 50, 70, device="meta")).shape == (1, 1, 50, 70)


def test_unknown_choices_are_listed():
    for arguments, options, message in [
        (("unet", 1), {}, "network 'unet' is unknown .*fcn8_vgg16, fcn8_resnet"),
        (("fcn8_resnet81", 1), {}, r"; did you mean fcn8_resnet18\?$"),
        (("fcn8_vgg16", 1), {"output_stride": 4}, "output_stride is 4"),
        (("fcn8_resnet18", 1), {"output_stride": 2}, "output_stride is 2 with fcn8_resnet18; expected 8 or 4"),
        (("fpn_resnet18", 1), {"output_stride": 16}, "output_stride is 16"),
        (("fcn8_timm_resnet18", 1), {}, "or fpn_timm_NAME with the name of a trunk of timm"),
        (("fpn_timm_resnet", 1), {}, r"no trunk 'resnet' that gives maps \(Unknown model .*such as .*resnet18"),
        (("fpn_timm_", 1), {}, r"no trunk '' that gives maps"),
        (("fpn_timm_vit_tiny_patch16_224", 1), {}, r"no map of stride 4, 8, 32 \(it has 16\)"),
        (("fpn_timm_convnext_atto", 1), {"output_stride": 2}, r"no map of stride 2 \(it has 4, 8, 16, 32\)"),
        (("fpn_timm_resnet18", 1), {"output_stride": 16}, "output_stride is 16"),
        (("fcn8_resnet18", 0), {}, "n_classes is 0; expected the number of kinds of objects, 1 or more"),
        (("fcn8_resnet18", "2"), {}, "n_classes is '2'; expected"),
    ]:
        with pytest.raises(ModelError, match=message):
            build_network(*arguments, **options)


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


def test_resnets_keep_their_batch_norm_and_leave_fc_out():
    network = build_network("fcn8_resnet18", 1)
    names = list(network.state_dict())
    assert "resnet18_32s.conv1.weight" in names
    assert "score_32s.bias" in names
    assert not [name for name in names if ".fc." in name]
    norm = network.resnet18_32s.layer1[0].bn1
    before = norm.running_mean.clone()
    network.train()(torch.rand(2, 3, 32, 32)).sum().backward()
    assert network.training
    assert not norm.training
    assert norm.weight.grad is None
    assert torch.equal(norm.running_mean, before)
    assert list(meta_base("fcn8_resnet").state_dict()) == list(meta_base("fcn8_resnet50").state_dict())


def test_batch_norm_from_scratch_learns_and_can_be_frozen():
    for freeze, learns in ((None, True), (True, False)):
        network = build_network("fcn8_mobilenet_v2", 1, freeze_batch_norm=freeze)
        norm = network.mobilenet_v2_32s.features[0][1]
        before = norm.running_mean.clone()
        network.train()(torch.rand(2, 3, 64, 64))
        assert torch.equal(norm.running_mean, before) != learns
        assert norm.weight.requires_grad == learns


@pytest.mark.parametrize("name", [*LIGHT, "fpn_resnet18", "fpn_mobilenet_v2"])
def test_gradient_reaches_every_free_parameter(name):
    network = build_network(name, 2, output_stride=4)
    (network(torch.rand(2, 3, 64, 64)) ** 2).sum().backward()
    for parameter_name, parameter in network.named_parameters():
        if parameter.requires_grad:
            assert parameter.grad is not None, parameter_name
            assert parameter.grad.abs().sum() > 0, parameter_name


def test_upscaled_scores_add_up():
    """With constant maps the logits are the sum of what the scores make of them."""
    network = build_network("fcn8_resnet18", 1, output_stride=4)
    for stride in (4, 8, 16, 32):
        score = getattr(network, f"score_{stride}s")
        torch.nn.init.zeros_(score.weight)
        torch.nn.init.constant_(score.bias, float(stride))
    assert network(torch.rand(1, 3, 45, 70)).detach() == pytest.approx(60.0, abs=1e-4)


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


def test_mobilenet_weights_load_and_give_torchvisions_features(shared):
    path = shared / "weights" / "mobilenet_v2_imagenet_features.pth"
    network = build_network("fcn8_mobilenet_v2", 1, pretrained=str(path), output_stride=4).eval()
    assert not network.mobilenet_v2_32s.features[0][1].weight.requires_grad
    theirs = tv.mobilenet_v2().eval()
    theirs.load_state_dict(torch.load(path, weights_only=True), strict=False)
    images = torch.rand(1, 3, 64, 96)
    maps = network.read_maps(network.mobilenet_v2_32s, images)
    for stride, end in ((4, 4), (8, 7), (16, 14), (32, 18)):
        assert maps[stride].shape[-1] == 96 // stride
        torch.testing.assert_close(maps[stride], theirs.features[:end](images))


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


def test_a_trunk_of_timm_is_the_one_of_torchvision_where_both_have_it(tmp_path):
    trunk = tv.resnet18()
    torch.save(trunk.state_dict(), tmp_path / "resnet18.pth")
    ours, theirs = (
        build_network(name, 1, pretrained=str(tmp_path / "resnet18.pth"))
        for name in ("fpn_resnet18", "fpn_timm_resnet18")
    )
    theirs.decoder, theirs.score = ours.decoder, ours.score
    images = torch.rand(1, 3, 64, 96)
    with torch.no_grad():
        torch.testing.assert_close(theirs.eval()(images), ours.eval()(images))
        filled = torch.nn.functional.pad(images[..., :50, :70], (0, 26, 0, 14))
        assert torch.equal(theirs(images[..., :50, :70]), theirs(filled)[..., :50, :70])
    norms = [m for m in theirs.train().timm_32s.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    assert len(norms) == 20
    assert not any(norm.training for norm in norms)


def test_a_trunk_of_timm_takes_the_weights_of_its_classifier_and_no_others(tmp_path):
    classifier = timm.create_model("convnext_atto")  # it has stem.0 and stages.0 where the trunk has stem_0, stages_0
    path = tmp_path / "convnext.pth"
    torch.save(classifier.state_dict(), path)
    network = build_network("fpn_timm_convnext_atto", 1, pretrained=str(path)).eval()
    images = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        coarsest = network.maps(images)[32]
        torch.testing.assert_close(coarsest, classifier.eval().forward_features(images))
    cut = {name: value for name, value in classifier.state_dict().items() if not name.startswith("stages.2.blocks.1")}
    torch.save(cut, path)
    with pytest.raises(ModelError, match=r"has nothing for timm_32s.stages_2.blocks.1"):
        build_network("fpn_timm_convnext_atto", 1, pretrained=str(path))


def test_timms_own_weights_are_asked_for_and_their_lack_is_told(tmp_path, monkeypatch):
    trunk = timm.create_model("resnet18", features_only=True)
    create = timm.create_model
    given = {True: trunk}
    monkeypatch.setattr(timm, "create_model", lambda *a, pretrained, **k: given.get(pretrained) or create(*a, **k))
    network = build_network("fpn_timm_resnet18", 1, pretrained="imagenet")
    assert torch.equal(network.timm_32s.conv1.weight, trunk.conv1.weight)
    monkeypatch.undo()
    # As where there is no network, without its repeated tries.
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(ModelError, match=r"weights of resnet18 could not be fetched .*model\.pretrained=PATH"):
        build_network("fpn_timm_resnet18", 1, pretrained="imagenet")
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(ModelError, match=r"needs timm, which is not installed: pip install 'lcfcn\[timm\]'"):
        build_network("fpn_timm_resnet18", 1)


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
