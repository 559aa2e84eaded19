"""The services of an account beside its servers: what a cost list says of them, and what of it is written.

The run that fetched the list writes them after its rows, under the same lease. What no row of the list explains, up to a
rounding, is a row of its own (`DIFFERENCE`), so that the costs of servers and services are what the account's finances say.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from decimal import Decimal
from typing import Any, Final

from sqlalchemy import bindparam, select, update
from sqlalchemy.exc import StatementError
from sqlalchemy.orm import Session

from crm_adapter.db.columns import Columns
from crm_adapter.db.dialects import begin_write, is_lock_timeout
from crm_adapter.db.history import Author, of_service, write_changes
from crm_adapter.db.rows import StoredRow, read_whole
from crm_adapter.db.services import DIFFERENCE, SERVICES, StoredService, lock_services, read_services
from crm_adapter.money import is_jump, money_or_none, to_money
from crm_adapter.payload import as_int
from crm_adapter.results import ReportWarning
from crm_adapter.steps import Cpu, Db, Flow, transaction
from crm_adapter.sync import leases
from crm_adapter.sync.apply import add_events
from crm_adapter.sync.collect import Collected
from crm_adapter.sync.costs import SERVER, CostRow
from crm_adapter.sync.decisions import Decision, EventDraft, RunContext
from crm_adapter.sync.planner import Fetched, too_many
from crm_adapter.text import labels, messages

CHUNK: Final = 1000
"""Services per transaction."""
_TOUCH_EVERY: Final = timedelta(hours=1)
"""How exact `last_seen_at` is: a run that changes nothing must not write every row."""
UNOWNED_FROM: Final = Decimal(500)
"""RUB per month from which people are told of a service that is nobody's."""
_TIMEWEB: Final = ("account", "name", "project_id", "cost_gross", "cost_net", "parts", "gone_since")
"""The columns that follow Timeweb."""
_LOGGED: Final = frozenset({"account", "name", "project_id", "cost_gross", "cost_net"})


@dataclass(frozen=True, slots=True)
class ServiceChange:
    """What is written of one service; `known` None: it is new."""

    known: StoredService | None
    values: Mapping[str, Any]
    """Columns to write."""
    changes: Mapping[str, tuple[Any, Any]]
    """Fields of the change log."""
    events: tuple[EventDraft, ...] = ()
    cost: Decimal = Decimal(0)


@dataclass(frozen=True, slots=True)
class ServicePlan:
    """What is to be written of the services of one account."""

    changes: tuple[ServiceChange, ...] = ()
    touched: tuple[int, ...] = ()
    """Ids of those that are as they were, and whose moment of being seen is old."""
    complete: bool = False
    warnings: tuple[ReportWarning, ...] = ()
    events: tuple[EventDraft, ...] = ()
    net: Decimal = Decimal(0)
    """What all services cost together, RUB per month."""


@dataclass(frozen=True, slots=True)
class Servers:
    """What the servers of an account cost as far as the rows of the CRM have it."""

    ids: frozenset[int] = frozenset()
    """Servers that have a row: theirs are no services."""
    gross: Decimal = Decimal(0)
    net: Decimal = Decimal(0)


class Charged:
    """Adds up what the rows of an account cost once its decisions are written."""

    def __init__(self, collected: Collected) -> None:
        self._factor, self._account = collected.context.factor, collected.context.account
        costs = collected.fetched.costs
        self._charges: Mapping[int, CostRow] = costs.servers if costs is not None else {}
        self._listed = collected.fetched.servers
        self._left = {timeweb_id: row.id for timeweb_id, row in collected.snapshot.linked.items()}
        self._ids = set(self._left)
        self._gross = self._net = Decimal(0)

    def add(self, done: Iterable[Decision]) -> None:
        """Add rows that were written."""
        for decision in done:
            self._left.pop(decision.timeweb_id, None)
            self._ids.add(decision.timeweb_id)
            self._add(decision.timeweb_id, decision.row, decision)

    def left(self) -> list[int]:
        """Ids of the rows that nothing was decided on."""
        return list(self._left.values())

    def add_rows(self, rows: Iterable[StoredRow]) -> None:
        """Add rows as they are."""
        for row in rows:
            if row.timeweb_id in self._left:
                self._add(row.timeweb_id, row, None)

    def servers(self) -> Servers:
        """All that was added."""
        return Servers(frozenset(self._ids), self._gross, self._net)

    def _add(self, timeweb_id: int, row: StoredRow | None, decision: Decision | None) -> None:
        """Add one row; a person's own amount stands for Timeweb's."""
        state = decision.state if decision is not None and decision.state is not None else row.state if row else None
        charged = self._charges.get(timeweb_id)
        if charged is not None:
            self._gross += to_money(charged.gross)
        elif state is None or state.account != self._account or timeweb_id not in self._listed:
            return  # another account's, or on its way there
        else:
            self._gross += state.cost_gross or 0
        stored = row.cost_price if row else None
        if decision is not None and "cost_price" in decision.host:
            stored = decision.host["cost_price"] if state and state.cost_source != "unknown" else None
        by_hand = state is None or state.cost_source == "manual"
        if charged is not None and (by_hand or stored is None):
            self._net += to_money(charged.gross * self._factor)
        else:
            self._net += stored or 0


