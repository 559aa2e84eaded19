"""What each client brings and costs: servers and services together. Reads only."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.orm import Session

from crm_adapter.db.columns import Columns
from crm_adapter.db.dialects import exact_text
from crm_adapter.db.rows import StoredRow, read_rows
from crm_adapter.db.services import SERVICES
from crm_adapter.ledger.listing import Book, as_words
from crm_adapter.ledger.results import ClientCard
from crm_adapter.money import to_money
from crm_adapter.servers.conditions import has_client, is_live
from crm_adapter.servers.totals import add_up, result

_SUMMED: Final = ("status", "client_price", "service_fee", "payment_period", "cost_price", "client_name", "client_id")
_SUMMED_STATE: Final = ("cost_source", "removed_at")


def client_cards(session: Session, columns: Columns) -> list[ClientCard]:
    """A card per client, the least result first, in two statements; what is nobody's, if anything is, comes last."""
    servers: dict[str | None, list[StoredRow]] = {}
    for row in read_rows(session, columns, names=_SUMMED, state_names=_SUMMED_STATE):
        if is_live(row):
            servers.setdefault(row.client_name if has_client(row) else None, []).append(row)
    services = _services(session, columns)
    found = [
        _card(name, servers.get(name, ()), *services.get(name, (0, Decimal("0.00"))))
        for name in servers.keys() | services.keys()
    ]
    return sorted(found, key=_attention)


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


def _card(name: str | None, rows: Iterable[StoredRow], services: int, service_cost: Decimal) -> ClientCard:
    rows = list(rows)
    income, cost = add_up(row.income_month for row in rows), add_up(row.cost_price for row in rows)
    return ClientCard(name, len(rows), services, income, cost, service_cost, result(income, cost, service_cost))


def _attention(card: ClientCard) -> tuple[bool, Decimal, str]:
    spent = (card.server_cost or Decimal(0)) + card.service_cost
    outcome = card.result_month if card.result_month is not None else -spent
    return card.client_name is None, outcome, card.client_name or ""
