"""Every fault, for every method, in every world: how often the server was asked, and what the caller is told."""

from __future__ import annotations

import socket
import ssl
from dataclasses import dataclass

import httpx
import pytest

from tests.sdk import stub_server as stub
from tests.sdk.stub_server import Behaviour, StubServer, answer, error, html, unused_port
from tests.sdk.worlds import SkippingClock, World
from timeweb_sdk import errors

METHODS = ("GET", "PUT", "DELETE", "POST", "PATCH")
UNSAFE = ("POST", "PATCH")


@dataclass(frozen=True)
class Fault:
    behaviour: Behaviour
    error: type[errors.TimewebError]
    delivery: str
    repeated: str
    """For which methods the request is sent again: "all", "safe" or "none"."""
    status: int | None = None
    from_edge: bool | None = None
    least_wait: float = 0.0

    def is_repeated(self, method: str) -> bool:
        return self.repeated == "all" or (self.repeated == "safe" and method not in UNSAFE)


def canonical(status: int, kind: type[errors.APIError], repeated: str = "none") -> Fault:
    return Fault(error(status), kind, "answered", repeated, status, from_edge=False)


def edge(behaviour: Behaviour, status: int, kind: type[errors.APIError] = errors.EdgeError, repeated: str = "safe") -> Fault:
    """Whatever an edge says, the request may have had its effect."""
    return Fault(behaviour, kind, "unknown", repeated, status, from_edge=True)


FAULTS = {
    "hang up": Fault(stub.hang_up, errors.ProtocolError, "unknown", "safe"),
    "reset": Fault(stub.reset, errors.ReadError, "unknown", "safe"),
    "half the headers": Fault(stub.half_the_headers, errors.ProtocolError, "unknown", "safe"),
    "truncated body": Fault(stub.half_a_reply, errors.ProtocolError, "unknown", "safe"),
    "broken gzip": edge(stub.broken_gzip, 200),
    "page for data": edge(html(200), 200),
    "html 404": edge(html(404), 404),
    "empty 404": edge(answer(404), 404),
    "json 404 without code": edge(answer(404, {"message": "no route"}), 404),
    "json 400 without code": edge(answer(400, {"error": "bad"}), 400),
    "redirect": edge(answer(302, headers={"Location": "http://127.0.0.1:1/elsewhere"}), 302),
    "html 502": edge(html(502), 502, errors.ServerError),
    "html 503": edge(html(503), 503, errors.ServerError),
    "html 503 with wait": Fault(html(503, {"Retry-After": "3"}), errors.ServerError, "unknown", "safe", 503, True, 3),
    # So the API itself refuses a wrong token.
    "empty 401": Fault(answer(401), errors.UnauthorizedError, "answered", "none", 401, from_edge=True),
    "html 401": edge(html(401), 401, errors.UnauthorizedError, "none"),
    "html 403": edge(html(403), 403, errors.ForbiddenError, "none"),
    "html 429": edge(html(429), 429, errors.RateLimitError),
    "empty 429 with wait": Fault(
        answer(429, headers={"Retry-After": "7"}), errors.RateLimitError, "unknown", "safe", 429, True, 7
    ),
    "429": canonical(429, errors.RateLimitError, "all"),
    "429 with wait": Fault(
        error(429, headers={"Retry-After": "7"}), errors.RateLimitError, "answered", "all", 429, from_edge=False, least_wait=7
    ),
    "503": canonical(503, errors.ServerError, "all"),
    "json 503 without code": edge(answer(503, {"message": "try later"}), 503, errors.ServerError),
    "500": canonical(500, errors.ServerError, "safe"),
    "400": canonical(400, errors.BadRequestError),
    "401": canonical(401, errors.UnauthorizedError),
    "403": canonical(403, errors.ForbiddenError),
    "404": canonical(404, errors.NotFoundError),
    "409": canonical(409, errors.ConflictError),
    "423": canonical(423, errors.LockedError),
    "405": canonical(405, errors.APIError),
}


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", FAULTS)
def test_fault(name: str, method: str, world: World, server: StubServer, clock: SkippingClock) -> None:
    fault = FAULTS[name]
    server.play(fault.behaviour)

    with pytest.raises(errors.TimewebError) as caught:
        world.run(lambda tw: tw.request(method, "/api/v1/things/1"), base_url=server.url, max_retries=2)

    raised = caught.value
    expected = 3 if fault.is_repeated(method) else 1
    assert type(raised) is fault.error
    assert len(server.arrivals) == raised.attempts == expected
    assert (raised.delivery, raised.operation) == (fault.delivery, f"{method} /api/v1/things/1")
    assert raised.may_be_done is (method != "GET" and (fault.delivery == "unknown" or name == "500"))
    assert len(clock.slept) >= expected - 1
    assert sum(clock.slept) >= fault.least_wait * (expected - 1)
    if isinstance(raised, errors.APIError):
        assert (raised.status_code, raised.from_edge) == (fault.status, fault.from_edge)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", [name for name in FAULTS if FAULTS[name].repeated != "none"])
