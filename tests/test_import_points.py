"""Import of clicks: one set of annotations in every format, what is refused, and what is left when it fails."""

import csv
import json
import os
import re
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lcfcn.counting.drawing import TRUE_COLOUR
from scripts import import_points
from src.annotations import own_dataset
from src.annotations.matching import ImageFolder
from src.annotations.own_dataset import OwnImage, write_dataset
from src.annotations.splits import draw_splits
from src.datasets.points import Points

HEIGHT, WIDTH = 30, 41
PLAIN, SPACED, DEEP = "plain.png", "zwei Zellen ü.png", "Tag 1/leer.png"
TRUTH = {
    PLAIN: [(0.5, 0.5, "cell"), (40.5, 29.5, "rim"), (12.5, 7.5, "cell"), (7.5, 12.5, "rim")],
    SPACED: [(3.5, 20.5, "rim"), (4.5, 20.5, "cell")],
    DEEP: [],
}


ALL_TRAIN = ("--val", "0", "--test", "0")
COLOUR = (0, 90, 60)


def save_image(path, shape=(HEIGHT, WIDTH), **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", shape[::-1], COLOUR).save(path, **options)
    return path


@pytest.fixture
def photos(tmp_path):
    """The images of the set, one of which nobody annotated."""
    for name in [*TRUTH, "spare.png"]:
        save_image(tmp_path / "photos" / name)
    return tmp_path / "photos"


def write_csv(folder):
    rows = [f"{name},{y},cells & rims,{x},{image}" for image, points in TRUTH.items() for x, y, name in points]
    text = "\n".join(["label,y,note,x,filename", *rows, f",,,,{DEEP}"])
    (folder / "clicks.csv").write_text(text, encoding="utf-8")


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


def imported(capsys, *argv):
    """Standard output of an import that must succeed."""
    assert import_points.main([str(word) for word in argv]) == 0, capsys.readouterr().err
    output, errors = capsys.readouterr()
    assert errors == ""
    return output


def refused(capsys, *argv):
    """The one line of an import that must fail."""
    assert import_points.main([str(word) for word in argv]) == 2
    output, errors = capsys.readouterr()
    assert output == ""
    assert errors.count("\n") == 1
    assert errors.startswith("import_points.py: error: ")
    return errors


def rows_of(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.reader(file))


def points_of(dataset):
    """The points by image, of every image that splits.csv lists."""
    points = {image: [] for image in splits_of(dataset)}
    header, *rows = rows_of(dataset / "points.csv")
    assert header in (["image", "x", "y", "class"], ["image", "x", "y", "class", "size"])
    for image, x, y, name, *_ in rows:
        points[image].append((float(x), float(y), name))
    return points


def counted(points):
    """The same without an order."""
    return {image: Counter(members) for image, members in points.items()}


def splits_of(dataset):
    header, *rows = rows_of(dataset / "splits.csv")
    assert header == ["image", "split"]
    assert len(dict(rows)) == len(rows)
    return dict(rows)


def csv_source(photos, *rows, header="image,x,y,class"):
    path = photos / "clicks.csv"
    path.write_text("\n".join([header, *rows]), encoding="utf-8")
    return path


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


def test_copies_where_links_fail(photos, tmp_path, capsys, monkeypatch):
    def no_links(self, target):
        raise OSError("no links here")

    monkeypatch.setattr(Path, "symlink_to", no_links)
    write_csv(photos)
    imported(capsys, photos, "-o", tmp_path / "own")
    assert (tmp_path / "own" / "images" / SPACED).read_bytes() == (photos / SPACED).read_bytes()


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


def test_another_size_means_another_image(photos, tmp_path, capsys):
    write_cvat(photos)
    save_image(photos / PLAIN, (WIDTH, HEIGHT))
    message = refused(capsys, photos, "-o", tmp_path / "own")
    assert "plain.png was annotated as 41 x 30, and the file is 30 x 41 as viewers show it" in message


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("plain.png", "plain.png"),
        ("plain", "plain.png"),
        ("plain.JPG", "plain.png"),
        ("somewhere/else/plain.png", "plain.png"),
        ("leer.png", "Tag 1/leer.png"),
        ("x/Tag 1/leer", "Tag 1/leer.png"),
        ("zwei Zellen u\u0308.png", SPACED),
        ("twin.png", "twin.png"),
        ("deep/twin.png", "deep/twin.png"),
        ("no.png", None),
        ("a.b", "a.b.png"),
        ("a", None),
    ],
)
def test_images_are_found_by_what_their_name_says(photos, name, expected):
    for more in ("twin.png", "deep/twin.png", "a.b.png"):
        save_image(photos / more)
    folder = ImageFolder(photos, set())
    found = folder.find(name)
    assert (found and folder.name(found)) == expected


