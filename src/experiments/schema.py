"""The settings of an experiment: their names, defaults and checks, and how `--set` replaces them."""

import ast
import copy
import math
from collections.abc import Iterable
from types import NoneType

from lcfcn.counting.settings import (
    OLD_NAMES,
    check_decoding,
    check_flip_test,
    check_model,
    is_number,
    is_whole,
    with_new_names,
)
from lcfcn.decoding import Decoding
from lcfcn.errors import UserError, suggestion
from lcfcn.terms import TERMS

REQUIRED = ("dataset", "model", "batch_size", "max_epoch", "dataset_size", "optimizer", "lr", "seed")
DEFAULTS = {
    "betas": None,
    "weight_decay": None,
    "momentum": None,
    "schedule": None,
    "loss": {},
    "decoding": {},
    "repeats": 1,
    "patience": None,
    "heatmap_only": 0,
    "heatmap_weight": 0,
    "ema_decay": 0,
    "flip_test": False,
}
"""The optional settings. `loss` and `decoding` take the defaults of `LCFCNLoss` and `Decoding` for the rest."""
AUTO = "auto"
"""The value of a setting that `src.experiments.recipe` chooses from the training images."""
VALIDATION = "validation"
"""The value of `decoding` that lets the validation images choose it."""
MOST, MOST_REPEATS, MOST_LR, MOST_NUMBER = 1_000_000, 10_000, 1000, 1e15
"""The greatest possible sizes of batches and trainings, learning rate, and any other number."""
BATCH = "batch"
"""The value of `loss.divide_by_points` that divides losses by the mean number of clicks of the whole batch."""
NUMBERS = {
    "heatmap_only": (1, "the share of the training's steps, from 0 to 1"),
    "heatmap_weight": (math.inf, "the weight of that loss, a number from 0"),
    "ema_decay": (0.99999, "how much of the average of the weights a step keeps, from 0 (no average) to 0.99999"),
}
"""Optional numbers from 0: their greatest possible value, and what an error message expects."""
SECTIONS = {
    "dataset": ("name", "transform"),
    "model": ("name", "base", "n_classes", "pretrained"),
    "dataset_size": ("train", "val"),
}
"""The sections that an experiment must have, and the entries that they must have."""
MODEL_OPTIONS = ("freeze_batch_norm", "output_stride")
LOSS_OPTIONS = ("spare_points", "divide_by_points", "term_weights")
OPTIONAL_SECTIONS = {"loss": LOSS_OPTIONS, "decoding": Decoding._fields}
"""The optional sections, and the entries that they may have."""


def with_defaults(exp_dict: dict) -> dict:
    """Return an experiment with every optional setting, and with old names replaced.

    This is for use only. The experiment's hash is that of the dict as it was written.
    """
    return {**copy.deepcopy(DEFAULTS), **with_new_names(exp_dict)}


def check_exp_dict(exp_dict: dict) -> None:
    """Raise `UserError` if an experiment lacks a setting, or has an unknown one or an impossible value."""
    _check_plain("the experiment", exp_dict)
    twice = [f"{old} and {new}" for old, new in OLD_NAMES.items() if old in exp_dict and new in exp_dict]
    if twice:
        raise UserError(f"the experiment has both {twice[0]}, which are one setting: leave the first one out")
    exp_dict = with_new_names(exp_dict)
    _check_keys("the experiment", exp_dict, REQUIRED, DEFAULTS)
    for section, required in SECTIONS.items():
        if not isinstance(exp_dict[section], dict):
            raise UserError(f"{section} is {exp_dict[section]!r}; expected a dict with {', '.join(required)}")
        optional = {"dataset": None, "model": MODEL_OPTIONS, "dataset_size": ()}[section]
        _check_keys(section, exp_dict[section], required, optional)
    exp_dict = with_defaults(exp_dict)
    if exp_dict["model"]["name"] != "lcfcn":
        raise UserError(f"model.name is {exp_dict['model']['name']!r}; expected 'lcfcn', the only model")
    check_model(exp_dict["model"])
    _check_optional_sections(exp_dict)
    _check_numbers(exp_dict)
    check_flip_test(exp_dict["flip_test"])
    _check_sizes("the experiment", exp_dict)


def _check_optional_sections(exp_dict: dict) -> None:
    for section, options in OPTIONAL_SECTIONS.items():
        found = exp_dict[section]
        if section == "decoding" and found == VALIDATION:
            continue
        if not isinstance(found, dict):
            others = f", or {VALIDATION!r}" if section == "decoding" else ""
            raise UserError(f"{section} is {found!r}; expected a dict with any of {', '.join(options)}{others}")
        _check_keys(section, found, (), options)
        (check_decoding if section == "decoding" else _check_loss)(found)


def _check_numbers(exp_dict: dict) -> None:
    for key in ("batch_size", "max_epoch", "repeats", "patience"):
        value, other = exp_dict[key], {"repeats": AUTO, "patience": None}.get(key, 1)
        most = MOST_REPEATS if key == "repeats" else MOST
        if value != other and not is_whole(value, 1, most):
            raise UserError(f"{key} is {value!r}; expected a whole number from 1 to {most}")
    for key, (most, expected) in NUMBERS.items():
        value = exp_dict[key]
        if not is_number(value) or not 0 <= value <= most or value == math.inf:
            raise UserError(f"{key} is {value!r}; expected {expected}")
    if not isinstance(exp_dict["seed"], int) or not 0 <= exp_dict["seed"] < 2**32:
        raise UserError(f"seed is {exp_dict['seed']!r}; expected a whole number from 0 to {2**32 - 1}")
    if not is_number(exp_dict["lr"]) or not 0 < exp_dict["lr"] <= MOST_LR:
        raise UserError(f"lr is {exp_dict['lr']!r}; expected a number above 0, such as 1e-4, and at most {MOST_LR}")


