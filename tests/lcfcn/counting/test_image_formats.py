from pathlib import Path

from pydicom.data import get_testdata_file

from lcfcn.counting.image_formats import kind_of, kind_of_file


def test_formats_are_known_by_their_beginning(tmp_path):
    def box(major, *others):
        body = b"ftyp" + major + b"\0\0\0\0" + b"".join(others)
        return (len(body) + 4).to_bytes(4, "big") + body + bytes(200)

    assert kind_of(box(b"avif", b"mif1", b"miaf")) == "AVIF"
    assert kind_of(box(b"mif1", b"avif")) == "AVIF"
    assert kind_of(box(b"heic", b"mif1")) == "HEIF"
    assert kind_of(box(b"mif1", b"heic")) == "HEIF"
    assert kind_of(box(b"isom", b"mp42")) is None
    for name in ("rtplan.dcm", "MR_small.dcm", "ExplVR_LitEndNoMeta.dcm", "ExplVR_BigEndNoMeta.dcm"):
        assert kind_of_file(Path(get_testdata_file(name, download=False))) == "DICOM"
    for text in (
        b"",
        b"BM",
        b"BMI;age\n" + b"22;40\n" * 40,
        b"x,y\n1,2\n" * 40,
        bytes(200),
        b"\2\0\0\0" * 50,
        b"\x08\0" * 99,
    ):
        assert kind_of(text[:132]) is None
    assert kind_of_file(tmp_path / "missing") is None
