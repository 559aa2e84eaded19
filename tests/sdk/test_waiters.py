"""Waiting for objects, on a clock that does not make anybody wait."""

from __future__ import annotations

from typing import Any

import pytest

from tests.sdk.stub_server import StubServer, answer, error
from tests.sdk.worlds import SkippingClock, World
from timeweb_sdk import ConfigurationError, WaitFailed, WaitTimeout


def one(status: str) -> Any:
    return answer(200, {"server": {"id": 1, "status": status}})


def many(**statuses: str) -> Any:
    servers = [{"id": int(name[1:]), "status": status} for name, status in statuses.items()]
    return answer(200, {"servers": servers, "meta": {"total": len(servers)}})


def test_until_the_status_is_there(world: World, server: StubServer, clock: SkippingClock) -> None:
    server.play(one("installing"), one("starting"), one("on"))
    arrived = world.run(lambda tw: tw.servers.wait_for(1, status="on", interval=7), base_url=server.url)
    assert arrived.status == "on"
    assert clock.slept == [7, 7]


def test_one_of_several_statuses_will_do(world: World, server: StubServer, clock: SkippingClock) -> None:
    server.play(one("installing"), one("off"))
    assert world.run(lambda tw: tw.servers.wait_for(1, status=("on", "off")), base_url=server.url).status == "off"


def test_it_ends_in_time(world: World, server: StubServer, clock: SkippingClock) -> None:
    server.play(one("installing"))
    with pytest.raises(WaitTimeout, match=r"1 did not reach 'on' within 60 s; the last status was 'installing'") as caught:
        world.run(lambda tw: tw.servers.wait_for(1, status="on", timeout=60, interval=10), base_url=server.url)
    assert (caught.value.last_status, caught.value.pending) == ("installing", (1,))
    assert sum(clock.slept) <= 60


@pytest.mark.parametrize("status", ["removing", "removed", "blocked", "permanent_blocked", "error"])
def test_a_status_without_hope_ends_it(status: str, world: World, server: StubServer, clock: SkippingClock) -> None:
    server.play(one("installing"), one(status))
    with pytest.raises(WaitFailed, match=status) as caught:
        world.run(lambda tw: tw.servers.wait_for(1, status="on"), base_url=server.url)
    assert (caught.value.last_status, caught.value.failed_id) == (status, 1)


def test_an_object_that_is_gone_ends_it(world: World, server: StubServer, clock: SkippingClock) -> None:
    server.play(one("installing"), error(404, "not_found"))
    with pytest.raises(WaitFailed, match="does not exist"):
        world.run(lambda tw: tw.servers.wait_for(1, status="on"), base_url=server.url)


def test_an_object_on_its_way_out_may_be_waited_for(server: StubServer, clock: SkippingClock) -> None:
    server.play(one("removing"), one("removed"))
    arrived = World(False, "httpx").run(lambda tw: tw.servers.wait_for(1, status="removed"), base_url=server.url)
    assert arrived.status == "removed"


def test_unpaid_for_a_moment_is_no_failure(server: StubServer, clock: SkippingClock) -> None:
    server.play(*[one("no_paid")] * 5, one("installing"), *[one("no_paid")] * 5, one("on"))
    run = World(False, "httpx").run
    assert run(lambda tw: tw.servers.wait_for(1, status="on", interval=10), base_url=server.url).status == "on"


def test_unpaid_for_good_is_one(world: World, server: StubServer, clock: SkippingClock) -> None:
    server.play(one("no_paid"))
    with pytest.raises(WaitFailed, match="no_paid"):
        world.run(lambda tw: tw.servers.wait_for(1, status="on", interval=10), base_url=server.url)
    assert 60 <= sum(clock.slept) <= 80


def test_many_at_once_by_one_list(world: World, server: StubServer, clock: SkippingClock) -> None:
    server.play(many(s1="on", s2="installing"), many(s1="off", s2="installing", s3="on"), many(s2="on", s3="on"))
    arrived = world.run(lambda tw: tw.servers.wait_for_many([3, 1, 2], status="on"), base_url=server.url)
    assert [item.id for item in arrived] == [3, 1, 2]
    assert len(server.arrivals) == 3


def test_many_tell_who_is_missing(world: World, server: StubServer, clock: SkippingClock) -> None:
    server.play(many(s1="on", s2="installing"))
    with pytest.raises(WaitTimeout) as caught:
        world.run(lambda tw: tw.servers.wait_for_many([1, 2, 3], status="on", timeout=20), base_url=server.url)
    assert caught.value.pending == (2, 3)


def test_waiting_for_nobody_asks_nobody(world: World, server: StubServer, clock: SkippingClock) -> None:
    assert world.run(lambda tw: tw.servers.wait_for_many([], status="on"), base_url=server.url) == []
    assert server.arrivals == []


@pytest.mark.parametrize("options", [{"timeout": 0}, {"interval": -1}])
def test_times_that_cannot_be_are_refused(options: dict[str, Any], clock: SkippingClock) -> None:
    with pytest.raises(ConfigurationError, match="positive"):
        World(False, "httpx").run(lambda tw: tw.servers.wait_for(1, status="on", **options))
