"""Probabilities of an image of any size: at once where it fits, else by overlapping tiles."""

from collections.abc import Callable, Iterator
from typing import NamedTuple, Protocol

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor
from tqdm import tqdm

from lcfcn.counting.device import Device
from lcfcn.counting.pixels import as_tensor
from lcfcn.counting.settings import CountingSettings
from lcfcn.counting.trained_network import TrainedNetwork, not_finite, to_probs
from lcfcn.networks.fcn8 import FCN8
from lcfcn.networks.trunk import CELL

BAND_PIXELS = 2**22
"""How many pixels of the probabilities are in memory at once (one row at least)."""


class MapNetwork(Protocol):
    """What counting needs of a network, whether torch or ONNX runs it."""

    settings: CountingSettings

    def probs_of_pixels(self, pixels: np.ndarray, names: list[str]) -> np.ndarray:
        """Turn (N, H, W, 3) uint8 images into (N, C, H, W) float32 probabilities."""


class Span(NamedTuple):
    """One side of a tile: the core that the tile answers for, and the window that the network gets."""

    start: int
    stop: int
    window_start: int
    window_stop: int


def probability_bands(
    trained: MapNetwork, image: np.ndarray, name: str, tile: int, check: Callable[[], None]
) -> Iterator[np.ndarray]:
    """Yield the probabilities of an image in bands from top to bottom.

    Parameters
    ----------
    trained : TrainedNetwork or OnnxNetwork
    image : (H, W, 3) uint8 ndarray
    name : str
        For messages.
    tile : int
        The network gets at most tile x tile pixels at once.
    check : callable
        Is called after each tile. What it raises ends the work.

    Yields
    ------
    probs : (C, h, W) float32 ndarray
        The next h rows.

    Raises
    ------
    UserError
        If a probability is not finite.

    Notes
    -----
    Each tile's window reaches beyond its core by as much as the network sees (`reach`). So the core gets the same
    values as in the whole image, up to rounding. A network that sees further than a third of the tile gets a margin of
    a third; its probabilities near the borders of cores then differ a little.

    FCN8's decoder enlarges its maps from corner to corner (`align_corners`). Each place then depends on the size of
    the whole image, and no margin can correct that. So the trunk of an FCN8 runs by tiles, and its score maps (one
    channel an output, at most a 16th of the pixels) are enlarged as those of the whole image. An FCN8 from an ONNX file
    cannot be taken apart and runs at once.
    """
    is_torch = isinstance(trained, TrainedNetwork)
    if fits(image.shape, tile) or (not is_torch and trained.settings.base.startswith("fcn8")):
        yield trained.probs_of_pixels(image[None], [name])[0]
    elif is_torch and isinstance(trained.network, FCN8):
        yield from _fcn8_bands(trained, image, name, tile, check)
    else:
        yield from _plain_bands(trained, image, name, tile, check)


def fits(shape: tuple[int, ...], tile: int) -> bool:
    """Whether the network may get a whole image of that shape (H, W, ...) at once."""
    return shape[0] * shape[1] <= tile**2


def spans(length: int, tile: int, halo: int) -> list[Span]:
    """Cut a side into cores of whole cells, each in a window of at most `tile` with `halo` more at both ends.

    Each tile begins at a cell of the whole image, so that both have the same cells.
    """
    if length <= tile:
        return [Span(0, length, 0, length)]
    step = tile - 2 * halo
    starts = range(0, length, step)
    stops = [min(start + step, length) for start in starts]
    return [Span(a, b, max(a - halo, 0), min(b + halo, length)) for a, b in zip(starts, stops, strict=True)]


