"""``sync_all`` and ``plan``: lease, fetch, plan, apply, close; account by account."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from crm_adapter.installation import Installation
from crm_adapter.results import AccountReport, PlannedServer, SyncPlan, SyncReport
from crm_adapter.steps import Cpu, transaction
from crm_adapter.sync import accounts, leases
from crm_adapter.sync.accounts import token_fingerprint as token_of
from crm_adapter.sync.apply import Writer, apply_decisions
from crm_adapter.sync.collect import Collected, Scope, collect
from crm_adapter.sync.fetch import Caller
from crm_adapter.sync.planner import AccountPlan, Options, build_plan, planned
from crm_adapter.sync.report import Outcome, account_report, busy, not_configured, outcome_of, report
from crm_adapter.sync.snapshot import Row
from crm_adapter.telemetry import log, span
from crm_adapter.text import messages

logger = logging.getLogger(__name__)

#: A lease renewed this recently (seconds) outlives the next call anyway; saves one statement per page.
_RENEW_EVERY: Final = 30.0


@dataclass(frozen=True, slots=True)
class _Work:
    """What one call of ``sync_all`` was asked to do."""

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
    try:
        return await _sync(clients, work, owners, claimed)
    except GeneratorExit:
        raise
    except BaseException as error:
        await _abandon(held, interrupted=not isinstance(error, Exception))
        raise


async def _sync(
    clients: Mapping[str, Any], work: _Work, owners: Mapping[str, str], claimed: Mapping[str, str] | None
) -> SyncReport:
    """Claim the accounts and run them one after another."""
    ttl = accounts.lease_seconds(clients.values())
    claims = await transaction(lambda s: accounts.claim_accounts(s, owners, actor=work.actor, claimed=claimed, ttl=ttl))
    outcomes = [busy(account) for account in claims.busy]
    run_id = claims.run_id
    if run_id is None or not claims.owners:
        return report(next(iter(claims.busy.values()), None), outcomes)
    seen_ids: dict[str, str] = {}
    with span("run", run_id=run_id, accounts=len(claims.owners)) as run:
        for position, (account, owner) in enumerate(claims.owners.items(), start=1):
            fence = _Fence(account, owner, ttl)
            last = position == len(claims.owners)
            with span("account", account=account, run_id=run_id) as within:
                outcome = await _run_account(account, work, fence, run_id, seen_ids, clients, outcomes, last=last)
                within.set(status=outcome.report.status, error_code=outcome.report.error_code)
            outcomes.append(outcome)
        found = report(run_id, outcomes)
        run.set(status=found.status, error_code=found.error_code, api_calls=found.api_calls)
    told = {name: value for name, value in found.to_dict().items() if name.endswith("_count") and value}
    log(logger, "sync finished", run_id=found.run_id, status=found.status, error_code=found.error_code, **told)
    return found


async def plan(crm: Installation, *, only_auto: bool = True) -> SyncPlan:
    """See `crm_adapter.plan`."""
    clients = crm.clients
    work = _Work(Scope(crm.columns, Options(only_auto, crm.import_new, crm.link_policy), write=False))
    if not clients:
        return SyncPlan(not_configured())
    outcomes = await _rehearse(clients, work)
    servers = [planned(decision) for outcome in outcomes for decision in outcome.done]
    servers += [item for outcome in outcomes for item in outcome.skipped]
    servers += [
        PlannedServer("error", error.server_id, None, error.server_name, reason=error.error)
        for outcome in outcomes
        for error in outcome.errors
    ]
    return SyncPlan(report(None, outcomes, dry_run=True), tuple(servers))


class _Fence:
    """Renews one account's lease before calls, at most every half minute."""

    def __init__(self, account: str, owner: str, ttl: float) -> None:
        self.account, self.owner, self.ttl = account, owner, ttl
        self._renewed = float("-inf")

    async def before_call(self) -> None:
        if time.monotonic() - self._renewed < _RENEW_EVERY:
            return
        await transaction(lambda s: leases.renew(s, self.account, self.owner, ttl=self.ttl))
        self._renewed = time.monotonic()


async def _rehearse(clients: Mapping[str, Any], work: _Work) -> list[Outcome]:
    outcomes: list[Outcome] = []
    seen_ids: dict[str, str] = {}
    scope = work.scope
    for account in clients:
        collected = await collect(Caller(account, token=token_of(clients[account])), scope, seen_ids)
        made = await Cpu(lambda g=collected: _plan_account(g, work, clients, outcomes))  # type: ignore[misc]
        scope = replace(scope, ahead=(*scope.ahead, *made.decisions))
        outcomes.append(outcome_of(collected.fetched, made))
    return outcomes


async def _run_account(
    account: str,
    work: _Work,
    fence: _Fence,
    run_id: int,
    seen_ids: dict[str, str],
    clients: Mapping[str, Any],
    before: Sequence[Outcome],
    *,
    last: bool,
) -> Outcome:
    token = token_of(clients[account])
    try:
        collected = await collect(Caller(account, fence.before_call, token), work.scope, seen_ids)
        made = await Cpu(lambda: _plan_account(collected, work, clients, before))
        writer = Writer(work.scope.columns, collected.context, run_id, work.actor, fence.owner)
        outcome = outcome_of(collected.fetched, made)
        outcome.done, rejected = await apply_decisions(writer, made.decisions, work.on_progress)
        outcome.errors += rejected
        outcome.report = account_report(collected.fetched, made, outcome.errors)

        def close(session: Any) -> None:
            accounts.close_account(
                session, collected.context, collected.info, collected.fetched, outcome.report,
                owner=fence.owner, run_id=run_id, events=made.events, snapshot=collected.snapshot, token=token,
            )  # fmt: skip
            if last:
                accounts.close_run(session, run_id, report(run_id, [*before, outcome]))

        await transaction(close)
    except leases.LeaseLost:
        lost = Outcome(AccountReport(account, "failed", "lease_lost", messages.failure_text("lease_lost")))
        if last:
            await transaction(lambda s: accounts.close_run(s, run_id, report(run_id, [*before, lost])))
        return lost
    return outcome


def _plan_account(collected: Collected, work: _Work, clients: Mapping[str, Any], before: Sequence[Outcome]) -> AccountPlan:
    healthy = {outcome.report.account for outcome in before if outcome.report.status in {"success", "partial"}}

    def may_take(row: Row) -> bool:
        """A server that moved: its old account no longer lists it, is the same account renamed, or is no longer configured."""
        state = row.state
        if state is None or state.account is None or state.account in collected.aliases or state.removed_at is not None:
            return True
        return state.missing_since is not None and (state.account in healthy or state.account not in clients)

    return build_plan(collected.fetched, collected.snapshot, collected.context, work.scope.options, may_take=may_take)


async def _abandon(held: Iterable[tuple[str, str]], *, interrupted: bool) -> None:
    """The run ends early: free its leases if the database still answers, else they expire."""
    try:
        await transaction(lambda s: accounts.let_go(s, held, interrupted=interrupted))
    except Exception:  # the reason of the end is what the caller must see
        return
