"""What each client brings and costs: servers and services together. Reads only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from crm_adapter.db.columns import Columns
from crm_adapter.db.dialects import as_words, exact_text
from crm_adapter.db.services import SERVICES
from crm_adapter.ledger.listing import Book
from crm_adapter.ledger.results import ClientCard
from crm_adapter.money import to_money
from crm_adapter.servers.totals import Sides, read_sides, result
from crm_adapter.steps import work_out


async def client_cards(columns: Columns) -> list[ClientCard]:
    """A card per client, the least result first, in three statements; what is nobody's, if anything is, comes last."""
    return await work_out(lambda session: read_clients(session, columns), Clients.cards)


@dataclass(frozen=True, slots=True)
class Clients:
    """What the cards are made of."""

    servers: Sides
    services: Mapping[str | None, tuple[int, Decimal]]
    """Client -> how many services, and what they cost."""

    def cards(self) -> list[ClientCard]:
        """A card per client; pure, and long where there are many."""
        servers = self.servers.by_key()
        none = Sides((), ())
        found = [
            _card(name, servers.get(name, none), *self.services.get(name, (0, Decimal("0.00"))))
            for name in {None if key is None else str(key) for key in servers} | self.services.keys()
        ]
        return sorted(found, key=_attention)


def read_clients(session: Session, columns: Columns) -> Clients:
    """Read it; the database counts what is alike."""
    return Clients(read_sides(session, columns, columns.today(), by="client"), _services(session, columns))


def _services(session: Session, columns: Columns) -> dict[str | None, tuple[int, Decimal]]:
    """Client -> how many services and what they cost; those of a server without a client are nobody's."""
    book = Book(session, columns)
    client = exact_text(book.client)
    query = (
        sa.select(client, sa.func.count(), sa.func.sum(SERVICES.c.cost_net))
        .select_from(book.source)
        .where(SERVICES.c.gone_since.is_(None))
        .group_by(client)
    )
    found: Any = session.execute(query)
    return {None if name is None else as_words(name): (count, to_money(cost or 0)) for name, count, cost in found}


def _card(name: str | None, servers: Sides, services: int, service_cost: Decimal) -> ClientCard:
    income, cost, count = servers.income, servers.cost, sum(each.count for each in servers.earnings)
    return ClientCard(name, count, services, income, cost, service_cost, result(income, cost, service_cost))


def _attention(card: ClientCard) -> tuple[bool, Decimal, str]:
    spent = (card.server_cost or Decimal(0)) + card.service_cost
    outcome = card.result_month if card.result_month is not None else -spent
    return card.client_name is None, outcome, card.client_name or ""
