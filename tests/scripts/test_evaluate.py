import runpy
import sys

import pytest
from helpers_data import ROOT
from helpers_evaluate import (
    failure,
)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "expected one thing to score"),
        (["-sb", "runs"], "expected one thing to score"),
        (["-sb", "runs", "-ei", "a", "--predictions", "p.csv"], "expected one thing to score"),
        (["-ei", "a", "--predictions", "p.csv"], "do not go with --predictions"),
        (["-sb", "runs", "-ei", "a", "-c", "net.pth"], "expected one thing to score"),
        (["-c", "net.pth", "--predictions", "p.csv"], "expected one thing to score"),
        (["-ei", "a", "-c", "net.pth", "-o", "out"], "do not go with -c"),
        (["-c", "net.pth"], "-c needs -o OUT"),
        (["-c", "net.pth", "-o", "out"], "there is no net.pth"),
        (["--predictions", "p.csv", "--dataset", "trancos"], "needs --dataset NAME and -o OUT"),
        (["-sb", "runs", "-ei", "a", "--dataset", "trancos"], "go with --predictions"),
        (["-sb", "runs", "-ei", "a", "--sigmas", "-4"], "'-4' is not a reach"),
        (["-sb", "runs", "-ei", "a", "--sigmas", "nan"], "'nan' is not a reach"),
        (["-sb", "runs", "-ei", "a", "--seed", "-1"], "--seed is -1"),
        (["--predictions", "p.csv", "--dataset", "synthetic", "-o", "o", "--set", "lr=1"], "lr is unknown"),
        (["--predictions", "no.csv", "--dataset", "synthetic", "-o", "o"], "no.csv is missing"),
    ],
)
def test_arguments_that_do_not_fit_are_one_line(tmp_path, monkeypatch, capsys, arguments, message):
    monkeypatch.chdir(tmp_path)
    assert message in failure(capsys, [*arguments, "--split", "val"])
    assert not sorted(tmp_path.iterdir())


def test_training_images_are_not_scored(capsys):
    assert "invalid choice: 'train'" in failure(capsys, ["-sb", "runs", "-ei", "a", "--split", "train"])


def test_the_file_runs_and_says_that_it_chooses_nothing(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["evaluate.py", "--help"])
    monkeypatch.setattr(sys, "path", [str(ROOT / "scripts")])
    with pytest.raises(SystemExit) as done:
        runpy.run_path(str(ROOT / "scripts" / "evaluate.py"), run_name="__main__")
    assert done.value.code == 0
    assert sys.path[0] == str(ROOT)
    text = " ".join(capsys.readouterr().out.split())
    assert "No option here tunes anything" in text
    assert "chose model_best.pth by its count error" in text
