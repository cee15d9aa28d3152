import numpy as np
import pytest
from helpers_import import (
    ALL_TRAIN,
    COLOUR,
    csv_source,
    imported,
    save_image,
)
from PIL import Image

from lcfcn.counting.drawing import TRUE_COLOUR


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
