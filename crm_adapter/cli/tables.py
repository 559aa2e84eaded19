"""Tables for people."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich import box
from rich.table import Table
from rich.text import Text

from crm_adapter.text import command as words, labels
from crm_adapter.text.formats import UNKNOWN, instant, money, visible

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from zoneinfo import ZoneInfo

    from crm_adapter.db.rows import StoredRow
    from crm_adapter.ledger.results import ServiceInfo, ServiceList
    from crm_adapter.results import PlannedServer, RunInfo, Totals

_COLOURS = {"good": "green", "warn": "yellow", "bad": "red", "idle": "bright_black"}


def servers_table(rows: Sequence[StoredRow]) -> Table:
    """Server, status, configuration, address and cost per month."""
    table = _table(*words.SERVERS)
    table.columns[0].justify = table.columns[5].justify = "right"
    for column in (0, 4, 5):
        table.columns[column].no_wrap = True
    for row in rows:
        name, text = Text(visible(row.server_name)), Text(visible(row.configuration or UNKNOWN))
        table.add_row(str(row.id), name, _status(row), text, row.ip_address or UNKNOWN, cost_text(row))
    return table


def totals_line(totals: Totals) -> str:
    """What the rows earn: the same sums as on the page."""
    money_of_all = (totals.income_month, totals.cost_month, totals.other_costs, totals.result_month, totals.profit_month)
    return words.sums(*money_of_all, totals.priced_count)


def services_table(services: Sequence[ServiceInfo]) -> Table:
    """Service, what it is, whose it is, and its cost per month."""
    table = _table(*words.SERVICES)
    table.columns[0].justify = table.columns[5].justify = "right"
    for each in services:
        name, kind = Text(visible(each.name)), Text(visible(labels.service_type(each.type)))
        whose = Text(visible(labels.service_owner(each.server_name, each.client_name) or words.NOBODYS))
        if each.owner is None and each.proposal is not None:
            whose.append(f" ({visible(each.proposal.reason)})", style=_COLOURS["idle"])
        table.add_row(str(each.id), name, kind, Text(visible(each.account)), whose, money(each.cost_net))
    return table


def services_line(found: ServiceList) -> str:
    """What the services cost together, and what of it is nobody's."""
    return words.services(found.total, found.cost_month, found.unowned_count, found.unowned_cost)


def cost_text(row: StoredRow) -> str:
    """The cost per month, with ≈ when it is the price of the preset only."""
    if row.cost_price is None:
        return UNKNOWN
    return f"{'≈ ' if row.cost_source == 'preset' else ''}{money(row.cost_price)}{'*' if row.cost_stale else ''}"


def runs_table(runs: Iterable[RunInfo], zone: ZoneInfo) -> Table:
    """The run history."""
    table = _table(*words.RUNS)
    for run in runs:
        report = run.report or {}
        outcome = labels.RUN_STATUSES.get(run.status, run.status)
        cut_short = [part["message"] for part in report.get("accounts", ()) if part["error_code"] == "crashed"]
        reason = "; ".join(dict.fromkeys(cut_short)) or labels.failure(run.error_code)
        found = (report.get(f"{name}_count", "") for name in ("created", "updated", "unchanged", "error"))
        counts = (UNKNOWN if count is None else str(count) for count in found)
        table.add_row(
            str(run.run_id),
            instant(run.started_at, zone),
            instant(run.finished_at, zone),
            f"{outcome}: {reason}" if reason else outcome,
            Text(visible(run.actor or UNKNOWN)),
            *counts,
        )
    return table


def plan_table(servers: Iterable[PlannedServer]) -> Table:
    """What a sync would do to each server that is not as it should be."""
    table = _table(*words.PLAN)
    for server in servers:
        if server.action == "unchanged":
            continue
        changed = "\n".join(
            f"{labels.COLUMNS.get(name, name)}: {_short(old)} → {_short(new)}" for name, (old, new) in server.changes.items()
        )
        table.add_row(
            words.ACTIONS.get(server.action, server.action),
            Text(visible(server.name or UNKNOWN)),
            str(server.timeweb_id or UNKNOWN),
            str(server.crm_id or UNKNOWN),
            Text(changed or server.reason or ""),
        )
    return table


def report_lines(report: Mapping[str, Any], *, planned: bool = False) -> list[str]:
    """A sync report as sentences; `planned` of one that was not carried out."""
    return [visible(line) for line in words.report(report, planned=planned)]


def _table(*headers: str) -> Table:
    return Table(*headers, header_style="bold", box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True)


def _status(row: StoredRow) -> Text:
    badge, there = labels.status(row.status), labels.timeweb_status(row.timeweb_status)
    text = Text(f"{badge.shape} {badge.word}", style=_COLOURS[badge.tone])
    if row.removed_at is not None:
        text.append(f" ({words.REMOVED})", style="red")
    elif there is not None and row.timeweb_status != "on":
        text.append(f" ({visible(there.word)})", style=_COLOURS[there.tone])
    return text


def _short(value: object) -> str:
    text = UNKNOWN if value is None else str(value)
    return visible(text if len(text) <= 60 else f"{text[:59]}…")
