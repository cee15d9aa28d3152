import pytest
import torch
from helpers_models import EXP_DICT, sample

from lcfcn.heatmap import compute_heatmap_loss
from lcfcn.lcfcn_loss import compute_lcfcn_loss
from src.datasets import collate
from src.models import LCFCN
from src.training.micro_batches import InPlace
from src.training.runtime import Runtime


def test_the_options_of_the_loss_reach_the_training():
    # Two clicks touch: the split lines run over both of them, unless spared.
    batch = collate([sample([(9, 9, 1), (9, 10, 1)])] * 2)
    scores = []
    for options in ({}, {"loss": {"spare_points": True}}, {"loss": {"term_weights": {"split_level": 0}}}):
        model = LCFCN({**EXP_DICT, **options}, Runtime("cpu"))
        scores.append(model.train_on_batch(batch))
    plain, spared, unsplit = scores
    assert unsplit["train_split_level"] == 0 < plain["train_split_level"] != spared["train_split_level"]
    assert plain["train_point_level"] == spared["train_point_level"] == unsplit["train_point_level"]
    assert plain["train_loss"] == pytest.approx(sum(v for k, v in plain.items() if k != "train_loss"))


def test_losses_are_divided_by_the_clicks_of_the_batch_and_bumps_by_an_area_at_least():
    exp_dict = {**EXP_DICT, "loss": {"divide_by_points": "batch"}, "heatmap_weight": 0.5}
    model = LCFCN(exp_dict, Runtime("cpu"), n_steps=10)
    clicks = [(2, 2, 1), (2, 9, 1), (9, 9, 1), (20, 20, 1), (25, 30, 1)]
    batch = collate([sample(clicks, size=150), sample([], size=150)])
    batch["roi"][0, 100:] = False
    divisors = model.objective.divisors(batch)
    assert divisors["clicks"] == (5 + 1) / 2
    assert divisors["heatmap"] == pytest.approx((5 + 150 * 150 / 120**2) / 2)  # the first has clicks enough
    logits = torch.randn(2, 1, 150, 150, generator=torch.Generator().manual_seed(1))
    loss, terms = model.objective.start(logits, batch, divisors, 0, InPlace())()
    plain, plain_terms = compute_lcfcn_loss(logits, batch["points"], batch["roi"], return_terms=True)
    heatmap = compute_heatmap_loss(logits, batch["points"], batch["roi"]) / divisors["heatmap"] * 0.5
    torch.testing.assert_close(loss, plain / 3 + heatmap)
    torch.testing.assert_close(terms, {**{t: v / 3 for t, v in plain_terms.items()}, "heatmap": heatmap})
