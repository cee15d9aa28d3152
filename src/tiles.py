"""Probabilities of an image of any size: at once where it fits, else by tiles that overlap."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor
from torchvision.transforms import v2
from tqdm import tqdm

from src.datasets.transforms import normalize
from src.errors import UserError
from src.models import LCFCN
from src.models.fcn8 import FCN8
from src.models.lcfcn import to_probs
from src.models.trunk import CELL

BAND_PIXELS = 2**22
"""How many pixels of the probabilities are held at once, at least a row."""


class Span(NamedTuple):
    """Along one side: the core that a tile answers for, and the window that the network is given."""

    start: int
    stop: int
    window_start: int
    window_stop: int


def probability_bands(
    model: LCFCN, image: np.ndarray, name: str, tile: int, check: Callable[[], None]
) -> Iterator[np.ndarray]:
    """Probabilities of an image in bands from top to bottom.

    Parameters
    ----------
    model : LCFCN
        In eval mode.
    image : (H, W, 3) uint8 ndarray
    name : str
        For messages.
    tile : int
        The network is given at most tile x tile pixels at once.
    check : callable
        Called after each tile; what it raises ends the work.

    Yields
    ------
    probs : (C, h, W) float32 ndarray
        As `LCFCN.predict_probs` gives them, h rows at a time.

    Raises
    ------
    UserError
        If a probability is not finite.

    Notes
    -----
    Each tile's window reaches beyond its core by as much as the network sees (`reach`), so that the core is what the
    whole image would have given, up to rounding. FCN8's decoder enlarges its maps from corner to corner
    (`align_corners`): each place depends on the size of the whole image, and no margin mends that. So with FCN8 the
    trunk runs by tiles, and its score maps, one channel an output and at most a 16th of the pixels, are enlarged as
    those of the whole image. A network that sees further than a third of the tile gets a margin of a third: its
    probabilities near the borders of cores then differ a little.
    """
    if fits(image.shape, tile):
        yield model.predict_probs(as_batch([image], [name], model.transform))[0]
    elif isinstance(model.network, FCN8):
        yield from _fcn8_bands(model, image, name, tile, check)
    else:
        yield from _plain_bands(model, image, name, tile, check)


def fits(shape: tuple[int, ...], tile: int) -> bool:
    """Whether the network may be given a whole image of that shape (H, W, ...) at once."""
    return shape[0] * shape[1] <= tile**2


def as_batch(images: list[np.ndarray], names: list[str], transform: str) -> dict:
    """What `LCFCN.predict_probs` takes: (H, W, 3) uint8 images of one size, and their names for its messages."""
    stacked = torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2)  # (N, 3, H, W)
    tensors = normalize(v2.functional.to_dtype(stacked, torch.float32, scale=True), transform)
    return {"images": tensors, "meta": [{"name": name, "path": name} for name in names]}


def spans(length: int, tile: int, halo: int) -> list[Span]:
    """Cut a side into cores of whole cells, each in a window of at most `tile` that holds `halo` more at both ends.

    A tile that begins at a cell of the whole image has the same cells.
    """
    if length <= tile:
        return [Span(0, length, 0, length)]
    step = tile - 2 * halo
    starts = range(0, length, step)
    stops = [min(start + step, length) for start in starts]
    return [Span(a, b, max(a - halo, 0), min(b + halo, length)) for a, b in zip(starts, stops, strict=True)]


def reach(read: Callable[[Tensor], dict[int, Tensor]], device: torch.device) -> int:
    """How many pixels far a network sees, in whole cells: how far NaN spreads from one of them.

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


def _windows(model: LCFCN, image: np.ndarray, tile: int, read: Callable) -> list[list[tuple[Span, Span]]]:
    """Rows of (rows, columns) of each tile."""
    tile = tile // CELL * CELL
    with torch.no_grad():
        halo = min(reach(read, model.runtime.device), tile // 3 // CELL * CELL)
    height, width = image.shape[:2]
    return [[(rows, cols) for cols in spans(width, tile, halo)] for rows in spans(height, tile, halo)]


def _window_batch(model: LCFCN, image: np.ndarray, name: str, rows: Span, cols: Span) -> dict:
    window = image[rows.window_start : rows.window_stop, cols.window_start : cols.window_stop]
    return as_batch([window], [name], model.transform)


def _core(maps: Tensor | np.ndarray, rows: Span, cols: Span, stride: int) -> Tensor | np.ndarray:
    """The core's part of a window's maps (..., h, w)."""
    top, left = (span.start - span.window_start for span in (rows, cols))
    height, width = (-(-(span.stop - span.start) // stride) for span in (rows, cols))
    return maps[..., top // stride : top // stride + height, left // stride : left // stride + width]


def _plain_bands(
    model: LCFCN, image: np.ndarray, name: str, tile: int, check: Callable[[], None]
) -> Iterator[np.ndarray]:
    windows = _windows(model, image, tile, lambda images: {1: model.network(images)})
    with tqdm(total=sum(map(len, windows)), desc="tiles", leave=False) as bar:
        for tile_row in windows:
            cores = []
            for rows, cols in tile_row:
                probs = model.predict_probs(_window_batch(model, image, name, rows, cols))[0]
                cores.append(_core(probs, rows, cols, 1))
                bar.update()
                check()
            band = np.concatenate(cores, axis=-1)
            for top, bottom in _bands(*band.shape[-2:]):
                yield band[:, top:bottom]


def _fcn8_bands(
    model: LCFCN, image: np.ndarray, name: str, tile: int, check: Callable[[], None]
) -> Iterator[np.ndarray]:
    height, width = image.shape[:2]
    logits = model.network.merge(_score_maps(model, image, name, tile, check))
    if not logits.isfinite().all():
        raise UserError(f"the output is not finite at image {name}: use --precision 32 or bf16, or look at that image")
    for top, bottom in _bands(height, width):
        band = _enlarged_rows(logits, top, bottom, (height, width))
        yield to_probs(band)[0].numpy()


def _bands(height: int, width: int) -> list[tuple[int, int]]:
    step = max(BAND_PIXELS // width, 1)
    return [(top, min(top + step, height)) for top in range(0, height, step)]


@torch.no_grad()
def _score_maps(model: LCFCN, image: np.ndarray, name: str, tile: int, check: Callable[[], None]) -> dict[int, Tensor]:
    """FCN8's score maps (1, C, ceil(H / stride), ceil(W / stride)) of the whole image by stride, on the host."""
    windows = [window for row in _windows(model, image, tile, model.network.scores) for window in row]
    maps: dict[int, Tensor] = {}
    for rows, cols in tqdm(windows, desc="tiles", leave=False):
        batch = _window_batch(model, image, name, rows, cols)
        with model.runtime.autocast():
            scores = model.network.scores(model.runtime.images(batch))
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
    """Some rows of what bilinear interpolation from corner to corner makes of (N, C, h, w) maps at that size."""
    last = maps.shape[-2] - 1
    # In float32 as torch counts it, so that rounding falls alike.
    place = torch.arange(top, bottom, dtype=torch.float32) * torch.tensor(last / max(size[0] - 1, 1))
    upper = place.long().clamp(max=last)
    share = (place - upper)[:, None]
    rows = maps[..., upper, :] * (1 - share) + maps[..., (upper + 1).clamp(max=last), :] * share
    return F.interpolate(rows, size=(bottom - top, size[1]), mode="bilinear", align_corners=True)
