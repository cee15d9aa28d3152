"""One annotation set in each format of `WRITERS` and read back, broken files, and which format claims which files."""

import csv
import io
import json
import tempfile
import zipfile
from pathlib import Path
from types import SimpleNamespace
from xml.sax.saxutils import escape

import numpy as np
import pytest
import scipy.io
import tifffile
from helpers_data import labelled_xy
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from roifile import ROI_OPTIONS, ROI_TYPE, ImagejRoi

from lcfcn.errors import UserError, one_line
from src.annotations import (
    FORMATS,
    coco,
    csv_points,
    cvat,
    dots,
    imagej,
    label_studio,
    labelme,
    masks,
    napari,
    nwpu,
    qupath,
    recognise,
    shanghaitech,
    via,
    voc,
    yolo,
)
from src.annotations.base import AnnotationError
from src.annotations.matching import ImageFolder, match

HEIGHT, WIDTH = 32, 64
CLASSES = ["cell", "große Zelle"]
NEW = (via, label_studio, yolo, voc, imagej, napari, qupath, shanghaitech, nwpu, masks)

TRUTH = {
    "Füße 1.png": [(3.5, 8.5, CLASSES[0]), (60.5, 1.5, CLASSES[1]), (0.5, 31.5, CLASSES[0])],
    "sub/b.png": [(20.5, 4.5, CLASSES[1])],
    "sub/empty.png": [],
}
"""(x, y, class) of each image, in centres of pixels; x and y are never alike, and x is often more than the height."""


def white():
    file = io.BytesIO()
    Image.new("RGB", (WIDTH, HEIGHT), "white").save(file, "PNG")
    return file.getvalue()


WHITE = white()


def save_images(folder, names=tuple(TRUTH)):
    for name in names:
        put(folder / name, WHITE)


