"""Read image files of any format. All image files are read here.

The format is recognised by the content of a file, not by its name. A reader returns the size from the header before it
decodes anything, so that files above `max_pixels` are refused. The readers of TIFF and DICOM are imported when a file
needs them, because not every machine has tifffile, pydicom and imagecodecs.
"""

import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from lcfcn.counting import image_formats
from lcfcn.counting.defaults import MAX_PIXELS
from lcfcn.counting.image_formats import START, kind_of
from lcfcn.counting.pillow_files import open_by_pillow, pillow_pixels
from lcfcn.counting.raster import ChoiceError, ImageError, Opened, Raster, Stack, choose_channels, take_channels
from lcfcn.counting.stretching import rendered
from lcfcn.errors import one_line

__all__ = [
    "ImageError",
    "Stack",
    "image_of_array",
    "image_of_pillow",
    "image_orientation",
    "image_size",
    "image_stack",
    "read_image",
    "read_values",
]

_PACKAGES = {"pillow_heif": "pillow-heif"}  # whose names differ from their modules'


def read_image(
    path: str | Path,
    *,
    frame: int | None = None,
    channels: Sequence[int] | None = None,
    max_pixels: int = MAX_PIXELS,
    remarks: list[str] | None = None,
) -> np.ndarray:
    """Read an image file as an 8-bit RGB image, as a viewer shows it.

    JPEG, PNG, BMP, GIF, WebP, AVIF, TIFF and DICOM are recognised by their content, and HEIF (HEIC) if pillow-heif is
    installed.

    - The orientation of EXIF and TIFF is applied. Colour profiles are not.
    - 8-bit values stay as they are. Other values are stretched: the 0.1 and 99.9 percentiles become black and white.
      RGB is stretched as a whole, and other channels one by one. If both percentiles are equal, the least and the
      greatest value take their place. Large images use a sample of at most 16 million values.
    - Missing values are left out of the stretch and become black: NaN, the value in GDAL's nodata tag, and the padding
      of DICOM. If a file has no such tag, a value such as 65535 or -9999 counts as missing where it fills a corner and
      is further from the other values than these spread.
    - Channels of one plane are put together, also if they are pages of their own, as ImageJ and OME-TIFF describe them.
      One channel becomes grey, two become red and green, three become red, green and blue. Of more, the first three are
      used.
    - Transparent pixels are left out of the stretch and are drawn on white. An opacity of 0 everywhere is ignored.
    - DICOM: the modality table or rescaling is applied, and then the first window or table of values of interest. If
      there is none, the percentiles are used. MONOCHROME1 is inverted. Palettes and YBR become RGB.

    Parameters
    ----------
    path : str or Path
    frame : int, optional
        Which image of a file that holds several, from 0: a page, slice or time of a TIFF file, or a frame of a DICOM
        file, GIF, WebP and others; see `Stack`. The default is the first one, and a remark says so if there are more.
    channels : sequence of int, optional
        One to three channels, from 0, that become grey, or red and green, or red, green and blue.
    max_pixels : int
        A file with more pixels is refused before it is decoded.
    remarks : list of str, optional
        Gets a line for each oddity of the file that may change a count.

    Returns
    -------
    image : (H, W, 3) uint8 ndarray
        RGB.

    Raises
    ------
    ImageError
        If the file is missing, damaged, too large, or of another format, or has no such frame or channel.

    Examples
    --------
    >>> import tempfile
    >>> from PIL import Image
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     Image.new("L", (3, 2), 128).save(f"{folder}/grey.png")
    ...     read_image(f"{folder}/grey.png").shape
    (2, 3, 3)
    """
    path = Path(path)
    found: list[str] = []
    with _errors_in_one_line(path), _open(path, frame or 0, max_pixels) as opened:
        _check_size(path, opened, max_pixels)
        if frame is None and opened.stack.n_frames > 1:
            found.append(f"{opened.stack.n_frames} frames, of which frame 0 was read (--frame N or all chooses)")
        pixels = rendered(opened.raster(channels, found), found)
        image = np.ascontiguousarray(_oriented(pixels, opened.orientation))
    if remarks is not None:
        remarks += found
    return image


