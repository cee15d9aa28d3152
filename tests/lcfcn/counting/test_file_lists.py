import pytest

from lcfcn.counting.defaults import IMAGE_SUFFIXES
from lcfcn.counting.file_lists import find_images
from lcfcn.errors import UserError


def touch(folder, *names):
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")


def test_a_folder_means_its_images_of_every_suffix_sorted(tmp_path):
    names = [f"a{suffix}" for suffix in IMAGE_SUFFIXES]
    touch(tmp_path, *names, "b.PNG", ".hidden.png", "notes.txt", "sub/c.png")
    found = find_images([str(tmp_path)])
    assert list(found) == sorted([*names, "b.PNG"])
    assert found["b.PNG"] == tmp_path / "b.PNG"
    assert set(find_images([str(tmp_path)], recursive=True)) - set(found) == {"sub/c.png"}


def test_names_are_relative_to_the_common_folder(tmp_path):
    touch(tmp_path, "day 1/x.png", "day 2/deep/x.PNG")
    assert list(find_images([str(tmp_path)], recursive=True)) == ["day 1/x.png", "day 2/deep/x.PNG"]
    assert list(find_images([str(tmp_path / "day 1" / "x.png")])) == ["x.png"]
    assert list(find_images([str(tmp_path / "day 1"), str(tmp_path / "day 2" / "deep")])) == [
        "day 1/x.png",
        "day 2/deep/x.PNG",
    ]


def test_a_pattern_and_a_file_named_twice(tmp_path):
    touch(tmp_path, "a1.png", "a2.png", "b[1].png", "b1.png", "a3.txt")
    found = find_images([f"{tmp_path}/a*", str(tmp_path / "a1.png"), str(tmp_path / "b[1].png")])
    assert list(found) == ["a1.png", "a2.png", "b[1].png"]


def test_a_file_that_is_named_need_not_look_like_an_image(tmp_path):
    touch(tmp_path, "scan.xyz")
    assert list(find_images([str(tmp_path / "scan.xyz")])) == ["scan.xyz"]


def test_what_an_earlier_run_wrote_is_left_out(tmp_path):
    touch(tmp_path, "a.png", "out/overlays/a.png.png")
    assert list(find_images([str(tmp_path)], out=tmp_path / "out", recursive=True)) == ["a.png"]
    with pytest.raises(UserError, match="names no image"):
        find_images([str(tmp_path / "out")], out=tmp_path / "out", recursive=True)


@pytest.mark.parametrize("argument", ["missing.png", "none*.png", "empty", "only_text"])
def test_what_names_no_image_is_one_line(tmp_path, monkeypatch, argument):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    touch(tmp_path, "only_text/notes.txt", "a.png")
    with pytest.raises(UserError) as error:
        find_images(["a.png", argument])
    assert str(error.value).startswith(f"{argument} names no image; expected an image file, a folder with images (.bmp")
    assert "\n" not in str(error.value)
