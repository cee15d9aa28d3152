"""Read image files of any format: JPEG, PNG, BMP, TIFF and DICOM. All image files are read here.

The format is recognised by the content of a file, not by its name. A reader returns the size from the header before it
decodes anything, so that files above `max_pixels` are refused.

Pillow's `Image.open` has a global limit of pixels, which other code may rely on. So it is not called here. The classes
that it would choose are called directly, and nothing global changes. This also excludes formats whose reader starts
another program (EPS).
"""

import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import imagecodecs
import numpy as np
import pydicom
import tifffile
from PIL import BmpImagePlugin, Image, ImageFile, ImageOps, JpegImagePlugin, PngImagePlugin
from pydicom.pixels import apply_color_lut, apply_modality_lut, apply_voi_lut, pixel_array

from lcfcn.counting.defaults import MAX_PIXELS
from lcfcn.errors import UserError, one_line

STRETCH = (0.1, 99.9)
"""The percentiles that become black and white if a file has more than 8 bits."""

_MAX_BYTES = 8 * MAX_PIXELS  # of all channels as stored, because a file may claim thousands of channels
_BAND = 2**24  # number of pixels that are converted at a time
_SAMPLE = 2**24  # number of values for the percentiles
_ORIENTATION = 274  # the tag of EXIF and TIFF


class ImageError(UserError):
    """An image file cannot be read. The message is one line with its path."""


@dataclass(frozen=True)
class _Opened:
    """A file whose header has been read.

    Attributes
    ----------
    height, width : int
        As stored.
    orientation : int
        1 to 8, as in EXIF.
    pixels : callable
        Decodes (H, W, 3) uint8 pixels by the rules of `read_image`, not turned.
    values : callable
        Decodes the values that the file holds, not turned.
    """

    height: int
    width: int
    orientation: int
    pixels: Callable[[], np.ndarray]
    values: Callable[[], np.ndarray]

    @property
    def size(self) -> tuple[int, int]:
        """Height and width after the image has been turned."""
        return (self.width, self.height) if self.orientation >= 5 else (self.height, self.width)


