import hashlib
import importlib.util
import json
import shutil
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import scipy.special
import torch
from helpers_runs import N_VAL, mistake, write_experiment

import lcfcn
from lcfcn.blobs import get_blobs
from lcfcn.counting import weight_files
from lcfcn.counting.device import Device
from lcfcn.counting.pixels import as_tensor
from lcfcn.counting.trained_network import TrainedNetwork
from lcfcn.counting.weight_files import find_checkpoint, load_checkpoint
from lcfcn.decoding import Decoding
from lcfcn.errors import UserError
from lcfcn.files import load_plain_pickle
from lcfcn.networks.registry import build_network
from scripts import evaluate, export
from src.datasets import get_dataset
from src.experiments.schema import with_defaults
from src.models import LCFCN
from src.release import onnx_file
from src.training import checkpoints
from src.training.runtime import Runtime

SECRET = "/home/someone/private"
OVERRIDES = [
    "model.base=fpn_resnet18",
    "model.output_stride=8",
    "model.freeze_batch_norm=False",
    "dataset.zoom=2",
    "decoding=validation",
    "flip_test=True",
]
DECODING = {"threshold": -0.5, "depth": 0.05, "smoothing": 0.7}
ROOT = Path(export.__file__).parents[1]


@pytest.fixture(scope="module")
def experiment(tmp_path_factory):
    """A folder as trainval.py leaves it: it began from weights in a private folder, and validation chose a decoding."""
    savedir, scores = write_experiment(tmp_path_factory.mktemp("runs"), n_classes=2, overrides=OVERRIDES)
    rows = [{"epoch": epoch, "train_loss": 1.0, **scores, "val_mae": scores["val_mae"] + 7 - epoch} for epoch in (6, 7)]
    checkpoints.save_pickle(savedir / checkpoints.SCORES, rows)
    best = checkpoints.load_checkpoint(savedir / checkpoints.BEST)
    best["exp_dict"]["model"]["pretrained"] = f"{SECRET}/start.pth"
    best["exp_dict"]["decoding"] = DECODING
    best["opt"] = {"state": {}}
    torch.save(best, savedir / checkpoints.BEST)
    return savedir


@pytest.fixture(scope="module")
def ready(experiment, tmp_path_factory):
    """The folder of ready weights, with full.pth, and half.pth with its ONNX file."""
    folder = tmp_path_factory.mktemp("made") / "weights"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(weight_files, "ready_folder", lambda: folder)
        patch.setattr(weight_files, "ready_weights", lambda: {"full": {}, "half": {}})
        assert run(experiment, "-o", folder / "full.pth") == 0
        assert run(experiment, "-o", folder / "half.pth", "--half", "--onnx") == 0
        yield folder


def run(*arguments):
    return export.main([str(argument) for argument in arguments])


def failure(capsys, *arguments):
    return mistake(export.main, capsys, arguments)


def load(path):
    return torch.load(path, weights_only=True)


def load_trained(name):
    """A network with the weights as they are in its file."""
    path = find_checkpoint(name)
    return TrainedNetwork.from_checkpoint(load_checkpoint(path), path, Device("cpu"))


@pytest.fixture(scope="module")
def images(experiment):
    """Pictures that the network was to count, as they came."""
    exp_dict = load(experiment / checkpoints.BEST)["exp_dict"]
    dataset = get_dataset(exp_dict["dataset"], "val", None, size=2)
    return [dataset.prepared(index).image for index in range(len(dataset))]


def found_by(path, images):
    counter = lcfcn.load(path, device="cpu")
    return [counter.count(image) for image in images]


# The weights


def test_they_find_what_the_experiment_finds(experiment, ready, images):
    for before, after in zip(found_by(experiment, images), found_by("full", images), strict=True):
        assert before.count > 20
        np.testing.assert_array_equal(after.xy, before.xy)
        np.testing.assert_array_equal(after.labels, before.labels)
        np.testing.assert_array_equal(after.scores, before.scores)
        np.testing.assert_array_equal(after.class_map, before.class_map)


