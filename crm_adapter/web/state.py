"""What stands above the table, ready for the templates; re-read on its own while a sync runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from crm_adapter.text.messages import ALREADY_RUNNING, run_outcome
from crm_adapter.web.summary import Summary, latest_run, read_summary

if TYPE_CHECKING:
    from crm_adapter.results import RunInfo, SyncReport
    from crm_adapter.web.context import Hosting


async def read_state(hosting: Hosting) -> dict[str, Any]:
    """Read it and present it."""
    configured = hosting.is_configured
    summary, latest = await hosting.crm.transact(
        lambda session: (read_summary(session, configured=configured), latest_run(session))
    )
    return present(hosting, summary, latest)


def present(hosting: Hosting, summary: Summary, latest: RunInfo | None) -> dict[str, Any]:
    """What the templates take."""
    return {
        "summary": summary,
        "latest": latest,
        "configured": summary.configured,
        "updated": summary.updated(hosting.zone_info, hosting.now()),
        "timeweb_line": summary.timeweb(),
        "notices": summary.notices(hosting.zone_info, latest),
    }


def after_start(state: dict[str, Any], report: SyncReport | None) -> tuple[dict[str, Any], bool]:
    """The state after somebody started a sync, and whether the table is to be read again; None: it still runs."""
    if report is None:
        # The lease may not be taken yet; the page must start to watch all the same.
        return state | {"summary": state["summary"].as_running()}, False
    if report.status == "running":
        return state | {"message": ALREADY_RUNNING, "message_tone": "bad"}, False
    message, tone = run_outcome(report.to_dict()), "bad" if report.status == "failed" else "good"
    return state | {"message": message, "message_tone": tone}, True
