import json

import pytest
from helpers_evaluate import (
    arguments_of,
    failure,
    read_report,
    read_rows,
    values,
)
from helpers_runs import N_VAL, write_experiment

from lcfcn.counting.weight_files import BEST, load_checkpoint
from scripts import evaluate
from src.datasets import get_dataset
from src.evaluation import pairing
from src.training.runtime import Runtime

# An experiment


def test_the_scores_are_those_of_validation(evaluated):
    _, scores, _, report = evaluated
    found = values(report["all"])
    assert scores["val_mae"] > 0
    assert found["mae"] == scores["val_mae"]
    assert found["rmse"] == found["mrmse"] == scores["val_rmse"]
    for level in (1, 2, 3):
        assert found[f"game_{level}"] == scores[f"val_game_{level}"]
    assert found["game_0"] == found["mae"]
    by_class = [values(report["by_class"][name])["mae"] for name in ("disc", "ellipse")]
    assert by_class == [scores["val_mae_1"], scores["val_mae_2"]]


@pytest.mark.parametrize("n_classes", [1, 2])
def test_the_scores_are_those_of_validation_also_where_it_chose_the_decoding(tmp_path, n_classes):
    """The same MAE and GAME: counts and places are defined once."""
    savedir, scores = write_experiment(tmp_path / "runs", n_classes=n_classes, overrides=["decoding=validation"])
    kept = load_checkpoint(savedir / BEST)["exp_dict"]["decoding"]
    assert kept != "validation"
    out = tmp_path / "out"
    assert evaluate.main(arguments_of(savedir, "-o", out)) == 0
    found = values(read_report(out, "val")["all"])
    assert found["mae"] == scores["val_mae"] > 0
    assert found["rmse"] == scores["val_rmse"]
    for level in (1, 2, 3):
        assert found[f"game_{level}"] == scores[f"val_game_{level}"] > 0


def test_one_class_likewise(of_one_class, tmp_path, capsys):
    savedir, scores = of_one_class
    out = tmp_path / "deep" / "out"
    assert evaluate.main(arguments_of(savedir, "-o", out, "--sigmas", "2.5", "8", "2.5")) == 0
    assert not (savedir / "evaluation").exists()
    report = read_report(out, "val")
    assert values(report["all"])["mae"] == scores["val_mae"]
    assert values(report["all"])["game_3"] == scores["val_game_3"]
    assert "by_class" not in report
    assert "mrmse" not in report["all"]["scores"]
    assert report["sigmas"] == [2.5, 8]
    assert [row["sigma"] for row in report["all"]["sweep"]] == [1, 2, 2.5, 3, 4, 6, 8, 12, 16, 24, 32]
    table = (out / "scores_val.md").read_text(encoding="utf-8")
    assert capsys.readouterr().out == f"{table}\nWrote {out}\n"


def test_the_report_says_what_was_scored(evaluated):
    savedir, _, _, report = evaluated
    exp_dict = json.loads((savedir / "exp_dict.json").read_text(encoding="utf-8"))
    assert report["source"] == {
        "exp_id": savedir.name,
        "checkpoint": "model_best.pth",
        "checkpoint_sha256": pairing.sha256(savedir / "model_best.pth"),
        "epoch": 7,
        "precision": "32",
        "device": "cpu",
    }
    assert report["dataset"] == exp_dict["dataset"]
    assert (report["split"], report["n_images"], report["n_images_without_object"]) == ("val", N_VAL, 0)
    assert report["classes"] == ["disc", "ellipse"]
    assert report["sigmas"] == [4, 8]
    assert report["bootstrap"] == {
        "level": 0.95,
        "method": "percentile, over images",
        "n_draws": 2000,
        "seed": 0,
    }
    dataset = get_dataset(exp_dict["dataset"], "val", None, size=N_VAL)
    assert report["all"]["n_objects"] == sum(dataset.count_list())
    assert sum(block["n_objects"] for block in report["by_class"].values()) == report["all"]["n_objects"]


def test_each_score_lies_in_its_interval(evaluated):
    for block in (evaluated[3]["all"], *evaluated[3]["by_class"].values()):
        for name, scored in block["scores"].items():
            low, high = scored["interval"]
            assert low <= scored["value"] <= high, name
        mae = block["scores"]["mae"]["interval"]
        assert mae[0] < mae[1]


