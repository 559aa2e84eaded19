"""What to write for one server: pure, so that apply can decide again on a row that changed meanwhile."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, Final, Literal

from crm_adapter.db.rows import State, StoredRow, shared_value
from crm_adapter.money import as_midnight, is_jump, margin, money_or_none, monthly_income, next_payment
from crm_adapter.results import HostingValues
from crm_adapter.sync.costs import Cost, CostRow, resolve
from crm_adapter.sync.mapping import ACTIVE_STATUSES, BUSY_STATUSES, PROBLEM_STATUSES
from crm_adapter.sync.payloads import Payloads
from crm_adapter.text.labels import UNKNOWN_CLIENT

Action = Literal["create", "update", "unchanged", "link", "restore", "remove", "missing", "note"]
_SHARED: Final = ("server_name", "cost_price", "status")
_text: Final = json.JSONEncoder(ensure_ascii=False).encode
_sorted_text: Final = json.JSONEncoder(ensure_ascii=False, sort_keys=True).encode
"""Made once: `json.dumps` would make an encoder for each of a million texts."""


@dataclass(frozen=True, slots=True)
class EventDraft:
    """An event that the transaction of the decision puts into the outbox."""

    kind: str
    payload: Mapping[str, Any]
    key: str | None = None
    """Part of the dedupe key; None: one per server and run."""


@dataclass(frozen=True, slots=True)
class RunContext:
    """What holds for all servers of one account in one run."""

    account: str
    now: datetime
    today: date
    factor: Decimal = Decimal(1)
    presets: Mapping[int, Decimal] = field(default_factory=dict[int, Decimal])
    currency: str | None = None
    aliases: frozenset[str] = frozenset()
    """Names under which the same Timeweb account was known."""
    lengths: Mapping[str, int] = field(default_factory=dict[str, int])
    """What the host's columns hold; a longer text that was compared uncut would differ at every run."""

    def fit(self, column: str, text: str | None) -> str | None:
        """A text cut to the host's column; half an address is none."""
        limit = self.lengths.get(column)
        if text is None or limit is None or len(text) <= limit:
            return text
        return None if column == "ip_address" else text[:limit]


@dataclass(frozen=True, slots=True)
class Observed:
    """A server as Timeweb showed it, with its cost row if there is one."""

    values: HostingValues
    cost_row: CostRow | None = None
    payloads: Payloads | None = field(default=None, compare=False, repr=False)
    """Has `timeweb_data` where the values are without."""

    @property
    def timeweb_data(self) -> str:
        """Unpacked at each look: few rows need it."""
        return self.values.timeweb_data if self.payloads is None else self.payloads.text(self.values)


@dataclass(frozen=True, slots=True)
class Decision:
    """One row's outcome."""

    action: Action
    name: str
    timeweb_id: int
    row: StoredRow | None
    """The row it was decided on; None for a creation."""
    observed: Observed | None = None
    host: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """Columns of the host to write, by logical name."""
    changes: Mapping[str, tuple[Any, Any]] = field(default_factory=dict[str, tuple[Any, Any]])
    """Change-log field -> (old, new)."""
    state: State | None = None
    """The new state; None: as it is."""
    events: tuple[EventDraft, ...] = ()

    @property
    def is_loud(self) -> bool:
        """Whether anything but the moment of the sync is written."""
        return bool(self.host or self.changes) or self.state is not None


