"""Jobs: against commands that only look like SLURM's, and at the end on a real cluster of this machine."""

import copy
import json
import os
import pickle
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
from haven import haven_results
from haven.haven_jobs import slurm_manager

import trainval
from benchmarks.kill_test import SMALL
from exp_configs import EXP_GROUPS
from job_configs import JOB_CONFIGS
from lcfcn.errors import UserError
from lcfcn.files import load_plain_pickle, save_pickle
from scripts import local_slurm as local_slurm_script
from src.experiments import jobs, local_slurm, standings
from src.experiments.folders import experiment_id
from src.experiments.schema import override
from src.training import checkpoints

ROOT = Path(trainval.__file__).parent


def call(capsys, savedir_base, *arguments):
    """Exit code and what was printed and told as an error."""
    capsys.readouterr()
    code = trainval.main(["-e", "three", "-sb", str(savedir_base), "--device", "cpu", *arguments])
    printed = capsys.readouterr()
    return code, printed.out, printed.err


@pytest.fixture
def three(monkeypatch):
    """A group of three small experiments, all but the first of which take long."""
    (demo,) = EXP_GROUPS["demo"]
    group = [override(demo, [*SMALL, f"seed={seed}", f"max_epoch={n}"]) for seed, n in ((1, 1), (2, 2000), (3, 2000))]
    monkeypatch.setitem(EXP_GROUPS, "three", group)
    return group


@pytest.fixture
def fake_slurm(tmp_path, monkeypatch):
    """A folder of commands: squeue prints the file `queue`; sbatch numbers what it gets from 7 on and keeps it."""
    folder = tmp_path / "fake"
    folder.mkdir()
    scripts = {
        "squeue": 'cat "$here/queue"',
        "sbatch": '[ "$1" = --version ] || { n=$(ls "$here" | grep -c script); cp "$1" "$here/script$n"; '
        'echo "Submitted batch job $((n + 7))"; }',
        "scancel": 'echo "$@" >> "$here/cancelled"',
        "srun": "",
    }
    (folder / "queue").write_text("")
    for name, body in scripts.items():
        write_script(folder / name, body)
    monkeypatch.setenv("PATH", str(folder), prepend=os.pathsep)
    return folder


def write_script(path, body):
    path.write_text(f'#!/bin/sh\nhere="{path.parent}"\n{body}\n')
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


def queue(folder, *jobs_of_savedirs):
    rows = [f"{job_id}|{jobs.job_name(savedir)}|{state}\n" for job_id, savedir, state in jobs_of_savedirs]
    (folder / "queue").write_text("".join(rows))


