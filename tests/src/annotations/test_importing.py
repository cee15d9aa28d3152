"""Import of clicks: one set of annotations in every format, what is refused, and what is left when it fails."""

import json
import os
import re
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from helpers_import import (
    ALL_TRAIN,
    DEEP,
    HEIGHT,
    PLAIN,
    TRUTH,
    WIDTH,
    csv_source,
    imported,
    points_of,
    refused,
    save_image,
    splits_of,
    write_csv,
)
from PIL import Image

from src.datasets.points import Points


def labelme_files(folder, shape_of):
    for image, points in TRUTH.items():
        path = (folder / image).with_suffix(".json")
        path.parent.mkdir(parents=True, exist_ok=True)
        shapes = [{"label": name, "flags": {}, **shape_of(x, y)} for x, y, name in points]
        data = {"version": "5.4.1", "flags": {}, "shapes": shapes, "imagePath": Path(image).name, "imageData": None}
        path.write_text(json.dumps({**data, "imageHeight": HEIGHT, "imageWidth": WIDTH}), encoding="utf-8")


def write_labelme(folder):
    labelme_files(folder, lambda x, y: {"shape_type": "point", "points": [[x, y]]})


def write_labelme_boxes(folder):
    labelme_files(folder, lambda x, y: {"shape_type": "rectangle", "points": [[x - 2, y + 4], [x + 2, y - 4]]})


def cvat_file(folder, shapes_of):
    images = [
        f'<image id="{i}" name="{image}" width="{WIDTH}" height="{HEIGHT}">{shapes_of(points)}</image>'
        for i, (image, points) in enumerate(TRUTH.items())
    ]
    text = "\n".join(['<?xml version="1.0" encoding="utf-8"?>', "<annotations>", "<version>1.1</version>", *images])
    (folder / "annotations.xml").write_text(text + "</annotations>", encoding="utf-8")


def write_cvat(folder):
    def shapes_of(points):
        pairs = {label: ";".join(f"{x},{y}" for x, y, name in points if name == label) for label in ("cell", "rim")}
        return "".join(f'<points label="{label}" points="{text}"/>' for label, text in pairs.items() if text)

    cvat_file(folder, shapes_of)


def write_cvat_boxes(folder):
    cvat_file(
        folder,
        lambda points: "".join(
            f'<box label="{name}" xtl="{x - 2}" ytl="{y - 4}" xbr="{x + 2}" ybr="{y + 4}"/>' for x, y, name in points
        ),
    )


def coco_file(folder, fields_of):
    names = list(TRUTH)
    images = [{"id": i, "file_name": name, "height": HEIGHT, "width": WIDTH} for i, name in enumerate(names)]
    categories = [{"id": 1, "name": "cell", "keypoints": ["centre"]}, {"id": 2, "name": "rim"}]
    annotations = [
        {"id": 0, "image_id": names.index(image), "category_id": 1 + (name == "rim"), "iscrowd": 0, **fields_of(x, y)}
        for image, points in TRUTH.items()
        for x, y, name in points
    ]
    data = {"images": images, "annotations": annotations, "categories": categories}
    (folder / "instances.json").write_text(json.dumps(data), encoding="utf-8")


def write_coco(folder):
    coco_file(folder, lambda x, y: {"keypoints": [x, y, 2], "num_keypoints": 1, "bbox": [0, 0, 0, 0]})


def write_coco_boxes(folder):
    coco_file(folder, lambda x, y: {"bbox": [x - 2, y - 4, 4, 8]})


def write_dots(folder):
    for image, points in TRUTH.items():
        picture = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
        for x, y, _ in points:
            picture[int(y), int(x)] = (255, 0, 0)
        path = (folder / image).with_suffix("")
        Image.fromarray(picture).save(path.with_name(f"{path.name}dots.png"))


WRITERS = {
    write_csv: "CSV",
    write_labelme: "labelme",
    write_labelme_boxes: "labelme",
    write_cvat: "CVAT",
    write_cvat_boxes: "CVAT",
    write_coco: "COCO",
    write_coco_boxes: "COCO",
    write_dots: "dot images",
}


def counted(points):
    """The same without an order."""
    return {image: Counter(members) for image, members in points.items()}


