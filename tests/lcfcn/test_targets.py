from types import SimpleNamespace

import numpy as np
import pytest
import torch
from reference import CLICKS, GOLDEN, MAPS, everywhere, random_clicks, random_map
from scipy import ndimage

from lcfcn.blobs import get_blobs
from lcfcn.targets import TERMS, find_pixel_sets, merge


def targets_of(probs, points, roi=None, **options):
    """Pixel sets of (H, W) or (C, H, W) probabilities, and the shape (C, H, W)."""
    probs = np.asarray(probs, dtype=np.float32)
    probs = probs if probs.ndim == 3 else probs[None]
    roi = everywhere(probs.shape[1:]) if roi is None else roi
    return SimpleNamespace(pixel_sets=find_pixel_sets(probs, np.asarray(points), roi, **options), shape=probs.shape)


def term_map(targets, term, towards, channel=0):
    """The (H, W) weights of one term."""
    weights = np.zeros(targets.shape[1:])
    for s in targets.pixel_sets:
        if (s.term, s.towards, s.channel) == (term, towards, channel):
            weights.reshape(-1)[s.pixels] += s.weight
    return weights


def weight_maps(targets, towards, factors=None):
    """(4, C, H, W) merged weights."""
    merged = merge(targets.pixel_sets, towards, targets.shape, factors or dict.fromkeys(TERMS, 1.0))
    maps = np.zeros((len(merged.weights), targets.shape[0], targets.shape[1] * targets.shape[2]), dtype=np.float32)
    maps[..., merged.pixels] = merged.weights
    assert (merged.weights > 0).any((0, 1)).all()  # nothing is gathered for nothing
    return maps.reshape(-1, *targets.shape)


@pytest.mark.parametrize("scene", GOLDEN)
def test_weights_and_blobs_of_the_golden_scenes(shared, scene):
    golden = np.load(shared / "golden" / f"{scene}.npz")
    probs = torch.from_numpy(golden["logits"]).sigmoid().numpy()
    targets = targets_of(probs, golden["points"])
    np.testing.assert_array_equal(get_blobs(probs) > 0, golden["blobs"] > 0)
    assert get_blobs(probs).max() == golden["n_blobs"] == golden["blobs"].max()
    np.testing.assert_allclose(weight_maps(targets, True).sum(0)[0], golden["weight_fg"], rtol=1e-6)
    against = weight_maps(targets, False).sum(0)[0]
    # Where the relief has ties, the golden lines are those of another order of them: see docs/loss.md.
    tie = {"dense": 0.012, "merged": 0.007, "one_giant_blob": 0.045, "touching_points": 0.003, "trancos_size": 0.001}
    if scene not in tie:
        np.testing.assert_allclose(against, golden["weight_bg"], rtol=1e-6)
    for one, other in ((against > 0, golden["weight_bg"] > 0), (golden["weight_bg"] > 0, against > 0)):
        far = one & ~ndimage.binary_dilation(other, np.ones((3, 3)))
        assert far.sum() <= tie.get(scene, 0) * one.sum()


def test_no_golden_scene_is_forgotten(shared):
    assert sorted(path.stem for path in (shared / "golden").iterdir()) == sorted(GOLDEN)


@pytest.mark.parametrize("kind", MAPS)
@pytest.mark.parametrize("clicks", CLICKS)
@pytest.mark.parametrize("n_channels", [1, 2, 3])
def test_pixel_sets_are_the_weights_taken_apart(kind, clicks, n_channels):
    rng = np.random.default_rng(0)
    logits = torch.from_numpy(np.stack([random_map(kind, (17, 22), rng) for _ in range(n_channels)]))
    probs = (logits.sigmoid() if n_channels == 1 else logits.softmax(0)).numpy()
    points = random_clicks(clicks, (17, 22), rng, max(n_channels - 1, 1))
    roi = rng.random((17, 22)) < 0.9
    targets = targets_of(probs, points, roi)
    for towards in (True, False):
        weights = weight_maps(targets, towards).sum(0)
        assert (weights >= 0).all()
        assert (weights[:, ~roi] == 0).all()
        for channel in range(n_channels):
            terms = [term_map(targets, term, towards, channel) for term in TERMS]
            np.testing.assert_allclose(weights[channel], sum(terms), rtol=1e-6)
            np.testing.assert_allclose(weight_maps(targets, towards)[:, channel], terms, rtol=1e-6)
            factors = dict(zip(TERMS, (1, 2, 0.5, 3), strict=True))
            expected = sum(factors[term] * weight for term, weight in zip(TERMS, terms, strict=True))
            np.testing.assert_allclose(weight_maps(targets, towards, factors).sum(0)[channel], expected, rtol=1e-6)
    for s in targets.pixel_sets:
        assert len(np.unique(s.pixels)) == len(s.pixels) > 0


def test_one_click_on_one_blob_pulls_its_click_and_the_extremes():
    probs = np.full((6, 7), 0.2)
    probs[1:4, 2:5] = 0.8
    probs[2, 3], probs[5, 6] = 0.9, 0.1
    points = np.zeros((6, 7), dtype=int)
    points[1, 2] = 1
    targets = targets_of(probs, points)
    expected_fg, expected_bg = np.zeros((2, 6, 7))
    expected_fg[1, 2], expected_fg[2, 3], expected_bg[5, 6] = 1, 1, 1
    np.testing.assert_array_equal(weight_maps(targets, True).sum(0)[0], expected_fg)
    np.testing.assert_array_equal(weight_maps(targets, False).sum(0)[0], expected_bg)


