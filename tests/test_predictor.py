from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.special import logit
from torch import nn
from torchvision.transforms.v2.functional import resize

from exp_configs import EXP_GROUPS
from lcfcn.blobs import class_masks, get_blobs
from lcfcn.components import blob_points, label_blobs
from lcfcn.counting import tiles
from lcfcn.counting.bands import BandBlobs, in_context
from lcfcn.counting.counter import Counter, load
from lcfcn.counting.device import Device
from lcfcn.counting.pixels import as_tensor
from lcfcn.counting.settings import CountingSettings
from lcfcn.counting.trained_network import TrainedNetwork
from lcfcn.counting.weight_files import BEST, LAST
from lcfcn.decoding import Decoding
from lcfcn.errors import UserError
from lcfcn.networks.fcn8 import FCN8
from lcfcn.networks.registry import build_network
from lcfcn.networks.trunk import CELL
from lcfcn.stopping import Stopped, StopRequest

EXP_DICT = EXP_GROUPS["demo"][0]
CPU = Device("cpu")
ROUNDING = 2e-6
"""How far probabilities of tiles may be from those of the whole image."""


class Blurred(nn.Module):
    """A network whose answer is plain from the pixels: how much brighter than the mean of 65 x 65 pixels around it each
    pixel is, in channel k for class k. So it sees 32 pixels far."""

    def __init__(self, n_classes=1):
        super().__init__()
        self.n_classes = n_classes

    def forward(self, images):
        seen = nn.functional.avg_pool2d(images, (1, 65), stride=1, padding=(0, 32), count_include_pad=False)
        seen = nn.functional.avg_pool2d(seen, (65, 1), stride=1, padding=(32, 0), count_include_pad=False)
        objects = 20 * ((images - seen)[:, : self.n_classes] - 0.1)
        return objects if self.n_classes == 1 else torch.cat([torch.zeros_like(objects[:, :1]), objects], dim=1)


def trained_of(network=None, n_classes=1, **settings):
    """A network that counts: a demo's with random weights, or the given one, which sees the pixels as they are."""
    model = EXP_DICT["model"]
    fixed = {"output_stride": model["output_stride"], "transform": "rgb_normalize" if network is None else "none"}
    settings = CountingSettings(model["base"], n_classes, **{**fixed, **settings})
    if network is None:
        torch.manual_seed(0)
        network = alive(build_network(settings.base, n_classes, output_stride=settings.output_stride))
    return TrainedNetwork(network.eval(), settings, CPU)


def with_settings(trained, **settings):
    return TrainedNetwork(trained.network, replace(trained.settings, **settings), trained.device)


def alive(network):
    """Random weights whose output is large enough to differ from place to place, and half of it above 0."""
    generator = torch.Generator().manual_seed(3)
    for name, module in network.named_modules():
        if name.startswith("score_"):
            module.weight.data.copy_(torch.randn(module.weight.shape, generator=generator) * 20)
        if isinstance(module, nn.BatchNorm2d):
            module.weight.data.mul_(1.5)
    network.eval()
    with torch.no_grad():
        images = torch.from_numpy(picture(256, 256)).permute(2, 0, 1)[None] / 255
        network.score_8s.bias -= network(images).mean(dim=(0, 2, 3))
    return network


