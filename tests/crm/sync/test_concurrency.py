"""Real processes on real databases: racing importers, killed workers, leases."""

from __future__ import annotations

import re
import signal
from collections import Counter
from io import StringIO
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from rich.console import Console
from sqlalchemy import update
from sqlalchemy.orm import Session, sessionmaker

from crm_adapter import runs, sync_all
from crm_adapter.cli.tables import runs_table
from crm_adapter.db.tables import SyncLease
from crm_adapter.sync import leases
from crm_adapter.sync.accounts import claim_accounts, lease_seconds
from tests.crm.database import changed, events, rows
from tests.crm.fake_timeweb import FakeTimeweb, client, cost, server, world
from tests.crm.workers import import_one, in_processes, kill_at, kill_between, sync_repeatedly


def test_many_importers_of_one_server_make_one_row(database_url: str, real_db: sessionmaker[Session]) -> None:
    count = 20 if database_url.startswith("postgresql") else 8
    results = in_processes(count, import_one, database_url)
    assert Counter(result["imported_count"] for result in results) == {1: 1, 0: count - 1}
    errors = [error for result in results for error in result["errors"]]
    assert Counter((error["code"], error["error"]) for error in errors) == {
        ("already_imported", "Сервер уже импортирован"): count - 1
    }
    assert [row["timeweb_id"] for row in rows(real_db)] == [1001]
    assert [(field, new) for _, field, _, new in changed(real_db)] == [("created", "web-1")]
    assert [event.kind for event in events(real_db)] == ["imported"]


def test_two_workers_never_run_at_once(database_url: str, real_db: sessionmaker[Session]) -> None:
    spans = [tuple(span) for result in in_processes(2, sync_repeatedly, database_url, 8) for span in result]
    worked = sorted(span[1:] for span in spans if span[0] == "success")
    assert Counter(span[0] for span in spans)["success"] == len(worked) > 0
    assert {span[0] for span in spans} <= {"success", "running"}
    for (_, end), (begin, _) in pairwise(worked):
        assert end < begin
    assert len(rows(real_db)) == len(changed(real_db)) == 10
    assert {run.status for run in runs(real_db, limit=50)} == {"success"}


@pytest.mark.parametrize("commits", [1, 2, 3, -1, -2, -3])
def test_a_worker_killed_at_a_chunk_boundary_loses_and_doubles_nothing(
    database_url: str, real_db: sessionmaker[Session], commits: int
) -> None:
    """6 servers in chunks of 2: killed before (positive) or after (negative) the commit of each chunk."""
    assert kill_at(database_url, 6, 2, commits) == -signal.SIGKILL
    committed = 2 * (commits - 1 if commits > 0 else -commits)
    assert len(rows(real_db)) == len(changed(real_db)) == len(events(real_db)) == committed
    refused = sync_all(real_db, client(world(6)))
    assert (refused.status, refused.error_code, refused.api_calls) == ("running", "already_running", 0)
    with real_db() as session, session.begin():
        session.execute(update(SyncLease).values(expires_ms=1))
    report = sync_all(real_db, client(world(6)))
    assert (report.created_count, report.unchanged_count) == (6 - committed, committed)
    assert [run.status for run in runs(real_db)] == ["success", "crashed"]
    assert len(rows(real_db)) == 6
    assert Counter(field for _, field, _, _ in changed(real_db)) == {"created": 6}
    assert len({entry[0] for entry in changed(real_db)}) == 6
    assert Counter(event.kind for event in events(real_db)) == {"imported": 6}


