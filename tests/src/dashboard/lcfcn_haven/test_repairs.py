"""What lcfcn_haven changes in Haven, without a notebook."""

import importlib
import json
import os
import pickle
import subprocess
import sys
import zipfile
from pathlib import Path

import lcfcn_haven
import pytest
import torch
from helpers_runs import make_run

from src.training import checkpoints


def of_haven():
    return [name for name in sys.modules if name.partition(".")[0] == "haven"]


@pytest.fixture(scope="module")
def hr():
    """haven_results, repaired; the others' Haven comes back at the end."""
    before, finders = {name: sys.modules.pop(name) for name in of_haven()}, list(sys.meta_path)
    lcfcn_haven.install()
    lcfcn_haven.install()
    assert len(sys.meta_path) == len(finders) + 1
    yield importlib.import_module("haven.haven_results")
    sys.meta_path[:] = finders
    for name in of_haven():
        del sys.modules[name]
    sys.modules.update(before)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    make_run(folder, "seed=0", maes=[4.0, 2.0])
    make_run(folder, "seed=1", maes=[5.0, 4.0])
    make_run(folder, "model.base=fcn8_resnet18", maes=[8.0, 7.5])
    make_run(folder, group="demo", maes=[1.0])
    return folder


def chosen(hr, runs, filterby_list):
    return len(hr.ResultManager(str(runs), filterby_list=filterby_list, verbose=0).exp_list)


@pytest.mark.parametrize(
    ("filterby_list", "n"),
    [
        (None, 4),
        ([("dataset.name", "trancos")], 3),
        ([("dataset.name", "trancos"), ("seed", 0)], 2),
        ([("dataset.name", "trancos"), ("dataset.transform", "none")], 0),
        ([("seed", 0), ("seed", 1)], 0),
        ([[("seed", 1)], [("dataset.name", "synthetic"), ("seed", 0)]], 2),
        ([[("dataset.name", "trancos")], [("model.base", "fcn8_resnet18")]], 3),
        ([("model", {"base": "fcn8_resnet18"})], 1),
        ([{"dataset": {"name": "trancos"}, "seed": 0}], 2),
        ([{"dataset.name": "trancos"}, {"dataset.name": "synthetic"}], 4),
        ([[{"dataset.name": "trancos"}], [{"seed": 1}]], 1),
        ([({"seed": 1}, {"style": {"color": "red"}})], 1),
    ],
)
def test_filters_by_pairs_and_by_havens_own_form(hr, runs, filterby_list, n):
    assert chosen(hr, runs, filterby_list) == n


def test_pairs_among_dicts_are_told(hr, runs):
    with pytest.raises(ValueError, match="expected pairs alone") as error:
        chosen(hr, runs, [("seed", 0), {"seed": 1}])
    assert error.value._render_traceback_() == [str(error.value)]


def test_a_folder_without_experiments_is_told(hr, tmp_path):
    for folder in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(ValueError, match=f"No experiment lies in {folder}: set savedir_base"):
            hr.ResultManager(str(folder), verbose=0)


@pytest.fixture
def rm(hr, runs):
    return hr.ResultManager(str(runs), filterby_list=[("dataset.name", "trancos")], verbose=0)


def test_a_score_does_not_replace_the_hyper_parameter_of_its_name(rm):
    table = rm.get_score_table(columns=["lr"], show_meta=False)
    assert table["lr"].tolist() == [1e-3] * 3
    assert sorted(table["val_mae"]) == [2.0, 4.0, 7.5]


def test_scores_are_averaged_across_an_entry(rm):
    table = rm.get_score_table(columns=["model.base"], score_columns=["val_mae"], avg_across="seed")
    rows = {row["model.base"]: row for row in table.to_dict("records")}
    assert rows["fpn_mobilenet_v2"]["runs"] == 2
    assert rows["fpn_mobilenet_v2"]["val_mae (mean)"] == 3.0
    assert rows["fpn_mobilenet_v2"]["val_mae (std)"] == pytest.approx(2**0.5)
    assert (rows["fcn8_resnet18"]["runs"], rows["fcn8_resnet18"]["val_mae (mean)"]) == (1, 7.5)
    assert len(table) == 2


