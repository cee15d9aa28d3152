import math

import numpy as np
import pytest
import torch
from helpers_models import EXP_DICT, Oracle, model_that_says, sample, squares

from lcfcn.errors import UserError
from src.datasets import collate, get_dataset
from src.models import LCFCN
from src.training.runtime import Runtime


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


def test_an_output_that_is_not_finite_is_told_with_the_images_name():
    model = model_that_says(torch.full((1, 32, 32), math.nan))
    with pytest.raises(UserError, match=r"output is not finite at image made\.png"):
        model.val_on_loader([collate([sample([(3, 3, 1)])])])
    with pytest.raises(UserError, match=r"loss is not finite at image made\.png"):
        model.train_on_batch(collate([sample([(3, 3, 1)])]))


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
