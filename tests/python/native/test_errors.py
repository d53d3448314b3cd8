"""Errors and their attributes."""

from __future__ import annotations

import pickle

import pytest

from virtualshell import _native
from virtualshell._native import Error, Session


def test_no_such_engine() -> None:
    with pytest.raises(Error) as caught:
        _native.find_engine("/no/such/pwsh")
    assert caught.value.name == "ZCB_ERR_NOT_FOUND" and caught.value.code == 14
    assert "/no/such/pwsh" in str(caught.value)
    with pytest.raises(Error, match="/no/such/pwsh"):
        Session(engine="/no/such/pwsh")


def test_error_survives_pickling() -> None:
    with pytest.raises(Error) as caught:
        _native.find_engine("/no/such/pwsh")
    error = pickle.loads(pickle.dumps(caught.value))
    assert type(error) is Error and str(error) == str(caught.value)
    assert (error.code, error.name, error.refused_by) == (14, "ZCB_ERR_NOT_FOUND", 0)


def test_error_has_its_attributes_before_it_is_raised() -> None:
    assert (Error.code, Error.name, Error.refused_by) == (0, "", 0)
    assert issubclass(Error, RuntimeError)
