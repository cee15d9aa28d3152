"""The painter keeps its promises: measured on the true masks, by other means than the painter's."""

import pickle

import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist

from src.datasets import DataError, get_dataset

DEMO = {"name": "synthetic", "transform": "rgb_normalize"}


def outer_distance(masks):
    """(n, n) least Chebyshev distance of two objects' pixels: 0 overlapping, 1 touching."""
    pixels = [np.argwhere(mask) for mask in masks]
    n = len(masks)
    distance = np.full((n, n), np.inf)
    for i in range(n):
        for j in range(i):
            apart = np.maximum(pixels[i].min(0) - pixels[j].max(0), pixels[j].min(0) - pixels[i].max(0)).max()
            if apart <= 1:
                distance[i, j] = distance[j, i] = cdist(pixels[i], pixels[j], "chebyshev").min()
    return distance


def check_scene(dataset, index, least=15, most=25):
    masks, visible = dataset.instance_masks(index)
    n = len(masks)
    assert least <= n <= most
    assert masks.dtype == bool
    assert masks.shape[1:] == visible.shape == (dataset.image_size, dataset.image_size)

    meets = (outer_distance(masks) <= 1).any(axis=1)
    assert meets.mean() >= 1 / 3

    # A later object lies on top of an earlier one.
    stacked = np.zeros_like(visible)
    for number, mask in enumerate(masks, start=1):
        stacked[mask] = number
    assert np.array_equal(stacked, visible)
    areas = masks.sum(axis=(1, 2))
    seen = np.bincount(visible.ravel(), minlength=n + 1)[1:]
    assert (seen >= 0.7 * areas).all()
    diameter = np.sqrt(4 * areas / np.pi) / dataset.image_size
    assert diameter.min() > 1 / 14
    assert diameter.max() < 1 / 5

    sample = dataset[index]
    assert sample["counts"].sum() == n == len(sample["meta"]["point_list"])
    rows, cols = sample["meta"]["point_list"].numpy().astype(int).T
    assert np.array_equal(visible[rows, cols], np.arange(1, n + 1))
    for number in range(1, n + 1):
        pixels = np.argwhere(visible == number)
        squares = ((pixels - pixels.mean(axis=0)) ** 2).sum(axis=1)
        clicked = np.flatnonzero((pixels == (rows[number - 1], cols[number - 1])).all(axis=1))
        assert squares[clicked[0]] == pytest.approx(squares.min())
    return n, meets.mean()


def test_every_demo_validation_image_keeps_the_promises():
    dataset = get_dataset(DEMO, "val", None)
    assert len(dataset) == 50
    numbers, shares = zip(*(check_scene(dataset, index) for index in range(50)), strict=True)
    assert {15, 25} <= set(numbers)
    assert np.mean(numbers) == pytest.approx(20, abs=1.5)
    assert dataset.count_list() == list(numbers)
    assert dataset.median_count() == np.median(numbers)


def test_training_and_test_images_keep_them_too():
    train, test = get_dataset(DEMO, "train", None), get_dataset(DEMO, "test", None)
    assert (len(train), len(test)) == (400, 50)
    for index in range(0, 400, 10):
        check_scene(train, index)
    for index in range(0, 50, 5):
        check_scene(test, index)


@pytest.mark.parametrize("options", [{"min_objects": 30, "max_objects": 30}, {"image_size": 48}])
def test_the_extremes_still_fit(options):
    dataset = get_dataset({**DEMO, **options}, "train", None)
    for index in range(10):
        check_scene(dataset, index, most=30)


@pytest.mark.parametrize("n", [1, 2, 5])
def test_few_objects(n):
    dataset = get_dataset({**DEMO, "min_objects": n, "max_objects": n}, "val", None)
    assert set(dataset.count_list()) == {n}
    for index in range(10 if n > 1 else 0):  # one alone touches nothing
        check_scene(dataset, index, least=n)


def images(split="val", n=3, **options):
    dataset = get_dataset({**DEMO, **options}, split, None)
    return [dataset.read(index).image for index in range(n)]


def equal(ones, others):
    return all(np.array_equal(one, other) for one, other in zip(ones, others, strict=True))


