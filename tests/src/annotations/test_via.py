import json

from helpers_data import labelled_xy
from helpers_formats import put

from src.annotations import via


def test_shapes_of_via(tmp_path):
    shapes = [
        {"name": "rect", "x": 10, "y": 20, "width": 4, "height": 2},
        {"name": "circle", "cx": 5, "cy": 6, "r": 3},
        {"name": "polygon", "all_points_x": [0, 8, 0], "all_points_y": [0, 0, 4]},
        {"name": "polyline", "all_points_x": [0, 8], "all_points_y": [0, 4]},
    ]
    attributes = [{"type": "a"}, {"kind": {"b": True, "c": False}}, {"species": "d", "class": "e"}, {"class": "f"}]
    regions = [{"shape_attributes": s, "region_attributes": a} for s, a in zip(shapes, attributes, strict=True)]
    content = {"a": {"filename": "a.png", "regions": dict(enumerate(regions))}}  # numbered, as VIA 1 has them
    (clicks,) = via.read(put(tmp_path / "a.json", json.dumps(content)), None)
    assert labelled_xy(clicks) == [(12, 21, "a"), (5, 6, "b"), (4, 2, "e")]
    assert dict(clicks.dropped) == {"shape without a position": 1}


def test_attributes_of_via_that_leave_the_class_open(tmp_path):
    """Two ticks, and two attributes of which none is known to name the class."""
    attributes = [{"kind": {"a": True, "b": True}}, {"size": "large", "colour": "red"}, {"kind": "a"}]
    point = {"name": "point", "cx": 1, "cy": 2}
    regions = [{"shape_attributes": point, "region_attributes": a} for a in attributes]
    (clicks,) = via.read(put(tmp_path / "a.json", json.dumps({"a": {"filename": "a.png", "regions": regions}})), None)
    assert labelled_xy(clicks) == [(1, 2, "a")]
    assert dict(clicks.dropped) == {"unlabelled": 2}
