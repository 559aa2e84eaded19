"""What people do to rows: edit, link, unlink, pay, price.  Versions conflict only between people, never with a sync."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from typing import Any, Final

from sqlalchemy import select, update
from sqlalchemy.exc import IntegrityError, StatementError
from sqlalchemy.orm import Session

from crm_adapter.db.columns import SHARED, Columns
from crm_adapter.db.dialects import begin_write, rejects_values, upsert
from crm_adapter.db.tables import UNKNOWN_CLIENT, ChangeLog, TimewebServerState, utcnow
from crm_adapter.money import add_months, as_midnight, money_or_none, next_payment
from crm_adapter.results import EditCode, EditResult
from crm_adapter.servers.totals import cost_of, payment_day, read_server
from crm_adapter.servers.validation import Invalid, check_values, parse_money, require_known
from crm_adapter.steps import transaction
from crm_adapter.sync.apply import read_rows
from crm_adapter.sync.snapshot import CREATED_AT, State, created_at_text, shared_value
from crm_adapter.text import messages

#: Timeweb's columns that a person may fill while the row is not linked.
_UNLINKED_ONLY: Final = frozenset({"configuration", "ip_address"})


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
    anchor: int | None = None
    """A new payment anchor day; None: as it is."""


@dataclass(frozen=True, slots=True)
class _Target:
    """The row that is edited, locked."""

    row: dict[str, Any]
    state: State

    @property
    def timeweb_id(self) -> int | None:
        return self.row["timeweb_id"]  # type: ignore[no-any-return]


async def update_manual(
    columns: Columns,
    crm_id: int,
    values: Mapping[str, Any],
    *,
    expected_version: int | None,
    actor: str | None,
) -> EditResult:
    """See :func:`crm_adapter.update_manual`."""
    require_known(values)

    def edit(target: _Target) -> _Edit:
        back = {name for name, value in values.items() if value is None and name in SHARED}
        checked = check_values(columns, {name: value for name, value in values.items() if name not in back})
        if target.timeweb_id is not None and (managed := _UNLINKED_ONLY.intersection(checked)):
            raise _Refused("validation", f"{', '.join(sorted(managed))}: ведёт Timeweb")
        state = target.state
        for name in back:
            state = _hand_back(target.row, state, name)
        if "cost_price" in checked and not _same(cost_of(target.row), checked["cost_price"]):
            state = _keep_from_sync(state, "cost_price")
        anchor = checked["next_payment_date"].day if "next_payment_date" in checked else None
        return _Edit(checked, state, anchor)

    return await _edit(columns, crm_id, edit, expected_version=expected_version, actor=actor)


async def set_cost(columns: Columns, crm_id: int, cost: Decimal | float | str | None, *, actor: str | None) -> EditResult:
    """See :func:`crm_adapter.set_cost`."""

    def edit(target: _Target) -> _Edit:
        amount = parse_money(cost)
        if amount is None:
            return _Edit({}, _hand_back(target.row, target.state, "cost_price"))
        checked = check_values(columns, {"cost_price": amount})
        return _Edit(checked, _keep_from_sync(target.state, "cost_price"))

    return await _edit(columns, crm_id, edit, actor=actor)


async def mark_paid(columns: Columns, crm_id: int, *, expected_date: date | None, actor: str | None) -> EditResult:
    """See :func:`crm_adapter.mark_paid`."""

    def edit(target: _Target) -> _Edit:
        day = payment_day(target.row)
        if day is None:
            raise _Refused("validation", "next_payment_date: дата не указана")
        if expected_date is not None and expected_date != day:
            raise _Refused("version_conflict")
        anchor = target.row["state_payment_anchor_day"]
        # The anchor holds only while the date is the one it leads to; another date was typed past us.
        if anchor is None or add_months(day, 0, anchor) != day:
            anchor = day.day
        try:
            following = next_payment(day, target.row["payment_period"], anchor)
        except ValueError:
            raise _Refused("validation", f"next_payment_date: после {day:%d.%m.%Y} дат нет, исправьте её") from None
        host: dict[str, Any] = {"next_payment_date": as_midnight(following)}
        if target.row["status"] == "overdue":
            host["status"] = "active"
        return _Edit(host, target.state, anchor)

    return await _edit(columns, crm_id, edit, actor=actor)


async def link(columns: Columns, crm_id: int, timeweb_id: int, *, account: str | None, actor: str | None) -> EditResult:
    """See :func:`crm_adapter.link`."""

    def edit(target: _Target) -> _Edit:
        if timeweb_id < 1 or not columns.holds("timeweb_id", timeweb_id):
            raise _Refused("validation", f"timeweb_id: {timeweb_id} не может быть номером сервера Timeweb")
        if target.timeweb_id == timeweb_id:
            return _Edit({}, target.state)
        if target.timeweb_id is not None:
            raise _Refused("conflict", "Запись уже связана с другим сервером")
        state = replace(target.state, timeweb_id=timeweb_id, account=account, unlinked_from=None)
        return _Edit({"timeweb_id": timeweb_id}, state)

    return await _edit(columns, crm_id, edit, actor=actor)


async def unlink(columns: Columns, crm_id: int, *, actor: str | None) -> EditResult:
    """See :func:`crm_adapter.unlink`."""

    def edit(target: _Target) -> _Edit:
        if target.timeweb_id is None:
            raise _Refused("not_linked")
        cleared: dict[str, Any] = dict.fromkeys(("timeweb_id", "timeweb_status", "timeweb_preset_id", "timeweb_data"))
        source = "unknown" if cost_of(target.row) is None else "manual"
        created = target.row.get("created_at")
        born = "{}" if created is None else json.dumps({CREATED_AT: created_at_text(created)})
        return _Edit(cleared, State(unlinked_from=target.timeweb_id, cost_source=source, sync_base=born))

    return await _edit(columns, crm_id, edit, actor=actor)


async def add_manual(columns: Columns, values: Mapping[str, Any], *, actor: str | None) -> EditResult:
    """See :func:`crm_adapter.add_manual`."""
    require_known(values)
    today = columns.today()
    defaults = {
        "client_name": UNKNOWN_CLIENT, "cost_price": 0, "client_price": 0, "service_fee": 0, "start_date": today,
        "next_payment_date": today, "payment_period": "monthly", "status": "active", "auto_sync": True,
    }  # fmt: skip
    given = {name: value for name, value in values.items() if value is not None and value != ""}
    period = str(given.get("payment_period", "monthly"))
    defaults["next_payment_date"] = next_payment(today, period)
    try:
        checked = check_values(columns, {**defaults, "server_name": "", **given})
    except Invalid as error:
        return EditResult(False, None, "validation", str(error))
    now = utcnow()
    state = State(cost_source="manual" if "cost_price" in given else "unknown")

    def insert(session: Session) -> EditResult:
        begin_write(session)
        row = {**checked, "created_at": now, "updated_at": now}
        crm_id = _insert_host(session, columns, columns.new_row(row))
        _write_state(session, crm_id, state, version=0, anchor=checked["next_payment_date"].day)
        _log(session, crm_id, None, actor, {"created": (None, checked["server_name"])})
        return EditResult(True, crm_id, changes=("created",), edit_version=0, server=read_server(session, columns, crm_id))

    try:
        return await transaction(insert)
    except StatementError as error:
        if not rejects_values(error):
            raise
        return EditResult(False, None, "validation", messages.failure_text("database_rejected"))


async def _edit(
    columns: Columns,
    crm_id: int,
    edit: Callable[[_Target], _Edit],
    *,
    actor: str | None,
    expected_version: int | None = None,
) -> EditResult:
    """Lock the row, check the version, write what ``edit`` says, log it; all in one transaction."""

    def write(session: Session) -> EditResult:
        begin_write(session)
        locked = read_rows(session, columns, [crm_id], lock=True).get(crm_id)
        row = read_server(session, columns, crm_id) if locked else None
        if locked is None or row is None:
            raise _Refused("not_found", messages.failure_text("row_not_found"))
        version = row["state_edit_version"] or 0
        if expected_version is not None and expected_version != version:
            raise _Refused("version_conflict")
        target = _Target(row, locked.state or State(timeweb_id=locked.timeweb_id, cost_source=_source(row)))
        made = edit(target)
        # ``timeweb_data`` is not read: it is only ever cleared here.
        host = {
            name: value
            for name, value in made.host.items()
            if name in columns and (name == "timeweb_data" or not _same(_current(row, name), value))
        }
        if "timeweb_id" in host and host["timeweb_id"] is not None:
            _must_be_free(session, columns, host["timeweb_id"])
        if not host and made.state == target.state:
            return EditResult(True, crm_id, edit_version=version, server=row)
        if host:
            _update_host(session, columns, crm_id, host)
        _write_state(session, crm_id, made.state, version=version + 1, anchor=made.anchor or row["state_payment_anchor_day"])
        shown = {name: (_current(row, name), value) for name, value in host.items() if name != "timeweb_data"}
        _log(session, crm_id, made.state.timeweb_id, actor, shown)
        after = read_server(session, columns, crm_id)
        return EditResult(True, crm_id, changes=tuple(shown), edit_version=version + 1, server=after)

    try:
        return await transaction(write)
    except _Refused as refused:
        return EditResult(False, crm_id, refused.code, refused.text)
    except Invalid as error:
        return EditResult(False, crm_id, "validation", str(error))
    except StatementError as error:
        if not rejects_values(error):
            raise
        code: EditCode = "conflict" if isinstance(error, IntegrityError) else "validation"
        return EditResult(False, crm_id, code, messages.failure_text("database_rejected"))


def _current(row: Mapping[str, Any], name: str) -> Any:
    """What people see in a column: an unknown cost is none, and a 0 typed over it is an edit."""
    return cost_of(row) if name == "cost_price" else row.get(name)


def _source(row: Mapping[str, Any]) -> str:
    return "unknown" if cost_of(row) is None else "manual"


def _hand_back(row: Mapping[str, Any], state: State, column: str) -> State:
    """From now on sync may write the column again."""
    base = state.base | {column: shared_value(column, row[column])}
    return replace(state, sync_base=json.dumps(base, ensure_ascii=False, sort_keys=True))


def _keep_from_sync(state: State, column: str) -> State:
    """The column is a person's even where the value is the one that sync wrote."""
    base = {name: value for name, value in state.base.items() if name != column}
    # Kept as JSON without the key: "sync never wrote it".
    return replace(
        state, sync_base=json.dumps(base, ensure_ascii=False, sort_keys=True), cost_source="manual", cost_stale=False
    )


