"""What people do to rows: edit, link, unlink, pay, price. Versions conflict only between people, never with a sync."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Final, NoReturn

from sqlalchemy import delete, select, update
from sqlalchemy.exc import IntegrityError, StatementError
from sqlalchemy.orm import Session

from crm_adapter.db.columns import SHARED, Columns
from crm_adapter.db.dialects import begin_write, is_lock_timeout, rejects_values
from crm_adapter.db.history import REMOVED_ROW, Author, Entry, logged, write_changes
from crm_adapter.db.rejections import rejection
from crm_adapter.db.rows import (
    CREATED_AT,
    State,
    StoredRow,
    created_at_text,
    lock,
    read_row,
    shared_value,
    with_state,
    with_values,
    write_states,
)
from crm_adapter.db.tables import TimewebServerState, utcnow
from crm_adapter.ledger.ownership import release
from crm_adapter.money import add_months, as_midnight, next_payment
from crm_adapter.results import ChangeKind, EditCode, EditResult
from crm_adapter.servers.conditions import payment_day
from crm_adapter.servers.validation import EDITABLE, Invalid, check_values, parse_money, require_known
from crm_adapter.steps import transaction
from crm_adapter.text import messages, refusals
from crm_adapter.text.labels import UNKNOWN_CLIENT

_UNLINKED_ONLY: Final = frozenset({"configuration", "ip_address"})
"""Timeweb's columns that a person may fill while the row is not linked."""
_ZERO_IS_NONE: Final = frozenset({"client_price", "service_fee", "balance"})
"""Amounts of which nothing and 0 are the same; a cost of 0 is a price."""


class _Refused(Exception):
    """The edit is not possible; rolls the transaction back."""

    def __init__(self, code: EditCode, text: str | None = None) -> None:
        super().__init__(code)
        self.code: EditCode = code
        self.text = text or messages.failure_text(code)


@dataclass(frozen=True, slots=True)
class _Edit:
    """What one edit writes."""

    host: Mapping[str, Any]
    state: State


Change = Callable[[StoredRow, State], _Edit]
"""What is to be written to a locked row; raises `_Refused` or `Invalid` where nothing can be."""


async def update_manual(
    columns: Columns,
    crm_id: int,
    values: Mapping[str, Any],
    *,
    expected_version: int | None,
    actor: str | None,
    as_seen: Callable[[StoredRow], bool] | None = None,
) -> EditResult:
    """See `crm_adapter.update_manual`. With `as_seen` only what the person looked at must be as it was, not the whole row."""
    make = edited(columns, values)

    def edit(row: StoredRow, state: State) -> _Edit:
        if as_seen is not None and not as_seen(row):
            raise _Refused("version_conflict")
        return make(row, state)

    return await _edit(columns, crm_id, "edited", edit, expected_version=expected_version, actor=actor)


def edited(columns: Columns, values: Mapping[str, Any]) -> Change:
    """What people type; None hands a shared column back to sync."""
    require_known(values)

    def edit(row: StoredRow, state: State) -> _Edit:
        back = {name for name, value in values.items() if value is None and name in SHARED}
        checked = check_values(columns, {name: value for name, value in values.items() if name not in back})
        managed = {name for name in _UNLINKED_ONLY.intersection(checked) if _differs(row, name, checked[name])}
        if row.timeweb_id is not None and managed:
            raise _Refused("validation", refusals.kept_by_timeweb(sorted(managed)))
        for name in back:
            state = _hand_back(row, state, name)
        if "cost_price" in checked and row.cost_price != checked["cost_price"]:
            state = _keep_from_sync(state, "cost_price")
        if "next_payment_date" in checked:
            state = replace(state, payment_anchor_day=checked["next_payment_date"].day)
        return _Edit(checked, state)

    return edit


async def set_cost(columns: Columns, crm_id: int, cost: Decimal | float | str | None, *, actor: str | None) -> EditResult:
    """See `crm_adapter.set_cost`."""

    def edit(row: StoredRow, state: State) -> _Edit:
        amount = parse_money(cost)
        if amount is None:
            return _Edit({}, _hand_back(row, state, "cost_price"))
        checked = check_values(columns, {"cost_price": amount})
        return _Edit(checked, _keep_from_sync(state, "cost_price"))

    return await _edit(columns, crm_id, "priced", edit, actor=actor)


