"""Check what the losses are given: types, shapes, classes, devices and finite numbers."""

import numpy as np
import torch
from torch import Tensor


class NonFiniteError(ValueError):
    """The network's output holds NaN or infinity.

    Attributes
    ----------
    index : int
        Place of the first such image in the batch.

    Examples
    --------
    >>> import torch, lcfcn
    >>> logits = torch.tensor([[[[0.0, 1.0]]], [[[0.0, torch.nan]]]])
    >>> points = torch.zeros(2, 1, 2, dtype=torch.int64)
    >>> try:
    ...     lcfcn.compute_lcfcn_loss(logits, points)
    ... except lcfcn.NonFiniteError as error:
    ...     print("skip image", error.index)
    skip image 1
    """

    def __init__(self, name: str, index: int) -> None:
        super().__init__(
            f"{name} of image {index} of the batch hold NaN or infinity; expected finite numbers: "
            "lower the learning rate, or look for broken values in that image"
        )
        self.index = index


def to_batch(
    name: str, output: Tensor, points: Tensor, roi_mask: Tensor | None
) -> tuple[Tensor, np.ndarray, np.ndarray, Tensor]:
    """Check the inputs of a loss, add a missing batch dimension, and copy to the host what is needed there.

    Parameters
    ----------
    name : str
        The name of `output` in error messages.
    output : (N, C, H, W) or (C, H, W) float tensor
        Logits or probabilities.
    points : (N, H, W) tensor, or (H, W) for one image
        0 or a class.
    roi_mask : tensor shaped as `points`, optional
        The region of interest. By default it is the whole image.

    Returns
    -------
    batch : (N, C, H, W) tensor
        The output on its own device, with its gradient.
    host_points : (N, H, W) ndarray
    host_roi : (N, H, W) bool ndarray
    host : (N, C, H, W) float32 or float64 tensor
        The output on the host, without gradient.

    Raises
    ------
    TypeError
        If an argument is not a tensor.
    ValueError
        If shapes, classes or devices do not fit.
    NonFiniteError
        If the output holds NaN or infinity.
    """
    masks = {"points": points} if roi_mask is None else {"points": points, "roi_mask": roi_mask}
    for key, value in {name: output, **masks}.items():
        if not isinstance(value, Tensor):
            raise TypeError(f"{key} is a {type(value).__name__}; expected a tensor: pass torch.as_tensor({key})")
    if output.ndim not in (3, 4) or not output.is_floating_point() or 0 in output.shape:
        raise ValueError(
            f"{name} have shape {tuple(output.shape)} and dtype {output.dtype}; expected a float tensor "
            "(N, C, H, W), or (C, H, W) for one image, with no empty side"
        )
    batch = output if output.ndim == 4 else output[None]
    for mask_name, mask in masks.items():
        _check_mask(mask_name, mask, output, (len(batch), *batch.shape[-2:]))
    host, host_points, *host_roi = _to_host(batch.detach(), list(masks.values()))
    if not host.sum().isfinite():  # the sum of finite numbers may overflow, so look again
        finite = host.isfinite().flatten(1).all(1)
        if not finite.all():
            raise NonFiniteError(name, int((~finite).nonzero()[0, 0]))
    _check_classes(host_points, name, batch.shape[1])
    shape = (len(batch), *batch.shape[-2:])
    inside = host_roi[0].reshape(shape).numpy() != 0 if host_roi else np.ones(shape, dtype=bool)
    host = host if host.dtype == torch.float64 else host.float()
    return batch, host_points.reshape(shape).numpy(), inside, host


def _check_mask(name: str, mask: Tensor, output: Tensor, expected: tuple[int, int, int]) -> None:
    if mask.device.type != "cpu" and mask.device != output.device:
        raise ValueError(
            f"{name} lie on {mask.device} and the network's output on {output.device}; "
            "expected the same device, or the CPU: move one of them"
        )
    one_image = output.ndim == 3
    if tuple(mask.shape) != expected and not (one_image and tuple(mask.shape) == expected[1:]):
        wanted = f"{expected[1:]}, or {expected}" if one_image else f"{expected}"
        raise ValueError(
            f"{name} has shape {tuple(mask.shape)} and the network's output {tuple(output.shape)}; expected {wanted}: "
            "one value a pixel, without a channel dimension"
        )


def _check_classes(points: Tensor, name: str, n_channels: int) -> None:
    n_classes = max(n_channels - 1, 1)
    least, greatest = (value.item() for value in points.aminmax())
    if points.is_floating_point() and not (points == points.round()).all():
        raise ValueError("points hold fractions; expected whole numbers, 0 or a class: pass clicks, not a density map")
    if not 0 <= least <= greatest <= n_classes:
        raise ValueError(
            f"points hold the values {least} to {greatest}; expected 0 for nothing and 1 to {n_classes} "
            f"for the class clicked, since {name} have {n_channels} channel{'s' * (n_channels > 1)}"
        )


def _to_host(batch: Tensor, masks: list[Tensor]) -> list[Tensor]:
    """Return the output and the masks on the host. Whatever lies on another device comes in one copy."""
    away = [mask for mask in masks if mask.device.type != "cpu"]
    # Half precision holds all whole numbers up to 256. With more classes everything is copied as float32.
    dtype = batch.dtype if batch.shape[1] <= 256 else torch.float32
    parts = [batch.reshape(-1), *(mask.detach().reshape(-1).to(dtype) for mask in away)]
    copied = iter((torch.cat(parts) if away else batch.reshape(-1)).cpu().split([len(part) for part in parts]))
    host = next(copied).reshape(batch.shape)
    return [host, *(mask.detach() if mask.device.type == "cpu" else next(copied) for mask in masks)]
