"""ShanghaiTech, on small copies with every click known and on real data."""

import shutil

import numpy as np
import pytest
import scipy.io
import torch
from helpers_data import (
    SHANGHAI_B,
    check_contract,
    damaged,
    make_shanghai,
    noise_image,
    refused,
    save_heads,
)
from PIL import Image

from src.datasets import DataError, get_dataset


def test_shanghai_splits_by_number(tmp_path):
    make_shanghai(tmp_path / "part_B")
    names = {split: get_dataset(SHANGHAI_B, split, tmp_path).names for split in ("train", "val", "test")}
    assert names["train"] == ["IMG_1.jpg", "IMG_5.jpg", "IMG_9.jpg", "IMG_11.jpg"]
    assert names["val"] == ["IMG_10.jpg", "IMG_100.jpg"]
    assert names["test"] == ["IMG_1.jpg", "IMG_5.jpg", "IMG_9.jpg", "IMG_10.jpg", "IMG_11.jpg", "IMG_100.jpg"]
    path = get_dataset(SHANGHAI_B, "test", tmp_path)[3]["meta"]["path"]
    assert path == str(tmp_path / "part_B" / "test_data" / "images" / "IMG_10.jpg")


@pytest.mark.parametrize("place", ["part_B", "part_B_final", "ShanghaiTech/part_B", "ShanghaiTech/part_B_final"])
@pytest.mark.parametrize("truth", ["ground-truth", "ground_truth"])
def test_shanghai_places(tmp_path, place, truth):
    part = make_shanghai(tmp_path / "data" / place, numbers=(1,), truth=truth)
    make_shanghai(tmp_path / "data" / place.replace("B", "A"), numbers=(1, 2))
    for datadir in (tmp_path / "data", part.parent, part, str(part)):
        dataset = get_dataset(SHANGHAI_B, "train", datadir)
        assert len(dataset) == 1
        assert dataset[0]["counts"].tolist() == [2]
    assert len(get_dataset({**SHANGHAI_B, "part": "A"}, "train", tmp_path / "data")) == 2


def test_shanghai_part_under_another_name_but_not_the_other_parts(tmp_path):
    part = make_shanghai(tmp_path / "crowds")
    assert len(get_dataset(SHANGHAI_B, "val", part)) == 2
    for name in ("part_A", "part_A_final"):
        shutil.copytree(part, tmp_path / name)
        assert str(tmp_path / name) in refused(SHANGHAI_B, tmp_path / name)


@pytest.mark.parametrize("part", [None, "C", "a", 1, ["A"]])
def test_shanghai_needs_a_part(tmp_path, part):
    make_shanghai(tmp_path / "part_B")
    config = {**SHANGHAI_B, "part": part}
    if part is None:
        config.pop("part")
    assert "expected one of A, B" in refused(config, tmp_path)


def test_shanghai_clicks(tmp_path):
    """x, y floats from the corner; outside the image they are clamped to the border and count."""
    xy = [(3.7, 5.2), (0, 0), (19.99, 15.99), (20, 16), (25.3, -4), (-0.5, 7), (3.1, 5.9), (1e12, 3)]
    dataset = get_dataset(SHANGHAI_B, "train", make_shanghai(tmp_path / "part_B", xy=xy))
    sample = dataset[0]
    check_contract(sample, 1)
    assert sample["meta"]["point_list"].tolist() == [
        *[[5.5, 3.5], [0.5, 0.5], [15.5, 19.5], [15.5, 19.5]],
        *[[0.5, 19.5], [7.5, 0.5], [5.5, 3.5], [3.5, 19.5]],
    ]
    assert sample["counts"].tolist() == [8]
    assert (sample["points"] > 0).sum() == 6
    assert sample["roi"].all()
    assert dataset.count_list() == [8] * 4


def test_shanghai_counts_without_decoding_images(tmp_path):
    dataset = get_dataset(SHANGHAI_B, "train", make_shanghai(tmp_path / "part_B"))
    for path in dataset.paths:
        path.write_bytes(b"")
    assert dataset.count_list() == [2, 2, 2, 2]
    assert "IMG_1.jpg" in damaged(dataset)


def test_shanghai_grey_images_get_three_channels(tmp_path):
    part = make_shanghai(tmp_path / "part_B")
    Image.fromarray(noise_image(16, 20)[..., 0]).save(part / "train_data" / "images" / "IMG_1.jpg")
    sample = get_dataset({**SHANGHAI_B, "transform": "none"}, "train", tmp_path)[0]
    check_contract(sample, 1)
    assert torch.equal(sample["images"][0], sample["images"][2])


