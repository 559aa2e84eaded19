"""Timeweb's servers on the page: choose which to import, and which to link to a row."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Depends, Request
from fastapi.responses import Response

from crm_adapter.servers import edit
from crm_adapter.text import page as words
from crm_adapter.text.messages import DONE, failure_text
from crm_adapter.web import forms
from crm_adapter.web.bodies import read_form
from crm_adapter.web.candidates import Listing, LiveServer
from crm_adapter.web.context import Actor, Hosting, Import
from crm_adapter.web.edits import undo_of
from crm_adapter.web.errors import HostingError
from crm_adapter.web.responses import Pages, is_htmx
from crm_adapter.web.security import own_site

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.datastructures import FormData

    from crm_adapter.db.rows import StoredRow

_MAX_FIELDS = 20_000
"""A tick and a choice for each of the 10,000 servers that one import may name."""
_SHOWN = 100
"""Servers on a page of the dialog."""
_LIST_WAIT = 0.7
"""How long a request waits for Timeweb's list, in seconds; then the dialog shows what came and asks again."""


def add_routes(api: APIRouter, hosting: Hosting, actor: Any, pages: Pages) -> None:
    """Add both dialogs."""
    _add_import(api, hosting, actor, pages)
    _add_link(api, hosting, actor, pages)


@dataclass(frozen=True, slots=True)
class _Wish:
    """What the dialog's form holds: ticks of all its pages, what is searched, which page, and rows chosen for servers."""

    ids: frozenset[int] = frozenset()
    links: Mapping[int, int] = field(default_factory=dict[int, int])
    search: str = ""
    page: int = 1
    pick: str = ""

    @classmethod
    def of(cls, form: FormData) -> _Wish:
        """Whatever people and programs send."""
        ids = frozenset(number for value in form.getlist("server_ids") if (number := forms.number(value)) is not None)
        links = {key: row for key in ids if (row := forms.number(form.get(f"link_{key}"))) is not None}
        search, pick = (str(form.get(name, "")).strip()[:200] for name in ("q", "pick"))
        return cls(ids, links, search, forms.number(form.get("page")) or 1, pick)


async def _arriving(hosting: Hosting) -> tuple[Listing, int | None]:
    """Timeweb's list as far as it came in a moment, and how many servers that is while more are to come.

    Looked at before the list is: what comes between the two must not pass for the end.
    """
    listing = await hosting.live(wait=_LIST_WAIT)
    return listing, None if listing.ended is not None else listing.received


def _page_of(servers: list[LiveServer], wish: _Wish, received: int | None) -> dict[str, Any]:
    """What the dialog shows of the servers; those that have no row come first."""
    servers.sort(key=lambda server: (server.crm_id is not None, server.name.casefold()))
    missing = [server for server in servers if server.crm_id is None]
    wanted = wish.search.casefold()
    matching = [server for server in servers if wanted in f"{server.name}\n{server.ip_address or ''}".casefold()]
    ids = wish.ids & {server.timeweb_id for server in missing} if received is None else wish.ids
    if wish.pick == "none":
        ids = frozenset[int]()
    elif wish.pick == "new":
        ids |= {server.timeweb_id for server in matching if server.is_new}
    last = max(1, -(-len(matching) // _SHOWN))
    number = min(max(wish.page, 1), last)
    shown = matching[(number - 1) * _SHOWN : number * _SHOWN]
    elsewhere = sorted(ids - {server.timeweb_id for server in shown})
    return {
        "title": words.IMPORT,
        "servers": shown,
        "found": len(matching),
        "total": len(servers),
        "imported": len(servers) - len(missing),
        "ids": ids,
        "elsewhere": elsewhere,
        "links": wish.links,
        "search": wish.search,
        "number": number,
        "last": last,
        "received": received,
    }


def _add_import(api: APIRouter, hosting: Hosting, actor: Any, pages: Pages) -> None:
    async def show(
        request: Request, wish: _Wish, template: str = "import.html", *, results: Sequence[str] = (), problem: str = ""
    ) -> Response:
        servers: list[LiveServer] = []
        listing, received = await _arriving(hosting)
        try:
            live = await listing.compare()
            servers, problem = live.servers, problem or live.problem
        except HostingError as error:
            problem = problem or error.error

        def reply() -> Response:
            context = _page_of(servers, wish, received) | {"results": results, "problem": problem}
            servers.clear()  # here and not on the loop
            return pages.reply(request, template, context)

        # Thousands of them would hold up everybody else on the loop.
        return await asyncio.to_thread(reply)

    async def outcome(request: Request, importing: Import) -> Response:
        """What became of an import, or how far it is."""
        if not importing.task.done():
            context = {"title": words.IMPORT, "done": importing.done, "total": importing.total}
            return pages.reply(request, "importing.html", context)
        result = importing.task.result()
        if not result.errors:
            return pages.done(request, "imported", words.imported(result.imported_count))
        lines = [words.imported_one(item.name, linked=item.linked) for item in result.imported]
        lines += [words.not_imported(item.server_id, item.error) for item in result.errors]
        return await show(request, _Wish(), results=lines)

    @api.get("/import", dependencies=[Depends(own_site)])
    async def choose(request: Request) -> Response:
        return await show(request, _Wish())

    @api.post("/import/list")
    async def narrow(request: Request) -> Response:
        """Another page, a search, ticks for all that is new: the form as it is, with the list that it asks for."""
        wish = _Wish.of(await read_form(request, max_fields=_MAX_FIELDS))
        return await show(request, wish, "import_list.html" if is_htmx(request) else "import.html")

    @api.post("/import")
    async def import_servers(request: Request, who: Actor = actor) -> Response:
        hosting.require_timeweb()
        wish = _Wish.of(await read_form(request, max_fields=_MAX_FIELDS))
        if not wish.ids:
            return await show(request, wish, problem=words.TICK_A_SERVER)
        return await outcome(request, await hosting.start_import(sorted(wish.ids), link=wish.links or "off", actor=who))

    @api.get("/import/progress")
    async def progress(request: Request) -> Response:
        if hosting.importing is None:
            return await show(request, _Wish())
        await asyncio.wait({hosting.importing.task}, timeout=_LIST_WAIT)
        return await outcome(request, hosting.importing)


def _add_link(api: APIRouter, hosting: Hosting, actor: Any, pages: Pages) -> None:
    async def show(request: Request, row: StoredRow, problem: str = "") -> Response:
        servers: list[LiveServer] = []
        listing, received = await _arriving(hosting)
        try:
            live = await listing.compare()
            servers, problem = live.servers, problem or live.problem
        except HostingError as error:
            problem = problem or error.error

        def reply() -> Response:
            free = [server for server in servers if server.crm_id is None]
            free.sort(key=lambda server: (server.likely_id != row.id, server.name.casefold()))
            servers.clear()  # here and not on the loop
            context = {"title": words.LINK, "item": row, "servers": free, "received": received, "problem": problem}
            return pages.reply(request, "link.html", context)

        return await asyncio.to_thread(reply)

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
