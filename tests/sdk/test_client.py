"""The client as an object: settings, views, hooks, responses, lifecycle."""

from __future__ import annotations

import asyncio
import gc
import inspect
import logging
import os
import ssl
import subprocess
import sys
import threading
import warnings
from typing import Any

import httpx
import httpx2
import pytest

import timeweb_sdk
from tests.sdk.stub_server import StubServer, answer, error, html
from tests.sdk.worlds import TOKEN, SkippingClock, World
from timeweb_sdk import AsyncTimeweb, ConfigurationError, RateLimit, ReadOnlyError, Response, Timeweb
from timeweb_sdk._core import settings
from timeweb_sdk._core.events import Event
from timeweb_sdk.operations import OPERATIONS

SYNC = World(False, "httpx")
SERVER = {"server": {"id": 1, "name": "web"}, "response_id": "r-1"}


def test_public_names_are_importable_and_listed() -> None:
    for name in timeweb_sdk.__all__:
        assert getattr(timeweb_sdk, name) is not None
    assert set(timeweb_sdk.__all__) <= set(dir(timeweb_sdk))
    with pytest.raises(AttributeError, match="nonsense"):
        _ = timeweb_sdk.nonsense


def test_importing_the_package_imports_nothing_heavy() -> None:
    heavy = "('httpx', 'httpx2', 'pydantic', 'tenacity', 'redis')"
    code = f"import sys, timeweb_sdk; print([name for name in {heavy} if name in sys.modules])"
    names = "[name for name in ('httpx', 'tenacity') if name in sys.modules]"
    lean = f"import sys; from timeweb_sdk import Timeweb; Timeweb('t'); print({names})"
    for program in (code, lean):
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
        assert done.stdout.strip() == "[]"


def test_the_operation_table_is_read_only_and_names_methods_that_exist() -> None:
    with pytest.raises(TypeError):
        OPERATIONS["x"] = OPERATIONS["getServers"]  # type: ignore[index]
    for client in (Timeweb("t"), AsyncTimeweb("t")):
        for operation in OPERATIONS.values():
            node: Any = client
            for part in operation.attribute.split("."):
                node = getattr(node, part)
            assert inspect.ismethod(node), operation.attribute


@pytest.mark.parametrize(
    "variables", [("TIMEWEB_API_TOKEN",), ("TIMEWEB_CLOUD_TOKEN",), ("TIMEWEB_API_TOKEN", "TIMEWEB_CLOUD_TOKEN")]
)
def test_token_and_address_from_the_environment(
    variables: tuple[str, ...], world: World, server: StubServer, monkeypatch: pytest.MonkeyPatch, clock: SkippingClock
) -> None:
    for name in variables:
        monkeypatch.setenv(name, f"from-{name}")
    monkeypatch.setenv("TIMEWEB_BASE_URL", server.url + "/")
    world.run(lambda tw: tw.request("GET", "/x"), token=None)
    assert server.arrivals[0].headers["authorization"] == f"Bearer from-{variables[0]}"


def test_no_token_is_told_at_the_first_call(world: World, clock: SkippingClock) -> None:
    with pytest.raises(ConfigurationError, match="TIMEWEB_API_TOKEN"):
        world.run(lambda tw: tw.servers.get(1), token=None)


@pytest.mark.parametrize("token", ["", "  ", "\n"])
def test_a_blank_token_is_none(token: str, world: World, clock: SkippingClock, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigurationError, match="TIMEWEB_API_TOKEN"):
        world.run(lambda tw: tw.servers.get(1), token=token)
    monkeypatch.setenv("TIMEWEB_API_TOKEN", token)
    with pytest.raises(ConfigurationError, match="TIMEWEB_API_TOKEN"):
        world.run(lambda tw: tw.servers.get(1), token=None)


def test_whitespace_around_a_token_is_dropped(
    world: World, server: StubServer, clock: SkippingClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TIMEWEB_API_TOKEN", "\n")
    monkeypatch.setenv("TIMEWEB_CLOUD_TOKEN", f" {TOKEN}\r\n")
    for token in (None, f"{TOKEN}\n"):
        world.run(lambda tw: tw.request("GET", "/x"), base_url=server.url, token=token)
    assert {arrival.headers["authorization"] for arrival in server.arrivals} == {f"Bearer {TOKEN}"}


@pytest.mark.parametrize("token", ["Bearer sesame", "ses ame", "ses\name", "сезам", "ses\x00ame"])
def test_a_token_that_cannot_be_one_is_refused_but_not_shown(token: str) -> None:
    with pytest.raises(ConfigurationError, match="token") as caught:
        Timeweb(token)
    assert "ame" not in str(caught.value)
    assert "сезам" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "api.timeweb.cloud",
        "ftp://example.com",
        "https://",
        "https://user:sesame@example.com",
        "http://x/?a=1",
        "http://[x",
        "http://x:sesame@[",
        "http://x:99999",
        "http://x:port",
        "http://x y",
        "http://x/\x00",
    ],
)
def test_an_address_that_cannot_be_one_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationError, match="base_url") as caught:
        Timeweb("t", base_url=url)
    assert "sesame" not in str(caught.value)


