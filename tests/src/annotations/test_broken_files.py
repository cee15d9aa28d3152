"""Broken and hostile files of each format: a reader gives clicks or one line."""

import io
import json
import tempfile
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import scipy.io
import tifffile
from helpers_data import labelled_xy
from helpers_formats import SAMPLES, TRUTH, WHITE, heads_mat, label_image, put, save_images, tells
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from lcfcn.errors import UserError
from src.annotations import masks, nwpu, shanghaitech


def changed(data, old, new):
    assert old in data
    return data.replace(old, new, 1)


@pytest.mark.parametrize("key", SAMPLES)
def test_the_good_file_is_read(key, tmp_path):
    module, name, data = SAMPLES[key]
    save_images(tmp_path, ["a.png"])
    source = put(tmp_path / name, data)
    assert module.recognises(source)
    (clicks,) = module.read(source, None)
    assert len(labelled_xy(clicks)) == 1


@pytest.mark.parametrize("key", [key for key in SAMPLES if key not in ("yolo",)])
@pytest.mark.parametrize("data", [b"", b"\xff\xff\xff", b"{", b"\0" * 100], ids=["empty", "binary", "brace", "zeros"])
def test_a_file_of_something_else_is_told(key, data, tmp_path):
    module, name, _ = SAMPLES[key]
    save_images(tmp_path, ["a.png"])
    tells(module, put(tmp_path / name, data))


