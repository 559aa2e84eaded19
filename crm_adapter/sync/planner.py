"""One account's plan: fetched data and a snapshot of the database in, tasks out. Pure."""

from __future__ import annotations

from collections import ChainMap, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from typing import Final, cast

from crm_adapter.db.rows import StoredRow, with_state, with_values
from crm_adapter.db.snapshot import Snapshot
from crm_adapter.results import HostingValues, LinkPolicy, PlannedServer, ReportWarning, ServerProblem
from crm_adapter.sync.costs import CostTable, Discount, Finances
from crm_adapter.sync.decisions import Decision, EventDraft, RunContext
from crm_adapter.sync.linking import Links, match
from crm_adapter.sync.mapping import REMOVED_STATUS
from crm_adapter.sync.payloads import Payloads
from crm_adapter.sync.tasks import Task, Tasks
from crm_adapter.text import messages

_SUSPICIOUS_COUNT: Final = 3
"""The guard: this many rows gone at once, and more than this share of the account's, is a failure and no removal."""
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
    servers: Mapping[int, HostingValues] = field(default_factory=dict[int, HostingValues])
    """By id, without what `payloads` has of them."""
    payloads: Payloads = field(default_factory=Payloads)
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
    """The tasks of one account, and what there is no task for."""

    tasks: Sequence[Task] = ()
    errors: tuple[ServerProblem, ...] = ()
    warnings: tuple[ReportWarning, ...] = ()
    skipped: tuple[PlannedServer, ...] = ()
    events: tuple[EventDraft, ...] = ()
    suspicious: bool = False


@dataclass(frozen=True, slots=True)
class Whereabouts:
    """What all accounts know of where servers are: facts about the whole, which no account decides alone."""

    shown: Mapping[int, frozenset[str]] = field(default_factory=dict[int, frozenset[str]])
    """Server -> the accounts of the run that list it."""
    complete: frozenset[str] = frozenset()
    """Accounts of the run whose listing is complete."""
    in_use: Mapping[str, datetime | None] = field(default_factory=dict[str, "datetime | None"])
    """Every account that was synchronised lately -> when its last complete listing began; None: there was none."""
    configured: frozenset[str] = frozenset()

    def elsewhere(self, timeweb_id: int | None, account: str) -> bool:
        """Whether another account of the run lists the server."""
        return timeweb_id is not None and bool(self.shown.get(timeweb_id, frozenset()) - {account})

    def awaits(self, row: StoredRow, account: str, aliases: Collection[str]) -> bool:
        """Whether an account that may have the server has not been listed since it went missing from its own."""
        since = row.missing_since
        for other, listed_at in self.in_use.items():
            if other == account or other in aliases or other in self.complete:
                continue
            if since is None or listed_at is None or listed_at <= since:
                return True
        return False

    def may_take(self, row: StoredRow, aliases: Collection[str]) -> bool:
        """Whether a row of another account may move to the one that lists its server now."""
        owner = row.account
        if owner is None or owner in aliases or row.removed_at is not None:
            return True
        if owner in self.complete:
            return owner not in self.shown.get(row.timeweb_id or 0, frozenset())
        return row.missing_since is not None and owner not in self.configured


def _own_rows(snapshot: Snapshot, account: str) -> Iterator[StoredRow]:
    """The account's rows that are not removed already."""
    return (row for row in snapshot.linked.values() if row.account == account and row.removed_at is None)


def removal_candidates(
    fetched: Fetched, snapshot: Snapshot, options: Options, known: Whereabouts
) -> tuple[list[StoredRow], bool]:
    """Rows that no account shows and a complete listing of their own lacks, longest missing first; whether too many."""
    if not fetched.complete or fetched.fatal:
        return [], False
    unreadable = {error.server_id for error in fetched.errors}
    missing: list[StoredRow] = []
    own = 0
    for row in _own_rows(snapshot, fetched.account):
        own += 1
        if (
            row.timeweb_id not in fetched.servers
            and row.timeweb_id not in unreadable
            and (row.auto_sync or not options.only_auto)
            and not known.elsewhere(row.timeweb_id, fetched.account)
            and not _has_left(row, known)
        ):
            missing.append(row)
    missing.sort(key=lambda row: (row.missing_since is None, row.id))
    return missing, too_many(len(missing), own)


def too_many(missing: int, known: int) -> bool:
    """Whether so much has vanished at once that it is a failure rather than news."""
    return missing >= _SUSPICIOUS_COUNT and missing > _SUSPICIOUS_SHARE * known


