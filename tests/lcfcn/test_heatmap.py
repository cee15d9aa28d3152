import numpy as np
import pytest
import torch

from lcfcn.heatmap import SIGMA, WEIGHT, compute_heatmap_loss
from lcfcn.lcfcn_loss import NonFiniteError


def scene(n_channels=1, n=2, size=(24, 30)):
    generator = torch.Generator().manual_seed(5)
    logits = torch.randn((n, n_channels, *size), generator=generator)
    points = torch.zeros((n, *size), dtype=torch.long)
    points[0, 4, 5] = points[0, 12, 20] = 1
    points[0, 5, 9] = max(n_channels - 1, 1)
    points[1, 20, 3] = 1
    return logits, points


def slow_loss(logits, points, roi):
    """Pixel by pixel, click by click, as the docstring says it."""
    logits, n_classes = logits.double(), max(logits.shape[1] - 1, 1)
    total = 0
    for image in range(len(logits)):
        clicks = [(r, c) for r, c in (points[image] > 0).nonzero().tolist() if roi[image, r, c]]
        for row in range(points.shape[1]):
            for col in range(points.shape[2]):
                if not roi[image, row, col]:
                    continue
                heights = [0.0] * n_classes
                for r, c in clicks:
                    k = int(points[image, r, c]) - 1
                    height = np.exp(-((r - row) ** 2 + (c - col) ** 2) / (2 * SIGMA**2))
                    heights[k] = max(heights[k], height)
                top = max(heights)
                targets = [1 - top, *(top * h / sum(heights) if top else 0 for h in heights)]
                x = logits[image, :, row, col]
                x = torch.cat([torch.zeros(1), x]) if len(x) == 1 else x
                log_probs = x.log_softmax(0).tolist()
                total -= (1 + WEIGHT * top) * sum(t * p for t, p in zip(targets, log_probs, strict=True))
    return total / (len(logits) * WEIGHT * np.pi * SIGMA**2)


@pytest.mark.parametrize("n_channels", [1, 2, 3])
def test_the_loss_is_what_a_slow_sum_over_pixels_gives(n_channels):
    logits, points = scene(n_channels)
    roi = torch.ones(points.shape, dtype=torch.bool)
    roi[0, :8, :8] = roi[1, :, 25:] = False  # with a click in what is left out
    loss = compute_heatmap_loss(logits, points, roi)
    assert float(loss) == pytest.approx(slow_loss(logits, points, roi), rel=1e-5)


def test_without_a_region_the_whole_image_counts_and_an_image_without_clicks_teaches_too():
    logits, points = scene()
    points[:] = 0
    everywhere = torch.ones(points.shape, dtype=torch.bool)
    loss = compute_heatmap_loss(logits, points)
    assert loss == compute_heatmap_loss(logits, points, everywhere)
    assert float(loss) == pytest.approx(slow_loss(logits, points, everywhere), rel=1e-5)


def test_bumps_are_what_it_is_least_for():
    # Started from nothing, the probabilities descend to the bumps: 1 at clicks, e^-1/2 at a sigma from them.
    points = torch.zeros((1, 40, 40), dtype=torch.long)
    points[0, 20, 20] = 1
    logits = torch.zeros((1, 1, 40, 40), requires_grad=True)
    optimizer = torch.optim.Adam([logits], lr=0.3)
    for _ in range(300):
        optimizer.zero_grad()
        compute_heatmap_loss(logits, points).backward()
        optimizer.step()
    probs = logits.detach().sigmoid()[0, 0]
    assert probs[20, 20] > 0.99
    assert float(probs[20, 20 + int(SIGMA)]) == pytest.approx(np.exp(-0.5), abs=0.01)
    assert probs[0, 0] < 0.01


def test_the_loss_stays_finite_where_the_network_is_sure_and_wrong():
    logits, points = scene()
    logits = (1e4 * (1 - 2 * (points > 0).float()))[:, None].requires_grad_()
    loss = compute_heatmap_loss(logits, points)
    loss.backward()
    assert loss.isfinite()
    assert logits.grad.isfinite().all()


def test_what_is_not_finite_is_named_by_its_image():
    logits, points = scene()
    logits[1, 0, 3, 3] = torch.nan
    with pytest.raises(NonFiniteError) as error:
        compute_heatmap_loss(logits, points)
    assert error.value.index == 1