async def mark_paid(columns: Columns, crm_id: int, *, expected_date: date | None, actor: str | None) -> EditResult:
    """See `crm_adapter.mark_paid`."""
    return await _edit(columns, crm_id, "paid", paid(expected_date), actor=actor)


def paid(expected_date: date | None) -> Change:
    """A payment that was due on `expected_date` moves the date to the next one."""

    def edit(row: StoredRow, state: State) -> _Edit:
        day = payment_day(row)
        if day is None:
            raise _Refused("validation", f"next_payment_date: {refusals.NO_DAY}")
        if expected_date is not None and expected_date != day:
            raise _Refused("version_conflict")
        anchor = state.payment_anchor_day
        # The anchor holds only while the date is the one it leads to; another date was typed past us.
        if anchor is None or add_months(day, 0, anchor) != day:
            anchor = day.day
        try:
            following = next_payment(day, row.payment_period, anchor)
        except ValueError:
            raise _Refused("validation", f"next_payment_date: {refusals.no_day_after(day)}") from None
        host: dict[str, Any] = {"next_payment_date": as_midnight(following)}
        if row.status == "overdue":
            host["status"] = "active"
        return _Edit(host, replace(state, payment_anchor_day=anchor))

    return edit


async def link(columns: Columns, crm_id: int, timeweb_id: int, *, account: str | None, actor: str | None) -> EditResult:
    """See `crm_adapter.link`."""
    return await _edit(columns, crm_id, "linked", linked(columns, timeweb_id, account), actor=actor)


def linked(columns: Columns, timeweb_id: int, account: str | None) -> Change:
    """A row that is tied to no server is tied to this one."""

    def edit(row: StoredRow, state: State) -> _Edit:
        if timeweb_id < 1 or not columns.holds("timeweb_id", timeweb_id):
            raise _Refused("validation", f"timeweb_id: {refusals.no_server_number(timeweb_id)}")
        if row.timeweb_id == timeweb_id:
            return _Edit({}, state)
        if row.timeweb_id is not None:
            raise _Refused("conflict", refusals.LINKED_ALREADY)
        return _Edit({"timeweb_id": timeweb_id}, replace(state, timeweb_id=timeweb_id, account=account, unlinked_from=None))

    return edit


async def unlink(columns: Columns, crm_id: int, *, actor: str | None) -> EditResult:
    """See `crm_adapter.unlink`."""
    return await _edit(columns, crm_id, "unlinked", unlinked(), actor=actor)


def unlinked() -> Change:
    """A row keeps what it has and follows its server no longer."""

    def edit(row: StoredRow, state: State) -> _Edit:
        if row.timeweb_id is None:
            raise _Refused("not_linked")
        cleared: dict[str, Any] = dict.fromkeys(("timeweb_id", "timeweb_status", "timeweb_preset_id", "timeweb_data"))
        kept = State(
            unlinked_from=row.timeweb_id,
            cost_source="unknown" if row.cost_price is None else "manual",
            edit_version=state.edit_version,
            payment_anchor_day=state.payment_anchor_day,
        )
        return _Edit(cleared, kept)

    return edit


async def add_manual(columns: Columns, values: Mapping[str, Any], *, actor: str | None) -> EditResult:
    """See `crm_adapter.add_manual`."""
    require_known(values)
    today = columns.today()
    defaults = {
        "client_name": UNKNOWN_CLIENT,
        "cost_price": 0,
        "client_price": 0,
        "service_fee": 0,
        "start_date": today,
        "next_payment_date": today,
        "payment_period": "monthly",
        "status": "active",
        "auto_sync": True,
    }
    given = {name: value for name, value in values.items() if value is not None and value != ""}
    period = str(given.get("payment_period", "monthly"))
    defaults["next_payment_date"] = next_payment(today, period)
    try:
        checked = check_values(columns, {**defaults, "server_name": "", **given})
    except Invalid as error:
        return EditResult(False, None, "validation", str(error))
    source = "manual" if "cost_price" in given else "unknown"
    state = State(cost_source=source, payment_anchor_day=checked["next_payment_date"].day)
    try:
        return await transaction(lambda session: _insert(session, columns, checked, state, actor))
    except StatementError as error:
        if not rejects_values(error):
            raise
        return EditResult(False, None, "validation", rejection(error, columns)[1])


