"""Which pages of a TIFF belong together: channels of one plane, slices in depth, points in time.

A page is one plane of one channel, or of several as samples. What the pages mean is told by the description of the
first one: by ImageJ (`channels=2`), by OME-XML, or by tifffile's own JSON. Pages without a description are a stack.
"""

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from xml.etree import ElementTree

import numpy as np
import tifffile

from lcfcn.counting.raster import Stack

_REDUCED, _MASK = 1, 4  # bits of NewSubfileType: a smaller copy, and the opacity of another page
_IMAGEJ_ORDER = "czt"
_MANY = 10**6  # planes; a file that claims more is damaged


@dataclass(frozen=True)
class Planes:
    """The frames of a TIFF.

    Attributes
    ----------
    frames : list of tuple of int
        The planes of each frame, one for each channel that is a page of its own.
    stack : Stack
        With the channels that are pages.
    is_contiguous : bool
        Whether the numbers of planes count parts of the data of the first page, which lie one behind the other, as
        ImageJ writes large stacks. Otherwise they count pages.
    masks : dict
        For some pages the page that holds their opacity.
    """

    frames: list[tuple[int, ...]]
    stack: Stack
    is_contiguous: bool
    masks: dict[int, int]


def planes_of(tiff: tifffile.TiffFile) -> Planes:
    """Return the frames of a TIFF."""
    n_pages = len(tiff.pages)
    for read in (_of_imagej, _of_ome, _of_tifffile):
        try:
            found = read(tiff, n_pages)
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError, ElementTree.ParseError):
            found = None  # a damaged description says nothing
        if found is not None:
            return found
    return _of_pages(tiff, n_pages)


def _of_pages(tiff: tifffile.TiffFile, n_pages: int) -> Planes:
    """Return each page as a frame, without smaller copies and masks."""
    pages, masks = [], {}
    kinds = [_kind_of_page(tiff, index) for index in range(n_pages)] if n_pages > 1 else [0]
    for index, kind in enumerate(kinds):
        if kind & _MASK and pages:
            masks.setdefault(pages[-1], index)
        elif not kind & (_REDUCED | _MASK):
            pages.append(index)
    pages = pages or [0]
    return Planes([(page,) for page in pages], Stack(slices=len(pages)), is_contiguous=False, masks=masks)


def _kind_of_page(tiff: tifffile.TiffFile, index: int) -> int:
    """Return NewSubfileType; 0 for a damaged page, which must not hide the others."""
    try:
        return int(tiff.pages[index].subfiletype)
    except Exception:  # tifffile raises a different type for each kind of damage
        return 0