def test_the_file_holds_what_predicting_and_scoring_need_and_nothing_else(experiment, ready):
    best, full = load(experiment / checkpoints.BEST), load(ready / "full.pth")
    assert set(full) == {"model", "exp_dict", "class_names", "epoch", "scores"}
    assert full["class_names"] == ["disc", "ellipse"]
    assert full["epoch"] == 7
    best["exp_dict"]["model"]["pretrained"] = "start.pth"
    assert full["exp_dict"] == with_defaults(best["exp_dict"])
    assert full["exp_dict"]["decoding"] == DECODING
    *_, row = load_plain_pickle(experiment / checkpoints.SCORES)
    names = ["val_mae", "val_mae_1", "val_mae_2", "val_rmse", "val_game_1", "val_game_2", "val_game_3"]
    assert full["scores"] == {name: row[name] for name in names}
    for name, value in full["model"].items():
        assert torch.equal(value, best["model"][name])
        assert value.dtype == best["model"][name].dtype


def test_half_is_rounded_once_and_float32_again_once_loaded(ready, images):
    full, half = load(ready / "full.pth")["model"], load(ready / "half.pth")["model"]
    assert {value.dtype for value in half.values()} == {torch.float16, torch.int64}
    counters = [name for name, value in half.items() if not value.is_floating_point()]
    assert counters == [name for name in full if name.endswith("num_batches_tracked")]
    assert (ready / "half.pth").stat().st_size < 0.52 * (ready / "full.pth").stat().st_size
    loaded = load_trained("half").network.state_dict()
    for name, value in loaded.items():
        assert value.dtype == full[name].dtype
        assert torch.equal(value, half[name].to(value.dtype))
        torch.testing.assert_close(value, full[name], rtol=2**-11, atol=2**-25)
    probs = [load_trained(name).probs_of_pixels(np.stack(images), ["a", "b"]) for name in ("full", "half")]
    assert np.abs(probs[0] - probs[1]).mean() < 0.01


def test_no_path_of_this_machine_is_in_a_file(experiment, ready):
    private = [SECRET, str(experiment.parent), str(ROOT), str(Path(torch.__file__).parents[1]), "site-packages"]
    assert SECRET.encode() in (experiment / checkpoints.BEST).read_bytes()
    files = sorted(ready.iterdir())
    assert [file.name for file in files] == ["full.md", "full.pth", "half.md", "half.onnx", "half.pth"]
    for file in files:
        content = file.read_bytes()
        assert not [path for path in private if path.encode() in content], file.name


@pytest.mark.parametrize(
    ("pretrained", "left"),
    [(None, None), ("imagenet", "imagenet"), ("../weights/a.pth", "a.pth"), (r"C:\me\a.pth", "a.pth")],
)
def test_of_the_weights_it_began_from_the_name_alone_is_left(experiment, tmp_path, pretrained, left):
    best = load(experiment / checkpoints.BEST)
    best["exp_dict"]["model"]["pretrained"] = pretrained
    torch.save(best, tmp_path / "net.pth")
    assert run(tmp_path / "net.pth", "-o", tmp_path / "out.pth") == 0
    assert load(tmp_path / "out.pth")["exp_dict"]["model"]["pretrained"] == left


def test_ready_weights_can_be_made_ready_again(ready, tmp_path):
    assert run("full", "-o", tmp_path / "again.pth", "--half") == 0
    again, half = load(tmp_path / "again.pth"), load(ready / "half.pth")
    assert all(torch.equal(value, half["model"][name]) for name, value in again.pop("model").items())
    assert again == {key: value for key, value in half.items() if key != "model"}


def test_training_can_begin_from_them(ready):
    exp_dict = load(ready / "half.pth")["exp_dict"]
    model = LCFCN({**exp_dict, "model": {**exp_dict["model"], "pretrained": str(ready / "half.pth")}}, Runtime("cpu"))
    expected = load_trained("half").network.state_dict()
    assert all(torch.equal(value, expected[name]) for name, value in model.model_base.state_dict().items())


def test_a_weight_that_float16_cannot_hold_is_one_line(experiment, tmp_path, capsys):
    best = load(experiment / checkpoints.BEST)
    best["model"]["score.bias"][1] = -1e5
    torch.save(best, tmp_path / "net.pth")
    told = failure(capsys, tmp_path / "net.pth", "-o", tmp_path / "out" / "a.pth", "--half")
    assert "score.bias has the weight 100000; expected at most 65504 with --half" in told
    assert not (tmp_path / "out").exists()


# The command line


@pytest.mark.parametrize("taken", ["a.pth", "a.md", "a.onnx"])
def test_files_that_are_there_stay(experiment, tmp_path, capsys, taken):
    (tmp_path / taken).write_text("mine")
    told = failure(capsys, experiment, "-o", tmp_path / "a.pth", "--onnx")
    assert f"{taken} is there already: choose another -o, or add --force" in told
    assert [file.name for file in sorted(tmp_path.iterdir())] == [taken]
    assert (tmp_path / taken).read_text() == "mine"


