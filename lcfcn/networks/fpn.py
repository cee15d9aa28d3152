"""A light feature pyramid as a decoder, over a trunk with maps at strides up to 32.

References
----------
Lin et al., "Feature Pyramid Networks for Object Detection", CVPR 2017, section 3.
"""

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from lcfcn.networks.trunk import Trunk, TrunkNetwork

WIDTH = 64
"""Channels of the pyramid."""


class FPN(TrunkNetwork):
    """Bring the trunk's maps to the same number of channels, add them up from coarse to fine, and score the sum.

    FCN8 adds up scores. The pyramid adds up features, and a 3x3 convolution follows each sum, so a fine map can correct
    a coarse one. Maps are enlarged by whole factors, so the logits of a place do not depend on the size of the image.

    Parameters
    ----------
    trunk, freeze_batch_norm
        See `TrunkNetwork`.
    n_outputs : int
        Channels of the logits.
    """

    def __init__(self, trunk: Trunk, n_outputs: int, freeze_batch_norm: bool) -> None:
        super().__init__(trunk, freeze_batch_norm)
        finer = self.trunk_strides[:-1]
        self.decoder = nn.ModuleDict(
            {
                **{f"lateral_{s}s": nn.Conv2d(trunk.channels[s], WIDTH, 1) for s in self.trunk_strides},
                **{f"smooth_{s}s": nn.Conv2d(WIDTH, WIDTH, 3, padding=1) for s in finer},
            }
        )
        self.score = nn.Conv2d(WIDTH, n_outputs, 1)
        nn.init.normal_(self.score.weight, std=0.01)
        nn.init.zeros_(self.score.bias)
        self.train()

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (N, C, H, W) of images (N, 3, H, W)."""
        maps = self.maps(images)
        *finer, coarsest = self.trunk_strides
        x = self.decoder[f"lateral_{coarsest}s"](maps[coarsest])
        for stride in reversed(finer):
            lateral = self.decoder[f"lateral_{stride}s"](maps[stride])
            x = torch.relu(self.decoder[f"smooth_{stride}s"](lateral + _enlarged(x, 2, lateral, "nearest")))
        return _enlarged(self._scores(x), self.trunk_strides[0], images, "bilinear")

    def _scores(self, x: Tensor) -> Tensor:
        """Apply the last layer in the precision of its weights: neighbours may differ by hundredths of a logit."""
        if x.dtype == self.score.weight.dtype:
            return self.score(x)
        with torch.autocast(x.device.type, enabled=False):
            return self.score(x.to(self.score.weight.dtype))


def _enlarged(x: Tensor, factor: int, like: Tensor, mode: str) -> Tensor:
    """Enlarge `x` by a whole factor, and cut it to the size of `like`."""
    height, width = like.shape[-2:]
    return x if factor == 1 else F.interpolate(x, scale_factor=factor, mode=mode)[..., :height, :width]