async def remove_manual(columns: Columns, crm_id: int, *, actor: str | None) -> EditResult:
    """See :func:`crm_adapter.remove_manual`."""

    def remove(session: Session) -> EditResult:
        row = lock(session, columns, [crm_id]).get(crm_id)
        if row is None:
            raise _Refused("not_found", messages.failure_text("row_not_found"))
        if row.timeweb_id is not None:
            raise _Refused("linked")
        now = utcnow()
        author = Author("deleted", now, actor)
        release(session, columns, crm_id, author)
        kept = {name: logged(getattr(row, name)) for name in EDITABLE if name in columns} | {"cost_source": row.cost_source}
        beside = {REMOVED_ROW: (json.dumps(kept, ensure_ascii=False), None)}
        write_changes(session, columns, author, [Entry(crm_id, None, {"deleted": (row.server_name, None)}, beside=beside)])
        session.execute(delete(TimewebServerState).where(TimewebServerState.server_id == crm_id))
        session.execute(delete(columns.table).where(columns["id"] == crm_id, *columns.scope))
        return EditResult(True, crm_id, changes=("deleted",), server=row.values(), row=row, at=now)

    return await _told(crm_id, remove)


async def restore(columns: Columns, crm_id: int, kept: Mapping[str, str | None], *, actor: str | None) -> EditResult:
    """Bring back a row that `remove_manual` took, under its number; `kept` is what the log has of it."""

    def insert(session: Session) -> EditResult:
        begin_write(session)
        if read_row(session, columns, crm_id) is not None:
            raise _Refused("conflict", refusals.number_taken(crm_id))
        given = {name: value for name, value in kept.items() if name in EDITABLE and name in columns and value is not None}
        state = State(cost_source=kept.get("cost_source") or "unknown")
        return _insert(session, columns, check_values(columns, given), state, actor, crm_id)

    return await _told(crm_id, insert)


def refuse(code: EditCode) -> NoReturn:
    """Say inside a `Change` that it is not possible."""
    raise _Refused(code)


async def change_many(
    columns: Columns, changes: Mapping[int, Change], kind: ChangeKind, *, actor: str | None
) -> tuple[list[StoredRow], dict[int, str], datetime]:
    """Change several rows in one transaction, with one entry of the log for each value.

    Gives the rows that changed, why others could not (row id -> text), and the instant by which the log knows all of it.
    A row that cannot be changed leaves the others alone; what the database rejects undoes all of them.
    """
    now = utcnow()

    def write(session: Session) -> tuple[list[StoredRow], dict[int, str], datetime]:
        begin_write(session)
        locked, refused = lock(session, columns, list(changes)), dict[int, str]()
        made: dict[int, tuple[dict[str, Any], State]] = {}
        for crm_id, change in changes.items():
            row = locked.get(crm_id)
            if row is None:
                refused[crm_id] = messages.failure_text("row_not_found")
                continue
            before = row.state or State(timeweb_id=row.timeweb_id, cost_source=row.cost_source)
            try:
                edit = change(row, before)
                if edit.host.get("timeweb_id") is not None:
                    _must_be_free(session, columns, edit.host["timeweb_id"])
            except (_Refused, Invalid) as error:
                refused[crm_id] = error.text if isinstance(error, _Refused) else str(error)
                continue
            host = {name: value for name, value in edit.host.items() if name in columns and _differs(row, name, value)}
            if host or edit.state != before:
                made[crm_id] = host, replace(edit.state, edit_version=before.edit_version + 1)
        # Rows that get the same values share a statement.
        alike: dict[tuple[tuple[str, Any], ...], list[StoredRow]] = {}
        for crm_id, (host, _) in made.items():
            alike.setdefault(tuple(sorted(host.items())), []).append(locked[crm_id])
        written: list[StoredRow] = []
        for values, rows in alike.items():
            written += _write_hosts(session, columns, rows, dict(values), now) if values else rows
        after = [with_state(row, made[row.id][1]) for row in written]
        after = [row if row.timeweb_id is not None else with_state(row, _born(row, made[row.id][1])) for row in after]
        write_states(session, after)
        entries = [_entry(locked[row.id], row, made[row.id][0]) for row in after]
        write_changes(session, columns, Author(kind, now, actor), entries)
        return after, refused, now

    return await transaction(write)


