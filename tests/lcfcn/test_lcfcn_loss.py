"""The loss against golden values, against the plain reference and by hand."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from reference import (
    CLICKS,
    GOLDEN,
    MAPS,
    SIZES,
    paper_terms,
    reference_loss,
    reference_terms,
    scene,
)

import lcfcn.lcfcn_loss
from lcfcn.lcfcn_loss import LCFCNLoss, compute_lcfcn_loss, compute_loss

TIED = ("dense", "merged", "one_giant_blob", "touching_points", "trancos_size")  # golden scenes with plateaus
TERMS = ["image_level", "point_level", "split_level", "false_positive"]


def loss_of(logits, points, roi=None):
    """Loss, terms as floats and gradient."""
    logits = torch.as_tensor(logits).detach().clone().requires_grad_()
    points = torch.as_tensor(points)
    roi = None if roi is None else torch.as_tensor(roi)
    loss, terms = compute_lcfcn_loss(logits, points, roi, return_terms=True)
    (gradient,) = torch.autograd.grad(loss, logits)
    return loss.item(), {name: value.item() for name, value in terms.items()}, gradient


def assert_same(one, other, rel=1e-6):
    """Loss, terms and gradient (in its L1 norm and pixel by pixel).

    The absolute tolerances are for float32: a fused cross-entropy near 0 keeps no more digits than its logit has,
    and where the two weights of a pixel nearly cancel, the gradient keeps no more than the weights have.
    """
    assert one[0] == pytest.approx(other[0], rel=rel, abs=rel / 10)
    assert list(one[1]) == list(other[1]) == TERMS
    for term in TERMS:
        assert one[1][term] == pytest.approx(other[1][term], rel=min(rel, 1e-6), abs=1e-9), term
    expected = other[2].double()
    difference = (one[2].double() - expected).abs()
    assert difference.sum() <= rel * expected.abs().sum() + 1e-7 * expected.count_nonzero()
    assert difference.max() <= rel * max(1, expected.abs().max())


# Against golden values.


def assert_golden(golden, loss, values, expected, gradient):
    assert loss == pytest.approx(golden["loss"].item(), rel=1e-6)
    # Golden logarithms are those of float32 probabilities: near 1 they are known to its spacing, at each pixel.
    spacing = 2**-23 * (golden["n_points"].item() + 2)
    assert values == pytest.approx(expected, rel=1e-6, abs=spacing)
    assert (gradient == 0).sum() >= ((golden["weight_fg"] + golden["weight_bg"]) == 0).sum()
    difference = np.abs(gradient - golden["grad_logits"])
    assert difference.sum() <= 1e-6 * np.abs(golden["grad_logits"]).sum()


def golden_parts(golden):
    return {key.removeprefix("loss_"): golden[key].item() for key in golden if key.startswith("loss_")}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", GOLDEN)
def test_golden_loss_terms_and_gradient(shared, name, dtype):
    golden = np.load(shared / "golden" / f"{name}.npz")
    loss, terms, gradient = loss_of(torch.from_numpy(golden["logits"])[None].to(dtype), golden["points"])
    expected = paper_terms(golden_parts(golden))
    if name in TIED:  # other lines are as good, and cost nearly the same
        assert loss == pytest.approx(golden["loss"].item(), rel=0.02)
        spacing = 2**-23 * (golden["n_points"].item() + 2)
        for term in ("image_level", "point_level", "false_positive"):
            assert terms[term] == pytest.approx(expected[term], rel=1e-6, abs=spacing)
    else:
        assert_golden(golden, loss, terms, expected, gradient[0].numpy())


@pytest.mark.parametrize("name", TIED)
def test_tied_golden_scenes_equal_the_reference_with_the_rule_for_ties(shared, name):
    golden = np.load(shared / "golden" / f"{name}.npz")
    logits = torch.from_numpy(golden["logits"])[None]
    assert_same(loss_of(logits.double(), golden["points"]), reference_loss(logits, golden["points"], plain=True))


@pytest.mark.parametrize("name", GOLDEN)
def test_the_reference_itself_is_golden(shared, name):
    golden = np.load(shared / "golden" / f"{name}.npz")
    logits = torch.from_numpy(golden["logits"])[None].double().requires_grad_()
    parts = reference_terms(logits, golden["points"])
    (gradient,) = torch.autograd.grad(sum(parts.values()), logits)
    values = {part: value.item() for part, value in parts.items()}
    assert_golden(golden, sum(values.values()), values, golden_parts(golden), gradient[0].numpy())


# Against the plain reference.


@pytest.mark.parametrize("kind", MAPS)
@pytest.mark.parametrize("clicks", CLICKS)
def test_random_scenes_equal_the_reference(kind, clicks):
    for seed, shape in enumerate(SIZES):
        logits, points = scene(shape, seed=seed, kind=kind, clicks=clicks)
        expected = reference_loss(logits, points.numpy(), plain=True)
        assert_same(loss_of(logits.double(), points), expected)
        assert_same(loss_of(logits, points), expected, rel=1e-5)


@pytest.mark.parametrize("clicks", CLICKS)
@pytest.mark.parametrize("kind", MAPS)
def test_scikit_images_floods_change_only_the_split_term_and_that_little(kind, clicks):
    for seed, shape in enumerate([*SIZES, (97, 131)]):
        if clicks == "all" and shape == (97, 131):
            continue  # one flood a blob of thousands of clicks: the reference alone would take minutes
        logits, points = scene(shape, seed=seed, kind=kind, clicks=clicks)
        loss, terms, _ = loss_of(logits, points)
        expected, expected_terms, _ = reference_loss(logits, points.numpy())
        for term in ("image_level", "point_level", "false_positive"):
            assert terms[term] == pytest.approx(expected_terms[term], rel=1e-5, abs=1e-9)
        assert loss == pytest.approx(expected, rel=0.1)


@pytest.mark.parametrize("n_channels", [2, 3, 4])
@pytest.mark.parametrize("kind", MAPS)
def test_random_scenes_of_several_classes_equal_the_reference(kind, n_channels):
    for seed, (shape, clicks) in enumerate(zip(SIZES, CLICKS * 2, strict=False)):
        # Beyond 30 the reference's 1 - p is 0; the exact value there has a test of its own.
        logits, points = scene(shape, n_channels, seed, kind, clicks)
        logits = logits.clamp(-7, 7)
        expected = reference_loss(logits, points.numpy(), plain=True)
        assert_same(loss_of(logits.double(), points), expected)
        assert_same(loss_of(logits, points), expected, rel=1e-5)


@pytest.mark.parametrize("n_channels", [1, 3])
@pytest.mark.parametrize("density", [0.3, 0.8, 0.97])
def test_scattered_regions_equal_the_reference(n_channels, density):
    rng = np.random.default_rng(5)
    for seed, (shape, clicks) in enumerate(zip(SIZES, CLICKS * 2, strict=False)):
        logits, points = scene(shape, n_channels, seed, "smooth", clicks)
        roi = rng.random(shape) < density
        expected = reference_loss(logits, points.numpy(), roi, plain=True)
        assert_same(loss_of(logits.double(), points, roi), expected)


# By hand.


def test_no_click_and_no_blob_cost_the_surest_background():
    logits = torch.tensor([[[-1.0, -2.0], [-3.0, -1.5]]])
    loss, terms, gradient = loss_of(logits, torch.zeros(2, 2, dtype=torch.long))
    assert loss == pytest.approx(math.log1p(math.exp(-3)))
    assert terms == {"image_level": pytest.approx(loss), "point_level": 0, "split_level": 0, "false_positive": 0}
    np.testing.assert_allclose(gradient[0], [[0, 0], [1 / (1 + math.exp(3)), 0]], rtol=1e-6)


def test_extreme_logits_have_their_true_loss_and_gradient():
    # A click where the network is sure of background, a blob where it is sure of an object and no click is.
    loss, terms, gradient = loss_of([[[-200.0, 200.0]]], [[1, 0]])
    assert terms == {"image_level": 200 - 200, "point_level": 200, "split_level": 0, "false_positive": 200}
    assert loss == 400
    np.testing.assert_allclose(gradient[0, 0], [-1, 1])
    # A class that is nowhere clicked and everywhere sure.
    loss, terms, gradient = loss_of(torch.tensor([0.0, 0.0, 60.0]).reshape(3, 1, 1).double(), [[1]])
    assert terms["image_level"] == pytest.approx(60 + 60 - math.log(2))
    np.testing.assert_allclose(gradient[:, 0, 0], [-0.5 + -1, -1 - 1 - 0.5, 4], atol=1e-9)


def hand_logits(columns, height=3):
    """(C, height, W) logits from the probabilities of each column's pixels."""
    return torch.tensor(columns).double().log().T[:, None, :].repeat(1, height, 1)


