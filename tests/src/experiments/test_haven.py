"""Haven loads nbformat when it uses it, and reads scores and weights without running what they hold."""

import pickle
import subprocess
import sys

import pytest
import torch
from helpers_data import ROOT
from helpers_runs import make_run

from lcfcn.errors import UserError
from src.experiments.haven import haven_chk, haven_utils
from src.training import checkpoints


class Evil:
    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return (exec, (f"open({str(self.mark)!r}, 'w').close()",))


@pytest.mark.filterwarnings("ignore:No artists with labels:UserWarning")  # Haven asks for a legend all the same
def test_no_reader_of_haven_runs_scores_that_hold_code(tmp_path, capsys):
    from haven import haven_results

    savedir, ran = make_run(tmp_path / "runs", maes=[3.0]), tmp_path / "ran"
    manager = haven_results.ResultManager(str(savedir.parent), verbose=0)
    (savedir / checkpoints.SCORES).write_bytes(pickle.dumps([{"epoch": 0, "val_mae": Evil(ran)}]))
    pickle.loads((savedir / checkpoints.SCORES).read_bytes())
    assert ran.exists()  # the file would run, if it were read so
    ran.unlink()
    with pytest.raises(UserError, match=r"score_list.pkl names 'builtins.exec', which reading it would run") as error:
        haven_utils.load_pkl(str(savedir / checkpoints.SCORES))
    assert "\n" not in str(error.value)
    exp_dict = haven_utils.load_json(str(savedir / "exp_dict.json"))
    readers = [
        lambda: haven_results.ResultManager(str(savedir.parent), verbose=0),
        lambda: haven_utils.get_best_exp_dict([exp_dict], str(savedir.parent), metric="val_mae"),
        lambda: haven_results.get_score_lists([exp_dict], str(savedir.parent)),
        manager.get_score_df,
        manager.get_score_lists,
        lambda: manager.get_images(legend_list=["seed"]),
    ]
    for reader in readers:
        # Some of them hide the error behind one of their own.
        with pytest.raises((UserError, UnboundLocalError)):
            reader()
    manager.get_plot_all(y_metric_list=["val_mae"], x_metric="epoch")
    assert f"{savedir.name}: score_list.pkl is corrupt" in capsys.readouterr().out
    assert not ran.exists()


def test_weights_that_hold_code_are_not_run_by_haven(tmp_path):
    savedir, ran = make_run(tmp_path / "runs", maes=[3.0]), tmp_path / "ran"
    torch.save({"model": Evil(ran)}, savedir / checkpoints.BEST)
    exp_dict = haven_utils.load_json(str(savedir / "exp_dict.json"))
    for reader in (
        lambda: haven_utils.torch_load(str(savedir / checkpoints.BEST)),
        lambda: haven_chk.load_checkpoint(exp_dict, str(savedir.parent)),
    ):
        with pytest.raises(UserError, match=rf"{checkpoints.BEST} cannot be read"):
            reader()
    assert not ran.exists()


def test_plain_scores_are_read_as_they_were_written(tmp_path):
    savedir = make_run(tmp_path, maes=[3.0, 2.0])
    rows = haven_utils.load_pkl(str(savedir / checkpoints.SCORES))
    assert [row["val_mae"] for row in rows] == [3.0, 2.0]


SCRIPT = """
import sys
from src.experiments.haven import haven_utils
assert "nbformat" not in sys.modules, "loaded too early"
haven_utils.create_jupyter_file(sys.argv[1], "runs")
assert "nbformat" in sys.modules
import nbformat
notebook = nbformat.read(sys.argv[1], as_version=4)
nbformat.validate(notebook)
print(len(notebook.cells), sys.modules["nbformat"].__file__ == nbformat.__file__)
"""


def test_a_notebook_is_written_by_the_real_nbformat(tmp_path):
    command = [sys.executable, "-W", "ignore", "-c", SCRIPT, str(tmp_path / "a.ipynb")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    n_cells, is_real = done.stdout.splitlines()[-1].split()
    assert int(n_cells) > 3
    assert is_real == "True"


def test_one_that_is_loaded_already_stays():
    script = "import nbformat, sys; import src.experiments.haven; assert sys.modules['nbformat'] is nbformat"
    subprocess.run([sys.executable, "-W", "ignore", "-c", script], cwd=ROOT, check=True)