async def _edit(
    columns: Columns,
    crm_id: int,
    kind: ChangeKind,
    edit: Callable[[StoredRow, State], _Edit],
    *,
    actor: str | None,
    expected_version: int | None = None,
) -> EditResult:
    """Lock the row, check the version, write what `edit` says, log it; all in one transaction."""

    def write(session: Session) -> EditResult:
        begin_write(session)
        row = lock(session, columns, [crm_id]).get(crm_id)
        if row is None:
            raise _Refused("not_found", messages.failure_text("row_not_found"))
        if expected_version is not None and expected_version != row.edit_version:
            raise _Refused("version_conflict")
        before = row.state or State(timeweb_id=row.timeweb_id, cost_source=row.cost_source)
        made = edit(row, before)
        host = {name: value for name, value in made.host.items() if name in columns and _differs(row, name, value)}
        if host.get("timeweb_id") is not None:
            _must_be_free(session, columns, host["timeweb_id"])
        if not host and made.state == before:
            return EditResult(True, crm_id, edit_version=row.edit_version, server=row.values(), row=row)
        now = utcnow()
        after = _write_host(session, columns, row, host, now) if host else row
        state = replace(made.state, edit_version=before.edit_version + 1)
        after = with_state(after, _born(after, state) if after.timeweb_id is None else state)
        write_states(session, [after])
        entry = _entry(row, after, host)
        write_changes(session, columns, Author(kind, now, actor), [entry])
        return EditResult(
            True,
            crm_id,
            changes=tuple(entry.changes),
            edit_version=after.edit_version,
            server=after.values(),
            row=after,
            at=now,
        )

    return await _told(crm_id, write)


async def _told(crm_id: int, work: Callable[[Session], EditResult]) -> EditResult:
    """Run an edit in a transaction of its own; what a person can do something about is data."""
    try:
        return await transaction(work)
    except _Refused as refused:
        return EditResult(False, crm_id, refused.code, refused.text)
    except Invalid as error:
        return EditResult(False, crm_id, "validation", str(error))
    except StatementError as error:
        if is_lock_timeout(error):
            return EditResult(False, crm_id, "row_busy", messages.failure_text("row_busy"))
        if not rejects_values(error):
            raise
        code: EditCode = "conflict" if isinstance(error, IntegrityError) else "validation"
        return EditResult(False, crm_id, code, messages.failure_text("database_rejected"))


def _entry(before: StoredRow, after: StoredRow, host: Mapping[str, Any]) -> Entry:
    """What the log says of an edit; whose a cost was and which account had a server, it keeps beside that."""
    shown = {name: (getattr(before, name), value) for name, value in host.items() if name != "timeweb_data"}
    beside = {
        name: (getattr(before, name), getattr(after, name))
        for name, column in (("cost_source", "cost_price"), ("account", "timeweb_id"))
        if column in shown and getattr(before, name) != getattr(after, name)
    }
    return Entry(after.id, after.timeweb_id, shown, beside=beside)


def _differs(row: StoredRow, name: str, value: Any) -> bool:
    """Whether an edit changes what people see in a column: an unknown cost is none, and a 0 typed over it is an edit."""
    if name == "timeweb_data":
        return True  # it is not read, and only ever cleared here
    old = getattr(row, name)
    if isinstance(value, Decimal):
        # A price that is not set stands as 0 in the column.
        return (old or Decimal(0) if name in _ZERO_IS_NONE else old) != value
    if isinstance(value, datetime) and isinstance(old, date) and not isinstance(old, datetime):
        return old != value.date()
    return bool(old != value)


