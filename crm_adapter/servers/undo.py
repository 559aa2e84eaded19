"""Taking back what somebody just did, from the change log: only values that nobody has changed since."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import Any, Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from crm_adapter.db.columns import CALENDAR, Columns
from crm_adapter.db.history import logged
from crm_adapter.db.rows import State, StoredRow
from crm_adapter.db.tables import ChangeLog
from crm_adapter.ledger.ownership import owners_changed, take_back
from crm_adapter.money import add_months
from crm_adapter.servers import edit
from crm_adapter.servers.validation import EDITABLE
from crm_adapter.steps import transaction

UNDOABLE: Final = frozenset(EDITABLE) - {"cost_price", "balance", "balance_last_updated", "configuration", "ip_address"}
"""Columns whose old value is all there is to bring back; a cost also had an owner, which the log does not keep."""

_Values = Mapping[str, tuple[str | None, str | None]]


async def undo(columns: Columns, at: datetime, *, actor: str | None) -> tuple[int, int]:
    """Take back what `actor` did at the instant `at` (UTC, as `EditResult.at` gives it), in one transaction.

    Gives how many rows (or services) are as they were before, and how many are not because somebody changed them since.
    """
    mine = (ChangeLog.run_id.is_(None), ChangeLog.actor == actor if actor is not None else ChangeLog.actor.is_(None))
    owners = await transaction(lambda session: owners_changed(session, ChangeLog, at, *mine))
    if owners:
        return await take_back(columns, owners, actor=actor)
    wanted = await transaction(lambda session: _entries(session, at, *mine))
    if not wanted:
        return 0, 0
    changes: dict[int, edit.Change] = {row_id: partial(_back, columns, values) for row_id, values in wanted.items()}
    rows, _, _ = await edit.change_many(columns, changes, "edited", actor=actor)
    return len(rows), len(wanted) - len(rows)


def _entries(session: Session, at: datetime, *conditions: Any) -> dict[int, dict[str, tuple[str | None, str | None]]]:
    """Row id -> column -> (old, new) of what one person did in one transaction."""
    query = select(ChangeLog).where(ChangeLog.at == at, *conditions)
    found: dict[int, dict[str, tuple[str | None, str | None]]] = {}
    for entry in session.scalars(query):
        found.setdefault(entry.server_id, {})[entry.field] = (entry.old, entry.new)
    return {row_id: values for row_id, values in found.items() if values.keys() <= UNDOABLE}


def _back(columns: Columns, values: _Values, row: StoredRow, state: State) -> Any:
    """The old values, unless somebody was there since."""
    if not all(_is_still(row, name, new) for name, (_, new) in values.items()):
        edit.refuse("version_conflict")
    made = edit.edited(columns, {name: "" if old is None else old for name, (old, _) in values.items()})(row, state)
    before = made.host.get("next_payment_date")
    anchor = state.payment_anchor_day
    if before is not None and anchor is not None and add_months(before.date(), 0, anchor) == before.date():
        # A payment that is taken back was due at the end of a month, and is again.
        made = replace(made, state=replace(made.state, payment_anchor_day=anchor))
    return made


def _is_still(row: StoredRow, name: str, logged_value: str | None) -> bool:
    """Whether a column holds what was written; nothing and 0 are the same price, a day is one at any time of day."""
    now = logged(getattr(row, name))
    if name in CALENDAR:
        return (now or "")[:10] == (logged_value or "")[:10]
    nothing = {None, "", "0.00"} if name in {"client_price", "service_fee"} else {None, ""}
    return now == logged_value or (now in nothing and logged_value in nothing)
