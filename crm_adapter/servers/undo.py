"""Taking back what somebody just did, from the change log: only values that nobody has changed since."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import Any, Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from crm_adapter.db.columns import CALENDAR, Columns
from crm_adapter.db.history import REMOVED_ROW, logged
from crm_adapter.db.rows import State, StoredRow
from crm_adapter.db.tables import ChangeLog
from crm_adapter.ledger.ownership import owners_changed, take_back
from crm_adapter.money import add_months
from crm_adapter.payload import as_dict
from crm_adapter.servers import edit
from crm_adapter.servers.validation import EDITABLE
from crm_adapter.steps import transaction

UNDOABLE: Final = frozenset(EDITABLE) - {"balance", "balance_last_updated"} | {
    "timeweb_id",
    "timeweb_status",
    "timeweb_preset_id",
    "deleted",
}
"""What an edit may have changed if it can be taken back."""
_BESIDE: Final = frozenset({"cost_source", "account", REMOVED_ROW})
"""What the log keeps beside the changes for that."""

_Values = Mapping[str, tuple[str | None, str | None]]


async def undo(columns: Columns, at: datetime, *, actor: str | None) -> tuple[int, int]:
    """Take back what `actor` did at the instant `at` (UTC, as `EditResult.at` gives it); edits in one transaction.

    Gives how many rows (or services) are as they were before, and how many are not because somebody changed them since.
    """
    mine = (ChangeLog.run_id.is_(None), ChangeLog.actor == actor if actor is not None else ChangeLog.actor.is_(None))
    owners, wanted = await transaction(
        lambda session: (owners_changed(session, ChangeLog, at, *mine), _entries(session, at, *mine))
    )
    back, changes = 0, dict[int, edit.Change]()
    for row_id, values in wanted.items():
        if REMOVED_ROW in values:
            kept = as_dict(json.loads(values[REMOVED_ROW][0] or "{}"))
            back += (await edit.restore(columns, row_id, kept, actor=actor)).success
        else:
            changes[row_id] = partial(_back, columns, values)
    if changes:
        rows, _, _ = await edit.change_many(columns, changes, "edited", actor=actor)
        back += len(rows)
    if owners and (back or not wanted):
        # Services of a row that was removed follow it home.
        given, kept_services = await take_back(columns, owners, actor=actor)
        if not wanted:
            return given, kept_services
    return back, len(wanted) - back


def _entries(session: Session, at: datetime, *conditions: Any) -> dict[int, dict[str, tuple[str | None, str | None]]]:
    """Row id -> column -> (old, new) of what one person did in one transaction."""
    query = select(ChangeLog).where(ChangeLog.at == at, *conditions)
    found: dict[int, dict[str, tuple[str | None, str | None]]] = {}
    for entry in session.scalars(query):
        if entry.service_id is None:
            found.setdefault(entry.server_id, {})[entry.field] = (entry.old, entry.new)
    return {row_id: values for row_id, values in found.items() if values.keys() <= UNDOABLE | _BESIDE}


def _back(columns: Columns, values: _Values, row: StoredRow, state: State) -> Any:
    """The old values, unless somebody was there since."""
    if "timeweb_id" in values:
        return _relink(columns, values, row, state)
    source = values.get("cost_source", (None, None))[0]
    values = {name: both for name, both in values.items() if name not in _BESIDE}
    if not all(_is_still(row, name, new) for name, (_, new) in values.items()):
        edit.refuse("version_conflict")
    made = edit.edited(columns, {name: "" if old is None else old for name, (old, _) in values.items()})(row, state)
    before = made.host.get("next_payment_date")
    anchor = state.payment_anchor_day
    if before is not None and anchor is not None and add_months(before.date(), 0, anchor) == before.date():
        # A payment that is taken back was due at the end of a month, and is again.
        made = replace(made, state=replace(made.state, payment_anchor_day=anchor))
    if "cost_price" in values and source is not None and source != "manual" and row.timeweb_id is not None:
        # The cost was Timeweb's and is again: the next sync may write it.
        made = replace(made, state=edit.handed_back(made.state, made.host["cost_price"], source))
    return made


def _relink(columns: Columns, values: _Values, row: StoredRow, state: State) -> Any:
    """A tie to a server is loosened, or one that was loosened is tied again; what the server says comes by the next sync."""
    before, after = values["timeweb_id"]
    if logged(row.timeweb_id) != after:
        edit.refuse("version_conflict")
    if before is None:
        return edit.unlinked()(row, state)
    return edit.linked(columns, int(before), values.get("account", (None, None))[0])(row, state)


def _is_still(row: StoredRow, name: str, logged_value: str | None) -> bool:
    """Whether a column holds what was written; nothing and 0 are the same price, a day is one at any time of day."""
    now = logged(getattr(row, name))
    if name in CALENDAR:
        return (now or "")[:10] == (logged_value or "")[:10]
    nothing = {None, "", "0.00"} if name in {"client_price", "service_fee"} else {None, ""}
    return now == logged_value or (now in nothing and logged_value in nothing)
