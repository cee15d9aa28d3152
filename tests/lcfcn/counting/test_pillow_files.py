"""Formats of Pillow beside the usual ones, animated pictures, and HEIF."""

import sys

import numpy as np
import pytest
from PIL import Image, features

from lcfcn.counting.image_files import ImageError, Stack, image_size, image_stack, read_image

RNG = np.random.default_rng(0)
NOISE = RNG.integers(0, 256, (30, 40, 3), dtype=np.uint8)
SOFT = np.asarray(Image.fromarray(NOISE[:3, :4]).resize((160, 128), Image.Resampling.BICUBIC))


def read(path, **options):
    """The image and the remarks."""
    remarks = []
    return read_image(path, remarks=remarks, **options), remarks


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
