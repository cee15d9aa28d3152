"""Bands of an image, and blobs over their borders."""

import numpy as np
import pytest

from lcfcn.components import blob_points, label_blobs
from lcfcn.counting.bands import BandBlobs, in_context


@pytest.mark.parametrize("cuts", [(), (1,), (7, 8, 9), tuple(range(1, 40)), (20, 39)])
@pytest.mark.parametrize("density", [0.0, 0.2, 0.42, 0.6, 1.0])
def test_blobs_from_bands_are_those_of_the_whole(cuts, density):
    rng = np.random.default_rng(int(density * 100))
    mask, probs = rng.random((40, 37)) < density, rng.random((40, 37)).astype(np.float32)
    found = BandBlobs()
    for part, values in zip(np.split(mask, cuts), np.split(probs, cuts), strict=True):
        found.add(part, values)
    table = found.table(np.split(mask, cuts))
    blobs = label_blobs(mask)
    assert np.array_equal(table.pixels, blob_points(blobs))
    assert np.array_equal(table.areas, np.bincount(blobs.reshape(-1))[1:])
    means = [probs[blobs == label].astype(float).mean() for label in range(1, blobs.max() + 1)]
    assert table.scores == pytest.approx(np.array(means), abs=1e-9)


def test_a_comb_that_closes_in_the_last_band_is_one_blob():
    mask = np.zeros((12, 21), dtype=bool)
    mask[:, ::4] = True
    mask[-1] = True
    found = BandBlobs()
    for part in np.split(mask, 4):
        found.add(part, part.astype(np.float32))
    table = found.table(np.split(mask, 4))
    assert (len(table.areas), table.areas[0]) == (1, mask.sum())


@pytest.mark.parametrize("shift", [-1, 0, 1, 2])
def test_blobs_touch_over_a_border_by_a_corner_too(shift):
    mask = np.zeros((2, 5), dtype=bool)
    mask[0, 2] = mask[1, 2 + shift] = True
    found = BandBlobs()
    for part in (mask[:1], mask[1:]):
        found.add(part, part.astype(np.float32))
    assert len(found.table([mask[:1], mask[1:]]).areas) == (2 if shift == 2 else 1)


@pytest.mark.parametrize("heights", [[7], [3, 4], [1, 1, 1, 1, 1, 1], [5, 1, 9, 2]])
@pytest.mark.parametrize("margin", [0, 2, 6])
def test_bands_in_context_have_the_rows_around_them(heights, margin):
    whole = np.arange(2 * sum(heights) * 3).reshape(2, sum(heights), 3)
    bands = np.split(whole, np.cumsum(heights)[:-1], axis=1)
    found = list(in_context(iter(bands), margin))
    assert [rows.stop - rows.start for _, rows in found] == heights
    top = 0
    for (band, rows), height in zip(found, heights, strict=True):
        assert np.array_equal(band, whole[:, max(top - margin, 0) : top + height + margin])
        assert np.array_equal(band[:, rows], whole[:, top : top + height])
        top += height