def test_the_report_of_a_killed_run_holds_what_it_had_committed(database_url: str, real_db: sessionmaker[Session]) -> None:
    """Killed in its second account: the first one's part is whole, of the second one server is known, and no more."""
    first, second = world(3), FakeTimeweb([server(n) for n in (7, 8, 9)], [cost(n) for n in (7, 8, 9)], account_id="cp2")
    clients = {"first": client(first), "second": client(second)}
    sync_all(real_db, {"first": client(first)})
    first.servers_[0]["name"] = "renamed"
    first.servers_.append(server(4))
    assert kill_between(database_url, first, second) == -signal.SIGKILL
    assert (runs(real_db)[0].status, runs(real_db)[0].report) == ("running", None)
    with real_db() as session, session.begin():
        session.execute(update(SyncLease).values(expires_ms=1))
    assert sync_all(real_db, clients).created_count == 2
    killed = runs(real_db)[1]
    report = killed.report
    assert report is not None and (killed.status, killed.error_code, report["run_id"]) == ("crashed", "crashed", killed.run_id)
    assert {name: count for name, count in report.items() if name.endswith("_count")} == {
        "created_count": 2,
        "updated_count": 1,
        "linked_count": 0,
        "restored_count": 0,
        "missing_count": 0,
        **dict.fromkeys(("unchanged_count", "skipped_count", "error_count")),
    }
    assert (killed.progress, killed.total) == (3, None)
    shown = Console(file=StringIO(), width=200)
    shown.print(runs_table([killed], ZoneInfo("Europe/Moscow")))
    told = "сбой: Синхронизация оборвалась; записано: создано 1, остальное неизвестно"
    assert re.search(rf"{told} +— +2 +1 +— +—", shown.file.getvalue())  # type: ignore[attr-defined]
    assert [(part["account"], part["status"], part["error_code"], part["message"]) for part in report["accounts"]] == [
        ("first", "success", None, None),
        ("second", "failed", "crashed", "Синхронизация оборвалась; записано: создано 1, остальное неизвестно"),
    ]
    assert [warning["message"] for warning in report["warnings"]] == [
        "Отчёт составлен по журналу изменений; что стало с остальными серверами, неизвестно"
    ]


def test_a_lease_expires_by_the_databases_clock_and_fences_its_old_owner(real_db: sessionmaker[Session]) -> None:
    with real_db() as session, session.begin():
        first = leases.claim(session, "a", ttl=0.0)
    with real_db() as session, session.begin():
        session.execute(update(SyncLease).values(expires_ms=SyncLease.expires_ms - 1))
    with real_db() as session, session.begin():
        second = leases.claim(session, "a")
        assert leases.claim(session, "a").owner is None
    assert first.owner and second.owner and first.owner != second.owner
    with pytest.raises(leases.LeaseLost), real_db() as session, session.begin():
        leases.renew(session, "a", first.owner)
    with real_db() as session, session.begin():
        leases.renew(session, "a", second.owner)
        leases.release(session, "a", first.owner)
        leases.renew(session, "a", second.owner)


def test_a_lease_that_was_handed_over_is_spent_once(real_db: sessionmaker[Session]) -> None:
    with real_db() as session, session.begin():
        handed = claim_accounts(session, {"default": leases.new_owner()}, actor="auto")
    first = sync_all(real_db, client(world(2)), leases=handed.owners)
    assert (first.run_id, first.created_count) == (handed.run_id, 2)
    with real_db() as session, session.begin():
        other = claim_accounts(session, {"default": leases.new_owner()}, actor="auto")
    again = sync_all(real_db, client(world(2)), leases=handed.owners)
    assert (again.status, again.run_id) == ("running", other.run_id)


def test_a_worker_whose_lease_was_taken_over_writes_nothing_more(real_db: sessionmaker[Session]) -> None:
    """It slept in a call to Timeweb past its lease; another worker did the job meanwhile."""
    fake, other = world(3), world(2)

    def sleep_past_the_lease() -> None:
        with real_db() as session, session.begin():
            session.execute(update(SyncLease).values(expires_ms=1))
        assert sync_all(real_db, client(other)).created_count == 2

    fake.faults = {"finances.get": [sleep_past_the_lease]}
    report = sync_all(real_db, client(fake))
    assert (report.status, report.error_code, report.created_count) == ("failed", "lease_lost", 0)
    assert [row["timeweb_id"] for row in rows(real_db)] == [1001, 1002]
    assert [run.status for run in runs(real_db)] == ["success", "failed"]


def test_a_lease_outlives_the_longest_call_of_its_client() -> None:
    class Patient:
        total_timeout = 600.0

    assert lease_seconds([Patient(), world(1)]) == 720
    assert lease_seconds([world(1)]) == lease_seconds([]) == leases.TTL_SECONDS == 300
