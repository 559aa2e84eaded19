"""`/api/server*`, `/api/stats` and the CSV: the rows of the CRM."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query
from fastapi.responses import Response

from crm_adapter.results import to_plain
from crm_adapter.servers import edit
from crm_adapter.servers.listing import SORTS, VIEWS, Filters, Listing, list_rows
from crm_adapter.servers.totals import read_totals
from crm_adapter.text.messages import failure_text
from crm_adapter.web.bodies import documented, json_body
from crm_adapter.web.context import Actor, Hosting
from crm_adapter.web.errors import HostingError, HostingRoute, edit_error, sync_error
from crm_adapter.web.export import to_csv
from crm_adapter.web.schemas import NewServer, ServerEdit


def filters_of(
    q: str = "",
    status: str = "",
    project: str = "",
    account: str = "",
    view: str = "",
    sort: str = "attention",
    desc: str = "",
    page: str = "1",
) -> Filters:
    """Filters of the query string; a value that makes no sense counts as none, since people edit addresses."""
    return Filters(
        search=q[:200].replace("\x00", ""),
        status=status[:20].replace("\x00", ""),
        project=_number(project),
        account=account[:100].replace("\x00", ""),
        view=view if view in VIEWS else "",
        sort=sort if sort in SORTS else "attention",
        descending=desc.lower() in {"1", "true"},
        page=_number(page) or 1,
    )


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else None


def router(hosting: Hosting, actor: Any, prefix: str, guards: Sequence[Any]) -> APIRouter:
    """The CRM part."""
    api = APIRouter(prefix=prefix, tags=["hosting"], dependencies=guards, route_class=HostingRoute)
    wanted = Depends(filters_of)

    async def listed(filters: Filters, size: int) -> Listing:
        columns, today, narrowed = hosting.crm.columns, hosting.today(), replace(filters, size=size)
        return await hosting.crm.transact(lambda session: list_rows(session, columns, narrowed, today=today))

    @api.get("/api/servers")
    async def servers(filters: Filters = wanted, limit: Annotated[int, Query(ge=0, le=10_000)] = 0) -> dict[str, Any]:
        """Rows with their sums; `limit` 0 gives all of them."""
        found = await listed(filters, limit)
        return {
            "success": True,
            "servers": [row.to_dict() for row in found.rows],
            "total": found.total,
            "page": found.filters.page,
            "pages": found.pages,
        }

    @api.get("/api/server/{row_id}")
    async def server(row_id: int) -> dict[str, Any]:
        """One row."""
        return {"success": True, "server": (await hosting.row(row_id)).to_dict()}

    @api.patch("/api/server/{row_id}", openapi_extra=documented(ServerEdit))
    async def update(row_id: int, body: ServerEdit = json_body(ServerEdit), who: Actor = actor) -> dict[str, Any]:
        """Change what people own; 409 when another human was faster."""
        result = await hosting.edited(
            lambda columns: edit.update_manual(columns, row_id, body.values(), expected_version=body.edit_version, actor=who)
        )
        if not result.success:
            raise edit_error(result)
        row = await hosting.row(row_id)
        return {"success": True, "server": row.to_dict(), "changes": list(result.changes), "message": "Сохранено"}

    @api.post("/api/server", openapi_extra=documented(NewServer))
    async def add(body: NewServer = json_body(NewServer), who: Actor = actor) -> dict[str, Any]:
        """Add a server that is not at Timeweb."""
        result = await hosting.edited(lambda columns: edit.add_manual(columns, body.values(), actor=who))
        if not result.success or result.crm_id is None:
            raise edit_error(result)
        return {"success": True, "server": (await hosting.row(result.crm_id)).to_dict(), "message": "Сервер добавлен"}

    @api.post("/api/server/{row_id}/sync")
    async def sync(row_id: int, who: Actor = actor) -> dict[str, Any]:
        """Synchronise one row, whatever its `auto_sync` says."""
        row = await hosting.row(row_id)
        if row.timeweb_id is None:
            raise HostingError(409, "not_linked", failure_text("not_linked"))
        hosting.require_timeweb()
        result = await hosting.sync_server(row_id, actor=who)
        if not result.success:
            raise sync_error(result)
        return {
            "success": True,
            "server": (await hosting.row(row_id)).to_dict(),
            "message": result.message or "Синхронизировано",
        }

    @api.get("/api/stats")
    async def stats() -> dict[str, Any]:
        """Sums of the section, RUB per month; null where nothing is known."""
        columns, today = hosting.crm.columns, hosting.today()
        totals = await hosting.crm.transact(lambda session: read_totals(session, columns, today))
        return {"success": True, **to_plain(totals)}

    @api.get("/export.csv")
    async def export(filters: Filters = wanted) -> Response:
        """The rows that match as CSV for a spreadsheet."""
        found = await listed(filters, 0)
        name = f"hosting-{hosting.today():%Y-%m-%d}.csv"
        headers = {"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "no-store"}
        return Response(to_csv(found.rows, hosting.zone_info), media_type="text/csv; charset=utf-8", headers=headers)

    return api
