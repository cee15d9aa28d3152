"""Values of more than 8 bits: missing data, padding and opacity take no part in the stretch; a lack of contrast."""

import struct
import zlib

import numpy as np
import pydicom
import pytest
import tifffile
from PIL import Image
from pydicom.data import get_testdata_file

from lcfcn.counting.image_files import image_of_array, image_of_pillow, read_image

RNG = np.random.default_rng(0)
HEIGHT, WIDTH = 40, 60
INSIDE = (slice(8, HEIGHT), slice(10, WIDTH))
NODATA = 42113


def noise(low, high, dtype, *shape):
    return RNG.integers(low, high, (HEIGHT, WIDTH, *shape)).astype(dtype)


def bordered(values, missing):
    """The values with a border at two sides."""
    framed = np.full_like(values, missing)
    framed[INSIDE] = values[INSIDE]
    return framed


def stretched(values):
    """The rule for more than 8 bits, written plainly."""
    low, high = np.percentile(values, (0.1, 99.9))
    return np.round(255 * np.clip((values - low) / (high - low), 0, 1))


def close(a, b):
    return np.abs(a.astype(float) - b).max() <= 1


def read(path):
    remarks = []
    return read_image(path, remarks=remarks), remarks


def geotiff(path, values, nodata, **options):
    tags = [(NODATA, "s", 0, nodata, True)] if nodata is not None else []
    tifffile.imwrite(path, values, extratags=tags, **options)
    return path


def expected_with_border(values):
    """Only what is inside is stretched; the border is black."""
    image = np.zeros(values.shape)
    image[INSIDE] = stretched(values[INSIDE].astype(float))
    return image


@pytest.mark.parametrize(
    ("dtype", "missing", "text"),
    [
        ("float32", -9999, "-9999"),
        ("float32", -9999, "-9999.0"),
        ("float64", 1e20, "1e+20"),
        ("float32", np.finfo("f4").min, "-3.4028234663852886e+38"),
        ("float32", np.finfo("f4").min, "-3.40282346639e+038"),
        ("float32", np.nan, "nan"),
        ("uint16", 65535, "65535"),
        ("uint16", 0, "0"),
        ("int16", -32768, "-32768"),
        ("uint32", 2**32 - 1, "4294967295"),
        ("uint16", 7, " 7 "),
    ],
)
@pytest.mark.parametrize("is_rgb", [False, True])
def test_the_value_of_the_nodata_tag_is_left_out(tmp_path, dtype, missing, text, is_rgb):
    plain = noise(1000, 3000, dtype, *([3] if is_rgb else []))
    options = {"photometric": "rgb" if is_rgb else "minisblack"}
    image, remarks = read(geotiff(tmp_path / "a.tif", bordered(plain, missing), text, **options))
    expected = expected_with_border(plain)
    assert close(image, expected if is_rgb else expected[..., None])
    assert not remarks


def test_nodata_of_white_is_zero_is_black(tmp_path):
    plain = noise(1000, 3000, "uint16")
    path = geotiff(tmp_path / "a.tif", bordered(plain, 65535), "65535", photometric="miniswhite")
    image, _ = read(path)
    assert close(image[INSIDE][..., 0], 255 - stretched(plain[INSIDE].astype(float)))
    assert (image[:8] == 0).all()


def test_one_colour_may_reach_the_nodata_value(tmp_path):
    """A pixel of pure red is no missing pixel."""
    plain = noise(1000, 60000, "uint16", 3)
    plain[20, 30] = 65535, 2000, 2000
    image, _ = read(geotiff(tmp_path / "a.tif", bordered(plain, 65535), "65535", photometric="rgb"))
    assert image[20, 30, 0] == 255
    assert (image[:8] == 0).all()


@pytest.mark.parametrize("text", ["", "none", "-9999", "1e999", "70000", "0.5"])
def test_a_nodata_tag_that_fits_nothing(tmp_path, text):
    plain = noise(0, 3000, "uint16")
    image, _ = read(geotiff(tmp_path / "a.tif", plain, text or None))
    assert close(image, stretched(plain)[..., None])