def test_shanghai_nobody(tmp_path):
    sample = get_dataset(SHANGHAI_B, "train", make_shanghai(tmp_path / "part_B", xy=[]))[0]
    check_contract(sample, 1)
    assert sample["counts"].tolist() == [0]


def test_shanghai_missing_files(tmp_path):
    part = make_shanghai(tmp_path / "part_B")
    truth = part / "train_data" / "ground-truth" / "GT_IMG_9.mat"
    content = truth.read_bytes()
    truth.unlink()
    assert f"{truth} is missing:" in refused(SHANGHAI_B, tmp_path)
    assert len(get_dataset(SHANGHAI_B, "val", tmp_path)) == 2
    truth.write_bytes(content)
    image = part / "train_data" / "images" / "IMG_10.jpg"
    image.unlink()
    assert f"{image} is missing:" in refused(SHANGHAI_B, tmp_path, "val")
    (part / "train_data" / "images" / "IMG_100.jpg").unlink()
    assert f"{image} is missing (and 1 more)" in refused(SHANGHAI_B, tmp_path, "val")


def test_shanghai_empty_splits_and_odd_names(tmp_path):
    part = make_shanghai(tmp_path / "part_B", numbers=(1, 2))
    assert "no val image" in refused(SHANGHAI_B, tmp_path, "val")
    shutil.rmtree(part / "test_data")
    assert "no test image" in refused(SHANGHAI_B, tmp_path, "test")
    odd = part / "train_data" / "images" / "IMG_1 (copy).jpg"
    odd.write_bytes(b"")
    assert str(odd) in refused(SHANGHAI_B, tmp_path)
    odd.unlink()
    (part / "train_data" / "images" / "._IMG_1.jpg").write_bytes(b"")
    assert len(get_dataset(SHANGHAI_B, "train", tmp_path)) == 2


def test_shanghai_damaged_truth(tmp_path):
    part = make_shanghai(tmp_path / "part_B")
    path = part / "train_data" / "ground-truth" / "GT_IMG_1.mat"
    dataset = get_dataset(SHANGHAI_B, "train", tmp_path)
    for content in (b"", b"not a matlab file at all", path.read_bytes()[:-40], b"MATLAB 7.3 MAT-file" + bytes(600)):
        path.write_bytes(content)
        assert f"{path} cannot be read" in damaged(dataset)
    for contents in ({"points": np.ones((3, 2))}, {"image_info": np.ones((3, 2))}, {"image_info": "heads"}):
        scipy.io.savemat(path, contents)
        assert f"{path} has no points" in damaged(dataset)
    save_heads(path, [(1, 2), (3, 4)], n=3)
    assert f"{path} claims 3 heads and lists 2" in damaged(dataset)
    save_heads(path, [(1, 2), (np.nan, 4)])
    assert str(path) in damaged(dataset)
    with pytest.raises(DataError, match="GT_IMG_1.mat"):
        dataset.median_count()


def test_real_shanghai(shared):
    folder = shared / "data" / "ShanghaiTech"
    train, val, test = (get_dataset(SHANGHAI_B, split, folder) for split in ("train", "val", "test"))
    assert (len(train), len(val), len(test)) == (360, 40, 16)
    assert val.names[:3] == ["IMG_10.jpg", "IMG_20.jpg", "IMG_30.jpg"]
    assert len(get_dataset(SHANGHAI_B, "val", shared / "data")) == 40
    counts = train.count_list() + val.count_list()
    assert (min(counts), max(counts)) == (12, 576)
    for dataset, index in ((train, 0), (train, 359), (val, 39), (test, 15)):
        sample = dataset[index]
        check_contract(sample, 1)
        assert sample["roi"].shape == (768, 1024)
        assert sample["counts"].tolist() == [dataset.count(index)]


def test_real_shanghai_part_a_has_grey_images(shared):
    config = {"name": "shanghai", "part": "A"}
    folder = shared / "data" / "ShanghaiTech" / "part_A"
    splits = [get_dataset(config, split, folder) for split in ("train", "val", "test")]
    assert [len(dataset) for dataset in splits] == [90, 10, 16]
    grey = []
    for dataset in splits:
        for index, path in enumerate(dataset.paths):
            with Image.open(path) as image:
                if image.mode == "L":
                    grey.append((dataset, index))
    if not grey:
        pytest.skip("no grey image among these")
    dataset, index = grey[0]
    check_contract(dataset[index], 1)
