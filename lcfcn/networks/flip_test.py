"""Two looks at an image: as it is, and mirrored."""

import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from lcfcn.networks.trunk import CELL


class FlipTest(nn.Module):
    """A network that gives the mean of its logits for an image and for its mirror image.

    Parameters
    ----------
    network : nn.Module
        (N, 3, H, W) images to (N, C, H, W) logits.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        """(N, 3, H, W) images to (N, C, H, W) logits."""
        width = images.shape[-1]
        # Filled up to whole cells: else those of the mirror image would lie elsewhere in a tile than in the whole.
        filled = F.pad(images, (0, -width % CELL))
        mirrored = self.network(filled.flip(-1)).flip(-1)[..., :width]
        return (self.network(images) + mirrored) / 2
