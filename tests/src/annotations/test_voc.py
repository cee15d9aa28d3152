from helpers_data import labelled_xy
from helpers_formats import put

from src.annotations import voc


def test_the_first_pixel_of_voc_is_1_1(tmp_path):
    box = "<bndbox><xmin>1</xmin><ymin>1</ymin><xmax>1</xmax><ymax>3</ymax></bndbox>"
    text = f"<annotation><filename>a.png</filename><object><name>a</name>{box}</object></annotation>"
    assert labelled_xy(voc.read(put(tmp_path / "a.xml", text), None)[0]) == [(0.5, 1.5, "a")]
