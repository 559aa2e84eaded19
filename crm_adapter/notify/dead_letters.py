"""Dead letters: events given up after 8 tries, for the page and for whoever repairs the notifier."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

from sqlalchemy import CursorResult, select, update
from sqlalchemy.orm import Session

from crm_adapter.db.dialects import in_pieces
from crm_adapter.db.tables import EventOutbox
from crm_adapter.notify.digest import line
from crm_adapter.payload import as_dict
from crm_adapter.results import OutboxEvent, Result


@dataclass(frozen=True, slots=True)
class DeadLetter(Result):
    """An event that nobody was told of."""

    id: int
    kind: str
    text: str
    """The line that the digest would have had, in Russian."""
    account: str | None
    server_id: int | None
    created_at: datetime
    dead_at: datetime
    tries: int
    error: str | None
    """Class of the last exception; its text may hold secrets and is not kept."""


def dead_letters(session: Session, *, limit: int = 100) -> list[DeadLetter]:
    """What was given up, newest first; instants are naive UTC."""
    rows = session.scalars(
        select(EventOutbox)
        .where(EventOutbox.dead_at.is_not(None))
        .order_by(EventOutbox.dead_at.desc(), EventOutbox.id.desc())
        .limit(limit)
    )
    return [_letter(row) for row in rows]


def retry_dead_letters(session: Session, ids: Sequence[int] | None = None) -> int:
    """Put dead letters (all, or some by id) back into the queue with 8 new tries; returns how many. The caller commits."""
    wake = update(EventOutbox).where(EventOutbox.dead_at.is_not(None)).values(dead_at=None, tries=0, claimed_by=None)
    statements = [wake] if ids is None else [wake.where(EventOutbox.id.in_(piece)) for piece in in_pieces(ids)]
    results = [session.execute(each, execution_options={"synchronize_session": False}) for each in statements]
    return sum(cast("CursorResult[Any]", result).rowcount for result in results)


def _letter(row: EventOutbox) -> DeadLetter:
    payload = as_dict(json.loads(row.payload))
    event = OutboxEvent(row.id, row.kind, row.dedupe_key, row.account, row.server_id, row.run_id, row.created_at, payload)
    assert row.dead_at is not None
    return DeadLetter(
        row.id, row.kind, line(event), row.account, row.server_id, row.created_at, row.dead_at, row.tries, row.last_error
    )
