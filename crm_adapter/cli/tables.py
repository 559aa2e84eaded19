"""Tables for people."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich import box
from rich.table import Table
from rich.text import Text

from crm_adapter.text import labels
from crm_adapter.text.formats import UNKNOWN, count, instant, money, visible

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from zoneinfo import ZoneInfo

    from crm_adapter.db.rows import StoredRow
    from crm_adapter.ledger.results import ServiceInfo, ServiceList
    from crm_adapter.results import PlannedServer, RunInfo, Totals

_COLOURS = {"good": "green", "warn": "yellow", "bad": "red", "idle": "bright_black"}


def servers_table(rows: Sequence[StoredRow]) -> Table:
    """Server, status, configuration, address and cost per month."""
    table = _table("ID", "Сервер", "Статус", "Конфигурация", "IP-адрес", "Себестоимость")
    table.columns[0].justify = table.columns[5].justify = "right"
    for column in (0, 4, 5):
        table.columns[column].no_wrap = True
    for row in rows:
        name, text = Text(visible(row.server_name)), Text(visible(row.configuration or UNKNOWN))
        table.add_row(str(row.id), name, _status(row), text, row.ip_address or UNKNOWN, cost_text(row))
    return table


def totals_line(totals: Totals) -> str:
    """What the rows earn: the same sums as on the page."""
    other = f" - прочие расходы {money(totals.other_costs)}" if totals.other_costs else ""
    margin = f"маржа {money(totals.profit_month)} по {count(totals.priced_count, 'server_dative')} с ценой"
    return (
        f"Доход {money(totals.income_month)} - себестоимость {money(totals.cost_month)}{other}"
        f" = результат {money(totals.result_month)} в месяц, в том числе {margin}"
    )


def services_table(services: Sequence[ServiceInfo]) -> Table:
    """Service, what it is, whose it is, and its cost per month."""
    table = _table("ID", "Услуга", "Тип", "Аккаунт", "Чья", "Себестоимость")
    table.columns[0].justify = table.columns[5].justify = "right"
    for each in services:
        name, kind = Text(visible(each.name)), Text(visible(labels.service_type(each.type)))
        whose = Text(visible(labels.service_owner(each.server_name, each.client_name) or "ничья"))
        if each.owner is None and each.proposal is not None:
            whose.append(f" ({visible(each.proposal.reason)})", style=_COLOURS["idle"])
        table.add_row(str(each.id), name, kind, Text(visible(each.account)), whose, money(each.cost_net))
    return table


def services_line(found: ServiceList) -> str:
    """What the services cost together, and what of it is nobody's."""
    nobodys = f", из них ничьих {found.unowned_count} на {money(found.unowned_cost)}" if found.unowned_count else ""
    return f"{count(found.total, 'service').capitalize()} на {money(found.cost_month)} в месяц{nobodys}"


def cost_text(row: StoredRow) -> str:
    """The cost per month, with ≈ when it is the price of the preset only."""
    if row.cost_price is None:
        return UNKNOWN
    return f"{'≈ ' if row.cost_source == 'preset' else ''}{money(row.cost_price)}{'*' if row.cost_stale else ''}"


def runs_table(runs: Iterable[RunInfo], zone: ZoneInfo) -> Table:
    """The run history."""
    table = _table("Запуск", "Начало", "Конец", "Итог", "Кто", "Создано", "Обновлено", "Без изменений", "Ошибок")
    for run in runs:
        report = run.report or {}
        outcome = labels.RUN_STATUSES.get(run.status, run.status)
        reason = labels.failure(run.error_code)
        counts = (str(report.get(f"{name}_count", "")) for name in ("created", "updated", "unchanged", "error"))
        table.add_row(
            str(run.run_id),
            instant(run.started_at, zone),
            instant(run.finished_at, zone),
            f"{outcome}: {reason}" if reason else outcome,
            Text(visible(run.actor or UNKNOWN)),
            *counts,
        )
    return table


_ACTIONS = {
    "create": "создать",
    "update": "обновить",
    "unchanged": "без изменений",
    "link": "связать",
    "restore": "вернуть",
    "remove": "отметить удалённым",
    "missing": "не найден",
    "skip": "пропустить",
    "error": "ошибка",
}


def plan_table(servers: Iterable[PlannedServer]) -> Table:
    """What a sync would do to each server that is not as it should be."""
    table = _table("Действие", "Сервер", "Timeweb ID", "ID в CRM", "Изменения")
    for server in servers:
        if server.action == "unchanged":
            continue
        changed = "\n".join(
            f"{labels.COLUMNS.get(name, name)}: {_short(old)} → {_short(new)}" for name, (old, new) in server.changes.items()
        )
        table.add_row(
            _ACTIONS.get(server.action, server.action),
            Text(visible(server.name or UNKNOWN)),
            str(server.timeweb_id or UNKNOWN),
            str(server.crm_id or UNKNOWN),
            Text(changed or server.reason or ""),
        )
    return table


def report_lines(report: Mapping[str, Any], *, planned: bool = False) -> list[str]:
    """A sync report as sentences; `planned` of one that was not carried out."""
    words = ("создать", "обновить", "оставить без изменений") if planned else ("создано", "обновлено", "без изменений")
    head = {
        "success": "План синхронизации" if planned else "Синхронизация завершена",
        "partial": "Синхронизация завершена частично",
        "failed": "Синхронизация не удалась",
        "skipped": "Синхронизация не нужна: данные свежие",
        "running": "Синхронизация уже выполняется",
    }.get(str(report["status"]), str(report["status"]))
    lines = [
        (
            f"{head}: {words[0]} {report['created_count']}, {words[1]} {report['updated_count']}, "
            f"{words[2]} {report['unchanged_count']} (запросов к Timeweb: {report['api_calls']})"
        )
    ]
    extra = {"linked": "связано", "missing": "не найдено", "restored": "вернулось", "skipped": "пропущено"}
    if counted := [f"{word} {report[f'{key}_count']}" for key, word in extra.items() if report[f"{key}_count"]]:
        lines.append("Кроме того: " + ", ".join(counted))
    for account in report.get("accounts", ()):
        if account["error_code"]:
            lines.append(f"Аккаунт {account['account']}: {labels.failure(account['error_code'], account['message'])}")
    if report["error_code"] and len(lines) == 1:
        lines.append(labels.failure(report["error_code"]))
    lines += [f"Внимание: {labels.failure(warning['code'], warning['message'])}" for warning in report["warnings"]]
    if report["error_count"]:
        lines.append(f"{count(report['error_count'], 'error').capitalize()}:")
        lines += [f"  {error['server_name'] or error['server_id'] or UNKNOWN}: {error['error']}" for error in report["errors"]]
    return [visible(line) for line in lines]


def _table(*headers: str) -> Table:
    return Table(*headers, header_style="bold", box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True)


def _status(row: StoredRow) -> Text:
    badge, there = labels.status(row.status), labels.timeweb_status(row.timeweb_status)
    text = Text(f"{badge.shape} {badge.word}", style=_COLOURS[badge.tone])
    if row.removed_at is not None:
        text.append(" (удалён в Timeweb)", style="red")
    elif there is not None and there.word != "работает":
        text.append(f" ({visible(there.word)})", style=_COLOURS[there.tone])
    return text


def _short(value: object) -> str:
    text = UNKNOWN if value is None else str(value)
    return visible(text if len(text) <= 60 else f"{text[:59]}…")
