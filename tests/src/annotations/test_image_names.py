"""Which image a source means: paths of other machines, moved and renamed images, equal names, hidden files."""

import base64
import io
import zipfile

import numpy as np
import pytest
from helpers_annotations import HEIGHT, WIDTH, points, put, refusal, save_image, table
from roifile import ImagejRoi

from src.annotations.base import AnnotationError, identifier, image_name
from src.annotations.matching import ImageFolder

# One click of class c at (10, 20), in each format that names its images: from the name to a file and its content.


def csv_source(name):
    return "p.csv", table(["image", "x", "y", "class"], [name, 10, 20, "c"])


def labelme_source(name):
    return "a.json", {"shapes": [{"label": "c", "points": [[10, 20]], "shape_type": "point"}], "imagePath": name}


def coco_source(name):
    annotation = {"id": 1, "image_id": 1, "category_id": 1, "bbox": [9, 18, 2, 4]}
    images = [{"id": 1, "file_name": name, "width": WIDTH, "height": HEIGHT}]
    return "c.json", {"images": images, "annotations": [annotation], "categories": [{"id": 1, "name": "c"}]}


def cvat_source(name):
    image = f'<image id="0" name="{name}" width="{WIDTH}" height="{HEIGHT}"><points label="c" points="10,20"/></image>'
    return "annotations.xml", f"<annotations><version>1.1</version>{image}</annotations>"


def via_source(name):
    region = {"shape_attributes": {"name": "point", "cx": 10, "cy": 20}, "region_attributes": {"class": "c"}}
    return "via.json", {"k": {"filename": name, "size": 1, "regions": [region], "file_attributes": {}}}


def label_studio_source(name):
    value = {"x": 10 / WIDTH * 100, "y": 20 / HEIGHT * 100, "keypointlabels": ["c"]}
    result = {"value": value, "original_width": WIDTH, "original_height": HEIGHT, "to_name": "image"}
    return "tasks.json", [{"data": {"image": name}, "annotations": [{"result": [result]}]}]


def voc_source(name):
    box = "<bndbox><xmin>10</xmin><ymin>20</ymin><xmax>11</xmax><ymax>21</ymax></bndbox>"
    return "a.xml", f"<annotation><filename>{name}</filename><object><name>c</name>{box}</object></annotation>"


def dotdotgoose_source(name):
    return "s.pnt", {"classes": ["c"], "points": {name: {"c": [{"x": 10, "y": 20}]}}}


def cell_counter_source(name):
    marker = "<Marker><MarkerX>9.5</MarkerX><MarkerY>19.5</MarkerY><MarkerZ>1</MarkerZ></Marker>"
    named = f"<Image_Properties><Image_Filename>{name}</Image_Filename></Image_Properties>"
    kinds = f"<Marker_Data><Marker_Type><Type>1</Type><Name>c</Name>{marker}</Marker_Type></Marker_Data>"
    return "a.xml", f"<CellCounter_Marker_File>{named}{kinds}</CellCounter_Marker_File>"


def results_source(name):
    return "r.csv", table(["", "Label", "X", "Y", "GroupName"], [1, name, 9.5, 19.5, "c"])


SOURCES = (
    *(csv_source, labelme_source, coco_source, cvat_source, via_source, label_studio_source, voc_source),
    *(dotdotgoose_source, cell_counter_source, results_source),
)
each_source = pytest.mark.parametrize("source_of", SOURCES, ids=lambda source_of: source_of.__name__)


@each_source
@pytest.mark.parametrize(
    "name",
    [
        *("a.jpg", "C:\\Users\\me\\Pictures\\a.jpg", "C:/Users/me/a.jpg", "..\\old\\a.jpg", "../../old/a.jpg"),
        *("/home/me/set/a.jpg", "\\\\server\\share\\a.jpg", "set/../other/a.jpg", "A.JPG", "a.png"),
    ],
)
def test_an_image_is_found_by_the_end_of_its_path(tmp_path, source_of, name):
    save_image(tmp_path / "imgs" / "a.jpg")
    file, content = source_of(name)
    put(tmp_path / "ann" / file, content)
    assert points(tmp_path / "ann", tmp_path / "imgs") == {"a.jpg": [(10, 20, "c")]}


@each_source
def test_hidden_files_are_passed_over(tmp_path, source_of):
    save_image(tmp_path / "a.jpg")
    file, content = source_of("a.jpg")
    put(tmp_path / file, content)
    for hidden in (f"._{file}", f"__MACOSX/._{file}", f"__MACOSX/{file}", f".trash/{file}", f"@eaDir/{file}"):
        put(tmp_path / hidden, b"\0\5\26\7" + b" " * 60)
    put(tmp_path / "._a.jpg", b"\0\5\26\7")
    put(tmp_path / "__MACOSX" / "._a.jpg", b"\0\5\26\7")
    assert points(tmp_path) == {"a.jpg": [(10, 20, "c")]}


