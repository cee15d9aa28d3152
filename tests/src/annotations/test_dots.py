import numpy as np
from helpers_data import labelled_xy
from helpers_formats import told
from PIL import Image

from src import annotations
from src.annotations import dots
from src.annotations.base import Clicks


def save_dots(path, pixels, shape=(20, 30), disc=False):
    """A black picture with red pixels at (row, col), or 3 x 3 squares."""
    picture = np.zeros((*shape, 3), np.uint8)
    for row, col in pixels:
        picture[(slice(row - 1, row + 2), slice(col - 1, col + 2)) if disc else (row, col)] = (255, 0, 0)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(picture).save(path)


def test_single_red_pixels_are_dots_also_where_two_touch(tmp_path):
    save_dots(tmp_path / "001dots.png", [(0, 0), (5, 7), (5, 8), (19, 29)])
    save_dots(tmp_path / "001cell.png", [])
    save_dots(tmp_path / "s" / "é dots.png", [])
    Image.new("RGB", (30, 20), (200, 0, 0)).save(tmp_path / "s" / "é .jpg")
    assert annotations.recognise(tmp_path) is dots
    first, second = dots.read(tmp_path, None)
    assert first.image == "001cell.png"
    assert labelled_xy(first) == [(x, y, "object") for x, y in [(0.5, 0.5), (7.5, 5.5), (8.5, 5.5), (29.5, 19.5)]]
    assert second == Clicks("s/é .jpg", image_size=(20, 30))


def test_drawn_dots_are_one_each(tmp_path):
    save_dots(tmp_path / "adots.png", [(3, 4), (10, 20)], disc=True)
    save_dots(tmp_path / "a.png", [])
    assert labelled_xy(dots.read(tmp_path, None)[0]) == [(4.5, 3.5, "object"), (20.5, 10.5, "object")]


def test_what_is_not_red_is_no_dot(tmp_path):
    picture = np.zeros((1, 6, 3), np.uint8)
    picture[0] = [(255, 255, 255), (127, 0, 0), (128, 127, 127), (255, 128, 0), (255, 0, 128), (0, 0, 0)]
    Image.fromarray(picture).save(tmp_path / "adots.png")
    save_dots(tmp_path / "a.png", [])
    assert labelled_xy(dots.read(tmp_path, None)[0]) == [(2.5, 0.5, "object")]


def test_a_dot_image_needs_one_image(tmp_path):
    for name in ("adots.png", "acell.png", "bdots.png"):
        save_dots(tmp_path / name, [(1, 1)])
    assert "bdots.png needs one image of its name beside it, and there is none" in told(tmp_path)
    save_dots(tmp_path / "b.png", [])
    save_dots(tmp_path / "bcell.png", [])
    assert "there is bcell.png and b.png" in told(tmp_path)
