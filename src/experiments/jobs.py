"""Experiments as SLURM jobs. The one module that knows submitit; imported only when jobs are asked for."""

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
import subprocess
import sys
import zlib
from dataclasses import dataclass
from pathlib import Path

import submitit
from submitit.core.utils import FailedJobError, FailedSubmissionError
from submitit.helpers import Checkpointable

from lcfcn.errors import UserError
from lcfcn.files import load_plain_pickle, write_bytes
from lcfcn.stopping import TIME_IS_UP
from src.experiments.folders import check_writable, experiment_id, open_experiment
from src.experiments.prepare import check_networks, prepare
from src.training import checkpoints
from src.training.runtime import Runtime

JOB_DICT, OUT, ERR = "job_dict.json", "logs.txt", "err.txt"
"""What Haven reads: the job and its command; what the job wrote."""
FOLDER = "slurm"
"""In an experiment's folder: all that submitit writes."""
NEVER, DONE, ENDED = "NEVER LAUNCHED", "COMPLETED", "FAILED"
OVER = ("BOOT_FAIL", "CANCELLED", DONE, "DEADLINE", ENDED, "NODE_FAIL", "OUT_OF_MEMORY", "REVOKED", "TIMEOUT")
"""States that a job does not leave again. A preempted job is on its way back into the queue."""
LOG_LINES = 10
SECONDS = 60.0
"""How long SLURM may take to answer."""
ROOT = Path(__file__).parents[2]


class ExperimentJob(Checkpointable):
    """What each task of a job runs: a command line, through the function that reads it.

    Parameters
    ----------
    entry : str
        "module:function", importable from the project's folder; takes the arguments and returns an exit code.
    argv : list of str
        The arguments.
    """

    def __init__(self, entry: str, argv: list[str]) -> None:
        self.entry = entry
        self.argv = argv

    def __call__(self) -> None:
        """Run, and leave with the run's exit code, so that SLURM knows a failure; or go back into the queue."""
        code = pkgutil.resolve_name(self.entry)(self.argv)
        if code == 128 + TIME_IS_UP or (code == 130 and _is_preempted(os.environ["SLURM_JOB_ID"])):
            # submitit's handler puts the job back and exits, in the first task. In the others it returns: they end
            # well, since a task that ends with an error takes the first one with it.
            signal.raise_signal(signal.SIGUSR2)
            return
        if code:
            sys.exit(code)


def _is_preempted(job_id: str) -> bool:
    """Whether a job that was sent SIGTERM is in the time of grace before its place is taken.

    Nobody puts it back if it ends before that time is over.
    """
    words = slurm("scontrol", "show", "job", "--oneliner", job_id).split()
    return any(word.startswith("PreemptTime=") and word != "PreemptTime=None" for word in words)


@dataclass(frozen=True)
class Standing:
    """How an experiment and its last job stand.

    Attributes
    ----------
    exp_dict : dict
        The experiment.
    savedir : Path
        Its folder, which may not exist yet.
    job_id : str or None
        The job that was submitted last.
    state : str
        Of that job, in SLURM's words; "COMPLETED" if the last epoch is done, whoever ran it, and "FAILED" if it is
        not, and SLURM has forgotten the job.
    scores : list of dict
        A row for each epoch that is done.
    """

    exp_dict: dict
    savedir: Path
    job_id: str | None
    state: str
    scores: list[dict]

    @property
    def is_alive(self) -> bool:
        """Whether the job waits or runs."""
        return _is_alive(self.state)


def slurm(*command: str) -> str:
    """What a command of SLURM prints.

    Raises
    ------
    UserError
        If there is no such command, or it fails, as it does if the cluster cannot be reached.
    """
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS)
    except OSError:
        raise UserError(
            f"there is no {command[0]} here, and -j needs SLURM: use a machine of the cluster, leave -j out to run "
            "here, or try scripts/local_slurm.py"
        ) from None
    except subprocess.TimeoutExpired:
        raise UserError(f"{command[0]} got no answer in {SECONDS:.0f} s: is SLURM's controller up?") from None
    if done.returncode:
        reason = " ".join(done.stderr.split()) or f"exit code {done.returncode}"
        raise UserError(f"{command[0]} failed ({reason}): is SLURM's controller up, and SLURM_CONF right?")
    return done.stdout