@pytest.mark.parametrize("url", ["HTTPS://Example.com/", " https://example.com\n"])
def test_certificates_are_checked_however_the_address_is_written(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Any] = []

    def transport(*, verify: Any) -> httpx.MockTransport:
        made.append(verify)
        return httpx.MockTransport(reply_with_a_server)

    monkeypatch.setattr(httpx, "HTTPTransport", transport)
    with Timeweb("t", base_url=url) as tw:
        tw.servers.get(1)
    assert [type(verify) for verify in made] == [ssl.SSLContext]


def reply_with_a_server(request: httpx.Request) -> httpx.Response:
    assert request.url.host == "example.com"
    return httpx.Response(200, json={"server": {"id": 1}})


IMPOSSIBLE: list[dict[str, Any]] = [
    {"max_retries": -1}, {"max_retries": None}, {"timeout": 0}, {"timeout": None}, {"timeout": float("inf")},
    {"total_timeout": -5}, {"total_timeout": "60"}, {"rate_limit": None}, {"http_client": "aiohttp"}, {"token": b"sesame"},
    {"hooks": 5}, {"hooks": [print, "print"]},
]  # fmt: skip


@pytest.mark.parametrize("options", IMPOSSIBLE, ids=str)
def test_options_that_cannot_work_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match=rf"^{next(iter(options))}.*: give ") as caught:
        Timeweb(**{"token": "t", **options})
    assert "sesame" not in str(caught.value)


def test_a_client_of_the_wrong_kind_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="AsyncClient"):
        Timeweb("t", http_client=httpx.AsyncClient())
    with httpx.Client() as client, pytest.raises(ConfigurationError, match="AsyncClient"):
        AsyncTimeweb("t", http_client=client)


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_read_only_refuses_before_anything_is_sent(method: str, world: World, server: StubServer, clock: SkippingClock) -> None:
    with pytest.raises(ReadOnlyError, match=method) as caught:
        world.run(lambda tw: tw.request(method, "/x"), base_url=server.url, read_only=True)
    assert (caught.value.attempts, caught.value.delivery) == (0, "not_sent")
    assert world.run(lambda tw: tw.request("GET", "/x"), base_url=server.url, read_only=True) == {}
    assert [arrival.method for arrival in server.arrivals] == ["GET"]


def test_with_options_gives_a_view_on_the_same_connections(server: StubServer, clock: SkippingClock) -> None:
    with Timeweb(TOKEN, base_url=server.url, max_retries=0) as tw:
        view = tw.with_options(read_only=True, max_retries=2)
        assert type(view) is Timeweb
        tw.request("GET", "/x")
        view.request("GET", "/x")
        with pytest.raises(ReadOnlyError):
            view.servers.delete(1)
        server.play(html(502))
        with pytest.raises(timeweb_sdk.ServerError):
            view.servers.get(1)
        tw.servers.with_response.delete  # noqa: B018 (the node of the client itself is not the view's)
        assert tw.servers is not view.servers
    assert {arrival.connection for arrival in server.arrivals} == {1}
    assert len(server.arrivals) == 2 + 3
    with pytest.raises(ConfigurationError, match="with_options does not know colour"):
        tw.with_options(colour="red")  # type: ignore[call-arg]


def test_with_response(world: World, server: StubServer, clock: SkippingClock) -> None:
    server.play(html(503), answer(200, SERVER, headers={"X-Thing": "5"}))
    response: Response[Any] = world.run(lambda tw: tw.servers.with_response.get(1), base_url=server.url)
    assert response.data.name == "web"
    assert (response.status_code, response.response_id, response.attempts) == (200, "r-1", 2)
    assert response.headers["x-thing"] == "5"
    assert response.waited == pytest.approx(sum(clock.slept))