def read_image(path: str | Path, *, frame: int = 0, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """Read an image file as an 8-bit RGB image, as a viewer shows it.

    JPEG, PNG, BMP, TIFF and DICOM are recognised by their content.

    - The orientation of EXIF and TIFF is applied. Colour profiles are not.
    - 8-bit values stay as they are. Other values are stretched: the 0.1 and 99.9 percentiles become black and white.
      RGB is stretched as a whole, and other channels one by one. If both percentiles are equal, the least and the
      greatest value take their place. NaN becomes black. Large images use a sample of at most 16 million values.
    - One channel becomes grey, two become red and green, and of more than three the first three are used. Transparent
      pixels are drawn on white.
    - DICOM: the modality table or rescaling is applied, and then the first window or table of values of interest. If
      there is none, the percentiles are used. MONOCHROME1 is inverted. Palettes and YBR become RGB.

    Parameters
    ----------
    path : str or Path
    frame : int
        Page of a TIFF file, or frame of a DICOM file, from 0. Other formats have one.
    max_pixels : int
        A file with more pixels is refused before it is decoded.

    Returns
    -------
    image : (H, W, 3) uint8 ndarray
        RGB.

    Raises
    ------
    ImageError
        If the file is missing, damaged, too large, or of another format.

    Examples
    --------
    >>> import tempfile
    >>> from PIL import Image
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     Image.new("L", (3, 2), 128).save(f"{folder}/grey.png")
    ...     read_image(f"{folder}/grey.png").shape
    (2, 3, 3)
    """
    return _read(Path(path), frame, max_pixels, "pixels")


def read_values(path: str | Path, *, frame: int = 0, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """Read the values of a file without any change, for masks whose values are the numbers of objects.

    The parameters and errors are those of `read_image`, and the orientation is applied too. A palette gives indices.

    Returns
    -------
    values : (H, W) or (H, W, C) ndarray of any type
    """
    return _read(Path(path), frame, max_pixels, "values")


def _read(path: Path, frame: int, max_pixels: int, what: str) -> np.ndarray:
    with _told_in_one_line(path):
        with _open(path, frame) as opened:
            if opened.height * opened.width > max_pixels:
                raise ImageError(
                    f"{path} says that it has {opened.height} x {opened.width} pixels, above the limit of "
                    f"{max_pixels}: cut it, or raise the limit"
                )
            decoded, orientation = getattr(opened, what)(), opened.orientation
        return np.ascontiguousarray(_oriented(decoded, orientation))


def image_size(path: str | Path) -> tuple[int, int]:
    """Return height and width of the image that `read_image` returns, from the header alone; it raises the same."""
    path = Path(path)
    with _told_in_one_line(path), _open(path, 0) as opened:
        return opened.size


def image_of_array(values: np.ndarray) -> np.ndarray:
    """Turn an array into an 8-bit RGB image by the rules of `read_image`.

    Parameters
    ----------
    values : (H, W) or (H, W, C) ndarray
        Numbers of any type. uint8 values stay as they are; other values are stretched.

    Returns
    -------
    image : (H, W, 3) uint8 ndarray

    Raises
    ------
    ImageError
        If the array has another shape, or no numbers.
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
    is_colour = values.ndim == 3 and values.shape[2] in (3, 4)
    return np.ascontiguousarray(_to_rgb(values, jointly=is_colour))


def image_of_pillow(image: Image.Image) -> np.ndarray:
    """Turn a PIL image into an (H, W, 3) uint8 image by the rules of `read_image`, with the orientation of EXIF."""
    with _told_in_one_line("the PIL image"):
        turned = ImageOps.exif_transpose(image)
        if turned.mode in ("I", "F") or turned.mode.startswith("I;16"):
            return image_of_array(np.asarray(turned))
        return _pillow_pixels(turned)


@contextmanager
def _told_in_one_line(path: str | Path) -> Iterator[None]:
    try:
        with _without_remarks():
            yield
    except ImageError:
        raise
    except Exception as error:  # each library, and zlib and struct below them, has errors of its own
        reason = getattr(error, "strerror", None) or one_line(error)[:160] or type(error).__name__
        raise ImageError(f"{path} cannot be read as an image ({reason}): fetch or convert it again") from None


@contextmanager
def _without_remarks() -> Iterator[None]:
    """Silence the warnings and logs of the image libraries, about oddities in files that they can read."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def _open(path: Path, frame: int) -> AbstractContextManager[_Opened]:
    """Open a file with the reader for its content."""
    if not path.is_file():
        raise ImageError(f"{path} is {'no file' if path.exists() else 'missing'}; expected an image: check the path")
    with path.open("rb") as file:
        start = file.read(132)
    if start[128:] == b"DICM":  # the 128 bytes before are free, and some programs write the start of a TIFF there
        return _open_dicom(path, frame)
    if start[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
        return _open_tiff(path, frame)
    for magic, image_class in (
        (b"\xff\xd8\xff", JpegImagePlugin.JpegImageFile),
        (b"\x89PNG\r\n\x1a\n", PngImagePlugin.PngImageFile),
        (b"BM", BmpImagePlugin.BmpImageFile),
    ):
        if start.startswith(magic):
            return _open_by_pillow(path, frame, image_class)
    what = f"it begins with {start[:8]!r}" if start else "it is empty"
    raise ImageError(
        f"{path} cannot be read as an image ({what}); expected JPEG, PNG, BMP, TIFF or DICOM: fetch or convert it again"
    )


def _check_frame(path: Path, frame: int, n_frames: int) -> None:
    if not 0 <= frame < n_frames:
        raise ImageError(f"{path} has no frame {frame}; expected one from 0 to {n_frames - 1}: choose another")


def _oriented(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """Turn stored pixels upright. EXIF 2.32, table 6, defines where the stored row 0 and column 0 belong."""
    if orientation >= 5:  # rows are columns
        pixels = pixels.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return pixels


# From values of any kind to 8 bits


def _to_rgb(values: np.ndarray, *, jointly: bool = False, alpha: str | None = None) -> np.ndarray:
    """Turn (H, W[, C]) values into (H, W, 3) uint8 by the rules of `read_image`.

    `jointly` stretches all channels alike. With `alpha` the last channel is the opacity. It is "associated" if the
    colours are already multiplied by it, else "unassociated".
    """
    if values.dtype.kind not in "buif":
        raise ValueError(f"its values are of the type {values.dtype}")
    channels = values if values.ndim == 3 else values[..., None]
    colours = channels[..., :-1] if alpha else channels
    n_colours = min(colours.shape[-1], 3)
    all_limits = _limits(colours[..., :3]) if jointly else None
    rgb = np.zeros((*channels.shape[:2], 3), dtype=np.uint8)
    for channel in range(n_colours):
        low, high = all_limits or _limits(colours[..., channel])
        for rows in _bands(*rgb.shape[:2]):
            rgb[rows, :, channel] = _stretched(colours[rows, :, channel], low, high)
    if n_colours == 1:
        rgb[..., 1:] = rgb[..., :1]
    if alpha:
        _lay_on_white(rgb, channels[..., -1], multiplied=alpha == "associated")
    return rgb


def _limits(values: np.ndarray) -> tuple[float, float]:
    """Return the values that become black and white."""
    if values.dtype.kind == "b":
        return 0.0, 1.0
    if values.dtype == np.uint8:
        return 0.0, 255.0
    step = max(1, int(np.ceil(np.sqrt(values.size / _SAMPLE))))
    sample = values[::step, ::step]
    finite = sample[np.isfinite(sample)].astype(np.float64)
    if not finite.size:
        return 0.0, 1.0
    low, high = np.percentile(finite, STRETCH)
    return (low, high) if low < high else (finite.min(), finite.max())


def _stretched(values: np.ndarray, low: float, high: float) -> np.ndarray:
    if values.dtype == np.uint8 and (low, high) == (0, 255):
        return values
    with np.errstate(all="ignore"):
        share = (values.astype(np.float64) - low) / (high - low if high > low else 1.0)
    return (np.clip(np.nan_to_num(share), 0, 1) * 255).round().astype(np.uint8)


def _lay_on_white(rgb: np.ndarray, alpha: np.ndarray, *, multiplied: bool) -> None:
    opaque = 1.0 if alpha.dtype.kind in "bf" else np.iinfo(alpha.dtype).max
    for rows in _bands(*alpha.shape):
        share = np.clip(alpha[rows, :, None] / opaque, 0, 1).astype(np.float32)
        colours = rgb[rows] * (1 if multiplied else share)
        rgb[rows] = np.clip(colours + 255 * (1 - share), 0, 255).round()


def _bands(height: int, width: int) -> Iterator[slice]:
    """Yield slices of rows to convert at a time, so that a large image needs no second copy in a wider type."""
    step = max(1, _BAND // max(width, 1))
    return (slice(top, min(top + step, height)) for top in range(0, height, step))


# JPEG, PNG, BMP


@contextmanager
def _open_by_pillow(path: Path, frame: int, image_class: type[ImageFile.ImageFile]) -> Iterator[_Opened]:
    _check_frame(path, frame, 1)
    with path.open("rb") as file:
        bit_depth = file.read(25)[-1]
        file.seek(0)
        image = image_class(file)
        # Pillow keeps 8 of the 16 bits of a colour.
        is_deep = image.format == "PNG" and bit_depth == 16
        if is_deep:
            decoders = (lambda: _deep_png(_png_values(path))), (lambda: _png_values(path))
        else:
            decoders = (lambda: _pillow_pixels(image)), (lambda: np.asarray(image))
        yield _Opened(image.height, image.width, _exif_orientation(image), *decoders)


def _exif_orientation(image: ImageFile.ImageFile) -> int:
    """Return 1 to 8, and 1 if the EXIF block is damaged. An EXIF block after the pixels of a PNG is not read."""
    exif = Image.Exif()
    try:
        exif.load(image.info.get("exif", b""))
        orientation = exif.get(_ORIENTATION, 1)
    except Exception:  # Pillow raises a different type for each kind of damage
        return 1
    return orientation if orientation in range(1, 9) else 1


def _pillow_pixels(image: Image.Image) -> np.ndarray:
    """Convert an image in bands. Pillow's own conversion to an array holds three copies of the image."""
    image.load()
    mode = "RGBA" if image.has_transparency_data else "RGB"
    rgb = np.empty((image.height, image.width, 3), dtype=np.uint8)
    for rows in _bands(image.height, image.width):
        band = np.asarray(image.crop((0, rows.start, image.width, rows.stop)).convert(mode))
        rgb[rows] = _to_rgb(band, alpha="unassociated" if mode == "RGBA" else None)
    return rgb


def _png_values(path: Path) -> np.ndarray:
    return imagecodecs.png_decode(path.read_bytes())


def _deep_png(values: np.ndarray) -> np.ndarray:
    n_channels = values.shape[2] if values.ndim == 3 else 1
    return _to_rgb(values, jointly=True, alpha="unassociated" if n_channels in (2, 4) else None)


# TIFF


@contextmanager
def _open_tiff(path: Path, frame: int) -> Iterator[_Opened]:
    with tifffile.TiffFile(path) as tiff:
        if frame != 0:  # counting the pages reads them all
            _check_frame(path, frame, len(tiff.pages))
        page = tiff.pages[frame]
        ends = [start + length for start, length in zip(page.dataoffsets, page.databytecounts, strict=True)]
        if not ends or max(ends) > tiff.filehandle.size:
            raise ValueError("it is cut off")
        orientation = page.tags.valueof(_ORIENTATION, 1)
        orientation = orientation if orientation in range(1, 9) else 1
        height, width = page.imagelength, page.imagewidth
        yield _Opened(height, width, orientation, lambda: _tiff_pixels(page), lambda: _tiff_values(page))


def _tiff_values(page: tifffile.TiffPage) -> np.ndarray:
    _check_tiff_layout(page)
    values = page.asarray()
    return np.moveaxis(values, 0, -1) if page.axes == "SYX" else values


def _tiff_pixels(page: tifffile.TiffPage) -> np.ndarray:
    values = _tiff_values(page)
    if page.photometric == tifffile.PHOTOMETRIC.PALETTE:
        return _palette(page.colormap)[values]
    if page.bitspersample in range(2, 8):
        values = (values * (255.0 / (2**page.bitspersample - 1))).round().astype(np.uint8)
    alpha = {1: "associated", 2: "unassociated"}.get(int(page.extrasamples[-1])) if page.extrasamples else None
    is_rgb = page.photometric in (tifffile.PHOTOMETRIC.RGB, tifffile.PHOTOMETRIC.YCBCR)
    rgb = _to_rgb(values, jointly=is_rgb, alpha=alpha)
    return 255 - rgb if page.photometric == tifffile.PHOTOMETRIC.MINISWHITE else rgb


def _check_tiff_layout(page: tifffile.TiffPage) -> None:
    known = ("MINISWHITE", "MINISBLACK", "RGB", "PALETTE", "YCBCR")
    is_jpeg = page.compression in (6, 7, 34892)  # its decoder returns RGB
    if page.photometric.name not in known or (page.photometric.name == "YCBCR" and not is_jpeg):
        raise ValueError(f"its colours are stored as {page.photometric.name}; save it as RGB")
    if page.axes not in ("YX", "YXS", "SYX"):
        raise ValueError(f"its axes are {page.axes}; save it as planes")
    if page.nbytes > _MAX_BYTES:
        raise ValueError(f"its {page.samplesperpixel} channels take {page.nbytes} bytes, above {_MAX_BYTES}")


def _palette(colormap: np.ndarray) -> np.ndarray:
    """Return the (n, 3) uint8 colours of a (3, n) uint16 map. Some programs write 8-bit values into it."""
    return (colormap >> 8 if colormap.max() > 255 else colormap).astype(np.uint8).T


# DICOM


@contextmanager
def _open_dicom(path: Path, frame: int) -> Iterator[_Opened]:
    meta = pydicom.filereader.read_file_meta_info(path)
    if meta.get("TransferSyntaxUID") == pydicom.uid.DeflatedExplicitVRLittleEndian:
        raise ValueError("it is deflated as a whole, so its size cannot be known before; save it otherwise")
    header = pydicom.dcmread(path, stop_before_pixels=True)
    if not header.get("Rows") or not header.get("Columns"):
        raise ValueError("it is DICOM without an image")
    _check_frame(path, frame, int(header.get("NumberOfFrames") or 1))
    pixels, values = (lambda: _dicom_pixels(path, header, frame)), (lambda: pixel_array(path, index=frame))
    yield _Opened(header.Rows, header.Columns, 1, pixels, values)


def _dicom_pixels(path: Path, header: pydicom.Dataset, frame: int) -> np.ndarray:
    values = pixel_array(path, index=frame)
    photometric = header.PhotometricInterpretation
    if photometric == "PALETTE COLOR":
        colours = apply_color_lut(values, header)
        return (colours >> 8 if colours.dtype == np.uint16 else colours).astype(np.uint8)
    if values.ndim == 3:
        return _to_rgb(values, jointly=True)
    _lift_frame_values(header, frame)
    rgb = _to_rgb(_windowed(apply_modality_lut(values, header), header))
    return 255 - rgb if photometric == "MONOCHROME1" else rgb


def _lift_frame_values(header: pydicom.Dataset, frame: int) -> None:
    """Copy window and rescaling of an enhanced multi-frame image (PS3.3 C.7.6.16) to where pydicom reads them."""
    for groups, index in (("SharedFunctionalGroupsSequence", 0), ("PerFrameFunctionalGroupsSequence", frame)):
        for part in ("PixelValueTransformationSequence", "FrameVOILUTSequence"):
            if header.get(groups) and header[groups][index].get(part):
                header.update(header[groups][index][part][0])


def _windowed(values: np.ndarray, header: pydicom.Dataset) -> np.ndarray:
    """Apply the window or table of values of interest, and return uint8.

    If the file has none, return values that `_to_rgb` will stretch.
    """
    if header.get("VOILUTSequence"):
        bits = header.VOILUTSequence[0].LUTDescriptor[2]
        return _stretched(apply_voi_lut(values, header), 0, 2**bits - 1)
    if header.get("WindowWidth") is None or header.get("WindowCenter") is None:
        # Values of fewer than 8 bits, such as a mask, must be stretched. As uint8 they would stay as they are.
        return values.astype(np.float32) if header.get("BitsStored", 8) < 8 else values
    try:
        with np.errstate(over="ignore"):
            # pydicom's values for black and white depend on bits, sign and rescaling. So compute them with it.
            low, high = apply_voi_lut(np.array([-1e300, 1e300]), header)
            return _stretched(apply_voi_lut(values, header), low, high)
    except ValueError:  # a window of no width or of an unknown function
        return values
