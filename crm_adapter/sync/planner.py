"""One account's plan: fetched data and a snapshot of the database in, decisions out.  Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Final

from crm_adapter.results import HostingValues, LinkPolicy, PlannedServer, ReportWarning, ServerProblem
from crm_adapter.sync.costs import CostTable, Discount, Finances
from crm_adapter.sync.decisions import Decision, EventDraft, Observed, RunContext, create, decide, mark_missing, mark_removed
from crm_adapter.sync.linking import Links, match
from crm_adapter.sync.mapping import REMOVED_STATUS
from crm_adapter.sync.snapshot import Row, Snapshot, row_of
from crm_adapter.text import messages

#: The guard: this many rows gone at once, and more than this share of the account's, is a failure and no removal.
_SUSPICIOUS_COUNT: Final = 3
_SUSPICIOUS_SHARE: Final = 0.30


@dataclass(frozen=True, slots=True)
class Options:
    """What the caller of a sync chose."""

    only_auto: bool = True
    import_new: bool = True
    link_policy: LinkPolicy = "ip"


@dataclass(frozen=True, slots=True)
class Fetched:
    """All that Timeweb told about one account."""

    account: str
    servers: tuple[HostingValues, ...] = ()
    complete: bool = False
    errors: tuple[ServerProblem, ...] = ()
    warnings: tuple[ReportWarning, ...] = ()
    error_code: str | None = None
    """The first failure; None: everything came."""
    retry_after: float | None = None
    fatal: bool = False
    """Nothing usable came: the run writes nothing for this account."""
    foreign: bool = False
    """The account's amounts are no roubles: nothing of it may become a cost."""
    costs: CostTable | None = None
    finances: Finances | None = None
    discount: Discount = field(default_factory=lambda: Discount(None, Decimal(1)))
    api_calls: int = 0
    gone: frozenset[int] = frozenset()
    """Servers whose absence a canonical 404 (or status removed) confirmed."""
    alive: frozenset[int] = frozenset()
    """Servers that the listing forgot and GET by id found."""


@dataclass(frozen=True, slots=True)
class AccountPlan:
    """The decisions for one account, and what cannot be decided."""

    decisions: tuple[Decision, ...] = ()
    errors: tuple[ServerProblem, ...] = ()
    warnings: tuple[ReportWarning, ...] = ()
    skipped: tuple[PlannedServer, ...] = ()
    events: tuple[EventDraft, ...] = ()
    suspicious: bool = False


def _own_rows(snapshot: Snapshot, account: str) -> dict[int, Row]:
    """The account's rows that are not removed already."""
    return {
        timeweb_id: row
        for timeweb_id, row in snapshot.linked.items()
        if row.state is not None and row.state.account == account and row.state.removed_at is None
    }


def removal_candidates(fetched: Fetched, snapshot: Snapshot, options: Options) -> tuple[list[Row], bool]:
    """Rows that a complete listing of their own account lacks, longest missing first, and whether that is too many."""
    if not fetched.complete or fetched.fatal:
        return [], False
    listed = {server.timeweb_id for server in fetched.servers} | {error.server_id for error in fetched.errors}
    own = _own_rows(snapshot, fetched.account)
    missing = [row for timeweb_id, row in own.items() if timeweb_id not in listed and (row.auto_sync or not options.only_auto)]
    missing.sort(key=lambda row: (row.state is None or row.state.missing_since is None, row.crm_id))
    suspicious = len(missing) >= _SUSPICIOUS_COUNT and len(missing) > _SUSPICIOUS_SHARE * len(own)
    return missing, suspicious


def needs_presets(fetched: Fetched, snapshot: Snapshot) -> bool:
    """Whether some server without a cost row could be priced by its preset."""
    for server in fetched.servers:
        priced = fetched.costs is not None and server.timeweb_id in fetched.costs.servers
        if priced or server.timeweb_preset_id is None:
            continue
        row = snapshot.linked.get(server.timeweb_id)
        if row is None or row.state is None or row.state.cost_source in {"preset", "unknown"}:
            return True
    return False


def project(snapshot: Snapshot, decisions: Iterable[Decision]) -> Snapshot:
    """The snapshot as it will be once the decisions are applied, for a rehearsal of the accounts after them."""
    linked = dict(snapshot.linked)
    for decision in decisions:
        if decision.row is None:
            linked[decision.timeweb_id] = row_of({**decision.host, "id": 0}, decision.state)
        else:
            written = {name: value for name, value in decision.host.items() if name in Row.__dataclass_fields__}
            linked[decision.timeweb_id] = replace(decision.row, **written, state=decision.state or decision.row.state)
    taken = {row.crm_id for row in linked.values()}
    return replace(snapshot, linked=linked, unlinked=tuple(row for row in snapshot.unlinked if row.crm_id not in taken))