def put(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def stem(name):
    return name.removesuffix(".png")


def table(rows):
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue()


def via_region(x, y, label):
    return {"shape_attributes": {"name": "point", "cx": x, "cy": y}, "region_attributes": {"class": label}}


def via_images():
    return {
        f"{name}123": {
            "filename": name,
            "size": 123,
            "regions": [via_region(*c) for c in clicks],
            "file_attributes": {},
        }
        for name, clicks in TRUTH.items()
    }


def write_via_project(folder):
    save_images(folder)
    data = {"_via_settings": {"ui": {}}, "_via_img_metadata": via_images(), "_via_attributes": {"region": {}}}
    return put(folder / "project.json", json.dumps(data))


def write_via_export(folder):
    save_images(folder)
    return put(folder / "export.json", json.dumps(via_images()))


def write_via_csv(folder):
    save_images(folder)
    rows = [["filename", "file_size", "file_attributes", "region_count", "region_id"]]
    rows[0] += ["region_shape_attributes", "region_attributes"]
    for name, clicks in TRUTH.items():
        regions = [via_region(*click) for click in clicks] or [{"shape_attributes": {}, "region_attributes": {}}]
        for index, region in enumerate(regions):
            rows.append([name, 1, "{}", len(clicks), index, *(json.dumps(value) for value in region.values())])
    return put(folder / "via.csv", table(rows))


def label_studio_result(x, y, label, kind="keypointlabels", **value):
    value = {"x": x / WIDTH * 100, "y": y / HEIGHT * 100, "width": 0.3, kind: [label], **value}
    return {"type": kind, "original_width": WIDTH, "original_height": HEIGHT, "image_rotation": 0, "value": value}


def label_studio_tasks():
    urls = {
        "Füße 1.png": "/data/upload/1/1a2b3c4d-F%C3%BC%C3%9Fe%201.png",
        "sub/b.png": "/data/local-files/?d=photos/sub/b.png",
        "sub/empty.png": "s3://bucket/sub/empty.png",
    }
    return [
        {
            "id": 1,
            "data": {"image": urls[name]},
            "annotations": [{"result": [label_studio_result(*c) for c in clicks], "was_cancelled": False}],
        }
        for name, clicks in TRUTH.items()
    ]


def write_label_studio(folder):
    save_images(folder / "photos")
    return put(folder / "project-1.json", json.dumps(label_studio_tasks()))


def write_yolo(folder):
    save_images(folder / "images")
    put(folder / "data.yaml", f"path: .\nnames:\n  0: {CLASSES[0]}\n  1: {CLASSES[1]}\n")
    for name, clicks in TRUTH.items():
        lines = [f"{CLASSES.index(label)} {x / WIDTH} {y / HEIGHT} 0.01 0.02\n" for x, y, label in clicks]
        put(folder / "labels" / f"{stem(name)}.txt", "".join(lines))
    return folder


def voc_text(name, clicks):
    # The pixel (3, 8) counted from 0 is (4, 9) from 1, and this box reaches one further on each side.
    boxes = "".join(
        f"<object><name>{escape(label)}</name><bndbox><xmin>{int(x)}</xmin><ymin>{int(y)}</ymin>"
        f"<xmax>{int(x) + 2}</xmax><ymax>{int(y) + 2}</ymax></bndbox></object>"
        for x, y, label in clicks
    )
    size = f"<size><width>{WIDTH}</width><height>{HEIGHT}</height><depth>3</depth></size>"
    return f"<annotation><folder>x</folder><filename>{escape(name)}</filename>{size}{boxes}</annotation>"


def write_voc(folder):
    save_images(folder / "JPEGImages")
    for name, clicks in TRUTH.items():
        put(folder / "Annotations" / f"{stem(name)}.xml", voc_text(Path(name).name, clicks))
    return folder


def point_roi(x, y, label="", **attributes):
    """A point in the middle of a pixel has whole numbers in ImageJ."""
    roi = ImagejRoi.frompoints(np.array([[x - 0.5, y - 0.5]], dtype=np.float32))
    roi.roitype = ROI_TYPE.POINT
    roi.group = CLASSES.index(label) + 1 if label else 0
    for name, value in attributes.items():
        setattr(roi, name, value)
    return roi


def zipped(members):
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return data.getvalue()


def write_roi_zips(folder):
    save_images(folder)
    for name, clicks in TRUTH.items():
        members = {f"{index:04}.roi": point_roi(*click).tobytes() for index, click in enumerate(clicks)}
        put(folder / f"{stem(name)}.zip", zipped(members))
    return folder


def write_roi_files(folder):
    """In a folder called like the image, with the names that ImageJ gives; the empty one needs a zip file."""
    save_images(folder)
    for name, clicks in TRUTH.items():
        for x, y, label in clicks:
            put(folder / stem(name) / f"{int(y):04}-{int(x):04}.roi", point_roi(x, y, label).tobytes())
    put(folder / "sub/empty/RoiSet.zip", zipped({}))
    return folder


def write_results(folder):
    save_images(folder)
    for name, clicks in TRUTH.items():
        rows = [[" ", "Area", "X", "Y", "Slice", "GroupName"]]
        rows += [[n, 0, x - 0.5, y - 0.5, 1, label] for n, (x, y, label) in enumerate(clicks, start=1)]
        put(folder / f"{stem(name)}.csv", table(rows))
    return folder


def write_napari(folder):
    save_images(folder)
    for name, clicks in TRUTH.items():
        rows = [["index", "axis-0", "axis-1", "label"]]
        rows += [[index, y - 0.5, x - 0.5, label] for index, (x, y, label) in enumerate(clicks)]
        put(folder / f"{stem(name)}.csv", table(rows))
    return folder


def feature(kind, coordinates, label):
    classification = {"classification": {"name": label, "color": [200, 0, 0]}} if label else {}
    geometry = {"type": kind, "coordinates": coordinates}
    return {"type": "Feature", "geometry": geometry, "properties": {"objectType": "annotation", **classification}}


def write_qupath(folder):
    save_images(folder)
    for name, clicks in TRUTH.items():
        features = [
            feature("MultiPoint", [[x, y] for x, y, label in clicks if label == wanted], wanted) for wanted in CLASSES
        ]
        features = [one for one in features if one["geometry"]["coordinates"]]
        put(folder / f"{stem(name)}.geojson", json.dumps({"type": "FeatureCollection", "features": features}))
    return folder


def heads_mat(clicks):
    """image_info{1}.location and .number, as MATLAB nests them."""
    info = np.empty((1, 1), dtype=[("location", object), ("number", object)])
    info[0, 0] = (np.array([click[:2] for click in clicks], dtype=float).reshape(-1, 2), np.array([[len(clicks)]]))
    cell = np.empty((1, 1), dtype=object)
    cell[0, 0] = info
    return {"image_info": cell}


def write_mat(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    scipy.io.savemat(path, content)


def write_shanghaitech(folder):
    for name, clicks in TRUTH.items():
        part = folder / "part_A" / ("train_data" if "sub" in name else "test_data")
        save_images(part / "images", [Path(name).name])
        write_mat(part / "ground-truth" / f"GT_{Path(stem(name)).name}.mat", heads_mat(clicks))
    return folder / "part_A"


def write_nwpu_jsons(folder):
    for name, clicks in TRUTH.items():
        name = Path(name).name
        save_images(folder / "images", [name])
        points = [[x, y] for x, y, _ in clicks]
        boxes = [[x - 2, y - 1, x + 2, y + 1] for x, y in points]
        content = {"img_id": name, "human_num": len(points), "boxes": boxes, "points": points}
        put(folder / "jsons" / f"{stem(name)}.json", json.dumps(content))
    return folder


def write_nwpu_mats(folder):
    for name, clicks in TRUTH.items():
        name = Path(name).name
        save_images(folder / "images", [name])
        write_mat(folder / "mats" / f"{stem(name)}.mat", {"annPoints": np.array([c[:2] for c in clicks])})
    return folder


def label_image(clicks):
    labels = np.zeros((HEIGHT, WIDTH), dtype=np.uint16)
    for label, (x, y, _) in enumerate(clicks, start=300):
        labels[int(y), int(x)] = label
    return labels


def write_masks_beside(folder):
    save_images(folder)
    for name, clicks in TRUTH.items():
        tifffile.imwrite(folder / f"{stem(name)}_masks.tif", label_image(clicks).astype(np.uint32))
    return folder


def write_masks_in_folder(folder):
    save_images(folder / "images")
    for name, clicks in TRUTH.items():
        if "/" not in name:
            put(folder / "masks" / name, b"")
            Image.fromarray(label_image(clicks)).save(folder / "masks" / name)
    return folder


def write_csv_points(folder):
    save_images(folder)
    return put(folder / "points.csv", "image,x,y,class\nsub/b.png,1,2,a\n")


def write_labelme(folder):
    save_images(folder)
    shape = {"label": "a", "points": [[1, 2]], "shape_type": "point"}
    put(folder / "sub/b.json", json.dumps({"shapes": [shape], "imagePath": "b.png", "imageData": None}))
    return folder


def write_cvat(folder):
    save_images(folder)
    points = '<points label="a" points="1,2;3,4"/>'
    return put(folder / "cvat.xml", f'<annotations><image id="0" name="sub/b.png">{points}</image></annotations>')


def write_coco(folder):
    save_images(folder)
    content = {
        "images": [{"id": 1, "file_name": "sub/b.png", "width": WIDTH, "height": HEIGHT}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 2, 3, 4]}],
        "categories": [{"id": 1, "name": "a"}],
    }
    return put(folder / "coco.json", json.dumps(content))


