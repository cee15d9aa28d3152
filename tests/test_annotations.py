"""The readers of annotations: what they give of good files, and what they say of broken and hostile ones."""

import json
from collections import Counter
from types import SimpleNamespace

import numpy as np
import pytest
from helpers_data import labelled_xy
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from PIL import Image

from lcfcn.errors import one_line
from src import annotations
from src.annotations import base, coco, csv_points, cvat, dots, labelme
from src.annotations.base import AnnotationError, Click, Clicks


def written(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def told(source, images=None):
    """The one line that a source is refused with."""
    with pytest.raises(AnnotationError) as caught:
        annotations.recognise(source).read(source, images)
    message = str(caught.value)
    assert one_line(caught.value) == message
    return message


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


CSV_TEXT = "image,x,y,class\na.png,1.5,2.5,cell\na.png,3,4,rim\nb.png,,,\n"
CSV_CLICKS = [Clicks("a.png", [Click(1.5, 2.5, "cell"), Click(3, 4, "rim")]), Clicks("b.png")]


@pytest.mark.parametrize(
    "text",
    [
        CSV_TEXT,
        "\ufeff" + CSV_TEXT,
        CSV_TEXT.replace("\n", "\r\n"),
        CSV_TEXT.encode("utf-16"),
        CSV_TEXT.replace(",", ";").replace(".5", ",5"),
        CSV_TEXT.replace(",", "\t"),
        '\n"Label", Y ,"File Name",id,X\ncell,2.5,"a.png",9,1.5\n\nrim,4,a.png,8,3\n,,b.png,,\n',
        "filename,centre_x,centre-y,class_name\na.png,1.5,2.5,cell\na.png,3.0e0,+4,rim\nb.png\n",
    ],
)
def test_csv_in_its_spellings(tmp_path, text):
    path = written(tmp_path / "clicks.csv", text)
    assert annotations.recognise(path) is csv_points
    assert csv_points.read(path, None) == CSV_CLICKS
    assert csv_points.read(tmp_path, None) == CSV_CLICKS


def test_csv_without_a_class_and_with_an_empty_one(tmp_path):
    path = written(tmp_path / "a.csv", "image,x,y\na.png,1,2\n")
    assert csv_points.read(path, None) == [Clicks("a.png", [Click(1, 2, "object")])]
    path = written(tmp_path / "a.csv", "image,x,y,class\na.png,1,2,\n")
    assert csv_points.read(path, None) == [Clicks("a.png", dropped=Counter({"unlabelled": 1}))]


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ("a.png,nan,2,cell", "'nan' as x of line 2; expected a finite number"),
        ("a.png,1,inf,cell", "'inf' as y of line 2"),
        ("a.png,1,1e999,cell", "'1e999' as y of line 2"),
        ("a.png,1,2,cell\na.png,1,,cell", "'' as y of line 3"),
        ("a.png,left,2,cell", "'left' as x of line 2"),
        ("a, b.png,1,2,cell", "line 2: 'cell' is beyond the header"),
        (".,1,2,cell", "expected a file name"),
        ("..,1,2,cell", "expected a file name"),
        ("C:\\,1,2,cell", "expected a file name"),
        ('"a\nb.png",1,2,cell', "not a file name"),
        (f"{'a' * 2000}.png,1,2,cell", "not a file name"),
        (",1,2,cell", "expected a file name"),
        ('"a.png,1,2,cell', "line 2, is not CSV"),
        (f"a.png,1,2,{'c' * 200_000}", "line 2, is not CSV"),
    ],
)
def test_csv_refuses(tmp_path, rows, words):
    message = told(written(tmp_path / "a.csv", f"image,x,y,class\n{rows}\n"))
    assert words in message
    assert "a.csv" in message
    assert len(message) < 400


def test_a_negative_coordinate_is_a_number(tmp_path):
    path = written(tmp_path / "a.csv", "image,x,y\na.png,-1,2\n")
    assert labelled_xy(csv_points.read(path, None)[0]) == [(-1, 2, "object")]


