"""`create_once`: whatever the network does, never two orders by us, and never something that was there before."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from inspect import signature
from typing import Any

import httpx
import pytest
from hypothesis import example, given, settings, strategies as st

from timeweb_sdk import AmbiguousOrder, AsyncTimeweb, ConfigurationError, RateLimit, Timeweb, TimewebError
from timeweb_sdk._core import clock as clocks
from timeweb_sdk._core.ordering import order_of
from timeweb_sdk._core.resource import Arguments, AsyncResource, Resource
from timeweb_sdk.testing import Emulator

PATIENCE = 100.0
ORDER: dict[str, Any] = {"name": "web", "preset_id": 1, "os_id": 2, "bandwidth": 100, "is_ddos_guard": False}


class FakeClock:
    """Time passes only while somebody sleeps."""

    now = 1000.0

    def monotonic(self) -> float:
        return self.now

    def time(self) -> float:
        return self.now

    def sleep(self, seconds: float, /) -> None:
        self.now += seconds

    async def asleep(self, seconds: float, /) -> None:
        self.sleep(seconds)


@dataclass
class Network:
    """An account behind a network that loses requests, loses replies and delivers late."""

    clock: FakeClock
    before: dict[int, str]
    posts: list[tuple[str, float]]
    """What becomes of each POST, and after how many seconds it arrives; later ones are lost."""
    looks: list[str] = field(default_factory=list)
    """What becomes of each list after the first; later ones arrive."""
    others: list[tuple[str, float]] = field(default_factory=list)
    """What somebody else orders: the name, and how many seconds after our order it is there."""
    arrivals: list[float] = field(default_factory=list)
    """When each order of ours arrives."""
    listed: int = 0

    def __post_init__(self) -> None:
        self.start = self.clock.now
        self.post_count = 0

    def servers(self) -> dict[int, str]:
        ours = {500 + number: ORDER["name"] for number, at in enumerate(self.arrivals) if at <= self.clock.now}
        others = {900 + n: name for n, (name, at) in enumerate(self.others) if self.arrivals_began() + at <= self.clock.now}
        return {**self.before, **ours, **(others if self.post_count else {})}

    def arrivals_began(self) -> float:
        return self.start

    def __call__(self, request: httpx.Request) -> httpx.Response:
        if request.method == "POST":
            return self._order(request)
        ident = request.url.path.rpartition("/")[2]
        if ident.isdigit():
            found = self.servers()
            if int(ident) not in found:
                return _error(404, "not_found")
            return httpx.Response(200, json={"server": _server(int(ident), found[int(ident)])})
        self.listed += 1
        if self.listed > 1 and self.looks:
            fate = self.looks.pop(0)
            if fate == "lost":
                self.clock.sleep(1)
                raise httpx.ReadTimeout("lost", request=request)
            if fate == "edge":
                return httpx.Response(502, html="<p>bad gateway</p>")
        items = [_server(ident, name) for ident, name in self.servers().items()]
        return httpx.Response(200, json={"servers": items, "meta": {"total": len(items)}})

    def _order(self, request: httpx.Request) -> httpx.Response:
        self.post_count += 1
        fate, after = self.posts.pop(0) if self.posts else ("lost", 0.0)
        if fate == "never left":
            raise httpx.ConnectError("refused", request=request)
        if fate == "refused":
            return _error(503, "service_unavailable")
        if fate == "wrong":
            return _error(400, "bad_request")
        if fate in ("late", "reply lost", "edge", "fault", "done"):
            self.arrivals.append(self.clock.now + (after if fate == "late" else 0))
        if fate == "edge":
            return httpx.Response(504, html="<p>gateway time-out</p>")
        if fate == "untold":
            self.arrivals.append(self.clock.now + after)
            return _success_without_words(int(after) % 5)
        if fate == "fault":
            return _error(500, "internal_server_error")
        if fate == "done":
            ident = 500 + len(self.arrivals) - 1
            return httpx.Response(201, json={"server": _server(ident, json.loads(request.content)["name"])})
        raise httpx.ReadTimeout("no reply", request=request)


def _server(ident: int, name: str) -> dict[str, Any]:
    return {"id": ident, "name": name, "status": "on"}


def _success_without_words(number: int) -> httpx.Response:
    return httpx.Response(201, content=[b"", b"{}", b'{"server": null}', b'{"server": {}}', b'{"server": {"id"'][number])


def _error(status: int, code: str) -> httpx.Response:
    return httpx.Response(status, json={"status_code": status, "error_code": code, "message": "what happened"})


def order(network: Network, *, asynchronous: bool) -> int:
    """Return the id of what was made."""
    options: dict[str, Any] = {"rate_limit": RateLimit.off(), "total_timeout": PATIENCE, "timeout": 5}
    transport = httpx.MockTransport(network)
    with clocks.use(network.clock):
        if not asynchronous:
            tw = Timeweb("t", http_client=httpx.Client(transport=transport), **options)
            return tw.create_once(tw.servers.create, **ORDER).id

        async def use() -> int:
            tw = AsyncTimeweb("t", http_client=httpx.AsyncClient(transport=transport), **options)
            return (await tw.create_once(tw.servers.create, **ORDER)).id

        return asyncio.run(use())


FATES = st.sampled_from(["never left", "refused", "wrong", "lost", "late", "reply lost", "edge", "fault", "untold", "done"])
BEFORE = st.dictionaries(st.integers(1, 400), st.sampled_from(["web", "db", "ab12-web", "web-2"]), max_size=4)


@settings(max_examples=150, deadline=None)
@example(before={}, posts=[("late", 99.9)], looks=[], asynchronous=False)
@example(before={}, posts=[("late", 100.1)], looks=[], asynchronous=False)
@given(
    before=BEFORE,
    posts=st.lists(st.tuples(FATES, st.floats(0, 2 * PATIENCE)), min_size=1, max_size=3),
    looks=st.lists(st.sampled_from(["lost", "edge", "fine"]), max_size=5),
    asynchronous=st.booleans(),
)
def test_never_two_orders_and_never_what_was_there_before(
    before: dict[int, str], posts: list[tuple[str, float]], looks: list[str], asynchronous: bool
) -> None:
    network = Network(FakeClock(), before, [*posts], [*looks])
    began = network.clock.now
    made, error = None, None
    try:
        made = order(network, asynchronous=asynchronous)
    except TimewebError as caught:
        error = caught
    if error is None:
        assert made == 500
    else:
        assert not isinstance(error, AmbiguousOrder)
        # It is there, or may come, only if the error says so; and what came in good time was found.
        assert error.may_be_done or not network.arrivals
        assert all(at > began + PATIENCE for at in network.arrivals)
    assert len(network.arrivals) <= 1
    assert network.clock.now - began < 3 * PATIENCE


@pytest.mark.parametrize("after", [0, 1, 2, 3, 4, PATIENCE + 1])
def test_a_success_that_does_not_tell_what_was_made_is_looked_for(after: float) -> None:
    network = Network(FakeClock(), {7: "web"}, [("untold", after)])
    if after < PATIENCE:
        assert order(network, asynchronous=False) == 500
        return
    with pytest.raises(TimewebError, match=r"servers\.create\(\): the API said that it is done") as caught:
        order(network, asynchronous=False)
    assert (caught.value.may_be_done, caught.value.delivery, caught.value.operation) == (True, "answered", "createServer")


@pytest.mark.parametrize("asynchronous", [False, True])
@pytest.mark.parametrize(
    ("others", "found"),
    [([("db", 0.0), ("web-2", 0.0), ("my-web", 0.0)], True), ([("web", 0.0)], False), ([("ab12345-web", 0.0)], False)],
)
def test_of_two_that_match_neither_is_taken(others: list[tuple[str, float]], found: bool, asynchronous: bool) -> None:
    network = Network(FakeClock(), {7: "web"}, [("reply lost", 0)], others=others)
    if found:
        assert order(network, asynchronous=asynchronous) == 500
        return
    with pytest.raises(AmbiguousOrder, match=r"500, 900 were new.* do not repeat") as caught:
        order(network, asynchronous=asynchronous)
    assert caught.value.candidates == (500, 900)
    assert caught.value.may_be_done
    assert (caught.value.operation, caught.value.delivery) == ("createServer", "unknown")
    assert isinstance(caught.value.__cause__, TimewebError)


def test_the_waits_double_and_end(monkeypatch: pytest.MonkeyPatch) -> None:
    network, waits = Network(FakeClock(), {}, [("lost", 0)]), list[float]()
    sleep = network.clock.sleep

    def remember(seconds: float) -> None:
        waits.append(seconds)
        sleep(seconds)

    monkeypatch.setattr(network.clock, "sleep", remember)
    with pytest.raises(TimewebError, match="no reply") as caught:
        order(network, asynchronous=False)
    assert waits == [1, 2, 4, 8, 16, 30, 30, pytest.approx(PATIENCE - 91)]
    assert caught.value.may_be_done


def test_nothing_is_ordered_where_what_is_there_cannot_be_known(monkeypatch: pytest.MonkeyPatch) -> None:
    posts = list[str]()

    def reply(request: httpx.Request) -> httpx.Response:
        posts.extend([request.method] if request.method == "POST" else [])
        return httpx.Response(200, json={"servers": "none of your business", "meta": {"total": 3}})

    tw = Timeweb("t", http_client=httpx.Client(transport=httpx.MockTransport(reply)), rate_limit=RateLimit.off())
    with pytest.raises(TimewebError, match="nothing was ordered"):
        tw.create_once(tw.servers.create, **ORDER)
    assert posts == []


def test_things_without_a_name_are_known_by_all_that_was_asked_for() -> None:
    emulator = Emulator()
    tw = emulator.client()
    old = tw.floating_ips.create(is_ddos_guard=False, availability_zone="spb-3")
    emulator.add_fault(operation="createFloatingIp", drop="after", times=1)
    made = tw.create_once(tw.floating_ips.create, is_ddos_guard=False, availability_zone="spb-3")
    assert made.id != old.id
    assert len(list(tw.floating_ips.list())) == 2


def test_what_cannot_be_found_again_is_refused_before_anything_is_sent() -> None:
    emulator = Emulator()
    tw, atw = emulator.client(), emulator.async_client()
    for create, arguments in (
        (tw.servers.with_response.create, {}),
        (atw.servers.create, ORDER),
        (len, {}),
        (tw.servers.start, {"server_id": 1}),
        (tw.servers.ips.create, {"server_id": 1, "type": "ipv4"}),
        (tw.servers.clone, {"server_id": 1.5}),
    ):
        call: Any = create
        with pytest.raises(ConfigurationError, match=r"tw\.servers\.create|by which to know"):
            tw.create_once(call, **arguments)
    with pytest.raises(TypeError, match="nonsense"):
        tw.create_once(tw.servers.create, name="x", nonsense=1)  # type: ignore[call-arg]
    assert not emulator.requests


PAID = [
    "servers", "databases", "balancers", "floating_ips", "k8s.clusters", "k8s.clusters.groups", "domain_requests", "routers",
    "network_drives", "storages.buckets", "container_registry", "dedicated_servers", "apps", "images", "servers.disks",
    "servers.disks.backups", "cloud_ai.agents", "cloud_ai.knowledge_bases", "cdn.http_resources", "vpcs", "projects",
]  # fmt: skip


@pytest.mark.parametrize("path", PAID)
@pytest.mark.parametrize("kind", [Timeweb, AsyncTimeweb])
def test_whatever_costs_money_can_be_made_once(path: str, kind: type[Any]) -> None:
    node: Any = kind("t")
    for part in path.split("."):
        node = getattr(node, part)
    given = {
        name: "x"
        for name, value in signature(node.create).parameters.items()
        if value.default is value.empty or name in ("name", "comment")
    }
    order = order_of(node.create, Arguments((), given), Resource if kind is Timeweb else AsyncResource)
    assert len(order.path) == path.count(".clusters.groups") + 2 * path.endswith("backups") + path.endswith("disks")