def test_8_bits_stay_whatever_the_nodata_tag_says(tmp_path):
    plain = noise(0, 256, "uint8", 3)
    image, _ = read(geotiff(tmp_path / "a.tif", plain, "255", photometric="rgb"))
    assert (image == plain).all()


@pytest.mark.parametrize(
    ("dtype", "missing"),
    [
        ("uint16", 65535),
        ("int16", -32768),
        ("int16", -9999),
        ("float32", -9999),
        ("float32", 65535),
        ("float32", np.finfo("f4").min),
    ],
)
@pytest.mark.parametrize("n_channels", [1, 3, 4])
def test_a_border_that_no_tag_names_is_found_and_told(tmp_path, dtype, missing, n_channels):
    plain = noise(200, 3000, dtype, *([n_channels] if n_channels > 1 else []))
    options = {1: {}, 3: {"photometric": "rgb"}, 4: {"photometric": "minisblack", "extrasamples": [0] * 3}}[n_channels]
    path = geotiff(
        tmp_path / "a.tif", bordered(plain, missing), None, planarconfig="contig" if n_channels > 1 else None, **options
    )
    image, remarks = read(path)
    if n_channels == 4:
        expected = np.dstack([expected_with_border(plain[..., k]) for k in range(3)])
    else:
        expected = expected_with_border(plain)
    assert close(image, expected if n_channels > 1 else expected[..., None])
    assert remarks[-1] == f"{float(missing):g} fills a border, so it was taken for missing data and is black"
    if n_channels < 4:
        assert (image_of_array(bordered(plain, missing)) == image).all()


def test_what_is_no_border_of_missing_data():
    """Bright objects, saturated skies, masks, and drawings on white paper stay as they are."""
    full = noise(0, 65536, "uint16")
    full[:5] = 65535  # a saturated sky
    background = np.zeros((HEIGHT, WIDTH), np.uint16)
    background[10:20, 10:20] = noise(1000, 1200, "uint16")[10:20, 10:20]  # cut out objects
    paper = np.full((HEIGHT, WIDTH), 65535, np.uint16)
    paper[10:20, 10:20], paper[25:30, 10:20] = 0, 500
    island = noise(200, 3000, "uint16")
    island[10:20, 10:20] = 65535  # no border
    for values in (full, background, paper, island):
        remarks = []
        image = image_of_array(values, remarks=remarks)
        assert close(image, stretched(values.astype(float))[..., None])
        assert not any("border" in remark for remark in remarks)


def test_missing_data_in_the_middle_are_told():
    values = noise(0, 100, "float32")
    values[10:20, 10:20] = -9999
    remarks = []
    image_of_array(values, remarks=remarks)
    assert remarks == [
        "black is -9999 and white 99, which leaves 2.5 of 255 grey levels to the values between: if one of the two "
        "means missing data, name it in the file's nodata tag"
    ]


def test_no_contrast_is_told():
    flat = np.full((HEIGHT, WIDTH), 12345, np.uint16)
    almost = flat.copy()
    almost[3, 4] = 20000
    for values, words in (
        (flat, "all values are 12345, so nothing can be seen"),
        (almost, "99.8 % of the values are 12345, so hardly anything can be seen"),
        (np.full((HEIGHT, WIDTH), np.nan), "it holds no data"),
    ):
        remarks = []
        image_of_array(values, remarks=remarks)
        assert remarks == [words]


def test_usual_images_need_no_remark():
    blobs = RNG.normal(100, 3, (HEIGHT, WIDTH))
    blobs[10:14, 10:14] += 4000  # bright cells on a dark ground
    for values in (blobs, noise(0, 2, "uint16"), noise(0, 2, "bool"), noise(0, 9, "uint8"), np.zeros((9, 9), np.uint8)):
        remarks = []
        image_of_array(values, remarks=remarks)
        assert not remarks


