"""Small files that would need gigabytes, behind headers that claim little, are refused before they are decoded."""

import io
import struct
import subprocess
import sys
import zlib

import imagecodecs
import numpy as np
import pydicom
import pytest
import tifffile
from PIL import GifImagePlugin, Image
from pydicom.data import get_testdata_file
from pydicom.encaps import encapsulate

from lcfcn.counting import dicom_files
from lcfcn.counting.codestreams import EncodedSize, encoded_size, end_of_jpeg, has_all_scans
from lcfcn.counting.file_lists import all_frames
from lcfcn.counting.image_files import ImageError, read_image
from lcfcn.errors import UserError

SMALL = np.random.default_rng(0).integers(0, 256, (10, 10), dtype=np.uint8)
LARGE = 60_000


def refused(path):
    with pytest.raises(ImageError) as error:
        read_image(path)
    message = str(error.value)
    assert "\n" not in message
    return message


@pytest.fixture
def no_decoding(monkeypatch):
    """Decoding would be too late."""

    def fail(*args, **options):
        raise AssertionError("it is decoded")

    monkeypatch.setattr(tifffile.TiffPage, "asarray", fail)
    monkeypatch.setattr(dicom_files, "pixel_array", fail)


# The size that a compressed image claims, and how to change it


def with_size(stream, height, width):
    """The compressed image with another size in its header."""
    big, little = struct.pack(">HH", height, width), struct.pack("<I", (width - 1) | (height - 1) << 14)
    if stream.startswith(b"\xff\xd8"):
        place = min(stream.index(marker) for marker in (b"\xff\xc0", b"\xff\xc3", b"\xff\xf7") if marker in stream) + 5
        return stream[:place] + big + stream[place + 4 :]
    if stream.startswith(b"\x89PNG"):
        return stream[:16] + struct.pack(">II", width, height) + stream[24:]
    if stream.startswith(b"RIFF"):
        return stream[:21] + little + stream[25:]
    if stream.startswith(b"Lerc2"):
        return stream[:14] + struct.pack("<II", height, width) + stream[22:]
    place = stream.index(b"\xff\x4f\xff\x51") + 8
    return stream[:place] + struct.pack(">II", width, height) + stream[place + 8 :]


def pillow_stream(kind, **options):
    buffer = io.BytesIO()
    Image.fromarray(np.repeat(SMALL[..., None], 3, axis=2)).save(buffer, format=kind, **options)
    return buffer.getvalue()


STREAMS = {
    "jpeg": (7, lambda: imagecodecs.jpeg8_encode(SMALL)),
    "jpeg2000": (33005, lambda: imagecodecs.jpeg2k_encode(SMALL, codecformat="j2k")),
    "jpeg2000 in boxes": (34712, lambda: imagecodecs.jpeg2k_encode(SMALL, codecformat="jp2")),
    "png": (34933, lambda: imagecodecs.png_encode(SMALL)),
    "webp": (50001, lambda: pillow_stream("WEBP", lossless=True)),
    "lerc": (34887, lambda: imagecodecs.lerc_encode(SMALL)),
}


@pytest.mark.parametrize("codec", STREAMS)
def test_the_size_of_a_compressed_image(codec):
    stream = STREAMS[codec][1]()
    assert encoded_size(stream)[:2] == (10, 10)
    assert encoded_size(with_size(stream, 700, 900))[:2] == (700, 900)


def test_sizes_of_more_codecs():
    for lossy_options in ({"quality": 50}, {"lossless": True}):
        assert encoded_size(pillow_stream("WEBP", **lossy_options)) == EncodedSize(10, 10, 4)
    exif = Image.Exif()
    exif[274] = 3
    assert encoded_size(pillow_stream("WEBP", exif=exif)) == EncodedSize(10, 10, 4)  # in the extended format
    assert encoded_size(pillow_stream("JPEG", progressive=True)) == EncodedSize(10, 10, 3)
    assert encoded_size(imagecodecs.jpegls_encode(SMALL)) == EncodedSize(10, 10, 1)
    assert encoded_size(imagecodecs.ljpeg_encode(SMALL)) == EncodedSize(10, 10, 1)
    for nothing in (b"", b"\xff\xd8", b"\xff\xd8\xff\xc0", b"RIFF\0\0\0\0WEBPABCD", bytes(100)):
        size = encoded_size(nothing)
        assert size is None or size.n_values == 0


def test_a_decoy_does_not_hide_the_large_one():
    small, large = (with_size(STREAMS["jpeg2000"][1](), side, side) for side in (10, 12_000))
    assert encoded_size(b"a box with " + small + large)[:2] == (12_000, 12_000)
    assert encoded_size(b"a box with " + large + small)[:2] == (12_000, 12_000)


