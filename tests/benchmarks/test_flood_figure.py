"""The worked example of the docs: what the figure and the page say is what the loss computes."""

import numpy as np
import pytest
from helpers_data import ROOT
from PIL import Image
from scipy import ndimage
from skimage.segmentation import find_boundaries, watershed

from benchmarks.flood_figure import BLOB, CLICKS, PERCENT, compute_example, draw, height_of, weight_lines
from lcfcn.targets import find_pixel_sets

PAGE = ROOT / "docs" / "loss.md"


@pytest.fixture(scope="module")
def example():
    return compute_example()


def flood(relief, numbers):
    markers = np.zeros(relief.shape, dtype=np.int32)
    for number in numbers:
        markers[tuple(CLICKS[number - 1])] = number
    return watershed(relief, markers)


def test_the_floods_and_lines_are_those_of_scikit_image(example):
    labels, own = flood(example.relief, [1, 2, 3]), flood(example.relief, [1, 2])
    np.testing.assert_array_equal(example.labels, labels)
    np.testing.assert_array_equal(example.own_labels, own)
    np.testing.assert_array_equal(example.lines.all_clicks, find_boundaries(labels, mode="thick"))
    in_blob = example.blobs == BLOB
    np.testing.assert_array_equal(example.lines.in_blobs, find_boundaries(own, mode="thick") & in_blob)
    # The example shows something: in the blob the two lines differ.
    assert (example.lines.in_blobs != example.lines.all_clicks)[in_blob].sum() == 1


def test_each_pixel_is_flooded_once_and_beside_the_water(example):
    assert sorted(example.order.ravel()) == list(range(1, 65))
    assert [example.order[tuple(click)] for click in CLICKS] == [1, 2, 3]
    for (row, col), turn in np.ndenumerate(example.order):
        around = [(row - 1, col), (row + 1, col), (row, col - 1), (row, col + 1)]
        around = [pixel for pixel in around if pixel in np.ndindex(example.order.shape)]
        same = [example.order[pixel] for pixel in around if example.labels[pixel] == example.labels[row, col]]
        assert turn <= 3 or min(same) < turn


def test_the_tree_joins_where_the_page_says(example):
    nodes = [(sorted(np.flatnonzero(example.tree.parents == node)), example.tree.levels[node]) for node in (3, 4)]
    assert [children for children, _ in nodes] == [[1, 2], [0, 3]]
    assert [height_of(level, example.flooded, example.relief) for _, level in nodes] == [14, 26]


def test_click_3_took_a_neighbour_of_four_line_pixels_of_blob_a(example):
    beside_3 = ndimage.binary_dilation(example.labels == 3) & (example.labels != 3)
    in_doubt = beside_3 & example.lines.all_clicks & (example.blobs == BLOB)
    assert np.argwhere(in_doubt).tolist() == [[3, 1], [3, 2], [3, 3], [3, 4]]
    assert (example.blobs == BLOB).sum() == 18


def test_the_page_quotes_the_example_and_its_weights(example):
    page = PAGE.read_text(encoding="utf-8")
    assert "\n".join([*example.steps, *weight_lines(example)]) in page
    points = np.zeros(PERCENT.shape, dtype=int)
    points[tuple(CLICKS.T)] = 1
    sets = find_pixel_sets((PERCENT[None] / 100).astype(np.float32), points, np.ones(points.shape, dtype=bool))
    over_all, in_blob = [s for s in sets if s.term == "split_level"]
    assert f"{len(over_all.pixels)} pixels, weight 2/{round(2 / over_all.weight)} each" in page
    assert f"{len(in_blob.pixels)} pixels, weight 1/{round(1 / in_blob.weight[0])} each" in page


def test_the_figure_is_the_committed_one(example):
    committed = np.asarray(Image.open(PAGE.parent / "images" / "flood_example.png"))
    picture = draw(example)
    assert picture.shape == committed.shape
    # Fonts may differ by version; the drawing may not.
    assert (np.abs(picture.astype(int) - committed).max(axis=2) > 40).mean() < 0.02
