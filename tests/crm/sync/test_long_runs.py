"""Runs that outlast their leases: what is held is kept, a takeover judges nobody who lives, reports hold all that was done."""

from __future__ import annotations

import pytest
from sqlalchemy import select, update
from sqlalchemy.orm import Session, sessionmaker

from crm_adapter import runs, sync_all
from crm_adapter.db.tables import SyncLease
from crm_adapter.sync import apply, leases, run as running
from crm_adapter.sync.accounts import claim_accounts
from tests.crm.database import rows
from tests.crm.fake_timeweb import FakeTimeweb, client, cost, server

Db = sessionmaker[Session]


def of(account: int, servers: int) -> FakeTimeweb:
    numbers = range(100 * account, 100 * account + servers)
    return FakeTimeweb([server(n, networks=[]) for n in numbers], [cost(n) for n in numbers], account_id=f"cp{account:05}")


def expire(db: Db, *accounts: str) -> None:
    with db() as session, session.begin():
        session.execute(update(SyncLease).where(SyncLease.account.in_(accounts)).values(expires_ms=1))


def test_a_takeover_of_one_account_judges_no_run_that_lives(real_db: Db) -> None:
    """Given a run that holds two accounts, one of which another worker takes while the other one is asked."""
    first, second = of(1, 2), of(2, 3)
    seen: list[tuple[str, str | None]] = []

    def take_the_first() -> None:
        expire(real_db, "first")
        assert sync_all(real_db, {"first": client(of(1, 2))}).created_count == 2
        seen.extend((run.status, run.error_code) for run in runs(real_db))

    second.faults = {"finances.get": [take_the_first]}
    report = sync_all(real_db, {"first": client(first), "second": client(second)})
    assert seen == [("success", None), ("running", None)]
    assert [(part.account, part.status, part.error_code) for part in report.accounts] == [
        ("first", "failed", "lease_lost"),
        ("second", "success", None),
    ]
    kept = runs(real_db)[1]
    assert (kept.status, kept.error_code) == ("partial", "lease_lost")
    assert kept.report is not None and kept.report["created_count"] == report.created_count == 3


def test_a_run_that_lost_its_lease_between_two_chunks_reports_the_first(real_db: Db, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apply, "CHUNK", 2)

    def lose(done: int, _total: int) -> None:
        if done == 2:
            expire(real_db, "default")
            assert sync_all(real_db, client(of(1, 5))).created_count == 3

    report = sync_all(real_db, client(of(1, 5)), on_progress=lose)
    assert (report.status, report.error_code, report.created_count) == ("failed", "lease_lost", 2)
    kept = runs(real_db)[1]
    assert kept.report is not None
    # Its own report, in place of the one that the other worker made of the log.
    assert (kept.status, kept.report["created_count"], kept.report["error_count"]) == ("failed", 2, 0)
    assert len(rows(real_db)) == 5


@pytest.mark.parametrize(
    ("error", "status"), [(KeyboardInterrupt(), "interrupted"), (RuntimeError("the host's callback"), "crashed")]
)
def test_a_run_that_ends_early_reports_what_it_had_written(
    db: Db, monkeypatch: pytest.MonkeyPatch, error: BaseException, status: str
) -> None:
    monkeypatch.setattr(apply, "CHUNK", 2)
    chunks: list[int] = []

    def end(done: int, _total: int) -> None:
        chunks.append(done)
        if chunks == [2, 3, 2]:
            raise error

    with pytest.raises(type(error)):
        sync_all(db, {"first": client(of(1, 3)), "second": client(of(2, 4))}, on_progress=end)
    (kept,) = runs(db)
    assert (kept.status, kept.error_code, len(rows(db))) == (status, status, 5)
    assert kept.report is not None
    assert (kept.report["created_count"], len(kept.report["created"]), kept.progress) == (5, 5, 5)
    told = [(part["account"], part["status"], part["error_code"]) for part in kept.report["accounts"]]
    assert told == [("first", "success", None), ("second", "failed", status)]
    # Both accounts are free at once, and the rest is made good.
    assert sync_all(db, {"first": client(of(1, 3)), "second": client(of(2, 4))}).created_count == 2


def test_accounts_that_wait_are_kept_while_another_one_is_written(db: Db, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apply, "CHUNK", 1)
    monkeypatch.setattr(running, "_RENEW_EVERY", 0.0)
    waiting: list[int] = []

    def look(_done: int, _total: int) -> None:
        with db() as session:
            waiting.append(session.scalars(select(SyncLease.expires_ms).where(SyncLease.account == "last")).one())
        expire(db, "last")

    clients = {"first": client(of(1, 3)), "last": client(of(2, 1))}
    assert sync_all(db, clients, on_progress=look).status == "success"
    assert len(waiting) == 4 and min(waiting) > 1


def test_a_run_whose_process_died_crashes_with_its_last_lease(real_db: Db) -> None:
    with real_db() as session, session.begin():
        dead = claim_accounts(session, {name: leases.new_owner() for name in ("first", "second")}, actor=None)
    expire(real_db, "first")
    sync_all(real_db, {"first": client(of(1, 1))})
    assert runs(real_db)[-1].status == "running"
    expire(real_db, "second")
    sync_all(real_db, {"second": client(of(2, 1))})
    crashed = runs(real_db)[-1]
    assert (crashed.run_id, crashed.status) == (dead.run_id, "crashed")
    assert crashed.report is not None
    assert [(part["account"], part["message"]) for part in crashed.report["accounts"]] == [
        ("second", "Синхронизация оборвалась; ничего не записано, остальное неизвестно")
    ]


@pytest.mark.parametrize(("born", "calls"), [(True, 2), (False, 4)])
def test_a_server_that_is_born_during_a_listing_does_not_make_it_start_again(db: Db, born: bool, calls: int) -> None:
    """One that goes does: it may have moved another one out of sight."""
    fake = of(1, 150)

    def change() -> None:
        if born:
            fake.servers_.append(server(900, networks=[]))
        else:
            fake.servers_.pop(0)

    fake.faults = {"servers.list": [None, change]}
    report = sync_all(db, client(fake))
    assert (report.status, fake.names.count("servers.list")) == ("success", calls)
    assert report.created_count == (151 if born else 149)
