import math

import numpy as np
import pytest
import torch

from exp_configs import EXP_GROUPS
from lcfcn.counting import drawing
from lcfcn.errors import UserError
from lcfcn.heatmap import compute_heatmap_loss
from lcfcn.lcfcn_loss import compute_lcfcn_loss
from src.datasets import collate, get_dataset
from src.models import LCFCN
from src.models.validation import count_scores, score_batch
from src.training.micro_batches import InPlace
from src.training.runtime import Runtime

EXP_DICT = EXP_GROUPS["demo"][0]


class Oracle(torch.nn.Module):
    """A network whose answer is given."""

    def __init__(self, logits):
        super().__init__()
        self.logits = logits

    def forward(self, images):
        return self.logits.expand(len(images), -1, -1, -1)


def sample(clicks, size=32, n_classes=1):
    """Clicks are (row, col, class)."""
    point_list = torch.tensor([[r + 0.5, c + 0.5] for r, c, _ in clicks])
    labels = torch.tensor([k for *_, k in clicks], dtype=torch.int64)
    points = torch.zeros((size, size), dtype=torch.int64)
    for row, col, label in clicks:
        points[row, col] = label
    return {
        "images": torch.zeros((3, size, size)),
        "points": points,
        "counts": torch.bincount(labels, minlength=n_classes + 1)[1:],
        "roi": torch.ones((size, size), dtype=torch.bool),
        "meta": {"index": 0, "name": "made.png", "path": "made.png", "point_list": point_list, "labels": labels},
    }


def model_that_says(logits, n_classes=1):
    model = LCFCN({**EXP_DICT, "model": {**EXP_DICT["model"], "n_classes": n_classes}}, Runtime("cpu"))
    model.model_base = Oracle(logits)
    return model


def count_errors(model, batch):
    errors, _ = score_batch(model.predict_probs(batch), batch, model.decoding)
    return np.array(errors).tolist()


def squares(corners, size=32):
    logits = torch.full((1, size, size), -5.0)
    for row, col in corners:
        logits[0, row : row + 3, col : col + 3] = 5
    return logits


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


def test_the_validation_data_choose_the_reading_and_the_checkpoint_keeps_it():
    # Two squares on a ledge that holds them together: blobs of what is above 0 are one, cut they are two.
    logits = squares([(4, 4), (4, 12)])
    logits[0, 4:7, 7:12] = 3.9
    model = model_that_says(logits)
    batch = collate([sample([(5, 5, 1), (5, 13, 1)])])
    assert model.val_on_loader([batch, batch])["val_mae"] == 1
    left = {**EXP_DICT, "decoding": "validation"}
    model = LCFCN(left, Runtime("cpu"))
    assert model.with_decoding(left)["decoding"] == {}
    model.model_base = Oracle(logits)
    scores = model.val_on_loader([batch, batch])
    assert scores["val_mae"] == scores["val_game_1"] == 0
    kept = model.with_decoding(left)
    assert kept["decoding"] == {"depth": 1.0}
    again = LCFCN(kept, Runtime("cpu"))
    again.model_base = Oracle(logits)
    assert again.val_on_loader([batch])["val_mae"] == 0
    assert again.with_decoding(kept) is kept


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


def test_an_output_that_is_not_finite_is_told_with_the_images_name():
    model = model_that_says(torch.full((1, 32, 32), math.nan))
    with pytest.raises(UserError, match=r"output is not finite at image made\.png"):
        model.val_on_loader([collate([sample([(3, 3, 1)])])])
    with pytest.raises(UserError, match=r"loss is not finite at image made\.png"):
        model.train_on_batch(collate([sample([(3, 3, 1)])]))


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


def test_training_on_two_images_lowers_their_loss():
    data = get_dataset(
        {**EXP_DICT["dataset"], "image_size": 64, "n_train": 2, "min_objects": 2, "max_objects": 3}, "train", None
    )
    model = LCFCN({**EXP_DICT, "schedule": None}, Runtime("cpu"))
    batch = collate([data[0], data[1]])
    losses = [model.train_on_batch(batch)["train_loss"] for _ in range(30)]
    assert losses[-1] < 0.8 * losses[0]


