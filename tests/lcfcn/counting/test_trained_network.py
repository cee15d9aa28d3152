import numpy as np
import pytest
import torch
from helpers_networks import Reds, picture, pyramid, trained_of, with_settings

from lcfcn.counting.pixels import as_tensor
from lcfcn.counting.trained_network import load_parameters, to_probs
from lcfcn.errors import UserError
from lcfcn.networks.flip_test import FlipTest


def test_one_channel_takes_the_sigmoid_and_more_take_the_softmax():
    logits = torch.randn(2, 1, 3, 4)
    torch.testing.assert_close(to_probs(logits), logits.sigmoid())
    logits = torch.randn(2, 3, 3, 4)
    torch.testing.assert_close(to_probs(logits), logits.softmax(1))
    torch.testing.assert_close(
        to_probs(torch.cat([torch.zeros(1, 1, 2, 2), torch.ones(1, 1, 2, 2)], 1))[:, 1:],
        to_probs(torch.ones(1, 1, 2, 2)),
    )


@pytest.mark.parametrize("transform", ["none", "rgb_normalize"])
def test_pixels_are_normalised_as_the_settings_say(transform):
    trained = with_settings(trained_of(Reds(2), 2), transform=transform)
    image = picture(30, 40)
    found = trained.probs_of_pixels(image[None], ["a"])
    with torch.no_grad():
        expected = trained.network(as_tensor(image[None], transform)).softmax(1).numpy()
    assert (found.shape, found.dtype) == ((1, 3, 30, 40), np.float32)
    np.testing.assert_array_equal(found, expected)


def test_the_flip_test_is_round_the_network_where_the_settings_say_so():
    plain, flipped = pyramid(), pyramid(flip_test=True)
    assert plain.looks is plain.network
    assert isinstance(flipped.looks, FlipTest)
    assert flipped.looks.network is flipped.network


def test_the_first_image_whose_output_is_not_finite_is_named():
    class Broken(torch.nn.Module):
        def forward(self, images):
            return torch.where(images[:, :1] > 0.5, torch.nan, 0.0)

    pixels = np.zeros((3, 4, 5, 3), dtype=np.uint8)
    pixels[1, 2, 3] = pixels[2] = 255
    with pytest.raises(UserError, match="the output is not finite at image b.png: lower --set lr"):
        trained_of(Broken()).probs_of_pixels(pixels, ["a.png", "b.png", "c.png"])


def test_parameters_of_another_network_are_refused_in_one_line():
    with pytest.raises(UserError, match="the checkpoint does not fit this network") as error:
        load_parameters(pyramid().network, {"x": torch.zeros(1)})
    assert "\n" not in str(error.value)
