"""Dialogs on what is filtered: sums by client and project, and the calendar of payments."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Any, Final

from fastapi import APIRouter, Depends, Request
from fastapi.responses import Response

from crm_adapter.money import add_months
from crm_adapter.servers.listing import Filters
from crm_adapter.servers.overview import YEARS, Group, Grouping, month_of, read_grouping, read_payers, weeks
from crm_adapter.servers.totals import By
from crm_adapter.text import page as words
from crm_adapter.text.formats import month as month_name
from crm_adapter.web.addresses import address, filters_of, query
from crm_adapter.web.context import Hosting
from crm_adapter.web.responses import Pages

if TYPE_CHECKING:
    from crm_adapter.db.rows import StoredRow

_GROUPS: Final = 300
"""Groups on one page, the greatest income first."""
_PAYMENTS: Final = 500
"""Payments on one page; where a month brings more, each day shows its greatest."""
_OF_A_DAY: Final = 10
_LATE: Final = 100
"""Payments that are late from before the month, the oldest first."""


def add_routes(api: APIRouter, hosting: Hosting, pages: Pages) -> None:
    """Add both."""
    wanted = Depends(filters_of)

    @api.get("/groups")
    async def groups(request: Request, filters: Filters = wanted, by: str = "client") -> Response:
        """What each client or project earns."""
        columns, today, base = hosting.crm.columns, hosting.today(), hosting.base(request)
        chosen: By = "project" if by == "project" else "client"

        def reply(grouping: Grouping) -> Response:
            found = grouping.groups()
            context = {
                "title": words.GROUPINGS[chosen],
                "by": chosen,
                "groups": [(group, _leads_to(base, filters, chosen, group)) for group in found[:_GROUPS]],
                "more": len(found) > _GROUPS,
                "everything": grouping.together(),
                "filters": filters,
                "tabs": [
                    {"caption": caption, "url": _below(base, "groups", filters, by=key), "current": key == chosen}
                    for key, caption in words.GROUPINGS.items()
                ],
            }
            return pages.reply(request, "groups.html", context)

        return await hosting.crm.work_out(lambda session: read_grouping(session, columns, filters, today, chosen), reply)

    @api.get("/payments")
    async def payments(request: Request, filters: Filters = wanted, month: str = "") -> Response:
        """Which payments a month brings."""
        columns, today, base = hosting.crm.columns, hosting.today(), hosting.base(request)
        first = _month(month, today)

        def neighbour(step: int) -> dict[str, str] | None:
            other = add_months(first, step)
            if abs(other.year - today.year) > YEARS:
                return None
            return {"caption": month_name(other), "url": _below(base, "payments", filters, month=f"{other:%Y-%m}")}

        def reply(rows: list[StoredRow]) -> Response:
            found = month_of(rows, today, first)
            many = sum(len(payments) for payments in found.days.values()) > _PAYMENTS
            context: dict[str, Any] = {
                "title": words.PAYMENTS,
                "month": found,
                "most": _OF_A_DAY if many else _PAYMENTS,
                "most_late": _LATE,
                "caption": month_name(first),
                "weeks": weeks(first),
                "today": today,
                "filters": filters,
                "before": neighbour(-1),
                "after": neighbour(1),
            }
            return pages.reply(request, "payments.html", context)

        return await hosting.crm.work_out(lambda session: read_payers(session, columns, filters, today, first), reply)


def _month(text: str, today: date) -> date:
    """The first day of a month as `2026-12`; this month for what is none."""
    try:
        first = date.fromisoformat(f"{text}-01")
    except ValueError:
        return today.replace(day=1)
    return first if abs(first.year - today.year) <= YEARS else today.replace(day=1)


def _below(base: str, path: str, filters: Filters, **more: str) -> str:
    """A dialog on the same rows."""
    narrowed = query(filters, page=1)
    return f"{base}/{path}{narrowed}{'&' if narrowed else '?'}{'&'.join(f'{name}={value}' for name, value in more.items())}"


def _leads_to(base: str, filters: Filters, by: By, group: Group) -> str | None:
    """The list of the rows of a group; rows without a project have no filter."""
    if by == "client":
        return address(base, filters, client=group.name, page=1)
    return None if group.key is None else address(base, filters, project=group.key, page=1)
