"""At most one sync per account across all processes: a row that expires by the database's own clock.

There is no heartbeat thread. The lease is renewed before calls to Timeweb and inside the transaction of each chunk;
a renewal that finds another owner rolls that transaction back, so a worker that slept too long writes nothing.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final, cast

from sqlalchemy import CursorResult, or_, select, update
from sqlalchemy.orm import Session

from crm_adapter.db.dialects import db_now_ms, insert_ignore
from crm_adapter.db.tables import SyncLease, SyncRun, utcnow
from crm_adapter.sync import aftermath

TTL_SECONDS: Final = 300.0
"""Longer than a call may take (the client's total_timeout is 180 s by default), or the lease would lapse during one."""
QUEUED_MS: Final = 1_800_000
"""Milliseconds after which a message that never arrived is sent again."""


class LeaseLost(Exception):
    """Another process took the lease over; the transaction must not commit."""


@dataclass(frozen=True, slots=True)
class Claim:
    """The owner under which the lease is ours now (None: it is another's), and the run that it serves."""

    owner: str | None
    run_id: int | None = None


def new_owner() -> str:
    """A name that nobody else has."""
    return secrets.token_hex(16)


def claim(
    session: Session, account: str, *, owner: str | None = None, claimed: str | None = None, ttl: float = TTL_SECONDS
) -> Claim:
    """Take the account's lease if it is free or expired; the run of a dead holder is marked crashed.

    `claimed` is the owner under which somebody claimed it for us. It is spent here, and only the table says whether it is
    one: a queue that delivers the same task twice starts one run, and a message that somebody made up starts none.
    """
    session.execute(insert_ignore(session, _table()), {"account": account, "expires_ms": 0, "progress": 0, "total": 0})
    owner, expires = owner or new_owner(), db_now_ms() + int(ttl * 1000)
    if claimed is not None:
        spent = _execute(session, _mine(account, claimed).values(owner=owner, expires_ms=expires)) == 1
        return Claim(owner if spent else None, holder(session, account))
    before = holder(session, account)
    taken = _execute(
        session,
        update(SyncLease)
        .where(SyncLease.account == account, SyncLease.expires_ms < db_now_ms())
        .values(owner=owner, run_id=None, expires_ms=expires, progress=0, total=0),
    )
    if taken != 1:
        return Claim(None, before)
    if before is not None and end_run(session, before, "crashed"):
        aftermath.tell(session, before, account)
    return Claim(owner)


def end_run(session: Session, run_id: int, status: str) -> bool:
    """Mark a run that will not end by itself, unless a lease of it lives: it is at work on another account then.

    Returns whether it was still said to run.
    """
    # A plain read: as part of the UPDATE, MariaDB would lock the leases of everybody.
    alive = select(SyncLease.account).where(
        SyncLease.run_id == run_id, SyncLease.owner.is_not(None), SyncLease.expires_ms >= db_now_ms()
    )
    if session.scalars(alive.limit(1)).first() is not None:
        return False
    ended = (
        update(SyncRun)
        .where(SyncRun.id == run_id, SyncRun.status == "running")
        .values(status=status, error_code=status, finished_at=utcnow())
    )
    return _execute(session, ended) == 1


def attach_run(session: Session, account: str, owner: str, run_id: int) -> None:
    """Note which run the lease serves."""
    _must_own(_execute(session, _mine(account, owner).values(run_id=run_id)))


def renew(
    session: Session,
    account: str,
    owner: str,
    *,
    ttl: float = TTL_SECONDS,
    progress: int | None = None,
    total: int | None = None,
) -> None:
    """Extend the lease; raises `LeaseLost` when it is no longer ours."""
    values: dict[str, Any] = {"expires_ms": db_now_ms() + int(ttl * 1000)}
    if progress is not None:
        values |= {"progress": progress, "total": total or 0}
    _must_own(_execute(session, _mine(account, owner).values(values)))


def release(session: Session, account: str, owner: str) -> bool:
    """Free the lease if it is still ours, and tell whether it was."""
    freed = _mine(account, owner).values(owner=None, run_id=None, expires_ms=0, progress=0, total=0)
    return _execute(session, freed) == 1


def holder(session: Session, account: str) -> int | None:
    """The run that holds the account's lease now."""
    return session.scalar(select(SyncLease.run_id).where(SyncLease.account == account))


def mark_queued(session: Session, accounts: Iterable[str]) -> list[str]:
    """Note that a message asks for these accounts; returns those for which none is on its way."""
    marked: list[str] = []
    for account in accounts:
        session.execute(insert_ignore(session, _table()), {"account": account, "expires_ms": 0, "progress": 0, "total": 0})
        free = or_(SyncLease.queued_ms.is_(None), SyncLease.queued_ms < db_now_ms())
        mark = update(SyncLease).where(SyncLease.account == account, free).values(queued_ms=db_now_ms() + QUEUED_MS)
        if _execute(session, mark) == 1:
            marked.append(account)
    return marked


def forget_queued(session: Session, accounts: Iterable[str]) -> None:
    """The message has arrived, or was never sent."""
    for account in accounts:
        _execute(session, update(SyncLease).where(SyncLease.account == account).values(queued_ms=None))


def _table() -> Any:
    return SyncLease.__table__


def _mine(account: str, owner: str) -> Any:
    return update(SyncLease).where(SyncLease.account == account, SyncLease.owner == owner)


def _execute(session: Session, statement: Any) -> int:
    result = cast("CursorResult[Any]", session.execute(statement, execution_options={"synchronize_session": False}))
    return result.rowcount


def _must_own(rowcount: int) -> None:
    if rowcount != 1:
        raise LeaseLost
