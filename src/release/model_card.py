"""The card of ready weights: a Markdown file beside them that says what they are."""

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
python scripts/predict.py IMAGES -c {file} -o out
python scripts/evaluate.py -c {file} -d DATADIR --split test -o out
```

The first command counts and locates on your images. The second scores the weights on a copy of their data set. In
Python, `lcfcn.load("{file}").count("photo.jpg")` counts."""
LIMITS = """## Limits

- The network was trained on this data set alone. On images of another kind, scale, light or angle, counts can be far
  off without any warning: look at the overlays that `predict.py` draws, and score the network on images that you have
  counted.
- A count can be right although places are wrong, and objects that touch can count as one."""
LICENCE = """## Licence

The code is under Apache-2.0. The weights come from the images and clicks of the data set{start}. Respect the terms of
these sources, also when you use or pass on these weights: many data sets are for research only. The file holds no
image."""
ONNX = """## ONNX

`{name}` holds the same weights in float32. `lcfcn.load("{name}")` counts with it. For your own program: its input
`images` is float32 of shape (batch, 3, height, width), RGB in [0, 1], of any size; the network normalises it. Its
output `logits` has {channels}. Images run whole, not in tiles.

Its metadata hold `class_names` (JSON), `zoom` (first resize images by this factor, bilinearly), and the decoding. Make
`lcfcn.Decoding(threshold, depth, smoothing)` from the entries `decoding.threshold`, `decoding.depth` and
`decoding.smoothing`; then `lcfcn.get_blobs({probs}, decoding=decoding)` labels the objects."""


@dataclass(frozen=True)
class FileFacts:
    """A file.

    Attributes
    ----------
    name : str
    size : int
        In bytes.
    sha256 : str
        In hexadecimal.
    """

    name: str
    size: int
    sha256: str


def text(ready: dict, files: list[FileFacts], trained: TrainedNetwork, chosen: list[str]) -> str:
    """Return the card of ready weights.

    Parameters
    ----------
    ready : dict
        From `src.release.export.ready_weights`.
    files : list of FileFacts
        The weights, and the ONNX file if there is one.
    trained : TrainedNetwork
        The network with these weights.
    chosen : list of str
        What the validation images chose: the epoch, and perhaps the decoding.
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
        USE.format(file=weights.name),
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
    warning = (
        f"These images chose the {' and the '.join(chosen)}, so the scores on them are too good. Images without such a "
        f"choice, as in the test split, show how good the weights are.{rounded}"
    )
    return "\n".join(["## Scores on the validation images", "", *table, "", warning])


def _decoding(settings: CountingSettings) -> str:
    decoding = settings.decoding
    steps = [f"The network gets images at {settings.zoom:g} times their size."] if settings.zoom != 1 else []
    if settings.flip_test:
        steps.append("It gets their mirror images too, and the mean of both maps of logits counts.")
    if decoding.smoothing:
        steps.append(f"The map of logits is smoothed by {decoding.smoothing:g} pixels.")
    steps.append(f"An object is a connected blob of pixels above {decoding.threshold:g}, in logits.")
    if decoding.depth < math.inf:
        steps.append(f"A blob is cut between two peaks if the map falls by {decoding.depth:g} between them.")
    return " ".join([*steps, "`predict.py` and `evaluate.py` do all of this."])


def _onnx(file: FileFacts, n_classes: int) -> str:
    channels, probs = "one channel, of objects", "sigmoid(logits)"
    if n_classes > 1:
        channels, probs = f"{n_classes + 1} channels, the background and each class", "softmax(logits)"
    return ONNX.format(name=file.name, channels=channels, probs=probs)


def _start(exp_dict: dict) -> str:
    pretrained = exp_dict["model"]["pretrained"]
    return "" if pretrained is None else f", from the weights `{pretrained}`"
