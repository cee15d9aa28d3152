"""The FCN8 decoder over a trunk that gives maps at strides 8, 16 and 32 (and 4)."""

from collections.abc import Callable

import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

MOBILENET_ENDS = {4: 4, 8: 7, 16: 14, 32: 18}
"""Where the features of each stride end in torchvision's MobileNetV2. Its last layer, a 1x1 convolution to 1280
channels made for classification, is left out: it would cost a quarter of the time."""


class FCN8(nn.Module):
    """Score the trunk's maps by 1x1 convolutions and add them up from coarse to fine (Long et al., CVPR 2015).

    Parameters
    ----------
    trunk_name : str
        Attribute under which the trunk is kept, the first part of its parameters' names.
    trunk : nn.Module
        Its maps are read by `read_maps`.
    read_maps : callable
        (trunk, images) to a dict of maps by stride.
    channels : dict of int to int
        Channels of the map of each stride that is used.
    n_outputs : int
        Channels of the logits.
    freeze_batch_norm : bool
        Keep batch norm in eval mode, also in training, with its affine parameters fixed.
    enlarge : int
        The trunk is given images so many times as high and wide, for objects that are small for it: all strides, told
        in pixels of the images as they came, are so many times finer.
    """

    def __init__(
        self,
        trunk_name: str,
        trunk: nn.Module,
        read_maps: Callable[[nn.Module, Tensor], dict[int, Tensor]],
        channels: dict[int, int],
        n_outputs: int,
        freeze_batch_norm: bool,
        enlarge: int = 1,
    ) -> None:
        super().__init__()
        self.trunk_name = trunk_name
        self.read_maps = read_maps
        self.enlarge = enlarge
        self.trunk_strides = sorted(channels)
        self.freeze_batch_norm = freeze_batch_norm
        setattr(self, trunk_name, trunk)
        for stride in self.trunk_strides:
            score = nn.Conv2d(channels[stride], n_outputs, 1)
            nn.init.normal_(score.weight, std=0.01)
            nn.init.zeros_(score.bias)
            setattr(self, f"score_{stride}s", score)
        if freeze_batch_norm:
            for norm in self._norms():
                norm.requires_grad_(False)
        self.train()

    def _norms(self) -> list[nn.Module]:
        return [module for module in getattr(self, self.trunk_name).modules() if isinstance(module, nn.BatchNorm2d)]

    def train(self, mode: bool = True) -> "FCN8":
        """Switch to training, all but the batch norm that is frozen."""
        super().train(mode)
        if self.freeze_batch_norm:
            for norm in self._norms():
                norm.eval()
        return self

    def forward(self, images: Tensor) -> Tensor:
        """(N, 3, H, W) images to (N, C, H, W) logits."""
        return _resize(self.merge(self.scores(images)), images)

    def scores(self, images: Tensor) -> dict[int, Tensor]:
        """(N, 3, H, W) images to scores (N, C, ceil(H / stride), ceil(W / stride)) by stride, not yet added up."""
        if self.enlarge > 1:
            # Not from corner to corner: what a place becomes must not depend on the size of the tile that it is in.
            images = F.interpolate(images, scale_factor=self.enlarge, mode="bilinear", align_corners=False)
        maps = self.read_maps(getattr(self, self.trunk_name), images)
        return {s // self.enlarge: getattr(self, f"score_{s}s")(maps[s]) for s in self.trunk_strides}

    def merge(self, scores: dict[int, Tensor]) -> Tensor:
        """Add up scores from coarse to fine: (N, C, h, w) logits of the finest stride."""
        *finer, coarsest = sorted(scores)
        logits = scores[coarsest]
        for stride in reversed(finer):
            logits = scores[stride] + _resize(logits, scores[stride])
        return logits


def _resize(x: Tensor, like: Tensor) -> Tensor:
    return F.interpolate(x, size=like.shape[-2:], mode="bilinear", align_corners=True)


def resnet_maps(trunk: nn.Module, images: Tensor) -> dict[int, Tensor]:
    """Maps of torchvision's ResNet by stride."""
    x = trunk.maxpool(trunk.relu(trunk.bn1(trunk.conv1(images))))
    maps = {}
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
