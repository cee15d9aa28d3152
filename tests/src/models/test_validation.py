import math

import numpy as np
import pytest
import torch
from helpers_models import count_errors, model_that_says, sample, squares

from src.datasets import collate
from src.models.validation import count_scores, score_batch


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
