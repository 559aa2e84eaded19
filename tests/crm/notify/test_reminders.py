"""Who must pay: on which days, once, and after a month end."""

from __future__ import annotations

import json
import threading
from datetime import UTC, date, datetime, timedelta

import time_machine
from sqlalchemy.orm import Session, sessionmaker

from crm_adapter import add_manual, dispatch_events, mark_paid, payment_reminders, sync_all, update_manual
from crm_adapter.db.tables import HostingServer, utcnow
from crm_adapter.results import ReminderReport
from tests.crm.database import edit, statements
from tests.crm.fake_timeweb import client, world
from tests.crm.notify.outbox import Inbox, rows

Db = sessionmaker[Session]


def add(db: Db, due: date, **values: object) -> int:
    known = {
        "server_name": "shop", "client_name": "ООО «Ромашка»", "client_price": "1500", "service_fee": "0", "cost_price": "500",
        "next_payment_date": due, "payment_period": "monthly", "start_date": due,
    }  # fmt: skip
    result = add_manual(db, {**known, **values})
    assert result.success and result.crm_id is not None, result
    return result.crm_id


def test_the_days_on_which_people_are_told(db: Db) -> None:
    due = date(2026, 3, 31)
    add(db, due)
    told: dict[int, ReminderReport] = {}
    for day in range(-10, 24):
        first, *again = (payment_reminders(db, today=due + timedelta(days=day)) for _ in range(3))
        assert again == [ReminderReport()] * 2
        if first != ReminderReport():
            told[day] = first
    due_report, overdue = ReminderReport(due=1), ReminderReport(overdue=1)
    assert told == {-7: due_report, -1: due_report, 0: due_report, 1: overdue, 8: overdue, 15: overdue, 22: overdue}


def test_a_reminder_as_the_outbox_keeps_it(db: Db) -> None:
    sync_all(db, {"main": client(world(1))})
    values = {"client_name": "Анна", "client_price": 1500, "service_fee": 100, "payment_period": "monthly"}
    assert update_manual(db, 1, {**values, "next_payment_date": date(2026, 3, 31)}).success
    before = utcnow()
    assert payment_reminders(db, today=date(2026, 3, 24)) == ReminderReport(due=1)
    found = next(row for row in rows(db) if row.kind == "payment_due")
    assert (found.account, found.server_id, found.tries) == ("main", 1, 0)
    assert found.dedupe_key == "payment_due:1:2026-03-31:7"
    assert before <= found.created_at == found.next_try_at <= utcnow()
    assert '"Анна"' in found.payload
    assert json.loads(found.payload) == {
        "name": "web-1", "client": "Анна", "amount": 1600, "days": 7, "date": "31.03.2026", "timeweb_id": 1001,
    }  # fmt: skip


def test_of_a_row_only_that_is_read_which_is_told(db: Db) -> None:
    add(db, date(2026, 3, 31))
    with statements(db) as seen:
        payment_reminders(db, today=date(2026, 3, 31))
    (asked,) = [text for text in seen if "FROM hosting_servers" in text]
    assert "client_price" in asked and "removed_at" in asked
    assert "timeweb_data" not in asked and "notes" not in asked and "ip_all" not in asked


def test_a_client_without_a_name_pays_too(db: Db) -> None:
    due = date(2026, 3, 31)
    crm_id = add(db, due, client_name="")
    assert payment_reminders(db, today=due) == ReminderReport()
    edit(db, crm_id, client_id=5)
    assert payment_reminders(db, today=due) == ReminderReport(due=1)


def test_today_is_the_studio_s(db: Db) -> None:
    add(db, date(2026, 3, 31))
    with time_machine.travel(datetime(2026, 3, 30, 21, tzinfo=UTC), tick=False):
        assert payment_reminders(db) == ReminderReport(due=1)


def test_any_number_of_workers_tell_once(real_db: Db) -> None:
    today = date(2026, 3, 31)
    for number in range(20):
        add(real_db, today, server_name=f"web-{number}")
    start, inbox = threading.Barrier(4), Inbox()

    def work() -> None:
        start.wait()
        payment_reminders(real_db, today=today)
        dispatch_events(real_db, inbox)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    told = [event.payload["name"] for *_, events in inbox.messages for event in events]
    assert sorted(told) == sorted(f"web-{number}" for number in range(20))
    assert len(rows(real_db)) == 20


def test_a_month_end_comes_back(db: Db) -> None:
    crm_id = add(db, date(2026, 1, 31))
    dates: list[date] = []
    for _ in range(4):
        assert mark_paid(db, crm_id).success
        with db() as session:
            row = session.get(HostingServer, crm_id)
            assert row is not None
            dates.append(row.next_payment_date.date())
    assert dates == [date(2026, 2, 28), date(2026, 3, 31), date(2026, 4, 30), date(2026, 5, 31)]


def test_a_payment_ends_the_reminders_of_its_date(db: Db) -> None:
    crm_id = add(db, date(2026, 1, 31))
    assert payment_reminders(db, today=date(2026, 1, 24)) == ReminderReport(due=1)
    mark_paid(db, crm_id)
    assert payment_reminders(db, today=date(2026, 1, 31)) == ReminderReport()
    assert payment_reminders(db, today=date(2026, 2, 21)) == ReminderReport(due=1)


def test_a_row_without_client_or_price_is_in_no_reminder(db: Db) -> None:
    today = date(2026, 1, 31)
    add(db, today, client_name="Не указан")
    add(db, today, client_price="0")
    add(db, today, status="closed")
    assert payment_reminders(db, today=today) == ReminderReport()


def test_the_text(db: Db) -> None:
    add(db, date(2026, 1, 31))
    inbox = Inbox()
    for day in (24, 30, 31):
        payment_reminders(db, today=date(2026, 1, day))
    payment_reminders(db, today=date(2026, 2, 1))
    dispatch_events(db, inbox, now=datetime(2030, 1, 1))
    assert inbox.texts[0].splitlines() == [
        "⚠ shop (ООО «Ромашка»): оплата 1 500,00 ₽ просрочена с 31.01.2026",
        "shop (ООО «Ромашка»): оплата 1 500,00 ₽ через 7 дней, 31.01.2026",
        "shop (ООО «Ромашка»): оплата 1 500,00 ₽ завтра",
        "shop (ООО «Ромашка»): оплата 1 500,00 ₽ сегодня",
    ]
