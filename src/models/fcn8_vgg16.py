"""FCN8s on VGG16 (Long et al., "Fully Convolutional Networks for Semantic Segmentation", CVPR 2015)."""

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

STAGES = ((2, 64), (2, 128), (3, 256), (3, 512), (3, 512))
"""Convolutions and channels of VGG16's five stages."""


class FCN8VGG16(nn.Module):
    """FCN8s with the parameter names of published checkpoints.

    Parameters
    ----------
    n_outputs : int
        Channels of the logits.
    fc_channels : int
        Channels of fc6 and fc7; published checkpoints have 4096.
    """

    def __init__(self, n_outputs: int, fc_channels: int = 4096) -> None:
        super().__init__()
        channels = 3
        for stage, (depth, width) in enumerate(STAGES, start=1):
            for conv in range(1, depth + 1):
                # The wide border keeps the unpadded fc6 inside its map, however small the image.
                padding = 100 if (stage, conv) == (1, 1) else 1
                setattr(self, f"conv{stage}_{conv}", nn.Conv2d(channels, width, 3, padding=padding))
                channels = width
        self.fc6 = nn.Conv2d(512, fc_channels, 7)
        self.fc7 = nn.Conv2d(fc_channels, fc_channels, 1)
        self.dropout = nn.Dropout2d(0.5)
        self.scoring_layer = _zeros(nn.Conv2d(fc_channels, n_outputs, 1))
        self.score_pool3 = _zeros(nn.Conv2d(256, n_outputs, 1))
        self.score_pool4 = _zeros(nn.Conv2d(512, n_outputs, 1))
        self.upscore2 = _bilinear(nn.ConvTranspose2d(n_outputs, n_outputs, 4, stride=2, bias=False))
        self.upscore_pool4 = _bilinear(nn.ConvTranspose2d(n_outputs, n_outputs, 4, stride=2, bias=False))
        self.upscore8 = _bilinear(nn.ConvTranspose2d(n_outputs, n_outputs, 16, stride=8, bias=False))

    def forward(self, images: Tensor) -> Tensor:
        """(N, 3, H, W) images to (N, C, H, W) logits."""
        pools = []
        x = images
        for stage, (depth, _) in enumerate(STAGES, start=1):
            for conv in range(1, depth + 1):
                x = F.relu(getattr(self, f"conv{stage}_{conv}")(x), inplace=True)
            x = F.max_pool2d(x, 2, ceil_mode=True)  # (N, width, about (H + 198) / 2^stage, ...)
            pools.append(x)
        x = self.dropout(F.relu(self.fc6(x), inplace=True))
        x = self.dropout(F.relu(self.fc7(x), inplace=True))
        x = self.upscore2(self.scoring_layer(x))
        x = self.upscore_pool4(x + _crop(self.score_pool4(pools[3]), 5, x))
        x = self.upscore8(x + _crop(self.score_pool3(pools[2]), 9, x))
        return _crop(x, 31, images).contiguous()


def vgg16_names(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Rename torchvision's VGG16: its 13 convolutions, and where they are there fc6 and fc7 as convolutions."""
    ours = [f"conv{stage}_{conv}" for stage, (depth, _) in enumerate(STAGES, start=1) for conv in range(1, depth + 1)]
    theirs = sorted({int(name.split(".")[1]) for name in state if name.startswith("features.")})
    renamed = {
        f"{our}.{kind}": state[f"features.{their}.{kind}"]
        for our, their in zip(ours, theirs, strict=False)
        for kind in ("weight", "bias")
        if f"features.{their}.{kind}" in state
    }
    for our, their, shape in (("fc6", "classifier.0", (4096, 512, 7, 7)), ("fc7", "classifier.3", (4096, 4096, 1, 1))):
        if f"{their}.weight" in state:
            renamed[f"{our}.weight"] = state[f"{their}.weight"].reshape(shape)  # (4096, n) to (4096, channels, k, k)
            renamed[f"{our}.bias"] = state[f"{their}.bias"]
    return renamed


def _crop(x: Tensor, offset: int, like: Tensor) -> Tensor:
    height, width = like.shape[-2:]
    return x[..., offset : offset + height, offset : offset + width]


def _zeros(conv: nn.Conv2d) -> nn.Conv2d:
    nn.init.zeros_(conv.weight)
    nn.init.zeros_(conv.bias)
    return conv


def _bilinear(conv: nn.ConvTranspose2d) -> nn.ConvTranspose2d:
    """Make a transposed convolution enlarge each channel by itself, bilinearly."""
    size = conv.kernel_size[0]
    factor = (size + 1) // 2
    centre = factor - 1 if size % 2 else factor - 0.5
    ramp = 1 - (torch.arange(size) - centre).abs() / factor
    with torch.no_grad():
        conv.weight.zero_()
        for channel in range(conv.in_channels):
            conv.weight[channel, channel] = ramp[:, None] * ramp[None, :]
    return conv
