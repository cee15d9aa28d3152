"""Read TIFF files with tifffile: any type of number, channels, slices, tiles, and what maps call nodata."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import tifffile

from lcfcn.counting.codestreams import encoded_size, is_too_large
from lcfcn.counting.raster import MAX_BYTES, Opened, Raster, Stack, check_frame, choose_channels, take_channels
from lcfcn.counting.tiff_planes import Planes, planes_of

_ORIENTATION, _NODATA = 274, 42113  # tags: of TIFF, and GDAL's
_PHOTOMETRICS = ("MINISWHITE", "MINISBLACK", "RGB", "PALETTE", "YCBCR")
_JPEG = (6, 7, 33007, 34892)  # whose decoder gives RGB
_BOUNDED = (1, 2, 3, 4, 5, 8, 32773, 32946, 34925, 34926, 50000, 50013)
"""Compressions whose decoder is told how much may come out: none, fax, LZW, deflate, packbits, LZMA, Zstandard."""
_SIZED = (*_JPEG, 33003, 33004, 33005, 34712, 34887, 34927, 34933, 50001)
"""Compressions whose data say their size: JPEG, JPEG 2000, LERC, WebP, PNG."""
_HEAD = 2**16  # bytes of a tile in which its size stands


@contextmanager
def open_tiff(path: Path, frame: int) -> Iterator[Opened]:
    """Open a TIFF file; see `Opened`."""
    with tifffile.TiffFile(path) as tiff:
        planes = planes_of(tiff)
        check_frame(frame, planes.stack.n_frames)
        reader = _FrameReader(tiff, planes, planes.frames[frame])
        page = reader.page
        orientation = page.tags.valueof(_ORIENTATION, 1)
        orientation = orientation if orientation in range(1, 9) else 1
        yield Opened(page.imagelength, page.imagewidth, orientation, reader.stack, reader.raster, reader.values)


class _FrameReader:
    """Decodes the planes of one frame."""

    def __init__(self, tiff: tifffile.TiffFile, planes: Planes, frame: tuple[int, ...]) -> None:
        self._tiff, self._planes, self._frame = tiff, planes, frame
        self.page = page = tiff.pages[0 if planes.is_contiguous else frame[0]]
        _check_header(page)
        ends = [start + length for start, length in zip(page.dataoffsets, page.databytecounts, strict=True)]
        if not ends or max(ends) > tiff.filehandle.size:
            raise ValueError("it is cut off")
        self._alpha = (
            {1: "associated", 2: "unassociated"}.get(int(page.extrasamples[-1])) if page.extrasamples else None
        )
        self._is_rgb = page.photometric.name in ("RGB", "YCBCR", "PALETTE")
        self._n_samples = page.samplesperpixel - (self._alpha is not None)

    @property
    def stack(self) -> Stack:
        """What the file holds; samples that are no colours are channels too."""
        found = self._planes.stack
        return Stack(found.channels * (1 if self._is_rgb else self._n_samples), found.slices, found.times)

    def values(self) -> np.ndarray:
        """Return the values of all channels, (H, W) or (H, W, C)."""
        planes = [self._plane(number) for number in self._frame]
        return planes[0] if len(planes) == 1 else np.dstack(planes)

    def raster(self, channels: Sequence[int] | None, remarks: list[str]) -> Raster:
        """Return the wanted channels."""
        page = self.page
        if page.photometric.name == "PALETTE":
            return self._palette_raster(channels, remarks)
        is_one_picture = self._is_rgb and len(self._frame) == 1
        n_channels = self._n_samples * len(self._frame)
        chosen = choose_channels(n_channels, channels, remarks, is_rgb=is_one_picture)
        pages = list(dict.fromkeys(channel // self._n_samples for channel in chosen))
        planes = {page: self._plane(self._frame[page]) for page in pages}
        alpha = self._opacity(planes[pages[0]])
        if len(pages) == 1:
            values = planes[pages[0]][..., : self._n_samples] if self._alpha else planes[pages[0]]
            values = take_channels(values, [channel % self._n_samples for channel in chosen])
        else:
            parts = [np.atleast_3d(planes[k // self._n_samples])[..., k % self._n_samples] for k in chosen]
            values = np.stack(parts, axis=-1)
        if page.bitspersample in range(2, 8):
            values = (values * (255.0 / (2**page.bitspersample - 1))).round().astype(np.uint8)
        return Raster(
            values,
            chosen,
            is_rgb=self._is_rgb and len(pages) == 1,
            alpha=alpha,
            is_multiplied=self._alpha == "associated",
            nodata=_nodata(page),
            is_inverted=page.photometric.name == "MINISWHITE",
        )

    def _palette_raster(self, channels: Sequence[int] | None, remarks: list[str]) -> Raster:
        if len(self._frame) > 1:
            raise ValueError("its channels have palettes; save it as grey values or as RGB")
        rgb = _palette(self.page.colormap)[self._plane(self._frame[0])]
        chosen = choose_channels(3, channels, remarks, is_rgb=True)
        return Raster(take_channels(rgb, chosen), chosen, is_rgb=True)

    def _opacity(self, plane: np.ndarray) -> np.ndarray | None:
        """Return the opacity that stands beside the colours or in a page of its own."""
        if self._alpha is not None:
            return plane[..., -1]
        mask = self._planes.masks.get(self._frame[0])
        if mask is None or self._tiff.pages[mask].shape != plane.shape[:2]:
            return None
        return self._decoded(self._tiff.pages[mask]) != 0

    def _plane(self, number: int) -> np.ndarray:
        """Return the values of one plane, (H, W) or (H, W, C)."""
        if self._planes.is_contiguous:
            _check_layout(self.page)
            offset = self.page.dataoffsets[0] + number * self.page.nbytes
            dtype = self.page.dtype.newbyteorder(self._tiff.byteorder)
            values = np.fromfile(self._tiff.filehandle.path, dtype, self.page.size, offset=offset)
            values = values.astype(self.page.dtype).reshape(self.page.shape)
        else:
            values = self._decoded(self._tiff.pages[number])
        if values.shape != self.page.shape or values.dtype != self.page.dtype:
            raise ValueError("its channels differ in size or type")
        return np.moveaxis(values, 0, -1) if self.page.axes == "SYX" else values

    def _decoded(self, page: tifffile.TiffPage) -> np.ndarray:
        _check_header(page)
        _check_layout(page)
        _check_tiles(page)
        return page.asarray()


def _check_header(page: tifffile.TiffPage) -> None:
    """Raise ValueError if a number in the header of a damaged file is none."""
    numbers = (
        page.imagelength,
        page.imagewidth,
        page.tilelength,
        page.tilewidth,
        page.samplesperpixel,
        page.rowsperstrip,
    )
    if not all(isinstance(number, int) for number in numbers):
        raise ValueError("its header is damaged")


def _check_layout(page: tifffile.TiffPage) -> None:
    """Raise ValueError if the colours, axes or channels are none that are read."""
    name = page.photometric.name
    if name not in (*_PHOTOMETRICS, "MASK") or (name == "YCBCR" and page.compression not in _JPEG):
        raise ValueError(f"its colours are stored as {name}; save it as RGB")
    if page.axes not in ("YX", "YXS", "SYX"):
        raise ValueError(f"its axes are {page.axes}; save it as planes")
    if page.nbytes > MAX_BYTES:
        raise ValueError(f"its {page.samplesperpixel} channels take {page.nbytes} bytes, above {MAX_BYTES}")


def _check_tiles(page: tifffile.TiffPage) -> None:
    """Raise ValueError if a tile is far larger than the image, or holds an image that is far larger than the tile."""
    n_samples = page.samplesperpixel if page.planarconfig == 1 else 1
    shape = (page.tilelength, page.tilewidth) if page.is_tiled else (page.imagelength, page.imagewidth)
    n_values = shape[0] * shape[1] * n_samples
    if is_too_large(n_values, page.imagelength * page.imagewidth * n_samples):
        raise ValueError(f"it has {page.imagelength} x {page.imagewidth} pixels, and a tile {shape[0]} x {shape[1]}")
    if page.compression in _SIZED:
        for start, length in zip(page.dataoffsets, page.databytecounts, strict=True):
            if length:
                _check_segment(page, start, length, n_values)
    elif page.compression not in _BOUNDED:
        name = getattr(page.compression, "name", page.compression)
        raise ValueError(f"its compression {name} is not read; save it with LZW or deflate")


def _check_segment(page: tifffile.TiffPage, start: int, length: int, n_values: int) -> None:
    """Raise ValueError if a compressed tile or strip claims to be far larger than it may be."""
    file = page.parent.filehandle
    file.seek(start)
    head = (page.jpegheader or b"") + file.read(min(length, _HEAD))
    size = encoded_size(head)
    if size is None and length > _HEAD:
        file.seek(start)
        size = encoded_size((page.jpegheader or b"") + file.read(length))
    if size is None:
        raise ValueError("a compressed tile does not say its size")
    if is_too_large(size.n_values, n_values):
        raise ValueError(
            f"it has {page.imagelength} x {page.imagewidth} pixels, and a packed tile {size.height} x {size.width}"
        )


def _palette(colormap: np.ndarray) -> np.ndarray:
    """Return (n, 3) uint8 colours of a (3, n) uint16 map. Some programs write 8 bits into its 16."""
    return (colormap >> 8 if colormap.max() > 255 else colormap).astype(np.uint8).T


def _nodata(page: tifffile.TiffPage) -> float | None:
    """Return the value that means that nothing was measured, as GDAL writes it: text such as "-9999" or "nan"."""
    words = str(page.tags.valueof(_NODATA, "")).replace("\0", " ").split()
    try:
        return float(words[0]) if words else None
    except ValueError:
        return None
