import copy

import pytest

from exp_configs import EXP_GROUPS
from lcfcn.errors import UserError
from src.experiments import folders as experiments
from src.experiments import schema

DEMO = EXP_GROUPS["demo"][0]


def test_override_replaces_by_dotted_key_and_changes_the_hash_and_not_the_original():
    before = copy.deepcopy(DEMO)
    changed = schema.override(DEMO, ["lr=0.5", "model.pretrained=a dir/w.pth", "model.n_classes=2", "betas=[0,1]"])
    assert changed["lr"] == 0.5
    assert changed["model"]["pretrained"] == "a dir/w.pth"
    assert changed["model"]["n_classes"] == 2
    assert changed["betas"] == [0, 1]
    assert before == DEMO
    assert experiments.experiment_id(changed) != experiments.experiment_id(DEMO)
    assert schema.override(DEMO, ["model.pretrained=None"])["model"]["pretrained"] is None


@pytest.mark.parametrize("bad", ["lr", "learning_rate=1", "model.depth=3", "lr.x=1", "nowhere.x=1", ".=1"])
def test_override_refuses_what_nothing_reads(bad):
    with pytest.raises(UserError, match="--set"):
        schema.override(DEMO, [bad])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"batch_size": 0}, "batch_size is 0"),
        ({"max_epoch": "ten"}, "max_epoch is 'ten'"),
        ({"lr": -1}, "lr is -1"),
        ({"seed": 1.5}, "seed is 1.5"),
        ({"momentums": 1}, "unknown momentums"),
        ({"dataset": "trancos"}, "dataset is 'trancos'"),
        ({"model": {"name": "lcfcn", "base": "x", "n_classes": 1}}, "no pretrained"),
        ({"model": {**DEMO["model"], "name": "unet"}}, "'unet'"),
        ({"loss": "spare_points"}, "loss is 'spare_points'; expected a dict with any of spare_points"),
        ({"loss": {"spare": True}}, "unknown spare"),
        ({"loss": {"spare_points": 1}}, "loss.spare_points is 1; expected True or False"),
        ({"loss": {"spare_points": "batch"}}, "loss.spare_points is 'batch'; expected True or False"),
        ({"loss": {"divide_by_points": "image"}}, "loss.divide_by_points is 'image'; expected True, False or 'batch'"),
        ({"heatmap_only": 1.5}, "heatmap_only is 1.5; expected the share of the training's steps, from 0 to 1"),
        ({"heatmap_only": True}, "heatmap_only is True; expected the share"),
        ({"heatmap_weight": -1}, "heatmap_weight is -1; expected the weight of that loss, a number from 0"),
        ({"ema_decay": 1}, "ema_decay is 1; expected how much .* from 0 \\(no average\\) to 0.99999"),
        ({"flip_test": 1}, "flip_test is 1; expected True or False"),
        ({"loss": {"term_weights": {"split": 2}}}, "loss.term_weights is .*; expected a dict of image_level"),
        ({"loss": {"term_weights": {"split_level": -1}}}, "numbers from 0"),
        ({"decoding": 3}, "decoding is 3; expected a dict with any of threshold, depth, smoothing, or 'validation'"),
        ({"decoding": {"peak": 1}}, "decoding has the unknown peak; known are threshold, depth, smoothing"),
        ({"decoding": {"depth": -1}}, "decoding.depth is -1; expected a number from 0"),
        ({"decoding": {"threshold": float("inf")}}, "decoding.threshold is inf; expected a number"),
        ({"decoding": {"smoothing": "no"}}, "decoding.smoothing is 'no'"),
    ],
)
def test_check_names_what_is_wrong(change, message):
    with pytest.raises(UserError, match=message):
        schema.check_exp_dict({**DEMO, **change})


def test_options_of_the_loss_can_be_set_though_no_group_has_them():
    changed = schema.override(
        DEMO, ["loss.spare_points=True", "loss.term_weights={'split_level': 2}", "decoding.threshold=-1"]
    )
    assert changed["loss"] == {"spare_points": True, "term_weights": {"split_level": 2}}
    assert changed["decoding"] == {"threshold": -1}
    schema.check_exp_dict(changed)
    schema.check_exp_dict(changed)
    assert "loss" not in DEMO
    with pytest.raises(UserError, match="--set loss.spare is unknown"):
        schema.override(DEMO, ["loss.spare=True"])
