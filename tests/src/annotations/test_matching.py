import pytest
from helpers_import import (
    HEIGHT,
    PLAIN,
    SPACED,
    TRUTH,
    WIDTH,
    csv_source,
    refused,
    save_image,
)

from src.annotations.matching import ImageFolder


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
