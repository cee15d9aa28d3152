"""Formats that people have: what each means, and that it alone claims its files."""

import io
import json

import numpy as np
import pytest
import scipy.io
from helpers_annotations import HEIGHT, WIDTH, imported, points, put, refusal, save_image, save_tiff, table
from PIL import Image
from scipy import ndimage

from src.annotations import (
    FORMATS,
    cell_counter,
    dots,
    imagej,
    jhu,
    label_studio,
    masks,
    napari,
    p2pnet,
    qnrf,
    qupath,
    recognise,
    via3,
    voc,
    yolo,
)


def claims(source, module):
    """Whether a format claims a source alone, by itself and by its folder."""
    paths = {source, source if source.is_dir() else source.parent}
    return all([found for found in FORMATS if found.recognises(path)] == [module] for path in paths)


# Fiji's Cell Counter


def cell_counter_text(types, image="a.tif"):
    kinds = ""
    for number, (name, members) in enumerate(types, start=1):
        markers = "".join(
            f"<Marker><MarkerX>{x}</MarkerX><MarkerY>{y}</MarkerY><MarkerZ>1</MarkerZ></Marker>" for x, y in members
        )
        named = f"<Name>{name}</Name>" if name else ""
        kinds += f"<Marker_Type><Type>{number}</Type>{named}{markers}</Marker_Type>"
    named = f"<Image_Properties><Image_Filename>{image}</Image_Filename></Image_Properties>" if image else ""
    return f"<CellCounter_Marker_File>{named}<Marker_Data>{kinds}</Marker_Data></CellCounter_Marker_File>"


@pytest.mark.parametrize("image", ["a.tif", "Counter Window - a.tif", "old.tif", ""])
def test_markers_of_cell_counter(tmp_path, image):
    save_tiff(tmp_path / "a.tif")
    types = [("", [(10, 20), (30, 40)]), ("", []), ("dead", [(5, 6)])]
    source = put(tmp_path / "CellCounter_a.xml", cell_counter_text(types, image))
    assert claims(source, cell_counter)
    expected = [(10.5, 20.5, "Type 1"), (30.5, 40.5, "Type 1"), (5.5, 6.5, "dead")]
    assert points(source) == {"a.tif": expected}


# VIA 3

ATTRIBUTES = {
    "1": {"aname": "class", "anchor_id": "FILE1_Z0_XY1", "type": 4, "options": {"0": "cow", "1": "calf"}},
    "2": {"aname": "note", "anchor_id": "FILE1_Z0_XY0", "type": 1, "options": {}},
}
REGIONS = [
    ([1, 10, 20], [], {"1": "0"}),
    ([2, 30, 40, 10, 20], [], {"1": "1"}),
    ([3, 60, 30, 5], [], {"1": "0"}),
    ([4, 70, 30, 5, 8], [], {"1": "0"}),
    ([7, 0, 0, 8, 0, 0, 4], [], {"1": "0"}),
    ([8, 90, 10, 110, 15, 100, 5, 100, 25], [], {"1": "0"}),
    ([9, 95, 60, 105, 60, 100, 65], [], {"1": "0"}),
    ([5, 0, 0, 9, 9], [], {"1": "0"}),
    ([1, 1, 1], [1.5], {"1": "0"}),
    ([], [], {"2": "dark"}),
]
VIA3_POINTS = [
    (10, 20, "cow"),
    (35, 50, "calf"),
    (60, 30, "cow"),
    (70, 30, "cow"),
    (4, 2, "cow"),
    (100, 15, "cow"),
    (100, 60, "cow"),
]


def via3_project(names=("a.jpg", "b.jpg"), **image):
    files = {
        str(n): {"fid": str(n), "fname": name, "type": 2, "loc": 1, "src": name} for n, name in enumerate(names, 1)
    }
    files["1"] |= image
    entries = {
        f"1_{n}": {"vid": "1", "flg": 0, "z": z, "xy": xy, "av": values} for n, (xy, z, values) in enumerate(REGIONS)
    }
    return {
        "project": {"pid": "__VIA_PROJECT_ID__", "vid_list": list(files)},
        "config": {"file": {"loc_prefix": {}}},
        "attribute": ATTRIBUTES,
        "file": files,
        "metadata": entries,
        "view": {n: {"fid_list": [n]} for n in files},
    }


