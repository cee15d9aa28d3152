"""DICOM files that are packed by any codec, and without preamble."""

import imagecodecs
import numpy as np
import pydicom
import pytest
from pydicom.data import get_testdata_file
from pydicom.encaps import encapsulate

from lcfcn.counting.image_files import read_image
from lcfcn.counting.image_formats import kind_of_file

RNG = np.random.default_rng(0)
NOISE = RNG.integers(0, 256, (30, 40, 3), dtype=np.uint8)


def read(path, **options):
    """The image and the remarks."""
    remarks = []
    return read_image(path, remarks=remarks, **options), remarks


def dicom_file(name):
    return get_testdata_file(name, download=False)


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
