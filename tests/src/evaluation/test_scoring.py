import dataclasses

import numpy as np
import pytest
from helpers_evaluate import (
    drawn_images,
    scored,
    values,
)

from src.evaluation import report as reporting
from src.evaluation import scoring


def test_the_seed_moves_the_intervals_alone():
    first, again, other = (scored(drawn_images(), list("abc"), seed=s, n_draws=50) for s in (0, 0, 1))
    assert first == again
    assert values(first["all"]) == values(other["all"])
    assert first["all"]["scores"]["mae"]["interval"] != other["all"]["scores"]["mae"]["interval"]
    assert other["bootstrap"]["seed"] == 1


def test_scores_class_by_class_and_image_by_image():
    images = drawn_images()
    report = scored(images, ["a", "b", "c"], n_draws=20)
    errors = [[int(p) - int(t) for p, t in zip(i.pred_counts, i.true_counts, strict=True)] for i in images]
    for k, name in enumerate("abc"):
        found = values(report["by_class"][name])
        mine = [row[k] for row in errors]
        assert found["mae"] == pytest.approx(sum(map(abs, mine)) / 12)
        assert found["rmse"] == pytest.approx((sum(e * e for e in mine) / 12) ** 0.5)
        assert found["bias"] == pytest.approx(sum(mine) / 12)
        counted = [(abs(e), i.true_counts[k]) for e, i in zip(mine, images, strict=True) if i.true_counts[k]]
        assert found["nae"] == pytest.approx(sum(e / t for e, t in counted) / len(counted))
    by_class = [values(block) for block in report["by_class"].values()]
    for name in ("mae", "rmse", "nae", "bias", "game_0", "game_1", "game_2", "game_3"):
        assert values(report["all"])[name] == pytest.approx(np.mean([block[name] for block in by_class]))
    assert values(report["all"])["mrmse"] == values(report["all"])["rmse"]
    assert values(report["all"])["mrmse_nz"] != values(report["all"])["mrmse"]
    assert report["n_images_without_object"] == sum(not image.true_counts.any() for image in images) > 0


def test_a_class_without_an_object_has_no_nae_and_spoils_none():
    images = [dataclasses.replace(image, true_counts=image.true_counts * [1, 0]) for image in drawn_images(n_classes=2)]
    report = scored(images, ["a", "b|c"], n_draws=20)
    assert values(report["by_class"]["b|c"])["nae"] is None
    assert values(report["all"])["nae"] == values(report["by_class"]["a"])["nae"] > 0
    table = reporting.score_table({**report, "split": "val", "source": {"predictions": "p.csv"}})
    assert "| b\\|c" in table.splitlines()[4]


def test_the_interval_is_of_the_score_over_images():
    images = drawn_images(n_classes=1)
    found = scored(images, ["a"], n_draws=500, seed=3)["all"]["scores"]
    matches = scoring.tally(images, 1, []).at([4.0]).matches[:, 0, 0]

    def f1(indices):
        tp, fp, fn = matches[indices].sum(axis=0)
        return 2 * tp / (2 * tp + fp + fn)

    low, high = scoring.metrics.bootstrap_interval(f1, len(images), n=500, seed=3)
    assert found["f1_4"]["interval"] == pytest.approx([low, high])


def test_a_reach_of_each_object():
    images = drawn_images(n_classes=1)
    report = scored(images, ["a"], sigmas=[4.0, "object"], n_draws=20)
    expected = sum(
        len(scoring.metrics.match_points(image.pred_points, image.true_points, image.object_sigmas)) for image in images
    )
    (row,) = [row for row in report["all"]["sweep"] if row["sigma"] == "object"]
    assert row["tp"] == expected > 0
    assert values(report["all"])["recall_object"] == expected / report["all"]["n_objects"]
    assert "| f1_object " in reporting.score_table({**report, "split": "val", "source": {"predictions": "p.csv"}})
