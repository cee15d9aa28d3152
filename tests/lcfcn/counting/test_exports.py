import json
import math
from xml.etree import ElementTree

import pytest
from helpers_data import labelled_xy

from lcfcn.counting import exports
from lcfcn.errors import UserError
from src import annotations
from src.annotations import cvat, labelme, qupath

POINTS = [(0.5, 0.5, "car"), (639.5, 479.5, 'van <big> & "red"'), (1 / 3, 123456.7890123, "Zebra ü")]
SIZE = (480, 640)


def test_geojson_is_what_rfc_7946_and_qupath_ask_for():
    data = json.loads(exports.qupath_geojson(POINTS))
    assert data["type"] == "FeatureCollection"
    assert len(data["features"]) == len(POINTS)
    for feature, (x, y, name) in zip(data["features"], POINTS, strict=True):
        assert set(feature) == {"type", "geometry", "properties"}  # RFC 7946, section 3.2: it must have all three
        assert feature["type"] == "Feature"
        assert feature["geometry"] == {"type": "Point", "coordinates": [x, y]}  # x before y, floats unrounded
        assert feature["properties"]["objectType"] == "annotation"
        assert feature["properties"]["classification"]["name"] == name


def test_geojson_without_points_is_an_empty_collection():
    assert json.loads(exports.qupath_geojson([])) == {"type": "FeatureCollection", "features": []}


def test_labelme_has_the_keys_that_labelme_5_reads():
    data = json.loads(exports.labelme_json(POINTS, "../a b/ü.jpg", SIZE))
    assert set(data) == {"version", "flags", "shapes", "imagePath", "imageData", "imageHeight", "imageWidth"}
    assert data["version"].startswith("5.")
    assert (data["imagePath"], data["imageData"], data["flags"]) == ("../a b/ü.jpg", None, {})
    assert (data["imageHeight"], data["imageWidth"]) == SIZE
    for shape, (x, y, name) in zip(data["shapes"], POINTS, strict=True):
        assert set(shape) >= {"label", "points", "group_id", "shape_type", "flags"}
        assert (shape["label"], shape["shape_type"], shape["points"]) == (name, "point", [[x, y]])


def test_cvat_has_the_elements_of_version_1_1():
    images = [exports.ImagePoints("a/ü 1.jpg", SIZE, POINTS), exports.ImagePoints("none.png", (3, 4), [])]
    data = exports.cvat_xml(images, [name for *_, name in POINTS])
    assert data.startswith(b"<?xml version='1.0' encoding='utf-8'?>")
    root = ElementTree.fromstring(data)
    assert [child.tag for child in root] == ["version", "meta", "image", "image"]
    assert (root.tag, root.find("version").text) == ("annotations", "1.1")
    task = {child.tag: child.text for child in root.find("meta/task")}
    assert {**task, "labels": None} == {"name": "predictions", "size": "2", "mode": "annotation", "labels": None}
    labels = root.findall("meta/task/labels/label")
    assert [(label.find("name").text, label.find("type").text) for label in labels] == [
        (name, "points") for *_, name in POINTS
    ]
    assert all(label.find("attributes") is not None for label in labels)
    first, second = root.findall("image")
    assert first.attrib == {"id": "0", "name": "a/ü 1.jpg", "width": "640", "height": "480"}
    assert second.attrib == {"id": "1", "name": "none.png", "width": "4", "height": "3"}
    assert len(second) == 0
    for element, (x, y, name) in zip(first, POINTS, strict=True):
        assert element.tag == "points"
        assert set(element.attrib) == {"label", "source", "occluded", "points", "z_order"}
        assert element.get("label") == name
        assert [float(number) for number in element.get("points").split(",")] == [x, y]


@pytest.mark.parametrize("name", ["a\x01.jpg", "a\ufffe.jpg"])
def test_what_xml_cannot_hold_is_told(name):
    with pytest.raises(UserError, match="XML can't hold"):
        exports.cvat_xml([exports.ImagePoints(name, SIZE, [])], [])
    with pytest.raises(UserError, match="XML can't hold"):
        exports.cvat_xml([exports.ImagePoints("a", SIZE, [(1.0, 2.0, name)])], [])
    with pytest.raises(UserError, match="XML can't hold"):
        exports.cvat_xml([], [name])


def test_a_number_that_is_none_is_never_written():
    with pytest.raises(ValueError, match="not JSON compliant"):
        exports.qupath_geojson([(math.nan, 1.0, "a")])


def assert_read_back(clicks, name, points, size):
    assert (clicks.image, clicks.image_size, dict(clicks.dropped)) == (name, size, {})
    assert [label for *_, label in labelled_xy(clicks)] == [label for *_, label in points]
    for read, written in zip(labelled_xy(clicks), points, strict=True):
        assert read[:2] == pytest.approx(written[:2], abs=1e-6, rel=0)


def test_the_importer_reads_labelme_files_back(tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "labelme").mkdir()
    (tmp_path / "labelme" / "ü 1.json").write_bytes(exports.labelme_json(POINTS, "../photos/ü 1.jpg", SIZE))
    (tmp_path / "labelme" / "none.json").write_bytes(exports.labelme_json([], "../photos/none.jpg", (3, 4)))
    none, first = labelme.read(tmp_path / "labelme", tmp_path / "photos")
    assert_read_back(none, "none.jpg", [], (3, 4))
    assert_read_back(first, "ü 1.jpg", POINTS, SIZE)


def test_the_importer_reads_geojson_files_back(tmp_path):
    """QuPath's files say nothing of the image but by their own names, and nothing of its size."""
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "ü 1.jpg.geojson").write_bytes(exports.qupath_geojson(POINTS))
    (tmp_path / "none.png.geojson").write_bytes(exports.qupath_geojson([]))
    assert annotations.recognise(tmp_path) is qupath
    first, none = qupath.read(tmp_path, None)
    assert_read_back(first, "a/ü 1.jpg", POINTS, None)
    assert_read_back(none, "none.png", [], None)


def test_the_importer_reads_cvat_files_back(tmp_path):
    path = tmp_path / "cvat.xml"
    images = [exports.ImagePoints("a/ü 1.jpg", SIZE, POINTS), exports.ImagePoints("none.png", (3, 4), [])]
    path.write_bytes(exports.cvat_xml(images, ["car"]))
    first, none = cvat.read(path, None)
    assert_read_back(first, "a/ü 1.jpg", POINTS, SIZE)
    assert_read_back(none, "none.png", [], (3, 4))
