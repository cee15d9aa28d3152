"""Formats beside the usual ones, and files that are almost whole: GIF, WebP, AVIF, HEIF, DICOM of all kinds, JPEG."""

import io
import subprocess
import sys
from pathlib import Path

import imagecodecs
import numpy as np
import pydicom
import pytest
import tifffile
from PIL import Image, features
from pydicom.data import get_testdata_file
from pydicom.encaps import encapsulate

from lcfcn.counting.image_files import ImageError, Stack, image_size, image_stack, read_image
from lcfcn.counting.image_formats import kind_of, kind_of_file

RNG = np.random.default_rng(0)
NOISE = RNG.integers(0, 256, (30, 40, 3), dtype=np.uint8)
SOFT = np.asarray(Image.fromarray(NOISE[:3, :4]).resize((160, 128), Image.Resampling.BICUBIC))
SMOOTH = np.asarray(Image.fromarray(NOISE).resize((160, 128), Image.Resampling.BICUBIC))


def read(path, **options):
    """The image and the remarks."""
    remarks = []
    return read_image(path, remarks=remarks, **options), remarks


def dicom_file(name):
    return get_testdata_file(name, download=False)


# Formats of Pillow


@pytest.mark.parametrize("kind", ["gif", "webp", "avif", "bmp", "heic"])
def test_one_picture(tmp_path, kind):
    path = tmp_path / f"a.{kind}"
    image = Image.fromarray(SOFT)
    if kind == "heic":
        pytest.importorskip("pillow_heif").register_heif_opener()
        image.save(path, quality=100)
    elif kind == "avif" and not features.check("avif"):
        pytest.skip("this Pillow has no AVIF")
    elif kind == "gif":
        image = image.quantize(64)
        image.save(path)
    else:
        image.save(path, **({} if kind == "bmp" else {"quality": 100}))
    found, remarks = read(path)
    expected = np.asarray(image.convert("RGB"))
    assert np.abs(found.astype(int) - expected).mean() < 3
    assert found.shape == expected.shape == (*image_size(path), 3)
    assert not remarks
    assert image_stack(path) == Stack()


@pytest.mark.parametrize("kind", ["gif", "webp", "png"])
def test_frames_of_animated_pictures(tmp_path, kind):
    """Each frame as a viewer shows it, drawn on those before."""
    path = tmp_path / f"a.{kind}"
    frames = [Image.fromarray(np.full((30, 40, 3), grey, np.uint8)) for grey in (40, 120, 200)]
    frames[1].paste((200, 120, 40), (5, 5, 15, 15))
    frames[0].save(path, save_all=True, append_images=frames[1:], **({"lossless": True} if kind == "webp" else {}))
    assert image_stack(path) == Stack(times=3)
    for number, frame in enumerate(frames):
        found, remarks = read(path, frame=number)
        assert np.abs(found.astype(int) - np.asarray(frame)).max() <= 4
        assert not remarks
    found, remarks = read(path)
    assert np.abs(found.astype(int) - 40).max() <= 4
    assert remarks == ["3 frames, of which frame 0 was read (--frame N or all chooses)"]
    with pytest.raises(ImageError, match="has no frame 3; expected one from 0 to 2"):
        read_image(path, frame=3)


@pytest.mark.parametrize("kind", ["webp", "avif"])
def test_orientation_of_other_formats(tmp_path, kind):
    if not features.check(kind):
        pytest.skip("this Pillow lacks the format")
    exif = Image.Exif()
    exif[274] = 6
    path = tmp_path / f"a.{kind}"
    Image.fromarray(SOFT).save(path, exif=exif, quality=95)
    assert image_size(path) == (160, 128)
    found, _ = read(path)
    assert np.abs(found.astype(int) - np.rot90(SOFT, -1)).mean() < 3


def test_channels_of_colour_pictures(tmp_path):
    Image.fromarray(NOISE).save(tmp_path / "a.png")
    assert (read(tmp_path / "a.png", channels=[1])[0] == NOISE[..., [1, 1, 1]]).all()
    assert (read(tmp_path / "a.png", channels=[2, 1, 0])[0] == NOISE[..., ::-1]).all()
    two = read(tmp_path / "a.png", channels=[0, 2])[0]
    assert (two == np.dstack([NOISE[..., 0], NOISE[..., 2], np.zeros((30, 40))])).all()
    with pytest.raises(ImageError, match="has 3 channels, and 3 came"):
        read_image(tmp_path / "a.png", channels=[3])


def test_heif_without_its_package_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    path = tmp_path / "a.heic"
    path.write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(200))
    with pytest.raises(
        ImageError, match="needs the package pillow-heif, which is not installed: pip install pillow-heif"
    ):
        read_image(path)


