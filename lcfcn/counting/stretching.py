"""Turn values of any type into 8 bits, so that the network sees them as people would."""

from collections.abc import Iterator

import numpy as np

from lcfcn.counting.raster import Raster, listed

STRETCH = (0.1, 99.9)
"""The percentiles that become black and white where a file has more than 8 bits."""
NODATA = (-9999, -99999, -32767, -32768, 65535)
"""Values that mean "no data" where they fill a border, beside the least and the greatest value of a type."""
NO_OPACITY = "its opacity is 0 everywhere and was ignored"
"""A remark. Programs that do not know of opacity write such images."""
_FEW_LEVELS = 8  # of 255: hardly any contrast
_BAND = 2**24  # pixels that are converted at a time
_SAMPLE = 2**24  # values from which the percentiles are taken


def rendered(raster: Raster, remarks: list[str]) -> np.ndarray:
    """Return an (H, W, 3) uint8 image of a raster, by the rules of `lcfcn.counting.image_files.read_image`.

    `remarks` gets a line for all that a person would want to know.
    """
    values = raster.values if raster.values.ndim == 3 else raster.values[..., None]
    if values.dtype.kind not in "buif":
        raise ValueError(f"its values are of the type {values.dtype}")
    alpha = _useful_alpha(raster.alpha, remarks)
    plain = values.dtype == np.uint8 and alpha is None and raster.is_padding is None and not raster.is_inverted
    if plain and raster.is_rgb and values.shape[2] == 3:
        return values
    levels = _Levels(values, alpha, raster, remarks)
    rgb = np.zeros((*values.shape[:2], 3), dtype=np.uint8)
    for rows in bands(*rgb.shape[:2]):
        rgb[rows, :, : values.shape[2]] = levels.of(rows)
    if values.shape[2] == 1:
        rgb[..., 1:] = rgb[..., :1]
    if alpha is not None:
        lay_on_white(rgb, alpha, is_multiplied=raster.is_multiplied)
    return rgb


