"""The size of an object: from shapes of known geometry, through points.csv, to the reach of its click."""

import json
import math

import numpy as np
import pytest
from helpers_data import noise_image
from helpers_runs import mistake
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from roifile import ROI_OPTIONS, ROI_TYPE, ImagejRoi

from scripts import evaluate, import_points
from src import annotations
from src.annotations.base import AnnotationError
from src.annotations.shapes import Place, disc_diameter, place_of_box, place_of_ellipse, place_of_polygons, polygon_area
from src.datasets.points import Points
from src.readers.errors import DataError

HEIGHT, WIDTH = 40, 60
DISC_OF_24 = 2 * math.sqrt(24 / math.pi)
"""The diameter of the disc that has 24 pixels."""
TRIANGLE = [[2, 2], [10, 2], [2, 8]]
"""Its area is 24."""


def test_a_box_has_the_mean_of_its_sides_whichever_corner_comes_first():
    assert place_of_box(2, 4, 12, 24) == place_of_box(12, 24, 2, 4) == Place(7, 14, 15)
    assert place_of_box(3, 4, 3, 4) == Place(3, 4, None)


def test_a_circle_has_its_diameter():
    assert place_of_ellipse(1, 2, 5, 5) == Place(1, 2, 10)
    assert place_of_ellipse(1, 2, 4, 9).size == pytest.approx(12)
    assert place_of_ellipse(1, 2, 0, 0) == Place(1, 2, None)


@given(n=st.integers(3, 60), radius=st.floats(1, 100), x=st.floats(-1e3, 1e3), y=st.floats(-1e3, 1e3))
def test_a_regular_polygon_has_its_area(n, radius, x, y):
    angles = 2 * np.pi * np.arange(n) / n
    vertices = list(zip(x + radius * np.cos(angles), y + radius * np.sin(angles), strict=True))
    expected = n / 2 * radius**2 * math.sin(2 * math.pi / n)
    assert polygon_area(vertices) == pytest.approx(expected, rel=1e-9)
    assert polygon_area(vertices[::-1]) == pytest.approx(expected, rel=1e-9)


def test_polygons_of_one_object_add_up_without_their_holes():
    square, hole, other = ([(a, a), (a + s, a), (a + s, a + s), (a, a + s)] for a, s in ((0, 6), (2, 2), (10, 4)))
    assert place_of_polygons([square, other], [hole]) == Place(7, 7, disc_diameter(36 + 16 - 4))
    assert place_of_polygons([[(1, 2), (3, 4)]]) == Place(2, 3, None)  # a line has no area
    assert place_of_polygons([[]]) is None


@pytest.mark.parametrize("number", [0, -1, math.nan, math.inf])
def test_what_is_not_a_size_is_not_known(number):
    assert disc_diameter(number) is None


# Each format


def labelme(shape_type, points):
    shape = {"label": "cell", "points": points, "shape_type": shape_type}
    return "a.json", json.dumps({"shapes": [shape], "imagePath": "a.png"})


def cvat(shape):
    return "a.xml", f'<annotations><image name="a.png">{shape}</image></annotations>'


def coco(**fields):
    annotation = {"image_id": 1, "category_id": 1, **fields}
    lists = {"images": [{"id": 1, "file_name": "a.png"}], "categories": [{"id": 1, "name": "cell"}]}
    return "a.json", json.dumps({**lists, "annotations": [annotation]})


def via(**shape):
    region = {"shape_attributes": shape, "region_attributes": {"class": "cell"}}
    return "a.json", json.dumps({"a": {"filename": "a.png", "regions": [region]}})


def label_studio(**value):
    result = {"original_width": 200, "original_height": 50, "value": {"rectanglelabels": ["cell"], **value}}
    return "a.json", json.dumps([{"data": {"image": "a.png"}, "annotations": [{"result": [result]}]}])


def voc(left, top, right, bottom):
    box = f"<xmin>{left}</xmin><ymin>{top}</ymin><xmax>{right}</xmax><ymax>{bottom}</ymax>"
    thing = f"<object><name>cell</name><bndbox>{box}</bndbox></object>"
    return "a.xml", f"<annotation><filename>a.png</filename>{thing}</annotation>"


