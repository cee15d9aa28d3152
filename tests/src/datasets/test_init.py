"""The registry of data sets."""

import pytest
from helpers_data import (
    SYNTHETIC,
    refused,
)

from lcfcn.errors import UserError
from src.datasets import DATASETS, DataError, get_dataset


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
