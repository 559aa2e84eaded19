"""Walking lists: bounded, each item once, and honest about what is missing."""

from __future__ import annotations

import copy
import gc
import pickle
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from tests.sdk.stub_server import Behaviour, StubServer, answer
from tests.sdk.worlds import SkippingClock, World
from timeweb_sdk import AsyncTimeweb, BadRequestError
from timeweb_sdk._core.page import AsyncPage, Chunk, Listing, Page

LISTING = Listing(item_key="id", paginated=True)


def items(*numbers: int) -> list[dict[str, Any]]:
    return [{"id": number} for number in numbers]


def page(fetch: Callable[[int], Chunk[Any]], listing: Listing = LISTING) -> Page[Any]:
    return Page(listing, fetch(listing.offset), fetch)


class Account:
    """A list on a server that has its own ideas about how to page it."""

    def __init__(self, rows: list[dict[str, Any]], cap: int = 100, total: int | None = -1) -> None:
        self.rows, self.cap, self.asked = rows, cap, list[int]()
        self.total = len(rows) if total == -1 else total

    def fetch(self, offset: int) -> Chunk[Any]:
        self.asked.append(offset)
        rows = self.rows[offset : offset + self.cap]
        return Chunk(rows, len(rows), self.total)


def test_a_walk_advances_by_what_came() -> None:
    account = Account(items(*range(25)), cap=10)
    listed = page(account.fetch)
    assert listed.complete is None
    assert [item["id"] for item in listed] == list(range(25))
    assert account.asked == [0, 10, 20]
    assert listed.complete is True


def test_len_and_index_concern_the_page() -> None:
    listed = page(Account(items(*range(25)), cap=10).fetch)
    assert (len(listed), listed[0], listed[-1], listed.total) == (10, {"id": 0}, {"id": 9}, 25)
    assert listed[1:3] == items(1, 2)
    assert repr(listed) == "<Page of 10 items, total 25, complete None>"


def test_pages_are_pages() -> None:
    listed = page(Account(items(*range(25)), cap=10).fetch)
    pages = list(listed.pages())
    assert pages[0] is listed
    assert [len(one) for one in pages] == [10, 10, 5]
    assert [item["id"] for item in pages[1]] == list(range(10, 25))


def test_a_server_that_ignores_the_offset_ends_the_walk() -> None:
    listed = page(lambda offset: Chunk(items(1, 2, 3), 3, 1000))
    assert [item["id"] for item in listed] == [1, 2, 3]
    assert listed.complete is False


def test_a_total_too_high_ends_with_an_empty_page() -> None:
    account = Account(items(1, 2, 3), total=50)
    listed = page(account.fetch)
    assert len(list(listed)) == 3
    assert account.asked == [0, 3]
    assert listed.complete is False


def test_a_total_too_low_is_not_complete() -> None:
    listed = page(lambda offset: Chunk(items(1, 2, 3), 3, 2))
    assert len(list(listed)) == 3
    assert listed.complete is False


def test_a_total_that_changes_is_not_complete() -> None:
    chunks = {0: Chunk(items(1, 2), 2, 3), 2: Chunk(items(3, 4), 2, 4)}
    listed = page(lambda offset: chunks[offset])
    assert len(list(listed)) == 4
    assert listed.complete is False


def test_an_item_that_moves_between_pages_is_given_once() -> None:
    chunks = {0: Chunk(items(1, 2), 2, 4), 2: Chunk(items(2, 3), 2, 4)}
    listed = page(lambda offset: chunks[offset])
    assert [item["id"] for item in listed] == [1, 2, 3]
    assert listed.complete is False


def test_without_a_total_the_walk_goes_on_until_nothing_comes() -> None:
    account = Account(items(*range(25)), cap=10, total=None)
    listed = page(account.fetch)
    assert len(list(listed)) == 25
    assert listed.complete is False


def test_a_list_without_pages_is_one_page_and_complete() -> None:
    listed = page(lambda offset: Chunk(items(1, 2), 2), Listing(item_key="id"))
    assert len(list(listed)) == 2
    assert listed.complete is True


def test_items_without_a_key_are_told_apart_by_what_they_are() -> None:
    chunks = {0: Chunk(["a", "b"], 2, 4), 2: Chunk(["b", "c"], 2, 4)}
    listed = page(lambda offset: chunks[offset], Listing(paginated=True))
    assert list(listed) == ["a", "b", "c"]


