"""The FCN8 decoder: it scores the trunk's maps at strides 8, 16 and 32 (and 4), and adds the scores up.

References
----------
Long, Shelhamer and Darrell, "Fully Convolutional Networks for Semantic Segmentation", CVPR 2015.
"""

import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from lcfcn.networks.trunk import Trunk, TrunkNetwork


class FCN8(TrunkNetwork):
    """Score the trunk's maps by 1x1 convolutions, and add the scores up from coarse to fine.

    Parameters
    ----------
    trunk, freeze_batch_norm
        See `TrunkNetwork`.
    n_outputs : int
        Channels of the logits.
    """

    def __init__(self, trunk: Trunk, n_outputs: int, freeze_batch_norm: bool) -> None:
        super().__init__(trunk, freeze_batch_norm)
        for stride in self.trunk_strides:
            score = nn.Conv2d(trunk.channels[stride], n_outputs, 1)
            nn.init.normal_(score.weight, std=0.01)
            nn.init.zeros_(score.bias)
            setattr(self, f"score_{stride}s", score)
        self.train()

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (N, C, H, W) of images (N, 3, H, W)."""
        return _resize(self.merge(self.scores(images)), images)

    def scores(self, images: Tensor) -> dict[int, Tensor]:
        """Return the scores of each stride, (N, C, ceil(H / stride), ceil(W / stride)), not yet added up."""
        maps = self.maps(images)
        return {s: getattr(self, f"score_{s}s")(maps[s]) for s in self.trunk_strides}

    def merge(self, scores: dict[int, Tensor]) -> Tensor:
        """Add up the scores from coarse to fine, and return logits (N, C, h, w) at the finest stride."""
        *finer, coarsest = sorted(scores)
        logits = scores[coarsest]
        for stride in reversed(finer):
            logits = scores[stride] + _resize(logits, scores[stride])
        return logits


def _resize(x: Tensor, like: Tensor) -> Tensor:
    return F.interpolate(x, size=like.shape[-2:], mode="bilinear", align_corners=True)