def via3_export(name="a.jpg"):
    lines = ["# Exported using VGG Image Annotator", f"# ATTRIBUTE = {json.dumps(ATTRIBUTES)}"]
    lines.append("# CSV_HEADER = metadata_id,file_list,flags,temporal_coordinates,spatial_coordinates,metadata")
    rows = [[f"1_{n}", json.dumps([name]), 0, *map(json.dumps, (z, xy, v))] for n, (xy, z, v) in enumerate(REGIONS)]
    return "\n".join([*lines, table(*rows)])


def test_a_project_of_via_3(tmp_path):
    for name in ("a.jpg", "b.jpg"):
        save_image(tmp_path / name)
    source = put(tmp_path / "p.json", via3_project())
    assert claims(source, via3)
    assert points(source) == {"a.jpg": VIA3_POINTS, "b.jpg": []}
    assert imported(source).dropped["a.jpg"] == {"shape without a position": 1, "on another slice than the first": 1}
    put(source, via3_project(fname="x.jpg", src="photos/a.jpg", loc=3))
    assert points(source)["a.jpg"] == VIA3_POINTS


def test_an_export_of_via_3(tmp_path):
    save_image(tmp_path / "a.jpg")
    source = put(tmp_path / "p.csv", via3_export())
    assert claims(source, via3)
    assert points(source) == {"a.jpg": VIA3_POINTS}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (via3_project(type=4), "has films or sounds"),
        (via3_project(("a.jpg", "a.jpg")), "two images called 'a.jpg' (file 1 and file 2)"),
        ({**via3_project(), "view": {"1": {"fid_list": ["1", "2"]}}}, "a view that does not show one file"),
        ({**via3_project(), "view": {"2": {"fid_list": ["2"]}}}, "a region of the view '1', which is not listed"),
        (
            {**via3_project(), "metadata": {"1": {"vid": "1", "xy": [1, 2], "z": [], "av": {}}}},
            "a shape 1 with 1 numbers",
        ),
    ],
)
def test_what_is_wrong_in_a_project_of_via_3(tmp_path, content, words):
    save_image(tmp_path / "a.jpg")
    assert words in refusal(put(tmp_path / "p.json", content))


# Crowds


def test_heads_of_qnrf(tmp_path):
    for folder in ("Train", "Test"):
        save_image(tmp_path / folder / "img_0001.jpg")
        scipy.io.savemat(tmp_path / folder / "img_0001_ann.mat", {"annPoints": [[10.5, 20], [30, 40]]})
    save_image(tmp_path / "Train" / "img_0002.jpg")
    scipy.io.savemat(tmp_path / "Train" / "img_0002_ann.mat", {"annPoints": np.zeros((0, 2))})
    assert claims(tmp_path, qnrf)
    heads = [(10.5, 20, "person"), (30, 40, "person")]
    expected = {"Test/img_0001.jpg": heads, "Train/img_0001.jpg": heads, "Train/img_0002.jpg": []}
    assert points(tmp_path) == expected


def test_heads_of_jhu(tmp_path):
    for name in ("0001", "0002"):
        save_image(tmp_path / "train" / "images" / f"{name}.jpg")
    put(tmp_path / "train" / "gt" / "0001.txt", "10 20 4 6 1 0\n30 40 8 8 2 1\n")
    put(tmp_path / "train" / "gt" / "0002.txt", "")
    put(tmp_path / "train" / "image_labels.txt", "0001,2,street,0,0\n0002,0,street,0,1\n")
    assert claims(tmp_path, jhu)
    assert claims(tmp_path / "train", jhu)
    expected = {"images/0001.jpg": [(10, 20, "person"), (30, 40, "person")], "images/0002.jpg": []}
    assert points(tmp_path / "train") == expected
    assert [click.size for click in imported(tmp_path / "train").images[0].xy] == [5, 8]
    put(tmp_path / "train" / "gt" / "0001.txt", "10 20 4 6 1 0\n30 40\n")
    assert "2 numbers in line 2; expected x y w h o b" in refusal(tmp_path)


