"""Files of weights: found by path, folder or name, and read without running what they contain."""

import json
import pickle
from pathlib import Path

import pytest
import torch
from helpers_networks import trained_of

from lcfcn.counting import weight_files
from lcfcn.counting.weight_files import (
    BEST,
    LAST,
    class_names,
    default_names,
    find_checkpoint,
    load_checkpoint,
    ready_folder,
    ready_weights,
)
from lcfcn.errors import UserError


def test_each_of_the_ready_weights_has_its_file_its_card_and_what_it_counts():
    known = ready_weights()
    assert "shanghai_B" in known
    assert sorted(known) == [path.stem for path in sorted(ready_folder().glob("*.pth"))]
    for name, about in known.items():
        assert (ready_folder() / f"{name}.md").is_file()
        assert {"counts", "data"} <= set(about)
        assert find_checkpoint(name) == ready_folder() / f"{name}.pth"
    assert json.loads((ready_folder() / "index.json").read_text(encoding="utf-8")) == known


@pytest.fixture
def ready(tmp_path, monkeypatch):
    """Ready weights of the names full and half."""
    monkeypatch.setattr(weight_files, "ready_folder", lambda: tmp_path / "ready")
    monkeypatch.setattr(weight_files, "ready_weights", lambda: {"full": {}, "half": {}})
    return tmp_path / "ready"


def test_a_path_goes_before_a_name(ready, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert find_checkpoint("full") == find_checkpoint(Path("full")) == ready / "full.pth"
    (tmp_path / "full").write_text("a file of that name")
    assert find_checkpoint("full") == Path("full")


@pytest.mark.parametrize(
    ("name", "hint"),
    [("ful", r"; did you mean full\?"), ("full.pth", r"; did you mean full\?"), ("../weights/full", ""), ("x", "")],
)
def test_an_unknown_name_is_told_the_others(ready, tmp_path, monkeypatch, name, hint):
    monkeypatch.chdir(tmp_path)
    expected = rf"there is no {name}{hint}; expected .* the name of ready weights \(full, half\): check -c"
    with pytest.raises(UserError, match=expected):
        find_checkpoint(name)
    monkeypatch.setattr(weight_files, "ready_weights", dict)
    with pytest.raises(UserError, match=r"ready weights \(none are there\)"):
        find_checkpoint(name)


def test_of_an_experiments_folder_the_best_is_found_and_else_the_last(tmp_path):
    with pytest.raises(UserError, match=f"holds no {BEST} and no {LAST}"):
        find_checkpoint(tmp_path)
    (tmp_path / LAST).write_bytes(b"")
    assert find_checkpoint(tmp_path) == tmp_path / LAST
    (tmp_path / BEST).write_bytes(b"")
    assert find_checkpoint(str(tmp_path)) == tmp_path / BEST


def test_a_damaged_checkpoint_is_named(tmp_path):
    path = tmp_path / "model.pth"
    torch.save({"model": trained_of().network.state_dict()}, path)
    assert set(load_checkpoint(path)) == {"model"}
    whole = path.read_bytes()
    for content in (whole[: len(whole) // 2], b"", b"no checkpoint", whole[:-30]):
        path.write_bytes(content)
        with pytest.raises(UserError, match=r"model\.pth cannot be read") as error:
            load_checkpoint(path)
        assert "\n" not in str(error.value)
    with pytest.raises(UserError, match="there is no .*none"):
        load_checkpoint(tmp_path / "none.pth")


@pytest.mark.parametrize(
    "content",
    [[1], {"w": torch.zeros(1)}, *({"model": model} for model in ([], torch.zeros(1), {1: 2}, {"w": 2}))],
)
def test_what_holds_no_network_is_named(tmp_path, content):
    torch.save(content, tmp_path / "x.pth")
    with pytest.raises(UserError, match="x.pth holds no network under the key 'model'"):
        load_checkpoint(tmp_path / "x.pth")


class Evil:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (Path.touch, (self.path,))


@pytest.mark.parametrize("write", [torch.save, lambda content, path: path.write_bytes(pickle.dumps(content))])
def test_code_in_a_checkpoint_is_not_run(tmp_path, write):
    write({"model": {}, "x": Evil(tmp_path / "trace")}, tmp_path / "evil.pth")
    with pytest.raises(UserError, match="cannot be read"):
        load_checkpoint(tmp_path / "evil.pth")
    assert not (tmp_path / "trace").exists()


def test_names_of_classes_are_as_many_as_the_classes():
    assert class_names({"class_names": ["a", "b"]}, Path("x.pth"), 2) == ["a", "b"]
    assert class_names({}, Path("x.pth"), 2) is None
    for names in (["a"], ["a", 1], "ab", {"a": 1, "b": 2}):
        with pytest.raises(UserError, match=r"x.pth has the class_names .* expected a name for each .*, 2 in a list"):
            class_names({"class_names": names}, Path("x.pth"), 2)
    assert default_names(1) == ["object"]
    assert default_names(2) == ["class 1", "class 2"]
