"""The loss written down as its table reads: slow, plain, on scikit-image, one flood a blob. The tests' yardstick."""

import heapq
import itertools

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from scipy import ndimage
from skimage.measure import label
from skimage.segmentation import find_boundaries, watershed

PARTS = ("image_background", "image_foreground", "point", "split_global", "split_local", "false_positive")


def reference_terms(logits, points, roi=None, plain=False):
    """The six parts of the loss of one image, as float64 scalars with gradient.

    logits : (C, H, W) float64 tensor; points : (H, W) int ndarray; roi : (H, W) bool ndarray or None;
    plain : flood by `plain_flood`, where the order of equal heights matters, not by scikit-image
    """
    n_channels, height, width = logits.shape
    inside = np.ones((height, width), dtype=bool) if roi is None else roi
    parts = dict.fromkeys(PARTS, torch.zeros((), dtype=torch.float64))
    pixels = [(r, c) for r in range(height) for c in range(width) if inside[r, c]]
    if not pixels:
        return parts
    probs = probabilities(logits)
    if n_channels == 1:
        to_background, to_class = F.softplus(logits[0]), [F.softplus(-logits[0])]
        against_class, class_probs = [F.softplus(logits[0])], [probs[0]]
        foreground = [probs[0] > 0.5]
        surest_background = min(pixels, key=lambda pixel: probs[0][pixel])
    else:
        log_probs = logits.log_softmax(0)
        to_background, to_class = -log_probs[0], list(-log_probs[1:])
        against_class = [-torch.log1p(-log_prob.exp()) for log_prob in log_probs[1:]]
        class_probs = list(probs[1:])
        foreground = [probs.argmax(0) == k for k in range(1, n_channels)]
        surest_background = max(pixels, key=lambda pixel: probs[0][pixel])

    if any(points[pixel] == 0 for pixel in pixels):
        parts["image_background"] = parts["image_background"] + to_background[surest_background]
    for k, prob in enumerate(class_probs, start=1):
        clicks = [pixel for pixel in pixels if points[pixel] == k]
        surest = max(pixels, key=lambda pixel: prob[pixel])
        if clicks:
            parts["image_foreground"] = parts["image_foreground"] + to_class[k - 1][surest]
        elif n_channels > 2:
            parts["image_foreground"] = parts["image_foreground"] + against_class[k - 1][surest]
        for pixel in clicks:
            parts["point"] = parts["point"] + to_class[k - 1][pixel]
        if len(clicks) > 1:
            lines = flood_lines(prob, clicks, roi, plain, clicks)
            parts["split_global"] = parts["split_global"] + (len(clicks) - 1) * mean_over(to_background, lines)
        blobs = label(foreground[k - 1] & inside, connectivity=2)
        for blob in range(1, blobs.max() + 1):
            clicks_in = [pixel for pixel in clicks if blobs[pixel] == blob]
            if not clicks_in:
                parts["false_positive"] = parts["false_positive"] + mean_over(to_background, blobs == blob)
            if len(clicks_in) > 1:
                lines = flood_lines(prob, clicks_in, roi, plain, clicks) & (blobs == blob)
                share = (len(clicks_in) - 1) * mean_over(to_background, lines)
                parts["split_local"] = parts["split_local"] + share
    return parts


def paper_terms(parts):
    """The paper's four terms from the six parts."""
    return {
        "image_level": parts["image_background"] + parts["image_foreground"],
        "point_level": parts["point"],
        "split_level": parts["split_global"] + parts["split_local"],
        "false_positive": parts["false_positive"],
    }


def reference_loss(logits, points, roi=None, plain=False):
    """Loss, its paper terms as floats, and its gradient (C, H, W), of one image."""
    logits = logits.detach().double().requires_grad_()
    parts = reference_terms(logits, points, roi, plain)
    loss = sum(parts.values())
    gradient = torch.zeros_like(logits)
    if loss.requires_grad:
        (gradient,) = torch.autograd.grad(loss, logits)
    return loss.item(), {name: value.item() for name, value in paper_terms(parts).items()}, gradient


def probabilities(logits):
    """(C, H, W) logits to float32 probabilities; two channels are one sigmoid of their difference."""
    logits = logits.detach().float()
    if len(logits) == 1:
        return logits.sigmoid().numpy()
    if len(logits) == 2:
        prob = (logits[1] - logits[0]).sigmoid()
        return torch.stack([1 - prob, prob]).numpy()
    return logits.softmax(0).numpy()


def mean_over(values, mask):
    chosen = values[torch.from_numpy(mask)]
    return chosen.mean() if len(chosen) else torch.zeros((), dtype=torch.float64)


def flood_lines(prob, clicks, roi, plain, all_clicks):
    """Both sides of the borders of a flood of the whole image from some clicks."""
    relief = ndimage.black_tophat(prob, size=(7, 7)) if roi is None else top_hat_inside(prob, roi)
    if plain:
        relief = settle_ties(relief, markers_of(all_clicks, prob.shape), roi)
    flood = plain_flood if plain else watershed
    labels = flood(relief, markers_of(clicks, prob.shape), mask=roi)
    return find_boundaries(labels, mode="thick") if roi is None else borders_inside(labels, roi)


def markers_of(clicks, shape):
    markers = np.zeros(shape, dtype=np.int32)
    for number, pixel in enumerate(clicks, start=1):
        markers[pixel] = number
    return markers


