"""`/api/services*` and `/api/clients`: what costs money beside servers, whose it is, and what a client leaves."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field

from crm_adapter.db.history import read_changes
from crm_adapter.ledger.clients import client_cards
from crm_adapter.ledger.listing import ServiceChoice, ServiceFilters, choose_services, read_service
from crm_adapter.ledger.months import read_service_months
from crm_adapter.ledger.ownership import attribute, owner_text
from crm_adapter.ledger.results import AttributionResult, ClientCard, ServiceInfo
from crm_adapter.text.messages import failure_text
from crm_adapter.text.services import ONE_OWNER
from crm_adapter.web import charts, streams
from crm_adapter.web.addresses import SERVICE_PARAMETERS, service_filters_of
from crm_adapter.web.api_crm import compact_json, json_items, refuse_unknown
from crm_adapter.web.bodies import documented, json_body
from crm_adapter.web.context import Actor, Hosting
from crm_adapter.web.errors import HostingError, HostingRoute
from crm_adapter.web.export_services import costs_csv, csv_head, months_csv, to_csv

_SHOWN = 200
CSV = "text/csv; charset=utf-8"


class Attribution(BaseModel):
    """Services (by their ids here), and whose they are: a row's, a client's, or nobody's where both are null."""

    model_config = ConfigDict(extra="forbid")

    service_ids: Annotated[list[int], Field(max_length=10_000)]
    server_id: int | None = None
    client_name: str | None = None


async def choose(hosting: Hosting, filters: ServiceFilters) -> ServiceChoice:
    """Which services match, and their sums."""
    return await hosting.crm.transact(lambda session: choose_services(session, hosting.crm.columns, filters))


async def one(hosting: Hosting, service_id: int) -> ServiceInfo:
    """One service; raises HostingError 404."""
    found = await hosting.crm.transact(lambda session: read_service(session, hosting.crm.columns, service_id))
    if found is None:
        raise HostingError(404, "not_found", failure_text("service_not_found"))
    return found


async def cards_of(hosting: Hosting) -> list[ClientCard]:
    """A card per client."""
    return await hosting.crm.perform(lambda crm: client_cards(crm.columns))


def router(hosting: Hosting, actor: Any, prefix: str, guards: Sequence[Any]) -> APIRouter:
    """The part of services."""
    api = APIRouter(prefix=prefix, tags=["hosting"], dependencies=guards, route_class=HostingRoute)
    wanted = Depends(service_filters_of)

    @api.get("/api/services", dependencies=[refuse_unknown(*SERVICE_PARAMETERS, "limit")], response_model=dict[str, Any])
    async def services(filters: ServiceFilters = wanted, limit: Annotated[int, Query(ge=0, le=10_000)] = 0) -> Response:
        """Paid services that are no servers, RUB per month; `limit` 0 gives all of them."""
        chosen = await choose(hosting, replace(filters, size=limit))
        end = chosen.sums.to_dict()
        del end["services"]
        frame = b'{"success":true,"services":[', b"]," + compact_json(end)[1:]

        def write(found: Sequence[ServiceInfo]) -> bytes:
            return json_items(each.to_dict() for each in found)

        return await streams.reply(
            hosting, chosen.ids, chosen.read, write, frame=frame, separator=b",", media_type="application/json"
        )

    @api.get("/api/services/{service_id}")
    async def service(service_id: int) -> dict[str, Any]:
        """One service, and what became of it, newest first."""
        found = await one(hosting, service_id)
        changes = await hosting.crm.transact(lambda session: read_changes(session, service_id=service_id, limit=_SHOWN))
        return {"success": True, "service": found.to_dict(), "changes": [change.to_dict() for change in changes]}

    @api.post("/api/services/attribute", openapi_extra=documented(Attribution))
    async def give(body: Attribution = json_body(Attribution), who: Actor = actor) -> dict[str, Any]:
        """Say whose services are; `refused` tells of those that could not be given away."""
        try:
            owner = owner_text(body.server_id, body.client_name)
        except ValueError:
            raise HostingError(422, "validation", ONE_OWNER) from None
        result: AttributionResult = await hosting.crm.perform(
            lambda crm: attribute(crm.columns, dict.fromkeys(body.service_ids, owner), actor=who)
        )
        return result.to_dict()

    @api.get("/api/clients", response_model=dict[str, Any])
    async def clients() -> Response:
        """What each client brings and costs, RUB per month; the least result first."""
        cards = await cards_of(hosting)
        written = await asyncio.to_thread(lambda: json_items(card.to_dict() for card in cards))
        return Response(b'{"success":true,"clients":[' + written + b"]}", media_type="application/json")

    @api.get("/services.csv")
    async def export(filters: ServiceFilters = wanted) -> Response:
        """The services that match as CSV for a spreadsheet."""
        chosen = await choose(hosting, replace(filters, size=0))
        zone = hosting.zone_info
        return await streams.reply(
            hosting,
            chosen.ids,
            chosen.read,
            lambda found: to_csv(found, zone),
            frame=(csv_head(), b""),
            media_type=CSV,
            headers=_saved_as(hosting, "services"),
        )

    @api.get("/dynamics.csv")
    async def dynamics() -> Response:
        """Income, costs and result at the end of each month as CSV."""
        return _file(hosting, "dynamics", months_csv(await charts.read_months(hosting)))

    @api.get("/services-months.csv")
    async def months() -> Response:
        """What each service cost at the end of each month, and whose it was, as CSV."""
        columns, today, zone = hosting.crm.columns, hosting.today(), hosting.zone_info
        written = await hosting.crm.work_out(
            lambda session: read_service_months(session, columns, today, zone), lambda history: costs_csv(history.costs())
        )
        return _file(hosting, "services-months", written)

    return api


def _file(hosting: Hosting, name: str, content: bytes) -> Response:
    """A file to be saved."""
    return Response(content, media_type=CSV, headers=_saved_as(hosting, name))


def _saved_as(hosting: Hosting, name: str) -> dict[str, str]:
    """A file is named by today."""
    disposition = f'attachment; filename="{name}-{hosting.today():%Y-%m-%d}.csv"'
    return {"Content-Disposition": disposition, "Cache-Control": "no-store"}
