"""Find experiments by group or id, and make their folders as Haven does."""

import contextlib
import itertools
import os
from collections.abc import Iterator
from pathlib import Path

from lcfcn.errors import UserError, suggestion
from lcfcn.files import remove_leftovers
from src.experiments import lock
from src.experiments.haven import haven_utils, haven_wizard
from src.experiments.schema import check_exp_dict, override

BACKUPS = "deleted"
"""Haven's name of the folder, beside the experiments, that keeps what `-r 1` puts aside."""
LONGEST = 128
"""No path below an experiment's folder has more bytes."""


def find_experiments(
    groups: dict[str, list[dict]],
    group_names: list[str] | None,
    exp_id: str | None,
    savedir_base: Path,
    assignments: list[str],
) -> list[dict]:
    """Return the experiments that `-e`, `-ei` and `--set` name.

    Raises
    ------
    UserError
        If a group or the id is unknown, or an experiment has a wrong setting.
    """
    if not group_names and exp_id is None:
        raise UserError(
            f"there is no experiment to run: give -e GROUP, one of {', '.join(sorted(groups))}, or -ei EXP_ID"
        )
    if not group_names:
        if assignments:
            raise UserError("--set with -ei alone would change the experiment's id: give its group with -e too")
        return [_read_experiment(savedir_base, exp_id)]
    unknown = [name for name in group_names if name not in groups]
    if unknown:
        near = suggestion(unknown[0], groups)
        raise UserError(f"-e {' '.join(unknown)} is unknown{near}; choose from {', '.join(sorted(groups))}")
    by_id = {}
    for exp_dict in (e for name in group_names for e in groups[name]):
        exp_dict = override(exp_dict, assignments)
        check_exp_dict(exp_dict)
        by_id[experiment_id(exp_dict)] = exp_dict  # an experiment in two groups runs once
    if exp_id is None:
        return list(by_id.values())
    if exp_id not in by_id:
        raise UserError(f"-ei {exp_id} is not in {' '.join(group_names)}: choose from {', '.join(by_id)}")
    return [by_id[exp_id]]


def _read_experiment(savedir_base: Path, exp_id: str) -> dict:
    path = savedir_base / exp_id / "exp_dict.json"
    try:
        exp_dict = haven_utils.load_json(path)
    except OSError:
        raise UserError(f"-ei {exp_id} is unknown: there is no {path}; check -sb, or give -e GROUP") from None
    except ValueError as error:
        raise UserError(f"{path} is damaged ({error}): give -e GROUP, which writes it again") from None
    if not isinstance(exp_dict, dict) or experiment_id(exp_dict) != exp_id:
        raise UserError(f"{path} was changed: its hash is no longer {exp_id}; give -e GROUP, which writes it again")
    check_exp_dict(exp_dict)
    return exp_dict


def check_writable(savedir_base: Path) -> None:
    """Raise `UserError` if nothing can be written under a folder that may not exist yet, or its path is too long."""
    limit = _longest_path() - LONGEST - len("/") - len(experiment_id({}))
    length = len(os.fsencode(savedir_base))
    if length > limit:
        raise UserError(
            f"-sb is a path of {length} bytes; expected {limit} at the most, so that all files of an experiment fit "
            "below it: choose a shorter one"
        )
    folder = os.path.abspath(savedir_base)
    while not os.path.lexists(folder):
        folder = os.path.dirname(folder)
    if not os.path.isdir(folder) or not os.access(folder, os.W_OK | os.X_OK):
        raise UserError(
            f"-sb {savedir_base} cannot be written: {folder} is not a folder that you may write to; choose another"
        )


def _longest_path() -> int:
    """Return how many bytes a path may have."""
    try:
        return os.pathconf("/", "PC_PATH_MAX") - 1
    except (AttributeError, OSError, ValueError):  # Windows
        return 259


def check_free(exp_list: list[dict], savedir_base: Path) -> None:
    """Raise `UserError` if another run works on one of the experiments."""
    for exp_dict in exp_list:
        lock.check_free(savedir_base / experiment_id(exp_dict))


@contextlib.contextmanager
def held_experiment(exp_dict: dict, savedir_base: Path, *, reset: bool) -> Iterator[Path]:
    """Open an experiment as `open_experiment` does, and let no other run into its folder meanwhile."""
    savedir = open_experiment(exp_dict, savedir_base, reset=reset)
    with lock.locked(savedir) as is_held:
        if is_held:
            remove_leftovers(savedir)
            remove_leftovers(savedir / "images")
        yield savedir


def open_experiment(exp_dict: dict, savedir_base: Path, reset: bool) -> Path:
    """Make the experiment's folder as Haven does. With `reset`, first move an earlier one away: see `back_up`.

    Raises
    ------
    UserError
        If that fails, or another run works on the experiment.
    """
    savedir = savedir_base / experiment_id(exp_dict)
    try:
        if reset and os.path.lexists(savedir):
            print(f"The earlier run is kept in {back_up(savedir)}", flush=True)
        return Path(haven_wizard.create_experiment(exp_dict, str(savedir_base), reset=False, verbose=False))
    except OSError as error:
        raise UserError(f"{savedir} cannot be made ({error.strerror or error}): choose another -sb") from None


def back_up(savedir: Path) -> Path:
    """Move an experiment's folder to `deleted/`, and return where it is now.

    It keeps its name. A backup that is there already stays, and the next one gets the number 2, and so on.
    """
    folder = savedir.parent / BACKUPS
    folder.mkdir(exist_ok=True)
    names = itertools.chain([savedir.name], (f"{savedir.name}_{number}" for number in itertools.count(2)))
    with lock.locked(savedir) if savedir.is_dir() else contextlib.nullcontext():
        target = next(folder / name for name in names if not os.path.lexists(folder / name))
        return savedir.rename(target)


def experiment_id(exp_dict: dict) -> str:
    """Return Haven's hash of an experiment as it was written. It is the name of its folder."""
    try:
        return haven_utils.hash_dict(exp_dict)
    except (TypeError, ValueError) as error:  # such as a list of dicts and others
        raise UserError(f"the experiment cannot get an id ({error}): write it with plainer values") from None