def test_encodings_that_are_none_are_told(tmp_path):
    path = written(tmp_path / "a.csv", "image,x,y\na.png,1,2\nZürich.png,1,2\n".encode("latin-1"))
    assert told(path) == f"{path} is not utf-8 text (line 3): save it as UTF-8"
    path = written(tmp_path / "a.csv", b"image,x,y\na.png,1,2\n\0")
    assert "zero bytes" in told(path)
    path = written(tmp_path / "a.csv", "image,x,y\na.png,1,2\n".encode("utf-16")[:-1])
    assert "not utf-16 text" in told(path)


def test_too_much_is_refused_before_it_is_read(tmp_path, monkeypatch):
    rows = "".join(f"a.png,{i % 100},{i // 100},cell\n" for i in range(10_001))
    path = written(tmp_path / "a.csv", "image,x,y,class\n" + rows + "a.png,nan,1,cell\n")
    monkeypatch.setattr(base, "MAX_OBJECTS", 10_000)
    assert told(path) == f"{path} has more than 10,000 objects: split it, and import the parts"
    monkeypatch.setattr(base, "MAX_OBJECTS", 10_002)
    assert "'nan' as x" in told(path)  # as many as may be are read
    monkeypatch.setattr(base, "MAX_BYTES", 1000)
    assert "expected at most 1,000: split it" in told(path)


@pytest.mark.parametrize(
    ("kind", "points", "expected"),
    [
        ("point", [[3, 4.25]], (3, 4.25)),
        ("rectangle", [[1, 2], [5, 10]], (3, 6)),
        ("rectangle", [[5, 10], [1, 2]], (3, 6)),
        ("polygon", [[0, 0], [4, 0], [4, 1], [0, 9]], (2, 4.5)),
        ("circle", [[5, 6], [5, 9]], (5, 6)),
        ("mask", [[2, 2], [4, 4]], (3, 3)),
        ("point", [[1, 2], [3, 4]], None),
        ("linestrip", [[0, 0], [4, 0]], None),
        ("line", [[0, 0], [4, 0]], None),
        ("polygon", [], None),
    ],
)
def test_where_a_labelme_shape_is(tmp_path, kind, points, expected):
    path = written(tmp_path / "a.json", labelme_text([shape(kind, points)], imageHeight=30, imageWidth=40))
    [clicks] = labelme.read(path, None)
    assert clicks.image_size == (30, 40)
    assert labelled_xy(clicks) == ([(*expected, "cell")] if expected else [])
    assert clicks.dropped == ({} if expected else {"shape without a position": 1})


def test_labelme_names_images_by_the_folder_of_images_before_its_own(tmp_path):
    path = written(tmp_path / "a.json", labelme_text([], imagePath="photos/day/a.jpg"))
    assert [clicks.image for clicks in labelme.read(path, tmp_path / "photos")] == ["day/a.jpg"]
    assert [clicks.image for clicks in labelme.read(path, None)] == ["photos/day/a.jpg"]


def test_labelme_names_images_relative_to_its_files(tmp_path):
    written(tmp_path / "notes" / "day 1" / "a.json", labelme_text([], "a.png"))
    written(tmp_path / "notes" / "b.json", labelme_text([], "..\\photos\\b.png"))
    found = labelme.read(tmp_path / "notes", tmp_path / "photos")
    assert [clicks.image for clicks in found] == ["b.png", "day 1/a.png"]
    assert [c.image for c in labelme.read(tmp_path / "notes" / "day 1", None)] == ["a.png"]


@pytest.mark.parametrize("image", ["", None, 3, "a\0.png", "\ud800", ".."])
def test_labelme_names_a_file(tmp_path, image):
    (tmp_path / "photos").mkdir()
    path = written(tmp_path / "notes" / "a.json", labelme_text([], image))
    assert "a.json names" in told(path, tmp_path / "photos")


@pytest.mark.parametrize("image", ["../../../etc/passwd", "/etc/passwd", "C:\\etc\\passwd", "file:///etc/passwd"])
def test_labelme_never_leaves_its_folders(tmp_path, image):
    (tmp_path / "photos").mkdir()
    path = written(tmp_path / "notes" / "a.json", labelme_text([], image))
    assert [clicks.image for clicks in labelme.read(path, tmp_path / "photos")] == ["etc/passwd"]


