"""What image files say about their planes and the size of their pixels, for formats whose clicks depend on it.

Clicks on the channels of one plane are clicks in one place. Clicks on other slices and times are not in the plane that
is counted, which is the first.
"""

import math
import re
from pathlib import Path
from typing import NamedTuple

import pydicom
import tifffile

from lcfcn.counting.image_files import ImageError, image_stack
from src.annotations.base import parse_xml_text, quiet_libraries

MICROMETRES = {
    **dict.fromkeys(("um", "µm", "μm", "micron", "microns", "micrometer", "micrometre", "micrometers"), 1.0),
    **dict.fromkeys(("mm", "millimeter", "millimetre"), 1000.0),
    **dict.fromkeys(("cm", "centimeter", "centimetre"), 10_000.0),
    **dict.fromkeys(("nm", "nanometer", "nanometre"), 0.001),
    **dict.fromkeys(("inch", "in", '"'), 25_400.0),
    **dict.fromkeys(("m", "meter", "metre"), 1_000_000.0),
}
"""Micrometres in each unit that ImageJ, Bio-Formats and OME write."""
INCH, CENTIMETRE = 2, 3
"""TIFF's resolution units."""
SCREEN = 72
"""Dots an inch that programs write if they know none; ImageJ takes them for no scale."""


class Scale(NamedTuple):
    """Width and height of a pixel in `unit`."""

    width: float
    height: float
    unit: str

    def in_micrometres(self) -> "Scale | None":
        """Return the same scale in micrometres, or None if the unit is not known."""
        factor = MICROMETRES.get(self.unit.casefold())
        return None if factor is None else Scale(self.width * factor, self.height * factor, "µm")


class Scales(NamedTuple):
    """The scale that ImageJ shows, which may be dots an inch for print, and the scale that a microscope wrote."""

    shown: Scale | None = None
    physical: Scale | None = None


def in_first_plane(index: int, image: Path | None) -> bool:
    """Whether a plane is a channel of the first slice and time.

    Parameters
    ----------
    index : int
        The number of the plane in ImageJ's stack, from 1: the channels of a slice come first, then the slices of a
        time. 0 means no plane in particular.
    image : Path or None
        The image's file. Without one there is one channel.
    """
    if index <= 1 or image is None:
        return index <= 1
    try:
        return index <= image_stack(image).channels
    except ImageError:
        return False  # the image is checked elsewhere


def has_channels_alone(image: Path | None) -> bool:
    """Whether an image has several channels, and one slice and time."""
    try:
        stack = image_stack(image) if image is not None else None
    except ImageError:
        return False  # the image is checked elsewhere
    return stack is not None and stack.channels > 1 and stack.n_frames == 1


def scales_of(image: Path | None) -> Scales:
    """Return the scales of an image file; none of a missing, damaged or other file. It never raises."""
    try:
        if image is None:
            return Scales()
        with image.open("rb") as file:
            start = file.read(132)
        with quiet_libraries():
            if start[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
                return _of_tiff(image)
            return _of_dicom(image) if start[128:] == b"DICM" else Scales()
    except Exception:  # each library raises types of its own, and the image is checked elsewhere
        return Scales()


def _of_tiff(image: Path) -> Scales:
    with tifffile.TiffFile(image) as tiff:
        resolution = _resolution(tiff.pages[0])
        if tiff.is_imagej:
            return _of_imagej(tiff.imagej_metadata or {}, resolution)
        if tiff.is_ome:
            return _of_ome(tiff.ome_metadata)
        scale = _by_resolution(*resolution)
        is_physical = scale is not None and scale.unit == "cm"  # dots an inch are a habit of printing
        return Scales(scale, scale if is_physical else None)


def _resolution(page: tifffile.TiffPage) -> tuple[float, float, int]:
    """Return the pixels a unit, across and down, and the unit, as TIFF's tags tell them."""
    across, down = (_ratio(page.tags.valueof(tag)) for tag in ("XResolution", "YResolution"))
    return across, down, int(page.tags.valueof("ResolutionUnit", INCH))


def _ratio(value: tuple[int, int] | None) -> float:
    return value[0] / value[1] if value and value[1] else 0.0


def _by_resolution(across: float, down: float, unit: int) -> Scale | None:
    """Return the scale as ImageJ takes it from TIFF's tags alone."""
    if unit not in (INCH, CENTIMETRE) or min(across, down) <= 0 or (unit == INCH and across == SCREEN):
        return None
    return Scale(1 / across, 1 / down, "inch" if unit == INCH else "cm")


def _of_imagej(metadata: dict, resolution: tuple[float, float, int]) -> Scales:
    unit = re.sub(r"\\u00b5", "µ", str(metadata.get("unit") or ""), flags=re.IGNORECASE).strip()
    across, down, tiff_unit = resolution
    if not unit or min(across, down) <= 0:
        return Scales(_by_resolution(across, down, tiff_unit))
    scale = None if unit.casefold() in ("pixel", "pixels") else Scale(1 / across, 1 / down, unit)
    return Scales(scale, scale)


def _of_ome(text: str) -> Scales:
    pixels = next(element for element in parse_xml_text(text).iter() if element.tag.rpartition("}")[2] == "Pixels")
    width, height = (float(pixels.get(f"PhysicalSize{axis}", "nan")) for axis in "XY")
    scale = Scale(width, height, pixels.get("PhysicalSizeXUnit", "µm")) if _are_above_0(width, height) else None
    return Scales(scale, scale)


def _of_dicom(image: Path) -> Scales:
    header = pydicom.dcmread(image, stop_before_pixels=True)
    spacing = header.get("PixelSpacing") or header.get("ImagerPixelSpacing")
    height, width = map(float, spacing) if spacing else (math.nan, math.nan)
    scale = Scale(width, height, "mm") if _are_above_0(width, height) else None
    return Scales(scale, scale)


def _are_above_0(*values: float) -> bool:
    return all(0 < value < math.inf for value in values)
