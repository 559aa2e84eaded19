"""``dispatch_events``: claim waiting events, send one digest per run, retry with backoff, give up after 8 tries."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from crm_adapter.applying import transaction
from crm_adapter.dialects import begin_write
from crm_adapter.digest import digest
from crm_adapter.flow import Flow, effect
from crm_adapter.leases import new_owner
from crm_adapter.models import EventOutbox, utcnow
from crm_adapter.payload import as_dict
from crm_adapter.results import DispatchReport, Event

__all__ = ["MAX_TRIES", "dispatch_events"]

MAX_TRIES: Final = 8
#: A dispatcher that died gives its claim up after this many seconds; at least once, so possibly twice.
_CLAIM_SECONDS: Final = 120
_FIRST_RETRY: Final = 60.0
_LONGEST_RETRY: Final = 3600.0

Sink = Callable[[str, str, Sequence[Event]], object]


def dispatch_events(sink: Sink | Sequence[Sink], *, limit: int, now: datetime | None) -> Flow[DispatchReport]:
    """See :func:`crm_adapter.dispatch_events`."""
    sinks = list(sink) if isinstance(sink, Sequence) else [sink]
    moment = now or utcnow()
    events, tries = yield from transaction(lambda s: _claim(s, limit, moment))
    sent = failed = dead = messages = 0
    for group in _groups(events):
        title, text = digest(group)
        error: Exception | None = None
        for target in sinks:
            try:
                yield from effect(target, title, text, group)
                messages += 1
            except Exception as raised:  # a sink is the host's code: whatever it raises means "not sent"
                error = raised
        ids = [event.id for event in group]
        if error is None:
            yield from transaction(_sent(ids, moment))
            sent += len(ids)
        else:
            given_up = yield from transaction(_failed(ids, tries, moment, error))
            failed += len(ids)
            dead += given_up
    return DispatchReport(sent, failed, dead, messages)


def _claim(session: Session, limit: int, now: datetime) -> tuple[list[Event], dict[int, int]]:
    """Take due events: whoever else claims at the same moment gets the others."""
    begin_write(session)
    waiting = (EventOutbox.sent_at.is_(None), EventOutbox.dead_at.is_(None), EventOutbox.next_try_at <= now)
    ids = list(session.scalars(select(EventOutbox.id).where(*waiting).order_by(EventOutbox.id).limit(limit)))
    if not ids:
        return [], {}
    owner = new_owner()
    session.execute(
        update(EventOutbox)
        .where(EventOutbox.id.in_(ids), *waiting)
        .values(claimed_by=owner, tries=EventOutbox.tries + 1, next_try_at=now + timedelta(seconds=_CLAIM_SECONDS)),
        execution_options={"synchronize_session": False},
    )
    claimed = list(session.scalars(select(EventOutbox).where(EventOutbox.claimed_by == owner).order_by(EventOutbox.id)))
    return [_event(row) for row in claimed], {row.id: row.tries for row in claimed}


def _event(row: EventOutbox) -> Event:
    payload = as_dict(json.loads(row.payload))
    return Event(row.id, row.kind, row.dedupe_key, row.account, row.server_id, row.run_id, row.created_at, payload)


def _groups(events: Iterable[Event]) -> list[list[Event]]:
    """One digest per run; what belongs to no run (payments, single imports) goes together."""
    groups: dict[int | None, list[Event]] = {}
    for event in events:
        groups.setdefault(event.run_id, []).append(event)
    return list(groups.values())


def _sent(ids: Sequence[int], now: datetime) -> Callable[[Session], None]:
    def write(session: Session) -> None:
        session.execute(
            update(EventOutbox).where(EventOutbox.id.in_(ids)).values(sent_at=now, claimed_by=None, last_error=None),
            execution_options={"synchronize_session": False},
        )

    return write


def _failed(ids: Sequence[int], tries: dict[int, int], now: datetime, error: Exception) -> Callable[[Session], int]:
    # The class alone: the text of a notifier's error may hold its URL with a bot token.
    name = type(error).__name__[:255]

    def write(session: Session) -> int:
        given_up = 0
        for event_id in ids:
            values: dict[str, Any] = {"claimed_by": None, "last_error": name}
            if tries[event_id] >= MAX_TRIES:
                values["dead_at"] = now
                given_up += 1
            else:
                delay = min(_FIRST_RETRY * 2 ** (tries[event_id] - 1), _LONGEST_RETRY)
                values["next_try_at"] = now + timedelta(seconds=delay)
            session.execute(update(EventOutbox).where(EventOutbox.id == event_id).values(values))
        return given_up

    return write
