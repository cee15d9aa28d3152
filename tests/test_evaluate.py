import csv
import dataclasses
import json
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest
from helpers_data import add_trancos_image, make_trancos
from helpers_runs import N_VAL, mistake, write_experiment
from matplotlib.figure import Figure
from PIL import Image

from lcfcn.counting.counter import Counter
from lcfcn.counting.drawing import PREDICTED_COLOUR, TRUE_COLOUR
from lcfcn.errors import UserError
from scripts import evaluate
from src.datasets import DATASETS, get_dataset
from src.evaluation import pairing, scoring
from src.evaluation import report as reporting
from src.evaluation.pairing import ScoredImage
from src.training.runtime import Runtime

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def experiment(tmp_path_factory):
    return write_experiment(tmp_path_factory.mktemp("runs"), n_classes=2)


def arguments_of(savedir, *more):
    return ["-sb", str(savedir.parent), "-ei", savedir.name, "--device", "cpu", "--split", "val", *map(str, more)]


@pytest.fixture(scope="module")
def evaluated(experiment):
    """The experiment's folder, its validation scores, the folder of its evaluation and the report there."""
    savedir, scores = experiment
    assert evaluate.main(arguments_of(savedir)) == 0
    return savedir, scores, savedir / "evaluation", read_report(savedir / "evaluation", "val")


def refuse_constant(name):
    raise AssertionError(f"{name} is no JSON")


def read_report(out, split):
    text = (out / f"scores_{split}.json").read_text(encoding="utf-8")
    return json.loads(text, parse_constant=refuse_constant)


def values(block):
    return {name: scored["value"] for name, scored in block["scores"].items()}


