from collections import Counter

import pytest
from helpers_data import labelled_xy
from helpers_formats import coco_object, coco_text, put, told

from src import annotations
from src.annotations import coco

POSE = {"id": 1, "name": "cell", "keypoints": ["head", "tail"]}

HEAD = {"id": 1, "name": "cell", "keypoints": ["head"]}


@pytest.mark.parametrize(
    ("category", "fields", "expected", "dropped"),
    [
        (HEAD, {"keypoints": [3, 4, 2], "bbox": [0, 0, 10, 10]}, [(3, 4)], {}),
        (HEAD, {"keypoints": [3, 4, 1, 0, 0, 0, 5, 6, 2]}, [(3, 4), (5, 6)], {"hidden": 1}),
        ({"id": 1, "name": "cell"}, {"keypoints": [3, 4, 1, 5, 6, 2]}, [(3, 4), (5, 6)], {}),
        (HEAD, {"keypoints": [0, 0, 0], "bbox": [2, 4, 10, 20]}, [(7, 14)], {}),
        (POSE, {"keypoints": [3, 4, 2, 5, 8, 2], "bbox": [2, 4, 10, 20]}, [(7, 14)], {}),
        (POSE, {"keypoints": [3, 4, 2, 5, 8, 2]}, [(4, 6)], {}),
        (HEAD, {"bbox": [2, 4, 10, 20]}, [(7, 14)], {}),
        (HEAD, {"bbox": [2, 4, 10, 20], "segmentation": [[0, 0, 1, 1]]}, [(7, 14)], {}),
        (HEAD, {"segmentation": [[0, 0, 2, 2], [4, 4, 1, 1]]}, [(2, 2)], {}),
        (HEAD, {"segmentation": {"counts": "abc", "size": [30, 40]}}, [], {"shape without a position": 1}),
        (HEAD, {"keypoints": [0, 0, 0]}, [], {"hidden": 1}),
        (HEAD, {"bbox": [2, 4, 10, 20], "iscrowd": 1}, [], {"crowd without single positions": 1}),
        (HEAD, {"bbox": [2, 4, 10, 20], "category_id": None}, [], {"unlabelled": 1}),
    ],
)
def test_where_a_coco_object_is(tmp_path, category, fields, expected, dropped):
    path = put(tmp_path / "a.json", coco_text([coco_object(**fields)], [category]))
    assert annotations.recognise(path) is coco
    [clicks] = coco.read(path, None)
    assert labelled_xy(clicks) == [(x, y, "cell") for x, y in expected]
    assert (clicks.image, clicks.image_size, clicks.dropped) == ("a.png", (30, 40), Counter(dropped))


@pytest.mark.parametrize(
    ("annotation", "words"),
    [
        (coco_object(image_id=8), "image_id 8 is not listed"),
        (coco_object(image_id=[]), "without image_id"),
        (coco_object(category_id=2), "category_id 2 is not listed"),
        (coco_object(bbox=[1, 2, 3]), "bbox that are not a list of 4 numbers each"),
        (coco_object(bbox=[1, 2, 3, float("nan")]), "nan as bbox"),
        (coco_object(bbox=[1, 2, 3, "1e999"]), "'1e999' as bbox"),
        (coco_object(bbox=[1, 2, 3, 10**400]), "as bbox; expected a finite number"),
        (coco_object(keypoints=[1, 2]), "keypoints that are not a list of 3"),
        (coco_object(keypoints=[True, 2, 2]), "True as keypoints"),
        (7, "annotations is a list; expected a list of objects"),
    ],
)
def test_coco_refuses(tmp_path, annotation, words):
    assert words in told(put(tmp_path / "a.json", coco_text([annotation])))