@pytest.mark.filterwarnings("ignore:No artists with labels:UserWarning")  # Haven asks for a legend all the same
def test_a_metric_that_no_row_has_is_an_empty_curve(rm):
    for mode in ("line", "bar"):
        (figure,) = rm.get_plot_all(
            y_metric_list=["val_iou"], x_metric="epoch", mode=mode, bar_agg="last", legend_list=["seed"]
        )
        assert figure.axes[0].get_ylabel() == "val_iou"


def test_pictures_are_of_the_best_epoch(hr, tmp_path):
    make_run(tmp_path, maes=[1.0, 0.5, 3.0])
    (figure,) = hr.ResultManager(str(tmp_path), verbose=0).get_images(legend_list=["seed"])
    assert figure.axes[0].get_title().endswith("seed\n0_epoch:1")


def test_the_archive_holds_scores_and_experiments_and_leaves_a_notebook_alone(rm, runs, tmp_path):
    notebook = runs / "results.ipynb"
    notebook.write_text("mine")
    rm.to_zip("", str(tmp_path / "results.zip"))
    with zipfile.ZipFile(tmp_path / "results.zip") as archive:
        names = {name.split("/")[2] for name in archive.namelist()}
        assert (len(archive.namelist()), names) == (6, {"score_list.pkl", "exp_dict.json"})
    assert notebook.read_text() == "mine"
    notebook.unlink()


def fake_squeue(folder, monkeypatch, *lines, code=0):
    script = folder / "squeue"
    script.write_text(f"#!/bin/sh\nprintf '%s\\n' {' '.join(map(repr, lines))} {'>&2' if code else ''}\nexit {code}\n")
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}/bin")


def test_a_job_whose_run_stopped_early_is_completed(hr, tmp_path, monkeypatch):
    savedir = make_run(tmp_path / "runs", "max_epoch=9", maes=[1.0, 2.0])
    rows = pickle.loads((savedir / checkpoints.SCORES).read_bytes())
    rows[-1]["stopped_early"] = True
    checkpoints.save_pickle(savedir / checkpoints.SCORES, rows)
    (savedir / "job_dict.json").write_text(json.dumps({"job_id": "5", "command": "python trainval.py"}))
    fake_squeue(tmp_path, monkeypatch, "77 PENDING")
    (row,) = hr.ResultManager(str(tmp_path / "runs"), verbose=0).get_job_summary()
    assert row["job_state"] == "COMPLETED"


def test_states_of_jobs_are_what_the_queue_and_the_scores_say(hr, tmp_path, monkeypatch):
    runs = tmp_path / "runs"
    savedirs = {
        "RUNNING": make_run(runs, "seed=0", "max_epoch=2", maes=[1.0]),
        "COMPLETED": make_run(runs, "seed=1", "max_epoch=2", maes=[1.0, 2.0]),
        "FAILED": make_run(runs, "seed=2", "max_epoch=2", maes=[1.0]),
        "NOT SUBMITTED": make_run(runs, "seed=3", "max_epoch=2", maes=[1.0]),
    }
    for job_id, savedir in enumerate(list(savedirs.values())[:3]):
        (savedir / "job_dict.json").write_text(json.dumps({"job_id": f"{job_id}", "command": "python trainval.py"}))
    (savedirs["FAILED"] / "logs.txt").write_text("\n".join(map(str, range(30))))
    fake_squeue(tmp_path, monkeypatch, "0 RUNNING", "77 PENDING")
    rm = hr.ResultManager(str(runs), verbose=0)
    summary = {row["job_state"]: row for row in rm.get_job_summary()}
    assert {state: row["exp_id"] for state, row in summary.items()} == {s: p.name for s, p in savedirs.items()}
    assert summary["FAILED"]["logs"] == [str(n) for n in range(20, 30)]
    assert rm.get_job_status() == dict.fromkeys(savedirs, 1)
    assert "command:python trainval.py" in rm.get_job_failed()[0]
    fake_squeue(tmp_path, monkeypatch, "squeue: error: hm", "squeue: fatal: no cluster", code=1)
    with pytest.raises(ValueError, match="^SLURM does not answer: squeue: fatal: no cluster$"):
        rm.get_job_summary()
    (tmp_path / "squeue").unlink()
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(
        ValueError, match=r"^No scheduler on this machine \(no squeue\)\. Jobs .* 4 experiments: \d, \d, \d\.$"
    ):
        rm.get_job_summary()


