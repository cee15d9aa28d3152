"""JPEG files that lack their end marker, and those that lack rows."""

import io

import numpy as np
import pytest
from PIL import Image

from lcfcn.counting.image_files import ImageError, read_image

RNG = np.random.default_rng(0)
NOISE = RNG.integers(0, 256, (30, 40, 3), dtype=np.uint8)
SMOOTH = np.asarray(Image.fromarray(NOISE).resize((160, 128), Image.Resampling.BICUBIC))


def read(path, **options):
    """The image and the remarks."""
    remarks = []
    return read_image(path, remarks=remarks, **options), remarks


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


def test_a_progressive_jpeg_that_lacks_its_last_scans_is_refused(tmp_path):
    """It is cut between two scans, so nothing seems to be missing; the picture is only blurred."""
    whole = jpeg(progressive=True)
    (tmp_path / "a.jpg").write_bytes(whole[: whole.rindex(b"\xff\xda")])
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
