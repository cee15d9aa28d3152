from itertools import product

import numpy as np
import pytest
from scipy import ndimage

from lcfcn.blobs import get_blobs
from lcfcn.decoding import BLOBS, Decoding
from lcfcn.decoding_search import DECODINGS, DEPTHS, SMOOTHINGS, THRESHOLDS, DecodingSearch, best_decoding, find_peaks


def rough_probs(seed, n_classes):
    rng = np.random.default_rng(seed)
    logits = ndimage.gaussian_filter(rng.normal(size=(n_classes, 40, 46)), (0, 1.5, 1.5)) * 20 - 1
    scores = np.exp(np.concatenate([np.zeros((1, 40, 46)), logits]))
    probs = scores / scores.sum(0)
    return (probs if n_classes > 1 else probs[1:]).astype(np.float32)


@pytest.mark.parametrize(("seed", "n_classes", "has_roi"), [(0, 1, False), (1, 1, True), (2, 2, True), (3, 3, False)])
def test_each_reading_counts_the_blobs_that_it_makes(seed, n_classes, has_roi):
    probs = rough_probs(seed, n_classes)
    roi = np.random.default_rng(seed).random(probs.shape[1:]) > 0.1 if has_roi else None
    choice = DecodingSearch()
    true_counts = np.arange(n_classes) + 3
    choice.add(probs, true_counts, roi)
    errors = choice.errors()
    assert errors.shape == (1, n_classes, len(THRESHOLDS) * len(DEPTHS) * len(SMOOTHINGS))
    for number in range(0, len(DECODINGS), 7):
        blobs = get_blobs(probs[None], roi, DECODINGS[number])[0]
        assert (blobs.max(axis=(1, 2)) - true_counts).tolist() == errors[0, :, number].tolist()
        for of_class, places in zip(blobs, choice.objects(DECODINGS[number])[0], strict=True):
            assert sorted(of_class[tuple(places.T)]) == list(range(1, of_class.max() + 1))  # a peak in each blob


def test_peaks_stand_out_above_the_pass_to_a_higher_one():
    plane = np.array([[5.0, 1.0, 3.0, 2.0, 4.0, -1.0, 0.5]], dtype=np.float32)
    peaks = find_peaks(plane, np.ones_like(plane, dtype=bool))
    found = {tuple(place): (top, low) for place, top, low in zip(peaks.places.tolist(), *peaks[:2], strict=True)}
    assert found == {(0, 0): (5, -np.inf), (0, 4): (4, 1), (0, 2): (3, 2), (0, 6): (0.5, -1)}
    # The last one is an object for itself above 0.
    assert peaks.are_objects(threshold=0.0, depth=1.5).tolist() == [True, True, False, True]
    assert peaks.are_objects(threshold=1.0, depth=1.0).tolist() == [True, True, True, False]
    assert peaks.are_objects(threshold=-2.0, depth=float("inf")).tolist() == [True, False, False, False]


def test_a_region_parts_what_is_joined_through_what_lies_outside():
    probs = np.full((1, 1, 5), 0.9, dtype=np.float32)
    roi = np.array([[True, True, False, True, True]])
    for decoding in (BLOBS, Decoding(depth=0.5), Decoding(threshold=-1.0)):
        assert get_blobs(probs[None], roi, decoding).max() == 2


def test_the_best_reading_is_the_one_that_counts_right():
    # Two hills of logit 2 and 1.5 with a pass at 1.2 (0.3 deep), and a faint third of -1.
    rows, cols = np.mgrid[:30, :60]
    towards = np.maximum(2 - abs(cols - 10) / 5, 1.5 - abs(cols - 15.5) / 5) - abs(rows - 10)
    faint = -1 - np.hypot(rows - 20, cols - 45)
    probs = 1 / (1 + np.exp(-np.maximum(towards, faint)))[None].astype(np.float32)

    def chosen(count):
        choice = DecodingSearch()
        choice.add(probs, np.array([count]))
        return DECODINGS[best_decoding(choice.errors())]

    assert chosen(1) == BLOBS
    # As near to the paper's as can be: unsmoothed, cut no deeper than it must, and the threshold moved only if it must.
    assert chosen(2) == Decoding(threshold=-1.25)
    assert chosen(3).threshold < -1
    assert chosen(3).depth < 0.5


def test_equally_good_readings_give_the_nearest_to_the_papers():
    assert DECODINGS[0] == BLOBS
    assert len(set(DECODINGS)) == len(list(product(THRESHOLDS, DEPTHS, SMOOTHINGS)))
    assert best_decoding(np.zeros((3, 2, len(DECODINGS)))) == 0
