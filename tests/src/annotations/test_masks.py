import numpy as np
import pytest
import tifffile
from helpers_data import labelled_xy
from helpers_formats import HEIGHT, WIDTH, save_images
from PIL import Image

from src.annotations import masks
from src.annotations.base import AnnotationError


def test_a_ring_is_clicked_inside_and_a_palette_holds_labels(tmp_path):
    save_images(tmp_path, ["a.png"])
    labels = np.zeros((HEIGHT, WIDTH), dtype=np.uint8)
    labels[10:15, 20:25] = 7
    labels[11:14, 21:24] = 0
    labels[1, 2] = 3
    image = Image.fromarray(labels, mode=None)
    image.putpalette(list(range(255, -1, -1)) * 3)
    image.save(tmp_path / "a_mask.png")
    points = [(x, y) for x, y, _ in labelled_xy(masks.read(tmp_path, None)[0])]
    assert points[0] == (2.5, 1.5)
    assert labels[int(points[1][1]), int(points[1][0])] == 7
    assert masks.is_annotation(tmp_path / "a_mask.png")
    assert not masks.is_annotation(tmp_path / "a.png")


@pytest.mark.parametrize(
    ("pixels", "complaint"),
    [
        (np.zeros((HEIGHT, WIDTH, 3), dtype=np.uint8), "one channel"),
        (np.full((HEIGHT, WIDTH), 0.5, dtype=np.float32), "whole numbers"),
        (np.full((HEIGHT, WIDTH), np.nan, dtype=np.float32), "whole numbers"),
        (np.full((HEIGHT, WIDTH), -1, dtype=np.int16), "whole numbers"),
        (255 * np.eye(HEIGHT, WIDTH, dtype=np.uint8)[:, ::-1] + 255 * (np.arange(WIDTH) == 0), "number for each"),
    ],
)
def test_what_is_no_label_image_is_refused(pixels, complaint, tmp_path):
    save_images(tmp_path, ["a.png"])
    tifffile.imwrite(tmp_path / "a_masks.tif", pixels)
    with pytest.raises(AnnotationError, match=complaint):
        masks.read(tmp_path, None)
