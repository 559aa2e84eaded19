"""What a server costs: cost rows, the account's discount, the preset as a fallback. Pure functions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any, Final, Literal

from crm_adapter.money import exact_or_none, money_or_none, to_money
from crm_adapter.packed import Packed, by_fields
from crm_adapter.payload import as_dict, as_dicts, as_int, as_text, plain

Source = Literal["services_cost", "preset", "manual", "unknown"]
SERVER: Final = "server"
"""How the cost list calls servers."""
_TOLERANCE: Final = Decimal("0.01")
_TYPE_LENGTH: Final = 50
_ID_LENGTH: Final = 100
_NAME_LENGTH: Final = 255
"""Characters that the columns of services hold."""


@dataclass(frozen=True, slots=True)
class CostRow:
    """One server's row of `/account/services/cost`; gross, exact, RUB per month, with IPv4, disks and backups."""

    gross: Decimal
    components: tuple[tuple[str, Decimal], ...] = ()
    project_id: int | None = None
    name: str | None = None


@dataclass(frozen=True, slots=True)
class CostTable:
    """The whole cost list: servers by id, every other service by its type and id there."""

    servers: Mapping[int, CostRow] = field(default_factory=dict[int, CostRow])
    services: Mapping[tuple[str, str], CostRow | None] = field(default_factory=dict[tuple[str, str], CostRow | None])
    """None: the service is there, and what it costs cannot be read."""
    total: Decimal = Decimal(0)
    complete: bool = True
    """Only what a complete list lacks may be taken for gone."""


@dataclass(frozen=True, slots=True)
class Finances:
    """What the account's finances tell, as far as it is usable."""

    balance: Decimal | None = None
    currency: str | None = None
    monthly_cost: Decimal | None = None
    monthly_fee: Decimal | None = None
    hours_left: int | None = None


@dataclass(frozen=True, slots=True)
class Discount:
    """`net = gross x factor`; `reconciled` is False when the cost list fits neither total of the finances."""

    basis: Literal["gross", "net"] | None
    factor: Decimal
    reconciled: bool = True


@dataclass(frozen=True, slots=True)
class Cost:
    """The cost of one server; `net` None says "no news": the value in the row stays."""

    net: Decimal | None
    gross: Decimal | None
    source: Source
    stale: bool = False
    components: tuple[tuple[str, Decimal], ...] = ()


def read_costs(items: Iterable[object], expected: Callable[[], int | None] = lambda: None) -> CostTable:
    """Read the cost list; a server without a positive price counts as unknown, services of one type and id are one.

    `expected` tells, once all came, how many rows the list is said to have. An unreadable row is left out, and the list is
    not complete then.
    """
    servers: Packed[int, CostRow] = by_fields(CostRow)
    services: dict[tuple[str, str], CostRow | None] = {}
    complete, count, total = True, 0, Decimal(0)
    known: dict[Any, Any] = {}  # there are few prices: each is kept once
    for item in items:
        count += 1
        try:
            data = plain(item)
        except TypeError:
            complete = False
            continue
        own = exact_or_none(data.get("cost"))
        gross = exact_or_none(data.get("total_cost"))
        gross = own if gross is None else gross
        kind, number = as_text(data.get("type"), _TYPE_LENGTH) or "other", as_text(data.get("service_id"), _ID_LENGTH) or ""
        server_id = as_int(data.get("service_id")) if kind == SERVER else None
        if gross is None:
            if server_id is None:
                services.setdefault((kind, number), None)
            continue
        total += gross
        name = as_text(as_dict(data.get("info")).get("name"), _NAME_LENGTH)
        parts = _components(data, own, kind)
        price, parts = known.setdefault(gross, gross), known.setdefault(parts, parts)
        row = CostRow(price, parts, as_int(data.get("project_id")), name)
        if server_id is None:
            services[kind, number] = _together(services.get((kind, number)), row)
        elif gross > 0:
            servers[server_id] = _together(servers.get(server_id), row)
    return CostTable(servers, services, total, complete and expected() in {None, count})


def _together(before: CostRow | None, row: CostRow) -> CostRow:
    """Two rows of one service as one, so that nothing that costs money is left out."""
    if before is None:
        return row
    return replace(before, gross=before.gross + row.gross, components=before.components + row.components)


