"""Networks whose answers are plain from the pixels, and images for them."""

from dataclasses import replace

import numpy as np
import torch
from PIL import Image
from torch import nn

from exp_configs import EXP_GROUPS
from lcfcn.counting.counter import Counter
from lcfcn.counting.device import Device
from lcfcn.counting.pixels import as_tensor
from lcfcn.counting.settings import CountingSettings
from lcfcn.counting.trained_network import TrainedNetwork
from lcfcn.counting.weight_files import default_names
from lcfcn.networks.registry import build_network

DEMO = EXP_GROUPS["demo"][0]
CPU = Device("cpu")
RED, GREEN, BLUE = (255, 0, 0), (0, 255, 0), (0, 0, 255)
SURE = 1 / (1 + np.exp(-10))
"""The probability of `Reds` on a red pixel."""


class Reds(nn.Module):
    """Red pixels are of class 1, and with two classes the green ones of class 2."""

    def __init__(self, n_classes=1):
        super().__init__()
        self.n_classes = n_classes

    def forward(self, images):
        objects = 20 * (images[:, : self.n_classes] - 0.5)
        return objects if self.n_classes == 1 else torch.cat([torch.zeros_like(objects[:, :1]), objects], dim=1)


class Blurred(nn.Module):
    """How much brighter each pixel is than the mean of 65 x 65 pixels around it, in channel k for class k.

    So it sees 32 pixels far.
    """

    def __init__(self, n_classes=1):
        super().__init__()
        self.n_classes = n_classes

    def forward(self, images):
        seen = nn.functional.avg_pool2d(images, (1, 65), stride=1, padding=(0, 32), count_include_pad=False)
        seen = nn.functional.avg_pool2d(seen, (65, 1), stride=1, padding=(32, 0), count_include_pad=False)
        objects = 20 * ((images - seen)[:, : self.n_classes] - 0.1)
        return objects if self.n_classes == 1 else torch.cat([torch.zeros_like(objects[:, :1]), objects], dim=1)


def trained_of(network=None, n_classes=1, **settings):
    """A network that counts: the demo's with random weights, or the given one, which sees the pixels as they are."""
    model = DEMO["model"]
    fixed = {"base": model["base"], "output_stride": model["output_stride"]}
    fixed["transform"] = "rgb_normalize" if network is None else "none"
    settings = CountingSettings(n_classes=n_classes, **{**fixed, **settings})
    if network is None:
        torch.manual_seed(0)
        network = alive(build_network(settings.base, n_classes, output_stride=settings.output_stride))
    return TrainedNetwork(network.eval(), settings, CPU)


def with_settings(trained, **settings):
    return TrainedNetwork(trained.network, replace(trained.settings, **settings), trained.device)


def reds(n_classes=1, class_names=None, **options):
    """A counter of red squares, and with two classes of green ones."""
    return Counter(trained_of(Reds(n_classes), n_classes), class_names or default_names(n_classes), **options)


def save_checkpoint(path, network=None, n_classes=1, transform="rgb_normalize", **entries):
    """A checkpoint as trainval.py writes it, of the demo's network with random weights, and that network."""
    exp_dict = {**DEMO, "dataset": {**DEMO["dataset"], "transform": transform}}
    exp_dict["model"] = {**DEMO["model"], "n_classes": n_classes, "pretrained": "/no/such/file.pth"}
    network = network or trained_of(n_classes=n_classes).network
    torch.save({"model": network.state_dict(), "exp_dict": exp_dict, **entries}, path)
    return network


def pyramid(n_classes=1, **settings):
    """A pyramid with random weights whose output differs from place to place."""
    settings = CountingSettings("fpn_mobilenet_v2", n_classes, output_stride=8, **settings)
    torch.manual_seed(0)
    network = build_network(settings.base, n_classes, output_stride=8)
    torch.nn.init.normal_(network.score.weight, std=200)
    network.eval()
    with torch.no_grad():
        seen = network(as_tensor(picture(256, 256)[None], settings.transform))
    network.score.bias.data -= seen.mean(dim=(0, 2, 3))
    return TrainedNetwork(network, settings, CPU)


def alive(network):
    """Random weights whose output is large enough to differ from place to place, and half of it above 0."""
    generator = torch.Generator().manual_seed(3)
    for name, module in network.named_modules():
        if name.startswith("score_"):
            module.weight.data.copy_(torch.randn(module.weight.shape, generator=generator) * 20)
        if isinstance(module, nn.BatchNorm2d):
            module.weight.data.mul_(1.5)
    network.eval()
    with torch.no_grad():
        images = torch.from_numpy(picture(256, 256)).permute(2, 0, 1)[None] / 255
        network.score_8s.bias -= network(images).mean(dim=(0, 2, 3))
    return network


def picture(height, width, seed=0):
    """Noise of several sizes."""
    generator = torch.Generator().manual_seed(seed)
    total = torch.zeros((1, 3, height, width))
    for size in (4, 16, 64):
        shape = (1, 3, height // size + 2, width // size + 2)
        total += nn.functional.interpolate(torch.rand(shape, generator=generator), (height, width), mode="bilinear")
    return (total[0] / 3 * 255).byte().permute(1, 2, 0).numpy()


def squares(middles=(), size=(40, 60), colour=RED):
    """A black image with squares of 3 x 3 pixels whose middles are (row, col)."""
    image = np.zeros((*size, 3), dtype=np.uint8)
    for row, col in middles:
        image[row - 1 : row + 2, col - 1 : col + 2] = colour
    return image


def draw(path, middles=(), size=(40, 60), colour=RED):
    """`squares` as a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(squares(middles, size, colour)).save(path)
    return path
