"""Fold batch norm into the convolutions before it, for a network that only predicts."""

import copy

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

TOLERANCE = 1e-3
"""How much a logit may change by rounding, relative to the largest one."""
EXAMPLE = (1, 3, 64, 96)
"""Shape of the image that shows whether the folded network still gives the same logits."""


def fold_batch_norm(network: nn.Module) -> nn.Module:
    """Return a copy of a network in which convolutions do the work of the batch norm behind them.

    A batch norm that no longer learns multiplies each channel and adds to it, which its convolution can do at no cost.
    Where this changes the logits by more than rounding, as it would if the two layers do not follow each other, the
    network itself is returned.

    Parameters
    ----------
    network : nn.Module
        (N, 3, H, W) images to (N, C, H, W) logits, in eval mode.

    Returns
    -------
    folded : nn.Module
        In eval mode. It cannot be trained on.
    """
    if not any(isinstance(module, nn.BatchNorm2d) for module in network.modules()):
        return network
    folded = copy.deepcopy(network).eval()
    for module in list(folded.modules()):
        _fold_children(module)
    parameter = next(network.parameters())
    images = torch.linspace(-2, 2, torch.Size(EXAMPLE).numel()).reshape(EXAMPLE).to(parameter)
    with torch.no_grad():
        before, after = network(images), folded(images)
    is_same = (before - after).abs().max() <= TOLERANCE * before.abs().max()
    return folded if is_same else network


def _fold_children(module: nn.Module) -> None:
    """Fold each batch norm among a module's children into the convolution right before it."""
    names = list(module._modules)
    for name, following in zip(names, names[1:], strict=False):
        conv, norm = module._modules[name], module._modules[following]
        if isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
            setattr(module, name, fuse_conv_bn_eval(conv, norm))
            setattr(module, following, nn.Identity())