def plan_services(fetched: Fetched, known: Sequence[StoredService], servers: Servers, context: RunContext) -> ServicePlan:
    """Decide every service of one account; pure."""
    assert fetched.costs is not None
    plan = _Plan(fetched, known, context, servers)
    charged = fetched.costs.servers
    strays = {(SERVER, str(key)): charged[key] for key in charged if key not in servers.ids}
    listed: dict[tuple[str, str], CostRow | None] = {**fetched.costs.services, **strays}
    for key, row in listed.items():
        plan.seen(key, row)
    plan.end(listed.keys())
    plan.settle()
    return ServicePlan(
        tuple(plan.changes), tuple(plan.touched), fetched.costs.complete, tuple(plan.warnings), tuple(plan.events), plan.net
    )


class _Plan:
    """The lists that grow while the services of one account are planned."""

    def __init__(self, fetched: Fetched, known: Sequence[StoredService], context: RunContext, servers: Servers) -> None:
        self.fetched, self.context, self.servers = fetched, context, servers
        # Of two names of one account the present one comes last and wins.
        ordered = sorted(known, key=lambda service: (service.account == context.account, service.id))
        self.known = {service.key: service for service in ordered}
        self.doubled = [service for service in ordered if self.known[service.key] is not service]
        self.is_first = not known
        self.costs = {key: service for key, service in self.known.items() if service.gone_since is None}
        self.gross = sum((service.cost_gross for service in self.costs.values()), Decimal(0))
        self.net = sum((service.cost_net for service in self.costs.values()), Decimal(0))
        self.changes: list[ServiceChange] = []
        self.touched: list[int] = []
        self.warnings: list[ReportWarning] = []
        self.events: list[EventDraft] = []

    def seen(self, key: tuple[str, str], row: CostRow | None, *, net: Decimal | None = None) -> None:
        """A service that the list has."""
        service = self.known.get(key)
        if row is None or money_or_none(row.gross) is None:
            if service is not None and service.gone_since is None:
                self._touch(service)
            return
        parts = [{"type": kind, "cost": str(cost)} for kind, cost in row.components]
        wanted = {
            "account": self.context.account,
            "name": row.name,
            "project_id": row.project_id,
            "cost_gross": to_money(row.gross),
            "cost_net": to_money(row.gross * self.context.factor) if net is None else net,
            "parts": json.dumps(parts, ensure_ascii=False) if len(parts) > 1 else None,
            "gone_since": None,
        }
        if service is None:
            self._add(key, wanted)
        else:
            self._update(service, wanted)

    def _add(self, key: tuple[str, str], wanted: dict[str, Any]) -> None:
        now, cost = self.context.now, wanted["cost_net"]
        self.gross, self.net = self.gross + wanted["cost_gross"], self.net + cost
        events: tuple[EventDraft, ...] = ()
        if not self.is_first and cost > 0 and key[0] != DIFFERENCE:
            events = (EventDraft("service_new", told(key[0], key[1], wanted["name"]) | {"cost": cost}, self._key(key)),)
        values = wanted | {
            "type": key[0],
            "service_id": key[1],
            "first_seen_at": now,
            "last_seen_at": now,
            "told_unowned": False,
        }
        self.changes.append(
            _watched(ServiceChange(None, values, {"created": (None, shown(*key, wanted["name"]))}, events, cost), self, key)
        )

    def _update(self, service: StoredService, wanted: dict[str, Any]) -> None:
        values = {name: wanted[name] for name in _TIMEWEB if getattr(service, name) != wanted[name]}
        if "name" in values and values["name"] is None:
            del values["name"]  # nothing empty erases what is known
        if service.gone_since is None:
            self.gross, self.net = self.gross - service.cost_gross, self.net - service.cost_net
        self.gross, self.net = self.gross + wanted["cost_gross"], self.net + wanted["cost_net"]
        changes = {name: (getattr(service, name), value) for name, value in values.items() if name in _LOGGED}
        events: list[EventDraft] = []
        payload = told(service.type, service.service_id, values.get("name", service.name))
        if service.gone_since is not None:
            changes["returned"] = (service.gone_since.isoformat(), None)
        if service.type != DIFFERENCE:
            if service.gone_since is not None:
                events.append(EventDraft("service_new", payload | {"cost": wanted["cost_net"]}, self._key(service.key)))
            elif is_jump(service.cost_net, wanted["cost_net"]):
                costs = {"old": service.cost_net, "new": wanted["cost_net"]}
                events.append(EventDraft("service_cost_changed", payload | costs, self._key(service.key)))
        change = ServiceChange(service, values, changes, tuple(events), wanted["cost_net"])
        change = _watched(change, self, service.key)
        if change.values:
            self.changes.append(replace(change, values={**change.values, "last_seen_at": self.context.now}))
        else:
            self._touch(service)

    def end(self, listed: Iterable[tuple[str, str]]) -> None:
        """Services that a complete list lacks are gone, unless they are too many at once."""
        assert self.fetched.costs is not None
        for service in self.doubled:
            if service.gone_since is None:
                self._gone(service)
        there = set(listed)
        missing: list[StoredService] = []
        for key, service in self.costs.items():
            if key in there or service.type == DIFFERENCE:
                continue
            if service.type == SERVER and as_int(service.service_id) in self.servers.ids:
                self._leave(service)  # it has a row by now, which is no news
            else:
                missing.append(service)
        if not self.fetched.costs.complete or not missing:
            return
        if too_many(len(missing), len(self.costs)):
            text = messages.suspicious_services(len(there), len(self.costs), len(missing))
            self.warnings.append(ReportWarning("suspicious_services", text, self.context.account))
            key_of_day = f"services:{self.context.account}:{self.context.today.isoformat()}"
            self.events.append(EventDraft("suspicious_disappearance", {"text": text}, key_of_day))
            return
        for service in missing:
            payload = told(service.type, service.service_id, service.name) | {"cost": service.cost_net}
            self._leave(service, EventDraft("service_gone", payload, self._key(service.key)))

    def _leave(self, service: StoredService, *events: EventDraft) -> None:
        self.gross, self.net = self.gross - service.cost_gross, self.net - service.cost_net
        self._gone(service, *events)

    def _gone(self, service: StoredService, *events: EventDraft) -> None:
        now = self.context.now
        self.changes.append(ServiceChange(service, {"gone_since": now}, {"gone": (None, now.isoformat())}, events))

    def settle(self) -> None:
        """Keep what the finances say and no row explains, so that all costs together are the account's."""
        money, key = self.fetched.finances, (DIFFERENCE, "")
        before = self.costs.get(key)
        if money is None or money.monthly_cost is None:
            return
        fee = money.monthly_fee if money.monthly_fee is not None else money.monthly_cost * self.context.factor
        listed = money.monthly_cost if self.fetched.discount.basis != "net" else fee
        if before is not None:
            self.gross, self.net = self.gross - before.cost_gross, self.net - before.cost_net
        gross = to_money(listed) - self.gross - self.servers.gross
        net = to_money(fee) - self.net - self.servers.net
        if money_or_none(net):
            if before is not None:
                self.gross, self.net = self.gross + before.cost_gross, self.net + before.cost_net
            self.seen(key, CostRow(gross, name=labels.SERVICE_TYPES[DIFFERENCE]), net=net)
        elif before is not None:
            self._gone(before)

    def _touch(self, service: StoredService) -> None:
        if self.context.now - service.last_seen_at >= _TOUCH_EVERY:
            self.touched.append(service.id)

    def _key(self, key: tuple[str, str]) -> str:
        """One event of a kind per service and run."""
        return f"{self.context.account}:{key[0]}:{key[1]}:{self.context.now.isoformat()}"


