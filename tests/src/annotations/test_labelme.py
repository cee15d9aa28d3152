import pytest
from helpers_data import labelled_xy
from helpers_formats import labelme_text, put, shape, told

from src.annotations import labelme


@pytest.mark.parametrize(
    ("kind", "points", "expected"),
    [
        ("point", [[3, 4.25]], (3, 4.25)),
        ("rectangle", [[1, 2], [5, 10]], (3, 6)),
        ("rectangle", [[5, 10], [1, 2]], (3, 6)),
        ("polygon", [[0, 0], [4, 0], [4, 1], [0, 9]], (2, 4.5)),
        ("circle", [[5, 6], [5, 9]], (5, 6)),
        ("mask", [[2, 2], [4, 4]], (3, 3)),
        ("point", [[1, 2], [3, 4]], None),
        ("linestrip", [[0, 0], [4, 0]], None),
        ("line", [[0, 0], [4, 0]], None),
        ("polygon", [], None),
    ],
)
def test_where_a_labelme_shape_is(tmp_path, kind, points, expected):
    path = put(tmp_path / "a.json", labelme_text([shape(kind, points)], imageHeight=30, imageWidth=40))
    [clicks] = labelme.read(path, None)
    assert clicks.image_size == (30, 40)
    assert labelled_xy(clicks) == ([(*expected, "cell")] if expected else [])
    assert clicks.dropped == ({} if expected else {"shape without a position": 1})


def test_labelme_names_images_by_the_folder_of_images_before_its_own(tmp_path):
    path = put(tmp_path / "a.json", labelme_text([], imagePath="photos/day/a.jpg"))
    assert [clicks.image for clicks in labelme.read(path, tmp_path / "photos")] == ["day/a.jpg"]
    assert [clicks.image for clicks in labelme.read(path, None)] == ["photos/day/a.jpg"]


def test_labelme_names_images_relative_to_its_files(tmp_path):
    put(tmp_path / "notes" / "day 1" / "a.json", labelme_text([], "a.png"))
    put(tmp_path / "notes" / "b.json", labelme_text([], "..\\photos\\b.png"))
    found = labelme.read(tmp_path / "notes", tmp_path / "photos")
    assert [clicks.image for clicks in found] == ["b.png", "day 1/a.png"]
    assert [c.image for c in labelme.read(tmp_path / "notes" / "day 1", None)] == ["a.png"]


@pytest.mark.parametrize("image", ["", None, 3, "a\0.png", "\ud800", ".."])
def test_labelme_names_a_file(tmp_path, image):
    (tmp_path / "photos").mkdir()
    path = put(tmp_path / "notes" / "a.json", labelme_text([], image))
    assert "a.json names" in told(path, tmp_path / "photos")


@pytest.mark.parametrize("image", ["../../../etc/passwd", "/etc/passwd", "C:\\etc\\passwd", "file:///etc/passwd"])
def test_labelme_never_leaves_its_folders(tmp_path, image):
    (tmp_path / "photos").mkdir()
    path = put(tmp_path / "notes" / "a.json", labelme_text([], image))
    assert [clicks.image for clicks in labelme.read(path, tmp_path / "photos")] == ["etc/passwd"]


def test_a_damaged_file_among_good_ones_is_no_unannotated_image(tmp_path):
    put(tmp_path / "a.json", labelme_text([shape("point", [[1, 2]])]))
    put(tmp_path / "b.json", labelme_text([], "b.png")[:40])
    assert "b.json is of another format than the rest" in told(tmp_path)


def test_two_files_of_one_image_are_refused(tmp_path):
    for name in ("a.json", "b.json"):
        put(tmp_path / name, labelme_text([shape("point", [[1, 2]])]))
    assert "both annotate a.png" in told(tmp_path)