def test_three_by_three_of_two_classes_without_a_blob():
    logits = torch.zeros(3, 3, 3).double()
    points = torch.zeros(3, 3, dtype=torch.long)
    points[1, 1] = 1
    loss, terms, _ = loss_of(logits, points)
    # Background log 3; class 1, clicked, log 3; class 2, absent, -log(1 - 1/3).
    assert terms["image_level"] == pytest.approx(2 * math.log(3) + math.log(1.5))
    assert terms["point_level"] == pytest.approx(math.log(3))
    assert terms["split_level"] == terms["false_positive"] == 0
    assert loss == pytest.approx(3 * math.log(3) + math.log(1.5))


def test_two_classes_a_blob_of_two_clicks_is_split_along_its_valley():
    logits = hand_logits([[0.1, 0.8, 0.1], [0.1, 0.8, 0.1], [0.2, 0.6, 0.2], [0.1, 0.8, 0.1]])
    points = torch.zeros(3, 4, dtype=torch.long)
    points[1, 0] = points[1, 3] = 1
    _, terms, _ = loss_of(logits, points)
    # Greatest p_0 is 0.2, greatest p_1 0.8, class 2 is absent and its greatest p_2 is 0.2.
    assert terms["image_level"] == pytest.approx(-math.log(0.2) - math.log(0.8) - math.log(0.8))
    assert terms["point_level"] == pytest.approx(-2 * math.log(0.8))
    # The right-hand click floods columns 2 and 3, the line runs over columns 1 and 2; image and blob, 1 each.
    assert terms["split_level"] == pytest.approx(-2 * (math.log(0.1) + math.log(0.2)) / 2)
    assert terms["false_positive"] == 0


