"""What haven-ai 0.7.3 needs to run today: one function a module of Haven, each repair with its reason.

Each function is a context in which its module is executed: what stands before `yield` is there while the module
loads, what stands after it changes the module that has loaded.
"""

import functools
import io
import json
import os
import pickle
import pprint
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime
from importlib.metadata import distribution
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from pandas import DataFrame

Repair = Callable[[ModuleType], AbstractContextManager[None]]


class ToldError(ValueError):
    """A mistake, or something that this machine lacks, that a notebook shows as one line without a traceback."""

    def _render_traceback_(self) -> list[str]:
        """What IPython prints instead of a traceback."""
        return [str(self)]


@contextmanager
def _version(haven: ModuleType) -> Iterator[None]:
    # It reads its own version through pkg_resources, which warns since setuptools 80 and is gone after it.
    stand_in = ModuleType("pkg_resources")
    stand_in.get_distribution = distribution
    there = sys.modules.setdefault("pkg_resources", stand_in)
    try:
        yield
    finally:
        if there is stand_in:
            del sys.modules["pkg_resources"]


@contextmanager
def _utils(utils: ModuleType) -> Iterator[None]:
    yield
    # They ran the code that a file of scores or weights may hold. All of Haven's modules find them here.
    utils.load_pkl, utils.torch_load = _load_plain, _load_weights
    utils.filter_exp_list = _pairs_too(utils.filter_exp_list, utils.is_subset)
    utils.pretty_print_df = _texts_as_they_are
    # It put the whole process into the time zone of Montreal.
    utils.time_to_montreal = lambda path: f"{datetime.fromtimestamp(os.path.getctime(path)):%Y-%m-%d %H:%M}"


class _PlainUnpickler(pickle.Unpickler):
    """Reads numbers, texts, lists and dicts, and refuses what names a class or a function: reading it would run it."""

    def find_class(self, module_name: str, global_name: str) -> NoReturn:
        raise ToldError(f"{module_name}.{global_name}")


def _load_plain(path: str) -> object:
    """The plain values of a file, None if there is no file; ToldError if it is damaged or names code."""
    try:
        return _PlainUnpickler(io.BytesIO(Path(path).read_bytes())).load()
    except FileNotFoundError:
        return None
    except ToldError as error:
        raise ToldError(
            f"{path} names {str(error)[:80]!r}, which reading it would run; it was not read: remove it, or restore it "
            "from where you trust"
        ) from None
    except Exception as error:  # unpickling raises a different type for each kind of damage
        raise ToldError(f"{path} is damaged ({error}): remove it, and its run writes it again") from None


def _load_weights(path: str, map_location: Any = None) -> object:  # noqa: ANN401
    """The weights of a file; ToldError if it cannot be read without running what it holds."""
    import torch  # the dashboard itself reads no weights

    try:
        return torch.load(path, map_location=map_location, weights_only=True)
    except Exception as error:  # torch raises a different type for each kind of damage
        raise ToldError(f"{path} cannot be read ({str(error).splitlines()[0][:120]}): restore it") from None


@contextmanager
def _checkpoints(chk: ModuleType) -> Iterator[None]:
    yield
    chk.load_checkpoint = lambda exp_dict, savedir_base, fname="model_best.pth": _load_weights(
        os.path.join(savedir_base, chk.hu.hash_dict(exp_dict), fname)
    )


def _texts_as_they_are(table: "DataFrame") -> "DataFrame":
    # It put them in quotation marks, in tables and in LaTeX.
    for column in table.select_dtypes("object"):
        table[column] = [value if isinstance(value, str) else pprint.pformat(value) for value in table[column]]
    return table


