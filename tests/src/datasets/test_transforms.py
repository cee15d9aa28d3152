"""Augmentation moves image, clicks and region together."""

import numpy as np
import pytest
import torch

from src.datasets.base import PointDataset, Record
from src.readers.errors import DataError

PIXELS = np.array([[0, 0], [0, 30], [22, 0], [22, 30], [5, 7], [11, 15], [16, 3], [8, 29]])


class Marked(PointDataset):
    """One black image with a white pixel at each click, and a region."""

    needs_datadir = False
    class_names = ("even", "odd")

    def open(self, pixels=PIXELS, size=(23, 31), roi=None, image=None):
        self.names, self.paths = ["marked"], ["marked"]
        roi = np.ones(size, dtype=bool) if roi is None else roi
        pixels = np.asarray(pixels)
        if image is None:
            image = np.zeros((*size, 3), dtype=np.uint8)
            image[pixels[:, 0], pixels[:, 1]] = 255
        self.record = Record(image, pixels + 0.5, np.arange(len(pixels)) % 2 + 1, roi)

    def read(self, index):
        return self.record


def marked(augment, seed=0, **options):
    return Marked("train", None, augment_seed=seed, augmented=True, transform="none", augment=augment, **options)


def check_sample(sample):
    """Dense map, counts and list of clicks say the same."""
    point_list, labels = sample["meta"]["point_list"], sample["meta"]["labels"]
    rows, cols = point_list.long().T
    height, width = sample["roi"].shape
    assert sample["images"].shape == (3, height, width)
    assert sample["points"].shape == (height, width)
    assert ((rows >= 0) & (rows < height) & (cols >= 0) & (cols < width)).all()
    assert sample["roi"][rows, cols].all()
    assert sample["counts"].tolist() == [int((labels == k).sum()) for k in (1, 2)]
    assert set(map(tuple, sample["points"].nonzero().tolist())) == set(zip(rows.tolist(), cols.tolist(), strict=True))


def bright_pixels(sample):
    return set(map(tuple, (sample["images"] > 0.5).all(dim=0).nonzero().tolist()))


def clicked_pixels(sample):
    return set(map(tuple, sample["meta"]["point_list"].floor().long().tolist()))


@pytest.mark.parametrize(
    ("augment", "n_views"),
    [
        ({"hflip": True}, 2),
        ({"vflip": True}, 2),
        ({"hflip": True, "vflip": True}, 4),
        ({"crop": 12}, 8),
        ({"crop": 13, "hflip": True, "vflip": True}, 8),
    ],
)
def test_clicks_stay_on_what_they_mark(augment, n_views):
    dataset = marked(augment)
    views = set()
    for epoch in range(40):
        sample = dataset[epoch, 0]
        check_sample(sample)
        assert bright_pixels(sample) == clicked_pixels(sample)
        assert torch.equal(sample["meta"]["point_list"] % 1, torch.full_like(sample["meta"]["point_list"], 0.5))
        views.add(sample["images"].numpy().tobytes())
    assert len(views) >= n_views


def test_labels_follow_their_clicks():
    image = np.zeros((23, 31, 3), dtype=np.uint8)
    for number, (row, col) in enumerate(PIXELS):
        image[row, col, number % 2] = 255
    dataset = marked({"crop": 20, "hflip": True, "vflip": True}, image=image)
    for epoch in range(20):
        sample = dataset[epoch, 0]
        rows, cols = sample["meta"]["point_list"].long().T
        colour = sample["images"][:2, rows, cols].argmax(dim=0) + 1
        assert torch.equal(colour, sample["meta"]["labels"])
        assert torch.equal(colour, sample["points"][rows, cols])


def test_a_crop_leaves_out_clicks_and_counts_the_rest():
    dataset = marked({"crop": 12})
    counts = [dataset[epoch, 0]["counts"].sum().item() for epoch in range(60)]
    assert min(counts) < max(counts) < len(PIXELS)
    sizes = {tuple(dataset[epoch, 0]["roi"].shape) for epoch in range(5)}
    assert sizes == {(12, 12)}


