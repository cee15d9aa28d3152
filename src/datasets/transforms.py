"""Augmentation, jointly on image, clicks and region."""

import torch
from torch import Tensor
from torchvision import tv_tensors
from torchvision.transforms import v2

from lcfcn.counting.pixels import resized, scaled_size

AUGMENTATIONS = ("scale", "crop", "hflip", "vflip", "jitter")
"""What `augment_jointly` knows, in the order in which it is done."""


def augment_jointly(
    augment: dict, image: tv_tensors.Image, keypoints: tv_tensors.KeyPoints, roi: tv_tensors.Mask
) -> tuple[tv_tensors.Image, tv_tensors.KeyPoints, tv_tensors.Mask]:
    """Apply torchvision's transforms in the order of `AUGMENTATIONS`, drawing from torch's generator.

    Parameters
    ----------
    augment : dict
        `scale` [low, high], the range of a factor; `crop`, a side in pixels; `hflip` and `vflip`, bool; `jitter`,
        0 to 1, of brightness, contrast and saturation, and a sixth of it of the hue.
    image : (3, H, W) uint8
    keypoints : (n, 2) float
        x and y of the centres of pixels, (0, 0) the top-left corner of the first pixel.
    roi : (H, W) bool

    Returns
    -------
    image, keypoints, roi
        Clicks are in the centres of pixels again; those that a crop leaves outside stay in the list, outside.
    """
    factor = 1.0
    if "scale" in augment:
        low, high = augment["scale"]
        factor = low + (high - low) * torch.rand(()).item()
    size = scaled_size(image, factor)
    if "crop" in augment:
        # An image smaller than the crop stays whole: a batch pads it, outside the region.
        size = [min(augment["crop"], side) for side in size]
        # Cut out before it is resized, which costs far more than the rest for a small part of a large image.
        window = [min(max(round(side / factor), 1), whole) for side, whole in zip(size, image.shape[-2:], strict=True)]
        image, keypoints, roi = v2.RandomCrop(window)(image, keypoints, roi)
    image, keypoints, roi = resized(size, image, keypoints, roi)
    # Back to the centre of a pixel: on the border of two, a flip would carry a click to the other one.
    keypoints = tv_tensors.wrap(keypoints.floor() + 0.5, like=keypoints)
    _keep_inside(keypoints, roi)
    steps: list[v2.Transform] = [v2.Identity()]
    if augment.get("hflip"):
        steps.append(v2.RandomHorizontalFlip())
    if augment.get("vflip"):
        steps.append(v2.RandomVerticalFlip())
    if augment.get("jitter"):
        strength = augment["jitter"]
        steps.append(v2.ColorJitter(strength, strength, strength, hue=min(strength / 6, 0.5)))
    # torchvision resizes points as if (0, 0) were the corner of the first pixel, and flips them as if its centre.
    centred = tv_tensors.wrap(keypoints - 0.5, like=keypoints)
    image, centred, roi = v2.Compose(steps)(image, centred, roi)
    return image, tv_tensors.wrap(centred + 0.5, like=centred), roi


def _keep_inside(keypoints: Tensor, roi: Tensor) -> None:
    """Let the pixels of clicks be inside: a click on the border of a resized region may have lost its pixel."""
    cols, rows = keypoints.floor().long().unbind(1)
    here = (rows >= 0) & (rows < roi.shape[0]) & (cols >= 0) & (cols < roi.shape[1])
    roi[rows[here], cols[here]] = True
