"""Test-time flipping: average the logits of an image and of its mirror image."""

import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from lcfcn.networks.trunk import CELL


class FlipTest(nn.Module):
    """Wrap a network: return the mean of its logits for an image and for the mirror image. It takes twice the time.

    Parameters
    ----------
    network : nn.Module
        It maps images (N, 3, H, W) to logits (N, C, H, W).

    Examples
    --------
    >>> import torch
    >>> from lcfcn.networks.flip_test import FlipTest
    >>> network = FlipTest(torch.nn.Conv2d(3, 1, 3, padding=1))
    >>> images = torch.rand(1, 3, 32, 64)
    >>> torch.testing.assert_close(network(images.flip(-1)), network(images).flip(-1))
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (N, C, H, W) of images (N, 3, H, W)."""
        width = images.shape[-1]
        # Pad to whole cells. Otherwise the cells of a mirrored tile would not be those of the mirrored image.
        filled = F.pad(images, (0, -width % CELL))
        mirrored = self.network(filled.flip(-1)).flip(-1)[..., :width]
        return (self.network(images) + mirrored) / 2