def create(observed: Observed, context: RunContext) -> Decision:
    """A new row: no client, no price, first payment in one period."""
    values, cost = observed.values, _cost(observed, context, None)
    name = context.fit("server_name", values.server_name or f"server-{values.timeweb_id}") or ""
    net = cost.net if cost.net is not None else Decimal(0)
    shared = {"server_name": name, "cost_price": net, "status": values.status}
    state = _state(
        State(payment_anchor_day=context.today.day),
        observed,
        context,
        cost,
        base={column: shared_value(column, value) for column, value in shared.items()},
    )
    host = shared | {
        "client_name": UNKNOWN_CLIENT,
        "configuration": context.fit("configuration", values.configuration),
        "ip_address": context.fit("ip_address", values.ip_address),
        "client_price": Decimal(0),
        "service_fee": Decimal(0),
        "balance": Decimal(0),
        "start_date": as_midnight(context.today),
        "next_payment_date": as_midnight(next_payment(context.today, "monthly")),
        "payment_period": "monthly",
        "timeweb_id": values.timeweb_id,
        "timeweb_status": values.timeweb_status,
        "timeweb_preset_id": values.timeweb_preset_id,
        "timeweb_data": observed.timeweb_data,
        "auto_sync": True,
        "last_sync_at": context.now,
        "created_at": context.now,
        "updated_at": context.now,
    }
    told = {"name": name, "configuration": values.configuration, "ip": values.ip_address, "cost": cost.net}
    return Decision(
        "create",
        name,
        values.timeweb_id,
        None,
        observed,
        host,
        {"created": (None, name)},
        state,
        (EventDraft("imported", told),),
    )


def decide(row: StoredRow, observed: Observed, context: RunContext, *, linking: bool = False) -> Decision:
    """An existing row: Timeweb's columns follow, shared ones only while sync wrote them last, human ones never."""
    values = observed.values
    old_state = row.state or State()
    cost = _cost(observed, context, row)
    wanted: dict[str, Any] = {
        "server_name": context.fit("server_name", values.server_name),
        "cost_price": cost.net,
        "status": _wanted_status(row, values),
    }
    host, base, owned = _shared_changes(row, wanted, values)
    host |= _timeweb_changes(row, values, context)
    if old_state.fingerprint != values.fingerprint:
        host["timeweb_data"] = observed.timeweb_data
    if linking:
        host["timeweb_id"] = values.timeweb_id
    if "cost_price" not in owned:
        cost = replace(cost, source="manual")
    problem_runs, status_events = _problem(row, old_state, values)
    state = _state(old_state, observed, context, cost, base=base, problem_runs=problem_runs)
    changes = {column: (_shown(row, column), value) for column, value in host.items()}
    if "timeweb_data" in host:
        changes["timeweb_data"] = (old_state.fingerprint, values.fingerprint)
    action: Action = "update" if host else "unchanged"
    events = [*_value_events(row, host), *status_events]
    if old_state.account not in {None, context.account}:
        changes["account"] = (old_state.account, context.account)
        if old_state.account not in context.aliases:
            action = "update"
            events.append(_moved(row, old_state.account, context.account))
    if old_state.removed_at is not None:
        action = "restore"
        changes["restored"] = (old_state.removed_at.isoformat(), None)
        if "account" not in changes:
            events.append(EventDraft("restored", {"name": row.server_name}))
    if linking:
        action = "link"
        events = [EventDraft("linked", {"name": row.server_name, "server": values.server_name, "ip": values.ip_address})]
    name = host.get("server_name", row.server_name)
    return Decision(
        action, name, values.timeweb_id, row, observed, host, changes, None if state == row.state else state, tuple(events)
    )


def is_newer(row: StoredRow, planned: StoredRow, asked_at: datetime) -> bool:
    """Whether another sync has asked Timeweb later than we and written already."""
    return row.last_sync_at != planned.last_sync_at and is_later(row.last_sync_at, asked_at)


def is_later(moment: datetime | None, asked_at: datetime) -> bool:
    """Whether a moment of the host's table comes after one of ours."""
    return moment is not None and as_utc(moment) > asked_at


def as_utc(moment: datetime) -> datetime:
    """A host's moment as ours: naive UTC."""
    return moment.astimezone(UTC).replace(tzinfo=None) if moment.tzinfo else moment


def mark_missing(row: StoredRow, context: RunContext) -> Decision:
    """Absent from a complete listing, not yet confirmed by a 404."""
    state = row.state or State(timeweb_id=row.timeweb_id, account=context.account)
    return Decision(
        "missing",
        row.server_name,
        row.timeweb_id or 0,
        row,
        state=None if state.missing_since else replace(state, missing_since=context.now),
    )


