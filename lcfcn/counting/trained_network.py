"""A trained network with all that counting needs: its settings, its device, pixels to probabilities."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from lcfcn.counting.device import Device
from lcfcn.counting.pixels import as_tensor
from lcfcn.counting.settings import CountingSettings
from lcfcn.errors import UserError, one_line
from lcfcn.networks.flip_test import FlipTest
from lcfcn.networks.registry import build_network


class TrainedNetwork:
    """A network that turns images into probabilities.

    Parameters
    ----------
    network : nn.Module
        (N, 3, H, W) normalised images to (N, C, H, W) logits, on the device. Predictions use it in eval mode.
    settings : CountingSettings
        How it counts.
    device : Device
        Where it runs.
    """

    def __init__(self, network: nn.Module, settings: CountingSettings, device: Device) -> None:
        self.network = network
        self.settings = settings
        self.device = device

    @classmethod
    def from_checkpoint(cls, checkpoint: dict, path: Path, device: Device) -> "TrainedNetwork":
        """Build the network of a checkpoint. The weights that its training began from are not needed.

        Raises
        ------
        UserError
            If the checkpoint holds no experiment, or parameters of another network.
        """
        settings = CountingSettings.from_exp_dict(checkpoint.get("exp_dict"), path)
        network = build_network(settings.base, settings.n_classes, output_stride=settings.output_stride)
        load_parameters(network, checkpoint["model"])
        return cls(device.place(network).eval(), settings, device)

    @property
    def looks(self) -> nn.Module:
        """What turns images into logits: the network, or the flip test around it."""
        return FlipTest(self.network) if self.settings.flip_test else self.network

    @torch.inference_mode()
    def probs(self, images: Tensor, names: list[str]) -> np.ndarray:
        """Return the probabilities of normalised images.

        Parameters
        ----------
        images : (N, 3, H, W) float32 tensor
        names : list of N str
            For messages.

        Returns
        -------
        probs : (N, 1, H, W) or (N, K + 1, H, W) float32 ndarray
            Of an object, or of the background and of K classes.

        Raises
        ------
        UserError
            If a probability is not finite.
        """
        with self.device.autocast():
            logits = self.looks(self.device.move_images(images)).float()
        probs = to_probs(logits).cpu().numpy()
        finite = np.isfinite(probs).reshape(len(probs), -1).all(axis=1)
        if not finite.all():
            raise not_finite("output", names[int(finite.argmin())])
        return probs

    def probs_of_pixels(self, pixels: np.ndarray, names: list[str]) -> np.ndarray:
        """Return the probabilities of (N, H, W, 3) uint8 RGB images; see `probs`."""
        return self.probs(as_tensor(pixels, self.settings.transform), names)


def load_parameters(network: nn.Module, state: dict) -> None:
    """Load a state dict; raise `UserError` if it is that of another network."""
    try:
        network.load_state_dict(state)
    except (RuntimeError, ValueError, TypeError, LookupError, AttributeError) as error:
        raise does_not_fit(error) from None


def does_not_fit(error: Exception) -> UserError:
    """Return the error that says that a checkpoint is of another network."""
    reason = one_line(error)[:200]
    return UserError(f"the checkpoint does not fit this network ({reason}): choose the base it was made with")


def not_finite(what: str, name: str) -> UserError:
    """Return the error that names the image whose loss or output is not finite."""
    return UserError(
        f"the {what} is not finite at image {name}: "
        "lower --set lr=..., use --precision 32 or bf16, or look for broken values in that image"
    )


def to_probs(logits: Tensor) -> Tensor:
    """Turn (N, C, H, W) logits into probabilities.

    One channel takes the sigmoid. More channels take the softmax, with the background in channel 0.
    """
    return logits.sigmoid() if logits.shape[1] == 1 else logits.softmax(1)