def test_names_that_fit_several_images_are_refused(photos, tmp_path, capsys):
    for more in ("a/one.png", "b/one.png"):
        save_image(photos / more)
    message = refused(capsys, csv_source(photos, "one.png,1,2,c"), "-o", tmp_path / "own")
    assert "'one.png' may be a/one.png or b/one.png" in message
    message = refused(capsys, csv_source(photos, "x/plain.png,1,2,c", "y/plain.png,3,4,c"), "-o", tmp_path / "own")
    assert "'x/plain.png' and 'y/plain.png' of the annotations are both plain.png" in message
    message = refused(capsys, csv_source(photos, "plain.png,1,2,c", "no.png,1,2,c", "nor.png,1,2,c"), "-o", "own")
    assert "has no image 'no.png' (and 1 more)" in message
    assert not (tmp_path / "own").exists()


def test_a_list_says_which_image_is_what(photos, tmp_path, capsys):
    write_csv(photos)
    listed = tmp_path / "splits.csv"
    listed.write_text(f"split;image\ntest;{SPACED}\ntrain;plain\n", encoding="utf-8")
    output = imported(capsys, photos, "-o", tmp_path / "own", "--splits", listed)
    assert splits_of(tmp_path / "own") == {PLAIN: "train", SPACED: "test"}
    assert "Left out  1 annotated images that --splits does not list\n" in output
    for row, words in {
        "spare.png,train": "'spare.png' in line 2, which is not an annotated image",
        "plain.png,exam": "the split 'exam' in line 2; expected one of train, val, test",
        "plain.png,val\nplain,val": "lists 'plain' twice, again in line 3",
    }.items():
        listed.write_text(f"image,split\n{row}\n", encoding="utf-8")
        assert words in refused(capsys, photos, "-o", tmp_path / "other", "--splits", listed)
    listed.write_text("plain.png,val\n", encoding="utf-8")
    assert "has no column image" in refused(capsys, photos, "-o", tmp_path / "other", "--splits", listed)


def test_random_splits_depend_on_the_seed_alone():
    groups = {f"{i:03d}": f"{i:03d}" for i in range(100)}
    first = draw_splits(groups, val=0.1, test=0.25, seed=3)
    assert Counter(first.values()) == {"train": 65, "val": 10, "test": 25}
    assert draw_splits(dict(reversed(groups.items())), val=0.1, test=0.25, seed=3) == first
    assert draw_splits(groups, val=0.1, test=0.25, seed=4) != first
    assert Counter(draw_splits(groups, val=7, test=1, seed=0).values()) == {"train": 92, "val": 7, "test": 1}
    assert set(draw_splits(groups, val=0, test=0, seed=0).values()) == {"train"}


def test_groups_stay_together():
    groups = {f"v{i % 7}_{i:03d}": f"v{i % 7}" for i in range(140)}
    splits = draw_splits(groups, val=0.15, test=0.3, seed=1)
    assert Counter(splits.values()) == {"train": 80, "val": 20, "test": 40}
    assert len({(groups[image], split) for image, split in splits.items()}) == 7
    assert Counter(draw_splits(groups, val=0, test=0.01, seed=1).values()) == {"train": 120, "test": 20}
    unequal = {f"{group}{i}": group for group, n in (("a", 8), ("b", 3), ("c", 5)) for i in range(n)}
    for seed in range(5):  # where all groups are too large the smallest is taken
        assert Counter(draw_splits(unequal, val=0, test=1, seed=seed).values()) == {"train": 13, "test": 3}


def test_frames_of_a_video_share_a_split(tmp_path, capsys):
    frames = [f"v{i}_{j}.png" for i in range(4) for j in range(3)]
    for name in frames:
        save_image(tmp_path / "in" / name)
    source = csv_source(tmp_path / "in", *(f"{name},1,2,cell" for name in reversed(frames)))
    for regex in ("v[0-9]+", "(v[0-9]+)_[0-9]+"):
        imported(
            capsys, source, "-o", tmp_path / "own", "--group-by", regex, "--overwrite", "--val", "3", "--test", ".25"
        )
        splits = splits_of(tmp_path / "own")
        assert list(splits) == sorted(frames)
        assert sorted(Counter(splits.values()).items()) == [("test", 3), ("train", 6), ("val", 3)]
        assert len({(name[:2], split) for name, split in splits.items()}) == 4
    other = ["-o", tmp_path / "other", "--group-by"]
    assert "does not match 'v3_2.png'" in refused(capsys, source, *other, "w.")
    assert "is not a regular expression" in refused(capsys, source, *other, "(")
    assert "leave none of 12 images in 1 groups to train on" in refused(capsys, source, *other, "v")


def test_paths_that_are_none(photos, tmp_path, capsys):
    write_csv(photos)
    long = "x" * 300
    assert "there is no" in refused(capsys, tmp_path / long, "-o", tmp_path / "own")
    assert "is not a folder" in refused(capsys, photos, "-o", tmp_path / "own", "--images", tmp_path / long)
    assert "cannot be written" in refused(capsys, photos, "-o", tmp_path / long)
    assert "cannot be read" in refused(capsys, photos, "-o", tmp_path / "own", "--splits", tmp_path / long)
    assert os.listdir(tmp_path) == ["photos"]