def _check_plain(where: str, value: object) -> None:
    """Raise `UserError` for what exp_dict.json or Haven's hash cannot hold. A checkpoint may hold a tensor."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if not isinstance(key, str) or "." in key:
                raise UserError(f"{where} has the key {str(key)[:80]!r}; expected a name without a dot: rename it")
            _check_plain(where, key)
            _check_plain(key, inner)
    elif isinstance(value, list):
        for inner in value:
            _check_plain(where, inner)
    elif isinstance(value, str):
        if any("\ud800" <= character <= "\udfff" for character in value):
            raise UserError(
                f"{where} holds the text {value[:80]!a}, which is no Unicode; expected UTF-8: rename what it names"
            )
    elif not isinstance(value, int | float | NoneType):
        raise UserError(f"{where} holds a {type(value).__name__}; expected texts, numbers, lists and dicts: remove it")


def _check_sizes(where: str, value: object) -> None:
    """Raise `UserError` for numbers that no setting needs, and that computations overflow with."""
    if isinstance(value, dict | list):
        for key, inner in value.items() if isinstance(value, dict) else ((where, inner) for inner in value):
            _check_sizes(key, inner)
    elif is_number(value) and not -MOST_NUMBER <= value <= MOST_NUMBER:
        raise UserError(f"{where} is {str(value)[:40]}; expected a number from {-MOST_NUMBER:g} to {MOST_NUMBER:g}")


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


def _check_keys(where: str, found: dict, required: tuple[str, ...], optional: Iterable[str] | None) -> None:
    missing = [key for key in required if key not in found]
    if missing:
        raise UserError(f"{where} has no {', '.join(missing)}; expected {', '.join(required)}: see exp_configs.py")
    if optional is None:
        return
    known = (*required, *optional)
    unknown = [key for key in found if key not in known]
    if unknown:
        near = suggestion(unknown[0], known)
        raise UserError(f"{where} has the unknown {', '.join(unknown)}{near}; known are {', '.join(known)}")


def override(exp_dict: dict, assignments: list[str]) -> dict:
    """Return a copy of an experiment with entries replaced by `KEY=VALUE` strings.

    Keys are dotted, and values are Python literals. A value that is not a literal is a string, so paths need no quotes.
    A tuple becomes a list. A setting that an experiment has under its old name keeps that name, so that the hash stays
    that of old runs.

    Raises
    ------
    UserError
        If a key is unknown.
    """
    exp_dict = copy.deepcopy(exp_dict)
    for assignment in assignments:
        key, equals, text = assignment.partition("=")
        if not equals:
            raise UserError(f"--set {assignment} has no '='; expected KEY=VALUE, such as --set model.pretrained=None")
        first, *rest = key.split(".")
        *sections, last = [_as_written(first, exp_dict), *rest]
        names = [OLD_NAMES.get(name, name) for name in sections]
        target = exp_dict
        for section, name in zip(sections, names, strict=True):
            if name in OPTIONAL_SECTIONS and target is exp_dict:
                target[section] = target.get(section, {}) if target.get(section) != VALIDATION else {}
            target = target.get(section)
            if not isinstance(target, dict):
                raise _unknown_key(key, exp_dict)
        optional = {"": DEFAULTS, "model": MODEL_OPTIONS, **OPTIONAL_SECTIONS}.get(".".join(names), ())
        # The data sets know their own options, and refuse others.
        if last not in target and last not in optional and names != ["dataset"]:
            raise _unknown_key(key, exp_dict)
        target[last] = _literal(text)
    return exp_dict


def _as_written(name: str, exp_dict: dict) -> str:
    """Return the name under which an experiment has a setting: its old one if it was written so, else today's."""
    today = OLD_NAMES.get(name, name)
    return next((old for old, new in OLD_NAMES.items() if new == today and old in exp_dict), today)


def _literal(text: str) -> object:
    try:
        return _with_lists(ast.literal_eval(text))
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return text


def _with_lists(value: object) -> object:
    """Return a value with a list for each tuple, as exp_dict.json has it."""
    if isinstance(value, dict):
        return {key: _with_lists(inner) for key, inner in value.items()}
    return [_with_lists(inner) for inner in value] if isinstance(value, list | tuple) else value


def _unknown_key(key: str, exp_dict: dict) -> UserError:
    """Return the error that names the known keys, the nearest one first."""
    nested = {f"{section}.{inner}" for section, value in exp_dict.items() if isinstance(value, dict) for inner in value}
    options = {f"{section}.{option}" for section, names in OPTIONAL_SECTIONS.items() for option in names}
    options |= {f"model.{option}" for option in MODEL_OPTIONS}
    plain = {name for name, value in exp_dict.items() if not isinstance(value, dict)}
    known = sorted(nested | options | plain | set(DEFAULTS) - set(OPTIONAL_SECTIONS))
    return UserError(f"--set {key} is unknown{suggestion(key, known)}; choose from {', '.join(known)}")
