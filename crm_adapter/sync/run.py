"""`sync_all` and `plan`: lease, list all accounts, then plan, apply and close one after another."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import partial
from typing import Any, Final

from sqlalchemy.exc import DBAPIError

from crm_adapter.db.columns import Columns
from crm_adapter.db.dialects import is_lock_timeout
from crm_adapter.db.rows import read_whole
from crm_adapter.db.tables import utcnow
from crm_adapter.installation import Installation
from crm_adapter.results import AccountReport, PlannedServer, SyncPlan, SyncReport
from crm_adapter.steps import HASTE, Cpu, Db, transaction
from crm_adapter.sync import accounts, leases
from crm_adapter.sync.accounts import token_fingerprint as token_of
from crm_adapter.sync.apply import Applied, Writer, apply_decisions
from crm_adapter.sync.collect import Collected, Listed, Scope, collect, confirm, forget, forget_rows, read_rows_of
from crm_adapter.sync.decisions import Decision
from crm_adapter.sync.fetch import Caller
from crm_adapter.sync.planner import AccountPlan, Ahead, Options, Whereabouts, build_plan, planned
from crm_adapter.sync.report import Outcome, account_report, busy, not_configured, outcome_of, report
from crm_adapter.sync.services import Charged, write_services
from crm_adapter.sync.tasks import PIECE, Task, decide_all
from crm_adapter.telemetry import log, span
from crm_adapter.text import messages

logger = logging.getLogger(__name__)

_RENEW_EVERY: Final = 30.0
"""A lease renewed this recently (seconds) outlives the next call anyway; saves one statement per page."""
_IN_USE: Final = timedelta(hours=24)
"""An account that was synchronised within this time may have what another one lacks."""


@dataclass(frozen=True, slots=True)
class _Work:
    """What one call of `sync_all` was asked to do."""

    scope: Scope
    actor: str | None = None
    on_progress: Callable[[int, int], object] | None = None


async def sync_all(
    crm: Installation,
    *,
    only_auto: bool = True,
    actor: str | None,
    dry_run: bool = False,
    claimed: Mapping[str, str] | None = None,
    on_progress: Callable[[int, int], object] | None = None,
) -> SyncReport:
    """See `crm_adapter.sync_all`."""
    clients = crm.clients
    scope = Scope(crm.columns, Options(only_auto, crm.import_new, crm.link_policy), write=not dry_run)
    work = _Work(scope, actor, on_progress)
    if not clients:
        return not_configured()
    if dry_run:
        outcomes = await _rehearse(clients, work)
        return report(None, outcomes, dry_run=True)
    # Leases that were handed over are the whole job; the other accounts were fresh. The owner is chosen before the claim:
    # whatever happens after its commit, the lease can be told as ours.
    owners = {account: leases.new_owner() for account in clients if claimed is None or account in claimed}
    held = [*owners.items(), *(claimed or {}).items()]
    so_far = _SoFar()
    try:
        return await _sync(clients, work, owners, claimed, so_far)
    except GeneratorExit:
        raise
    except BaseException as error:
        await _abandon(held, so_far, interrupted=not isinstance(error, Exception))
        raise


@dataclass(slots=True)
class _SoFar:
    """What a run has done, for its report however it ends."""

    run_id: int | None = None
    outcomes: list[Outcome] = field(default_factory=list[Outcome])
    account: str | None = None
    """The account that is being written."""
    applied: Applied = field(default_factory=Applied)

    def begin(self, account: str) -> None:
        """Another account's turn."""
        self.account, self.applied = account, Applied()

    def end(self, outcome: Outcome) -> None:
        """The account's part is over."""
        self.account = None
        self.outcomes.append(outcome)

    def cut_short(self, code: str) -> Outcome:
        """The part of the account that was being written."""
        failed = AccountReport(self.account or "", "failed", code, messages.failure_text(code))
        self.applied.settle()
        return Outcome(failed, self.applied.tally, self.applied.errors)

    def report(self, code: str) -> SyncReport | None:
        """What was done by a run that ends early; None: it had not begun."""
        if self.run_id is None:
            return None
        return report(self.run_id, [*self.outcomes, *([self.cut_short(code)] if self.account is not None else [])])


