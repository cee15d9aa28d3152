"""Which planes of a file become the image: channels, slices and times, by ImageJ, OME-XML, tifffile and plain pages."""

import struct

import numpy as np
import pytest
import tifffile

from lcfcn.counting.image_files import ImageError, Stack, image_size, image_stack, read_image, read_values

RNG = np.random.default_rng(0)
HEIGHT, WIDTH = 24, 32


def planes(*shape):
    """Different noise in each plane, (*shape, H, W) uint8."""
    return RNG.integers(1, 255, (*shape, HEIGHT, WIDTH), dtype=np.uint8)


def written(path, values, **options):
    tifffile.imwrite(path, values, **options)
    return path


def imagej(path, values, axes, **metadata):
    return written(path, values, imagej=True, metadata={"axes": axes, **metadata})


def ome(path, values, axes):
    return written(path, values, ome=True, metadata={"axes": axes})


def shaped(path, values, axes):
    return written(path, values, photometric="minisblack", metadata={"axes": axes})


def read(path, **options):
    """The image and the remarks."""
    remarks = []
    return read_image(path, remarks=remarks, **options), remarks


def as_rgb(*channels):
    """One plane becomes grey, two become red and green, three become red, green and blue."""
    if len(channels) == 1:
        channels = channels * 3
    blank = np.zeros((HEIGHT, WIDTH), np.uint8)
    return np.dstack([*channels, blank, blank][:3])


WRITERS = pytest.mark.parametrize("write", [imagej, ome, shaped])


@WRITERS
@pytest.mark.parametrize("n_channels", [1, 2, 3])
def test_channels_of_one_plane_are_put_together(tmp_path, write, n_channels):
    values = planes(n_channels)
    path = write(tmp_path / "a.tif", values, "CYX")
    image, remarks = read(path)
    assert (image == as_rgb(*values)).all()
    assert image_stack(path) == Stack(channels=n_channels)
    assert image_size(path) == (HEIGHT, WIDTH)
    assert len(remarks) == (n_channels > 1)
    if n_channels == 2:
        assert remarks == ["2 channels: 0 and 1 became red and green (--channels chooses)"]
    assert np.squeeze(read_values(path)).shape == (HEIGHT, WIDTH, n_channels)[: 3 if n_channels > 1 else 2]


@WRITERS
def test_of_more_channels_the_first_three_or_the_chosen_ones(tmp_path, write):
    values = planes(5)
    path = write(tmp_path / "a.tif", values, "CYX")
    image, remarks = read(path)
    assert (image == as_rgb(*values[:3])).all()
    assert remarks == ["5 channels: 0, 1 and 2 became red, green and blue (--channels chooses)"]
    for chosen in ([4], [3, 1], [2, 0, 4]):
        image, remarks = read(path, channels=chosen)
        assert (image == as_rgb(*values[chosen])).all()
        assert not remarks
    for wrong in ([5], [-1], [], [0, 1, 2, 3]):
        with pytest.raises(
            ImageError, match=r"a.tif has 5 channels, and .* came; expected 1 to 3 of 0 to 4: choose others"
        ):
            read_image(path, channels=wrong)


@WRITERS
def test_a_blank_first_channel_hides_nothing(tmp_path, write):
    values = planes(2)
    values[0] = 0
    image, remarks = read(write(tmp_path / "a.tif", values, "CYX"))
    assert (image == as_rgb(*values)).all()
    assert remarks[1] == "channel 0 is blank (--channels 1 leaves it out)"
    assert (read(tmp_path / "a.tif", channels=[1])[0] == as_rgb(values[1])).all()
    deep = values.astype(np.uint16) * 100
    image, remarks = read(write(tmp_path / "b.tif", deep, "CYX"))
    assert image[..., 1].std() > 50
    assert remarks[1] == "channel 0 is blank (--channels 1 leaves it out)"


def test_samples_of_a_page_are_channels_too(tmp_path):
    values = planes(2)
    for number, (array, layout) in enumerate(((values, "separate"), (np.moveaxis(values, 0, -1).copy(), "contig"))):
        options = {"photometric": "minisblack", "extrasamples": [0], "planarconfig": layout}
        path = written(tmp_path / f"{number}.tif", array, **options)
        image, remarks = read(path)
        assert (image == as_rgb(*values)).all()
        assert len(remarks) == 1
        assert image_stack(path) == Stack(channels=2)
        assert (read(path, channels=[1])[0] == as_rgb(values[1])).all()