def test_a_crop_larger_than_the_image_does_not_pad():
    sample = marked({"crop": 25})[0]
    assert sample["roi"].shape == (23, 25)
    whole = marked({"crop": 500})[0]
    assert whole["roi"].shape == (23, 31)
    assert whole["roi"].all()
    assert whole["counts"].tolist() == [4, 4]


def test_two_clicks_on_a_pixel_count_twice():
    for augment in ({}, {"crop": 20, "hflip": True}, {"scale": [0.5, 2]}):
        sample = marked(augment, pixels=[[11, 15], [11, 15], [11, 15]])[3, 0]
        assert sample["counts"].tolist() == [2, 1]
        assert len(sample["meta"]["point_list"]) == 3
        assert (sample["points"] > 0).sum() == 1


def test_the_region_follows():
    roi = np.zeros((23, 31), dtype=bool)
    roi[3:15, 2:18] = True
    image = np.full((23, 31, 3), 200, dtype=np.uint8)
    augment = {"scale": [0.6, 1.7], "crop": 22, "hflip": True, "vflip": True, "jitter": 0.8}
    dataset = marked(augment, roi=roi, image=image)
    areas = set()
    for epoch in range(30):
        sample = dataset[epoch, 0]
        check_sample(sample)
        assert (sample["images"][:, ~sample["roi"]] == 0).all()
        areas.add(int(sample["roi"].sum()))
    assert len(areas) > 10
    for epoch in range(10):
        sample = marked({"crop": 22, "hflip": True, "vflip": True}, roi=roi, image=image)[epoch, 0]
        assert torch.equal(sample["images"][0] > 0, sample["roi"])


def test_what_is_outside_the_region_is_black_before_normalisation():
    roi = np.ones((23, 31), dtype=bool)
    roi[:, 20:] = False
    image = np.full((23, 31, 3), 200, dtype=np.uint8)
    dataset = Marked("val", None, transform="rgb_normalize", roi=roi, image=image)
    outside = dataset[0]["images"][:, 0, 25]
    assert torch.allclose(outside, torch.tensor([-0.485 / 0.229, -0.456 / 0.224, -0.406 / 0.225]))
    assert dataset[0]["counts"].sum() == int((PIXELS[:, 1] < 20).sum())


def test_what_is_outside_the_region_does_not_shine_in_when_scaled_or_jittered():
    roi = np.zeros((23, 31), dtype=bool)
    roi[4:17, 5:22] = True
    image = np.where(roi[..., None], 0, 255).repeat(3, axis=2).astype(np.uint8)
    dataset = marked({"scale": [0.3, 1.8], "jitter": 0.5}, roi=roi, image=image)
    for epoch in range(10):
        assert (dataset[epoch, 0]["images"] == 0).all()


@pytest.mark.parametrize("factor", [0.4, 0.7, 1.3])
def test_a_click_on_a_pixel_that_the_scaled_region_loses_is_dropped(factor):
    roi = np.zeros((23, 31), dtype=bool)
    roi[::2, ::3] = True
    sample = marked({"scale": [factor, factor]}, pixels=np.argwhere(roi), roi=roi)[0]
    check_sample(sample)
    assert 0 < sample["counts"].sum() <= roi.sum()


@pytest.mark.parametrize("factor", [0.5, 0.73, 1.0, 1.37, 2.0, 3.0])
def test_scale_takes_clicks_to_the_right_place(factor):
    sample = marked({"scale": [factor, factor]})[0]
    height, width = round(23 * factor), round(31 * factor)
    assert sample["roi"].shape == (height, width)
    assert sample["counts"].tolist() == [4, 4]
    exact = (PIXELS + 0.5) * (height / 23, width / 31)
    assert torch.equal(sample["meta"]["point_list"], torch.from_numpy(np.floor(exact) + 0.5).float())
    check_sample(sample)


@pytest.mark.parametrize("factor", [2, 3])
def test_scale_and_flips_together_keep_clicks_on_their_content(factor):
    """Enlarged by a whole number, a bright pixel is a bright square around its click."""
    dataset = marked({"scale": [factor, factor], "hflip": True, "vflip": True})
    for epoch in range(12):
        sample = dataset[epoch, 0]
        rows, cols = sample["meta"]["point_list"].long().T
        assert (sample["images"][0, rows, cols] > 0.4).all()


