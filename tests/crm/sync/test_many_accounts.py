"""What a run costs and writes follows from its own account, not from how many others the CRM has."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy.orm import Session, sessionmaker

from crm_adapter import plan, sync_all, sync_server, totals
from crm_adapter.db import rows as stored
from crm_adapter.db.tables import utcnow
from crm_adapter.results import SyncReport
from crm_adapter.sync.apply import TOUCH_EVERY
from tests.crm.database import counts, edit, row, rows, statements, typed
from tests.crm.fake_timeweb import FakeTimeweb, client, cost, server, world

Db = sessionmaker[Session]
MOMENT = timedelta(minutes=1)


def accounts(count: int) -> dict[str, Any]:
    """That many accounts of three servers each."""
    numbers = {f"a{n}": range(10 * n, 10 * n + 3) for n in range(1, count + 1)}
    return {
        name: client(FakeTimeweb([server(n, networks=[]) for n in own], [cost(n) for n in own], account_id=f"cp{name}"))
        for name, own in numbers.items()
    }


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[int | None]:
    """Servers of the rows that were read."""
    seen: list[int | None] = []
    row_of = stored.row_of

    def note(values: Any) -> Any:
        found = row_of(values)
        seen.append(found.timeweb_id)
        return found

    monkeypatch.setattr(stored, "row_of", note)
    return seen


def test_a_run_reads_the_rows_of_its_account_alone(db: Db, read: list[int | None]) -> None:
    clients = accounts(5)
    sync_all(db, clients)
    typed(db, server_name="typed")
    read.clear()
    assert counts(sync_all(db, {"a2": clients["a2"]})) == {"unchanged": 3}
    assert sorted(read, key=str) == 2 * [1020] + 2 * [1021] + 2 * [1022]  # to place them, and to decide
    read.clear()
    assert plan(db, clients).report.unchanged_count == 15
    assert len(read) == 3 * 15  # once to ask, twice as above, whatever the others have
    # What is new is matched with the rows that have no server.
    read.clear()
    assert counts(sync_all(db, {"a6": accounts(6)["a6"]})) == {"created": 3}
    assert read == [None]


def test_of_another_accounts_rows_a_run_reads_those_that_it_lists(db: Db, read: list[int | None]) -> None:
    clients = accounts(3)
    sync_all(db, clients)
    clients["a1"].servers_.append(server(20, networks=[]))
    read.clear()
    report = sync_all(db, {"a1": clients["a1"]})
    assert ([warning.code for warning in report.warnings], set(read)) == (["other_account"], {1010, 1011, 1012, 1020})
    # It is remembered which account has shown the row, and forgotten when that one no longer does.
    clients["a1"].servers_.pop()
    read.clear()
    assert counts(sync_all(db, {"a1": clients["a1"]})) == {"unchanged": 3}
    assert set(read) == {1010, 1011, 1012, 1020}
    read.clear()
    sync_all(db, {"a1": clients["a1"]})
    assert set(read) == {1010, 1011, 1012}


def _nobodys(fake: FakeTimeweb) -> None:
    fake.costs.append(cost(77, 300))


def _typed_by_hand(fake: FakeTimeweb) -> None:
    fake.costs += [cost(77, 300), cost(2, 500)]


@pytest.mark.parametrize(("prepare", "expected"), [(_nobodys, 300), (_typed_by_hand, 300)])
def test_costs_of_servers_that_have_a_row_are_no_other_costs(
    db: Db, prepare: Callable[[FakeTimeweb], None], expected: int
) -> None:
    """Also where the row is another account's, which this run has not read."""
    sync_all(db, {"b": client(FakeTimeweb([server(2)], [cost(2)], account_id="cp2"))})
    fake = world(1)
    prepare(fake)
    sync_all(db, {"a": client(fake)})
    assert totals(db).other_costs == expected


@pytest.mark.parametrize(
    ("ago", "moves"),
    [(TOUCH_EVERY + MOMENT, True), (TOUCH_EVERY - MOMENT, False), (-TOUCH_EVERY - MOMENT, True), (None, True)],
)
def test_a_run_without_news_touches_a_row_once_an_hour(db: Db, ago: timedelta | None, moves: bool) -> None:
    fake = world(2)
    sync_all(db, client(fake))
    moment = None if ago is None else utcnow() - ago
    edit(db, 1, last_sync_at=moment)
    with statements(db) as seen:
        assert counts(sync_all(db, client(fake))) == {"unchanged": 2}
    assert (rows(db)[0]["last_sync_at"] != moment) is moves
    assert sum(text.startswith("UPDATE hosting_servers") for text in seen) == moves
    # Who asks for one row sees that it was looked at.
    before = rows(db)[1]["last_sync_at"]
    assert sync_server(db, client(fake), 2).success and rows(db)[1]["last_sync_at"] > before


@pytest.mark.parametrize(("followed", "name"), [(True, "web-1"), (False, "web-1 for a moment")])
def test_a_single_sync_that_asked_before_a_run_writes_nothing_older(db: Db, followed: bool, name: str) -> None:
    """The run found the row as it was and left no trace in it; a row that runs leave alone is the single one's."""
    fake = world(1)
    sync_all(db, client(fake))
    edit(db, 1, auto_sync=followed)
    fake.servers_[0]["name"] = "web-1 for a moment"
    reports: list[SyncReport] = []

    def meanwhile() -> None:
        fake.servers_[0]["name"] = "web-1"
        reports.append(sync_all(db, client(fake)))

    fake.faults = {"cost.list": [meanwhile]}
    assert sync_server(db, client(fake), 1).success
    assert [counts(report) for report in reports] == [{"unchanged": 1} if followed else {"skipped": 1}]
    assert row(db, 1001)["server_name"] == name
