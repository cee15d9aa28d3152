"""What was found on an image: numbers by hand from red and green squares, pictures, files."""

import csv
import sys
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from helpers_networks import GREEN, RED, SURE, reds, squares
from PIL import Image

from lcfcn.counting import drawing
from lcfcn.counting.result import Result
from lcfcn.errors import UserError


def found(name="a.png", red=((10, 20), (30, 50)), green=((5, 8),)):
    image = squares(red) | squares(green, colour=GREEN)
    return reds(2, ["apple", "pear"]).count(image, name=name)


def rows(path):
    with path.open(encoding="utf-8", newline="") as file:
        return [tuple(row) for row in csv.reader(file)]


def test_numbers_of_all_objects_and_of_each_class():
    result = found()
    assert isinstance(result, Result)
    assert (result.name, result.count, result.counts) == ("a.png", 3, {"apple": 2, "pear": 1})
    assert found(green=()).counts == {"apple": 2, "pear": 0}
    assert found(red=(), green=()).count == 0
    assert result.caption() == "apple: 2   pear: 1"
    assert repr(result) == "Result('a.png', apple: 2, pear: 1)"


def test_the_table_of_points_has_a_row_an_object():
    points = found().points
    expected = pd.DataFrame(
        {
            "x": [20.5, 50.5, 8.5],
            "y": [10.5, 30.5, 5.5],
            "class": ["apple", "apple", "pear"],
            "score": [np.exp(10) / (np.exp(10) + 1 + np.exp(-10))] * 3,
            "area": [9, 9, 9],
        }
    )
    pd.testing.assert_frame_equal(points, expected, check_exact=False, rtol=1e-6)
    assert list(points.columns) == ["x", "y", "class", "score", "area"]


def test_the_table_of_no_points_has_the_same_columns():
    points = found(red=(), green=()).points
    assert list(points.columns) == ["x", "y", "class", "score", "area"]
    assert len(points) == 0
    assert points["x"].dtype == float
    assert points["area"].dtype == np.int64


def test_arrays_are_of_the_documented_types():
    result = found()
    assert (result.image.shape, result.image.dtype) == ((40, 60, 3), np.uint8)
    assert (result.xy.shape, result.xy.dtype) == ((3, 2), np.float64)
    for values in (result.labels, result.areas):
        assert (values.shape, values.dtype) == ((3,), np.int64)
    assert (result.scores.shape, result.scores.dtype) == ((3,), np.float64)
    assert (result.class_map.shape, result.class_map.dtype) == ((40, 60), np.uint8)
    assert result.class_map[10, 20] == 1
    assert result.class_map[5, 8] == 2
    assert (result.class_map > 0).sum() == 27


def test_the_overlay_is_the_image_enlarged_with_a_caption():
    overlay = found().overlay()
    assert isinstance(overlay, Image.Image)
    assert overlay.size == (360, 264)  # 60 x 40 pixels six times as large, and a caption of 24 rows
    pixels = np.asarray(overlay)
    for row, col in ((10, 20), (30, 50), (5, 8)):
        place = (24 + int((row + 0.5) * 6), int((col + 0.5) * 6))
        assert tuple(pixels[place]) == drawing.PREDICTED_COLOUR
    assert (pixels[:24] != 20).any()  # letters on the strip


def test_the_overlay_of_a_large_image_shows_every_second_pixel():
    image = np.zeros((60, 4096, 3), dtype=np.uint8)
    image[20:40, 3000:3020] = RED
    assert reds().count(image).overlay().size == (2048, 30 + 24)


@pytest.fixture
def notebook(monkeypatch):
    """A stand-in for IPython in a notebook: a list of what is displayed there."""
    shown = []
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: SimpleNamespace(kernel=1)))
    monkeypatch.setitem(sys.modules, "IPython.display", SimpleNamespace(display=shown.append))
    return shown


def test_show_displays_the_overlay_in_a_notebook(notebook):
    found().show()
    assert [image.size for image in notebook] == [(360, 264)]


@pytest.mark.parametrize("ipython", [None, SimpleNamespace(get_ipython=lambda: None)])
def test_show_opens_a_window_elsewhere(monkeypatch, ipython):
    opened = []
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    monkeypatch.setattr(Image.Image, "show", lambda image, title: opened.append((image.size, title)))
    found().show()
    assert opened == [((360, 264), "a.png")]


def test_save_writes_tables_and_overlay(tmp_path):
    result = found("sub/a ü.png", green=())
    result.save(tmp_path / "deep" / "out")
    out = tmp_path / "deep" / "out"
    files = sorted(path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file())
    assert files == ["counts.csv", "overlays/sub/a ü.png.png", "points.csv"]
    name = "sub/a ü.png"
    assert rows(out / "counts.csv") == [("image", "class", "count"), (name, "apple", "2"), (name, "pear", "0")]
    assert rows(out / "points.csv") == [
        ("image", "x", "y", "class", "score", "area"),
        (name, "20.5", "10.5", "apple", f"{SURE:.4f}", "9"),
        (name, "50.5", "30.5", "apple", f"{SURE:.4f}", "9"),
    ]
    assert np.array_equal(np.asarray(Image.open(out / "overlays" / f"{name}.png")), np.asarray(result.overlay()))


def test_save_adds_images_and_replaces_an_images_own_rows(tmp_path):
    found("a.png").save(tmp_path)
    found("b.png", red=(), green=()).save(tmp_path)
    found("a.png", red=((10, 20),), green=()).save(tmp_path)
    assert rows(tmp_path / "counts.csv")[1:] == [
        ("b.png", "apple", "0"),
        ("b.png", "pear", "0"),
        ("a.png", "apple", "1"),
        ("a.png", "pear", "0"),
    ]
    assert [row[:4] for row in rows(tmp_path / "points.csv")[1:]] == [("a.png", "20.5", "10.5", "apple")]
    assert len(list((tmp_path / "overlays").iterdir())) == 2


@pytest.mark.parametrize("table", ["counts.csv", "points.csv"])
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"image,x,y\na.png,1,2\n", "is another table; expected the header image,"),
        (b"", "is another table"),
        (b"\xff\xfe", "cannot be read"),
    ],
)
def test_save_spares_another_table(tmp_path, table, content, message):
    (tmp_path / table).write_bytes(content)
    with pytest.raises(UserError, match=f"{table} {message}") as error:
        found().save(tmp_path)
    assert "\n" not in str(error.value)
    assert (tmp_path / table).read_bytes() == content
    assert [path.name for path in sorted(tmp_path.iterdir())] == [table]


def test_save_into_what_is_no_folder_is_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot be"):
        found().save(tmp_path / "file")


def test_places_and_areas_go_back_to_the_image_as_it_came():
    small, large = squares([(10, 20)]), squares([(10, 20)]).repeat(2, axis=0).repeat(2, axis=1)
    result = reds().count(large, name="large.png").resized_to(small)
    assert result.image is small
    assert result.class_map.shape == (40, 60)
    assert result.areas.tolist() == [9]
    assert result.xy == pytest.approx(np.array([[20.25, 10.25]]))  # the first of four middle pixels, at half its place
    assert np.array_equal(result.class_map > 0, small[..., 0] > 0)