def test_a_damaged_file_among_good_ones_is_no_unannotated_image(tmp_path):
    written(tmp_path / "a.json", labelme_text([shape("point", [[1, 2]])]))
    written(tmp_path / "b.json", labelme_text([], "b.png")[:40])
    assert "b.json is of another format than the rest" in told(tmp_path)


def test_two_files_of_one_image_are_refused(tmp_path):
    for name in ("a.json", "b.json"):
        written(tmp_path / name, labelme_text([shape("point", [[1, 2]])]))
    assert "both annotate a.png" in told(tmp_path)


def test_cvat_points_hold_many_objects_and_others_one(tmp_path):
    shapes = """
      <points label="cell" points="1.5,2.5;3,4" occluded="1" z_order="0"><attribute name="a">b</attribute></points>
      <box label="rim" xtl="1" ytl="2" xbr="5" ybr="10"/>
      <polygon label="rim" points="0,0;4,0;4,1;0,9"/>
      <ellipse label="rim" cx="7" cy="8" rx="1" ry="2"/>
      <mask label="rim" rle="1" left="2" top="3" width="4" height="6"/>
      <skeleton label="rim"><points label="1" points="1,1" outside="0"/><points label="2" points="3,5" outside="0"/>
        <points label="3" points="90,90" outside="1"/></skeleton>
      <polyline label="rim" points="0,0;4,0"/>
      <cuboid label="rim" xtl1="1"/>
      <points points="8,8"/>
      <tag label="blurred"/>"""
    text = cvat_text(
        f'<image id="0" name="s/a.png" width="40" height="30">{shapes}</image>'
        '<image id="1" name="b.png" width="4" height="3"></image>'
    )
    path = written(tmp_path / "annotations.xml", text)
    assert annotations.recognise(path) is cvat
    first, second = cvat.read(path, None)
    rims = [(3, 6), (2, 4.5), (7, 8), (4, 6), (2, 3)]
    assert labelled_xy(first) == [(1.5, 2.5, "cell"), (3, 4, "cell"), *((x, y, "rim") for x, y in rims)]
    assert first.dropped == {"shape without a position": 2, "unlabelled": 1}
    assert second == Clicks("b.png", image_size=(3, 4))
    assert first.image == "s/a.png"


def test_cvat_for_video_is_told_apart(tmp_path):
    assert "'CVAT for images 1.1'" in told(written(tmp_path / "a.xml", cvat_text('<track id="0"></track>')))


BOMB = '<!DOCTYPE a [<!ENTITY b "lol"><!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;">]>'
FOREIGN = '<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]>'


@pytest.mark.parametrize("doctype", [BOMB, FOREIGN, '<!DOCTYPE a SYSTEM "http://127.0.0.1/a.dtd">'])
def test_entities_are_refused(tmp_path, doctype):
    text = f'{doctype}<annotations><image name="&b;" width="4" height="3"/></annotations>'
    assert "declares a document type or entities" in told(written(tmp_path / "a.xml", text))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (cvat_text('<image name="../"/>'), "expected a file name"),
        (cvat_text("<image/>"), "names an image None"),
        (cvat_text('<image name="a.png"><points label="c" points="1,nan"/></image>'), "'nan' as y of a points"),
        (cvat_text('<image name="a.png"><points label="c" points="1;2"/></image>'), "'' as y of a points"),
        (cvat_text('<image name="a.png"><box label="c" xtl="1"/></image>'), "None as ytl of a box"),
        (cvat_text("<image")[:60], "is not XML"),
        ('<?xml version="1.0" encoding="klingon"?><annotations></annotations>', "is not XML"),
    ],
)
def test_cvat_refuses(tmp_path, text, words):
    assert words in told(written(tmp_path / "a.xml", text))


POSE = {"id": 1, "name": "cell", "keypoints": ["head", "tail"]}
HEAD = {"id": 1, "name": "cell", "keypoints": ["head"]}


