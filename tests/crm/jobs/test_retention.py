"""What ``prune`` deletes, and what it must not."""

from __future__ import annotations

import json
from collections import Counter
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, insert, select, update
from sqlalchemy.orm import Session, sessionmaker

from crm_adapter import add_manual, dispatch_events, payment_reminders, sync_all
from crm_adapter.cli import main
from crm_adapter.db.tables import ChangeLog, EventOutbox, SyncRun, utcnow
from crm_adapter.jobs import retention
from crm_adapter.jobs.jobs import Jobs
from crm_adapter.jobs.retention import PruneReport
from crm_adapter.settings import SettingsError, load_settings
from crm_adapter.steps import drive
from crm_adapter.wiring import open_engine
from tests.crm.database import kept, statements
from tests.crm.fake_timeweb import client, world

Db = sessionmaker[Session]
NOW = utcnow()
KEEP = timedelta(days=400)
OLD, YOUNG = NOW - timedelta(days=401), NOW - timedelta(days=399)


def prune(db: Db, keep: timedelta = KEEP, now: datetime = NOW) -> PruneReport:
    return drive(retention.prune(keep, now=now), db, {})


def put_runs(db: Db, *runs: tuple[datetime, str]) -> None:
    with db() as session, session.begin():
        session.add_all(SyncRun(started_at=at, status=status) for at, status in runs)


def put_event(db: Db, at: datetime, key: str, kind: str = "imported", **values: Any) -> None:
    with db() as session, session.begin():
        session.add(
            EventOutbox(kind=kind, dedupe_key=key, payload="{}", created_at=at, next_try_at=at, **{"tries": 0, **values})
        )  # fmt: skip


def keys(db: Db) -> set[str]:
    with db() as session:
        return set(session.scalars(select(EventOutbox.dedupe_key)))


def statuses(db: Db) -> list[str]:
    with db() as session:
        return list(session.scalars(select(SyncRun.status).order_by(SyncRun.id)))


def test_old_finished_runs_and_sent_events_go(real_db: Db) -> None:
    put_runs(real_db, (OLD, "success"), (OLD, "running"), (OLD, "crashed"), (YOUNG, "failed"), (YOUNG, "success"))
    put_event(real_db, OLD, "sent long ago", sent_at=OLD)
    put_event(real_db, YOUNG, "sent lately", sent_at=YOUNG)
    put_event(real_db, OLD, "never told to anybody")
    put_event(real_db, YOUNG, "waiting")
    put_event(real_db, OLD, "tried once", tries=1)
    put_event(real_db, OLD, "never told, once for ever", "discovered")
    put_event(real_db, OLD, "given up", dead_at=OLD)
    put_event(real_db, OLD, "sent at last", sent_at=YOUNG)
    put_event(real_db, OLD, "told once for ever", "discovered", sent_at=OLD)
    assert prune(real_db) == PruneReport(runs=2, events=2)
    assert statuses(real_db) == ["running", "failed", "success"]
    assert keys(real_db) == {
        "sent lately",
        "waiting",
        "tried once",
        "given up",
        "sent at last",
        "told once for ever",
        "never told, once for ever",
    }
    assert prune(real_db) == PruneReport()


def test_the_newest_run_stays_so_that_no_id_comes_twice(db: Db) -> None:
    put_runs(db, (OLD, "success"), (OLD, "success"))
    prune(db)
    report = sync_all(db, client(world(1)))
    assert (statuses(db), report.run_id) == (["success", "success"], 3)


def test_each_transaction_is_short(real_db: Db, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "BATCH", 4)
    put_runs(real_db, *((OLD, "success") for _ in range(11)))
    with statements(real_db) as seen:
        assert prune(real_db).runs == 10
    deleting = [text for text in seen if text.startswith("DELETE")]
    assert len(deleting) == 3
    looking = [text for text in seen if text.startswith("SELECT") and "timeweb_sync_run.started_at <" in text]
    assert ["timeweb_sync_run.started_at >=" in text for text in looking] == [False, True, True], "what is gone is passed once"


def test_the_change_log_stays(db: Db) -> None:
    sync_all(db, client(world(2)))
    with db() as session, session.begin():
        session.execute(update(ChangeLog).values(at=OLD))
    prune(db)
    with db() as session:
        assert session.scalar(select(func.count()).select_from(ChangeLog)) == 2


def test_nothing_is_told_twice(db: Db) -> None:
    """With the shortest keeping that is allowed, every day, a payment that never comes."""
    told: Counter[str] = Counter()
    fake = world(1)
    start = date(2026, 1, 15)
    sync_all(db, client(fake), import_new=False)
    values = {"server_name": "shop", "client_name": "Ромашка", "client_price": 1500, "next_payment_date": start}
    assert add_manual(db, values).success
    for day in range(150):
        now = datetime(2026, 1, 8, 12) + timedelta(days=day)
        payment_reminders(db, today=now.date())
        if day % 10 == 0:
            sync_all(db, client(fake), import_new=False)
        with db() as session, session.begin():  # rows are dated by the real clock
            session.execute(
                update(EventOutbox).where(EventOutbox.sent_at.is_(None)).values(created_at=now, next_try_at=now)
            )  # fmt: skip
        dispatch_events(db, lambda title, text, events: told.update(event.dedupe_key for event in events), now=now)
        prune(db, timedelta(days=31), now=now)
    assert max(told.values()) == 1
    assert sum(key.startswith("discovered") for key in told) == 1
    assert sum(key.startswith("payment_due") for key in told) == 3
    assert sum(key.startswith("payment_overdue") for key in told) == 21
    assert len(keys(db)) < 10


@pytest.mark.parametrize(("old", "transactions"), [(1000, 1), (1001, 2)])
def test_a_transaction_deletes_1000_rows(old: int, transactions: int, db: Db) -> None:
    with db() as session, session.begin():
        values = [{"status": "success", "started_at": at, "finished_at": at} for at in (*[OLD] * old, YOUNG)]
        session.execute(insert(SyncRun), values)
    with statements(db) as seen:
        assert prune(db).runs == old
    assert sum(text.startswith("DELETE") for text in seen) == transactions


@pytest.mark.parametrize("name", ["HOSTING_KEEP_DAYS", "HOSTING_KEEP_CHANGES_DAYS"])
def test_31_days_are_enough(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "31")
    load_settings(env_file=None)
    monkeypatch.setenv(name, "30")
    with pytest.raises(SettingsError, match=name):
        load_settings(env_file=None)


def test_the_command_and_the_setting(
    installation: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = kept(open_engine(load_settings()))
    db = sessionmaker(engine)
    put_runs(db, *((utcnow() - timedelta(days=100), "success") for _ in range(3)))
    assert main(["prune", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"success": True, "runs": 0, "events": 0, "changes": 0}
    monkeypatch.setenv("HOSTING_KEEP_DAYS", "90")
    assert main(["prune"]) == 0
    assert capsys.readouterr().out == "Удалено запусков: 2, событий: 0, изменений: 0\n"
    jobs = kept(Jobs(db=db))
    assert jobs.prune() == {"runs": 0, "events": 0, "changes": 0}


@pytest.mark.parametrize(("value", "remedy"), [("30", "не меньше 31"), ("0", "не меньше 31"), ("soon", "целое число")])
def test_a_setting_that_could_repeat_messages_is_refused(value: str, remedy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOSTING_KEEP_DAYS", value)
    with pytest.raises(SettingsError) as caught:
        load_settings(env_file=None)
    assert "HOSTING_KEEP_DAYS" in caught.value.russian and remedy in caught.value.russian