def write_dots(folder):
    save_images(folder, ["001cell.png"])
    pixels = np.zeros((HEIGHT, WIDTH, 3), dtype=np.uint8)
    pixels[4, 20] = 255, 0, 0
    Image.fromarray(pixels).save(folder / "001dots.png")
    return folder


WRITERS = {
    write_via_project: via,
    write_via_export: via,
    write_via_csv: via,
    write_label_studio: label_studio,
    write_yolo: yolo,
    write_voc: voc,
    write_roi_zips: imagej,
    write_roi_files: imagej,
    write_results: imagej,
    write_napari: napari,
    write_qupath: qupath,
    write_shanghaitech: shanghaitech,
    write_nwpu_jsons: nwpu,
    write_nwpu_mats: nwpu,
    write_masks_beside: masks,
    write_masks_in_folder: masks,
}
OTHERS = {write_csv_points: csv_points, write_labelme: labelme, write_cvat: cvat, write_coco: coco, write_dots: dots}


def found_by(module, source, images=None):
    """Sorted clicks by file name, through the search for the image files."""
    root = images or (source if source.is_dir() else source.parent)
    is_annotation = getattr(module, "is_annotation", lambda path: False)
    folder = ImageFolder(root, {path for path in root.rglob("*") if is_annotation(path)})
    clicks_list = module.read(source, images)
    for clicks in clicks_list:
        assert clicks.image_size in (None, (HEIGHT, WIDTH))
        assert not clicks.dropped
    return {file.name: sorted(labelled_xy(clicks)) for file, clicks in match(clicks_list, folder)}