def test_the_environment_carries_the_start_up_file():
    root = Path(lcfcn_haven.__file__).parents[1]
    (source,) = sorted((root / "environment").rglob("*.py"))
    installed = Path(sys.prefix) / source.relative_to(root / "environment")
    assert installed.read_text() == source.read_text()


def test_python_without_a_notebook_is_left_alone():
    script = "import sys, haven; print([type(f).__name__ for f in sys.meta_path], 'lcfcn_haven' in sys.modules)"
    answer = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert "HavenFinder" not in answer.stdout
    assert "False" in answer.stdout


def test_haven_needs_no_pkg_resources_once_repaired():
    script = (
        "import sys, lcfcn_haven; lcfcn_haven.install(); import haven;"
        "print(haven.__version__, 'pkg_resources' in sys.modules)"
    )
    answer = subprocess.run([sys.executable, "-W", "error", "-c", script], capture_output=True, text=True, check=True)
    assert answer.stdout == "0.7.3 False\n"


class Evil:
    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return (exec, (f"open({str(self.mark)!r}, 'w').close()",))


@pytest.mark.filterwarnings("ignore:No artists with labels:UserWarning")  # Haven asks for a legend all the same
def test_scores_that_hold_code_are_told_in_one_line_and_not_run(hr, tmp_path, monkeypatch, capsys):
    savedir = make_run(tmp_path / "runs", maes=[1.0])
    manager = hr.ResultManager(str(tmp_path / "runs"), verbose=0)
    for name in (checkpoints.SCORES, checkpoints.BEST_SCORES):
        (savedir / name).write_bytes(pickle.dumps([{"epoch": 0, "val_mae": Evil(tmp_path / "ran")}]))
    fake_squeue(tmp_path, monkeypatch, "77 PENDING")
    told = rf"^{tmp_path}.*names 'builtins.exec', which reading it would run; .*remove it"
    readers = (
        lambda: hr.ResultManager(str(tmp_path / "runs"), verbose=0),
        lambda: hr.hu.load_pkl(str(savedir / checkpoints.SCORES)),
        manager.get_score_table,
        manager.get_score_lists,
        manager.get_job_summary,
        lambda: manager.get_images(legend_list=["seed"]),
    )
    for reader in readers:
        with pytest.raises(ValueError, match=told) as error:
            reader()
        assert error.value._render_traceback_() == [str(error.value)]
    manager.get_plot_all(y_metric_list=["val_mae"], x_metric="epoch")
    assert f"{savedir / checkpoints.SCORES} names 'builtins.exec'" in capsys.readouterr().out
    assert not (tmp_path / "ran").exists()


def test_weights_that_hold_code_are_not_run(hr, tmp_path):
    savedir = make_run(tmp_path, maes=[1.0])
    torch.save({"model": Evil(tmp_path / "ran")}, savedir / checkpoints.BEST)
    chk = importlib.import_module("haven.haven_chk")
    exp_dict = json.loads((savedir / "exp_dict.json").read_text())
    for reader in (
        lambda: hr.hu.torch_load(str(savedir / checkpoints.BEST)),
        lambda: chk.load_checkpoint(exp_dict, str(tmp_path)),
    ):
        with pytest.raises(ValueError, match=f"{checkpoints.BEST} cannot be read"):
            reader()
    assert not (tmp_path / "ran").exists()