@pytest.mark.parametrize("prefix", ["", "/home/me/set/", "./"])
def test_points_of_p2pnets_lists(tmp_path, prefix):
    for name in ("a", "b", "c"):
        save_image(tmp_path / "images" / f"{name}.jpg")
    put(tmp_path / "labels" / "a.txt", "10 20\n30.5 40.5\n")
    put(tmp_path / "labels" / "b.txt", "")
    put(tmp_path / "train.list", f"{prefix}images/a.jpg {prefix}labels/a.txt\n")
    put(tmp_path / "test.list", f"{prefix}images/b.jpg {prefix}labels/b.txt\n")
    assert claims(tmp_path, p2pnet)
    expected = {"images/a.jpg": [(10, 20, "object"), (30.5, 40.5, "object")], "images/b.jpg": []}
    assert points(tmp_path) == expected
    put(tmp_path / "more" / "labels" / "b.txt", "1 1\n")
    put(tmp_path / "test.list", f"{prefix}images/a.jpg more/labels/b.txt\n")
    assert "both annotate" in refusal(tmp_path)
    put(tmp_path / "test.list", "images/a.jpg gone/d.txt\n")
    assert "there is no gone/d.txt" in refusal(tmp_path)


# YOLO

BOX = "0 0.25 0.5 0.1 0.2"
"""An object at (30, 40)."""
TRIANGLE = "1 0.2 0.4 0.3 0.4 0.25 0.6"
FORMS = {
    "boxes": [BOX, "1 0.5 0.25 0.1 0.1"],
    "boxes with confidence": [f"{BOX} 0.9", "1 0.5 0.25 0.1 0.1 0.3"],
    "boxes with track": [f"{BOX} 0.9 12", "1 0.5 0.25 0.1 0.1 0.3 7"],
    "polygons": ["0 0.2 0.4 0.3 0.4 0.3 0.6 0.2 0.6", "1 0.45 0.2 0.55 0.2 0.5 0.3"],
    "polygons and boxes": ["0 0.2 0.4 0.3 0.4 0.3 0.6 0.25 0.6 0.2 0.6", "1 0.5 0.25 0.1 0.1"],
    "polygons with confidence": ["0 0.2 0.4 0.3 0.4 0.3 0.6 0.2 0.6 0.7", "1 0.45 0.2 0.55 0.2 0.5 0.3 0.6"],
    "turned boxes": ["0 0.25 0.4 0.3 0.5 0.25 0.6 0.2 0.5", "1 0.5 0.2 0.55 0.25 0.5 0.3 0.45 0.25"],
    "poses": [f"{BOX} 0.22 0.45 2 0.28 0.55 1", "1 0.5 0.25 0.1 0.1 0.5 0.25 2 0 0 0"],
    "float classes": ["0.0 2.5e-01 0.5 0.1 0.2", "1.000000 0.5 0.25 0.1 0.1"],
    "a hair beyond": ["0 0.25 0.5 0.1 1.0004", "1 0.5 0.25 1.0016 0.1"],
}


@pytest.mark.parametrize("form", FORMS)
def test_forms_of_yolo(tmp_path, form):
    save_image(tmp_path / "images" / "a.jpg")
    put(tmp_path / "labels" / "a.txt", "\n".join(FORMS[form]))
    put(tmp_path / "any name.yaml", "names: [cow, calf]\n")
    assert claims(tmp_path, yolo)
    assert points(tmp_path) == {"images/a.jpg": [(30, 40, "cow"), (60, 20, "calf")]}


