"""Services as the page, the API, the CSV and the command line show them, whose each is, and whose it may be. Reads only."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any, Final, cast, get_args

import sqlalchemy as sa
from sqlalchemy.orm import Session

from crm_adapter.db.columns import Columns
from crm_adapter.db.dialects import as_words, exact_text, in_pieces, in_turns
from crm_adapter.db.rows import joined
from crm_adapter.db.services import SERVICES, StoredService, select_services, service_of
from crm_adapter.db.tables import TimewebServerState
from crm_adapter.ledger.ownership import owner_row
from crm_adapter.ledger.results import Proposal, ServiceInfo, ServiceList, ServiceView
from crm_adapter.money import to_money
from crm_adapter.servers.conditions import client_known, live
from crm_adapter.servers.listing import ListFilters, contains
from crm_adapter.text import labels, services as words

VIEWS: Final[tuple[ServiceView, ...]] = get_args(ServiceView)
SORTS: Final = ("attention", "name", "type", "project", "account", "owner", "cost", "seen")
_S: Final = SERVICES.c
_STATE: Final = TimewebServerState.__table__.c
_FEW: Final = 1000
"""Addresses that a statement names; of more it is quicker to read those of all servers."""
_PIECE: Final = 250
"""Services that are looked at without a pause."""
_ADDRESSES: Final = ("floating_ip", "floating_ip_with_ddos_guard")


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceFilters(ListFilters):
    """Which services to list; `project` is Timeweb's, a client has services and servers with services."""

    type: str = ""
    view: ServiceView = ""


def list_services(session: Session, columns: Columns, filters: ServiceFilters) -> ServiceList:
    """One page of services with the sums of all that match, in two statements, and one or two for proposals."""
    book = Book(session, columns)
    sums = book.sums(filters)
    query = book.narrowed(book.select(), filters, sums.page)
    if not sums.total:
        return sums
    if filters.size:
        return replace(sums, services=tuple(book.infos(session.execute(query))))
    likely = book.likely(sums)
    pieces = session.execute(query, execution_options=in_turns(session)).partitions(_PIECE)
    return replace(sums, services=tuple(each for piece in pieces for each in book.infos(piece, likely)))


@dataclass(frozen=True, slots=True)
class ServiceChoice:
    """Which services are to be read, in order, however many they are, and the sums of all that match."""

    ids: Sequence[int]
    sums: ServiceList
    likely: Likely
    """Found once: it takes a look at every server."""

    def read(self, session: Session, columns: Columns, ids: Sequence[int]) -> list[ServiceInfo]:
        """Services in the order of their ids; those that are gone by now are left out."""
        book = Book(session, columns)
        records = session.execute(book.select().where(_S.id.in_(ids)))
        found = {each.id: each for each in book.infos(records, self.likely)}
        return [found[number] for number in ids if number in found]


def choose_services(session: Session, columns: Columns, filters: ServiceFilters) -> ServiceChoice:
    """One page of ids in the wished order, whose services are read piece by piece."""
    book = Book(session, columns)
    sums = book.sums(filters)
    query = book.narrowed(sa.select(_S.id).select_from(book.source), filters, sums.page)
    ids = list(session.scalars(query, execution_options=in_turns(session)))
    return ServiceChoice(ids, sums, book.likely(sums))


def read_service(session: Session, columns: Columns, service_id: int) -> ServiceInfo | None:
    """One service, None when there is none."""
    if not 0 < service_id < 2**63:
        return None
    book = Book(session, columns)
    return next(iter(book.infos(session.execute(book.select().where(_S.id == service_id)))), None)


def choices(session: Session) -> dict[str, Any]:
    """Types, Timeweb's projects and accounts of services that cost money now, in the order in which people look for them."""
    there = sa.select(_S.type, _S.project_id, _S.account).where(_S.gone_since.is_(None)).distinct()
    found = session.execute(there).all()
    return {
        "types": sorted({kind for kind, _, _ in found}, key=labels.service_type),
        "projects": sorted({project for _, project, _ in found if project is not None}),
        "accounts": sorted({account for _, _, account in found}),
    }


