"""Replies that differ from the contract arrive whole, and say where they differ."""

from __future__ import annotations

import copy
import json
import logging
import pickle
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st
from pydantic import Field, SecretStr

from timeweb_sdk._core import decode as decoding
from timeweb_sdk._core.decode import Decoded, Mismatch, NotPromised, decode
from timeweb_sdk._core.model import DecodeIssue, Model
from timeweb_sdk._core.operation import Operation
from timeweb_sdk.secrets import STARS


class Address(Model):
    ip: str
    type: str


class Disk(Model):
    id: int
    size: int
    min_free: int | None = Field(default=None, alias="min-free")


class Machine(Model):
    id: int
    name: str
    status: str
    price: Decimal
    created_at: datetime
    root_pass: SecretStr | None
    disks: list[Disk]
    address: Address | None = None
    labels: dict[str, int] = Field(default_factory=dict)


LIST = Operation(id="getMachines", method="GET", path="/m", attribute="m.list", tag="t", data_key="machines", listing=True)
ONE = Operation(id="getMachine", method="GET", path="/m/{id}", attribute="m.get", tag="t", data_key="machine")
BARE = Operation(id="getBare", method="GET", path="/bare", attribute="bare.get", tag="t")
KEYS = Operation(id="getKeys", method="GET", path="/k", attribute="k.list", tag="t", data_key="ssh-keys", listing=True)


@pytest.fixture(autouse=True)
def nothing_warned_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoding, "_warned", set[tuple[str, str]]())


def machine(**changes: Any) -> dict[str, Any]:
    body = {
        "id": 1,
        "name": "web-1",
        "status": "on",
        "price": 1000.5,
        "created_at": "2026-06-01T12:00:00Z",
        "root_pass": "hunter2",
        "disks": [{"id": 7, "size": 1024}],
        "address": {"ip": "203.0.113.5", "type": "ipv4"},
    }
    return {**body, **changes}


def without(key: str) -> dict[str, Any]:
    return {name: value for name, value in machine().items() if name != key}


def one(body: dict[str, Any], **options: Any) -> Machine:
    decoded = decode(ONE, Machine, json.dumps({"machine": body, "response_id": "r"}).encode(), **options)
    assert decoded.response_id == "r"
    data = decoded.data
    assert isinstance(data, Machine)
    return data


def test_a_reply_that_keeps_the_contract_has_no_issues() -> None:
    got = one(machine())
    assert got.decode_issues == ()
    assert (got.price, got.disks[0].size) == (Decimal("1000.5"), 1024)


ODD: list[tuple[dict[str, Any], str, Any, tuple[tuple[str, str], ...]]] = [
    (machine(name=None), "name", None, (("name", "string_type"),)),
    (machine(name=5), "name", 5, (("name", "string_type"),)),
    (machine(status="hibernating"), "status", "hibernating", ()),
    (machine(id=1.0), "id", 1, ()),
    (machine(id="1"), "id", 1, ()),
    (machine(id=2**70), "id", 2**70, ()),
    (machine(id="r-1"), "id", "r-1", (("id", "int_parsing"),)),
    (machine(id=1.5), "id", 1.5, (("id", "int_from_float"),)),
    (machine(created_at="2026-06-01 12:00:00"), "created_at", datetime(2026, 6, 1, 12), ()),
    (machine(created_at="01.06.2026"), "created_at", "01.06.2026", (("created_at", "datetime_from_date_parsing"),)),
    (machine(price="12.30"), "price", Decimal("12.30"), ()),
    (machine(price="free"), "price", "free", (("price", "decimal_parsing"),)),
    (machine(price=1234567890123.45), "price", Decimal("1234567890123.45"), ()),
    (machine(disks=None), "disks", None, (("disks", "list_type"),)),
    (machine(address="203.0.113.5"), "address", "203.0.113.5", (("address", "model_type"),)),
    (machine(address={"ip": None, "type": "ipv_4"}), "status", "on", (("address.ip", "string_type"),)),
    (machine(brand_new={"deep": [1, None]}), "brand_new", {"deep": [1, None]}, ()),
    (without("status"), "status", None, (("status", "missing"),)),
    (machine(labels={"a": 1, "b": "many"}), "labels", {"a": 1, "b": "many"}, (("labels.b", "int_parsing"),)),
]