def expected_of(writer):
    module = WRITERS[writer]
    label_of = {
        imagej: {CLASSES[0]: "group 1", CLASSES[1]: "group 2"},
        shanghaitech: dict.fromkeys(CLASSES, "person"),
        nwpu: dict.fromkeys(CLASSES, "person"),
        masks: dict.fromkeys(CLASSES, "object"),
    }.get(module if writer is not write_results else None, {})
    names = [name for name in TRUTH if writer is not write_masks_in_folder or "/" not in name]
    return {
        Path(name).name: sorted((x, y, label_of.get(label, label)) for x, y, label in TRUTH[name]) for name in names
    }


@pytest.mark.parametrize("writer", WRITERS, ids=lambda writer: writer.__name__)
def test_the_same_set_is_read_from_each_format(writer, tmp_path):
    found = found_by(WRITERS[writer], writer(tmp_path / "set"))
    expected = expected_of(writer)
    assert {name: [click[2] for click in clicks] for name, clicks in found.items()} == {
        name: [click[2] for click in clicks] for name, clicks in expected.items()
    }
    for name, clicks in expected.items():
        assert np.allclose([c[:2] for c in found[name]], [c[:2] for c in clicks], rtol=0, atol=1e-9)


@pytest.mark.parametrize("writer", [*WRITERS, *OTHERS], ids=lambda writer: writer.__name__)
def test_each_format_claims_its_own_files_alone(writer, tmp_path):
    source = writer(tmp_path / "set")
    own = WRITERS.get(writer) or OTHERS[writer]
    assert recognise(source) is own
    assert recognise(source if source.is_dir() else source.parent) is own
    assert own in FORMATS


def test_no_new_format_claims_real_data(shared):
    for folder, owner in (("ShanghaiTech", shanghaitech), ("trancos_layout", None), ("vgg_cells", None)):
        fitting = [module for module in NEW if module.recognises(shared / "data" / folder)]
        assert fitting == ([owner] if owner else [])


def test_real_crowds_are_read_as_the_data_set_reads_them(shared):
    part = shared / "data/ShanghaiTech/part_A/test_data"
    found = {clicks.image: labelled_xy(clicks) for clicks in shanghaitech.read(part, None)}
    assert len(found) == 16
    truth = scipy.io.loadmat(part / "ground-truth/GT_IMG_12.mat")["image_info"][0, 0][0, 0][0]
    assert np.array_equal([click[:2] for click in found["images/IMG_12"]], truth)


# What single formats mean


def test_a_format_without_any_class_has_one_and_else_what_has_none_is_dropped(tmp_path):
    unnamed, named = feature("Point", [1, 2], ""), feature("Point", [3, 4], "a")
    put(tmp_path / "a.geojson", json.dumps([unnamed]))
    assert labelled_xy(qupath.read(tmp_path, None)[0]) == [(1, 2, "object")]
    put(tmp_path / "b.geojson", json.dumps([named]))
    first, second = qupath.read(tmp_path, None)
    assert (labelled_xy(first), dict(first.dropped)) == ([], {"unlabelled": 1})
    assert labelled_xy(second) == [(3, 4, "a")]


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


def test_yolo_without_names_numbers_its_classes(tmp_path):
    save_images(tmp_path / "train/images", ["a.png"])
    save_images(tmp_path / "valid/images", ["a.png"])
    put(tmp_path / "train/labels/a.txt", "1 0.5 0.25 0.1 0.1\n0 0.5 0.5 1 1\n")  # the latter is the whole image
    put(tmp_path / "valid/labels/a.txt", "")
    first, second = yolo.read(tmp_path, None)
    assert (first.image, labelled_xy(first)) == ("train/images/a", [(32, 8, "class 1"), (32, 16, "class 0")])
    assert (second.image, labelled_xy(second)) == ("valid/images/a", [])


