"""The project's own data set, with every click known."""

import csv

import numpy as np
import pytest
import torch
from helpers_data import check_contract, damaged, noise_image, refused
from helpers_runs import only_savedir, scores
from PIL import Image, ImageDraw

import trainval
from exp_configs import EXP_GROUPS
from lcfcn.counting.image_files import ImageError
from src.datasets import get_dataset
from src.training import checkpoints

POINTS = {"name": "points", "transform": "none"}
CLICKS = [
    ("a.png", 3.7, 5.2, "cell"),
    ("sub/b c.png", 0, 0, "ärgernis"),
    ("a.png", 19.99, 15.99, "cell"),
    ("a.png", 3.1, 5.9, "ärgernis"),
    ("c.jpg", 1, 2, "cell"),
]
SPLITS = [("a.png", "train"), ("sub/b c.png", "train"), ("none.png", "train"), ("c.jpg", "val"), ("d.png", "test")]


def write_rows(path, header, rows, encoding="utf-8"):
    with path.open("w", encoding=encoding, newline="") as file:
        csv.writer(file).writerows([header, *rows])


def make_points(root, clicks=CLICKS, splits=SPLITS, size=(16, 20)):
    """Images of 16 rows and 20 columns."""
    for number, (name, _) in enumerate(splits):
        path = root / "images" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(noise_image(*size, seed=number)).save(path)
    write_rows(root / "points.csv", ("image", "x", "y", "class"), clicks)
    write_rows(root / "splits.csv", ("image", "split"), splits)
    return root


def test_samples(tmp_path):
    dataset = get_dataset(POINTS, "train", make_points(tmp_path))
    assert dataset.names == ["a.png", "sub/b c.png", "none.png"]
    assert dataset.class_names == ["cell", "ärgernis"]
    samples = list(dataset)
    for sample in samples:
        check_contract(sample, 2)
        assert sample["roi"].shape == (16, 20)
        assert sample["roi"].all()
    assert [sample["counts"].tolist() for sample in samples] == [[2, 1], [0, 1], [0, 0]]
    assert samples[0]["points"].nonzero().tolist() == [[5, 3], [15, 19]]
    assert samples[0]["points"][15, 19] == 1
    assert samples[0]["meta"]["point_list"].tolist() == [[5.5, 3.5], [15.5, 19.5], [5.5, 3.5]]
    assert samples[0]["meta"]["labels"].tolist() == [1, 1, 2]
    assert samples[1]["meta"]["path"] == str(tmp_path / "images" / "sub" / "b c.png")
    expected = torch.from_numpy(noise_image(16, 20, seed=2)).permute(2, 0, 1) / 255
    torch.testing.assert_close(samples[2]["images"], expected)
    assert get_dataset(POINTS, "val", tmp_path)[0]["counts"].tolist() == [1, 0]
    assert get_dataset(POINTS, "test", str(tmp_path))[0]["counts"].tolist() == [0, 0]
    assert get_dataset(POINTS, "train", tmp_path, size=2).count_list() == [3, 1]


def test_classes_in_the_order_given(tmp_path):
    make_points(tmp_path)
    dataset = get_dataset({**POINTS, "classes": ["other", "ärgernis", "cell"]}, "train", tmp_path)
    assert dataset.class_names == ["other", "ärgernis", "cell"]
    assert dataset[0]["counts"].tolist() == [0, 1, 2]
    message = refused({**POINTS, "classes": ["ärgernis"]}, tmp_path)
    assert "points.csv, line 2: the class 'cell'" in message
    for classes in ([], "cell", ["cell", "cell"], [1, 2], ["cell", ""], {"cell": 1}):
        assert "dataset.classes" in refused({**POINTS, "classes": classes}, tmp_path)


def test_no_click_at_all(tmp_path):
    make_points(tmp_path, clicks=[])
    assert "dataset.classes" in refused(POINTS, tmp_path)
    dataset = get_dataset({**POINTS, "classes": ["cell"]}, "train", tmp_path)
    assert dataset.count_list() == [0, 0, 0]
    check_contract(dataset[0], 1)