def qupath(kind, coordinates):
    feature = {"type": "Feature", "geometry": {"type": kind, "coordinates": coordinates}, "properties": {}}
    return "a.geojson", json.dumps({"type": "FeatureCollection", "features": [feature]})


def nwpu(points, boxes):
    content = {"img_id": "a.png", "human_num": 1, "points": points, "boxes": boxes}
    return "jsons/a.json", json.dumps(content)


def area_roi(kind):
    roi = ImagejRoi.frompoints(np.array([[0, 0]], dtype=np.float32))
    roi.roitype, roi.options = kind, ROI_OPTIONS(0)
    roi.left, roi.top, roi.right, roi.bottom, roi.subpixel_coordinates = 2, 4, 6, 13, None
    return "a.roi", roi.tobytes()


def polygon_roi(dtype):
    return "a.roi", ImagejRoi.frompoints(np.array(TRIANGLE, dtype=dtype)).tobytes()


CSV = "image,x,y,class,size\na.png,5,6,cell,{}\n"
KEYPOINT = [3, 4, 2]


@pytest.mark.parametrize(
    ("file", "size"),
    [
        (("a.csv", CSV.format("12.5")), 12.5),
        (("a.csv", CSV.format("")), None),
        (("a.csv", "image;x;y;Diameter (px)\na.png;1;2;\n"), None),
        (("a.csv", "image;x;y;diameter\na.png;1;2;3,5\n"), 3.5),
        (labelme("rectangle", [[12, 24], [2, 4]]), 15),
        (labelme("circle", [[5, 5], [8, 9]]), 10),
        (labelme("polygon", TRIANGLE), DISC_OF_24),
        (labelme("mask", [[2, 4], [12, 24]]), 15),
        (labelme("point", [[5, 5]]), None),
        (cvat('<box label="c" xtl="2" ytl="4" xbr="12" ybr="24"/>'), 15),
        (cvat('<ellipse label="c" cx="20" cy="20" rx="4" ry="9"/>'), 12),
        (cvat('<polygon label="c" points="2,2;10,2;2,8"/>'), DISC_OF_24),
        (cvat('<mask label="c" left="2" top="4" width="6" height="5" rle="3,20,3,4"/>'), DISC_OF_24),
        (cvat('<mask label="c" left="2" top="4" width="6" height="5" rle="3,20"/>'), 5.5),
        (cvat('<points label="c" points="2,3"/>'), None),
        (cvat('<skeleton label="c"><points points="2,3"/><points points="9,9"/></skeleton>'), None),
        (coco(bbox=[2, 4, 10, 20]), 15),
        (coco(bbox=[2, 4, 10, 20], segmentation=[[0, 0, 1, 0, 1, 1]]), 15),
        (coco(segmentation=[[2, 2, 10, 2, 2, 8]]), DISC_OF_24),
        (coco(bbox=[2, 4, 10, 20], keypoints=KEYPOINT), None),
        (via(name="rect", x=2, y=4, width=10, height=20), 15),
        (via(name="circle", cx=9, cy=9, r=4), 8),
        (via(name="ellipse", cx=9, cy=9, rx=4, ry=9), 12),
        (via(name="polygon", all_points_x=[2, 10, 2], all_points_y=[2, 2, 8]), DISC_OF_24),
        (via(name="point", cx=9, cy=9), None),
        (label_studio(x=10, y=10, width=5, height=40), 15),  # 10 and 20 pixels
        (label_studio(x=10, y=10, width=5, height=40, rotation=30), 15),
        (label_studio(x=50, y=50, radiusX=2, radiusY=18), 12),  # 4 and 9 pixels
        (label_studio(points=[[1, 4], [5, 4], [1, 16]]), DISC_OF_24),
        (label_studio(x=10, y=10, width=0.5), None),  # a key point, drawn so wide
        (voc(3, 5, 12, 24), 15),  # both the first and the last pixel belong to the box
        (qupath("Polygon", [[*TRIANGLE, TRIANGLE[0]]]), DISC_OF_24),
        (qupath("Polygon", [[[0, 0], [6, 0], [6, 6], [0, 6]], [[1, 1], [1, 5], [4, 5], [4, 1]]]), DISC_OF_24),
        (qupath("Point", [3, 4]), None),
        (nwpu([[5, 5]], [[2, 4, 12, 24]]), 15),
        (nwpu([], [[2, 4, 12, 24]]), 15),
        (nwpu([[5, 3]], [[2, 4, 12, 24]]), None),  # the box is not around this head
        (nwpu([[5, 5]], []), None),
        (area_roi(ROI_TYPE.RECT), 6.5),
        (area_roi(ROI_TYPE.OVAL), 6),
        (polygon_roi(np.int32), DISC_OF_24),
        (polygon_roi(np.float32), DISC_OF_24),
        (("a.csv", " ,Area,X,Y\n1,24,5,6\n"), DISC_OF_24),
        (("a.csv", " ,Area,X,Y\n1,0,5,6\n"), None),
    ],
)
def test_each_format_gives_the_size_that_its_shape_has(tmp_path, file, size):
    name, content = file
    Image.fromarray(noise_image(HEIGHT, WIDTH)).save(tmp_path / "a.png")
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    ((click,),) = (clicks.xy for clicks in annotations.recognise(tmp_path).read(tmp_path, None))
    assert click.size == (size if size is None else pytest.approx(size, rel=1e-6))


