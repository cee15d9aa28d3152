"""Counting with a trained network: what it takes, what it finds, and what it says of mistakes."""

import itertools

import numpy as np
import pytest
import tifffile
import torch
from helpers_networks import (
    DEMO,
    Blurred,
    draw,
    picture,
    reds,
    save_checkpoint,
    squares,
    trained_of,
    with_settings,
)
from PIL import Image
from torch import nn
from torchvision.transforms.v2.functional import resize

import lcfcn
from lcfcn.blobs import class_masks, get_blobs
from lcfcn.components import blob_points
from lcfcn.counting import tiles, weight_files
from lcfcn.counting.counter import Counter, load
from lcfcn.counting.pixels import as_tensor
from lcfcn.counting.weight_files import BEST, LAST
from lcfcn.decoding import Decoding
from lcfcn.errors import UserError
from lcfcn.stopping import Stopped, StopRequest

# What it takes


def placed(result):
    return result.counts, result.xy.tolist(), result.areas.tolist()


PLACES = [(10, 20), (30, 50)]


def test_a_path_a_text_a_pil_image_and_an_array_give_the_same(tmp_path):
    path = draw(tmp_path / "a ü.png", PLACES)
    counter = reds()
    with Image.open(path) as image:
        results = [counter.count(given) for given in (path, str(path), image, np.asarray(image))]
    for result in results:
        assert placed(result) == ({"object": 2}, [[20.5, 10.5], [50.5, 30.5]], [9, 9])
        assert np.array_equal(result.image, squares(PLACES))
    assert [result.name for result in results] == ["a ü.png", "a ü.png", "a ü.png", "image"]
    assert counter.count(path, name="other").name == "other"


def test_a_pil_image_is_turned_as_its_file_would_be(tmp_path):
    exif = Image.Exif()
    exif[274] = 6  # to be turned by a quarter
    Image.fromarray(squares(PLACES)).save(tmp_path / "a.png", exif=exif)
    with Image.open(tmp_path / "a.png") as image:
        result = reds().count(image)
    assert result.image.shape == (60, 40, 3)
    assert result.xy.tolist() == [[29.5, 20.5], [9.5, 50.5]]
    assert placed(result) == placed(reds().count(tmp_path / "a.png"))


def test_an_array_of_grey_values_is_stretched():
    values = squares(PLACES)[..., 0] / 255 + 7.5
    assert placed(reds().count(values)) == placed(reds().count(squares(PLACES)))
    assert np.array_equal(reds().count(values).image, squares(PLACES, colour=(255, 255, 255)))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (np.zeros((3, 30, 40), dtype=np.uint8), r"shape \(3, 30, 40\) came, whose channels seem to come first"),
        (np.zeros((2, 30, 40, 3)), r"shape \(2, 30, 40, 3\) and type float64 came; expected numbers of shape \(H, W"),
        (np.zeros(5), r"shape \(5,\)"),
        (np.zeros((0, 5)), r"shape \(0, 5\)"),
        (np.array([["a"]]), "type <U1"),
        (np.zeros((5, 5), dtype=complex), "type complex128"),
        (torch.zeros(3, 30, 40), r"type Tensor came; expected a path, .* tensor.permute\(1, 2, 0\).numpy\(\)"),
        (None, "type NoneType came"),
        (7, "type int came"),
    ],
)
def test_what_is_no_image_is_refused_in_one_line(given, message):
    with pytest.raises(UserError, match=message) as error:
        reds().count(given)
    assert "\n" not in str(error.value)


def test_a_file_that_is_missing_or_too_large_is_one_line(tmp_path):
    with pytest.raises(UserError, match="none.png is missing"):
        reds().count(tmp_path / "none.png")
    with pytest.raises(UserError, match=r"40 x 60 pixels, above the limit of 2399"):
        reds().count(draw(tmp_path / "a.png"), max_pixels=2399)


def test_a_frame_of_a_file_is_counted(tmp_path):
    pages = np.stack([squares(), squares(PLACES)])
    tifffile.imwrite(tmp_path / "a.tif", pages, photometric="rgb")
    assert [reds().count(tmp_path / "a.tif", frame=frame).count for frame in (0, 1)] == [0, 2]


# Many images


def test_a_list_gives_an_iterator_in_its_order(tmp_path):
    path = draw(tmp_path / "a.png", PLACES)
    with Image.open(path) as image:
        results = reds().count([squares(), path, squares(PLACES[:1]), image])
        assert iter(results) is results
        found = [(result.name, result.count) for result in results]
    assert found == [("image_00000", 0), ("a.png", 2), ("image_00002", 1), ("a.png", 2)]


def test_an_iterable_is_worked_through_image_by_image():
    asked = []

    def endless():
        for number in itertools.count():
            asked.append(number)
            yield squares(PLACES[: number % 3])

    results = reds().count(endless())
    assert asked == []
    assert [next(results).count for _ in range(4)] == [0, 1, 2, 0]
    assert asked == [0, 1, 2, 3]


def test_a_folder_means_its_images_sorted(tmp_path):
    draw(tmp_path / "b.png", PLACES)
    draw(tmp_path / "a.PNG")
    (tmp_path / "notes.txt").write_text("none")
    for given in (tmp_path, str(tmp_path)):
        assert [(result.name, result.count) for result in reds().count(given)] == [("a.PNG", 0), ("b.png", 2)]


def test_images_in_sub_folders_are_left_out_with_a_warning(tmp_path):
    draw(tmp_path / "a.png")
    draw(tmp_path / "sub" / "c.png")
    with pytest.warns(UserWarning, match=r"1 image \(.*c.png\) in sub-folders left out"):
        results = reds().count(tmp_path)
    assert [result.name for result in results] == ["a.png"]


