"""Run experiments as SLURM jobs. Only this module imports submitit, and only commands with -j import this module."""

import argparse
import contextlib
import io
import json
import math
import os
import pkgutil
import shlex
import shutil
import signal
import sys
from pathlib import Path

import submitit
from submitit.core.utils import FailedJobError, FailedSubmissionError
from submitit.helpers import Checkpointable

from lcfcn.errors import UserError
from lcfcn.files import write_bytes
from lcfcn.stopping import TIME_IS_UP
from src.experiments import lock
from src.experiments.folders import check_writable, experiment_id, open_experiment
from src.experiments.prepare import check_networks, prepare
from src.experiments.standings import DONE, JOB_DICT, Standing, find_standings, job_name, read_job_id, slurm
from src.training import checkpoints
from src.training.runtime import Runtime

OUT, ERR = "logs.txt", "err.txt"
"""The files in an experiment's folder where Haven looks for what the job printed."""
FOLDER = "slurm"
"""The folder in an experiment's folder where submitit writes its files."""
LOG_LINES = 10
ROOT = Path(__file__).parents[2]


def handle(args: argparse.Namespace, exp_list: list[dict], configs: dict[str, dict], entry: str) -> None:
    """Submit experiments as jobs, or print the state or the logs of their jobs, or cancel these.

    Parameters
    ----------
    args : argparse.Namespace
        The command line of trainval.py.
    exp_list : list of dict
        The experiments.
    configs : dict
        See job_configs.py.
    entry : str
        See `ExperimentJob`.
    """
    savedir_base = args.savedir_base.absolute()
    if args.job == "slurm":
        submit_all(args, exp_list, savedir_base, choose_config(configs, args.job_config), entry)
    else:
        {"status": print_status, "logs": print_logs, "cancel": cancel}[args.job](exp_list, savedir_base)


# Submit


def submit_all(args: argparse.Namespace, exp_list: list[dict], savedir_base: Path, config: dict, entry: str) -> None:
    """Submit the experiments that neither wait, nor run, nor are done, and print a line for each experiment.

    Everything is checked before the first job is submitted.
    """
    check_writable(savedir_base)
    standings = find_standings(exp_list, savedir_base)
    wanted = to_submit(standings, reset=bool(args.reset))
    for standing in wanted:
        prepare(standing.exp_dict, args.datadir, savedir_base, reset=bool(args.reset))
    check_networks([standing.exp_dict for standing in wanted], Runtime("cpu", args.precision))
    for number, standing in enumerate(standings, start=1):
        if standing in wanted:
            done = f"job {submit(standing, args, config, entry)} submitted"
        else:
            done = f"not submitted, {f'job {standing.job_id} is {standing.state}' if standing.is_alive else 'is done'}"
        print(f"Experiment {number} of {len(standings)}: {standing.savedir}: {done}", flush=True)


def to_submit(standings: list[Standing], reset: bool) -> list[Standing]:
    """Return the experiments that neither wait, nor run, nor are done; with `reset` also those that are done.

    Raises
    ------
    UserError
        If an experiment that would be reset waits or runs, or a run outside SLURM works on one that would be submitted.
    """
    for standing in standings:
        if reset and standing.is_alive:
            raise UserError(f"{standing.savedir} is in use by job {standing.job_id}: -j cancel it before -r 1")
    wanted = [standing for standing in standings if not standing.is_alive and (reset or standing.state != DONE)]
    for standing in wanted:
        lock.check_free(standing.savedir)
    return wanted