def plain_flood(relief, markers, mask=None):
    """Watershed by a heap whose ties go first in, first out, the markers in raster order; for small images."""
    return plain_flood_and_order(relief, markers, mask)[0]


def plain_flood_and_order(relief, markers, mask=None):
    """Labels, and when each pixel left the heap."""
    inside = np.ones(relief.shape, dtype=bool) if mask is None else mask
    labels, order = np.where(inside, markers, 0), np.full(relief.shape, relief.size)
    turn, left = itertools.count(), itertools.count()
    heap = [(relief[pixel], next(turn), pixel) for pixel in map(tuple, np.argwhere(labels))]
    heapq.heapify(heap)
    while heap:
        _, _, (r, c) = heapq.heappop(heap)
        order[r, c] = next(left)
        for neighbour in ((r - 1, c), (r, c - 1), (r, c + 1), (r + 1, c)):
            in_image = 0 <= neighbour[0] < relief.shape[0] and 0 <= neighbour[1] < relief.shape[1]
            if in_image and inside[neighbour] and not labels[neighbour]:
                labels[neighbour] = labels[r, c]
                heapq.heappush(heap, (relief[neighbour], next(turn), neighbour))
    return labels, order


def settle_ties(relief, markers, mask=None):
    """Relief of the same order without equal heights above 0: these in the order in which the flood took them."""
    order = plain_flood_and_order(relief, markers, mask)[1]
    settled = np.zeros(relief.size)
    settled[np.lexsort((order.reshape(-1), relief.reshape(-1)))] = np.arange(relief.size)
    return np.where(relief > 0, settled.reshape(relief.shape), 0)


def top_hat_inside(prob, roi):
    """Black top-hat that sees only what lies inside the region, window by window."""
    dilated, relief = np.zeros_like(prob), np.zeros_like(prob)
    for r, c in np.argwhere(roi):
        dilated[r, c] = window(prob, r, c)[window(roi, r, c)].max()
    for r, c in np.argwhere(roi):
        relief[r, c] = window(dilated, r, c)[window(roi, r, c)].min() - prob[r, c]
    return relief


def window(array, r, c):
    return array[max(r - 3, 0) : r + 4, max(c - 3, 0) : c + 4]


def borders_inside(labels, roi):
    lines = np.zeros(labels.shape, dtype=bool)
    inside = {(r, c) for r, c in np.argwhere(roi)}
    for r, c in inside:
        for neighbour in ((r - 1, c), (r + 1, c), (r, c - 1), (r, c + 1)):
            lines[r, c] |= neighbour in inside and labels[neighbour] != labels[r, c]
    return lines


SIZES = ((1, 1), (1, 2), (1, 9), (9, 1), (2, 2), (3, 3), (5, 8), (7, 7), (13, 11), (21, 34), (37, 53))
MAPS = ("noise", "smooth", "bumps", "constant", "saturated")
CLICKS = ("none", "one", "sparse", "dense", "border", "all")

GOLDEN = (
    "dense",
    "false_positives",
    "merged",
    "no_blobs",
    "no_points",
    "one_giant_blob",
    "one_point",
    "sparse",
    "touching_points",
    "trancos_size",
)
"""The scenes in the folder `golden` of the real data."""


def random_map(kind, shape, rng):
    """(H, W) float32 logits."""
    if kind == "noise":
        logits = rng.normal(0, 3, shape)
    elif kind == "smooth":
        logits = 12 * ndimage.gaussian_filter(rng.normal(0, 1, shape), 2)
    elif kind == "bumps":
        centres = rng.random(shape) < 0.02
        logits = 60 * ndimage.gaussian_filter(centres.astype(float), 2) + rng.normal(0, 0.5, shape) - 2
    elif kind == "constant":
        logits = np.full(shape, rng.choice([-3.0, 0.0, 2.0]))
    else:
        logits = np.where(ndimage.gaussian_filter(rng.normal(0, 1, shape), 1) > 0, 30.0, -30.0)
    return logits.astype(np.float32)


def random_clicks(kind, shape, rng, n_classes=1):
    """(H, W) int64 clicks."""
    if kind == "one":
        clicked = np.zeros(shape, dtype=bool)
        clicked.flat[rng.integers(clicked.size)] = True
    elif kind == "border":
        clicked = rng.random(shape) < 0.3
        clicked[1:-1, 1:-1] = False
    else:
        clicked = rng.random(shape) < {"none": 0, "sparse": 0.02, "dense": 0.3, "all": 1}[kind]
    return np.where(clicked, rng.integers(1, n_classes + 1, shape), 0)


def scene(shape=(19, 26), n_channels=1, seed=0, kind="smooth", clicks="sparse", n=None):
    """Logits (N, C, H, W) or (C, H, W), and points."""
    rng = np.random.default_rng(seed)
    n_classes = max(n_channels - 1, 1)
    images = [
        (
            np.stack([random_map(kind, shape, rng) for _ in range(n_channels)]),
            random_clicks(clicks, shape, rng, n_classes),
        )
        for _ in range(n or 1)
    ]
    logits, points = (torch.from_numpy(np.stack(arrays)) for arrays in zip(*images, strict=True))
    return (logits, points) if n else (logits[0], points[0])


def everywhere(shape):
    return np.ones(shape, dtype=bool)