def test_hidden_members_of_a_zip_file_are_passed_over(tmp_path):
    save_image(tmp_path / "a.jpg")
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("set/", b"")
        archive.writestr("set/1.roi", ImagejRoi.frompoints(np.array([[3, 4], [5, 4], [5, 8.5]], np.float32)).tobytes())
        archive.writestr("__MACOSX/set/._1.roi", b"\0\5\26\7")
    put(tmp_path / "a.zip", file.getvalue())
    assert points(tmp_path) == {"a.jpg": [(4, 6.25, "object")]}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("day1/a.png", "day1/a.png"),
        ("D:/photos/day1/a.png", "day1/a.png"),
        ("photos/day2/a.png", "day2/a.png"),
        ("day2/c.png", None),  # day1 has one of this name, and day2 is here and has none
        ("x/c.png", "day1/c.png"),
        ("x/day2/sub/c.png", "day1/c.png"),
        ("a.png", "ambiguous"),
    ],
)
def test_another_folder_is_taken_only_if_the_named_one_is_not_here(tmp_path, name, expected):
    for file in ("day1/a.png", "day2/a.png", "day1/c.png"):
        save_image(tmp_path / file)
    folder = ImageFolder(tmp_path, set())
    if expected == "ambiguous":
        with pytest.raises(AnnotationError, match=r"may be day1/a\.png or day2/a\.png"):
            folder.find(name)
    else:
        found = folder.find(name)
        assert (found and folder.name(found)) == expected


def test_the_longest_common_end_decides_also_beyond_the_folder(tmp_path):
    for file in ("set/a.png", "set/deep/a.png"):
        save_image(tmp_path / file)
    folder = ImageFolder(tmp_path / "set", set())
    assert folder.find("E:/old/set/a.png".partition("/")[2]) == tmp_path / "set" / "a.png"
    assert folder.find("old/set/deep/a.png") == tmp_path / "set" / "deep" / "a.png"


@pytest.mark.parametrize("source_of", [labelme_source, voc_source, cell_counter_source])
def test_an_image_that_was_renamed_with_its_file(tmp_path, source_of):
    save_image(tmp_path / "a.jpg")
    file, content = source_of("IMG_0001.jpg")
    put(tmp_path / file, content)
    assert points(tmp_path) == {"a.jpg": [(10, 20, "c")]}
    save_image(tmp_path / "IMG_0001.jpg")
    assert "IMG_0001.jpg" in refusal(tmp_path)
    assert "is itself named after a.jpg" in refusal(tmp_path)


TWICE = {
    "CVAT by task": (
        "a.xml",
        '<annotations><image id="0" name="a.jpg" task_id="1"><points label="c" points="1,2"/></image>'
        '<image id="1" name="a.jpg" task_id="2"><points label="c" points="3,4"/></image></annotations>',
        ("id 0 of task_id 1", "id 1 of task_id 2"),
    ),
    "COCO by id": (
        "c.json",
        {
            "images": [{"id": 3, "file_name": "a.jpg"}, {"id": 4, "file_name": "a.jpg"}],
            "annotations": [{"id": 1, "image_id": 3, "category_id": 1, "bbox": [1, 2, 2, 2]}],
            "categories": [{"id": 1, "name": "c"}],
        },
        ("id 3", "id 4"),
    ),
    "VIA by key": (
        "v.json",
        {key: {"filename": "a.jpg", "size": size, "regions": []} for key, size in (("a.jpg11", 11), ("a.jpg12", 12))},
        ("a.jpg11", "a.jpg12"),
    ),
    "VIA by size": (
        "v.csv",
        table(
            ["filename", "file_size", "region_shape_attributes", "region_attributes"],
            ["a.jpg", 11, '{"name":"point","cx":1,"cy":2}', "{}"],
            ["a.jpg", 12, '{"name":"point","cx":3,"cy":4}', "{}"],
        ),
        ("file_size 11", "file_size 12"),
    ),
    "COCO's equal ids": (
        "c.json",
        {
            "images": [{"id": 3, "file_name": "a.jpg"}, {"id": "3", "file_name": "b.jpg"}],
            "annotations": [],
            "categories": [],
        },
        ("a.jpg", "b.jpg"),
    ),
    "COCO's equal categories": (
        "c.json",
        {"images": [], "annotations": [], "categories": [{"id": 1, "name": "cat"}, {"id": 1.0, "name": "dog"}]},
        ("cat", "dog"),
    ),
    "paths with one end": (
        "p.csv",
        table(["image", "x", "y"], ["C:\\one\\a.jpg", 1, 2], ["C:\\two\\a.jpg", 3, 4]),
        ("one/a.jpg", "two/a.jpg"),
    ),
    "files": ("1.json", labelme_source("a.jpg")[1], ("1.json", "2.json")),
}


@pytest.mark.parametrize("key", TWICE)
def test_two_images_of_one_name_are_refused_with_both_named(tmp_path, key):
    save_image(tmp_path / "a.jpg")
    file, content, both = TWICE[key]
    put(tmp_path / file, content)
    if key == "files":
        put(tmp_path / "2.json", content)
    line = refusal(tmp_path)
    assert all(word in line for word in both), line


