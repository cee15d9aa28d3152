"""Recognise image files by their first bytes. This module imports nothing slow, so that folders are listed quickly."""

from pathlib import Path

START = 132
"""So many first bytes of a file are enough."""
AVIF, BMP, DICOM, GIF, HEIF, JPEG, PNG, TIFF, WEBP = (
    "AVIF",
    "BMP",
    "DICOM",
    "GIF",
    "HEIF",
    "JPEG",
    "PNG",
    "TIFF",
    "WebP",
)
_MAGIC = (
    (b"\xff\xd8\xff", JPEG),
    (b"\x89PNG\r\n\x1a\n", PNG),
    (b"GIF87a", GIF),
    (b"GIF89a", GIF),
    (b"II*\0", TIFF),
    (b"MM\0*", TIFF),
    (b"II+\0", TIFF),
    (b"MM\0+", TIFF),
)
_BMP_HEADER_SIZES = (12, 16, 40, 52, 56, 64, 108, 124)
_DICOM_TYPES = (b"AE", b"CS", b"DA", b"IS", b"LO", b"OB", b"SH", b"TM", b"UI", b"UL", b"US")


def kind_of_file(path: Path) -> str | None:
    """Return what `kind_of` says of a file; None if it cannot be opened."""
    try:
        with path.open("rb") as file:
            return kind_of(file.read(START))
    except OSError:
        return None


def kind_of(start: bytes) -> str | None:
    """Return the format of a file from its first `START` bytes, or None if it is none of those that are read."""
    if start[128:132] == b"DICM":  # first, because some programs write the beginning of a TIFF into the preamble
        return DICOM
    for magic, kind in _MAGIC:
        if start.startswith(magic):
            return kind
    if start[:4] == b"RIFF" and start[8:12] == b"WEBP":
        return WEBP
    if start[:2] == b"BM" and int.from_bytes(start[14:18], "little") in _BMP_HEADER_SIZES:
        return BMP
    if start[4:8] == b"ftyp":
        return _kind_of_brands(start)
    return DICOM if _begins_as_dicom(start) else None


def _kind_of_brands(start: bytes) -> str | None:
    """Tell AVIF from HEIF, and both from films, by the brands of the first box (ISO/IEC 14496-12, 4.3)."""
    end = min(int.from_bytes(start[:4], "big"), len(start))
    brands = {start[8:12], *(start[place : place + 4] for place in range(16, end, 4))}
    if brands & {b"avif", b"avis"}:
        return AVIF
    return HEIF if brands & {b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1"} else None


def _begins_as_dicom(start: bytes) -> bool:
    """Whether a file is DICOM without preamble: it begins with an element of group 2 or 8 (PS3.5, 7.1)."""
    for order in ("little", "big"):
        group, element = (int.from_bytes(start[place : place + 2], order) for place in (0, 2))
        if group in (2, 8) and element < 0x100 and start[4:6] in _DICOM_TYPES:
            return True
    length = int.from_bytes(start[4:8], "little")  # elements without a type: only of group 8, and little-endian
    return start[:2] == start[8 + length : 10 + length] == b"\x08\0" and length % 2 == 0
