"""What the losses refuse, in one line, and what they take."""

import math

import pytest
import torch
from reference import (
    scene,
)

from lcfcn.heatmap import compute_heatmap_loss
from lcfcn.lcfcn_loss import LCFCNLoss, NonFiniteError, compute_lcfcn_loss, compute_loss


@pytest.mark.parametrize("value", [-0.1, 1.0001, 7])
def test_probabilities_beyond_0_and_1_are_refused(value):
    probs = torch.full((1, 3, 3), 0.5)
    probs[0, 1, 1] = value
    with pytest.raises(ValueError, match=r"expected \[0, 1\]"):
        compute_loss(torch.zeros(3, 3, dtype=torch.long), probs)


def test_bool_points_are_clicks_and_fractions_are_refused():
    logits, points = scene()
    assert torch.equal(compute_lcfcn_loss(logits, points.bool()), compute_lcfcn_loss(logits, points))
    with pytest.raises(ValueError, match="points hold fractions"):
        compute_lcfcn_loss(logits, points * 0.5)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int32, torch.float32])
def test_points_and_regions_of_any_number_type(dtype):
    logits, points = scene(n_channels=3)
    roi = torch.rand(points.shape, generator=torch.Generator().manual_seed(2)) < 0.8
    expected = compute_lcfcn_loss(logits, points, roi)
    assert torch.equal(compute_lcfcn_loss(logits, points.to(dtype), roi.to(dtype)), expected)


@pytest.mark.parametrize(
    ("logits", "points"),
    [
        ((2, 1, 4, 5), (4, 5)),
        ((2, 1, 4, 5), (1, 4, 5)),
        ((1, 1, 4, 5), (4, 5)),
        ((2, 1, 4, 5), (2, 5, 4)),
        ((2, 1, 4, 5), (2, 1, 4, 5)),
        ((1, 4, 5), (2, 4, 5)),
        ((1, 4, 5), (4,)),
    ],
)
def test_points_and_regions_that_do_not_fit_are_refused(logits, points):
    good = logits[:-3] + logits[-2:]
    with pytest.raises(ValueError, match=rf"points has shape \({points[0]},.*expected \({good[0]},"):
        compute_lcfcn_loss(torch.zeros(logits), torch.zeros(points).long())
    with pytest.raises(ValueError, match=rf"roi_mask has shape \({points[0]},.*expected \({good[0]},"):
        compute_lcfcn_loss(torch.zeros(logits), torch.zeros(good).long(), torch.ones(points).bool())


@pytest.mark.parametrize("shape", [(4, 5), (1, 1, 1, 4, 5), (0, 1, 4, 5), (1, 0, 4, 5), (1, 0, 5)])
def test_outputs_of_another_shape_are_refused(shape):
    for compute in (compute_lcfcn_loss, lambda output, points: compute_loss(points, output)):
        with pytest.raises(ValueError, match=r"expected a float tensor \(N, C, H, W\)"):
            compute(torch.zeros(shape), torch.zeros(4, 5).long())


def test_whole_number_outputs_are_refused():
    with pytest.raises(ValueError, match=r"int64; expected a float tensor"):
        compute_lcfcn_loss(torch.zeros(1, 4, 5).long(), torch.zeros(4, 5).long())


@pytest.mark.parametrize(("n_channels", "value", "limit"), [(1, 2, 1), (1, -1, 1), (2, 2, 1), (3, 3, 2), (1, 255, 1)])
def test_classes_that_the_output_has_not_are_refused(n_channels, value, limit):
    points = torch.zeros(4, 5).long()
    points[2, 3] = value
    with pytest.raises(ValueError, match=rf"{value}.*expected 0 for nothing and 1 to {limit} "):
        compute_lcfcn_loss(torch.zeros(n_channels, 4, 5), points)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_broken_numbers_name_their_image(value):
    logits, points = scene(n=3)
    logits[1, 0, 3, 4] = value
    with pytest.raises(NonFiniteError, match="logits of image 1 of the batch") as error:
        compute_lcfcn_loss(logits, points)
    assert error.value.index == 1
    with pytest.raises(NonFiniteError, match="probs of image 1 of the batch"):
        compute_loss(points, logits.sigmoid() if math.isnan(value) else logits)
    assert issubclass(NonFiniteError, ValueError)


@pytest.mark.parametrize("convert", [lambda tensor: tensor.detach().numpy(), lambda tensor: tensor.tolist()])
def test_what_is_no_tensor_is_refused_by_name(convert):
    logits, points = scene()
    roi = torch.ones_like(points).bool()
    for inputs, name in (
        ((convert(logits), points), "logits"),
        ((logits, convert(points)), "points"),
        ((logits, points, convert(roi)), "roi_mask"),
        ((logits, None), "points"),
    ):
        for compute in (compute_lcfcn_loss, compute_heatmap_loss, LCFCNLoss()):
            with pytest.raises(
                TypeError, match=rf"^{name} is a \w+; expected a tensor: pass torch.as_tensor\({name}\)"
            ):
                compute(*inputs)
    with pytest.raises(TypeError, match="^probs is a "):
        compute_loss(points, convert(logits.sigmoid()))


def test_points_on_another_device_than_the_output_are_refused():
    logits, points = scene()
    with pytest.raises(ValueError, match="points lie on meta and the network's output on cpu; expected the same"):
        compute_lcfcn_loss(logits, points.to("meta"))
    with pytest.raises(ValueError, match="roi_mask lie on meta"):
        compute_lcfcn_loss(logits, points, torch.ones_like(points).bool().to("meta"))
