import numpy as np
from helpers_evaluate import (
    HEADER,
    arguments_of,
    at,
    failure,
    score_points,
    values,
)

from src.datasets import DATASETS


def test_a_reach_of_each_object_needs_sizes(experiment, tmp_path, capsys):
    message = failure(capsys, arguments_of(experiment[0], "-o", tmp_path, "--sigmas", "object"))
    assert "--sigmas object needs the size of each object" in message


def test_a_data_set_may_know_the_sizes(trancos, tmp_path, monkeypatch):
    """The click that the region leaves out is not asked for."""
    monkeypatch.setattr(DATASETS["trancos"], "object_sigmas", lambda *_: np.array([1, 3, 1]), raising=False)
    lines = [HEADER, at(23.5, 10.5), at(6.5, 3.5)]
    report = score_points(trancos, tmp_path, lines, "--sigmas", "object")
    assert values(report["all"])["precision_object"] == 0.5
