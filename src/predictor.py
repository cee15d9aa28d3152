"""Count and locate objects on a picture with a trained network, whatever the picture's size."""

import contextlib
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torchvision import tv_tensors

from lcfcn.blobs import class_masks
from lcfcn.reading import BLOBS
from src import checkpoints
from src.bands import BandBlobs, in_context
from src.datasets.transforms import resized, scaled_size
from src.defaults import TILE
from src.errors import UserError
from src.models import LCFCN
from src.models.trunk import CELL
from src.runtime import Runtime, StopRequest
from src.tiles import as_batch, fits, probability_bands

MARGIN = 64
"""So many rows beyond a band are read with it, where objects are parted: what lies further away has no say."""


@dataclass(frozen=True)
class Prediction:
    """The n objects found on one picture, class by class, from top to bottom.

    `points` (n, 2) float64, x and y of the centre of the blob's pixel nearest its centroid; `labels` (n,) int64, 1..K;
    `scores` (n,) float64, the mean probability of the class over the blob, above 1/2 for one class
    where `reading.threshold` is 0; `areas` (n,)
    int64, the blob's pixels; `class_map` (H, W) uint8 or uint16, the class of each pixel, 0 = background.
    """

    points: np.ndarray
    labels: np.ndarray
    scores: np.ndarray
    areas: np.ndarray
    class_map: np.ndarray


class Predictor:
    """A trained network that predicts.

    Parameters
    ----------
    model : LCFCN
        Set to eval mode.
    class_names : list of str
        One a class.
    tile : int
        Side of what the trunk is given at once, in pixels; larger pictures run in overlapping tiles.
    stop : StopRequest, optional
        Asked after each tile; `Stopped` is raised when it says so.
    """

    def __init__(
        self, model: LCFCN, class_names: list[str], *, tile: int = TILE, stop: StopRequest | None = None
    ) -> None:
        if tile < 3 * CELL:
            raise UserError(f"--tile is {tile}; expected {3 * CELL} pixels or more")
        self.model = model
        self.class_names = class_names
        self.tile = tile
        self.stop = stop or StopRequest()
        model.network.eval()

    @classmethod
    def load(cls, path: Path, runtime: Runtime, *, tile: int = TILE, stop: StopRequest | None = None) -> "Predictor":
        """Build the network that `checkpoints.find_checkpoint` finds, with its weights.

        Nothing but the checkpoint is needed: the pretrained weights that training began from are not looked for.

        Raises
        ------
        UserError
            If there is no checkpoint, or it is damaged, holds no experiment or does not fit it.
        """
        checkpoint = checkpoints.load_checkpoint(checkpoints.find_checkpoint(path))
        exp_dict = checkpoints.experiment_of(checkpoint, path)
        n_classes = exp_dict["model"]["n_classes"]
        names = checkpoints.class_names(checkpoint, path, n_classes)
        model = LCFCN.from_checkpoint(exp_dict, checkpoint, runtime)
        return cls(model, names or default_names(n_classes), tile=tile, stop=stop)

    def fits(self, shape: tuple[int, ...]) -> bool:
        """Whether pictures of that shape (H, W, ...) run at once, so that `predict_batch` takes them."""
        return fits([math.ceil(side * self.model.zoom) for side in shape[:2]], self.tile)

    def predict(self, image: np.ndarray, name: str = "given") -> Prediction:
        """Find the objects on an (H, W, 3) uint8 RGB picture of any size; `name` is for messages.

        Raises
        ------
        UserError
            If the network's output is not finite, or memory does not suffice.
        Stopped
            If the stop was asked for between two tiles.
        """
        with _memory_told():
            zoomed = self._zoomed(image)
            bands = probability_bands(self.model, zoomed, name, self.tile, self.stop.check)
            return self._as_it_came(self._found(zoomed.shape[:2], bands), image)

    def predict_batch(self, images: list[np.ndarray], names: list[str]) -> list[Prediction]:
        """`predict` for pictures of one size that fit, in one step of the network."""
        with _memory_told():
            zoomed = [self._zoomed(image) for image in images]
            probs = self.model.predict_probs(as_batch(zoomed, names, self.model.transform))
            found = [self._found(p.shape[1:], [p]) for p in probs]
            return [self._as_it_came(prediction, image) for prediction, image in zip(found, images, strict=True)]

    def _zoomed(self, image: np.ndarray) -> np.ndarray:
        """The picture at the size that the network was trained on, as its data set made it."""
        if self.model.zoom == 1:
            return image
        tensor = tv_tensors.Image(torch.from_numpy(image).permute(2, 0, 1))
        (zoomed,) = resized(scaled_size(tensor, self.model.zoom), tensor)
        return zoomed.permute(1, 2, 0).contiguous().numpy()

    def _as_it_came(self, found: Prediction, image: np.ndarray) -> Prediction:
        """What was found on a zoomed picture, in pixels of the picture that came."""
        if self.model.zoom == 1:
            return found
        factors = np.divide(found.class_map.shape, image.shape[:2])
        rows, cols = (
            ((np.arange(side) + 0.5) * factor).astype(int) for side, factor in zip(image.shape, factors, strict=False)
        )
        return replace(
            found,
            points=found.points / factors[::-1],
            areas=np.maximum(np.rint(found.areas / factors.prod()), 1).astype(np.int64),
            class_map=found.class_map[rows[:, None], cols],
        )

    def _with_masks(self, bands: Iterable[np.ndarray]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Each band (C, h, W) with the pixels of its objects (K, h, W), as the network's reading has them."""
        reading = self.model.reading
        for probs, own in in_context(bands, 0 if reading == BLOBS else MARGIN):
            yield probs[:, own], class_masks(probs[None], reading)[0][:, own]

    def _found(self, size: tuple[int, int], bands: Iterable[np.ndarray]) -> Prediction:
        """Objects from bands (C, h, W) of probabilities."""
        n_classes = len(self.class_names)
        class_map = np.zeros(size, dtype=np.min_scalar_type(n_classes))
        blobs = [BandBlobs() for _ in range(n_classes)]
        heights = []
        for probs, masks in self._with_masks(bands):
            top = sum(heights)
            heights.append(probs.shape[1])
            for k, mask in enumerate(masks):
                class_map[top : top + len(mask)][mask] = k + 1
                blobs[k].add(mask, probs[k - n_classes])  # the channels from the end: the background comes first
        strips = np.split(class_map, np.cumsum(heights)[:-1])
        tables = [found.table(strip == k for strip in strips) for k, found in enumerate(blobs, start=1)]
        return Prediction(
            points=np.concatenate([table.pixels for table in tables])[:, ::-1] + 0.5,
            labels=np.repeat(np.arange(1, n_classes + 1), [len(table.areas) for table in tables]),
            scores=np.concatenate([table.scores for table in tables]),
            areas=np.concatenate([table.areas for table in tables]),
            class_map=class_map,
        )


def default_names(n_classes: int) -> list[str]:
    """What classes are called whose names a checkpoint does not tell."""
    return ["object"] if n_classes == 1 else [f"class {k}" for k in range(1, n_classes + 1)]


@contextlib.contextmanager
def _memory_told() -> Iterator[None]:
    """Tell in one line that memory does not suffice."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        # torch has a class of its own for a GPU's memory only.
        told = isinstance(error, MemoryError | torch.OutOfMemoryError) or "can't allocate memory" in str(error)
        if not told:
            raise
        raise UserError("memory does not suffice: choose a smaller --batch-size, or a smaller --tile") from None
