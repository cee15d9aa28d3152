"""Read the formats that Pillow knows: JPEG, PNG, BMP, GIF, WebP, AVIF, and HEIF with pillow-heif.

Pillow checks its own limit of pixels in `Image.open`. That limit is global, and other code may need it. Here the class
of each format is called directly, so the limit is `max_pixels`, and nothing global changes.
"""

import importlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image, ImageFile, features

from lcfcn.counting import image_formats
from lcfcn.counting.jpeg_ends import whole_jpeg
from lcfcn.counting.raster import Opened, Raster, Stack, check_frame, choose_channels, take_channels
from lcfcn.counting.stretching import NO_OPACITY, bands, lay_on_white

_CODECS = {image_formats.WEBP: "webp", image_formats.AVIF: "avif"}  # not every Pillow has these
_ORIENTATION = 274  # the tag of EXIF


@contextmanager
def open_by_pillow(path: Path, kind: str, frame: int, max_pixels: int) -> Iterator[Opened]:
    """Open an image file of a format of `lcfcn.counting.image_formats`; see `Opened`."""
    with path.open("rb") as file:
        is_deep = kind == image_formats.PNG and file.read(25)[24:] == b"\x10"  # Pillow keeps 8 of 16 bits a colour
        file.seek(0)
        image = _class_of(kind)(file)
        n_frames = getattr(image, "n_frames", 1)
        check_frame(frame, n_frames)
        _seek(image, frame, max_pixels)

        def raster(channels: Sequence[int] | None, remarks: list[str]) -> Raster:
            if is_deep:
                return _deep_png(_png_values(path), channels, remarks)
            if kind == image_formats.JPEG:
                return colour_raster(pillow_pixels(whole_jpeg(image, path, remarks), remarks), channels, remarks)
            return colour_raster(pillow_pixels(image, remarks), channels, remarks)

        def values() -> np.ndarray:
            return _png_values(path) if is_deep else np.asarray(image)

        stack = Stack(times=n_frames)
        yield Opened(image.height, image.width, _exif_orientation(image), stack, raster, values)


def _class_of(kind: str) -> type[ImageFile.ImageFile]:
    if kind == image_formats.HEIF:
        from pillow_heif import HeifImageFile  # an extra: few people have such files

        return HeifImageFile
    if kind in _CODECS and not features.check(_CODECS[kind]):
        raise ValueError(f"this Pillow cannot read {kind}: pip install -U pillow")
    name = kind.capitalize() if kind != image_formats.WEBP else kind
    return getattr(importlib.import_module(f"PIL.{name}ImagePlugin"), f"{name}ImageFile")


def _seek(image: ImageFile.ImageFile, frame: int, max_pixels: int) -> None:
    """Go to a frame. GIF decodes the frames before it, and each may be larger than the first."""
    for index in range(1, frame + 1):
        if image.height * image.width > max_pixels:
            return  # which is reported as for other files
        image.seek(index)


def _exif_orientation(image: ImageFile.ImageFile) -> int:
    """Return 1 to 8; 1 for a damaged EXIF block. EXIF behind the pixels of a PNG is not looked for."""
    exif = Image.Exif()
    try:
        exif.load(image.info.get("exif", b""))
        orientation = exif.get(_ORIENTATION, 1)
    except Exception:  # Pillow raises a different type for each kind of damage
        return 1
    return orientation if orientation in range(1, 9) else 1


def colour_raster(rgb: np.ndarray, channels: Sequence[int] | None, remarks: list[str]) -> Raster:
    """Return the raster of an (H, W, 3) uint8 image with the wanted channels."""
    chosen = choose_channels(3, channels, remarks, is_rgb=True)
    return Raster(take_channels(rgb, chosen), chosen, is_rgb=True)


def pillow_pixels(image: Image.Image, remarks: list[str]) -> np.ndarray:
    """Return the (H, W, 3) uint8 image of a PIL image of 8 bits; transparent pixels lie on white.

    It is converted in bands, because Pillow's own conversion to an array holds three copies of the image.
    """
    image.load()
    mode = "RGBA" if image.has_transparency_data else "RGB"
    all_bands = list(bands(image.height, image.width))
    is_opaque = mode == "RGB" or not any(_band(image, rows, mode)[..., 3].any() for rows in all_bands)
    if is_opaque and mode == "RGBA":
        remarks.append(NO_OPACITY)
    rgb = np.empty((image.height, image.width, 3), dtype=np.uint8)
    for rows in all_bands:
        band = _band(image, rows, mode)
        rgb[rows] = band[..., :3]
        if not is_opaque:
            lay_on_white(rgb[rows], band[..., 3])
    return rgb


def _band(image: Image.Image, rows: slice, mode: str) -> np.ndarray:
    return np.asarray(image.crop((0, rows.start, image.width, rows.stop)).convert(mode))


def _png_values(path: Path) -> np.ndarray:
    import imagecodecs  # here, because only few PNG files have 16 bits

    return imagecodecs.png_decode(path.read_bytes())


def _deep_png(values: np.ndarray, channels: Sequence[int] | None, remarks: list[str]) -> Raster:
    """Return the raster of a PNG of 16 bits: grey or RGB, each with or without opacity."""
    n_channels = values.shape[2] if values.ndim == 3 else 1
    has_alpha = n_channels in (2, 4)
    colours = values[..., : n_channels - has_alpha] if values.ndim == 3 else values[..., None]
    chosen = choose_channels(colours.shape[2], channels, remarks, is_rgb=True)
    alpha = values[..., -1] if has_alpha else None
    return Raster(take_channels(colours, chosen), chosen, is_rgb=True, alpha=alpha)
