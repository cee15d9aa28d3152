from pathlib import Path

import pytest

from src.experiments.command_line import parse_args


def test_the_defaults():
    args = parse_args(["-sb", "runs", "-e", "demo", "trancos"])
    assert (args.exp_group_list, args.savedir_base, args.reset) == (["demo", "trancos"], Path("runs"), 0)
    assert (args.num_workers, args.device, args.precision, args.set, args.job) == (0, "auto", "32", [], None)


def test_settings_add_up():
    args = parse_args(["-sb", "runs", "--set", "lr=1", "seed=2", "--set", "batch_size=3"])
    assert args.set == ["lr=1", "seed=2", "batch_size=3"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-e", "demo"], "required: -sb"),
        (["-sb", "runs", "-nw", "-1"], "-nw is -1; expected 0 to 1000"),
        (["-sb", "runs", "-r", "2"], "-r"),
        (["-sb", "runs", "--precision", "8"], "--precision"),
        (["-sb", "runs", "--tensorbord"], "--tensorbord; did you mean --tensorboard?"),
        (["-sb", "runs", "--devices", "cpu"], "did you mean --device?"),
    ],
)
def test_mistakes_are_one_line(capsys, arguments, message):
    with pytest.raises(SystemExit) as done:
        parse_args(arguments)
    err = capsys.readouterr().err
    assert done.value.code == 2
    assert err.count("\n") == 1
    assert err.startswith("trainval.py: error: ")
    assert message in err
