"""`payment_reminders`: who must pay soon, and who has not, once per row, date and kind."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import date
from typing import Any, Final

from sqlalchemy import Table, select
from sqlalchemy.orm import Session

from crm_adapter.db.columns import Columns
from crm_adapter.db.dialects import begin_write, insert_ignore
from crm_adapter.db.tables import EventOutbox, utcnow
from crm_adapter.payload import plain
from crm_adapter.results import ReminderReport, to_plain
from crm_adapter.servers.totals import due_amount, has_client_and_price, payment_day, server_rows

DUE_DAYS: Final = (7, 1, 0)
"""Days before the payment on which people are told."""


def reminder(days_left: int) -> str | None:
    """`payment_due` at T-7, T-1 and T0, `payment_overdue` at T+1 and weekly after, else nothing."""
    if days_left in DUE_DAYS:
        return "payment_due"
    return "payment_overdue" if days_left < 0 and (-days_left - 1) % 7 == 0 else None


def write_reminders(session: Session, columns: Columns, today: date | None = None) -> ReminderReport:
    """See `crm_adapter.payment_reminders`."""
    begin_write(session)
    records = list(_records(server_rows(session, columns), today or columns.today()))
    keys = [record["dedupe_key"] for record in records]
    known = set(session.scalars(select(EventOutbox.dedupe_key).where(EventOutbox.dedupe_key.in_(keys))))
    fresh = [record for record in records if record["dedupe_key"] not in known]
    if fresh:
        # Another worker may have claimed the same key since: the unique index decides.
        table: Table = EventOutbox.__table__  # type: ignore[assignment]
        session.execute(insert_ignore(session, table), fresh)
    kinds = [record["kind"] for record in fresh]
    return ReminderReport(kinds.count("payment_due"), kinds.count("payment_overdue"))


def _records(rows: Iterable[Mapping[str, Any]], today: date) -> Iterable[dict[str, Any]]:
    now = utcnow()
    for row in rows:
        due = payment_day(row)
        if (
            due is None
            or row["status"] not in {"active", "overdue"}
            or row["state_removed_at"]
            or not has_client_and_price(row)
        ):
            continue
        days = (due - today).days
        kind = reminder(days)
        if kind is None:
            continue
        payload = {
            "name": row["server_name"],
            "client": row["client_name"],
            "amount": due_amount(row),
            "days": days,
            "date": f"{due:%d.%m.%Y}",
            "timeweb_id": row["timeweb_id"],
        }
        yield {
            "kind": kind,
            "dedupe_key": f"{kind}:{row['id']}:{due.isoformat()}:{days}",
            "account": row["state_account"],
            "server_id": row["id"],
            "payload": json.dumps(to_plain(plain(payload)), ensure_ascii=False),
            "created_at": now,
            "next_try_at": now,
            "tries": 0,
        }