def read_rows(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def failure(capsys, arguments):
    return mistake(evaluate.main, capsys, arguments)


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


@pytest.fixture(scope="module")
def of_one_class(tmp_path_factory):
    """A folder with an experiment of one class, and its validation scores."""
    return write_experiment(tmp_path_factory.mktemp("runs"), n_classes=1)


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


@pytest.mark.parametrize(("side", "zoom"), [(64, 2), (65, 1.5), (75, 0.5)])
def test_places_are_in_pixels_of_the_images_before_their_zoom(tmp_path, side, zoom):
    savedir, scores = write_experiment(
        tmp_path, n_classes=2, overrides=[f"dataset.image_size={side}", f"dataset.zoom={zoom}"]
    )
    runtime = Runtime("cpu")
    exp_dict, model, about = pairing.load_best(tmp_path, savedir.name, runtime)
    dataset = pairing.open_known_split(exp_dict, "val", None, about["class_names"])
    images = pairing.predict_split(model, dataset, runtime)
    found = scoring.flat_scores(scoring.tally(images, 2, [4.0]))
    assert found["mae"] == scores["val_mae"]
    counter = Counter(model.trained, dataset.class_names)
    for image in images:
        record = dataset.prepared(image.index)
        assert image.shape == record.image.shape[:2] == (side, side)
        assert np.abs(image.true_points - record.point_list).max() <= 0.75 / min(zoom, 1)
        result = counter.count(record.image)
        np.testing.assert_allclose(image.pred_points, result.xy[:, ::-1], atol=1e-9)
        assert (image.pred_points < image.shape).all()
    assert sum(len(image.pred_points) for image in images) > 10


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


def test_the_table_has_a_column_a_class(evaluated):
    _, _, out, report = evaluated
    table = (out / "scores_val.md").read_text(encoding="utf-8")
    (line,) = [line for line in table.splitlines() if line.startswith("| mae ")]
    cells = [cell.strip() for cell in line.split("|")[2:-1]]
    blocks = [report["all"], report["by_class"]["disc"], report["by_class"]["ellipse"]]
    for cell, scored in zip(cells, [block["scores"]["mae"] for block in blocks], strict=True):
        assert cell == f"{scored['value']:.3f} [{scored['interval'][0]:.3f}, {scored['interval'][1]:.3f}]"


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


def test_the_seed_moves_the_intervals_alone():
    first, again, other = (scored(drawn_images(), list("abc"), seed=s, n_draws=50) for s in (0, 0, 1))
    assert first == again
    assert values(first["all"]) == values(other["all"])
    assert first["all"]["scores"]["mae"]["interval"] != other["all"]["scores"]["mae"]["interval"]
    assert other["bootstrap"]["seed"] == 1


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

CLICKS = ((3, 4), (10, 20), (0, 0), (19, 30))
INSIDE = 3


@pytest.fixture
def trancos(tmp_path):
    return make_trancos(tmp_path / "data", clicks=CLICKS)


def score_points(trancos, tmp_path, lines, *more, counts=None, split="test"):
    """Write the files, score them and return the report."""
    arguments = prediction_arguments(trancos, tmp_path, lines, counts, split)
    assert evaluate.main([*arguments, *more]) == 0
    return read_report(tmp_path / "out", split)


def prediction_arguments(trancos, tmp_path, lines, counts=None, split="test"):
    (tmp_path / "points.csv").write_bytes(lines if isinstance(lines, bytes) else "\n".join(lines).encode())
    arguments = ["--predictions", tmp_path / "points.csv", "-d", trancos, "--dataset", "trancos", "--split", split]
    if counts is not None:
        (tmp_path / "counts.csv").write_text("\n".join(counts))
        arguments += ["--counts", tmp_path / "counts.csv"]
    return [str(argument) for argument in (*arguments, "-o", tmp_path / "out")]


HEADER = "image,x,y,class"
NAME = "image-1-000004.jpg"


def at(col, row, name=NAME, label="car"):
    return f"{name},{col},{row},{label}"


def test_points_are_of_the_whole_image(trancos, tmp_path):
    """The data set crops to the region; the file does not know of it."""
    lines = [HEADER, *(at(col + 0.5, row + 0.5) for row, col in CLICKS)]
    report = score_points(trancos, tmp_path, lines, "--sigmas", "0")
    found = values(report["all"])
    assert (report["all"]["n_objects"], report["all"]["n_predicted"]) == (INSIDE, INSIDE)
    assert [found[key] for key in ("mae", "game_3", "precision_0", "recall_0", "f1_0")] == [0, 0, 1, 1, 1]


def test_counts_are_of_their_class(trancos, tmp_path, monkeypatch):
    monkeypatch.setattr(DATASETS["trancos"], "class_names", ("car", "bus"))
    counts = ["image,class,count", f"{NAME},bus,7", f"{NAME},car,2"]
    report = score_points(trancos, tmp_path, [HEADER], counts=counts)
    assert {name: block["n_predicted"] for name, block in report["by_class"].items()} == {"car": 2, "bus": 7}


def test_a_point_outside_the_region_takes_its_class_along(trancos, tmp_path, monkeypatch):
    monkeypatch.setattr(DATASETS["trancos"], "class_names", ("car", "bus"))
    report = score_points(trancos, tmp_path, [HEADER, at(0.5, 0.5, label="bus"), at(20.5, 10.5)])
    assert {name: block["n_predicted"] for name, block in report["by_class"].items()} == {"car": 1, "bus": 0}


def test_scores_by_hand(trancos, tmp_path):
    """One beside its object by 3 pixels, two where nothing is, one of them far off; outside the region one more."""
    lines = [HEADER, at(23.5, 10.5), at(4.5, 18.5), at(29.5, 3.5), at(0.5, 0.5), at(20.5, 10.5), at(12, 12)]
    report = score_points(trancos, tmp_path, lines)
    found = values(report["all"])
    assert (report["n_images"], report["all"]["n_objects"], report["all"]["n_predicted"]) == (1, 3, 5)
    assert [found[key] for key in ("mae", "rmse", "bias", "nae")] == [2, 2, 2, pytest.approx(2 / 3)]
    # From the corner of the region, 18 by 28, true are (1, 1), (8, 17), (17, 27) and predicted (8, 20), (16, 1),
    # (1, 26), (8, 17), (10, 9): its quarters hold 1, 1, 0, 1 true and 0, 3, 2, 0 predicted ones.
    assert found["game_1"] == 1 + 2 + 2 + 1
    (row,) = read_rows(tmp_path / "out" / "images_test.csv")
    assert row == {
        **{"image": NAME, "class": "car", "true": "3", "predicted": "5"},
        **{"tp_4": "1", "fp_4": "4", "fn_4": "2", "tp_8": "1", "fp_8": "4", "fn_8": "2"},
    }
    assert found["f1_4"] == 2 / (2 + 4 + 2)
    assert all(scored["interval"] == [None, None] for scored in report["all"]["scores"].values())  # of one image


def test_each_image_is_matched_once_at_each_reach(trancos, tmp_path, monkeypatch):
    seen = []
    count_matches = scoring.metrics.count_matches

    def watched(*arguments):
        seen.append(arguments[-1])
        return count_matches(*arguments)

    monkeypatch.setattr(scoring.metrics, "count_matches", watched)
    score_points(trancos, tmp_path, [HEADER, at(20.5, 10.5)], "--sigmas", "5", "8")
    assert seen == [1, 2, 3, 4, 5, 6, 8, 12, 16, 24, 32]


def test_an_image_without_a_row_has_no_predictions(trancos, tmp_path):
    report = score_points(trancos, tmp_path, [HEADER])
    found = values(report["all"])
    assert [found[key] for key in ("mae", "nae", "recall_4", "f1_4")] == [3, 1, 0, 0]
    assert found["precision_4"] is None
    assert report["source"]["predictions_images_without_row"] == 1
    assert "| precision_4 | - " in (tmp_path / "out" / "scores_test.md").read_text(encoding="utf-8")


def test_counts_stand_in_for_the_points(trancos, tmp_path):
    lines, counts = [HEADER, at(20.5, 10.5)], ["image,class,count", f"{NAME},car,4.5"]
    report = score_points(trancos, tmp_path, lines, counts=counts)
    found = values(report["all"])
    assert [found[key] for key in ("mae", "bias", "nae", "game_0")] == [1.5, 1.5, 0.5, 2]
    assert found["precision_4"] == 1
    assert report["source"]["counts_sha256"] == pairing.sha256(tmp_path / "counts.csv")


def test_a_count_of_none_is_a_count(trancos, tmp_path):
    report = score_points(trancos, tmp_path, [HEADER, at(20.5, 10.5)], counts=["image,class,count", f"{NAME},car,0"])
    assert report["all"]["n_predicted"] == 0
    assert values(report["all"])["bias"] == -INSIDE


def test_one_class_needs_no_column_of_it_and_columns_come_in_any_order(trancos, tmp_path):
    plain = score_points(trancos, tmp_path, [HEADER, at(20.5, 10.5)])
    shuffled = b"\xef\xbb\xbfy,score,image,x\r\n10.5,0.3," + NAME.encode() + b",20.5\r\n\r\n"
    assert score_points(trancos, tmp_path, shuffled)["all"] == plain["all"]


def test_points_on_the_border_belong_to_the_last_pixel(trancos, tmp_path):
    roi = np.ones((24, 32), dtype=bool)
    add_trancos_image(trancos, NAME.removesuffix(".jpg"), [(23, 31)], roi)
    report = score_points(trancos, tmp_path, [HEADER, at(32, 24), at(32, 0), at(0, 24)])
    assert report["all"]["n_predicted"] == 3
    assert values(report["all"])["precision_4"] == pytest.approx(1 / 3)
    report = score_points(trancos, tmp_path, [HEADER, at(31.9, 23.9)], "--sigmas", "0.6")  # inside it stays in place
    assert values(report["all"])["precision_0.6"] == 1


def test_rows_of_other_splits_are_left_out(trancos, tmp_path):
    lines = [HEADER, at(20.5, 10.5), at(1, 1, name="image-1-000001.jpg"), at(2, 1, name="image-1-000003.jpg")]
    report = score_points(trancos, tmp_path, [*lines, lines[-1]])
    assert report["all"]["n_predicted"] == 1
    assert report["source"]["predictions_rows_of_other_splits"] == 3


def test_the_projects_own_data_set_with_classes_in_folders(tmp_path):
    """Of the test images one has no object; the training image is not scored."""
    folder = tmp_path / "data" / "images" / "Küche 1"
    folder.mkdir(parents=True)
    for name in ("a b.png", "c.png", "d.png"):
        Image.fromarray(np.zeros((30, 40, 3), dtype=np.uint8)).save(folder / name)
    names = [f"Küche 1/{name}" for name in ("a b.png", "c.png", "d.png")]
    splits = ["image,split", f"{names[0]},test", f"{names[1]},test", f"{names[2]},train"]
    (tmp_path / "data" / "splits.csv").write_text("\n".join(splits), encoding="utf-8")
    clicks = [(0, 3.5, 4.5, "cup"), (0, 20.5, 4.5, "plate"), (0, 30.5, 20.5, "plate"), (2, 1.5, 1.5, "cup")]
    truth = [HEADER, *(at(x, y, names[i], label) for i, x, y, label in clicks)]
    (tmp_path / "data" / "points.csv").write_text("\n".join(truth), encoding="utf-8")
    found = [
        (0, 3.5, 6.5, "cup"),
        (0, 20.5, 4.5, "cup"),
        (0, 30.5, 19.5, "plate"),
        (1, 9, 9, "plate"),
        (2, 1, 1, "cup"),
    ]
    lines = [HEADER, *(at(x, y, names[i], label) for i, x, y, label in found)]
    arguments = prediction_arguments(tmp_path / "data", tmp_path, lines)
    arguments[arguments.index("trancos")] = "points"
    assert evaluate.main(arguments) == 0
    report = read_report(tmp_path / "out", "test")
    assert (report["n_images"], report["n_images_without_object"], report["classes"]) == (2, 1, ["cup", "plate"])
    cup, plate = (values(report["by_class"][name]) for name in ("cup", "plate"))
    assert [cup[key] for key in ("mae", "bias", "nae", "precision_4", "recall_4")] == [0.5, 0.5, 1, 0.5, 1]
    assert [plate[key] for key in ("mae", "bias", "nae", "precision_4", "recall_4")] == [1, 0, 0.5, 0.5, 0.5]
    together = values(report["all"])
    assert [together[key] for key in ("mae", "nae", "precision_4", "recall_4")] == [0.75, 0.75, 0.5, 2 / 3]
    assert together["mrmse"] == pytest.approx((0.5**0.5 + 1) / 2)
    rows = read_rows(tmp_path / "out" / "images_test.csv")
    assert [(row["image"], row["class"], row["true"], row["predicted"]) for row in rows] == [
        (names[0], "cup", "1", "2"),
        (names[0], "plate", "2", "1"),
        (names[1], "cup", "0", "0"),
        (names[1], "plate", "0", "1"),
    ]


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (
            [HEADER, at(1, 1, name="else.jpg")],
            "line 2: the image 'else.jpg' is in no split of the data; expected names such as",
        ),
        ([HEADER, at(1, 1, label="bus")], "line 2: the class is 'bus'; expected one of car"),
        ([HEADER, at(1, 1), at("nan", 1)], "line 3: x is 'nan'; expected a finite number"),
        ([HEADER, at(1, "inf")], "line 2: y is 'inf'"),
        ([HEADER, at('"a\nb"', 1)], "line 3: x is 'a\\nb'"),
        ([HEADER, at(-1, 1)], "line 2: x -1, y 1 is outside image-1-000004.jpg, which is 32 wide and 24 high"),
        ([HEADER, at(1, 30)], "x 1, y 30 is outside"),
        ([HEADER, f"{NAME},1"], "line 2: y is ''"),
        ([HEADER, f"{NAME},1,1"], "line 2: class is ''; expected a name"),
        (["x,y,image", "1,1"], "line 2: image is ''"),
        (["image,y,class"], "has no column x; expected the header image,x,y"),
        (["image,x,x,y,class"], "has more than one column x"),
        ([""], "is empty"),
        (b"image,x,y\n\xff,1,1", "is not in UTF-8"),
        (b"image,x,y\na\0,1,1", "no split of the data"),
        ([HEADER, "a" * 200_000 + ",1,1,car"], "is not CSV"),
        ([HEADER, at(1, 1) + ",9"], "line 2: '9' is beyond the header"),
    ],
)
def test_broken_predictions_are_one_line(trancos, tmp_path, capsys, lines, message):
    assert message in failure(capsys, prediction_arguments(trancos, tmp_path, lines))
    assert not (tmp_path / "out").exists()


