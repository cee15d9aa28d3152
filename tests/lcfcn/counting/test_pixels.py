import numpy as np
import pytest
import torch

from lcfcn.counting.pixels import denormalize, normalize


@pytest.mark.parametrize("transform", ["rgb_normalize", "none"])
def test_denormalize_gives_the_picture_back(transform):
    image = torch.arange(3 * 16 * 16).reshape(3, 16, 16) % 256
    normalized = normalize(image / 255, transform)
    picture = denormalize(normalized, transform)
    assert picture.dtype == np.uint8
    assert np.array_equal(picture, image.permute(1, 2, 0).numpy())


def test_rgb_normalize_is_imagenets():
    image = torch.tensor([0.485, 0.456 + 0.224, 0.406 - 0.225]).view(3, 1, 1)
    assert torch.allclose(normalize(image, "rgb_normalize").flatten(), torch.tensor([0.0, 1.0, -1.0]), atol=1e-6)
    assert torch.equal(normalize(image, "none"), image)