@pytest.mark.parametrize("ids", [(1.0, 1, 1), ("1", 1, "1"), (1, "1", 1.0), ("a-b", "a-b", "a-b"), ("01", "01", "01")])
def test_ids_are_the_same_in_any_type(tmp_path, ids):
    save_image(tmp_path / "a.jpg")
    image, annotation, category = ids
    content = {
        "images": [{"id": image, "file_name": "a.jpg"}],
        "annotations": [{"id": 1, "image_id": annotation, "category_id": category, "bbox": [9, 18, 2, 4]}],
        "categories": [{"id": category, "name": "c"}],
    }
    assert points(put(tmp_path / "c.json", content)) == {"a.jpg": [(10, 20, "c")]}


def test_what_is_no_identity():
    assert [identifier(value) for value in (None, True, 1.5, [1], "")] == [None, None, None, None, ""]


def task(data, *names, **more):
    """A task of Label Studio with one click at (10, 20) of each of the named images."""
    value = {"x": 10 / WIDTH * 100, "y": 20 / HEIGHT * 100, "keypointlabels": ["c"]}
    results = [
        {"value": value, "original_width": WIDTH, "original_height": HEIGHT, "to_name": name, **more} for name in names
    ]
    return {"data": data, "annotations": [{"result": results}]}


def test_images_of_one_task_go_by_their_names(tmp_path):
    for name in ("a.png", "b.png"):
        save_image(tmp_path / name)
    data = {"image": "/data/local-files/?d=a.png", "image2": "/data/local-files/?d=b.png"}
    source = put(tmp_path / "e.json", [task(data, "image", "image2")])
    assert points(source) == {"a.png": [(10, 20, "c")], "b.png": [(10, 20, "c")]}
    put(source, [task(data, "image")])  # no result of the file is on the other one
    assert list(points(source)) == ["a.png"]
    put(source, [task(data, "photo")])
    assert "a task with 2 images (image, image2)" in refusal(source)
    put(source, [task({"photo": "a.png"}, "whatever it is called")])
    assert list(points(source)) == ["a.png"]


def test_images_of_a_list_go_by_their_number(tmp_path):
    for name in ("a.png", "b.png"):
        save_image(tmp_path / name)
    data = {"pages": ["a.png", "b.png"]}
    source = put(tmp_path / "e.json", [task(data, "pages", item_index=1)])
    assert points(source) == {"a.png": [], "b.png": [(10, 20, "c")]}
    put(source, [task(data, "pages")])
    assert "a task with 2 images" in refusal(source)


@pytest.mark.parametrize(
    "address",
    [
        "/tasks/1643/presign/?fileuri=" + base64.b64encode(b"s3://bucket/set/my photo (1).png").decode(),
        "/projects/2/resolve/?fileuri="
        + base64.urlsafe_b64encode(b"gs://bucket/my photo (1).png").decode().rstrip("="),
        "https://bucket.s3.amazonaws.com/set/my%20photo%20(1).png?X-Amz-Signature=1a2b.jpg",
        "azure-blob://container/my photo (1).png",
        "/data/local-files/?d=set/my%20photo%20(1).png",
        "/data/upload/7/1a2b3c4d-my_photo_1.png",
        "upload/7/1a2b3c4d-my_photo_1.png",
        "http://localhost:8080/data/upload/7/1a2b3c4d-my_photo_1.png",
    ],
)
@pytest.mark.parametrize("key", ["image", "img"])
def test_addresses_of_label_studio(tmp_path, address, key):
    save_image(tmp_path / "my photo (1).png")
    source = put(tmp_path / "e.json", [task({key: address}, "image")])
    assert points(source) == {"my photo (1).png": [(10, 20, "c")]}


@pytest.mark.parametrize("kind", ["czi", "jp2"])
def test_an_image_of_a_kind_that_is_not_read_is_named(tmp_path, kind):
    put(tmp_path / f"a.{kind}", b"x")
    save_image(tmp_path / "b.jpg")
    for name in (f"a.{kind}", "a", "a.png"):
        source = put(tmp_path / "p.csv", table(["image", "x", "y"], [name, 10, 20], ["b.jpg", 1, 2]))
        assert f"as a.{kind}, and {kind.upper()} is not read: convert it" in refusal(source)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a/b.png", "a/b.png"),
        ("./a//b.png", "a/b.png"),
        ("a\\b.png", "a/b.png"),
        ("../../b.png", "b.png"),
        ("a/../b.png", "b.png"),
        ("file:///C:/a/b.png", "a/b.png"),
        ("https://host/a/b%20c.png?x=1#y", "a/b c.png"),
    ],
)
def test_a_name_is_a_path_that_leads_nowhere_by_itself(tmp_path, name, expected):
    assert image_name(name, tmp_path) == expected
