"""A SLURM cluster on one machine, from Debian's packages slurm-wlm and munge, to try jobs and to test them.

All its files are in one folder: configuration, state, logs, and MUNGE's key and socket. It listens on free ports of
this machine. It runs as the user who starts it, root or not; another user than root can only run own jobs. It does not
start where SLURM is configured already.
"""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from lcfcn.errors import UserError

DAEMONS = ("munged", "slurmctld", "slurmd")
"""The daemons, in the order in which they start."""
CONFIGURED = (Path("/etc/slurm/slurm.conf"), Path("/etc/slurm-llnl/slurm.conf"))
"""The places of the configuration on a machine that belongs to a cluster."""
PATIENCE = 30.0
"""Seconds that a daemon or a node may take to start or stop."""

# Two jobs of one CPU run side by side. A job in the partition `urgent` preempts one in `main`: the latter gets SIGTERM,
# has GraceTime to save, and is put back into the queue, where it waits for as long as cred_expire says. There is no
# accounting, control group or mail, because these need further packages and a user of their own.
CONFIGURATION = """\
ClusterName=local
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller_port}
SlurmdPort={node_port}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket,cred_expire=6
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/pgid
TaskPlugin=task/none
MpiDefault=none
MailProg=/bin/true
ReturnToService=2
KillWait=5
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerParameters=batch_sched_delay=1,bf_interval=2,sched_interval=2
SlurmdParameters=config_overrides
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
NodeName=localhost NodeAddr=127.0.0.1 CPUs=2 RealMemory={memory}
PartitionName=main Nodes=ALL Default=YES PriorityTier=1 GraceTime=30
PartitionName=urgent Nodes=ALL PriorityTier=2
"""


def default_folder() -> Path:
    """Return the folder of the cluster if none is given."""
    return Path(tempfile.gettempdir()) / f"local_slurm_{os.getuid()}"


def check_possible() -> None:
    """Raise `UserError` if a cluster cannot be started here, or one is configured already."""
    if os.environ.get("SLURM_CONF"):
        raise UserError(
            f"SLURM_CONF is {os.environ['SLURM_CONF']}: a cluster is configured already, and must not be disturbed"
        )
    for path in CONFIGURED:
        if path.exists():
            raise UserError(f"there is {path}: a cluster is configured already, and must not be disturbed")
    for name in ("slurmctld", "slurmd"):
        if _running(name):
            raise UserError(f"{name} runs already (process {_running(name)[0]}), and must not be disturbed")
    missing = [name for name in (*DAEMONS, "sinfo", "srun", "sbatch") if not _find(name)]
    if missing:
        raise UserError(f"there is no {', '.join(missing)}: apt-get install slurm-wlm munge (Debian, Ubuntu)")