def test_counts_without_decoding(tmp_path):
    dataset = get_dataset(POINTS, "train", make_points(tmp_path))
    for path in dataset.paths:
        path.write_bytes(b"")
    assert dataset.count_list() == [3, 1, 0]
    assert "a.png" in damaged(dataset)


def test_every_row_reaches_its_image(tmp_path):
    """Many rows in no order, against a dictionary."""
    rng = np.random.default_rng(0)
    names = [f"{number}.png" for number in range(12)]
    splits = [(name, ("train", "val")[number % 3 == 0]) for number, name in enumerate(names)]
    clicks = [
        (names[rng.integers(11)], f"{rng.uniform(0, 20):.17g}", f"{rng.uniform(0, 16):.17g}", f"k{rng.integers(3)}")
        for _ in range(400)
    ]
    make_points(tmp_path, clicks, splits)
    for split in ("train", "val"):
        dataset = get_dataset(POINTS, split, tmp_path)
        for index, name in enumerate(dataset.names):
            record = dataset.read(index)
            wanted = [(float(y), float(x), int(kind[1]) + 1) for image, x, y, kind in clicks if image == name]
            found = [(*point, label) for point, label in zip(record.point_list, record.labels, strict=True)]
            assert found == wanted


def test_columns_in_any_order_and_names_that_look_like_something_else(tmp_path):
    """NA, numbers and booleans are names; a byte-order mark and Windows line ends are nothing."""
    splits = [("1", "train"), ("NA", "train"), ("x,y.png", "train"), ("007", "val")]
    make_points(tmp_path, [], [])
    for name, _ in splits:
        (tmp_path / "images").mkdir(exist_ok=True)
        Image.fromarray(noise_image(16, 20)).save(tmp_path / "images" / name, format="PNG")
    rows = [("True", 1, "", 2, "1"), ("null", 3, "note", 4, "NA"), ("1", 5, "", 6, "x,y.png")]
    write_rows(tmp_path / "points.csv", ("class", "y", "note", "x", "image"), rows, "utf-8-sig")
    write_rows(tmp_path / "splits.csv", ("image", "split"), splits, "utf-8-sig")
    dataset = get_dataset(POINTS, "train", tmp_path)
    assert dataset.class_names == ["1", "True", "null"]
    assert [sample["meta"]["point_list"].tolist() for sample in dataset] == [[[1.5, 2.5]], [[3.5, 4.5]], [[5.5, 6.5]]]
    assert [sample["meta"]["labels"].tolist() for sample in dataset] == [[2], [3], [1]]


def test_clicks_on_a_turned_photograph(tmp_path):
    """Stored lying, looked at upright: clicks are as one looks at it."""
    make_points(tmp_path, [("a.jpg", 3, 15, "cell")], [("a.jpg", "train")])
    exif = Image.Exif()
    exif[274] = 6
    Image.fromarray(noise_image(10, 16)).save(tmp_path / "images" / "a.jpg", exif=exif)
    sample = get_dataset(POINTS, "train", tmp_path)[0]
    assert sample["roi"].shape == (16, 10)
    assert sample["points"].nonzero().tolist() == [[15, 3]]


# Mistakes


def mistake(root, table, text, split="train", **options):
    """The message about a table of this text, in a data set that is well otherwise."""
    make_points(root)
    (root / table).write_bytes(text if isinstance(text, bytes) else text.encode())
    return refused({**POINTS, **options}, root, split)