def test_poses_of_yolo_without_visibilities_need_their_number(tmp_path):
    save_image(tmp_path / "a.jpg")
    put(tmp_path / "a.txt", f"{BOX} 0.22 0.45 0.28 0.55 0.25 0.5\n0 0.5 0.25 0.1 0.1 0.5 0.25 0.52 0.26 0 0\n")
    assert "lines of 11 numbers, which may be polygons or boxes with keypoints: add the yaml" in refusal(tmp_path)
    put(tmp_path / "pose.yaml", "kpt_shape: [3, 2]\nnames: {0: cow}\n")
    assert points(tmp_path) == {"a.jpg": [(30, 40, "cow"), (60, 20, "cow")]}
    put(tmp_path / "pose.yaml", "kpt_shape: [4, 2]\nnames: {0: cow}\n")
    assert "lines of 11 numbers; expected 13 by the kpt_shape of its yaml" in refusal(tmp_path)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("0 0.5 0.5 0.1 1.3", "1.3 in line 2; expected fractions of the image's size, from 0 to 1"),
        ("0 40 30 10 10", "40 in line 2; expected fractions"),
        ("0 0.5 0.5 0.1", "'0 0.5 0.5 0.1' in line 2; expected a class and fractions"),
        ("x 0.5 0.5 0.1 0.1", "'x 0.5 0.5 0.1 0.1' in line 2; expected a class"),
        ("0.5 0.5 0.5 0.1 0.1", "in line 2; expected a class"),
        ("0 0.1 0.1 0.2 0.1 0.3 1.4", "1.4 in line 2 of a polygon"),
    ],
)
def test_what_is_wrong_in_a_line_of_yolo(tmp_path, line, words):
    save_image(tmp_path / "a.jpg")
    put(tmp_path / "a.txt", f"{BOX}\n{line}\n")
    assert words in refusal(tmp_path)


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("my_data.yaml", "names:\n  0: cow\n  1: calf\n"),
        ("train/dataset.yml", "names: ['cow', 'calf']\nnc: 2\n"),
        ("data.yaml", "names: {'0': cow, '1': calf}\n"),
        ("classes.txt", "cow\ncalf\n"),
        ("train/labels/classes.txt", "cow\ncalf\n"),
        ("cattle.names", "cow\ncalf\n"),
    ],
)
@pytest.mark.parametrize("source", ["", "train", "train/labels"])
def test_where_yolo_names_its_classes(tmp_path, file, content, source):
    save_image(tmp_path / "train" / "images" / "a.jpg")
    put(tmp_path / "train" / "labels" / "a.txt", "1 0.25 0.5 0.1 0.2\n")
    put(tmp_path / file, content)
    put(tmp_path / "train" / "labels" / "predefined_classes.txt", "dog\nperson\n")
    put(tmp_path / "docker-compose.yaml", "services: {}\n")
    found = points(tmp_path / source, tmp_path / "train" / "images" if source == "train/labels" else None)
    known = source != "train" or "train" in file
    assert [place for places in found.values() for place in places] == [(30, 40, "calf" if known else "person")]


def test_two_lists_of_names_are_refused(tmp_path):
    save_image(tmp_path / "a.jpg")
    put(tmp_path / "a.txt", f"{BOX}\n")
    put(tmp_path / "one.yaml", "names: [cow, calf]\n")
    put(tmp_path / "two.yaml", "names: [calf, cow]\n")
    assert "name the classes differently (cow, calf, and calf, cow)" in refusal(tmp_path)
    put(tmp_path / "two.yaml", "names: [cow, calf]\n")
    assert points(tmp_path) == {"a.jpg": [(30, 40, "cow")]}


# QuPath's measurements


def measurements(*rows, unit="µm"):
    header = ["Image", "Object ID", "Object type", "Name", "Classification", "Parent", "ROI"]
    return table(
        [*header, f"Centroid X {unit}", f"Centroid Y {unit}", f"Cell: Area {unit}^2", "Num points"],
        *rows,
        separator="\t",
    )


def test_measurements_of_qupath(tmp_path):
    save_tiff(tmp_path / "a.tif", imagej=True, resolution=(2, 2), metadata={"unit": "um"})
    rows = [
        ["a.tif", "1", "Annotation", "", "", "Root", "Rectangle", 30, 20, "", ""],
        ["a.tif", "2", "Cell", "", "Tumor", "Annotation", "Polygon", 5, 10, 7.0686, ""],
        ["a.tif", "3", "Detection", "", "Stroma", "Annotation", "Polygon", 15.25, 20.5, "NaN", ""],
    ]
    source = put(tmp_path / "m.tsv", measurements(*rows))
    assert claims(source, qupath)
    assert points(source) == {"a.tif": [(10, 20, "Tumor"), (30.5, 41, "Stroma")]}
    assert imported(source).dropped["a.tif"] == {"region around objects": 1}
    assert imported(source).images[0].xy[0].size == pytest.approx(6, abs=1e-3)
    assert points(source, pixel_size=1)["a.tif"][0] == (5, 10, "Tumor")
    put(source, measurements(*rows[1:], unit="px"))
    assert points(source)["a.tif"][0] == (5, 10, "Tumor")