@pytest.mark.parametrize("write", WRITERS)
def test_every_format_gives_the_same_points(photos, tmp_path, capsys, write):
    write(photos)
    before = sorted(photos.rglob("*"))
    output = imported(capsys, photos, "-o", tmp_path / "own")
    expected = TRUTH
    if write is write_dots:  # which have no class
        expected = {image: [(x, y, "object") for x, y, _ in points] for image, points in TRUTH.items()}
    assert counted(points_of(tmp_path / "own")) == counted(expected)
    assert Counter(splits_of(tmp_path / "own").values()) == {"train": 1, "val": 1, "test": 1}
    assert f"Format    {WRITERS[write]}" in output
    assert "Images    3 annotated, 1 of them without objects\n" in output
    classes = "object 6" if write is write_dots else "cell 3, rim 3"
    assert f"Points    6: {classes}\n" in output
    assert "Dropped   nothing\n" in output
    assert "Not annotated, left out: 1 images\n          spare.png\n" in output
    for image in TRUTH:
        assert os.path.samefile(tmp_path / "own" / "images" / image, photos / image)
        assert (tmp_path / "own" / "images" / image).is_symlink()
    assert sorted(photos.rglob("*")) == before
    assert sorted(os.listdir(tmp_path)) == ["own", "photos"]
    assert sorted(os.listdir(tmp_path / "own")) == ["contact_sheet.png", "images", "points.csv", "splits.csv"]


def test_the_reader_of_datasets_takes_what_was_written(photos, tmp_path, capsys):
    source = csv_source(photos, f"{PLAIN},41,0,rim", f"{PLAIN},3.25,30,cell", f"{DEEP},,,")
    imported(capsys, source, "-o", tmp_path / "own", "--test", "0")
    samples = [Points(split, str(tmp_path / "own"))[0] for split in ("train", "val")]
    found = {sample["meta"]["name"]: sample["counts"].tolist() for sample in samples}
    assert found == {PLAIN: [1, 1], DEEP: [0, 0]}
    [points] = [sample["points"] for sample in samples if sample["meta"]["name"] == PLAIN]
    assert points.nonzero().tolist() == [[0, 40], [29, 3]]
    assert points[0, 40] == 2


def test_annotations_apart_from_images_and_copies(photos, tmp_path, capsys):
    (tmp_path / "notes").mkdir()
    write_cvat(tmp_path / "notes")
    imported(capsys, tmp_path / "notes", "--images", photos, "-o", tmp_path / "new" / "own", "--copy")
    dataset = tmp_path / "new" / "own"
    assert counted(points_of(dataset)) == counted(TRUTH)
    for image in TRUTH:
        assert not (dataset / "images" / image).is_symlink()
        assert (dataset / "images" / image).read_bytes() == (photos / image).read_bytes()


def test_numbers_keep_all_their_digits(photos, tmp_path, capsys):
    x, y = 0.1 + 0.2, 1 / 3
    source = csv_source(photos, f"{PLAIN},{x!r},{y!r},cell")
    imported(capsys, source, "-o", tmp_path / "own", *ALL_TRAIN, "--units", "pixels")
    assert points_of(tmp_path / "own")[PLAIN] == [(x, y, "cell")]


def test_what_is_dropped_is_told(photos, tmp_path, capsys):
    rows = ["-0.5,3", "3,-1e300", "41.01,3", "3,30.5", "5.2,6.1", "5.9,6.9", "5.2,6.1", "41,30", "0,0"]
    source = csv_source(photos, *(f"{PLAIN},{row},cell" for row in rows), f"{PLAIN},5.5,6.5,rim", f"{PLAIN},8,8,")
    output = imported(capsys, source, "-o", tmp_path / "own", *ALL_TRAIN)
    edge = (np.nextafter(41, 0), np.nextafter(30, 0))
    assert points_of(tmp_path / "own")[PLAIN] == [
        (5.2, 6.1, "cell"),
        (*edge, "cell"),
        (0, 0, "cell"),
        (5.5, 6.5, "rim"),
    ]
    assert "Dropped   2 duplicate, 4 outside the image, 1 unlabelled\n" in output
    assert f"          {PLAIN}: 2 duplicate, 4 outside the image, 1 unlabelled\n" in output