def test_rgb_pages_are_one_channel(tmp_path):
    values = RNG.integers(0, 255, (2, HEIGHT, WIDTH, 3), dtype=np.uint8)
    path = written(tmp_path / "a.tif", values[0], photometric="rgb")
    assert image_stack(path) == Stack()
    assert (read(path, channels=[1])[0] == as_rgb(values[0, ..., 1])).all()
    assert not read(path)[1]
    stack = written(tmp_path / "b.tif", values, imagej=True, metadata={"axes": "ZYXS"})
    assert image_stack(stack) == Stack(slices=2)
    assert (read(stack, frame=1)[0] == values[1]).all()
    channels = written(tmp_path / "c.ome.tif", values, metadata={"axes": "CYXS"}, photometric="rgb")
    image, remarks = read(channels)
    assert (image == values[0]).all()
    assert "6 channels" in remarks[0]
    assert (
        read(channels, channels=[1, 4, 3])[0] == np.dstack([values[0, ..., 1], values[1, ..., 1], values[1, ..., 0]])
    ).all()


def test_samples_that_are_called_channels(tmp_path):
    """Bio-Formats writes RGB pages as three channels."""
    values = RNG.integers(0, 255, (6, HEIGHT, WIDTH, 3), dtype=np.uint8)
    description = "ImageJ=1.53\nimages=18\nchannels=3\nslices=3\nframes=2\nhyperstack=true\n"
    path = written(tmp_path / "a.tif", values, photometric="rgb", metadata=None, description=description)
    assert image_stack(path) == Stack(slices=3, times=2)
    assert (read(path, frame=4)[0] == values[4]).all()


# Frames


@WRITERS
@pytest.mark.parametrize("axes", ["TZCYX", "TCYX", "ZCYX", "TZYX", "ZYX", "TYX"])
def test_frames_go_by_time_and_slice(tmp_path, write, axes):
    sizes = {"T": 2, "Z": 3, "C": 2}
    values = planes(*(sizes[axis] for axis in axes[:-2]))
    path = write(tmp_path / "a.tif", values, axes)
    stack = image_stack(path)
    assert stack == Stack(*(sizes[axis] if axis in axes else 1 for axis in "CZT"))
    full = values.reshape(stack.times, stack.slices, stack.channels, HEIGHT, WIDTH)
    for time in range(stack.times):
        for z in range(stack.slices):
            image, remarks = read(path, frame=time * stack.slices + z)
            assert (image == as_rgb(*full[time, z])).all()
            assert not any("frames" in remark for remark in remarks)
    image, remarks = read(path)
    assert (image == as_rgb(*full[0, 0])).all()
    assert remarks[0] == f"{stack.n_frames} frames, of which frame 0 was read (--frame N or all chooses)"
    with pytest.raises(ImageError, match=f"has no frame {stack.n_frames}; expected one from 0 to {stack.n_frames - 1}"):
        read_image(path, frame=stack.n_frames)


@pytest.mark.parametrize("axes", ["CZYX", "CTYX", "CTZYX", "ZTCYX", "ZCTYX"])
def test_any_order_of_axes(tmp_path, axes):
    """The number of a frame does not depend on the order in which a file holds its planes."""
    sizes = {"T": 2, "Z": 3, "C": 2}
    values = planes(*(sizes[axis] for axis in axes[:-2]))
    path = shaped(tmp_path / "a.tif", values, axes)
    order = [axes.index(axis) for axis in "TZC" if axis in axes]
    full = values.transpose([*order, len(axes) - 2, len(axes) - 1]).reshape(-1, 2, HEIGHT, WIDTH)
    for frame, channels in enumerate(full):
        assert (read(path, frame=frame)[0] == as_rgb(*channels)).all()


def test_pages_without_a_description_are_slices(tmp_path):
    values = planes(3)
    path = written(tmp_path / "a.tif", values, photometric="minisblack", metadata=None)
    assert image_stack(path) == Stack(slices=3)
    image, remarks = read(path)
    assert (image == as_rgb(values[0])).all()
    assert remarks == ["3 frames, of which frame 0 was read (--frame N or all chooses)"]
    assert (read(path, frame=2)[0] == as_rgb(values[2])).all()


def test_a_description_that_is_wrong_is_not_believed(tmp_path):
    """Programs copy the description of a stack to what they cut out of it."""
    values = planes(3)
    wrong = (
        "ImageJ=1.53\nimages=6\nchannels=2\nslices=3\nhyperstack=true\n",
        "ImageJ=1.53\nimages=99999999999\nslices=99999999999\n",
        "ImageJ=1.53\nchannels=0\nslices=nan\n",
        '{"shape": [2, 24, 32], "axes": "CYX"}',
        '{"shape": "?", "axes": 7}',
        '{"shape": [3, 24, 32], "axes": ',
        "<OME><Image><Pixels/></Image></OME>",
        '<OME><Image><Pixels DimensionOrder="XYCZT" SizeC="9" SizeZ="99999999" SizeT="99999999"><TiffData/></Pixels>'
        "</Image></OME>",
        '<!DOCTYPE a [<!ENTITY b "c">]><OME>&b;</OME>',
    )
    for number, description in enumerate(wrong):
        path = written(
            tmp_path / f"{number}.tif", values, photometric="minisblack", metadata=None, description=description
        )
        assert image_stack(path) == Stack(slices=3)
        for frame, plane in enumerate(values):
            assert (read(path, frame=frame)[0] == as_rgb(plane)).all()