def test_a_blob_without_a_click_weighs_one_however_large():
    probs = np.full((9, 12), 0.1)
    probs[0:2, 0:3], probs[4:8, 5:10], probs[0, 11] = 0.7, 0.8, 0.9
    points = np.zeros((9, 12), dtype=int)
    points[0, 11] = 1
    false_positive = term_map(targets_of(probs, points), "false_positive", towards=False)
    expected = np.zeros((9, 12))
    expected[0:2, 0:3], expected[4:8, 5:10] = 1 / 6, 1 / 20
    np.testing.assert_allclose(false_positive, expected)


def test_every_pixel_clicked_asks_nowhere_for_background():
    targets = targets_of(np.full((4, 5), 0.3), np.ones((4, 5), dtype=int))
    assert term_map(targets, "image_level", towards=False).sum() == 0
    assert term_map(targets, "point_level", towards=True).sum() == 20


def two_discs(gap):
    """Probabilities of two discs of radius 8, as bright as they are deep, and their centres."""
    rows, cols = np.indices((31, 50))
    left, right = (15, 24 - gap), (15, 25 + gap)
    near = np.minimum(np.hypot(rows - left[0], cols - left[1]), np.hypot(rows - right[0], cols - right[1]))
    points = np.zeros((31, 50), dtype=int)
    points[left] = points[right] = 1
    return 1 / (1 + np.exp(near - 8)), points


def test_touching_discs_are_parted_halfway():
    probs, points = two_discs(gap=6)
    assert get_blobs(probs).max() == 1
    targets = targets_of(probs, points)
    split = term_map(targets, "split_level", towards=False)
    # n - 1 from the whole image and c - 1 from the one blob that holds both.
    assert split.sum() == pytest.approx(2)
    rows, cols = np.nonzero(split)
    assert set(rows) == set(range(31))  # from edge to edge
    inside = get_blobs(probs) > 0
    parted = np.nonzero(inside.any(0) & (split * inside).any(0))[0]
    assert set(parted) <= {23, 24, 25, 26}
    # The line has two sides, so that no 8-connected path is left between the discs.
    assert get_blobs(np.where(split > 0, 0, probs)).max() == 2
    assert len(cols) >= 2 * 31


def test_discs_apart_are_parted_once_and_between():
    probs, points = two_discs(gap=12)
    assert get_blobs(probs).max() == 2
    split = term_map(targets_of(probs, points), "split_level", towards=False)
    assert split.sum() == pytest.approx(1)
    assert split[get_blobs(probs) > 0].sum() == 0


def test_a_blob_of_three_clicks_weighs_two_and_its_line_stays_inside():
    rng = np.random.default_rng(1)
    probs = 0.1 + 0.1 * rng.random((20, 40))
    probs[5:15, 3:25] = 0.6 + 0.3 * rng.random((10, 22))
    probs[5:15, 30:38] = 0.8
    points = np.zeros((20, 40), dtype=int)
    points[9, [5, 14, 22, 34]] = 1
    sets = [s for s in targets_of(probs, points).pixel_sets if s.term == "split_level"]
    assert [s.weight * len(s.pixels) for s in sets] == pytest.approx([3, 2])
    local = np.zeros((20, 40), dtype=bool)
    local.reshape(-1)[sets[1].pixels] = True
    assert (get_blobs(probs)[local] == 1).all()


def test_spared_clicks_are_on_no_line_and_the_line_weighs_the_same():
    probs = np.full((5, 6), 0.8)
    points = np.zeros((5, 6), dtype=int)
    points[2, 2] = points[2, 3] = 1
    on_line = term_map(targets_of(probs, points), "split_level", towards=False)
    spared = term_map(targets_of(probs, points, spare_points=True), "split_level", towards=False)
    assert (on_line[points > 0] > 0).all()
    assert (spared[points > 0] == 0).all()
    assert spared.sum() == pytest.approx(on_line.sum()) == pytest.approx(2)
    np.testing.assert_array_equal(spared > 0, (on_line > 0) & (points == 0))
    # A click of another class is spared too.
    probs = np.stack([np.full((1, 3), 0.1), [[0.8, 0.1, 0.8]], [[0.1, 0.8, 0.1]]])
    sets = targets_of(probs, [[1, 2, 1]], spare_points=True).pixel_sets
    assert not [s for s in sets if s.term == "split_level"]


def test_an_image_outside_its_region_asks_nothing():
    targets = targets_of(np.full((5, 6), 0.9), np.ones((5, 6), dtype=int), np.zeros((5, 6), dtype=bool))
    assert targets.pixel_sets == []


def test_a_region_whose_every_pixel_is_clicked_asks_nowhere_for_background():
    roi = np.zeros((5, 6), dtype=bool)
    roi[1:3, 1:3] = True
    targets = targets_of(np.full((5, 6), 0.3), roi.astype(int), roi)
    assert term_map(targets, "image_level", towards=False).sum() == 0


def test_inputs_stay_as_they_were():
    rng = np.random.default_rng(4)
    probs, points, roi = rng.random((3, 9, 9)).astype(np.float32), rng.integers(0, 3, (9, 9)), rng.random((9, 9)) < 0.8
    for array in (probs, points, roi):
        array.flags.writeable = False
    before = [array.copy() for array in (probs, points, roi)]
    find_pixel_sets(probs, points, roi)
    for array, old in zip((probs, points, roi), before, strict=True):
        np.testing.assert_array_equal(array, old)
