"""What the readers of image files share: their error, what a file holds, and values that are not yet an image."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from lcfcn.errors import UserError

COLOURS = ("red", "green", "blue")
MAX_BYTES = 4_000_000_000
"""Of all channels of an image as stored: a file may claim thousands of them."""


class ImageError(UserError):
    """An image file that cannot be read. The message is one line that names the file."""


class ChoiceError(ValueError):
    """A file has no such frame or channel. The message follows the name of the file."""


@dataclass(frozen=True)
class Stack:
    """What a file holds beside rows and columns.

    Attributes
    ----------
    channels : int
        How many channels the first frame has. A colour picture (RGB) has 1, as ImageJ counts.
    slices, times : int
        How many slices in depth, and how many points in time or other pictures. Frame `t * slices + z` is slice z at
        time t. Pages whose meaning the file does not tell count as slices.
    """

    channels: int = 1
    slices: int = 1
    times: int = 1

    @property
    def n_frames(self) -> int:
        """How many images can be counted one by one."""
        return self.slices * self.times


@dataclass(frozen=True)
class Raster:
    """Values of one frame as a file holds them, and what is known about them.

    Attributes
    ----------
    values : (H, W) or (H, W, C) ndarray
        At most three channels of numbers.
    channels : sequence of int, optional
        Which channels of the file these are, for remarks.
    is_rgb : bool
        Whether the channels are colours of one picture. They are stretched alike then.
    alpha : (H, W) ndarray, optional
        The opacity. The greatest value of its type, or 1, is opaque.
    is_multiplied : bool
        Whether the colours are multiplied by the opacity already.
    nodata : float, optional
        The value that means that nothing was measured.
    may_have_nodata : bool
        Whether a border may hold such a value though the file does not name it.
    is_padding : (H, W) bool ndarray, optional
        Pixels that are no part of the picture.
    is_inverted : bool
        Whether the least value is white.
    """

    values: np.ndarray
    channels: Sequence[int] = ()
    is_rgb: bool = False
    alpha: np.ndarray | None = None
    is_multiplied: bool = False
    nodata: float | None = None
    may_have_nodata: bool = True
    is_padding: np.ndarray | None = None
    is_inverted: bool = False


@dataclass(frozen=True)
class Opened:
    """A file whose header was read, and nothing decoded yet.

    Attributes
    ----------
    height, width : int
        As stored.
    orientation : int
        1 to 8, as EXIF counts.
    stack : Stack
    raster : callable
        Takes the wanted channels (None for the first three) and a list for remarks, and decodes a `Raster`.
    values : callable
        Decodes (H, W) or (H, W, C) values of any type, all channels.
    """

    height: int
    width: int
    orientation: int
    stack: Stack
    raster: Callable[[Sequence[int] | None, list[str]], Raster]
    values: Callable[[], np.ndarray]

    def __post_init__(self) -> None:
        if not isinstance(self.height, int) or not isinstance(self.width, int):
            raise ValueError("its header gives no height and width")

    @property
    def size(self) -> tuple[int, int]:
        """Height and width as people see the image."""
        return (self.width, self.height) if self.orientation >= 5 else (self.height, self.width)


def check_frame(frame: int, n_frames: int) -> None:
    """Raise ChoiceError if there is no such frame."""
    if not 0 <= frame < n_frames:
        raise ChoiceError(f"has no frame {frame}; expected one from 0 to {n_frames - 1}: choose another")


def choose_channels(
    n_channels: int, wanted: Sequence[int] | None, remarks: list[str], *, is_rgb: bool = False
) -> list[int]:
    """Return the channels that become the image, at most three.

    Parameters
    ----------
    n_channels : int
        How many there are.
    wanted : sequence of int or None
        From 0; None for the first three.
    remarks : list of str
        Gets a line if there are channels whose colour the file does not tell.
    is_rgb : bool
        Whether the file says that the channels are red, green and blue.

    Raises
    ------
    ChoiceError
        If a wanted channel does not exist, or none or more than three are wanted.
    """
    if wanted is not None:
        if not 1 <= len(wanted) <= len(COLOURS) or not all(0 <= channel < n_channels for channel in wanted):
            named = " ".join(map(str, wanted)) or "none"
            raise ChoiceError(
                f"has {n_channels} channels, and {named} came; expected 1 to 3 of 0 to {n_channels - 1}: choose others"
            )
        return list(wanted)
    chosen = list(range(min(n_channels, len(COLOURS))))
    if n_channels > 1 and not is_rgb:
        remarks.append(
            f"{n_channels} channels: {listed(chosen)} became {listed(COLOURS[: len(chosen)])} (--channels chooses)"
        )
    return chosen


def take_channels(values: np.ndarray, chosen: list[int]) -> np.ndarray:
    """Return the chosen channels of (H, W[, C]) values; the values themselves if all are chosen in their order."""
    if values.ndim == 2 or chosen == list(range(values.shape[2])):
        return values
    return values[..., chosen]


def listed(items: Sequence[object]) -> str:
    """Return items as people list them.

    >>> listed(["red", "green", "blue"])
    'red, green and blue'
    """
    *first, last = map(str, items)
    return f"{', '.join(first)} and {last}" if first else last