HEAD = "image,x,y,class\n"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", ["points.csv is empty"]),
        ("image,x,y\na.png,1,2\n", ["has no column class", "image,x,y,class"]),
        ("a.png,1,2,cell\n", ["has no column image", "image,x,y,class"]),
        (HEAD + "a.png,1,2,cell\na.png,one,2,cell\n", ["line 3", "x is 'one'"]),
        (HEAD + "a.png,1,2,cell\n\n\na.png,1,,cell\n", ["line 5", "y is ''"]),
        (HEAD + "a.png,1,2,cell\na.png,nan,2,cell\n", ["line 3", "x is 'nan'"]),
        (HEAD + "a.png,1,2,cell\na.png,NaN,2,cell\n", ["line 3", "x is "]),
        (HEAD + "a.png,1,inf,cell\n", ["line 2", "y is 'inf'"]),
        (HEAD + "a.png,1,-Infinity,cell\n", ["line 2", "y is '-Infinity'"]),
        (HEAD + "a.png,1,1e999,cell\n", ["line 2", "y is '1e999'"]),
        (HEAD + "a.png,1\n", ["line 2", "y is "]),
        (
            'image,x,y,class,note\n"a.png",1,2,cell,"two\nlines"\na.png,20,3,cell,\n',
            ["line 4", "x 20, y 3", "20 wide", "16 high", "a.png"],
        ),
        (HEAD + "a.png,1,2,cell\na.png,1,16,cell\n", ["line 3", "x 1, y 16", "0 <= y < 16"]),
        (HEAD + "\na.png,-0.5,3,cell\n", ["line 3", "x -0.5, y 3"]),
        (HEAD + "a.png,1,-1e300,cell\n", ["line 2", "y -1e+300"]),
        (HEAD + "a.png,1,2,cell\nelse.png,1,2,cell\n", ["line 3", "'else.png'", "splits.csv"]),
        (HEAD + "../a.png,1,2,cell\n", ["line 2", "'../a.png'"]),
        (HEAD + "a.png,1,2,\n", ["line 2: class is ''; expected a name"]),
        (HEAD + "a.png,1,2,cell\na.png,1,2\n", ["line 3: class is ''"]),
        (HEAD + "   \na.png,1,2,cell\nelse.png,1,2,cell\n", ["line 4", "'else.png'"]),
        (HEAD + f"{'a' * 200_000},1,2,cell\n", ["line 2, is not CSV"]),
        (HEAD + "a.png,1,2,cell\na.png,1,2,cell,9,9\n", ["points.csv", "line 3"]),
        (HEAD + "a.png,1,2,cell,debris\n", ["line 2", "'debris'", "quotes"]),
        (HEAD + "a.png,1,2,cell,\na, b.png,1,2,cell\n", ["line 3", "'cell'", "quotes"]),
        (HEAD + 'a.png,1,2,"cell\n', ["points.csv"]),
        (HEAD.encode() + "a.png,1,2,ärgernis\n".encode("latin-1"), ["points.csv is not in UTF-8"]),
        ((HEAD + "a.png,1,2,cell\n").encode("utf-16"), ["points.csv is not in UTF-8"]),
        (bytes(range(128, 256)) * 20, ["points.csv is not in UTF-8"]),
        (b"\0" * 1000, ["points.csv"]),
    ],
)
def test_mistakes_in_points(tmp_path, text, words):
    message = mistake(tmp_path, "points.csv", text, classes=["cell"])
    assert all(word in message for word in words), message


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", ["splits.csv is empty"]),
        ("image\na.png\n", ["no column split"]),
        ("image,split\na.png,train\nc.jpg,valid\n", ["line 3", "c.jpg", "'valid'", "train, val, test"]),
        ("image,split\na.png\n", ["line 2: split is ''"]),
        ("image,split\n,train\n", ["line 2: image is ''"]),
        ("image,split\na.png,train\nc.jpg,val\na.png,val\n", ["line 4", "a.png", "twice", "for train and for val"]),
        ("image,split\na.png,train\na.png,train\n", ["line 3", "a.png", "twice"]),
        ("image,split\n../points.csv,train\n", ["line 2", "'../points.csv'", "inside images/"]),
        ("image,split\nsub/../../points.csv,train\n", ["line 2", "inside images/"]),
        ("image,split\n/etc/passwd,train\n", ["line 2", "'/etc/passwd'", "inside images/"]),
        ("image,split\n./a.png,train\n", ["line 2", "inside images/"]),
        ("image,split\nsub//b c.png,train\n", ["line 2", "inside images/"]),
        ("image,split\n.,train\n", ["line 2", "inside images/"]),
        ("image,split\na.png,train\n".encode("utf-16"), ["splits.csv is not in UTF-8"]),
    ],
)
def test_mistakes_in_splits(tmp_path, text, words):
    message = mistake(tmp_path, "splits.csv", text)
    assert all(word in message for word in words), message


