"""The change log: one row per changed value, written in the transaction of the change."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any, Final, cast

from sqlalchemy import Table, select
from sqlalchemy.orm import Session

from crm_adapter.db.tables import ChangeLog
from crm_adapter.money import money_or_none
from crm_adapter.results import Change

_LOG: Final[Table] = cast(Table, ChangeLog.__table__)


@dataclass(frozen=True, slots=True)
class Entry:
    """What changed in one row; logical column (or `created`, `removed`, `restored`, `account`) -> (old, new)."""

    server_id: int
    timeweb_id: int | None
    changes: Mapping[str, tuple[Any, Any]]


@dataclass(frozen=True, slots=True)
class Author:
    """Who changes rows: a run for an account, a person, or both."""

    at: datetime
    actor: str | None = None
    account: str | None = None
    run_id: int | None = field(default=None)


def write_changes(session: Session, author: Author, entries: Iterable[Entry]) -> None:
    """Append what changed."""
    records = [
        {
            "at": author.at,
            "server_id": entry.server_id,
            "timeweb_id": entry.timeweb_id,
            "account": author.account,
            "run_id": author.run_id,
            "actor": author.actor,
            "field": name,
            "old": _text(old),
            "new": _text(new),
        }
        for entry in entries
        for name, (old, new) in entry.changes.items()
    ]
    if records:
        session.execute(_LOG.insert(), records)


def read_changes(session: Session, crm_id: int | None = None, *, run_id: int | None = None, limit: int) -> list[Change]:
    """See `crm_adapter.changes`."""
    statement = select(ChangeLog).order_by(ChangeLog.id.desc()).limit(limit)
    if crm_id is not None:
        statement = statement.where(ChangeLog.server_id == crm_id)
    if run_id is not None:
        statement = statement.where(ChangeLog.run_id == run_id)
    names = Change.__dataclass_fields__
    return [Change(**{name: getattr(entry, name) for name in names}) for entry in session.scalars(statement)]


def _text(value: Any) -> str | None:
    """A value as the log keeps it; money has two decimals whatever the host's column is."""
    if value is None:
        return None
    if isinstance(value, float | Decimal):
        value = money_or_none(value)
    return None if value is None else str(value)
