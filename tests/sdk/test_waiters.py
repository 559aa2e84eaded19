"""Waiting for objects, on a clock that does not make anybody wait."""

from __future__ import annotations

import pickle
import time
from pathlib import Path
from typing import Any

import pytest

from tests.sdk.stub_server import StubServer, answer, error, hang_up, html
from tests.sdk.worlds import SkippingClock, World
from timeweb_sdk import (
    ConfigurationError,
    DeadlineExceeded,
    EdgeError,
    NotFoundError,
    ServerError,
    Timeweb,
    UnauthorizedError,
    WaitFailed,
    WaitTimeout,
)


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
    with pytest.raises(WaitTimeout, match=r"^servers\.get\(1\): 1 did not reach 'on' within 60 s; .* 'installing'") as caught:
        world.run(lambda tw: tw.servers.wait_for(1, status="on", timeout=60, interval=10), base_url=server.url)
    assert (caught.value.last_status, caught.value.pending) == ("installing", (1,))
    assert sum(clock.slept) <= 60


@pytest.mark.parametrize("status", ["removing", "removed", "deleting", "deleted", "blocked", "permanent_blocked", "error"])
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
    server.play(
        many(s1="on", s2="installing", s3="installing"),
        many(s1="off", s2="installing", s3="on"),
        many(s1="off", s2="on", s3="on"),
    )
    arrived = world.run(lambda tw: tw.servers.wait_for_many([3, 1, 2], status="on"), base_url=server.url)
    assert [item.id for item in arrived] == [3, 1, 2]
    assert len(server.arrivals) == 3


def test_what_the_list_does_not_have_yet_is_asked_for(world: World, server: StubServer, clock: SkippingClock) -> None:
    server.play(many(s1="on"), answer(200, {"server": {"id": 2, "status": "on"}}))
    arrived = world.run(lambda tw: tw.servers.wait_for_many([2, 1], status="on"), base_url=server.url)
    assert [item.id for item in arrived] == [2, 1]
    assert [arrival.target.partition("?")[0] for arrival in server.arrivals] == ["/api/v1/servers", "/api/v1/servers/2"]


@pytest.mark.parametrize("gone", ["canonical", "edge"])
def test_only_the_api_says_that_one_of_many_is_gone(gone: str, world: World, server: StubServer, clock: SkippingClock) -> None:
    server.play(many(s1="on"), error(404, "not_found") if gone == "canonical" else html(404))
    with pytest.raises(WaitFailed if gone == "canonical" else EdgeError) as caught:
        world.run(lambda tw: tw.servers.wait_for_many([1, 2], status="on", timeout=60), base_url=server.url, max_retries=0)
    if isinstance(caught.value, WaitFailed):
        assert caught.value.failed_id == 2
        assert caught.value.pending == (2,)
        assert [item.id for item in caught.value.arrived.values()] == [1]


def test_a_status_that_nobody_knows_is_told_at_once(world: World, server: StubServer, clock: SkippingClock) -> None:
    server.play(one("running"))
    with pytest.warns(UserWarning, match="'running' is not one that a Server") as told:
        got = world.run(lambda tw: tw.servers.wait_for(1, status=["on", "running"]), base_url=server.url)
    assert got.status == "running"
    assert "/tests/" in Path(told[0].filename).as_posix()


def test_every_status_of_the_contract_and_the_end_are_known(server: StubServer, clock: SkippingClock) -> None:
    server.play(one("on"))
    with Timeweb("token", base_url=server.url) as tw:
        for status in ("off", "blocked", "removed", "deleted"):
            assert tw.servers.wait_for(1, status={"on", status}).status == "on"


def test_an_id_as_text_is_that_id(world: World, server: StubServer, clock: SkippingClock) -> None:
    server.play(many(s1="on", s2="on"))
    arrived = world.run(lambda tw: tw.servers.wait_for_many(["2", "1"], status="on", timeout=20), base_url=server.url)
    assert [item.id for item in arrived] == [2, 1]


def test_many_tell_who_is_missing(world: World, server: StubServer, clock: SkippingClock) -> None:
    server.play(many(s1="on", s2="installing", s3="installing"))
    with pytest.raises(WaitTimeout) as caught:
        world.run(lambda tw: tw.servers.wait_for_many([1, 2, 3], status="on", timeout=20), base_url=server.url)
    assert caught.value.pending == (2, 3)
    assert {ident: item.status for ident, item in caught.value.arrived.items()} == {1: "on"}
    carried = pickle.loads(pickle.dumps(caught.value))
    assert (carried.pending, dict(carried.arrived)) == ((2, 3), {})


def test_waiting_for_nobody_asks_nobody(world: World, server: StubServer, clock: SkippingClock) -> None:
    assert world.run(lambda tw: tw.servers.wait_for_many([], status="on"), base_url=server.url) == []
    assert server.arrivals == []


