"""Clicks of tools that ignore EXIF orientation, and of tools that turn the image."""

import numpy as np
import pytest
from helpers_annotations import HEIGHT, WIDTH, imported, points, put, refusal, save_image, table
from PIL import Image

from lcfcn.counting.image_files import read_image
from src.annotations.orientation import Frame

HALF, QUARTER = 3, 6
STORED = {HALF: (90, 60), QUARTER: (60, 30)}
"""Where (30, 20) of the stored image of 120 x 80 is in the image as shown."""


def csv_source(folder, size=None):
    return put(folder / "p.csv", table(["image", "x", "y"], ["a.jpg", 30, 20]))


def yolo_source(folder, size):
    height, width = size
    return put(folder / "a.txt", f"0 {30 / width} {20 / height} 0.1 0.1\n").parent


def fraction_source(folder, size):
    height, width = size
    return put(folder / "p.csv", table(["image", "x_norm", "y_norm"], ["a.jpg", 30 / width, 20 / height]))


def coco_source(folder, size):
    images = [{"id": 1, "file_name": "a.jpg", "height": size[0], "width": size[1]}]
    annotations = [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [29, 19, 2, 2]}]
    content = {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "object"}]}
    return put(folder / "c.json", content)


def labelme_source(folder, size):
    shapes = [{"label": "object", "points": [[30, 20]], "shape_type": "point"}]
    content = {"shapes": shapes, "imagePath": "a.jpg", "imageHeight": size[0], "imageWidth": size[1]}
    return put(folder / "a.json", content)


def dotdotgoose_source(folder, size=None):
    return put(folder / "p.csv", table(["survey id", "image", "class", "x", "y"], ["S1", "a.jpg", "object", 30, 20]))


def results_source(folder, size=None):
    return put(folder / "a.csv", table(["", "X", "Y"], [1, 29.5, 19.5]))


def place_of(source, **options):
    ((x, y, _),) = points(source, **options)["a.jpg"]
    return x, y


@pytest.mark.parametrize("orientation", [HALF, QUARTER])
@pytest.mark.parametrize("source_of", [csv_source, yolo_source, fraction_source])
def test_a_source_that_does_not_tell_the_frame_is_refused_until_the_user_does(tmp_path, source_of, orientation):
    image = save_image(tmp_path / "a.jpg", orientation=orientation)
    stored, shown = (HEIGHT, WIDTH), (WIDTH, HEIGHT) if orientation == QUARTER else (HEIGHT, WIDTH)
    source = source_of(tmp_path, stored)
    line = refusal(source)
    assert "1 images of" in line
    assert "carry an EXIF orientation (such as a.jpg)" in line
    assert "--orientation stored" in line
    assert place_of(source, orientation="stored") == STORED[orientation]
    assert "the clicks of 1 images were turned" in imported(source, orientation="stored").notes[0]
    assert place_of(source_of(tmp_path, shown), orientation="shown") == (30, 20)
    assert not any("turned" in note for note in imported(source, orientation="shown").notes)
    save_image(image)
    assert place_of(source_of(tmp_path, stored)) == (30, 20)


def test_an_image_without_clicks_needs_no_frame(tmp_path):
    save_image(tmp_path / "a.jpg")
    save_image(tmp_path / "b.jpg", orientation=HALF)
    source = put(tmp_path / "p.csv", table(["image", "x", "y"], ["a.jpg", 30, 20], ["b.jpg", "", ""]))
    assert points(source) == {"a.jpg": [(30, 20, "object")], "b.jpg": []}


@pytest.mark.parametrize(
    ("size", "expected"), [((HEIGHT, WIDTH), STORED[QUARTER]), ((WIDTH, HEIGHT), (30, 20))], ids=["stored", "shown"]
)
@pytest.mark.parametrize("source_of", [coco_source, labelme_source])
def test_a_size_in_the_source_tells_the_frame_of_a_quarter_turn(tmp_path, source_of, size, expected):
    save_image(tmp_path / "a.jpg", orientation=QUARTER)
    source = source_of(tmp_path, size)
    assert place_of(source) == expected
    other = "shown" if size == (HEIGHT, WIDTH) else "stored"
    assert f"leave out --orientation {other}" in refusal(source, orientation=other)


def test_the_frame_of_one_image_tells_that_of_the_others(tmp_path):
    for name, orientation in (("a.jpg", QUARTER), ("b.jpg", HALF)):
        save_image(tmp_path / name, orientation=orientation)
    content = {
        "images": [{"id": i, "file_name": f"{i}.jpg", "height": HEIGHT, "width": WIDTH} for i in "ab"],
        "annotations": [{"id": 1, "image_id": i, "category_id": 1, "bbox": [29, 19, 2, 2]} for i in "ab"],
        "categories": [{"id": 1, "name": "object"}],
    }
    found = points(put(tmp_path / "c.json", content))
    assert found == {"a.jpg": [(*STORED[QUARTER], "object")], "b.jpg": [(*STORED[HALF], "object")]}


def test_a_size_that_cannot_tell_is_refused_and_a_square_cannot(tmp_path):
    save_image(tmp_path / "a.jpg", orientation=HALF)
    assert "--orientation stored" in refusal(coco_source(tmp_path, (HEIGHT, WIDTH)))
    save_image(tmp_path / "a.jpg", (90, 90), orientation=QUARTER)
    assert "--orientation stored" in refusal(coco_source(tmp_path, (90, 90)))


def test_a_size_of_another_image_is_refused(tmp_path):
    save_image(tmp_path / "a.jpg", orientation=QUARTER)
    assert "was annotated as 60 x 40, and the file is 80 x 120" in refusal(coco_source(tmp_path, (40, 60)))


@pytest.mark.parametrize(
    ("source_of", "expected"),
    [(dotdotgoose_source, STORED[HALF]), (results_source, STORED[HALF]), (labelme_source, (30, 20))],
)
def test_the_frame_of_known_tools(tmp_path, source_of, expected):
    save_image(tmp_path / "a.jpg", orientation=HALF)
    source = source_of(tmp_path, (HEIGHT, WIDTH))
    assert place_of(source) == expected
    assert place_of(source, orientation="shown") == (30, 20)
    assert place_of(source, orientation="stored") == STORED[HALF]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_places_turn_as_pixels_do(tmp_path, orientation):
    """A white pixel of a stored image is where its place is in the image as read."""

    pixels = np.zeros((5, 8), np.uint8)
    pixels[1, 6] = 255
    exif = Image.Exif()
    exif[274] = orientation
    Image.fromarray(pixels).save(tmp_path / "a.png", exif=exif)
    ((row, col),) = np.argwhere(read_image(tmp_path / "a.png")[..., 0])
    assert Frame(5, 8, orientation).turned(6.5, 1.5) == (col + 0.5, row + 0.5)