def mark_moved(row: StoredRow, context: RunContext, account: str) -> Decision:
    """Its own account no longer shows it, and another one has; what it costs there is told by that one's next run."""
    state = row.state or State(timeweb_id=row.timeweb_id)
    return Decision(
        "update",
        row.server_name,
        row.timeweb_id or 0,
        row,
        changes={"account": (state.account, account)},
        state=replace(state, account=account, listed_by=None, missing_since=None),
        events=(_moved(row, state.account, account),),
    )


def note_listed(row: StoredRow, context: RunContext, account: str | None) -> Decision:
    """Remember (or forget, by None) which other account shows the server; the row stays with its own."""
    state = row.state or State(timeweb_id=row.timeweb_id)
    return Decision("note", row.server_name, row.timeweb_id or 0, row, state=replace(state, listed_by=account))


def _moved(row: StoredRow, before: str | None, account: str) -> EventDraft:
    return EventDraft("moved", {"name": row.server_name, "before": before, "account": account})


def mark_removed(row: StoredRow, context: RunContext, observed: Observed | None = None) -> Decision:
    """Gone for sure: the row stays, its Timeweb status says `removed`; money and dates are the human's to close."""
    state = row.state or State(timeweb_id=row.timeweb_id, account=context.account)
    host: dict[str, Any] = {} if row.timeweb_status == "removed" else {"timeweb_status": "removed"}
    changes = {column: (_shown(row, column), value) for column, value in host.items()}
    return Decision(
        "remove",
        row.server_name,
        row.timeweb_id or 0,
        row,
        observed,
        host,
        changes | {"removed": (None, context.now.isoformat())},
        replace(state, missing_since=state.missing_since or context.now, removed_at=context.now, problem_runs=0),
        (EventDraft("removed", {"name": row.server_name, "ip": row.ip_address}),),
    )


def _cost(observed: Observed, context: RunContext, row: StoredRow | None) -> Cost:
    known = Cost(None, row.state.cost_gross, row.state.cost_source, row.state.cost_stale) if row and row.state else None  # type: ignore[arg-type]
    preset = context.presets.get(observed.values.timeweb_preset_id) if observed.values.timeweb_preset_id is not None else None
    return resolve(observed.cost_row, preset, context.factor, known)


def _wanted_status(row: StoredRow, values: HostingValues) -> str | None:
    if row.status not in {"active", "suspended"}:
        return None
    if values.timeweb_status in PROBLEM_STATUSES:
        return "suspended"
    return "active" if values.timeweb_status in ACTIVE_STATUSES else None


def _shared_changes(
    row: StoredRow, wanted: Mapping[str, Any], values: HostingValues
) -> tuple[dict[str, Any], dict[str, Any], set[str]]:
    """Columns to write, the new `sync_base`, and which columns sync owns."""
    base = {column: value for column, value in row.state.base.items() if column in _SHARED} if row.state else {}
    changes: dict[str, Any] = {}
    owned: set[str] = set()
    for column in _SHARED:
        current, new = shared_value(column, row.stored(column)), shared_value(column, wanted[column])
        if row.state is None or row.state.fingerprint is None:
            # Never written by sync: an empty value is nobody's, an equal one costs nothing to adopt, the rest is a human's.
            agreed = values.status if column == "status" else new
            mine = _is_empty(row, column) or current == agreed
        else:
            mine = column in base and base[column] == current
        if not mine:
            continue
        owned.add(column)
        if new is not None and new != current:
            changes[column] = wanted[column]
        base[column] = current if new is None else new
    return changes, base, owned


def _is_empty(row: StoredRow, column: str) -> bool:
    return not getattr(row, column) if column != "cost_price" else row.cost_price is None