def test_with_response_of_a_list_and_of_nothing(world: World, server: StubServer, clock: SkippingClock) -> None:
    server.play(answer(200, {"servers": [{"id": 1}], "meta": {"total": 1}, "response_id": "r-1"}), answer(204))
    response = world.run(lambda tw: tw.servers.with_response.list(limit=5), base_url=server.url)
    assert (len(response.data), response.total, response.response_id) == (1, 1, "r-1")
    response = world.run(lambda tw: tw.servers.with_response.reboot(1), base_url=server.url)
    assert (response.data, response.status_code) == (None, 204)


def test_with_response_knows_its_methods() -> None:
    proxy = Timeweb("t").servers.with_response
    assert {"get", "list", "create"} <= set(dir(proxy))
    with pytest.raises(AttributeError, match="nonsense"):
        _ = proxy.nonsense  # type: ignore[attr-defined]
    with pytest.raises(AttributeError, match="disks"):
        _ = proxy.disks  # type: ignore[attr-defined]


def test_hooks_see_each_event_and_cannot_fail_the_call(
    world: World, server: StubServer, clock: SkippingClock, caplog: pytest.LogCaptureFixture
) -> None:
    events: list[Event] = []

    def broken(event: Event) -> None:
        raise RuntimeError("no")

    server.play(error(429), answer(200, SERVER))
    world.run(lambda tw: tw.servers.get(1), base_url=server.url, hooks=[events.append, broken])
    assert [event.kind for event in events] == ["request", "response", "retry", "request", "response"]
    assert [event.attempt for event in events] == [1, 1, 1, 2, 2]
    assert [event.status_code for event in events] == [None, 429, None, None, 200]
    assert events[2].error == "RateLimitError"
    assert events[2].wait == pytest.approx(clock.slept[0])
    assert {(event.operation, event.path) for event in events} == {("getServer", "/api/v1/servers/1")}
    assert "a hook failed on the retry event of getServer" in caplog.text


def test_a_call_without_faults_logs_one_debug_line(
    server: StubServer, clock: SkippingClock, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settings, "_named", set())
    monkeypatch.setattr(settings, "_named", set())
    monkeypatch.setattr(settings, "_named", set())
    with caplog.at_level(logging.DEBUG, "timeweb_sdk"):
        SYNC.run(lambda tw: tw.request("GET", "/x"), base_url=server.url)
    told = [record.levelname for record in caplog.records if record.name == "timeweb_sdk"]
    assert told == ["INFO", "DEBUG", "INFO"]  # the host, which is not Timeweb's; the attempt; the call


def test_closing_twice_is_fine_and_a_closed_client_says_so(world: World, server: StubServer, clock: SkippingClock) -> None:
    def use(tw: Any) -> Any:
        if not world.asynchronous:
            tw.request("GET", "/x")
            tw.close()
            tw.close()
            return tw.request("GET", "/x")

        async def steps() -> Any:
            await tw.request("GET", "/x")
            await tw.aclose()
            await tw.close()
            return await tw.request("GET", "/x")

        return steps()

    with pytest.raises(ConfigurationError, match="closed"):
        world.run(use, base_url=server.url)


@pytest.mark.parametrize("library", [httpx, httpx2])
def test_a_client_that_was_passed_in_stays_open(library: Any, server: StubServer, clock: SkippingClock) -> None:
    with library.Client(auth=("user", "password"), follow_redirects=True) as passed:
        with Timeweb(TOKEN, base_url=server.url, http_client=passed) as tw:
            tw.request("GET", "/x")
        assert not passed.is_closed
    assert server.arrivals[0].headers["authorization"] == f"Bearer {TOKEN}"


def test_a_client_that_was_passed_in_closed_says_so(world: World, clock: SkippingClock) -> None:
    library = httpx if world.library == "httpx" else httpx2
    passed: Any = library.AsyncClient() if world.asynchronous else library.Client()
    if world.asynchronous:
        asyncio.run(passed.aclose())
    else:
        passed.close()
    with pytest.raises(ConfigurationError, match="passed in is closed"):
        world.run(lambda tw: tw.request("GET", "/x"), http_client=passed)


async def test_an_async_client_that_was_passed_in_stays_open(server: StubServer, clock: SkippingClock) -> None:
    async with httpx2.AsyncClient() as passed:
        async with AsyncTimeweb(TOKEN, base_url=server.url, http_client=passed) as tw:
            await tw.request("GET", "/x")
        assert not passed.is_closed