def test_three_classes_each_with_its_own_blobs_and_clicks():
    logits = hand_logits([[0.1, 0.7, 0.1, 0.1], [0.4, 0.2, 0.2, 0.2], [0.2, 0.1, 0.6, 0.1]])
    points = torch.zeros(3, 3, dtype=torch.long)
    points[0, 0], points[2, 2] = 3, 2
    _, terms, _ = loss_of(logits, points)
    background, class_2, class_3, absent_1 = 0.4, 0.6, 0.2, 1 - 0.7
    assert terms["image_level"] == pytest.approx(-sum(map(math.log, (background, class_2, class_3, absent_1))))
    assert terms["point_level"] == pytest.approx(-math.log(0.1) - math.log(0.6))
    assert terms["split_level"] == 0  # one click a class: nothing to part
    # The blob of class 1 in column 0 holds a click, but of class 3.
    assert terms["false_positive"] == pytest.approx(-math.log(0.1))


def test_two_blobs_of_one_class_weigh_one_each():
    logits = hand_logits([[0.2, 0.1, 0.7], [0.6, 0.2, 0.2], [0.1, 0.1, 0.8]])
    logits[:, 0, 2] = torch.tensor([0.5, 0.25, 0.25]).double().log()  # the right-hand blob has 2 pixels
    logits[:, 1, 2] = torch.tensor([0.3, 0.1, 0.6]).double().log()
    points = torch.zeros(3, 3, dtype=torch.long)
    points[0, 1] = 1
    _, terms, _ = loss_of(logits, points)
    assert terms["false_positive"] == pytest.approx(-math.log(0.2) - (math.log(0.3) + math.log(0.1)) / 2)