@pytest.mark.parametrize(("body", "field", "value", "issues"), ODD, ids=lambda item: None)
def test_odd_values_are_kept_and_named(
    body: dict[str, Any], field: str, value: Any, issues: tuple[tuple[str, str], ...]
) -> None:
    got = one(body)
    assert getattr(got, field) == value
    assert len(got.decode_issues) == len(issues)
    for issue, (path, kind) in zip(got.decode_issues, issues, strict=True):
        assert issue.path == path
        assert issue.kind.partition("_")[0] == kind.partition("_")[0]


def test_one_odd_item_costs_the_others_nothing() -> None:
    bodies = [machine(id=number) for number in range(1000)]
    bodies[17]["disks"][0]["size"] = "huge"
    decoded = decode(LIST, list[Machine], json.dumps({"machines": bodies, "meta": {"total": 1000}}).encode())
    assert [item.id for item in decoded.data] == list(range(1000))
    assert [number for number, item in enumerate(decoded.data) if item.decode_issues] == [17]
    assert decoded.data[17].decode_issues == (DecodeIssue("disks.0.size", "int_parsing"),)
    assert decoded.data[17].disks[0].decode_issues == (DecodeIssue("size", "int_parsing"),)
    assert decoded.total == 1000
    assert decoded.issues == (DecodeIssue("17.disks.0.size", "int_parsing"),)


def test_one_object_in_place_of_a_list_is_its_only_item() -> None:
    decoded = decode(LIST, list[Machine], json.dumps({"machines": machine()}).encode())
    assert [item.name for item in decoded.data] == ["web-1"]
    assert decoded.issues == (DecodeIssue("", "list_type"),)


def test_items_that_are_no_objects_are_kept() -> None:
    decoded = decode(LIST, list[Machine], json.dumps({"machines": [machine(), None, "x"]}).encode())
    assert decoded.data[1:] == [None, "x"]
    assert [issue.path for issue in decoded.issues] == ["1", "2"]


@pytest.mark.parametrize(
    "body",
    [
        {"machine": machine()},
        {"server": machine(), "meta": {}, "response_id": None},
        machine(),
        {**machine(), "response_id": "r"},
        {**machine(), "address": {"id": 7, "name": "nested"}},
        {"thing": machine(), "elapsed": 0.1, "warnings": []},
    ],
)
def test_the_payload_is_found_wherever_it_stands(body: dict[str, Any]) -> None:
    got = decode(ONE, Machine, json.dumps(body).encode()).data
    assert isinstance(got, Machine)
    assert (got.id, got.name) == (1, "web-1")


@pytest.mark.parametrize(
    "body",
    [{"ssh_keys": ["k"]}, {"ssh-keys": ["k"]}, {"keys": ["k"], "meta": {"total": 1}}, {"keys": ["k"], "page": {}}, ["k"]],
)
def test_a_list_is_found_wherever_it_stands(body: Any) -> None:
    assert decode(KEYS, list[str], json.dumps(body).encode()).data == ["k"]


