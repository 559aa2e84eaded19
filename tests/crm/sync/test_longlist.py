"""A long list is read item by item, and as `json` reads it."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
from hypothesis import given, strategies as st

from crm_adapter.sync import longlist
from crm_adapter.sync.longlist import LongList

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**20), 10**20) | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)

_FAULT = r"expected|no list of rows|Expecting|Unterminated|Invalid"


def read(body: bytes) -> tuple[list[Any], dict[str, Any]]:
    rows = LongList(io.BytesIO(body), "rows")
    return list(rows), rows.rest


@pytest.fixture(params=[1, 7, 2**18])
def piece(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(longlist, "_PIECE", request.param)


@given(
    items=st.lists(VALUES, max_size=4),
    before=st.dictionaries(st.text(max_size=3), VALUES, max_size=2),
    after=st.dictionaries(st.text(max_size=3), VALUES, max_size=2),
    indent=st.sampled_from([None, 1]),
    escaped=st.booleans(),
    size=st.sampled_from([1, 3, 64]),
)
def test_it_reads_what_json_reads(
    items: list[Any], before: dict[str, Any], after: dict[str, Any], indent: int | None, escaped: bool, size: int
) -> None:
    body = {**before, "rows": items, **{key: value for key, value in after.items() if key not in before}}
    text = json.dumps(body, indent=indent, ensure_ascii=escaped)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(longlist, "_PIECE", size)
        rows, rest = read(text.encode("utf-8", "surrogatepass"))
        expected = json.loads(text.encode("utf-8", "surrogatepass").decode("utf-8", "replace"))
        assert rows == expected.pop("rows")
        assert rest == expected


@pytest.mark.usefixtures("piece")
def test_a_reply_that_ends_early_is_an_error_wherever_it_ends() -> None:
    whole = '{"a": [1, {"b": "я"}], "rows": [{"c": -1.5e3}, 12, "x", true], "meta": {"total": 4}}'.encode()
    assert read(whole) == ([{"c": -1500.0}, 12, "x", True], {"a": [1, {"b": "я"}], "meta": {"total": 4}})
    for end in range(len(whole)):
        with pytest.raises(ValueError, match=_FAULT):
            read(whole[:end])


@pytest.mark.usefixtures("piece")
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"null",
        b"<html></html>",
        b"{}",
        b'{"rows": null}',
        b'{"rows": {"1": 2}}',
        b'{"rows": [1], "rows": [2]}',
        b'{"rows": [1]} x',
        b'{"rows": [1]}{"rows": [2]}',
        b'{"rows": [1,]}',
        b'{"rows": [1 2]}',
        b'{"rows": [1} ',
        b'{"rows" [1]}',
        b'{"rows": [1],}',
    ],
)
def test_what_is_no_such_list_is_an_error(body: bytes) -> None:
    with pytest.raises(ValueError, match=_FAULT):
        read(body)


@pytest.mark.usefixtures("piece")
@pytest.mark.parametrize(
    ("item", "expected"),
    [
        (b'"\xff\xfe"', "\ufffd\ufffd"),
        (b'"a\tb"', "a\tb"),
        (b'"\r\n"', "\r\n"),
        (b"9" * 40, int("9" * 40)),
        (b"9" * 41, None),
        (b"9" * 5000, None),
        (b"-0", 0),
        (b'{"a": 1, "a": 2}', {"a": 2}),
    ],
)
def test_an_odd_item_does_not_cost_the_list(item: bytes, expected: object) -> None:
    assert read(b'{"rows": [1, ' + item + b", 2]}") == ([1, expected, 2], {})


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32"])
def test_it_knows_the_encodings_of_json(encoding: str) -> None:
    assert read('{"rows": ["я"]}'.encode(encoding)) == (["я"], {})


def test_nesting_without_end_is_an_error() -> None:
    with pytest.raises(RecursionError):
        read(b'{"rows": [' + b"[" * 200_000 + b"]" * 200_000 + b"]}")


def test_items_come_before_the_whole_is_decoded() -> None:
    file = io.BytesIO(b'{"rows": [' + b", ".join([b'{"number": 1}'] * 200_000) + b"]}")
    rows = iter(LongList(file, "rows"))
    assert next(rows) == {"number": 1}
    assert file.tell() < len(file.getvalue()) / 5