@pytest.mark.parametrize("kind", MAPS)
@pytest.mark.parametrize("clicks", CLICKS)
def test_softmax_of_one_class_is_the_sigmoid(kind, clicks):
    for seed, shape in enumerate(SIZES):
        logits, points = scene(shape, seed=seed, kind=kind, clicks=clicks)
        logits = logits.double()
        one = loss_of(logits, points)
        two = loss_of(torch.cat([torch.zeros_like(logits), logits]), points)
        assert_same((*two[:2], two[2][1:]), one)
        torch.testing.assert_close(two[2][:1], -two[2][1:])


# Probabilities.


@pytest.mark.parametrize("n_channels", [1, 2, 3])
def test_probabilities_give_the_loss_of_their_logits(n_channels):
    logits, points = scene(n_channels=n_channels, n=3)
    logits = logits.clamp(-4, 4).requires_grad_()
    roi = torch.rand(points.shape, generator=torch.Generator().manual_seed(0)) < 0.9
    if n_channels == 2:
        prob = (logits[:, 1:] - logits[:, :1]).sigmoid()
        probs = torch.cat([1 - prob, prob], 1)
    else:
        probs = logits.sigmoid() if n_channels == 1 else logits.softmax(1)
    for region in (None, roi):
        from_logits, terms = compute_lcfcn_loss(logits, points, region, return_terms=True)
        from_probs, probs_terms = compute_loss(points=points, probs=probs, roi_mask=region, return_terms=True)
        torch.testing.assert_close(from_probs, from_logits, rtol=1e-5, atol=0)
        torch.testing.assert_close(probs_terms, terms, rtol=1e-5, atol=0)
        grad_logits, grad_probs = (
            torch.autograd.grad(loss, logits, retain_graph=True)[0] for loss in (from_logits, from_probs)
        )
        torch.testing.assert_close(grad_probs, grad_logits, rtol=1e-4, atol=1e-6)


def test_logarithms_of_probabilities_are_clamped_at_minus_100():
    probs = torch.tensor([[[0.0, 1.0]]], requires_grad=True)
    loss, terms = compute_loss(torch.tensor([[1, 0]]), probs, return_terms=True)
    assert {name: value.item() for name, value in terms.items()} == {
        "image_level": 0,
        "point_level": 100,
        "split_level": 0,
        "false_positive": 100,
    }
    assert loss.item() == 200
    loss.backward()
    assert probs.grad.isfinite().all()


# Batches and shapes.


@pytest.mark.parametrize("n_channels", [1, 2, 3])
def test_a_batch_is_the_mean_of_its_images(n_channels):
    logits, points = scene(n_channels=n_channels, n=3)
    roi = torch.rand(points.shape, generator=torch.Generator().manual_seed(1)) < 0.9
    logits = logits.double()
    images = [loss_of(*image) for image in zip(logits, points, roi, strict=True)]
    mean = (
        np.mean([loss for loss, _, _ in images]),
        {name: np.mean([terms[name] for _, terms, _ in images]) for name in TERMS},
        torch.stack([gradient for _, _, gradient in images]) / 3,
    )
    assert len({loss for loss, _, _ in images}) == 3
    assert_same(loss_of(logits, points, roi), mean)


@pytest.mark.parametrize("n_channels", [1, 3])
def test_terms_add_up_to_the_loss(n_channels):
    logits, points = scene(n_channels=n_channels, n=2)
    loss, terms, _ = loss_of(logits, points)
    assert sum(terms.values()) == pytest.approx(loss, rel=1e-5)
    assert all(value > 0 for value in terms.values())


def test_one_image_with_and_without_the_batch_dimension():
    logits, points = scene()
    expected = compute_lcfcn_loss(logits, points)
    assert expected.shape == ()
    for some_logits, some_points in [(logits, points[None]), (logits[None], points[None])]:
        assert torch.equal(compute_lcfcn_loss(some_logits, some_points), expected)
    roi = points >= 0
    assert torch.equal(compute_lcfcn_loss(logits, points, roi[None]), expected)


