"""`/api/timeweb/*` and the sync of one row: all calls of the integration, to be mounted alone beside the CRM's own router."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from fastapi import APIRouter, Depends
from fastapi.responses import Response

from crm_adapter.results import SyncReport
from crm_adapter.servers.totals import read_runs
from crm_adapter.text.messages import DONE, NOT_CONFIGURED, STILL_RUNNING, failure_text, run_outcome
from crm_adapter.text.refusals import NO_SUCH_RUN
from crm_adapter.web.api_crm import compact_json, json_items
from crm_adapter.web.bodies import documented, json_body
from crm_adapter.web.candidates import list_live
from crm_adapter.web.context import Actor, Hosting
from crm_adapter.web.errors import HostingError, HostingRoute, run_error, sync_error
from crm_adapter.web.schemas import ImportBody
from crm_adapter.web.security import own_site


def router(hosting: Hosting, actor: Any, prefix: str, guards: Sequence[Any]) -> APIRouter:
    """The Timeweb part."""
    api = APIRouter(prefix=f"{prefix}/api", tags=["timeweb"], dependencies=guards, route_class=HostingRoute)

    @api.get("/timeweb/status", name="timeweb_status")
    async def status() -> dict[str, Any]:
        """Whether a token is set; asks nobody."""
        configured = hosting.is_configured
        return {
            "success": True,
            "configured": configured,
            "message": "Timeweb API token configured" if configured else NOT_CONFIGURED,
        }

    @api.get("/timeweb/servers", dependencies=[Depends(own_site)], response_model=dict[str, Any])
    async def servers() -> Response:
        """Ask Timeweb for its servers and tell which have a row; `errors` names the accounts that did not answer."""
        live = await list_live(hosting.crm)
        errors = [
            {"account": account, "code": failure.code, "error": failure.error} for account, failure in live.failures.items()
        ]

        def write() -> bytes:
            imported = sum(server.crm_id is not None for server in live.servers)
            end = compact_json({"total": len(live.servers), "imported_count": imported, "errors": errors})
            listed = json_items(server.to_dict() for server in live.servers)
            live.servers.clear()  # here and not on the loop
            return b'{"success":true,"servers":[' + listed + b"]," + end[1:]

        return Response(await asyncio.to_thread(write), media_type="application/json")

    @api.post("/timeweb/import", openapi_extra=documented(ImportBody))
    async def import_servers(body: ImportBody = json_body(ImportBody), who: Actor = actor) -> dict[str, Any]:
        """Create rows for servers, or link them to rows typed by hand."""
        hosting.require_timeweb()
        link = body.links or hosting.crm.link_policy
        result = await hosting.import_servers(body.server_ids, link=link, actor=who)
        return result.to_dict()

    @api.post("/timeweb/sync-all")
    async def sync_all(who: Actor = actor) -> dict[str, Any]:
        """Synchronise all rows; after 25 s the reply gives the run to watch instead of its outcome."""
        report = await hosting.sync_all(who)
        if report is None:
            latest = await hosting.crm.transact(lambda session: read_runs(session, limit=1))
            run_id = latest[0].run_id if latest else None
            return _reply(SyncReport(run_id, "running"), STILL_RUNNING, success=True)
        if report.status == "running":
            raise _failed(report, "already_running", failure_text("already_running"))
        message = run_outcome(report.to_dict())
        if report.status not in {"success", "partial"}:
            raise _failed(report, report.error_code or "failed", message)
        return _reply(report, message, success=True)

    @api.get("/timeweb/runs/{run_id}")
    async def run(run_id: int) -> dict[str, Any]:
        """How a run is getting on."""
        found = await hosting.crm.transact(lambda session: read_runs(session, run_id, limit=1)) if 0 < run_id < 2**63 else []
        if not found:
            raise HostingError(404, "not_found", NO_SUCH_RUN)
        return {"success": True, **found[0].to_dict()}

    @api.post("/server/{row_id}/sync")
    async def sync(row_id: int, who: Actor = actor) -> dict[str, Any]:
        """Synchronise one row, whatever its `auto_sync` says."""
        row = await hosting.row(row_id)
        if row.timeweb_id is None:
            raise HostingError(409, "not_linked", failure_text("not_linked"))
        hosting.require_timeweb()
        result = await hosting.sync_server(row_id, actor=who)
        if not result.success:
            raise sync_error(result)
        row = await hosting.row(row_id)
        return {"success": True, "server": hosting.shown(row), "message": result.message or DONE["synced"]}

    return api


def _reply(report: SyncReport, message: str, *, success: bool) -> dict[str, Any]:
    plain = report.to_dict()
    rows = {
        key: [{"timeweb_id": item["timeweb_id"], "crm_id": item["crm_id"], "name": item["name"]} for item in plain[key]]
        for key in ("created", "updated")
    }
    return {**plain, **rows, "success": success, "message": message}


def _failed(report: SyncReport, code: str, text: str) -> HostingError:
    return run_error(
        code, text, **{key: value for key, value in _reply(report, text, success=False).items() if key != "success"}
    )
