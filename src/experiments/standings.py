"""How experiments and their SLURM jobs stand: what SLURM knows of the jobs, and what is in the experiments' folders."""

import json
import os
import subprocess
import zlib
from dataclasses import dataclass
from pathlib import Path

from lcfcn.errors import UserError
from src.experiments.folders import experiment_id
from src.training import checkpoints

JOB_DICT = "job_dict.json"
"""The file in an experiment's folder where Haven looks for the job's id and command."""
NEVER, DONE, ENDED = "NEVER LAUNCHED", "COMPLETED", "FAILED"
OVER = ("BOOT_FAIL", "CANCELLED", DONE, "DEADLINE", ENDED, "NODE_FAIL", "OUT_OF_MEMORY", "REVOKED", "TIMEOUT")
"""The states of jobs that have ended. A preempted job has not: it goes back into the queue."""
SECONDS = 60.0
"""How long SLURM may take to answer."""


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
        The last submitted job.
    state : str
        The state of that job in SLURM's words. It is "COMPLETED" if the last epoch is done, in whichever way it was
        run. It is "FAILED" if the last epoch is not done and SLURM has forgotten the job.
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


def find_standings(exp_list: list[dict], savedir_base: Path) -> list[Standing]:
    """Return how experiments stand. This asks SLURM once; it raises `UserError` if SLURM does not answer."""
    savedirs = [savedir_base / experiment_id(exp_dict) for exp_dict in exp_list]
    jobs = find_jobs([job_name(savedir) for savedir in savedirs])
    standings = []
    for exp_dict, savedir in zip(exp_list, savedirs, strict=True):
        known = read_job_id(savedir)
        job_id, state = jobs.get(job_name(savedir), (known, ENDED if known else NEVER))
        scores = checkpoints.read_scores(savedir / checkpoints.SCORES)
        is_over = len(scores) >= exp_dict["max_epoch"] or checkpoints.stopped_early(scores)
        if not _is_alive(state) and is_over:
            state = DONE
        standings.append(Standing(exp_dict, savedir, job_id, state, scores))
    return standings


def find_jobs(names: list[str]) -> dict[str, tuple[str, str]]:
    """Return id and state of the job of each name, for the names that SLURM still knows.

    If several jobs have the same name, it is the first one that waits or runs, or else the last one that ended.

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


def _is_alive(state: str) -> bool:
    return state not in (NEVER, *OVER)


def job_name(savedir: Path) -> str:
    """Return the name of an experiment's job: its id, and a checksum of its folder's path.

    The checksum distinguishes equal experiments in different folders.
    """
    return f"{savedir.name}-{zlib.crc32(os.fsencode(savedir.resolve())):08x}"


def read_job_id(savedir: Path) -> str | None:
    """Return the last job that was submitted for an experiment's folder, or None."""
    path = savedir / JOB_DICT
    try:
        return str(json.loads(path.read_text())["job_id"])
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path} is damaged ({error!r}): cancel its job with scancel, and remove the file") from None


def slurm(*command: str) -> str:
    """Run a command of SLURM, and return what it prints.

    Raises
    ------
    UserError
        If there is no such command, or it fails, for instance because the cluster cannot be reached.
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
