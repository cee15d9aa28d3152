"""Pictures of what was found."""

import numpy as np
import pytest

from lcfcn.counting import drawing


def test_the_overlay_of_a_large_image_is_small_and_its_points_are_in_place():
    image = np.zeros((100, 5000, 3), dtype=np.uint8)
    class_map = np.zeros(image.shape[:2], dtype=np.uint8)
    class_map[40:61, 3990:4011] = 1
    drawn = drawing.overlay(image, class_map, np.array([[4000.5, 50.5]]), "object: 1")
    assert max(drawn.shape) <= drawing.OVERLAY_SIDE
    rows, cols = np.nonzero((drawn == drawing.PREDICTED_COLOUR).all(axis=-1))
    caption = drawn.shape[0] - 34
    assert cols.mean() == pytest.approx(4000 / 3, abs=1)
    assert rows.mean() - caption == pytest.approx(50 / 3, abs=1)


def test_blobs_are_tinted_and_the_rest_of_the_image_stays():
    image = np.full((20, 20, 3), 200, dtype=np.uint8)
    blobs = np.zeros((2, 20, 20), dtype=int)
    blobs[0, 2:8, 2:8] = 1
    blobs[1, 12:18, 12:18] = 1
    overlay = drawing.blob_overlay(image, blobs).astype(int)
    background = blobs.max(axis=0) == 0
    assert (overlay[background] == 200).all()
    assert overlay[5, 5].tolist() != overlay[15, 15].tolist()
    assert (overlay[2, 2] == 255).all()  # the outline