def handed_back(state: State, cost: Decimal | None, source: str) -> State:
    """A cost that came from Timeweb, and from where, as if no person had touched it."""
    base = state.base | {"cost_price": shared_value("cost_price", cost or Decimal(0))}
    return replace(state, sync_base=json.dumps(base, ensure_ascii=False, sort_keys=True), cost_source=source)


def _hand_back(row: StoredRow, state: State, column: str) -> State:
    """From now on sync may write the column again."""
    base = state.base | {column: shared_value(column, row.stored(column))}
    return replace(state, sync_base=json.dumps(base, ensure_ascii=False, sort_keys=True))


def _keep_from_sync(state: State, column: str) -> State:
    """The column is a person's even where the value is the one that sync wrote."""
    base = {name: value for name, value in state.base.items() if name != column}
    # Kept as JSON without the key: "sync never wrote it".
    return replace(
        state, sync_base=json.dumps(base, ensure_ascii=False, sort_keys=True), cost_source="manual", cost_stale=False
    )


def _must_be_free(session: Session, columns: Columns, timeweb_id: int) -> None:
    other = session.scalar(select(columns["id"]).where(columns["timeweb_id"] == timeweb_id))
    if other is not None:
        raise _Refused("conflict", refusals.taken_by(other))


def _insert(
    session: Session, columns: Columns, checked: Mapping[str, Any], state: State, actor: str | None, crm_id: int | None = None
) -> EditResult:
    """A new row with our state and its entry in the log; `crm_id` for one that had a number before."""
    begin_write(session)
    now = utcnow()
    values = columns.new_row({**checked, "created_at": now, "updated_at": now} | ({} if crm_id is None else {"id": crm_id}))
    crm_id = _insert_host(session, columns, values)
    # As the database keeps it: the moment of creation may lose its fraction on the way.
    stored = read_row(session, columns, crm_id)
    assert stored is not None
    row = with_state(stored, _born(stored, state))
    write_states(session, [row])
    created = {"created": (None, row.server_name)}
    write_changes(session, columns, Author("added", now, actor), [Entry(crm_id, None, created)])
    return EditResult(True, crm_id, changes=("created",), edit_version=0, server=row.values(), row=row)


def _insert_host(session: Session, columns: Columns, values: Mapping[str, Any]) -> int:
    """Insert a row and return its `id`, which need not be the primary key."""
    table, key = columns.table, columns["id"]
    result: Any = session.execute(table.insert().values({**values}))
    if key.primary_key:
        return int(result.inserted_primary_key[0])
    same = zip(table.primary_key.columns, result.inserted_primary_key, strict=True)
    return int(session.scalars(select(key).where(*(column == value for column, value in same))).one())


def _write_host(session: Session, columns: Columns, row: StoredRow, host: Mapping[str, Any], now: datetime) -> StoredRow:
    """Write columns; gives the row as it is then."""
    return _write_hosts(session, columns, [row], host, now)[0]


def _write_hosts(
    session: Session, columns: Columns, rows: Sequence[StoredRow], host: Mapping[str, Any], now: datetime
) -> list[StoredRow]:
    """Write the same to rows; gives them as they are then."""
    written = {name: value for name, value in {**host, "updated_at": now}.items() if name in columns}
    bound = {name: columns.bind(name, value) for name, value in written.items()}
    values: dict[Any, Any] = {columns[name]: value for name, value in bound.items()}
    if columns.version is not None:
        values[columns.version] = columns.version + 1
    session.execute(update(columns.table).where(columns["id"].in_([row.id for row in rows])).values(values))
    # A date that was given a zone on its way is read without it.
    aware = {name for name, value in bound.items() if isinstance(value, datetime) and value.tzinfo is not None}
    return [with_values(row, bound | {name: written[name] for name in aware}) for row in rows]


def _born(row: StoredRow, state: State) -> State:
    """The state of a row without a server: it notes when the row was created, so that another of the same id has no part."""
    if row.created_at is None:
        return state
    base = state.base | {CREATED_AT: created_at_text(row.created_at)}
    return replace(state, sync_base=json.dumps(base, ensure_ascii=False, sort_keys=True))
