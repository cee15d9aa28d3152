"""Resize and normalise images as the network needs them."""

import numpy as np
import torch
from torch import Tensor
from torchvision import tv_tensors
from torchvision.transforms import v2

from lcfcn.counting.settings import TRANSFORMS


def scaled_size(image: Tensor, factor: float) -> list[int]:
    """Return height and width of an image (..., H, W) at so many times its size."""
    return [max(round(side * factor), 1) for side in image.shape[-2:]]


def resized(size: list[int], *tensors: Tensor) -> tuple[Tensor, ...]:
    """Bring an image, and the region that belongs to it, to that height and width."""
    resize = v2.Resize(size, antialias=True)
    return tuple(resize(tensor) for tensor in tensors)


def zoomed(image: np.ndarray, zoom: float) -> np.ndarray:
    """Return an (H, W, 3) uint8 image at so many times its size."""
    if zoom == 1:
        return image
    tensor = tv_tensors.Image(torch.from_numpy(np.require(image, requirements="W")).permute(2, 0, 1))
    (result,) = resized(scaled_size(tensor, zoom), tensor)
    return result.permute(1, 2, 0).contiguous().numpy()


def zoom_factors(zoomed_size: tuple[int, ...], size: tuple[int, ...]) -> np.ndarray:
    """Return by how much rows and columns were enlarged, (2,). Rounded sizes make it differ a little from the zoom.

    Points divided by it lie inside the image, also at its borders.
    """
    return np.divide(zoomed_size[:2], size[:2])


def normalize(image: Tensor, transform: str) -> Tensor:
    """Turn (..., 3, H, W) float RGB in [0, 1] into what the network gets."""
    mean, std = TRANSFORMS[transform]
    return v2.functional.normalize(image.as_subclass(Tensor), list(mean), list(std))


def denormalize(image: Tensor, transform: str) -> np.ndarray:
    """Turn what the network got, (3, H, W), back into an (H, W, 3) uint8 image."""
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in TRANSFORMS[transform])
    return ((image.cpu() * std + mean).clamp(0, 1) * 255).round().byte().permute(1, 2, 0).numpy()


def as_tensor(pixels: np.ndarray, transform: str) -> Tensor:
    """Turn (N, H, W, 3) uint8 images into normalised float32 images (N, 3, H, W)."""
    # A copy where the array is read-only, such as the one of a PIL image: torch would warn of it.
    stacked = torch.from_numpy(np.require(pixels, requirements="W")).permute(0, 3, 1, 2)
    return normalize(v2.functional.to_dtype(stacked, torch.float32, scale=True), transform)
