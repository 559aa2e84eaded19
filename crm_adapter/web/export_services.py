"""CSV of services and of months, by the writer of all CSV."""

from __future__ import annotations

from typing import TYPE_CHECKING

from crm_adapter.text import labels
from crm_adapter.text.formats import instant
from crm_adapter.text.services import CSV_HEADERS
from crm_adapter.web.export import amount, safe, table_csv

if TYPE_CHECKING:
    from collections.abc import Iterable
    from zoneinfo import ZoneInfo

    from crm_adapter.ledger.results import ServiceInfo


def to_csv(services: Iterable[ServiceInfo], zone: ZoneInfo) -> bytes:
    """The services as a file."""
    return table_csv(CSV_HEADERS, (_cells(service, zone) for service in services))


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
