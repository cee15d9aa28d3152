"""Check what the losses are given: types, shapes, classes, devices and finite numbers."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

LARGEST = 1e20
"""A network whose output is larger has exploded. Sums of such numbers over an image would overflow in float32."""


class NonFiniteError(ValueError):
    """The network's output holds NaN, infinity, or numbers too large to compute with.

    Attributes
    ----------
    name : str
        What holds them: logits or probs.
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
            f"{name} of image {index} of the batch hold NaN, infinity or numbers beyond {LARGEST:g}; expected finite "
            "numbers: lower the learning rate, or look for broken values in that image"
        )
        self.name = name
        self.index = index

    def __reduce__(self) -> tuple:
        # Otherwise copies, and pickles from other processes, would be made from the message alone.
        return type(self), (self.name, self.index), self.__dict__


BARE_DTYPES = (torch.uint16, torch.uint32, torch.uint64)
"""torch has them, and computes little with them."""


class LossInputs(NamedTuple):
    """What a loss needs, checked.

    Attributes
    ----------
    batch : (N, C, H, W) tensor
        The output on its own device, with its gradient.
    points : (N, H, W) ndarray
        0 or a class.
    inside : (N, H, W) bool ndarray
        The region of interest.
    host : (N, C, H, W) float32 or float64 tensor
        The output on the host, without gradient.
    """

    batch: Tensor
    points: np.ndarray
    inside: np.ndarray
    host: Tensor


def to_batch(name: str, output: Tensor, points: Tensor, roi_mask: Tensor | None) -> LossInputs:
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

    Raises
    ------
    TypeError
        If an argument is not a tensor, or is traced or transformed by torch.jit.trace or torch.func.
    ValueError
        If shapes, classes or devices do not fit.
    NonFiniteError
        If the output holds NaN, infinity or numbers beyond `LARGEST`.
    """
    return start_batch(name, output, points, roi_mask)()


def start_batch(name: str, output: Tensor, points: Tensor, roi_mask: Tensor | None) -> Callable[[], LossInputs]:
    """Begin `to_batch`: start the copy from a GPU, and return a function that waits for it.

    Types, shapes and devices are checked at once. The function checks the values, and may run in another thread.
    """
    masks = {"points": points} if roi_mask is None else {"points": points, "roi_mask": roi_mask}
    for key, value in {name: output, **masks}.items():
        if not isinstance(value, Tensor):
            raise TypeError(f"{key} is a {type(value).__name__}; expected a tensor: pass torch.as_tensor({key})")
        _check_plain(key, value)
    if output.ndim not in (3, 4) or not output.is_floating_point() or 0 in output.shape:
        raise ValueError(
            f"{name} have shape {tuple(output.shape)} and dtype {output.dtype}; expected a float tensor "
            "(N, C, H, W), or (C, H, W) for one image, with no empty side"
        )
    batch = output if output.ndim == 4 else output[None]
    for mask_name, mask in masks.items():
        _check_mask(mask_name, mask, output, (len(batch), *batch.shape[-2:]))
    wait = _start_copy(batch.detach(), list(masks.values()))

    def finish() -> LossInputs:
        host, host_points, *host_roi = wait()
        host = host if host.dtype == torch.float64 else host.float()
        _check_finite(name, host)
        shape = (len(batch), *batch.shape[-2:])
        host_points = _whole(host_points)
        _check_classes(host_points, name, batch.shape[1])
        inside = _inside(host_roi[0]).reshape(shape).numpy() if host_roi else np.ones(shape, dtype=bool)
        return LossInputs(batch, host_points.reshape(shape).numpy(), inside, host)

    return finish


def _check_plain(name: str, value: Tensor) -> None:
    """Raise TypeError for a tensor that only stands for values: the pixels of the loss depend on the values."""
    if torch.jit.is_tracing() or torch._C._functorch.is_functorch_wrapped_tensor(value):
        raise TypeError(
            f"{name}: traced or transformed values; expected a plain tensor, because the loss chooses its pixels by "
            "their values: call it outside torch.jit.trace and torch.func, and take gradients by backward()"
        )


def _check_finite(name: str, host: Tensor) -> None:
    low, high = host.aminmax()
    if not -LARGEST <= low <= high <= LARGEST:  # NaN is in no order
        finite = (host.abs() <= LARGEST).flatten(1).all(1)
        raise NonFiniteError(name, int((~finite).nonzero()[0, 0]))


def _whole(points: Tensor) -> Tensor:
    """Return points in a dtype that torch and numpy can compute with; raise ValueError unless they are whole."""
    if points.is_complex():
        raise ValueError(f"points have dtype {points.dtype}; expected whole numbers, 0 or a class")
    if not points.is_floating_point():
        return points.to(torch.int64) if points.dtype in BARE_DTYPES else points
    if points.isnan().any():
        raise ValueError("points hold NaN; expected whole numbers, 0 or a class: look for broken values in the clicks")
    if not (points == points.round()).all():
        raise ValueError("points hold fractions; expected whole numbers, 0 or a class: pass clicks, not a density map")
    return points.float() if points.dtype == torch.bfloat16 else points


def _inside(roi_mask: Tensor) -> Tensor:
    if roi_mask.is_floating_point() and roi_mask.isnan().any():
        raise ValueError("roi_mask holds NaN; expected True or False: pass roi_mask > 0, or fix it")
    return roi_mask != 0


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
    if not 0 <= least <= greatest <= n_classes:
        raise ValueError(
            f"points hold the values {least} to {greatest}; expected 0 for nothing and 1 to {n_classes} "
            f"for the class clicked, since {name} have {n_channels} channel{'s' * (n_channels > 1)}"
        )


def _start_copy(batch: Tensor, masks: list[Tensor]) -> Callable[[], list[Tensor]]:
    """Start to copy the output and the masks to the host; return a function that waits for them.

    Whatever is on another device comes in one copy.
    """
    away = [mask for mask in masks if mask.device.type != "cpu"]
    # Half precision holds all whole numbers up to 256. With more classes everything is copied as float32.
    dtype = batch.dtype if batch.shape[1] <= 256 else torch.float32
    parts = [batch.reshape(-1), *(mask.detach().reshape(-1).to(dtype) for mask in away)]
    wait = _start_flat_copy(torch.cat(parts) if away else batch.reshape(-1))

    def finish() -> list[Tensor]:
        copied = iter(wait().split([len(part) for part in parts]))
        host = next(copied).reshape(batch.shape)
        return [host, *(mask.detach() if mask.device.type == "cpu" else next(copied) for mask in masks)]

    return finish


def _start_flat_copy(values: Tensor) -> Callable[[], Tensor]:
    """Start to copy a flat tensor to the host; return a function that waits for it."""
    if values.device.type != "cuda":
        return values.cpu
    # On a stream of its own the copy waits for what was asked of the GPU before, and not for what is asked later.
    stream = torch.cuda.Stream(values.device)
    stream.wait_stream(torch.cuda.current_stream(values.device))
    host = torch.empty(values.shape, dtype=values.dtype, pin_memory=True)
    with torch.cuda.stream(stream):
        host.copy_(values, non_blocking=True)
        copied = stream.record_event()
    values.record_stream(stream)

    def finish() -> Tensor:
        copied.synchronize()
        return host

    return finish
