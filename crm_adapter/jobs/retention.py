"""`prune`: old runs, events and, if wished, changes go, in short transactions; what could be told twice stays."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import delete, func, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from crm_adapter.db.dialects import begin_write
from crm_adapter.db.tables import ChangeLog, EventOutbox, SyncRun, utcnow
from crm_adapter.results import Result
from crm_adapter.steps import transaction

BATCH: Final = 1000
"""Rows per transaction, so that nobody waits long for a lock."""
_MONTH: Final = timedelta(days=31)
"""The current month is worked out from the log, whatever is stored."""
_ONCE: Final = ("discovered",)
"""Told once for ever, so the key must stay. The keys of all other kinds name a run or a day, which do not come again."""


@dataclass(frozen=True, slots=True)
class PruneReport(Result):
    """The outcome of `prune`: how many rows went."""

    runs: int = 0
    events: int = 0
    changes: int = 0


async def prune(keep: timedelta, *, keep_changes: timedelta | None = None, now: datetime | None = None) -> PruneReport:
    """Delete finished runs and events older than `keep`; `now` is naive UTC.

    Of events, those that were sent, and those that nobody has ever tried to send, because there is no notifier; dead
    letters stay. The change log stays too, unless `keep_changes` (a month at least) says otherwise: whoever sets that
    calls `store_month_ends` first, so that the chart can do without.
    """
    now = now or utcnow()
    before = now - keep
    # The newest run stays whatever its age: SQLite gives the highest id out again when its row is gone, and run ids are
    # part of dedupe keys and of the change log.
    newest = select(func.max(SyncRun.id)).scalar_subquery()
    runs = await _delete(SyncRun.started_at, before, SyncRun.status != "running", SyncRun.id < newest)
    # A sent event was last due ten minutes after it was claimed; that column has an index.
    events = await _delete(EventOutbox.next_try_at, before, EventOutbox.sent_at < before, EventOutbox.kind.not_in(_ONCE))
    events += await _delete(
        EventOutbox.next_try_at,
        before,
        EventOutbox.sent_at.is_(None),
        EventOutbox.dead_at.is_(None),
        EventOutbox.tries == 0,
        EventOutbox.kind.not_in(_ONCE),
    )
    changes = 0
    if keep_changes is not None:
        # As with runs: no id of the log may come twice.
        latest = select(func.max(ChangeLog.id)).scalar_subquery()
        changes = await _delete(ChangeLog.at, now - max(keep_changes, _MONTH), ChangeLog.id < latest)
    return PruneReport(runs, events, changes)


async def _delete(moment: InstrumentedAttribute[datetime], before: datetime, *conditions: Any) -> int:
    """Delete the rows whose `moment` is before, oldest first, one transaction per batch; `moment` has an index.

    Each batch begins where the last one ended: else it would walk through all that was deleted, and stays, once more.
    """
    model: Any = moment.class_
    reached: datetime | None = None

    def batch(session: Session) -> list[datetime]:
        begin_write(session)
        query = select(model.id, moment).where(moment < before, *conditions).order_by(moment, model.id).limit(BATCH)
        found = session.execute(query if reached is None else query.where(moment >= reached)).all()
        if found:
            ids = [number for number, _ in found]
            session.execute(delete(model).where(model.id.in_(ids)), execution_options={"synchronize_session": False})
        return [at for _, at in found]

    deleted = 0
    while True:
        moments = await transaction(batch)
        deleted += len(moments)
        if len(moments) < BATCH:
            return deleted
        reached = moments[-1]
