"""The change log of a row in people's words."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Final

from crm_adapter.db.history import read_changes
from crm_adapter.servers.months import as_amount
from crm_adapter.sync.freshness import ACTOR
from crm_adapter.text import labels, page as words
from crm_adapter.text.formats import UNKNOWN, day, instant, money

if TYPE_CHECKING:
    from collections.abc import Collection
    from zoneinfo import ZoneInfo

    from crm_adapter.results import Change
    from crm_adapter.web.context import Hosting

_SILENT = frozenset({"timeweb_data"})
"""Changes that say nothing to people: the raw snapshot moves with every detail."""


_SHOWN: Final = 200


async def read_history(hosting: Hosting, row_id: int) -> list[dict[str, str]]:
    """The newest changes of a row, newest first."""
    changes = await hosting.crm.transact(lambda session: read_changes(session, row_id, limit=_SHOWN))
    return [present(change, hosting.zone_info) for change in changes if change.field not in _SILENT]


async def who_was_faster(hosting: Hosting, row_id: int, fields: Collection[str]) -> str:
    """A version conflict, told kindly: who changed what, and that nothing typed is lost."""
    changes = await hosting.crm.transact(lambda session: read_changes(session, row_id, limit=20))
    by_people = [change for change in changes if change.run_id is None]
    latest = next((change for change in by_people if change.field in fields), next(iter(by_people), None))
    if latest is None:
        return words.FASTER
    change = present(latest, hosting.zone_info)
    return words.faster(latest.actor, change["field"], change["new"])


def present(change: Change, zone: ZoneInfo) -> dict[str, str]:
    """One change."""
    return {
        "at": instant(change.at, zone),
        "actor": _who(change),
        "field": labels.COLUMNS.get(change.field, change.field),
        "old": _shown(change.field, change.old),
        "new": _shown(change.field, change.new),
    }


def _who(change: Change) -> str:
    """A run writes as the synchronisation, whoever started it; a person without a name is not one."""
    if change.run_id is None:
        return change.actor or words.UNNAMED
    return words.SYNC if change.actor in {None, ACTOR} else f"{words.SYNC} ({change.actor})"


def _shown(field: str, text: str | None) -> str:
    """A logged value in people's words."""
    if text is None or text == "":
        return UNKNOWN
    if field == "status":
        return labels.status(text).word
    if field == "timeweb_status" and (badge := labels.timeweb_status(text)):
        return badge.word
    if field == "cost_source":
        return labels.COST_SOURCES.get(text, text)
    if field == "payment_period":
        return labels.PERIODS.get(text, text)
    if field == "auto_sync":
        return labels.switched(text.lower() in {"true", "1"})
    if field == "owner":
        return labels.owner(text)
    try:
        if field in {"cost_price", "client_price", "service_fee", "balance", "cost_net", "cost_gross"}:
            return money(as_amount(text))
        if field in {"next_payment_date", "start_date", "gone", "returned"}:
            return day(datetime.fromisoformat(text))
    except ValueError:
        pass
    return text
