"""TRANCOS, on small copies with every click known and on real data."""

import numpy as np
import pytest
import scipy.io
import torch
from helpers_data import (
    TRANCOS,
    add_trancos_image,
    check_contract,
    damaged,
    make_trancos,
    noise_image,
    refused,
)
from PIL import Image, ImageFile

from src.datasets import DataError, get_dataset


def test_trancos_crops_to_the_region_last_row_and_column_included(tmp_path):
    clicks = [(3, 4), (19, 30), (2, 3), (10, 20), (10, 20), (0, 0), (20, 10), (5, 31)]
    root = make_trancos(tmp_path / "t", sorted(set(clicks)))
    sample = get_dataset({**TRANCOS, "transform": "none"}, "train", root)[0]
    check_contract(sample, 1)
    assert sample["roi"].shape == (18, 28)  # rows 2..19, columns 3..30
    assert sample["roi"].all()
    expected = [[0.5, 0.5], [1.5, 1.5], [8.5, 17.5], [17.5, 27.5]]
    assert sample["meta"]["point_list"].tolist() == expected
    assert sample["counts"].tolist() == [4]
    with Image.open(root / "images" / "image-1-000001.jpg") as image:
        pixels = np.asarray(image)[2:20, 3:31]
    assert np.array_equal((sample["images"] * 255).round().byte().permute(1, 2, 0).numpy(), pixels)


def test_trancos_is_black_outside_the_region(tmp_path):
    root = make_trancos(tmp_path / "t")
    roi = np.zeros((24, 32), dtype=bool)
    roi[5:9, 6:12] = roi[12:15, 20:27] = True
    add_trancos_image(root, "image-1-000003", [(5, 6), (14, 26), (9, 6), (10, 10)], roi)
    sample = get_dataset({**TRANCOS, "transform": "none"}, "val", root)[0]
    check_contract(sample, 1)
    assert np.array_equal(sample["roi"], roi[5:15, 6:27])
    assert (sample["images"][:, ~sample["roi"]] == 0).all()
    assert (sample["images"][:, sample["roi"]] > 0).any(dim=0).all()
    assert sample["points"].nonzero().tolist() == [[0, 0], [9, 20]]
    normalized = get_dataset(TRANCOS, "val", root)[0]["images"][0, ~sample["roi"]]
    assert torch.allclose(normalized, torch.tensor(-0.485 / 0.229))


def test_trancos_splits_names_and_places(tmp_path):
    root = make_trancos(tmp_path / "TRANCOS_v3")
    for place in (root, str(root), tmp_path):
        names = {split: get_dataset(TRANCOS, split, place).names for split in ("train", "val", "test")}
        assert names == {
            "train": ["image-1-000001.jpg", "image-1-000002.jpg"],
            "val": ["image-1-000003.jpg"],
            "test": ["image-1-000004.jpg"],
        }
    root = root.rename(tmp_path / "any name")
    assert get_dataset(TRANCOS, "val", tmp_path).names == ["image-1-000003.jpg"]
    meta = get_dataset(TRANCOS, "train", tmp_path)[1]["meta"]
    assert (meta["index"], meta["name"]) == (1, "image-1-000002.jpg")
    assert meta["path"] == str(root / "images" / "image-1-000002.jpg")


def test_trancos_in_no_folder_and_in_several(tmp_path):
    assert f"-d {tmp_path} holds no image_sets; expected the folder of TRANCOS" in refused(TRANCOS, tmp_path)
    for name in ("a", "b"):
        make_trancos(tmp_path / name)
    assert "holds several folders with image_sets, a and b; expected" in refused(TRANCOS, tmp_path)


@pytest.mark.parametrize("suffix", [".jpg", "dots.png", "mask.mat", ".txt"])
@pytest.mark.parametrize("size", ["all", 1])
def test_trancos_names_the_first_missing_file(tmp_path, suffix, size):
    root = make_trancos(tmp_path / "t")
    gone = root / "images" / f"image-1-000002{suffix}"
    gone.unlink()
    message = refused(TRANCOS, root, size=size)
    assert f"{gone} is missing" in message
    assert "more" not in message
    get_dataset(TRANCOS, "val", root)
    (root / "images" / "image-1-000001.txt").unlink()
    assert "image-1-000001.txt is missing (and 1 more)" in refused(TRANCOS, root)


def test_trancos_lists(tmp_path):
    root = make_trancos(tmp_path / "t")
    path = root / "image_sets" / "training.txt"
    path.write_text("\n\n")
    assert f"{path} names no image" in refused(TRANCOS, root)
    path.write_text("image-1-000001.jpg\nimage-1-000002.jpg\nimage-1-000001.jpg\n")
    assert "image-1-000001.jpg twice" in refused(TRANCOS, root)
    path.write_bytes(b"\xff\xfe\x00\x81")
    assert str(path) in refused(TRANCOS, root)
    path.unlink()
    assert str(path) in refused(TRANCOS, root)


