import pytest
import torch

from lcfcn.networks.pretrained import ModelError
from lcfcn.networks.registry import build_network, list_networks

LIGHT = ("fcn8_resnet18", "fcn8_mobilenet_v2")


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


def test_unknown_choices_are_listed():
    for arguments, options, message in [
        (("unet", 1), {}, "network 'unet' is unknown .*fcn8_vgg16, fcn8_resnet"),
        (("fcn8_resnet81", 1), {}, r"; did you mean fcn8_resnet18\?$"),
        (("fcn8_vgg16", 1), {"output_stride": 4}, "output_stride is 4"),
        (("fcn8_resnet18", 1), {"output_stride": 2}, "output_stride is 2 with fcn8_resnet18; expected 8 or 4"),
        (("fpn_resnet18", 1), {"output_stride": 16}, "output_stride is 16"),
        (("fcn8_timm_resnet18", 1), {}, "or fpn_timm_NAME with the name of a trunk of timm"),
        (
            ("fpn_timm_resnet", 1),
            {},
            r"no trunk 'resnet' that gives maps \(it lists no such model\).*such as .*resnet18",
        ),
        (("fpn_timm_", 1), {}, r"no trunk '' that gives maps"),
        (("fpn_timm_vit_tiny_patch16_224", 1), {}, r"no map of stride 4, 8, 32 \(it has 16\)"),
        (("fpn_timm_convnext_atto", 1), {"output_stride": 2}, r"no map of stride 2 \(it has 4, 8, 16, 32\)"),
        (("fpn_timm_resnet18", 1), {"output_stride": 16}, "output_stride is 16"),
        (("fcn8_resnet18", 0), {}, "n_classes is 0; expected the number of kinds of objects, 1 or more"),
        (("fcn8_resnet18", "2"), {}, "n_classes is '2'; expected"),
    ]:
        with pytest.raises(ModelError, match=message):
            build_network(*arguments, **options)


@pytest.mark.parametrize("name", [*LIGHT, "fpn_resnet18", "fpn_mobilenet_v2"])
def test_gradient_reaches_every_free_parameter(name):
    network = build_network(name, 2, output_stride=4)
    (network(torch.rand(2, 3, 64, 64)) ** 2).sum().backward()
    for parameter_name, parameter in network.named_parameters():
        if parameter.requires_grad:
            assert parameter.grad is not None, parameter_name
            assert parameter.grad.abs().sum() > 0, parameter_name