def test_yolo_measures_in_pixels_of_its_image(tmp_path):
    Image.fromarray(noise_image(HEIGHT, WIDTH)).save(tmp_path / "a.png")
    (tmp_path / "a.txt").write_text("0 0.5 0.5 0.25 0.5\n")
    ((click,),) = (clicks.xy for clicks in annotations.recognise(tmp_path).read(tmp_path, None))
    assert click == (30, 20, "class 0", 17.5)


def save_mask(folder):
    """An image and a mask with a disc of radius 7 and a square of side 6."""
    Image.fromarray(noise_image(HEIGHT, WIDTH)).save(folder / "a.png")
    labels = np.zeros((HEIGHT, WIDTH), dtype=np.uint8)
    rows, cols = np.indices(labels.shape)
    labels[(rows - 20) ** 2 + (cols - 15) ** 2 <= 49] = 9
    labels[5:11, 40:46] = 4
    Image.fromarray(labels).save(folder / "a_mask.png")
    return labels


def test_a_mask_has_as_many_pixels_as_its_disc(tmp_path):
    labels = save_mask(tmp_path)
    ((square, disc),) = (clicks.xy for clicks in annotations.recognise(tmp_path).read(tmp_path, None))
    assert math.pi * (square.size / 2) ** 2 == pytest.approx(36)
    assert math.pi * (disc.size / 2) ** 2 == pytest.approx((labels == 9).sum())
    assert disc.size == pytest.approx(14, abs=0.3)
    assert (math.floor(disc.y), math.floor(disc.x)) == (20, 15)


@pytest.mark.parametrize("text", ["0", "-3", "nan", "wide"])
def test_a_size_in_a_csv_is_a_number_above_0(tmp_path, text):
    (tmp_path / "a.csv").write_text(CSV.format(text))
    with pytest.raises(AnnotationError, match=f"{text}.* as size of line 2"):
        annotations.recognise(tmp_path).read(tmp_path, None)


# Through points.csv to the evaluation


def make_own(folder, rows, header="image,x,y,class,size"):
    """An import of two images; the split `test` draws one of them, so each is made the only image of a split."""
    photos = folder / "photos"
    photos.mkdir()
    for name in ("a.png", "b.png"):
        Image.fromarray(noise_image(HEIGHT, WIDTH)).save(photos / name)
    (photos / "clicks.csv").write_text("\n".join([header, *rows]) + "\n")
    (folder / "splits.csv").write_text("image,split\na.png,train\nb.png,test\n")
    options = ["-o", str(folder / "own"), "--splits", str(folder / "splits.csv")]
    assert import_points.main([str(photos), *options]) == 0
    return folder / "own"