def _has_left(row: StoredRow, known: Whereabouts) -> bool:
    """Whether another account that is in use has shown the server in a run of its own."""
    return row.state is not None and row.state.listed_by in known.in_use


def needs_presets(fetched: Fetched, snapshot: Snapshot) -> bool:
    """Whether some server without a cost row could be priced by its preset."""
    for server in fetched.servers.values():
        priced = fetched.costs is not None and server.timeweb_id in fetched.costs.servers
        if priced or server.timeweb_preset_id is None:
            continue
        row = snapshot.linked.get(server.timeweb_id)
        if row is None or row.state is None or row.state.cost_source in {"preset", "unknown"}:
            return True
    return False


class Ahead:
    """What the accounts before have decided, for a rehearsal of those after them."""

    def __init__(self) -> None:
        self._rows: dict[int, StoredRow] = {}
        self._received: dict[str, set[int]] = defaultdict(set)
        """Account -> servers that others have handed to it."""
        self._linked: set[int] = set()

    def add(self, account: str, decisions: Iterable[Decision]) -> None:
        """Remember what an account would write."""
        for decision in decisions:
            if not decision.is_loud:
                continue
            row = with_values(decision.row or StoredRow(0), decision.host)
            if decision.state is not None:
                row = with_state(row, decision.state)
            if row.account is not None and row.account != account:
                self._received[row.account].add(decision.timeweb_id)
            self._rows[decision.timeweb_id] = row
            if decision.action == "link":
                self._linked.add(row.id)

    def rows(self, tasks: Iterable[Task]) -> dict[int, StoredRow]:
        """The rows that these servers will have by then, as far as others change them."""
        return {task.timeweb_id: self._rows[task.timeweb_id] for task in tasks if task.timeweb_id in self._rows}

    def project(self, snapshot: Snapshot, fetched: Fetched) -> Snapshot:
        """An account's snapshot as it will be once all that is written."""
        concerned = {*snapshot.linked, *fetched.servers, *self._received.get(fetched.account, ())}
        changed = {number: self._rows[number] for number in concerned if number in self._rows}
        unlinked = tuple(row for row in snapshot.unlinked if row.id not in self._linked)
        return replace(snapshot, linked=ChainMap(changed, cast("dict[int, StoredRow]", snapshot.linked)), unlinked=unlinked)


def build_plan(
    fetched: Fetched,
    snapshot: Snapshot,
    context: RunContext,
    options: Options,
    known: Whereabouts,
) -> AccountPlan:
    """Say of every server of one account which row it is and what is to be done."""
    if fetched.fatal:
        return AccountPlan(errors=fetched.errors, warnings=fetched.warnings)
    plan = _Plan(fetched, snapshot, context, options, known)
    new = [server for server in fetched.servers.values() if not plan.existing(server)]
    links = match(new, snapshot.unlinked, options.link_policy)
    for server in new:
        plan.add_new(server, links)
    plan.note_moves()
    candidates, suspicious = removal_candidates(fetched, snapshot, options, known)
    if suspicious:
        own = sum(1 for _ in _own_rows(snapshot, fetched.account))
        text = messages.suspicious(len(fetched.servers), own, len(candidates))
        plan.warn("suspicious_disappearance", text)
        # One alert per day and account: the same failure is seen again every five minutes.
        key = f"{fetched.account}:{context.today.isoformat()}"
        plan.events.append(EventDraft("suspicious_disappearance", {"text": text}, key))
    else:
        for row in candidates:
            plan.missing(row)
    return AccountPlan(
        plan.tasks,
        (*fetched.errors, *plan.errors),
        (*fetched.warnings, *plan.warnings),
        tuple(plan.skipped),
        tuple(plan.events),
        suspicious,
    )


