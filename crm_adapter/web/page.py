"""The «Хостинг» page: the table, the state above it, the sync button. What people do to rows is in `edits` and `imports`."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from fastapi import APIRouter, Depends, Request
from fastapi.responses import FileResponse, HTMLResponse, Response

from crm_adapter.servers.listing import Filters, list_rows, projects
from crm_adapter.servers.totals import read_sums
from crm_adapter.text import page as words
from crm_adapter.text.messages import DONE, NEW_TOKEN
from crm_adapter.web import charts, edits, imports, overview, services, several, undelivered
from crm_adapter.web.addresses import address, filters_of, header, query
from crm_adapter.web.context import Actor, Hosting
from crm_adapter.web.errors import HostingError, HostingRoute
from crm_adapter.web.history import read_history
from crm_adapter.web.responses import Pages, is_htmx
from crm_adapter.web.security import is_from_another_site
from crm_adapter.web.state import after_start, present, read_state
from crm_adapter.web.summary import finished, latest_run, read_summary, tone
from crm_adapter.web.templating import STATIC, Renderer, asset_version

_SHORT_WAIT = 0.3
"""How long the button waits for a run to end before the page watches it, in seconds."""

_NUMBERS = frozenset({"cost", "price", "margin"})


def router(hosting: Hosting, actor: Any, prefix: str, guards: Sequence[Any], renderer: Renderer, *, has_csv: bool) -> APIRouter:
    """The page at `prefix` and everything below it."""
    pages = Pages(hosting, renderer)
    files = frozenset(path.relative_to(STATIC).as_posix() for path in STATIC.rglob("[!.]*") if path.is_file())
    route = HostingRoute.answering(pages.error)
    api = APIRouter(prefix=prefix, dependencies=guards, route_class=route, include_in_schema=False)

    @api.get("" if prefix else "/", name=hosting.home)
    async def show(
        request: Request, filters: Filters = Depends(filters_of), done: str = "", run: int = 0, undo: str = ""
    ) -> HTMLResponse:
        base = hosting.base(request)
        # What another site makes a browser ask for starts nothing: it may be an image tag there.
        if not is_htmx(request) and not is_from_another_site(request):
            await hosting.freshen()
        context = await _page_context(hosting, base, filters)
        context.update(has_csv=has_csv, message=DONE.get(done, ""), message_tone="good", undo=undo[:40])
        latest = context["latest"]
        if latest is not None and latest.run_id == run and not context["summary"].running:
            context.update(message=finished(latest), message_tone=tone(latest))
        return await asyncio.to_thread(pages.reply, request, "page.html", context, part="main.html")

    @api.get("/state")
    async def state(request: Request, watching: bool = False) -> HTMLResponse:
        """The line above the table while a sync runs; tells the page to re-read itself when it is over."""
        base = hosting.base(request)
        context = await read_state(hosting)
        headers: dict[str, str] = {}
        if watching and not context["summary"].running:
            context.update(message=finished(context["latest"]), message_tone=tone(context["latest"]))
            headers["HX-Trigger"] = "hosting:refresh"
        return pages.fragment(
            "state_reply.html", {"base": base, "message": "", "message_tone": "good", **context}, headers=headers
        )

    @api.get("/servers/{row_id}/history")
    async def history(request: Request, row_id: int) -> HTMLResponse:
        row = await hosting.row(row_id)
        changes = await read_history(hosting, row_id)
        return pages.reply(request, "history.html", {"title": words.HISTORY, "item": row, "changes": changes})

    @api.get("/dynamics")
    async def dynamics(request: Request) -> HTMLResponse:
        months = await charts.read_months(hosting)
        context = {
            "title": words.DYNAMICS,
            "months": months,
            "wide": charts.lay_out(months),
            "narrow": charts.lay_out(months, charts.NARROW),
            "has_csv": has_csv,
        }
        return pages.reply(request, "dynamics.html", context)

    @api.get("/dynamics.svg")
    async def chart(narrow: bool = False) -> Response:
        """Drawn here; an image, so that its own styles need no permission of the page."""
        drawing = charts.lay_out(await charts.read_months(hosting), charts.NARROW if narrow else charts.WIDE)
        drawn = renderer.fragment("dynamics.svg", {"chart": drawing})
        return Response(drawn, media_type="image/svg+xml", headers={**pages.headers})

    @api.get("/static/{name:path}")
    async def static(name: str, v: str = "") -> FileResponse:
        if name not in files:
            raise HostingError(404, "not_found", words.NO_SUCH_FILE)
        cache = "private, max-age=31536000, immutable" if v and v == asset_version(name) else "private, max-age=300"
        return FileResponse(STATIC / name, headers={"Cache-Control": cache, "X-Content-Type-Options": "nosniff"})

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
        context = {"base": hosting.base(request), "message": "", "message_tone": "good", **await read_state(hosting)}
        context, over = after_start(context, report)
        return pages.fragment("state_reply.html", context, headers={"HX-Trigger": "hosting:refresh"} if over else {})

    edits.add_routes(api, hosting, actor, pages)
    imports.add_routes(api, hosting, actor, pages)
    several.add_routes(api, hosting, actor, pages)
    overview.add_routes(api, hosting, pages)
    services.add_routes(api, hosting, actor, pages, has_csv=has_csv)
    undelivered.add_routes(api, hosting, pages)
    return api


async def _page_context(hosting: Hosting, base: str, filters: Filters) -> dict[str, Any]:
    columns, today, configured = hosting.crm.columns, hosting.today(), hosting.is_configured
    listing, names, summary, totals, latest = await hosting.crm.work_out(
        lambda session: (
            list_rows(session, columns, filters, today=today),
            projects(session, columns),
            read_summary(session, configured=configured),
            read_sums(session, columns, today, filters),
            latest_run(session),
        ),
        lambda found: (*found[:3], found[3].totals(), found[4]),
    )
    shown = listing.filters
    return {
        "title": words.TITLE,
        "section": "servers",
        "base": base,
        "here": address(base, shown),
        "query": query(shown),
        "filters": shown,
        "listing": listing,
        "bulk_actions": words.BULK,
        "new_token": NEW_TOKEN,
        "totals": totals,
        "projects": names,
        "today": today,
        "many_accounts": len(summary.accounts) > 1,
        "views": [
            {"caption": caption, "url": address(base, shown, view=key, page=1), "current": shown.view == key, "key": key}
            for key, caption in words.VIEWS.items()
        ],
        "headers": [header(base, shown, key, caption, number=key in _NUMBERS) for key, caption in words.HEADERS.items()],
        "previous_url": address(base, shown, page=shown.page - 1) if shown.page > 1 else None,
        "next_url": address(base, shown, page=shown.page + 1) if shown.page < listing.pages else None,
        **present(hosting, summary, latest),
    }
