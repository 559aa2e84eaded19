"""What a run holds for each server of an account, and how it lets go of it."""

from __future__ import annotations

import gc
import threading
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import make_url
from sqlalchemy.ext.asyncio import async_sessionmaker
from sqlalchemy.orm import Session, sessionmaker

from crm_adapter import aio, plan, sync_all
from crm_adapter.db.columns import FieldMap
from crm_adapter.db.mapper import validate_mapping
from crm_adapter.db.rows import State, StoredRow, read_rows
from crm_adapter.db.snapshot import PLACING, PLACING_STATE, Snapshot, read_places
from crm_adapter.db.tables import HostingServer
from crm_adapter.packed import Packed
from crm_adapter.results import HostingValues
from crm_adapter.sync import collect, run
from crm_adapter.sync.collect import Collected
from crm_adapter.sync.costs import CostRow
from crm_adapter.sync.tasks import Task
from tests.benchmarks._loop import Later
from tests.crm.database import async_engine
from tests.crm.fake_timeweb import FakeTimeweb, client, cost, server, world
from tests.crm.sync.test_databases import ASYNC_DRIVERS

Db = sessionmaker[Session]
_PIECE = 5
_SERVERS = 60
_KINDS = (StoredRow, State, HostingValues, CostRow, Task)


@pytest.mark.parametrize("function", [sync_all, plan])
def test_no_object_is_held_for_each_server(db: Db, function: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = world(_SERVERS)
    sync_all(db, client(fake))
    monkeypatch.setattr(run, "PIECE", _PIECE)
    held: list[Counter[str]] = []
    decide = run._decide

    async def counted(*args: Any, **options: Any) -> Any:
        found = await decide(*args, **options)
        held.append(_held() if len(held) in {0, _SERVERS // _PIECE - 1} else Counter())
        return found

    before = _held()
    monkeypatch.setattr(run, "_decide", counted)
    function(db, client(fake))
    assert len(held) == _SERVERS / _PIECE
    # Of the piece that is decided, and of the one before, which is about to be let go.
    for during in (held[0], held[-1]):
        assert {name: number for name, number in during.items() if number - before[name] > 3 * _PIECE} == {}


def _held() -> Counter[str]:
    return Counter(type(item).__name__ for item in gc.get_objects() if type(item) in _KINDS)


@pytest.mark.parametrize("function", [sync_all, plan])
def test_what_was_held_is_let_go_account_by_account(db: Db, function: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    second = FakeTimeweb([server(9)], [cost(9)], account_id="cp2")
    clients = {"first": client(world(3)), "second": client(second)}
    sync_all(db, clients)
    seen: list[Collected] = []
    read: list[Snapshot] = []
    collecting, reading = collect.collect, read_places

    async def noted(*args: Any, **options: Any) -> Any:
        seen.append(await collecting(*args, **options))
        return seen[-1]

    def noted_rows(*args: Any, **options: Any) -> Snapshot:
        read.append(reading(*args, **options))
        assert read[-1].linked
        return read[-1]

    monkeypatch.setattr(run, "collect", noted)
    monkeypatch.setattr(collect, "read_places", noted_rows)
    found = function(db, clients)
    assert (found if function is sync_all else found.report).unchanged_count == 4
    for collected in seen:
        fetched = collected.fetched
        assert fetched.costs is not None
        assert [len(held) for held in (fetched.servers, fetched.costs.servers)] == [0, 0]
        assert fetched.payloads.__dict__["_packed"] == {}
    # Each account's rows are read when it is listed, and again when its turn has come.
    assert [len(snapshot.linked) for snapshot in read] == [0] * 4


@pytest.mark.parametrize("changed", [0, 8192])
async def test_no_server_is_looked_at_on_the_event_loop(
    database_url: str, changed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is done for each server stays off it: the loop would stand for longer, the larger the account is."""
    unpacked: list[bool] = []
    unpack = Packed[Any, Any].__getitem__

    def noted(self: Packed[Any, Any], key: Any) -> Any:
        unpacked.append(threading.current_thread() is threading.main_thread())
        return unpack(self, key)

    monkeypatch.setattr(Packed, "__getitem__", noted)
    url = make_url(database_url)
    first, second = world(4), FakeTimeweb([server(9)], [cost(9)], account_id="cp2")
    clients: Any = {"first": Later(first), "second": Later(second)}
    async with async_engine(url.set(drivername=ASYNC_DRIVERS[url.get_backend_name()])) as engine:
        db = async_sessionmaker(engine)
        assert (await aio.sync_all(db, clients)).created_count == 5
        for item in first.servers_ if changed else ():
            item["ram"] = changed
        assert (await aio.plan(db, clients)).report.updated_count == (4 if changed else 0)
        assert (await aio.sync_all(db, clients)).updated_count == (4 if changed else 0)
    assert set(unpacked) == {False}


def test_a_row_that_was_packed_has_its_place(db: Db) -> None:
    sync_all(db, client(world(3)))
    columns = validate_mapping(HostingServer, FieldMap())
    with db() as session:
        whole = read_rows(session, columns, names=PLACING, state_names=PLACING_STATE)
        packed = read_places(session, columns, [1001, 1002, 1003], account="default").linked
        assert list(packed.values()) == [_as_placed(row) for row in whole]
        assert len(whole) == 3


def _as_placed(row: StoredRow) -> StoredRow:
    assert row.state is not None
    return replace(row, created_at=None, state=replace(row.state, sync_base="{}"))