def test_points_of_one_annotation_have_no_places_of_their_own(tmp_path):
    save_tiff(tmp_path / "a.tif")
    row = ["a.tif", "1", "Annotation", "", "Tumor", "Root", "Points", 30, 20, "", 7]
    source = put(tmp_path / "m.tsv", measurements(row, unit="px"))
    assert "7 points in line 2, of which it tells the mean alone" in refusal(source)
    put(source, measurements([*row[:-1], 1], unit="px"))
    assert points(source) == {"a.tif": [(30, 20, "Tumor")]}


# Label Studio's short forms


def short_row(task, annotation, *places, image="/data/upload/1/1a2b3c4d-a.png"):
    values = [
        {"x": x, "y": y, "width": 0.5, "keypointlabels": ["cell"], "original_width": WIDTH, "original_height": HEIGHT}
        for x, y in places
    ]
    return {"image": image, "id": task, "kp": values, "annotator": 1, "annotation_id": annotation, "lead_time": 2.0}


def test_json_min_of_label_studio(tmp_path):
    for name in ("a.png", "b.png"):
        save_image(tmp_path / name)
    empty = {"image": "b.png", "id": 2, "annotator": 1, "annotation_id": 3}
    source = put(tmp_path / "e.json", [short_row(1, 1, (25, 50)), short_row(1, 2, (50, 50)), empty])
    assert claims(source, label_studio)
    assert points(source) == {"a.png": [(30, 40, "cell")], "b.png": []}
    assert imported(source).dropped["a.png"] == {"in a further annotation of the image": 1}


@pytest.mark.parametrize("separator", [",", "\t"])
def test_csv_of_label_studio(tmp_path, separator):
    save_image(tmp_path / "a.png")
    row = short_row(1, 1, (25, 50), (50, 25))
    cells = [json.dumps(value) if isinstance(value, list) else value for value in row.values()]
    source = put(tmp_path / ("e.csv" if separator == "," else "e.tsv"), table(row, cells, separator=separator))
    assert claims(source, label_studio)
    assert points(source) == {"a.png": [(30, 40, "cell"), (60, 20, "cell")]}


def test_a_joint_is_part_of_its_object(tmp_path):
    save_image(tmp_path / "a.png")

    def result(key, value, **more):
        return {"id": key, "value": value, "original_width": WIDTH, "original_height": HEIGHT, **more}

    results = [
        result("box", {"x": 20, "y": 40, "width": 10, "height": 20, "rectanglelabels": ["cow"]}),
        result("head", {"x": 21, "y": 45, "width": 0.5, "keypointlabels": ["head"]}, parentID="box"),
        result("other", {"x": 50, "y": 25, "width": 0.5, "keypointlabels": ["cow"]}, parentID="gone"),
    ]
    source = put(tmp_path / "e.json", [{"data": {"image": "a.png"}, "annotations": [{"result": results}]}])
    assert points(source) == {"a.png": [(30, 40, "cow"), (60, 20, "cow")]}
    assert imported(source).dropped["a.png"] == {"part of another object": 1}


# Dot images

CENTRES = [(10, 12), (30, 40), (50, 100), (70, 20)]
"""Rows and columns."""


def dot_picture(colour=(255, 0, 0), background=None, radius=0):
    picture = np.zeros((HEIGHT, WIDTH, 3), np.uint8) if background is None else background.copy()
    for row, col in CENTRES:
        picture[row - radius : row + radius + 1, col - radius : col + radius + 1] = colour
    return picture


def tissue():
    """A pink and violet picture, in which red is above green and blue in many places."""
    noise = ndimage.gaussian_filter(np.random.default_rng(0).normal(size=(HEIGHT, WIDTH)), 3)
    share = ((noise - noise.min()) / np.ptp(noise))[..., None]
    return (np.array([220, 110, 120]) * (1 - share) + np.array([90, 50, 140]) * share).astype(np.uint8)


NAMES = {
    "001dots.png": "001cell.png",
    "adots.bmp": "a.jpg",
    "x_dots_000.png": "x_000.png",
    "x_1_dots.tif": "x_1.tif",
    "x-dots.png": "x.jpeg",
    "x_dot_7.png": "x_7.png",
    "dots_x.png": "x.png",
    "annotations/a.png": "images/a.jpg",
    "dots/a_dots.png": "images/a.png",
}