def test_the_structure_of_a_jpeg():
    for options in ({}, {"progressive": True}, {"restart_marker_blocks": 1}, {"comment": b"\xff\xd9"}):
        stream = pillow_stream("JPEG", **options)
        assert end_of_jpeg(stream + b"behind\xff\xd9") == len(stream) - 2
        assert end_of_jpeg(stream[:-2]) is None
        assert has_all_scans(stream)
    stream = pillow_stream("JPEG", progressive=True)
    assert not has_all_scans(stream[: stream.rindex(b"\xff\xda")])


# DICOM


def dicom(path, stream, syntax, rows=10, columns=10):
    dataset = pydicom.dcmread(get_testdata_file("CT_small.dcm", download=False))
    dataset.set_pixel_data(SMALL, "MONOCHROME2", 8)
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.PixelData = encapsulate([stream])
    dataset["PixelData"].VR = "OB"
    dataset.Rows, dataset.Columns = rows, columns
    dataset.save_as(path)
    return path


DICOM_STREAMS = {
    "jpeg2000": (pydicom.uid.JPEG2000, lambda: imagecodecs.jpeg2k_encode(SMALL, codecformat="j2k")),
    "jpeg": (pydicom.uid.JPEGBaseline8Bit, lambda: imagecodecs.jpeg8_encode(SMALL)),
    "lossless": (pydicom.uid.JPEGLosslessSV1, lambda: imagecodecs.ljpeg_encode(SMALL)),
    "jpegls": (pydicom.uid.JPEGLSLossless, lambda: imagecodecs.jpegls_encode(SMALL)),
}


@pytest.mark.parametrize("codec", DICOM_STREAMS)
@pytest.mark.parametrize("side", [11, 12_000])
def test_dicom_around_a_larger_image(tmp_path, no_decoding, codec, side):
    syntax, encode = DICOM_STREAMS[codec]
    path = dicom(tmp_path / "a.dcm", with_size(encode(), side, side), syntax)
    assert f"its header says 10 x 10 pixels, and its packed image {side} x {side}" in refused(path)


def test_a_whole_dicom_of_each_codec(tmp_path):
    for name, (syntax, encode) in DICOM_STREAMS.items():
        image = read_image(dicom(tmp_path / f"{name}.dcm", encode(), syntax))
        assert np.abs(image[..., 0].astype(int) - SMALL).mean() < 20


def test_dicom_around_runs_that_never_end(tmp_path, no_decoding):
    runs = struct.pack("<16I", 1, 64, *[0] * 14) + b"\x81\0" * 100_000
    path = dicom(tmp_path / "a.dcm", runs, pydicom.uid.RLELossless)
    assert "its header says 100 bytes, and its packed pixels alone are 200064" in refused(path)


def test_more_frames_than_bytes(tmp_path):
    dataset = pydicom.dcmread(get_testdata_file("CT_small.dcm", download=False))
    dataset.NumberOfFrames = 10**9
    dataset.save_as(tmp_path / "a.dcm")
    assert "1000000000 frames, more than it has bytes" in refused(tmp_path / "a.dcm")


def test_more_frames_than_anybody_counts(tmp_path, monkeypatch):
    monkeypatch.setattr("lcfcn.counting.file_lists.MAX_FRAMES", 2)
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((3, 8, 8), np.uint8), photometric="minisblack")
    with pytest.raises(UserError, match="a.tif has 3 frames, above the limit of 2: choose one by --frame N"):
        all_frames({"a.tif": tmp_path / "a.tif"})


# TIFF


def overwritten(path, **tags):
    with tifffile.TiffFile(path, mode="r+") as tiff:
        for name, value in tags.items():
            tiff.pages[0].tags[name].overwrite(value)
    return path


def strip(path, stream, compression, samples=1):
    """A TIFF of 10 x 10 pixels with one compressed strip."""
    tags = [(256, 10), (257, 10), (258, 8), (259, compression), (262, 1 if samples == 1 else 2), (273, 200)]
    tags += [(277, samples), (278, 10), (279, len(stream))]
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
    head = b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + b"\0\0\0\0"
    path.write_bytes(head.ljust(200, b"\0") + stream)
    return path


@pytest.mark.parametrize("compression", [None, "zlib", "lzw", "jpeg"])
def test_a_tile_that_is_far_larger_than_the_image(tmp_path, no_decoding, compression):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, SMALL, tile=(16, 16), compression=compression)
    overwritten(path, TileWidth=LARGE, TileLength=LARGE)
    assert f"it has 10 x 10 pixels, and a tile {LARGE} x {LARGE}" in refused(path)