# Numbers.


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("n_channels", [1, 3])
def test_half_precision_is_computed_in_float32(dtype, n_channels):
    logits, points = scene(n_channels=n_channels)
    half = logits.to(dtype).requires_grad_()
    loss = compute_lcfcn_loss(half, points)
    assert loss.dtype == torch.float32
    expected, _, gradient = loss_of(half.float(), points)
    assert loss.item() == expected
    loss.backward()
    assert half.grad.dtype == dtype
    # Where a pixel is pushed both ways, the two gradients meet in half precision.
    torch.testing.assert_close(half.grad, gradient.to(dtype), rtol=2 * torch.finfo(dtype).eps, atol=1e-6)
    probs = half.detach().sigmoid() if n_channels == 1 else half.detach().softmax(0)
    assert torch.equal(compute_loss(points, probs), compute_loss(points, probs.float()))


def test_float64_stays_float64():
    logits, points = scene()
    assert compute_lcfcn_loss(logits.double(), points).dtype == torch.float64
    assert compute_loss(points, logits.double().sigmoid()).dtype == torch.float64


def test_inputs_are_not_changed_and_terms_have_no_gradient():
    logits, points = scene(n=2)
    roi = torch.rand(points.shape, generator=torch.Generator().manual_seed(3)) < 0.8
    logits.requires_grad_()
    inputs = (logits, points, roi)
    before = [tensor.detach().clone() for tensor in inputs]
    loss, terms = compute_lcfcn_loss(*inputs, return_terms=True)
    loss.backward()
    probs = logits.detach().sigmoid()
    old_probs = probs.clone()
    compute_loss(points, probs, roi)
    for tensor, old in zip((*inputs, probs), (*before, old_probs), strict=True):
        assert torch.equal(tensor, old)
    assert not any(value.requires_grad for value in terms.values())


@pytest.mark.parametrize("n_channels", [1, 3])
def test_the_same_input_gives_the_same_bits(n_channels):
    logits, points = scene((37, 53), n_channels, clicks="dense", n=2)
    first, again = loss_of(logits, points), loss_of(logits, points)
    assert first[:2] == again[:2]
    assert torch.equal(first[2], again[2])


@pytest.mark.parametrize("n_channels", [1, 2, 3])
@pytest.mark.parametrize("with_region", [False, True])
def test_gradcheck(n_channels, with_region):
    # The weights are constants of the gradient: no logit may lie where a step of 1e-6 changes a blob or a flood.
    generator = torch.Generator().manual_seed(4)
    logits = (2 * torch.randn(2, n_channels, 6, 7, generator=generator)).double().requires_grad_()
    points = (torch.rand(2, 6, 7, generator=generator) < 0.2) * torch.randint(1, max(n_channels, 2), (2, 6, 7))
    roi = torch.rand(2, 6, 7, generator=generator) < 0.8 if with_region else None
    assert torch.autograd.gradcheck(lambda z: compute_lcfcn_loss(z, points, roi), logits)


def test_a_few_steps_downhill_lower_the_loss():
    logits, points = scene(n=2)
    logits.requires_grad_()
    start = compute_lcfcn_loss(logits, points)
    for _ in range(20):
        (gradient,) = torch.autograd.grad(compute_lcfcn_loss(logits, points), logits)
        logits = (logits - 0.5 * gradient).detach().requires_grad_()
    assert compute_lcfcn_loss(logits, points) < 0.8 * start


# Regions.


