import numpy as np
from reference import everywhere
from skimage.segmentation import find_boundaries

from lcfcn.components import label_blobs
from lcfcn.split_lines import split_lines
from lcfcn.top_hat import black_top_hat
from lcfcn.watershed import flood


def test_split_lines_are_thick_boundaries():
    rng = np.random.default_rng(3)
    for shape in [(1, 8), (9, 1), (13, 18)]:
        probs = rng.random(shape).astype(np.float32)
        clicks = np.sort(rng.permutation(probs.size)[:5])
        markers = np.zeros(shape, dtype=np.int32)
        markers.flat[clicks] = [1, 2, 3, 4, 5]
        labels = flood(black_top_hat(probs, everywhere(shape)), markers, everywhere(shape))
        lines = split_lines(probs, clicks, label_blobs(probs > 0.5), everywhere(shape))
        np.testing.assert_array_equal(lines.all_clicks, find_boundaries(labels, mode="thick"))
        assert lines.all_clicks.any()


def test_nothing_touches_across_a_gap_so_nothing_is_to_split():
    roi = np.ones((5, 7), dtype=bool)
    roi[:, 3] = False
    lines = split_lines(np.full((5, 7), 0.2, dtype=np.float32), np.array([14, 20]), np.zeros((5, 7), np.int32), roi)
    assert not lines.all_clicks.any()
    assert not lines.in_blobs.any()
