"""Whose a service is: a server's row, a client, or nobody. People say so, and no sync ever does."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.orm import Session

from crm_adapter.db.columns import Columns
from crm_adapter.db.dialects import begin_write, in_pieces
from crm_adapter.db.history import Author, of_service, write_changes
from crm_adapter.db.rows import created_at_text, read_rows
from crm_adapter.db.services import SERVICES, StoredService, lock_services
from crm_adapter.db.tables import utcnow
from crm_adapter.ledger.results import AttributionResult
from crm_adapter.steps import transaction
from crm_adapter.text import messages
from crm_adapter.text.labels import UNKNOWN_CLIENT

OWNER: Final = "owner"
"""The field of the change log."""
_LONGEST: Final = 255
"""Characters of a client's name."""


async def attribute(
    columns: Columns, wanted: Mapping[int, str | None], *, actor: str | None, seen: Mapping[int, str | None] | None = None
) -> AttributionResult:
    """Give services (by id) to `server:<id of a row>`, to `client:<name>`, or to nobody (None), in one transaction.

    `seen` is whose they were when a person looked: one that another person has given away since is refused.
    """

    def write(session: Session) -> AttributionResult:
        begin_write(session)
        owners = {owner: _columns_of(session, columns, owner) for owner in set(wanted.values())}
        there, now = lock_services(session, wanted), utcnow()
        refused: dict[int, str] = {}
        made: dict[str | None, list[StoredService]] = {}
        for service_id, owner in wanted.items():
            service, values = there.get(service_id), owners[owner]
            if service is None:
                refused[service_id] = messages.failure_text("service_not_found")
            elif isinstance(values, str):
                refused[service_id] = values
            elif seen is not None and seen.get(service_id, service.owner) != service.owner:
                refused[service_id] = messages.failure_text("service_taken")
            elif service.owner != owner:
                made.setdefault(owner, []).append(service)
        for owner, services in made.items():
            _write(session, (service.id for service in services), owners[owner])
        entries = [
            of_service(service.id, {OWNER: (service.owner, owner)}) for owner, services in made.items() for service in services
        ]
        write_changes(session, columns, Author("edited", now, actor), entries)
        changed = tuple(service.id for services in made.values() for service in services)
        return AttributionResult(changed, refused, now if changed else None)

    return await transaction(write)


def release(session: Session, columns: Columns, row_id: int, author: Author) -> None:
    """Let the services of a row that is removed be nobody's, in the caller's transaction."""
    ids = list(session.scalars(sa.select(SERVICES.c.id).where(SERVICES.c.server_id == row_id)))
    there = [service for service in lock_services(session, ids).values() if service.server_id == row_id]
    if there:
        _write(session, (service.id for service in there), _columns_of(session, columns, None))
        write_changes(session, columns, author, [of_service(each.id, {OWNER: (each.owner, None)}) for each in there])


def owner_text(server_id: int | None, client: str | None) -> str | None:
    """An owner as the log has it; raises `ValueError` for two owners at once."""
    if server_id is not None and client is not None:
        raise ValueError("a service belongs to a server or to a client: give server_id or client, not both")
    if server_id is not None:
        return f"server:{server_id}"
    return None if client is None else f"client:{client.strip()}"


def _columns_of(session: Session, columns: Columns, owner: str | None) -> dict[str, Any] | str:
    """What is written of an owner, or why it can be none."""
    values: dict[str, Any] = {"server_id": None, "server_born": None, "client_name": None, "told_unowned": False}
    kind, _, which = (owner or "").partition(":")
    if kind == "client":
        if not which or which == UNKNOWN_CLIENT or len(which) > _LONGEST or not which.isprintable():
            return messages.failure_text("no_client_name")
        return values | {"client_name": which}
    if kind == "server":
        number = int(which) if which.isascii() and which.isdigit() and len(which) < 19 else 0
        found = read_rows(session, columns, columns["id"] == number, names=()) if columns.holds("id", number) else []
        if not found:
            return messages.failure_text("row_not_found")
        born = found[0].created_at
        return values | {"server_id": number, "server_born": None if born is None else created_at_text(born)}
    return values


def _write(session: Session, ids: Iterable[int], values: dict[str, Any] | str) -> None:
    assert not isinstance(values, str)
    for piece in in_pieces(ids):
        session.execute(sa.update(SERVICES).where(SERVICES.c.id.in_(piece)).values(values))


def owner_row(columns: Columns, dialect: str) -> sa.ColumnElement[bool]:
    """Whether a row of the host's table is the one that has a service; SQLite gives the ids of deleted rows out again."""
    same = [SERVICES.c.server_id == columns["id"], *columns.scope]
    if dialect == "sqlite" and "created_at" in columns:
        born = sa.func.strftime("%Y-%m-%d %H:%M:%S", columns["created_at"])
        same.append(sa.or_(SERVICES.c.server_born.is_(None), sa.func.substr(SERVICES.c.server_born, 1, 19) == born))
    return sa.and_(*same)


async def take_back(
    columns: Columns, owners: Mapping[int, tuple[str | None, str | None]], *, actor: str | None
) -> tuple[int, int]:
    """Bring back who had services before, by (before, after), unless somebody gave them away since: how many, how many not."""
    result = await attribute(
        columns,
        {service_id: before for service_id, (before, _) in owners.items()},
        actor=actor,
        seen={service_id: after for service_id, (_, after) in owners.items()},
    )
    return len(result.changed), len(owners) - len(result.changed)


def owners_changed(session: Session, log: Any, at: datetime, *conditions: Any) -> dict[int, tuple[str | None, str | None]]:
    """Service -> (before, after) of what was given away at an instant."""
    query = sa.select(log.service_id, log.old, log.new).where(log.at == at, log.field == OWNER, *conditions)
    return {service_id: (old, new) for service_id, old, new in session.execute(query) if service_id is not None}