class Book:
    """Services beside the rows that have them."""

    def __init__(self, session: Session, columns: Columns) -> None:
        self.session, self.columns = session, columns
        self.row_id = columns["id"]
        self.source = SERVICES.outerjoin(columns.table, owner_row(columns, session.get_bind().dialect.name))
        named = sa.and_(self.row_id.is_not(None), client_known(columns))
        self.client: Any = sa.case((named, columns["client_name"]), (self.row_id.is_not(None), sa.null()), else_=_S.client_name)
        """The client who has the service, also by way of a server; none where its server has no client."""
        self.unowned: sa.ColumnElement[bool] = sa.and_(self.row_id.is_(None), _S.client_name.is_(None))

    def select(self) -> sa.Select[Any]:
        """What `info` takes."""
        beside = (self.row_id.label("row_id"), self.columns["server_name"], self.client.label("client"))
        return select_services(*beside).select_from(self.source)

    def narrowed(self, query: sa.Select[Any], filters: ServiceFilters, page: int) -> sa.Select[Any]:
        """One page of what matches, in the wished order."""
        query = query.where(*self.conditions(filters)).order_by(*self.order(filters))
        return query.limit(filters.size).offset((page - 1) * filters.size) if filters.size else query

    def sums(self, filters: ServiceFilters) -> ServiceList:
        """The sums of all that match, and which page of them there is; no services."""
        costs = sa.case((_S.gone_since.is_(None), _S.cost_net), else_=0)
        nobodys = sa.case((sa.and_(self.unowned, _S.gone_since.is_(None)), 1), else_=0)
        total, cost, unowned, unowned_cost = self.session.execute(
            sa.select(sa.func.count(), sa.func.sum(costs), sa.func.sum(nobodys), sa.func.sum(costs * nobodys))
            .select_from(self.source)
            .where(*self.conditions(filters))
        ).one()
        pages = max(1, -(-total // filters.size)) if filters.size else 1
        page = min(max(filters.page, 1), pages)
        return ServiceList((), total, _money(cost), int(unowned or 0), _money(unowned_cost), page, pages)

    def infos(self, records: Iterable[Any], likely: Likely | None = None) -> list[ServiceInfo]:
        """Records of `select`, with proposals for those that are nobody's; `likely` owners are looked for unless given."""
        found = [self.info(record) for record in records]
        proposals = propose(self.session, self.columns, found, likely)
        return [replace(each, proposal=proposals[each.id]) if each.id in proposals else each for each in found]

    def likely(self, sums: ServiceList) -> Likely:
        """Whose all services may be that are nobody's; a look at every server where there are any."""
        numbers, addresses = set[int](), set[str]()
        if sums.unowned_count:
            there = sa.select(_S.project_id).where(_S.project_id.is_not(None), _S.gone_since.is_(None)).distinct()
            numbers.update(self.session.scalars(there, execution_options=in_turns(self.session)))
            loose = sa.select(_S.name).where(_S.type.in_(_ADDRESSES), _S.gone_since.is_(None), _S.name.is_not(None))
            addresses.update(self.session.scalars(loose, execution_options=in_turns(self.session)))
        return _likely(self.session, self.columns, addresses, numbers)

    def info(self, record: Any) -> ServiceInfo:
        """A record of `select`."""
        service: StoredService = service_of(record)
        row_id, server_name, client = record[-3:]
        dangling = service.server_id is not None and row_id is None
        return ServiceInfo(
            id=service.id,
            account=service.account,
            type=service.type,
            service_id=service.service_id,
            name=service.name or f"{labels.service_type(service.type)} {service.service_id}".strip(),
            project_id=service.project_id,
            cost_gross=service.cost_gross,
            cost_net=service.cost_net,
            parts=service.components,
            first_seen_at=service.first_seen_at,
            last_seen_at=service.last_seen_at,
            gone_since=service.gone_since,
            owner=None if dangling else service.owner,
            server_id=row_id,
            server_name=server_name if row_id is not None else None,
            client_name=client,
        )

    def conditions(self, filters: ServiceFilters) -> list[sa.ColumnElement[bool]]:
        """What a service must be to be shown."""
        found: list[sa.ColumnElement[bool]] = [
            _S.gone_since.is_not(None) if filters.view == "gone" else _S.gone_since.is_(None)
        ]
        if filters.search.strip():
            texts = (_S.name, _S.service_id, _S.type, _S.client_name, self.columns["server_name"], self.columns["client_name"])
            found.append(contains(self.session, texts, filters.search))
        if filters.type:
            found.append(_S.type == filters.type)
        if filters.project is not None:
            found.append(_S.project_id == filters.project)
        if filters.account:
            found.append(_S.account == filters.account)
        if filters.client:
            found.append(exact_text(sa.func.coalesce(self.client, "")) == filters.client)
        if filters.view == "nobody":
            found.append(self.unowned)
        elif filters.view == "servers":
            found.append(self.row_id.is_not(None))
        elif filters.view == "clients":
            found.append(sa.and_(self.row_id.is_(None), _S.client_name.is_not(None)))
        return found

    def order(self, filters: ServiceFilters) -> list[sa.ColumnElement[Any]]:
        """By the wished column, unknown values last in either direction; by id at the end, so that pages do not overlap."""
        if filters.sort == "attention":
            return [sa.case((self.unowned, 0), else_=1), _S.cost_net.desc(), _S.id]
        key: sa.ColumnElement[Any] = {
            "type": _S.type,
            "project": _S.project_id,
            "account": _S.account,
            "owner": self.client,
            "cost": _S.cost_net,
            "seen": _S.first_seen_at,
        }.get(filters.sort, _S.name)
        unknown_last = sa.case((key.is_(None), 1), else_=0)
        return [unknown_last, key.desc() if filters.descending else key.asc(), _S.name, _S.id]


def named_server(session: Session, columns: Columns, text: str) -> int | None:
    """The row of that number, or the only one of that name; None where there is none, or several."""
    key, limit = columns["id"], 2
    query = sa.select(key).where(exact_text(columns["server_name"]) == text, *columns.scope).limit(limit)
    found = list(session.scalars(query))
    if not found and text.isascii() and text.isdigit() and columns.holds("id", int(text)):
        found = list(session.scalars(sa.select(key).where(key == int(text), *columns.scope)))
    return int(found[0]) if len(found) == 1 else None


@dataclass(frozen=True, slots=True)
class Likely:
    """Whose services may be."""

    holders: Mapping[str, tuple[int, str] | None]
    """Address -> id and name of the server that has it; None where several do."""
    neighbours: Mapping[tuple[str, int], Proposal]
    """Account and project -> who alone has servers there."""


def propose(
    session: Session, columns: Columns, services: Sequence[ServiceInfo], likely: Likely | None = None
) -> dict[int, Proposal]:
    """Whose services of nobody may be: the server with that address, or whoever alone has servers in their project."""
    unowned = [each for each in services if each.owner is None and each.gone_since is None and each.type != "difference"]
    if likely is None:
        addresses = {each.name for each in unowned if each.type in _ADDRESSES}
        projects = {each.project_id for each in unowned if each.project_id is not None}
        likely = _likely(session, columns, addresses, projects)
    found: dict[int, Proposal] = {}
    for each in unowned:
        proposal = None
        if each.type in _ADDRESSES and (holder := likely.holders.get(each.name)) is not None:
            proposal = Proposal(holder[0], None, words.address_of(holder[1]))
        elif each.project_id is not None:
            proposal = likely.neighbours.get((each.account, each.project_id))
        if proposal is not None:
            found[each.id] = proposal
    return found


def _likely(session: Session, columns: Columns, addresses: set[str], projects: set[int]) -> Likely:
    return Likely(_holders(session, columns, addresses), _neighbours(session, columns, projects))


def _holders(session: Session, columns: Columns, addresses: set[str]) -> Mapping[str, tuple[int, str] | None]:
    """The servers with these addresses; the host's column need not have an index, so all is looked through once."""
    held: dict[str, tuple[int, str] | None] = {}
    if not addresses:
        return held
    address = columns["ip_address"]
    query = sa.select(address, columns["id"], columns["server_name"]).select_from(joined(columns))
    query = query.where(address.is_not(None), live(columns), *columns.scope)
    if len(addresses) <= _FEW:
        query = query.where(address.in_(addresses))
    for found, row_id, name in session.execute(query, execution_options=in_turns(session)):
        if found in addresses:
            held[found] = None if found in held else (row_id, name)
    return held


def _neighbours(session: Session, columns: Columns, projects: set[int]) -> Mapping[tuple[str, int], Proposal]:
    """Who alone has servers in a project: one server, or one client with several."""
    found: dict[tuple[str, int], Proposal] = {}
    name, client = columns["server_name"], columns["client_name"]
    nobodys = sa.func.sum(sa.case((client_known(columns), 0), else_=1))
    for piece in in_pieces(sorted(projects)):
        query = (
            sa.select(
                _STATE.account,
                _STATE.project_id,
                sa.func.count(),
                sa.func.min(columns["id"]),
                sa.func.min(name),
                sa.func.min(exact_text(client)),
                sa.func.max(exact_text(client)),
                nobodys,
            )
            .select_from(joined(columns))
            .where(_STATE.project_id.in_(piece), live(columns), *columns.scope)
            .group_by(_STATE.account, _STATE.project_id)
        )
        for account, project, count, row_id, server, first, last, without in session.execute(
            query, execution_options=in_turns(session)
        ):
            if count == 1:
                found[account, project] = Proposal(row_id, None, words.beside_server(server))
            elif first == last and not without:
                whose = as_words(first)
                found[account, project] = Proposal(None, whose, words.beside_servers_of(whose))
    return found


def _money(value: object) -> Decimal:
    return to_money(cast("Decimal | float | int", value or 0))
