"""`ensure_fresh`: start at most one background sync, whatever the number of tabs, users and workers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from crm_adapter.db.dialects import begin_write, db_now_ms, is_lock_timeout
from crm_adapter.db.tables import AccountState, SyncLease, utcnow
from crm_adapter.results import Freshness
from crm_adapter.steps import HASTE, transaction
from crm_adapter.sync import accounts, leases
from crm_adapter.sync.accounts import token_fingerprint
from crm_adapter.text import messages

ACTOR: Final = "auto"
"""Who a run is that nobody asked for."""
_LONGEST_AGE: Final = timedelta(hours=1)
"""However long a run took, its data is not young for longer."""


@dataclass(frozen=True, slots=True)
class Start:
    """The answer, and the leases that a runner must be given when something was started."""

    freshness: Freshness
    leases: Mapping[str, str] = field(default_factory=dict[str, str])


async def ensure_fresh(clients: Mapping[str, Any], *, max_age: float) -> Start:
    """See `crm_adapter.ensure_fresh`; the driver's caller starts the runner."""
    if not clients:
        return Start(Freshness("not_configured", message=messages.NOT_CONFIGURED))
    owners = {account: leases.new_owner() for account in clients}
    try:
        # Most calls find fresh data: a plain read, no lock.
        seen = await transaction(lambda s: _look(s, clients, max_age), patience=HASTE)
        if seen.freshness.status != "started":
            return seen
        return await transaction(lambda s: _start(s, clients, max_age, owners), patience=HASTE)
    except GeneratorExit:
        raise
    except BaseException as error:
        if is_lock_timeout(error):
            # Whoever holds the leases for so long is at work on them.
            return Start(Freshness("running"))
        # Torn away after the commit: nobody would ever be given these leases.
        await transaction(lambda s: give_back(s, owners), patience=HASTE)
        raise


async def mark_due(clients: Mapping[str, Any], *, max_age: float) -> list[str]:
    """Accounts that a sync is due for and that nobody has queued; they count as queued from now on."""
    if not clients:
        return []
    seen = await transaction(lambda s: _look(s, clients, max_age), patience=HASTE)
    if not seen.leases:
        return []
    return await transaction(lambda s: _mark(s, seen.leases))


def _mark(session: Session, due: Mapping[str, str]) -> list[str]:
    begin_write(session)
    return leases.mark_queued(session, due)


def give_back(session: Session, claimed: Mapping[str, str]) -> None:
    """The runner was not started, or ended before it used the leases: free those that nobody has spent."""
    accounts.let_go(session, claimed.items(), interrupted=True)


def _look(session: Session, clients: Mapping[str, Any], max_age: float) -> Start:
    """What would be done; `started` stands for "some account must be synced"."""
    now, age = utcnow(), timedelta(seconds=max_age)
    states = {
        state.account: state for state in session.scalars(select(AccountState).where(AccountState.account.in_(list(clients))))
    }
    live = session.execute(
        select(SyncLease.account, SyncLease.run_id).where(
            SyncLease.account.in_(list(clients)), SyncLease.owner.is_not(None), SyncLease.expires_ms >= db_now_ms()
        )
    )
    held = {account: run_id for account, run_id in live}  # noqa: C416 - a Result with keys() is no pairs to dict()
    due: list[str] = []
    waiting: list[Any] = []
    running: list[int | None] = []
    for account, client in clients.items():
        state = states.get(account)
        if state is not None and _is_fresh(state, now, age):
            continue
        if account in held:
            running.append(held[account])
            continue
        retry_at = _retry_at(state, client, now, age) if state is not None else None
        if retry_at is not None and retry_at > now:
            waiting.append(retry_at)
        else:
            due.append(account)
    oldest = [state.last_success_at for state in states.values()]
    last = min((moment for moment in oldest if moment is not None), default=None) if len(oldest) == len(clients) else None
    if due:
        return Start(Freshness("started", last), dict.fromkeys(due, ""))
    if running:
        return Start(Freshness("running", last, run_id=running[0]))
    if waiting:
        return Start(Freshness("backoff", last, min(waiting)))
    return Start(Freshness("fresh", last))


def _is_fresh(state: AccountState, now: datetime, age: timedelta) -> bool:
    """Young data, unless the last run was cut short: then `retry_at` says when to go on, be it sooner or later."""
    # An instant that lies ahead was written by a clock that was wrong, and is as old as it is far.
    success, attempt = state.last_success_at, state.last_attempt_at
    if state.retry_at is not None or success is None:
        return False
    if age > timedelta(0) and attempt is not None and attempt < success <= now:
        # A run that takes longer than its data may be old would be followed by the next one at once, for ever.
        age = max(age, min(success - attempt, _LONGEST_AGE))
    return abs(now - success) < age


def _retry_at(state: AccountState, client: object, now: datetime, age: timedelta) -> Any:
    """When the account may be asked again after a failure; a new token may be tried at once."""
    token = token_fingerprint(client)
    if state.error_code == "unauthorized" and token is not None and token != state.token_fingerprint:
        return None
    if state.last_attempt_at is not None and state.last_attempt_at - now > age:
        return None  # counted from a clock that was ahead
    if state.retry_at is not None:
        return state.retry_at
    # Partial without fresh data: nothing usable was listed.
    if state.last_status in {"failed", "partial"} and state.last_attempt_at is not None:
        return state.last_attempt_at + age
    return None


def _start(session: Session, clients: Mapping[str, Any], max_age: float, owners: Mapping[str, str]) -> Start:
    seen = _look(session, clients, max_age)
    if seen.freshness.status != "started":
        return seen
    claims = accounts.claim_accounts(session, {account: owners[account] for account in seen.leases}, actor=ACTOR)
    last = seen.freshness.last_success_at
    if not claims.owners:
        return Start(Freshness("running", last, run_id=next(iter(claims.busy.values()), None)))
    return Start(Freshness("started", last, run_id=claims.run_id), claims.owners)