def test_the_first_row_of_an_unknown_image_is_told(trancos, tmp_path, capsys):
    lines = [HEADER, at(1, 1, name="z.jpg"), at(1, 1, name="a.jpg")]
    assert "line 2: the image 'z.jpg'" in failure(capsys, prediction_arguments(trancos, tmp_path, lines))


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        ([f"{NAME},car,-1"], "line 2: the count is -1"),
        ([f"{NAME},car,1", f"{NAME},car,1"], f"line 3: a second count of {NAME}"),
        (["else.jpg,car,1"], "in no split of the data"),
        ([f"{NAME},car,many"], "line 2: count is 'many'"),
    ],
)
def test_broken_counts_are_one_line(trancos, tmp_path, capsys, counts, message):
    arguments = prediction_arguments(trancos, tmp_path, [HEADER], ["image,class,count", *counts])
    assert message in failure(capsys, arguments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "expected one thing to score"),
        (["-sb", "runs"], "expected one thing to score"),
        (["-sb", "runs", "-ei", "a", "--predictions", "p.csv"], "expected one thing to score"),
        (["-ei", "a", "--predictions", "p.csv"], "do not go with --predictions"),
        (["-sb", "runs", "-ei", "a", "-c", "net.pth"], "expected one thing to score"),
        (["-c", "net.pth", "--predictions", "p.csv"], "expected one thing to score"),
        (["-ei", "a", "-c", "net.pth", "-o", "out"], "do not go with -c"),
        (["-c", "net.pth"], "-c needs -o OUT"),
        (["-c", "net.pth", "-o", "out"], "there is no net.pth"),
        (["--predictions", "p.csv", "--dataset", "trancos"], "needs --dataset NAME and -o OUT"),
        (["-sb", "runs", "-ei", "a", "--dataset", "trancos"], "go with --predictions"),
        (["-sb", "runs", "-ei", "a", "--sigmas", "-4"], "'-4' is not a reach"),
        (["-sb", "runs", "-ei", "a", "--sigmas", "nan"], "'nan' is not a reach"),
        (["-sb", "runs", "-ei", "a", "--seed", "-1"], "--seed is -1"),
        (["--predictions", "p.csv", "--dataset", "synthetic", "-o", "o", "--set", "lr=1"], "lr is unknown"),
        (["--predictions", "no.csv", "--dataset", "synthetic", "-o", "o"], "no.csv is missing"),
    ],
)
def test_arguments_that_do_not_fit_are_one_line(tmp_path, monkeypatch, capsys, arguments, message):
    monkeypatch.chdir(tmp_path)
    assert message in failure(capsys, [*arguments, "--split", "val"])
    assert not sorted(tmp_path.iterdir())


