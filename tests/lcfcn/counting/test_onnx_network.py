"""Networks from ONNX files against the same networks in torch."""

import json
import sys

import numpy as np
import onnx
import pytest
import torch
from helpers_networks import Blurred, picture, trained_of, with_settings

import lcfcn
from lcfcn.counting.counter import Counter
from lcfcn.counting.onnx_network import OnnxNetwork
from lcfcn.decoding import Decoding
from lcfcn.errors import UserError
from src.release.onnx_file import onnx_bytes

NAMES = ["disc", "große Ellipse", "緑"]


CUT = Decoding(threshold=-0.5, depth=0.2, smoothing=0.7)
PYRAMID = "fpn_mobilenet_v2"
NETWORKS = {
    "one class": lambda: trained_of(Blurred(), base=PYRAMID, zoom=1.5),
    "classes": lambda: trained_of(Blurred(3), 3, base=PYRAMID, zoom=0.75, transform="rgb_normalize", decoding=CUT),
    "not in tiles": lambda: trained_of(Blurred(2), 2, base="fcn8_mobilenet_v2"),
}
"""The name of the network says whether it may run in tiles. How real ones are exported is tested with the release."""


@pytest.fixture(scope="module", params=NETWORKS)
def both(request, tmp_path_factory):
    """A network in torch and the path of its ONNX file."""
    trained = NETWORKS[request.param]()
    path = tmp_path_factory.mktemp("onnx") / "network.onnx"
    path.write_bytes(onnx_bytes(trained, NAMES[: trained.settings.n_classes]))
    return trained, path


@pytest.mark.parametrize("size", [(200, 300), (97, 333)])
@pytest.mark.parametrize("tile", [1536, 160])
def test_it_counts_as_torch_does_at_once_and_in_tiles(both, size, tile):
    trained, path = both
    names = NAMES[: trained.settings.n_classes]
    image = picture(*size, seed=4)
    expected = Counter(trained, names).count(image, name="a")
    found = lcfcn.load(path, tile=tile).count(image, name="a")
    assert found.counts == expected.counts
    assert list(found.counts) == names
    assert min(found.counts.values()) > 4
    np.testing.assert_array_equal(found.xy, expected.xy)
    np.testing.assert_array_equal(found.labels, expected.labels)
    np.testing.assert_array_equal(found.areas, expected.areas)
    np.testing.assert_allclose(found.scores, expected.scores, atol=1e-5)


def test_what_may_run_in_tiles_does(both, monkeypatch):
    trained, path = both
    sizes = []
    counter = lcfcn.load(path, tile=160)
    run = counter.trained.probs_of_pixels

    def noting(pixels, names):
        sizes.append(pixels.shape)
        return run(pixels, names)

    monkeypatch.setattr(counter.trained, "probs_of_pixels", noting)
    counter.count(picture(200, 300))
    assert (len(sizes) > 1) == (trained.settings.base == PYRAMID)
    assert all(max(shape[1:3]) <= 160 for shape in sizes) == (trained.settings.base == PYRAMID)


def test_it_has_the_networks_settings(both):
    trained, path = both
    found, expected = OnnxNetwork(path).settings, trained.settings
    for name in ("base", "n_classes", "transform", "zoom", "decoding"):
        assert getattr(found, name) == getattr(expected, name), name


def test_several_images_at_once_are_as_one_by_one(both):
    counter = lcfcn.load(both[1])
    images = [picture(64, 96, seed=seed) for seed in range(2)]
    for image, found in zip(images, counter.count_batch(images, ["a", "b"]), strict=True):
        assert found.counts == counter.count(image).counts


class Biased(Blurred):
    """`Blurred` with a weight that a file can hold."""

    def __init__(self):
        super().__init__()
        self.bias = torch.nn.Parameter(torch.tensor([0.25]))

    def forward(self, images):
        return super().forward(images) + self.bias


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    path = tmp_path_factory.mktemp("onnx") / "plain.onnx"
    path.write_bytes(onnx_bytes(trained_of(Biased(), base=PYRAMID), ["object"]))
    return path


def changed(source, target, change):
    """A copy of an ONNX file with its metadata changed."""
    model = onnx.load(source)
    about = {prop.key: prop.value for prop in model.metadata_props}
    del model.metadata_props[:]
    onnx.helper.set_model_props(model, change(about))
    onnx.save(model, target)
    return target


def test_a_file_from_before_the_new_names_counts_by_its_decoding(plain, tmp_path):
    def old(about):
        about |= {"decoding.threshold": "1.5", "decoding.depth": "0.25", "decoding.smoothing": "0.5"}
        return {key.replace("decoding.", "reading."): value for key, value in about.items()}

    path = changed(plain, tmp_path / "old.onnx", old)
    decoding = Decoding(threshold=1.5, depth=0.25, smoothing=0.5)
    assert OnnxNetwork(path).settings.decoding == decoding
    image = picture(64, 96)
    expected = Counter(with_settings(trained_of(Biased()), decoding=decoding), ["object"]).count(image)
    assert lcfcn.load(path).count(image).counts == expected.counts


@pytest.mark.parametrize(
    "change",
    [
        {"class_names": "car"},
        {"class_names": "3"},
        {"class_names": "[1]"},
        {"zoom": "x"},
        {"zoom": "0"},
        {"zoom": "nan"},
        {"decoding.depth": "-1"},
        {"decoding.peak": "1"},
    ],
)
def test_metadata_that_are_no_good_are_one_line(plain, tmp_path, change):
    path = changed(plain, tmp_path / "a.onnx", lambda about: {**about, **change})
    with pytest.raises(UserError, match="a.onnx does not say how it counts .*: write it again with") as error:
        OnnxNetwork(path)
    assert "\n" not in str(error.value)


def test_a_file_of_another_program_is_one_line(plain, tmp_path):
    path = changed(plain, tmp_path / "a.onnx", lambda about: {"author": "someone"})
    with pytest.raises(UserError, match="does not say how it counts .*class_names"):
        OnnxNetwork(path)


@pytest.mark.parametrize("content", [b"", b"no network", None])
def test_a_damaged_file_is_one_line(plain, tmp_path, content):
    path = tmp_path / "a.onnx"
    path.write_bytes(plain.read_bytes()[: plain.stat().st_size // 2] if content is None else content)
    with pytest.raises(UserError, match="a.onnx cannot be read .*: write it again with") as error:
        OnnxNetwork(path)
    assert "\n" not in str(error.value)


def test_without_onnxruntime_it_says_what_to_install(plain, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(UserError, match=r"needs onnxruntime, which is not installed: pip install 'lcfcn\[onnx\]'"):
        OnnxNetwork(plain)


def test_an_output_that_is_not_finite_is_told_with_the_images_name(plain, tmp_path):
    model = onnx.load(plain)
    for weights in model.graph.initializer:
        if weights.name.endswith("bias"):
            weights.CopyFrom(onnx.numpy_helper.from_array(np.array([np.nan], dtype=np.float32), weights.name))
    onnx.save(model, tmp_path / "nan.onnx")
    with pytest.raises(UserError, match="the output is not finite at image night.png"):
        lcfcn.load(tmp_path / "nan.onnx").count(picture(64, 96), name="night.png")


def test_the_names_stand_in_the_file_as_json(plain):
    about = {prop.key: prop.value for prop in onnx.load(plain).metadata_props}
    assert json.loads(about["class_names"]) == ["object"]