@pytest.mark.parametrize("n_channels", [1, 2, 3])
@pytest.mark.parametrize("padding", [(0, 1, 0, 0), (0, 0, 0, 5), (0, 9, 0, 13), (4, 3, 2, 6), (40, 40, 40, 40)])
@pytest.mark.parametrize(("kind", "clicks"), [("smooth", "sparse"), ("noise", "dense"), ("bumps", "border")])
def test_padding_outside_the_region_changes_nothing(n_channels, padding, kind, clicks):
    logits, points = scene((17, 23), n_channels, 6, kind, clicks)
    logits = logits.double()
    left, right, top, bottom = padding
    roi = F.pad(torch.ones_like(points), padding).bool()
    generator = torch.Generator().manual_seed(5)
    # What is outside would draw every extremum, blob and flood to itself.
    padded = F.pad(logits, padding)
    padded = torch.where(roi, padded, 20 * torch.randn(padded.shape, generator=generator).double())
    more_points = torch.where(roi, F.pad(points, padding), torch.randint(0, 2, roi.shape, generator=generator))
    loss, terms, gradient = loss_of(padded, more_points, roi)
    assert gradient[:, ~roi].abs().max() == 0
    inside = gradient[:, top : top + 17, left : left + 23]
    assert_same((loss, terms, inside), loss_of(logits, points), rel=1e-9)


def test_images_of_different_sizes_share_a_batch():
    small, small_points = scene((9, 14), seed=7)
    large, large_points = scene((17, 23), seed=8)
    batch = torch.stack([F.pad(small, (0, 9, 0, 8)), large])
    points = torch.stack([F.pad(small_points, (0, 9, 0, 8)), large_points])
    roi = torch.ones(2, 17, 23).bool()
    roi[0, 9:], roi[0, :, 14:] = False, False
    loss, _, _ = loss_of(batch, points, roi)
    assert loss == pytest.approx((loss_of(small, small_points)[0] + loss_of(large, large_points)[0]) / 2, rel=1e-6)


@pytest.mark.parametrize("n_channels", [1, 3])
def test_what_lies_outside_a_scattered_region_is_not_seen(n_channels):
    logits, points = scene(n_channels=n_channels, clicks="dense")
    generator = torch.Generator().manual_seed(6)
    roi = torch.rand(points.shape, generator=generator) < 0.7
    expected = loss_of(logits, points, roi)
    others = torch.where(roi, logits, 10 * torch.randn(logits.shape, generator=generator))
    other_points = torch.where(roi, points, torch.randint(0, max(n_channels, 2), roi.shape, generator=generator))
    assert_same(loss_of(others, other_points, roi), expected, rel=1e-9)


@pytest.mark.parametrize("n_channels", [1, 2, 3])
def test_an_image_outside_its_region_adds_nothing_and_counts(n_channels):
    logits, points = scene(n_channels=n_channels, n=2, clicks="dense")
    roi = torch.ones_like(points).bool()
    roi[1] = False
    loss, terms, gradient = loss_of(logits, points, roi)
    alone = loss_of(logits[0], points[0])
    assert_same(
        (loss, terms, gradient[0]), (alone[0] / 2, {k: v / 2 for k, v in alone[1].items()}, alone[2] / 2), rel=1e-6
    )
    assert gradient[1].abs().max() == 0
    assert loss_of(logits[1], points[1], roi[1])[0] == 0


# Options.


def test_without_options_nothing_changes():
    logits, points = scene(n=2)
    expected = compute_lcfcn_loss(logits, points)
    neutral = {"reduction": "mean", "spare_points": False, "divide_by_points": False, "term_weights": {}}
    assert torch.equal(compute_lcfcn_loss(logits, points, **neutral), expected)
    assert torch.equal(compute_lcfcn_loss(logits, points, return_terms=True)[0], expected)


@pytest.mark.parametrize("n_channels", [1, 3])
def test_reductions_reduce_the_images_and_the_terms_alike(n_channels):
    logits, points = scene(n_channels=n_channels, n=3)
    roi = torch.ones_like(points).bool()
    roi[1] = False
    each, terms = compute_lcfcn_loss(logits, points, roi, reduction="none", return_terms=True)
    assert each.shape == (3,)
    assert each[1] == 0
    for n in range(3):
        alone, alone_terms = compute_lcfcn_loss(logits[n], points[n], roi[n], return_terms=True)
        torch.testing.assert_close(each[n], alone)
        for term in TERMS:
            torch.testing.assert_close(terms[term][n], alone_terms[term])
    for reduction in ("mean", "sum"):
        loss, reduced = compute_lcfcn_loss(logits, points, roi, reduction=reduction, return_terms=True)
        torch.testing.assert_close(loss, getattr(each, reduction)())
        for term in TERMS:
            torch.testing.assert_close(reduced[term], getattr(terms[term], reduction)())