def test_seed_split_and_index_decide():
    first = images()
    assert equal(first, images())
    assert equal(first, images(seed=0))
    assert not equal(first[:1], first[1:2])
    for others in (images(seed=1), images("train"), images("test")):
        assert not any(np.array_equal(one, other) for one, other in zip(first, others, strict=True))


def test_the_experiments_seed_does_not_change_the_images():
    ones, others = (get_dataset(DEMO, "val", None, seed=seed) for seed in (0, 1))
    assert torch.equal(ones[3]["images"], others[3]["images"])


def test_the_images_differ_from_their_background_but_not_trivially():
    """An object's pixels are brighter on the whole, but no threshold finds the objects."""
    dataset = get_dataset(DEMO, "val", None)
    for index in range(10):
        visible = dataset.instance_masks(index)[1] > 0
        grey = dataset.read(index).image.mean(axis=2)
        assert grey[visible].mean() > grey[~visible].mean()
        errors = [np.mean((grey > threshold) != visible) for threshold in range(256)]
        assert min(errors) > 0.01


def test_two_classes_are_discs_and_ellipses():
    dataset = get_dataset({**DEMO, "n_classes": 2}, "val", None)
    assert dataset.n_classes == 2
    assert dataset.class_names == ["disc", "ellipse"]
    total = torch.zeros(2, dtype=torch.int64)
    for index in range(10):
        sample = dataset[index]
        masks, _ = dataset.instance_masks(index)
        for mask, label in zip(masks, sample["meta"]["labels"].tolist(), strict=True):
            low, high = np.sqrt(np.linalg.eigvalsh(np.cov(np.argwhere(mask).T)))
            assert (low / high > 0.85) == (label == 1)
        total += sample["counts"]
    assert (total > 60).all()
    one_class = get_dataset(DEMO, "val", None)
    assert one_class.class_names == ["object"]
    assert one_class[0]["counts"].sum() == dataset[0]["counts"].sum()
    assert set(one_class[0]["meta"]["labels"].tolist()) == {1}


def test_an_image_is_painted_once():
    dataset = get_dataset(DEMO, "val", None)
    assert dataset.read(4) is dataset.read(4)
    assert dataset.read(4).image.dtype == np.uint8


def test_what_is_done_to_a_sample_does_not_reach_the_next():
    dataset = get_dataset(DEMO, "val", None)
    before = dataset[1]
    kept = {key: before[key].clone() for key in ("images", "points", "roi", "counts")}
    for key in kept:
        before[key].zero_()
    before["meta"]["point_list"].zero_()
    after = dataset[1]
    assert all(torch.equal(kept[key], after[key]) for key in kept)
    assert after["meta"]["point_list"].sum() > 0


def test_it_travels_to_a_worker_without_its_cache():
    dataset = get_dataset(DEMO, "train", None, size=60)
    empty = len(pickle.dumps(dataset))
    first = [dataset.read(index).image for index in range(60)]
    message = pickle.dumps(dataset)
    assert len(message) == empty < 10_000
    copy = pickle.loads(message)
    assert equal(first, [copy.read(index).image for index in range(60)])


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"image_size": 47}, "image_size is 47"),
        ({"image_size": "big"}, "image_size is 'big'"),
        ({"n_val": 0}, "n_val is 0"),
        ({"n_train": 2.5}, "n_train is 2.5"),
        ({"n_test": True}, "n_test is True"),
        ({"min_objects": 0}, "min_objects is 0"),
        ({"min_objects": 26}, "max_objects is 25"),
        ({"max_objects": 31}, "max_objects is 31"),
        ({"max_objects": None}, "max_objects is None"),
        ({"n_classes": 3}, "n_classes is 3"),
        ({"n_classes": "2"}, "n_classes is '2'"),
        ({"seed": -1}, "seed is -1"),
        (
            {"colour": "red"},
            "dataset.colour is unknown to synthetic: known are name, transform, augment, zoom, image_size",
        ),
    ],
)
def test_what_cannot_be_painted_is_refused(options, word):
    with pytest.raises(DataError, match=word) as error:
        get_dataset({**DEMO, **options}, "val", None)
    assert "\n" not in str(error.value)
