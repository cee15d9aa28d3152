"""A network from an ONNX file: onnxruntime runs it, and torch is not asked for the network."""

import json
from pathlib import Path

import numpy as np
import scipy.special
import torch

from lcfcn.counting.settings import OLD_NAMES, CountingSettings, check_decoding, check_zoom
from lcfcn.counting.trained_network import not_finite
from lcfcn.decoding import Decoding
from lcfcn.errors import UserError, one_line
from lcfcn.names import fault_of_class

WAYS_OUT = "write it again with scripts/export.py --onnx"


class OnnxNetwork:
    """A network that `scripts/export.py --onnx` wrote. It normalises the images itself.

    Parameters
    ----------
    path : Path
        The ONNX file.

    Raises
    ------
    UserError
        If onnxruntime is not installed, or the file is missing, damaged or of another kind.
    """

    def __init__(self, path: Path) -> None:
        try:
            import onnxruntime
        except ImportError:
            raise UserError(f"{path} needs onnxruntime, which is not installed: pip install 'lcfcn[onnx]'") from None
        if not path.is_file():
            raise UserError(f"there is no {path}: check -c")
        try:
            self._session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime raises a different type for each kind of damage
            raise UserError(f"{path} cannot be read ({one_line(error)[:120]}): {WAYS_OUT}") from None
        self.class_names, self.settings = _read_metadata(self._session.get_modelmeta().custom_metadata_map, path)

    def probs_of_pixels(self, pixels: np.ndarray, names: list[str]) -> np.ndarray:
        """Turn (N, H, W, 3) uint8 RGB images into (N, 1 or K + 1, H, W) float32 probabilities.

        Raises
        ------
        UserError
            If a probability is not finite.
        """
        logits = self._logits(pixels.transpose(0, 3, 1, 2).astype(np.float32) / 255)
        probs = scipy.special.expit(logits) if logits.shape[1] == 1 else scipy.special.softmax(logits, axis=1)
        finite = np.isfinite(probs).reshape(len(probs), -1).all(axis=1)
        if not finite.all():
            raise not_finite("output", names[int(finite.argmin())])
        return probs

    def network(self, images: torch.Tensor) -> torch.Tensor:
        """Turn (N, 3, H, W) float RGB images in [0, 1] into (N, C, H, W) logits."""
        return torch.from_numpy(self._logits(images.numpy()))

    def _logits(self, images: np.ndarray) -> np.ndarray:
        (logits,) = self._session.run(None, {"images": images})
        return logits


def _read_metadata(about: dict[str, str], path: Path) -> tuple[list[str], CountingSettings]:
    """Read the names of the classes and the settings from a file's metadata."""
    try:
        names = json.loads(about["class_names"])
        zoom = float(about["zoom"])
        entries = {key.partition(".")[2]: value for key, value in about.items() if _section_of(key) == "decoding"}
        decoding = Decoding(**{key: float(value) for key, value in entries.items()})
        check_zoom(zoom)
        # An infinite depth, which is the default, is no possible value of a setting.
        check_decoding({key: value for key, value in decoding._asdict().items() if np.isfinite(value)})
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise ValueError(f"class_names is {names}")
        for name in filter(fault_of_class, names):
            raise ValueError(f"the class {name[:80]!r} {fault_of_class(name)}")
    except (KeyError, ValueError, TypeError) as error:
        raise UserError(f"{path} does not say how it counts ({one_line(error)[:120]}): {WAYS_OUT}") from None
    base, transform = about.get("base", "unknown"), about.get("transform", "none")
    # What looks at the mirror image is part of the file's network.
    return names, CountingSettings(base, len(names), transform=transform, zoom=zoom, decoding=decoding)


def _section_of(key: str) -> str:
    """Return today's name of the section of a metadata key such as `reading.depth`."""
    section, dot, _ = key.partition(".")
    return OLD_NAMES.get(section, section) if dot else ""
