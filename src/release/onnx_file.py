"""A trained network as an ONNX file that says how to count: pixels in, logits out, the decoding in its metadata."""

import importlib.util
import json

import torch
from torch import Tensor, nn

from lcfcn.counting.settings import TRANSFORMS, CountingSettings
from lcfcn.counting.trained_network import TrainedNetwork
from lcfcn.decoding import Decoding
from lcfcn.errors import UserError

NEEDED = ("onnx", "onnxscript")
PAD_BY_SIZE = {"Conv2dSame", "MaxPool2dSame", "AvgPool2dSame"}
"""Layers of timm's networks that come from TensorFlow."""
EXAMPLE = (2, 3, 64, 96)
"""Shape of the images that the network is followed with; all but the channels may be others later."""


class FromPixels(nn.Module):
    """A network that normalises its images itself.

    Parameters
    ----------
    base : nn.Module
        (N, 3, H, W) normalised images to (N, C, H, W) logits.
    transform : str
        How its images are normalised, one of `TRANSFORMS`.
    """

    def __init__(self, base: nn.Module, transform: str) -> None:
        super().__init__()
        self.base = base
        # As tensors of the module: torchvision's normalize makes them anew, which torch.export can't follow.
        for name, values in zip(("mean", "std"), TRANSFORMS[transform], strict=True):
            self.register_buffer(name, torch.tensor(values, dtype=torch.float32).view(3, 1, 1))

    def forward(self, images: Tensor) -> Tensor:
        """(N, 3, H, W) float RGB images in [0, 1] to (N, C, H, W) logits."""
        return self.base((images - self.mean) / self.std)


def check_installed() -> None:
    """UserError if the packages that write ONNX are not there."""
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        raise UserError(f"--onnx needs {' and '.join(missing)}: pip install -e '.[onnx]', or leave --onnx out")


def onnx_bytes(trained: TrainedNetwork, class_names: list[str]) -> bytes:
    """The network as an ONNX file, in float32.

    It takes `images` (batch, 3, height, width) float32, RGB in [0, 1], of any size, and gives `logits` (batch, C,
    height, width) float32: one channel for one class, else the background and then each class. Its metadata say how to
    count: see `metadata`.

    Parameters
    ----------
    trained : TrainedNetwork
        On the CPU; set to eval mode.
    class_names : list of str
        One a class.

    Raises
    ------
    UserError
        If the network cannot be followed.
    """
    _check_sizes(trained)
    network = FromPixels(trained.looks, trained.settings.transform).eval()
    program = torch.onnx.export(
        network,
        (torch.zeros(EXAMPLE),),
        dynamo=True,
        input_names=["images"],
        output_names=["logits"],
        dynamic_shapes={"images": {0: "batch", 2: "height", 3: "width"}},
        verbose=False,
    )
    _strip(program.model.graph)
    program.model.metadata_props.update(metadata(trained.settings, class_names))
    return program.model_proto.SerializeToString()


def _check_sizes(trained: TrainedNetwork) -> None:
    """UserError if layers pad by the size of what they get: torch.export does not come to an end with them."""
    layers = sorted({type(module).__name__ for module in trained.network.modules()} & PAD_BY_SIZE)
    if layers:
        raise UserError(
            f"--onnx cannot follow the {layers[0]} layers of this network, which pad by the size of their input; "
            "expected a trunk whose padding is fixed, such as timm's efficientnet_lite0 instead of "
            "tf_efficientnet_lite0: leave --onnx out"
        )


def metadata(settings: CountingSettings, class_names: list[str]) -> dict[str, str]:
    """What a consumer needs to count, each value as text.

    `class_names`, a JSON list; `zoom`, how many times as large the network is shown the images; `transform`, which is
    part of the file's network; `base`, the network's name; and the entries of
    `lcfcn.decoding.Decoding`, as `decoding.threshold`.
    """
    decoding = {
        f"decoding.{field}": str(value) for field, value in zip(Decoding._fields, settings.decoding, strict=True)
    }
    about = {"class_names": json.dumps(class_names), "zoom": str(settings.zoom)}
    about |= {"transform": settings.transform, "base": settings.base}
    return {**about, **decoding}


def _strip(graph: object) -> None:
    """Drop what the exporter notes of the code it followed, paths of this machine among it, and say plainly that the
    output is as large as the input."""
    for node in graph:
        node.metadata_props.clear()
    (images,), (logits,) = graph.inputs, graph.outputs
    for dimension in (2, 3):
        logits.shape[dimension] = images.shape[dimension]