@pytest.mark.parametrize("option", ["--val", "--test"])
@pytest.mark.parametrize("value", ["-1", "1.5", "nan", "inf", "all"])
def test_shares_that_are_none(tmp_path, capsys, option, value):
    with pytest.raises(SystemExit) as left:
        import_points.main([str(tmp_path), "-o", str(tmp_path / "own"), option, value])
    assert left.value.code == 2
    assert capsys.readouterr().err.count("\n") == 1


def snapshot(folder):
    return {path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_what_is_there_is_spared(photos, tmp_path, capsys):
    write_csv(photos)
    foreign = tmp_path / "mine"
    foreign.mkdir()
    (foreign / "thesis.txt").write_text("mine")
    save_image(tmp_path / "album" / "images" / "a.png")  # nothing but a folder of that name
    for words in ([], ["--overwrite"]):
        assert "holds other things than a data set" in refused(capsys, photos, "-o", tmp_path / "album", *words)
        assert "holds other things than a data set" in refused(capsys, photos, "-o", foreign, *words)
        assert "holds other things" in refused(capsys, photos, "-o", photos, *words)
    assert "is not a folder" in refused(capsys, photos, "-o", foreign / "thesis.txt")
    (tmp_path / "own").mkdir()  # an empty folder may be used
    imported(capsys, photos, "-o", tmp_path / "own")
    before = snapshot(tmp_path)
    assert "add --overwrite" in refused(capsys, photos, "-o", tmp_path / "own")
    assert snapshot(tmp_path) == before
    imported(capsys, photos, "-o", tmp_path / "own", "--overwrite", "--classes", "rim", "--copy")
    assert {name for points in points_of(tmp_path / "own").values() for *_, name in points} == {"rim"}
    copied = tmp_path / "own" / "images"
    message = refused(capsys, photos, "--images", copied, "-o", tmp_path / "own", "--overwrite")
    assert "has no image" in message
    assert copied.is_dir()


@pytest.mark.parametrize("broken", ["_write_csv", "_replace"])
def test_a_failure_leaves_what_was(photos, tmp_path, capsys, monkeypatch, broken):
    write_csv(photos)
    imported(capsys, photos, "-o", tmp_path / "own")
    before = snapshot(tmp_path)

    def full(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(own_dataset, broken, full)
    for target in ("own", "new"):
        message = refused(capsys, photos, "-o", tmp_path / target, "--overwrite", "--classes", "rim")
        assert "cannot be written (No space left on device)" in message
        assert snapshot(tmp_path) == before
        assert sorted(os.listdir(tmp_path)) == ["own", "photos"]


def test_the_old_one_comes_back_if_the_new_one_cannot_take_its_place(photos, tmp_path, capsys, monkeypatch):
    write_csv(photos)
    imported(capsys, photos, "-o", tmp_path / "own")
    before = snapshot(tmp_path)
    rename = Path.rename

    def rename_but_not_the_new(self, target):
        if self.name.endswith("half-written"):
            raise OSError(13, "Permission denied")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", rename_but_not_the_new)
    assert "Permission denied" in refused(capsys, photos, "-o", tmp_path / "own", "--overwrite")
    assert snapshot(tmp_path) == before
    assert sorted(os.listdir(tmp_path)) == ["own", "photos"]


def test_a_dataset_is_not_made_of_the_one_it_replaces(photos, tmp_path):
    for name in ("images/a.png", "points.csv", "splits.csv"):
        save_image(tmp_path / "own" / name, format="PNG")
    image = OwnImage("a.png", tmp_path / "own" / "images" / "a.png", [], "train")
    with pytest.raises(Exception, match="would replace the folder that"):
        write_dataset(tmp_path / "own", [image], copy=True, add=lambda folder: None)
    assert (tmp_path / "own" / "images" / "a.png").is_file()


@pytest.mark.parametrize("name", ["../a.png", "/a.png", " a.png", "b\\a.png"])
def test_a_dataset_never_climbs(photos, tmp_path, name):
    with pytest.raises(Exception, match="rename the file|inside the folder"):
        write_dataset(tmp_path / "own", [OwnImage(name, photos / PLAIN, [], "train")], copy=True, add=lambda f: None)
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


def near(sheet, colour):
    """Rows and columns of what is nearly of a colour."""
    return np.argwhere(np.abs(sheet.astype(int) - colour).max(axis=-1) < 20)


def test_the_contact_sheet_shows_clicks_where_they_are(tmp_path, capsys):
    save_image(tmp_path / "in" / "a.png", (400, 800))
    source = csv_source(tmp_path / "in", "a.png,600,100,cell")
    imported(capsys, source, "-o", tmp_path / "own", *ALL_TRAIN)
    sheet = np.asarray(Image.open(tmp_path / "own" / "contact_sheet.png"))
    rows, cols = near(sheet, COLOUR).T
    top, left = rows.min(), cols.min()
    height, width = rows.max() - top + 1, cols.max() - left + 1
    assert height / width == pytest.approx(0.5, abs=0.02)
    row, col = near(sheet, TRUE_COLOUR).mean(axis=0)
    assert (row - top) / height == pytest.approx(0.25, abs=0.02)
    assert (col - left) / width == pytest.approx(0.75, abs=0.02)


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
