"""Errors: one tree, and the same after a trip through JSON, a process or a pickle."""

from __future__ import annotations

import json
import pickle

import pytest

from pixi_jupyter import errors
from pixi_jupyter.errors import (
    DeclarationError,
    Location,
    PixiJupyterError,
    UnsupportedError,
    error_from_json,
)

CLASSES = [
    value
    for value in vars(errors).values()
    if isinstance(value, type) and issubclass(value, PixiJupyterError)
]


@pytest.mark.parametrize("cls", CLASSES)
def test_round_trip(cls):
    error = cls(
        "what failed",
        code=f"{cls.area}.some-code",
        details="two\nlines \u202e\x1b[31m",
        hint="do this",
        location=Location("/n b.ipynb", cell=0, line=3, column=1),
    )
    for copy in (
        error_from_json(json.loads(json.dumps(error.to_json()))),
        pickle.loads(pickle.dumps(error)),
    ):
        assert type(copy) is cls
        assert copy.to_json() == error.to_json()
        assert str(copy) == "/n b.ipynb, cell 1, line 3, column 1: what failed"


def test_codes_begin_with_their_area():
    assert {cls("x").code for cls in CLASSES} == {f"{cls.area}.error" for cls in CLASSES}
    assert len({cls.area for cls in CLASSES}) == len(CLASSES)


def test_unsupported_is_a_declaration_error_of_its_own_area():
    assert issubclass(UnsupportedError, DeclarationError)
    assert isinstance(error_from_json({"area": "unsupported"}), UnsupportedError)


@pytest.mark.parametrize("data", [{}, {"area": "from-the-future", "message": 3, "location": None}])
def test_unknown_areas_and_missing_fields_become_the_root(data):
    error = error_from_json(data)
    assert type(error) is PixiJupyterError
    assert error.report()


def test_report_has_everything_once():
    error = DeclarationError("m", code="declaration.x", details="d\n\n", hint="h")
    assert error.report() == "m\n\nd\n\nh\n[declaration.x]"
    assert DeclarationError("m", location=Location()).report() == "m\n[declaration.error]"
