"""nbformat loads when Haven uses it, and works then. In a Python of its own: here it may be loaded already."""

import subprocess
import sys

from helpers_data import ROOT

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
