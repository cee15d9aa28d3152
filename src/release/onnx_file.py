"""Write a trained network as an ONNX file: pixels in, logits out, and in its metadata how to count."""

import importlib.util
import json

import torch
from torch import Tensor, nn

from lcfcn.counting.settings import TRANSFORMS, CountingSettings
from lcfcn.counting.trained_network import TrainedNetwork
from lcfcn.decoding import Decoding
from lcfcn.errors import UserError

NEEDED = ("onnx", "onnxscript")
OLDEST_TORCH = (2, 9)
"""With 2.6, 2.7 and 2.8 the exporter stopped at the networks of this project, or wrote files that did not run."""
PAD_BY_SIZE = {"Conv2dSame", "MaxPool2dSame", "AvgPool2dSame"}
"""Layers of those networks of timm that come from TensorFlow."""
EXAMPLE = (2, 3, 64, 96)
"""The shape of the images for tracing the network. All sizes but the channels may differ later."""


class FromPixels(nn.Module):
    """A network that first normalises its images.

    Parameters
    ----------
    base : nn.Module
        Turns (N, 3, H, W) normalised images into (N, C, H, W) logits.
    transform : str
        The normalisation of the images, a name in `TRANSFORMS`.
    """

    def __init__(self, base: nn.Module, transform: str) -> None:
        super().__init__()
        self.base = base
        # Not torchvision's normalize: it makes its tensors at each call, which torch.export cannot trace.
        for name, values in zip(("mean", "std"), TRANSFORMS[transform], strict=True):
            self.register_buffer(name, torch.tensor(values, dtype=torch.float32).view(3, 1, 1))

    def forward(self, images: Tensor) -> Tensor:
        """Turn (N, 3, H, W) float RGB images in [0, 1] into (N, C, H, W) logits."""
        return self.base((images - self.mean) / self.std)


def check_installed() -> None:
    """Raise `UserError` if a package for writing ONNX is not installed, or PyTorch is too old for it."""
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        raise UserError(f"--onnx needs {' and '.join(missing)}: pip install -e '.[export]', or leave --onnx out")
    if tuple(int(number) for number in torch.__version__.split(".")[:2]) < OLDEST_TORCH:
        oldest = ".".join(map(str, OLDEST_TORCH))
        raise UserError(
            f"--onnx needs torch {oldest} or newer, this is {torch.__version__}: update it, or leave --onnx out"
        )


def onnx_bytes(trained: TrainedNetwork, class_names: list[str]) -> bytes:
    """Return the network as an ONNX file, in float32.

    Its input is `images` (batch, 3, height, width) float32, RGB in [0, 1], of any size. Its output is `logits` (batch,
    C, height, width) float32: one channel for one class, or the background and then each class. Its metadata say how to
    count, see `metadata`.

    Parameters
    ----------
    trained : TrainedNetwork
        On the CPU. Its network is set to eval mode.
    class_names : list of str
        A name for each class.

    Raises
    ------
    UserError
        If the network cannot be traced.
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
    """Raise `UserError` if layers pad by the size of their input: torch.export does not end with them."""
    layers = sorted({type(module).__name__ for module in trained.network.modules()} & PAD_BY_SIZE)
    if layers:
        raise UserError(
            f"--onnx cannot trace the {layers[0]} layers of this network, which pad by the size of their input; "
            "expected a trunk whose padding is fixed, such as timm's efficientnet_lite0 instead of "
            "tf_efficientnet_lite0: leave --onnx out"
        )


def metadata(settings: CountingSettings, class_names: list[str]) -> dict[str, str]:
    """Return what another program needs to count, each value as text.

    `class_names` is a JSON list. `zoom` is the factor by which images are resized for the network. `transform` is the
    normalisation, which the network in the file does itself. `base` is the network's name. The entries of
    `lcfcn.decoding.Decoding` are called `decoding.threshold` and so on.
    """
    decoding = {
        f"decoding.{field}": str(value) for field, value in zip(Decoding._fields, settings.decoding, strict=True)
    }
    about = {"class_names": json.dumps(class_names), "zoom": str(settings.zoom)}
    about |= {"transform": settings.transform, "base": settings.base}
    return {**about, **decoding}


def _strip(graph: object) -> None:
    """Remove the exporter's notes on the code, which hold paths of this machine, and say plainly that the output is as
    large as the input."""
    for node in graph:
        node.metadata_props.clear()
    (images,), (logits,) = graph.inputs, graph.outputs
    for dimension in (2, 3):
        logits.shape[dimension] = images.shape[dimension]