async def _sync(
    clients: Mapping[str, Any],
    work: _Work,
    owners: Mapping[str, str],
    claimed: Mapping[str, str] | None,
    so_far: _SoFar,
) -> SyncReport:
    """Claim the accounts, list them all, then write one after another."""
    ttl = accounts.lease_seconds(clients.values())
    claims = await _claim(work, owners, claimed, ttl)
    outcomes = so_far.outcomes
    outcomes += [busy(account) for account in claims.busy]
    run_id = claims.run_id
    if run_id is None or not claims.owners:
        return report(next(iter(claims.busy.values()), None), outcomes)
    so_far.run_id = run_id
    fence = _Fence(claims.owners, ttl)
    listings = _Listings(clients, work, fence)
    with span("run", run_id=run_id, accounts=len(claims.owners)) as run:
        # Whether a server is gone is decided when all are listed: it may be another account's now.
        if len(claims.owners) > 1:
            for account in claims.owners:
                with span("listing", account=account, run_id=run_id):
                    await listings.add(account)
        for position, account in enumerate(claims.owners, start=1):
            last = position == len(claims.owners)
            with span("account", account=account, run_id=run_id) as within:
                so_far.begin(account)
                outcome = await _run_account(account, work, fence, listings, run_id, so_far, last=last)
                within.set(status=outcome.report.status, error_code=outcome.report.error_code)
            fence.held.pop(account, None)
            so_far.end(outcome)
        found = await Cpu(lambda: report(run_id, outcomes))
        run.set(status=found.status, error_code=found.error_code, api_calls=found.api_calls)
    counts = ((name, getattr(found, name)) for name in found.__dataclass_fields__ if name.endswith("_count"))
    told = {name: value for name, value in counts if value}
    log(logger, "sync finished", run_id=found.run_id, status=found.status, error_code=found.error_code, **told)
    return found


async def _claim(work: _Work, owners: Mapping[str, str], claimed: Mapping[str, str] | None, ttl: float) -> accounts.Claims:
    """The leases that are free; whoever holds their rows for long is at work on them."""
    try:
        return await transaction(
            lambda s: accounts.claim_accounts(s, owners, actor=work.actor, claimed=claimed, ttl=ttl), patience=HASTE
        )
    except DBAPIError as error:
        if not is_lock_timeout(error):
            raise
        return accounts.Claims({}, dict.fromkeys(owners), None)


class _Listings:
    """What Timeweb has told of the accounts of a run."""

    def __init__(self, clients: Mapping[str, Any], work: _Work, fence: _Fence | None) -> None:
        self.clients, self.work, self.fence = clients, work, fence
        self.seen_ids: dict[str, str] = {}
        self.collected: dict[str, Collected] = {}
        self._listed = Listed()

    async def add(self, account: str) -> None:
        """Ask for one account; a lost lease is told when the account's turn to write has come."""
        before = partial(self.fence.keep, account) if self.fence is not None else None
        caller = Caller(account, before, self.token(account))
        with suppress(leases.LeaseLost):
            found = self.collected[account] = await collect(caller, self.work.scope, self.seen_ids)
            await Cpu(lambda: self._listed.add(found.fetched))

    async def settle(self, account: str, ahead: Ahead | None = None) -> tuple[Collected, Whereabouts]:
        """One account beside all others: the rows as they are by now, which of its servers are gone, and where others are."""
        if account not in self.collected:
            await self.add(account)
        if account not in self.collected:
            raise leases.LeaseLost
        found, scope = self.collected[account], self.work.scope
        if len(self.collected) > 1 and not found.fetched.fatal:
            await Cpu(partial(forget_rows, found.snapshot))
            fetched = found.fetched
            found = self.collected[account] = replace(
                found, snapshot=await Db(lambda s: read_rows_of(s, scope.columns, fetched))
            )
            if ahead is not None:
                found = replace(found, snapshot=await Cpu(partial(ahead.project, found.snapshot, fetched)))
        in_use = await Db(lambda s: accounts.accounts_in_use(s, utcnow() - _IN_USE))
        known = self._listed.whereabouts(in_use, self.clients)
        return await confirm(found, scope.options, known), known

    async def forget(self, account: str) -> None:
        """Let go of what is held for each server of an account whose turn is over."""
        await Cpu(partial(forget, self.collected[account]))

    def token(self, account: str) -> str | None:
        """Tells the account's token from another."""
        return token_of(self.clients[account])


async def plan(crm: Installation, *, only_auto: bool = True) -> SyncPlan:
    """See `crm_adapter.plan`."""
    clients = crm.clients
    work = _Work(Scope(crm.columns, Options(only_auto, crm.import_new, crm.link_policy), write=False))
    if not clients:
        return SyncPlan(not_configured())
    outcomes = await _rehearse(clients, work, tell=True)
    return await Cpu(lambda: _as_plan(outcomes))


def _as_plan(outcomes: Sequence[Outcome]) -> SyncPlan:
    servers = [item for outcome in outcomes for item in outcome.planned]
    servers += [item for outcome in outcomes for item in outcome.skipped]
    servers += [
        PlannedServer("error", error.server_id, None, error.server_name, reason=error.error)
        for outcome in outcomes
        for error in outcome.errors
    ]
    return SyncPlan(report(None, outcomes, dry_run=True), tuple(servers))