def _watched(change: ServiceChange, plan: _Plan, key: tuple[str, str]) -> ServiceChange:
    """Tell once of a service that is nobody's and costs much."""
    known = change.known
    if (
        key[0] in {DIFFERENCE, SERVER}
        or change.cost < UNOWNED_FROM
        or (known is not None and (known.told_unowned or known.owner))
    ):
        return change
    name = change.values.get("name", known.name if known else None)
    event = EventDraft("service_unowned", told(*key, name) | {"cost": change.cost}, plan._key(key))  # pyright: ignore[reportPrivateUsage]
    return replace(change, values={**change.values, "told_unowned": True}, events=(*change.events, event))


def told(kind: str, service_id: str, name: str | None) -> dict[str, Any]:
    """What an event says of a service."""
    return {"name": shown(kind, service_id, name), "type": kind, "service_id": service_id}


def shown(kind: str, service_id: str, name: str | None) -> str:
    """A service by its name, else by its type and id."""
    return name or f"{labels.service_type(kind)} {service_id}".strip()


@dataclass(slots=True)
class Written:
    """What became of the services of an account."""

    complete: bool = False
    warnings: list[ReportWarning] = field(default_factory=list[ReportWarning])
    events: tuple[EventDraft, ...] = ()
    net: Decimal | None = None
    """What the account's services cost now, RUB per month; None where that was not found out."""


