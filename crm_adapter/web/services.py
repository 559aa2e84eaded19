"""The pages «Услуги» and «Клиенты»: what costs money beside servers, whose it is, what a client leaves after all of it."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from fastapi import APIRouter, Depends, Request
from fastapi.responses import Response

from crm_adapter.db.history import read_changes
from crm_adapter.ledger.listing import VIEWS, ServiceFilters, choices, list_services, named_server
from crm_adapter.ledger.ownership import attribute, owner_text
from crm_adapter.servers.totals import add_up, read_sums
from crm_adapter.text import labels, page as words, services as texts
from crm_adapter.text.formats import instant, money
from crm_adapter.text.messages import DONE
from crm_adapter.web import forms
from crm_adapter.web.addresses import address, header, query, service_filters_of
from crm_adapter.web.api_services import cards_of, one
from crm_adapter.web.bodies import read_form
from crm_adapter.web.context import Actor, Hosting
from crm_adapter.web.errors import HostingError
from crm_adapter.web.history import present as present_change
from crm_adapter.web.responses import Pages
from crm_adapter.web.state import present
from crm_adapter.web.summary import latest_run, read_summary

if TYPE_CHECKING:
    from crm_adapter.ledger.results import AttributionResult, ServiceInfo

_MAX_FIELDS: Final = 10_100
_CARDS: Final = 300
"""Clients on one page, of whom those that leave least come first."""
_CHANGES: Final = 200


def add_routes(api: APIRouter, hosting: Hosting, actor: Any, pages: Pages, *, has_csv: bool) -> None:
    """Add both pages, and what people do on the first."""
    wanted = Depends(service_filters_of)

    @api.get("/services")
    async def show(request: Request, filters: ServiceFilters = wanted, done: str = "", undo: str = "") -> Response:
        context = await _page(hosting, hosting.base(request), filters)
        context |= {"has_csv": has_csv, "message": DONE.get(done, ""), "message_tone": "good", "undo": undo[:40]}
        return await asyncio.to_thread(pages.reply, request, "services.html", context, part="services_main.html")

    @api.get("/clients")
    async def clients(request: Request) -> Response:
        cards, home = await cards_of(hosting), f"{hosting.base(request)}/services"
        context = {"title": texts.CLIENTS, "section": "clients", "home": home, "more": len(cards) > _CARDS}
        return await asyncio.to_thread(pages.reply, request, "clients.html", context | {"cards": cards[:_CARDS]})

    @api.get("/services/{service_id}/history")
    async def history(request: Request, service_id: int) -> Response:
        found = await one(hosting, service_id)
        changes = await hosting.crm.transact(lambda session: read_changes(session, service_id=service_id, limit=_CHANGES))
        told = [present_change(change, hosting.zone_info) for change in changes]
        context = {"title": words.HISTORY, "item": {"server_name": found.name}, "changes": told}
        return pages.reply(request, "history.html", context)

    def finish(request: Request, result: AttributionResult) -> Response:
        if not result.changed and result.refused:
            raise HostingError(409, "conflict", next(iter(result.refused.values())))
        message = texts.given(len(result.changed), result.refused)
        undo = {"undo": result.at.isoformat()} if result.at is not None else {}
        reply = pages.done(request, "saved", message, "/services", **undo)
        if "HX-Trigger" in reply.headers:
            reply.headers["HX-Trigger"] = "hosting:untick, hosting:refresh"
        return reply

    @api.post("/services/bulk")
    async def bulk(request: Request, who: Actor = actor) -> Response:
        """One transaction: every ticked service that nobody else has given away meanwhile."""
        form = await read_form(request, max_fields=_MAX_FIELDS)
        ticked = [value.partition(":") for value in form.getlist("ids") if isinstance(value, str)]
        seen = {number: owner or None for text, _, owner in ticked if (number := forms.number(text)) is not None}
        if not seen:
            raise HostingError(422, "validation", texts.TICK_A_SERVICE)
        action, value = str(form.get("action", "")), str(form.get("value", "")).strip()
        wanted = await _wanted(hosting, action, value, list(seen))
        if not wanted:
            raise HostingError(409, "conflict", texts.NO_PROPOSALS)
        result = await hosting.crm.perform(lambda crm: attribute(crm.columns, wanted, actor=who, seen=seen))
        return finish(request, result)

    @api.post("/services/{service_id}/owner")
    async def accept(request: Request, service_id: int, who: Actor = actor) -> Response:
        """Give a service of nobody to whom it was proposed."""
        owner = str((await read_form(request)).get("owner", ""))[:300] or None
        wanted: dict[int, str | None] = {service_id: owner}
        seen: dict[int, str | None] = {service_id: None}
        result = await hosting.crm.perform(lambda crm: attribute(crm.columns, wanted, actor=who, seen=seen))
        return finish(request, result)


async def _wanted(hosting: Hosting, action: str, value: str, ids: list[int]) -> dict[int, str | None]:
    """Service -> whose it becomes; raises HostingError 422 for what nobody can have."""
    columns = hosting.crm.columns
    match action:
        case "nobody":
            return dict.fromkeys(ids)
        case "client":
            return dict.fromkeys(ids, owner_text(None, value))
        case "server":
            row_id = await hosting.crm.transact(partial(named_server, columns=columns, text=value))
            if row_id is None:
                raise HostingError(422, "validation", texts.no_such_server(value))
            return dict.fromkeys(ids, owner_text(row_id, None))
        case "proposed":
            ticked = set(ids)
            found = await hosting.crm.transact(lambda s: list_services(s, columns, ServiceFilters(view="nobody", size=0)))
            proposals = {each.id: each.proposal for each in found.services if each.id in ticked}
            return {key: proposal.owner for key, proposal in proposals.items() if proposal is not None}
        case _:
            raise HostingError(422, "validation", words.NO_SUCH_ACTION)


async def _page(hosting: Hosting, base: str, filters: ServiceFilters) -> dict[str, Any]:
    columns, today, configured, zone = hosting.crm.columns, hosting.today(), hosting.is_configured, hosting.zone_info
    listing, known, summary, totals, latest = await hosting.crm.work_out(
        lambda session: (
            list_services(session, columns, filters),
            choices(session),
            read_summary(session, configured=configured),
            read_sums(session, columns, today),
            latest_run(session),
        ),
        lambda found: (*found[:3], found[3].totals(), found[4]),
    )
    card = None
    if filters.client:
        cards = await cards_of(hosting)
        card = next((each for each in cards if each.client_name == filters.client), None)
    home = f"{base}/services"
    return {
        "title": texts.TITLE,
        "section": "services",
        "base": base,
        "home": home,
        "here": address(home, filters, page=listing.page),
        "query": query(filters),
        "filters": filters,
        "listing": listing,
        "choices": known,
        "card": card,
        "bulk_actions": texts.BULK,
        "totals": {
            "cost_month": totals.cost_month,
            "servers": totals.servers,
            "all_costs": add_up((totals.cost_month, totals.other_costs)),
            "result_month": totals.result_month,
        },
        "moment": partial(instant, zone=zone, pattern="dd.MM.yyyy"),
        "parts_of": _parts,
        "views": [
            {
                "key": key,
                "caption": texts.VIEWS[key],
                "url": address(home, filters, view=key, page=1),
                "current": filters.view == key,
            }
            for key in VIEWS
        ],
        "headers": [header(home, filters, key, caption, number=key == "cost") for key, caption in texts.HEADERS.items()],
        "previous_url": address(home, filters, page=listing.page - 1) if listing.page > 1 else None,
        "next_url": address(home, filters, page=listing.page + 1) if listing.page < listing.pages else None,
        **present(hosting, summary, latest),
    }


def _parts(service: ServiceInfo) -> str:
    """What the cost is made of: «База данных 300,00 ₽, backups 120,00 ₽»."""
    return ", ".join(f"{labels.service_type(str(part['type']))} {money(part['cost'])}" for part in service.parts)