@pytest.mark.parametrize("key", [key for key, (_, name, _) in SAMPLES.items() if not name.endswith(".csv")])
def test_a_file_that_is_cut_off_is_told(key, tmp_path):
    module, name, data = SAMPLES[key]
    save_images(tmp_path, ["a.png"])
    tells(module, put(tmp_path / name, data[: len(data) // 2]))


TEXTS = [key for key, (_, name, _) in SAMPLES.items() if not name.endswith((".roi", ".zip"))]


@pytest.mark.parametrize("key", [key for key in TEXTS if key not in ("yolo", "voc")])
def test_latin_1_is_told(key, tmp_path):
    module, name, data = SAMPLES[key]
    tells(module, put(tmp_path / name, data.rstrip(b"}]\n") + "Füße".encode("latin-1") + data[-3:]))


NUMBERS = {
    "csv": b"a.png,1",
    "labelme": b"[[1",
    "cvat": b'points="1',
    "coco": b'"bbox": [1',
    "via json": b'"cx": 1',
    "via csv": b'""cx"":1',
    "label studio": b'"x": 1.5625',
    "yolo": b"0 0.1",
    "voc": b"<xmin>1",
    "results": b"a.png,1",
    "napari": b"0,1",
    "qupath": b"[1",
    "nwpu": b"[[1",
}


@pytest.mark.parametrize("key", NUMBERS)
@pytest.mark.parametrize("value", [b"NaN", b"Infinity", b"-Infinity", b"null", b"1e999", b"x"])
def test_what_is_no_finite_number_is_told(key, value, tmp_path):
    module, name, data = SAMPLES[key]
    save_images(tmp_path, ["a.png"])
    old = NUMBERS[key]
    number = old[max(old.rfind(mark) for mark in b' :[>,"') + 1 :]
    tells(module, put(tmp_path / name, changed(data, old, old.removesuffix(number) + value)))


@pytest.mark.parametrize("key", [key for key, (*_, data) in SAMPLES.items() if b"a.png" in data])
@pytest.mark.parametrize("name", ["../a.png", "b/../../a.png", "/etc/a.png", "..\\\\a.png", "C:/a.png"])
def test_a_name_that_climbs_stays_inside(key, name, tmp_path):
    """It is looked for by its end, and never opened by itself."""
    module, file, data = SAMPLES[key]
    (clicks,) = module.read(put(tmp_path / file, changed(data, b"a.png", name.encode())), None)
    assert clicks.image in ("a.png", "etc/a.png")


@pytest.mark.parametrize(
    ("key", "old", "new"),
    [
        ("via json", b'"filename"', b'"name"'),
        ("via json", b'"cx"', b'"c"'),
        ("via json", b'"shape_attributes"', b'"s"'),
        ("via csv", b"region_attributes", b"attributes"),
        ("label studio", b'"data"', b'"d"'),
        ("label studio", b'"result"', b'"r"'),
        ("label studio", b'"original_width"', b'"w"'),
        ("label studio", b'"image_rotation": 0', b'"image_rotation": 90'),
        ("yolo", b"0 0.1", b"0.1"),
        ("yolo", b"0 0.1", b"0 1.1"),
        ("voc", b"bndbox", b"box"),
        ("voc", b"<annotation>", b'<!DOCTYPE a [<!ENTITY b "c">]><annotation>'),
        ("results", b"X", b"Z"),
        ("napari", b"axis-1", b"axis"),
        ("qupath", b'"coordinates"', b'"c"'),
        ("nwpu", b'"points"', b'"p"'),
    ],
)
def test_a_missing_key_is_told(key, old, new, tmp_path):
    module, name, data = SAMPLES[key]
    save_images(tmp_path, ["a.png"])
    if key == "voc" and old == b"bndbox":
        data = data.replace(b"</bndbox>", b"</box>")
    tells(module, put(tmp_path / name, changed(data, old, new)))


def survives(module, name, data):
    """The reader takes the file, or tells in one line why not."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        put(Path(folder) / "a.png", WHITE)
        put(path, data)
        assert module.recognises(path) in (True, False)
        found, complaint = read_or_complaint(module, path)
        if complaint is not None:
            assert " ".join(complaint.split()) == complaint
            assert folder in complaint
            assert len(complaint) < 600
        for clicks in found:
            assert clicks.image
            assert not clicks.image.startswith("/")
            assert ".." not in clicks.image.split("/")
            assert all(np.isfinite(click[:2]).all() and click[2] for click in labelled_xy(clicks))
            assert all(number > 0 for number in clicks.dropped.values())
        assert len({clicks.image for clicks in found}) == len(found)


def read_or_complaint(module, path):
    try:
        return module.read(path, None), None
    except UserError as error:
        return [], str(error)


BINARY = {
    "mask png": (masks, "a_mask.png", lambda file: Image.fromarray(label_image(TRUTH["sub/b.png"])).save(file, "PNG")),
    "mask tiff": (masks, "a_mask.tif", lambda file: tifffile.imwrite(file, label_image(TRUTH["sub/b.png"]))),
    "shanghaitech": (
        shanghaitech,
        "ground-truth/GT_a.mat",
        lambda file: scipy.io.savemat(file, heads_mat(TRUTH["sub/b.png"])),
    ),
    "nwpu mat": (nwpu, "mats/a.mat", lambda file: scipy.io.savemat(file, {"annPoints": np.array([[1.0, 2.0]])})),
}


def all_samples():
    for key, sample in SAMPLES.items():
        yield key, SimpleNamespace(module=sample[0], name=sample[1], data=sample[2])
    for key, (module, name, write) in BINARY.items():
        file = io.BytesIO()
        write(file)
        yield key, SimpleNamespace(module=module, name=name, data=file.getvalue())


ALL_SAMPLES = dict(all_samples())

FUZZ = settings(max_examples=20, deadline=None, derandomize=True, database=None)


@pytest.mark.parametrize("key", ALL_SAMPLES)
@FUZZ
@given(data=st.binary(max_size=300))
def test_any_bytes_are_survived(key, data):
    survives(ALL_SAMPLES[key].module, ALL_SAMPLES[key].name, data)


@st.composite
def mutations(draw, data):
    """Valid bytes with some pieces cut out, doubled, or replaced by what tends to hurt."""
    hurting = [b"", b"\0", b"\xff", b"nan", b"1e999", b"-1", b'"', b"[", b"{}", b"null", b"true", b"<", b"&a;", b"\n"]
    hurting += [b",", b"..", b"/", b"\\ud800", b"[[[]]]", b"9" * 400]
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(data)))
        stop = draw(st.integers(start, min(len(data), start + 12)))
        middle = draw(st.sampled_from(hurting) | st.binary(max_size=6) | st.just(data[start:stop] * 2))
        data = data[:start] + middle + data[stop:]
    return data


@pytest.mark.parametrize("key", ALL_SAMPLES)
@settings(FUZZ, max_examples=60)
@given(draw=st.data())
def test_damaged_bytes_are_survived(key, draw):
    sample = ALL_SAMPLES[key]
    survives(sample.module, sample.name, draw.draw(mutations(sample.data)))


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)


def places(value, path=()):
    """The path of each value inside a JSON value, itself included."""
    yield path
    members = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, member in members:
        yield from places(member, (*path, key))


def replaced(value, path, new):
    if not path:
        return new
    copy = value.copy()
    copy[path[0]] = replaced(value[path[0]], path[1:], new)
    return copy


@pytest.mark.parametrize("key", [key for key, (_, name, _) in SAMPLES.items() if name.endswith("json")])
@settings(FUZZ, max_examples=50)
@given(draw=st.data())
def test_any_value_anywhere_in_json_is_survived(key, draw):
    module, name, data = SAMPLES[key]
    content = json.loads(data)
    path = draw.draw(st.sampled_from(list(places(content))))
    survives(module, name, json.dumps(replaced(content, path, draw.draw(VALUES))))
