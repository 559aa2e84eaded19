"""The account's row: identity, caches, money and how its runs went. The DB half."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final, cast

from sqlalchemy import Select, Table, and_, select, update
from sqlalchemy.orm import Session

from crm_adapter.db.columns import Columns
from crm_adapter.db.dialects import begin_write, in_turns, insert_ignore
from crm_adapter.db.tables import AccountState, SyncRun, TimewebServerState, utcnow
from crm_adapter.money import money_or_none
from crm_adapter.payload import as_decimal, as_int
from crm_adapter.results import AccountReport, SyncReport
from crm_adapter.sync import leases
from crm_adapter.sync.apply import add_events
from crm_adapter.sync.decisions import EventDraft, RunContext
from crm_adapter.sync.planner import Fetched

if TYPE_CHECKING:
    from crm_adapter.sync.services import Written

_DEAD: Final = frozenset({"unauthorized", "forbidden", "account_mismatch", "duplicate_account"})
"""The account cannot be asked until somebody gives it another token."""
BALANCE_LOW_HOURS: Final = 72
"""Hours left on the balance below which people are told that it is urgent."""
BALANCE_WEEK_HOURS: Final = 168
"""Hours below which they are told in good time."""
_UNAUTHORIZED_RETRY: Final = 900.0
"""An unauthorized token is tried again after this many seconds unless it is replaced."""
_LONGEST_WAIT: Final = 86_400.0
"""No answer keeps an account waiting for longer; a Retry-After beyond it is a failure of whoever sent it."""
_UNFINISHED: Final = ("running", "interrupted", "crashed")
"""Statuses of runs that have not told how they ended; what whoever took one for dead wrote of it counts less."""
_SHOWN: Final = 200
"""Entries of each list that the run history keeps; all of them are in the change log."""


@dataclass(frozen=True, slots=True)
class AccountInfo:
    """`timeweb_account_state` as far as planning needs it."""

    account: str
    account_id: str | None = None
    identity_checked_at: datetime | None = None
    token_fingerprint: str | None = None
    currency: str | None = None
    cost_basis: str | None = None
    cost_factor: Decimal | None = None
    presets: Mapping[int, Decimal] | None = None
    presets_at: datetime | None = None
    failures: int = 0
    balance_alerted: bool = False
    balance_week_told: bool = False
    last_status: str | None = None


@dataclass(frozen=True, slots=True)
class Claims:
    """Which leases a run got."""

    owners: Mapping[str, str]
    busy: Mapping[str, int | None]
    """Account -> the run that holds it."""
    run_id: int | None


def claim_accounts(
    session: Session,
    accounts: Mapping[str, str],
    *,
    actor: str | None,
    claimed: Mapping[str, str] | None = None,
    ttl: float = leases.TTL_SECONDS,
) -> Claims:
    """Claim all leases and open one run, in one transaction: a run always has a lease that tells whether it lives."""
    begin_write(session)
    owners: dict[str, str] = {}
    busy: dict[str, int | None] = {}
    run_id: int | None = None
    for account, name in accounts.items():
        session.execute(insert_ignore(session, cast(Table, AccountState.__table__)), {"account": account})
        claim = leases.claim(session, account, owner=name, claimed=(claimed or {}).get(account), ttl=ttl)
        if claim.owner is not None:
            owners[account] = claim.owner
            run_id = run_id or claim.run_id
        else:
            busy[account] = claim.run_id
    if owners and run_id is None:
        run = SyncRun(actor=actor, status="running", started_at=utcnow())
        session.add(run)
        session.flush()
        run_id = run.id
    for account, owner in owners.items():
        leases.attach_run(session, account, owner, cast(int, run_id))
        session.execute(update(AccountState).where(AccountState.account == account).values(last_attempt_at=utcnow()))
    return Claims(owners, busy, run_id)


def token_fingerprint(client: object) -> str | None:
    """Tells a new token from the old one without keeping either; None for clients that are not the SDK's."""
    return getattr(client, "token_fingerprint", None) or None