# Opacity


@pytest.mark.parametrize("kind", ["bmp", "png", "la.png", "p.png", "webp", "tif", "16.tif", "multiplied.tif", "pil"])
def test_an_opacity_of_0_everywhere_is_ignored(tmp_path, kind):
    """Windows programs write it into BMP files of 32 bits, and viewers show these."""
    colours = noise(0, 256, "uint8", 3)
    opacity = np.zeros((HEIGHT, WIDTH, 1), np.uint8)
    rgba = np.dstack([colours, opacity])
    path = tmp_path / f"a.{kind}"
    expected = colours
    if kind == "bmp":
        path.write_bytes(bmp32(rgba))
    elif kind == "webp":
        Image.fromarray(rgba).save(path, lossless=True, exact=True)
    elif kind == "la.png":
        Image.fromarray(np.dstack([colours[..., 0], opacity])).save(path)
        expected = np.repeat(colours[..., :1], 3, axis=2)
    elif kind == "p.png":
        palette = Image.fromarray(colours).quantize(16)
        palette.save(path, transparency=bytes(16))
        expected = np.asarray(palette.convert("RGB"))
    elif kind.endswith("tif"):
        values = rgba.astype(np.uint16) * 257 if kind == "16.tif" else rgba
        tifffile.imwrite(
            path, values, photometric="rgb", extrasamples=["assocalpha" if kind == "multiplied.tif" else "unassalpha"]
        )
    elif kind == "pil":
        remarks = []
        assert (image_of_pillow(Image.fromarray(rgba), remarks=remarks) == colours).all()
        assert remarks == ["its opacity is 0 everywhere and was ignored"]
        return
    else:
        Image.fromarray(rgba).save(path)
    image, remarks = read(path)
    assert close(image, stretched(colours.astype(float)) if kind == "16.tif" else expected)
    assert remarks == ["its opacity is 0 everywhere and was ignored"]


def bmp32(rgba):
    """A BMP of 32 bits with masks for the channels (BITMAPV4HEADER), which Pillow does not write."""
    height, width = rgba.shape[:2]
    header = struct.pack("<IiiHHIIiiII", 108, width, -height, 1, 32, 3, 0, 0, 0, 0, 0)
    header += struct.pack("<IIII", 0xFF0000, 0xFF00, 0xFF, 0xFF000000) + b"BGRs" + bytes(48)
    pixels = rgba[..., [2, 1, 0, 3]].tobytes()
    return b"BM" + struct.pack("<IHHI", 14 + len(header) + len(pixels), 0, 0, 14 + len(header)) + header + pixels


def test_some_opacity_is_none_to_ignore(tmp_path):
    rgba = noise(0, 256, "uint8", 4)
    rgba[..., 3] = 0
    rgba[20, 30, 3] = 255
    for name in ("a.png", "a.bmp"):
        if name == "a.bmp":
            (tmp_path / name).write_bytes(bmp32(rgba))
        else:
            Image.fromarray(rgba).save(tmp_path / name)
        image, remarks = read(tmp_path / name)
        assert (image[20, 30] == rgba[20, 30, :3]).all()
        assert (np.delete(image.reshape(-1, 3), 20 * WIDTH + 30, axis=0) == 255).all()
        assert not remarks


@pytest.mark.parametrize(
    ("dtype", "opaque"), [("uint16", 65535), ("uint16", 255), ("int16", 32767), ("float32", 1), ("float32", 255)]
)
def test_transparent_pixels_take_no_part_in_the_stretch(tmp_path, dtype, opaque):
    """As in mosaics of drone images: whatever the border holds, it is white. Some programs write 255 as opaque."""
    plain = noise(200, 3000, dtype, 3)
    values = np.dstack([bordered(plain, 30000), bordered(np.full((HEIGHT, WIDTH), opaque, dtype), 0)])
    tifffile.imwrite(tmp_path / "a.tif", values, photometric="rgb", extrasamples=["unassalpha"])
    image, remarks = read(tmp_path / "a.tif")
    assert close(image[INSIDE], stretched(plain[INSIDE].astype(float)))
    assert (image[:8] == 255).all()
    assert not remarks