def _pairs_too(original: Callable, is_subset: Callable[[dict, dict], bool]) -> Callable:
    # A tuple in a filter was (filter, style) only; the dashboard's cell has (name, value).
    @functools.wraps(original)
    def filter_exp_list(exp_list: list[dict], filterby_list: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
        groups = _pairs(filterby_list)
        if groups is None:
            return original(exp_list, filterby_list, *args, **kwargs)
        chosen = [e for e in exp_list if any(all(is_subset(_nested(*pair), e) for pair in group) for group in groups)]
        return (chosen, [{}] * len(chosen)) if kwargs.get("return_style_list") else chosen

    return filter_exp_list


def _pairs(filterby_list: object) -> list[list[tuple[str, Any]]] | None:
    """Lists of (name, value): AND in a list, OR between them. None if it is Haven's own form."""
    if not isinstance(filterby_list, list):
        return None
    groups = filterby_list if all(isinstance(group, list) for group in filterby_list) else [filterby_list]
    pairs = [isinstance(p, tuple) and len(p) == 2 and isinstance(p[0], str) for group in groups for p in group]
    if any(pairs) and not all(pairs):
        raise ToldError(
            f"filterby_list is {filterby_list}; expected pairs alone, [('dataset.name', 'trancos')] for AND and a list "
            "of such lists for OR, or Haven's dicts alone"
        )
    return groups if any(pairs) else None


def _nested(name: str, value: object) -> dict:
    """{"a": {"b": value}} from "a.b"."""
    for key in reversed(name.split(".")):
        value = {key: value}
    return value


@contextmanager
def _share(share: ModuleType) -> Iterator[None]:
    # With the archive open and empty, it asked hu.create_jupyter for a notebook, which has gone; and it would have
    # deleted a results.ipynb of the user's.
    yield
    share.zipdir = functools.partial(share.zipdir, add_jupyter=False)


@contextmanager
def _plots(plots_line: ModuleType) -> Iterator[None]:
    # np.NaN is gone in numpy 2. It stands for a metric that no row has: as a list of one it can also be a bar.
    yield
    numpy, load = plots_line.np, plots_line.hu.load_pkl

    def load_or_print(path: str) -> object:
        # It left out a curve whose scores cannot be read, without a word.
        try:
            return load(path)
        except ToldError as error:
            print(error)
            raise

    plots_line.hu = SimpleNamespace(**{**vars(plots_line.hu), "load_pkl": load_or_print})
    plots_line.np = SimpleNamespace(**{**vars(numpy), "NaN": numpy.array([numpy.nan])})


@contextmanager
def _images(images_fig: ModuleType) -> Iterator[None]:
    # It wrote the last epoch above the pictures of the best.
    yield
    load = images_fig.hu.load_pkl

    def load_best(path: str) -> list[dict]:
        best = Path(path).with_name("score_list_best.pkl")
        return load(best if best.exists() else path)

    images_fig.hu = SimpleNamespace(**{**vars(images_fig.hu), "load_pkl": load_best})


@contextmanager
def _scores(tables_scores: ModuleType) -> Iterator[None]:
    yield
    original, utils = tables_scores.get_score_df, tables_scores.hu

    @functools.wraps(original)
    def get_score_df(exp_list: list[dict], savedir_base: str, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
        flat = {utils.hash_dict(e): utils.flatten_column(e, flatten_list=True) for e in exp_list}
        # A score replaced the hyper-parameter of the same name, such as lr.
        given = {name for e in flat.values() for name in e}
        scored = dict.fromkeys(
            key for exp_id in flat for row in score_list(Path(savedir_base, exp_id))[-1:] for key in row
        )
        kwargs["score_columns"] = kwargs.get("score_columns") or [key for key in scored if key not in given]
        across = kwargs.pop("avg_across", None)
        if across is None:
            return original(exp_list, savedir_base, *args, **kwargs)
        kwargs["columns"] = [name for name in kwargs.get("columns") or sorted(given) if name not in (across, "exp_id")]
        kwargs |= {"show_exp_ids": True, "show_meta": False, "show_max_min": False}
        table = original(exp_list, savedir_base, *args, **kwargs)
        alike = {exp_id: str({k: v for k, v in e.items() if k != across}) for exp_id, e in flat.items()}
        return _averaged(table, table.pop("exp_id").map(alike), kwargs["columns"])

    tables_scores.get_score_df = get_score_df


def _averaged(table: "DataFrame", group: "DataFrame", columns: list[str]) -> "DataFrame":
    # It averaged texts too and joined one level of columns with two: pandas refuses both since version 2.
    runs = table.groupby(group.values, sort=False)
    means = runs[[c for c in table.select_dtypes("number") if c not in columns]].agg(["mean", "std"])
    means.columns = [f"{metric} ({what})" for metric, what in means.columns]
    return runs[columns].first().assign(runs=runs.size()).join(means).reset_index(drop=True)


def score_list(savedir: Path) -> list[dict]:
    """The score rows of an experiment, one an epoch; none if it has no scores yet."""
    path = savedir / "score_list.pkl"
    rows = _load_plain(path) or []
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise ToldError(f"{path} is damaged; expected a list of dicts: remove it, and its run writes it again")
    return rows


@contextmanager
def _results(results: ModuleType) -> Iterator[None]:
    yield
    manager = results.ResultManager
    manager.__init__ = _told_if_empty(manager.__init__)
    manager.get_job_summary = _job_summary


def _told_if_empty(original: Callable) -> Callable:
    @functools.wraps(original)
    def init(self: Any, savedir_base: str, exp_list: list[dict] | None = None, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401
        if exp_list is None and not sorted(Path(savedir_base).glob("*/exp_dict.json")):
            raise ToldError(f"No experiment lies in {savedir_base}: set savedir_base to what trainval.py got as -sb.")
        original(self, savedir_base, exp_list, *args, **kwargs)

    return init


def _job_summary(self: Any, **_: object) -> list[dict]:  # noqa: ANN401
    """One row an experiment, with what the buttons show; `ToldError` if there is no scheduler to ask.

    A job that has left the queue counts as failed if epochs are missing.
    """
    # It asked one company's scheduler by default, whose client is not to be had. It looked for SLURM by an empty
    # submission, and asked through the accounting, which a small cluster does not have.
    rows = [_job_row(exp_dict, Path(s)) for exp_dict, s in zip(self.exp_list, self.get_savedir_list(), strict=True)]
    if shutil.which("squeue") is None:
        jobs = ", ".join(row["job_id"] for row in rows if row["job_id"]) or "none"
        raise ToldError(f"No scheduler on this machine (no squeue). Jobs of these {len(rows)} experiments: {jobs}.")
    command = ["squeue", "--me", "--array", "--noheader", "--states=all", "--format=%i %T"]
    answer = subprocess.run(command, check=False, capture_output=True, text=True)
    if answer.returncode:
        raise ToldError(f"SLURM does not answer: {answer.stderr.strip().splitlines()[-1]}")
    states = dict(line.split() for line in answer.stdout.splitlines())
    for row in rows:
        ended = "COMPLETED" if row.pop("is_over") else "FAILED"
        row["job_state"] = states.get(row["job_id"], ended) if row["job_id"] else "NOT SUBMITTED"
    return rows


def _job_row(exp_dict: dict, savedir: Path) -> dict:
    job, log = savedir / "job_dict.json", savedir / "logs.txt"
    job_dict = json.loads(job.read_text()) if job.exists() else {}
    rows = score_list(savedir)
    return {
        "exp_dict": exp_dict,
        "exp_id": savedir.name,
        "is_over": len(rows) == exp_dict.get("max_epoch") or any(row.get("stopped_early") for row in rows),
        "job_id": str(job_dict.get("job_id", "")),
        "command": str(job_dict.get("command", "")),
        "epochs": len(rows),
        "logs": log.read_text(errors="replace").splitlines()[-10:] if log.exists() else [],
    }


@contextmanager
def _jupyter(jupyter: ModuleType) -> Iterator[None]:
    import IPython.core.display
    import IPython.display

    # Gone from here in IPython 9. The modules swallow the error, and lack all that they import after it.
    IPython.core.display.display = IPython.display.display
    try:
        yield
    finally:
        del IPython.core.display.display
    from lcfcn_haven import tabs

    tabs.repair(jupyter)


REPAIRS: dict[str, Repair] = {
    "haven": _version,
    "haven.haven_utils": _utils,
    "haven.haven_chk": _checkpoints,
    "haven.haven_share": _share,
    "haven.haven_results": _results,
    "haven.haven_results.images_fig": _images,
    "haven.haven_results.plots_line": _plots,
    "haven.haven_results.tables_scores": _scores,
    "haven.haven_jupyter": _jupyter,
}
"""Module of Haven: the context in which it is executed."""
