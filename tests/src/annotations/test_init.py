"""One annotation set in each format and read back, and which format claims which files."""

from pathlib import Path

import numpy as np
import pytest
from helpers_data import labelled_xy
from helpers_formats import (
    CLASSES,
    CSV_TEXT,
    HEIGHT,
    TRUTH,
    WIDTH,
    WRITERS,
    labelme_text,
    put,
    told,
    write_coco,
    write_csv_points,
    write_cvat,
    write_dots,
    write_labelme,
    write_masks_in_folder,
    write_results,
)

from src import annotations
from src.annotations import (
    FORMATS,
    coco,
    csv_points,
    cvat,
    dots,
    imagej,
    label_studio,
    labelme,
    masks,
    napari,
    nwpu,
    qupath,
    recognise,
    shanghaitech,
    via,
    voc,
    yolo,
)
from src.annotations.base import AnnotationError
from src.annotations.matching import ImageFolder, match

NEW = (via, label_studio, yolo, voc, imagej, napari, qupath, shanghaitech, nwpu, masks)

OTHERS = {write_csv_points: csv_points, write_labelme: labelme, write_cvat: cvat, write_coco: coco, write_dots: dots}


def found_by(module, source, images=None):
    """Sorted clicks by file name, through the search for the image files."""
    root = images or (source if source.is_dir() else source.parent)
    is_annotation = getattr(module, "is_annotation", lambda path: False)
    folder = ImageFolder(root, {path for path in root.rglob("*") if is_annotation(path)})
    clicks_list = module.read(source, images)
    for clicks in clicks_list:
        assert clicks.image_size in (None, (HEIGHT, WIDTH))
        assert not clicks.dropped
    return {file.name: sorted(labelled_xy(clicks)) for file, clicks in match(clicks_list, folder)}


def expected_of(writer):
    module = WRITERS[writer]
    label_of = {
        imagej: {CLASSES[0]: "group 1", CLASSES[1]: "group 2"},
        shanghaitech: dict.fromkeys(CLASSES, "person"),
        nwpu: dict.fromkeys(CLASSES, "person"),
        masks: dict.fromkeys(CLASSES, "object"),
    }.get(module if writer is not write_results else None, {})
    names = [name for name in TRUTH if writer is not write_masks_in_folder or "/" not in name]
    return {
        Path(name).name: sorted((x, y, label_of.get(label, label)) for x, y, label in TRUTH[name]) for name in names
    }


@pytest.mark.parametrize("writer", WRITERS, ids=lambda writer: writer.__name__)
def test_the_same_set_is_read_from_each_format(writer, tmp_path):
    found = found_by(WRITERS[writer], writer(tmp_path / "set"))
    expected = expected_of(writer)
    assert {name: [click[2] for click in clicks] for name, clicks in found.items()} == {
        name: [click[2] for click in clicks] for name, clicks in expected.items()
    }
    for name, clicks in expected.items():
        assert np.allclose([c[:2] for c in found[name]], [c[:2] for c in clicks], rtol=0, atol=1e-9)


@pytest.mark.parametrize("writer", [*WRITERS, *OTHERS], ids=lambda writer: writer.__name__)
def test_each_format_claims_its_own_files_alone(writer, tmp_path):
    source = writer(tmp_path / "set")
    own = WRITERS.get(writer) or OTHERS[writer]
    assert recognise(source) is own
    assert recognise(source if source.is_dir() else source.parent) is own
    assert own in FORMATS


def test_no_new_format_claims_real_data(shared):
    for folder, owner in (("ShanghaiTech", shanghaitech), ("trancos_layout", None), ("vgg_cells", None)):
        fitting = [module for module in NEW if module.recognises(shared / "data" / folder)]
        assert fitting == ([owner] if owner else [])


def test_a_source_is_of_one_known_format(tmp_path):
    with pytest.raises(AnnotationError, match="there is no .*nowhere"):
        annotations.recognise(tmp_path / "nowhere")
    with pytest.raises(AnnotationError, match="CSV of points.*labelme JSON.*CVAT.*COCO JSON.*dot images"):
        annotations.recognise(tmp_path)
    put(tmp_path / "a.csv", CSV_TEXT)
    put(tmp_path / "a.json", labelme_text([]))
    with pytest.raises(AnnotationError, match=r"several formats \(CSV of points.* and labelme JSON\)"):
        annotations.recognise(tmp_path)


def test_recognition_never_raises(tmp_path):
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    put(tmp_path / "a.csv", "")
    put(tmp_path / "b.csv", "\n\n")
    put(tmp_path / "c.json", b"\xff\xfe{")
    put(tmp_path / "d.xml", b"")
    for module in annotations.FORMATS:
        for path in (tmp_path, tmp_path / "loop", tmp_path / "nowhere", *sorted(tmp_path.iterdir())):
            assert module.recognises(path) is False


@pytest.mark.parametrize("name", ["a.csv", "a.json", "a.xml"])
def test_an_empty_file_is_of_no_format(tmp_path, name):
    assert "no annotations of a known format" in told(put(tmp_path / name, ""))