def _components(data: dict[str, Any], own: Decimal | None, kind: str) -> tuple[tuple[str, Decimal], ...]:
    parts = [(kind, to_money(own))] if own is not None else []
    for nested in as_dicts(data.get("services")):
        cost = money_or_none(nested.get("cost"))
        if cost is not None:
            parts.append((as_text(nested.get("type"), 50) or "other", cost))
    return tuple(parts)


def read_finances(item: object) -> Finances:
    """Read the finances; what is odd is None."""
    data = plain(item)
    currency = (as_text(data.get("currency")) or "").upper()
    return Finances(
        balance=money_or_none(data.get("balance")),
        currency=currency if len(currency) == 3 and currency.isalpha() else "RUB",
        monthly_cost=exact_or_none(data.get("monthly_cost")),
        monthly_fee=exact_or_none(data.get("monthly_fee")),
        hours_left=_hours_left(data),
    )


def _hours_left(data: dict[str, Any]) -> int | None:
    """How long the balance lasts at today's cost: as Timeweb tells it, else by its own fee per hour."""
    told = as_int(data.get("hours_left"), bits=32)
    balance, fee = exact_or_none(data.get("balance")), exact_or_none(data.get("hourly_fee"))
    if told is not None or balance is None or fee is None or fee <= 0:
        return told
    return as_int(int(max(balance, Decimal(0)) / fee), bits=32)


def is_foreign(finances: Finances | None, stored: str | None) -> bool:
    """Whether the account's amounts are no roubles; `stored` is its currency as last told."""
    return (finances.currency if finances else stored) not in {None, "RUB"}


def read_presets(items: Iterable[object]) -> dict[int, Decimal]:
    """Preset id -> gross price, RUB per month."""
    prices: dict[int, Decimal] = {}
    for item in items:
        try:
            data = plain(item)
        except TypeError:
            continue
        preset_id, price = as_int(data.get("id")), exact_or_none(data.get("price"))
        if preset_id is not None and price is not None and price > 0:
            prices[preset_id] = price
    return prices


def reconcile(
    costs: CostTable | None, finances: Finances | None, stored_basis: str | None = None, stored_factor: Decimal | None = None
) -> Discount:
    """Find out whether the cost list is before or after the account's discount.

    Its sum equals `monthly_cost` (within 1 %): the rows are gross. It equals `monthly_fee`: they are net already.
    Neither, or not enough to compare: the account's stored basis, and without one no discount is assumed.
    """
    list_price = finances.monthly_cost if finances else None
    fee = finances.monthly_fee if finances else None
    if costs is not None and costs.total > 0:
        if list_price and _equal(costs.total, list_price):
            return Discount("gross", fee / list_price if fee is not None and fee >= 0 else Decimal(1))
        if fee and _equal(costs.total, fee):
            return Discount("net", Decimal(1))
    comparable = costs is not None and finances is not None and (costs.total > 0 or bool(list_price))
    if stored_basis == "net":
        return Discount("net", Decimal(1), reconciled=not comparable)
    if stored_basis == "gross":
        factor = fee / list_price if fee and list_price else stored_factor
        return Discount("gross", factor if factor is not None else Decimal(1), reconciled=not comparable)
    return Discount(None, Decimal(1), reconciled=not comparable)


def _equal(left: Decimal, right: Decimal) -> bool:
    return abs(left - right) <= abs(right) * _TOLERANCE


def resolve(row: CostRow | None, preset_price: Decimal | None, factor: Decimal, known: Cost | None) -> Cost:
    """Choose a server's cost: its cost row, else what was known (stale), else the preset's price, else unknown.

    `known` is the cost that the row of the CRM already has.
    """
    if row is not None:
        return Cost(to_money(row.gross * factor), to_money(row.gross), "services_cost", components=row.components)
    if known is not None and known.source in {"services_cost", "manual"} and known.gross is not None:
        return Cost(None, known.gross, "services_cost", stale=True, components=known.components)
    if preset_price is not None:
        return Cost(to_money(preset_price * factor), to_money(preset_price), "preset")
    if known is not None and known.source != "unknown":
        return Cost(None, known.gross, known.source, stale=True, components=known.components)
    return Cost(None, None, "unknown")
