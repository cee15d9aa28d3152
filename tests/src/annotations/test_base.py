"""What all readers of annotations share: limits, encodings, names of classes, JSON."""

from helpers_data import labelled_xy
from helpers_formats import labelme_text, put, shape, told

from src.annotations import base, labelme


def test_encodings_that_are_none_are_told(tmp_path):
    path = put(tmp_path / "a.csv", "image,x,y\na.png,1,2\nZürich.png,1,2\n".encode("latin-1"))
    assert told(path) == f"{path} is not utf-8 text (line 3): save it as UTF-8"
    path = put(tmp_path / "a.csv", b"image,x,y\na.png,1,2\n\0")
    assert "zero bytes" in told(path)
    path = put(tmp_path / "a.csv", "image,x,y\na.png,1,2\n".encode("utf-16")[:-1])
    assert "not utf-16 text" in told(path)


def test_too_much_is_refused_before_it_is_read(tmp_path, monkeypatch):
    rows = "".join(f"a.png,{i % 100},{i // 100},cell\n" for i in range(10_001))
    path = put(tmp_path / "a.csv", "image,x,y,class\n" + rows + "a.png,nan,1,cell\n")
    monkeypatch.setattr(base, "MAX_OBJECTS", 10_000)
    assert told(path) == f"{path} has more than 10,000 objects: split it, and import the parts"
    monkeypatch.setattr(base, "MAX_OBJECTS", 10_002)
    assert "'nan' as x" in told(path)  # as many as may be are read
    monkeypatch.setattr(base, "MAX_BYTES", 1000)
    assert "expected at most 1,000: split it" in told(path)


def test_the_name_of_a_class_is_printable(tmp_path):
    names = {" red \u0000\n cell\ud800": "red cell", 7: "7", "": None, "\u0007": None, None: None}
    shapes = [shape("point", [[1, 2]], label=name) for name in names]
    [clicks] = labelme.read(put(tmp_path / "a.json", labelme_text(shapes)), None)
    assert [name for *_, name in labelled_xy(clicks)] == list(filter(None, names.values()))
    assert clicks.dropped == {"unlabelled": 3}


def test_json_that_is_none_is_told(tmp_path):
    keys = '"images": 1, "annotations": 1, "categories": 1'
    assert "is not JSON" in told(put(tmp_path / "a.json", "{" + keys))
    assert "too deeply" in told(put(tmp_path / "a.json", "{" + keys + ', "a": ' + "[" * 100_000))
    assert "is not JSON" in told(put(tmp_path / "a.json", "{" + keys + ', "a": ' + "1" * 5000 + "}"))
    assert "images is 1" in told(put(tmp_path / "a.json", "{" + keys + ', "annotations": [], "categories": []}'))