@pytest.mark.parametrize("options", [{"timeout": 0}, {"interval": -1}])
def test_times_that_cannot_be_are_refused(options: dict[str, Any], clock: SkippingClock) -> None:
    with pytest.raises(ConfigurationError, match="positive"):
        World(False, "httpx").run(lambda tw: tw.servers.wait_for(1, status="on", **options))


def test_faults_that_pass_do_not_end_it(world: World, server: StubServer, clock: SkippingClock) -> None:
    server.play(error(503), hang_up, error(429), one("installing"), html(502), one("on"))
    waited = lambda tw: tw.servers.wait_for(1, status="on", interval=10)  # noqa: E731
    assert world.run(waited, base_url=server.url, max_retries=0).status == "on"
    assert len(server.arrivals) == 6


def test_faults_that_do_not_pass_are_the_cause(world: World, server: StubServer, clock: SkippingClock) -> None:
    server.play(one("installing"), error(500, "broken"))
    for wait in (
        lambda tw: tw.servers.wait_for(1, status="on", timeout=60, interval=10),
        lambda tw: tw.servers.wait_for_many([1], status="on", timeout=60, interval=10),
    ):
        with pytest.raises(WaitTimeout, match="the last look failed: 500 broken") as caught:
            # No retries: a backoff longer than what is left for the last look would be the cause instead.
            world.run(wait, base_url=server.url, max_retries=0)
        assert isinstance(caught.value.__cause__, ServerError)
        assert caught.value.operation in ("getServer", "getServers")
        assert caught.value.attempts >= 7


def test_other_faults_end_it(world: World, server: StubServer, clock: SkippingClock) -> None:
    server.play(error(401, "unauthorized"))
    with pytest.raises(UnauthorizedError):
        world.run(lambda tw: tw.servers.wait_for(1, status="on"), base_url=server.url)


def test_a_look_does_not_outlast_the_wait(world: World, server: StubServer) -> None:
    server.play(answer(200, {}, delay=60))
    began = time.monotonic()
    with pytest.raises(WaitTimeout) as caught:
        world.run(lambda tw: tw.servers.wait_for(1, status="on", timeout=0.3, interval=0.1), base_url=server.url)
    assert time.monotonic() - began < 30
    assert isinstance(caught.value.__cause__, DeadlineExceeded)


def test_failures_say_what_they_took(world: World, server: StubServer, clock: SkippingClock) -> None:
    server.play(one("installing"), error(503), one("error"))
    with pytest.raises(WaitFailed) as caught:
        world.run(lambda tw: tw.servers.wait_for(1, status="on"), base_url=server.url)
    assert (caught.value.operation, caught.value.attempts) == ("getServer", 3)


@pytest.mark.parametrize("status", ["removed", "deleted"])
def test_an_object_whose_end_is_awaited_arrives_by_being_gone(
    status: str, world: World, server: StubServer, clock: SkippingClock
) -> None:
    server.play(one("removing"), error(404, "not_found"))
    assert world.run(lambda tw: tw.servers.wait_for(1, status=status), base_url=server.url).status == "removing"
    with pytest.raises(NotFoundError):
        world.run(lambda tw: tw.servers.wait_for(1, status=status), base_url=server.url)


def test_many_arrive_by_being_gone(world: World, server: StubServer, clock: SkippingClock) -> None:
    nothing = answer(200, {"message": "later"})
    server.play(many(s1="removing", s2="removing"), nothing, many(s2="removing"), many())
    gone = world.run(lambda tw: tw.servers.wait_for_many([1, 2], status="removed"), base_url=server.url)
    assert [item.id for item in gone] == [1, 2]
    assert len(server.arrivals) == 4


def test_one_and_many_are_not_mistaken_for_each_other(world: World, clock: SkippingClock) -> None:
    with pytest.raises(TypeError, match="wait_for_many"):
        world.run(lambda tw: tw.servers.wait_for([1, 2], status="on"))
    with pytest.raises(TypeError, match="there is wait_for"):
        world.run(lambda tw: tw.servers.wait_for_many("12", status="on"))


def test_waiting_with_response_gives_the_last_one(world: World, server: StubServer, clock: SkippingClock) -> None:
    server.play(one("installing"), one("on"))
    response = world.run(lambda tw: tw.servers.with_response.wait_for(1, status="on"), base_url=server.url)
    assert (response.data.status, response.status_code) == ("on", 200)


def test_a_short_wait_looks_again_before_it_gives_up(server: StubServer, clock: SkippingClock) -> None:
    server.play(one("installing"), one("on"))
    run = World(False, "httpx").run
    assert run(lambda tw: tw.servers.wait_for(1, status="on", timeout=3, interval=5), base_url=server.url).status == "on"
