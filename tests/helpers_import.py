"""Images with known clicks, and imports of them by the command line."""

import csv

from PIL import Image

from scripts import import_points

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


def write_csv(folder):
    rows = [f"{name},{y},cells & rims,{x},{image}" for image, points in TRUTH.items() for x, y, name in points]
    text = "\n".join(["label,y,note,x,filename", *rows, f",,,,{DEEP}"])
    (folder / "clicks.csv").write_text(text, encoding="utf-8")


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


def splits_of(dataset):
    header, *rows = rows_of(dataset / "splits.csv")
    assert header == ["image", "split"]
    assert len(dict(rows)) == len(rows)
    return dict(rows)


def csv_source(photos, *rows, header="image,x,y,class"):
    path = photos / "clicks.csv"
    path.write_text("\n".join([header, *rows]), encoding="utf-8")
    return path


def snapshot(folder):
    return {path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}