def lease_seconds(clients: Iterable[object]) -> float:
    """A lease outlives the longest call that one of the clients may make."""
    longest = (getattr(client, "total_timeout", 0) or 0 for client in clients)
    return max([leases.TTL_SECONDS, *(seconds + 120.0 for seconds in longest)])


def load_account(session: Session, account: str, columns: Columns) -> tuple[AccountInfo, bool]:
    """The account's state, and whether it has rows in the CRM; what a deleted row left behind is none."""
    state = session.get(AccountState, account)
    has_rows = session.scalar(_servers_of(account, columns).limit(1)) is not None
    if state is None:
        return AccountInfo(account), has_rows
    presets: dict[int, Decimal] | None = None
    if state.presets:
        pairs = ((as_int(key), as_decimal(price)) for key, price in json.loads(state.presets).items())
        presets = {key: price for key, price in pairs if key is not None and price is not None}
    info = AccountInfo(
        account=account,
        account_id=state.account_id,
        identity_checked_at=state.identity_checked_at,
        token_fingerprint=state.token_fingerprint,
        currency=state.currency,
        cost_basis=state.cost_basis,
        cost_factor=as_decimal(state.cost_factor),
        presets=presets,
        presets_at=state.presets_at,
        failures=state.failures or 0,
        balance_alerted=bool(state.balance_alerted),
        balance_week_told=bool(state.balance_week_told),
        last_status=state.last_status,
    )
    return info, has_rows


def shows_none_of_its_own(session: Session, account: str, columns: Columns, listed: Collection[int]) -> bool:
    """Whether the account has rows, and a listing none of their servers."""
    found = False
    own = _servers_of(account, columns).where(*columns.scope)
    with session.scalars(own, execution_options=in_turns(session)) as servers:
        for timeweb_id in servers:
            if timeweb_id in listed:
                return False
            found = True
    return found


def _servers_of(account: str, columns: Columns) -> Select[Any]:
    beside = TimewebServerState
    same_row = and_(columns["id"] == beside.server_id, columns["timeweb_id"] == beside.timeweb_id)
    mine = select(columns["timeweb_id"]).join(beside, same_row)
    return mine.where(beside.account == account, beside.removed_at.is_(None))


def other_holder(session: Session, account: str, account_id: str, fresh_since: datetime) -> str | None:
    """Another configured name under which the same Timeweb account was synced lately."""
    return session.scalar(
        select(AccountState.account)
        .where(AccountState.account != account, AccountState.account_id == account_id)
        .where(AccountState.last_success_at >= fresh_since)
        .limit(1)
    )


def accounts_in_use(session: Session, since: datetime) -> dict[str, datetime | None]:
    """Accounts that were synchronised since then -> when their last complete listing began; None: there was none."""
    found = session.execute(
        select(AccountState.account, AccountState.listed_at, AccountState.error_code).where(
            AccountState.last_success_at >= since
        )
    )
    return {account: listed_at for account, listed_at, code in found if code not in _DEAD}


def same_identity(session: Session, account_id: str | None) -> frozenset[str]:
    """All names that this Timeweb account has had."""
    if account_id is None:
        return frozenset()
    return frozenset(session.scalars(select(AccountState.account).where(AccountState.account_id == account_id)))


def save_account(session: Session, account: str, values: Mapping[str, Any]) -> None:
    """Update columns of the account's row."""
    session.execute(update(AccountState).where(AccountState.account == account).values(dict(values)))


def retry_delay(code: str | None, failures: int, retry_after: float | None) -> float | None:
    """Seconds until the next automatic try; None: the usual age decides. `failures` counts those before this one."""
    if code == "unauthorized":
        return _UNAUTHORIZED_RETRY
    if code in {"rate_limited", "upstream_unavailable"}:
        return max(min(retry_after or 0.0, _LONGEST_WAIT), min(60.0 * float(1 << min(failures, 10)), 900.0))
    return None


