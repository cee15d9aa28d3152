import pytest
from helpers_data import labelled_xy
from helpers_formats import put, save_images, tells

from src.annotations import yolo
from src.annotations.base import AnnotationError


def test_yolo_without_names_numbers_its_classes(tmp_path):
    save_images(tmp_path / "train/images", ["a.png"])
    save_images(tmp_path / "valid/images", ["a.png"])
    put(tmp_path / "train/labels/a.txt", "1 0.5 0.25 0.1 0.1\n0 0.5 0.5 1 1\n")  # the latter is the whole image
    put(tmp_path / "valid/labels/a.txt", "")
    first, second = yolo.read(tmp_path, None)
    assert (first.image, labelled_xy(first)) == ("train/images/a", [(32, 8, "class 1"), (32, 16, "class 0")])
    assert (second.image, labelled_xy(second)) == ("valid/images/a", [])


def test_yolo_takes_names_from_lines_and_images_from_elsewhere(tmp_path):
    save_images(tmp_path / "photos", ["a.png"])
    put(tmp_path / "labels/a.txt", "1 0.5 0.25 0.1 0.1\n")
    put(tmp_path / "labels/classes.txt", "a\nb\n")
    (clicks,) = yolo.read(tmp_path / "labels", tmp_path / "photos")
    assert labelled_xy(clicks) == [(32, 8, "b")]
    with pytest.raises(AnnotationError, match="--images"):
        yolo.read(tmp_path / "labels", None)
    (tmp_path / "labels/classes.txt").rename(tmp_path / "classes.txt")
    (clicks,) = yolo.read(tmp_path / "labels", tmp_path / "photos")
    assert labelled_xy(clicks) == [(32, 8, "b")]


def test_a_class_beyond_the_names_is_told(tmp_path):
    save_images(tmp_path, ["a.png"])
    put(tmp_path / "data.yaml", "names: [a]")
    source = put(tmp_path / "a.txt", "1 0.1 0.1 0.1 0.1")
    tells(yolo, source, "have a name")
    for text in ("names: [", "names: {1: a}", "names:", "names: [2001-99-99]", "!!python/object/apply:os.getcwd []"):
        put(tmp_path / "data.yaml", text)
        with pytest.raises(AnnotationError, match=r"data\.yaml"):
            yolo.read(source, None)
