"""Errors: their family, what they carry, that they travel, and what they hide."""

from __future__ import annotations

import copy
import inspect
import json
import pickle
from collections.abc import Callable
from typing import Any

import pytest

import timeweb_sdk
from tests.sdk.stub_server import Behaviour, StubServer, answer, error, hang_up, html
from tests.sdk.worlds import TOKEN, SkippingClock, World
from timeweb_sdk import errors

CLASSES = [value for name, value in inspect.getmembers(errors, inspect.isclass) if not name.startswith("_")]
ALL = [value for value in CLASSES if issubclass(value, errors.TimewebError)]


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
    assert str(told) == "servers.get(1): 409 conflict: name is taken; try another"
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


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (401, errors.UnauthorizedError),
        (403, errors.ForbiddenError),
        (429, errors.RateLimitError),
        (500, errors.ServerError),
        (400, errors.EdgeError),
        (404, errors.EdgeError),
        (409, errors.EdgeError),
        (423, errors.EdgeError),
    ],
)
def test_who_is_refused_or_too_fast_is_told_so_by_whatever_stands_before_the_api(
    status: int, kind: type[errors.APIError], server: StubServer, clock: SkippingClock
) -> None:
    server.play(html(status))
    with pytest.raises(errors.APIError) as caught:
        World(False, "httpx").run(lambda tw: tw.servers.get(1), base_url=server.url, max_retries=0)
    assert type(caught.value) is kind
    assert (caught.value.from_edge, caught.value.delivery) == (True, "unknown")


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


@pytest.mark.parametrize("refusal", [answer(401), error(401, "unauthorized", "Unauthorized")], ids=["empty", "envelope"])
@pytest.mark.parametrize("source", ["the argument token", "TIMEWEB_API_TOKEN", "TIMEWEB_CLOUD_TOKEN"])
def test_a_refused_token_says_what_to_look_at(
    source: str, refusal: Behaviour, world: World, server: StubServer, clock: SkippingClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    if source.startswith("TIMEWEB"):
        monkeypatch.setenv(source, TOKEN)
    server.play(refusal)
    with pytest.raises(errors.UnauthorizedError, match="wrong, expired or revoked") as caught:
        world.run(lambda tw: tw.servers.list(), base_url=server.url, token=None if source.startswith("TIMEWEB") else TOKEN)
    assert str(caught.value).endswith(f"it came from {source}")
    assert TOKEN not in str(caught.value)


def test_a_view_knows_where_the_token_came_from(server: StubServer, clock: SkippingClock) -> None:
    server.play(answer(401))
    with pytest.raises(errors.UnauthorizedError, match="came from the argument token"):
        World(False, "httpx").run(lambda tw: tw.with_options(max_retries=0).servers.get(1), base_url=server.url)


def test_a_400_without_a_code_still_says_what_it_says(server: StubServer, clock: SkippingClock) -> None:
    server.play(answer(400, {"message": ["name must be shorter", "password=sesame is weak"]}))
    with pytest.raises(errors.EdgeError, match="name must be shorter") as caught:
        World(False, "httpx").run(lambda tw: tw.servers.get(1), base_url=server.url, max_retries=0)
    assert "sesame" not in str(caught.value)


CALLS: list[tuple[Callable[[Any], Any], str]] = [
    (lambda tw: tw.domains.dns_records.list("home.example.com"), "domains.dns_records.list('home.example.com')"),
    (lambda tw: tw.servers.disks.backups.get(1, 2, 3), "servers.disks.backups.get(1, 2, 3)"),
    (lambda tw: tw.servers.delete(1, hash="sesame"), "servers.delete(1)"),
    (lambda tw: tw.request("GET", "/api/v1/x"), "GET /api/v1/x"),
]


@pytest.mark.parametrize(("call", "written"), CALLS)
def test_an_error_names_the_call_as_it_was_written(call: Any, written: str, server: StubServer, clock: SkippingClock) -> None:
    server.play(error(404, "not_found", "Not found"))
    with pytest.raises(errors.NotFoundError) as caught:
        World(False, "httpx").run(call, base_url=server.url)
    assert str(caught.value) == f"{written}: 404 not_found: Not found"
    assert caught.value.call == written


@pytest.mark.parametrize("body", [b'"done"', b"5", b"[]", b'{"message": "later"}', b'{"server": {"id": 1, "na'])
def test_a_success_that_changed_something_is_no_failure(
    body: bytes, world: World, server: StubServer, clock: SkippingClock
) -> None:
    server.play(answer(201, body))
    reply = world.run(lambda tw: tw.servers.with_response.create(name="w"), base_url=server.url)
    assert len(server.arrivals) == 1
    assert reply.data is None
    assert reply.decode_issues
    assert reply.body is not None
    with pytest.raises(errors.DecodeError) as caught:
        world.run(lambda tw: tw.servers.create(name="w"), base_url=server.url, strict=True)
    assert caught.value.may_be_done


def test_text_where_json_was_promised_after_a_change_is_given(server: StubServer, clock: SkippingClock) -> None:
    server.play(answer(200, b"OK, done", kind="application/json"))
    assert World(False, "httpx").run(lambda tw: tw.request("POST", "/x"), base_url=server.url) == b"OK, done"


def test_a_body_that_nobody_promised_is_within_reach(world: World, server: StubServer, clock: SkippingClock) -> None:
    server.play(answer(200, {"server_delete": {"is_moved_in_quarantine": True}, "root_pass": "sesame"}))
    reply = world.run(lambda tw: tw.servers.with_response.delete(1), base_url=server.url)
    assert reply.data is None
    assert reply.body["server_delete"]["is_moved_in_quarantine"] is True
    assert "sesame" not in repr(reply.body)


@pytest.mark.parametrize("encoding", ["cp1251", "bad byte"])
def test_replaced_text_is_marked_where_it_stands(
    encoding: str, world: World, server: StubServer, clock: SkippingClock, caplog: pytest.LogCaptureFixture
) -> None:
    body = json.dumps(
        {"servers": [{"id": 1, "name": "web"}, {"id": 2, "name": "сайт", "networks": [{"type": "сеть"}]}]},
        ensure_ascii=False,
    )
    content = body.encode("cp1251") if encoding == "cp1251" else body.encode().replace("сайт".encode(), b"\xd1x", 1)
    server.play(answer(200, content))
    sound, hurt = world.run(lambda tw: _items(tw.servers.list()), base_url=server.url)
    assert "string_unicode" not in {issue.kind for issue in sound.decode_issues}
    assert ("name", "string_unicode") in hurt.decode_issues
    assert (("networks.0.type", "string_unicode") in hurt.decode_issues) is (encoding == "cp1251")
    caplog.clear()
    world.run(lambda tw: tw.request("GET", f"/api/v1/{encoding[0]}-{world!r}"), base_url=server.url)
    assert "string_unicode" in caplog.text


def _items(page: Any) -> Any:
    if not hasattr(page, "__await__"):
        return page.items

    async def first() -> Any:
        return (await page).items

    return first()


def test_a_list_as_an_object_of_numbered_keys_keeps_its_items(world: World, server: StubServer, clock: SkippingClock) -> None:
    networks = {"10": {"type": "b"}, "2": {"type": "a"}}
    server.play(answer(200, {"servers": {"0": {"id": 1}, "2": {"id": 2, "networks": networks}}}))
    first, second = world.run(lambda tw: _items(tw.servers.list()), base_url=server.url)
    assert (first.id, second.id) == (1, 2)
    assert [network.type for network in second.networks] == ["a", "b"]
    assert ("networks", "list_type") in second.decode_issues
