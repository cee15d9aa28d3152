"""What is checked before anything is written."""

import pytest
from helpers_data import make_trancos

from exp_configs import EXP_GROUPS
from lcfcn.errors import UserError
from src.experiments.prepare import check_networks, prepare
from src.experiments.schema import DEFAULTS, override, with_defaults
from src.models import LCFCN
from src.training.runtime import Runtime

DEMO = override(EXP_GROUPS["demo"][0], ["dataset_size.train=3", "dataset_size.val=2"])


def test_an_experiment_gets_all_its_settings_and_its_data(tmp_path):
    chosen, datasets = prepare(DEMO, None, tmp_path, reset=False)
    assert chosen == with_defaults(DEMO)
    assert set(DEFAULTS) <= set(chosen)
    assert {split: len(dataset) for split, dataset in datasets.items()} == {"train": 3, "val": 2}
    assert not list(tmp_path.iterdir())


def test_what_is_left_to_the_data_is_chosen_and_told(tmp_path, capsys):
    own = override(EXP_GROUPS["own"][0], ["dataset.name=trancos"])
    chosen, _ = prepare(own, str(make_trancos(tmp_path / "data", size=(48, 64))), tmp_path / "runs", reset=False)
    assert chosen["dataset"]["zoom"] in (1, 2, 4)
    assert isinstance(chosen["dataset"]["augment"]["crop"], int)
    assert isinstance(chosen["repeats"], int)
    told = capsys.readouterr().out.splitlines()
    assert [line.split("=")[0] for line in told] == [
        *("Chosen from the training images: dataset.zoom", "Chosen from the training images: dataset.augment.crop"),
        "Chosen from the training images: repeats",
    ]
    assert own["repeats"] == "auto"


def test_a_number_of_classes_that_is_not_the_datas_is_one_line(tmp_path):
    with pytest.raises(UserError, match="n_classes is 2 and the data has 1 classes: --set model.n_classes=1"):
        prepare(override(DEMO, ["model.n_classes=2"]), None, tmp_path, reset=False)


def test_each_network_is_built_once(monkeypatch):
    built = []
    init = LCFCN.__init__
    monkeypatch.setattr(
        LCFCN, "__init__", lambda self, exp_dict, *args: built.append(exp_dict) or init(self, exp_dict, *args)
    )
    others = [override(DEMO, [change]) for change in ("seed=7", "batch_size=3", "optimizer=adam", "model.n_classes=2")]
    check_networks([DEMO, *others, {**DEMO, "flip_test": False}], Runtime("cpu"))
    assert [(e["optimizer"], e["model"]["n_classes"]) for e in built] == [("adamw", 1), ("adam", 1), ("adamw", 2)]


def test_a_wrong_network_is_told(tmp_path):
    for change, message in (
        ("model.base=unet", "'unet' is unknown"),
        ("betas=1", "refuses"),
        ("flip_test=True", "fpn"),
    ):
        with pytest.raises(UserError, match=message):
            check_networks([override(DEMO, [change])], Runtime("cpu"))
