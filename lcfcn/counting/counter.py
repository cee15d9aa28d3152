"""Count and locate objects on images of any size with a trained network."""

import contextlib
import math
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from lcfcn.blobs import class_masks
from lcfcn.counting.bands import BandBlobs, in_context
from lcfcn.counting.defaults import MAX_PIXELS, TILE
from lcfcn.counting.device import Device
from lcfcn.counting.file_lists import find_images
from lcfcn.counting.image_files import image_of_array, image_of_pillow, read_image
from lcfcn.counting.pixels import zoomed
from lcfcn.counting.result import Result
from lcfcn.counting.tiles import MapNetwork, fits, probability_bands
from lcfcn.counting.trained_network import TrainedNetwork
from lcfcn.counting.weight_files import class_names, default_names, find_checkpoint, load_checkpoint
from lcfcn.decoding import BLOBS
from lcfcn.errors import UserError
from lcfcn.memory import keep_freed_memory
from lcfcn.networks.folding import fold_batch_norm
from lcfcn.networks.trunk import CELL

MARGIN = 64
"""The rows above and below a band that are read with it where objects are cut apart. What lies further away does not
matter."""

Countable = str | Path | Image.Image | np.ndarray


def load(
    name: str | Path, *, device: str = "auto", precision: str = "32", tile: int = TILE, check: Callable | None = None
) -> "Counter":
    """Load a trained network that counts.

    Parameters
    ----------
    name : str or Path
        The name of ready weights such as ``"shanghai_B"``, a ``.pth`` file, an ``.onnx`` file that
        ``scripts/export.py --onnx`` wrote, or the folder of an experiment (its best network).
    device : str
        `auto` (CUDA where there is one), `cpu`, `cuda` or `cuda:N`. An ONNX file runs on the CPU.
    precision : str
        `32`, `bf16` or `16`.
    tile : int
        Larger images than tile x tile pixels run in overlapping tiles.
    check : callable, optional
        Is called after each tile. What it raises ends the work.

    Returns
    -------
    counter : Counter

    Raises
    ------
    UserError
        If there is no such file, name or device, or the file is damaged.

    Examples
    --------
    >>> import lcfcn
    >>> counter = lcfcn.load("shanghai_B")
    >>> counter
    Counter('shanghai_B', classes: person)
    """
    keep_freed_memory()
    options = {"tile": tile, "check": check, "name": str(name)}
    if Path(name).suffix == ".onnx":
        from lcfcn.counting.onnx_network import OnnxNetwork  # needs onnxruntime, which few people have

        network = OnnxNetwork(Path(name))
        return Counter(network, network.class_names, **options)
    place = Device(device, precision)  # first: a mistyped device need not wait for the file
    path = find_checkpoint(name)
    checkpoint = load_checkpoint(path)
    trained = TrainedNetwork.from_checkpoint(checkpoint, path, place)
    trained.network = fold_batch_norm(trained.network)
    n_classes = trained.settings.n_classes
    return Counter(trained, class_names(checkpoint, path, n_classes) or default_names(n_classes), **options)