def test_yolo_takes_names_from_lines_and_images_from_elsewhere(tmp_path):
    save_images(tmp_path / "photos", ["a.png"])
    put(tmp_path / "labels/a.txt", "1 0.5 0.25 0.1 0.1\n")
    put(tmp_path / "labels/classes.txt", "a\nb\n")
    (clicks,) = yolo.read(tmp_path / "labels", tmp_path / "photos")
    assert labelled_xy(clicks) == [(32, 8, "b")]
    with pytest.raises(AnnotationError, match="--images"):
        yolo.read(tmp_path / "labels", None)
    (tmp_path / "labels/classes.txt").rename(tmp_path / "classes.txt")
    (clicks,) = yolo.read(tmp_path / "labels", tmp_path / "photos")
    assert labelled_xy(clicks) == [(32, 8, "b")]


def test_the_first_pixel_of_voc_is_1_1(tmp_path):
    box = "<bndbox><xmin>1</xmin><ymin>1</ymin><xmax>1</xmax><ymax>3</ymax></bndbox>"
    text = f"<annotation><filename>a.png</filename><object><name>a</name>{box}</object></annotation>"
    assert labelled_xy(voc.read(put(tmp_path / "a.xml", text), None)[0]) == [(0.5, 1.5, "a")]


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


def test_napari_takes_the_first_slice(tmp_path):
    source = put(tmp_path / "a.csv", "index,axis-0,axis-1,axis-2\n0,0,8,3\n1,1,8,3\n2,0.4,6,5\n")
    (clicks,) = napari.read(source, None)
    assert labelled_xy(clicks) == [(3.5, 8.5, "object"), (5.5, 6.5, "object")]
    assert dict(clicks.dropped) == {"on another slice than the first": 1}
    put(source, "index,shape-type,vertex-index,axis-0,axis-1\n0,path,0,1,2\n")
    with pytest.raises(AnnotationError, match="shapes"):
        napari.read(source, None)


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


def test_nwpu_takes_boxes_where_there_are_no_points(tmp_path):
    content = {"img_id": "1.jpg", "human_num": 1, "boxes": [[2, 4, 6, 10]], "points": []}
    assert labelled_xy(nwpu.read(put(tmp_path / "jsons/1.json", json.dumps(content)), None)[0]) == [(4, 7, "person")]


def test_a_ring_is_clicked_inside_and_a_palette_holds_labels(tmp_path):
    save_images(tmp_path, ["a.png"])
    labels = np.zeros((HEIGHT, WIDTH), dtype=np.uint8)
    labels[10:15, 20:25] = 7
    labels[11:14, 21:24] = 0
    labels[1, 2] = 3
    image = Image.fromarray(labels, mode=None)
    image.putpalette(list(range(255, -1, -1)) * 3)
    image.save(tmp_path / "a_mask.png")
    points = [(x, y) for x, y, _ in labelled_xy(masks.read(tmp_path, None)[0])]
    assert points[0] == (2.5, 1.5)
    assert labels[int(points[1][1]), int(points[1][0])] == 7
    assert masks.is_annotation(tmp_path / "a_mask.png")
    assert not masks.is_annotation(tmp_path / "a.png")


@pytest.mark.parametrize(
    ("pixels", "complaint"),
    [
        (np.zeros((HEIGHT, WIDTH, 3), dtype=np.uint8), "one channel"),
        (np.full((HEIGHT, WIDTH), 0.5, dtype=np.float32), "whole numbers"),
        (np.full((HEIGHT, WIDTH), np.nan, dtype=np.float32), "whole numbers"),
        (np.full((HEIGHT, WIDTH), -1, dtype=np.int16), "whole numbers"),
        (255 * np.eye(HEIGHT, WIDTH, dtype=np.uint8)[:, ::-1] + 255 * (np.arange(WIDTH) == 0), "number for each"),
    ],
)
def test_what_is_no_label_image_is_refused(pixels, complaint, tmp_path):
    save_images(tmp_path, ["a.png"])
    tifffile.imwrite(tmp_path / "a_masks.tif", pixels)
    with pytest.raises(AnnotationError, match=complaint):
        masks.read(tmp_path, None)