@pytest.mark.parametrize(
    ("category", "fields", "expected", "dropped"),
    [
        (HEAD, {"keypoints": [3, 4, 2], "bbox": [0, 0, 10, 10]}, [(3, 4)], {}),
        (HEAD, {"keypoints": [3, 4, 1, 0, 0, 0, 5, 6, 2]}, [(3, 4), (5, 6)], {"hidden": 1}),
        ({"id": 1, "name": "cell"}, {"keypoints": [3, 4, 1, 5, 6, 2]}, [(3, 4), (5, 6)], {}),
        (HEAD, {"keypoints": [0, 0, 0], "bbox": [2, 4, 10, 20]}, [(7, 14)], {}),
        (POSE, {"keypoints": [3, 4, 2, 5, 8, 2], "bbox": [2, 4, 10, 20]}, [(7, 14)], {}),
        (POSE, {"keypoints": [3, 4, 2, 5, 8, 2]}, [(4, 6)], {}),
        (HEAD, {"bbox": [2, 4, 10, 20]}, [(7, 14)], {}),
        (HEAD, {"bbox": [2, 4, 10, 20], "segmentation": [[0, 0, 1, 1]]}, [(7, 14)], {}),
        (HEAD, {"segmentation": [[0, 0, 2, 2], [4, 4, 1, 1]]}, [(2, 2)], {}),
        (HEAD, {"segmentation": {"counts": "abc", "size": [30, 40]}}, [], {"shape without a position": 1}),
        (HEAD, {"keypoints": [0, 0, 0]}, [], {"hidden": 1}),
        (HEAD, {"bbox": [2, 4, 10, 20], "iscrowd": 1}, [], {"crowd without single positions": 1}),
        (HEAD, {"bbox": [2, 4, 10, 20], "category_id": None}, [], {"unlabelled": 1}),
    ],
)
def test_where_a_coco_object_is(tmp_path, category, fields, expected, dropped):
    path = written(tmp_path / "a.json", coco_text([coco_object(**fields)], [category]))
    assert annotations.recognise(path) is coco
    [clicks] = coco.read(path, None)
    assert labelled_xy(clicks) == [(x, y, "cell") for x, y in expected]
    assert (clicks.image, clicks.image_size, clicks.dropped) == ("a.png", (30, 40), Counter(dropped))


@pytest.mark.parametrize(
    ("annotation", "words"),
    [
        (coco_object(image_id=8), "image_id 8 is not listed"),
        (coco_object(image_id=[]), "without image_id"),
        (coco_object(category_id=2), "category_id 2 is not listed"),
        (coco_object(bbox=[1, 2, 3]), "bbox that are not a list of 4 numbers each"),
        (coco_object(bbox=[1, 2, 3, float("nan")]), "nan as bbox"),
        (coco_object(bbox=[1, 2, 3, "1e999"]), "'1e999' as bbox"),
        (coco_object(bbox=[1, 2, 3, 10**400]), "as bbox; expected a finite number"),
        (coco_object(keypoints=[1, 2]), "keypoints that are not a list of 3"),
        (coco_object(keypoints=[True, 2, 2]), "True as keypoints"),
        (7, "annotations is a list; expected a list of objects"),
    ],
)
def test_coco_refuses(tmp_path, annotation, words):
    assert words in told(written(tmp_path / "a.json", coco_text([annotation])))


def test_the_name_of_a_class_is_printable(tmp_path):
    names = {" red \u0000\n cell\ud800": "red cell", 7: "7", "": None, "\u0007": None, None: None}
    shapes = [shape("point", [[1, 2]], label=name) for name in names]
    [clicks] = labelme.read(written(tmp_path / "a.json", labelme_text(shapes)), None)
    assert [name for *_, name in labelled_xy(clicks)] == list(filter(None, names.values()))
    assert clicks.dropped == {"unlabelled": 3}


