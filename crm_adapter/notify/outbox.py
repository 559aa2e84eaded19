"""`dispatch_events`: claim waiting events, send one digest per run, retry with backoff, give up after 8 tries."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import reduce
from typing import Any, Final, cast

from sqlalchemy import case, func, or_, select, update
from sqlalchemy.orm import Session

from crm_adapter.db.dialects import begin_write, db_now_ms
from crm_adapter.db.tables import EventOutbox, SyncRun
from crm_adapter.notify.digest import ORDER, digest
from crm_adapter.payload import as_dict
from crm_adapter.results import DispatchReport, OutboxEvent, Sink
from crm_adapter.steps import Effect, transaction
from crm_adapter.sync.leases import new_owner

MAX_TRIES: Final = 8
_CLAIM_SECONDS: Final = 600
"""A dispatcher that died gives its claim up after this many seconds; at least once, so possibly twice."""
_FIRST_RETRY: Final = 60.0
_LONGEST_RETRY: Final = 3600.0
_LONGEST_RUN: Final = timedelta(hours=1)
"""The events of a run wait for its end, so that they make one digest; a run this old has died."""
_BACKLOG: Final = timedelta(days=1)
"""Older news goes out in one digest, whatever runs it is from: a notifier configured after a month sends one message."""


_AT_ONCE: Final = 500
"""Events of one digest that are read and given to a sink; the others are counted."""

logger = logging.getLogger(__name__)


async def dispatch_events(sink: Sink | Sequence[Sink], *, limit: int, now: datetime | None) -> DispatchReport:
    """See `crm_adapter.dispatch_events`."""
    sinks = _named(sink)
    sent = failed = dead = messages = handled = 0
    while sinks and handled < limit:
        claim = await transaction(lambda s: _claim(s, now))
        if claim is None:
            break
        if not claim.total:
            continue  # another dispatcher took them between our two statements
        handled += claim.total
        title, text = digest(claim.events, claim.total)
        error: Exception | None = None
        taken = set(claim.taken_by)
        for name, target in sinks.items():
            if name in taken:
                continue
            try:
                await Effect(target, (title, text, claim.events))
            except Exception as raised:  # a sink is the host's code: whatever it raises means "not sent"
                error = raised
            else:
                taken.add(name)
                messages += 1
        given_up = await transaction(_settle(claim, taken, error))
        if error is None:
            sent += claim.total
        else:
            failed += claim.total
            dead += given_up
            # The class alone: the text of a notifier's error may hold its URL with a bot token.
            logger.warning("notification not sent: %s, events %d, given up %d", type(error).__name__, claim.total, given_up)
    return DispatchReport(sent, failed, dead, messages)


def _named(sink: Sink | Sequence[Sink]) -> dict[str, Sink]:
    """Sinks by a name that outlives the process, so that a retry skips those that took the digest already."""
    named: dict[str, Sink] = {}
    for target in cast("Sequence[Sink]", sink if isinstance(sink, Sequence) else [sink]):
        kind = target if hasattr(target, "__qualname__") else type(target)
        name = str(getattr(target, "name", None) or f"{kind.__module__}.{getattr(kind, '__qualname__', '')}")
        named[name if name not in named else f"{name}#{len(named)}"] = target
    return named


@dataclass(frozen=True, slots=True)
class _Claim:
    """The events of one digest, ours to send until the claim lapses."""

    owner: str
    events: tuple[OutboxEvent, ...]
    """Those that a sink is given, the gravest of them where there are many."""
    tries: dict[int, int]
    """Number of tries -> how many events have had so many."""
    taken_by: frozenset[str]
    at: datetime

    @property
    def total(self) -> int:
        """How many events the digest stands for."""
        return sum(self.tries.values())


def _claim(session: Session, now: datetime | None) -> _Claim | None:
    """Take the oldest due digest whole, by the database's clock; None: nothing is due."""
    begin_write(session)
    moment = now or _database_time(session)
    running = select(SyncRun.id).where(
        SyncRun.finished_at.is_(None), SyncRun.status == "running", SyncRun.started_at > moment - _LONGEST_RUN
    )
    due = (
        EventOutbox.sent_at.is_(None),
        EventOutbox.dead_at.is_(None),
        # The first instant was set by a worker's clock, which may be ahead; those of retries by the database's.
        or_(EventOutbox.tries == 0, EventOutbox.next_try_at <= moment),
        or_(EventOutbox.run_id.is_(None), EventOutbox.run_id.not_in(running)),
    )
    first = session.execute(
        select(EventOutbox.run_id, EventOutbox.created_at).where(*due).order_by(EventOutbox.id).limit(1)
    ).one_or_none()
    if first is None:
        return None
    old = moment - _BACKLOG
    together = EventOutbox.created_at < old if first.created_at < old else EventOutbox.run_id.is_not_distinct_from(first.run_id)
    owner = new_owner()
    session.execute(
        update(EventOutbox)
        .where(*due, together)
        .values(claimed_by=owner, tries=EventOutbox.tries + 1, next_try_at=moment + timedelta(seconds=_CLAIM_SECONDS)),
        execution_options={"synchronize_session": False},
    )
    mine = EventOutbox.claimed_by == owner
    counted = select(EventOutbox.tries, func.count()).where(mine).group_by(EventOutbox.tries)
    reached = session.scalars(select(EventOutbox.taken_by).where(mine).distinct())
    taken_by = [frozenset(cast("list[str]", json.loads(names or "[]"))) for names in reached]
    gravest = case(ORDER, value=EventOutbox.kind, else_=len(ORDER))
    rows = session.scalars(select(EventOutbox).where(mine).order_by(gravest, EventOutbox.id).limit(_AT_ONCE)).all()
    number_of = {tries: number for tries, number in session.execute(counted)}  # noqa: C416 - rows are no pairs to dict()
    return _Claim(
        owner,
        tuple(_event(row) for row in sorted(rows, key=lambda row: row.id)),
        number_of,
        reduce(frozenset[str].__and__, taken_by) if taken_by else frozenset(),
        moment,
    )


def _database_time(session: Session) -> datetime:
    milliseconds = session.scalar(select(db_now_ms())) or 0
    return datetime(1970, 1, 1) + timedelta(milliseconds=milliseconds)  # noqa: DTZ001 - naive UTC, as in every `*_at` column


def _event(row: EventOutbox) -> OutboxEvent:
    payload = as_dict(json.loads(row.payload))
    return OutboxEvent(row.id, row.kind, row.dedupe_key, row.account, row.server_id, row.run_id, row.created_at, payload)


def _settle(claim: _Claim, taken: set[str], error: Exception | None) -> Callable[[Session], int]:
    """Write down how the sending went, unless the claim lapsed meanwhile; returns how many events were given up."""
    reached = json.dumps(sorted(taken)) if error else None

    def write(session: Session) -> int:
        given_up = 0
        for tries, count in claim.tries.items():
            values: dict[str, Any] = {"claimed_by": None, "taken_by": reached}
            if error is None:
                values |= {"sent_at": claim.at, "last_error": None}
            else:
                values["last_error"] = type(error).__name__[:255]
                if tries >= MAX_TRIES:
                    values["dead_at"] = claim.at
                    given_up += count
                else:
                    delay = min(_FIRST_RETRY * 2 ** (tries - 1), _LONGEST_RETRY)
                    values["next_try_at"] = claim.at + timedelta(seconds=delay)
            session.execute(
                update(EventOutbox).where(EventOutbox.claimed_by == claim.owner, EventOutbox.tries == tries).values(values),
                execution_options={"synchronize_session": False},
            )
        return given_up

    return write