def test_call_after_one_fault(name: str, method: str, server: StubServer, clock: SkippingClock) -> None:
    fault = FAULTS[name]
    server.play(fault.behaviour, answer(200, {"fine": True}))
    world = World(asynchronous=False, library="httpx")

    if fault.is_repeated(method):
        assert world.run(lambda tw: tw.request(method, "/api/v1/things/1"), base_url=server.url) == {"fine": True}
        assert len(server.arrivals) == 2
    else:
        with pytest.raises(fault.error):
            world.run(lambda tw: tw.request(method, "/api/v1/things/1"), base_url=server.url)
        assert len(server.arrivals) == 1


@pytest.mark.parametrize("method", METHODS)
def test_connection_closed_before_the_request_is_read(
    method: str, world: World, server: StubServer, clock: SkippingClock
) -> None:
    server.drop_before_reading = True

    with pytest.raises(errors.TransportError) as caught:
        world.run(lambda tw: tw.request(method, "/api/v1/things", json={"a": 1}), base_url=server.url, max_retries=2)

    assert caught.value.delivery == "unknown"
    assert server.accepted == caught.value.attempts == (1 if method in UNSAFE else 3)


@pytest.mark.parametrize("method", METHODS)
def test_refused_connection_is_repeated_for_every_method(method: str, world: World, clock: SkippingClock) -> None:
    with pytest.raises(errors.ConnectError) as caught:
        world.run(lambda tw: tw.request(method, "/x"), base_url=f"http://127.0.0.1:{unused_port()}", max_retries=2)

    assert (caught.value.attempts, caught.value.delivery) == (3, "not_sent")


@pytest.mark.parametrize("method", METHODS)
def test_reset_on_a_reused_connection_proves_nothing(
    method: str, world: World, server: StubServer, clock: SkippingClock
) -> None:
    server.play(answer(200, {}), stub.hang_up, answer(200, {"fine": True}))

    def use(tw: object) -> object:
        return _in_turn(tw, method)

    if method in UNSAFE:
        with pytest.raises(errors.TransportError) as caught:
            world.run(use, base_url=server.url)
        assert caught.value.delivery == "unknown"
        assert len(server.arrivals) == 2
    else:
        assert world.run(use, base_url=server.url) == {"fine": True}
        assert len(server.arrivals) == 3
    assert server.arrivals[1].connection == server.arrivals[0].connection


def _in_turn(tw: object, method: str) -> object:
    """A GET, then the call on the same connection."""
    request = tw.request  # type: ignore[attr-defined]
    first = request("GET", "/first")
    if not hasattr(first, "__await__"):
        return request(method, "/second")

    async def both() -> object:
        await first
        return await request(method, "/second")

    return both()


