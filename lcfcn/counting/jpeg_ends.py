"""Decode JPEG files whose end is missing, and tell those that lack only the end marker from those that lack rows.

Pillow refuses both. libjpeg, below it, paints missing rows grey, or decodes what stands behind the data. So a JPEG in
doubt is decoded several times, with different bytes behind its data. If these change the picture, rows are missing.
"""

import io
from pathlib import Path

import numpy as np
from PIL import Image, ImageFile, JpegImagePlugin

from lcfcn.counting.codestreams import end_of_jpeg, has_all_scans

_END_OF_JPEG = b"\xff\xd9"
_NOISE = (b"\x5a" * 512, bytes(97 * k % 251 + 1 for k in range(1, 512)), bytes(151 * k % 247 + 4 for k in range(512)))
"""Bytes without markers. One alone may by chance mean the same as the zeros that libjpeg takes at an end."""
_GREY = 128  # of missing rows


def whole_jpeg(image: ImageFile.ImageFile, path: Path, remarks: list[str]) -> Image.Image:
    """Decode a JPEG, also one that lacks only its end marker.

    Raises
    ------
    ValueError
        If rows are missing. libjpeg paints them grey, or decodes what stands behind the data, and reports no error.
    """
    try:
        image.load()
        is_loaded = True
    except OSError:
        is_loaded = False
    has_end = _ends_as_jpeg(path) or end_of_jpeg(path.read_bytes()) is not None
    if is_loaded and has_end and not _ends_grey(image):
        return image
    data = path.read_bytes()
    end = end_of_jpeg(data)
    if is_loaded and end is not None and _is_complete(data[:end]):
        return image
    data = _without_padding(data if end is None else data[:end])
    if not _is_complete(data):
        raise ValueError("it is cut off: rows are missing")
    remarks.append("it has no end marker, though all its rows are there")
    return _decoded(data + _END_OF_JPEG)


def _ends_as_jpeg(path: Path) -> bool:
    """Whether the last two bytes of a file are the end marker, as in nearly all JPEG files."""
    with path.open("rb") as file:
        file.seek(-len(_END_OF_JPEG), 2)
        return file.read() == _END_OF_JPEG


def _ends_grey(image: Image.Image) -> bool:
    """Whether the last row is all of the grey that libjpeg paints where a JPEG has no data."""
    return bool((np.asarray(image.crop((0, image.height - 1, image.width, image.height))) == _GREY).all())


def _without_padding(data: bytes) -> bytes:
    """Return a JPEG without zeros at its end, which would be decoded as pixels, and without half an end marker."""
    stripped = data.rstrip(b"\0")
    if len(stripped) == len(data):
        return data.removesuffix(b"\xff")
    return stripped + b"\0" if stripped.endswith(b"\xff") else stripped  # 0xFF is written as FF 00


def _is_complete(data: bytes) -> bool:
    """Whether a JPEG without its end marker has all its data: more bytes make no difference to the picture then."""
    if not has_all_scans(data):
        return False
    # libjpeg waits for the restart marker whose turn it is, or skips one or two: two orders bring each in time.
    markers = [bytes((0xFF, 0xD0 + k % 8)) for k in range(12)]
    fillings = [noise + b"".join(m + noise for m in markers[4 * (k % 2) :]) for k, noise in enumerate(_NOISE)]
    plain, *filled = (_decoded(data + filling + _END_OF_JPEG).tobytes() for filling in (b"", *fillings))
    return all(pixels == plain for pixels in filled)


def _decoded(data: bytes) -> Image.Image:
    image = JpegImagePlugin.JpegImageFile(io.BytesIO(data))
    image.load()
    return image
