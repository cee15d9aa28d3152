"""Networks by name: `build_network` makes one, and `list_networks` lists the names.

A name is a decoder and a trunk. The trunk is a classification network without its last layers, which gives maps at
several strides. The decoder turns these maps into logits: `fcn8_...` adds up scores (`lcfcn.networks.fcn8`), and
`fpn_...` adds up features (`lcfcn.networks.fpn`). `fcn8_vgg16` is the network of the authors' code.
"""

from collections.abc import Callable
from functools import partial

import torchvision.models as tv
from torch import Tensor, nn

from lcfcn.errors import suggestion
from lcfcn.networks.fcn8 import FCN8
from lcfcn.networks.fcn8_vgg16 import FCN8VGG16, vgg16_names
from lcfcn.networks.fpn import FPN
from lcfcn.networks.pretrained import ModelError, download, load_weights
from lcfcn.networks.timm_trunk import download_trunk, make_trunk, timm_maps, timm_names, trunk_channels
from lcfcn.networks.trunk import MOBILENET_ENDS, Trunk, TrunkNetwork, mobilenet_maps, resnet_maps

TIMM, TIMM_TRUNK = "fpn_timm_", "timm_32s"
"""The prefix of the networks whose trunk is one of timm's, and the attribute that holds the trunk."""
RESNET_CHANNELS = {2: 64, 4: 64, 8: 128, 16: 256, 32: 512}
MOBILENET_CHANNELS = {2: 16, 4: 24, 8: 32, 16: 96, 32: 320}


def build_network(
    name: str,
    n_classes: int,
    *,
    pretrained: str | None = None,
    freeze_batch_norm: bool | None = None,
    output_stride: int | None = None,
) -> nn.Module:
    """Build a network that maps images (N, 3, H, W) to logits (N, C, H, W) of the same size.

    Images are RGB. If the weights are pretrained, normalise the images as for these weights (ImageNet's mean and
    deviation).

    Parameters
    ----------
    name : str
        One of `list_networks()`, or `fpn_timm_NAME` for a feature pyramid over the trunk `NAME` of timm.
    n_classes : int
        Number K of kinds of objects. C = 1 for K = 1, else C = K + 1 with the background in channel 0.
    pretrained : str, optional
        `"imagenet"` downloads weights once. A path names a state dict: of the trunk with torchvision's or timm's names,
        or of the whole network. By default the weights are random.
    freeze_batch_norm : bool, optional
        Keep the statistics and the affine parameters of batch norm fixed. By default ResNets do, as in the authors'
        code, and other trunks do if they are pretrained.
    output_stride : {8, 4, 2}, optional
        Stride of the finest map that the decoder reads. A smaller one helps with small objects and takes longer. The
        FCN8 decoder takes 8 (default) and 4, and the pyramid 4 (default), 2 and 8; `fcn8_vgg16` takes 8 only.

    Returns
    -------
    network : torch.nn.Module

    Raises
    ------
    ModelError
        If the name or an option is unknown, or the weights are missing or do not fit. It is a `UserError`.

    Examples
    --------
    >>> import torch
    >>> from lcfcn import build_network
    >>> network = build_network("fpn_mobilenet_v2", n_classes=2)
    >>> network(torch.rand(1, 3, 64, 96)).shape
    torch.Size([1, 3, 64, 96])
    """
    if not isinstance(n_classes, int) or n_classes < 1:
        raise ModelError(f"n_classes is {n_classes!r}; expected the number of kinds of objects, 1 or more")
    build = _find(name)
    default, *others = OUTPUT_STRIDES.get(name) or OUTPUT_STRIDES[name.partition("_")[0]]
    if output_stride not in (None, default, *others):
        allowed = " or ".join(map(str, (default, *others)))
        raise ModelError(f"model.output_stride is {output_stride!r} with {name}; expected {allowed}")
    finest = output_stride or default
    return build(
        1 if n_classes == 1 else n_classes + 1,
        pretrained=pretrained,
        freeze_batch_norm=freeze_batch_norm,
        used_strides=tuple(stride for stride in RESNET_CHANNELS if stride >= finest),
    )


def list_networks() -> list[str]:
    """Return the names that `build_network` knows.

    Besides these it builds `fpn_timm_NAME`, a feature pyramid over any of timm's trunks, such as
    `fpn_timm_convnext_tiny`.

    Examples
    --------
    >>> from lcfcn import list_networks
    >>> list_networks()[:3]
    ['fcn8_vgg16', 'fcn8_resnet', 'fcn8_resnet18']
    """
    return list(BASES)