@pytest.mark.parametrize("method", METHODS)
def test_refusal_of_a_proxy_proves_that_nothing_arrived(
    method: str, world: World, server: StubServer, clock: SkippingClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", server.url)
    server.play(answer(407))

    with pytest.raises(errors.ProxyError) as caught:
        world.run(lambda tw: tw.request(method, "/x"), base_url="https://api.example.com", max_retries=1)

    assert (caught.value.attempts, caught.value.delivery) == (2, "not_sent")
    assert [arrival.method for arrival in server.arrivals] == ["CONNECT", "CONNECT"]


def test_idle_connection_that_the_server_closed_is_replaced(server: StubServer, clock: SkippingClock) -> None:
    def use(tw: object) -> object:
        request = tw.request  # type: ignore[attr-defined]
        request("GET", "/first")
        server.close_connections()
        return request("POST", "/second", json={})

    World(asynchronous=False, library="httpx").run(use, base_url=server.url)
    assert [arrival.method for arrival in server.arrivals] == ["GET", "POST"]


@pytest.mark.parametrize("method", METHODS)
def test_slow_reply(method: str, world: World, server: StubServer, clock: SkippingClock) -> None:
    server.play(stub.silence)

    # Long enough for a busy machine to accept and read: it bounds the time to connect as well.
    with pytest.raises(errors.ReadTimeout) as caught:
        world.run(lambda tw: tw.request(method, "/x"), base_url=server.url, max_retries=1, timeout=0.3)

    assert caught.value.delivery == "unknown"
    assert len(server.arrivals) == (1 if method in UNSAFE else 2)


def test_redirect_never_takes_the_token_elsewhere(world: World, server: StubServer, clock: SkippingClock) -> None:
    with stub.stub_server() as elsewhere:
        server.play(answer(307, headers={"Location": f"{elsewhere.url}/api/v1/servers/1"}))
        with pytest.raises(errors.EdgeError, match="redirect"):
            world.run(lambda tw: tw.servers.get(1), base_url=server.url, max_retries=0)
        assert elsewhere.accepted == 0


@pytest.mark.parametrize("location", ["mailto:x", "javascript:x", "http://x/\x01"])
def test_a_redirect_to_no_address_was_sent_all_the_same(
    location: str, world: World, server: StubServer, clock: SkippingClock
) -> None:
    server.play(answer(302, headers={"Location": location}))
    with pytest.raises((errors.ProtocolError, errors.EdgeError)) as caught:  # httpx looks at the address, httpx2 does not
        world.run(lambda tw: tw.request("POST", "/x"), base_url=server.url)
    assert caught.value.delivery != "not_sent"
    assert len(server.arrivals) == 1


@pytest.mark.parametrize("asynchronous", [False, True])
def test_a_broken_record_of_tls_is_a_broken_connection(asynchronous: bool, clock: SkippingClock) -> None:
    asked: list[httpx.Request] = []

    def break_off(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        raise ssl.SSLError("decryption failed or bad record mac")  # as the backend of httpx.AsyncClient lets it pass

    kind = httpx.AsyncClient if asynchronous else httpx.Client
    client = kind(transport=httpx.MockTransport(break_off))
    with pytest.raises(errors.ReadError, match="bad record mac") as caught:
        World(asynchronous, "httpx").run(lambda tw: tw.servers.get(1), http_client=client, max_retries=2)
    assert caught.value.delivery == "unknown"
    assert len(asked) == 3


def test_the_strongest_doubt_of_all_attempts_wins(world: World, server: StubServer, clock: SkippingClock) -> None:
    """The server takes a deletion and dies: that nobody answers the repetitions does not undo it."""

    def die(connection: socket.socket) -> None:
        server.close()

    server.play(die)
    with pytest.raises(errors.ConnectError) as caught:
        world.run(lambda tw: tw.servers.delete(7), base_url=server.url, max_retries=2)
    assert len(server.arrivals) == 1
    assert (caught.value.attempts, caught.value.delivery, caught.value.may_be_done) == (3, "unknown", True)


@pytest.mark.parametrize(
    ("first", "second", "delivery", "may_be_done"),
    [
        (stub.hang_up, error(409), "unknown", True),
        (html(502), error(409), "unknown", True),
        (error(500), error(409), "answered", True),
        (error(503), error(409), "answered", False),
        (error(429), html(403), "unknown", True),
    ],
)
def test_doubt_is_not_settled_by_a_later_answer(
    first: Behaviour, second: Behaviour, delivery: str, may_be_done: bool, server: StubServer, clock: SkippingClock
) -> None:
    server.play(first, second)
    with pytest.raises(errors.APIError) as caught:
        World(False, "httpx").run(lambda tw: tw.request("PUT", "/x"), base_url=server.url)
    assert (caught.value.attempts, caught.value.delivery, caught.value.may_be_done) == (2, delivery, may_be_done)


def test_a_deadline_over_the_waiting_keeps_the_doubt(world: World, server: StubServer, clock: SkippingClock) -> None:
    server.play(stub.hang_up, error(429, headers={"Retry-After": "3600"}))
    with pytest.raises(errors.DeadlineExceeded) as caught:
        world.run(lambda tw: tw.request("PUT", "/x"), base_url=server.url)
    assert (caught.value.delivery, caught.value.may_be_done) == ("unknown", True)
