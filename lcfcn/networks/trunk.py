"""The trunk of a network: it gives maps at several strides, and its batch norm may be frozen.

The decoders (`lcfcn.networks.fcn8`, `lcfcn.networks.fpn`) are subclasses of `TrunkNetwork`.
"""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor, nn

MOBILENET_ENDS = {2: 2, 4: 4, 8: 7, 16: 14, 32: 18}
"""Index after the last layer of each stride in torchvision's MobileNetV2. Its last layer, a 1x1 convolution to 1280
channels for classification, is left out. It would take a quarter of the time."""

CELL = 32
"""The coarsest stride of the trunks: a cell of that map covers 32 x 32 pixels."""


@dataclass(frozen=True)
class Trunk:
    """A trunk, and how to get its maps.

    Attributes
    ----------
    name : str
        Attribute of the network that holds the trunk: the first part of its parameters' names.
    module : nn.Module
        The layers.
    read_maps : callable
        Takes the module and images, and returns a dict of maps by stride.
    channels : dict
        The number of channels of the map at each stride that is used.
    """

    name: str
    module: nn.Module
    read_maps: Callable[[nn.Module, Tensor], dict[int, Tensor]]
    channels: dict[int, int]


class TrunkNetwork(nn.Module):
    """A trunk whose maps a subclass decodes.

    Parameters
    ----------
    trunk : Trunk
        It becomes part of the network.
    freeze_batch_norm : bool
        Keep batch norm in eval mode in training too, with fixed affine parameters.
    """

    def __init__(self, trunk: Trunk, freeze_batch_norm: bool) -> None:
        super().__init__()
        self.trunk_name = trunk.name
        self.read_maps = trunk.read_maps
        self.trunk_strides = sorted(trunk.channels)
        self.freeze_batch_norm = freeze_batch_norm
        setattr(self, trunk.name, trunk.module)
        if freeze_batch_norm:
            for norm in self._norms():
                norm.requires_grad_(False)

    def _norms(self) -> list[nn.Module]:
        return [module for module in getattr(self, self.trunk_name).modules() if isinstance(module, nn.BatchNorm2d)]

    def train(self, mode: bool = True) -> "TrunkNetwork":
        """Switch between training and evaluation. Frozen batch norm stays in eval mode."""
        super().train(mode)
        if self.freeze_batch_norm:
            for norm in self._norms():
                norm.eval()
        return self

    def maps(self, images: Tensor) -> dict[int, Tensor]:
        """Return the trunk's maps (N, channels, h, w) of images (N, 3, H, W), by stride."""
        return self.read_maps(getattr(self, self.trunk_name), images)


def resnet_maps(trunk: nn.Module, images: Tensor) -> dict[int, Tensor]:
    """Return the maps of torchvision's ResNet by stride."""
    maps = {2: trunk.relu(trunk.bn1(trunk.conv1(images)))}
    x = trunk.maxpool(maps[2])
    for stride, layer in ((4, trunk.layer1), (8, trunk.layer2), (16, trunk.layer3), (32, trunk.layer4)):
        x = maps[stride] = layer(x)
    return maps


def mobilenet_maps(trunk: nn.Module, images: Tensor) -> dict[int, Tensor]:
    """Return the maps of torchvision's MobileNetV2 by stride."""
    x, start, maps = images, 0, {}
    for stride, end in MOBILENET_ENDS.items():
        x = maps[stride] = trunk.features[start:end](x)
        start = end
    return maps