class _Plan:
    """The lists that grow while one account is planned."""

    def __init__(self, fetched: Fetched, snapshot: Snapshot, context: RunContext, options: Options, known: Whereabouts) -> None:
        self.fetched, self.snapshot, self.context, self.options, self.known = fetched, snapshot, context, options, known
        self.tasks = Tasks(snapshot.linked, fetched.servers)
        self.errors: list[ServerProblem] = []
        self.warnings: list[ReportWarning] = []
        self.skipped: list[PlannedServer] = []
        self.events: list[EventDraft] = []

    def warn(self, code: str, text: str) -> None:
        self.warnings.append(ReportWarning(code, text, self.fetched.account))

    def skip(self, server: HostingValues, reason: str, row: StoredRow | None = None) -> None:
        self.skipped.append(
            PlannedServer("skip", server.timeweb_id, (row.id or None) if row else None, server.server_name, reason=reason)
        )

    def existing(self, server: HostingValues) -> bool:
        """Plan for a server that has a row; False: it has none."""
        row = self.snapshot.linked.get(server.timeweb_id)
        if row is None:
            return False
        if row.account not in {None, self.context.account} and not self.known.may_take(row, self.context.aliases):
            self.skip(server, "other_account", row)
            self.warn("other_account", f"{row.server_name}: {messages.failure_text('other_account')}")
            if row.account not in self.known.complete and row.state and row.state.listed_by != self.context.account:
                # Its own account's next complete listing tells whether it has moved.
                self.tasks.add("note", server.timeweb_id, account=self.context.account)
        elif self.options.only_auto and not row.auto_sync:
            self.skip(server, "auto_sync_off", row)
        elif server.timeweb_status == REMOVED_STATUS:
            if row.removed_at or self.known.elsewhere(server.timeweb_id, self.context.account):
                self.skip(server, "removed", row)
            else:
                self.tasks.add("remove", server.timeweb_id, listed=True)
        else:
            self.tasks.add("follow", server.timeweb_id, listed=True)
        return True

    def add_new(self, server: HostingValues, links: Links) -> None:
        """Plan for a server that has no row."""
        name, timeweb_id = server.server_name or f"server-{server.timeweb_id}", server.timeweb_id
        if server.timeweb_status == REMOVED_STATUS:
            self.skip(server, "removed")
        elif timeweb_id in self.snapshot.hidden:
            self.skip(server, "hidden")
        elif timeweb_id in links.unlinked:
            self.skip(server, "unlinked")
        elif timeweb_id in links.conflicts:
            rows = ", ".join(f"№ {row.id} «{row.server_name}»" for row in links.conflicts[timeweb_id][:5])
            self.errors.append(ServerProblem(timeweb_id, name, f"{messages.failure_text('conflict')}: {rows}", "conflict"))
        elif row := links.linked.get(timeweb_id):
            if self.options.only_auto and not row.auto_sync:
                self.skip(server, "auto_sync_off", row)
            else:
                self.tasks.add("link", timeweb_id, listed=True, row=row)
        elif row := links.suggested.get(timeweb_id):
            self.skip(server, "link_suggested", row)
            self.warn("link_suggested", messages.similar(name, row.server_name, messages.SAME_IP))
        elif not self.options.import_new:
            self.skip(server, "new")
            self.events.append(EventDraft("discovered", {"name": name, "ip": server.ip_address}, str(timeweb_id)))
        else:
            if row := links.alike.get(timeweb_id):
                self.warn("link_suggested", messages.similar(name, row.server_name, messages.SAME_NAME))
            self.tasks.add("create", timeweb_id, listed=True)

    def note_moves(self) -> None:
        """Let go of rows whose server another account has shown; forget what this one showed once and no longer does."""
        if not self.fetched.complete:
            return
        unreadable = {error.server_id for error in self.fetched.errors}
        account = self.context.account
        for timeweb_id, row in self.snapshot.linked.items():
            if timeweb_id in self.fetched.servers or timeweb_id in unreadable or row.state is None:
                continue
            left_alone = self.options.only_auto and not row.auto_sync
            if row.state.listed_by == account:
                self.tasks.add("note", timeweb_id)
            elif (
                row.account == account
                and row.removed_at is None
                and row.state.listed_by is not None
                and _has_left(row, self.known)
                and not (left_alone or self.known.elsewhere(timeweb_id, account))
            ):
                self.tasks.add("move", timeweb_id, account=row.state.listed_by)

    def missing(self, row: StoredRow) -> None:
        """Plan for a row whose server a complete listing lacks."""
        assert row.timeweb_id is not None
        if row.timeweb_id in self.fetched.gone and not self.known.awaits(row, self.context.account, self.context.aliases):
            self.tasks.add("remove", row.timeweb_id)
        elif row.timeweb_id not in self.fetched.alive:
            self.tasks.add("missing", row.timeweb_id)


def planned(decision: Decision) -> PlannedServer:
    """A decision as the caller of `plan` sees it."""
    assert decision.action != "note"  # it is no news of the server
    return PlannedServer(
        decision.action,
        decision.timeweb_id,
        decision.row.id if decision.row else None,
        decision.name,
        dict(decision.changes),
    )
