"""`payment_reminders`: who must pay soon, and who has not, once per row, date and kind."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import date, timedelta
from typing import Any, Final

from sqlalchemy import Table, select
from sqlalchemy.orm import Session

from crm_adapter.db.columns import Columns
from crm_adapter.db.dialects import begin_write, in_pieces, insert_ignore
from crm_adapter.db.rows import StoredRow, read_rows
from crm_adapter.db.tables import EventOutbox, utcnow
from crm_adapter.payload import plain
from crm_adapter.results import ReminderReport, to_plain
from crm_adapter.servers.conditions import billable, days_to_payment, pays_before

DUE_DAYS: Final = (7, 1, 0)
"""Days before the payment on which people are told."""
_TOLD: Final = (
    "server_name",
    "client_name",
    "client_id",
    "client_price",
    "service_fee",
    "status",
    "next_payment_date",
)
_TOLD_STATE: Final = ("account", "removed_at")


def reminder(days_left: int) -> str | None:
    """`payment_due` at T-7, T-1 and T0, `payment_overdue` at T+1 and weekly after, else nothing."""
    if days_left in DUE_DAYS:
        return "payment_due"
    return "payment_overdue" if days_left < 0 and (-days_left - 1) % 7 == 0 else None


def write_reminders(session: Session, columns: Columns, today: date | None = None) -> ReminderReport:
    """See `crm_adapter.payment_reminders`."""
    today = today or columns.today()
    begin_write(session)
    soon = pays_before(columns, today + timedelta(days=max(DUE_DAYS) + 1))
    rows = read_rows(session, columns, billable(columns), soon, names=_TOLD, state_names=_TOLD_STATE)
    records = list(_records(rows, today))
    known: set[str] = set()
    for keys in in_pieces(record["dedupe_key"] for record in records):
        known.update(session.scalars(select(EventOutbox.dedupe_key).where(EventOutbox.dedupe_key.in_(keys))))
    fresh = [record for record in records if record["dedupe_key"] not in known]
    if fresh:
        # Another worker may have claimed the same key since: the unique index decides.
        table: Table = EventOutbox.__table__  # type: ignore[assignment]
        session.execute(insert_ignore(session, table), fresh)
    kinds = [record["kind"] for record in fresh]
    return ReminderReport(kinds.count("payment_due"), kinds.count("payment_overdue"))


def _records(rows: Iterable[StoredRow], today: date) -> Iterable[dict[str, Any]]:
    now = utcnow()
    for row in rows:
        days = days_to_payment(row, today)
        if days is None or (kind := reminder(days)) is None:
            continue
        due = today + timedelta(days=days)
        payload = {
            "name": row.server_name,
            "client": row.client_name,
            "amount": row.total_price,
            "days": days,
            "date": f"{due:%d.%m.%Y}",
            "timeweb_id": row.timeweb_id,
        }
        yield {
            "kind": kind,
            "dedupe_key": f"{kind}:{row.id}:{due.isoformat()}:{days}",
            "account": row.account,
            "server_id": row.id,
            "payload": json.dumps(to_plain(plain(payload)), ensure_ascii=False),
            "created_at": now,
            "next_try_at": now,
            "tries": 0,
        }
