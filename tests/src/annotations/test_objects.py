"""What counts as an object: poses, regions around objects, parts of one, and clicks on other planes."""

import numpy as np
import pytest
from helpers_annotations import imported, points, put, refusal, save_image, save_tiff, table
from roifile import ROI_TYPE, ImagejRoi


def coco(keypoints, categories=({"id": 1, "name": "cow"},), **fields):
    annotations = [
        {"id": n, "image_id": 1, "category_id": 1, "keypoints": members, **fields}
        for n, members in enumerate(keypoints)
    ]
    return {"images": [{"id": 1, "file_name": "a.jpg"}], "annotations": annotations, "categories": list(categories)}


def test_a_pose_with_a_box_is_one_object_though_no_category_declares_it(tmp_path):
    save_image(tmp_path / "a.jpg")
    source = put(tmp_path / "c.json", coco([[10, 20, 2, 12, 22, 2, 0, 0, 0]], bbox=[5, 5, 20, 30]))
    assert points(source) == {"a.jpg": [(15, 20, "cow")]}


def test_a_pose_whose_box_is_empty_is_in_the_middle_of_its_keypoints(tmp_path):
    save_image(tmp_path / "a.jpg")
    category = {"id": 1, "name": "cow", "keypoints": ["head", "tail"]}
    source = put(tmp_path / "c.json", coco([[10, 20, 2, 20, 40, 2]], [category], bbox=[0, 0, 0, 0]))
    assert points(source) == {"a.jpg": [(15, 30, "cow")]}


def test_keypoints_that_may_be_poses_are_refused(tmp_path):
    save_image(tmp_path / "a.jpg")
    source = put(tmp_path / "c.json", coco([[10, 20, 2, 20, 40, 2], [50, 20, 2, 60, 40, 0]]))
    assert "2 keypoints in each annotation, which may be one object or 2" in refusal(source)
    put(source, coco([[10, 20, 2, 20, 40, 2], [50, 20, 2]]))
    assert len(points(source)["a.jpg"]) == 3


def test_shapes_of_a_group_of_labelme_are_one_object(tmp_path):
    save_image(tmp_path / "a.jpg")

    def shape(kind, vertices, label, group):
        return {"label": label, "points": vertices, "shape_type": kind, "group_id": group}

    shapes = [
        shape("rectangle", [[10, 10], [30, 50]], "cow", 1),
        shape("point", [[12, 12]], "head", 1),
        shape("point", [[28, 48]], "tail", 1),
        shape("polygon", [[50, 10], [60, 10], [60, 20], [50, 20]], "cow", 2),
        shape("polygon", [[70, 30], [80, 30], [80, 40], [70, 40]], "cow", 2),
        shape("point", [[100, 70]], "cow", None),
        shape("point", [[90, 5]], "cow", 7),
        shape("point", [[95, 5]], "cow", 7),
    ]
    source = put(tmp_path / "a.json", {"shapes": shapes, "imagePath": "a.jpg"})
    expected = [(20, 30), (65, 25), (100, 70), (90, 5), (95, 5)]
    assert sorted(points(source)["a.jpg"]) == sorted((x, y, "cow") for x, y in expected)
    assert "shapes of one group_id were read as parts of one object" in imported(source).notes


def square(x, y, half, kind, **properties):
    corners = [[x - half, y - half], [x + half, y - half], [x + half, y + half], [x - half, y + half]]
    geometry = {"type": "Polygon", "coordinates": [[*corners, corners[0]]]}
    return {"type": "Feature", "geometry": geometry, "properties": {"objectType": kind, **properties}}


def features(*members):
    return {"type": "FeatureCollection", "features": list(members)}


DETECTIONS = [square(10, 20, 5, "detection"), square(30, 40, 5, "cell"), square(80, 60, 5, "detection")]


@pytest.mark.parametrize("region", [square(60, 40, 39, "annotation"), square(100, 20, 18, "annotation")])
def test_an_annotation_around_detections_or_much_larger_ones_is_a_region(tmp_path, region):
    save_tiff(tmp_path / "a.tif")
    source = put(tmp_path / "a.geojson", features(region, *DETECTIONS))
    objects = [(10, 20, "object"), (30, 40, "object"), (80, 60, "object")]
    assert points(source) == {"a.tif": objects}
    found = imported(source)
    assert found.dropped["a.tif"] == {"region around objects": 1}
    assert "--regions keep" in found.notes[0]
    assert len(points(source, regions="keep")["a.tif"]) == 4


def test_an_annotation_around_clicks_is_a_region_and_one_around_its_own_click_is_not(tmp_path):
    save_tiff(tmp_path / "a.tif")

    def click(x, y):
        return {"geometry": {"type": "Point", "coordinates": [x, y]}, "properties": {"objectType": "annotation"}}

    outlined = [square(20, 20, 5, "annotation"), click(21, 21)]
    region = [square(80, 40, 20, "annotation"), click(70, 35), click(85, 50)]
    source = put(tmp_path / "a.geojson", features(*outlined, *region))
    found = [place[:2] for place in points(source)["a.tif"]]
    assert found == [(20, 20), (21, 21), (70, 35), (85, 50)]


