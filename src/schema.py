"""The schema of experiments: what each entry may be, and how `--set` replaces it."""

import ast
import copy
import math
from types import NoneType

from lcfcn.reading import Reading
from lcfcn.targets import TERMS
from src.errors import UserError

REQUIRED = ("dataset", "model", "batch_size", "max_epoch", "dataset_size", "optimizer", "lr", "seed")
OPTIONAL = (
    "betas",
    "weight_decay",
    "momentum",
    "schedule",
    "loss",
    "reading",
    "passes",
    "patience",
    "warm_up",
    "bumps",
    "average",
    "mirror",
)
AUTO = "auto"
"""Where an experiment leaves an entry to what `src.recipe` finds in the training images."""
LEFT_OUT = {"passes": AUTO, "patience": None}
"""Whole numbers that an experiment may leave to the data, or do without."""
NUMBERS = {
    "warm_up": (1, "the share of the training's steps, from 0 to 1"),
    "bumps": (math.inf, "the weight of that loss, a number from 0"),
    "average": (0.99999, "how much of the average of the weights a step keeps, from 0, none, to 0.99999"),
}
"""Optional numbers from 0: the greatest, and what is told of others."""
SECTIONS = {
    "dataset": ("name", "transform"),
    "model": ("name", "base", "n_classes", "pretrained"),
    "dataset_size": ("train", "val"),
}
MODEL_OPTIONS = ("freeze_batch_norm", "output_stride")
LOSS_OPTIONS = ("spare_points", "divide_by_points", "term_weights")
BATCH = "batch"
"""Where an experiment's losses are divided by the mean number of clicks of the whole batch."""
VALIDATION = "validation"
"""Where an experiment leaves the reading to the validation data."""
ADDED = {"loss": LOSS_OPTIONS, "reading": Reading._fields}
"""The sections that an experiment need not have, and what they may hold."""


def check_exp_dict(exp_dict: dict) -> None:
    """Raise `UserError` if an experiment misses an entry, or has one that nothing reads or whose value cannot be."""
    _check_plain(exp_dict)
    _check_keys("the experiment", exp_dict, REQUIRED, OPTIONAL)
    for section, required in SECTIONS.items():
        if not isinstance(exp_dict[section], dict):
            raise UserError(f"{section} is {exp_dict[section]!r}; expected a dict with {', '.join(required)}")
        optional = {"dataset": None, "model": MODEL_OPTIONS, "dataset_size": ()}[section]
        _check_keys(section, exp_dict[section], required, optional)
    if exp_dict["model"]["name"] != "lcfcn":
        raise UserError(f"model.name is {exp_dict['model']['name']!r}; expected 'lcfcn', the only one there is")
    integers = {key: exp_dict[key] for key in ("batch_size", "max_epoch")}
    integers |= {key: exp_dict[key] for key, other in LEFT_OUT.items() if exp_dict.get(key, other) != other}
    integers["model.n_classes"] = exp_dict["model"]["n_classes"]
    for key, value in integers.items():
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise UserError(f"{key} is {value!r}; expected a whole number of 1 or more")
    _check_model(exp_dict["model"])
    for section, options in ADDED.items():
        found = _section(exp_dict, section)
        if not isinstance(found, dict):
            others = f", or {VALIDATION!r}" if section == "reading" else ""
            raise UserError(f"{section} is {found!r}; expected a dict with any of {', '.join(options)}{others}")
        _check_keys(section, found, (), options)
    _check_loss(exp_dict.get("loss", {}))
    _check_reading(_section(exp_dict, "reading"))
    for key, (most, expected) in NUMBERS.items():
        value = exp_dict.get(key, 0)
        if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value <= most or value == math.inf:
            raise UserError(f"{key} is {value!r}; expected {expected}")
    if not isinstance(exp_dict.get("mirror", False), bool):
        raise UserError(f"mirror is {exp_dict['mirror']!r}; expected True or False")
    if not isinstance(exp_dict["seed"], int) or not 0 <= exp_dict["seed"] < 2**32:
        raise UserError(f"seed is {exp_dict['seed']!r}; expected a whole number from 0 to {2**32 - 1}")
    if not isinstance(exp_dict["lr"], int | float) or not 0 < exp_dict["lr"] < math.inf:
        raise UserError(f"lr is {exp_dict['lr']!r}; expected a number above 0, such as 1e-4")