def read_values(path: str | Path, *, frame: int = 0, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """Read the values of a file without any change, for masks whose values are the numbers of objects.

    The parameters and errors are those of `read_image`, and the orientation is applied too. A palette gives indices.

    Returns
    -------
    values : (H, W) or (H, W, C) ndarray of any type
    """
    path = Path(path)
    with _errors_in_one_line(path), _open(path, frame, max_pixels) as opened:
        _check_size(path, opened, max_pixels)
        return np.ascontiguousarray(_oriented(opened.values(), opened.orientation))


def image_size(path: str | Path) -> tuple[int, int]:
    """Return height and width of the image that `read_image` returns, from the header alone; it raises the same."""
    path = Path(path)
    with _errors_in_one_line(path), _open(path, 0, MAX_PIXELS) as opened:
        return opened.size


def image_stack(path: str | Path) -> Stack:
    """Return how many channels, slices and times a file holds, from its header; it raises the same as `read_image`.

    `read_image` takes the number of a frame, `time * slices + slice`. ImageJ numbers the planes of a file from 1, the
    channels fastest: its plane p is channel `(p - 1) % channels` of frame `(p - 1) // channels`.
    """
    path = Path(path)
    with _errors_in_one_line(path), _open(path, 0, MAX_PIXELS) as opened:
        return opened.stack


def image_orientation(path: str | Path) -> int:
    """Return how the stored image is turned by `read_image`: 1 (not at all) to 8, as in EXIF 2.32, table 6.

    It raises the same as `read_image`.
    """
    path = Path(path)
    with _errors_in_one_line(path), _open(path, 0, MAX_PIXELS) as opened:
        return opened.orientation


def image_of_array(
    values: np.ndarray, *, channels: Sequence[int] | None = None, remarks: list[str] | None = None
) -> np.ndarray:
    """Turn an array into an 8-bit RGB image by the rules of `read_image`.

    Parameters
    ----------
    values : (H, W) or (H, W, C) ndarray
        Numbers of any type. uint8 values stay as they are; other values are stretched. Three channels are RGB, and of
        four the first three are.
    channels : sequence of int, optional
    remarks : list of str, optional
        See `read_image`.

    Returns
    -------
    image : (H, W, 3) uint8 ndarray

    Raises
    ------
    ImageError
        If the array has another shape, holds no numbers, or lacks a channel.
    """
    if values.ndim not in (2, 3) or 0 in values.shape or values.dtype.kind not in "buif":
        raise ImageError(
            f"an array of shape {values.shape} and type {values.dtype} came; expected numbers of shape (H, W) or "
            "(H, W, C), one image: cut it, or pass a list of images"
        )
    if values.ndim == 3 and values.shape[0] <= 4 < values.shape[2]:
        raise ImageError(
            f"an array of shape {values.shape} came, whose channels seem to come first; expected (H, W, C): "
            "array.transpose(1, 2, 0)"
        )
    found: list[str] = []
    n_channels = values.shape[2] if values.ndim == 3 else 1
    is_rgb = n_channels in (3, 4)
    with _errors_in_one_line("the array"):
        chosen = choose_channels(n_channels, channels, found, is_rgb=is_rgb)
        image = rendered(Raster(take_channels(values, chosen), chosen, is_rgb=is_rgb), found)
    if remarks is not None:
        remarks += found
    return np.ascontiguousarray(image)


def image_of_pillow(
    image: Image.Image, *, channels: Sequence[int] | None = None, remarks: list[str] | None = None
) -> np.ndarray:
    """Turn a PIL image into an (H, W, 3) uint8 image by the rules of `read_image`, with the orientation of EXIF."""
    found = remarks if remarks is not None else []
    with _errors_in_one_line("the PIL image"):
        turned = ImageOps.exif_transpose(image)
        is_deep = turned.mode in ("I", "F") or turned.mode.startswith("I;16")
        pixels = np.asarray(turned) if is_deep else pillow_pixels(turned, found)
    return image_of_array(pixels, channels=channels, remarks=found)


@contextmanager
def _errors_in_one_line(path: str | Path) -> Iterator[None]:
    """Turn whatever a library raises into an ImageError that names the file."""
    try:
        with _quiet_libraries():
            yield
    except ImageError:
        raise
    except ChoiceError as error:
        raise ImageError(f"{path} {error}") from None
    except ImportError as error:
        package = _PACKAGES.get(error.name or "", error.name)
        raise ImageError(f"{path} needs the package {package}, which is not installed: pip install {package}") from None
    except Exception as error:  # each library, and zlib and struct below them, has errors of its own
        reason = getattr(error, "strerror", None) or one_line(error)[:160] or type(error).__name__
        raise ImageError(f"{path} cannot be read as an image ({reason}): fetch or convert it again") from None


@contextmanager
def _quiet_libraries() -> Iterator[None]:
    """Silence the warnings and logs of the image libraries, about oddities in files that they can read."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def _open(path: Path, frame: int, max_pixels: int) -> AbstractContextManager[Opened]:
    """Open a file with the reader for its content."""
    if not path.is_file():
        raise ImageError(f"{path} is {'no file' if path.exists() else 'missing'}; expected an image: check the path")
    with path.open("rb") as file:
        start = file.read(START)
    kind = kind_of(start)
    if kind == image_formats.TIFF:
        from lcfcn.counting.tiff_files import open_tiff

        return open_tiff(path, frame)
    if kind == image_formats.DICOM:
        from lcfcn.counting.dicom_files import open_dicom

        return open_dicom(path, frame)
    if kind is not None:
        return open_by_pillow(path, kind, frame, max_pixels)
    what = f"it begins with {start[:8]!r}" if start else "it is empty"
    raise ImageError(
        f"{path} cannot be read as an image ({what}); expected JPEG, PNG, BMP, GIF, WebP, AVIF, HEIF, TIFF or DICOM: "
        "fetch or convert it again"
    )


def _check_size(path: Path, opened: Opened, max_pixels: int) -> None:
    n_pixels = opened.height * opened.width
    if n_pixels > max_pixels:
        raise ImageError(
            f"{path} says that it has {opened.height} x {opened.width} pixels, above the limit of {max_pixels}: "
            "cut it, or raise the limit"
        )
    if n_pixels < 1:
        raise ImageError(f"{path} has {opened.height} x {opened.width} pixels; expected an image: fetch it again")


def _oriented(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """Turn stored pixels upright. EXIF 2.32, table 6, defines where the stored row 0 and column 0 belong."""
    if orientation >= 5:  # rows are columns
        pixels = pixels.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return pixels
