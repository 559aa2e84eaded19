"""Timeweb's servers on the page: choose which to import, and which to link to a row."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Depends, Request
from fastapi.responses import Response

from crm_adapter.servers import edit
from crm_adapter.text import page as words
from crm_adapter.text.messages import DONE, failure_text
from crm_adapter.web import forms
from crm_adapter.web.bodies import read_form
from crm_adapter.web.candidates import LiveServer, list_live
from crm_adapter.web.context import Actor, Hosting
from crm_adapter.web.edits import undo_of
from crm_adapter.web.errors import HostingError
from crm_adapter.web.responses import Pages
from crm_adapter.web.security import own_site

if TYPE_CHECKING:
    from crm_adapter.db.rows import StoredRow

_MAX_FIELDS = 20_000
"""A tick and a choice for each of the 10,000 servers that one import may name."""


def add_routes(api: APIRouter, hosting: Hosting, actor: Any, pages: Pages) -> None:
    """Add both dialogs."""
    _add_import(api, hosting, actor, pages)
    _add_link(api, hosting, actor, pages)


def _add_import(api: APIRouter, hosting: Hosting, actor: Any, pages: Pages) -> None:
    async def show(request: Request, *, results: list[str] | None = None, problem: str = "") -> Response:
        servers: list[LiveServer] = []
        try:
            live = await list_live(hosting.crm)
            servers, problem = live.servers, problem or live.problem
        except HostingError as error:
            problem = problem or error.error
        servers.sort(key=lambda server: (server.crm_id is not None, server.name.casefold()))
        imported = sum(server.crm_id is not None for server in servers)
        context = {
            "title": words.IMPORT,
            "servers": servers,
            "imported": imported,
            "results": results or [],
            "problem": problem,
        }
        return pages.reply(request, "import.html", context)

    @api.get("/import", dependencies=[Depends(own_site)])
    async def choose(request: Request) -> Response:
        return await show(request)

    @api.post("/import")
    async def import_servers(request: Request, who: Actor = actor) -> Response:
        hosting.require_timeweb()
        form = await read_form(request, max_fields=_MAX_FIELDS)
        ids = [number for value in form.getlist("server_ids") if (number := forms.number(value)) is not None]
        if not ids:
            return await show(request, problem=words.TICK_A_SERVER)
        links = {key: row for key in ids if (row := forms.number(form.get(f"link_{key}"))) is not None}
        result = await hosting.import_servers(ids, link=links or "off", actor=who)
        if not result.errors:
            return pages.done(request, "imported", words.imported(result.imported_count))
        lines = [words.imported_one(item.name, linked=item.linked) for item in result.imported]
        lines += [words.not_imported(item.server_id, item.error) for item in result.errors]
        return await show(request, results=lines)


def _add_link(api: APIRouter, hosting: Hosting, actor: Any, pages: Pages) -> None:
    async def show(request: Request, row: StoredRow, problem: str = "") -> Response:
        servers: list[LiveServer] = []
        try:
            live = await list_live(hosting.crm)
            servers = [server for server in live.servers if server.crm_id is None]
            problem = problem or live.problem
        except HostingError as error:
            problem = problem or error.error
        servers.sort(key=lambda server: (server.likely_id != row.id, server.name.casefold()))
        return pages.reply(request, "link.html", {"title": words.LINK, "item": row, "servers": servers, "problem": problem})

    @api.get("/servers/{row_id}/link", dependencies=[Depends(own_site)])
    async def choose(request: Request, row_id: int) -> Response:
        return await show(request, await hosting.row(row_id))

    @api.post("/servers/{row_id}/link")
    async def link(request: Request, row_id: int, who: Actor = actor) -> Response:
        row = await hosting.row(row_id)
        target = (await read_form(request)).get("target")
        number, _, account = target.partition("@") if isinstance(target, str) else ("", "", "")
        if (timeweb_id := forms.number(number)) is None:
            return await show(request, row, words.CHOOSE_A_SERVER)
        result = await hosting.edited(
            lambda columns: edit.link(columns, row_id, timeweb_id, account=account or None, actor=who)
        )
        if not result.success:
            return await show(request, row, result.error or failure_text(result.code or ""))
        # The next sync would fill the columns; people expect to see them now.
        if hosting.is_configured:
            await hosting.sync_server(row_id, actor=who)
        return pages.done(request, "linked", DONE["linked"], **undo_of(result))