def build_plan(
    fetched: Fetched,
    snapshot: Snapshot,
    context: RunContext,
    options: Options,
    *,
    may_take: Callable[[Row], bool] = lambda row: False,
) -> AccountPlan:
    """Decide every server of one account.

    ``may_take`` tells whether a row of another account may move to this one.
    """
    if fetched.fatal:
        return AccountPlan(errors=fetched.errors, warnings=fetched.warnings)
    plan = _Plan(fetched, snapshot, context, options, may_take)
    new = [server for server in fetched.servers if not plan.existing(server)]
    links = match(new, snapshot.unlinked, options.link_policy)
    for server in new:
        plan.add_new(server, links)
    candidates, suspicious = removal_candidates(fetched, snapshot, options)
    if suspicious:
        known = len(_own_rows(snapshot, fetched.account))
        text = messages.suspicious(len(fetched.servers), known, len(candidates))
        plan.warn("suspicious_disappearance", text)
        # One alert per day and account: the same failure is seen again every five minutes.
        key = f"{fetched.account}:{context.today.isoformat()}"
        plan.events.append(EventDraft("suspicious_disappearance", {"text": text}, key))
    else:
        for row in candidates:
            plan.missing(row)
    return AccountPlan(
        tuple(plan.decisions), (*fetched.errors, *plan.errors), (*fetched.warnings, *plan.warnings),
        tuple(plan.skipped), tuple(plan.events), suspicious,
    )  # fmt: skip


class _Plan:
    """The lists that grow while one account is planned."""

    def __init__(
        self, fetched: Fetched, snapshot: Snapshot, context: RunContext, options: Options, may_take: Callable[[Row], bool]
    ) -> None:
        self.fetched, self.snapshot, self.context, self.options, self.may_take = fetched, snapshot, context, options, may_take
        self.decisions: list[Decision] = []
        self.errors: list[ServerProblem] = []
        self.warnings: list[ReportWarning] = []
        self.skipped: list[PlannedServer] = []
        self.events: list[EventDraft] = []

    def warn(self, code: str, text: str) -> None:
        self.warnings.append(ReportWarning(code, text, self.fetched.account))

    def skip(self, server: HostingValues, reason: str, row: Row | None = None) -> None:
        self.skipped.append(
            PlannedServer("skip", server.timeweb_id, (row.crm_id or None) if row else None, server.server_name, reason=reason)
        )

    def observed(self, server: HostingValues) -> Observed:
        return Observed(server, self.fetched.costs.servers.get(server.timeweb_id) if self.fetched.costs else None)

    def existing(self, server: HostingValues) -> bool:
        """Decide a server that has a row; False: it has none."""
        row = self.snapshot.linked.get(server.timeweb_id)
        if row is None:
            return False
        if row.state and row.state.account not in {None, self.context.account} and not self.may_take(row):
            self.skip(server, "other_account", row)
            self.warn("other_account", f"{row.server_name}: {messages.failure_text('other_account')}")
        elif self.options.only_auto and not row.auto_sync:
            self.skip(server, "auto_sync_off", row)
        elif server.timeweb_status == REMOVED_STATUS:
            if row.state and row.state.removed_at:
                self.skip(server, "removed", row)
            else:
                self.decisions.append(mark_removed(row, self.context, self.observed(server)))
        else:
            self.decisions.append(decide(row, self.observed(server), self.context))
        return True

    def add_new(self, server: HostingValues, links: Links) -> None:
        """Decide a server that has no row."""
        name, timeweb_id = server.server_name or f"server-{server.timeweb_id}", server.timeweb_id
        if server.timeweb_status == REMOVED_STATUS:
            self.skip(server, "removed")
        elif timeweb_id in self.snapshot.hidden:
            self.skip(server, "hidden")
        elif timeweb_id in links.unlinked:
            self.skip(server, "unlinked")
        elif timeweb_id in links.conflicts:
            rows = ", ".join(f"№ {row.crm_id} «{row.server_name}»" for row in links.conflicts[timeweb_id][:5])
            self.errors.append(ServerProblem(timeweb_id, name, f"{messages.failure_text('conflict')}: {rows}", "conflict"))
        elif row := links.linked.get(timeweb_id):
            if self.options.only_auto and not row.auto_sync:
                self.skip(server, "auto_sync_off", row)
            else:
                self.decisions.append(decide(row, self.observed(server), self.context, linking=True))
        elif row := links.suggested.get(timeweb_id):
            self.skip(server, "link_suggested", row)
            self.warn("link_suggested", f"{name}: похоже на «{row.server_name}» (совпал IP)")
        elif not self.options.import_new:
            self.skip(server, "new")
            self.events.append(EventDraft("discovered", {"name": name, "ip": server.ip_address}, str(timeweb_id)))
        else:
            if row := links.alike.get(timeweb_id):
                self.warn("link_suggested", f"{name}: похоже на «{row.server_name}» (совпало имя)")
            self.decisions.append(create(self.observed(server), self.context))

    def missing(self, row: Row) -> None:
        """Decide a row whose server a complete listing lacks."""
        if row.timeweb_id in self.fetched.gone:
            self.decisions.append(mark_removed(row, self.context))
        elif row.timeweb_id not in self.fetched.alive:
            self.decisions.append(mark_missing(row, self.context))


def planned(decision: Decision) -> PlannedServer:
    """A decision as the caller of ``plan`` sees it."""
    return PlannedServer(
        decision.action,
        decision.timeweb_id,
        decision.row.crm_id if decision.row else None,
        decision.name,
        dict(decision.changes),
    )
