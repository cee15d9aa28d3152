import json

from helpers_data import labelled_xy
from helpers_formats import feature, put

from src.annotations import qupath


def test_a_format_without_any_class_has_one_and_else_what_has_none_is_dropped(tmp_path):
    unnamed, named = feature("Point", [1, 2], ""), feature("Point", [3, 4], "a")
    put(tmp_path / "a.geojson", json.dumps([unnamed]))
    assert labelled_xy(qupath.read(tmp_path, None)[0]) == [(1, 2, "object")]
    put(tmp_path / "b.geojson", json.dumps([named]))
    first, second = qupath.read(tmp_path, None)
    assert (labelled_xy(first), dict(first.dropped)) == ([], {"unlabelled": 1})
    assert labelled_xy(second) == [(3, 4, "a")]


def test_shapes_of_qupath(tmp_path):
    square = [[[0, 0], [6, 0], [6, 2], [0, 2], [0, 0]]]
    features = [
        feature("Polygon", square, "a"),
        feature("MultiPolygon", [square, [[[8, 8], [10, 8], [8, 10]]]], "a"),
        feature("LineString", [[0, 0], [1, 1]], "a"),
        {**feature("Point", [1, 2], ""), "properties": {"classification": {"names": ["a", "b"]}}},
    ]
    (clicks,) = qupath.read(put(tmp_path / "a.geojson", json.dumps({"type": "x", "features": features})), None)
    assert labelled_xy(clicks) == [(3, 1, "a"), (5, 5, "a"), (1, 2, "a: b")]
    assert dict(clicks.dropped) == {"shape without a position": 1}