def test_one_client_in_several_event_loops(server: StubServer, clock: SkippingClock) -> None:
    clients = [AsyncTimeweb(TOKEN, base_url=server.url)]

    async def call() -> None:
        await clients[0].request("GET", "/x")

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # connections of a loop that is gone cannot be closed in it
        asyncio.run(call())
        asyncio.run(call())
        clients.clear()
        gc.collect()
    assert len(server.arrivals) == 2


def test_a_client_passed_in_belongs_to_one_event_loop(server: StubServer, clock: SkippingClock) -> None:
    passed = httpx.AsyncClient(transport=httpx.MockTransport(lambda request: httpx.Response(200, json={})))
    tw = AsyncTimeweb(TOKEN, base_url=server.url, http_client=passed)
    other = asyncio.new_event_loop()
    try:
        other.run_until_complete(tw.request("GET", "/x"))
        with pytest.raises(ConfigurationError, match="another event loop"):
            asyncio.run(tw.request("GET", "/x"))
    finally:
        other.run_until_complete(passed.aclose())
        other.close()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_fork_gets_connections_and_limits_of_its_own(server: StubServer) -> None:
    program = f"""
import os, sys
from timeweb_sdk import Timeweb, RateLimit, Rate, ConfigurationError
import httpx
own = Timeweb("t", base_url={server.url!r}, rate_limit=RateLimit(Rate(1, 30)))
passed = Timeweb("t", base_url={server.url!r}, http_client=httpx.Client())
own.request("GET", "/parent"); passed.request("GET", "/passed")
if os.fork() == 0:
    own.request("GET", "/parent")
    for _ in range(2):
        try:
            passed.request("GET", "/passed")
        except ConfigurationError as error:
            assert "fork" in str(error)
        else:
            os._exit(1)
    os._exit(0)
sys.exit(os.waitstatus_to_exitcode(os.wait()[1]))
"""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program], capture_output=True, text=True, timeout=30, check=False
    )
    assert done.returncode == 0, done.stderr
    first, _, child = server.arrivals
    assert first.target == child.target == "/parent"
    assert first.connection != child.connection


def test_threads_share_a_client(server: StubServer, clock: SkippingClock) -> None:
    with Timeweb(TOKEN, base_url=server.url, rate_limit=RateLimit.off()) as tw:
        threads = [threading.Thread(target=tw.request, args=("GET", "/x")) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(server.arrivals) == 8


def test_clients_share_one_ssl_context() -> None:
    from timeweb_sdk._core.environment import ssl_context

    first = ssl_context(httpx)
    assert ssl_context(httpx2) is first


def test_clients_have_no_finaliser() -> None:
    for kind in (Timeweb, AsyncTimeweb):
        assert not hasattr(kind, "__del__")


async def test_a_proxy_of_the_environment_is_used(
    server: StubServer, monkeypatch: pytest.MonkeyPatch, clock: SkippingClock
) -> None:
    monkeypatch.setenv("HTTP_PROXY", server.url)
    async with AsyncTimeweb(TOKEN, base_url="http://api.example.com", allow_http=True) as tw:
        await tw.request("GET", "/x")
    assert server.arrivals[0].target == "http://api.example.com/x"


@pytest.mark.parametrize("with_response", [False, True])
def test_deprecated_operations_warn_at_the_caller(
    with_response: bool, world: World, server: StubServer, clock: SkippingClock
) -> None:
    server.play(answer(200, {"dbs": [], "db": {"id": 1}}))

    def use(tw: Any) -> Any:
        node = tw.dbs.with_response if with_response else tw.dbs
        return node.get(1)

    async def ause(tw: Any) -> Any:
        node = tw.dbs.with_response if with_response else tw.dbs
        return await node.get(1)

    with pytest.warns(DeprecationWarning, match=r"^dbs\.get is deprecated by Timeweb: use databases\.get$") as caught:
        world.run(ause if world.asynchronous else use, base_url=server.url)
    assert [(warning.filename, warning.lineno) for warning in caught] == [
        (__file__, (ause if world.asynchronous else use).__code__.co_firstlineno + 2)
    ]


def test_one_url_serves_clients_of_both_libraries(server: StubServer) -> None:
    """Parsed URLs are remembered, and each library has a class of its own for them."""
    server.play(answer(200, SERVER), answer(200, SERVER))
    for library in ("httpx", "httpx2"):
        with Timeweb("token", base_url=server.url, http_client=library) as tw:
            assert tw.servers.get(1).name == "web"
    assert len(server.arrivals) == 2
