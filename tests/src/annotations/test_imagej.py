import numpy as np
from helpers_data import labelled_xy
from helpers_formats import point_roi, put, save_images, table, tells, zipped
from roifile import ROI_OPTIONS, ROI_TYPE, ImagejRoi

from src.annotations import imagej


def test_areas_of_imagej_count_from_the_corner_and_points_from_the_centre(tmp_path):
    def area(kind):
        roi = point_roi(0.5, 0.5)
        roi.roitype, roi.options = kind, ROI_OPTIONS(0)
        roi.left, roi.top, roi.right, roi.bottom, roi.subpixel_coordinates = 2, 4, 5, 10, None
        return roi.tobytes()

    polygon = ImagejRoi.frompoints(np.array([[1.25, 2], [5.25, 2], [1.25, 8]], dtype=np.float32))
    members = [area(ROI_TYPE.RECT), area(ROI_TYPE.OVAL), polygon.tobytes(), area(ROI_TYPE.LINE)]
    members.append(point_roi(7.5, 9.5).tobytes())
    source = put(tmp_path / "a.zip", zipped({f"{n}.roi": data for n, data in enumerate(members)}))
    (clicks,) = imagej.read(source, None)
    assert [click[:2] for click in labelled_xy(clicks)] == [(3.5, 7), (3.5, 7), (3.25, 5), (7.5, 9.5)]
    assert dict(clicks.dropped) == {"shape without a position": 1}


def test_a_multi_point_is_many_objects(tmp_path):
    roi = ImagejRoi.frompoints([[3, 8], [20, 4], [5, 6]])
    roi.roitype, roi.counters = ROI_TYPE.POINT, np.array([0, 0, 0], dtype=np.uint8)
    source = put(tmp_path / "a.roi", roi.tobytes())
    assert labelled_xy(imagej.read(source, None)[0]) == [
        (3.5, 8.5, "object"),
        (20.5, 4.5, "object"),
        (5.5, 6.5, "object"),
    ]
    roi.counters = np.array([0, 2, 0], dtype=np.uint8)
    roi.counter_positions = np.array([1, 1, 2], dtype=np.uint32)
    source.write_bytes(roi.tobytes())
    (clicks,) = imagej.read(source, None)
    assert labelled_xy(clicks) == [(3.5, 8.5, "counter 0"), (20.5, 4.5, "counter 2")]
    assert dict(clicks.dropped) == {"on another slice than the first": 1}


def test_results_of_areas_are_centroids_and_labels_name_images(tmp_path):
    rows = [["", "Label", "Area", "X", "Y", "Slice", "Frame"], [1, "a.tif:0001", 0, 3, 8, 1, 1]]
    rows += [[2, "a.tif:0002", 12, 3, 8, 1, 1], [3, "b.tif", 0, 1, 2, 2, 1], [4, "b.tif", 0, 1, 2, 1, 2]]
    first, second = imagej.read(put(tmp_path / "Results.csv", table(rows)), None)
    assert (first.image, labelled_xy(first)) == ("a.tif", [(3.5, 8.5, "object"), (3, 8, "object")])
    assert (second.image, labelled_xy(second), sum(second.dropped.values())) == ("b.tif", [], 2)


def test_a_file_with_imagejs_own_name_belongs_to_its_folders_image(tmp_path):
    put(tmp_path / "a/RoiSet.zip", zipped({"1.roi": point_roi(1.5, 2.5).tobytes()}))
    assert [clicks.image for clicks in imagej.read(tmp_path, None)] == ["a"]
    assert [clicks.image for clicks in imagej.read(tmp_path / "a/RoiSet.zip", None)] == ["a"]


def test_results_belong_to_the_only_image(tmp_path):
    save_images(tmp_path, ["a b.png"])
    source = put(tmp_path / "Results.csv", " ,X,Y\n1,3,8\n")
    assert [clicks.image for clicks in imagej.read(source, None)] == ["a b.png"]
    assert [clicks.image for clicks in imagej.read(tmp_path, None)] == ["a b.png"]


def test_a_point_of_imagej_that_is_no_number_is_told(tmp_path):
    roi = point_roi(1.5, 2.5)
    roi.subpixel_coordinates[0, 0] = np.nan
    tells(imagej, put(tmp_path / "a.roi", roi.tobytes()), "finite")


def test_a_zip_that_unpacks_to_too_much_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(imagej, "MAX_UNPACKED", 1000)
    tells(imagej, put(tmp_path / "a.zip", zipped({"1.roi": b"Iout" + bytes(1000)})), "unpacks")