def _timeweb_changes(row: StoredRow, values: HostingValues, context: RunContext) -> dict[str, Any]:
    changes: dict[str, Any] = {}
    for column in ("configuration", "ip_address"):
        text = context.fit(column, getattr(values, column))
        if text and text != getattr(row, column):
            changes[column] = text
    if values.timeweb_status and values.timeweb_status != row.timeweb_status:
        changes["timeweb_status"] = values.timeweb_status
    # A server sized by a configurator has no preset: only then is None an answer.
    if values.timeweb_preset_id != row.timeweb_preset_id and (values.timeweb_preset_id or values.configurator_id):
        changes["timeweb_preset_id"] = values.timeweb_preset_id
    return changes


def _state(
    old: State, observed: Observed, context: RunContext, cost: Cost, *, base: Mapping[str, Any], problem_runs: int = 0
) -> State:
    values = observed.values
    project_id = observed.cost_row.project_id if observed.cost_row else None
    components = [{"type": kind, "cost": str(amount)} for kind, amount in cost.components]
    keep_components = cost.gross == old.cost_gross and not components  # a stale cost is the old one, told without parts
    return State(
        timeweb_id=values.timeweb_id,
        account=context.account,
        listed_by=None if old.listed_by == context.account else old.listed_by,
        configurator_id=values.configurator_id,
        project_id=old.project_id if project_id is None else project_id,
        location=values.location or old.location,
        ip_all=json.dumps(values.ip_all) if values.ip_all else old.ip_all,
        cost_gross=cost.gross,
        cost_source=cost.source,
        cost_stale=cost.stale,
        cost_components=old.cost_components if keep_components else _text(components),
        currency=context.currency or old.currency,
        sync_base=_sorted_text(base),
        fingerprint=values.fingerprint,
        problem_runs=problem_runs,
        edit_version=old.edit_version,
        payment_anchor_day=old.payment_anchor_day,
    )


def _problem(row: StoredRow, state: State, values: HostingValues) -> tuple[int, tuple[EventDraft, ...]]:
    """Debounce: `off`, and `no_paid` after a busy status, are told only when seen in two runs; busy ones never."""
    status, before, runs = values.timeweb_status, row.timeweb_status, state.problem_runs
    told = {"name": row.server_name, "status": status, "before": before}
    if status in PROBLEM_STATUSES:
        if status != before:
            waits = status == "off" or (status == "no_paid" and before in BUSY_STATUSES)
            return (1, ()) if waits else (2, (EventDraft("status_problem", told),))
        return (2, (EventDraft("status_problem", told),)) if runs == 1 else (runs, ())
    if status in ACTIVE_STATUSES:
        return 0, ((EventDraft("status_recovered", told),) if runs == 2 else ())
    return (0 if runs == 1 else runs), ()


def _value_events(row: StoredRow, host: Mapping[str, Any]) -> list[EventDraft]:
    events: list[EventDraft] = []
    for column, kind in (("configuration", "config_changed"), ("ip_address", "ip_changed")):
        old = getattr(row, column)
        if column in host and old:
            events.append(EventDraft(kind, {"name": row.server_name, "old": old, "new": host[column]}))
    if "cost_price" not in host:
        return events
    old_cost, new_cost = row.cost_price, money_or_none(host["cost_price"])
    if old_cost is not None and new_cost is not None and is_jump(old_cost, new_cost):
        events.append(EventDraft("cost_changed", {"name": row.server_name, "old": old_cost, "new": new_cost}))
    income = monthly_income(row.client_price, row.service_fee, row.payment_period)
    before, after = margin(income, old_cost), margin(income, new_cost)
    if after is not None and after < 0 and (before is None or before >= 0):
        events.append(EventDraft("margin_negative", {"name": row.server_name, "margin": after, "cost": new_cost}))
    return events


def _shown(row: StoredRow, column: str) -> Any:
    """The value that a column had, for the log: an unknown cost is none, whatever stands for it in the host's table."""
    return getattr(row, column) if column in StoredRow.__dataclass_fields__ else None