def close_account(
    session: Session,
    context: RunContext,
    info: AccountInfo,
    fetched: Fetched,
    outcome: AccountReport,
    *,
    owner: str,
    run_id: int,
    events: tuple[EventDraft, ...],
    services: Written,
    token: str | None,
) -> None:
    """Write down how the account's part went, release the lease, queue the account's events."""
    begin_write(session)
    leases.renew(session, context.account, owner)
    now = utcnow()
    delay = retry_delay(fetched.error_code, info.failures, fetched.retry_after)
    values: dict[str, Any] = {
        "token_fingerprint": token,
        "last_status": outcome.status,
        "error_code": outcome.error_code,
        "failures": info.failures + 1 if outcome.status == "failed" or delay is not None else 0,
        "retry_at": now + timedelta(seconds=delay) if delay is not None else None,
    }
    drafts = list(events)
    if not fetched.fatal:
        if fetched.complete or fetched.servers:
            values |= {"last_success_at": now, "servers_total": outcome.total}
        if fetched.complete:
            # Of this run: nobody else claims the account before the lease is released.
            values["listed_at"] = AccountState.last_attempt_at
        if info.last_status == "failed":
            drafts.append(EventDraft("sync_recovered", {"account": context.account}, f"{context.account}:{run_id}"))
    elif outcome.status == "failed" and info.last_status != "failed":
        told = {"account": context.account, "code": outcome.error_code, "text": outcome.message}
        drafts.append(EventDraft("sync_failed", told, f"{context.account}:{run_id}"))
    if fetched.discount.basis is not None:
        values |= {"cost_basis": fetched.discount.basis, "cost_factor": str(fetched.discount.factor)[:40]}
    if services.complete:
        values["services_at"] = context.now
    if services.net is not None:
        values["other_costs"] = money_or_none(services.net)
        if forgotten := context.aliases - {context.account}:
            session.execute(update(AccountState).where(AccountState.account.in_(forgotten)).values(other_costs=None))
    if fetched.finances is not None:
        money = fetched.finances
        hours = money.hours_left
        low, soon = (hours is not None and hours < bound for bound in (BALANCE_LOW_HOURS, BALANCE_WEEK_HOURS))
        values |= {
            "balance": money.balance,
            "currency": money.currency,
            "monthly_cost": money.monthly_cost,
            "monthly_fee": money.monthly_fee,
            "hours_left": hours,
            "finances_at": now,
            "balance_alerted": low,
            "balance_week_told": soon,
        }
        kind = "balance_low" if low else "balance_week"
        if (low and not info.balance_alerted) or (soon and not (low or info.balance_week_told)):
            left = {
                "account": context.account,
                "balance": None if fetched.foreign else money.balance,
                "hours_left": hours,
            }
            drafts.append(EventDraft(kind, left, f"{context.account}:{run_id}"))
    save_account(session, context.account, values)
    add_events(session, context, run_id, [(draft, None) for draft in drafts])
    leases.release(session, context.account, owner)


def close_run(session: Session, run_id: int, report: SyncReport) -> None:
    """Finish the run's row with its report; the counts are whole, long lists are cut.

    Also the row of a run that slept past its leases and was taken for dead: its report tells what it has written.
    """
    session.execute(
        update(SyncRun)
        .where(SyncRun.id == run_id, SyncRun.status.in_(_UNFINISHED))
        .values(status=report.status, error_code=report.error_code, finished_at=utcnow(), report=_kept(report))
    )


def _kept(report: SyncReport) -> str:
    every: dict[str, Any] = {name: getattr(report, name) for name in report.__dataclass_fields__}
    lists: dict[str, Any] = {name: value[:_SHOWN] for name, value in every.items() if isinstance(value, tuple)}
    return json.dumps(replace(report, **lists).to_dict(), ensure_ascii=False)


def let_go(session: Session, held: Iterable[tuple[str, str]], *, interrupted: bool, report: SyncReport | None = None) -> None:
    """Free the leases (account, owner) that are still ours and end the runs that they serve.

    `interrupted` says that somebody ended the run; otherwise it died. `report` is what it had written by then.
    """
    status = "interrupted" if interrupted else "crashed"
    for account, owner in held:
        run_id = leases.holder(session, account)
        if leases.release(session, account, owner) and run_id is not None:
            leases.end_run(session, run_id, status)
    if report is not None:
        session.execute(
            update(SyncRun).where(SyncRun.id == report.run_id, SyncRun.status.in_(_UNFINISHED)).values(report=_kept(report))
        )