def test_equal_lines_of_a_log_are_all_there(world: World, server: StubServer, clock: SkippingClock) -> None:
    lines = ["GET / 200", "GET / 200", "GET / 500", "GET / 200"]
    server.play(answer(200, {"app_logs": lines}))

    def sync(tw: Any) -> Any:
        page = tw.apps.logs.list("a-1")
        return list(page), page.complete

    async def asynchronous(tw: Any) -> Any:
        page = tw.apps.logs.list("a-1")
        return [line async for line in page], page.complete

    assert world.run(asynchronous if world.asynchronous else sync, base_url=server.url) == (lines, True)


@given(st.lists(st.tuples(st.lists(st.integers(0, 30), max_size=12), st.none() | st.integers(0, 60)), min_size=1, max_size=12))
@settings(deadline=None)
def test_any_sequence_of_replies_is_walked_in_bounded_time_and_told_truthfully(
    replies: list[tuple[list[int], int | None]],
) -> None:
    asked: list[int] = []

    def fetch(offset: int) -> Chunk[Any]:
        numbers, total = replies[min(len(asked), len(replies) - 1)]
        asked.append(offset)
        return Chunk(items(*numbers), len(numbers), total)

    listed = page(fetch)
    got = [item["id"] for item in listed]
    seen = [replies[min(call, len(replies) - 1)] for call in range(len(asked))]
    assert len(got) == len(set(got))
    assert set(got) == {number for numbers, _ in seen for number in numbers}
    assert len(asked) <= 32
    if listed.complete:
        assert {total for _, total in seen} == {len(got)}


async def test_the_async_page_is_awaitable_and_walks() -> None:
    account = Account(items(*range(25)), cap=10)

    async def fetch(offset: int) -> Chunk[Any]:
        return account.fetch(offset)

    listed: AsyncPage[Any] = AsyncPage(LISTING, None, fetch)
    with pytest.raises(RuntimeError, match="await"):
        _ = listed.items
    assert await listed is listed
    assert len(listed) == 10
    assert [item["id"] async for item in listed] == list(range(25))
    assert account.asked == [0, 10, 20]
    assert listed.complete is True
    assert [len(one) async for one in listed.pages()] == [10, 10, 5]


@pytest.mark.parametrize(("payload", "items"), [(None, []), ("odd", []), ({}, []), ([], [])])
def test_what_is_no_list_is_a_page_nevertheless(
    payload: Any, items: list[Any], world: World, server: StubServer, clock: SkippingClock
) -> None:
    server.play(answer(200, {"servers": payload}))
    assert world.run(lambda tw: tw.servers.list(limit=3), base_url=server.url).__class__.__name__.endswith("Page")
    with_response = world.run(lambda tw: tw.servers.with_response.list(limit=3), base_url=server.url)
    assert with_response.data.items == items


def test_a_list_asks_for_whole_pages(world: World, server: StubServer, clock: SkippingClock) -> None:
    server.play(answer(200, {"projects": [], "meta": {"total": 0}, "servers": []}))
    world.run(lambda tw: tw.servers.list(), base_url=server.url)
    world.run(lambda tw: tw.servers.list(limit=7, offset=3), base_url=server.url)
    assert [arrival.target for arrival in server.arrivals] == ["/api/v1/servers?limit=100", "/api/v1/servers?limit=7&offset=3"]


NO_LIST: list[tuple[Behaviour, str]] = [
    (answer(204), "missing"),
    (answer(200, b" "), "missing"),
    (answer(200, {}), "missing"),
    (answer(200, {"response_id": "r-1", "meta": {"total": 0}}), "missing"),
    (answer(200, {"message": "come back later", "meta": {"total": 0}}), "missing"),
    (answer(200, {"servers": None, "ssh_keys": None, "meta": {"total": 0}}), "list_type"),
    (answer(200, {"servers": "none", "ssh_keys": "none"}), "list_type"),
    (answer(200, {"servers": 5, "ssh_keys": 5}), "list_type"),
    (answer(200, {"servers": {"a": 1}, "ssh_keys": {"a": 1}}), "list_type"),
    (answer(200, {"items": [], "meta": {"total": 0}}), "missing"),
    (answer(200, b"null"), "missing"),
]