def submit(standing: Standing, args: argparse.Namespace, config: dict, entry: str) -> str:
    """Submit the job of an experiment, and return its id.

    Parameters
    ----------
    standing : Standing
        The experiment.
    args : argparse.Namespace
        The command line that the job repeats, see `command_line`. `reset` is done here and now.
    config : dict
        One of `job_configs.py`.
    entry : str
        See `ExperimentJob`.

    Raises
    ------
    UserError
        If SLURM refuses the job. A folder that was made for it is removed.
    """
    missing = [path for path in (standing.savedir, *standing.savedir.parents) if not path.exists()]
    savedir = open_experiment(standing.exp_dict, standing.savedir.parent, reset=bool(args.reset))
    argv = command_line(args, savedir.name)
    try:
        with contextlib.redirect_stderr(io.StringIO()):  # the exception holds what sbatch prints
            job_id = make_executor(config, savedir).submit(ExperimentJob(entry, argv)).job_id
    except (FailedJobError, FailedSubmissionError) as error:
        _remove_made(missing)
        reason = " ".join(str(error).split())
        raise UserError(f"sbatch does not take the job ({reason}): check it in job_configs.py") from None
    _write_for_haven(savedir, job_id, argv)
    return job_id


def command_line(args: argparse.Namespace, exp_id: str) -> list[str]:
    """Return the arguments with which a job runs one of the experiments that `args` names.

    Every option must have a long name that is the name of its value.
    """
    of_the_group = {"exp_group_list": None, "set": None, "reset": None, "job": None, "job_config": None}
    paths = {key: os.path.abspath(value) for key in ("savedir_base", "datadir") if (value := getattr(args, key))}
    argv = []
    for key, value in (vars(args) | of_the_group | paths | {"exp_id": exp_id}).items():
        if value is not None and value is not False and value != []:
            values = value if isinstance(value, list) else [] if value is True else [value]
            argv += [f"--{key}", *map(str, values)]
    return argv


def _remove_made(folders: list[Path]) -> None:
    """Remove an experiment's folder that was made for a job, and those of its parents that nobody else uses."""
    if folders:
        shutil.rmtree(folders[0])
    for parent in folders[1:]:
        with contextlib.suppress(OSError):
            parent.rmdir()


def _write_for_haven(savedir: Path, job_id: str, argv: list[str]) -> None:
    """Write the files from which Haven's dashboard reads the job, its command and its logs."""
    command = shlex.join([sys.executable, str(ROOT / "trainval.py"), *argv])
    write_bytes(savedir / JOB_DICT, json.dumps({"job_id": job_id, "command": command}, indent=2).encode())
    for name, stream in ((OUT, "out"), (ERR, "err")):
        (savedir / name).unlink(missing_ok=True)
        (savedir / name).symlink_to(Path(FOLDER) / f"{job_id}_0_log.{stream}")


def choose_config(configs: dict[str, dict], name: str | None) -> dict:
    """Return the settings of that name, or the first ones; raise `UserError` if they are unknown or wrong."""
    name = name or next(iter(configs))
    if name not in configs:
        raise UserError(f"-jc {name} is unknown: choose from {', '.join(configs)}, or add it to job_configs.py")
    if not isinstance(configs[name].get("timeout_min"), int):
        raise UserError(
            f"{name} of job_configs.py has no timeout_min; expected the whole minutes that one start may take: add it"
        )
    for command in ("sbatch", "srun"):
        slurm(command, "--version")
    try:
        make_executor(configs[name], Path("unused"))
    except (NameError, ValueError, AssertionError, TypeError) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"{name} of job_configs.py is wrong ({reason}): see submitit's settings") from None
    return configs[name]


