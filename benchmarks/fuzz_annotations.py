"""Damage small sources of annotations in each format, and see that the import reads them or refuses them in one line.

python benchmarks/fuzz_annotations.py --seconds 1200

Each case has a number, from which its damage follows: `--start N --cases 1` repeats case N. A case fails if the import
raises anything but a UserError of one line, gives a click outside its image, or takes longer than 20 seconds. The exit
code is 1 if a case failed.
"""

import argparse
import base64
import collections
import io
import json
import random
import shutil
import signal
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import scipy.io
import tifffile
from PIL import Image
from roifile import ROI_TYPE, ImagejRoi

sys.path.insert(0, str(Path(__file__).parents[1]))

from lcfcn.counting.image_files import image_size  # noqa: E402
from lcfcn.errors import UserError  # noqa: E402
from src.annotations.base import Options  # noqa: E402
from src.annotations.importing import read_source  # noqa: E402
from src.annotations.splits import Splitting  # noqa: E402

LIMIT_S = 20
HEIGHT, WIDTH = 40, 60
HURTING = (
    *(b"", b"\0", b"\xff", b"\xfe\xff", b"nan", b"NaN", b"Infinity", b"1e999", b"-1", b"-0", b"1e-320", b'"', b"'"),
    *(b"[", b"]", b"{", b"}", b"{}", b"[[[]]]", b"null", b"true", b"<", b">", b"</", b"&a;", b"<!DOCTYPE a>", b"\n"),
    *(
        b"\r",
        b",",
        b";",
        b"\t",
        b"..",
        b"/",
        b"\\",
        b"\\ud800",
        b"C:\\",
        b"9" * 400,
        b"1,234",
        b"1.234",
        b"NA",
        b"sep=;\n",
    ),
    *(b"image", b"x", b"width", b"count", b"\xe2\x80\xae", b"a.png", b"b.png", b"%00", b"://", b"=", b"0.5", b"1e5"),
)
VALUES = (
    None,
    True,
    False,
    0,
    -1,
    1.5,
    1e308,
    float("nan"),
    float("inf"),
    "",
    "x",
    "\ud800",
    [],
    {},
    [[]],
    10**30,
    "1",
)


# Sources: each function writes one into a folder.


def save_image(path: Path, **options: object) -> None:
    """Write an image of 40 x 60 pixels."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (WIDTH, HEIGHT), (0, 90, 60)).save(path, **options)


def put(path: Path, content: object) -> None:
    """Write text or bytes, or anything else as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = content if isinstance(content, str | bytes) else json.dumps(content)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())


def with_images(folder: Path, *names: str) -> None:
    """Write images, by default a.png and b.png."""
    for name in names or ("a.png", "b.png"):
        save_image(folder / name)


def _csv_points(folder: Path) -> None:
    with_images(folder)
    put(folder / "p.csv", "image,x,y,class,size\na.png,10.5,20,cell,3\na.png,1,2,rim,\nb.png,NA,NA,NA,NA\n")


def _csv_boxes(folder: Path) -> None:
    with_images(folder)
    put(folder / "p.csv", "sep=;\nfilename;x;y;width;height;species\na.png;10,5;20;4;6;cow\nb.png;1,5;2;3;4;calf\n")


def _csv_corners(folder: Path) -> None:
    with_images(folder)
    put(folder / "p.csv", "image_path\txmin\tymin\txmax\tymax\twidth\theight\nC:\\d\\a.png\t1\t2\t9\t8\t60\t40\n")


