"""What the decoders share: a trunk that is read at several strides, with its batch norm frozen or not."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor, nn

MOBILENET_ENDS = {2: 2, 4: 4, 8: 7, 16: 14, 32: 18}
"""Where the features of each stride end in torchvision's MobileNetV2. Its last layer, a 1x1 convolution to 1280
channels made for classification, is left out: it would cost a quarter of the time."""


CELL = 32
"""The coarsest stride of the trunks: the side in pixels of a cell of that map."""


@dataclass(frozen=True)
class Trunk:
    """A trunk and how it is read.

    `name` : attribute under which a network keeps it, the first part of its parameters' names; `module` : the layers;
    `read_maps` : (module, images) to a dict of maps by stride; `channels` : those of the map of each stride that is
    used.
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
        Keep batch norm in eval mode, also in training, with its affine parameters fixed.
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
        """Switch to training, all but the batch norm that is frozen."""
        super().train(mode)
        if self.freeze_batch_norm:
            for norm in self._norms():
                norm.eval()
        return self

    def maps(self, images: Tensor) -> dict[int, Tensor]:
        """(N, 3, H, W) images to the trunk's maps (N, channels, h, w) by the trunk's strides."""
        return self.read_maps(getattr(self, self.trunk_name), images)


def resnet_maps(trunk: nn.Module, images: Tensor) -> dict[int, Tensor]:
    """Maps of torchvision's ResNet by stride."""
    maps = {2: trunk.relu(trunk.bn1(trunk.conv1(images)))}
    x = trunk.maxpool(maps[2])
    for stride, layer in ((4, trunk.layer1), (8, trunk.layer2), (16, trunk.layer3), (32, trunk.layer4)):
        x = maps[stride] = layer(x)
    return maps


def mobilenet_maps(trunk: nn.Module, images: Tensor) -> dict[int, Tensor]:
    """Maps of torchvision's MobileNetV2 by stride."""
    x, start, maps = images, 0, {}
    for stride, end in MOBILENET_ENDS.items():
        x = maps[stride] = trunk.features[start:end](x)
        start = end
    return maps