def test_old_names_of_objects_and_tiles(tmp_path):
    save_tiff(tmp_path / "a.tif")
    old = {**square(30, 40, 5, None), "id": "PathCellObject"}
    around = {**square(30, 40, 20, None), "id": "PathAnnotationObject"}
    source = put(tmp_path / "a.geojson", features(old, around, square(90, 40, 5, "tile")))
    assert points(source) == {"a.tif": [(30, 40, "object")]}


def test_clicks_of_qupath_on_other_planes_are_dropped(tmp_path):
    save_tiff(tmp_path / "a.tif")

    def click(x, y, **plane):
        return {"geometry": {"type": "Point", "coordinates": [x, y], "plane": {"c": -1, **plane}}, "properties": {}}

    source = put(
        tmp_path / "a.geojson", features(click(1, 2, z=0, t=0), click(3, 4, z=3), click(5, 6, t=1), click(7, 8, c=2))
    )
    assert points(source) == {"a.tif": [(1, 2, "object"), (7, 8, "object")]}
    assert imported(source).dropped["a.tif"] == {"on another slice than the first": 2}


def multipoint(*positions, **attributes):
    """A click of ImageJ at (10, 10), (20, 20) and so on, on each of the planes."""
    roi = ImagejRoi.frompoints(np.array([[10 * n, 10 * n] for n in range(1, len(positions) + 1)], dtype=np.float32))
    roi.roitype, roi.counters = ROI_TYPE.POINT, np.zeros(len(positions), dtype=np.uint8)
    roi.counter_positions = np.array(positions, dtype=np.uint32)
    for name, value in attributes.items():
        setattr(roi, name, value)
    return roi.tobytes()


STACKS = {
    "ImageJ channels": ({"shape": (2, 80, 120), "imagej": True, "metadata": {"axes": "CYX"}}, [1, 2]),
    "ImageJ slices": ({"shape": (2, 80, 120), "imagej": True, "metadata": {"axes": "ZYX"}}, [1]),
    "ImageJ times": ({"shape": (3, 80, 120), "imagej": True, "metadata": {"axes": "TYX"}}, [1]),
    "ImageJ channels of slices": ({"shape": (2, 3, 80, 120), "imagej": True, "metadata": {"axes": "ZCYX"}}, [1, 2, 3]),
    "OME channels of times": ({"shape": (2, 2, 80, 120), "ome": True, "metadata": {"axes": "TCYX"}}, [1, 2]),
    "pages": ({"shape": (2, 80, 120), "metadata": None}, [1]),
    "one plane": ({}, [1]),
}
"""Images, and which planes of the stack are channels of the first slice and time."""


@pytest.mark.parametrize("key", STACKS)
def test_clicks_on_channels_are_in_one_place_and_those_on_other_slices_are_dropped(tmp_path, key):
    options, first = STACKS[key]
    save_tiff(tmp_path / "a.tif", **options)
    put(tmp_path / "rois" / "a.roi", multipoint(*range(1, 5)))
    rows = [["", "X", "Y", "Slice"], *([n, 10 * n, 10 * n, n] for n in range(1, 5))]
    put(tmp_path / "results" / "a.csv", table(*rows))
    markers = "".join(
        f"<Marker><MarkerX>{10 * n}</MarkerX><MarkerY>{10 * n}</MarkerY><MarkerZ>{n}</MarkerZ></Marker>"
        for n in range(1, 5)
    )
    text = f"<CellCounter_Marker_File><Marker_Data><Marker_Type><Type>1</Type>{markers}</Marker_Type></Marker_Data>"
    put(tmp_path / "counter" / "CellCounter_a.xml", f"{text}</CellCounter_Marker_File>")
    for folder in ("rois", "results", "counter"):
        source = tmp_path / folder
        assert [place[:2] for place in points(source, tmp_path)["a.tif"]] == [
            (10 * n + 0.5, 10 * n + 0.5) for n in first
        ]
        assert imported(source, tmp_path).dropped["a.tif"] == {"on another slice than the first": 4 - len(first)}


def test_the_position_of_a_whole_roi_is_that_of_a_slice_or_of_a_plane(tmp_path):
    save_tiff(tmp_path / "a.tif", (2, 80, 120), imagej=True, metadata={"axes": "CYX"})
    put(tmp_path / "a.roi", multipoint(0, position=2, counter_positions=None))
    assert len(points(tmp_path)["a.tif"]) == 1
    put(tmp_path / "a.roi", multipoint(0, c_position=2, z_position=1, t_position=1, counter_positions=None))
    assert len(points(tmp_path)["a.tif"]) == 1
    put(tmp_path / "a.roi", multipoint(0, z_position=2, counter_positions=None))
    assert "1 on another slice" in refusal(tmp_path)
