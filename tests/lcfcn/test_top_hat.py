import numpy as np
import pytest
import torch
from reference import MAPS, everywhere, random_map, top_hat_inside
from scipy import ndimage

from lcfcn.top_hat import black_top_hat


@pytest.mark.parametrize("kind", MAPS)
@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (6, 2), (7, 7), (23, 31)])
def test_top_hat_is_scipys_and_ends_at_the_region(kind, shape):
    rng = np.random.default_rng(2)
    probs = torch.from_numpy(random_map(kind, shape, rng)).sigmoid().numpy()
    np.testing.assert_array_equal(black_top_hat(probs, everywhere(shape)), ndimage.black_tophat(probs, size=(7, 7)))
    for roi in (rng.random(shape) < 0.3, rng.random(shape) < 0.9, np.zeros(shape, dtype=bool)):
        np.testing.assert_array_equal(black_top_hat(probs, roi), top_hat_inside(probs, roi))