def _find(name: str) -> str | None:
    """Return the path of a program. The daemons are in folders that only root has in PATH."""
    return shutil.which(name, path=os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"]))


def _running(name: str) -> list[int]:
    found = []
    for path in sorted(Path("/proc").glob("[0-9]*/comm")):
        with contextlib.suppress(OSError):  # it ended in between
            if path.read_text().strip() == name:
                found.append(int(path.parent.name))
    return found


def start(folder: Path) -> Path:
    """Start the cluster in a folder of its own, and return its slurm.conf, for SLURM_CONF.

    Raises
    ------
    UserError
        If there is a cluster already, a package is missing, or the cluster does not start.
    """
    check_possible()
    configuration = _lay_out(folder)
    commands = {
        "munged": [
            "--force",  # munged complains that others cannot read the folder, but no other user needs it
            f"--key-file={folder}/munge.key",
            f"--socket={folder}/munge.socket",
            f"--pid-file={folder}/munged.pid",
            f"--log-file={folder}/munged.log",
            f"--seed-file={folder}/munged.seed",
        ],
        "slurmctld": ["-c"],
        "slurmd": ["-N", "localhost"],
    }
    try:
        for name in DAEMONS:
            _start_daemon(name, commands[name], folder)
        _wait(lambda: _sinfo(folder, "%T") == "idle", f"the node is not ready after {PATIENCE:.0f} s", folder)
    except UserError:
        stop(folder)
        raise
    return configuration


def _lay_out(folder: Path) -> Path:
    """Write the configuration and a new key, and return the configuration's path."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if folder.stat().st_uid != os.getuid():
        raise UserError(f"{folder} belongs to another user: give --folder")
    if len(str(folder)) > 90:
        raise UserError(f"{folder} is too long a path for a socket in it: give a shorter --folder")
    for name in ("state", "spool"):
        (folder / name).mkdir(exist_ok=True)
    key = folder / "munge.key"
    key.unlink(missing_ok=True)
    key.touch(mode=0o600)
    key.write_bytes(os.urandom(128))
    controller_port, node_port = _free_ports(2)
    configuration = folder / "slurm.conf"
    configuration.write_text(
        CONFIGURATION.format(
            folder=folder,
            host=socket.gethostname().partition(".")[0],
            user=_user(),
            controller_port=controller_port,
            node_port=node_port,
            memory=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20,
        )
    )
    return configuration


def _user() -> str:
    return subprocess.run(["id", "-un"], capture_output=True, text=True, check=True).stdout.strip()


def _free_ports(n: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(n)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


def environment(folder: Path) -> dict[str, str]:
    """Return the environment in which SLURM's commands use the cluster of a folder."""
    return {**os.environ, "SLURM_CONF": str(folder / "slurm.conf")}


def _start_daemon(name: str, options: list[str], folder: Path) -> None:
    # A daemon keeps its outputs open, so a pipe would never end.
    with (folder / "start.log").open("a") as log:
        code = subprocess.run(
            [_find(name), *options], env=environment(folder), stdin=subprocess.DEVNULL, stdout=log, stderr=log
        ).returncode
    if code:
        raise UserError(f"{name} does not start (exit code {code}): {_last_words(folder)}")
    _wait(lambda: _pid(folder, name), f"{name} does not stay", folder)


def _pid(folder: Path, name: str) -> int | None:
    """Return the process of a daemon of this folder, or None if it does not run."""
    with contextlib.suppress(OSError, ValueError):
        pid = int((folder / f"{name}.pid").read_text())
        if Path(f"/proc/{pid}/comm").read_text().strip() == name:
            return pid
    return None


def _wait(reached: Callable[[], object], failure: str, folder: Path) -> None:
    deadline = time.monotonic() + PATIENCE
    while not reached():
        if time.monotonic() > deadline:
            raise UserError(f"{failure}: {_last_words(folder)}")
        time.sleep(0.1)


def _last_words(folder: Path) -> str:
    lines = []
    for name in ("start.log", *(f"{name}.log" for name in DAEMONS)):
        with contextlib.suppress(OSError):
            lines += [line for line in (folder / name).read_text().splitlines() if "rror" in line or "fatal" in line]
    return f"{lines[-1] if lines else 'no error was logged'} (the logs are in {folder})"


def _sinfo(folder: Path, form: str) -> str:
    command = ["sinfo", "--noheader", "--partition=main", f"--format={form}"]
    return _ask(command, folder)


def _ask(command: list[str], folder: Path) -> str:
    """Return what a command of SLURM prints about this cluster, or "" if the cluster does not answer."""
    with contextlib.suppress(OSError, subprocess.TimeoutExpired):
        done = subprocess.run(command, env=environment(folder), capture_output=True, text=True, timeout=PATIENCE)
        return done.stdout.strip()
    return ""


def status(folder: Path) -> str:
    """Return a line that says whether the cluster of a folder runs."""
    down = [name for name in DAEMONS if not _pid(folder, name)]
    if len(down) == len(DAEMONS):
        return f"No cluster runs in {folder}."
    if down:
        return f"The cluster in {folder} is broken: {', '.join(down)} does not run. Stop it and start it again."
    jobs = len(_ask(["squeue", "--noheader"], folder).splitlines())
    return f"The cluster in {folder} runs: node {_sinfo(folder, '%T')}, {jobs} jobs."


def stop(folder: Path) -> None:
    """Cancel the jobs of the cluster of a folder, and end its daemons. Its logs stay."""
    if _pid(folder, "slurmctld"):
        _ask(["scancel", f"--user={_user()}"], folder)
        with contextlib.suppress(UserError):
            _wait(lambda: not _ask(["squeue", "--noheader"], folder), "jobs do not end", folder)
    for name in reversed(DAEMONS):
        _end(folder, name)


def _end(folder: Path, name: str) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        pid = _pid(folder, name)
        if pid is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
        with contextlib.suppress(UserError):
            _wait(lambda: not _pid(folder, name), f"{name} does not end", folder)