def picture(height, width, seed=0):
    """Noise of several sizes."""
    generator = torch.Generator().manual_seed(seed)
    total = torch.zeros((1, 3, height, width))
    for size in (4, 16, 64):
        shape = (1, 3, height // size + 2, width // size + 2)
        total += nn.functional.interpolate(torch.rand(shape, generator=generator), (height, width), mode="bilinear")
    return (total[0] / 3 * 255).byte().permute(1, 2, 0).numpy()


def whole_and_tiled(trained, image, tile):
    whole = np.concatenate(list(tiles.probability_bands(trained, image, "made", 10**6, lambda: None)), axis=1)
    tiled = np.concatenate(list(tiles.probability_bands(trained, image, "made", tile, lambda: None)), axis=1)
    return whole, tiled


def expected_objects(probs):
    """Points x, y, labels, mean probabilities and areas from the library's own functions on the whole map."""
    points, labels, scores, areas = [], [], [], []
    for k, blobs in enumerate(get_blobs(probs[None])[0], start=1):
        for label in range(1, blobs.max() + 1):
            labels.append(k)
            scores.append(probs[k if len(probs) > 1 else 0][blobs == label].astype(float).mean())
            areas.append((blobs == label).sum())
        points.append(blob_points(blobs)[:, ::-1] + 0.5)
    return np.concatenate(points), labels, scores, areas


def assert_same(result, probs):
    points, labels, scores, areas = expected_objects(probs)
    assert np.array_equal(result.xy, points)
    assert result.labels.tolist() == labels
    assert result.areas.tolist() == areas
    assert result.scores == pytest.approx(scores, abs=1e-6)


# Blobs from bands


@pytest.mark.parametrize("cuts", [(), (1,), (7, 8, 9), tuple(range(1, 40)), (20, 39)])
@pytest.mark.parametrize("density", [0.0, 0.2, 0.42, 0.6, 1.0])
def test_blobs_from_bands_are_those_of_the_whole(cuts, density):
    rng = np.random.default_rng(int(density * 100))
    mask, probs = rng.random((40, 37)) < density, rng.random((40, 37)).astype(np.float32)
    found = BandBlobs()
    for part, values in zip(np.split(mask, cuts), np.split(probs, cuts), strict=True):
        found.add(part, values)
    table = found.table(np.split(mask, cuts))
    blobs = label_blobs(mask)
    assert np.array_equal(table.pixels, blob_points(blobs))
    assert np.array_equal(table.areas, np.bincount(blobs.reshape(-1))[1:])
    means = [probs[blobs == label].astype(float).mean() for label in range(1, blobs.max() + 1)]
    assert table.scores == pytest.approx(np.array(means), abs=1e-9)


def test_a_comb_that_closes_in_the_last_band_is_one_blob():
    mask = np.zeros((12, 21), dtype=bool)
    mask[:, ::4] = True
    mask[-1] = True
    found = BandBlobs()
    for part in np.split(mask, 4):
        found.add(part, part.astype(np.float32))
    table = found.table(np.split(mask, 4))
    assert (len(table.areas), table.areas[0]) == (1, mask.sum())


@pytest.mark.parametrize("shift", [-1, 0, 1, 2])
def test_blobs_touch_over_a_border_by_a_corner_too(shift):
    mask = np.zeros((2, 5), dtype=bool)
    mask[0, 2] = mask[1, 2 + shift] = True
    found = BandBlobs()
    for part in (mask[:1], mask[1:]):
        found.add(part, part.astype(np.float32))
    assert len(found.table([mask[:1], mask[1:]]).areas) == (2 if shift == 2 else 1)


# Tiles


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


def pyramid(**settings):
    """A pyramid with random weights whose output differs from place to place."""
    settings = CountingSettings("fpn_mobilenet_v2", 1, output_stride=8, **settings)
    torch.manual_seed(0)
    network = build_network(settings.base, 1, output_stride=8)
    torch.nn.init.normal_(network.score.weight, std=200)
    network.eval()
    with torch.no_grad():
        seen = network(as_tensor(picture(256, 256)[None], settings.transform))
    network.score.bias.data -= seen.mean()
    return TrainedNetwork(network, settings, CPU)


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


def test_tiles_cut_through_every_side_and_bands_too(monkeypatch):
    monkeypatch.setattr(tiles, "BAND_PIXELS", 5000)
    trained, image = trained_of(Blurred()), picture(333, 290, seed=1)
    whole, _ = whole_and_tiled(trained, image, 10**6)
    small = Counter(trained, ["object"], tile=128).count(image)
    large = Counter(trained, ["object"], tile=4096).count(image)
    assert len(small.xy) > 20
    assert np.array_equal(small.class_map, large.class_map)
    assert_same(small, whole)
    assert_same(large, whole)


def test_an_object_over_many_seams_counts_once():
    class Bright(nn.Module):
        def forward(self, images):
            return 20 * (images[:, :1] - 0.5)

    image = np.zeros((500, 500, 3), dtype=np.uint8)
    image[10:490, 10:14] = image[10:14, 10:490] = image[486:490, 10:490] = 255  # a C over all tiles
    image[250, 250] = 255
    found = Counter(trained_of(Bright()), ["object"], tile=96).count(image)
    assert found.areas.tolist() == [int((image[..., 0] > 0).sum()) - 1, 1]
    assert found.xy[1].tolist() == [250.5, 250.5]
    assert found.scores == pytest.approx([1 / (1 + np.exp(-10))] * 2)


@pytest.mark.parametrize("heights", [[7], [3, 4], [1, 1, 1, 1, 1, 1], [5, 1, 9, 2]])
@pytest.mark.parametrize("margin", [0, 2, 6])
def test_bands_in_context_have_the_rows_around_them(heights, margin):
    whole = np.arange(2 * sum(heights) * 3).reshape(2, sum(heights), 3)
    bands = np.split(whole, np.cumsum(heights)[:-1], axis=1)
    found = list(in_context(iter(bands), margin))
    assert [rows.stop - rows.start for _, rows in found] == heights
    top = 0
    for (band, rows), height in zip(found, heights, strict=True):
        assert np.array_equal(band, whole[:, max(top - margin, 0) : top + height + margin])
        assert np.array_equal(band[:, rows], whole[:, top : top + height])
        top += height


@pytest.mark.parametrize("n_classes", [1, 2])
def test_another_decoding_parts_objects_alike_in_bands_and_at_once(monkeypatch, n_classes):
    trained, image = trained_of(Blurred(n_classes), n_classes), picture(333, 290, seed=1)
    names = ["a", "b"][:n_classes]
    trained = with_settings(trained, decoding=Decoding(threshold=-1.0, smoothing=0.7))
    uncut = Counter(trained, names).count(image)
    decoding = trained.settings.decoding._replace(depth=0.2)
    trained = with_settings(trained, decoding=decoding)
    at_once = Counter(trained, names).count(image)
    (blobs,) = get_blobs(trained.probs_of_pixels(image[None], ["made"]), np.ones((1, 333, 290), dtype=bool), decoding)
    monkeypatch.setattr(tiles, "BAND_PIXELS", 290 * 37)
    in_bands = Counter(trained, names, tile=128).count(image)
    assert len(at_once.xy) > len(uncut.xy) + 10
    assert np.bincount(at_once.labels)[1:].tolist() == blobs.max(axis=(1, 2)).tolist()
    assert np.array_equal(in_bands.class_map, at_once.class_map)
    assert np.array_equal(in_bands.xy, at_once.xy)


# The counter


@pytest.mark.parametrize("n_classes", [1, 2])
def test_objects_of_several_classes_and_their_places(n_classes):
    trained, image = trained_of(Blurred(n_classes), n_classes), picture(150, 140, seed=2)
    names = ["a", "b"][:n_classes]
    found = Counter(trained, names).count(image)
    probs = trained.probs_of_pixels(image[None], ["made"])[0]
    assert_same(found, probs)
    masks = class_masks(probs[None])[0]
    assert all(np.array_equal(found.class_map == k + 1, mask) for k, mask in enumerate(masks))
    assert found.class_map.dtype == np.uint8
    cols, rows = found.xy.astype(int).T
    assert np.array_equal(found.class_map[rows, cols], found.labels)


@pytest.mark.parametrize("size", [(1, 1), (37, 50), (31, 97)])
def test_any_size_is_what_validation_sees(size):
    trained, image = trained_of(), picture(*size)
    probs = trained.probs(as_tensor(image[None], "rgb_normalize"), ["made"])[0]
    assert_same(Counter(trained, ["object"]).count(image), probs)


def test_a_batch_is_as_one_by_one():
    counter = Counter(trained_of(Blurred()), ["object"])
    images = [picture(60, 70, seed) for seed in range(3)]
    together = counter.count_batch(images, ["a", "b", "c"])
    for image, found in zip(images, together, strict=True):
        assert np.array_equal(found.xy, counter.count(image).xy)
    assert len({len(found.xy) for found in together}) > 1


def test_a_picture_without_objects():
    found = Counter(trained_of(Blurred()), ["object"]).count(np.zeros((40, 40, 3), dtype=np.uint8))
    assert (found.xy.shape, found.labels.shape, found.areas.shape) == ((0, 2), (0,), (0,))
    assert not found.class_map.any()


def test_the_normalisation_is_the_checkpoints(tmp_path):
    image = picture(64, 64)
    counters = {}
    for transform in ("none", "rgb_normalize"):
        save_checkpoint(tmp_path / "x.pth", exp_dict={**EXP_DICT, "dataset": {"transform": transform}})
        counters[transform] = load(tmp_path / "x.pth", device="cpu")
        assert counters[transform].trained.settings.transform == transform
    batch = as_tensor(image[None], "rgb_normalize")
    assert torch.allclose(batch[0, 0, 0, 0], torch.tensor((image[0, 0, 0] / 255 - 0.485) / 0.229, dtype=torch.float32))
    probs = [counter.trained.probs_of_pixels(image[None], ["m"]) for counter in counters.values()]
    assert np.abs(probs[0] - probs[1]).max() > 0.01


def test_numbers_that_are_none_are_told_with_the_name():
    class Broken(nn.Module):
        def forward(self, images):
            return images[:, :1] * torch.nan

    with pytest.raises(UserError, match="not finite at image night.png"):
        Counter(trained_of(Broken()), ["object"]).count(picture(40, 40), name="night.png")
    trained = trained_of()
    trained.network.score_8s.bias.data.fill_(torch.inf)
    with pytest.raises(UserError, match="not finite at image night.png"):
        Counter(trained, ["object"], tile=96).count(picture(97, 97), name="night.png")


def test_a_stop_ends_the_work_between_tiles():
    stop = StopRequest()
    stop.signal = 2
    with pytest.raises(Stopped):
        Counter(trained_of(Blurred()), ["object"], tile=96, check=stop.check).count(picture(100, 100))
    with pytest.raises(Stopped):
        Counter(trained_of(), ["object"], tile=96, check=stop.check).count(picture(100, 100))


def test_memory_that_does_not_suffice_is_told_and_other_errors_are_not_hidden():
    class Full(nn.Module):
        def __init__(self, error):
            super().__init__()
            self.error = error

        def forward(self, images):
            raise self.error

    for error in (MemoryError(), torch.OutOfMemoryError("CUDA out of memory"), RuntimeError("can't allocate memory")):
        with pytest.raises(UserError, match="memory does not suffice"):
            Counter(trained_of(Full(error)), ["object"]).count(picture(8, 8))
    with pytest.raises(RuntimeError, match="a mistake of ours"):
        Counter(trained_of(Full(RuntimeError("a mistake of ours"))), ["object"]).count(picture(8, 8))


# Checkpoints


def save_checkpoint(path, n_classes=1, **entries):
    exp_dict = {**EXP_DICT, "model": {**EXP_DICT["model"], "n_classes": n_classes, "pretrained": "/no/such/file.pth"}}
    network = trained_of(n_classes=n_classes).network
    torch.save({"model": network.state_dict(), "exp_dict": exp_dict, **entries}, path)
    return network


def test_load_builds_the_network_without_the_weights_it_began_from(tmp_path):
    network = save_checkpoint(tmp_path / "x.pth", class_names=["car"])
    counter = load(tmp_path / "x.pth", device="cpu")
    assert counter.class_names == ["car"]
    assert not counter.trained.network.training
    images = torch.rand(1, 3, 40, 56, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():  # its batch norm is folded into the convolutions, which rounds otherwise
        torch.testing.assert_close(counter.trained.network(images), network.eval()(images), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("n_classes", "names"), [(1, ["object"]), (2, ["class 1", "class 2"])])
def test_older_checkpoints_have_no_names(tmp_path, n_classes, names):
    save_checkpoint(tmp_path / "x.pth", n_classes)
    assert load(tmp_path / "x.pth", device="cpu").class_names == names


def test_an_experiments_best_network_is_taken_and_else_its_last(tmp_path):
    with pytest.raises(UserError, match="holds no model_best.pth and no model.pth"):
        load(tmp_path, device="cpu")
    save_checkpoint(tmp_path / LAST, class_names=["last"])
    assert load(tmp_path, device="cpu").class_names == ["last"]
    save_checkpoint(tmp_path / BEST, class_names=["best"])
    assert load(tmp_path, device="cpu").class_names == ["best"]


@pytest.mark.parametrize(
    ("entries", "told"),
    [
        ({"exp_dict": None}, "does not say which network"),
        ({"exp_dict": {"model": 1}}, "holds an experiment without model"),
        ({"exp_dict": {"model": EXP_DICT["model"]}}, "holds an experiment without dataset"),
        ({"class_names": ["a", "b"]}, "1 in a list"),
        ({"class_names": [1]}, "1 in a list"),
        ({"model": {"x": torch.zeros(1)}}, "does not fit this network"),
        ({"model": [torch.zeros(1)]}, "holds no network"),
        ({"exp_dict": {**EXP_DICT, "dataset": {"name": "points", "transform": "odd"}}}, "unknown dataset.transform"),
        ({"exp_dict": {**EXP_DICT, "model": {**EXP_DICT["model"], "base": "odd"}}}, "network 'odd' is unknown"),
    ],
)
def test_a_checkpoint_that_does_not_hold_together_is_told_in_one_line(tmp_path, entries, told):
    save_checkpoint(tmp_path / "x.pth", **entries)
    with pytest.raises(UserError, match=told) as caught:
        load(tmp_path / "x.pth", device="cpu")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("zoom", [2, 1.5, 0.5])
def test_a_zoomed_network_sees_the_picture_as_its_data_set_made_it_and_tells_places_as_they_came(zoom):
    image = picture(120, 96, seed=5)
    size = [round(side * zoom) for side in image.shape[:2]]
    large = resize(torch.from_numpy(image).permute(2, 0, 1), size, antialias=True).permute(1, 2, 0).numpy()
    expected = Counter(trained_of(Blurred()), ["object"]).count(large)
    trained = trained_of(Blurred(), zoom=zoom)
    counter = Counter(trained, ["object"], tile=128)
    found = counter.count(image)
    assert counter.fits(image.shape) == (zoom < 1.2)
    assert len(found.xy) == len(expected.xy) > 5
    assert found.xy == pytest.approx(expected.xy / zoom, abs=1e-9)
    assert found.scores == pytest.approx(expected.scores)
    assert found.areas == pytest.approx(np.maximum(expected.areas / zoom**2, 1), abs=0.5)
    assert found.class_map.shape == image.shape[:2]
    centres = [((np.arange(side) + 0.5) * zoom).astype(int) for side in image.shape[:2]]
    assert np.array_equal(found.class_map, expected.class_map[np.ix_(*centres)])
    (batched, _) = Counter(trained, ["object"]).count_batch([image, image], ["a", "b"])
    assert np.array_equal(batched.class_map, found.class_map)
    assert batched.xy == pytest.approx(found.xy)


def test_a_checkpoints_zoom_is_taken_up(tmp_path):
    for zoom in (2, "odd"):
        dataset = {**EXP_DICT["dataset"], "zoom": zoom}
        save_checkpoint(tmp_path / f"{zoom}.pth", exp_dict={**EXP_DICT, "dataset": dataset})
    assert load(tmp_path / "2.pth", device="cpu").trained.settings.zoom == 2
    with pytest.raises(UserError, match="dataset.zoom is 'odd'"):
        load(tmp_path / "odd.pth", device="cpu")


def test_a_tile_that_is_too_small_is_refused():
    with pytest.raises(UserError, match="--tile is 64; expected 96"):
        Counter(trained_of(Blurred()), ["object"], tile=64)
