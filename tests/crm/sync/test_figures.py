"""Both sides of figures that the docs name for runs, and that no test of the rule itself meets so closely."""

from __future__ import annotations

from datetime import date, timedelta
from types import SimpleNamespace

import pytest
from sqlalchemy import select, update
from sqlalchemy.orm import Session, sessionmaker

from crm_adapter import add_manual, ensure_fresh, sync_all, update_manual
from crm_adapter.db.columns import FieldMap
from crm_adapter.db.mapper import validate_mapping
from crm_adapter.db.tables import AccountState, HostingServer, SyncLease
from crm_adapter.servers.listing import Filters, list_rows
from crm_adapter.steps import drive
from crm_adapter.sync import leases, run as running
from tests.crm.database import statements
from tests.crm.fake_timeweb import FakeTimeweb, client, cost, server, world
from timeweb_sdk.errors import RateLimitError, UnauthorizedError

Db = sessionmaker[Session]
DAY, HOUR, MINUTE = timedelta(days=1), timedelta(hours=1), timedelta(minutes=1)
ONE = [(-MINUTE, False), (MINUTE, True)]
"""A minute before and after."""


def age(db: Db, by: timedelta, *names: str, account: str = "default") -> None:
    """Move what an account remembers into the past."""
    with db() as session, session.begin():
        found = session.get(AccountState, account)
        assert found is not None
        for name in names:
            setattr(found, name, getattr(found, name) - by)


def freshness(db: Db, fake: FakeTimeweb) -> str:
    return ensure_fresh(db, client(fake), runner=lambda leases: None).status


@pytest.mark.parametrize(("old", "status"), [(299, "fresh"), (301, "started")])
def test_data_is_young_for_300_seconds(db: Db, old: int, status: str) -> None:
    sync_all(db, client(world(1)))
    age(db, timedelta(seconds=old), "last_success_at", "last_attempt_at")
    assert freshness(db, world(1)) == status


@pytest.mark.parametrize(("since", "status"), [(899, "backoff"), (901, "started")])
def test_a_token_that_was_refused_rests_for_fifteen_minutes(db: Db, since: int, status: str) -> None:
    sync_all(db, client(world(1, faults={"servers.list": [UnauthorizedError("x", status_code=401)]})))
    age(db, timedelta(seconds=since), "last_attempt_at", "retry_at")
    assert freshness(db, world(1)) == status


@pytest.mark.parametrize(("asked", "wait"), [(86_399, 86_399), (86_400, 86_400), (86_401, 86_400)])
def test_an_account_waits_for_a_day_at_most(db: Db, asked: int, wait: int) -> None:
    fake = world(1, faults={"servers.list": [RateLimitError("slow", status_code=429, retry_after=asked)]})
    assert sync_all(db, client(fake)).accounts[0].retry_after == wait


@pytest.mark.parametrize(("over", "asks"), ONE)
@pytest.mark.parametrize(("known", "moment"), [("projects.list", "identity_checked_at"), ("presets.list", "presets_at")])
def test_identity_and_prices_are_known_for_a_day(db: Db, known: str, moment: str, over: timedelta, asks: bool) -> None:
    fake = FakeTimeweb([server(1)], [])
    sync_all(db, client(fake))
    assert known in fake.names
    fake.calls.clear()
    age(db, DAY + over, moment)
    sync_all(db, client(fake))
    assert (known in fake.names) is asks


@pytest.mark.parametrize(("over", "removed"), ONE)
def test_a_removal_waits_for_the_accounts_of_the_last_24_hours(db: Db, over: timedelta, removed: bool) -> None:
    first = world(4)
    sync_all(db, {"second": client(FakeTimeweb([server(9)], [cost(9)], account_id="cp2"))})
    sync_all(db, {"first": client(first)})
    age(db, DAY + over, "last_success_at", account="second")
    first.servers_.pop()
    assert len(sync_all(db, {"first": client(first)}).removed) == removed


@pytest.mark.parametrize(("over", "status"), [(-MINUTE, "failed"), (MINUTE, "success")])
def test_an_account_has_another_name_once_the_old_one_has_rested_for_an_hour(db: Db, over: timedelta, status: str) -> None:
    sync_all(db, {"old": client(world(2))})
    age(db, HOUR + over, "last_success_at", account="old")
    assert sync_all(db, {"new": client(world(2))}).status == status


