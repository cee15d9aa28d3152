import numpy as np
from helpers_evaluate import (
    HEADER,
    at,
    drawn_images,
    score_points,
)
from helpers_runs import N_VAL
from matplotlib.figure import Figure
from PIL import Image

from lcfcn.counting.drawing import PREDICTED_COLOUR, TRUE_COLOUR
from src.evaluation import report as reporting
from src.evaluation import scoring
from src.evaluation.pairing import ScoredImage


def test_the_table_has_a_column_a_class(evaluated):
    _, _, out, report = evaluated
    table = (out / "scores_val.md").read_text(encoding="utf-8")
    (line,) = [line for line in table.splitlines() if line.startswith("| mae ")]
    cells = [cell.strip() for cell in line.split("|")[2:-1]]
    blocks = [report["all"], report["by_class"]["disc"], report["by_class"]["ellipse"]]
    for cell, scored in zip(cells, [block["scores"]["mae"] for block in blocks], strict=True):
        assert cell == f"{scored['value']:.3f} [{scored['interval'][0]:.3f}, {scored['interval'][1]:.3f}]"


def worst_of(images):
    return reporting.worst_images(images, scoring.tally(images, len(images[0].true_counts), []))


def test_the_worst_come_first():
    images = drawn_images(n=30)
    worst = worst_of(images)
    off = [np.abs(image.pred_counts - image.true_counts).sum() for image in images]
    assert [np.abs(i.pred_counts - i.true_counts).sum() for i in worst] == sorted(off, reverse=True)[:10]


def test_of_equal_counts_the_worse_located_is_worse():
    near, far = (
        ScoredImage(index, name, (20, 20), *truth, np.array([[row, 5.0]]), np.array([1]), np.array([1]))
        for truth in [(np.array([[5.0, 5.0]]), np.array([1]), np.array([1]))]
        for index, name, row in ((0, "near", 6.0), (1, "far", 18.0))
    )
    assert [image.name for image in worst_of([near, far, near])] == ["far", "near", "near"]


def test_the_worst_images_are_pictured_with_both_clicks(trancos, tmp_path):
    score_points(trancos, tmp_path, [HEADER, at(20.5, 10.5), at(9.5, 8.5)])
    (path,) = sorted((tmp_path / "out" / "worst").iterdir())
    assert path.name == "test_01_image-1-000004.png"
    picture = np.asarray(Image.open(path))
    factor = picture.shape[1] // 2 // 28  # the region is 28 wide and 18 high
    caption = picture.shape[0] - 18 * factor
    left, right = np.split(picture[caption:], 2, axis=1)
    for half, colour, pixels in (
        (left, TRUE_COLOUR, [(1, 1), (8, 17), (17, 27)]),
        (right, PREDICTED_COLOUR, [(8, 17), (6, 6)]),
    ):
        for row, col in pixels:
            assert tuple(half[int((row + 0.5) * factor), int((col + 0.5) * factor)]) == colour
        assert (half == colour).all(axis=2).sum() < 900  # and little else


def test_pictures_of_an_earlier_evaluation_go_and_nothing_else(trancos, tmp_path):
    worst = tmp_path / "out" / "worst"
    worst.mkdir(parents=True)
    for name in ("test_02_old.png", "val_01_other.png", "test_mine.png"):
        (worst / name).write_bytes(b"")
    score_points(trancos, tmp_path, [HEADER])
    found = [path.name for path in sorted(worst.iterdir())]
    assert found == ["test_01_image-1-000004.png", "test_mine.png", "val_01_other.png"]


def test_all_files_are_whole(evaluated):
    out = evaluated[2]
    files = [path.name for path in sorted(out.iterdir())]
    assert files == ["images_val.csv", "scatter_val.png", "scores_val.json", "scores_val.md", "worst"]
    assert len(sorted((out / "worst").iterdir())) == N_VAL
    with Image.open(out / "scatter_val.png") as image:
        assert np.asarray(image.convert("L")).std() > 5


def test_the_scatter_draws_each_count_in_its_place(monkeypatch, tmp_path):
    figures = []

    def keep(**options):
        figures.append(Figure(**options))
        return figures[-1]

    monkeypatch.setattr(reporting, "Figure", keep)
    images = drawn_images()
    with (tmp_path / "s.png").open("wb") as file:
        reporting._scatter(scoring.tally(images, 3, []), ["a", "b", "c"], file)
    (axes,) = figures[0].axes
    for k, dots in enumerate(axes.collections):
        expected = [[image.true_counts[k], image.pred_counts[k]] for image in images]
        np.testing.assert_array_equal(dots.get_offsets(), expected)
