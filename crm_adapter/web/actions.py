"""The «Хостинг» page: what people do.  Every action is a form that also works without htmx."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Depends, Request
from fastapi.responses import Response

from crm_adapter.results import EditResult
from crm_adapter.servers import listing
from crm_adapter.text.formats import UNKNOWN, count
from crm_adapter.text.messages import failure_text
from crm_adapter.web import forms
from crm_adapter.web.api_crm import sync_error
from crm_adapter.web.api_timeweb import outcome
from crm_adapter.web.bodies import read_form
from crm_adapter.web.candidates import LiveServer, list_live
from crm_adapter.web.context import Actor, Hosting
from crm_adapter.web.errors import HostingError
from crm_adapter.web.responses import Pages, is_htmx
from crm_adapter.web.security import own_site
from crm_adapter.web.summary import read_summary

if TYPE_CHECKING:
    from collections.abc import Mapping

    from crm_adapter.results import SyncReport
    from crm_adapter.servers.listing import Row

#: How long the button waits for a run to end before the page watches it, in seconds.
_SHORT_WAIT = 0.3

#: A tick and a choice for each of the 10,000 servers that one import may name.
_MAX_FIELDS = 20_000


def add_routes(api: APIRouter, hosting: Hosting, actor: Any, pages: Pages) -> None:
    """Add the forms and what they post to."""
    _add_sync(api, hosting, actor, pages)
    _add_rows(api, hosting, actor, pages)
    _add_edit(api, hosting, actor, pages)
    _add_import(api, hosting, actor, pages)
    _add_link(api, hosting, actor, pages)


def _add_sync(api: APIRouter, hosting: Hosting, actor: Any, pages: Pages) -> None:
    @api.post("/sync")
    async def sync(request: Request, who: Actor = actor) -> Response:
        """Start a run and go on watching it; a quick one is told at once."""
        hosting.require_timeweb()
        run = hosting.start(who)
        await asyncio.wait({run}, timeout=_SHORT_WAIT)
        report = run.result() if run.done() else None
        if not is_htmx(request):
            key = "already_running" if report is not None and report.status == "running" else "started"
            return pages.done(request, key, "", **({"run": report.run_id} if report is not None and report.run_id else {}))
        return await _watched(hosting, pages, request, report)


async def _watched(hosting: Hosting, pages: Pages, request: Request, report: SyncReport | None) -> Response:
    from crm_adapter.web.page import state_context

    context: dict[str, Any] = {
        "base": hosting.base(request),
        "message": "",
        "message_tone": "good",
        **await state_context(hosting),
    }
    headers: dict[str, str] = {}
    if report is None:
        # The lease may not be taken yet; the page must start to watch all the same.
        context["summary"] = context["summary"].as_running()
    elif report.status == "running":
        context.update(message=failure_text("already_running"), message_tone="bad")
    else:
        context.update(message=outcome(report), message_tone="bad" if report.status == "failed" else "good")
        headers["HX-Trigger"] = "hosting:refresh"
    return pages.fragment("state_reply.html", context, headers=headers)


def _add_rows(api: APIRouter, hosting: Hosting, actor: Any, pages: Pages) -> None:
    async def finish(request: Request, row_id: int, result: EditResult, key: str, message: str) -> Response:
        if not result.success:
            return await refuse(request, row_id, result.error or failure_text(result.code or ""))
        if not is_htmx(request):
            return pages.done(request, key, message)
        return await row_reply(hosting, pages, request, await hosting.row(row_id), message)

    async def refuse(request: Request, row_id: int, text: str) -> Response:
        """Show the row as it is now, and why nothing was done."""
        row = await hosting.row(row_id)
        if not is_htmx(request):
            raise HostingError(409, "conflict", text)
        return await row_reply(hosting, pages, request, row, text, tone="bad")

    @api.get("/servers/{row_id}/row")
    async def row(request: Request, row_id: int, field: str = "") -> Response:
        """One row as it is now; ``field`` gets the focus back after a cancelled edit."""
        return await row_reply(hosting, pages, request, await hosting.row(row_id), "", focus=field)

    @api.post("/servers/{row_id}/sync")
    async def sync(request: Request, row_id: int, who: Actor = actor) -> Response:
        await hosting.row(row_id)
        hosting.require_timeweb()
        result = await hosting.backend.sync_server(row_id, actor=who)
        if not result.success:
            return await refuse(request, row_id, sync_error(result).error)
        if not is_htmx(request):
            return pages.done(request, "synced", "")
        return await row_reply(hosting, pages, request, await hosting.row(row_id), result.message or "Сервер синхронизирован")

    @api.post("/servers/{row_id}/paid")
    async def paid(request: Request, row_id: int, who: Actor = actor) -> Response:
        """Move the payment date; two clicks on one page pay once."""
        await hosting.row(row_id)
        expected = forms.day((await read_form(request)).get("expected_date"))
        result = await hosting.backend.mark_paid(row_id, expected_date=expected, actor=who)
        if result.code == "version_conflict":
            return await refuse(request, row_id, "Оплату уже отметили, дата показана новая")
        return await finish(request, row_id, result, "paid", "Оплата отмечена")

    @api.post("/servers/{row_id}/auto")
    async def auto(request: Request, row_id: int, who: Actor = actor) -> Response:
        await hosting.row(row_id)
        wanted = (await read_form(request)).get("auto_sync") == "true"
        result = await hosting.backend.update(row_id, {"auto_sync": wanted}, version=None, actor=who)
        message = "Автосинхронизация включена" if wanted else "Автосинхронизация выключена"
        return await finish(request, row_id, result, "saved", message)

    @api.post("/servers/{row_id}/unlink")
    async def unlink(request: Request, row_id: int, who: Actor = actor) -> Response:
        await hosting.row(row_id)
        result = await hosting.backend.unlink(row_id, actor=who)
        return await finish(request, row_id, result, "unlinked", "Сервер отвязан от Timeweb")


def _add_edit(api: APIRouter, hosting: Hosting, actor: Any, pages: Pages) -> None:
    async def show(
        request: Request,
        row: Row,
        field: str,
        values: Mapping[str, str],
        *,
        problem: str = "",
        wrong: Mapping[str, str] | None = None,
    ) -> Response:
        names = await forms.names(hosting)
        context = {
            **names,
            "from_timeweb": row.timeweb_id is not None,
            "item": row,
            "values": values,
            "version": row.edit_version,
            "problem": problem,
            "problems": wrong or {},
        }
        base = hosting.base(request)
        if field in forms.INLINE and is_htmx(request):
            reply = pages.fragment("cell.html", {"base": base, "field": field, **context})
            if problem or wrong:
                # The form replaces itself in its cell; only success replaces the row.
                reply.headers.update({"HX-Retarget": "closest td", "HX-Reswap": "innerHTML"})
            return reply
        context |= {
            "title": "Изменить сервер",
            "heading": f"Изменить: {row.server_name}"[:80],
            "action": f"{base}/servers/{row.id}/edit",
            "names": forms.fields_of(row),
            "submit": "Сохранить",
        }
        return pages.reply(request, "form.html", context)

    @api.get("/servers/{row_id}/edit")
    async def edit(request: Request, row_id: int, field: str = "") -> Response:
        row = await hosting.row(row_id)
        return await show(request, row, field, forms.shown(row))

    @api.post("/servers/{row_id}/edit")
    async def save(request: Request, row_id: int, field: str = "", who: Actor = actor) -> Response:
        row = await hosting.row(row_id)
        before, typed = forms.shown(row), forms.typed(await read_form(request))
        version = typed.pop("edit_version", "")
        changed = {name: value or None for name, value in typed.items() if name in before and value != before[name]}
        result = await hosting.backend.update(row_id, forms.for_edit(changed), version=forms.number(version), actor=who)
        if result.success:
            after = await hosting.row(row_id)
            if field in forms.INLINE and is_htmx(request):
                return await row_reply(hosting, pages, request, after, "Сохранено", focus=field)
            return pages.done(request, "saved", "Сохранено")
        now = await hosting.row(row_id)
        kept = {**forms.shown(now), **{name: value for name, value in typed.items() if name in before}}
        if result.code == "version_conflict":
            return await show(request, now, field, kept, problem=await _who_was_faster(hosting, row_id))
        name, text = forms.problem(result.error or failure_text(result.code or ""))
        return await show(request, now, field, kept, problem="" if name else text, wrong={name: text} if name else None)

    @api.get("/new")
    async def new(request: Request) -> Response:
        return await show_new(request, forms.blank(hosting.today()), "", {})

    @api.post("/new")
    async def add(request: Request, who: Actor = actor) -> Response:
        typed = forms.typed(await read_form(request))
        values = {name: value for name, value in typed.items() if name in forms.NEW and value}
        result = await hosting.backend.add(values, actor=who)
        if result.success:
            return pages.done(request, "added", "Сервер добавлен")
        name, text = forms.problem(result.error or failure_text(result.code or ""))
        kept = {**forms.blank(hosting.today()), **{key: value for key, value in typed.items() if key in forms.NEW}}
        return await show_new(request, kept, "" if name else text, {name: text} if name else {})

    async def show_new(request: Request, values: Mapping[str, str], problem: str, wrong: Mapping[str, str]) -> Response:
        context = {
            **await forms.names(hosting),
            "from_timeweb": False,
            "title": "Добавить сервер",
            "heading": "Добавить сервер",
            "action": f"{hosting.base(request)}/new",
            "names": forms.NEW,
            "values": values,
            "version": None,
            "problem": problem,
            "problems": wrong,
            "submit": "Добавить",
        }
        return pages.reply(request, "form.html", context)


async def _who_was_faster(hosting: Hosting, row_id: int) -> str:
    """A version conflict, told kindly: who changed what, and that nothing typed is lost."""
    latest = next((change for change in await hosting.backend.changes(row_id, 20) if change.run_id is None), None)
    if latest is None:
        return "Пока вы редактировали, строку изменили. Проверьте значение и сохраните ещё раз."
    from crm_adapter.web.page import shown_change

    change = shown_change(latest, hosting)
    who = latest.actor or "другой пользователь"
    return (
        f"Пока вы редактировали, строку изменил {who}: {change['field'].lower()} — {change['new'] or UNKNOWN}. "
        "Ваше значение осталось в поле: проверьте и сохраните ещё раз."
    )


def _add_import(api: APIRouter, hosting: Hosting, actor: Any, pages: Pages) -> None:
    async def show(request: Request, *, results: list[str] | None = None, problem: str = "") -> Response:
        servers: list[LiveServer] = []
        try:
            live = await list_live(hosting.backend)
            servers, problem = live.servers, problem or live.problem
        except HostingError as error:
            problem = problem or error.error
        servers.sort(key=lambda server: (server.crm_id is not None, server.name.casefold()))
        imported = sum(server.crm_id is not None for server in servers)
        context = {
            "title": "Импорт из Timeweb",
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
            return await show(request, problem="Отметьте хотя бы один сервер")
        links = {key: row for key in ids if (row := forms.number(form.get(f"link_{key}"))) is not None}
        result = await hosting.backend.import_servers(ids, link=links or "off", actor=who)
        if not result.errors:
            return pages.done(request, "imported", f"Импортировано: {count(result.imported_count, 'server')}")
        lines = [f"{item.name}: {'связан' if item.linked else 'импортирован'}" for item in result.imported]
        lines += [f"Сервер {item.server_id}: {item.error}" for item in result.errors]
        return await show(request, results=lines)


def _add_link(api: APIRouter, hosting: Hosting, actor: Any, pages: Pages) -> None:
    async def show(request: Request, row: Row, problem: str = "") -> Response:
        servers: list[LiveServer] = []
        try:
            live = await list_live(hosting.backend)
            servers = [server for server in live.servers if server.crm_id is None]
            problem = problem or live.problem
        except HostingError as error:
            problem = problem or error.error
        servers.sort(key=lambda server: (server.likely_id != row.id, server.name.casefold()))
        return pages.reply(
            request, "link.html", {"title": "Связать с Timeweb", "item": row, "servers": servers, "problem": problem}
        )

    @api.get("/servers/{row_id}/link", dependencies=[Depends(own_site)])
    async def choose(request: Request, row_id: int) -> Response:
        return await show(request, await hosting.row(row_id))

    @api.post("/servers/{row_id}/link")
    async def link(request: Request, row_id: int, who: Actor = actor) -> Response:
        row = await hosting.row(row_id)
        target = (await read_form(request)).get("target")
        number, _, account = target.partition("@") if isinstance(target, str) else ("", "", "")
        if (timeweb_id := forms.number(number)) is None:
            return await show(request, row, "Выберите сервер")
        result = await hosting.backend.link(row_id, timeweb_id, account=account or None, actor=who)
        if not result.success:
            return await show(request, row, result.error or failure_text(result.code or ""))
        # The next sync would fill the columns; people expect to see them now.
        if hosting.is_configured:
            await hosting.backend.sync_server(row_id, actor=who)
        return pages.done(request, "linked", "Сервер связан с Timeweb")


async def row_reply(
    hosting: Hosting, pages: Pages, request: Request, row: Row, message: str, *, tone: str = "good", focus: str = ""
) -> Response:
    """One row with the sums and a message beside it."""
    columns, configured = hosting.backend.columns, hosting.is_configured
    summary = await hosting.backend.read(lambda session: read_summary(session, configured=configured))
    names = await hosting.backend.read(lambda session: listing.projects(session, columns))
    context = {
        "base": hosting.base(request),
        "item": row,
        "focus": focus,
        "today": hosting.today(),
        "projects": names,
        "many_accounts": len(summary.accounts) > 1,
        "message": message,
        "message_tone": tone,
        **await pages.money(),
    }
    return pages.fragment("row_reply.html", context)
