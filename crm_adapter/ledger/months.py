"""What services cost at the ends of months, and whose they were: backwards from today by the change log, as for servers.

A month that is over is stored, so that the log may be pruned. Of months before the first run nothing is known, and nothing
is made up.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final, cast

import sqlalchemy as sa

from crm_adapter.db.dialects import begin_write, in_pieces, in_turns, insert_ignore
from crm_adapter.db.rows import read_rows
from crm_adapter.db.services import SERVICES, StoredService, read_services
from crm_adapter.db.tables import ChangeLog, ServiceMonth
from crm_adapter.ledger.ownership import OWNER
from crm_adapter.money import add_months, money_or_none, to_money
from crm_adapter.servers.conditions import has_client
from crm_adapter.servers.months import YEAR, FirstChange, as_amount, first_changes, known_months, midnight

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

    from sqlalchemy.orm import Session

    from crm_adapter.db.columns import Columns

_MONTHS: Final = cast(sa.Table, ServiceMonth.__table__)
_FIELDS: Final = ("cost_net", OWNER, "gone", "returned")
"""The changes of a service that move the sums."""


@dataclass(frozen=True, slots=True)
class MonthCost:
    """What a service cost at the end of the month that begins at `month` (today for the current one), RUB per month net."""

    month: date
    service: int
    """`ServiceInfo.id`."""
    account: str
    type: str
    name: str | None
    service_id: str
    client_name: str | None
    """Who had it then, also by way of a server."""
    cost: Decimal


@dataclass(frozen=True, slots=True)
class History:
    """What months of services are worked out from; `months` is pure, and long where nothing is stored."""

    starts: Sequence[date]
    """The first days of the months, newest first."""
    stored: Mapping[date, Mapping[int, tuple[Decimal, str | None]]]
    """Month -> service -> what it cost, and who had it."""
    services: Sequence[StoredService]
    clients: Mapping[int, str | None]
    """Row of a server that has services -> its client today."""
    undo: Mapping[int, Sequence[FirstChange]]
    """Place of a month in `starts` -> changes of services in it, oldest first."""
    renamed: Mapping[int, Sequence[FirstChange]]
    """The same of the clients of rows."""
    zone: ZoneInfo

    def months(self) -> dict[date, dict[int, tuple[Decimal, str | None]]]:
        """Month -> service -> what it cost at its end, and who had it; a month in which no service was known is missing."""
        there: dict[int, StoredService] = {service.id: service for service in self.services}
        clients = dict(self.clients)
        found: dict[date, dict[int, tuple[Decimal, str | None]]] = {}
        for place, start in enumerate(self.starts):
            if costs := dict(self.stored[start]) if start in self.stored else _costs(there.values(), clients):
                found[start] = costs
            begin = midnight(start, self.zone)
            for change in reversed(self.undo.get(place, ())):
                if change.subject in there:
                    there[change.subject] = _before(there[change.subject], change)
            for change in reversed(self.renamed.get(place, ())):
                clients[change.subject] = change.old
            there = {key: service for key, service in there.items() if service.first_seen_at < begin}
        return found

    def costs(self) -> list[MonthCost]:
        """The same as lines, the newest month first, within it by account, type and name."""
        known = {service.id: service for service in self.services}
        lines = [
            MonthCost(month, key, each.account, each.type, each.name, each.service_id, client, cost)
            for month, costs in self.months().items()
            for key, (cost, client) in costs.items()
            if (each := known.get(key)) is not None
        ]
        return sorted(lines, key=lambda line: (-line.month.toordinal(), line.account, line.type, line.name or "", line.service))


def read_service_months(session: Session, columns: Columns, today: date, zone: ZoneInfo, *, count: int = YEAR) -> History:
    """Read services, months that are stored, and what the log knows of the others; five statements."""
    first = date(today.year, today.month, 1)
    starts = [add_months(first, -back) for back in range(count)]
    stored: dict[date, dict[int, tuple[Decimal, str | None]]] = {}
    ends = sa.select(ServiceMonth.month, ServiceMonth.service, ServiceMonth.cost_net, ServiceMonth.client_name)
    ended = ends.where(ServiceMonth.month >= starts[-1], ServiceMonth.month < first)
    for month, service, cost, client in session.execute(ended, execution_options=in_turns(session)):
        stored.setdefault(month, {})[service] = (cost, client)
    services = read_services(session)
    born = min((service.first_seen_at for service in services), default=None)
    wanting = [place for place, start in enumerate(starts) if _is_wanting(start, stored, born, zone)]
    moments = [midnight(start, zone) for start in starts[: max(wanting, default=0)]]
    undo = first_changes(session, moments, _FIELDS, ChangeLog.service_id)
    owners = {service.server_id for service in services if service.server_id is not None}
    owners |= {
        int(change.old.removeprefix("server:"))
        for changes in undo.values()
        for change in changes
        if change.field == OWNER and change.old is not None and change.old.startswith("server:")
    }
    renamed = first_changes(session, moments, ("client_name",)) if owners else {}
    return History(starts, stored, services, _clients(session, columns, owners), undo, renamed, zone)


@dataclass(frozen=True, slots=True)
class Sums:
    """What all services cost at the ends of months: added up by the database, or to be worked out."""

    known: Mapping[date, Decimal]
    history: History | None = None
    """What they are worked out from where a month is not stored yet."""

    def by_month(self) -> Mapping[date, Decimal]:
        """Month -> RUB per month net; pure, and long where there is a history."""
        return self.known if self.history is None else month_sums(self.history.months())


def read_service_sums(session: Session, columns: Columns, today: date, zone: ZoneInfo, *, count: int = YEAR) -> Sums:
    """Read what services cost at the ends of months, three statements where all months are stored."""
    first = date(today.year, today.month, 1)
    starts = [add_months(first, -back) for back in range(count)]
    added = sa.select(ServiceMonth.month, sa.func.sum(ServiceMonth.cost_net)).group_by(ServiceMonth.month)
    ends = session.execute(added.where(ServiceMonth.month >= starts[-1], ServiceMonth.month < first))
    known = {month: to_money(cost) for month, cost in ends}
    born = session.scalar(sa.select(sa.func.min(SERVICES.c.first_seen_at)))
    if any(_is_wanting(start, known, born, zone) for start in starts[1:]):
        return Sums({}, read_service_months(session, columns, today, zone, count=count))
    cost = session.scalar(sa.select(sa.func.sum(SERVICES.c.cost_net)).where(SERVICES.c.gone_since.is_(None)))
    return Sums(known if cost is None else {first: to_money(cost), **known})


def _is_wanting(start: date, stored: Mapping[date, Any], born: datetime | None, zone: ZoneInfo) -> bool:
    """Whether a month is to be worked out; before the first service there was nothing, and the log need not be asked."""
    return start not in stored and born is not None and born < midnight(add_months(start, 1), zone)


def month_sums(months: Mapping[date, Mapping[int, tuple[Decimal, str | None]]]) -> dict[date, Decimal]:
    """What all services cost at the end of each month."""
    return {month: sum((cost for cost, _ in costs.values()), Decimal("0.00")) for month, costs in months.items()}


def store_service_months(session: Session, columns: Columns, today: date, zone: ZoneInfo) -> int:
    """Write down the months that are over and not stored yet; returns how many."""
    first = date(today.year, today.month, 1)
    oldest = session.scalar(sa.select(sa.func.min(SERVICES.c.first_seen_at)))
    if oldest is None or oldest >= midnight(first, zone):
        return 0  # no month has ended since the first run
    last = add_months(first, -1)
    if session.scalar(sa.select(ServiceMonth.service).where(ServiceMonth.month == last).limit(1)) is not None:
        return 0
    begin_write(session)
    history = read_service_months(session, columns, today, zone, count=max(YEAR, known_months(session, today)))
    ended = {month: costs for month, costs in history.months().items() if month != first and month not in history.stored}
    records = [
        {"month": month, "service": service, "cost_net": cost, "client_name": client}
        for month, costs in ended.items()
        for service, (cost, client) in costs.items()
    ]
    for piece in in_pieces(records):
        session.execute(insert_ignore(session, _MONTHS), piece)
    return len(ended)


def _clients(session: Session, columns: Columns, row_ids: Iterable[int]) -> dict[int, str | None]:
    found: dict[int, str | None] = {}
    for piece in in_pieces(sorted(row_ids)):
        for row in read_rows(session, columns, columns["id"].in_(piece), names=("client_name", "client_id"), state_names=()):
            found[row.id] = row.client_name if has_client(row) else None
    return found


def _costs(services: Iterable[StoredService], clients: Mapping[int, Any]) -> dict[int, tuple[Decimal, str | None]]:
    return {
        each.id: (each.cost_net, clients.get(each.server_id) if each.server_id is not None else each.client_name)
        for each in services
        if each.gone_since is None
    }


def _before(service: StoredService, change: FirstChange) -> StoredService:
    """The service without one of its changes."""
    match change.field:
        case "cost_net":
            return replace(service, cost_net=money_or_none(as_amount(change.old)) or Decimal("0.00"))
        case "gone":
            return replace(service, gone_since=None)
        case "returned":
            return replace(service, gone_since=change.at)
        case _:
            kind, _, which = (change.old or "").partition(":")
            server = int(which) if kind == "server" else None
            return replace(service, server_id=server, client_name=which if kind == "client" else None)
