"""The readers, on small copies with every click known and on the real data; the registry; the batch."""

import json
import pickle
import shutil

import numpy as np
import pytest
import scipy.io
import torch
from helpers_data import add_trancos_image, make_shanghai, make_trancos, noise_image, save_heads
from PIL import Image, ImageFile
from torch.utils.data import DataLoader

from lcfcn.counting.image_files import ImageError
from lcfcn.errors import UserError
from src.datasets import DATASETS, DataError, PointDataset, collate, get_dataset
from src.datasets.base import Record

TRANCOS = {"name": "trancos", "transform": "rgb_normalize"}
SHANGHAI_B = {"name": "shanghai", "part": "B", "transform": "rgb_normalize"}
SYNTHETIC = {"name": "synthetic"}


def refused(dataset_dict, datadir, split="train", **options):
    """The one line of an error of the constructor."""
    with pytest.raises(UserError) as error:
        get_dataset(dataset_dict, split, datadir, **options)
    assert "\n" not in str(error.value)
    return str(error.value)


def damaged(dataset, index=0):
    """The one line of a DataError or ImageError of decoding one image."""
    with pytest.raises((DataError, ImageError)) as error:
        dataset[index]
    assert "\n" not in str(error.value)
    return str(error.value)


def check_contract(sample, n_classes):
    images, points, counts, roi, meta = (sample[key] for key in ("images", "points", "counts", "roi", "meta"))
    assert set(sample) == {"images", "points", "counts", "roi", "meta"}
    height, width = roi.shape
    assert (images.shape, images.dtype) == ((3, height, width), torch.float32)
    assert (points.shape, points.dtype) == ((height, width), torch.int64)
    assert (counts.shape, counts.dtype) == ((n_classes,), torch.int64)
    assert roi.dtype == torch.bool
    assert type(images) is type(points) is type(roi) is type(meta["point_list"]) is torch.Tensor
    assert set(meta) == {"index", "name", "path", "size", "point_list", "labels"}
    assert meta["point_list"].shape == (counts.sum(), 2)
    assert (meta["point_list"].dtype, meta["labels"].dtype) == (torch.float32, torch.int64)
    rows, cols = meta["point_list"].long().T
    assert torch.equal(points[rows, cols] > 0, torch.ones_like(rows, dtype=torch.bool))
    assert len(points.nonzero()) == len(set(zip(rows.tolist(), cols.tolist(), strict=True)))
    assert roi[points > 0].all()


# The registry


def test_the_registry():
    assert list(DATASETS) == ["trancos", "shanghai", "synthetic", "points"]
    assert [dataset.needs_datadir for dataset in DATASETS.values()] == [True, True, False, True]
    assert issubclass(DataError, UserError)
    assert issubclass(DataError, ValueError)


@pytest.mark.parametrize(
    ("dataset_dict", "split", "words"),
    [
        ({"name": "cars"}, "train", ["'cars'", "trancos, shanghai, synthetic"]),
        ({}, "train", ["None", "trancos, shanghai, synthetic"]),
        ({"name": ["trancos"]}, "train", ["trancos, shanghai, synthetic"]),
        ("synthetic", "train", ["'synthetic'", "dict"]),
        (SYNTHETIC, "valid", ["'valid'", "train, val, test"]),
        ({**SYNTHETIC, "transform": "imagenet"}, "train", ["'imagenet'", "rgb_normalize, none"]),
        ({**SYNTHETIC, "transform": None}, "train", ["None", "rgb_normalize, none"]),
        ({**SYNTHETIC, "part": "A"}, "train", ["dataset.part", "synthetic", "image_size"]),
        ({**SYNTHETIC, "augment": {"zoom": 2}}, "val", ["zoom", "scale, crop, hflip, vflip, jitter"]),
    ],
)
def test_an_unknown_choice_lists_the_choices(dataset_dict, split, words):
    message = refused(dataset_dict, None, split)
    assert all(word in message for word in words), message


@pytest.mark.parametrize("size", [0, -3, 2.0, "many", True, None])
def test_a_size_that_is_none_is_refused(size):
    assert repr(size) in refused(SYNTHETIC, None, size=size)


def test_size_takes_the_first():
    whole, some, more = (get_dataset(SYNTHETIC, "val", None, size=size) for size in ("all", 3, 1000))
    assert (len(whole), len(some), len(more)) == (50, 3, 50)
    assert some.names == whole.names[:3]
    assert len(some.count_list()) == 3


def test_a_dataset_is_a_sequence():
    dataset = get_dataset(SYNTHETIC, "val", None, size=3)
    assert [sample["meta"]["index"] for sample in dataset] == [0, 1, 2]
    assert dataset[-1]["meta"]["index"] == 2
    with pytest.raises(IndexError):
        dataset[3]
    with pytest.raises(IndexError):
        dataset[1, 3]


def test_only_training_is_augmented_unless_told():
    flip = {**SYNTHETIC, "augment": {"crop": 64}}

    def side(split, augment=None):
        return get_dataset(flip, split, None, augment=augment)[0]["roi"].shape[0]

    assert [side(split) for split in ("train", "val", "test")] == [64, 160, 160]
    assert (side("train", False), side("val", True)) == (160, 64)


