"""The change log: one row per changed value, written in the transaction of the change."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any, Final, cast

from sqlalchemy import Table, select
from sqlalchemy.orm import Session

from crm_adapter.db.columns import Columns
from crm_adapter.db.dialects import in_turns
from crm_adapter.db.tables import ChangeLog
from crm_adapter.money import money_or_none
from crm_adapter.results import Change, ChangeKind, RowChange

REMOVED_ROW: Final = "removed_row"
"""The entry that holds what a removed row was, for whoever takes the removal back; it is no change to read."""
_LOG: Final[Table] = cast(Table, ChangeLog.__table__)


@dataclass(frozen=True, slots=True)
class Entry:
    """What changed in one row; logical column (or `created`, `removed`, `restored`, `account`) -> (old, new)."""

    server_id: int
    timeweb_id: int | None
    changes: Mapping[str, tuple[Any, Any]]
    service_id: int | None = None
    """The service that changed instead of a row; `server_id` is 0 then."""
    beside: Mapping[str, tuple[Any, Any]] = field(default_factory=dict[str, tuple[Any, Any]])
    """What only the log keeps, so that the changes can be taken back."""


def of_service(service_id: int, changes: Mapping[str, tuple[Any, Any]]) -> Entry:
    """What changed in one service; its fields are `created`, `gone`, `returned`, `owner`, `account` and its columns."""
    return Entry(0, None, changes, service_id)


@dataclass(frozen=True, slots=True)
class Author:
    """Who changes rows, and by doing what: a run for an account, a person, or both."""

    kind: ChangeKind
    at: datetime
    actor: str | None = None
    account: str | None = None
    run_id: int | None = field(default=None)


def write_changes(session: Session, columns: Columns, author: Author, entries: Sequence[Entry]) -> None:
    """Append what changed, and tell the host of its rows: it writes its own in the same transaction."""
    records = [
        {
            "at": author.at,
            "server_id": entry.server_id,
            "service_id": entry.service_id,
            "timeweb_id": entry.timeweb_id,
            "account": author.account,
            "run_id": author.run_id,
            "actor": author.actor,
            "field": name,
            "old": logged(old),
            "new": logged(new),
        }
        for entry in entries
        for name, (old, new) in (*entry.beside.items(), *entry.changes.items())
    ]
    if records:
        session.execute(_LOG.insert(), records)
    if columns.on_change is not None:
        for entry in entries:
            if entry.changes and entry.service_id is None:
                columns.on_change(session.connection(), _told(author, entry))


def _told(author: Author, entry: Entry) -> RowChange:
    return RowChange(
        author.kind,
        entry.server_id,
        entry.timeweb_id,
        author.at,
        author.actor,
        author.account,
        author.run_id,
        dict(entry.changes),
    )


def read_changes(
    session: Session,
    crm_id: int | None = None,
    *,
    run_id: int | None = None,
    service_id: int | None = None,
    limit: int,
) -> list[Change]:
    """See `crm_adapter.changes`."""
    statement = select(ChangeLog).where(ChangeLog.field != REMOVED_ROW).order_by(ChangeLog.id.desc()).limit(limit)
    if crm_id is not None:
        statement = statement.where(ChangeLog.server_id == crm_id)
    if service_id is not None:
        statement = statement.where(ChangeLog.service_id == service_id)
    if run_id is not None:
        statement = statement.where(ChangeLog.run_id == run_id)
    names = Change.__dataclass_fields__
    found = session.scalars(statement, execution_options=in_turns(session))
    return [Change(**{name: getattr(entry, name) for name in names}) for entry in found]


def logged(value: Any) -> str | None:
    """A value as the log keeps it; money has two decimals whatever the host's column is."""
    if value is None:
        return None
    if isinstance(value, float | Decimal):
        value = money_or_none(value)
    return None if value is None else str(value)