def handle(args: argparse.Namespace, exp_list: list[dict], configs: dict[str, dict], entry: str) -> None:
    """Submit the experiments as jobs, or print the state or the logs of those jobs, or cancel them.

    Parameters
    ----------
    args : argparse.Namespace
        The command line of trainval.py.
    exp_list : list of dict
    configs : dict
        See job_configs.py.
    entry : str
        See `ExperimentJob`.
    """
    savedir_base = args.savedir_base.absolute()
    if args.job != "slurm":
        {"status": print_status, "logs": print_logs, "cancel": cancel}[args.job](exp_list, savedir_base)
        return
    config = choose_config(configs, args.job_config)
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


def find_jobs(names: list[str]) -> dict[str, tuple[str, str]]:
    """Of each name that SLURM still knows: the id and the state of its job.

    Of several jobs of one name it is the first that waits or runs, or else the last that did.

    Raises
    ------
    UserError
        If SLURM does not answer.
    """
    lines = slurm("squeue", "--noheader", "--states=all", "--format=%A|%j|%T", f"--name={','.join(names)}").splitlines()
    jobs = {}
    for job_id, name, state in sorted((line.split("|") for line in lines), key=lambda row: int(row[0])):
        if name not in jobs or not _is_alive(jobs[name][1]):
            jobs[name] = (job_id, state)
    return jobs


def find_standings(exp_list: list[dict], savedir_base: Path) -> list[Standing]:
    """How experiments stand, with one question to SLURM; UserError if it does not answer."""
    savedirs = [savedir_base / experiment_id(exp_dict) for exp_dict in exp_list]
    jobs = find_jobs([job_name(savedir) for savedir in savedirs])
    standings = []
    for exp_dict, savedir in zip(exp_list, savedirs, strict=True):
        known = read_job_id(savedir)
        job_id, state = jobs.get(job_name(savedir), (known, ENDED if known else NEVER))
        scores = load_plain_pickle(savedir / checkpoints.SCORES) or []
        is_over = len(scores) >= exp_dict["max_epoch"] or checkpoints.stopped_early(scores)
        if not _is_alive(state) and is_over:
            state = DONE
        standings.append(Standing(exp_dict, savedir, job_id, state, scores))
    return standings


def _is_alive(state: str) -> bool:
    return state not in (NEVER, *OVER)


def read_job_id(savedir: Path) -> str | None:
    """The job that was submitted last for an experiment's folder."""
    path = savedir / JOB_DICT
    try:
        return str(json.loads(path.read_text())["job_id"])
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path} is damaged ({error!r}): cancel its job by scancel and remove the file") from None


def job_name(savedir: Path) -> str:
    """The job's name: the experiment's id, and what tells apart equal experiments in different folders."""
    return f"{savedir.name}-{zlib.crc32(os.fsencode(savedir.resolve())):08x}"


def choose_config(configs: dict[str, dict], name: str | None) -> dict:
    """The settings of that name, or the first; UserError if there is none, or submitit knows no such setting."""
    name = name or next(iter(configs))
    if name not in configs:
        raise UserError(f"-jc {name} is unknown: choose from {', '.join(configs)}, or add it to job_configs.py")
    if not isinstance(configs[name].get("timeout_min"), int):
        raise UserError(f"{name} of job_configs.py has no timeout_min, in whole minutes: how long one start may take")
    for command in ("sbatch", "srun"):
        slurm(command, "--version")
    try:
        make_executor(configs[name], Path("unused"))
    except (NameError, ValueError, AssertionError, TypeError) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"{name} of job_configs.py is no good ({reason}): see submitit's settings") from None
    return configs[name]


