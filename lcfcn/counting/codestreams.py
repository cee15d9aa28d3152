"""The sizes that compressed images claim for themselves, read without decoding.

A file of a few bytes can hold an image that needs gigabytes, although the header around it claims a small one. So the
size inside is compared with the size outside before anything is decoded.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

_MARKER_IN_DATA = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")  # stuffed bytes and restart markers are part of the data
_ALONE = (0x00, 0x01, *range(0xD0, 0xD9))  # markers without a length
_START_OF_DATA, _END = 0xDA, 0xD9
_PROGRESSIVE = 0xC2
_FRAME_HEADERS = (*range(0xC0, 0xC4), *range(0xC5, 0xC8), *range(0xC9, 0xCC), *range(0xCD, 0xD0), 0xF7)
_JPEG2000 = b"\xff\x4f\xff\x51"
_ALWAYS_ALLOWED = 2**26  # values; tiles may be larger than a small image


class EncodedSize(NamedTuple):
    """Rows, columns and channels of a compressed image."""

    height: int
    width: int
    channels: int

    @property
    def n_values(self) -> int:
        """How many numbers it has when it is decoded."""
        return self.height * self.width * self.channels


def encoded_size(data: bytes) -> EncodedSize | None:
    """Return the size of a JPEG, JPEG-LS, JPEG 2000, PNG, WebP or LERC image; None if it cannot be told."""
    if data[:2] == b"\xff\xd8":
        return _jpeg_size(data)
    if data[:8] == b"\x89PNG\r\n\x1a\n":
        return EncodedSize(int.from_bytes(data[20:24], "big"), int.from_bytes(data[16:20], "big"), 4)
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return _webp_size(data)
    if data[:6] == b"Lerc2 ":
        return _lerc_size(data)
    return _jpeg2000_size(data)


def is_too_large(n_values: int, expected: int) -> bool:
    """Whether decoding needs far more memory than is expected."""
    return n_values > max(4 * expected, _ALWAYS_ALLOWED)


def jpeg_segments(data: bytes) -> Iterator[tuple[int, int]]:
    """Yield marker and place behind the marker of each segment of a JPEG, in order, up to its end."""
    place = 2
    while (place := data.find(b"\xff", place)) >= 0 and place + 1 < len(data):
        marker = data[place + 1]
        if marker == 0xFF:  # any number of these may come before a marker
            place += 1
            continue
        place += 2
        yield marker, place
        if marker == _END:
            return
        if marker not in _ALONE:
            place += max(int.from_bytes(data[place : place + 2], "big"), 2)
        if marker == _START_OF_DATA:
            found = _MARKER_IN_DATA.search(data, place)
            place = found.start() if found else len(data)


def end_of_jpeg(data: bytes) -> int | None:
    """Return the place of a JPEG's end marker; None if it has none."""
    return next((place - 2 for marker, place in jpeg_segments(data) if marker == _END), None)


def has_all_scans(data: bytes) -> bool:
    """Whether the scans of a progressive JPEG bring every coefficient to its last bit (ITU-T T.81, G.1.1.1).

    Other JPEG files have one scan of each component, of which the decoder reports a lack.
    """
    bits_left: dict[tuple[int, int], int] = {}
    for marker, place in jpeg_segments(data):
        if marker in _FRAME_HEADERS:
            if marker != _PROGRESSIVE:
                return True
            components = data[place + 8 : place + 8 + 3 * data[place + 7] : 3]
            bits_left = dict.fromkeys(((component, k) for component in components for k in range(64)), 1)
        elif marker == _START_OF_DATA:
            end = place + int.from_bytes(data[place : place + 2], "big")
            if end > len(data):
                return False
            components = data[place + 3 : end - 3 : 2]
            first, last, bits = data[end - 3 : end]
            bits_left.update(((component, k), bits & 15) for component in components for k in range(first, last + 1))
    return not any(bits_left.values())


def _jpeg_size(data: bytes) -> EncodedSize | None:
    for marker, place in jpeg_segments(data):
        if marker in _FRAME_HEADERS:
            height, width = (int.from_bytes(data[at : at + 2], "big") for at in (place + 3, place + 5))
            return EncodedSize(height, width, int.from_bytes(data[place + 7 : place + 8], "big"))
    return None


def _jpeg2000_size(data: bytes) -> EncodedSize | None:
    """Read the SIZ segments (ISO/IEC 15444-1, A.5.1). The largest counts, wherever in the boxes it is."""
    sizes = []
    place = -1
    while (place := data.find(_JPEG2000, place + 1)) >= 0:
        start = place + len(_JPEG2000) + 4
        width, height, left, top = (int.from_bytes(data[at : at + 4], "big") for at in range(start, start + 16, 4))
        sizes.append(EncodedSize(height - top, width - left, int.from_bytes(data[start + 32 : start + 34], "big")))
    return max(sizes, key=lambda size: size.n_values, default=None)


def _webp_size(data: bytes) -> EncodedSize | None:
    """Read the first chunk (RFC 9649, sections 2.5 to 2.7)."""
    chunk, body = data[12:16], data[20:30]
    bits = int.from_bytes(body[1:5], "little")
    sizes = {
        b"VP8X": (int.from_bytes(body[7:10], "little") + 1, int.from_bytes(body[4:7], "little") + 1),
        b"VP8L": ((bits >> 14 & 0x3FFF) + 1, (bits & 0x3FFF) + 1),
        b"VP8 ": (int.from_bytes(body[8:10], "little") & 0x3FFF, int.from_bytes(body[6:8], "little") & 0x3FFF),
    }
    return EncodedSize(*sizes[chunk], 4) if chunk in sizes else None


def _lerc_size(data: bytes) -> EncodedSize:
    """Read the header of LERC 2: name, version, since version 3 a checksum, rows, columns, since version 4 a depth."""
    version, *numbers = (int.from_bytes(data[at : at + 4], "little") for at in range(6, 30, 4))
    rows, columns, depth = numbers[1:4] if version >= 3 else numbers[:3]
    return EncodedSize(rows, columns, depth if version >= 4 else 1)