def contiguous(path, values, description):
    """A TIFF with one page, and the data of all planes behind each other, as ImageJ writes large stacks."""
    order = values.dtype.byteorder if values.dtype.byteorder != "|" else "<"
    byte_order = ">" if order == ">" else "<"
    text = description.encode() + b"\0"
    tags = [(256, 3, 1, WIDTH), (257, 3, 1, HEIGHT), (258, 3, 1, 8 * values.dtype.itemsize), (259, 3, 1, 1)]
    tags += [(262, 3, 1, 1), (270, 2, len(text), 200), (273, 4, 1, 200 + len(text)), (277, 3, 1, 1)]
    tags += [(278, 3, 1, HEIGHT), (279, 4, 1, values[0].nbytes)]
    entries = b""
    for tag, kind, count, value in tags:
        is_short = kind == 3
        packed = struct.pack(byte_order + ("HH" if is_short else "I"), *((value, 0) if is_short else (value,)))
        entries += struct.pack(byte_order + "HHI", tag, kind, count) + packed
    head = (b"MM" if byte_order == ">" else b"II") + struct.pack(byte_order + "HI", 42, 8)
    head += struct.pack(byte_order + "H", len(tags)) + entries + b"\0\0\0\0"
    path.write_bytes(head.ljust(200, b"\0") + text + values.tobytes())
    return path


@pytest.mark.parametrize("dtype", ["u1", "<u2", ">u2"])
def test_a_stack_that_lies_behind_one_page(tmp_path, dtype):
    values = planes(2, 3).astype(dtype)
    description = "ImageJ=1.53\nimages=6\nchannels=3\nslices=2\nhyperstack=true\n"
    path = contiguous(tmp_path / "a.tif", values.reshape(6, HEIGHT, WIDTH), description)
    assert image_stack(path) == Stack(channels=3, slices=2)
    for frame in range(2):
        assert (read_values(path, frame=frame) == np.moveaxis(values[frame], 0, -1)).all()
    path.write_bytes(path.read_bytes()[:-1])
    assert image_stack(path) == Stack()  # the planes that the description names are not there


def test_smaller_copies_are_no_frames_and_masks_are_opacity(tmp_path):
    image = planes(1)[0]
    is_seen = np.zeros((HEIGHT, WIDTH), bool)
    is_seen[:, 8:] = True
    path = tmp_path / "a.tif"
    with tifffile.TiffWriter(path) as tiff:
        tiff.write(image[::2, ::2], subfiletype=1, photometric="minisblack", metadata=None)
        tiff.write(image, photometric="minisblack", metadata=None)
        tiff.write(is_seen, subfiletype=4, photometric="mask", metadata=None)
        tiff.write(image[::2, ::2], subfiletype=1, photometric="minisblack", metadata=None)
    assert image_stack(path) == Stack()
    assert image_size(path) == (HEIGHT, WIDTH)
    found, remarks = read(path)
    assert (found == as_rgb(np.where(is_seen, image, 255))).all()
    assert not remarks


def test_only_the_pages_of_this_file_of_an_ome_set(tmp_path):
    """A file for each time, each with the description of all: each file is counted by itself."""
    values = planes(2, 2)
    header = '<OME UUID="urn:uuid:{0}"><Image><Pixels DimensionOrder="XYCZT" SizeC="2" SizeZ="1" SizeT="2">'
    block = '<TiffData IFD="{0}" FirstC="{0}" FirstT="{1}" PlaneCount="1">'
    block += '<UUID FileName="t{1}.ome.tif">urn:uuid:{1}</UUID></TiffData>'
    blocks = "".join(block.format(channel, time) for time in range(2) for channel in range(2))
    for time in range(2):
        description = header.format(time) + blocks + "</Pixels></Image></OME>"
        # Renamed, so that only the UUID tells which file this is.
        path = written(
            tmp_path / f"renamed{time}.tif",
            values[time],
            photometric="minisblack",
            metadata=None,
            description=description,
        )
        assert image_stack(path) == Stack(channels=2)
        assert (read(path)[0] == as_rgb(*values[time])).all()


def test_channels_of_different_sizes_are_refused(tmp_path):
    path = tmp_path / "a.tif"
    with tifffile.TiffWriter(path) as tiff:
        description = "ImageJ=1.53\nimages=2\nchannels=2\nhyperstack=true\n"
        tiff.write(planes(1)[0], metadata=None, description=description)
        tiff.write(planes(1)[0][:-1], metadata=None)
    with pytest.raises(ImageError, match="its channels differ in size or type"):
        read_image(path)