def bands(height: int, width: int) -> Iterator[slice]:
    """Yield the rows that are worked on at a time, so that a large image needs no second copy in a wider type."""
    step = max(1, _BAND // max(width, 1))
    return (slice(top, min(top + step, height)) for top in range(0, height, step))


class _Levels:
    """Knows what becomes black and white, and which values hold nothing."""

    def __init__(self, values: np.ndarray, alpha: np.ndarray | None, raster: Raster, remarks: list[str]) -> None:
        self._values, self._raster = values, raster
        self._is_deep = values.dtype.kind != "b" and values.dtype != np.uint8
        self._nodata = _as_type(raster.nodata, values.dtype) if self._is_deep else None
        n_together = values.size if raster.is_rgb else values[..., 0].size
        spread = slice(None, None, max(1, int(np.ceil(np.sqrt(n_together / _SAMPLE)))))
        sample, skipped = values[spread, spread], self._missing(spread, spread)
        if alpha is not None:
            skipped |= (alpha[spread, spread] == 0)[..., None]
        if self._is_deep and raster.nodata is None and raster.may_have_nodata:
            self._nodata = _border_value(values, sample[~skipped])
            if self._nodata is not None:
                remarks.append(f"{float(self._nodata):g} fills a border, so it was taken for missing data and is black")
                skipped |= self._missing(spread, spread)
        self._limits = self._all_limits(sample, skipped, remarks)

    def of(self, rows: slice) -> np.ndarray:
        """Return the grey levels (h, W, C) uint8 of some rows."""
        part = self._values[rows]
        levels = np.stack([stretched(part[..., k], *limits) for k, limits in enumerate(self._limits)], axis=-1)
        if self._raster.is_inverted:
            levels = 255 - levels
        levels[self._missing(rows, slice(None))] = 0
        return levels

    def _missing(self, rows: slice, cols: slice) -> np.ndarray:
        """Return which values hold nothing, (h, w, C) bool."""
        part = self._values[rows, cols]
        missing = np.isnan(part) if part.dtype.kind == "f" else np.zeros(part.shape, dtype=bool)
        if self._nodata is not None:
            found = part == self._nodata
            # One colour may reach that value; a pixel without data has it in all colours.
            missing |= found.all(axis=-1, keepdims=True) if self._raster.is_rgb else found
        if self._raster.is_padding is not None:
            missing |= self._raster.is_padding[rows, cols, None]
        return missing

    def _all_limits(self, sample: np.ndarray, skipped: np.ndarray, remarks: list[str]) -> list[tuple[float, float]]:
        """Return what becomes black and white in each channel."""
        if self._is_deep and self._raster.is_rgb:
            return [_limits(sample[~skipped], "", remarks)] * sample.shape[2]
        parts = [sample[..., k][~skipped[..., k]] for k in range(sample.shape[2])]
        blank = [] if self._raster.is_rgb or len(parts) == 1 else [k for k, part in enumerate(parts) if _is_blank(part)]
        channels = self._raster.channels or range(len(parts))
        if blank:
            others = " ".join(str(channel) for k, channel in enumerate(channels) if k not in blank)
            way_out = f" (--channels {others} leaves it out)" if others else ""
            remarks.append(f"channel {listed([channels[k] for k in blank])} is blank{way_out}")
        if not self._is_deep:
            return [(0.0, 1.0 if sample.dtype.kind == "b" else 255.0)] * len(parts)
        names = [f"channel {channel}: " if len(parts) > 1 else "" for channel in channels]
        return [_limits(part, names[k], [] if k in blank else remarks) for k, part in enumerate(parts)]


def _is_blank(values: np.ndarray) -> bool:
    return not values.size or values.min() == values.max()


def _limits(values: np.ndarray, name: str, remarks: list[str]) -> tuple[float, float]:
    """Return which of the values (n,) become black and white; `name` stands before a remark about them."""
    finite = values[np.isfinite(values)].astype(np.float64)
    if not finite.size:
        remarks.append(f"{name}it holds no data")
        return 0.0, 1.0
    low, high = np.percentile(finite, STRETCH)
    least, greatest = finite.min(), finite.max()
    if least == greatest:
        remarks.append(f"{name}all values are {least:g}, so nothing can be seen")
    elif low == high:
        remarks.append(f"{name}99.8 % of the values are {low:g}, so hardly anything can be seen")
        low, high = least, greatest
    elif (n_levels := _levels_between(finite, low, high)) < _FEW_LEVELS:
        remarks.append(
            f"{name}black is {low:g} and white {high:g}, which leaves {n_levels:.1f} of 255 grey levels to the values "
            "between: if one of the two means missing data, name it in the file's nodata tag"
        )
    return low, high


def _levels_between(values: np.ndarray, low: float, high: float) -> float:
    """Return how many of 255 grey levels the values have that are neither the least nor the greatest."""
    others = values[(values > values.min()) & (values < values.max())]
    if not others.size:
        return 255.0
    first, last = np.percentile(np.clip(others, low, high), STRETCH)
    return 255 * (last - first) / (high - low)


def _border_value(values: np.ndarray, valid: np.ndarray) -> float | None:
    """Return the value that means "no data" though nothing says so, or None.

    It is a value that programs write for it, it stands in a corner, and it lies further from the others than these
    spread, so that the stretch would leave them less than half of the grey levels.
    """
    corners = values[:: max(values.shape[0] - 1, 1), :: max(values.shape[1] - 1, 1)].reshape(-1, values.shape[2])
    for corner in corners:
        value = corner[0]
        if (corner != value).any() or not np.isfinite(value) or value not in _sentinels(values.dtype):
            continue
        others = valid[(valid != value) & np.isfinite(valid)]
        if len(np.unique(others)) < _FEW_LEVELS:  # a drawing on plain paper
            continue
        low, high = np.percentile(others, STRETCH)
        if high > low and min(abs(float(value) - low), abs(float(value) - high)) > high - low:
            return value
    return None


def _sentinels(dtype: np.dtype) -> set[float]:
    if dtype.kind == "f":
        largest = float(np.finfo(np.float32).max)
        return {*map(float, NODATA), largest, -largest}
    limits = np.iinfo(dtype)
    return {*NODATA, limits.max, *([limits.min] if limits.min < 0 else [])}


def _as_type(value: float | None, dtype: np.dtype) -> float | None:
    """Return a value as it would be stored; None if the type cannot hold it."""
    if value is None or np.isnan(value):
        return None
    if dtype.kind == "f":
        with np.errstate(over="ignore"):
            return dtype.type(value)
    limits = np.iinfo(dtype)
    return dtype.type(int(value)) if limits.min <= value <= limits.max and value == int(value) else None


def stretched(values: np.ndarray, low: float, high: float) -> np.ndarray:
    """Return values as uint8: 0 for `low` and less, 255 for `high` and more. NaN becomes 0."""
    if values.dtype == np.uint8 and (low, high) == (0, 255):
        return values
    with np.errstate(all="ignore"):
        share = (values.astype(np.float64) - low) / (high - low if high > low else 1.0)
    return (np.clip(np.nan_to_num(share), 0, 1) * 255).round().astype(np.uint8)


def _useful_alpha(alpha: np.ndarray | None, remarks: list[str]) -> np.ndarray | None:
    """Return the opacity; None if it is 0 everywhere."""
    if alpha is None or alpha.any():
        return alpha
    remarks.append(NO_OPACITY)
    return None


def _opaque(alpha: np.ndarray) -> float:
    """Return which value is opaque: the greatest of the type, or 255 or 65535 where a wider type holds no more."""
    if alpha.dtype.kind == "b":
        return 1.0
    greatest = float(np.nan_to_num(alpha).max())
    is_float = alpha.dtype.kind == "f"
    largest = np.inf if is_float else float(np.iinfo(alpha.dtype).max)
    usual = (1.0, 255.0, 65535.0) if is_float else (255.0, 65535.0, largest)
    return next((value for value in usual if greatest <= value <= largest), greatest)


def lay_on_white(rgb: np.ndarray, alpha: np.ndarray, *, is_multiplied: bool = False) -> None:
    """Lay (H, W, 3) uint8 colours with their opacity (H, W) on white, in place, as on a page.

    `is_multiplied` says that the colours are multiplied by the opacity already.
    """
    opaque = _opaque(alpha)
    for rows in bands(*alpha.shape):
        share = np.clip(np.nan_to_num(alpha[rows, :, None] / opaque), 0, 1).astype(np.float32)
        colours = rgb[rows] * (1 if is_multiplied else share)
        rgb[rows] = np.clip(colours + 255 * (1 - share), 0, 255).round()