@pytest.mark.parametrize("split", ["train", "val"])
def test_zoomed_samples_are_so_many_times_as_large_with_their_clicks(split):
    plain = get_dataset(SYNTHETIC, split, None)[0]
    large = get_dataset({**SYNTHETIC, "zoom": 1.5}, split, None)[0]
    assert large["images"].shape == (3, 240, 240)
    assert large["roi"].shape == large["points"].shape == (240, 240)
    assert large["counts"].tolist() == plain["counts"].tolist()
    assert large["meta"]["point_list"].numpy() == pytest.approx(plain["meta"]["point_list"].numpy() * 1.5, abs=0.5)


def test_a_zoom_multiplies_the_augmentations_scale_of_training_alone():
    config = {**SYNTHETIC, "zoom": 2, "augment": {"scale": [0.5, 0.5]}}
    assert get_dataset(config, "train", None)[0]["images"].shape == (3, 160, 160)
    assert get_dataset(config, "val", None)[0]["images"].shape == (3, 320, 320)
    for zoom in (0, 9, "2", None, True, float("nan")):
        assert f"dataset.zoom is {zoom!r}" in refused({**SYNTHETIC, "zoom": zoom}, None)


def test_the_configuration_is_left_as_it_was_and_can_be_written_as_json():
    config = {**SYNTHETIC, "transform": "none", "augment": {"scale": [0.5, 1.0], "hflip": True}}
    before = json.dumps(config)
    get_dataset(config, "train", None)[0]
    assert json.dumps(config) == before


@pytest.mark.parametrize("name", ["trancos", "shanghai"])
def test_no_datadir(name, tmp_path):
    config = {"name": name, **({"part": "A"} if name == "shanghai" else {})}
    assert "-d" in refused(config, None)
    missing = tmp_path / "missing"
    assert str(missing) in refused(config, str(missing))
    a_file = tmp_path / "file"
    a_file.write_text("")
    assert str(a_file) in refused(config, str(a_file))
    assert str(tmp_path) in refused(config, str(tmp_path))


# TRANCOS


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


# ShanghaiTech


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


# The batch


class Sizes(PointDataset):
    """Images of three sizes, white, two classes."""

    needs_datadir = False
    class_names = ("left", "right")

    def open(self):
        self.names = self.paths = ["a", "b", "c"]

    def read(self, index):
        height, width = ((5, 9), (8, 4), (6, 6))[index]
        clicks = np.array([[1.0, 1.0], [height - 1.0, width - 1.0]])
        return Record(
            np.full((height, width, 3), 255, np.uint8), clicks, np.array([1, 2]), np.ones((height, width)) > 0
        )


def test_collate_pads_at_the_bottom_and_right():
    samples = list(Sizes("val", None))
    batch = collate(samples)
    assert batch["images"].shape == (3, 3, 8, 9)
    assert batch["points"].shape == batch["roi"].shape == (3, 8, 9)
    assert batch["counts"].tolist() == [[1, 1]] * 3
    assert batch["points"].dtype == torch.int64
    assert batch["roi"].dtype == torch.bool
    assert [meta["name"] for meta in batch["meta"]] == ["a", "b", "c"]
    for number, sample in enumerate(samples):
        height, width = sample["roi"].shape
        for key in ("images", "points", "roi"):
            assert torch.equal(batch[key][number][..., :height, :width], sample[key])
            padding = torch.ones(8, 9, dtype=torch.bool)
            padding[:height, :width] = False
            assert (batch[key][number][..., padding] == 0).all()


def test_collate_of_one_and_of_equal_sizes():
    dataset = get_dataset(SYNTHETIC, "val", None, size=2)
    batch = collate([dataset[0], dataset[1]])
    assert torch.equal(batch["images"], torch.stack([dataset[0]["images"], dataset[1]["images"]]))
    assert collate([dataset[0]])["images"].shape == (1, 3, 160, 160)


def test_workers_give_what_the_main_process_gives(tmp_path):
    """Samples depend on neither the number of workers nor the way in which they are started."""
    augment = {"crop": 12, "hflip": True, "jitter": 0.2}
    dataset = get_dataset({**TRANCOS, "augment": augment}, "train", make_trancos(tmp_path / "t"), seed=3)
    batches = [[(epoch, index) for index in (1, 0)] for epoch in range(3)]
    expected = [collate([dataset[key] for key in keys]) for keys in batches]
    copy = pickle.loads(pickle.dumps(dataset))
    for workers in (0, 2):
        loader = DataLoader(copy, batch_sampler=batches, collate_fn=collate, num_workers=workers)
        for batch, wanted in zip(loader, expected, strict=True):
            for key in ("images", "points", "roi", "counts"):
                assert torch.equal(batch[key], wanted[key])
    assert not torch.equal(expected[0]["images"], expected[1]["images"])


def test_a_damaged_file_is_named_from_a_worker_too(tmp_path):
    root = make_trancos(tmp_path / "t")
    path = root / "images" / "image-1-000001.jpg"
    path.write_bytes(path.read_bytes()[:300])
    loader = DataLoader(get_dataset(TRANCOS, "train", root), collate_fn=collate, num_workers=1)
    with pytest.raises(ImageError, match="image-1-000001.jpg"):
        next(iter(loader))