# Broken and hostile files


def changed(data, old, new):
    assert old in data
    return data.replace(old, new, 1)


def samples():
    """A good file of each kind of file: the module, its name and its bytes."""
    project = {"_via_img_metadata": {"a": {"filename": "a.png", "regions": [via_region(1, 2, "a")]}}}
    rows = [["filename", "region_shape_attributes", "region_attributes"]]
    rows.append(["a.png", '{"name":"point","cx":1,"cy":2}', "{}"])
    task = {"data": {"image": "a.png"}, "annotations": [{"result": [label_studio_result(1, 2, "a")]}]}
    nwpu_text = json.dumps({"img_id": "a.png", "human_num": 1, "boxes": [], "points": [[1, 2]]})
    return {
        "via json": (via, "a.json", json.dumps(project)),
        "via csv": (via, "a.csv", table(rows)),
        "label studio": (label_studio, "a.json", json.dumps([task])),
        "yolo": (yolo, "a.txt", "0 0.1 0.2 0.01 0.01\n"),
        "voc": (voc, "a.xml", voc_text("a.png", [(1.5, 2.5, "a")])),
        "roi": (imagej, "a.roi", point_roi(1.5, 2.5).tobytes()),
        "roi zip": (imagej, "a.zip", zipped({"1.roi": point_roi(1.5, 2.5).tobytes()})),
        "results": (imagej, "a.csv", " ,Label,X,Y\n1,a.png,1,2\n"),
        "napari": (napari, "a.csv", "index,axis-0,axis-1\n0,1,2\n"),
        "qupath": (qupath, "a.geojson", json.dumps({"type": "x", "features": [feature("Point", [1, 2], "a")]})),
        "nwpu": (nwpu, "a.json", nwpu_text),
    }


SAMPLES = {key: (m, n, d if isinstance(d, bytes) else d.encode()) for key, (m, n, d) in samples().items()}


def tells(module, path, match=None):
    """Whatever is wrong is told in one line that names the file."""
    assert module.recognises(path) in (True, False)
    with pytest.raises(UserError, match=match) as caught:
        raise_unless_read(module, path)
    line = one_line(caught.value)
    assert "\n" not in str(caught.value)
    assert str(path) in line
    return line


def raise_unless_read(module, path):
    result = module.read(path, None)
    raise AssertionError(f"read as {result}")


@pytest.mark.parametrize("key", SAMPLES)
def test_the_good_file_is_read(key, tmp_path):
    module, name, data = SAMPLES[key]
    save_images(tmp_path, ["a.png"])
    source = put(tmp_path / name, data)
    assert module.recognises(source)
    (clicks,) = module.read(source, None)
    assert len(labelled_xy(clicks)) == 1


@pytest.mark.parametrize("key", [key for key in SAMPLES if key not in ("yolo",)])
@pytest.mark.parametrize("data", [b"", b"\xff\xff\xff", b"{", b"\0" * 100], ids=["empty", "binary", "brace", "zeros"])
def test_a_file_of_something_else_is_told(key, data, tmp_path):
    module, name, _ = SAMPLES[key]
    save_images(tmp_path, ["a.png"])
    tells(module, put(tmp_path / name, data))