@pytest.mark.parametrize("action", ["slurm", "status", "cancel"])
def test_without_slurm_one_line_says_so_and_nothing_is_written(action, three, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("PATH", str(tmp_path))
    code, out, err = call(capsys, tmp_path / "runs", "-j", action)
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    assert "and -j needs SLURM" in err
    assert not sorted(tmp_path.iterdir())


@pytest.mark.parametrize("action", ["slurm", "status", "cancel"])
def test_a_controller_that_is_down_is_one_line_too(action, three, fake_slurm, tmp_path, capsys):
    write_script(fake_slurm / "squeue", "printf 'error: cannot contact\\n  the controller\\n' >&2; exit 1")
    code, out, err = call(capsys, tmp_path / "runs", "-j", action)
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    assert "squeue failed (error: cannot contact the controller)" in err
    assert not (tmp_path / "runs").exists()


def test_a_controller_that_does_not_answer_is_not_waited_for(fake_slurm, monkeypatch):
    monkeypatch.setattr(standings, "SECONDS", 0.1)
    write_script(fake_slurm / "squeue", "exec sleep 60")
    with pytest.raises(UserError, match="got no answer"):
        standings.find_jobs(["a"])


def test_a_job_that_sbatch_refuses_leaves_nothing(three, fake_slurm, tmp_path, capsys):
    write_script(fake_slurm / "sbatch", '[ "$1" = --version ] || { echo "invalid partition" >&2; exit 1; }')
    code, out, err = call(capsys, tmp_path / "runs" / "deep", "-j", "slurm")
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    assert "sbatch does not take the job (invalid partition)" in err
    assert not (tmp_path / "runs").exists()


def test_what_was_refused_once_keeps_what_was_there(three, fake_slurm, tmp_path, capsys):
    savedir = tmp_path / experiment_id(three[0])
    savedir.mkdir()
    (savedir / "note").write_text("mine")
    write_script(fake_slurm / "sbatch", '[ "$1" = --version ] || exit 1')
    assert call(capsys, tmp_path, "-j", "slurm")[0] == 2
    assert (savedir / "note").read_text() == "mine"


def test_only_what_neither_runs_nor_is_done_is_submitted(three, fake_slurm, tmp_path, capsys):
    done, running, ended = (tmp_path / experiment_id(exp_dict) for exp_dict in three)
    done.mkdir()
    save_pickle(done / checkpoints.SCORES, [{"epoch": 0, "val_mae": 2.0, "val_score": -2.0}])
    queue(fake_slurm, (3, running, "RUNNING"), (4, ended, "TIMEOUT"), (5, tmp_path / "another", "RUNNING"))
    code, out, _ = call(capsys, tmp_path, "-j", "slurm")
    assert code == 0
    assert out.splitlines() == [
        f"Experiment 1 of 3: {done}: not submitted, is done",
        f"Experiment 2 of 3: {running}: not submitted, job 3 is RUNNING",
        f"Experiment 3 of 3: {ended}: job 7 submitted",
    ]
    assert json.loads((ended / jobs.JOB_DICT).read_text())["job_id"] == "7"
    assert not running.exists()
    assert not (done / jobs.JOB_DICT).exists()

    code, out, _ = call(capsys, tmp_path, "-j", "status")
    assert code == 0
    rows = [line.split() for line in out.splitlines()[1:]]
    assert rows == [
        [done.name, "-", "COMPLETED", "1/1", "2.000"],
        [running.name, "3", "RUNNING", "0/2000", "nan"],
        [ended.name, "4", "TIMEOUT", "0/2000", "nan"],
    ]
    queue(fake_slurm)  # SLURM has forgotten them all
    assert [line.split()[2] for line in call(capsys, tmp_path, "-j", "status")[1].splitlines()[1:]] == [
        "COMPLETED",
        "NEVER",
        "FAILED",
    ]


def test_reset_submits_what_is_done_and_leaves_alone_what_runs(three, fake_slurm, tmp_path, capsys):
    done, running, _ = (tmp_path / experiment_id(exp_dict) for exp_dict in three)
    done.mkdir()
    save_pickle(done / checkpoints.SCORES, [{"epoch": 0, "val_mae": 2.0, "val_score": -2.0}])
    queue(fake_slurm, (3, running, "PENDING"))
    code, _, err = call(capsys, tmp_path, "-j", "slurm", "-r", "1")
    assert code == 2
    assert "in use by job 3: -j cancel it before -r 1" in err
    assert (done / checkpoints.SCORES).exists()
    assert call(capsys, tmp_path, "-j", "slurm", "-r", "1", "-ei", done.name)[0] == 0
    assert (tmp_path / "deleted" / done.name / checkpoints.SCORES).exists()
    assert not (done / checkpoints.SCORES).exists()
    job = submission(done, "7").function
    assert "--reset" not in job.argv  # a job that is put back must not begin anew


def submission(savedir, job_id):
    return pickle.loads((savedir / jobs.FOLDER / f"{job_id}_submitted.pkl").read_bytes())


def test_the_settings_reach_sbatch_and_the_job_has_the_same_arguments(three, fake_slurm, tmp_path, capsys, monkeypatch):
    config = {**JOB_CONFIGS["gpus"], "slurm_partition": "long", "slurm_account": "me", "nodes": 2}
    config["slurm_additional_parameters"] = {"reservation": "course"}
    monkeypatch.setitem(JOB_CONFIGS, "mine", config)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    savedir = tmp_path / "runs" / experiment_id(three[1])
    options = ["-j", "slurm", "-jc", "mine", "-ei", savedir.name, "-nw", "3", "--precision", "bf16", "-d", "data"]
    code, _, err = call(capsys, "runs", *options)
    assert (code, err) == (0, "")
    lines = (fake_slurm / "script0").read_text().splitlines()
    for wanted in (
        *["--nodes=2", "--ntasks-per-node=8", "--gpus-per-node=8", "--cpus-per-task=4", "--partition=long"],
        *["--account=me", "--time=1440", "--signal=USR2@120", "--reservation=course", "--requeue"],
        *["--dependency=singleton", f"--job-name={jobs.job_name(savedir)}", "--open-mode=append"],
    ):
        assert f"#SBATCH {wanted}" in lines
    assert any(line.startswith("srun ") and "--kill-on-bad-exit=1" in line for line in lines)
    assert any(line.startswith(f"export PYTHONPATH={ROOT}") for line in lines)
    job = submission(savedir, "7").function
    args = trainval.parse_args(job.argv)
    assert (args.num_workers, args.precision, args.device) == (3, "bf16", "cpu")
    assert args.savedir_base == tmp_path / "runs"
    assert args.datadir == str(tmp_path / "data")
    assert (args.exp_id, args.job, args.reset, args.exp_group_list, args.set) == (savedir.name, None, 0, None, [])
    assert submission(savedir, "7")._timeout_countdown == config["slurm_max_num_timeout"]
    assert jobs.job_name(savedir) != jobs.job_name(tmp_path / "others" / savedir.name)


def test_settings_that_are_no_good_are_one_line(three, fake_slurm, tmp_path, capsys, monkeypatch):
    for name, change, message in [
        ("unknown", {"slurm_partitoin": "long"}, "slurm_partitoin"),
        ("kind", {"nodes": "two"}, "nodes"),
        ("time", {"timeout_min": "1-0"}, "has no timeout_min"),
        ("none", None, "-jc none is unknown: choose from gpu, gpus, cpu"),
    ]:
        if change:
            monkeypatch.setitem(JOB_CONFIGS, name, {**JOB_CONFIGS["gpu"], **change})
        code, out, err = call(capsys, tmp_path / "runs", "-j", "slurm", "-jc", name)
        assert (code, out) == (2, "")
        assert message in err
        assert err.count("\n") == 1
    assert not (tmp_path / "runs").exists()


def test_the_settings_themselves_stay_as_they_are(tmp_path, fake_slurm):
    before = copy.deepcopy(JOB_CONFIGS)
    for config in JOB_CONFIGS.values():
        jobs.make_executor(config, tmp_path)
    assert before == JOB_CONFIGS


def test_logs_are_read_without_slurm(three, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    savedir = tmp_path / experiment_id(three[0])
    (savedir / jobs.FOLDER).mkdir(parents=True)
    (savedir / jobs.JOB_DICT).write_text(json.dumps({"job_id": "12", "command": "c"}))
    for name, text in {
        "12_0_log.out": "".join(f"line {i}\n" for i in range(30)),
        "12_1_log.err": "bar 1\rbar 2\r\nBoom\n",
        "11_0_log.out": "an earlier job",
    }.items():
        (savedir / jobs.FOLDER / name).write_text(text)
    code, out, _ = call(capsys, tmp_path, "-j", "logs")
    assert code == 0
    assert "line 20\n" in out
    assert "line 19\n" not in out
    assert "12_1_log.err\nbar 1\nbar 2\nBoom\n" in out
    assert "earlier" not in out
    assert out.count("no job was submitted") == 2


def test_a_damaged_job_dict_is_told(three, fake_slurm, tmp_path, capsys):
    savedir = tmp_path / experiment_id(three[0])
    savedir.mkdir()
    (savedir / jobs.JOB_DICT).write_text("{")
    code, _, err = call(capsys, tmp_path, "-j", "status")
    assert code == 2
    assert "job_dict.json is damaged" in err


def test_cancel_names_the_jobs_that_wait_or_run(three, fake_slurm, tmp_path, capsys):
    first, second, _ = (tmp_path / experiment_id(exp_dict) for exp_dict in three)
    queue(fake_slurm, (3, first, "CANCELLED"), (4, first, "PENDING"), (5, second, "COMPLETED"))
    code, out, _ = call(capsys, tmp_path, "-j", "cancel")
    assert (code, out) == (0, f"{first}: job 4 cancelled\n")
    assert (fake_slurm / "cancelled").read_text() == f"--name={jobs.job_name(first)}\n"


CODES = []


def entry(argv):
    """What a job may run: leaves with the code that it is given."""
    CODES.append(argv)
    return int(argv[0])


@pytest.mark.parametrize(
    ("code", "preempt_time", "goes_back", "exit_code"),
    [
        (0, "None", False, None),
        (2, "None", False, 2),
        (130, "None", False, 130),
        (130, "2026-11-24T16:29:49", True, None),
        (140, "None", True, None),
    ],
)
def test_a_job_ends_with_its_runs_exit_code_or_goes_back(
    code, preempt_time, goes_back, exit_code, fake_slurm, monkeypatch
):
    write_script(fake_slurm / "scontrol", f"echo JobId=7 JobState=RUNNING PreemptTime={preempt_time} Reason=None")
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    received = []
    before = signal.signal(signal.SIGUSR2, lambda number, _: received.append(number))
    try:
        job = pickle.loads(pickle.dumps(jobs.ExperimentJob(f"{__name__}:entry", [str(code)])))
        if exit_code is None:
            job()
        else:
            with pytest.raises(SystemExit) as error:
                job()
            assert error.value.code == exit_code
    finally:
        signal.signal(signal.SIGUSR2, before)
    assert bool(received) == goes_back
    assert job.checkpoint().function.argv == [str(code)]


def refuses(capsys, folder):
    assert local_slurm_script.main(["start", "--folder", str(folder)]) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert not folder.exists()
    return err


def test_a_cluster_that_is_there_is_left_alone(tmp_path, monkeypatch, capsys):
    folder = tmp_path / "cluster"
    monkeypatch.setattr(local_slurm, "_start_daemon", lambda *_: pytest.fail("a daemon was about to start"))
    monkeypatch.setenv("SLURM_CONF", "/somewhere/slurm.conf")
    assert "SLURM_CONF is /somewhere/slurm.conf: a cluster is configured already" in refuses(capsys, folder)
    monkeypatch.delenv("SLURM_CONF")
    (tmp_path / "slurm.conf").write_text("")
    monkeypatch.setattr(local_slurm, "CONFIGURED", (tmp_path / "slurm.conf",))
    assert "slurm.conf: a cluster is configured already" in refuses(capsys, folder)
    monkeypatch.setattr(local_slurm, "CONFIGURED", ())
    monkeypatch.setattr(local_slurm, "_running", lambda name: [5] if name == "slurmctld" else [])
    assert "slurmctld runs already (process 5)" in refuses(capsys, folder)
    monkeypatch.setattr(local_slurm, "_running", lambda name: [])
    monkeypatch.setattr(local_slurm, "_find", lambda name: None)
    assert "there is no munged, slurmctld, slurmd, sinfo" in refuses(capsys, folder)


@pytest.fixture(scope="module")
def cluster():
    """A real SLURM, with nothing but its packages."""
    try:
        local_slurm.check_possible()
    except UserError as error:
        pytest.skip(f"needs a SLURM of its own: {error}")
    folder = Path(tempfile.mkdtemp(prefix="slurm_"))
    configuration = local_slurm.start(folder)
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("SLURM_CONF", str(configuration))
            yield folder
    finally:
        local_slurm.stop(folder)
        assert local_slurm.status(folder).startswith("No cluster runs")
        shutil.rmtree(folder)


@pytest.fixture
def runs():
    """A folder for experiments inside the project."""
    base = ROOT / "runs"
    was_there = base.exists()
    base.mkdir(exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="test_jobs_", dir=base))
    yield folder
    shutil.rmtree(folder)
    if not was_there:
        base.rmdir()


def wait_for(reached, what, seconds=180):
    deadline = time.monotonic() + seconds
    while not (result := reached()):
        assert time.monotonic() < deadline, f"{what} did not come in {seconds} s"
        time.sleep(0.1)
    return result


def process_of(savedir):
    """The Python process of a job, which is not srun with the same words."""
    for path in sorted(Path("/proc").glob("[0-9]*/cmdline")):
        try:
            words = path.read_bytes().decode().split("\0")
        except OSError:
            continue
        if words[0] == sys.executable and str(savedir / jobs.FOLDER) in words:
            return int(path.parent.name)
    return None


@pytest.mark.slow
def test_on_a_real_cluster(cluster, three, runs, capsys, monkeypatch):
    killed, cancelled, long = (runs / experiment_id(exp_dict) for exp_dict in three)
    by_id = {experiment_id(exp_dict): exp_dict for exp_dict in three}
    monkeypatch.setitem(EXP_GROUPS, "three", [by_id[savedir.name] for savedir in (killed, long, cancelled)])

    def standing(savedir):
        return jobs.find_standings([by_id[savedir.name]], runs)[0]

    def submit():
        code, out, err = call(capsys, runs, "-j", "slurm", "-jc", "cpu")
        assert (code, err) == (0, "")
        return [line.split(": ")[2] for line in out.splitlines()]

    assert submit() == ["job 1 submitted", "job 2 submitted", "job 3 submitted"]
    os.kill(wait_for(lambda: process_of(killed), "the first job's process"), signal.SIGKILL)
    wait_for(lambda: standing(killed).state == "FAILED", "the end of the killed job")
    told = submit()
    assert told[0] == "job 4 submitted"
    assert told[1].startswith("not submitted, job 2 is ")
    assert told[2].startswith("not submitted, job 3 is ")
    code, out, _ = call(capsys, runs, "-j", "cancel", "-ei", cancelled.name)
    assert (code, out) == (0, f"{cancelled}: job 3 cancelled\n")
    wait_for(lambda: standing(killed).state == "COMPLETED", "the end of the job that was submitted again")

    # Another job takes the place of the long one, which saves, waits in the queue, and goes on.
    wait_for(lambda: standing(long).scores, "an epoch of the long job")
    urgent = ["sbatch", "--partition=urgent", "--cpus-per-task=2", "--output=/dev/null", "--wrap=true"]
    subprocess.run(urgent, check=True, capture_output=True)
    log = long / jobs.OUT
    wait_for(lambda: "Stopped after the current batch, and saved" in log.read_text(), "the preempted job's end")
    saved = checkpoints.load_run(long / checkpoints.LAST)["score_list"]
    again = (f"Resumed after epoch {len(saved) - 1}\n", f"Resumed in epoch {len(saved)}, after ")
    wait_for(lambda: any(text in log.read_text() for text in again), "the long job's second start")
    wait_for(lambda: len(standing(long).scores) > len(saved), "another epoch")
    assert standing(long).scores[: len(saved)] == saved
    assert (standing(long).job_id, standing(long).state) == ("2", "RUNNING")
    code, out, _ = call(capsys, runs, "-j", "cancel")
    assert (code, out) == (0, f"{long}: job 2 cancelled\n")
    wait_for(lambda: standing(long).state == "CANCELLED", "the end of the long job")

    code, out, _ = call(capsys, runs, "-j", "status")
    rows = [line.split() for line in out.splitlines()[1:]]
    assert [row[1:3] for row in rows] == [["4", "COMPLETED"], ["2", "CANCELLED"], ["3", "CANCELLED"]]
    (row,) = load_plain_pickle(killed / checkpoints.SCORES)
    assert rows[0][3:] == ["1/1", f"{row['val_mae']:.3f}"]
    assert_haven_reads(runs, killed, monkeypatch)


def assert_haven_reads(runs, savedir, monkeypatch):
    """Haven's own reader, but for its two questions that need a database of past jobs."""
    monkeypatch.setattr(slurm_manager, "sanity_check", lambda: None)
    monkeypatch.setattr(
        slurm_manager, "get_jobs_dict", lambda api, ids: {i: {"state": "DONE", "runs": ""} for i in ids}
    )
    manager = haven_results.ResultManager(savedir_base=str(runs), job_scheduler="slurm", verbose=0)
    summary = {row["exp_id"]: row for row in manager.get_job_summary()}
    assert len(summary) == 3
    row = summary[savedir.name]
    assert (row["job_id"], row["job_state"]) == ("4", "DONE")
    assert f"--exp_id {savedir.name}" in row["command"]
    assert any(line.startswith("epoch   0") for line in row["logs"])