def _same(old: Any, new: Any) -> bool:
    if isinstance(new, Decimal):
        return money_or_none(old) == money_or_none(new)
    return bool(old == new)


def _must_be_free(session: Session, columns: Columns, timeweb_id: int) -> None:
    other = session.scalar(select(columns["id"]).where(columns["timeweb_id"] == timeweb_id))
    if other is not None:
        raise _Refused("conflict", f"{messages.ALREADY_IMPORTED}: запись № {other}")


def _insert_host(session: Session, columns: Columns, values: Mapping[str, Any]) -> int:
    """Insert a row and return its `id`, which need not be the primary key."""
    table, key = columns.table, columns["id"]
    result: Any = session.execute(table.insert().values({**values}))
    if key.primary_key:
        return int(result.inserted_primary_key[0])
    same = zip(table.primary_key.columns, result.inserted_primary_key, strict=True)
    return int(session.scalars(select(key).where(*(column == value for column, value in same))).one())


def _update_host(session: Session, columns: Columns, crm_id: int, host: Mapping[str, Any]) -> None:
    values: dict[Any, Any] = {columns[name]: columns.bind(name, value) for name, value in host.items()}
    if "updated_at" in columns:
        values[columns["updated_at"]] = columns.bind("updated_at", utcnow())
    if columns.version is not None:
        values[columns.version] = columns.version + 1
    session.execute(update(columns.table).where(columns["id"] == crm_id).values(values))


def _write_state(session: Session, crm_id: int, state: State, *, version: int, anchor: int | None) -> None:
    names = (*State.__dataclass_fields__, "edit_version", "payment_anchor_day")
    record = {name: getattr(state, name) for name in State.__dataclass_fields__}
    record |= {"server_id": crm_id, "edit_version": version, "payment_anchor_day": anchor}
    session.execute(upsert(session, TimewebServerState.__table__, key="server_id", columns=names), record)  # type: ignore[arg-type]


def _log(
    session: Session, crm_id: int, timeweb_id: int | None, actor: str | None, shown: Mapping[str, tuple[Any, Any]]
) -> None:
    now = utcnow()
    session.add_all(
        ChangeLog(
            at=now, server_id=crm_id, timeweb_id=timeweb_id, actor=actor, field=name,
            old=_logged(old), new=_logged(new),
        )
        for name, (old, new) in shown.items()
    )  # fmt: skip
    session.flush()


def _logged(value: Any) -> str | None:
    """As sync logs it: the host's floats are money and have two decimals."""
    if isinstance(value, float):
        value = money_or_none(value)
    return None if value is None else str(value)