def test_formats_are_known_by_their_beginning(tmp_path):
    def box(major, *others):
        body = b"ftyp" + major + b"\0\0\0\0" + b"".join(others)
        return (len(body) + 4).to_bytes(4, "big") + body + bytes(200)

    assert kind_of(box(b"avif", b"mif1", b"miaf")) == "AVIF"
    assert kind_of(box(b"mif1", b"avif")) == "AVIF"
    assert kind_of(box(b"heic", b"mif1")) == "HEIF"
    assert kind_of(box(b"mif1", b"heic")) == "HEIF"
    assert kind_of(box(b"isom", b"mp42")) is None
    for name in ("rtplan.dcm", "MR_small.dcm", "ExplVR_LitEndNoMeta.dcm", "ExplVR_BigEndNoMeta.dcm"):
        assert kind_of_file(Path(dicom_file(name))) == "DICOM"
    for text in (
        b"",
        b"BM",
        b"BMI;age\n" + b"22;40\n" * 40,
        b"x,y\n1,2\n" * 40,
        bytes(200),
        b"\2\0\0\0" * 50,
        b"\x08\0" * 99,
    ):
        assert kind_of(text[:132]) is None
    assert kind_of_file(tmp_path / "missing") is None


# JPEG


def jpeg(**options):
    buffer = io.BytesIO()
    Image.fromarray(SMOOTH).save(buffer, format="JPEG", quality=90, **options)
    return buffer.getvalue()


@pytest.mark.parametrize("is_progressive", [False, True])
@pytest.mark.parametrize("ending", [b"", b"\xff", b"\0" * 500, b"\xff" + b"\0" * 9])
def test_a_jpeg_without_its_end_marker_is_whole(tmp_path, is_progressive, ending):
    whole = jpeg(progressive=is_progressive)
    (tmp_path / "whole.jpg").write_bytes(whole)
    (tmp_path / "a.jpg").write_bytes(whole.removesuffix(b"\xff\xd9") + ending)
    image, remarks = read(tmp_path / "a.jpg")
    assert (image == read(tmp_path / "whole.jpg")[0]).all()
    assert remarks == ["it has no end marker, though all its rows are there"]


@pytest.mark.parametrize("is_progressive", [False, True])
@pytest.mark.parametrize("n_missing", [4, 6, 10, 20, 40, 300, 3000])
@pytest.mark.parametrize("ending", [b"", b"\0" * 5000])
def test_a_jpeg_that_lacks_rows_is_refused(tmp_path, is_progressive, n_missing, ending):
    (tmp_path / "a.jpg").write_bytes(jpeg(progressive=is_progressive)[:-n_missing] + ending)
    with pytest.raises(ImageError, match="it is cut off: rows are missing"):
        read_image(tmp_path / "a.jpg")


