"""Image files against geometry, numpy, Pillow and pydicom's own files; nothing is downloaded."""

import contextlib
import io
import itertools
import logging
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pydicom
import pytest
import tifffile
from helpers_data import ROOT
from PIL import Image, ImageOps
from pydicom.data import get_testdata_file

from lcfcn.counting import raster, stretching
from lcfcn.counting.defaults import IMAGE_SUFFIXES, MAX_PIXELS
from lcfcn.counting.image_files import ImageError, image_of_array, image_of_pillow, image_size, read_image, read_values
from lcfcn.errors import UserError

NOISE = np.random.default_rng(0).integers(0, 256, (30, 40, 3), dtype=np.uint8)
DEEP = np.random.default_rng(1).integers(300, 3000, (30, 40), dtype=np.uint16)


def refused(path, **options):
    """The one line of the error, which names the file."""
    with pytest.raises(ImageError) as error:
        read_image(path, **options)
    message = str(error.value)
    assert "\n" not in message
    assert str(path) in message
    assert len(message) < 400 + len(str(path))
    return message


def read(path, **options):
    """Read, and check what holds for all images."""
    image = read_image(path, **options)
    assert (image.dtype, image.ndim, image.shape[2]) == (np.uint8, 3, 3)
    assert image.flags.c_contiguous
    if not options.get("frame"):
        assert image_size(path) == image.shape[:2]
    return image


def stretched(values):
    """The rule for more than 8 bits, written plainly."""
    low, high = np.percentile(values, (0.1, 99.9))
    return np.round(255 * np.clip((values - low) / (high - low), 0, 1))


def close(a, b):
    return np.abs(a.astype(float) - b).max() <= 1


def grey(image):
    assert (image[..., 0] == image[..., 1]).all()
    assert (image[..., 0] == image[..., 2]).all()
    return image[..., 0]


def dicom_file(name):
    return get_testdata_file(name, download=False)


def test_what_is_public():
    assert MAX_PIXELS == 500_000_000
    assert list(IMAGE_SUFFIXES) == sorted(IMAGE_SUFFIXES)
    assert {".jpg", ".jpeg", ".png", ".tif", ".tiff", ".dcm"} <= set(IMAGE_SUFFIXES)
    assert issubclass(ImageError, UserError)


def test_images_are_read_nowhere_else():
    calls = ("Image.open", "imread", "dcmread", "TiffFile(", "ImageFile(")
    folders = [ROOT / name for name in ("lcfcn", "src", "scripts")]
    files = sorted([*(path for folder in folders for path in folder.rglob("*.py")), ROOT / "trainval.py"])
    found = [path.name for path in files for call in calls if call in path.read_text(encoding="utf-8")]
    allowed = {"dicom_files.py", "jpeg_ends.py", "pillow_files.py", "tiff_files.py"}
    assert set(found) == allowed | {"image_metadata.py"}  # which reads the size of a pixel


# 8 bits