@pytest.mark.parametrize(
    ("dtype", "half", "opaque"), [("uint8", 60, 255), ("uint16", 30000, 65535), ("float32", 0.5, 1)]
)
def test_pixels_that_are_half_transparent(tmp_path, dtype, half, opaque):
    """Though none is opaque: what is depends on the type."""
    values = np.zeros((HEIGHT, WIDTH, 4), dtype)
    values[..., :3], values[..., 3] = noise(0, 100, dtype, 3), half
    tifffile.imwrite(tmp_path / "a.tif", values, photometric="rgb", extrasamples=["unassalpha"])
    colours = values[..., :3] if dtype == "uint8" else stretched(values[..., :3].astype(float))
    assert close(read(tmp_path / "a.tif")[0], colours * (half / opaque) + 255 * (1 - half / opaque))


def test_a_transparent_colour_of_a_deep_png(tmp_path):
    """tRNS names one grey value of 16 bits."""
    values = bordered(noise(200, 3000, ">u2"), 60000)
    rows = b"".join(b"\0" + row.tobytes() for row in values)
    parts = [(b"IHDR", struct.pack(">IIBBBBB", WIDTH, HEIGHT, 16, 0, 0, 0, 0)), (b"tRNS", struct.pack(">H", 60000))]
    parts += [(b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    chunks = [struct.pack(">I", len(d)) + kind + d + struct.pack(">I", zlib.crc32(kind + d)) for kind, d in parts]
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(chunks))
    image, _ = read(tmp_path / "a.png")
    assert close(image[INSIDE][..., 0], stretched(values[INSIDE].astype(float)))
    assert (image[:8] == 255).all()


# DICOM


def ct(path, values, **elements):
    dataset = pydicom.dcmread(get_testdata_file("CT_small.dcm", download=False))
    for name in ("PixelPaddingValue", "RescaleSlope", "RescaleIntercept"):
        delattr(dataset, name)
    dataset.set_pixel_data(values, "MONOCHROME2", 16)
    for name, value in elements.items():
        if name.startswith("PixelPadding"):
            dataset.add_new(name, "US", value)
        else:
            setattr(dataset, name, value)
    dataset.save_as(path)
    return path


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
@pytest.mark.parametrize(
    "elements", [{"PixelPaddingValue": 60000}, {"PixelPaddingValue": 59000, "PixelPaddingRangeLimit": 61000}]
)
def test_the_padding_of_dicom_is_left_out_and_black(tmp_path, photometric, elements):
    plain = noise(1000, 3000, "uint16")
    path = ct(tmp_path / "a.dcm", bordered(plain, 60000), PhotometricInterpretation=photometric, **elements)
    image, remarks = read(path)
    inside = stretched(plain[INSIDE].astype(float))
    assert close(image[INSIDE][..., 0], 255 - inside if photometric == "MONOCHROME1" else inside)
    assert (image[:8] == 0).all()
    assert not remarks


def test_padding_of_signed_values(tmp_path):
    plain = noise(-900, 3000, "int16")
    path = ct(tmp_path / "a.dcm", bordered(plain, -2000))
    dataset = pydicom.dcmread(path)
    for value, kind in ((-2000, "SS"), (65536 - 2000, "US")):  # some programs write the bits as if they were unsigned
        dataset.add_new("PixelPaddingValue", kind, value)
        dataset.save_as(path)
        assert close(read(path)[0], expected_with_border(plain)[..., None])


def test_a_bright_bar_in_dicom_is_no_missing_data(tmp_path):
    """DICOM names its padding, so nothing is guessed."""
    values = bordered(noise(200, 3000, "uint16"), 65535)
    image, _ = read(ct(tmp_path / "a.dcm", values))
    assert close(image, stretched(values.astype(float))[..., None])