@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_rows_that_libjpeg_paints_grey_are_refused(tmp_path, mode):
    """A camera that lost its connection, or a header that claims more: with an end marker, nobody complains."""
    buffer = io.BytesIO()
    Image.fromarray(SMOOTH).convert(mode).save(buffer, format="JPEG", quality=90)
    whole = buffer.getvalue()
    path = tmp_path / "a.jpg"
    path.write_bytes(whole[: len(whole) * 2 // 3] + b"\xff\xd9")
    with pytest.raises(ImageError, match="it is cut off: rows are missing"):
        read_image(path)
    place = whole.index(b"\xff\xc0") + 5
    path.write_bytes(whole[:place] + (240).to_bytes(2, "big") + whole[place + 2 :])
    with pytest.raises(ImageError, match="it is cut off: rows are missing"):
        read_image(path)


def test_a_picture_that_is_grey_at_its_end_is_whole(tmp_path):
    picture = SMOOTH.copy()
    picture[112:] = 128
    path = tmp_path / "a.jpg"
    Image.fromarray(picture).save(path, quality=95)
    assert (read(path)[0][-1] == 128).all()
    path.write_bytes(path.read_bytes() + b"what a camera adds")
    assert (read(path)[0][-1] == 128).all()


# DICOM


def packed(path, values, syntax, stream, **elements):
    """A DICOM file with one packed frame."""
    dataset = pydicom.dcmread(dicom_file("CT_small.dcm"))
    for name in ("PixelPaddingValue", "RescaleSlope", "RescaleIntercept"):
        delattr(dataset, name)
    is_colour = values.ndim == 3
    dataset.set_pixel_data(values, "RGB" if is_colour else "MONOCHROME2", 8 * values.dtype.itemsize)
    dataset.save_as(path.with_suffix(".plain"))
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.PixelData = encapsulate([stream])
    dataset["PixelData"].VR = "OB"
    for name, value in elements.items():
        setattr(dataset, name, value)
    dataset.save_as(path)
    return path


LOSSLESS = {
    "ljpeg": (pydicom.uid.JPEGLosslessSV1, lambda values: imagecodecs.ljpeg_encode(values)),
    "ljpeg14": (pydicom.uid.JPEGLossless, lambda values: imagecodecs.ljpeg_encode(values)),
    "jpegls": (pydicom.uid.JPEGLSLossless, lambda values: imagecodecs.jpegls_encode(values)),
    "jpeg2k": (
        pydicom.uid.JPEG2000Lossless,
        lambda values: imagecodecs.jpeg2k_encode(values, level=0, codecformat="j2k"),
    ),
    "jpeg2k in boxes": (
        pydicom.uid.JPEG2000Lossless,
        lambda values: imagecodecs.jpeg2k_encode(values, level=0, codecformat="jp2"),
    ),
}


@pytest.mark.parametrize("codec", LOSSLESS)
@pytest.mark.parametrize("kind", ["uint8", "uint16", "int16", "rgb"])
def test_lossless_codecs_of_dicom(tmp_path, codec, kind):
    """They show what the same values show that are not packed."""
    syntax, encode = LOSSLESS[codec]
    if kind == "rgb":
        values = NOISE
        if codec.startswith("ljpeg"):
            stream = imagecodecs.jpeg8_encode(values, lossless=True, colorspace="RGB", outcolorspace="RGB")
        else:
            stream = (
                encode(values)
                if codec == "jpegls"
                else imagecodecs.jpeg2k_encode(values, level=0, codecformat="j2k", mct=False)
            )
    else:
        values = RNG.integers(-900 if kind == "int16" else 0, 250, (30, 40)).astype(kind)
        # JPEG has no signs: the bits are stored.
        stream = encode(values if codec.startswith("jpeg2k") else values.view(f"u{values.dtype.itemsize}"))
    path = packed(tmp_path / "a.dcm", values, syntax, stream)
    image, remarks = read(path)
    assert (image == read_image(path.with_suffix(".plain"))).all()
    assert image.std() > 50
    assert not remarks


def test_packed_files_of_pydicom():
    """The same pictures, packed by other programs."""
    assert (read(dicom_file("MR_small_jpeg_ls_lossless.dcm"))[0] == read_image(dicom_file("MR_small.dcm"))).all()
    bars = read_image(dicom_file("SC_rgb_rle.dcm"))
    assert (read(dicom_file("SC_rgb_jpeg_gdcm.dcm"))[0] == bars).all()  # JPEG Lossless
    for name in ("SC_rgb_jls_lossy_line.dcm", "SC_rgb_jls_lossy_sample.dcm"):
        assert np.abs(read(dicom_file(name))[0].astype(int) - bars).max() < 5
    assert read(dicom_file("JPEG-lossy.dcm"))[0].shape == (1024, 256, 3)  # of 12 bits


@pytest.mark.parametrize("is_little", [True, False])
@pytest.mark.parametrize("is_implicit", [True, False])
@pytest.mark.parametrize("has_meta", [True, False])
def test_dicom_without_preamble(tmp_path, is_little, is_implicit, has_meta):
    if is_implicit and not is_little:
        return  # there is no such thing
    dataset = pydicom.dcmread(dicom_file("MR_small.dcm" if is_little else "MR_small_bigendian.dcm"))
    expected = read_image(dicom_file("MR_small.dcm"))
    path = tmp_path / "a"
    if has_meta:
        if is_implicit:
            dataset.file_meta.TransferSyntaxUID = pydicom.uid.ImplicitVRLittleEndian
        dataset.save_as(tmp_path / "whole")
        path.write_bytes((tmp_path / "whole").read_bytes()[132:])
    else:
        dataset.file_meta, dataset.preamble = pydicom.dataset.FileMetaDataset(), None
        pydicom.dcmwrite(path, dataset, implicit_vr=is_implicit, little_endian=is_little)
    assert kind_of_file(path) == "DICOM"
    assert (read(path)[0] == expected).all()


# Packages that few people have


def test_a_jpeg_needs_none_of_the_large_packages(tmp_path):
    """Counting a photo must work where tifffile, pydicom and imagecodecs are not installed."""
    Image.fromarray(SMOOTH).save(tmp_path / "a.jpg")
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
    assert first == "(128, 160, 3)"
    assert second.endswith("a.tif needs the package tifffile, which is not installed: pip install tifffile")
