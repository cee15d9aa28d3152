"""Predictions beside the truth. TRANCOS's region of interest is rows 2 to 19 and columns 3 to 30 here."""

import numpy as np
import pytest
from helpers_data import add_trancos_image
from helpers_evaluate import (
    CLICKS,
    HEADER,
    INSIDE,
    NAME,
    at,
    failure,
    prediction_arguments,
    read_report,
    read_rows,
    score_points,
    values,
)
from helpers_runs import write_experiment
from PIL import Image

from lcfcn.counting.counter import Counter
from lcfcn.errors import UserError
from scripts import evaluate
from src.datasets import DATASETS
from src.evaluation import pairing, scoring
from src.training.runtime import Runtime


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


def test_classes_that_are_too_few_are_refused(experiment):
    exp_dict, _, _ = pairing.load_best(experiment[0].parent, experiment[0].name, Runtime("cpu"))
    exp_dict["dataset"]["n_classes"] = 1
    with pytest.raises(UserError, match="has the classes object, and the network learned 2 of them"):
        pairing.open_known_split(exp_dict, "val", None, None)
