"""Read DICOM files with pydicom: rescaling, windows, palettes, padding, and what their pixels are packed with."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pydicom
from pydicom.encaps import get_frame
from pydicom.filereader import read_dataset, read_preamble
from pydicom.pixels import apply_color_lut, apply_modality_lut, apply_voi_lut, get_decoder, pixel_array

from lcfcn.counting import dicom_codecs
from lcfcn.counting.codestreams import encoded_size
from lcfcn.counting.pillow_files import colour_raster
from lcfcn.counting.raster import Opened, Raster, Stack, check_frame, choose_channels, take_channels
from lcfcn.counting.stretching import stretched

_FIRST_ELEMENTS = 12  # bytes of tag, type and length before packed pixels


@contextmanager
def open_dicom(path: Path, frame: int) -> Iterator[Opened]:
    """Open a DICOM file, with or without preamble; see `Opened`."""
    named = _named_syntax(path)
    header = pydicom.dcmread(path, stop_before_pixels=True, force=True)
    if not header.get("Rows") or not header.get("Columns"):
        raise ValueError("it is DICOM without an image")
    n_frames = int(header.get("NumberOfFrames") or 1)
    if n_frames > path.stat().st_size:
        raise ValueError(f"it says that it has {n_frames} frames, more than it has bytes")
    check_frame(frame, n_frames)
    file = _DicomFrame(path, header, frame, named or _likely_syntax(header))
    yield Opened(header.Rows, header.Columns, 1, Stack(times=n_frames), file.raster, file.values)


class _DicomFrame:
    """Decodes one frame."""

    def __init__(self, path: Path, header: pydicom.Dataset, frame: int, syntax: pydicom.uid.UID) -> None:
        self._path, self._header, self._frame, self._syntax = path, header, frame, syntax

    def values(self) -> np.ndarray:
        """Return the stored values, (H, W) or (H, W, 3)."""
        dicom_codecs.register()
        if self._syntax.is_encapsulated:
            self._check_codestream()
            decoder = get_decoder(self._syntax)
            if not decoder.is_available:
                raise ValueError(f"it is packed as {self._syntax.name}: pip install imagecodecs")
        return pixel_array(self._path, index=self._frame, transfer_syntax_uid=self._syntax)

    def raster(self, channels: Sequence[int] | None, remarks: list[str]) -> Raster:
        """Return grey values or colours as they are to be shown."""
        values, header = self.values(), self._header
        photometric = header.PhotometricInterpretation
        if photometric == "PALETTE COLOR":
            colours = apply_color_lut(values, header)
            colours = (colours >> 8 if colours.dtype == np.uint16 else colours).astype(np.uint8)
            return colour_raster(colours, channels, remarks)
        if values.ndim == 3:
            chosen = choose_channels(values.shape[2], channels, remarks, is_rgb=True)
            return Raster(take_channels(values, chosen), chosen, is_rgb=True, may_have_nodata=False)
        chosen = choose_channels(1, channels, remarks)
        is_padding = _is_padding(values, header)
        _lift_frame_values(header, self._frame)
        grey = _windowed(apply_modality_lut(values, header), header)
        is_inverted = photometric == "MONOCHROME1"
        return Raster(grey, chosen, may_have_nodata=False, is_padding=is_padding, is_inverted=is_inverted)

    def _check_codestream(self) -> None:
        """Raise ValueError if the packed frame is of another size than the header says, or far too long."""
        header = self._header
        offsets = [header.get(name) for name in ("ExtendedOffsetTable", "ExtendedOffsetTableLengths")]
        with self._path.open("rb") as file:
            pydicom.dcmread(file, stop_before_pixels=True, force=True)
            file.seek(_FIRST_ELEMENTS, 1)
            n_frames = int(header.get("NumberOfFrames") or 1)
            extended_offsets = tuple(offsets) if all(offsets) else None
            data = get_frame(file, self._frame, number_of_frames=n_frames, extended_offsets=extended_offsets)
        if self._syntax == pydicom.uid.RLELossless:
            n_bytes = header.Rows * header.Columns * header.SamplesPerPixel * header.BitsAllocated // 8
            if len(data) > 2 * n_bytes + 4096:
                raise ValueError(f"its header says {n_bytes} bytes, and its packed pixels alone are {len(data)}")
            return
        size = encoded_size(data)
        if size is None or size[:2] != (header.Rows, header.Columns):
            found = "no size" if size is None else f"{size.height} x {size.width}"
            raise ValueError(f"its header says {header.Rows} x {header.Columns} pixels, and its packed image {found}")


def _named_syntax(path: Path) -> pydicom.uid.UID | None:
    """Return how a file says that its values are written; None if it does not say."""
    with path.open("rb") as file:
        read_preamble(file, force=True)
        meta = read_dataset(file, False, True, stop_when=lambda tag, vr, length: tag.group != 2)
    syntax = meta.get("TransferSyntaxUID")
    if syntax == pydicom.uid.DeflatedExplicitVRLittleEndian:
        raise ValueError("it is deflated as a whole, so its size cannot be known before; save it otherwise")
    return syntax or None


def _likely_syntax(header: pydicom.Dataset) -> pydicom.uid.UID:
    """Return how the values of a file are written that does not say it, as pydicom guessed it from the first ones."""
    is_implicit, is_little = header.original_encoding
    if is_implicit:
        return pydicom.uid.ImplicitVRLittleEndian
    return pydicom.uid.ExplicitVRLittleEndian if is_little else pydicom.uid.ExplicitVRBigEndian


def _is_padding(values: np.ndarray, header: pydicom.Dataset) -> np.ndarray | None:
    """Return which stored values (H, W) are padding (PS3.3, C.7.5.1.1.2); None if the file names none."""
    first = header.get("PixelPaddingValue")
    if first is None:
        return None
    last = header.get("PixelPaddingRangeLimit")
    low, high = sorted(_signed(value, header) for value in (first, first if last is None else last))
    return (values >= low) & (values <= high)


def _signed(value: int, header: pydicom.Dataset) -> int:
    """Return a value of a signed image, which some programs write as if it were unsigned."""
    n_bits = header.BitsAllocated
    is_wrong = header.PixelRepresentation == 1 and value >= 2 ** (n_bits - 1)
    return value - 2**n_bits if is_wrong else value


def _lift_frame_values(header: pydicom.Dataset, frame: int) -> None:
    """Put window and rescaling of an enhanced multi-frame image (PS3.3, C.7.6.16) where pydicom looks for them."""
    for groups, index in (("SharedFunctionalGroupsSequence", 0), ("PerFrameFunctionalGroupsSequence", frame)):
        for part in ("PixelValueTransformationSequence", "FrameVOILUTSequence"):
            if header.get(groups) and header[groups][index].get(part):
                header.update(header[groups][index][part][0])


def _windowed(values: np.ndarray, header: pydicom.Dataset) -> np.ndarray:
    """Return uint8 by the window or table of values of interest; without one, values that are still to be stretched."""
    if header.get("VOILUTSequence"):
        bits = header.VOILUTSequence[0].LUTDescriptor[2]
        return stretched(apply_voi_lut(values, header), 0, 2**bits - 1)
    if header.get("WindowWidth") is None or header.get("WindowCenter") is None:
        # Fewer than 8 bits in a byte, such as a mask, are not 8 bits.
        return values.astype(np.float32) if header.get("BitsStored", 8) < 8 else values
    try:
        with np.errstate(over="ignore"):
            # What pydicom makes of black and white depends on bits, sign and rescaling: ask it.
            low, high = apply_voi_lut(np.array([-1e300, 1e300]), header)
            return stretched(apply_voi_lut(values, header), low, high)
    except ValueError:  # a window of no width or of an unknown function
        return values