def test_json_that_is_none_is_told(tmp_path):
    keys = '"images": 1, "annotations": 1, "categories": 1'
    assert "is not JSON" in told(written(tmp_path / "a.json", "{" + keys))
    assert "too deeply" in told(written(tmp_path / "a.json", "{" + keys + ', "a": ' + "[" * 100_000))
    assert "is not JSON" in told(written(tmp_path / "a.json", "{" + keys + ', "a": ' + "1" * 5000 + "}"))
    assert "images is 1" in told(written(tmp_path / "a.json", "{" + keys + ', "annotations": [], "categories": []}'))


def save_dots(path, pixels, shape=(20, 30), disc=False):
    """A black picture with red pixels at (row, col), or 3 x 3 squares."""
    picture = np.zeros((*shape, 3), np.uint8)
    for row, col in pixels:
        picture[(slice(row - 1, row + 2), slice(col - 1, col + 2)) if disc else (row, col)] = (255, 0, 0)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(picture).save(path)


def test_single_red_pixels_are_dots_also_where_two_touch(tmp_path):
    save_dots(tmp_path / "001dots.png", [(0, 0), (5, 7), (5, 8), (19, 29)])
    save_dots(tmp_path / "001cell.png", [])
    save_dots(tmp_path / "s" / "é dots.png", [])
    Image.new("RGB", (30, 20), (200, 0, 0)).save(tmp_path / "s" / "é .jpg")
    assert annotations.recognise(tmp_path) is dots
    first, second = dots.read(tmp_path, None)
    assert first.image == "001cell.png"
    assert labelled_xy(first) == [(x, y, "object") for x, y in [(0.5, 0.5), (7.5, 5.5), (8.5, 5.5), (29.5, 19.5)]]
    assert second == Clicks("s/é .jpg", image_size=(20, 30))


def test_drawn_dots_are_one_each(tmp_path):
    save_dots(tmp_path / "adots.png", [(3, 4), (10, 20)], disc=True)
    save_dots(tmp_path / "a.png", [])
    assert labelled_xy(dots.read(tmp_path, None)[0]) == [(4.5, 3.5, "object"), (20.5, 10.5, "object")]


def test_what_is_not_red_is_no_dot(tmp_path):
    picture = np.zeros((1, 6, 3), np.uint8)
    picture[0] = [(255, 255, 255), (127, 0, 0), (128, 127, 127), (255, 128, 0), (255, 0, 128), (0, 0, 0)]
    Image.fromarray(picture).save(tmp_path / "adots.png")
    save_dots(tmp_path / "a.png", [])
    assert labelled_xy(dots.read(tmp_path, None)[0]) == [(2.5, 0.5, "object")]


def test_a_dot_image_needs_one_image(tmp_path):
    for name in ("adots.png", "acell.png", "bdots.png"):
        save_dots(tmp_path / name, [(1, 1)])
    assert "bdots.png needs one image of its name beside it, and there is none" in told(tmp_path)
    save_dots(tmp_path / "b.png", [])
    save_dots(tmp_path / "bcell.png", [])
    assert "there is bcell.png and b.png" in told(tmp_path)


def test_a_source_is_of_one_known_format(tmp_path):
    with pytest.raises(AnnotationError, match="there is no .*nowhere"):
        annotations.recognise(tmp_path / "nowhere")
    with pytest.raises(AnnotationError, match="CSV of points.*labelme JSON.*CVAT.*COCO JSON.*dot images"):
        annotations.recognise(tmp_path)
    written(tmp_path / "a.csv", CSV_TEXT)
    written(tmp_path / "a.json", labelme_text([]))
    with pytest.raises(AnnotationError, match=r"several formats \(CSV of points.* and labelme JSON\)"):
        annotations.recognise(tmp_path)


def test_recognition_never_raises(tmp_path):
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    written(tmp_path / "a.csv", "")
    written(tmp_path / "b.csv", "\n\n")
    written(tmp_path / "c.json", b"\xff\xfe{")
    written(tmp_path / "d.xml", b"")
    for module in annotations.FORMATS:
        for path in (tmp_path, tmp_path / "loop", tmp_path / "nowhere", *sorted(tmp_path.iterdir())):
            assert module.recognises(path) is False