def test_the_sweep_pools_what_the_images_say(evaluated):
    savedir, _, out, report = evaluated
    rows = read_rows(out / "images_val.csv")
    assert len(rows) == 2 * N_VAL
    for sigma in (4, 8):
        for block, of in ((report["all"], None), *((block, name) for name, block in report["by_class"].items())):
            mine = [row for row in rows if of in (None, row["class"])]
            sums = {key: sum(int(row[f"{key}_{sigma}"]) for row in mine) for key in ("tp", "fp", "fn")}
            (swept,) = [row for row in block["sweep"] if row["sigma"] == sigma]
            assert {key: swept[key] for key in sums} == sums
            precision = sums["tp"] / (sums["tp"] + sums["fp"])
            assert values(block)[f"precision_{sigma}"] == swept["precision"] == pytest.approx(precision)
    assert [row["sigma"] for row in report["all"]["sweep"]] == [1, 2, 3, 4, 6, 8, 12, 16, 24, 32]
    hits = [row["tp"] for row in report["all"]["sweep"]]
    assert hits == sorted(hits)
    assert hits[0] < hits[-1]


def test_any_tools_points_score_as_the_experiments_own(evaluated, tmp_path):
    """Nothing is lost on the way through points.csv."""
    savedir, _, out, report = evaluated
    runtime = Runtime("cpu")
    exp_dict, model, _ = pairing.load_best(savedir.parent, savedir.name, runtime)
    dataset = pairing.open_known_split(exp_dict, "val", None, None)
    rows = ["image,x,y,class,score"]
    for image in pairing.predict_split(model, dataset, runtime):
        for (row, col), label in zip(image.pred_points, image.pred_labels, strict=True):
            rows.append(f"{image.name},{col},{row},{dataset.class_names[label - 1]},0.9")
    (tmp_path / "points.csv").write_text("\n".join(rows) + "\n")
    options = [f"dataset.{key}={value}" for key, value in exp_dict["dataset"].items() if key not in ("name", "augment")]
    arguments = ["--predictions", tmp_path / "points.csv", "--dataset", "synthetic", "--split", "val", "-o", tmp_path]
    options.append(f"dataset.n_val={N_VAL}")
    assert evaluate.main([*map(str, arguments), "--set", *options]) == 0
    again = read_report(tmp_path, "val")
    assert again["all"] == report["all"]
    assert again["by_class"] == report["by_class"]
    assert (tmp_path / "images_val.csv").read_bytes() == (out / "images_val.csv").read_bytes()


def test_classes_of_other_names_are_refused(tmp_path, capsys):
    savedir, _ = write_experiment(tmp_path, n_classes=2, class_names=["ellipse", "disc"])
    assert "has the classes disc, ellipse, and the network learned ellipse, disc" in failure(
        capsys, arguments_of(savedir)
    )


def test_class_names_that_are_none_are_one_line(tmp_path, capsys):
    savedir, _ = write_experiment(tmp_path, n_classes=1, class_names=[3])
    assert "has the class_names '[3]'; expected a name for each class of its network, 1 in a list" in failure(
        capsys, arguments_of(savedir)
    )


def test_a_missing_network_is_one_line(experiment, tmp_path, capsys):
    savedir, _ = experiment
    (tmp_path / savedir.name).mkdir()
    (tmp_path / savedir.name / "exp_dict.json").write_bytes((savedir / "exp_dict.json").read_bytes())
    assert "there is no" in failure(capsys, arguments_of(tmp_path / savedir.name))
    assert [path.name for path in sorted((tmp_path / savedir.name).iterdir())] == ["exp_dict.json"]
    assert "-ei abc is unknown" in failure(capsys, ["-sb", tmp_path, "-ei", "abc", "--split", "val"])


# Predictions of any tool, on TRANCOS's layout: its region of interest is rows 2 to 19 and columns 3 to 30


def test_a_folder_that_cannot_be_made_is_one_line(experiment, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    message = failure(capsys, arguments_of(experiment[0], "-o", tmp_path / "file" / "out"))
    assert "cannot be made" in message
    assert "-o" in message


# Scores, from images that are drawn


# Pictures