def test_scale_draws_from_its_range():
    widths = [marked({"scale": [0.5, 2.0]})[epoch, 0]["roi"].shape[1] for epoch in range(60)]
    assert 15 <= min(widths) < 24
    assert 45 < max(widths) <= 62


def test_jitter_changes_colours_alone():
    image = np.full((23, 31, 3), (200, 120, 60), dtype=np.uint8)
    plain, dataset = marked({}, image=image)[0], marked({"jitter": 0.4}, image=image)
    seen = {tuple(dataset[epoch, 0]["images"][:, 3, 3].tolist()) for epoch in range(10)}
    assert len(seen) == 10
    for key in ("points", "roi", "counts"):
        assert torch.equal(plain[key], dataset[5, 0][key])


ALL = {"scale": [0.8, 1.2], "crop": 16, "hflip": True, "vflip": True, "jitter": 0.3}


def same_sample(one, other):
    keys = ("images", "points", "roi", "counts")
    return all(torch.equal(one[key], other[key]) for key in keys if one[key].shape == other[key].shape) and all(
        one[key].shape == other[key].shape for key in keys
    )


def test_seed_epoch_and_index_alone_decide():
    samples = {}
    for seed in (0, 1, 2**40, 2**62):
        for epoch in range(3):
            samples[seed, epoch] = marked(ALL, seed=seed)[epoch, 0]
    assert len({sample["images"].numpy().tobytes() for sample in samples.values()}) == len(samples)
    torch.manual_seed(123)
    again = marked(ALL, seed=1)
    again[0, 0]
    assert same_sample(again[2, 0], samples[1, 2])
    assert same_sample(again[0], samples[1, 0])


def test_the_global_generator_is_left_alone():
    dataset = marked(ALL)
    torch.manual_seed(7)
    before = torch.get_rng_state()
    dataset[4, 0]
    assert torch.equal(torch.get_rng_state(), before)


def test_only_a_data_set_told_to_is_augmented():
    dataset = Marked("val", None, augment={"crop": 5}, transform="none")
    assert dataset[3, 0]["roi"].shape == (23, 31)


@pytest.mark.parametrize(
    ("augment", "word"),
    [
        ({"rotate": 3}, "scale, crop, hflip, vflip, jitter"),
        ("crop", "dict"),
        ([], "dict"),
        ({"crop": 0}, "crop"),
        ({"crop": True}, "crop"),
        ({"crop": 3.5}, "crop"),
        ({"hflip": 1}, "hflip"),
        ({"vflip": "yes"}, "vflip"),
        ({"scale": 2}, "scale"),
        ({"scale": [1.5, 1]}, "scale"),
        ({"scale": [0, 1]}, "scale"),
        ({"scale": [1, float("nan")]}, "scale"),
        ({"scale": [1, float("inf")]}, "scale"),
        ({"scale": [1, "2"]}, "scale"),
        ({"jitter": "much"}, "jitter"),
        ({"jitter": -0.1}, "jitter"),
        ({"jitter": 1.1}, "jitter"),
    ],
)
@pytest.mark.parametrize("split", ["train", "val"])
def test_an_augmentation_that_cannot_be_done_is_refused(augment, word, split):
    with pytest.raises(DataError, match=word) as error:
        Marked(split, None, augment=augment)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("zoom", [0.25, 0.5, 0.7, 1.5, 2])
def test_no_zoom_loses_a_click_at_the_border_of_the_region(zoom):
    rows, cols = np.mgrid[:61, :83]
    roi = (rows - 30) ** 2 + (cols - 41) ** 2 < 27**2
    border = roi & ~(np.roll(roi, 1, 0) & np.roll(roi, -1, 0) & np.roll(roi, 1, 1) & np.roll(roi, -1, 1))
    pixels = np.argwhere(border)
    dataset = Marked("val", None, zoom=zoom, pixels=pixels, roi=roi, image=np.zeros((61, 83, 3), np.uint8))
    found = dataset[0]
    assert int(found["counts"].sum()) == len(pixels) == len(found["meta"]["point_list"])
    assert abs(int(found["roi"].sum()) / zoom**2 - roi.sum()) < 0.25 * roi.sum()  # all is not inside
