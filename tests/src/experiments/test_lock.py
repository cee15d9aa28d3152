"""One run at a time writes into an experiment's folder."""

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from helpers_runs import mistake

import trainval
from exp_configs import EXP_GROUPS
from lcfcn.errors import UserError
from src.experiments import folders, lock

DEMO = EXP_GROUPS["demo"][0]
ROOT = Path(trainval.__file__).parent
HOLD = """
import sys, time
from pathlib import Path
from src.experiments import lock
with lock.locked(Path(sys.argv[1])) as is_held:
    print(is_held, flush=True)
    if sys.argv[2:]:
        import os
        if os.fork() == 0:
            time.sleep(60)
    time.sleep(60)
"""


def start(*command):
    """Run Python in another process; its output can be read."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, *map(str, command)]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True, start_new_session=True)


@pytest.fixture
def held(tmp_path):
    """An experiment's folder that another process holds, and that process."""
    savedir = folders.open_experiment(DEMO, tmp_path, reset=False)
    with start("-c", HOLD, savedir) as process:
        assert process.stdout.readline() == "True\n"
        yield savedir, process
        process.kill()


def test_a_second_run_is_refused_while_the_first_lives_and_not_after_its_crash(held):
    savedir, process = held
    told = rf"{savedir} is in use by another run \(process {process.pid} on .+\): wait until it ends, or stop it"
    for again in (
        lambda: lock.check_free(savedir),
        lambda: folders.check_free([DEMO], savedir.parent),
        lambda: folders.open_experiment(DEMO, savedir.parent, reset=True),
    ):
        with pytest.raises(UserError, match=told):
            again()
    assert savedir.exists()
    process.kill()
    process.wait()
    folders.check_free([DEMO], savedir.parent)
    with lock.locked(savedir) as is_held:
        assert is_held


def test_a_process_that_a_killed_run_leaves_does_not_hold_its_lock(tmp_path):
    with start("-c", HOLD, tmp_path, "fork") as process:
        assert process.stdout.readline() == "True\n"
        process.kill()
        process.wait()
        try:
            with lock.locked(tmp_path) as is_held:
                assert is_held
        finally:
            with contextlib.suppress(ProcessLookupError):  # the one that was left has ended by itself
                os.killpg(process.pid, signal.SIGKILL)


@pytest.mark.parametrize("reset", ["0", "1"])
def test_a_second_run_from_the_command_line_is_one_line_and_changes_nothing(held, capsys, reset):
    savedir, _ = held
    before = sorted(path.name for path in savedir.iterdir())
    told = mistake(trainval.main, capsys, ["-e", "demo", "-sb", savedir.parent, "--device", "cpu", "-r", reset])
    assert "is in use by another run" in told
    assert sorted(path.name for path in savedir.iterdir()) == before
    assert not (savedir.parent / folders.BACKUPS).exists()


def test_where_a_disk_knows_no_locks_a_run_goes_on(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(37, "No locks available")

    monkeypatch.setattr(lock.fcntl, "lockf", refuse)
    with lock.locked(tmp_path) as is_held:
        assert not is_held
    monkeypatch.setattr(lock, "fcntl", None)
    with lock.locked(tmp_path) as is_held:
        assert not is_held
