"""Nothing is bought twice behind a real proxy, and its word is not taken for the API's.

What each proxy answers is read from the table in the docs, so that the table stays true.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.proxies.playing import MAX_RETRIES, METHODS, SITUATIONS, Stage, stage
from tests.proxies.programs import PROGRAMS, find_program
from tests.sdk.worlds import WORLDS, SkippingClock, World
from timeweb_sdk import ProxyError, ServerError

DOCUMENT = Path(__file__).parents[2] / "docs/how-to/retries.md"


def documented(row: str, situation: str) -> set[str]:
    """The values in a cell of the docs' table."""
    lines = DOCUMENT.read_text().splitlines()
    (head,) = (line for line in lines if line.startswith("| proxy |"))
    (found,) = (line for line in lines if line.startswith(f"| {row} |"))
    cell = found.split("|")[head.split("|").index(f" {situation} ")]
    return {value.strip() for value in cell.split(",")}


@pytest.fixture(scope="module", params=PROGRAMS)
def place(request: pytest.FixtureRequest) -> Iterator[Stage]:
    if find_program(request.param) is None:
        pytest.skip(f"{request.param} is not installed (its package of Debian is {request.param.lower()})")
    with stage(request.param) as ready:
        yield ready


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("situation", SITUATIONS)
def test_a_call_that_fails_behind_a_proxy(situation: str, method: str, place: Stage, request: pytest.FixtureRequest) -> None:
    proxy = request.node.callspec.params["place"]
    is_purchase = method in ("POST", "PATCH")

    seen = place.play(situation, method)

    assert seen.attempts == (1 if is_purchase else 1 + MAX_RETRIES)
    arrived = "one POST or PATCH" if is_purchase else "a PUT or DELETE sent twice"
    assert str(seen.arrived) in documented(f"arrived at the API of {arrived}", situation)
    assert str(seen.status).lower() in documented(proxy, situation)
    assert {seen.delivery} == documented("`delivery`", situation)
    assert seen.may_be_done
    if proxy == "Varnish" and situation != "early answer":
        assert seen.retry_after == 5  # on a request that arrived as on one that did not


@pytest.mark.parametrize("world", WORLDS, ids=repr)
@pytest.mark.parametrize("place", ["Varnish"], indirect=True)
def test_an_order_behind_a_slow_cache_buys_one_server(place: Stage, world: World, clock: SkippingClock) -> None:
    with place.backend.playing("slow"), pytest.raises(ServerError, match="503"):
        world.run(lambda tw: tw.servers.create(name="w", preset_id=1, os_id=1), base_url=place.url)
    assert place.backend.arrived == {"POST": 1}


@pytest.mark.parametrize("world", WORLDS, ids=repr)
@pytest.mark.parametrize("place", ["nginx"], indirect=True)
def test_a_proxy_that_refuses_to_connect_proves_that_nothing_left(
    place: Stage, world: World, clock: SkippingClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", place.url)
    place.backend.arrived.clear()
    with pytest.raises(ProxyError) as caught:
        world.run(lambda tw: tw.request("POST", "/x"), base_url="https://api.example.com", max_retries=1)
    assert (caught.value.attempts, caught.value.delivery, caught.value.may_be_done) == (2, "not_sent", False)
    assert not place.backend.arrived