def test_each_image_is_divided_by_its_number_of_points():
    logits, points = scene(n=3, clicks="dense")
    points[1] = 0
    roi = torch.rand(points.shape, generator=torch.Generator().manual_seed(7)) < 0.7
    plain, terms = compute_lcfcn_loss(logits, points, roi, reduction="none", return_terms=True)
    divided, divided_terms = compute_lcfcn_loss(
        logits, points, roi, reduction="none", divide_by_points=True, return_terms=True
    )
    counts = ((points > 0) & roi).sum((1, 2)).clamp(min=1)
    assert counts.unique().numel() == 3
    torch.testing.assert_close(divided, plain / counts)
    for term in TERMS:
        torch.testing.assert_close(divided_terms[term], terms[term] / counts)


@pytest.mark.parametrize("n_channels", [1, 3])
def test_weights_of_terms_multiply_terms_and_gradient(n_channels):
    logits, points = scene(n_channels=n_channels, n=2)
    logits = logits.double().requires_grad_()
    _, terms = compute_lcfcn_loss(logits, points, return_terms=True)
    factors = {"split_level": 2.5, "false_positive": 0.0}
    loss, weighted = compute_lcfcn_loss(logits, points, term_weights=factors, return_terms=True)
    for term in TERMS:
        torch.testing.assert_close(weighted[term], terms[term] * factors.get(term, 1))
    torch.testing.assert_close(loss, sum(weighted.values()))
    apart = [compute_lcfcn_loss(logits, points, term_weights={t: float(t == term) for t in TERMS}) for term in TERMS]
    gradients = [torch.autograd.grad(part, logits)[0] for part in apart]
    expected = sum(factors.get(t, 1) * gradient for t, gradient in zip(TERMS, gradients, strict=True))
    torch.testing.assert_close(torch.autograd.grad(loss, logits)[0], expected)


def test_spared_points_are_pulled_up_only():
    # Two touching clicks are pushed to the background by the line between them, and pulled up by the point term.
    logits = torch.full((1, 4, 6), 0.5, requires_grad=True)
    points = torch.zeros(4, 6, dtype=torch.long)
    points[2, 2] = points[2, 3] = 1
    pushed, pulled = (
        torch.autograd.grad(compute_lcfcn_loss(logits, points, spare_points=spare), logits)[0][0, 2, 2:4]
        for spare in (False, True)
    )
    torch.testing.assert_close(pulled, torch.full((2,), -torch.tensor(-0.5).sigmoid()))
    assert (pushed > pulled).all()


@pytest.mark.parametrize("compute", [compute_lcfcn_loss, lambda z, p, **o: compute_loss(p, z.sigmoid(), **o)])
def test_unknown_options_are_refused(compute):
    logits, points = scene()
    with pytest.raises(ValueError, match="reduction is 'average'; expected one of mean, sum, none"):
        compute(logits, points, reduction="average")
    with pytest.raises(ValueError, match="term_weights name split; expected names out of image_level, point_level"):
        compute(logits, points, term_weights={"split": 2})


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("divide_by_points", "batch"),  # of an experiment only
        ("divide_by_points", 1),
        ("spare_points", "yes"),
        ("return_terms", None),
        ("reduction", None),
        ("reduction", ["mean"]),
        ("term_weights", ["split_level"]),
        ("term_weights", 2),
        ("term_weights", {0: 2}),
        ("term_weights", {"split_level": math.nan}),
        ("term_weights", {"split_level": math.inf}),
        ("term_weights", {"split_level": -1}),
        ("term_weights", {"split_level": "2"}),
        ("term_weights", {"split_level": None}),
    ],
)
def test_wrong_options_are_refused_in_one_line(option, value):
    logits, points = scene()
    makers = [
        lambda **o: compute_lcfcn_loss(logits, points, **o),
        lambda **o: compute_loss(points, logits.sigmoid(), **o),
    ]
    for make in makers if option == "return_terms" else [*makers, LCFCNLoss]:
        with pytest.raises(ValueError, match=rf"^{option}.*; expected ") as error:
            make(**{option: value})
        assert "\n" not in str(error.value)


