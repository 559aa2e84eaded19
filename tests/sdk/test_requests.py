"""The shape of what goes out."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from enum import Enum
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any, cast
from uuid import UUID

import httpx
import pytest
import respx
from hypothesis import given, strategies as st
from pydantic import Field, SecretBytes, SecretStr

from tests.sdk.stub_server import StubServer
from tests.sdk.worlds import World
from timeweb_sdk import NOT_GIVEN, AsyncTimeweb, ConfigurationError, Model, RateLimit, Timeweb
from timeweb_sdk._core.request import encode_query, fill_path, to_json

URL = "https://api.timeweb.cloud"
CREATED = {"server": {"id": 1}}


class Port(Model):
    number: int
    min_size: int | None = Field(default=None, alias="min-size")
    password: SecretStr | None = None


class Color(Enum):
    RED = "red"


@respx.mock
def test_a_get() -> None:
    route = respx.get(f"{URL}/api/v1/servers/5").respond(json={"server": {"id": 5}})
    with Timeweb("token-1") as tw:
        assert tw.servers.get(5).id == 5
    request = route.calls.last.request
    assert request.headers["authorization"] == "Bearer token-1"
    assert request.headers["user-agent"].startswith("timeweb-sdk/")
    assert request.content == b""
    assert "content-type" not in request.headers


@respx.mock
async def test_an_async_get_over_the_small_pools() -> None:
    respx.get(f"{URL}/api/v1/servers/5").respond(json={"server": {"id": 5}})
    async with AsyncTimeweb("token-1") as tw:
        assert (await tw.servers.get(5)).id == 5


@respx.mock
def test_a_post_drops_what_was_not_given_and_sends_null_for_none() -> None:
    route = respx.post(f"{URL}/api/v1/servers").respond(json=CREATED)
    with Timeweb("t") as tw:
        tw.servers.create(name="web", preset_id=1, network={"id": "network-1"}, comment=None)  # type: ignore[arg-type]
    request = route.calls.last.request
    assert json.loads(request.content) == {"name": "web", "preset_id": 1, "network": {"id": "network-1"}, "comment": None}
    assert request.headers["content-type"] == "application/json"


@respx.mock
def test_files_go_out_as_a_form() -> None:
    route = respx.post(f"{URL}/api/v1/x").respond(json={})
    from timeweb_sdk._core.call import Call
    from timeweb_sdk._core.operation import Operation

    operation = Operation(
        id="upload", method="POST", path="/api/v1/x", attribute="x", tag="t", retry="unsent", body="multipart"
    )
    files = {"files": ("a.txt", io.BytesIO(b"content"))}
    with Timeweb("t") as tw:
        tw._execute(Call(operation, None, body={"public": True, "left_out": NOT_GIVEN}, files=files))
    request: httpx.Request = route.calls.last.request
    assert request.headers["content-type"].startswith("multipart/form-data")
    assert b'name="files"; filename="a.txt"' in request.content
    assert b"true" in request.content
    assert b"left_out" not in request.content


@respx.mock
@pytest.mark.parametrize("body", [b"image", io.BytesIO(b"image")])
def test_binary_bodies(body: Any) -> None:
    route = respx.put(f"{URL}/api/v1/x").respond(204)
    from timeweb_sdk._core.call import Call
    from timeweb_sdk._core.operation import Operation

    operation = Operation(id="put", method="PUT", path="/api/v1/x", attribute="x", tag="t", body="binary")
    with Timeweb("t") as tw:
        tw._execute(Call(operation, None, body=body))
    assert route.calls.last.request.content == b"image"
    assert route.calls.last.request.headers["content-type"] == "application/octet-stream"


MOSCOW = timezone(timedelta(hours=3))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (True, "true"),
        (None, "null"),
        (Decimal("1000000.000000000000000001"), "1000000.000000000000000001"),
        (Decimal("1E+3"), "1000"),
        (1.5, "1.5"),
        (2**70, str(2**70)),
        (datetime(2026, 6, 1, 12, tzinfo=MOSCOW), '"2026-06-01T09:00:00Z"'),
        (datetime(2026, 6, 1, 12), '"2026-06-01T12:00:00Z"'),
        (date(2026, 6, 1), '"2026-06-01"'),
        (SecretStr("sesame"), '"sesame"'),
        (Color.RED, '"red"'),
        (UUID(int=1), '"00000000-0000-0000-0000-000000000001"'),
        (IPv4Address("203.0.113.1"), '"203.0.113.1"'),
        ((1, 2), "[1,2]"),
        ({"a": NOT_GIVEN, "b": {"c": NOT_GIVEN, "d": 1}}, '{"b":{"d":1}}'),
        (
            Port.model_validate({"number": 1, "min_size": 2, "password": "sesame"}),
            '{"number":1,"min-size":2,"password":"sesame"}',
        ),
        (Port.model_validate({"number": 1, "extra_password": "sesame"}), '{"number":1,"extra_password":"sesame"}'),
        ("Привет", '"Привет"'),
    ],
)
def test_values_in_json(value: Any, text: str) -> None:
    got = to_json(value)
    if isinstance(value, Port):
        assert json.loads(got) == json.loads(text)
    else:
        assert got == text


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
        lambda children: st.lists(children) | st.dictionaries(st.text(), children),
    )
)
def test_json_is_what_the_standard_library_reads(value: Any) -> None:
    assert json.loads(to_json(value)) == value


@pytest.mark.parametrize("value", [float("nan"), Decimal("Infinity"), b"bytes", object()])
def test_what_json_cannot_carry_is_refused_and_located_but_not_shown(value: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"body\.list\.0 is") as caught:
        to_json({"list": [value]})
    assert "object at" not in str(caught.value)


@pytest.mark.parametrize("body", [{"name": "half \ud800", "root_pass": "sesame"}, "endless"], ids=["surrogate", "endless"])
def test_a_body_that_cannot_be_encoded_is_refused_and_not_shown(body: Any, server: StubServer) -> None:
    if body == "endless":
        body = {"root_pass": "sesame"}
        body["itself"] = body
    with (
        Timeweb("t", base_url=server.url) as tw,
        pytest.raises(ConfigurationError, match=r"^POST /x: body .*: give ") as caught,
    ):
        tw.request("POST", "/x", json=body)
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None
    assert server.arrivals == []


@pytest.mark.parametrize("value", [NOT_GIVEN, object(), float("inf"), b"x"], ids=["not given", "object", "inf", "bytes"])
def test_what_has_no_text_reaches_neither_body_nor_query(value: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"body\.list\.1 is"):
        to_json({"list": [1, value]})
    if value is not NOT_GIVEN:
        with pytest.raises(ConfigurationError, match="tags is a"):
            encode_query({"tags": [1, value]})


def test_what_is_absent_from_a_list_of_a_query_is_left_out() -> None:
    assert encode_query({"tags": [None, 1, NOT_GIVEN]}) == [("tags", "1")]


def test_keys_of_a_body_are_texts() -> None:
    assert to_json({1: 2, Color.RED: 3}) == '{"1":2,"red":3}'
    with pytest.raises(ConfigurationError, match="a key of body is a NoneType"):
        to_json({None: 1})


def test_query() -> None:
    given = {"flag": False, "many": ["a", 2], "when": datetime(2026, 6, 1), "amount": Decimal("1.50")}
    query = {**given, "none": None, "left_out": NOT_GIVEN}
    assert encode_query(query) == [
        ("flag", "false"), ("many", "a"), ("many", "2"), ("when", "2026-06-01T00:00:00Z"), ("amount", "1.50"),
    ]  # fmt: skip


NO_IDS = [None, "", "  ", ".", "..", "1/../2", "1\n", "\ud800", NOT_GIVEN, True, -1, 1.5, float("nan"), b"1", [1], {"id": 1}]


@pytest.mark.parametrize("value", NO_IDS, ids=repr)
def test_a_path_without_its_id_is_refused(value: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"server_id(=| is a).* cannot be part of /servers/\{server_id\}: give the id"):
        fill_path("/servers/{server_id}", {"server_id": value})


@pytest.mark.parametrize(("value", "text"), [(1, "1"), (0, "0"), (1.0, "1"), ("a@b.example", "a@b.example"), ("я", "%D1%8F")])
def test_ids_in_a_path(value: Any, text: str) -> None:
    assert fill_path("/servers/{server_id}", {"server_id": value}) == f"/servers/{text}"


def test_an_object_in_place_of_its_id_is_refused_and_not_shown(server: StubServer) -> None:
    class Machine(Model):
        id: int
        root_pass: SecretStr

    machine: Any = Machine(id=1, root_pass=SecretStr("sesame"))
    with Timeweb("t", base_url=server.url) as tw, pytest.raises(ConfigurationError, match="server_id is a Machine") as caught:
        tw.servers.get(machine)
    assert "sesame" not in str(caught.value)
    assert server.arrivals == []


@given(st.text(min_size=1).filter(lambda text: text.strip() and text not in (".", "..")))
def test_no_id_escapes_its_segment(value: str) -> None:
    try:
        path = fill_path("/servers/{id}/disks", {"id": value})
    except ConfigurationError:
        return
    assert path.count("/") == 3
    assert "?" not in path
    assert "#" not in path


@respx.mock
def test_an_id_with_a_slash_stays_in_its_place() -> None:
    route = respx.get(url__startswith=URL).respond(json={"server": {"id": 1}})
    with Timeweb("t") as tw:
        tw.servers.get("1/disks?a#b")  # type: ignore[arg-type]
    assert route.calls.last.request.url.raw_path == b"/api/v1/servers/1%2Fdisks%3Fa%23b"


@pytest.mark.parametrize(
    "path",
    [
        "https://elsewhere.example.com/x",
        "//elsewhere.example.com/x",
        "///elsewhere.example.com/x",
        "api/v1/x",
        "/a/../b",
        "/a/%2e%2e/b",
        "/a/..%2Fb",
        "/a\r\nb",
        "/a\tb",
        "/a#b",
        "/\ud800",
        "",
        None,
        b"/a",
    ],
    ids=repr,
)
def test_request_takes_paths_only(path: Any) -> None:
    with Timeweb("t") as tw, pytest.raises(ConfigurationError, match="path"):
        tw.request("GET", path)


@respx.mock
def test_request_passes_query_and_body_and_returns_the_body_as_it_came() -> None:
    route = respx.post(f"{URL}/api/v1/new").respond(201, json={"thing": {"id": 1}, "response_id": "r"})
    with Timeweb("t") as tw:
        assert tw.request("post", "/api/v1/new?a=1", query={"b": True}, json={"c": None}) == {
            "thing": {"id": 1},
            "response_id": "r",
        }
    request = route.calls.last.request
    assert str(request.url.query, "ascii") == "a=1&b=true"
    assert request.content == b'{"c":null}'


@respx.mock
def test_request_returns_text_and_bytes() -> None:
    respx.get(f"{URL}/text").respond(200, text="apiVersion: v1", headers={"content-type": "text/yaml"})
    respx.get(f"{URL}/bytes").respond(200, content=b"\x00\x01", headers={"content-type": "application/octet-stream"})
    with Timeweb("t") as tw:
        assert tw.request("GET", "/text") == "apiVersion: v1"
        assert tw.request("GET", "/bytes") == b"\x00\x01"


def test_request_keeps_what_the_path_asks(server: StubServer) -> None:
    path = "/api/v1/x?tag=a&tag=b&empty=&limit=5"
    World(False, "httpx").run(lambda tw: tw.request("GET", path, query={"limit": 7}), base_url=server.url)
    assert server.arrivals[0].target == "/api/v1/x?tag=a&tag=b&empty=&limit=7"


class SpoiltList(list[int]):
    def __iter__(self) -> Any:
        raise RuntimeError("spoilt")


class SpoiltFile(io.BytesIO):
    def read(self, *_: Any) -> bytes:
        raise RuntimeError("spoilt")


TOO_LONG = 10**5000
EAST = timezone(timedelta(hours=14))
UNFIT: dict[str, Callable[[Timeweb], object]] = {
    "an id too long to write": lambda tw: tw.servers.get(TOO_LONG),
    "a number too long to write": lambda tw: tw.servers.list(limit=TOO_LONG),
    "the same in a body": lambda tw: tw.request("POST", "/x", json=[TOO_LONG]),
    "a number that signals": lambda tw: tw.request("POST", "/x", json=Decimal("sNaN")),
    "a moment before all moments": lambda tw: tw.request("POST", "/x", json=datetime.min.replace(tzinfo=EAST)),
    "a list that fails": lambda tw: tw.request("POST", "/x", json=SpoiltList([1])),
    "bytes in place of a secret": lambda tw: tw.request("POST", "/x", json=SecretBytes(b"\xff")),
    "a file that fails": lambda tw: tw.images.upload("x", body=SpoiltFile(b"x")),
    "a folder for a reply": lambda tw: tw.request("GET", "/x", to=Path("/")),
    "no mapping for a query": lambda tw: tw.request("GET", "/x", query=cast(Any, [("a", 1)])),
    "a timeout that no clock has": lambda tw: tw.with_options(timeout=1e300),
    "a number for a rate": lambda tw: tw.with_options(rate_limit=RateLimit(cast(Any, 5))),
    "a number for an address": lambda tw: Timeweb("t", base_url=cast(Any, 5)),
    "a number for a name": lambda tw: Timeweb("t", application=cast(Any, 5)),
}


@pytest.mark.parametrize("name", UNFIT)
def test_no_argument_makes_a_call_raise_what_is_no_error_of_ours(name: str, server: StubServer) -> None:
    with Timeweb("t", base_url=server.url) as tw, pytest.raises(ConfigurationError) as caught:
        UNFIT[name](tw)
    assert (caught.value.delivery, server.arrivals) == ("not_sent", [])
    assert "\\xff" not in repr(caught.value.__cause__)


def test_names_in_a_query_are_texts(server: StubServer) -> None:
    World(False, "httpx").run(lambda tw: tw.request("GET", "/x", query={1: 2}), base_url=server.url)
    assert server.arrivals[0].target == "/x?1=2"
