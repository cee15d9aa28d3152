from collections import Counter

import pytest
from helpers_data import labelled_xy
from helpers_formats import CSV_TEXT, put, told

from src import annotations
from src.annotations import csv_points
from src.annotations.base import Click, Clicks

CSV_CLICKS = [Clicks("a.png", [Click(1.5, 2.5, "cell"), Click(3, 4, "rim")]), Clicks("b.png")]


@pytest.mark.parametrize(
    "text",
    [
        CSV_TEXT,
        "\ufeff" + CSV_TEXT,
        CSV_TEXT.replace("\n", "\r\n"),
        CSV_TEXT.encode("utf-16"),
        CSV_TEXT.replace(",", ";").replace(".5", ",5"),
        CSV_TEXT.replace(",", "\t"),
        '\n"Label", Y ,"File Name",id,X\ncell,2.5,"a.png",9,1.5\n\nrim,4,a.png,8,3\n,,b.png,,\n',
        "filename,centre_x,centre-y,class_name\na.png,1.5,2.5,cell\na.png,3.0e0,+4,rim\nb.png\n",
    ],
)
def test_csv_in_its_spellings(tmp_path, text):
    path = put(tmp_path / "clicks.csv", text)
    assert annotations.recognise(path) is csv_points
    assert csv_points.read(path, None) == CSV_CLICKS
    assert csv_points.read(tmp_path, None) == CSV_CLICKS


def test_csv_without_a_class_and_with_an_empty_one(tmp_path):
    path = put(tmp_path / "a.csv", "image,x,y\na.png,1,2\n")
    assert csv_points.read(path, None) == [Clicks("a.png", [Click(1, 2, "object")])]
    path = put(tmp_path / "a.csv", "image,x,y,class\na.png,1,2,\n")
    assert csv_points.read(path, None) == [Clicks("a.png", dropped=Counter({"unlabelled": 1}))]


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ("a.png,nan,2,cell", "'nan' as x of line 2; expected a finite number"),
        ("a.png,1,inf,cell", "'inf' as y of line 2"),
        ("a.png,1,1e999,cell", "'1e999' as y of line 2"),
        ("a.png,1,2,cell\na.png,1,,cell", "'' as y of line 3"),
        ("a.png,left,2,cell", "'left' as x of line 2"),
        ("a, b.png,1,2,cell", "line 2: 'cell' is beyond the header"),
        (".,1,2,cell", "expected a file name"),
        ("..,1,2,cell", "expected a file name"),
        ("C:\\,1,2,cell", "expected a file name"),
        ('"a\nb.png",1,2,cell', "not a file name"),
        (f"{'a' * 2000}.png,1,2,cell", "not a file name"),
        (",1,2,cell", "expected a file name"),
        ('"a.png,1,2,cell', "line 2, is not CSV"),
        (f"a.png,1,2,{'c' * 200_000}", "line 2, is not CSV"),
    ],
)
def test_csv_refuses(tmp_path, rows, words):
    message = told(put(tmp_path / "a.csv", f"image,x,y,class\n{rows}\n"))
    assert words in message
    assert "a.csv" in message
    assert len(message) < 400


def test_a_negative_coordinate_is_a_number(tmp_path):
    path = put(tmp_path / "a.csv", "image,x,y\na.png,-1,2\n")
    assert labelled_xy(csv_points.read(path, None)[0]) == [(-1, 2, "object")]