def test_training_images_are_not_scored(capsys):
    assert "invalid choice: 'train'" in failure(capsys, ["-sb", "runs", "-ei", "a", "--split", "train"])


def test_a_folder_that_cannot_be_made_is_one_line(experiment, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    message = failure(capsys, arguments_of(experiment[0], "-o", tmp_path / "file" / "out"))
    assert "cannot be made" in message
    assert "-o" in message


def test_the_file_runs_and_says_that_it_chooses_nothing(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["evaluate.py", "--help"])
    monkeypatch.setattr(sys, "path", [str(ROOT / "scripts")])
    with pytest.raises(SystemExit) as done:
        runpy.run_path(str(ROOT / "scripts" / "evaluate.py"), run_name="__main__")
    assert done.value.code == 0
    assert sys.path[0] == str(ROOT)
    text = " ".join(capsys.readouterr().out.split())
    assert "No option here tunes anything" in text
    assert "chose model_best.pth by its count error" in text


# Scores, from images that are drawn


def drawn_images(n=12, n_classes=3, seed=0):
    rng = np.random.default_rng(seed)
    images = []
    for index in range(n):
        n_true, n_pred = rng.integers(0, 9, size=2) if index else (0, 0)
        true_labels, pred_labels = (rng.integers(1, n_classes + 1, size) for size in (n_true, n_pred))
        images.append(
            ScoredImage(
                index=index,
                name=f"{index}.png",
                shape=(20, 31),
                true_points=rng.uniform(0, (20, 31), (n_true, 2)),
                true_labels=true_labels,
                true_counts=np.bincount(true_labels, minlength=n_classes + 1)[1:],
                pred_points=rng.uniform(0, (20, 31), (n_pred, 2)),
                pred_labels=pred_labels,
                pred_counts=np.bincount(pred_labels, minlength=n_classes + 1)[1:],
                object_sigmas=rng.uniform(0, 9, n_true),
            )
        )
    return images


def scored(images, class_names, sigmas=scoring.SIGMAS, **options):
    return scoring.score(scoring.tally(images, len(class_names), sigmas), class_names, sigmas, **options)


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


def test_a_reach_of_each_object_needs_sizes(experiment, tmp_path, capsys):
    message = failure(capsys, arguments_of(experiment[0], "-o", tmp_path, "--sigmas", "object"))
    assert "--sigmas object needs the size of each object" in message


def test_a_data_set_may_know_the_sizes(trancos, tmp_path, monkeypatch):
    """The click that the region leaves out is not asked for."""
    monkeypatch.setattr(DATASETS["trancos"], "object_sigmas", lambda *_: np.array([1, 3, 1]), raising=False)
    lines = [HEADER, at(23.5, 10.5), at(6.5, 3.5)]
    report = score_points(trancos, tmp_path, lines, "--sigmas", "object")
    assert values(report["all"])["precision_object"] == 0.5


# Pictures


def worst_of(images):
    return reporting.worst_images(images, scoring.tally(images, len(images[0].true_counts), []))


def test_the_worst_come_first():
    images = drawn_images(n=30)
    worst = worst_of(images)
    off = [np.abs(image.pred_counts - image.true_counts).sum() for image in images]
    assert [np.abs(i.pred_counts - i.true_counts).sum() for i in worst] == sorted(off, reverse=True)[:10]


def test_of_equal_counts_the_worse_located_is_worse():
    near, far = (
        ScoredImage(index, name, (20, 20), *truth, np.array([[row, 5.0]]), np.array([1]), np.array([1]))
        for truth in [(np.array([[5.0, 5.0]]), np.array([1]), np.array([1]))]
        for index, name, row in ((0, "near", 6.0), (1, "far", 18.0))
    )
    assert [image.name for image in worst_of([near, far, near])] == ["far", "near", "near"]


def test_the_worst_images_are_pictured_with_both_clicks(trancos, tmp_path):
    score_points(trancos, tmp_path, [HEADER, at(20.5, 10.5), at(9.5, 8.5)])
    (path,) = sorted((tmp_path / "out" / "worst").iterdir())
    assert path.name == "test_01_image-1-000004.png"
    picture = np.asarray(Image.open(path))
    factor = picture.shape[1] // 2 // 28  # the region is 28 wide and 18 high
    caption = picture.shape[0] - 18 * factor
    left, right = np.split(picture[caption:], 2, axis=1)
    for half, colour, pixels in (
        (left, TRUE_COLOUR, [(1, 1), (8, 17), (17, 27)]),
        (right, PREDICTED_COLOUR, [(8, 17), (6, 6)]),
    ):
        for row, col in pixels:
            assert tuple(half[int((row + 0.5) * factor), int((col + 0.5) * factor)]) == colour
        assert (half == colour).all(axis=2).sum() < 900  # and little else


def test_pictures_of_an_earlier_evaluation_go_and_nothing_else(trancos, tmp_path):
    worst = tmp_path / "out" / "worst"
    worst.mkdir(parents=True)
    for name in ("test_02_old.png", "val_01_other.png", "test_mine.png"):
        (worst / name).write_bytes(b"")
    score_points(trancos, tmp_path, [HEADER])
    found = [path.name for path in sorted(worst.iterdir())]
    assert found == ["test_01_image-1-000004.png", "test_mine.png", "val_01_other.png"]


def test_all_files_are_whole(evaluated):
    out = evaluated[2]
    files = [path.name for path in sorted(out.iterdir())]
    assert files == ["images_val.csv", "scatter_val.png", "scores_val.json", "scores_val.md", "worst"]
    assert len(sorted((out / "worst").iterdir())) == N_VAL
    with Image.open(out / "scatter_val.png") as image:
        assert np.asarray(image.convert("L")).std() > 5


def test_the_scatter_draws_each_count_in_its_place(monkeypatch, tmp_path):
    figures = []

    def keep(**options):
        figures.append(Figure(**options))
        return figures[-1]

    monkeypatch.setattr(reporting, "Figure", keep)
    images = drawn_images()
    with (tmp_path / "s.png").open("wb") as file:
        reporting._scatter(scoring.tally(images, 3, []), ["a", "b", "c"], file)
    (axes,) = figures[0].axes
    for k, dots in enumerate(axes.collections):
        expected = [[image.true_counts[k], image.pred_counts[k]] for image in images]
        np.testing.assert_array_equal(dots.get_offsets(), expected)


def test_classes_that_are_too_few_are_refused(experiment):
    exp_dict, _, _ = pairing.load_best(experiment[0].parent, experiment[0].name, Runtime("cpu"))
    exp_dict["dataset"]["n_classes"] = 1
    with pytest.raises(UserError, match="has the classes object, and the network learned 2 of them"):
        pairing.open_known_split(exp_dict, "val", None, None)