class Counter:
    """A trained network that counts and locates.

    Parameters
    ----------
    trained : TrainedNetwork or OnnxNetwork
    class_names : list of K str
    tile : int
        Larger images than tile x tile pixels run in overlapping tiles.
    check : callable, optional
        Is called after each tile. What it raises ends the work.
    name : str
        For messages.
    """

    def __init__(
        self,
        trained: MapNetwork,
        class_names: list[str],
        *,
        tile: int = TILE,
        check: Callable[[], None] | None = None,
        name: str = "network",
    ) -> None:
        if tile < 3 * CELL:
            raise UserError(f"--tile is {tile}; expected {3 * CELL} pixels or more")
        self.trained = trained
        self.class_names = class_names
        self.tile = tile
        self.check = check or (lambda: None)
        self.name = name

    def __repr__(self) -> str:
        return f"Counter({self.name!r}, classes: {', '.join(self.class_names)})"

    def count(
        self,
        images: Countable | Iterable[Countable],
        *,
        name: str | None = None,
        frame: int | None = None,
        channels: Sequence[int] | None = None,
        max_pixels: int = MAX_PIXELS,
    ) -> Result | Iterator[Result]:
        """Count and locate objects on an image, or on many.

        Parameters
        ----------
        images : str, Path, PIL image, ndarray, or an iterable of these
            An image file (see `lcfcn.counting.image_files.read_image` for the formats), a PIL image, or an (H, W) or
            (H, W, C) array. An array of other values than uint8 is stretched as a file of that type would be. A folder
            means the images in it. An iterable or a folder gives an iterator, which works image by image as you go
            through it.
        name : str, optional
            The image's name in the result; by default the file's name, or `image`.
        frame, channels, max_pixels
            See `lcfcn.counting.image_files.read_image`.

        Returns
        -------
        result : Result, or iterator of Result

        Raises
        ------
        UserError
            If an image cannot be read, or its output is not finite, or memory does not suffice.

        Examples
        --------
        >>> import numpy as np
        >>> import lcfcn
        >>> counter = lcfcn.load("shanghai_B")
        >>> result = counter.count(np.zeros((96, 128, 3), dtype=np.uint8))
        >>> result.count, result.counts
        (0, {'person': 0})
        """
        options = {"frame": frame, "channels": channels, "max_pixels": max_pixels}
        if isinstance(images, str | Path) and Path(images).is_dir():
            return self._count_folder(images, options)
        remarks: list[str] = []
        if isinstance(images, str | Path):
            pixels = read_image(images, remarks=remarks, **options)
        elif isinstance(images, Image.Image):
            pixels = image_of_pillow(images, channels=channels, remarks=remarks)
        elif isinstance(images, np.ndarray):
            pixels = image_of_array(images, channels=channels, remarks=remarks)
        elif isinstance(images, Iterable) and not isinstance(images, torch.Tensor):
            return (self._count_one_of_many(i, image, options) for i, image in enumerate(images))
        else:
            raise UserError(
                f"an image of type {type(images).__name__} came; expected a path, a PIL image, an (H, W[, C]) array, "
                "or a list of these: convert it, such as tensor.permute(1, 2, 0).numpy()"
            )
        return replace(self.count_pixels(pixels, name or _name_of(images)), remarks=tuple(remarks))

    def _count_folder(self, folder: str | Path, options: dict) -> Iterator[Result]:
        """Count on the images in a folder, and warn of those that are left out."""
        remarks: list[str] = []
        paths = find_images([str(folder)], remarks=remarks)
        for remark in remarks:
            warnings.warn(remark, stacklevel=3)
        return (self.count(path, name=key, **options) for key, path in paths.items())

    def _count_one_of_many(self, index: int, image: Countable, options: dict) -> Result:
        """Count one image of an iterable; an array is named by its place."""
        name = f"image_{index:05d}" if isinstance(image, np.ndarray) else None
        result = self.count(image, name=name, **options)
        if not isinstance(result, Result):
            raise UserError(f"item {index} of the list is a {type(image).__name__} of several images: give one image")
        return result

    def count_pixels(self, image: np.ndarray, name: str) -> Result:
        """Count on an (H, W, 3) uint8 RGB image of any size; see `count`."""
        with _memory_errors_in_one_line():
            seen = zoomed(image, self.trained.settings.zoom)
            bands = probability_bands(self.trained, seen, name, self.tile, self.check)
            return self._found(name, seen, bands).resized_to(image)

    def count_batch(self, images: list[np.ndarray], names: list[str]) -> list[Result]:
        """Count on (H, W, 3) uint8 images of one size that fit at once, in one step of the network."""
        with _memory_errors_in_one_line():
            seen = [zoomed(image, self.trained.settings.zoom) for image in images]
            probs = self.trained.probs_of_pixels(np.stack(seen), names)
            found = [self._found(name, pixels, [p]) for name, pixels, p in zip(names, seen, probs, strict=True)]
            return [result.resized_to(image) for result, image in zip(found, images, strict=True)]

    def fits(self, shape: tuple[int, ...]) -> bool:
        """Whether images of that shape (H, W, ...) run at once, so that `count_batch` takes them."""
        return fits([math.ceil(side * self.trained.settings.zoom) for side in shape[:2]], self.tile)

    def _with_masks(self, bands: Iterable[np.ndarray]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield each band (C, h, W) with the pixels of its objects (K, h, W), as the decoding finds them."""
        decoding = self.trained.settings.decoding
        for probs, own in in_context(bands, 0 if decoding == BLOBS else MARGIN):
            yield probs[:, own], class_masks(probs[None], decoding)[0][:, own]

    def _found(self, name: str, image: np.ndarray, bands: Iterable[np.ndarray]) -> Result:
        """Return the objects in bands (C, h, W) of an image's probabilities."""
        n_classes = len(self.class_names)
        class_map = np.zeros(image.shape[:2], dtype=np.min_scalar_type(n_classes))
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
        return Result(
            name,
            image,
            self.class_names,
            xy=np.concatenate([table.pixels for table in tables])[:, ::-1] + 0.5,
            labels=np.repeat(np.arange(1, n_classes + 1), [len(table.areas) for table in tables]),
            scores=np.concatenate([table.scores for table in tables]),
            areas=np.concatenate([table.areas for table in tables]),
            class_map=class_map,
        )


def _name_of(image: Countable) -> str:
    """Return the name of the file that an image is, or was opened from, or `image`."""
    path = image if isinstance(image, str | Path) else getattr(image, "filename", "")
    return Path(path or "image").name


@contextlib.contextmanager
def _memory_errors_in_one_line() -> Iterator[None]:
    """Turn an error about memory into one line with the way out."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        # torch has a class of its own for a GPU's memory only.
        is_known = isinstance(error, MemoryError | torch.cuda.OutOfMemoryError)
        if not is_known and "can't allocate memory" not in str(error):
            raise
        raise UserError("memory does not suffice: choose a smaller --batch-size, or a smaller --tile") from None
