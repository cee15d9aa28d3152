import pytest

from lcfcn.errors import UserError, one_line, suggestion


@pytest.mark.parametrize(
    ("name", "known", "expected"),
    [
        ("n_clases", ["base", "n_classes"], "; did you mean n_classes?"),
        ("shanghai_b", ["shanghai_A", "shanghai_B"], "; did you mean shanghai_B?"),
        ("tranco", {"demo": 1, "trancos": 2}, "; did you mean trancos?"),
        ("x", ["n_classes"], ""),
        ("base", [], ""),
        (3, ["33", "4"], "; did you mean 33?"),
    ],
)
def test_the_nearest_name_is_suggested_if_one_is_near(name, known, expected):
    assert suggestion(name, known) == expected
    assert suggestion(name, iter(known)) == expected


def test_a_message_is_one_line():
    assert one_line(UserError(" a \n\n   b  c\n")) == "a b  c"
    assert one_line(UserError("")) == ""


def test_of_a_workers_error_the_error_itself_is_left():
    text = "Caught UserError in DataLoader worker process 0.\nTraceback:\n  File x\nlcfcn.errors.UserError: a: b is bad"
    assert one_line(RuntimeError(text)) == "a: b is bad"
