from pathlib import Path

import numpy as np
import pytest
import tifffile
from pydicom.data import get_testdata_file

from lcfcn.counting.defaults import IMAGE_SUFFIXES
from lcfcn.counting.file_lists import all_frames, find_images
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
    assert str(error.value).startswith(
        f"{argument} names no image; expected an image file, a folder with images (.avif"
    )
    assert "\n" not in str(error.value)


def remarks_on(*arguments, **options):
    remarks = []
    find_images([str(argument) for argument in arguments], remarks=remarks, **options)
    return remarks


def test_what_is_left_out_of_a_folder_is_told(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    touch(
        tmp_path / "in", "a.jpg", "._a.jpg", "Thumbs.db", "notes.txt", "b.psd", "c.CZI", "sub/s.png", "sub/deep/t.jp2"
    )
    touch(tmp_path / "in", ".hidden/u.png", "__MACOSX/v.png", "out/overlays/w.png", "sub/x.txt")
    below = "in/sub/s.png, in/sub/deep/t.jp2) in sub-folders left out: --recursive counts there too"
    unread = "2 images (in/b.psd, in/c.CZI) left out, of formats that are not read: convert to PNG"
    assert remarks_on("in") == [f"3 images (in/out/overlays/w.png, {below}", unread]
    assert remarks_on("in", out=Path("in/out")) == [f"2 images ({below}", unread]
    assert remarks_on("in", recursive=True) == [
        "3 images (in/b.psd, in/c.CZI, in/sub/deep/t.jp2) left out, of formats that are not read: convert to PNG"
    ]
    assert remarks_on("in/*") == [unread]
    assert not remarks_on("in/a.jpg", "in/*.jpg")
    # What another argument names is not left out.
    assert remarks_on("in", "in/sub", "in/out/overlays")[0].startswith("1 image (in/sub/deep/t.jp2) in sub-folders")


def test_of_many_the_first_are_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    touch(tmp_path, "a.png", *(f"{k}.psd" for k in range(8)))
    assert remarks_on(".") == [
        "8 images (0.psd, 1.psd, 2.psd, 3.psd, 4.psd, ...) left out, of formats that are not read: convert to PNG"
    ]


def test_a_folder_of_unread_images_says_so(tmp_path):
    touch(tmp_path, "a.psd")
    with pytest.raises(UserError, match=r"names no image; .*; 1 image \(.*a.psd\) cannot be read: convert to PNG"):
        find_images([str(tmp_path)])


def test_files_without_suffix_are_known_by_their_content(tmp_path):
    """DICOM files are named IM0001 or by a UID, and lie beside an index and other files."""
    dicom = Path(get_testdata_file("CT_small.dcm", download=False)).read_bytes()
    names = ["IM0001", "1.2.840.113619.2.55", "series/IM0002", "DICOMDIR"]
    touch(tmp_path, *names, "README", "LOCKFILE", "a.5")
    for name in names:
        (tmp_path / name).write_bytes(dicom)
    assert list(find_images([str(tmp_path)], recursive=True)) == ["1.2.840.113619.2.55", "IM0001", "series/IM0002"]
    assert list(find_images([f"{tmp_path}/I*"])) == ["IM0001"]


def test_hidden_folders_are_left_out_unless_they_are_named(tmp_path):
    touch(tmp_path, ".cache/a.png", ".cache/deep/b.png", "c.png")
    assert list(find_images([str(tmp_path)], recursive=True)) == ["c.png"]
    assert list(find_images([str(tmp_path / ".cache")], recursive=True)) == ["a.png", "deep/b.png"]


def test_all_frames_have_names(tmp_path):
    values = np.zeros((3, 2, 8, 8), np.uint8)
    tifffile.imwrite(tmp_path / "b.tif", values, imagej=True, metadata={"axes": "ZCYX"})
    tifffile.imwrite(tmp_path / "a.tif", values[0, 0])
    (tmp_path / "c.tif").write_bytes(b"damaged")
    files, frames = all_frames(find_images([str(tmp_path)]))
    assert list(files) == ["a.tif", "b.tif#0", "b.tif#1", "b.tif#2", "c.tif"]
    assert list(frames.values()) == [0, 0, 1, 2, 0]
    assert {path.name for path in files.values()} == {"a.tif", "b.tif", "c.tif"}
    touch(tmp_path, "b.tif#1")
    with pytest.raises(UserError, match="b.tif#1 is the name of a file and of a frame: rename the file"):
        all_frames({"b.tif": tmp_path / "b.tif", "b.tif#1": tmp_path / "b.tif#1"})
