"""What an experiment says about how its network counts, and the old names of settings."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from lcfcn.decoding import Decoding
from lcfcn.errors import UserError, suggestion

OLD_NAMES = {
    "warm_up": "heatmap_only",
    "bumps": "heatmap_weight",
    "average": "ema_decay",
    "mirror": "flip_test",
    "passes": "repeats",
    "reading": "decoding",
}
"""The settings that had other names before version 0.2. Old weights and experiments are read through this table."""

TRANSFORMS = {"rgb_normalize": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)), "none": ((0, 0, 0), (1, 1, 1))}
"""Mean and standard deviation of the normalisation, by name: ImageNet's, or none."""

MOST_CLASSES = 1000
"""The greatest possible `model.n_classes`."""
DECODING_RANGES = {"threshold": (-1e6, 1e6), "depth": (0, 1e6), "smoothing": (0, 1e3)}
"""The least and the greatest value of each field of a decoding, in logits and, for `smoothing`, in pixels."""


@dataclass(frozen=True)
class CountingSettings:
    """How a trained network counts.

    Attributes
    ----------
    base : str
        The network's name in `lcfcn.networks.registry`.
    n_classes : int
        K, the kinds of objects.
    output_stride : int or None
        See `lcfcn.networks.registry.build_network`.
    transform : str
        The normalisation of the images, a name in `TRANSFORMS`.
    zoom : float
        The network gets the images at so many times their size.
    flip_test : bool
        Whether the network also looks at the mirror image.
    decoding : Decoding
        How objects are taken from the map.
    """

    base: str
    n_classes: int
    output_stride: int | None = None
    transform: str = "rgb_normalize"
    zoom: float = 1
    flip_test: bool = False
    decoding: Decoding = Decoding()

    @classmethod
    def from_exp_dict(cls, exp_dict: object, path: Path) -> "CountingSettings":
        """Read them from the experiment in a checkpoint; raise `UserError` if it is not well formed."""
        if not isinstance(exp_dict, dict):
            raise UserError(
                f"{path} does not say which network it holds (no 'exp_dict'): pass a checkpoint that trainval.py wrote"
            )
        exp_dict = with_new_names(exp_dict)
        model, dataset = (_section(exp_dict, name, path) for name in ("model", "dataset"))
        check_model(model)
        check_transform(dataset.get("transform"), f"{path} has the unknown dataset.transform")
        check_zoom(dataset.get("zoom", 1))
        decoding, flip_test = exp_dict.get("decoding", {}), exp_dict.get("flip_test", False)
        check_decoding(decoding)
        check_flip_test(flip_test)
        return cls(
            model["base"],
            model["n_classes"],
            model.get("output_stride"),
            dataset["transform"],
            dataset.get("zoom", 1),
            flip_test,
            Decoding(**decoding),
        )


def with_new_names(exp_dict: Mapping) -> dict:
    """Return an experiment with each setting under today's name."""
    return {OLD_NAMES.get(key, key): value for key, value in exp_dict.items()}


def _section(exp_dict: dict, name: str, path: Path) -> dict:
    section = exp_dict.get(name)
    if not isinstance(section, dict):
        raise UserError(
            f"{path} holds an experiment without {name}; expected a dict: pass a checkpoint that trainval.py wrote"
        )
    return section


def check_model(model: dict) -> None:
    """Raise `UserError` unless the entries of `model` have possible values."""
    n_classes = model.get("n_classes")
    if not is_whole(n_classes, at_least=1, at_most=MOST_CLASSES):
        raise UserError(f"model.n_classes is {n_classes!r}; expected a whole number from 1 to {MOST_CLASSES}")
    for key, types, expected in (
        ("base", (str,), "a name"),
        ("pretrained", (str, type(None)), "'imagenet', a path or None"),
        ("freeze_batch_norm", (bool, type(None)), "True, False or None"),
    ):
        if not isinstance(model.get(key), types) and (key in model or key == "base"):
            raise UserError(f"model.{key} is {model.get(key)!r}; expected {expected}")


def check_transform(name: object, what: str = "dataset.transform") -> None:
    """Raise `UserError` unless there is a normalisation of that name."""
    if not isinstance(name, str) or name not in TRANSFORMS:
        raise UserError(f"{what} {name!r}: choose one of {', '.join(TRANSFORMS)}")


def check_zoom(zoom: object) -> None:
    """Raise `UserError` unless images can be brought to so many times their size."""
    if not is_number(zoom) or not 1 / 8 <= zoom <= 8:
        raise UserError(f"dataset.zoom is {zoom!r}; expected a number from 0.125 to 8, 1 for the images as they are")


def check_decoding(decoding: object) -> None:
    """Raise `UserError` unless the entries of `decoding` are fields of `Decoding` with possible values."""
    if not isinstance(decoding, dict):
        raise UserError(f"decoding is {decoding!r}; expected a dict with any of {', '.join(Decoding._fields)}")
    for key, value in decoding.items():
        if key not in Decoding._fields:
            known = ", ".join(Decoding._fields)
            raise UserError(f"decoding has the unknown {key}{suggestion(key, Decoding._fields)}; known are {known}")
        least, most = DECODING_RANGES[key]
        if not is_number(value) or not least <= value <= most:
            raise UserError(
                f"decoding.{key} is {value!r}; expected a number from {least:g} to {most:g}, or leave it out"
            )


def check_flip_test(flip_test: object) -> None:
    """Raise `UserError` unless it is True or False."""
    if not isinstance(flip_test, bool):
        raise UserError(f"flip_test is {flip_test!r}; expected True or False")


def is_number(value: object) -> bool:
    """Whether a value from a configuration is a number, and not True or False."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def is_whole(value: object, at_least: int, at_most: float = math.inf) -> bool:
    """Whether a value from a configuration is a whole number between these."""
    return isinstance(value, int) and not isinstance(value, bool) and at_least <= value <= at_most