def test_classes_are_chosen(photos, tmp_path, capsys):
    write_csv(photos)
    output = imported(capsys, photos, "-o", tmp_path / "own", "--classes", "rim")
    assert "Points    3: rim 3\nDropped   3 class not asked for\n" in output
    assert set(points_of(tmp_path / "own")) == set(TRUTH)
    assert "'ring' is not a class of the source: choose from cell, rim" in refused(
        capsys, photos, "-o", tmp_path / "other", "--classes", "rim", "ring"
    )


def test_turned_images_are_measured_as_viewers_show_them(tmp_path, capsys):
    turned = Image.Exif()
    turned[274] = 6  # quarter of a turn
    save_image(tmp_path / "in" / "a.jpg", exif=turned)
    source = csv_source(tmp_path / "in", "a.jpg,29.5,40.5,cell", "a.jpg,40.5,29.5,cell")
    assert "--orientation stored" in refused(capsys, source, "-o", tmp_path / "own", *ALL_TRAIN)
    output = imported(capsys, source, "-o", tmp_path / "own", *ALL_TRAIN, "--orientation", "shown")
    assert points_of(tmp_path / "own") == {"a.jpg": [(29.5, 40.5, "cell")]}
    assert "1 outside the image" in output


def test_paths_that_are_none(photos, tmp_path, capsys):
    write_csv(photos)
    long = "x" * 300
    assert "there is no" in refused(capsys, tmp_path / long, "-o", tmp_path / "own")
    assert "is not a folder" in refused(capsys, photos, "-o", tmp_path / "own", "--images", tmp_path / long)
    assert "cannot be written" in refused(capsys, photos, "-o", tmp_path / long)
    assert "cannot be read" in refused(capsys, photos, "-o", tmp_path / "own", "--splits", tmp_path / long)
    assert os.listdir(tmp_path) == ["photos"]


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("image,x,y\n../../secret.png,1,2\n", "has no image .*secret.png"),
        ("image,x,y\nplain.png,nan,2\n", "expected a finite number"),
        ("image,x,y\nplain.png,-1,2\nplain.png,1,99\n", "no click of .* is left .2 outside the image."),
        ("image,x,y\nplain.png,,\n", "no click of .* is left .there was none."),
        ("image,x,y\n", "names no image"),
        ("", "no annotations of a known format"),
    ],
)
def test_sources_that_give_nothing(photos, tmp_path, capsys, source, words):
    (photos / "clicks.csv").write_text(source, encoding="utf-8")
    assert re.search(words, refused(capsys, photos / "clicks.csv", "-o", tmp_path / "own", *ALL_TRAIN))
    assert os.listdir(tmp_path) == ["photos"]


def test_a_damaged_image_is_told(photos, tmp_path, capsys):
    write_csv(photos)
    whole = (photos / PLAIN).read_bytes()
    for data in (b"", whole[:20], whole[: len(whole) // 2]):
        (photos / PLAIN).write_bytes(data)
        assert PLAIN in refused(capsys, photos, "-o", tmp_path / "own")
        assert os.listdir(tmp_path) == ["photos"]


def test_the_vgg_cells(shared, tmp_path, capsys):
    source = shared / "data" / "vgg_cells"
    listed = tmp_path / "splits.csv"
    names = {f"{i:03d}cell.png": "train" if i <= 80 else "test" for i in range(1, 101)}
    listed.write_text("image,split\n" + "".join(f"{n},{s}\n" for n, s in names.items()), encoding="utf-8")
    imported(capsys, source, "-o", tmp_path / "own", "--splits", listed)
    assert splits_of(tmp_path / "own") == names
    points = points_of(tmp_path / "own")
    # Counted as the data set's authors do: each red pixel is a cell.
    for name in ("001cell.png", "042cell.png", "100cell.png"):
        red = np.asarray(Image.open(source / name.replace("cell", "dots")).convert("RGB"))[..., 0] > 127
        assert Counter(points[name]) == Counter((x + 0.5, y + 0.5, "object") for y, x in np.argwhere(red).tolist())
    assert sum(map(len, points.values())) == 18045
