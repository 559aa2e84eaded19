"""Errors: their family, what they carry, that they travel, and what they hide."""

from __future__ import annotations

import copy
import inspect
import pickle
from typing import Any

import pytest

import timeweb_sdk
from tests.sdk.stub_server import Behaviour, StubServer, answer, error, hang_up, html
from tests.sdk.worlds import TOKEN, SkippingClock, World
from timeweb_sdk import errors

ALL = [value for _, value in inspect.getmembers(errors, inspect.isclass) if issubclass(value, errors.TimewebError)]


def test_the_family() -> None:
    assert issubclass(errors.ConnectTimeout, errors.ConnectError)
    kind: type[errors.TimewebError]
    for kind in (errors.ConnectError, errors.ReadTimeout, errors.PoolTimeout, errors.ProxyError, errors.WriteError):
        assert issubclass(kind, errors.TransportError)
    for kind in (errors.NotFoundError, errors.EdgeError, errors.ServerError, errors.RateLimitError, errors.LockedError):
        assert issubclass(kind, errors.APIError)
    assert not issubclass(errors.EdgeError, errors.NotFoundError)
    assert {kind.__name__ for kind in ALL} == set(errors.__all__)
    for kind in ALL:
        assert getattr(timeweb_sdk, kind.__name__) is kind


@pytest.mark.parametrize("kind", ALL, ids=lambda kind: kind.__name__)
def test_every_error_travels(kind: type[errors.TimewebError]) -> None:
    original = kind("what happened", operation="getServer", attempts=3, delivery="unknown")
    original.__dict__.update(status_code=500, messages=["a", "b"], response_id="r-1", hash="h")
    for twin in (pickle.loads(pickle.dumps(original)), copy.copy(original), copy.deepcopy(original)):
        assert type(twin) is kind
        assert vars(twin) == vars(original)
        assert str(twin) == str(original) == "getServer: what happened (after 3 attempts)"
        assert twin.message == "what happened"


def test_an_api_error_tells_what_the_api_said(world: World, server: StubServer, clock: SkippingClock) -> None:
    server.play(error(409, "conflict", ["name is taken", "try another"], details={"resource_id": 5, "api_key": "sesame"}))
    with pytest.raises(errors.ConflictError) as caught:
        world.run(lambda tw: tw.servers.get(1), base_url=server.url)
    told = caught.value
    assert (told.status_code, told.error_code, told.response_id, told.from_edge) == (409, "conflict", "r-1", False)
    assert told.messages == ["name is taken", "try another"]
    assert told.details["details"]["resource_id"] == 5
    assert str(told) == "getServer: 409 conflict: name is taken; try another"
    assert "sesame" not in repr(vars(told))
    assert (told.operation, told.attempts, told.delivery) == ("getServer", 1, "answered")


@pytest.mark.parametrize("message", ["one", ["one"], None, {"field": "one"}, 5, [None]])
def test_messages_are_always_a_list_of_texts(message: Any, server: StubServer, clock: SkippingClock) -> None:
    server.play(error(400, "bad_request", message))
    with pytest.raises(errors.BadRequestError) as caught:
        World(False, "httpx").run(lambda tw: tw.servers.get(1), base_url=server.url)
    assert all(isinstance(text, str) for text in caught.value.messages)


def test_a_minimal_404_is_the_api_s(server: StubServer, clock: SkippingClock) -> None:
    server.play(answer(404, {"error_code": "not_found"}))
    with pytest.raises(errors.NotFoundError) as caught:
        World(False, "httpx").run(lambda tw: tw.servers.get(1), base_url=server.url)
    assert caught.value.messages == []


def test_texts_that_echo_secrets_are_scrubbed(world: World, server: StubServer, clock: SkippingClock) -> None:
    echo = (
        f"bad: Authorization: Bearer {TOKEN} and {TOKEN}; root_pass=sesame, 'secret_key': 'sesame'; "
        "-----BEGIN RSA PRIVATE KEY-----\nsesame\n-----END RSA PRIVATE KEY-----"
    )
    server.play(error(500, "internal_server_error", echo))
    with pytest.raises(errors.ServerError) as caught:
        world.run(lambda tw: tw.servers.get(1), base_url=server.url, max_retries=0)
    shown = f"{caught.value} {vars(caught.value)}"
    assert TOKEN not in shown
    assert "sesame" not in shown
    assert "bad" in shown


def test_deletion_with_confirmation(world: World, server: StubServer, clock: SkippingClock) -> None:
    server.play(
        answer(200, {"server_delete": {"hash": "h-1", "is_moved_in_quarantine": False}, "response_id": "r-1"}),
        answer(200, {"server_delete": {"hash": "h-2", "is_moved_in_quarantine": True}}),
    )
    with pytest.raises(errors.ConfirmationRequired) as caught:
        world.run(lambda tw: tw.servers.delete(1), base_url=server.url)
    assert (caught.value.hash, caught.value.response_id, caught.value.operation) == ("h-1", "r-1", "deleteServer")
    assert world.run(lambda tw: tw.servers.delete(1, hash="h-1", code="123"), base_url=server.url) is None
    assert server.arrivals[1].target == "/api/v1/servers/1?hash=h-1&code=123"


def test_a_confirmation_that_was_not_accepted_is_asked_for_again(
    world: World, server: StubServer, clock: SkippingClock
) -> None:
    server.play(answer(200, {"server_delete": {"hash": "h-2", "is_moved_in_quarantine": False}}))
    with pytest.raises(errors.ConfirmationRequired, match="code was not accepted") as caught:
        world.run(lambda tw: tw.servers.delete(1, hash="h-1", code="123"), base_url=server.url)
    assert caught.value.hash == "h-2"


