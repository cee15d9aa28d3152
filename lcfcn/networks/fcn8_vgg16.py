"""FCN8s on VGG16, the network of the authors' code, with the layer names of published checkpoints.

References
----------
Long, Shelhamer and Darrell, "Fully Convolutional Networks for Semantic Segmentation", CVPR 2015.
"""

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

STAGES = ((2, 64), (2, 128), (3, 256), (3, 512), (3, 512))
"""Number of convolutions and of channels in each of VGG16's five stages."""


class FCN8VGG16(nn.Module):
    """FCN8s on VGG16: three score maps (strides 8, 16, 32), enlarged by learned bilinear filters and added up.

    Parameters
    ----------
    n_outputs : int
        Channels of the logits.
    fc_channels : int
        Channels of fc6 and fc7. Published checkpoints have 4096.
    """

    def __init__(self, n_outputs: int, fc_channels: int = 4096) -> None:
        super().__init__()
        channels = 3
        for stage, (depth, width) in enumerate(STAGES, start=1):
            for conv in range(1, depth + 1):
                # fc6 is a 7x7 convolution without padding. The wide border leaves it enough pixels in any image.
                padding = 100 if (stage, conv) == (1, 1) else 1
                setattr(self, f"conv{stage}_{conv}", nn.Conv2d(channels, width, 3, padding=padding))
                channels = width
        self.fc6 = nn.Conv2d(512, fc_channels, 7)
        self.fc7 = nn.Conv2d(fc_channels, fc_channels, 1)
        self.dropout = nn.Dropout(0.5)
        for conv in list(self.children()):
            _keep_scale(conv)
        self.scoring_layer = _zeros(nn.Conv2d(fc_channels, n_outputs, 1))
        self.score_pool3 = _zeros(nn.Conv2d(256, n_outputs, 1))
        self.score_pool4 = _zeros(nn.Conv2d(512, n_outputs, 1))
        self.upscore2 = _bilinear(nn.ConvTranspose2d(n_outputs, n_outputs, 4, stride=2, bias=False))
        self.upscore_pool4 = _bilinear(nn.ConvTranspose2d(n_outputs, n_outputs, 4, stride=2, bias=False))
        self.upscore8 = _bilinear(nn.ConvTranspose2d(n_outputs, n_outputs, 16, stride=8, bias=False))

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (N, C, H, W) of images (N, 3, H, W)."""
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
    """Rename the tensors of torchvision's VGG16: its 13 convolutions, and fc6 and fc7 if the file has them."""
    ours, index = {"classifier.0": "fc6", "classifier.3": "fc7"}, 0
    for stage, (depth, _) in enumerate(STAGES, start=1):
        for conv in range(1, depth + 1):
            ours[f"features.{index}"] = f"conv{stage}_{conv}"
            index += 2  # a ReLU follows each convolution
        index += 1  # a pool follows each stage
    renamed = {}
    for name, value in state.items():
        layer, _, kind = name.rpartition(".")
        if layer in ours:
            renamed[f"{ours[layer]}.{kind}"] = value
    for name, size in (("fc6.weight", 7), ("fc7.weight", 1)):
        weight = renamed.get(name)
        # A weight of another shape stays as it is. The loader names it in its error.
        if weight is not None and weight.ndim == 2 and weight.shape[1] % size**2 == 0:
            renamed[name] = weight.unflatten(1, (-1, size, size))  # (4096, n) to (4096, channels, k, k)
    return renamed


def _crop(x: Tensor, offset: int, like: Tensor) -> Tensor:
    height, width = like.shape[-2:]
    return x[..., offset : offset + height, offset : offset + width]


def _keep_scale(layer: nn.Module) -> None:
    """Initialise a convolution so that it and its ReLU keep the scale of their input (He et al., ICCV 2015)."""
    if isinstance(layer, nn.Conv2d):
        nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
        nn.init.zeros_(layer.bias)


def _zeros(conv: nn.Conv2d) -> nn.Conv2d:
    nn.init.zeros_(conv.weight)
    nn.init.zeros_(conv.bias)
    return conv


def _bilinear(conv: nn.ConvTranspose2d) -> nn.ConvTranspose2d:
    """Initialise a transposed convolution as bilinear enlargement of each channel."""
    size = conv.kernel_size[0]
    factor = (size + 1) // 2
    centre = factor - 1 if size % 2 else factor - 0.5
    ramp = 1 - (torch.arange(size) - centre).abs() / factor
    with torch.no_grad():
        conv.weight.zero_()
        for channel in range(conv.in_channels):
            conv.weight[channel, channel] = ramp[:, None] * ramp[None, :]
    return conv
