"""What ready weights are, in words: a Markdown file that lies beside them."""

import json
import math
from dataclasses import dataclass

import torch

from lcfcn.counting.settings import CountingSettings
from lcfcn.counting.trained_network import TrainedNetwork
from lcfcn.counting.weight_files import default_names
from lcfcn.files import markdown_rows

USE = """## Use

```
python scripts/predict.py IMAGES -c {name} -o out
python scripts/evaluate.py -c {name} -d DATADIR --split test -o out
```

The first counts and locates on your images, the second scores the weights on a copy of their data set. `{name}` is
found in `results/weights`; give the path of the file if it lies elsewhere."""
LIMITS = """## Limits

- The network was trained on this data set alone. On images of another kind, scale, light or angle, counts can be far
  off, and nothing warns of it: look at the overlays that `predict.py` draws, and score it on images that you have
  counted.
- A count can be right where places are wrong, and objects that touch can count as one."""
LICENCE = """## Licence

The code is under Apache-2.0. The weights were made from the images and clicks of the data set{start}, whose terms you
must respect, also where you use or pass on these weights: many data sets are for research only. No image is in the
file."""
ONNX = """## ONNX

`{name}` holds the same weights in float32. Its input `images` is float32 of shape (batch, 3, height, width), RGB in
[0, 1], of any size, and normalised inside; its output `logits` has {channels}. Images run whole, not in tiles.

Its metadata hold `class_names` (JSON), `zoom` (resize images so many times, bilinearly, before), and the decoding: with
`lcfcn.decoding.Decoding(threshold, depth, smoothing)` made of the entries `decoding.threshold`, `decoding.depth` and
`decoding.smoothing`, `lcfcn.lcfcn_loss.get_blobs({probs}, decoding=decoding)` labels the objects."""


@dataclass(frozen=True)
class FileFacts:
    """A file by its `name`, its `size` in bytes and its `sha256`."""

    name: str
    size: int
    sha256: str


def text(ready: dict, files: list[FileFacts], trained: TrainedNetwork, chosen: list[str]) -> str:
    """The card of ready weights.

    Parameters
    ----------
    ready : dict
        As `src.release.export.ready_weights` gives it.
    files : list of FileFacts
        The weights, and perhaps the ONNX file.
    trained : TrainedNetwork
        With these weights.
    chosen : list of str
        What validation chose: the epoch, and perhaps the decoding.
    """
    weights, *onnx = files
    exp_dict = ready["exp_dict"]
    names = ready["class_names"] or default_names(trained.settings.n_classes)
    name = weights.name.removesuffix(".pth")
    base = exp_dict["model"]["base"]
    parts = [
        f"# {name}",
        f"Counts and locates, by class: {', '.join(names)}. Learned from one click an object (LCFCN, base `{base}`).",
        _facts(ready, files, trained),
        _data(exp_dict),
        _scores(ready, chosen),
        USE.format(name=name),
        f"## Decoding\n\n{_decoding(trained.settings)}",
        *(_onnx(file, len(names)) for file in onnx),
        LIMITS,
        LICENCE.format(start=_start(exp_dict)),
        f"## Recipe\n\n```json\n{json.dumps(exp_dict, indent=2)}\n```",
    ]
    return "\n\n".join(parts) + "\n"


def _is_half(ready: dict) -> bool:
    return any(value.dtype == torch.float16 for value in ready["model"].values())


def _facts(ready: dict, files: list[FileFacts], trained: TrainedNetwork) -> str:
    n_parameters = sum(parameter.numel() for parameter in trained.network.parameters())
    rows = [["", "value"], ["parameters", f"{n_parameters:,}"]]
    rows.append(["precision", "float16, float32 once loaded" if _is_half(ready) else "float32"])
    if ready["epoch"] is not None:
        rows.append(["epoch", f"{ready['epoch']} (from 0) of {ready['exp_dict']['max_epoch']}"])
    rows.append(["written by torch", torch.__version__])
    for file in files:
        rows += [[f"{file.name}, bytes", f"{file.size:,}"], [f"{file.name}, sha256", f"`{file.sha256}`"]]
    return "\n".join(markdown_rows(rows))


def _data(exp_dict: dict) -> str:
    dataset = {key: value for key, value in exp_dict["dataset"].items() if key not in ("transform", "augment")}
    options = ", ".join(f"`dataset.{key}={value}`" for key, value in dataset.items())
    sizes = exp_dict["dataset_size"]
    train, val = ("all" if sizes[split] == "all" else f"the first {sizes[split]}" for split in ("train", "val"))
    return f"## Data\n\n{options}: {train} of its training images, and {val} of its validation images."


def _scores(ready: dict, chosen: list[str]) -> str:
    if not ready["scores"]:
        return "## Scores\n\nNo scores of these weights are known: score them before you rely on them."
    table = markdown_rows([["score", "value"], *([key, f"{value:.3f}"] for key, value in ready["scores"].items())])
    rounded = " The scores are of the weights before they were rounded to float16." if _is_half(ready) else ""
    told = (
        f"These images chose the {' and the '.join(chosen)}, so their scores flatter. Only images that had no say tell "
        f"how good the weights are, such as those of the test split.{rounded}"
    )
    return "\n".join(["## Scores on the validation images", "", *table, "", told])


def _decoding(settings: CountingSettings) -> str:
    decoding = settings.decoding
    steps = [f"The network is shown images at {settings.zoom:g} times their size."] if settings.zoom != 1 else []
    if settings.flip_test:
        steps.append("It is shown their mirror images too, and the mean of both maps of logits is read.")
    if decoding.smoothing:
        steps.append(f"The map of logits is smoothed by {decoding.smoothing:g} pixels.")
    steps.append(f"An object is a connected blob of pixels above {decoding.threshold:g}, in logits.")
    if decoding.depth < math.inf:
        steps.append(f"A blob is cut between two peaks where the map sinks by {decoding.depth:g} between them.")
    return " ".join([*steps, "`predict.py` and `evaluate.py` do all of it."])


def _onnx(file: FileFacts, n_classes: int) -> str:
    channels, probs = "one channel, of objects", "sigmoid(logits)"
    if n_classes > 1:
        channels, probs = f"{n_classes + 1} channels, the background and each class", "softmax(logits)"
    return ONNX.format(name=file.name, channels=channels, probs=probs)


def _start(exp_dict: dict) -> str:
    pretrained = exp_dict["model"]["pretrained"]
    return "" if pretrained is None else f", from the weights `{pretrained}`"
