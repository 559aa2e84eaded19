"""`/api/server*`, `/api/stats` and the CSV: the rows of the CRM."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, Final

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import Response

from crm_adapter.results import to_plain
from crm_adapter.servers import edit
from crm_adapter.servers.listing import Filters, read_chosen
from crm_adapter.servers.overview import Grouping, read_grouping
from crm_adapter.servers.totals import By, read_sums
from crm_adapter.text import refusals
from crm_adapter.text.messages import DONE
from crm_adapter.web import streams
from crm_adapter.web.addresses import PARAMETERS, filters_of, number
from crm_adapter.web.bodies import documented, json_body
from crm_adapter.web.charts import read_all_months
from crm_adapter.web.context import Actor, Hosting
from crm_adapter.web.errors import HostingError, HostingRoute, edit_error
from crm_adapter.web.export import csv_head, to_csv
from crm_adapter.web.schemas import NewServer, ProjectLink, ServerEdit

if TYPE_CHECKING:
    from decimal import Decimal

    from sqlalchemy.orm import Session

    from crm_adapter.db.rows import StoredRow
    from crm_adapter.servers.months import Ledger
    from crm_adapter.servers.totals import Sums


_LIMIT: Final = 1000
"""Rows of a page for whoever does not say how many."""


def refuse_unknown(*known: str) -> Any:
    """A dependency: a program that narrows a list by a misspelt name would take all rows for the ones it asked for."""

    def check(request: Request) -> None:
        if unknown := sorted(request.query_params.keys() - set(known)):
            raise HostingError(422, "validation", refusals.unknown_parameters(unknown, known))

    return Depends(check)


def compact_json(document: Any) -> bytes:
    return json.dumps(document, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()


def json_items(items: Iterable[Any]) -> bytes:
    """A long list without its brackets; written item by item, since a thread that writes it at once lets no other work."""
    return b",".join(compact_json(item) for item in items)


def router(hosting: Hosting, actor: Any, prefix: str, guards: Sequence[Any]) -> APIRouter:
    """The CRM part."""
    api = APIRouter(prefix=prefix, tags=["hosting"], dependencies=guards, route_class=HostingRoute)
    wanted = Depends(filters_of)

    @api.get("/api/servers", dependencies=[refuse_unknown(*PARAMETERS, "project_id", "limit")], response_model=dict[str, Any])
    async def servers(
        filters: Filters = wanted, project_id: str = "", limit: Annotated[int, Query(ge=0, le=10_000)] = _LIMIT
    ) -> Response:
        """Rows with their sums, a page of `limit` at a time; 0 gives all of them. `project_id` is another name of `project`."""
        filters = replace(filters, project=filters.project or number(project_id), size=limit)
        chosen = await streams.choose(hosting, filters)
        end = {"total": chosen.total, "page": chosen.filters.page, "pages": chosen.pages, **hosting.documents.note()}
        frame = b'{"success":true,"servers":[', b"]," + compact_json(end)[1:]

        def write(rows: Sequence[StoredRow]) -> bytes:
            return json_items(hosting.shown(row) for row in rows)

        return await streams.reply(
            hosting, chosen.ids, read_chosen, write, frame=frame, separator=b",", media_type="application/json"
        )

    @api.get("/api/server/{row_id}")
    async def server(row_id: int) -> dict[str, Any]:
        """One row, and its payments where the host keeps any."""
        row, read = await hosting.row(row_id), hosting.payments
        paid = await hosting.crm.transact(lambda session: list(read(session.connection(), row_id))) if read else []
        return {"success": True, "server": hosting.shown(row), "payments": to_plain(paid)}

    @api.put("/api/server/{row_id}", openapi_extra=documented(ServerEdit))
    @api.patch("/api/server/{row_id}", openapi_extra=documented(ServerEdit))
    async def update(row_id: int, body: ServerEdit = json_body(ServerEdit), who: Actor = actor) -> dict[str, Any]:
        """Change what people own: what is sent and differs, by PATCH as by PUT; 409 when another human was faster."""
        row = await hosting.row(row_id)
        values = hosting.documents.changed(row, body.values())
        result = await hosting.edited(
            lambda columns: edit.update_manual(columns, row_id, values, expected_version=body.edit_version, actor=who)
        )
        if not result.success:
            raise edit_error(result)
        row = await hosting.row(row_id)
        return {"success": True, "server": hosting.shown(row), "changes": list(result.changes), "message": DONE["saved"]}

    @api.patch("/api/server/{row_id}/link-project", openapi_extra=documented(ProjectLink))
    async def link_project(row_id: int, body: ProjectLink = json_body(ProjectLink), who: Actor = actor) -> dict[str, Any]:
        """Let a row belong to a project, or to none."""
        values = {"project_id": body.project_id}
        result = await hosting.edited(
            lambda columns: edit.update_manual(columns, row_id, values, expected_version=None, actor=who)
        )
        if not result.success:
            raise edit_error(result)
        message = DONE["project_unlinked" if body.project_id is None else "project_linked"]
        return {"success": True, "server": hosting.shown(await hosting.row(row_id)), "message": message}

    @api.delete("/api/server/{row_id}")
    async def remove(row_id: int, who: Actor = actor) -> dict[str, Any]:
        """Remove a row that no server of Timeweb stands behind; 409 for one that is linked."""
        result = await hosting.edited(lambda columns: edit.remove_manual(columns, row_id, actor=who))
        if not result.success:
            raise edit_error(result)
        return {"success": True, "message": DONE["removed"]}

    @api.post("/api/server", openapi_extra=documented(NewServer))
    async def add(body: NewServer = json_body(NewServer), who: Actor = actor) -> dict[str, Any]:
        """Add a server that is not at Timeweb."""
        result = await hosting.edited(lambda columns: edit.add_manual(columns, body.values(), actor=who))
        if not result.success or result.crm_id is None:
            raise edit_error(result)
        return {"success": True, "server": hosting.shown(await hosting.row(result.crm_id)), "message": DONE["added"]}

    @api.get("/api/stats", response_model=dict[str, Any])
    async def stats(filters: Filters = wanted, by: By | None = None) -> Response:
        """Sums of the rows that match, RUB per month; null where nothing is known.

        With `by` also in `groups` what the servers of each client or project bring and cost, the greatest income first.
        """
        columns, today = hosting.crm.columns, hosting.today()
        own = hosting.all_time_profit

        def read(session: Session) -> tuple[Decimal | float | None, Ledger | None, Sums, Grouping | None]:
            earned = own(session.connection()) if own else None
            ledger = None if own else read_all_months(session, columns, today, hosting.zone_info)
            sums = read_sums(session, columns, today, filters)
            return earned, ledger, sums, None if by is None else read_grouping(session, columns, filters, today, by)

        def write(found: tuple[Decimal | float | None, Ledger | None, Sums, Grouping | None]) -> bytes:
            earned, ledger, sums, grouping = found
            told = hosting.documents.stats(sums.totals(), earned if ledger is None else ledger.margin)
            whole = compact_json({"success": True, **told})
            if grouping is None:
                return whole
            return whole[:-1] + b',"groups":[' + json_items(hosting.documents.groups(grouping.groups())) + b"]}"

        return Response(await hosting.crm.work_out(read, write), media_type="application/json")

    @api.get("/export.csv")
    async def export(filters: Filters = wanted) -> Response:
        """The rows that match as CSV for a spreadsheet."""
        chosen = await streams.choose(hosting, replace(filters, size=0))
        name, zone = f"hosting-{hosting.today():%Y-%m-%d}.csv", hosting.zone_info
        return await streams.reply(
            hosting,
            chosen.ids,
            read_chosen,
            lambda rows: to_csv(rows, zone),
            frame=(csv_head(), b""),
            media_type="text/csv; charset=utf-8",
            headers={"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "no-store"},
        )

    return api