def test_a_quarantined_server_needs_no_confirmation(server: StubServer, clock: SkippingClock) -> None:
    server.play(answer(200, {"server_delete": {"hash": None, "is_moved_in_quarantine": True}}))
    assert World(False, "httpx").run(lambda tw: tw.servers.delete(1), base_url=server.url) is None


def test_a_404_after_a_delete_of_unknown_fate_is_success(world: World, server: StubServer, clock: SkippingClock) -> None:
    for lost in (hang_up, html(502)):
        server.arrivals.clear()
        server.play(lost, error(404, "not_found"))
        assert world.run(lambda tw: tw.servers.delete(1), base_url=server.url) is None
        assert len(server.arrivals) == 2


@pytest.mark.parametrize("refusal", [error(500), error(429), html(429), html(404)])
def test_a_404_after_a_delete_that_was_answered_is_an_error(
    refusal: Behaviour, server: StubServer, clock: SkippingClock
) -> None:
    server.play(refusal, error(404, "not_found"))
    with pytest.raises(errors.NotFoundError):
        World(False, "httpx").run(lambda tw: tw.servers.delete(1), base_url=server.url)


def test_an_edge_404_after_a_delete_proves_nothing(server: StubServer, clock: SkippingClock) -> None:
    server.play(hang_up, html(404))
    with pytest.raises(errors.EdgeError):
        World(False, "httpx").run(lambda tw: tw.servers.delete(1), base_url=server.url, max_retries=1)


@pytest.mark.parametrize("body", [None, b"  \n"])
def test_an_empty_success_is_none(body: Any, world: World, server: StubServer, clock: SkippingClock) -> None:
    server.play(answer(200, body))
    assert world.run(lambda tw: tw.servers.get(1), base_url=server.url) is None
    assert world.run(lambda tw: tw.request("POST", "/x"), base_url=server.url) is None
    assert world.run(lambda tw: tw.servers.reboot(1), base_url=server.url) is None


def test_strict_clients_raise_decode_errors(world: World, server: StubServer, clock: SkippingClock) -> None:
    server.play(answer(200, {"server": {"id": "sesame", "root_pass": "sesame"}, "response_id": "r-1"}))
    with pytest.raises(errors.DecodeError, match=r"id \(int_parsing\)") as caught:
        world.run(lambda tw: tw.servers.get(1), base_url=server.url, strict=True)
    assert caught.value.response_id == "r-1"
    assert ("id", "int_parsing") in caught.value.issues
    assert "sesame" not in f"{caught.value} {vars(caught.value)}"
    assert len(server.arrivals) == 1


@pytest.mark.parametrize("body", [b'"done"', b"5", b"[]", b'{"message": "later"}'])
def test_json_of_another_kind_is_from_the_edge(body: bytes, world: World, server: StubServer, clock: SkippingClock) -> None:
    server.play(answer(200, body))
    with pytest.raises(errors.EdgeError, match="another kind than promised") as caught:
        world.run(lambda tw: tw.servers.get(1), base_url=server.url, max_retries=0)
    assert (caught.value.status_code, caught.value.from_edge, caught.value.__context__) == (200, True, None)


def test_a_decode_error_has_no_context_that_holds_the_body(world: World, server: StubServer, clock: SkippingClock) -> None:
    server.play(answer(200, {"server": {"id": "sesame"}}))
    with pytest.raises(errors.DecodeError) as caught:
        world.run(lambda tw: tw.servers.get(1), base_url=server.url, strict=True)
    assert (caught.value.__context__, caught.value.__cause__) == (None, None)


ENVELOPE = '{"error_code": "not_found", "message": "нет", "response_id": "r"}'


@pytest.mark.parametrize(
    "content",
    [b"\xef\xbb\xbf" + ENVELOPE.encode(), ENVELOPE.encode("utf-16"), ENVELOPE.encode().replace("нет".encode(), b"\xd0")],
    ids=["BOM", "UTF-16", "half a character"],
)
def test_an_odd_encoding_does_not_hide_who_speaks(content: bytes, server: StubServer, clock: SkippingClock) -> None:
    server.play(answer(404, content))
    with pytest.raises(errors.NotFoundError, match="not_found") as caught:
        World(False, "httpx").run(lambda tw: tw.servers.get(1), base_url=server.url)
    assert caught.value.response_id == "r"


@pytest.mark.parametrize("key", ["message", "details"])
def test_an_error_nested_without_end_is_told_without_it(key: str, server: StubServer, clock: SkippingClock) -> None:
    nested = "[" * 900 + "]" * 900
    server.play(answer(409, f'{{"error_code": "conflict", "{key}": {nested}}}'.encode()))
    with pytest.raises(errors.ConflictError, match="409 conflict"):
        World(False, "httpx").run(lambda tw: tw.servers.get(1), base_url=server.url)


def test_no_part_of_an_error_holds_the_token(server: StubServer, clock: SkippingClock) -> None:
    body = {"error_code": TOKEN, "message": TOKEN, "response_id": TOKEN, TOKEN: {TOKEN: TOKEN}}
    server.play(answer(400, body))
    with pytest.raises(errors.BadRequestError) as caught:
        World(False, "httpx").run(lambda tw: tw.servers.get(1), base_url=server.url)
    assert TOKEN not in f"{caught.value!r} {vars(caught.value)}"
