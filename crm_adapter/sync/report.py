"""From decisions and failures to the report."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from crm_adapter.results import AccountReport, PlannedServer, ReportWarning, RunStatus, ServerProblem, SyncedServer, SyncReport
from crm_adapter.sync.decisions import Decision
from crm_adapter.sync.planner import AccountPlan, Fetched
from crm_adapter.text import messages

_TOLD: Final = ("create", "update", "restore", "link", "remove")
"""Actions whose servers a report names."""


@dataclass(slots=True)
class Tally:
    """What was done, as far as a report tells it."""

    counts: Counter[str] = field(default_factory=Counter[str])
    servers: dict[str, list[tuple[int, int | None, str, tuple[str, ...]]]] = field(
        default_factory=lambda: {action: [] for action in _TOLD}
    )
    """By action, what a `SyncedServer` is made of; plain, for the reason of `Packed`."""

    def add(self, decisions: Iterable[Decision]) -> None:
        """Count decisions that were carried out, or would be."""
        for decision in decisions:
            self.counts[decision.action] += 1
            if decision.action in self.servers:
                crm_id = decision.row.id if decision.row else None
                self.servers[decision.action].append((decision.timeweb_id, crm_id, decision.name, tuple(decision.changes)))


@dataclass(slots=True)
class Outcome:
    """One account's part of the report, still growing."""

    report: AccountReport
    tally: Tally = field(default_factory=Tally)
    errors: list[ServerProblem] = field(default_factory=list[ServerProblem])
    warnings: list[ReportWarning] = field(default_factory=list[ReportWarning])
    skipped: list[PlannedServer] = field(default_factory=list[PlannedServer])
    planned: list[PlannedServer] = field(default_factory=list[PlannedServer])
    """What would be done, where that is asked for."""


def outcome_of(fetched: Fetched, made: AccountPlan) -> Outcome:
    """A plan as an outcome, before any of its tasks is done."""
    return Outcome(
        account_report(fetched, made, made.errors),
        errors=list(made.errors),
        warnings=list(made.warnings),
        skipped=list(made.skipped),
    )


def account_report(fetched: Fetched, made: AccountPlan, errors: Sequence[ServerProblem]) -> AccountReport:
    """Status and error code of one account's part."""
    code = fetched.error_code
    status = "failed" if fetched.fatal else "partial" if code else "success"
    if code == "rate_limited":
        status = "partial"  # a pause that Timeweb asked for is no failure, even before the first page
    if not fetched.fatal and made.suspicious:
        status, code = "partial", "suspicious_disappearance"
    if status == "success" and errors:
        status, code = "partial", errors[0].code
    text = messages.failure_text(code, retry_after=fetched.retry_after) if code and not made.suspicious else None
    return AccountReport(
        fetched.account,
        status,
        code,
        text,
        fetched.retry_after,
        fetched.api_calls,
        None if fetched.fatal else len(fetched.servers),
    )


def busy(account: str) -> Outcome:
    return Outcome(AccountReport(account, "running", "already_running", messages.failure_text("already_running")))


def not_configured() -> SyncReport:
    text = messages.failure_text("not_configured")
    return SyncReport(None, "skipped", "not_configured", warnings=(ReportWarning("not_configured", text),))


def _status(reports: Sequence[AccountReport]) -> RunStatus:
    states = {report.status for report in reports}
    if len(states) == 1:
        return states.pop()  # type: ignore[return-value]
    return "partial"


def report(run_id: int | None, outcomes: Sequence[Outcome], *, dry_run: bool = False) -> SyncReport:
    """All accounts in one report; a listed server is counted once."""
    counts: Counter[str] = Counter()
    for outcome in outcomes:
        counts.update(outcome.tally.counts)
    groups = {
        action: [SyncedServer(*told) for outcome in outcomes for told in outcome.tally.servers[action]] for action in _TOLD
    }
    reports = tuple(outcome.report for outcome in outcomes)
    errors = tuple(error for outcome in outcomes for error in outcome.errors)
    skipped = sum(len(outcome.skipped) for outcome in outcomes)
    failures = [report.error_code for report in reports if report.error_code]
    warnings = [warning for outcome in outcomes for warning in outcome.warnings]
    warnings += [
        ReportWarning(r.error_code, r.message, r.account)
        for r in reports
        if r.status == "failed" and r.error_code and r.message
    ]
    listed = ("create", "update", "unchanged", "link", "restore")
    return SyncReport(
        run_id=run_id,
        status=_status(reports),
        error_code=failures[0] if failures else None,
        created_count=counts["create"],
        updated_count=counts["update"],
        unchanged_count=counts["unchanged"],
        linked_count=counts["link"],
        missing_count=counts["missing"] + counts["remove"],
        restored_count=counts["restore"],
        skipped_count=skipped,
        error_count=len(errors),
        total_processed=sum(counts[action] for action in listed) + skipped + len(errors),
        api_calls=sum(report.api_calls for report in reports),
        created=tuple(groups["create"]),
        updated=tuple(groups["update"] + groups["restore"]),
        errors=errors,
        warnings=tuple(warnings),
        linked=tuple(groups["link"]),
        removed=tuple(groups["remove"]),
        accounts=reports,
        dry_run=dry_run,
    )