def _labelme(folder: Path) -> None:
    with_images(folder)
    kinds = {
        "point": [[1, 2]],
        "rectangle": [[1, 2], [9, 8]],
        "polygon": [[1, 1], [9, 1], [5, 9]],
        "circle": [[20, 20], [25, 20]],
    }
    shapes = [
        {"label": k, "points": v, "shape_type": k, "group_id": n // 2 or None} for n, (k, v) in enumerate(kinds.items())
    ]
    for name in "ab":
        put(
            folder / f"{name}.json",
            {"shapes": shapes, "imagePath": f"..\\x\\{name}.png", "imageHeight": 40, "imageWidth": 60},
        )


def _coco(folder: Path) -> None:
    with_images(folder)
    content = {
        "images": [{"id": 1.0, "file_name": "a.png", "height": 40, "width": 60}, {"id": "2", "file_name": "b.png"}],
        "annotations": [
            {"id": 1, "image_id": 1, "category_id": 1, "bbox": [5, 6, 7, 8], "keypoints": [6, 7, 2, 8, 9, 1]},
            {"id": 2, "image_id": "1", "category_id": 2, "keypoints": [6, 7, 2]},
            {"id": 3, "image_id": 2, "category_id": 1, "segmentation": [[1, 1, 9, 1, 5, 9]], "iscrowd": 0},
        ],
        "categories": [{"id": 1, "name": "cow", "keypoints": ["head", "tail"]}, {"id": 2, "name": "calf"}],
    }
    put(folder / "c.json", content)


def _cvat(folder: Path) -> None:
    with_images(folder)
    shapes = '<points label="c" points="1,2;3,4"/><box label="c" xtl="1" ytl="2" xbr="5" ybr="9"/>'
    shapes += (
        '<mask label="c" rle="1,2,3" left="2" top="3" width="2" height="3"/><polygon label="d" points="0,0;4,0;4,1"/>'
    )
    shapes += '<ellipse label="d" cx="7" cy="8" rx="1" ry="2"/>'
    shapes += '<skeleton label="d"><points points="1,1" outside="0"/></skeleton>'
    image = f'<image id="0" name="a.png" width="60" height="40" task_id="1">{shapes}</image>'
    put(
        folder / "a.xml",
        f'<?xml version="1.0" encoding="utf-8"?><annotations>{image}<image id="1" name="b.png"/></annotations>',
    )


def _voc(folder: Path) -> None:
    with_images(folder, "JPEGImages/a.jpg")
    box = "<bndbox><xmin>1</xmin><ymin>2</ymin><xmax>9</xmax><ymax>8</ymax></bndbox>"
    turned = "<robndbox><cx>9</cx><cy>8</cy><w>3</w><h>4</h><angle>1</angle></robndbox>"
    objects = "".join(f"<object><name>c</name>{place}</object>" for place in (box, turned))
    size = "<size><width>60</width><height>40</height></size>"
    put(folder / "Annotations" / "a.xml", f"<annotation><filename>old.jpg</filename>{size}{objects}</annotation>")


def _via(folder: Path) -> None:
    with_images(folder)
    shapes = [{"name": "point", "cx": 3, "cy": 4}, {"name": "rect", "x": 1, "y": 2, "width": 3, "height": 4}]
    shapes += [
        {"name": "polygon", "all_points_x": [1, 5, 5], "all_points_y": [1, 1, 6]},
        {"name": "circle", "cx": 9, "cy": 9, "r": 2},
    ]
    regions = [{"shape_attributes": shape, "region_attributes": {"class": "c"}} for shape in shapes]
    images = {f"{n}.png1": {"filename": f"{n}.png", "size": 1, "regions": regions, "file_attributes": {}} for n in "ab"}
    put(folder / "v.json", {"_via_settings": {}, "_via_img_metadata": images, "_via_attributes": {}})


def _via_csv(folder: Path) -> None:
    with_images(folder)
    rows = ["filename,file_size,file_attributes,region_count,region_id,region_shape_attributes,region_attributes"]
    rows.append('a.png,1,"{}",1,0,"{""name"":""point"",""cx"":1,""cy"":2}","{""class"":""c""}"')
    put(folder / "v.csv", "\n".join([*rows, 'b.png,1,"{}",0,0,"{}","{}"\n']))


def _via3_parts() -> tuple[dict, list]:
    attributes = {"1": {"aname": "class", "anchor_id": "FILE1_Z0_XY1", "type": 4, "options": {"0": "cow", "1": "calf"}}}
    regions = [[1, 3, 4], [2, 1, 2, 3, 4], [3, 9, 9, 2], [4, 9, 9, 2, 3], [7, 1, 1, 5, 1, 5, 6], [9, 5, 5, 9, 5, 7, 7]]
    return attributes, regions


def _via3(folder: Path) -> None:
    with_images(folder)
    attributes, regions = _via3_parts()
    files = {
        n: {"fid": n, "fname": f"{name}.png", "type": 2, "loc": 1, "src": ""} for n, name in (("1", "a"), ("2", "b"))
    }
    entries = {f"1_{n}": {"vid": "1", "flg": 0, "z": [], "xy": xy, "av": {"1": "0"}} for n, xy in enumerate(regions)}
    views = {n: {"fid_list": [n]} for n in files}
    put(folder / "p.json", {"project": {}, "attribute": attributes, "file": files, "metadata": entries, "view": views})


def _via3_csv(folder: Path) -> None:
    with_images(folder)
    attributes, regions = _via3_parts()
    rows = [f'"1_{n}","[""a.png""]",0,"[]","{json.dumps(xy)}","{{""1"":""0""}}"' for n, xy in enumerate(regions)]
    header = "# CSV_HEADER = metadata_id,file_list,flags,temporal_coordinates,spatial_coordinates,metadata"
    put(folder / "p.csv", "\n".join([f"# ATTRIBUTE = {json.dumps(attributes)}", header, *rows]))


def _result(key: str, to_name: str = "image", **value: object) -> dict:
    size = {"original_width": WIDTH, "original_height": HEIGHT, "image_rotation": 0}
    return {"id": key, "to_name": to_name, "value": value, "type": "x", **size}


def _label_studio(folder: Path) -> None:
    with_images(folder)
    address = "/tasks/1/presign/?fileuri=" + base64.b64encode(b"s3://bucket/b.png").decode()
    results = [_result("1", x=10, y=20, keypointlabels=["c"])]
    results.append(_result("2", x=10, y=20, width=5, height=9, rotation=30, rectanglelabels=["c"]))
    results.append(_result("3", "image2", points=[[1, 1], [9, 1], [5, 9]], polygonlabels=["d"]))
    results.append(_result("4", x=50, y=50, radiusX=3, radiusY=4, ellipselabels=["d"]) | {"parentID": "1"})
    data = {"image": "/data/upload/1/1a2b3c4d-a.png", "image2": address}
    put(
        folder / "e.json",
        [{"id": 1, "data": data, "annotations": [{"id": 1, "result": results, "was_cancelled": False}]}],
    )


def _short_row() -> dict:
    value = {"x": 10, "y": 20, "width": 1, "keypointlabels": ["c"], "original_width": WIDTH, "original_height": HEIGHT}
    return {"image": "/data/local-files/?d=a.png", "id": 1, "kp": [value], "annotator": 1, "annotation_id": 1}


def _json_min(folder: Path) -> None:
    with_images(folder)
    put(folder / "e.json", [_short_row()])


def _label_studio_csv(folder: Path) -> None:
    with_images(folder)
    row = _short_row()
    cells = [json.dumps(cell).replace('"', '""') if isinstance(cell, list) else str(cell) for cell in row.values()]
    put(folder / "e.csv", ",".join(row) + "\n" + ",".join(f'"{cell}"' for cell in cells) + "\n")


def _yolo(folder: Path) -> None:
    with_images(folder, "images/a.jpg", "images/b.jpg")
    put(folder / "labels" / "a.txt", "0 0.5 0.25 0.1 0.1\n1 0.5 0.5 0.1 1.0004 0.9\n")
    put(folder / "labels" / "b.txt", "")
    put(folder / "my.yaml", "names:\n  0: cow\n  1: calf\n")


def _yolo_polygons(folder: Path) -> None:
    with_images(folder, "images/a.jpg")
    put(folder / "labels" / "a.txt", "0 0.2 0.4 0.3 0.4 0.3 0.6 0.2 0.6\n1 0.4 0.2 0.5 0.2 0.5 0.3\n")
    put(folder / "labels" / "classes.txt", "cow\ncalf\n")


def _yolo_poses(folder: Path) -> None:
    with_images(folder, "a.png")
    put(folder / "a.txt", "0 0.5 0.5 0.2 0.2 0.45 0.5 2 0.55 0.5 0\n")
    put(folder / "data.yaml", "kpt_shape: [2, 3]\nnames: [cow]\n")


def _roi() -> bytes:
    roi = ImagejRoi.frompoints(np.array([[3, 8], [20, 4], [5, 6]], dtype=np.float32))
    roi.roitype, roi.counters = ROI_TYPE.POINT, np.array([0, 1, 0], dtype=np.uint8)
    roi.counter_positions = np.array([1, 2, 1], dtype=np.uint32)
    return roi.tobytes()


def _channels(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.zeros((2, HEIGHT, WIDTH), np.uint8)
    tifffile.imwrite(path, pixels, imagej=True, resolution=(2, 2), metadata={"axes": "CYX", "unit": "um"})


def _imagej_roi(folder: Path) -> None:
    _channels(folder / "a.tif")
    put(folder / "a.roi", _roi())


def _imagej_zip(folder: Path) -> None:
    with_images(folder)
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("1.roi", _roi())
        archive.writestr("2.roi", ImagejRoi.frompoints(np.array([[3, 8], [20, 4], [5, 6.5]], np.float32)).tobytes())
        archive.writestr("__MACOSX/._1.roi", b"x")
    put(folder / "a.zip", file.getvalue())


def _imagej_results(folder: Path) -> None:
    _channels(folder / "a.tif")
    put(folder / "Results.txt", " \tArea\tX\tY\tSlice\tGroup\n1\t0\t5.25\t10\t1\t1\n2\t3.5\t15\t7.5\t2\t2\n")


def _cell_counter(folder: Path) -> None:
    _channels(folder / "a.tif")
    marker = "<Marker><MarkerX>10</MarkerX><MarkerY>20</MarkerY><MarkerZ>1</MarkerZ></Marker>"
    named = "<Image_Properties><Image_Filename>a.tif</Image_Filename></Image_Properties>"
    kinds = f"<Marker_Data><Marker_Type><Type>1</Type><Name>c</Name>{marker}</Marker_Type></Marker_Data>"
    put(folder / "CellCounter_a.xml", f"<CellCounter_Marker_File>{named}{kinds}</CellCounter_Marker_File>")


def _napari(folder: Path) -> None:
    with_images(folder)
    put(folder / "a.csv", "index,axis-0,axis-1,label\n0,20,10,c\n1,30.5,2,d\n")


def _qupath(folder: Path) -> None:
    with_images(folder)
    square = [[[1, 1], [9, 1], [9, 9], [1, 9], [1, 1]]]
    geometries = [
        ("Point", [3, 4], "annotation"),
        ("MultiPoint", [[5, 6], [7, 8]], "annotation"),
        ("Polygon", square, "detection"),
    ]
    geometries.append(("Polygon", [[[0, 0], [50, 0], [50, 30], [0, 30]]], "annotation"))
    features = [
        {
            "type": "Feature",
            "geometry": {"type": kind, "coordinates": at, "plane": {"c": -1, "z": 0, "t": 0}},
            "properties": {"objectType": what, "classification": {"name": "c"}},
        }
        for kind, at, what in geometries
    ]
    put(folder / "a.geojson", {"type": "FeatureCollection", "features": features})


def _qupath_table(folder: Path) -> None:
    _channels(folder / "a.tif")
    header = "Image\tObject type\tClassification\tROI\tCentroid X µm\tCentroid Y µm\tCell: Area µm^2\tNum points"
    put(
        folder / "m.tsv",
        f"{header}\na.tif\tCell\tc\tPolygon\t5.5\t6.5\t7\t\na.tif\tAnnotation\t\tRectangle\t9\t9\t\t\n",
    )


def _heads() -> dict:
    info = np.empty((1, 1), dtype=[("location", object), ("number", object)])
    info[0, 0] = (np.array([[3.0, 4.0], [5.0, 6.0]]), np.array([[2]]))
    cell = np.empty((1, 1), dtype=object)
    cell[0, 0] = info
    return {"image_info": cell}


def _mat(path: Path, content: dict) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    scipy.io.savemat(path, content)


def _shanghaitech(folder: Path) -> None:
    with_images(folder, "images/IMG_1.jpg")
    _mat(folder / "ground-truth" / "GT_IMG_1.mat", _heads())


def _nwpu(folder: Path) -> None:
    with_images(folder, "images/0001.jpg")
    content = {"img_id": "0001.jpg", "human_num": 1, "boxes": [[1, 2, 5, 6]], "points": [[3, 4]]}
    put(folder / "jsons" / "0001.json", content)


def _nwpu_mats(folder: Path) -> None:
    with_images(folder, "images/0001.jpg")
    _mat(folder / "mats" / "0001.mat", {"annPoints": [[3.0, 4.0]], "annBoxes": [[1.0, 2.0, 5.0, 6.0]]})


def _qnrf(folder: Path) -> None:
    with_images(folder, "Train/img_0001.jpg")
    _mat(folder / "Train" / "img_0001_ann.mat", {"annPoints": [[3.0, 4.0], [5.0, 6.0]]})


def _jhu(folder: Path) -> None:
    with_images(folder, "images/0001.jpg")
    put(folder / "gt" / "0001.txt", "10 20 4 6 1 0\n30 4 8 8 2 1\n")


def _p2pnet(folder: Path) -> None:
    with_images(folder, "images/a.jpg")
    put(folder / "train.list", "images/a.jpg labels/a.txt\n")
    put(folder / "labels" / "a.txt", "10 20\n30 4.5\n")


def _dotted(colour: tuple[int, int, int]) -> Image.Image:
    pixels = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    pixels[9:12, 9:12] = pixels[29:32, 39:42] = colour
    return Image.fromarray(pixels)


def _dots(folder: Path) -> None:
    with_images(folder, "001cell.png")
    _dotted((255, 0, 0)).save(folder / "001dots.png")


def _jpeg_dots(folder: Path) -> None:
    with_images(folder, "images/a.jpeg")
    (folder / "annotations").mkdir()
    _dotted((255, 0, 0)).save(folder / "annotations" / "a.jpeg")


def _white_dots(folder: Path) -> None:
    with_images(folder, "x_000.png")
    _dotted((255, 255, 255)).convert("1").save(folder / "x_dots_000.png")


def _masks(folder: Path) -> None:
    with_images(folder, "images/a.png")
    (folder / "masks").mkdir()
    labels = np.zeros((HEIGHT, WIDTH), np.uint16)
    labels[5:9, 5:9], labels[20:30, 40:50] = 1, 300
    Image.fromarray(labels).save(folder / "masks" / "a.png")


def _many_masks(folder: Path) -> None:
    with_images(folder, "a/images/a.png")
    (folder / "a" / "masks").mkdir(parents=True)
    for number in range(2):
        mask = np.zeros((HEIGHT, WIDTH), np.uint8)
        mask[5 + 9 * number : 9 + 9 * number, 5:9] = 255
        Image.fromarray(mask).save(folder / "a" / "masks" / f"{number}e.png")


def _dotdotgoose(folder: Path) -> None:
    with_images(folder)
    points = {"a.png": {"gull": [{"x": 10.0, "y": 20.0}]}, "b.png": {}}
    put(folder / "s.pnt", {"classes": ["gull"], "points": points, "colors": {"gull": [0, 0, 0]}, "metadata": {}})


def _dotdotgoose_csv(folder: Path) -> None:
    with_images(folder)
    put(folder / "p.csv", "survey id,image,class,x,y\nS1,a.png,gull,10.5,20\nS1,b.png,gull,1,2")


SOURCES: tuple[Callable[[Path], None], ...] = (
    *(
        _csv_points,
        _csv_boxes,
        _csv_corners,
        _labelme,
        _coco,
        _cvat,
        _voc,
        _via,
        _via_csv,
        _via3,
        _via3_csv,
        _label_studio,
        _json_min,
    ),
    *(
        _label_studio_csv,
        _yolo,
        _yolo_polygons,
        _yolo_poses,
        _imagej_roi,
        _imagej_zip,
        _imagej_results,
        _cell_counter,
        _napari,
    ),
    *(
        _qupath,
        _qupath_table,
        _shanghaitech,
        _nwpu,
        _nwpu_mats,
        _qnrf,
        _jhu,
        _p2pnet,
        _dots,
        _jpeg_dots,
        _white_dots,
        _masks,
    ),
    *(_many_masks, _dotdotgoose, _dotdotgoose_csv),
)


# Damage


def damage_bytes(data: bytes, draw: random.Random) -> bytes:
    """Cut out, double or replace a piece of a file."""
    start = draw.randrange(len(data) + 1)
    stop = min(len(data), start + draw.choice((0, 1, 2, 5, 12, 60)))
    piece = draw.choice((draw.choice(HURTING), data[start:stop] * 2, draw.randbytes(draw.randrange(7)), b""))
    return data[:start] + piece + data[stop:] if draw.random() < 0.95 else data[: draw.randrange(len(data) + 1)]


def damage_number(data: bytes, draw: random.Random) -> bytes:
    """Replace a number in a text."""
    places = [place for place, byte in enumerate(data) if chr(byte).isdigit()]
    if not places:
        return data
    start = stop = draw.choice(places)
    while stop < len(data) and (chr(data[stop]).isdigit() or data[stop : stop + 1] == b"."):
        stop += 1
    new = draw.choice(
        (b"0", b"-3.5", b"1e400", b"NaN", b"0.25", b"99999", b"1,234", b"12.500", b"1" * 25, b"3e2", b"null")
    )
    return data[:start] + new + data[stop:]


def damage_json(data: bytes, draw: random.Random) -> bytes:
    """Replace or remove a value somewhere in JSON."""
    try:
        tree = json.loads(data)
    except (ValueError, RecursionError):
        return damage_bytes(data, draw)
    parent, key, value = None, None, tree
    while isinstance(value, dict | list) and value and (parent is None or draw.random() < 0.8):
        keys = list(value) if isinstance(value, dict) else range(len(value))
        parent, key = value, draw.choice(list(keys))
        value = parent[key]
    if parent is None:
        return json.dumps(draw.choice(VALUES)).encode()
    if draw.random() < 0.25:
        del parent[key]
    else:
        parent[key] = draw.choice((*VALUES, tree if draw.random() < 0.1 else "a.png"))
    try:
        return json.dumps(tree).encode()
    except (ValueError, RecursionError):
        return data


def damage_lines(data: bytes, draw: random.Random) -> bytes:
    """Remove, double, swap or cut lines of a text."""
    lines = data.splitlines(keepends=True) or [b""]
    place, other = draw.randrange(len(lines)), draw.randrange(len(lines))
    action = draw.randrange(4)
    if action == 0:
        del lines[place]
    elif action == 1:
        lines.insert(other, lines[place])
    elif action == 2:
        lines[place], lines[other] = lines[other], lines[place]
    else:
        lines[place] = lines[place].replace(
            *draw.choice(((b",", b";"), (b",", b"\t"), (b" ", b","), (b".", b","), (b"\n", b"\r")))
        )
    return b"".join(lines)


def damage_files(folder: Path, files: list[Path], draw: random.Random) -> None:
    """Remove, copy, move, empty or link a file."""
    file = draw.choice(files)
    action = draw.randrange(6)
    if action == 0:
        file.unlink()
    elif action == 1:
        shutil.copy(file, file.with_name(f"copy_{file.name}"))
    elif action == 2:
        file.rename(
            file.with_name(draw.choice(("renamed" + file.suffix, file.stem + ".jpg", file.stem, file.name.upper())))
        )
    elif action == 3:
        file.write_bytes(b"")
    elif action == 4:
        file.unlink()
        file.symlink_to(file)
    else:
        (folder / "deeper").mkdir(exist_ok=True)
        file.rename(folder / "deeper" / file.name)


def damage(folder: Path, draw: random.Random) -> None:
    """Damage a source in one place or a few."""
    for _ in range(draw.choice((1, 1, 1, 2, 3, 5))):
        files = sorted(file for file in folder.rglob("*") if file.is_file())
        if not files:
            return
        if draw.random() < 0.08:
            damage_files(folder, files, draw)
            continue
        images = [file for file in files if file.suffix in (".png", ".jpg", ".jpeg", ".tif")]
        texts = [file for file in files if file not in images] or images
        file = draw.choice(texts if draw.random() < 0.93 else files)
        ways = [damage_bytes, damage_number, damage_lines] + (
            [damage_json] * 3 if file.suffix.endswith(("json", "pnt")) else []
        )
        file.write_bytes(draw.choice(ways)(file.read_bytes(), draw))


def draw_options(draw: random.Random) -> Options:
    """Draw what a user might say, mostly nothing."""
    if draw.random() < 0.8:
        return Options()
    return Options(
        orientation=draw.choice((None, "stored", "shown")),
        units=draw.choice((None, None, "pixels", "fraction", "micrometres")),
        pixel_size=draw.choice((None, None, 0.5, 1e300)),
        columns=draw.choice((None, None, {"image": "1", "x": "2", "y": "3"}, {"x": "x", "y": "y"})),
        regions=draw.choice((None, "drop", "keep")),
        format=draw.choice((None, None, draw.choice(("csv_points", "coco", "yolo", "imagej", "masks", "nonsense")))),
    )


# Checks


class TooSlowError(Exception):
    """A case ran longer than the limit."""


def on_alarm(signum: int, frame: object) -> None:
    """End a case that takes too long."""
    raise TooSlowError(f"longer than {LIMIT_S} s")


def check(folder: Path, options: Options, named: Path) -> str:
    """Import a source, and return "read" or "refused"; raise AssertionError for what should not come."""
    try:
        found = read_source(named, folder / "new", Splitting(0, 0), folder, None, options)
    except UserError as error:
        line = str(error)
        assert line, "an empty message"
        assert line.isprintable(), f"a message of several lines: {line!r}"
        assert len(line) < 3000, f"a message of {len(line)} characters"
        return "refused"
    for image in found.images:
        height, width = image_size(image.file)
        for click in image.xy:
            assert 0 <= click.x < width, f"{click} is outside {image.name}"
            assert 0 <= click.y < height, f"{click} is outside {image.name}"
            assert click.class_name.strip(), f"{click} has no class"
            assert click.class_name.isprintable(), f"{click.class_name!r} is no name"
            assert click.size is None or 0 < click.size < float("inf"), f"{click} has no size"
    return "read"


def run_case(number: int, base: Path) -> tuple[str, str, str]:
    """Run one case; return the source's name, the result, and what was wrong."""
    draw = random.Random(number)
    make = SOURCES[number % len(SOURCES)]
    name, folder = make.__name__.strip("_"), base / "case"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    make(folder)
    damage(folder, draw)
    files = sorted(file for file in folder.rglob("*") if file.is_file())
    named = draw.choice(files) if files and draw.random() < 0.15 else folder
    signal.alarm(LIMIT_S)
    try:
        return name, check(folder, draw_options(draw), named), ""
    except Exception as error:  # whatever comes is what this looks for
        return name, "failed", f"{type(error).__name__}: {error}"
    finally:
        signal.alarm(0)


def main() -> int:
    """Run cases until the time or their number is up; print each failure, and the number of each result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60, help="how long (default 60)")
    parser.add_argument("--cases", type=int, default=10**9, help="how many at most")
    parser.add_argument("--start", type=int, default=0, help="number of the first case (default 0)")
    args = parser.parse_args()
    signal.signal(signal.SIGALRM, on_alarm)
    results: collections.Counter[str] = collections.Counter()
    by_source: dict[str, collections.Counter[str]] = collections.defaultdict(collections.Counter)
    end, number = time.monotonic() + args.seconds, args.start
    with tempfile.TemporaryDirectory() as base:
        while time.monotonic() < end and number < args.start + args.cases:
            source, result, what = run_case(number, Path(base))
            results[result] += 1
            by_source[source][result] += 1
            if what:
                print(f"case {number} ({source}): {what[:500]}", flush=True)
            number += 1
    for source, counts in sorted(by_source.items()):
        print(f"{source:<18} {dict(sorted(counts.items()))}")
    print(f"{number - args.start} cases: {dict(sorted(results.items()))}")
    return int(results["failed"] > 0)


if __name__ == "__main__":
    sys.exit(main())
