"""Augment an image together with its clicks and its region."""

import torch
from torch import Tensor
from torchvision import tv_tensors
from torchvision.transforms import v2

from lcfcn.counting.pixels import resized, scaled_size

AUGMENTATIONS = ("scale", "crop", "hflip", "vflip", "jitter")
"""The steps of `augment_jointly`, in their order."""


def augment_jointly(
    augment: dict, image: tv_tensors.Image, point_list: Tensor, roi: tv_tensors.Mask
) -> tuple[tv_tensors.Image, Tensor, tv_tensors.Mask]:
    """Apply the steps of `AUGMENTATIONS` in their order, drawing from torch's generator.

    Parameters
    ----------
    augment : dict
        `scale` is [low, high], the range of a random factor. `crop` is the side of a square in pixels. `hflip` and
        `vflip` are bools. `jitter`, from 0 to 1, changes brightness, contrast and saturation, and the hue by a sixth.
    image : (3, H, W) uint8
    point_list : (n, 2) float32
        Row and column of the centres of pixels; (0, 0) is the top-left corner of the first pixel.
    roi : (H, W) bool

    Returns
    -------
    image, point_list, roi
        Clicks are at the centres of pixels again. Clicks outside a crop stay in the list, with places outside.
    """
    factor = 1.0
    if "scale" in augment:
        low, high = augment["scale"]
        factor = low + (high - low) * torch.rand(()).item()
    size = scaled_size(image, factor)
    if "crop" in augment:
        # An image smaller than the crop stays whole. A batch pads it, outside the region.
        size = [min(augment["crop"], side) for side in size]
        # Crop before resizing: to resize the whole of a large image costs far more than all the rest.
        window = [min(max(round(side / factor), 1), whole) for side, whole in zip(size, image.shape[-2:], strict=True)]
        corner = [_draw_offset(whole, side) for whole, side in zip(image.shape[-2:], window, strict=True)]
        image, roi = (v2.functional.crop(tensor, *corner, *window) for tensor in (image, roi))
        point_list = point_list - torch.tensor(corner)
    ratios = [new / old for new, old in zip(size, image.shape[-2:], strict=True)]
    image, roi = resized(size, image, roi)
    # Back to the centre of a pixel. From the border of two pixels, a flip would move a click to the other one.
    point_list = (point_list * torch.tensor(ratios)).floor() + 0.5
    _keep_inside(point_list, roi)
    for axis, name in ((1, "hflip"), (0, "vflip")):
        if augment.get(name) and torch.rand(()) < 0.5:
            image, roi = (tv_tensors.wrap(tensor.flip(axis - 2), like=tensor) for tensor in (image, roi))
            point_list[:, axis] = size[axis] - point_list[:, axis]
    if augment.get("jitter"):
        strength = augment["jitter"]
        image = v2.ColorJitter(strength, strength, strength, hue=min(strength / 6, 0.5))(image)
    return image, point_list, roi


def _draw_offset(whole: int, side: int) -> int:
    """Draw the first row or column of a crop."""
    return int(torch.randint(0, whole - side + 1, ())) if side < whole else 0


def _keep_inside(point_list: Tensor, roi: Tensor) -> None:
    """Put the pixels of clicks into the region, because resizing may take away pixels at its border."""
    rows, cols = point_list.floor().long().unbind(1)
    here = (rows >= 0) & (rows < roi.shape[0]) & (cols >= 0) & (cols < roi.shape[1])
    roi[rows[here], cols[here]] = True