def _find(name: str) -> Callable[..., nn.Module]:
    """Return the function that builds the network of this name; raise `ModelError` if there is none."""
    if name.startswith(TIMM):
        return partial(_timm, name.removeprefix(TIMM))
    if name not in BASES:
        raise ModelError(
            f"network {name!r} is unknown (choose one of {', '.join(BASES)}, or {TIMM}NAME with the name of a trunk of "
            f"timm){suggestion(name, BASES)}"
        )
    return BASES[name]


def _vgg16(n_outputs: int, pretrained: str | None, **_: object) -> nn.Module:
    network = FCN8VGG16(n_outputs)
    if pretrained is not None:
        load_weights(network, pretrained, partial(download, tv.VGG16_Weights.IMAGENET1K_V1), vgg16_names)
    return network


def _resnet(
    decoder: type[TrunkNetwork],
    depth: int,
    n_outputs: int,
    pretrained: str | None,
    freeze_batch_norm: bool | None,
    used_strides: tuple[int, ...],
) -> nn.Module:
    trunk = tv.get_model(f"resnet{depth}", weights=None)
    del trunk.fc
    widening = 1 if depth < 50 else 4  # deeper ResNets have bottleneck blocks, with four times as many channels
    channels = {stride: RESNET_CHANNELS[stride] * (widening if stride > 2 else 1) for stride in used_strides}
    frozen = freeze_batch_norm is not False
    network = decoder(Trunk(f"resnet{depth}_32s", trunk, resnet_maps, channels), n_outputs, frozen)
    if pretrained is not None:
        imagenet = partial(download, tv.get_model_weights(f"resnet{depth}").IMAGENET1K_V1)
        load_weights(network, pretrained, imagenet, partial(_trunk_names, f"resnet{depth}_32s", ("fc.",)))
    return network


def _mobilenet_v2(
    decoder: type[TrunkNetwork],
    n_outputs: int,
    pretrained: str | None,
    freeze_batch_norm: bool | None,
    used_strides: tuple[int, ...],
) -> nn.Module:
    trunk = tv.mobilenet_v2(weights=None)
    del trunk.classifier
    trunk.features = trunk.features[: MOBILENET_ENDS[32]]
    channels = {stride: MOBILENET_CHANNELS[stride] for stride in used_strides}
    frozen = pretrained is not None if freeze_batch_norm is None else freeze_batch_norm
    network = decoder(Trunk("mobilenet_v2_32s", trunk, mobilenet_maps, channels), n_outputs, frozen)
    if pretrained is not None:
        names = partial(_trunk_names, "mobilenet_v2_32s", ("classifier.", f"features.{MOBILENET_ENDS[32]}."))
        load_weights(network, pretrained, partial(download, tv.MobileNet_V2_Weights.IMAGENET1K_V1), names)
    return network


def _timm(
    trunk_name: str,
    n_outputs: int,
    pretrained: str | None,
    freeze_batch_norm: bool | None,
    used_strides: tuple[int, ...],
) -> nn.Module:
    trunk = make_trunk(trunk_name)
    channels = trunk_channels(trunk_name, trunk, used_strides)
    frozen = pretrained is not None if freeze_batch_norm is None else freeze_batch_norm
    network = FPN(Trunk(TIMM_TRUNK, trunk, timm_maps, channels), n_outputs, frozen)
    if pretrained is not None:
        imagenet = partial(download_trunk, trunk_name)
        load_weights(network, pretrained, imagenet, partial(timm_names, TIMM_TRUNK, trunk))
    return network


def _trunk_names(trunk_name: str, unused: tuple[str, ...], state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Turn torchvision's names into those of the network, without the layers that the trunk leaves out."""
    return {f"{trunk_name}.{name}": value for name, value in state.items() if not name.startswith(unused)}


OUTPUT_STRIDES = {"fcn8_vgg16": (8,), "fcn8": (8, 4), "fpn": (4, 2, 8)}
"""The strides that each decoder takes. The default comes first."""
BASES: dict[str, Callable[..., nn.Module]] = {
    "fcn8_vgg16": _vgg16,
    "fcn8_resnet": partial(_resnet, FCN8, 50),
    **{f"fcn8_resnet{depth}": partial(_resnet, FCN8, depth) for depth in (18, 34, 50, 101)},
    "fcn8_mobilenet_v2": partial(_mobilenet_v2, FCN8),
    **{f"fpn_resnet{depth}": partial(_resnet, FPN, depth) for depth in (18, 34, 50, 101)},
    "fpn_mobilenet_v2": partial(_mobilenet_v2, FPN),
}
