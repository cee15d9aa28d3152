import json

import numpy as np
from helpers_data import labelled_xy
from helpers_formats import label_studio_result, put, save_images

from src.annotations import label_studio


def label_studio_file(folder, *annotations, image="a.png"):
    return put(folder / "tasks.json", json.dumps([{"data": {"image": image}, "annotations": list(annotations)}]))


def test_shapes_of_label_studio(tmp_path):
    results = [
        label_studio_result(10, 20, "a", "rectanglelabels", width=50, height=25),
        label_studio_result(10, 20, "a", "rectanglelabels", width=50, height=25, rotation=90),
        label_studio_result(10, 20, "b", "ellipselabels", radiusX=5, radiusY=6),
        label_studio_result(0, 0, "b", "polygonlabels", points=[[0, 0], [50, 0], [0, 25]]),
        label_studio_result(0, 0, "b", "brushlabels", rle=[1, 2]),
        {"type": "choices", "value": {"choices": ["good"]}},
    ]
    (clicks,) = label_studio.read(label_studio_file(tmp_path, {"result": results}), None)
    # 50 % of 64 and 25 % of 32 are 32 and 8; a quarter turn clockwise about (10, 20) makes it 8 wide, to the left.
    centres = [(26, 24), (6, 36), (10, 20), (16, 4)]
    assert np.allclose([click[:2] for click in labelled_xy(clicks)], centres, atol=1e-9)
    assert [click[2] for click in labelled_xy(clicks)] == ["a", "a", "b", "b"]
    assert dict(clicks.dropped) == {"shape without a position": 1}


def test_which_annotation_of_label_studio_counts(tmp_path):
    first, second = ({"result": [label_studio_result(x, 1, "a")]} for x in (8, 16))
    (clicks,) = label_studio.read(label_studio_file(tmp_path, first, second), None)
    assert ([c[0] for c in labelled_xy(clicks)], sum(clicks.dropped.values())) == ([8], 1)
    (clicks,) = label_studio.read(label_studio_file(tmp_path, first, {**second, "ground_truth": True}), None)
    assert [c[0] for c in labelled_xy(clicks)] == [16]
    assert label_studio.read(label_studio_file(tmp_path, {**first, "was_cancelled": True}), None) == []
    assert label_studio.read(label_studio_file(tmp_path), None) == []


def test_parts_of_one_region_are_one_object(tmp_path):
    shape = {**label_studio_result(8, 16, ""), "id": "x", "type": "keypoint"}
    del shape["value"]["keypointlabels"]
    label = {**label_studio_result(8, 16, "a", "labels"), "id": "x"}
    (clicks,) = label_studio.read(label_studio_file(tmp_path, {"result": [shape, label]}), None)
    assert labelled_xy(clicks) == [(8, 16, "a")]


def test_the_digits_of_an_upload_stay_if_the_image_has_them(tmp_path):
    source = label_studio_file(tmp_path, {"result": []}, image="/data/upload/3/0123abcd-a.png")
    assert label_studio.read(source, None)[0].image == "a.png"
    save_images(tmp_path, ["0123abcd-a.png"])
    assert label_studio.read(source, None)[0].image == "0123abcd-a.png"