def test_a_run_renews_its_leases_every_half_minute(db: Db, monkeypatch: pytest.MonkeyPatch) -> None:
    with db() as session, session.begin():
        owner = leases.claim(session, "main").owner
    assert owner is not None
    fence, counts = running._Fence({"main": owner}, 300.0), list[int]()
    for now in (1000.0, 1029.9, 1030.0, 1059.9):
        monkeypatch.setattr(running, "time", SimpleNamespace(monotonic=lambda now=now: now))
        with statements(db) as seen:
            drive(fence.keep("main"), db, {})
        counts.append(sum(text.startswith("UPDATE timeweb_sync_lease") for text in seen))
    assert counts == [1, 0, 1, 0]


@pytest.mark.parametrize(("over", "free"), [(-1, False), (1, True)])
def test_an_account_is_queued_again_after_half_an_hour(db: Db, over: int, free: bool) -> None:
    with db() as session, session.begin():
        assert leases.mark_queued(session, ["main"]) == ["main"]
        minutes = timedelta(minutes=30, seconds=over) / timedelta(milliseconds=1)
        session.execute(update(SyncLease).values(queued_ms=SyncLease.queued_ms - minutes))
        assert leases.mark_queued(session, ["main"]) == (["main"] if free else [])


@pytest.mark.parametrize(("over", "free"), [(-1, False), (1, True)])
def test_a_lease_that_nobody_renews_lapses_after_five_minutes(db: Db, over: int, free: bool) -> None:
    with db() as session, session.begin():
        leases.claim(session, "main")
        session.execute(update(SyncLease).values(expires_ms=SyncLease.expires_ms - (300 + over) * 1000))
        assert (leases.claim(session, "main").owner is not None) is free


@pytest.mark.parametrize(("count", "chunks"), [(250, [(250, 250)]), (251, [(250, 251), (251, 251)])])
def test_rows_are_written_in_chunks_of_250(db: Db, count: int, chunks: list[tuple[int, int]]) -> None:
    fake = FakeTimeweb([server(number, networks=[]) for number in range(1, count + 1)], [], presets_=[])
    told: list[tuple[int, int]] = []
    sync_all(db, client(fake), on_progress=lambda done, total: told.append((done, total)))
    assert [step for step in told if step[0]] == chunks


@pytest.mark.parametrize(("count", "transactions"), [(1000, 1), (1001, 2)])
def test_services_are_written_in_chunks_of_1000(db: Db, count: int, transactions: int) -> None:
    rows = [{"type": "s3", "service_id": number, "cost": 1, "total_cost": 1, "services": []} for number in range(count)]
    with statements(db) as seen:
        sync_all(db, client(FakeTimeweb([], rows)))
    assert sum(text.startswith("INSERT INTO timeweb_service ") for text in seen) == transactions


@pytest.mark.parametrize(("days", "fits"), [(3653, True), (3654, False), (-3653, True), (-3654, False)])
def test_a_date_is_at_most_ten_years_away(db: Db, days: int, fits: bool) -> None:
    today = validate_mapping(HostingServer, FieldMap()).today()
    crm_id = add_manual(db, {"server_name": "web"}).crm_id
    assert crm_id is not None
    assert update_manual(db, crm_id, {"next_payment_date": today + timedelta(days=days)}).success is fits


@pytest.mark.parametrize(("day", "due"), [(0, True), (6, True), (7, False), (-1, False)])
def test_this_week_is_seven_days_with_today(db: Db, day: int, due: bool) -> None:
    today = date(2026, 11, 28)
    values = {"server_name": "web", "client_name": "Anna", "client_price": "900", "payment_period": "monthly"}
    add_manual(db, {**values, "next_payment_date": today + timedelta(days=day)})
    with db() as session:
        columns = validate_mapping(HostingServer, FieldMap())
        assert list_rows(session, columns, Filters(view="week"), today=today).total == due
        assert session.scalars(select(HostingServer.id)).one()