def test_a_folder_without_images_is_one_line_at_once(tmp_path):
    with pytest.raises(UserError, match="names no image"):
        reds().count(tmp_path)


@pytest.mark.parametrize("kind", [list, str])
def test_a_list_holds_single_images(tmp_path, kind):
    draw(tmp_path / "a.png")
    results = reds().count([squares(), {list: [squares()], str: str(tmp_path)}[kind]])
    assert next(results).count == 0
    with pytest.raises(UserError, match=f"item 1 of the list is a {kind.__name__} of several images: give one image"):
        next(results)


# Ready weights, checkpoints, experiments


@pytest.fixture
def terms_not_yet_told():
    weight_files._say_terms.cache_clear()
    yield
    weight_files._say_terms.cache_clear()


def test_ready_weights_are_found_by_name_and_tell_their_terms_once(capsys, terms_not_yet_told):
    counter = lcfcn.load("shanghai_B", device="cpu")
    assert repr(counter) == "Counter('shanghai_B', classes: person)"
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err == f"shanghai_B: {weight_files.ready_weights()['shanghai_B']['terms']}\n"
    assert "research" in told.err
    lcfcn.load("shanghai_B", device="cpu")
    assert capsys.readouterr().err == ""


PEOPLE = {"IMG_1.jpg": 24, "IMG_10.jpg": 169, "IMG_11.jpg": 173}


def test_ready_weights_count_people(shared):
    """The counts of the code before version 0.2, on photos that the network was not trained on."""
    counter = lcfcn.load("shanghai_B", device="cpu")
    folder = shared / "data" / "ShanghaiTech" / "part_B" / "test_data" / "images"
    found = {name: counter.count(folder / name).count for name in PEOPLE}
    assert found == pytest.approx(PEOPLE, abs=1)  # another torch may round otherwise


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("shanghai_b", {}, r"there is no shanghai_b; did you mean shanghai_B\?; expected a checkpoint"),
        ("none.onnx", {}, "there is no none.onnx: check -c"),
        ("shanghai_B", {"device": "tpu"}, "--device tpu is unknown"),
        ("shanghai_B", {"device": "cuda:77"}, "--device cuda:77 is not there"),
        ("shanghai_B", {"precision": "8"}, "--precision 8 is unknown"),
        ("shanghai_B", {"tile": 64}, "--tile is 64; expected 96"),
    ],
)
def test_what_cannot_be_loaded_is_one_line(name, options, message):
    with pytest.raises(UserError, match=message) as error:
        lcfcn.load(name, **options)
    assert "\n" not in str(error.value)


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
    save_checkpoint(tmp_path / "x.pth", n_classes=n_classes)
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
        ({"exp_dict": {"model": DEMO["model"]}}, "holds an experiment without dataset"),
        ({"class_names": ["a", "b"]}, "1 in a list"),
        ({"class_names": [1]}, "1 in a list"),
        ({"model": {"x": torch.zeros(1)}}, "does not fit this network"),
        ({"model": [torch.zeros(1)]}, "holds no network"),
        ({"exp_dict": {**DEMO, "dataset": {"name": "points", "transform": "odd"}}}, "unknown dataset.transform"),
        ({"exp_dict": {**DEMO, "model": {**DEMO["model"], "base": "odd"}}}, "network 'odd' is unknown"),
    ],
)
def test_a_checkpoint_that_does_not_hold_together_is_told_in_one_line(tmp_path, entries, told):
    save_checkpoint(tmp_path / "x.pth", **entries)
    with pytest.raises(UserError, match=told) as caught:
        load(tmp_path / "x.pth", device="cpu")
    assert "\n" not in str(caught.value)


def test_a_checkpoints_zoom_is_taken_up(tmp_path):
    for zoom in (2, "odd"):
        dataset = {**DEMO["dataset"], "zoom": zoom}
        save_checkpoint(tmp_path / f"{zoom}.pth", exp_dict={**DEMO, "dataset": dataset})
    assert load(tmp_path / "2.pth", device="cpu").trained.settings.zoom == 2
    with pytest.raises(UserError, match="dataset.zoom is 'odd'"):
        load(tmp_path / "odd.pth", device="cpu")


# What it finds


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


def test_tiles_cut_through_every_side_and_bands_too(monkeypatch):
    monkeypatch.setattr(tiles, "BAND_PIXELS", 5000)
    trained, image = trained_of(Blurred()), picture(333, 290, seed=1)
    whole = trained.probs_of_pixels(image[None], ["made"])[0]
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
        save_checkpoint(tmp_path / "x.pth", transform=transform)
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


def test_a_tile_that_is_too_small_is_refused():
    with pytest.raises(UserError, match="--tile is 64; expected 96"):
        Counter(trained_of(Blurred()), ["object"], tile=64)


def test_remarks_on_a_file_are_in_its_result(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((2, 40, 60), np.uint8), photometric="minisblack")
    counter = reds()
    assert counter.count(tmp_path / "a.tif").remarks == (
        "2 frames, of which frame 0 was read (--frame N or all chooses)",
    )
    assert counter.count(tmp_path / "a.tif", frame=1).remarks == ()
    rgba = np.zeros((40, 60, 4), np.uint8)
    assert counter.count(Image.fromarray(rgba)).remarks == ("its opacity is 0 everywhere and was ignored",)
    assert counter.count(np.zeros((40, 60), np.uint16)).remarks == ("all values are 0, so nothing can be seen",)


def test_channels_of_an_array_are_chosen():
    picture = squares([(10, 20)])
    assert reds().count(picture, channels=[0, 1, 2]).count == 1
    assert reds().count(picture, channels=[1, 0, 2]).count == 0
    with pytest.raises(UserError, match="the array has 3 channels, and 5 came"):
        reds().count(picture, channels=[5])
