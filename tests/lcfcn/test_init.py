"""The public names of the library."""

from pathlib import Path

import pytest

import lcfcn


@pytest.mark.parametrize("name", lcfcn.__all__)
def test_each_public_name_is_there_and_has_a_docstring(name):
    value = getattr(lcfcn, name)
    assert name == "__version__" or value.__doc__
    assert name in dir(lcfcn)


def test_a_name_that_is_not_public_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'lcfcn' has no attribute 'LCFCN'"):
        lcfcn.LCFCN  # noqa: B018


def test_type_checkers_find_it():
    assert (Path(lcfcn.__file__).parent / "py.typed").is_file()
