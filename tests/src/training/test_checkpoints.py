import math
import pickle

import pytest
import torch

from lcfcn.errors import UserError
from src.training import checkpoints

EXP_DICT = {"lr": 0.1}


def rows(*scores):
    return [{"epoch": i, "val_score": score} for i, score in enumerate(scores)]


def save(savedir, *scores):
    state = {"model": {"w": torch.full((2,), float(len(scores)))}, "class_names": ["cow"]}
    return checkpoints.save_epoch(savedir, state, rows(*scores), EXP_DICT)


def test_nan_never_freezes_the_best_model_rule(tmp_path):
    saved = [save(tmp_path, *[math.nan, -3.0, math.nan, -2.0, -2.5, -2.0][: n + 1]) for n in range(6)]
    assert saved == [False, True, False, True, False, False]
    best = checkpoints.load_checkpoint(tmp_path / checkpoints.BEST)
    assert best["epoch"] == 3
    assert best["class_names"] == ["cow"]
    assert best["exp_dict"] == EXP_DICT
    assert best["model"]["w"].tolist() == [4, 4]
    assert len(pickle.loads((tmp_path / checkpoints.BEST_SCORES).read_bytes())) == 4
    assert len(pickle.loads((tmp_path / checkpoints.SCORES).read_bytes())) == 6
    assert checkpoints.load_checkpoint(tmp_path / checkpoints.LAST)["model"]["w"].tolist() == [6, 6]


def test_a_run_that_lacks_something_is_named(tmp_path):
    whole = {**{key: kind() for key, kind in checkpoints.RUN.items()}, "progress": {}}
    torch.save(whole, tmp_path / "x.pth")
    assert checkpoints.load_run(tmp_path / "x.pth") == whole
    for key in set(whole) - {"model"}:
        for broken in ({k: v for k, v in whole.items() if k != key}, {**whole, key: torch.zeros(1)}):
            torch.save(broken, tmp_path / "x.pth")
            with pytest.raises(UserError, match=f"holds no {key}; expected a model.pth"):
                checkpoints.load_run(tmp_path / "x.pth")


@pytest.mark.parametrize(
    "rows",
    [
        [1, 2],
        {"val_mae": 3.0},
        [{"val_mae": 3.0, "val_score": -3.0}],
        [{"epoch": 0, "val_mae": "3", "val_score": -3.0}],
        [{"epoch": 0, "val_mae": 3.0, "val_score": -3.0, 7: 1.0}],
        [{"epoch": 0, "val_mae": 3.0, "val_score": None}],
        [{"epoch": 0, "val_mae": 3.0, "val_score": -3.0}, None],
    ],
)
def test_damaged_rows_of_scores_are_one_line(tmp_path, rows):
    path = tmp_path / checkpoints.SCORES
    checkpoints.save_pickle(path, rows)
    with pytest.raises(UserError, match=r"score_list\.pkl has the row of scores .*; expected a dict of numbers with"):
        checkpoints.read_scores(path)


def test_a_cut_file_of_scores_is_one_line_and_a_missing_one_has_no_rows(tmp_path):
    path = tmp_path / checkpoints.SCORES
    assert checkpoints.read_scores(path) == []
    checkpoints.save_pickle(path, [{"epoch": 0, "val_mae": 3.0, "val_score": -3.0}])
    assert checkpoints.read_scores(path) == [{"epoch": 0, "val_mae": 3.0, "val_score": -3.0}]
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(UserError, match=r"score_list\.pkl is damaged \(.+\): remove it"):
        checkpoints.read_scores(path)
