import pytest
from helpers_data import labelled_xy
from helpers_formats import cvat_text, put, told

from src import annotations
from src.annotations import cvat
from src.annotations.base import Clicks


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
    path = put(tmp_path / "annotations.xml", text)
    assert annotations.recognise(path) is cvat
    first, second = cvat.read(path, None)
    rims = [(3, 6), (2, 4.5), (7, 8), (4, 6), (2, 3)]
    assert labelled_xy(first) == [(1.5, 2.5, "cell"), (3, 4, "cell"), *((x, y, "rim") for x, y in rims)]
    assert first.dropped == {"shape without a position": 2, "unlabelled": 1}
    assert second == Clicks("b.png", image_size=(3, 4))
    assert first.image == "s/a.png"


def test_cvat_for_video_is_told_apart(tmp_path):
    assert "'CVAT for images 1.1'" in told(put(tmp_path / "a.xml", cvat_text('<track id="0"></track>')))


BOMB = '<!DOCTYPE a [<!ENTITY b "lol"><!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;">]>'

FOREIGN = '<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]>'


@pytest.mark.parametrize("doctype", [BOMB, FOREIGN, '<!DOCTYPE a SYSTEM "http://127.0.0.1/a.dtd">'])
def test_entities_are_refused(tmp_path, doctype):
    text = f'{doctype}<annotations><image name="&b;" width="4" height="3"/></annotations>'
    assert "declares a document type or entities" in told(put(tmp_path / "a.xml", text))


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
    assert words in told(put(tmp_path / "a.xml", text))