@pytest.mark.parametrize("name", NAMES)
def test_names_of_dot_images(tmp_path, name):
    save_image(tmp_path / NAMES[name])
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(dot_picture()).save(tmp_path / name)
    assert claims(tmp_path, dots)
    assert points(tmp_path) == {NAMES[name]: [(col + 0.5, row + 0.5, "object") for row, col in CENTRES]}
    assert imported(tmp_path).not_annotated == []


WHITE_DOTS = {
    "1 bit": lambda: Image.fromarray(dot_picture((255, 255, 255))).convert("1"),
    "white": lambda: Image.fromarray(dot_picture((255, 255, 255), radius=1)).convert("L"),
    "white RGB": lambda: Image.fromarray(dot_picture((255, 255, 255))),
    "ones": lambda: Image.fromarray((dot_picture((255, 255, 255))[..., 0] > 0).astype(np.uint8)),
    "black on white": lambda: Image.fromarray(255 - dot_picture((255, 255, 255), radius=1)[..., 0]),
}


@pytest.mark.parametrize("key", WHITE_DOTS)
@pytest.mark.parametrize("name", ["x_dots_000.png", "annotations/x_000.png"])
def test_white_dots(tmp_path, key, name):
    image = "images/x_000.png" if "/" in name else "x_000.png"
    save_image(tmp_path / image)
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    WHITE_DOTS[key]().save(tmp_path / name)
    assert recognise(tmp_path) is dots
    assert points(tmp_path) == {image: [(col + 0.5, row + 0.5, "object") for row, col in CENTRES]}


@pytest.mark.parametrize("quality", [75, 95])
@pytest.mark.parametrize("background", [None, tissue()], ids=["black", "tissue"])
@pytest.mark.parametrize("radius", [1, 2])
def test_red_dots_that_jpeg_blurred(tmp_path, quality, background, radius):
    for folder in ("images", "annotations"):
        (tmp_path / folder).mkdir()
    pixels = tissue() if background is None else background
    for name, with_dots in (("a", True), ("b", False)):
        Image.fromarray(pixels).save(tmp_path / "images" / f"{name}.jpeg", quality=quality)
        canvas = np.zeros_like(pixels) if background is None else background
        picture = dot_picture(background=canvas, radius=radius) if with_dots else canvas
        Image.fromarray(picture).save(tmp_path / "annotations" / f"{name}.jpeg", quality=quality)
    assert claims(tmp_path, dots)
    found = points(tmp_path)
    assert found["images/b.jpeg"] == []
    places = sorted((y, x) for x, y, _ in found["images/a.jpeg"])
    assert np.allclose(places, np.array(CENTRES) + 0.5, atol=1.0)


def test_dots_that_jpeg_lost_are_refused(tmp_path):
    save_image(tmp_path / "images" / "a.jpeg")
    (tmp_path / "annotations").mkdir()
    Image.fromarray(dot_picture()).save(tmp_path / "annotations" / "a.jpeg", quality=60)
    with pytest.raises(Exception, match="no red dots that are clear"):
        dots.read(tmp_path / "annotations" / "a.jpeg", None)


def test_red_tissue_is_no_dot_on_a_copy_of_the_image(tmp_path):
    pixels = tissue()
    pixels[5, 5] = (200, 100, 120)  # as red as a dot
    Image.fromarray(pixels).save(tmp_path / "a.png")
    Image.fromarray(dot_picture(background=pixels)).save(tmp_path / "adots.png")
    assert points(tmp_path) == {"a.png": [(col + 0.5, row + 0.5, "object") for row, col in CENTRES]}


# Masks of one object each


def square_mask(row, col, value=255):
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[row - 1 : row + 2, col - 1 : col + 2] = value
    return mask


