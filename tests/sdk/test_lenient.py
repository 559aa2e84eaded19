"""What fits nowhere: which type it was meant for, what is kept of it, and how the place is named."""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal

import pytest
from pydantic import Field, SecretStr

from tests.sdk.test_decoding import LIST, ONE, Address, Machine, machine, one
from timeweb_sdk._core.decode import decode
from timeweb_sdk._core.lenient import fits
from timeweb_sdk._core.model import Model
from timeweb_sdk._core.operation import Operation
from timeweb_sdk.secrets import STARS


class Odd(Model):
    kind: str = Field(alias="type-of")
    percent: Annotated[int, Field(ge=5)] = 5
    thing: Address | Odd | None = None
    either: list[int] | dict[str, int] | None = None
    password: SecretStr = SecretStr("")
    secret_number: int = 0
    credentials: Address | None = None


def odd(**values: Any) -> Odd:
    got = decode(ONE, Odd, json.dumps({"machine": {"type_of": "x", **values}}).encode()).data
    assert isinstance(got, Odd)
    return got


@pytest.mark.parametrize(
    ("values", "name", "kept", "issues"),
    [
        ({"percent": 4}, "percent", 4, [("percent", "greater_than_equal")]),
        # The arm with most of the fields, the list for a list, the mapping for an object.
        ({"thing": {"ip": "203.0.113.5", "type": 5}}, "thing.ip", "203.0.113.5", [("thing.type", "string_type")]),
        ({"thing": {"TYPE_OF": 5, "type": "a", "percent": 5}}, "thing.kind", 5, [("thing.kind", "string_type")]),
        ({"either": [1, "x"]}, "either", [1, "x"], [("either.1", "int_parsing")]),
        ({"either": {"a": "x"}}, "either", {"a": "x"}, [("either.a", "int_parsing")]),
        ({"password": None}, "password", None, [("password", "string_type")]),
        ({"secret_number": "x"}, "secret_number", SecretStr("x"), [("secret_number", "int_parsing")]),
        ({"credentials": "sesame"}, "credentials", STARS, [("credentials", "model_type")]),
    ],
)
def test_each_odd_value_is_kept_where_it_stands(values: Any, name: str, kept: Any, issues: list[tuple[str, str]]) -> None:
    got: Any = odd(**values)
    assert got.kind == "x"
    assert [tuple(issue) for issue in got.decode_issues] == issues
    for part in name.split("."):
        got = getattr(got, part)
    assert got == kept


@pytest.mark.parametrize(
    ("wanted", "value", "fit"),
    [
        (Odd, {"Type-Of": 1}, True),
        (Odd, {"kind": 1}, False),
        (Annotated[Odd, "x"], {"type-of": 1}, True),
        (Odd | None, {"type-of": 1}, True),
        (int | str, "x", True),
        (int | str, [], False),
        (Any, 5, False),
        (Literal["a"], "a", False),
        (int, 5, True),
    ],
)
def test_whether_a_value_is_of_the_shape_of_a_type(wanted: Any, value: Any, fit: bool) -> None:
    assert fits(wanted, value) is fit


def test_a_list_as_php_writes_it() -> None:
    got = one(machine(disks={"10": {"id": 2, "size": 2}, "9": {"id": 1, "size": 1}}))
    assert [disk.id for disk in got.disks] == [1, 2]
    assert got.decode_issues == (("disks", "list_type"),)
    others: tuple[dict[str, Any], ...] = ({"disks": {}}, {"labels": {"1": "x"}})
    for kept in others:
        ((name, value),) = kept.items()
        assert getattr(one(machine(**kept)), name) == value


@pytest.mark.parametrize(
    ("operation", "wanted", "sent", "kept", "issue"),
    [
        (ONE, Machine, [1], [1], ("", "model_type")),
        (LIST, list[Machine], {"x": 1}, {"x": 1}, ("", "list_type")),
        (ONE, list[Annotated[int, Field(ge=0)]], [True], [True], ("0", "int_type")),
    ],
)
def test_a_payload_of_another_shape(operation: Operation, wanted: Any, sent: Any, kept: Any, issue: tuple[str, str]) -> None:
    got = decode(operation, wanted, json.dumps({operation.data_key: sent}).encode())
    assert (got.data, got.issues) == (kept, (issue,))


def test_the_only_item_is_the_first() -> None:
    got = decode(LIST, list[Machine], json.dumps({"machines": machine(id="odd")}).encode())
    assert got.issues == (("", "list_type"), ("0.id", "int_parsing"))


def test_bad_characters_are_named_wherever_they_are() -> None:
    content = json.dumps({"machine": machine(brand_new="DAMAGED")}).encode().replace(b"DAMAGED", b"caf\xe9")
    assert decode(ONE, Machine, content).data.decode_issues == (("brand_new", "string_unicode"),)
    texts = decode(ONE, dict[str, str], b'{"machine": {"a": "caf\xe9"}}')
    assert texts.issues == (("machine", "json_invalid"), ("a", "string_unicode"))
    named = json.dumps({"machine": machine(DAMAGED=1)}).encode().replace(b"DAMAGED", b"caf\xe9")
    assert decode(ONE, Machine, named).data.decode_issues == (("caf\N{REPLACEMENT CHARACTER}", "string_unicode"),)