def test_a_term_of_weight_0_is_left_out():
    logits, points = scene()
    weights = {"split_level": 0, "point_level": np.float32(0.5)}
    loss, terms = compute_lcfcn_loss(logits, points, term_weights=weights, return_terms=True)
    _, plain = compute_lcfcn_loss(logits, points, return_terms=True)
    assert terms["split_level"] == 0 < plain["split_level"]
    assert loss.item() == pytest.approx(
        sum(plain.values()).item() - (plain["split_level"] + plain["point_level"] / 2).item()
    )


def test_the_probabilities_have_the_same_options():
    logits, points = scene(n=2, clicks="dense")
    logits = logits.clamp(-4, 4)
    options = {
        "reduction": "none",
        "spare_points": True,
        "divide_by_points": True,
        "term_weights": {"split_level": 0.5},
        "return_terms": True,
    }
    torch.testing.assert_close(
        compute_loss(points, logits.sigmoid(), **options),
        compute_lcfcn_loss(logits, points, **options),
        rtol=1e-5,
        atol=1e-6,
    )


def test_the_module_is_the_function():
    logits, points = scene(n=2, clicks="dense")
    roi = torch.rand(points.shape, generator=torch.Generator().manual_seed(8)) < 0.8
    assert torch.equal(LCFCNLoss()(logits, points), compute_lcfcn_loss(logits, points))
    options = {"reduction": "sum", "spare_points": True, "divide_by_points": True, "term_weights": {"split_level": 2}}
    module = LCFCNLoss(**options)
    assert torch.equal(module(logits, points, roi), compute_lcfcn_loss(logits, points, roi, **options))
    assert "spare_points=True" in repr(module)
    assert not list(module.parameters())
    with pytest.raises(ValueError, match="reduction is"):
        LCFCNLoss(reduction="average")


def test_under_autocast_the_loss_and_its_gradient_are_those_of_the_network_alone():
    images, points = scene(n=2)
    network = torch.nn.Conv2d(1, 1, 3, padding=1)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        logits = network(images)
        loss = compute_lcfcn_loss(logits, points)
    assert logits.dtype == torch.bfloat16
    assert loss.dtype == torch.float32
    assert loss.item() == compute_lcfcn_loss(logits.float(), points).item()
    loss.backward()
    assert network.weight.grad.isfinite().all()
    assert network.weight.grad.abs().sum() > 0


@pytest.mark.parametrize("n_channels", [1, 3])
def test_threads_do_not_change_a_bit(n_channels):
    logits, points = scene((37, 53), n_channels, clicks="dense", n=5)
    threads = torch.get_num_threads()
    found = []
    for n_threads in (1, 3):
        torch.set_num_threads(n_threads)
        found.append(loss_of(logits, points))
    torch.set_num_threads(threads)
    assert found[0][:2] == found[1][:2]
    assert torch.equal(found[0][2], found[1][2])


def test_logits_of_another_memory_order_give_the_same():
    logits, points = scene(n_channels=3, n=2)
    other = logits.contiguous(memory_format=torch.channels_last)
    assert loss_of(other, points)[0] == loss_of(logits, points)[0]
    torch.testing.assert_close(loss_of(other, points)[2], loss_of(logits, points)[2])
    turned = logits.transpose(2, 3).contiguous().transpose(2, 3)
    assert loss_of(turned, points)[0] == loss_of(logits, points)[0]


def test_the_names_that_the_public_knows():
    for name in ("LCFCNLoss", "compute_lcfcn_loss", "compute_loss", "get_blobs", "blobs2points", "compute_game"):
        assert name in lcfcn.lcfcn_loss.__all__
        assert callable(getattr(lcfcn.lcfcn_loss, name))