@pytest.mark.parametrize("key", [key for key, (_, name, _) in SAMPLES.items() if not name.endswith(".csv")])
def test_a_file_that_is_cut_off_is_told(key, tmp_path):
    module, name, data = SAMPLES[key]
    save_images(tmp_path, ["a.png"])
    tells(module, put(tmp_path / name, data[: len(data) // 2]))


TEXTS = [key for key, (_, name, _) in SAMPLES.items() if not name.endswith((".roi", ".zip"))]


@pytest.mark.parametrize("key", [key for key in TEXTS if key not in ("yolo", "voc")])
def test_latin_1_is_told(key, tmp_path):
    module, name, data = SAMPLES[key]
    tells(module, put(tmp_path / name, data.rstrip(b"}]\n") + "Füße".encode("latin-1") + data[-3:]))


NUMBERS = {
    "via json": b'"cx": 1',
    "via csv": b'""cx"":1',
    "label studio": b'"x": 1.5625',
    "yolo": b"0 0.1",
    "voc": b"<xmin>1",
    "results": b"a.png,1",
    "napari": b"0,1",
    "qupath": b"[1",
    "nwpu": b"[[1",
}
assert set(NUMBERS) == set(TEXTS)


@pytest.mark.parametrize("key", NUMBERS)
@pytest.mark.parametrize("value", [b"NaN", b"Infinity", b"-Infinity", b"null", b"1e999", b"x"])
def test_what_is_no_finite_number_is_told(key, value, tmp_path):
    module, name, data = SAMPLES[key]
    save_images(tmp_path, ["a.png"])
    old = NUMBERS[key]
    number = old[max(old.rfind(mark) for mark in b' :[>,"') + 1 :]
    tells(module, put(tmp_path / name, changed(data, old, old.removesuffix(number) + value)))


def test_a_point_of_imagej_that_is_no_number_is_told(tmp_path):
    roi = point_roi(1.5, 2.5)
    roi.subpixel_coordinates[0, 0] = np.nan
    tells(imagej, put(tmp_path / "a.roi", roi.tobytes()), "finite")


@pytest.mark.parametrize("key", [key for key, (*_, data) in SAMPLES.items() if b"a.png" in data])
@pytest.mark.parametrize("name", ["../a.png", "b/../../a.png", "/etc/a.png", "..\\\\a.png", "C:/a.png"])
def test_a_name_that_climbs_stays_inside(key, name, tmp_path):
    """It is looked for by its end, and never opened by itself."""
    module, file, data = SAMPLES[key]
    (clicks,) = module.read(put(tmp_path / file, changed(data, b"a.png", name.encode())), None)
    assert clicks.image in ("a.png", "etc/a.png")


@pytest.mark.parametrize(
    ("key", "old", "new"),
    [
        ("via json", b'"filename"', b'"name"'),
        ("via json", b'"cx"', b'"c"'),
        ("via json", b'"shape_attributes"', b'"s"'),
        ("via csv", b"region_attributes", b"attributes"),
        ("label studio", b'"data"', b'"d"'),
        ("label studio", b'"result"', b'"r"'),
        ("label studio", b'"original_width"', b'"w"'),
        ("label studio", b'"image_rotation": 0', b'"image_rotation": 90'),
        ("yolo", b"0 0.1", b"0.1"),
        ("yolo", b"0 0.1", b"0 1.1"),
        ("voc", b"bndbox", b"box"),
        ("voc", b"<annotation>", b'<!DOCTYPE a [<!ENTITY b "c">]><annotation>'),
        ("results", b"X", b"Z"),
        ("napari", b"axis-1", b"axis"),
        ("qupath", b'"coordinates"', b'"c"'),
        ("nwpu", b'"points"', b'"p"'),
    ],
)
def test_a_missing_key_is_told(key, old, new, tmp_path):
    module, name, data = SAMPLES[key]
    save_images(tmp_path, ["a.png"])
    if key == "voc" and old == b"bndbox":
        data = data.replace(b"</bndbox>", b"</box>")
    tells(module, put(tmp_path / name, changed(data, old, new)))


def test_a_zip_that_unpacks_to_too_much_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(imagej, "MAX_UNPACKED", 1000)
    tells(imagej, put(tmp_path / "a.zip", zipped({"1.roi": b"Iout" + bytes(1000)})), "unpacks")


def test_a_class_beyond_the_names_is_told(tmp_path):
    save_images(tmp_path, ["a.png"])
    put(tmp_path / "data.yaml", "names: [a]")
    source = put(tmp_path / "a.txt", "1 0.1 0.1 0.1 0.1")
    tells(yolo, source, "have a name")
    for text in ("names: [", "names: {1: a}", "names:", "names: [2001-99-99]", "!!python/object/apply:os.getcwd []"):
        put(tmp_path / "data.yaml", text)
        with pytest.raises(AnnotationError, match=r"data\.yaml"):
            yolo.read(source, None)


@pytest.mark.parametrize("content", [b"", b"MATLAB", {"other": 1}, {"image_info": 1}])
def test_a_damaged_mat_is_told(content, tmp_path):
    path = tmp_path / "ground-truth/GT_a.mat"
    put(path, content) if isinstance(content, bytes) else write_mat(path, content)
    tells(shanghaitech, path)


@pytest.mark.parametrize("content", [{"other": 1}, {"annPoints": [[1, 2, 3]]}, {"annPoints": [[1, np.nan]]}])
def test_a_damaged_mat_of_nwpu_is_told(content, tmp_path):
    write_mat(tmp_path / "mats/a.mat", content)
    tells(nwpu, tmp_path / "mats/a.mat")


# Fuzz


def survives(module, name, data):
    """The reader takes the file, or tells in one line why not."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        put(Path(folder) / "a.png", WHITE)
        put(path, data)
        assert module.recognises(path) in (True, False)
        found, complaint = read_or_complaint(module, path)
        assert "\n" not in complaint
        for clicks in found:
            assert not clicks.image.startswith("/")
            assert ".." not in clicks.image.split("/")
            assert all(np.isfinite(click[:2]).all() and click[2] for click in labelled_xy(clicks))


def read_or_complaint(module, path):
    try:
        return module.read(path, None), ""
    except UserError as error:
        return [], str(error)


BINARY = {
    "mask png": (masks, "a_mask.png", lambda file: Image.fromarray(label_image(TRUTH["sub/b.png"])).save(file, "PNG")),
    "mask tiff": (masks, "a_mask.tif", lambda file: tifffile.imwrite(file, label_image(TRUTH["sub/b.png"]))),
    "shanghaitech": (
        shanghaitech,
        "ground-truth/GT_a.mat",
        lambda file: scipy.io.savemat(file, heads_mat(TRUTH["sub/b.png"])),
    ),
    "nwpu mat": (nwpu, "mats/a.mat", lambda file: scipy.io.savemat(file, {"annPoints": np.array([[1.0, 2.0]])})),
}


def all_samples():
    for key, sample in SAMPLES.items():
        yield key, SimpleNamespace(module=sample[0], name=sample[1], data=sample[2])
    for key, (module, name, write) in BINARY.items():
        file = io.BytesIO()
        write(file)
        yield key, SimpleNamespace(module=module, name=name, data=file.getvalue())


ALL_SAMPLES = dict(all_samples())
FUZZ = settings(max_examples=20, deadline=None, derandomize=True, database=None)


@pytest.mark.parametrize("key", ALL_SAMPLES)
@FUZZ
@given(data=st.binary(max_size=300))
def test_any_bytes_are_survived(key, data):
    survives(ALL_SAMPLES[key].module, ALL_SAMPLES[key].name, data)


@pytest.mark.parametrize("key", ALL_SAMPLES)
@FUZZ
@given(draw=st.data())
def test_damaged_bytes_are_survived(key, draw):
    sample = ALL_SAMPLES[key]
    start = draw.draw(st.integers(0, len(sample.data) - 1))
    stop = draw.draw(st.integers(start, min(start + 8, len(sample.data))))
    survives(sample.module, sample.name, sample.data[:start] + draw.draw(st.binary(max_size=8)) + sample.data[stop:])


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)


def places(value, path=()):
    """The path of each value inside a JSON value, itself included."""
    yield path
    members = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, member in members:
        yield from places(member, (*path, key))


def replaced(value, path, new):
    if not path:
        return new
    copy = value.copy()
    copy[path[0]] = replaced(value[path[0]], path[1:], new)
    return copy


@pytest.mark.parametrize("key", [key for key, (_, name, _) in SAMPLES.items() if name.endswith("json")])
@settings(FUZZ, max_examples=50)
@given(draw=st.data())
def test_any_value_anywhere_in_json_is_survived(key, draw):
    module, name, data = SAMPLES[key]
    content = json.loads(data)
    path = draw.draw(st.sampled_from(list(places(content))))
    survives(module, name, json.dumps(replaced(content, path, draw.draw(VALUES))))