def test_force_writes_over_them(experiment, tmp_path, capsys):
    (tmp_path / "a.pth").write_text("mine")
    assert run(experiment, "-o", tmp_path / "a.pth", "--force") == 0
    size = (tmp_path / "a.pth").stat().st_size
    assert f"a.pth: {size:,} bytes\n" in capsys.readouterr().out
    assert load(tmp_path / "a.pth")["epoch"] == 7


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["EXPERIMENT", "-o", "weights"], "expected a file that ends in .pth"),
        (["EXPERIMENT"], "required: -o"),
        (["missing", "-o", "a.pth"], "there is no missing; expected a checkpoint"),
        ([".", "-o", "a.pth"], "holds no model_best.pth"),
    ],
)
def test_mistakes_are_one_line_and_nothing_is_written(experiment, tmp_path, monkeypatch, capsys, arguments, told):
    monkeypatch.chdir(tmp_path)
    assert told in failure(capsys, *(experiment if each == "EXPERIMENT" else each for each in arguments))
    assert sorted(tmp_path.iterdir()) == []


# Names


def test_a_path_goes_before_a_name_and_an_unknown_one_is_told_the_others(ready, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert find_checkpoint(Path("full")) == ready / "full.pth"
    (tmp_path / "full").write_text("a file of that name")
    assert find_checkpoint(Path("full")) == Path("full")
    for name, hint in (
        ("ful", r"; did you mean full\?"),
        ("full.pth", r"; did you mean full\?"),
        ("../weights/full", ""),
    ):
        expected = rf"there is no {name}{hint}; expected .* the name of ready weights \(full, half\)"
        with pytest.raises(UserError, match=expected):
            find_checkpoint(Path(name))
    monkeypatch.setattr(weight_files, "ready_weights", dict)
    with pytest.raises(UserError, match=r"ready weights \(none are there\)"):
        find_checkpoint(Path("half"))


def test_scoring_them_is_scoring_the_experiment(experiment, ready, tmp_path, capsys):
    common = ["--device", "cpu", "--split", "val"]
    runs = {"a": ["-sb", str(experiment.parent), "-ei", experiment.name], "b": ["-c", "full"]}
    for out, source in runs.items():
        assert evaluate.main([*source, "-o", str(tmp_path / out), *common]) == 0
    assert "Of the network full.pth of epoch 7." in capsys.readouterr().out
    before, after = (json.loads((tmp_path / out / "scores_val.json").read_text()) for out in "ab")
    assert after["source"] == {
        **{key: value for key, value in before["source"].items() if key != "exp_id"},
        "checkpoint": "full.pth",
        "checkpoint_sha256": hashlib.sha256((ready / "full.pth").read_bytes()).hexdigest(),
    }
    assert {**after, "source": None} == {**before, "source": None}
    assert after["n_images"] == N_VAL
    assert after["all"]["n_predicted"] > 20
    assert (tmp_path / "a" / "images_val.csv").read_bytes() == (tmp_path / "b" / "images_val.csv").read_bytes()


# The card


def test_the_card_says_what_the_files_are(ready):
    card = (ready / "half.md").read_text(encoding="utf-8")
    for name in ("half.pth", "half.onnx"):
        content = (ready / name).read_bytes()
        assert f"`{hashlib.sha256(content).hexdigest()}`" in card
        assert f"| {len(content):,} " in card
    half = load(ready / "half.pth")
    recipe = card.partition("```json\n")[2].partition("```")[0]
    assert json.loads(recipe) == half["exp_dict"]
    learned = sum(v.numel() for name, v in half["model"].items() if "running" not in name and "tracked" not in name)
    for told in (
        f"| {learned:,} ",
        f"| {half['scores']['val_mae']:.3f} ",
        f"| {torch.__version__} ",
        "float16",
        "by class: disc, ellipse",
        "`dataset.name=synthetic`",
        "the first 6 of its training images",
        "-c half.pth -o out",
        "-c half.pth -d DATADIR --split test",
        "These images chose the epoch and the decoding, so the scores on them are too good.",
        "before they were rounded to float16",
        "images at 2 times their size",
        "It gets their mirror images too,",
        "smoothed by 0.7 pixels. An object is a connected blob of pixels above -0.5,",
        "the map falls by 0.05 between",
        "from the weights `start.pth`",
        "softmax(logits)",
    ):
        assert told in card, told
    plain = (ready / "full.md").read_text(encoding="utf-8")
    assert not [told for told in ("float16", "ONNX", "onnx") if told in plain]


def test_the_card_blames_validation_for_what_it_chose_alone(experiment, tmp_path):
    """A decoding that was given was not chosen; without the folder nobody knows, and without scores there are none."""
    given = shutil.copytree(experiment, tmp_path / "given")
    exp_dict = json.loads((given / "exp_dict.json").read_text())
    (given / "exp_dict.json").write_text(json.dumps({**exp_dict, "decoding": {"depth": 0.05}}))
    assert run(given, "-o", tmp_path / "given.pth") == 0
    assert "These images chose the epoch, so" in (tmp_path / "given.md").read_text()
    assert run(tmp_path / "given.pth", "-o", tmp_path / "alone.pth") == 0
    assert "These images chose the epoch and the decoding, so" in (tmp_path / "alone.md").read_text()
    (given / checkpoints.SCORES).unlink()
    assert run(given, "-o", tmp_path / "bare.pth") == 0
    assert load(tmp_path / "bare.pth")["scores"] == {}
    assert "No scores of these weights are known" in (tmp_path / "bare.md").read_text()


# ONNX


def test_onnx_counts_as_the_network_does(ready, images):
    """At sizes that it was not followed with, and that no stride divides."""
    trained = load_trained("half")
    session = onnxruntime.InferenceSession(ready / "half.onnx", providers=["CPUExecutionProvider"])
    about = session.get_modelmeta().custom_metadata_map
    decoding = Decoding(**{field: float(about[f"decoding.{field}"]) for field in Decoding._fields})
    assert decoding == trained.settings.decoding == Decoding(**DECODING)
    assert json.loads(about["class_names"]) == ["disc", "ellipse"]
    assert (about["zoom"], about["transform"]) == ("2", "rgb_normalize")
    assert [(each.name, each.shape) for each in session.get_inputs()] == [("images", ["batch", 3, "height", "width"])]
    assert [(each.name, each.shape) for each in session.get_outputs()] == [("logits", ["batch", 3, "height", "width"])]
    scene = np.concatenate(images, axis=1)
    for crops in ([scene[:61, :103]], [scene[:, :64], scene[:, 64:]]):
        pixels = np.stack(crops).transpose(0, 3, 1, 2).astype(np.float32) / 255
        (logits,) = session.run(None, {"images": pixels})
        with torch.no_grad():
            expected = trained.looks(as_tensor(np.stack(crops), trained.settings.transform)).numpy()
        np.testing.assert_allclose(logits, expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())
        counts = get_blobs(scipy.special.softmax(logits, axis=1), decoding=decoding).max(axis=(2, 3))
        probs = trained.probs_of_pixels(np.stack(crops), ["a", "b"][: len(crops)])
        own = get_blobs(probs, decoding=decoding).max(axis=(2, 3))
        np.testing.assert_array_equal(counts, own)
        assert counts.sum() > 8


def test_a_missing_package_is_one_line_and_nothing_is_written(experiment, tmp_path, monkeypatch, capsys):
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "onnxscript" else found(name))
    told = failure(capsys, experiment, "-o", tmp_path / "a.pth", "--onnx")
    assert "--onnx needs onnxscript: pip install -e '.[export]'" in told
    assert sorted(tmp_path.iterdir()) == []


def test_a_torch_that_is_too_old_is_one_line_and_nothing_is_written(experiment, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(onnx_file, "OLDEST_TORCH", (99, 0))
    told = failure(capsys, experiment, "-o", tmp_path / "a.pth", "--onnx")
    assert f"--onnx needs torch 99.0 or newer, this is {torch.__version__}" in told
    assert sorted(tmp_path.iterdir()) == []


def test_a_network_whose_layers_pad_by_the_size_is_one_line_and_nothing_is_written(experiment, tmp_path, capsys):
    exp_dict = load(experiment / checkpoints.BEST)["exp_dict"]
    exp_dict["model"] |= {"base": "fpn_timm_tf_efficientnet_lite0", "pretrained": None}
    network = build_network("fpn_timm_tf_efficientnet_lite0", 2, output_stride=8).state_dict()
    torch.save({"model": network, "exp_dict": exp_dict, "class_names": ["disc", "ellipse"]}, tmp_path / "tf.pth")
    told = failure(capsys, tmp_path / "tf.pth", "-o", tmp_path / "a.pth", "--onnx")
    assert "--onnx cannot trace the Conv2dSame layers of this network" in told
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["tf.pth"]