@pytest.mark.parametrize("suffix", ["png", "bmp", "tif"])
def test_8_bits_stay_as_they_are(tmp_path, suffix):
    """Dim values too: nothing is stretched."""
    for number, image in enumerate((NOISE, NOISE // 9 + 7)):
        path = tmp_path / f"a{number}.{suffix}"
        Image.fromarray(image).save(path)
        assert (read(path) == image).all()
        assert (read(str(path)) == image).all()
        Image.fromarray(image[..., 1]).save(path)
        assert (grey(read(path)) == image[..., 1]).all()


def test_jpeg_is_what_pillow_decodes(tmp_path):
    for mode in ("RGB", "L", "CMYK"):
        path = tmp_path / f"{mode}.jpg"
        Image.fromarray(NOISE).convert(mode).save(path)
        with Image.open(path) as image:
            assert (read(path) == np.asarray(image.convert("RGB"))).all()


def test_content_decides_not_the_name(tmp_path):
    for name in ("no_suffix", "wrong.jpg", "ünï cødé.dcm"):
        Image.fromarray(NOISE).save(tmp_path / name, format="PNG")
        assert (read(tmp_path / name) == NOISE).all()


def test_palette_and_one_bit(tmp_path):
    for suffix in ("png", "bmp", "tif"):
        path = tmp_path / f"a.{suffix}"
        palette = Image.fromarray(NOISE).quantize(16)
        palette.save(path)
        assert (read(path) == np.asarray(palette.convert("RGB"))).all()
        bits = NOISE[..., 0] > 99
        Image.fromarray(bits).save(path)
        assert (grey(read(path)) == 255 * bits).all()


def test_transparent_lies_on_white(tmp_path):
    alpha = np.linspace(0, 255, 40).round().astype(np.uint8) * np.ones((30, 1), np.uint8)
    share = alpha[..., None] / 255
    expected = NOISE * share + 255 * (1 - share)
    with_alpha = np.dstack([NOISE, alpha])
    for suffix in ("png", "tif"):
        Image.fromarray(with_alpha).save(tmp_path / f"a.{suffix}")
        image = read(tmp_path / f"a.{suffix}")
        assert close(image, expected)
        assert (image[:, 0] == 255).all()
        assert (image[:, -1] == NOISE[:, -1]).all()
    Image.fromarray(np.dstack([NOISE[..., 0], alpha])).save(tmp_path / "la.png")
    assert close(grey(read(tmp_path / "la.png")), expected[..., 0])
    multiplied = np.dstack([(NOISE * share).round().astype(np.uint8), alpha])
    tifffile.imwrite(tmp_path / "m.tif", multiplied, photometric="rgb", extrasamples=["assocalpha"])
    assert close(read(tmp_path / "m.tif"), expected)
    palette = Image.new("P", (2, 1))
    palette.putpalette([10, 20, 30, 40, 50, 60])
    palette.putpixel((1, 0), 1)
    palette.save(tmp_path / "p.png", transparency=0)
    assert read(tmp_path / "p.png").tolist() == [[[255, 255, 255], [40, 50, 60]]]


def test_a_large_image_is_converted_in_bands(tmp_path, monkeypatch):
    """With bands of three rows, of which the last is cut, the values are the same."""
    Image.fromarray(NOISE).save(tmp_path / "a.png")
    tifffile.imwrite(tmp_path / "a.tif", DEEP)
    whole = [read(tmp_path / name) for name in ("a.png", "a.tif")]
    monkeypatch.setattr(stretching, "_BAND", 4 * 40 + 1)
    assert all((read(tmp_path / name) == image).all() for name, image in zip(("a.png", "a.tif"), whole, strict=True))


# Orientation


CORNERS = np.zeros((20, 30, 3), np.uint8)
CORNERS[:10, :10] = 255, 0, 0  # top left
CORNERS[:10, 20:] = 0, 255, 0  # top right
CORNERS[10:, :10] = 0, 0, 255  # bottom left


def where(image):
    """Rows and columns of the centres of red, green and blue, as shares of the image, to a tenth."""
    centres = []
    for channel in range(3):
        mask = (image[..., channel] > 128) & (image.sum(axis=2) < 400)
        centres.append(
            [
                round(float((index.mean() + 0.5) / side), 1)
                for index, side in zip(mask.nonzero(), (*mask.shape,), strict=True)
            ]
        )
    return centres


# What EXIF says of row 0 and column 0 as stored: where they lie as one looks at the image.
SIDES = {
    1: ("top", "left"),
    2: ("top", "right"),
    3: ("bottom", "right"),
    4: ("bottom", "left"),
    5: ("left", "top"),
    6: ("right", "top"),
    7: ("right", "bottom"),
    8: ("left", "bottom"),
}


def seen(orientation):
    """Where the stored corners (0, 0), (0, end) and (end, 0) are seen: (row is at the end, column is at the end)."""
    opposite = {"top": "bottom", "bottom": "top", "left": "right", "right": "left"}
    row0, col0 = SIDES[orientation]
    corners = [{row0, col0}, {row0, opposite[col0]}, {opposite[row0], col0}]
    return [("bottom" in sides, "right" in sides) for sides in corners]


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", ["jpg", "png", "tif"])
def test_orientation_against_geometry(tmp_path, orientation, suffix):
    path = tmp_path / f"a.{suffix}"
    exif = Image.Exif()
    exif[274] = orientation
    if suffix == "tif":
        tifffile.imwrite(path, CORNERS, photometric="rgb", extratags=[(274, 3, 1, orientation, True)])
    else:
        Image.fromarray(CORNERS).save(path, exif=exif, quality=95)
    image = read(path)
    assert image.shape == ((20, 30, 3) if orientation < 5 else (30, 20, 3))
    assert [(row > 0.5, col > 0.5) for row, col in where(image)] == seen(orientation)
    with Image.open(path) as stored:
        assert close(image, np.asarray(ImageOps.exif_transpose(stored).convert("RGB"), dtype=float))


def test_a_damaged_orientation_is_none(tmp_path):
    path = tmp_path / "a.png"
    exif = Image.Exif()
    for value in (0, 9, 65535):
        exif[274] = value
        Image.fromarray(CORNERS).save(path, exif=exif)
        assert (read(path) == CORNERS).all()
    for block in (b"Exif\0\0", b"Exif\0\0II*\0\xff\xff\xff\xff", b"Exif\0\0MM\0*\0\0\0\x08\0\x09" + b"\xff" * 40):
        Image.fromarray(CORNERS).save(path, exif=block)
        assert (read(path) == CORNERS).all()


# More than 8 bits


def test_16_bits_are_stretched(tmp_path):
    Image.fromarray(DEEP).save(tmp_path / "a.png")
    tifffile.imwrite(tmp_path / "a.tif", DEEP)
    tifffile.imwrite(tmp_path / "big.tif", DEEP, byteorder=">", bigtiff=True)
    for name in ("a.png", "a.tif", "big.tif"):
        values = grey(read(tmp_path / name))
        assert close(values, stretched(DEEP))
        assert (values.min(), values.max()) == (0, 255)


@pytest.mark.parametrize("dtype", ["int8", "int16", "uint32", "int32", "float16", "float32", "float64"])
def test_other_types_are_stretched(tmp_path, dtype):
    values = (np.random.default_rng(2).normal(size=(30, 40)) * 20).astype(dtype)
    tifffile.imwrite(tmp_path / "a.tif", values)
    assert close(grey(read(tmp_path / "a.tif")), stretched(values.astype(float)))


def test_percentiles_not_extremes_and_extremes_where_they_are_equal(tmp_path):
    values = np.linspace(1000, 2000, 10_000).reshape(100, 100)
    values[50, 50] = 1e9  # one broken pixel of ten thousand
    tifffile.imwrite(tmp_path / "a.tif", values)
    assert 120 < np.median(read(tmp_path / "a.tif")) < 135
    sparse = np.full((100, 100), 7, np.uint16)
    sparse[3, 4], sparse[5, 6] = 1007, 507
    tifffile.imwrite(tmp_path / "a.tif", sparse)
    image = grey(read(tmp_path / "a.tif"))
    assert (image[3, 4], image[5, 6], image[0, 0]) == (255, 128, 0)
    tifffile.imwrite(tmp_path / "a.tif", np.full((10, 10), 12345, np.uint16))
    assert (read(tmp_path / "a.tif") == 0).all()


def test_not_a_number_is_black_and_infinity_an_end(tmp_path):
    values = np.linspace(0, 1, 400, dtype=np.float32).reshape(20, 20)
    values[10, 10], values[10, 11], values[10, 12] = np.nan, np.inf, -np.inf
    tifffile.imwrite(tmp_path / "a.tif", values)
    image = grey(read(tmp_path / "a.tif"))
    assert image[10, 10:13].tolist() == [0, 255, 0]
    assert abs(int(image[15, 0]) - 191) <= 1
    tifffile.imwrite(tmp_path / "a.tif", np.full((5, 5), np.nan, np.float32))
    assert (read(tmp_path / "a.tif") == 0).all()


def deep_png(values):
    """A 16-bit PNG of (H, W, C) values, by its specification."""
    height, width, channels = values.shape
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    parts = [(b"IHDR", struct.pack(">IIBBBBB", width, height, 16, {1: 0, 2: 4, 3: 2, 4: 6}[channels], 0, 0, 0))]
    parts += [(b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    chunks = [
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in parts
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def test_colours_of_16_bits_keep_their_hue(tmp_path):
    """A dim image: red twice as strong as green, no blue; one stretch for all three."""
    ramp = np.arange(1200, dtype=np.uint16).reshape(30, 40)
    values = np.dstack([2 * ramp, ramp, 0 * ramp])
    (tmp_path / "a.png").write_bytes(deep_png(values))
    tifffile.imwrite(tmp_path / "a.tif", values, photometric="rgb")
    tifffile.imwrite(tmp_path / "p.tif", np.moveaxis(values, -1, 0), photometric="rgb", planarconfig="separate")
    for name in ("a.png", "a.tif", "p.tif"):
        image = read(tmp_path / name)
        assert close(image, stretched(values))
        assert abs(int(image[15, 0, 0]) - 2 * int(image[15, 0, 1])) <= 1
        assert image[..., 0].max() == 255
    opaque = np.full((30, 40), 65535)
    opaque[:, :20] = 0
    (tmp_path / "rgba.png").write_bytes(deep_png(np.dstack([values, opaque])))
    image = read(tmp_path / "rgba.png")
    assert (image[:, :20] == 255).all()
    assert close(image[:, 20:], stretched(values[:, 20:]))
    (tmp_path / "la.png").write_bytes(deep_png(np.dstack([ramp, opaque])))
    assert close(grey(read(tmp_path / "la.png"))[:, 20:], stretched(ramp[:, 20:]))


# Channels, layouts and pages of TIFF


@pytest.mark.parametrize("n_channels", [2, 3, 4, 5, 7])
def test_channels_are_stretched_each_by_itself(tmp_path, n_channels):
    rng = np.random.default_rng(3)
    values = np.stack([rng.integers(0, 50 * 10**k, (30, 40)) for k in range(n_channels)]).astype(np.uint32)
    expected = [stretched(channel) for channel in values[:3]]
    expected += [np.zeros((30, 40))] * (3 - len(expected))
    options = {"photometric": "minisblack", "extrasamples": [0] * (n_channels - 1)}
    tifffile.imwrite(tmp_path / "a.tif", values, planarconfig="separate", **options)
    tifffile.imwrite(tmp_path / "b.tif", np.moveaxis(values, 0, -1).copy(), planarconfig="contig", **options)
    for name in ("a.tif", "b.tif"):
        assert close(read(tmp_path / name), np.stack(expected, axis=-1))


def test_pages(tmp_path):
    pages = [NOISE[..., k] // (k + 1) for k in range(3)]
    tifffile.imwrite(tmp_path / "a.tif", np.stack(pages), photometric="minisblack")
    for frame, page in enumerate(pages):
        assert (grey(read(tmp_path / "a.tif", frame=frame)) == page).all()
    assert (read(tmp_path / "a.tif") == read(tmp_path / "a.tif", frame=0)).all()
    for frame in (3, -1):
        assert "from 0 to 2" in refused(tmp_path / "a.tif", frame=frame)
    Image.fromarray(NOISE).save(tmp_path / "a.png")
    assert "from 0 to 0" in refused(tmp_path / "a.png", frame=1)


@pytest.mark.parametrize("compression", ["lzw", "zlib", "packbits", "zstd", "lzma"])
def test_compressed_and_tiled(tmp_path, compression):
    for number, values in enumerate((NOISE, DEEP)):
        path = tmp_path / f"{number}.tif"
        photometric = "rgb" if values.ndim == 3 else "minisblack"
        tifffile.imwrite(path, values, photometric=photometric, compression=compression, tile=(16, 16))
        assert close(read(path), NOISE if number == 0 else stretched(DEEP)[..., None])


def test_jpeg_in_tiff(tmp_path):
    smooth = np.asarray(Image.fromarray(NOISE).resize((80, 60), Image.Resampling.BICUBIC))
    Image.fromarray(smooth).save(tmp_path / "a.tif", compression="jpeg", quality=95)
    assert np.abs(read(tmp_path / "a.tif").astype(int) - smooth).mean() < 6


def test_white_is_zero_and_few_bits(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", NOISE[..., 0], photometric="miniswhite")
    assert (grey(read(tmp_path / "a.tif")) == 255 - NOISE[..., 0]).all()
    four_bits = NOISE[..., 0] // 16
    packed = (four_bits[:, ::2] << 4 | four_bits[:, 1::2]).tobytes()
    tags = [(256, 40), (257, 30), (258, 4), (259, 1), (262, 1), (273, 8), (277, 1), (278, 30), (279, len(packed))]
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
    directory = struct.pack("<H", len(tags)) + entries + b"\0\0\0\0"
    (tmp_path / "b.tif").write_bytes(b"II*\0" + struct.pack("<I", 8 + len(packed)) + packed + directory)
    assert (grey(read(tmp_path / "b.tif")) == four_bits * 17).all()


def test_colours_that_are_not_known_say_so(tmp_path):
    Image.fromarray(NOISE).convert("CMYK").save(tmp_path / "a.tif")
    assert "SEPARATED" in refused(tmp_path / "a.tif")
    tifffile.imwrite(tmp_path / "b.tif", np.zeros((4, 4), np.complex64))
    assert "complex64" in refused(tmp_path / "b.tif")
    tifffile.imwrite(tmp_path / "c.tif", np.zeros((8, 32, 32), np.uint8), volumetric=True, tile=(8, 16, 16))
    assert "axes" in refused(tmp_path / "c.tif")


# DICOM


def test_ct_is_stretched_after_rescaling():
    path = dicom_file("CT_small.dcm")
    assert close(grey(read(path)), stretched(pydicom.dcmread(path).pixel_array.astype(float)))


@pytest.mark.parametrize(
    "name", ["MR_small.dcm", "MR_small_RLE.dcm", "MR_small_bigendian.dcm", "MR_small_implicit.dcm"]
)
def test_mr_by_its_window(name):
    """Window 600 +- 800, by PS3.3 C.11.2.1.2.1: (x - (c - 0.5)) / (w - 1) + 0.5."""
    path = dicom_file(name)
    values = pydicom.dcmread(path).pixel_array
    expected = np.round(255 * np.clip((values - 599.5) / 1599 + 0.5, 0, 1))
    image = grey(read(path))
    assert close(image, expected)
    assert 0 < expected.min() < expected.max() == 255


def saved(dataset, path):
    dataset.save_as(path)
    return path


def test_window_after_rescaling_by_hand(tmp_path):
    """CT in Hounsfield units: value - 1024; the lung window is -600 +- 750."""
    dataset = pydicom.dcmread(dicom_file("CT_small.dcm"))
    units = dataset.pixel_array.astype(float) - 1024
    expected = 255 * np.clip((units + 600.5) / 1499 + 0.5, 0, 1)
    dataset.WindowCenter, dataset.WindowWidth = [-600, 40], [1500, 400]
    assert close(grey(read(saved(dataset, tmp_path / "lung"))), expected)
    dataset.RescaleSlope, dataset.WindowCenter, dataset.WindowWidth = 2, [-176], [3000]  # 2 x - 1024
    expected = 255 * np.clip((2 * (units + 1024) - 1024 + 176.5) / 2999 + 0.5, 0, 1)
    assert close(grey(read(saved(dataset, tmp_path / "twice"))), expected)
    dataset.VOILUTFunction = "SIGMOID"
    expected = 255 / (1 + np.exp(-4 * (2 * (units + 1024) - 1024 + 176) / 3000))
    assert close(grey(read(saved(dataset, tmp_path / "sigmoid"))), expected)


def test_a_window_that_is_none_is_left_out(tmp_path):
    dataset = pydicom.dcmread(dicom_file("CT_small.dcm"))
    plain = read(dicom_file("CT_small.dcm"))
    for center, width, function in ((40, 0, "LINEAR"), (40, -5, "LINEAR"), (40, 400, "CUBIC"), (None, 400, "LINEAR")):
        dataset.WindowCenter, dataset.WindowWidth, dataset.VOILUTFunction = center, width, function
        assert (read(saved(dataset, tmp_path / "a")) == plain).all()


def test_tables(tmp_path):
    """A table of 12 bits that inverts 0 to 4095, once as values of interest and once as modality."""
    dataset = pydicom.dcmread(dicom_file("CT_small.dcm"))
    values = dataset.pixel_array.astype(float)
    del dataset.RescaleSlope, dataset.RescaleIntercept
    table = pydicom.Dataset()
    table.add_new("LUTDescriptor", "US", [4096, 0, 12])
    table.add_new("LUTData", "US", list(range(4095, -1, -1)))
    dataset.VOILUTSequence = [table]
    assert close(grey(read(saved(dataset, tmp_path / "voi"))), 255 * (1 - values / 4095))
    del dataset.VOILUTSequence
    table.ModalityLUTType, table.LUTDescriptor = "US", [4096, 0, 16]
    dataset.ModalityLUTSequence = [table]
    assert close(grey(read(saved(dataset, tmp_path / "modality"))), stretched(4095 - values))


def test_monochrome1_is_inverted(tmp_path):
    for name in ("CT_small.dcm", "MR_small.dcm"):
        dataset = pydicom.dcmread(dicom_file(name))
        dataset.PhotometricInterpretation = "MONOCHROME1"
        assert (read(saved(dataset, tmp_path / name)) == 255 - read(dicom_file(name))).all()


def test_8_bits_of_dicom_stay_and_a_mask_is_seen(tmp_path):
    dataset = pydicom.dcmread(dicom_file("CT_small.dcm"))
    dataset.set_pixel_data(NOISE[..., 0] // 5, "MONOCHROME2", 8)
    del dataset.RescaleSlope, dataset.RescaleIntercept
    assert (grey(read(saved(dataset, tmp_path / "a"))) == NOISE[..., 0] // 5).all()
    path = dicom_file("liver_1frame.dcm")
    mask = pydicom.dcmread(path).pixel_array
    assert (grey(read(path)) == 255 * mask).all()
    assert 0 < mask.mean() < 1


def test_frames_of_dicom():
    path = dicom_file("rtdose.dcm")
    frames = pydicom.dcmread(path).pixel_array
    for frame in (0, 1, 14):
        assert close(grey(read(path, frame=frame)), stretched(frames[frame].astype(float)))
    assert not (read(path, frame=1) == read(path, frame=14)).all()
    assert "from 0 to 14" in refused(path, frame=15)


def test_each_frame_by_its_own_window(tmp_path):
    """Enhanced multi-frame: rescaling shared, one window a frame."""
    dataset = pydicom.dcmread(dicom_file("CT_small.dcm"))
    values = dataset.pixel_array
    del dataset.RescaleSlope, dataset.RescaleIntercept
    dataset.NumberOfFrames = 2
    dataset.PixelData = 2 * dataset.PixelData

    def item(**entries):
        inner = pydicom.Dataset()
        for key, value in entries.items():
            setattr(inner, key, value)
        return inner

    rescaling = [item(RescaleSlope=1, RescaleIntercept=-1024, RescaleType="HU")]
    dataset.SharedFunctionalGroupsSequence = [item(PixelValueTransformationSequence=rescaling)]
    windows = ((-600, 1500), (40, 400))
    dataset.PerFrameFunctionalGroupsSequence = [
        item(FrameVOILUTSequence=[item(WindowCenter=center, WindowWidth=width)]) for center, width in windows
    ]
    path = saved(dataset, tmp_path / "a")
    for frame, (center, width) in enumerate(windows):
        expected = 255 * np.clip((values - 1024.0 - (center - 0.5)) / (width - 1) + 0.5, 0, 1)
        assert close(grey(read(path, frame=frame)), expected)


@pytest.mark.parametrize(
    "name",
    [
        *["ExplVR_BigEnd.dcm", "SC_rgb_rle.dcm", "SC_rgb_small_odd.dcm", "SC_rgb_jpeg_dcmd.dcm"],
        *[
            "SC_ybr_full_422_uncompressed.dcm",
            "SC_rgb_dcmtk_+eb+cy+s4.dcm",
            "SC_rgb_gdcm_KY.dcm",
            "examples_ybr_color.dcm",
        ],
    ],
)
def test_colours_of_dicom(name):
    path = dicom_file(name)
    assert (read(path) == pydicom.pixels.pixel_array(path, index=0)).all()


def test_the_same_picture_as_rgb_ybr_and_in_16_bits():
    """Bars of pure colours: all these files show the same."""
    rgb = read(dicom_file("SC_rgb_rle.dcm")).astype(int)
    assert rgb[5, 50].tolist() == [255, 0, 0]
    for name in ("SC_rgb_rle_16bit.dcm", "SC_rgb_rle_32bit.dcm", "SC_rgb_dcmtk_+eb+cy+n1.dcm", "SC_rgb_gdcm_KY.dcm"):
        assert np.abs(read(dicom_file(name)) - rgb).mean() < 3


def test_palette_of_dicom():
    path = dicom_file("examples_palette.dcm")
    dataset = pydicom.dcmread(path)
    tables = [getattr(dataset, f"{c}PaletteColorLookupTableData") for c in ("Red", "Green", "Blue")]
    tables = np.stack([np.frombuffer(table, np.uint16) >> 8 for table in tables], axis=-1)
    assert (read(path) == tables[dataset.pixel_array]).all()


@pytest.mark.parametrize("name", ["rtplan.dcm", "reportsi.dcm", "waveform_ecg.dcm", "image_dfl.dcm"])
def test_dicom_that_holds_no_image_or_is_deflated(name):
    refused(dicom_file(name))


@pytest.mark.parametrize("name", ["MR_truncated.dcm", "badVR.dcm", "no_meta.dcm"])
def test_dicom_that_cannot_be_decoded(name):
    refused(dicom_file(name))


# Values as they are


def test_values_as_the_file_holds_them(tmp_path):
    """Numbers of objects: 16 bits, indices of a palette; turned as the image is."""
    Image.fromarray(DEEP).save(tmp_path / "a.png")
    exif = Image.Exif()
    exif[274] = 6
    Image.fromarray(DEEP).save(tmp_path / "turned.png", exif=exif)
    tifffile.imwrite(tmp_path / "a.tif", DEEP)
    for name in ("a.png", "a.tif"):
        values = read_values(tmp_path / name)
        assert values.dtype == np.uint16
        assert (values == DEEP).all()
    assert (read_values(tmp_path / "turned.png") == np.rot90(DEEP, -1)).all()
    for suffix in ("png", "tif"):
        palette = Image.fromarray(NOISE).quantize(16)
        palette.save(tmp_path / f"p.{suffix}")
        assert (read_values(tmp_path / f"p.{suffix}") == np.asarray(palette)).all()
    path = dicom_file("rtdose.dcm")
    assert (read_values(path, frame=2) == pydicom.dcmread(path).pixel_array[2]).all()
    with pytest.raises(ImageError, match="above the limit"):
        read_values(tmp_path / "a.png", max_pixels=1199)
    with pytest.raises(ImageError, match="missing"):
        read_values(tmp_path / "b.png")


# Size, before anything is decoded


def png_header(width, height):
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header))


def claiming(kind, width, height, tmp_path):
    """A file whose header claims a size, with next to nothing in it."""
    path = tmp_path / f"huge.{kind}"
    if kind == "png":
        path.write_bytes(png_header(width, height) + struct.pack(">I", 100) + b"IDAT" + zlib.compress(b"0" * 100))
    elif kind == "jpg":
        buffer = io.BytesIO()
        Image.fromarray(NOISE).save(buffer, format="JPEG")
        content = buffer.getvalue()
        place = content.index(b"\xff\xc0") + 5
        path.write_bytes(content[:place] + struct.pack(">HH", height, width) + content[place + 4 :])
    elif kind == "tif":
        tifffile.imwrite(path, NOISE, photometric="rgb", rowsperstrip=2**31)
        with tifffile.TiffFile(path, mode="r+") as tiff:
            tiff.pages[0].tags["ImageWidth"].overwrite(width)
            tiff.pages[0].tags["ImageLength"].overwrite(height)
    else:
        dataset = pydicom.dcmread(dicom_file("CT_small.dcm"))
        dataset.Rows, dataset.Columns = height, width
        dataset.save_as(path)
    return path


@pytest.mark.parametrize("kind", ["png", "jpg", "tif", "dcm"])
def test_a_billion_pixels_are_refused_by_the_header(tmp_path, monkeypatch, kind):
    path = claiming(kind, 60_000, 50_000, tmp_path)
    monkeypatch.setattr(raster.Opened, "raster", None, raising=False)
    message = refused(path)
    assert "50000 x 60000" in message
    assert "500000000" in message
    assert image_size(path) == (50_000, 60_000)


@pytest.mark.parametrize("kind", ["png", "dcm"])  # libjpeg paints grey what a whole JPEG lacks
def test_a_claim_within_the_limit_is_a_damaged_file(tmp_path, kind):
    refused(claiming(kind, 4000, 3000, tmp_path))


def test_the_limit(tmp_path):
    Image.fromarray(NOISE).save(tmp_path / "a.png")
    assert read(tmp_path / "a.png", max_pixels=1200).shape == (30, 40, 3)
    assert "30 x 40" in refused(tmp_path / "a.png", max_pixels=1199)


def test_thousands_of_channels_are_refused(tmp_path):
    path = claiming("tif", 20_000, 20_000, tmp_path)
    with tifffile.TiffFile(path, mode="r+") as tiff:
        tiff.pages[0].tags["SamplesPerPixel"].overwrite(60_000)
    refused(path)


def test_pillow_keeps_its_limit_and_does_not_interfere(tmp_path, monkeypatch):
    """Its limit is for others: with one of ten pixels it would refuse even this image."""
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    for suffix in ("png", "bmp"):
        path = tmp_path / f"a.{suffix}"
        Image.fromarray(NOISE).save(path)
        with pytest.raises(Image.DecompressionBombError):
            Image.open(path)
        assert image_size(path) == (30, 40)
    assert Image.MAX_IMAGE_PIXELS == 10


# Damage


@pytest.mark.parametrize("kind", ["png", "jpg", "bmp", "tif", "lzw", "tiles", "deep", "dcm"])
def test_damaged_files(tmp_path, kind):
    path = tmp_path / "a"
    if kind == "tif":
        tifffile.imwrite(path, DEEP)
    elif kind == "lzw":
        tifffile.imwrite(path, DEEP, compression="lzw")
    elif kind == "tiles":
        tifffile.imwrite(path, DEEP, tile=(16, 16))
    elif kind == "deep":
        path.write_bytes(deep_png(DEEP[..., None]))
    elif kind == "dcm":
        path.write_bytes(Path(dicom_file("CT_small.dcm")).read_bytes())
    else:
        Image.fromarray(NOISE).save(path, format={"jpg": "JPEG"}.get(kind, kind))
    whole = path.read_bytes()
    read(path)
    for length in (0, 1, 4, 20, 140, len(whole) // 3, len(whole) // 2, len(whole) * 4 // 5):
        path.write_bytes(whole[:length])
        refused(path)
        if kind in ("tif", "lzw", "tiles"):  # their header says how long they must be
            with pytest.raises(ImageError):
                image_size(path)


def test_other_files(tmp_path):
    path = tmp_path / "a.png"
    for content in (b"", b"\0", b"no image", b"%!PS-Adobe-3.0 EPSF-3.0\n", b"PK\3\4", bytes(1000)):
        path.write_bytes(content)
        assert "expected JPEG, PNG, BMP, GIF, WebP, AVIF, HEIF, TIFF or DICOM" in refused(path)
        with pytest.raises(ImageError):
            image_size(path)
    for start in (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"BM", b"II*\0", b"MM\0*", b"II+\0", bytes(128) + b"DICM"):
        for rest in (b"", b"\0" * 200, b"\xff" * 200, bytes(range(256))):
            path.write_bytes(start + rest)
            refused(path)
    assert "no file" in refused(tmp_path)
    assert "missing" in refused(tmp_path / "b.png")


def test_flipped_bytes_give_an_image_or_one_line(tmp_path, capfd, caplog):
    """Whatever is damaged: never another error, and nothing on the screen."""
    rng = np.random.default_rng(5)
    Image.fromarray(NOISE).save(tmp_path / "a.png")
    Image.fromarray(NOISE).save(tmp_path / "a.jpg")
    tifffile.imwrite(tmp_path / "a.tif", DEEP, compression="lzw")
    (tmp_path / "a.dcm").write_bytes(Path(dicom_file("MR_small_RLE.dcm")).read_bytes())
    messages = []
    for path in sorted(tmp_path.iterdir()):
        whole = np.frombuffer(path.read_bytes(), np.uint8)
        for _ in range(60):
            broken = whole.copy()
            places = rng.integers(0, rng.choice([64, 400, len(broken)]), 4) % len(broken)
            broken[places] = rng.integers(0, 256, 4)
            path.write_bytes(broken.tobytes())
            with contextlib.suppress(ImageError), _collecting(messages):
                read_image(path, max_pixels=10**6)
    assert len(messages) > 40
    assert not any("\n" in message for message in messages)
    assert not caplog.records
    logging.getLogger("tifffile").warning("heard again")
    assert len(caplog.records) == 1
    assert capfd.readouterr() == ("", "")


@contextlib.contextmanager
def _collecting(messages):
    try:
        yield
    except ImageError as error:
        messages.append(str(error))
        raise


def test_a_jpeg_needs_none_of_the_large_packages(tmp_path):
    """Counting a photo must work where tifffile, pydicom and imagecodecs are not installed."""
    Image.fromarray(NOISE).save(tmp_path / "a.jpg")
    tifffile.imwrite(tmp_path / "a.tif", NOISE)
    code = (
        "import sys\n"
        "for name in ('imagecodecs', 'pydicom', 'tifffile'): sys.modules[name] = None\n"
        "import lcfcn.counting.folders, lcfcn.counting.counter\n"
        "from lcfcn.counting.image_files import ImageError, read_image\n"
        f"print(read_image({str(tmp_path / 'a.jpg')!r}).shape)\n"
        "try:\n"
        f"    read_image({str(tmp_path / 'a.tif')!r})\n"
        "except ImageError as error:\n"
        "    print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    first, second = done.stdout.splitlines()
    assert first == "(30, 40, 3)"
    assert second.endswith("a.tif needs the package tifffile, which is not installed: pip install tifffile")


# Arrays and PIL images


@pytest.mark.parametrize("mode", ["RGBA", "LA", "L", "P", "1", "I;16", "F"])
def test_pil_images_of_any_mode_are_seen_as_their_files_are(tmp_path, mode):
    values = NOISE[..., 0]
    image = Image.fromarray(values) if mode not in ("I;16", "F") else Image.fromarray(values.astype("u2") * 99)
    image = image.convert(mode) if mode != "I;16" else image
    if mode in ("RGBA", "LA"):
        image.putalpha(Image.fromarray(NOISE[..., 1]))
    path = tmp_path / ("a.tif" if mode == "F" else "a.png")
    image.save(path)
    assert np.array_equal(image_of_pillow(image), read_image(path))


NUMBERS = ["uint8", "uint16", "int32", "float32", "float64"]


# TIFF holds bits of one channel only.
@pytest.mark.parametrize(("dtype", "n_channels"), [*itertools.product(NUMBERS, [1, 2, 3, 5]), ("bool", 1)])
def test_arrays_of_any_numbers_are_seen_as_a_file_that_holds_them(tmp_path, dtype, n_channels):
    values = np.random.default_rng(0).normal(5000, 900, (30, 40, n_channels))
    values = values > 5000 if dtype == "bool" else (values % 256 if dtype == "uint8" else values).astype(dtype)
    plain = values if n_channels > 1 else values[..., 0]
    options = {"photometric": "rgb" if n_channels == 3 else "minisblack"}
    options |= {"planarconfig": "contig"} if n_channels > 1 else {}
    tifffile.imwrite(tmp_path / "a.tif", plain, **options)
    expected = read_image(tmp_path / "a.tif")
    assert len(np.unique(expected)) > (1 if dtype == "bool" else 100)
    for given in (values, plain):
        seen = image_of_array(given)
        assert (seen.shape, seen.dtype) == ((30, 40, 3), np.uint8)
        assert np.array_equal(seen, expected)


def test_of_an_array_of_four_channels_the_first_three_are_colours():
    values = np.random.default_rng(0).integers(0, 256, (30, 40, 4), dtype=np.uint8)
    assert np.array_equal(image_of_array(values), values[..., :3])