@pytest.mark.parametrize("paginated", [True, False])
@pytest.mark.parametrize(("reply", "kind"), NO_LIST, ids=lambda item: item if isinstance(item, str) else None)
def test_a_list_that_never_came_is_not_complete(
    reply: Behaviour, kind: str, paginated: bool, world: World, server: StubServer, clock: SkippingClock
) -> None:
    server.play(reply)

    def walk(tw: Any) -> Any:
        return _listed(tw.servers.list() if paginated else tw.ssh_keys.list())

    listed, got = world.run(walk, base_url=server.url)
    assert (listed.complete, got) == (False, listed.items)
    assert listed.items == []
    assert kind in {issue.kind for issue in listed.decode_issues}


def test_one_object_in_place_of_a_list_is_no_complete_list(server: StubServer, clock: SkippingClock) -> None:
    server.play(answer(200, {"ssh_keys": {"id": 1, "name": "laptop"}}))
    listed, got = World(False, "httpx").run(lambda tw: _listed(tw.ssh_keys.list()), base_url=server.url)
    assert [key.name for key in got] == ["laptop"]
    assert listed.complete is False


def _listed(listed: Any) -> Any:
    """Walk a list of either world; return it with its items."""
    if isinstance(listed, Page):
        return listed, list(listed)

    async def walk() -> Any:
        return listed, [item async for item in listed]

    return walk()


@pytest.mark.parametrize("rows", [99, 100, 101, 250])
def test_a_full_page_whose_total_is_its_own_count_is_not_believed(rows: int) -> None:
    """Some lists report the length of the page as the total."""
    everything = items(*range(rows))
    asked: list[int] = []

    def fetch(offset: int) -> Chunk[Any]:
        asked.append(offset)
        part = everything[offset : offset + 100]
        return Chunk(part, len(part), len(part))

    listed = page(fetch, Listing(item_key="id", paginated=True, limit=100))
    assert [*listed] == everything
    assert asked == {99: [0], 100: [0, 100], 101: [0, 100], 250: [0, 100, 200]}[rows]
    # Only where every page agreed with what had come is the list known to be whole.
    assert listed.complete is (rows <= 100)


def test_a_total_that_is_not_the_pages_own_is_believed() -> None:
    account = Account(items(*range(200)))
    listed = page(account.fetch, Listing(item_key="id", paginated=True, limit=100))
    assert len([*listed]) == 200
    assert account.asked == [0, 100]
    assert listed.complete is True


def test_a_page_goes_through_a_pickle_without_its_client() -> None:
    account = Account(items(*range(25)), cap=10)
    carried = pickle.loads(pickle.dumps(page(account.fetch)))
    assert (carried.items, carried.total, carried.complete) == (items(*range(10)), 25, None)
    with pytest.raises(RuntimeError, match="ask for the list again"):
        list(carried)
    alone = page(Account(items(1, 2)).fetch)
    assert [*pickle.loads(pickle.dumps(alone))] == items(1, 2)


def test_a_copy_of_a_page_walks_on() -> None:
    listed = page(Account(items(*range(25)), cap=10).fetch)
    deep = copy.deepcopy(listed)
    deep.items[0]["id"] = "changed"
    assert listed.items[0]["id"] == 0
    for each in (copy.copy(listed), copy.deepcopy(listed)):
        assert [item["id"] for item in each] == list(range(25))
        assert listed.complete is None


async def test_a_page_of_a_client_can_be_pickled(server: StubServer) -> None:
    server.play(answer(200, {"servers": [{"id": 1}], "meta": {"total": 1}}))
    async with AsyncTimeweb("token", base_url=server.url) as tw:
        lazy = tw.servers.list()
        assert repr(pickle.loads(pickle.dumps(lazy))) == "<AsyncPage, not loaded>"
        assert pickle.loads(pickle.dumps(await lazy)).items[0].id == 1


async def test_a_forgotten_await_of_a_change_warns(server: StubServer) -> None:
    async with AsyncTimeweb("token", base_url=server.url) as tw:
        change: Any = tw.cloud_ai.knowledge_bases.upload
        with pytest.warns(RuntimeWarning, match="upload was never awaited"):
            change(1, files=[b"x"])
        lazy: Any = tw.servers.list
        lazy()
        server.play(answer(200, {"uploaded_files": ["a"]}), answer(400, {"error_code": "no", "message": "no"}))
        assert (await change(1, files=[b"x"])).items == ["a"]
        with pytest.raises(BadRequestError):
            await change(1, files=[b"x"])
        gc.collect()
    assert len(server.arrivals) == 2