def _section(exp_dict: dict, section: str) -> object:
    """An optional section's entries, none if it is left out or to be found on the validation data."""
    found = exp_dict.get(section, {})
    return {} if section == "reading" and found == VALIDATION else found


def _check_plain(value: object) -> None:
    """A checkpoint's experiment may hold what exp_dict.json can't, such as a tensor."""
    if isinstance(value, dict | list | tuple):
        for inner in (*value.keys(), *value.values()) if isinstance(value, dict) else value:
            _check_plain(inner)
    elif not isinstance(value, str | int | float | NoneType):
        raise UserError(f"the experiment holds a {type(value).__name__}; expected texts, numbers, lists and dicts")


def _check_model(model: dict) -> None:
    for key, types, expected in (
        ("base", (str,), "a name"),
        ("pretrained", (str, NoneType), "'imagenet', a path or None"),
        ("freeze_batch_norm", (bool, NoneType), "True, False or None"),
    ):
        if not isinstance(model.get(key), types) and (key in model or key == "base"):
            raise UserError(f"model.{key} is {model[key]!r}; expected {expected}")


def _check_loss(loss: dict) -> None:
    for key, others in (("spare_points", ()), ("divide_by_points", (BATCH,))):
        if not isinstance(loss.get(key, False), bool) and loss[key] not in others:
            expected = " or ".join(["True, False" if others else "True or False", *map(repr, others)])
            raise UserError(f"loss.{key} is {loss[key]!r}; expected {expected}")
    weights = loss.get("term_weights", {})
    if not isinstance(weights, dict) or not all(
        key in TERMS and isinstance(value, int | float) and 0 <= value < math.inf for key, value in weights.items()
    ):
        raise UserError(f"loss.term_weights is {weights!r}; expected a dict of {', '.join(TERMS)} to numbers from 0")


def _check_reading(reading: dict) -> None:
    for key, value in reading.items():
        least = -math.inf if key == "threshold" else 0
        if not isinstance(value, int | float) or isinstance(value, bool) or not least <= value < math.inf:
            expected = "a number" if key == "threshold" else "a number from 0"
            raise UserError(f"reading.{key} is {value!r}; expected {expected}, or leave it out")


def _check_keys(where: str, found: dict, required: tuple[str, ...], optional: tuple[str, ...] | None) -> None:
    missing = [key for key in required if key not in found]
    if missing:
        raise UserError(f"{where} has no {', '.join(missing)}; expected {', '.join(required)}: see exp_configs.py")
    unknown = [] if optional is None else [key for key in found if key not in (*required, *optional)]
    if unknown:
        raise UserError(f"{where} has the unknown {', '.join(unknown)}; known are {', '.join((*required, *optional))}")


def override(exp_dict: dict, assignments: list[str]) -> dict:
    """A copy of an experiment with entries replaced by `KEY=VALUE` strings, keys dotted, values Python literals.

    A value that is no literal is a string, so paths need no quotes. Keys that the experiment does not have and
    that are no optional ones are refused.
    """
    exp_dict = copy.deepcopy(exp_dict)
    for assignment in assignments:
        key, equals, text = assignment.partition("=")
        if not equals:
            raise UserError(f"--set {assignment} has no '='; expected KEY=VALUE, such as --set model.pretrained=None")
        *sections, last = key.split(".")
        target = exp_dict
        for section in sections:
            if section in ADDED and target is exp_dict:
                target[section] = _section(exp_dict, section)
            target = target.get(section)
            if not isinstance(target, dict):
                raise UserError(f"--set {key} is unknown: {_choices(exp_dict)}")
        optional = {"": OPTIONAL, "model": MODEL_OPTIONS, **ADDED}.get(".".join(sections), ())
        # The readers know what a data set takes and refuse the rest.
        if last not in target and last not in optional and sections != ["dataset"]:
            raise UserError(f"--set {key} is unknown: {_choices(exp_dict)}")
        target[last] = _literal(text)
    return exp_dict


def _literal(text: str) -> object:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return text


def _choices(exp_dict: dict) -> str:
    keys = []
    for key, value in exp_dict.items():
        keys += [f"{key}.{inner}" for inner in value] if isinstance(value, dict) else [key]
    return f"choose one of {', '.join(sorted(keys))}"