@pytest.mark.parametrize(
    "text",
    [
        "5\t4\n",  # one short
        "5\t4\n21\t11\n1\t1\n1\t1\n",  # one twice
        "5\t4\n21\t11\n1\t2\n",  # another place
        "4\t5\n11\t21\n1\t1\n",  # y before x
        "4\t3\n20\t10\n0\t0\n",  # from 0
        "5\t4\n21\t11\n1\n",
        "5\t4\n21\t11\nx\ty\n",
        "5\t4\n21\t11\nnan\t1\n",
        "5\t4\n21\t11\ninf\t1\n",
    ],
)
def test_trancos_coordinates_must_agree_with_the_dots(tmp_path, text):
    root = make_trancos(tmp_path / "t")
    path = root / "images" / "image-1-000002.txt"
    path.write_text("21.7\t11.2\r\n5\t4\r\n\r\n1\t1\r\n")
    assert get_dataset(TRANCOS, "train", root)[1]["counts"].tolist() == [2]
    path.write_text(text)
    dataset = get_dataset(TRANCOS, "train", root)
    dataset[0]
    assert str(path) in damaged(dataset, 1)
    with pytest.raises(DataError, match="image-1-000002.txt"):
        dataset.count_list()


def test_trancos_dots_are_red(tmp_path):
    root = make_trancos(tmp_path / "t", [(10, 20)])
    path = root / "images" / "image-1-000001dots.png"
    with Image.open(path) as image:
        dots = np.asarray(image).copy()
    dots[5, 5], dots[6, 6], dots[7, 7] = (255, 255, 255), (127, 0, 0), (0, 255, 0)
    dots[10, 20] = (128, 90, 90)
    Image.fromarray(dots).save(path)
    assert get_dataset(TRANCOS, "train", root)[0]["points"].nonzero().tolist() == [[8, 17]]


def test_trancos_without_cars(tmp_path):
    dataset = get_dataset(TRANCOS, "train", make_trancos(tmp_path / "t", []))
    sample = dataset[0]
    check_contract(sample, 1)
    assert sample["counts"].tolist() == [0]
    assert dataset.count_list() == [0, 0]


def test_trancos_damaged_regions(tmp_path):
    root = make_trancos(tmp_path / "t")
    path = root / "images" / "image-1-000001mask.mat"
    dataset = get_dataset(TRANCOS, "train", root)
    for content in (b"", b"not a matlab file", path.read_bytes()[:100], path.read_bytes()[:-30]):
        path.write_bytes(content)
        assert str(path) in damaged(dataset)
    scipy.io.savemat(path, {"mask": np.ones((24, 32))})
    assert f"{path} has no BW" in damaged(dataset)
    for shape in ((24, 31), (32, 24), (24, 32, 3)):
        scipy.io.savemat(path, {"BW": np.ones(shape)})
        assert str(path) in damaged(dataset)
    scipy.io.savemat(path, {"BW": np.zeros((24, 32))})
    assert "region of interest" in damaged(dataset)
    assert "image-1-000001.jpg" in damaged(dataset)


def test_trancos_image_of_another_size(tmp_path):
    root = make_trancos(tmp_path / "t")
    path = root / "images" / "image-1-000001.jpg"
    Image.fromarray(noise_image(24, 33)).save(path)
    assert str(path) in damaged(get_dataset(TRANCOS, "train", root))


def test_damaged_images(tmp_path):
    """PIL can be told to read half an image; nothing here may do so."""
    assert ImageFile.LOAD_TRUNCATED_IMAGES is False
    root = make_trancos(tmp_path / "t")
    dataset = get_dataset(TRANCOS, "train", root)
    for suffix in (".jpg", "dots.png"):
        path = root / "images" / f"image-1-000001{suffix}"
        whole = path.read_bytes()
        for content in (b"", b"no image", whole[: len(whole) // 2], whole[:60]):
            path.write_bytes(content)
            assert str(path) in damaged(dataset)
        path.write_bytes(whole)
    dataset[0]


def test_trancos_counts_without_decoding_images(tmp_path):
    root = make_trancos(tmp_path / "t")
    dataset = get_dataset(TRANCOS, "train", root)
    expected = [int(sample["counts"].sum()) for sample in dataset]
    for path in dataset.paths:
        path.write_bytes(b"")
    assert dataset.count_list() == expected == [2, 2]
    assert dataset.median_count() == 2.0


def test_real_trancos(shared):
    folder = shared / "data" / "trancos_layout"
    splits = {split: get_dataset(TRANCOS, split, folder) for split in ("train", "val", "test")}
    assert [len(dataset) for dataset in splits.values()] == [47, 13, 16]
    assert len(get_dataset(TRANCOS, "train", shared / "data")) == 47
    assert splits["train"].median_count() == 12.0
    guess = [abs(count - 12.0) for count in splits["val"].count_list()]
    assert np.mean(guess) == pytest.approx(13.4, abs=0.05)
    for split, dataset in splits.items():
        for index, count in enumerate(dataset.count_list()):
            if split != "train" or index < 5:
                sample = dataset[index]
                check_contract(sample, 1)
                assert sample["counts"].tolist() == [count]
                roi = sample["roi"]
                assert roi[0].any()
                assert roi[-1].any()
                assert roi[:, 0].any()
                assert roi[:, -1].any()