def reach(read: Callable[[Tensor], dict[int, Tensor]], device: torch.device) -> int:
    """Measure how many pixels far a network sees, in whole cells: how far NaN spreads from one cell.

    `read` takes (1, 3, H, W) images and returns maps by their stride.
    """
    images = torch.zeros((1, 3, CELL, 128 * CELL), device=device)
    start = 64 * CELL
    images[..., start : start + CELL] = torch.nan
    far = 0
    for stride, scores in read(images).items():
        touched = scores.isnan().any(dim=1).any(dim=1)[0].nonzero()[:, 0].cpu() * stride
        far = max(far, start - int(touched[0]), int(touched[-1]) + stride - start - CELL)
    return -(-far // CELL) * CELL


def _windows(
    shape: tuple[int, ...], tile: int, read: Callable[[Tensor], dict[int, Tensor]], device: torch.device
) -> list[list[tuple[Span, Span]]]:
    """Return the tiles, row by row, each as its rows and its columns."""
    tile = tile // CELL * CELL
    with torch.no_grad():
        halo = min(reach(read, device), tile // 3 // CELL * CELL)
    height, width = shape[:2]
    return [[(rows, cols) for cols in spans(width, tile, halo)] for rows in spans(height, tile, halo)]


def _window(image: np.ndarray, rows: Span, cols: Span) -> np.ndarray:
    """Cut a tile's window out of an image, (1, h, w, 3)."""
    return image[None, rows.window_start : rows.window_stop, cols.window_start : cols.window_stop]


def _core(maps: Tensor | np.ndarray, rows: Span, cols: Span, stride: int) -> Tensor | np.ndarray:
    """Cut the core out of a window's maps (..., h, w)."""
    top, left = (span.start - span.window_start for span in (rows, cols))
    height, width = (-(-(span.stop - span.start) // stride) for span in (rows, cols))
    return maps[..., top // stride : top // stride + height, left // stride : left // stride + width]


def _plain_bands(
    trained: MapNetwork, image: np.ndarray, name: str, tile: int, check: Callable[[], None]
) -> Iterator[np.ndarray]:
    device = trained.device.device if isinstance(trained, TrainedNetwork) else torch.device("cpu")
    windows = _windows(image.shape, tile, lambda images: {1: trained.network(images)}, device)
    with tqdm(total=sum(map(len, windows)), desc="tiles", leave=False, disable=None) as bar:
        for tile_row in windows:
            cores = []
            for rows, cols in tile_row:
                probs = trained.probs_of_pixels(_window(image, rows, cols), [name])[0]
                cores.append(_core(probs, rows, cols, 1))
                bar.update()
                check()
            band = np.concatenate(cores, axis=-1)
            for top, bottom in _bands(*band.shape[-2:]):
                yield band[:, top:bottom]


def _fcn8_bands(
    trained: TrainedNetwork, image: np.ndarray, name: str, tile: int, check: Callable[[], None]
) -> Iterator[np.ndarray]:
    height, width = image.shape[:2]
    logits = trained.network.merge(_score_maps(trained, image, tile, check))
    if not logits.isfinite().all():
        raise not_finite("output", name)
    for top, bottom in _bands(height, width):
        band = _enlarged_rows(logits, top, bottom, (height, width))
        yield to_probs(band)[0].numpy()


def _bands(height: int, width: int) -> list[tuple[int, int]]:
    step = max(BAND_PIXELS // width, 1)
    return [(top, min(top + step, height)) for top in range(0, height, step)]


@torch.no_grad()
def _score_maps(trained: TrainedNetwork, image: np.ndarray, tile: int, check: Callable[[], None]) -> dict[int, Tensor]:
    """Return FCN8's score maps (1, C, ceil(H / stride), ceil(W / stride)) of the whole image by stride, on the host."""
    device: Device = trained.device
    windows = [window for row in _windows(image.shape, tile, trained.network.scores, device.device) for window in row]
    maps: dict[int, Tensor] = {}
    for rows, cols in tqdm(windows, desc="tiles", leave=False, disable=None):
        images = as_tensor(_window(image, rows, cols), trained.settings.transform)
        with device.autocast():
            scores = trained.network.scores(device.move_images(images))
        for stride, score in scores.items():
            if stride not in maps:
                size = [-(-side // stride) for side in image.shape[:2]]
                maps[stride] = torch.zeros((1, score.shape[1], *size))
            core = _core(score, rows, cols, stride).float().cpu()
            top, left = rows.start // stride, cols.start // stride
            maps[stride][..., top : top + core.shape[-2], left : left + core.shape[-1]] = core
        check()
    return maps


def _enlarged_rows(maps: Tensor, top: int, bottom: int, size: tuple[int, int]) -> Tensor:
    """Return some rows of what bilinear interpolation from corner to corner makes of (N, C, h, w) maps at that size."""
    last = maps.shape[-2] - 1
    # torch computes this in float32: the same type here rounds alike.
    place = torch.arange(top, bottom, dtype=torch.float32) * torch.tensor(last / max(size[0] - 1, 1))
    upper = place.long().clamp(max=last)
    share = (place - upper)[:, None]
    rows = maps[..., upper, :] * (1 - share) + maps[..., (upper + 1).clamp(max=last), :] * share
    return F.interpolate(rows, size=(bottom - top, size[1]), mode="bilinear", align_corners=True)
