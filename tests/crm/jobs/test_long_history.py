"""What a year leaves behind: months, changes, events and messages that nobody took."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Session, sessionmaker

from crm_adapter import dispatch_events, payment_reminders
from crm_adapter.db import dialects
from crm_adapter.db.columns import FieldMap
from crm_adapter.db.dialects import in_pieces
from crm_adapter.db.mapper import validate_mapping
from crm_adapter.db.tables import AccountState, ChangeLog, EventOutbox, HostingServer, MonthEnd, SyncLease, utcnow
from crm_adapter.jobs import retention
from crm_adapter.jobs.jobs import Jobs
from crm_adapter.notify.dead_letters import retry_dead_letters
from crm_adapter.results import OutboxEvent
from crm_adapter.servers.months import read_ledger, store_month_ends
from crm_adapter.steps import drive
from crm_adapter.web import charts
from tests.crm.database import statements, typed
from tests.crm.jobs.conftest import TOKEN

Db = sessionmaker[Session]
MOSCOW = ZoneInfo("Europe/Moscow")
COLUMNS = validate_mapping(HostingServer, FieldMap(zone="Europe/Moscow"))
TODAY = date(2026, 11, 20)
MANY = 66_000


def months(db: Db, today: date = TODAY) -> list[tuple[str, Decimal | None]]:
    with db() as session:
        return [(month.caption, month.cost) for month in charts.months(session, COLUMNS, today, MOSCOW)]


def store(db: Db, today: date = TODAY) -> int:
    with db() as session, session.begin():
        return store_month_ends(session, COLUMNS, today, MOSCOW)


@pytest.fixture
def priced(real_db: Db) -> int:
    """A row that cost 100, then 200 from March on, 250 for an hour, and 300 from September on."""
    row_id = typed(real_db, cost_price=300, created_at=datetime(2025, 1, 5), status="active")
    history = (
        (datetime(2026, 3, 10), "100.00", "250.00"),
        (datetime(2026, 3, 10, 1), "250.00", "200.00"),
        (datetime(2026, 9, 1), "200.00", "300.00"),
    )
    with real_db() as session, session.begin():
        for at, old, new in history:
            session.add(ChangeLog(at=at, server_id=row_id, field="cost_price", old=old, new=new))
        session.add(ChangeLog(at=datetime(2026, 5, 1), server_id=row_id, field="ip_address", old="a", new="b"))
    return row_id


EXPECTED = [*[100] * 3, *[200] * 6, *[300] * 3]


@pytest.mark.usefixtures("priced")
def test_months_are_what_the_log_says_and_stay_so_once_stored(real_db: Db) -> None:
    assert [cost for _, cost in months(real_db)] == EXPECTED
    assert store(real_db) == 11
    assert store(real_db) == 0
    with real_db() as session, session.begin():
        session.execute(sa.delete(ChangeLog))
        session.execute(sa.update(HostingServer).values(cost_price=400))
    assert [cost for _, cost in months(real_db)] == [*EXPECTED[:-1], 400]
    assert [cost for _, cost in months(real_db, date(2026, 12, 1))][-2:] == [400, 400]
    with real_db() as session:
        ledger = charts.read_all_months(session, COLUMNS, TODAY, MOSCOW)
    assert ledger is not None
    assert ledger.margin == 12 * 900 - sum(EXPECTED[:-1]) - 400


def test_of_a_month_only_the_first_change_of_a_field_is_read(real_db: Db, priced: int) -> None:
    with real_db() as session, session.begin():
        moments = (datetime(2026, 3, 10, 2) + timedelta(minutes=n) for n in range(500))
        session.add_all(ChangeLog(at=at, server_id=priced, field="cost_price", old="7.00", new="7.00") for at in moments)
    with real_db() as session:
        ledger = read_ledger(session, COLUMNS, TODAY, MOSCOW)
        assert sum(len(changes) for changes in ledger.undo.values()) == 2
    assert [cost for _, cost in months(real_db)] == EXPECTED


def test_the_chart_takes_six_statements_whatever_the_history(db: Db) -> None:
    with statements(db) as seen, db() as session:
        charts.months(session, COLUMNS, TODAY, MOSCOW)
    assert len([text for text in seen if text.startswith("SELECT")]) == 6


@pytest.mark.usefixtures("priced")
def test_changes_are_kept_unless_somebody_says_otherwise(real_db: Db) -> None:
    now = datetime(2026, 11, 20)

    def prune(days: int | None) -> int:
        keep = None if days is None else timedelta(days=days)
        return drive(retention.prune(timedelta(days=400), keep_changes=keep, now=now), real_db, {}).changes

    assert prune(None) == 0
    assert prune(260) == 0
    store(real_db)
    assert prune(100) == 2  # those of March; September's and the newest stay
    assert [cost for _, cost in months(real_db)] == EXPECTED


def test_the_job_stores_months_and_prunes_changes(installation: Path, db: Db, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOSTING_KEEP_CHANGES_DAYS", "31")
    with db() as session, session.begin():
        for days in (90, 32, 30):
            session.add(ChangeLog(at=utcnow() - timedelta(days=days), server_id=1, field="notes"))
    assert Jobs(db=db).prune() == {"runs": 0, "events": 0, "changes": 2}
    with db() as session:
        assert session.scalar(sa.select(sa.func.count()).select_from(MonthEnd)) == 11


def put(db: Db, count: int, kind: str = "imported", **values: Any) -> None:
    moment = utcnow() - timedelta(days=2)
    records = [
        {"kind": kind, "dedupe_key": f"{kind}:{n}", "payload": json.dumps({"name": f"web-{n}"}), "created_at": moment,
         "next_try_at": moment, "tries": 0, **values}
        for n in range(count)
    ]  # fmt: skip
    with db() as session, session.begin():
        session.execute(sa.insert(EventOutbox), records)


def test_a_digest_counts_all_and_takes_the_gravest(real_db: Db) -> None:
    put(real_db, 700)
    put(real_db, 2, "sync_failed")
    told: list[tuple[str, str, Sequence[OutboxEvent]]] = []

    def hear(title: str, text: str, events: Sequence[OutboxEvent]) -> None:
        told.append((title, text, events))

    report = dispatch_events(real_db, hear)
    ((title, text, events),) = told
    assert (report.sent, report.messages, len(events)) == (702, 1, 500)
    assert "702" in title and text.splitlines()[-1] == "и ещё 682"
    assert [event.kind for event in events].count("sync_failed") == 2
    assert dispatch_events(real_db, hear).sent == 0


def test_more_ids_than_a_statement_takes_parameters(real_db: Db) -> None:
    assert [len(piece) for piece in in_pieces(range(8_001))] == [4_000, 4_000, 1]
    put(real_db, 3, dead_at=utcnow())
    with real_db() as session, session.begin():
        assert retry_dead_letters(session, range(1, MANY)) == 3


def test_reminders_ask_for_their_keys_in_pieces(real_db: Db, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dialects, "_MOST_VALUES", 10)
    due = datetime(2026, 11, 20)
    row = {"client_name": "x", "server_name": "web", "start_date": due, "next_payment_date": due,
           "payment_period": "monthly", "status": "active", "client_price": 100}  # fmt: skip
    with real_db() as session, session.begin():
        session.execute(sa.insert(HostingServer), [row] * 25)
    with statements(real_db) as seen:
        assert payment_reminders(real_db, today=TODAY).due == 25
    assert len([text for text in seen if "dedupe_key IN" in text]) == 3
    assert payment_reminders(real_db, today=TODAY).due == 0


@pytest.mark.usefixtures("installation")
def test_ticks_that_were_missed_queue_an_account_once(real_db: Db, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIMEWEB_API_TOKENS", json.dumps({"second": TOKEN}))
    jobs, sent = Jobs(db=real_db), list[str]()
    for _ in range(20):
        jobs.queue_accounts(sent.append)
    assert sorted(sent) == ["default", "second"]
    # The message arrives: from now on the age of the data decides.
    with real_db() as session, session.begin():
        session.add(AccountState(account="default", last_success_at=utcnow()))
        session.add(AccountState(account="second", last_success_at=utcnow() - timedelta(hours=1)))
    jobs.sync_account("default")
    assert jobs.queue_accounts(sent.append) == []
    with real_db() as session, session.begin():
        session.execute(sa.update(SyncLease).values(queued_ms=1))  # half an hour later: the other message was lost
    assert jobs.queue_accounts(sent.append) == ["second"]


@pytest.mark.usefixtures("installation")
def test_a_queue_that_is_down_leaves_no_mark(db: Db) -> None:
    def refuse(_account: str) -> None:
        raise ConnectionError

    jobs, sent = Jobs(db=db), list[str]()
    with pytest.raises(ConnectionError):
        jobs.queue_accounts(refuse)
    assert jobs.queue_accounts(sent.append) == ["default"]
