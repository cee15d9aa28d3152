"""What an experiment says about how its network counts, under today's names and under the old ones."""

from pathlib import Path

import pytest
from helpers_networks import DEMO

from lcfcn.counting.settings import OLD_NAMES, CountingSettings, with_new_names
from lcfcn.decoding import Decoding
from lcfcn.errors import UserError

WHOLE = {
    "model": {**DEMO["model"], "base": "fpn_resnet18", "n_classes": 3, "output_stride": 2},
    "dataset": {"name": "points", "transform": "none", "zoom": 1.5},
    "flip_test": True,
    "decoding": {"threshold": -1, "depth": 0.5},
    "lr": "this is not about counting",
}


def read(exp_dict):
    return CountingSettings.from_exp_dict(exp_dict, Path("net.pth"))


def test_all_settings_are_read():
    expected = CountingSettings("fpn_resnet18", 3, 2, "none", 1.5, True, Decoding(threshold=-1, depth=0.5))
    assert read(WHOLE) == expected
    old = {{"flip_test": "mirror", "decoding": "reading"}.get(key, key): value for key, value in WHOLE.items()}
    assert read(old) == expected


def test_what_is_left_out_has_its_default():
    found = read({"model": {"base": "fpn_resnet18", "n_classes": 1}, "dataset": {"transform": "none"}})
    assert found == CountingSettings("fpn_resnet18", 1, None, "none", 1, False, Decoding())


def test_each_old_name_becomes_the_new_one_in_its_place():
    exp_dict = {"seed": 1, **{old: number for number, old in enumerate(OLD_NAMES)}, "lr": 2}
    assert list(with_new_names(exp_dict).items()) == [
        ("seed", 1),
        *[(new, number) for number, new in enumerate(OLD_NAMES.values())],
        ("lr", 2),
    ]
    assert set(OLD_NAMES.values()) == {
        *("heatmap_only", "heatmap_weight", "ema_decay", "flip_test", "repeats", "decoding")
    }


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model": None}, "net.pth holds an experiment without model"),
        ({"dataset": [1]}, "net.pth holds an experiment without dataset"),
        ({"dataset": {}}, "net.pth has the unknown dataset.transform None"),
        ({"dataset": {"transform": "odd"}}, "unknown dataset.transform 'odd': choose one of rgb_normalize, none"),
        ({"dataset": {"transform": "none", "zoom": 9}}, "dataset.zoom is 9; expected a number from 0.125 to 8"),
        ({"dataset": {"transform": "none", "zoom": True}}, "dataset.zoom is True"),
        ({"model": {"base": "x", "n_classes": 0}}, "model.n_classes is 0; expected a whole number from 1 to 1000"),
        ({"model": {"base": 3, "n_classes": 1}}, "model.base is 3; expected a name"),
        ({"flip_test": 1}, "flip_test is 1; expected True or False"),
        ({"decoding": "validation"}, "decoding is 'validation'; expected a dict with any of threshold, depth"),
        ({"decoding": {"tresh": 1}}, "decoding has the unknown tresh; did you mean threshold?"),
        ({"decoding": {"depth": -1}}, "decoding.depth is -1; expected a number from 0"),
        ({"decoding": {"depth": float("nan")}}, "decoding.depth is nan"),
        ({"decoding": {"threshold": "0"}}, "decoding.threshold is '0'; expected a number"),
    ],
)
def test_what_is_wrong_is_one_line(change, message):
    with pytest.raises(UserError) as error:
        read({**WHOLE, **change})
    assert message in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("exp_dict", [None, [1], "demo"])
def test_a_checkpoint_without_an_experiment_is_one_line(exp_dict):
    with pytest.raises(UserError, match=r"net.pth does not say which network it holds \(no 'exp_dict'\)"):
        read(exp_dict)
