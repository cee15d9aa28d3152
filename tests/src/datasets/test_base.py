"""What all data sets share: a sequence of samples, zoom, augmentation, workers."""

import json
import pickle

import pytest
import torch
from helpers_data import (
    SYNTHETIC,
    TRANCOS,
    make_trancos,
    refused,
)
from torch.utils.data import DataLoader

from lcfcn.counting.image_files import ImageError
from src.datasets import collate, get_dataset


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
