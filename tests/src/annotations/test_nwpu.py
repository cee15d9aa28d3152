import json

import numpy as np
import pytest
from helpers_data import labelled_xy
from helpers_formats import put, tells, write_mat

from src.annotations import nwpu


def test_nwpu_takes_boxes_where_there_are_no_points(tmp_path):
    content = {"img_id": "1.jpg", "human_num": 1, "boxes": [[2, 4, 6, 10]], "points": []}
    assert labelled_xy(nwpu.read(put(tmp_path / "jsons/1.json", json.dumps(content)), None)[0]) == [(4, 7, "person")]


@pytest.mark.parametrize("content", [{"other": 1}, {"annPoints": [[1, 2, 3]]}, {"annPoints": [[1, np.nan]]}])
def test_a_damaged_mat_of_nwpu_is_told(content, tmp_path):
    write_mat(tmp_path / "mats/a.mat", content)
    tells(nwpu, tmp_path / "mats/a.mat")
