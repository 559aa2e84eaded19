"""Every generated model takes whatever comes."""

from __future__ import annotations

import json
from typing import Any

import pytest

from timeweb_sdk import models
from timeweb_sdk._core import decode as decoding
from timeweb_sdk._core.decode import decode
from timeweb_sdk._core.model import Model
from timeweb_sdk._core.operation import Operation
from timeweb_sdk.secrets import is_secret_name

ONE = Operation(id="getThing", method="GET", path="/t", attribute="t.get", tag="t", data_key="thing")
MODELS = sorted(
    (value for name in models.__all__ if isinstance(value := getattr(models, name), type) and issubclass(value, Model)),
    key=lambda model: model.__name__,
)


def ignore(operation: Operation, issues: object) -> None:
    """Instead of a warning."""


@pytest.mark.parametrize("oddity", [None, {"deep": [1]}, [{"x": None}], "odd", 1.5], ids=repr)
def test_every_field_may_be_odd(oddity: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoding, "warn", ignore)
    for model in MODELS:
        names = [field.alias or name for name, field in model.model_fields.items()]
        content = json.dumps({"thing": dict.fromkeys(names, oddity)}).encode()
        got = decode(ONE, model, content).data
        if not names:
            continue
        assert isinstance(got, model), model
        got.model_dump_json(by_alias=True)
        assert {issue.path for issue in got.decode_issues if "." not in issue.path} <= set(model.model_fields)


def test_every_field_may_be_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoding, "warn", ignore)
    for model in MODELS:
        got = decode(ONE, model, b'{"thing": {"something_else": 1}}').data
        required = {name for name, field in model.model_fields.items() if field.is_required()}
        assert {issue.path for issue in got.decode_issues} == required
        assert all(getattr(got, name) is None for name in required)


def test_what_the_contract_calls_secret_is_so_by_name_and_no_number_is() -> None:
    """What is hidden by name only (echoes in errors, cassettes) is hidden as the types hide it, and numbers stay numbers."""
    for model in MODELS:
        model.model_rebuild()
        for name, field in model.model_fields.items():
            if "SecretStr" in str(field.annotation):
                assert is_secret_name(field.alias or name), f"{model.__name__}.{name}"
            if str(field.annotation) in ("<class 'int'>", "int | None"):
                assert not is_secret_name(field.alias or name), f"{model.__name__}.{name}"


def test_no_model_shows_a_secret_that_came_under_a_secret_name() -> None:
    for model in MODELS:
        model.model_rebuild()
        for name, field in model.model_fields.items():
            if is_secret_name(name) and str(field.annotation) in ("<class 'str'>", "str | None"):
                pytest.fail(f"{model.__name__}.{name} is {field.annotation}, not a secret")