def test_published_checkpoints_of_network_and_optimizer_load_and_foreign_ones_are_refused():
    source, target = LCFCN(EXP_DICT, Runtime("cpu")), LCFCN({**EXP_DICT, "seed": 1}, Runtime("cpu"))
    state = {key: source.get_state_dict()[key] for key in ("model", "opt")}
    target.load_state_dict(state)
    for name, value in source.model_base.state_dict().items():
        assert torch.equal(target.model_base.state_dict()[name], value), name
    with pytest.raises(UserError, match="does not fit this network"):
        target.load_state_dict({"model": {"w": torch.zeros(1)}})


def test_pictures_show_image_blobs_and_heat(tmp_path):
    model = model_that_says(squares([(2, 2), (26, 2)]))
    (path,) = model.vis_on_loader([collate([sample([(3, 3, 1)])])], tmp_path)
    assert path.parent == tmp_path
    assert path.stat().st_size > 1000


def test_the_state_takes_up_dropouts_random_numbers_and_the_rate_where_they_were():
    model = LCFCN(EXP_DICT, Runtime("cpu"), n_steps=10)
    batch = collate([sample([(3, 3, 1)], size=64), sample([(9, 3, 1)], size=64)])
    for _ in range(3):
        model.train_on_batch(batch)
    state = model.get_state_dict()
    drawn, rate = torch.rand(3), model.opt.param_groups[0]["lr"]
    other = LCFCN({**EXP_DICT, "seed": 5}, Runtime("cpu"), n_steps=10)
    other.load_state_dict(state)
    assert torch.equal(torch.rand(3), drawn)
    assert other.opt.param_groups[0]["lr"] == rate
    assert other.schedule.last_epoch == model.schedule.last_epoch == 3


def test_blobs_are_tinted_and_the_rest_of_the_image_stays():
    image = np.full((20, 20, 3), 200, dtype=np.uint8)
    blobs = np.zeros((2, 20, 20), dtype=int)
    blobs[0, 2:8, 2:8] = 1
    blobs[1, 12:18, 12:18] = 1
    overlay = drawing.blob_overlay(image, blobs).astype(int)
    background = blobs.max(axis=0) == 0
    assert (overlay[background] == 200).all()
    assert overlay[5, 5].tolist() != overlay[15, 15].tolist()
    assert (overlay[2, 2] == 255).all()  # the outline


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


def test_the_average_is_a_running_mean_of_the_weights_that_looks_back_no_further_than_a_tenth_of_the_steps():
    exp_dict = {**EXP_DICT, "ema_decay": 0.5}
    model, plain = LCFCN(exp_dict, Runtime("cpu"), n_steps=20), LCFCN(EXP_DICT, Runtime("cpu"), n_steps=20)
    batch = collate([sample([(3, 3, 1)], size=64), sample([(9, 3, 1)], size=64)])
    expected = {}
    for n in range(14):
        torch.manual_seed(n)
        plain.train_on_batch(batch)
        torch.manual_seed(n)
        model.train_on_batch(batch)
        kept = min(0.5, (1 + n) / (10 + n)) if n else 0.0
        for name, value in plain.model_base.state_dict().items():
            before = expected.get(name, torch.zeros_like(value, dtype=torch.float64))
            expected[name] = kept * before + (1 - kept) * value.double()
    found, trained = model.network.state_dict(), model.model_base.state_dict()
    assert any("running_var" in name for name in found)
    for name, value in plain.model_base.state_dict().items():
        assert torch.equal(trained[name], value), name  # the average does not change what is trained
        if value.is_floating_point():
            torch.testing.assert_close(found[name].double(), expected[name], rtol=1e-4, atol=1e-6, msg=name)
    images = torch.rand(1, 3, 64, 64)
    model.network.eval()
    with torch.no_grad():
        expected_probs = model.network(images).sigmoid().numpy()
    np.testing.assert_array_equal(model.predict_probs({**batch, "images": images}), expected_probs)
    again = LCFCN.from_checkpoint(exp_dict, model.get_state_dict(), Runtime("cpu"))
    again.network.eval()
    np.testing.assert_array_equal(again.predict_probs({**batch, "images": images}), expected_probs)
