"""The «Хостинг» page: what is read.  What it changes is in :mod:`crm_adapter.web.actions`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Request
from fastapi.responses import FileResponse, HTMLResponse, Response

from crm_adapter.servers.listing import VIEWS, Filters, list_rows, projects, read_totals
from crm_adapter.sync.freshness import ACTOR
from crm_adapter.text import labels
from crm_adapter.text.formats import UNKNOWN, day, instant, money
from crm_adapter.web import actions, charts, undelivered
from crm_adapter.web.api_crm import filters_of
from crm_adapter.web.context import Hosting
from crm_adapter.web.errors import HostingError
from crm_adapter.web.responses import PageRoute, Pages, is_htmx
from crm_adapter.web.security import is_from_another_site
from crm_adapter.web.summary import finished, latest_run, read_summary, tone
from crm_adapter.web.templating import STATIC, Renderer, asset_version

if TYPE_CHECKING:
    from datetime import datetime

    from crm_adapter.results import Change, RunInfo

#: What a redirect after a form may say; the address carries only the key.
_DONE = {
    "saved": "Сохранено",
    "added": "Сервер добавлен",
    "paid": "Оплата отмечена, дата следующего платежа перенесена",
    "linked": "Сервер связан с Timeweb",
    "unlinked": "Сервер отвязан от Timeweb",
    "synced": "Сервер синхронизирован",
    "started": "Синхронизация запущена",
    "already_running": "Синхронизация уже выполняется",
    "imported": "Серверы импортированы",
    "requeued": "Уведомления снова в очереди, они уйдут при следующей отправке",
}

_HEADERS = (
    ("name", "Сервер", False), ("status", "Статус", False), ("configuration", "Конфигурация", False), ("ip", "IP-адрес", False),
    ("client", "Имя клиента", False), ("project", "Проект", False), ("cost", "Себестоимость", True),
    ("price", "Цена для клиента", True), ("margin", "Маржа", True), ("date", "Дата следующего платежа", False),
    ("", "Действия", False),
)  # fmt: skip


def router(hosting: Hosting, actor: Any, prefix: str, guards: Sequence[Any], renderer: Renderer, *, has_csv: bool) -> APIRouter:
    """The page at ``prefix`` and everything below it."""
    pages = Pages(hosting, renderer)
    files = frozenset(path.relative_to(STATIC).as_posix() for path in STATIC.rglob("[!.]*") if path.is_file())
    api = APIRouter(prefix=prefix, dependencies=guards, route_class=PageRoute.of(pages), include_in_schema=False)

    @api.get("" if prefix else "/", name=hosting.home)
    async def show(request: Request, filters: Filters = Depends(filters_of), done: str = "", run: int = 0) -> HTMLResponse:
        base = hosting.base(request)
        # What another site makes a browser ask for starts nothing: it may be an image tag there.
        if not is_htmx(request) and not is_from_another_site(request):
            await hosting.freshen()
        context = await _page_context(hosting, base, filters)
        context.update(has_csv=has_csv, message=_DONE.get(done, ""), message_tone="good")
        latest = context["latest"]
        if latest is not None and latest.run_id == run and not context["summary"].running:
            context.update(message=finished(latest), message_tone=tone(latest))
        return pages.reply(request, "page.html", context, part="main.html")

    @api.get("/state")
    async def state(request: Request, watching: bool = False) -> HTMLResponse:
        """The line above the table while a sync runs; tells the page to re-read itself when it is over."""
        base = hosting.base(request)
        context = await state_context(hosting)
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
        changes = await hosting.backend.changes(row_id, 200)
        shown = [shown_change(change, hosting) for change in changes if change.field not in _SILENT]
        return pages.reply(request, "history.html", {"title": "История", "item": row, "changes": shown})

    @api.get("/dynamics")
    async def dynamics(request: Request) -> HTMLResponse:
        months = await _months(hosting)
        return pages.reply(request, "dynamics.html", {"title": "Динамика", "months": months})

    @api.get("/dynamics.svg")
    async def chart() -> Response:
        """Drawn here; an image, so that its own styles need no permission of the page."""
        return Response(charts.draw(await _months(hosting)), media_type="image/svg+xml", headers={**pages.headers})

    @api.get("/static/{name:path}")
    async def static(name: str, v: str = "") -> FileResponse:
        if name not in files:
            raise HostingError(404, "not_found", "Такого файла нет")
        cache = "private, max-age=31536000, immutable" if v and v == asset_version(name) else "private, max-age=300"
        return FileResponse(STATIC / name, headers={"Cache-Control": cache, "X-Content-Type-Options": "nosniff"})

    actions.add_routes(api, hosting, actor, pages)
    undelivered.add_routes(api, hosting, pages)
    return api


async def _months(hosting: Hosting) -> list[charts.Month]:
    columns, today = hosting.backend.columns, hosting.today()
    return await hosting.backend.read(lambda session: charts.months(session, columns, today, hosting.zone_info))


async def _page_context(hosting: Hosting, base: str, filters: Filters) -> dict[str, Any]:
    columns, today, configured = hosting.backend.columns, hosting.today(), hosting.is_configured
    listing, names, summary, totals, latest = await hosting.backend.read(
        lambda session: (
            list_rows(session, columns, filters, today=today),
            projects(session, columns),
            read_summary(session, configured=configured),
            read_totals(session, columns, today),
            latest_run(session),
        )
    )
    shown = listing.filters
    return {
        "title": "Хостинг",
        "base": base,
        "here": _address(base, shown),
        "query": _query(shown),
        "filters": shown,
        "listing": listing,
        "totals": totals,
        "projects": names,
        "today": today,
        "many_accounts": len(summary.accounts) > 1,
        "views": [
            {"caption": caption, "url": _address(base, shown, view=key, page=1), "current": shown.view == key, "key": key}
            for key, caption in VIEWS.items()
        ],
        "headers": [_header(base, shown, *header) for header in _HEADERS],
        "previous_url": _address(base, shown, page=shown.page - 1) if shown.page > 1 else None,
        "next_url": _address(base, shown, page=shown.page + 1) if shown.page < listing.pages else None,
        **_state(hosting, summary, latest),
    }


async def state_context(hosting: Hosting) -> dict[str, Any]:
    configured = hosting.is_configured
    summary, latest = await hosting.backend.read(
        lambda session: (read_summary(session, configured=configured), latest_run(session))
    )
    return _state(hosting, summary, latest)


def _state(hosting: Hosting, summary: Any, latest: RunInfo | None) -> dict[str, Any]:
    return {
        "summary": summary,
        "latest": latest,
        "configured": summary.configured,
        "updated": summary.updated(hosting.zone_info, hosting.now()),
        "timeweb_line": summary.timeweb(),
        "notices": summary.notices(hosting.zone_info, latest),
    }


def _query(filters: Filters, **changed: Any) -> str:
    """The query string that leads to ``filters``; defaults are left out."""
    values = {item.name: getattr(filters, item.name) for item in fields(Filters)} | changed
    names = {"search": "q", "descending": "desc"}
    default = Filters()
    given = {
        names.get(name, name): int(value) if isinstance(value, bool) else value
        for name, value in values.items()
        if name != "size" and value != getattr(default, name)
    }
    return f"?{urlencode(given)}" if given else ""


def _address(base: str, filters: Filters, **changed: Any) -> str:
    return (base or "/") + _query(filters, **changed)


def _header(base: str, filters: Filters, key: str, caption: str, number: bool) -> dict[str, Any]:
    active = bool(key) and filters.sort == key
    url = _address(base, filters, sort=key, descending=active and not filters.descending, page=1) if key else None
    direction = ("descending" if filters.descending else "ascending") if active else None
    return {"key": key, "caption": caption, "number": number, "url": url, "direction": direction}


#: Changes that say nothing to people: the raw snapshot moves with every detail.
_SILENT = frozenset({"timeweb_data"})


def shown_change(change: Change, hosting: Hosting) -> dict[str, str]:
    return {
        "at": instant(change.at, hosting.zone_info),
        "actor": "синхронизация" if change.actor is None or change.actor == ACTOR else change.actor,
        "field": labels.COLUMNS.get(change.field, change.field),
        "old": _shown(change.field, change.old),
        "new": _shown(change.field, change.new),
    }


def _shown(field: str, text: str | None) -> str:
    """A logged value in people's words."""
    if text is None or text == "":
        return UNKNOWN
    if field == "status":
        return labels.status(text).word
    if field == "timeweb_status" and (badge := labels.timeweb_status(text)):
        return badge.word
    if field == "payment_period":
        return labels.PERIODS.get(text, text)
    if field == "auto_sync":
        return "включена" if text.lower() in {"true", "1"} else "выключена"
    try:
        if field in {"cost_price", "client_price", "service_fee", "balance"}:
            return money(charts.as_amount(text))
        if field in {"next_payment_date", "start_date"}:
            return day(_date(text))
    except ValueError:
        pass
    return text


def _date(text: str) -> datetime:
    from datetime import datetime

    return datetime.fromisoformat(text)
