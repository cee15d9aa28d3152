import pytest
from helpers_runs import mistake

import trainval
from exp_configs import EXP_GROUPS
from lcfcn.errors import UserError
from lcfcn.files import TEMPORARY, remove_leftovers
from src.experiments import folders as experiments
from src.experiments import lock

DEMO = EXP_GROUPS["demo"][0]


def find(tmp_path, names=None, exp_id=None, assignments=()):
    return experiments.find_experiments(EXP_GROUPS, names, exp_id, tmp_path, list(assignments))


def test_find_by_group_by_id_and_from_the_folder(tmp_path):
    assert len(find(tmp_path, ["trancos"])) == 3
    assert find(tmp_path, ["demo", "demo"]) == [DEMO]
    exp_id = experiments.experiment_id(EXP_GROUPS["trancos"][1])
    assert find(tmp_path, ["trancos"], exp_id) == [EXP_GROUPS["trancos"][1]]
    experiments.open_experiment(DEMO, tmp_path, reset=False)
    assert find(tmp_path, None, experiments.experiment_id(DEMO)) == [DEMO]


def test_find_refuses_in_one_line(tmp_path):
    for arguments, message in [
        ((["tranco"],), "-e tranco is unknown; did you mean trancos.; choose from demo"),
        ((None, "0" * 32), f"-ei {'0' * 32} is unknown"),
        ((["demo"], "0" * 32), f"-ei {'0' * 32} is not in demo"),
        ((None, None), "there is no experiment to run"),
        ((None, "0" * 32, ["lr=1"]), "would change the experiment's id"),
    ]:
        with pytest.raises(UserError, match=message):
            find(tmp_path, *arguments)


def test_a_damaged_or_edited_exp_dict_is_refused(tmp_path):
    savedir = experiments.open_experiment(DEMO, tmp_path, reset=False)
    path = savedir / "exp_dict.json"
    text = path.read_text()
    path.write_text(text[:-20])
    with pytest.raises(UserError, match="is damaged"):
        find(tmp_path, None, savedir.name)
    path.write_text(text.replace("0.001", "0.002"))
    with pytest.raises(UserError, match="was changed"):
        find(tmp_path, None, savedir.name)


def test_reset_moves_the_experiment_to_havens_backup(tmp_path):
    savedir = experiments.open_experiment(DEMO, tmp_path, reset=True)
    (savedir / "model.pth").write_text("precious")
    assert experiments.open_experiment(DEMO, tmp_path, reset=False) == savedir
    assert (savedir / "model.pth").exists()
    experiments.open_experiment(DEMO, tmp_path, reset=True)
    assert not (savedir / "model.pth").exists()
    assert (tmp_path / "deleted" / savedir.name / "model.pth").read_text() == "precious"


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path):
    with pytest.raises(UserError, match="cannot be made"):
        experiments.open_experiment(DEMO, tmp_path / ("x" * 300), reset=True)


def test_each_reset_keeps_the_backups_before(tmp_path):
    for content in ("first", "second", "third"):
        savedir = experiments.open_experiment(DEMO, tmp_path, reset=True)
        assert not (savedir / "model.pth").exists()
        (savedir / "model.pth").write_text(content)
    backups = tmp_path / experiments.BACKUPS
    names = {f"{savedir.name}{end}": text for end, text in (("", "first"), ("_2", "second"))}
    assert {path.name: (path / "model.pth").read_text() for path in sorted(backups.iterdir())} == names
    assert (savedir / "model.pth").read_text() == "third"


def test_the_next_run_removes_what_a_killed_one_left_half_written(tmp_path):
    savedir = experiments.open_experiment(DEMO, tmp_path, reset=False)
    for folder in (savedir, savedir / "images"):
        (folder / TEMPORARY.format("1234")).write_bytes(b"half")
    (savedir / "mine.tmp").write_text("of the user")
    remove_leftovers(savedir / "nowhere")
    with experiments.held_experiment(DEMO, tmp_path, reset=False):
        left = sorted(path.name for path in savedir.rglob("*") if path.is_file())
        assert left == ["exp_dict.json", "mine.tmp", lock.LOCK]


def test_a_path_that_leaves_no_room_is_refused_before_anything_is_done(tmp_path, capsys):
    folder = tmp_path
    while len(str(folder)) < 3940:
        folder = folder / ("d" * 60)
    told = mistake(trainval.main, capsys, ["-e", "demo", "-sb", folder, "--device", "cpu"])
    assert "-sb is a path of" in told
    assert not (tmp_path / ("d" * 60)).exists()