LAYOUTS = {
    "data science bowl": ("{image}/images/{image}.png", "{image}/masks/{number}f3a.png"),
    "folders": ("images/{image}.png", "masks/{image}/{number}.png"),
    "numbers": ("images/{image}.png", "masks/{image}_{number}.png"),
    "mask numbers": ("images/{image}.png", "masks/{image}_mask_{number}.png"),
    "beside": ("{image}.png", "{image}_mask_{number}.png"),
    "beside, short": ("{image}.png", "{image}_mask{number}.tif"),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_many_masks_of_one_object_each(tmp_path, layout):
    image_name, mask_name = LAYOUTS[layout]
    for image in "ab":
        save_image(tmp_path / image_name.format(image=image))
        for number, (row, col) in enumerate(CENTRES):
            file = tmp_path / mask_name.format(image=image, number=number)
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(square_mask(row, col, 255 if image == "a" else 1)).save(file)
    assert claims(tmp_path, masks)
    expected = [(col + 0.5, row + 0.5, "object") for row, col in CENTRES]
    assert points(tmp_path) == {image_name.format(image=image): expected for image in "ab"}
    assert imported(tmp_path).not_annotated == []


def test_a_mask_of_an_object_in_two_parts_is_one_and_a_label_image_among_masks_is_refused(tmp_path):
    save_image(tmp_path / "images" / "a.png")
    (tmp_path / "masks" / "a").mkdir(parents=True)
    Image.fromarray(square_mask(10, 10) + square_mask(30, 30)).save(tmp_path / "masks" / "a" / "0.png")
    assert len(points(tmp_path)["images/a.png"]) == 1
    Image.fromarray(square_mask(10, 10, 1) + square_mask(30, 30, 2)).save(tmp_path / "masks" / "a" / "1.png")
    assert "1.png has several values, and the image has other masks beside it" in refusal(tmp_path)
    Image.fromarray(square_mask(10, 10)[:50]).save(tmp_path / "masks" / "a" / "1.png")
    assert "1.png has another size than" in refusal(tmp_path)


# The rest


def test_channels_of_napari_are_one_place(tmp_path):
    save_tiff(tmp_path / "a.tif", (2, HEIGHT, WIDTH), imagej=True, metadata={"axes": "CYX"})
    source = put(tmp_path / "a.csv", "index,axis-0,axis-1,axis-2,species\n0,0,20,10,cow\n1,1,40,30,cow\n")
    assert claims(source, napari)
    assert points(source) == {"a.tif": [(10.5, 20.5, "cow"), (30.5, 40.5, "cow")]}
    save_tiff(tmp_path / "a.tif", (2, HEIGHT, WIDTH), imagej=True, metadata={"axes": "ZYX"})
    assert points(source) == {"a.tif": [(10.5, 20.5, "cow")]}


@pytest.mark.parametrize("name", ["Results.txt", "Results.xls", "a.txt", "a_Results.csv", "Results of a.csv"])
def test_names_of_imagejs_tables(tmp_path, name):
    save_tiff(tmp_path / "a.tif")
    text = " \tArea\tMean\tX\tY\n1\t0\t5\t10\t20\n"
    source = put(tmp_path / name, text if not name.endswith("csv") else text.replace("\t", ","))
    put(tmp_path / "README.txt", "These are cells.\n")
    assert claims(source, imagej)
    assert points(source) == {"a.tif": [(10.5, 20.5, "object")]}
    assert points(tmp_path) == {"a.tif": [(10.5, 20.5, "object")]}


def test_a_turned_box_of_voc(tmp_path):
    save_image(tmp_path / "a.jpg")
    box = "<robndbox><cx>30.0</cx><cy>40.0</cy><w>10</w><h>20</h><angle>0.5</angle></robndbox>"
    text = f"<annotation><filename>a</filename><object><name>ship</name>{box}</object></annotation>"
    source = put(tmp_path / "a.xml", text)
    assert claims(source, voc)
    assert points(source) == {"a.jpg": [(30, 40, "ship")]}


def test_two_formats_in_one_source_are_told_apart_by_a_name(tmp_path):
    save_image(tmp_path / "a.jpg")
    put(tmp_path / "p.csv", table(["image", "x", "y"], ["a.jpg", 10, 20]))
    put(tmp_path / "a.json", {"shapes": [], "imagePath": "a.jpg"})
    line = refusal(tmp_path)
    assert "fits several formats (CSV of points" in line
    assert "add --format csv_points or --format labelme" in line
    assert points(tmp_path, format="csv_points") == {"a.jpg": [(10, 20, "object")]}
    assert "--format 'labelm' is none of" in refusal(tmp_path, format="labelm")
    assert "did you mean labelme?" in refusal(tmp_path, format="labelm")


def test_a_zip_of_annotations_is_told(tmp_path):
    save_image(tmp_path / "a.jpg")
    buffer = io.BytesIO()
    np.savez(buffer, a=1)
    put(tmp_path / "export.zip", buffer.getvalue())
    assert "export.zip is packed: unpack it" in refusal(tmp_path)