def make_executor(config: dict, savedir: Path) -> submitit.AutoExecutor:
    """What submits the job of one experiment; nothing is written yet."""
    config = {key: value for key, value in config.items() if value is not None}
    own = {"slurm_max_num_timeout": config.pop("slurm_max_num_timeout", 3)}
    executor = submitit.AutoExecutor(savedir / FOLDER, cluster="slurm", **own)
    # Two jobs of one name never run at once: not even if this command is given twice at the same moment.
    config["slurm_dependency"] = ",".join(filter(None, [config.get("slurm_dependency"), "singleton"]))
    config["slurm_additional_parameters"] = {"requeue": True, **config.get("slurm_additional_parameters", {})}
    # If a task fails, the others shall not wait for it.
    config["slurm_srun_args"] = ["--kill-on-bad-exit=1", *config.get("slurm_srun_args", [])]
    config["slurm_setup"] = [
        f"export PYTHONPATH={shlex.quote(str(ROOT))}${{PYTHONPATH:+:$PYTHONPATH}}",
        "export TQDM_DISABLE=1",  # a bar in a file is many lines
        *config.get("slurm_setup", []),
    ]
    executor.update_parameters(name=job_name(savedir), **config)
    return executor


def command_line(args: argparse.Namespace, exp_id: str) -> list[str]:
    """The arguments by which a job runs one of the experiments that were submitted with `args`.

    Every option needs a long name that is the name of its value.
    """
    of_the_group = {"exp_group_list": None, "set": None, "reset": None, "job": None, "job_config": None}
    paths = {key: os.path.abspath(value) for key in ("savedir_base", "datadir") if (value := getattr(args, key))}
    argv = []
    for key, value in (vars(args) | of_the_group | paths | {"exp_id": exp_id}).items():
        if value is not None and value is not False and value != []:
            values = value if isinstance(value, list) else [] if value is True else [value]
            argv += [f"--{key}", *map(str, values)]
    return argv


def to_submit(standings: list[Standing], reset: bool) -> list[Standing]:
    """Those that neither wait, nor run, nor are done; with `reset` those that are done too.

    Raises
    ------
    UserError
        If one that would be reset waits or runs.
    """
    for standing in standings:
        if reset and standing.is_alive:
            raise UserError(f"{standing.savedir} is in use by job {standing.job_id}: -j cancel it before -r 1")
    return [standing for standing in standings if not standing.is_alive and (reset or standing.state != DONE)]


def submit(standing: Standing, args: argparse.Namespace, config: dict, entry: str) -> str:
    """Submit the job of an experiment, and return its id.

    Parameters
    ----------
    standing : Standing
        The experiment.
    args : argparse.Namespace
        The command line that the job shall take up: see `command_line`; `reset` is done here and now.
    config : dict
        One of `job_configs.py`.
    entry : str
        See `ExperimentJob`.

    Raises
    ------
    UserError
        If SLURM does not take it; a folder that was made for it is gone again.
    """
    missing = [path for path in (standing.savedir, *standing.savedir.parents) if not path.exists()]
    savedir = open_experiment(standing.exp_dict, standing.savedir.parent, reset=bool(args.reset))
    argv = command_line(args, savedir.name)
    try:
        with contextlib.redirect_stderr(io.StringIO()):  # what sbatch says is in the exception too
            job_id = make_executor(config, savedir).submit(ExperimentJob(entry, argv)).job_id
    except (FailedJobError, FailedSubmissionError) as error:
        if missing:
            shutil.rmtree(missing[-1])
        raise UserError(f"sbatch does not take the job ({' '.join(str(error).split())}): see job_configs.py") from None
    _tell_haven(savedir, job_id, argv)
    return job_id


def _tell_haven(savedir: Path, job_id: str, argv: list[str]) -> None:
    command = shlex.join([sys.executable, str(ROOT / "trainval.py"), *argv])
    write_bytes(savedir / JOB_DICT, json.dumps({"job_id": job_id, "command": command}, indent=2).encode())
    for name, stream in ((OUT, "out"), (ERR, "err")):
        (savedir / name).unlink(missing_ok=True)
        (savedir / name).symlink_to(Path(FOLDER) / f"{job_id}_0_log.{stream}")


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
    """Cancel the jobs of the experiments that wait or run; their last checkpoints stay."""
    alive = [standing for standing in find_standings(exp_list, savedir_base) if standing.is_alive]
    for standing in alive:
        slurm("scancel", f"--name={job_name(standing.savedir)}")
        print(f"{standing.savedir}: job {standing.job_id} cancelled")
    if not alive:
        print("Nothing to cancel: no job of these experiments waits or runs.")