def make_executor(config: dict, savedir: Path) -> submitit.AutoExecutor:
    """Return submitit's executor for the job of one experiment. Nothing is written yet."""
    config = {key: value for key, value in config.items() if value is not None}
    own = {"slurm_max_num_timeout": config.pop("slurm_max_num_timeout", 3)}
    executor = submitit.AutoExecutor(savedir / FOLDER, cluster="slurm", **own)
    # Two jobs of one name never run at once, even if this command is given twice at the same moment.
    config["slurm_dependency"] = ",".join(filter(None, [config.get("slurm_dependency"), "singleton"]))
    config["slurm_additional_parameters"] = {"requeue": True, **config.get("slurm_additional_parameters", {})}
    # If a task fails, the others must not wait for it.
    config["slurm_srun_args"] = ["--kill-on-bad-exit=1", *config.get("slurm_srun_args", [])]
    config["slurm_setup"] = [
        f"export PYTHONPATH={shlex.quote(str(ROOT))}${{PYTHONPATH:+:$PYTHONPATH}}",
        "export TQDM_DISABLE=1",  # a progress bar in a file is many lines
        *config.get("slurm_setup", []),
    ]
    executor.update_parameters(name=job_name(savedir), **config)
    return executor


# In the job


class ExperimentJob(Checkpointable):
    """The work of each task of a job: a command line, and the function that reads it.

    Parameters
    ----------
    entry : str
        "module:function", importable from the project's folder. The function takes the arguments and returns an exit
        code.
    argv : list of str
        The arguments.
    """

    def __init__(self, entry: str, argv: list[str]) -> None:
        self.entry = entry
        self.argv = argv

    def __call__(self) -> None:
        """Run, and exit with the run's code, so that SLURM notices a failure; or put the job back into the queue."""
        code = pkgutil.resolve_name(self.entry)(self.argv)
        if code == 128 + TIME_IS_UP or (code == 130 and _is_preempted(os.environ["SLURM_JOB_ID"])):
            # In the first task, submitit's handler puts the job back and exits. In the others it returns, and they end
            # without an error, because a task that ends with an error makes SLURM end the first one too.
            signal.raise_signal(signal.SIGUSR2)
            return
        if code:
            sys.exit(code)


def _is_preempted(job_id: str) -> bool:
    """Whether a job that got SIGTERM must make room for another one after a time of grace.

    If it ends before that time is over, nobody puts it back into the queue.
    """
    words = slurm("scontrol", "show", "job", "--oneliner", job_id).split()
    return any(word.startswith("PreemptTime=") and word != "PreemptTime=None" for word in words)


# Afterwards


def print_status(exp_list: list[dict], savedir_base: Path) -> None:
    """Print a line for each experiment: its job, the job's state, epochs and best score."""
    standings = find_standings(exp_list, savedir_base)
    print(f"{'experiment':32}  {'job':>8}  {'state':14}  {'epochs':>9}  best val_mae")
    for standing in standings:
        best = checkpoints.best_row(standing.scores)
        epochs = f"{len(standing.scores)}/{standing.exp_dict['max_epoch']}"
        print(
            f"{standing.savedir.name:32}  {standing.job_id or '-':>8}  {standing.state:14}  {epochs:>9}  "
            f"{best['val_mae'] if best else math.nan:.3f}"
        )


def print_logs(exp_list: list[dict], savedir_base: Path) -> None:
    """Print the last lines that each task of the experiments' jobs wrote. This needs no SLURM."""
    for exp_dict in exp_list:
        savedir = savedir_base / experiment_id(exp_dict)
        job_id = read_job_id(savedir)
        print(f"{savedir}: {f'job {job_id}' if job_id else 'no job was submitted'}")
        for path in sorted((savedir / FOLDER).glob(f"{job_id}_*_log.*")):
            lines = path.read_text(errors="replace").replace("\r", "\n").splitlines()
            print(f"--- {path}", *[line for line in lines if line.strip()][-LOG_LINES:], sep="\n")


def cancel(exp_list: list[dict], savedir_base: Path) -> None:
    """Cancel the jobs of the experiments that wait or run. Their last checkpoints stay."""
    alive = [standing for standing in find_standings(exp_list, savedir_base) if standing.is_alive]
    for standing in alive:
        slurm("scancel", f"--name={job_name(standing.savedir)}")
        print(f"{standing.savedir}: job {standing.job_id} cancelled")
    if not alive:
        print("Nothing to cancel: no job of these experiments waits or runs.")
