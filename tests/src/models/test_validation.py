import math

import numpy as np
import pytest
import torch
from helpers_models import EXP_DICT, Oracle, count_errors, model_that_says, sample, squares

from lcfcn.decoding_search import DECODINGS
from src.datasets import collate
from src.models import LCFCN, validation
from src.models.validation import Probabilities, count_scores, score_batch
from src.training.runtime import Runtime


def test_counts_and_games_come_from_the_blobs_and_from_every_click():
    model = model_that_says(squares([(2, 2), (2, 26), (26, 2)]))
    # Two clicks on one pixel count twice; the blob at the upper right has none, and a click lower right no blob.
    batch = collate([sample([(3, 3, 1), (3, 3, 1), (27, 3, 1), (27, 27, 1)])])
    errors, games = score_batch(model.predict_probs(batch), batch, model.decoding)
    assert np.array(errors).tolist() == [[-1]]
    assert np.array(games)[0, 0, 0] == 1 + 1 + 0 + 1
    loaded = model.val_on_loader([batch, batch])
    assert loaded["val_mae"] == 1
    assert loaded["val_rmse"] == 1
    assert loaded["val_score"] == -1
    assert loaded["val_game_1"] == 3


def test_blobs_outside_the_region_do_not_count():
    model = model_that_says(squares([(2, 2), (26, 2)]))
    one = sample([(3, 3, 1)])
    one["roi"][20:] = False
    assert count_errors(model, collate([one])) == [[0]]


def test_classes_are_counted_apart():
    logits = torch.cat([torch.zeros(1, 32, 32), squares([(2, 2), (9, 9)]), squares([(20, 20)])])
    model = model_that_says(logits, n_classes=2)
    batch = collate([sample([(3, 3, 1), (21, 21, 2), (28, 28, 2)], n_classes=2)])
    assert count_errors(model, batch) == [[1, -1]]


def test_scores_are_means_over_classes():
    errors = np.array([[1, -3], [-1, 5]])
    games = np.arange(12.0).reshape(2, 2, 3)
    scores = count_scores(errors, games)
    assert (scores["val_mae_1"], scores["val_mae_2"], scores["val_mae"]) == (1, 4, 2.5)
    assert scores["val_rmse"] == pytest.approx((1 + math.sqrt(17)) / 2)
    assert [scores[f"val_game_{level}"] for level in (1, 2, 3)] == [4.5, 5.5, 6.5]


def test_probabilities_are_kept_for_one_more_look_as_long_as_there_is_room():
    computed = []

    def compute(batch):
        computed.append(batch)
        return np.full((1, 1, 2, 2), batch, dtype=np.float32)  # 16 bytes

    probs = Probabilities(compute, kept_bytes=40)
    for place in range(4):
        probs.keep(place, probs.of(place, place))
    assert computed == [0, 1, 2, 3]
    for place in range(4):
        assert (probs.of(place, place) == place).all()
    assert computed == [0, 1, 2, 3, 2, 3]
    probs.of(0, 0)
    assert computed[-1] == 0  # what was looked at again is gone


@pytest.mark.parametrize("kept_bytes", [0, 32 * 32 * 4, 2**30])
def test_what_is_kept_changes_no_score(monkeypatch, kept_bytes):
    """Of three images none, one or all."""
    logits = squares([(4, 4), (4, 12), (20, 20)])
    logits[0, 4:7, 7:12] = 3.9  # a ledge that holds two squares together
    batches = [collate([sample([(5, 5, 1), (5, 13, 1), (21, 21, 1)][:n])]) for n in (3, 3, 2)]
    model = LCFCN({**EXP_DICT, "decoding": "validation"}, Runtime("cpu"))
    model.model_base = Oracle(logits)
    looks, predict_probs = [], model.predict_probs
    monkeypatch.setattr(validation.Probabilities.__init__, "__defaults__", (kept_bytes,))
    monkeypatch.setattr(model, "predict_probs", lambda batch: looks.append(1) or predict_probs(batch))
    scores = model.val_on_loader(batches)
    assert len(looks) == {0: 6, 2**30: 3}.get(kept_bytes, 5)
    assert model.decoding == next(decoding for decoding in DECODINGS if decoding.depth == 1)
    assert {key: scores[key] for key in ("val_mae", "val_game_1", "val_game_3")} == {
        **{"val_mae": pytest.approx(1 / 3), "val_game_1": pytest.approx(1 / 3), "val_game_3": pytest.approx(1 / 3)}
    }