MIXED = ["b.png,10.5,20.5,cell,8", "a.png,1,2,cell,", "b.png,3,4,rim,2.25", "b.png,30,30,cell,5"]


def test_sizes_reach_the_data_set_in_the_order_of_its_clicks(tmp_path, capsys):
    own = make_own(tmp_path, MIXED)
    assert "Sizes     known of 3 points\n" in capsys.readouterr().out
    header, *rows = (own / "points.csv").read_text().splitlines()
    assert header == "image,x,y,class,size"
    assert sorted(rows) == sorted(
        ["a.png,1.0,2.0,cell,", "b.png,10.5,20.5,cell,8.0", "b.png,3.0,4.0,rim,2.25", "b.png,30.0,30.0,cell,5.0"]
    )
    dataset = Points("test", str(own), zoom=2)
    record = dataset.prepared(0)
    assert record.labels.tolist() == [1, 2, 1]
    assert dataset.object_sigmas(0).tolist() == [4, 1.125, 2.5]
    assert np.isnan(Points("train", str(own)).object_sigmas(0)).tolist() == [True]


def test_without_a_size_there_is_no_column(tmp_path):
    own = make_own(tmp_path, ["a.png,1,2,cell", "b.png,3,4,cell"], header="image,x,y,class")
    assert (own / "points.csv").read_text().splitlines()[0] == "image,x,y,class"
    assert Points("test", str(own)).object_sigmas(0) is None


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("0", "line 3: size is 0; expected a diameter in pixels above 0"),
        ("-2", "line 3: size is -2; expected a diameter in pixels above 0"),
        ("big", "line 3: size is 'big'; expected a finite number or nothing"),
        ("inf", "line 3: size is 'inf'; expected a finite number or nothing"),
        ("nan", "line 3: size is 'nan'; expected a finite number or nothing"),
    ],
)
def test_a_wrong_size_is_named_with_its_line(tmp_path, text, words):
    own = make_own(tmp_path, MIXED)
    (own / "points.csv").write_text(f"image,x,y,class,size\nb.png,1,2,cell,\nb.png,3,4,cell,{text}\n")
    with pytest.raises(DataError, match=words):
        Points("test", str(own))


def evaluate_arguments(own, tmp_path):
    points = tmp_path / "points.csv"
    # The first is 4 pixels off, the second 1.2, the third 2.
    points.write_text("image,x,y,class\nb.png,10.5,24.5,cell\nb.png,4.2,4,rim\nb.png,30,28,cell\n")
    options = ["--predictions", points, "--dataset", "points", "-d", own, "--split", "test", "-o", tmp_path / "out"]
    return [*map(str, options), "--sigmas", "object"]


def test_the_reach_of_each_object_is_half_its_size(tmp_path):
    arguments = evaluate_arguments(make_own(tmp_path, MIXED), tmp_path)
    assert evaluate.main(arguments) == 0
    report = json.loads((tmp_path / "out" / "scores_test.json").read_text())
    (row,) = [row for row in report["all"]["sweep"] if row["sigma"] == "object"]
    assert (row["tp"], row["fp"], row["fn"]) == (2, 1, 1)


@pytest.mark.parametrize(
    ("rows", "header", "words"),
    [
        (["b.png,1,2,cell"], "image,x,y,class", "the data has no sizes in b.png"),
        ([*MIXED, "b.png,9,9,cell,"], "image,x,y,class,size", "the data has 1 clicks without a size in b.png"),
    ],
)
def test_the_reach_of_each_object_needs_each_size(tmp_path, capsys, rows, header, words):
    arguments = evaluate_arguments(make_own(tmp_path, [*rows, "a.png" + ",1" * header.count(",")], header), tmp_path)
    capsys.readouterr()
    assert words in mistake(evaluate.main, capsys, arguments)
    assert not (tmp_path / "out").exists()