async def write_services(
    collected: Collected,
    columns: Columns,
    charged: Charged,
    *,
    run_id: int,
    actor: str | None,
    owner: str,
    before: Callable[[], Flow[None]],
) -> Written:
    """Plan and write the services of an account, in chunks, each fenced by its lease."""
    fetched, context = collected.fetched, collected.context
    if fetched.fatal or fetched.costs is None:
        return Written()
    names = {context.account, *context.aliases}
    known = await Db(lambda s: read_services(s, SERVICES.c.account.in_(names)))
    if rest := charged.left():
        charged.add_rows((await Db(lambda s: read_whole(s, columns, rest))).values())
    plan = await Cpu(lambda: plan_services(fetched, known, charged.servers(), context))
    written = Written(plan.complete, list(plan.warnings), plan.events, plan.net)
    author = Author("synchronised", context.now, actor, context.account, run_id)
    # Those with equal columns to write share a statement, those of one chunk a transaction.
    ordered = sorted(plan.changes, key=lambda change: (change.known is not None, tuple(sorted(change.values))))
    pieces = [ordered[start : start + CHUNK] for start in range(0, len(ordered), CHUNK)]
    writer = _Writer(columns, context, author, owner, run_id)
    work: list[Callable[[Session], None]] = [lambda s, piece=piece: writer.write(s, piece) for piece in pieces]  # type: ignore[misc]
    if plan.touched:
        work.append(lambda s: writer.touch(s, plan.touched))
    for each in work:
        await before()
        try:
            await transaction(each)
        except StatementError as error:
            if not is_lock_timeout(error):
                raise
            written.complete, written.net = False, None
            written.warnings.append(ReportWarning("row_busy", messages.failure_text("row_busy"), context.account))
    return written


@dataclass(frozen=True, slots=True)
class _Writer:
    columns: Columns
    context: RunContext
    author: Author
    owner: str
    run_id: int

    def write(self, session: Session, piece: Sequence[ServiceChange]) -> None:
        """One chunk; what people own is read again where it is locked, and never written."""
        begin_write(session)
        leases.renew(session, self.context.account, self.owner)
        new = [change for change in piece if change.known is None]
        ids = self._insert(session, new) if new else {}
        there = lock_services(session, (change.known.id for change in piece if change.known is not None))
        groups: dict[tuple[str, ...], list[dict[str, Any]]] = defaultdict(list)
        entries, drafts = list[Any](), list[tuple[EventDraft, int | None]]()
        for change in piece:
            if change.known is None:
                service_id = ids[change.values["type"], change.values["service_id"]]
                events, values = change.events, {}
            elif (now := there.get(change.known.id)) is None:
                continue
            else:
                service_id, values, events = now.id, dict(change.values), change.events
                if now.owner is not None and values.pop("told_unowned", None):
                    events = tuple(event for event in events if event.kind != "service_unowned")
            if values:
                groups[tuple(sorted(values))].append({"row": service_id} | {f"new_{name}": v for name, v in values.items()})
            entries.append(of_service(service_id, change.changes))
            drafts += [(event, None) for event in events]
        for names, parameters in groups.items():
            written: dict[Any, Any] = {SERVICES.c[name]: bindparam(f"new_{name}") for name in names}
            session.execute(update(SERVICES).where(SERVICES.c.id == bindparam("row")).values(written), parameters)
        write_changes(session, self.columns, self.author, entries)
        add_events(session, self.context, self.run_id, drafts)

    def touch(self, session: Session, ids: Sequence[int]) -> None:
        """Note that services are still there."""
        begin_write(session)
        leases.renew(session, self.context.account, self.owner)
        for start in range(0, len(ids), CHUNK * 5):
            some = SERVICES.c.id.in_(ids[start : start + CHUNK * 5])
            session.execute(update(SERVICES).where(some).values(last_seen_at=self.context.now))

    def _insert(self, session: Session, new: Sequence[ServiceChange]) -> dict[tuple[str, str], int]:
        session.execute(SERVICES.insert(), [dict(change.values) for change in new])
        columns = SERVICES.c
        query = select(columns.type, columns.service_id, columns.id).where(
            columns.account == self.context.account,
            columns.service_id.in_({change.values["service_id"] for change in new}),
        )
        return {(kind, number): row_id for kind, number, row_id in session.execute(query)}
