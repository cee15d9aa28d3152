import os
from pathlib import Path

import pytest
from helpers_import import (
    PLAIN,
    SPACED,
    imported,
    points_of,
    refused,
    save_image,
    snapshot,
    write_csv,
)

from src.annotations import own_dataset
from src.annotations.own_dataset import OwnImage, write_dataset


def test_copies_where_links_fail(photos, tmp_path, capsys, monkeypatch):
    def no_links(self, target):
        raise OSError("no links here")

    monkeypatch.setattr(Path, "symlink_to", no_links)
    write_csv(photos)
    imported(capsys, photos, "-o", tmp_path / "own")
    assert (tmp_path / "own" / "images" / SPACED).read_bytes() == (photos / SPACED).read_bytes()


def test_what_is_there_is_spared(photos, tmp_path, capsys):
    write_csv(photos)
    foreign = tmp_path / "mine"
    foreign.mkdir()
    (foreign / "thesis.txt").write_text("mine")
    save_image(tmp_path / "album" / "images" / "a.png")  # nothing but a folder of that name
    for words in ([], ["--overwrite"]):
        assert "holds other things than a data set" in refused(capsys, photos, "-o", tmp_path / "album", *words)
        assert "holds other things than a data set" in refused(capsys, photos, "-o", foreign, *words)
        assert "holds other things" in refused(capsys, photos, "-o", photos, *words)
    assert "is not a folder" in refused(capsys, photos, "-o", foreign / "thesis.txt")
    (tmp_path / "own").mkdir()  # an empty folder may be used
    imported(capsys, photos, "-o", tmp_path / "own")
    before = snapshot(tmp_path)
    assert "add --overwrite" in refused(capsys, photos, "-o", tmp_path / "own")
    assert snapshot(tmp_path) == before
    imported(capsys, photos, "-o", tmp_path / "own", "--overwrite", "--classes", "rim", "--copy")
    assert {name for points in points_of(tmp_path / "own").values() for *_, name in points} == {"rim"}
    copied = tmp_path / "own" / "images"
    message = refused(capsys, photos, "--images", copied, "-o", tmp_path / "own", "--overwrite")
    assert "has no image" in message
    assert copied.is_dir()


@pytest.mark.parametrize("broken", ["_write_csv", "_replace"])
def test_a_failure_leaves_what_was(photos, tmp_path, capsys, monkeypatch, broken):
    write_csv(photos)
    imported(capsys, photos, "-o", tmp_path / "own")
    before = snapshot(tmp_path)

    def full(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(own_dataset, broken, full)
    for target in ("own", "new"):
        message = refused(capsys, photos, "-o", tmp_path / target, "--overwrite", "--classes", "rim")
        assert "cannot be written (No space left on device)" in message
        assert snapshot(tmp_path) == before
        assert sorted(os.listdir(tmp_path)) == ["own", "photos"]


def test_the_old_one_comes_back_if_the_new_one_cannot_take_its_place(photos, tmp_path, capsys, monkeypatch):
    write_csv(photos)
    imported(capsys, photos, "-o", tmp_path / "own")
    before = snapshot(tmp_path)
    rename = Path.rename

    def rename_but_not_the_new(self, target):
        if self.name.endswith("half-written"):
            raise OSError(13, "Permission denied")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", rename_but_not_the_new)
    assert "Permission denied" in refused(capsys, photos, "-o", tmp_path / "own", "--overwrite")
    assert snapshot(tmp_path) == before
    assert sorted(os.listdir(tmp_path)) == ["own", "photos"]


def test_a_dataset_is_not_made_of_the_one_it_replaces(photos, tmp_path):
    for name in ("images/a.png", "points.csv", "splits.csv"):
        save_image(tmp_path / "own" / name, format="PNG")
    image = OwnImage("a.png", tmp_path / "own" / "images" / "a.png", [], "train")
    with pytest.raises(Exception, match="would replace the folder that"):
        write_dataset(tmp_path / "own", [image], copy=True, add=lambda folder: None)
    assert (tmp_path / "own" / "images" / "a.png").is_file()


@pytest.mark.parametrize("name", ["../a.png", "/a.png", " a.png", "b\\a.png"])
def test_a_dataset_never_climbs(photos, tmp_path, name):
    with pytest.raises(Exception, match="rename the file|inside the folder"):
        write_dataset(tmp_path / "own", [OwnImage(name, photos / PLAIN, [], "train")], copy=True, add=lambda f: None)
    assert os.listdir(tmp_path) == ["photos"]
