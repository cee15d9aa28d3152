"""One annotation set written in each format, and a good file of each kind of file."""

import csv
import io
import json
import zipfile
from pathlib import Path
from xml.sax.saxutils import escape

import numpy as np
import pytest
import scipy.io
import tifffile
from PIL import Image
from roifile import ROI_TYPE, ImagejRoi

from lcfcn.errors import UserError, one_line
from src import annotations
from src.annotations import (
    coco,
    csv_points,
    cvat,
    imagej,
    label_studio,
    labelme,
    masks,
    napari,
    nwpu,
    qupath,
    shanghaitech,
    via,
    voc,
    yolo,
)
from src.annotations.base import AnnotationError

HEIGHT, WIDTH = 32, 64


CLASSES = ["cell", "große Zelle"]


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


CSV_TEXT = "image,x,y,class\na.png,1.5,2.5,cell\na.png,3,4,rim\nb.png,,,\n"


def labelme_text(shapes, image="a.png", **more):
    return json.dumps({"version": "5.4", "shapes": shapes, "imagePath": image, "imageData": None, **more})


def shape(kind, points, label="cell"):
    return {"label": label, "points": points, "shape_type": kind, "group_id": None, "flags": {}}


def cvat_text(inside):
    return f'<?xml version="1.0" encoding="utf-8"?>\n<annotations><version>1.1</version>{inside}</annotations>'


def coco_text(annotation_list, categories=({"id": 1, "name": "cell"},)):
    images = [{"id": 7, "file_name": "a.png", "width": 40, "height": 30}]
    return json.dumps({"images": images, "annotations": annotation_list, "categories": list(categories)})


def coco_object(**fields):
    return {"id": 1, "image_id": 7, "category_id": 1, **fields}


def samples():
    """A good file of each kind of file: the module, its name and its bytes."""
    project = {"_via_img_metadata": {"a": {"filename": "a.png", "regions": [via_region(1, 2, "a")]}}}
    rows = [["filename", "region_shape_attributes", "region_attributes"]]
    rows.append(["a.png", '{"name":"point","cx":1,"cy":2}', "{}"])
    task = {"data": {"image": "a.png"}, "annotations": [{"result": [label_studio_result(1, 2, "a")]}]}
    nwpu_text = json.dumps({"img_id": "a.png", "human_num": 1, "boxes": [], "points": [[1, 2]]})
    return {
        "csv": (csv_points, "a.csv", "image,x,y,class\na.png,1,2,cell\n"),
        "labelme": (labelme, "a.json", labelme_text([shape("circle", [[1, 2], [3, 4]])], imageHeight=3, imageWidth=4)),
        "cvat": (cvat, "a.xml", cvat_text('<image name="a.png"><points label="c" points="1,2"/></image>')),
        "coco": (coco, "a.json", coco_text([coco_object(bbox=[1, 2, 3, 4])])),
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


def told(source, images=None):
    """The one line that a source is refused with."""
    with pytest.raises(AnnotationError) as caught:
        annotations.recognise(source).read(source, images)
    message = str(caught.value)
    assert one_line(caught.value) == message
    return message