def test_missing_files_and_empty_splits(tmp_path):
    root = make_points(tmp_path / "own")
    for name in ("points.csv", "splits.csv"):
        content = (root / name).read_bytes()
        (root / name).unlink()
        message = refused(POINTS, root)
        assert f"{root / name} is missing" in message
        assert "import_points.py" in message
        (root / name).mkdir()
        assert str(root / name) in refused(POINTS, root)
        (root / name).rmdir()
        (root / name).write_bytes(content)
    (root / "images" / "none.png").unlink()
    assert f"{root / 'images' / 'none.png'} is missing" in refused(POINTS, root)
    assert len(get_dataset(POINTS, "val", root)) == 1
    write_rows(root / "splits.csv", ("image", "split"), [row for row in SPLITS if row[1] != "test"])
    assert "test split" in refused(POINTS, root, "test")
    (root / "images" / "c.jpg").write_bytes(b"no image")
    with pytest.raises(ImageError, match="c.jpg"):
        get_dataset(POINTS, "val", root)


def test_another_splits_clicks_are_not_checked_against_its_images(tmp_path):
    """Only a split's own images are opened: the others may be away."""
    root = make_points(tmp_path)
    (root / "images" / "c.jpg").unlink()
    assert len(get_dataset(POINTS, "train", root)) == 3


# Training


def draw_objects(root):
    """Six images of bright discs and dark squares, four to train on."""
    (root / "images").mkdir(parents=True)
    rng = np.random.default_rng(0)
    clicks, splits = [], []
    for number in range(6):
        name = f"field {number}.png"
        image = Image.new("RGB", (96, 64), (110, 120, 100))
        draw = ImageDraw.Draw(image)
        for place in rng.permutation(6)[: 3 + number % 3]:
            x, y = 16 + 32 * (place % 3), 16 + 32 * (place // 3)
            kind = ("disc", "square")[rng.integers(2)]
            shape = draw.ellipse if kind == "disc" else draw.rectangle
            shape((x - 7, y - 7, x + 7, y + 7), fill=(250, 240, 90) if kind == "disc" else (10, 10, 60))
            clicks.append((name, x, y, kind))
        image.save(root / "images" / name)
        splits.append((name, "train" if number < 4 else "val"))
    write_rows(root / "points.csv", ("image", "x", "y", "class"), clicks)
    write_rows(root / "splits.csv", ("image", "split"), splits)
    return root


def train_own(root, savedir_base, *overrides):
    settings = ["model.pretrained=None", "max_epoch=1", "dataset.augment.crop=64", "batch_size=2", *overrides]
    options = ["-e", "own", "-d", str(root), "-sb", str(savedir_base), "--device", "cpu"]
    return trainval.main([*options, "--set", *settings])


def test_two_classes_are_trained_end_to_end(tmp_path, capsys):
    root = draw_objects(tmp_path / "own")
    assert train_own(root, tmp_path / "runs") == 2
    assert "--set model.n_classes=2" in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()

    assert train_own(root, tmp_path / "runs", "model.n_classes=2", "dataset.classes=['square','disc']") == 0
    savedir = only_savedir(tmp_path / "runs")
    (row,) = scores(savedir)
    assert row["val_mae"] == pytest.approx((row["val_mae_1"] + row["val_mae_2"]) / 2)
    assert np.isfinite([row[key] for key in ("train_loss", "val_mae_1", "val_mae_2", "val_rmse", "val_game_3")]).all()
    assert len(sorted((savedir / "images").iterdir())) == 2
    checkpoint = checkpoints.load_checkpoint(savedir / checkpoints.BEST)
    assert checkpoint["class_names"] == ["square", "disc"]
    assert checkpoint["exp_dict"]["dataset"]["classes"] == ["square", "disc"]


def test_the_group_is_for_one_kind_of_object():
    (exp_dict,) = EXP_GROUPS["own"]
    assert exp_dict["dataset"]["name"] == "points"
    assert (exp_dict["model"]["base"], exp_dict["model"]["n_classes"]) == ("fpn_mobilenet_v2", 1)
    assert (exp_dict["model"]["pretrained"], exp_dict["batch_size"], exp_dict["seed"]) == ("imagenet", 4, 0)
