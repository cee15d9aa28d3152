"""Predictions of any tool, in any format that can be imported, beside the clicks of TRANCOS's layout."""

import json

import pytest
from helpers_data import make_trancos
from helpers_evaluate import failure, read_report

from scripts import evaluate

NAME, STEM = "image-1-000004.jpg", "image-1-000004"
HEIGHT, WIDTH = 24, 32
PLACES = [(20.5, 10.5), (4.5, 18.5)]
"""x and y of two predictions inside the region of the test image; the first one is on a click."""


@pytest.fixture
def trancos(tmp_path):
    return make_trancos(tmp_path / "trancos")


def score(trancos, tmp_path, source, *more):
    arguments = [
        "--predictions",
        source,
        "-d",
        trancos,
        "--dataset",
        "trancos",
        "--split",
        "test",
        "-o",
        tmp_path / "out",
    ]
    assert evaluate.main([str(argument) for argument in (*arguments, *more)]) == 0
    return read_report(tmp_path / "out", "test")


def put(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


def own(folder):
    return put(folder / "p.csv", "\n".join(["image,x,y", *(f"{NAME},{x},{y}" for x, y in PLACES)]))


def semicolons(folder):
    rows = (f"C:\\\\data\\\\{NAME};{x};{y}".replace(".5", ",5") for x, y in PLACES)
    return put(folder / "p.csv", "\n".join(["sep=;", "Filename;X;Y", *rows]))


def boxes(folder):
    rows = (f"{NAME},{x - 1},{y - 2},{x + 1},{y + 2},car" for x, y in PLACES)
    return put(folder / "p.csv", "\n".join(["image_path,xmin,ymin,xmax,ymax,label", *rows]))


def boxes_by_sides(folder):
    return put(
        folder / "p.csv", "\n".join(["image,x,y,width,height", *(f"{NAME},{x - 1},{y - 2},2,4" for x, y in PLACES)])
    )


def coco(folder):
    annotations = [
        {"id": n, "image_id": 1, "category_id": 1, "bbox": [x - 1, y - 2, 2, 4], "score": 0.9}
        for n, (x, y) in enumerate(PLACES)
    ]
    images = [{"id": 1, "file_name": f"images/{NAME}", "height": HEIGHT, "width": WIDTH}]
    content = {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "car"}]}
    return put(folder / "c.json", content)


def yolo(folder):
    lines = (f"0 {x / WIDTH} {y / HEIGHT} 0.1 0.1 0.8" for x, y in PLACES)
    put(folder / "data.yaml", "names: [car]")
    put(folder / "labels" / f"{STEM}.txt", "\n".join(lines))
    return folder


def labelme(folder):
    shapes = [{"label": "car", "points": [place], "shape_type": "point"} for place in PLACES]
    put(folder / f"{STEM}.json", {"shapes": shapes, "imagePath": f"..\\images\\{NAME}"})
    return folder


SOURCES = (own, semicolons, boxes, boxes_by_sides, coco, yolo, labelme)


@pytest.mark.parametrize("source_of", SOURCES, ids=lambda source_of: source_of.__name__)
def test_predictions_in_any_format_score_alike(trancos, tmp_path, source_of):
    report = score(trancos, tmp_path, source_of(tmp_path / "found"), "--sigmas", "4")
    found = {name: scored["value"] for name, scored in report["all"]["scores"].items()}
    assert report["all"]["n_predicted"] == 2
    assert (found["precision_4"], found["recall_4"]) == (0.5, 0.5)
    assert report["source"]["predictions_images_without_row"] == 0
    assert len(report["source"]["predictions_sha256"]) == 64


def test_what_was_dropped_is_in_the_report_and_other_splits_are_left_out(trancos, tmp_path):
    shapes = [{"label": "car", "points": [PLACES[0]], "shape_type": "point"}]
    shapes.append({"label": "car", "points": [[1, 1], [2, 2]], "shape_type": "line"})
    for stem in (STEM, "image-1-000001"):
        put(tmp_path / "found" / f"{stem}.json", {"shapes": shapes, "imagePath": f"{stem}.jpg"})
    source = score(trancos, tmp_path, tmp_path / "found")["source"]
    assert (source["predictions_dropped"], source["predictions_rows_of_other_splits"]) == (2, 1)


def test_options_say_what_a_table_leaves_open(trancos, tmp_path):
    rows = [f"{NAME},{x / WIDTH},{y / HEIGHT}" for x, y in PLACES]
    source = put(tmp_path / "p.csv", "\n".join(["image,x,y", *rows]))
    assert score(trancos, tmp_path, source, "--units", "fraction")["all"]["n_predicted"] == 2
    source = put(tmp_path / "q.csv", "\n".join(f"{NAME},{x},{y}" for x, y in PLACES))
    assert score(trancos, tmp_path, source, "--columns", "image=1,x=2,y=3")["all"]["n_predicted"] == 2


@pytest.mark.parametrize(
    ("content", "more", "words"),
    [
        (f"image,x,y\n{NAME},0.25,0.5\n", (), "look like fractions of the image's size: add --units"),
        (f"image,xmin,ymin,xmax,ymax,label\n{NAME},1,2,3,4,bus\n", (), "the class is 'bus'; expected one of car"),
        ("filename;x;y\nelse.jpg;1;2\n", (), "the image 'else.jpg' is in no split of the data"),
        (f"filename;x;y\n{NAME};100;2\n", (), f"an object of {NAME}: x 100, y 2 is outside"),
        (f"image,gulls,x,y\n{NAME},7,1,2\n", ("--format", "csv_points"), "looks like a table of counts"),
        (f"image,x,y\n{NAME},1,2\n", ("--columns", "image=photo"), "do not fit --columns image=photo"),
    ],
)
def test_predictions_that_are_not_certain_are_one_line(trancos, tmp_path, capsys, content, more, words):
    source = put(tmp_path / "p.csv", content)
    arguments = [
        "--predictions",
        source,
        "-d",
        trancos,
        "--dataset",
        "trancos",
        "--split",
        "test",
        "-o",
        tmp_path / "out",
    ]
    assert words in failure(capsys, [str(argument) for argument in (*arguments, *more)])


def test_options_of_a_source_go_with_predictions(capsys, tmp_path):
    arguments = ["-c", "net.pth", "--split", "val", "-o", str(tmp_path), "--pixel-size", "2"]
    assert "--pixel-size goes with --predictions" in failure(capsys, arguments)