def _in_order(axes: str, sizes: list[int], n_pages: int, tiff: tifffile.TiffFile) -> Planes | None:
    """Return frames of planes that follow each other, the last axis fastest; None if there are not as many planes."""
    n_planes = math.prod(sizes)
    if not 1 <= n_planes <= _MANY or min(sizes) < 1:
        return None
    is_contiguous = n_pages == 1 < n_planes and _holds(tiff, n_planes)
    if not is_contiguous and n_planes != n_pages:
        return None
    last = [axes.index(axis) for axis in "ZC" if axis in axes]
    first = [place for place in range(len(axes)) if place not in last]
    grid = np.arange(n_planes).reshape(sizes).transpose(first + last)
    n_slices, n_channels = (sizes[axes.index(axis)] if axis in axes else 1 for axis in "ZC")
    frames = [tuple(frame) for frame in grid.reshape(-1, n_channels).tolist()]
    return Planes(frames, Stack(n_channels, n_slices, len(frames) // n_slices), is_contiguous, {})


def _holds(tiff: tifffile.TiffFile, n_planes: int) -> bool:
    """Whether the planes can lie one behind the other from the beginning of the first page's data."""
    page = tiff.pages[0]
    return page.is_memmappable and page.dataoffsets[0] + n_planes * page.nbytes <= tiff.filehandle.size


def _of_imagej(tiff: tifffile.TiffFile, n_pages: int) -> Planes | None:
    description = tiff.pages[0].description
    if not description.startswith(("ImageJ=", "SCIFIO=")):
        return None
    found = tifffile.tifffile.imagej_description_metadata(description)
    sizes = {axis: int(found.get(key, 1)) for axis, key in zip("CZT", ("channels", "slices", "frames"), strict=True)}
    if tiff.pages[0].samplesperpixel == sizes["C"] and n_pages == sizes["Z"] * sizes["T"]:
        sizes["C"] = 1  # the samples of a page are called channels
    order = str(found.get("order", _IMAGEJ_ORDER)).lower()
    axes = (order if sorted(order) == sorted(_IMAGEJ_ORDER) else _IMAGEJ_ORDER)[::-1].upper()
    return _in_order(axes, [sizes[axis] for axis in axes], n_pages, tiff)


def _of_tifffile(tiff: tifffile.TiffFile, n_pages: int) -> Planes | None:
    """Read the JSON of shape and axes that tifffile writes."""
    page = tiff.pages[0]
    if not page.description.startswith("{") or '"shape"' not in page.description:
        return None
    found = json.loads(page.description)
    axes, shape = found.get("axes"), [int(size) for size in found["shape"]]
    if not isinstance(axes, str) or len(axes) != len(shape):
        axes = "Q" * len(shape)
    n_outer = len(shape) - page.ndim
    outer = axes[:n_outer]
    if n_outer < 1 or set("YXS") & set(outer) or max(outer.count("Z"), outer.count("C")) > 1:
        return None
    return _in_order(outer, shape[:n_outer], n_pages, tiff)


def _of_ome(tiff: tifffile.TiffFile, n_pages: int) -> Planes | None:
    """Read OME-XML. Only pages of this file count: what lies in others is counted with these."""
    description = tiff.pages[0].description
    if not description.rstrip().endswith("OME>") or "<!ENTITY" in description:
        return None
    root = ElementTree.fromstring(description)
    frames: list[tuple[int, ...]] = []
    stacks = []
    for pixels in (
        pixels for image in root if _name(image) == "Image" for pixels in image if _name(pixels) == "Pixels"
    ):
        found = _ome_frames(pixels, root.get("UUID"), tiff, n_pages)
        if found:
            frames += found[0]
            stacks.append(found[1])
    if not frames:
        return None
    return Planes(frames, stacks[0] if len(stacks) == 1 else Stack(stacks[0].channels, len(frames)), False, {})


def _name(element: ElementTree.Element) -> str:
    """Return the name of an element without its namespace."""
    return element.tag.rpartition("}")[2] if isinstance(element.tag, str) else ""


def _ome_frames(
    pixels: ElementTree.Element, own_uuid: str | None, tiff: tifffile.TiffFile, n_pages: int
) -> tuple[list[tuple[int, ...]], Stack] | None:
    """Return the frames of one image of OME-XML, without planes that this file lacks; None if it has none."""
    axes = pixels.attrib["DimensionOrder"][:1:-1]  # the last one is fastest: TZC of XYCZT
    sizes = {axis: int(pixels.attrib[f"Size{axis}"]) for axis in axes}
    samples = [int(e.get("SamplesPerPixel", 1)) for e in pixels if _name(e) == "Channel"]
    if samples and max(samples) > 1:
        sizes["C"] = max(sizes["C"] // samples[0], 1)
    n_planes = math.prod(sizes.values())
    if sorted(axes) != ["C", "T", "Z"] or not 1 <= n_planes <= _MANY:
        return None
    page_of = np.full(n_planes, -1)
    pairs = _ome_pages(pixels, axes, sizes, own_uuid, tiff, n_pages)
    for plane, page in islice(pairs, 2 * (n_planes + n_pages)):  # a damaged file may name each page many times
        if 0 <= plane < n_planes and 0 <= page < n_pages:
            page_of[plane] = page
    order = [axes.index(axis) for axis in "TZC"]
    grid = page_of.reshape([sizes[axis] for axis in axes]).transpose(order).reshape(-1, sizes["C"])
    present = grid[(grid >= 0).any(axis=1)]
    if not len(present):
        return None
    frames = [tuple(page for page in frame if page >= 0) for frame in present.tolist()]
    n_channels = len(frames[0])
    is_whole = len(present) == len(grid)
    return frames, Stack(n_channels, sizes["Z"], sizes["T"]) if is_whole else Stack(n_channels, len(frames))


def _ome_pages(
    pixels: ElementTree.Element,
    axes: str,
    sizes: dict[str, int],
    own_uuid: str | None,
    tiff: tifffile.TiffFile,
    n_pages: int,
) -> Iterator[tuple[int, int]]:
    """Yield number of plane and of page for the TiffData elements of an image that mean this file."""
    for element in (element for element in pixels if _name(element) == "TiffData"):
        uuid = next((child for child in element if _name(child) == "UUID"), None)
        if uuid is not None and not _is_own(uuid, own_uuid, tiff.filename):
            continue
        page = int(element.get("IFD", 0))
        place = [int(element.get(f"First{axis}", 0)) for axis in axes]
        start = int(np.ravel_multi_index(place, [sizes[axis] for axis in axes]))
        count = int(element.get("PlaneCount", element.get("NumPlanes", 1 if "IFD" in element.attrib else n_pages)))
        yield from ((start + k, page + k) for k in range(min(count, n_pages)))


def _is_own(uuid: ElementTree.Element, own_uuid: str | None, filename: str) -> bool:
    """Whether a UUID element means this file. A file that was renamed is known by its UUID."""
    return (own_uuid is not None and uuid.text == own_uuid) or uuid.get("FileName", "").lower() == filename.lower()
