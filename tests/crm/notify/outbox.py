"""Events put into the outbox as a run would, and a sink that remembers."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session, sessionmaker

from crm_adapter.db.tables import EventOutbox, SyncRun, utcnow
from crm_adapter.results import OutboxEvent

NOW = utcnow()


def put(
    db: sessionmaker[Session],
    count: int = 1,
    *,
    run_id: int | None = 1,
    kind: str = "cost_changed",
    created_at: datetime = NOW,
    **payload: Any,
) -> None:
    """Add events of one run, due at once."""
    with db() as session, session.begin():
        start = len(session.scalars(select(EventOutbox.id)).all())
        for number in range(start, start + count):
            told = {"name": f"web-{number}", "old": 500, "new": 700, **payload}
            session.add(
                EventOutbox(
                    kind=kind, dedupe_key=f"{kind}:{number}", run_id=run_id, account="default", server_id=number,
                    payload=json.dumps(told), created_at=created_at, next_try_at=created_at, tries=0,
                )
            )  # fmt: skip


def open_run(db: sessionmaker[Session], started: datetime = NOW) -> int:
    with db() as session, session.begin():
        run = SyncRun(status="running", started_at=started)
        session.add(run)
        session.flush()
        return run.id


def close_run(db: sessionmaker[Session], run_id: int) -> None:
    with db() as session, session.begin():
        run = session.get(SyncRun, run_id)
        assert run is not None
        run.status = "success"


def rows(db: sessionmaker[Session]) -> list[EventOutbox]:
    with db() as session:
        return list(session.scalars(select(EventOutbox).order_by(EventOutbox.id)))


def later(**delta: float) -> datetime:
    return NOW + timedelta(**delta)


class Inbox:
    """A sink that keeps what it got; `down` makes it fail."""

    def __init__(self, name: str = "inbox", *, down: bool = False) -> None:
        self.name, self.down = name, down
        self.messages: list[tuple[str, str, tuple[OutboxEvent, ...]]] = []

    def __call__(self, title: str, text: str, events: Sequence[OutboxEvent]) -> None:
        if self.down:
            raise ConnectionError("https://api.example.com/bot123456:SECRET/sendMessage")
        self.messages.append((title, text, tuple(events)))

    @property
    def texts(self) -> list[str]:
        return [text for _, text, _ in self.messages]
