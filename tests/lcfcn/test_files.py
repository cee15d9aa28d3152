import os
import pickle

import pytest
import torch

from lcfcn.errors import UserError
from lcfcn.files import (
    TEMPORARY,
    csv_text,
    load_plain_pickle,
    load_tensors,
    make_folder,
    markdown_rows,
    remove_leftovers,
    save_pickle,
    write_bytes,
    write_whole,
)


def test_a_write_that_fails_leaves_the_old_file_and_nothing_beside_it(tmp_path):
    path = tmp_path / "file"
    write_whole(path, lambda file: file.write(b"old"))

    def fail(file):
        file.write(b"ne")
        raise OSError(28, "No space left on device")

    with pytest.raises(UserError, match="No space left on device"):
        write_whole(path, fail)
    with pytest.raises(UserError, match=r"cannot be written \(Not a directory\)"):
        write_whole(path / "below", fail)
    assert path.read_bytes() == b"old"
    assert [p.name for p in sorted(tmp_path.iterdir())] == ["file"]


def test_what_a_killed_run_left_does_not_matter(tmp_path):
    (tmp_path / TEMPORARY.format("1234")).write_bytes(b"left by a run that was killed")
    (tmp_path / "file.tmp").write_bytes(b"of somebody else")
    write_bytes(tmp_path / "file", b"new")
    remove_leftovers(tmp_path)
    found = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert found == {"file": b"new", "file.tmp": b"of somebody else"}


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path):
    make_folder(tmp_path / "a" / "b")
    make_folder(tmp_path / "a" / "b")
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="file/below cannot be made"):
        make_folder(tmp_path / "file" / "below")


def test_a_table_is_read_back_with_all_digits():
    text = csv_text(("name", "value"), [("a, b", 0.1 + 0.2), ('"\n', 1)])
    assert text == 'name,value\n"a, b",0.30000000000000004\n"""\n",1\n'


def test_columns_of_a_markdown_table_are_aligned():
    assert markdown_rows([["a", "b|c"], ["long", "1"]]) == ["| a    | b\\|c |", "|------|------|", "| long | 1    |"]


class Evil:
    def __reduce__(self):
        return (os.mkdir, ("made",))


def test_plain_values_are_read_and_nothing_is_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "scores.pkl"
    rows = [{"epoch": 1, "val_mae": 0.5, "name": None}]
    save_pickle(path, rows)
    assert load_plain_pickle(path) == rows
    path.write_bytes(pickle.dumps(Evil()))
    with pytest.raises(UserError, match=r"scores.pkl names 'posix.mkdir', which reading it would run; expected"):
        load_plain_pickle(path)
    assert not (tmp_path / "made").exists()
    path.write_bytes(pickle.dumps(rows)[:-5])
    with pytest.raises(UserError, match=r"scores.pkl is damaged \(.+\): remove it"):
        load_plain_pickle(path)
    assert load_plain_pickle(tmp_path / "none") is None


def test_tensors_that_cannot_be_read_are_told_with_the_way_out(tmp_path):
    class OwnError(UserError):
        pass

    torch.save({"a": torch.ones(2)}, tmp_path / "a.pth")
    assert load_tensors(tmp_path / "a.pth", "fetch it")["a"].tolist() == [1, 1]
    with pytest.raises(OwnError, match="there is no .*none.pth: fetch it"):
        load_tensors(tmp_path / "none.pth", "fetch it", OwnError)
    (tmp_path / "b.pth").write_bytes(b"no tensors")
    with pytest.raises(OwnError, match=r"b.pth cannot be read \(.*\): fetch it") as error:
        load_tensors(tmp_path / "b.pth", "fetch it", OwnError)
    assert "\n" not in str(error.value)


def test_two_writers_of_one_file_never_share_a_temporary_one(tmp_path):
    path = tmp_path / "file"

    def write_while_another_does(file):
        file.write(b"outer")
        write_whole(path, lambda inner: inner.write(b"inner"))
        assert path.read_bytes() == b"inner"

    write_whole(path, write_while_another_does)
    assert path.read_bytes() == b"outer"
    assert [file.name for file in sorted(tmp_path.iterdir())] == ["file"]
    (tmp_path / "other").write_bytes(b"")
    assert path.stat().st_mode == (tmp_path / "other").stat().st_mode


def test_a_file_with_the_longest_name_is_written(tmp_path):
    path = tmp_path / ("x" * 255)
    write_whole(path, lambda file: file.write(b"whole"))
    assert path.read_bytes() == b"whole"
