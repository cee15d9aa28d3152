"""Score a network, or any tool's predictions, on a split of a data set, and write the report."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lcfcn.files import make_folder
from src.annotations.base import NOTHING_SAID, Options
from src.datasets import PointDataset, get_dataset
from src.evaluation import any_format, pairing
from src.evaluation.reach import PER_OBJECT, Sigma
from src.evaluation.report import write_report
from src.evaluation.scoring import checked_sizes, score, tally
from src.models import LCFCN
from src.training.runtime import Runtime


@dataclass(frozen=True)
class Task:
    """What is scored, and where the report goes.

    Attributes
    ----------
    split : 'val' or 'test'
        The images to score.
    datadir : str or None
        Where the data set is.
    out : Path
        The folder of the report.
    sigmas : sequence
        The reaches of the scores, in pixels or "object"; see `src.evaluation.reach`.
    seed : int
        The seed of the intervals.
    """

    split: str
    datadir: str | None
    out: Path
    sigmas: Sequence[Sigma]
    seed: int = 0


def evaluate_best(savedir_base: Path, exp_id: str, task: Task, runtime: Runtime) -> dict:
    """Score an experiment's best network; see `evaluate_network`."""
    return _evaluate(*pairing.load_best(savedir_base, exp_id, runtime), task, runtime, {"exp_id": exp_id})


def evaluate_network(checkpoint: Path, task: Task, runtime: Runtime) -> dict:
    """Score the network of a checkpoint, and write the report.

    Parameters
    ----------
    checkpoint : Path
        The file.
    task : Task
    runtime : Runtime
        Where and in which precision the network runs.

    Returns
    -------
    report : dict
        See `src.evaluation.scoring.score`; with `source`, `dataset` and `split` too.

    Raises
    ------
    UserError
        If the checkpoint, the data or an argument is wrong, or the report cannot be written.
    """
    return _evaluate(*pairing.load_network(checkpoint, runtime), task, runtime, {})


def _evaluate(exp_dict: dict, model: LCFCN, about: dict, task: Task, runtime: Runtime, experiment: dict) -> dict:
    dataset = pairing.open_known_split(exp_dict, task.split, task.datadir, about.pop("class_names"))
    _check(dataset, task)
    make_folder(task.out)
    images = pairing.predict_split(model, dataset, runtime)
    source = {**experiment, **about, "precision": runtime.precision, "device": runtime.device.type}
    return _write(images, dataset, {"source": source, "dataset": exp_dict["dataset"]}, task)


def evaluate_predictions(
    points: Path, counts: Path | None, dataset_dict: dict, task: Task, options: Options = NOTHING_SAID
) -> dict:
    """Score predictions that any tool wrote, and write the report.

    Parameters
    ----------
    points : Path
        A CSV with image,x,y,class, or a file or folder in any format that can be imported.
    counts : Path or None
        A CSV with image,class,count, to be scored instead of the numbers of points.
    dataset_dict : dict
        `name` of the data set and what it takes, see `src.datasets.get_dataset`.
    task : Task
    options : Options
        What `points` does not say itself.

    Returns
    -------
    report : dict
        See `evaluate_network`.

    Raises
    ------
    UserError
        If a table, the data or an argument is wrong, or the report cannot be written.
    """
    dataset = get_dataset(dataset_dict, task.split, task.datadir)
    _check(dataset, task)
    source, tables = {}, {}
    for key, path, columns in (("predictions", points, ("x", "y")), ("counts", counts, ("count",))):
        if path is not None:
            tables[key], about = _read_table(key, path, columns, dataset, dataset_dict, options)
            source |= about
    images = pairing.join_predictions(dataset, tables["predictions"], tables.get("counts"))
    return _write(images, dataset, {"source": source, "dataset": dataset_dict}, task)


def _read_table(
    key: str, path: Path, columns: tuple[str, ...], dataset: PointDataset, dataset_dict: dict, options: Options
) -> tuple[pairing.Table, dict]:
    """Return the rows of this split, and what the report says about the table."""
    more = {}
    if key == "counts" or any_format.is_own_table(path, options):
        table = pairing.read_table(path, columns, dataset.class_names)
    else:
        names = pairing.files_of_all_splits(dataset, dataset_dict)
        table, n_dropped = any_format.read_any(path, dataset, names, options)
        more = {f"{key}_dropped": n_dropped}
    if key == "predictions":
        any_format.check_pixels(table, options)
    table, n_other = pairing.drop_other_splits(table, dataset, dataset_dict)
    n_without = len(set(dataset.names) - set(table.rows))
    about = {key: path.name, f"{key}_sha256": any_format.sha256_of(path), **more}
    return table, {**about, f"{key}_rows_of_other_splits": n_other, f"{key}_images_without_row": n_without}


def _check(dataset: PointDataset, task: Task) -> None:
    """Raise `UserError` if the data lacks the sizes that the task needs, before minutes are spent on predicting."""
    if PER_OBJECT in task.sigmas:
        for index, name in enumerate(dataset.names):
            checked_sizes(name, pairing.object_sigmas(dataset, index))


def _write(images: Sequence[pairing.ScoredImage], dataset: PointDataset, about: dict, task: Task) -> dict:
    sigmas = list(dict.fromkeys(task.sigmas))
    found = tally(images, dataset.n_classes, sigmas)
    report = {**about, "split": task.split, **score(found, dataset.class_names, sigmas, task.seed)}
    make_folder(task.out)
    write_report(task.out, report, images, found, dataset)
    return report
