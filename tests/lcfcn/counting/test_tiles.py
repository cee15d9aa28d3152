"""Tiles against the whole image."""

import numpy as np
import pytest
import torch
from helpers_networks import Blurred, Reds, picture, pyramid, trained_of
from scipy.special import logit
from torch import nn

from lcfcn.counting import tiles
from lcfcn.networks.fcn8 import FCN8
from lcfcn.networks.trunk import CELL

ROUNDING = 2e-6
"""How far probabilities of tiles may be from those of the whole image."""


def whole_and_tiled(trained, image, tile):
    whole = np.concatenate(list(tiles.probability_bands(trained, image, "made", 10**6, lambda: None)), axis=1)
    tiled = np.concatenate(list(tiles.probability_bands(trained, image, "made", tile, lambda: None)), axis=1)
    return whole, tiled


@pytest.mark.parametrize(("length", "tile", "halo"), [(1000, 320, 96), (1024, 320, 96), (97, 96, 32), (321, 320, 0)])
def test_cores_cover_a_side_once_and_windows_are_on_the_grid(length, tile, halo):
    found = tiles.spans(length, tile, halo)
    assert [pixel for span in found for pixel in range(span.start, span.stop)] == list(range(length))
    for span in found:
        assert span.start % CELL == span.window_start % CELL == 0
        assert span.window_stop - span.window_start <= tile
        assert span.window_start == max(span.start - halo, 0)
        assert span.window_stop == min(span.stop + halo, length)


def test_a_side_that_fits_is_not_cut():
    assert tiles.spans(300, 320, 96) == [(0, 300, 0, 300)]


@pytest.mark.parametrize(("kernel", "far"), [(1, 0), (3, 32), (65, 32), (67, 64)])
def test_reach_of_a_convolution_is_half_its_kernel(kernel, far):
    convolution = nn.Conv2d(3, 1, (1, kernel), padding=(0, kernel // 2))
    assert tiles.reach(lambda images: {1: convolution(images)}, torch.device("cpu")) == far


@pytest.mark.parametrize("side", ["left", "right"])
def test_reach_is_the_farther_of_both_sides(side):
    padding = (66, 0) if side == "left" else (0, 66)
    convolution = nn.Sequential(nn.ZeroPad2d((*padding, 0, 0)), nn.Conv2d(3, 1, (1, 67)))
    assert tiles.reach(lambda images: {1: convolution(images)}, torch.device("cpu")) == 96


def test_reach_covers_what_the_gradient_says_of_mobilenet():
    network = trained_of().network
    images = torch.randn((1, 3, 32, 1024), generator=torch.Generator().manual_seed(0)).requires_grad_()
    scores = network.scores(images)
    far = 0
    for stride, score in scores.items():
        middle = 512 // stride
        (gradient,) = torch.autograd.grad(score[..., middle].abs().sum(), images, retain_graph=True)
        columns = gradient.abs().sum(dim=(0, 1, 2)).nonzero()[:, 0]
        far = max(far, 512 - int(columns[0]), int(columns[-1]) - 512 - stride + 1)
    reached = tiles.reach(network.scores, torch.device("cpu"))
    assert 128 < far <= reached <= far + 2 * CELL


@pytest.mark.parametrize("n_classes", [1, 3])
@pytest.mark.parametrize("size", [(200, 300), (257, 161), (96, 500)])
def test_tiles_of_a_plain_network_are_exact(n_classes, size):
    image = picture(*size)
    assert not tiles.fits(size, 128)
    whole, tiled = whole_and_tiled(trained_of(Blurred(n_classes), n_classes), image, 128)
    assert whole.shape == tiled.shape == (1 if n_classes == 1 else 4, *size)
    assert whole.std() > 0.1
    assert np.abs(whole - tiled).max() < ROUNDING


@pytest.mark.parametrize(
    ("n_classes", "tile", "size", "options"),
    [
        (1, 768, (790, 797), {}),
        (2, 768, (301, 2003), {"output_stride": 4}),
    ],
)
def test_tiles_of_fcn8_are_exact_where_the_margin_is_as_wide_as_it_sees(n_classes, tile, size, options):
    trained = trained_of(n_classes=n_classes, **options)
    assert isinstance(trained.network, FCN8)
    assert not tiles.fits(size, tile)
    whole, tiled = whole_and_tiled(trained, picture(*size), tile)
    assert whole.std() > 0.1
    assert np.abs(whole - tiled).max() < 1e-4  # of logits of tens, in float32


@pytest.mark.parametrize("flip_test", [False, True])
def test_tiles_of_the_pyramid_are_exact_also_of_its_mirror_image(flip_test):
    whole, tiled = whole_and_tiled(pyramid(flip_test=flip_test), picture(300, 1997), 768)  # no whole number of cells
    assert whole.std() > 0.1
    assert np.abs(whole - tiled).max() < 1e-4


def test_the_mirror_image_gives_the_mirrored_map():
    """Of whole cells; and what it sees is the mean of what the network alone sees of both, in logits."""
    both, alone = pyramid(flip_test=True), pyramid()
    image = picture(64, 96)
    left, right = (as_map(both, turned) for turned in (image, image[:, ::-1]))
    np.testing.assert_allclose(right[:, ::-1], left, atol=1e-5)
    seen, seen_mirrored = (logit(as_map(alone, turned)) for turned in (image, image[:, ::-1]))
    assert np.abs(seen - seen_mirrored[:, ::-1]).max() > 0.1
    np.testing.assert_allclose(logit(left), (seen + seen_mirrored[:, ::-1]) / 2, rtol=1e-3, atol=1e-3)


def as_map(trained, image):
    return trained.probs_of_pixels(np.ascontiguousarray(image)[None], ["made"])[0, 0]


def test_check_is_called_after_each_tile():
    calls = []
    bands = tiles.probability_bands(trained_of(Reds()), picture(100, 300), "made", 160, lambda: calls.append(1))
    assert sum(band.shape[1] for band in bands) == 100
    assert len(calls) == len(tiles.spans(300, 160, 0)) == 2


def test_bands_are_of_bounded_size(monkeypatch):
    monkeypatch.setattr(tiles, "BAND_PIXELS", 300 * 7)
    bands = list(tiles.probability_bands(trained_of(Reds()), picture(100, 300), "made", 160, lambda: None))
    assert [band.shape[1] for band in bands] == [7] * 14 + [2]