class _Fence:
    """Renews the leases of a run before calls and chunks, at most every half minute."""

    def __init__(self, owners: Mapping[str, str], ttl: float) -> None:
        self.held, self.ttl = dict(owners), ttl
        self._renewed = float("-inf")

    async def keep(self, account: str) -> None:
        """Keep all leases alive while one of the accounts is asked or written; `LeaseLost`: that one's is another's."""
        if time.monotonic() - self._renewed >= _RENEW_EVERY:
            for lost in await transaction(self._renew):
                del self.held[lost]
            self._renewed = time.monotonic()
        self.owner(account)

    def owner(self, account: str) -> str:
        """Under which name the account's lease is held."""
        if account not in self.held:
            raise leases.LeaseLost
        return self.held[account]

    def _renew(self, session: Any) -> list[str]:
        lost: list[str] = []
        for account, owner in sorted(self.held.items()):
            try:
                leases.renew(session, account, owner, ttl=self.ttl)
            except leases.LeaseLost:
                lost.append(account)
        return lost


async def _rehearse(clients: Mapping[str, Any], work: _Work, *, tell: bool = False) -> list[Outcome]:
    """What a run would do; with `tell` also what to each server."""
    outcomes: list[Outcome] = []
    listings = _Listings(clients, work, None)
    for account in clients:
        await listings.add(account)
    ahead = Ahead()
    for account in clients:
        collected, known = await listings.settle(account, ahead)
        made = await Cpu(partial(_plan_account, collected, work, known))
        outcome = outcome_of(collected.fetched, made)
        for start in range(0, len(made.tasks), PIECE):
            decisions = await _decide(made.tasks, start, collected, work.scope.columns, ahead)
            outcome.tally.add(decisions)
            if tell:
                outcome.planned += [planned(decision) for decision in decisions if decision.action != "note"]
            if len(clients) > 1:
                ahead.add(account, decisions)
        outcomes.append(outcome)
        await listings.forget(account)
    return outcomes


async def _decide(
    plan: Sequence[Task], start: int, collected: Collected, columns: Columns, ahead: Ahead | None = None
) -> list[Decision]:
    """Decide the next piece of a plan on the rows as they are now, or will be when the accounts before are written."""
    tasks = await Cpu(lambda: plan[start : start + PIECE])
    wanted = {task.row.id: task.timeweb_id for task in tasks if task.row is not None}
    whole = await Db(lambda s: read_whole(s, columns, wanted)) if wanted else {}
    rows = {wanted[row_id]: row for row_id, row in whole.items()}
    if ahead is not None:
        rows |= ahead.rows(tasks)
    fetched = collected.fetched
    return await Cpu(lambda: decide_all(tasks, rows, fetched.payloads, fetched.costs, collected.context))


async def _run_account(
    account: str,
    work: _Work,
    fence: _Fence,
    listings: _Listings,
    run_id: int,
    so_far: _SoFar,
    *,
    last: bool,
) -> Outcome:
    token, applied, before = listings.token(account), so_far.applied, so_far.outcomes
    try:
        await fence.keep(account)
        collected, known = await listings.settle(account)
        made = await Cpu(partial(_plan_account, collected, work, known))
        owner = fence.owner(account)
        writer = Writer(work.scope.columns, collected.context, run_id, work.actor, owner)
        outcome = outcome_of(collected.fetched, made)
        keep = partial(fence.keep, account)
        charged, total = await Cpu(partial(Charged, collected)), len(made.tasks)
        for start in range(0, total, PIECE):
            decisions = await _decide(made.tasks, start, collected, work.scope.columns)
            done = await apply_decisions(writer, decisions, applied, work.on_progress, before=keep, progress=start, total=total)
            await Cpu(partial(charged.add, done))
        services = await write_services(
            collected, work.scope.columns, charged, run_id=run_id, actor=work.actor, owner=owner, before=keep
        )
        outcome.tally = applied.tally
        outcome.errors += applied.errors
        outcome.warnings += services.warnings
        outcome.report = account_report(collected.fetched, made, outcome.errors)
        whole = await Cpu(lambda: report(run_id, [*before, outcome])) if last else None

        def close(session: Any) -> None:
            accounts.close_account(
                session,
                collected.context,
                collected.info,
                collected.fetched,
                outcome.report,
                owner=owner,
                run_id=run_id,
                events=(*made.events, *services.events),
                services=services,
                token=token,
            )
            if whole is not None:
                accounts.close_run(session, run_id, whole)

        await transaction(close)
        await listings.forget(account)
    except leases.LeaseLost:
        lost = so_far.cut_short("lease_lost")
        if last:
            await transaction(lambda s: accounts.close_run(s, run_id, report(run_id, [*before, lost])))
        return lost
    return outcome


def _plan_account(collected: Collected, work: _Work, known: Whereabouts) -> AccountPlan:
    return build_plan(collected.fetched, collected.snapshot, collected.context, work.scope.options, known)


async def _abandon(held: Iterable[tuple[str, str]], so_far: _SoFar, *, interrupted: bool) -> None:
    """The run ends early: tell what it did and free its leases if the database still answers, else they expire."""
    try:
        told = so_far.report("interrupted" if interrupted else "crashed")
        await transaction(lambda s: accounts.let_go(s, held, interrupted=interrupted, report=told), patience=HASTE)
    except Exception:  # the reason of the end is what the caller must see
        return
