"""Servers and rows as values, for tests of what is decided without a database."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from crm_adapter.db.rows import State, StoredRow, row_of, with_state
from crm_adapter.results import HostingValues
from crm_adapter.sync.costs import CostRow
from crm_adapter.sync.decisions import Observed, RunContext
from crm_adapter.sync.mapping import map_server
from tests.crm.fake_timeweb import server

NOW, EARLIER = datetime(2026, 12, 1, 9), datetime(2026, 11, 30)
CONTEXT = RunContext("main", NOW, date(2026, 12, 1))


def server_values(number: int = 1, **changes: Any) -> HostingValues:
    """Server 1000 + number as a sync sees it."""
    return replace(map_server(server(number)), **changes)


def observed(number: int = 1, price: object = 500, **changes: Any) -> Observed:
    """The same with a price in RUB per month; None: no row of the cost list."""
    return Observed(server_values(number, **changes), None if price is None else CostRow(Decimal(str(price))))


def state(number: int = 1, **changes: Any) -> State:
    """What a sync left beside the row of `stored`."""
    base = {"server_name": f"web-{number}", "cost_price": "500.00", "status": "active"}
    defaults: dict[str, Any] = {
        "timeweb_id": 1000 + number,
        "account": "main",
        "location": "ru-1",
        "ip_all": json.dumps([f"203.0.113.{number}"]),
        "cost_gross": Decimal("500.00"),
        "cost_source": "services_cost",
        "cost_components": "[]",
        "sync_base": json.dumps(base, ensure_ascii=False, sort_keys=True),
        "fingerprint": server_values(number).fingerprint,
        "payment_anchor_day": 1,
    }
    return State(**(defaults | changes))


def stored(number: int = 1, state: State | None = None, **changes: Any) -> StoredRow:
    """The row of server 1000 + number after a sync of it as it is."""
    values = server_values(number)
    defaults = {
        "id": number,
        "timeweb_id": values.timeweb_id,
        "server_name": values.server_name,
        "configuration": values.configuration,
        "ip_address": values.ip_address,
        "cost_price": 500.0,
        "status": "active",
        "timeweb_status": "on",
        "timeweb_preset_id": 10,
        "client_price": 1000.0,
        "payment_period": "monthly",
    }
    row = row_of(defaults | changes)
    return row if state is None else with_state(row, state)


def typed(number: int = 1, state: State | None = None, **changes: Any) -> StoredRow:
    """A row that somebody typed: no server, and nothing of ours unless `state` says so."""
    return stored(number, state, **({"timeweb_id": None, "timeweb_status": None, "timeweb_preset_id": None} | changes))