@pytest.mark.parametrize(("documented", "sent"), [("ssh-keys", "ssh_keys"), ("ssh_keys", "ssh-keys"), ("ssh-keys", "ssh-keys")])
def test_the_other_spelling_of_the_key_is_no_issue_and_needs_no_second_look(
    documented: str, sent: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(decoding, "_decode_leniently")
    operation = replace(KEYS, data_key=documented)
    decoded = decode(operation, list[str], f'{{"{sent}": ["k"], "meta": {{"total": 0}}}}'.encode(), strict=True)
    assert decoded == Decoded(["k"], 0, None, ())


def test_a_spelling_that_is_found_at_the_second_look_is_no_issue_either() -> None:
    assert decode(KEYS, list[str], b'{"SSH_KEYS": ["k"]}', strict=True) == Decoded(["k"])


@pytest.mark.parametrize(("told", "kept"), [('"r-1"', "r-1"), ('""', None), ("5", None)])
def test_an_id_of_the_reply_is_a_text(told: str, kept: str | None) -> None:
    assert decode(KEYS, list[str], f'{{"ssh_keys": [], "response_id": {told}}}'.encode()).response_id == kept


@pytest.mark.parametrize(
    ("returns", "content", "data"),
    [
        # One key alone is an envelope, although it could be a field as well; beside others it is the field.
        (Machine, {"address": machine()}, 1),
        (Machine, {"address": {"id": 7, "name": "nested"}, "id": 5}, 5),
        (int, 5, 5),
        (int, {"thing": 5}, NotPromised),
        (int, "x", NotPromised),
    ],
)
def test_what_is_taken_for_the_payload(returns: Any, content: Any, data: Any) -> None:
    if data is NotPromised:
        with pytest.raises(NotPromised):
            decode(ONE, returns, json.dumps(content).encode())
        return
    decoded = decode(ONE, returns, json.dumps(content).encode())
    assert (decoded.data.id if returns is Machine else decoded.data) == data
    assert DecodeIssue("machine", "missing") in decoded.issues


def test_a_payload_without_an_envelope() -> None:
    assert decode(BARE, list[str], b'["k"]') == Decoded(["k"])
    odd = decode(BARE, Machine, json.dumps({**machine(id="odd"), "response_id": "r", "meta": {"total": 3}}).encode())
    assert (odd.response_id, odd.total, odd.issues) == ("r", 3, (DecodeIssue("id", "int_parsing"),))
    assert not {"meta", "response_id"} & odd.data.model_dump().keys()
    damaged = decode(BARE, Machine, json.dumps(machine(name="NAME")).encode().replace(b"NAME", b"caf\xe9"))
    assert damaged.issues[0] == DecodeIssue("", "json_invalid")


def test_what_came_is_not_shown() -> None:
    assert "sesame" not in repr(Decoded("sesame", body="sesame"))


def test_a_reply_without_the_payload_is_none_and_says_so() -> None:
    decoded = decode(LIST, list[Machine], b'{"response_id": "r", "meta": {"total": 0}}')
    assert decoded.data is None
    assert [issue.kind for issue in decoded.issues] == ["missing"]
    # An object about something else is no list, and yet no error: the page says that it is not complete.
    assert decode(LIST, list[Machine], b'{"message": "later"}').data is None
    with pytest.raises(Mismatch):
        decode(ONE, Machine, b'{"message": "later"}', strict=True)


def test_fields_are_found_under_the_other_spelling() -> None:
    (disk,) = one(machine(disks=[{"id": 1, "size": 1, "min_free": 5}])).disks
    assert disk.min_free == 5
    (disk,) = one(machine(disks=[{"id": 1, "size": None, "MIN_FREE": 5}])).disks
    assert disk.min_free == 5


def test_a_whole_body_loses_the_envelope_s_own_fields() -> None:
    decoded = decode(BARE, Machine, json.dumps({**machine(), "response_id": "r", "meta": {"total": 3}}).encode())
    assert (decoded.response_id, decoded.total) == ("r", 3)
    assert "response_id" not in decoded.data.model_dump()


def test_one_warning_for_each_place(caplog: pytest.LogCaptureFixture) -> None:
    bodies = json.dumps({"machines": [machine(price="free", id=number) for number in range(5)]}).encode()
    with caplog.at_level(logging.WARNING, "timeweb_sdk"):
        decode(LIST, list[Machine], bodies)
        decode(LIST, list[Machine], bodies)
    assert [record.getMessage() for record in caplog.records] == [
        "getMachines: the reply differs from the contract at [].price: decimal_parsing"
    ]


def test_warnings_and_issues_show_no_values(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        got = one(machine(id="sesame", root_pass=["sesame"]))
    assert "sesame" not in caplog.text + str(got.decode_issues)


def test_strict_raises() -> None:
    with pytest.raises(Mismatch) as caught:
        one(machine(price="free"), strict=True)
    assert caught.value.issues == (DecodeIssue("price", "decimal_parsing"),)
    assert one(machine(), strict=True).decode_issues == ()


@pytest.mark.parametrize("content", [b'"done"', b"5", b"true", b"[]", b'[{"a": 1}]', b'{"message": "later"}'])
def test_what_is_json_of_another_kind_is_told(content: bytes) -> None:
    with pytest.raises(NotPromised):
        decode(ONE, Machine, content)


@pytest.mark.parametrize(
    "content", [b"{}", b'{"response_id": "r-1"}', b'{"meta": {}, "response_id": "r-1"}', b"null", b'{"machine": null}']
)
def test_nothing_is_none_and_says_so(content: bytes) -> None:
    decoded = decode(ONE, Machine, content)
    assert decoded.data is None
    assert len(decoded.issues) >= 1


@pytest.mark.parametrize("content", [b"<html>", b"{", b'{"machine": {"id"', b"\xff\xfe", b"nope"])
def test_what_is_no_json_is_told(content: bytes) -> None:
    with pytest.raises(NotPromised):
        decode(ONE, Machine, content)


@pytest.mark.parametrize("secret", ["sesame", 12345, ["sesame"], {"value": "sesame"}])
def test_secrets_stay_masked_and_serialise_however_odd_they_come(secret: Any) -> None:
    got = one(machine(root_pass=secret, id="odd"))
    assert isinstance(got.root_pass, SecretStr)
    assert "sesame" in got.root_pass.get_secret_value() or "12345" in got.root_pass.get_secret_value()
    shown = f"{got!r} {got} {got.model_dump()} {got.model_dump_json()}"
    assert "sesame" not in shown
    assert "12345" not in shown


@pytest.mark.parametrize("odd", [{}, {"id": "odd"}], ids=["fast", "lenient"])
def test_secrets_in_unknown_fields_are_masked(odd: dict[str, Any]) -> None:
    unknown = {
        "admin_password": "sesame",
        "config": {"nested": [{"vnc_pass": "sesame", "port": 5}]},
        "secret_keys": ["sesame"],
        "s3": {"credentials": {"x": {"y": "sesame"}}},
    }
    got = one(machine(**unknown, **odd))
    assert "sesame" not in f"{got!r} {got.model_dump()} {got.model_dump_json()}"
    assert got.admin_password.get_secret_value() == "sesame"  # type: ignore[attr-defined]
    assert got.config["nested"][0]["port"] == 5  # type: ignore[attr-defined]


class App(Model):
    id: int
    envs: dict[str, Any] | None = None
    secure_token: dict[str, Any] = Field(default_factory=dict)
    anything: Any = None
    rows: list[dict[str, Any]] = Field(default_factory=list)


def test_secrets_in_open_fields_are_masked() -> None:
    body = {
        "id": 1,
        "envs": {"DB_PASSWORD": "sesame", "PORT": "80"},
        "secure_token": {"value": "sesame"},
        "anything": [{"api_key": "sesame"}],
        "rows": [{"secret": "sesame", "name": "x"}],
    }
    operation = Operation(id="getApp", method="GET", path="/a", attribute="a.get", tag="t", data_key="app")
    for odd in ({}, {"id": "odd"}):
        got = decode(operation, App, json.dumps({"app": {**body, **odd}}).encode()).data
        assert isinstance(got, App)
        assert got.envs is not None
        assert (got.envs["PORT"], got.rows[0]["name"]) == ("80", "x")
        assert got.envs["DB_PASSWORD"].get_secret_value() == "sesame"
        assert "sesame" not in f"{got!r} {got.model_dump()} {got.model_dump_json()}"


def test_a_lenient_object_survives_pickle_and_copy() -> None:
    got = one(machine(id="odd"))
    sealed = got.model_copy(update={"root_pass": SecretStr(STARS)})  # what is pickled may lie in a cache
    for twin, expected in (pickle.loads(pickle.dumps(got)), sealed), (copy.deepcopy(got), got), (got.model_copy(), got):
        assert twin == expected
        assert twin.decode_issues == got.decode_issues


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(st.text(max_size=5), children, max_size=3),
    max_leaves=5,
)


@given(st.dictionaries(st.sampled_from([*machine(), "labels", "unknown"]), json_values), st.sets(st.sampled_from([*machine()])))
@settings(max_examples=200, deadline=None)
def test_no_object_is_ever_lost(changes: dict[str, Any], removed: set[str]) -> None:
    odd = {key: value for key, value in {**machine(), **changes}.items() if key not in removed - changes.keys()}
    content = json.dumps({"machines": [machine(), odd, machine()]}).encode()
    before, got, after = decode(LIST, list[Machine], content).data
    assert isinstance(got, Machine)
    assert before.decode_issues == after.decode_issues == ()
    got.model_dump_json()
    missing = {issue.path for issue in got.decode_issues if issue.kind == "missing" and "." not in issue.path}
    assert missing <= removed


@given(json_values)
@settings(max_examples=200, deadline=None)
def test_no_body_of_json_ever_raises(body: Any) -> None:
    with suppress(NotPromised):
        decode(ONE, Machine, json.dumps(body).encode())
    decode(LIST, list[Machine], json.dumps({"machines": body}).encode())


@pytest.mark.parametrize("total", ["1e400", "-1e400", '"' + "9" * 5000 + '"', "-1", "true", '"many"', "[1]", "null"])
def test_a_total_that_is_no_number_is_none(total: str) -> None:
    decoded = decode(KEYS, list[str], f'{{"ssh_keys": ["k"], "meta": {{"total": {total}}}}}'.encode())
    assert (decoded.data, decoded.total) == (["k"], None)


DAMAGED = [
    (b"caf\xe9", "caf\N{REPLACEMENT CHARACTER}"),
    (b"half \\ud800", "half \N{REPLACEMENT CHARACTER}"),
    (b"a\x01b", "a\x01b"),
]


@pytest.mark.parametrize(("name", "kept"), DAMAGED, ids=["no UTF-8", "lone surrogate", "control"])
def test_a_bad_character_costs_nothing_but_itself(name: bytes, kept: str) -> None:
    machines = [machine(), machine(id=2, name="DAMAGED"), machine(id=3)]
    content = json.dumps({"machines": machines, "meta": {"total": 3}}).encode().replace(b"DAMAGED", name)
    decoded = decode(LIST, list[Machine], content)
    marks = (("name", "string_unicode"),) if "\N{REPLACEMENT CHARACTER}" in kept else ()
    assert [(one.id, one.name, one.decode_issues) for one in decoded.data] == [
        (1, "web-1", ()),
        (2, kept, marks),
        (3, "web-1", ()),
    ]
    assert decoded.issues == (("machines", "json_invalid"), *((f"1.{path}", kind) for path, kind in marks))
    assert json.loads(decoded.data[1].model_dump_json())["name"] == kept
    with pytest.raises(Mismatch):
        decode(LIST, list[Machine], content, strict=True)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
def test_json_in_another_encoding_is_read(encoding: str) -> None:
    content = json.dumps({"machine": machine(name="имя")}, ensure_ascii=False).encode(encoding)
    assert decode(ONE, Machine, content).data.name == "имя"


@pytest.mark.parametrize("depth", [100, 300, 900, 5000])
def test_a_body_nested_without_end_is_kept_or_refused(depth: int) -> None:
    content = json.dumps({"machine": machine(brand_new="DEEP")}).encode()
    content = content.replace(b'"DEEP"', b"[" * depth + b"]" * depth)
    try:
        kept = decode(ONE, Machine, content).data.brand_new is not None
    except NotPromised:
        kept = False
    # Between the two each Python has its own limit.
    assert kept if depth <= 300 else depth == 900 or not kept


@pytest.mark.parametrize(
    ("wanted", "sent"), [(list[int], [1, True]), (list[int | None], [None, True]), (dict[str, int], {"a": True}), (int, True)]
)
def test_nor_is_it_one_outside_a_model(wanted: Any, sent: Any) -> None:
    got = decode(ONE, wanted, json.dumps({"machine": sent}).encode())
    assert got.data == sent
    assert type(got.data) is type(sent)
    assert [issue.kind for issue in got.issues] == ["int_type"]


@pytest.mark.parametrize("value", [True, False])
def test_a_truth_is_no_number(value: bool) -> None:
    got = one(machine(id=value))
    assert got.id is value
    assert got.decode_issues == (("id", "int_type"),)
    assert one(machine(id="5")).id == 5
    assert one(machine(id=5.0)).decode_issues == ()
    with pytest.raises(Mismatch):
        decode(ONE, Machine, json.dumps({"machine": machine(id=value)}).encode(), strict=True)
