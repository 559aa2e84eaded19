"""`/api/timeweb/*`: the calls that the CRM's own front end makes. Can be mounted alone beside the CRM's router."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastapi import APIRouter, Depends

from crm_adapter.results import SyncReport
from crm_adapter.servers.totals import read_runs
from crm_adapter.text.messages import NOT_CONFIGURED, failure_text, run_outcome
from crm_adapter.web.bodies import documented, json_body
from crm_adapter.web.candidates import list_live
from crm_adapter.web.context import Actor, Hosting
from crm_adapter.web.errors import HostingError, HostingRoute
from crm_adapter.web.schemas import ImportBody
from crm_adapter.web.security import own_site


def router(hosting: Hosting, actor: Any, prefix: str, guards: Sequence[Any]) -> APIRouter:
    """The Timeweb part."""
    api = APIRouter(prefix=f"{prefix}/api/timeweb", tags=["timeweb"], dependencies=guards, route_class=HostingRoute)

    @api.get("/status", name="timeweb_status")
    async def status() -> dict[str, Any]:
        """Whether a token is set; asks nobody."""
        configured = hosting.is_configured
        return {
            "success": True,
            "configured": configured,
            "message": "Timeweb API token configured" if configured else NOT_CONFIGURED,
        }

    @api.get("/servers", dependencies=[Depends(own_site)])
    async def servers() -> dict[str, Any]:
        """Ask Timeweb for its servers and tell which have a row; `errors` names the accounts that did not answer."""
        live = await list_live(hosting.crm)
        found = [server.to_dict() for server in live.servers]
        imported = sum(server["is_imported"] for server in found)
        errors = [
            {"account": account, "code": failure.code, "error": failure.error} for account, failure in live.failures.items()
        ]
        return {"success": True, "servers": found, "total": len(found), "imported_count": imported, "errors": errors}

    @api.post("/import", openapi_extra=documented(ImportBody))
    async def import_servers(body: ImportBody = json_body(ImportBody), who: Actor = actor) -> dict[str, Any]:
        """Create rows for servers, or link them to rows typed by hand."""
        hosting.require_timeweb()
        link = body.links or hosting.crm.link_policy
        result = await hosting.import_servers(body.server_ids, link=link, actor=who)
        return result.to_dict()

    @api.post("/sync-all")
    async def sync_all(who: Actor = actor) -> dict[str, Any]:
        """Synchronise all rows; after 25 s the reply gives the run to watch instead of its outcome."""
        report = await hosting.sync_all(who)
        if report is None:
            latest = await hosting.crm.transact(lambda session: read_runs(session, limit=1))
            run_id = latest[0].run_id if latest else None
            return _reply(SyncReport(run_id, "running"), "Синхронизация продолжается", success=True)
        if report.status == "running":
            code = "already_running"
            return _reply(report, failure_text(code), success=False) | {"code": code, "error": failure_text(code)}
        return _reply(report, run_outcome(report.to_dict()), success=report.status in {"success", "partial"})

    @api.get("/runs/{run_id}")
    async def run(run_id: int) -> dict[str, Any]:
        """How a run is getting on."""
        found = await hosting.crm.transact(lambda session: read_runs(session, run_id, limit=1)) if 0 < run_id < 2**63 else []
        if not found:
            raise HostingError(404, "not_found", "Такого запуска нет")
        return {"success": True, **found[0].to_dict()}

    return api


def _reply(report: SyncReport, message: str, *, success: bool) -> dict[str, Any]:
    plain = report.to_dict()
    rows = {
        key: [{"timeweb_id": item["timeweb_id"], "crm_id": item["crm_id"], "name": item["name"]} for item in plain[key]]
        for key in ("created", "updated")
    }
    failure = {} if success else {"code": report.error_code or "failed", "error": message}
    return {**plain, **rows, "success": success, "message": message, **failure}
