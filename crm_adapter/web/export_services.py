"""CSV of services and of months, by the writer of all CSV."""

from __future__ import annotations

from typing import TYPE_CHECKING

from crm_adapter.text import labels
from crm_adapter.text.formats import instant
from crm_adapter.text.services import COSTS_HEADERS, CSV_HEADERS, MONTHS_HEADERS
from crm_adapter.web.export import amount, lines_csv, safe, table_csv

if TYPE_CHECKING:
    from collections.abc import Iterable
    from zoneinfo import ZoneInfo

    from crm_adapter.ledger.months import MonthCost
    from crm_adapter.ledger.results import ServiceInfo
    from crm_adapter.web.charts import Month


def csv_head() -> bytes:
    """The beginning of the file of services."""
    return table_csv(CSV_HEADERS, ())


def to_csv(services: Iterable[ServiceInfo], zone: ZoneInfo) -> bytes:
    """The services as lines of the file."""
    return lines_csv(_cells(service, zone) for service in services)


def months_csv(months: Iterable[Month]) -> bytes:
    """Income and costs by month as a file."""
    sums = ((month, (month.income, month.cost, month.services, month.result, month.margin)) for month in months)
    return table_csv(MONTHS_HEADERS, ([month.caption, *map(amount, amounts)] for month, amounts in sums))


def costs_csv(costs: Iterable[MonthCost]) -> bytes:
    """What services cost by month as a file."""
    lines = (
        (
            f"{each.month:%Y-%m}",
            safe(each.account),
            safe(labels.service_type(each.type)),
            safe(each.type),
            safe(each.name),
            safe(each.service_id),
            safe(each.client_name),
            amount(each.cost),
        )
        for each in costs
    )
    return table_csv(COSTS_HEADERS, lines)


def _cells(service: ServiceInfo, zone: ZoneInfo) -> list[object]:
    parts = ", ".join(f"{labels.service_type(str(part['type']))} {part['cost']}" for part in service.parts)
    return [
        service.id,
        safe(service.name),
        safe(labels.service_type(service.type)),
        safe(service.type),
        safe(service.service_id),
        service.project_id or "",
        safe(service.account),
        safe(service.server_name),
        safe(service.client_name),
        amount(service.cost_net),
        amount(service.cost_gross),
        safe(parts),
        instant(service.first_seen_at, zone),
        instant(service.gone_since, zone) if service.gone_since else "",
    ]
