"""What the tests of imports share."""

import pytest
from helpers_import import TRUTH, save_image


@pytest.fixture
def photos(tmp_path):
    """The images of the set, one of which nobody annotated."""
    for name in [*TRUTH, "spare.png"]:
        save_image(tmp_path / "photos" / name)
    return tmp_path / "photos"