@pytest.mark.parametrize("codec", STREAMS)
def test_a_strip_that_holds_a_larger_image(tmp_path, no_decoding, codec):
    compression, encode = STREAMS[codec]
    side = 16_000 if codec == "webp" else LARGE
    path = strip(tmp_path / "a.tif", with_size(encode(), side, side), compression, 3 if codec == "webp" else 1)
    assert f"it has 10 x 10 pixels, and a packed tile {side} x {side}" in refused(path)


@pytest.mark.parametrize("codec", STREAMS)
def test_a_whole_tiff_of_each_codec(tmp_path, codec):
    compression, encode = STREAMS[codec]
    image = read_image(strip(tmp_path / "a.tif", encode(), compression, 3 if codec == "webp" else 1))
    assert np.abs(image[..., 0].astype(int) - SMALL).mean() < 20


def test_codecs_whose_size_is_not_known_are_refused(tmp_path, no_decoding):
    assert "its compression JPEGXL is not read; save it with LZW or deflate" in refused(
        strip(tmp_path / "a.tif", b"\xff\x0a" + bytes(50), 50002)
    )
    assert "a compressed tile does not say its size" in refused(strip(tmp_path / "b.tif", b"\xff\xd8" + bytes(50), 7))


def test_large_tiles_of_small_images_are_usual(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", SMALL, tile=(1024, 1024), compression="zlib")
    assert (read_image(tmp_path / "a.tif")[..., 0] == SMALL).all()


# What unpacks to much: in a process of its own, whose memory is measured


def test_what_unpacks_to_a_gigabyte(tmp_path):
    packer = zlib.compressobj(9)
    stream = b"".join(packer.compress(bytes(2**24)) for _ in range(64)) + packer.flush()
    strip(tmp_path / "zlib.tif", stream, 8)
    strip(tmp_path / "packbits.tif", b"\x81\0" * 2**22, 32773)
    strip(tmp_path / "zstd.tif", imagecodecs.zstd_encode(bytes(2**28)), 50000)
    strip(tmp_path / "lzma.tif", imagecodecs.lzma_encode(bytes(2**28)), 34925)
    strip(tmp_path / "lzw.tif", imagecodecs.lzw_encode(bytes(2**27)), 5)
    header = struct.pack(">IIBBBBB", 10, 10, 8, 0, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", stream), (b"IEND", b"")]
    parts = [struct.pack(">I", len(d)) + kind + d + struct.pack(">I", zlib.crc32(kind + d)) for kind, d in chunks]
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(parts))
    code = (
        "import resource, sys\n"
        "from pathlib import Path\n"
        "import imagecodecs, pydicom, tifffile\n"
        "from lcfcn.counting.image_files import ImageError, read_image\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "for path in sorted(Path(sys.argv[1]).iterdir()):\n"
        "    try:\n"
        "        read_image(path)\n"
        "    except ImageError:\n"
        "        pass\n"
        "    print(path.name, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True)
    used = {name: int(kilobytes) for name, kilobytes in (line.split() for line in done.stdout.splitlines())}
    assert len(used) == 6
    assert max(used.values()) < 100_000, used


def test_a_frame_of_a_gif_that_grows(tmp_path, monkeypatch):
    """The second frame claims to be far larger. It is never decoded, not even on the way to the third."""
    path = tmp_path / "a.gif"
    frames = [Image.fromarray(SMALL), Image.fromarray(255 - SMALL), Image.fromarray(SMALL // 2)]
    frames[0].save(path, save_all=True, append_images=frames[1:])
    content = bytearray(path.read_bytes())
    place = content.index(b",\0\0\0\0\n\0\n\0", content.index(b",\0\0\0\0\n\0\n\0") + 1)  # the second frame's rectangle
    content[place + 5 : place + 9] = struct.pack("<HH", 9000, 9000)
    path.write_bytes(bytes(content))
    assert (read_image(path)[..., 0] == SMALL).all()
    loaded, load = [], GifImagePlugin.GifImageFile.load_prepare

    def loading(image):
        loaded.append(image.size)
        load(image)

    monkeypatch.setattr(GifImagePlugin.GifImageFile, "load_prepare", loading)
    for frame in (1, 2):
        with pytest.raises(ImageError, match="9000 x 9000 pixels, above the limit of 1000000"):
            read_image(path, frame=frame, max_pixels=10**6)
    assert set(loaded) == {(10, 10)}
