import numpy as np
import pytest
import scipy.io
from helpers_data import labelled_xy
from helpers_formats import put, tells, write_mat

from src.annotations import shanghaitech


def test_real_crowds_are_read_as_the_data_set_reads_them(shared):
    part = shared / "data/ShanghaiTech/part_A/test_data"
    found = {clicks.image: labelled_xy(clicks) for clicks in shanghaitech.read(part, None)}
    assert len(found) == 16
    truth = scipy.io.loadmat(part / "ground-truth/GT_IMG_12.mat")["image_info"][0, 0][0, 0][0]
    assert np.array_equal([click[:2] for click in found["images/IMG_12"]], truth)


@pytest.mark.parametrize("content", [b"", b"MATLAB", {"other": 1}, {"image_info": 1}])
def test_a_damaged_mat_is_told(content, tmp_path):
    path = tmp_path / "ground-truth/GT_a.mat"
    put(path, content) if isinstance(content, bytes) else write_mat(path, content)
    tells(shanghaitech, path)