@pytest.mark.parametrize("name", ["a.csv", "a.json", "a.xml"])
def test_an_empty_file_is_of_no_format(tmp_path, name):
    assert "no annotations of a known format" in told(written(tmp_path / name, ""))


# Fuzzing: whatever the bytes, a reader gives clicks or one line.

VALID = {
    csv_points: (".csv", CSV_TEXT.encode()),
    labelme: (".json", labelme_text([shape("circle", [[1, 2], [3, 4]])], imageHeight=3, imageWidth=4).encode()),
    cvat: (
        ".xml",
        cvat_text(
            '<image name="a.png" width="4" height="3"><points label="c" points="1,2;3,4"/>'
            '<mask label="c" left="1" top="2" width="3" height="4"/></image>'
        ).encode(),
    ),
    coco: (".json", coco_text([coco_object(keypoints=[1, 2, 2], bbox=[1, 2, 3, 4])], [HEAD]).encode()),
}
FUZZ = settings(
    max_examples=120,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


def give_clicks_or_one_line(module, path, data):
    path.write_bytes(data)
    assert isinstance(module.recognises(path), bool)
    found, message = [], None
    try:
        found = module.read(path, path.parent / "photos")
    except AnnotationError as error:
        message = str(error)
    if message is not None:
        assert " ".join(message.split()) == message
        assert str(path) in message
        assert len(message) < 600
    for clicks in found:
        assert clicks.image
        assert not clicks.image.startswith("/")
        assert ".." not in clicks.image.split("/")
        assert all(np.isfinite((x, y)).all() and name for x, y, name in labelled_xy(clicks))
        assert all(number > 0 for number in clicks.dropped.values())
    assert len({clicks.image for clicks in found}) == len(found)


@st.composite
def mutations(draw, data):
    """Valid bytes with some pieces cut out, doubled, or replaced by what tends to hurt."""
    hurting = [b"", b"\0", b"\xff", b"nan", b"1e999", b"-1", b'"', b"[", b"{}", b"null", b"true", b"<", b"&a;", b"\n"]
    hurting += [b",", b"..", b"/", b"\\ud800", b"[[[]]]", b"9" * 400]
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(data)))
        stop = draw(st.integers(start, min(len(data), start + 12)))
        middle = draw(st.sampled_from(hurting) | st.binary(max_size=6) | st.just(data[start:stop] * 2))
        data = data[:start] + middle + data[stop:]
    return data


@pytest.mark.parametrize("module", VALID, ids=lambda module: module.__name__.split(".")[-1])
@FUZZ
@given(data=st.data())
def test_mutated_files_give_clicks_or_one_line(module, tmp_path, data):
    suffix, valid = VALID[module]
    give_clicks_or_one_line(module, tmp_path / f"a{suffix}", data.draw(mutations(valid)))


@pytest.mark.parametrize("module", VALID, ids=lambda module: module.__name__.split(".")[-1])
@FUZZ
@given(data=st.binary(max_size=200))
@example(data=b"")
def test_arbitrary_bytes_give_one_line(module, tmp_path, data):
    give_clicks_or_one_line(module, tmp_path / f"a{VALID[module][0]}", data)


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)


@FUZZ
@given(data=st.data())
def test_json_of_any_structure_gives_clicks_or_one_line(tmp_path, data):
    module = data.draw(st.sampled_from([labelme, coco]))
    tree = json.loads(VALID[module][1])
    for _ in range(data.draw(st.integers(1, 3))):
        node = SimpleNamespace(parent=None, key=None, value=tree)
        while isinstance(node.value, dict | list) and node.value and (node.parent is None or data.draw(st.booleans())):
            keys = sorted(node.value) if isinstance(node.value, dict) else range(len(node.value))
            key = data.draw(st.sampled_from(list(keys)))
            node = SimpleNamespace(parent=node.value, key=key, value=node.value[key])
        if node.parent is not None:
            node.parent[node.key] = data.draw(JSON_VALUES)
    give_clicks_or_one_line(module, tmp_path / "a.json", json.dumps(tree).encode())
