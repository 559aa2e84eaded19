"""What the API tells of rows and sums, as JSON types."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from crm_adapter.results import Numbers, to_plain
from crm_adapter.text.messages import ZERO_NOTE, without

if TYPE_CHECKING:
    from datetime import date
    from decimal import Decimal

    from crm_adapter.db.rows import StoredRow
    from crm_adapter.results import Totals
    from crm_adapter.servers.overview import Group

_NUMBERS: Final = (
    "cost_price",
    "client_price",
    "service_fee",
    "total_price",
    "profit_amount",
    "profit_percent",
    "days_remaining",
)
_OF_ACCOUNTS: Final = {"other_costs", "balance", "hours_left", "services_included"}


@dataclass(frozen=True)
class Documents:
    """How one router tells rows and sums to programs."""

    numbers: Numbers = "null"
    """What an unknown number is: null, or 0 for front ends that cannot take null."""

    def server(self, row: StoredRow, today: date) -> dict[str, Any]:
        """One row: its columns, what is known beside them, and its sums; RUB and percent."""
        document = row.to_dict()
        due = row.next_payment_date
        document["days_remaining"] = (due.date() - today).days if due is not None else None
        if self.numbers == "zero":
            document |= {name: 0 for name in _NUMBERS if document[name] is None}
        return document

    def changed(self, row: StoredRow, values: Mapping[str, Any]) -> dict[str, Any]:
        """Leave out what is sent as it was told: forms send every field, and an unknown number that was told as 0 is no 0."""
        told = row.to_dict()
        shown_as_zero = {name for name in _NUMBERS if self.numbers == "zero" and told.get(name) is None}
        return {name: value for name, value in values.items() if not (name in shown_as_zero and value == 0)}

    def note(self) -> dict[str, str]:
        """The sentence that goes with rows whose zeros may hide something."""
        return {"note": ZERO_NOTE} if self.numbers == "zero" else {}

    def stats(self, totals: Totals, all_time: Decimal | float | None) -> dict[str, Any]:
        """All sums, RUB per month, null where nothing is known; and in `stats` the five that a front end adds to its head.

        Those five are always numbers, so `stats.note` says what they leave out.
        """
        plain = to_plain(totals)
        five = {name: plain[name] or 0 for name in ("active_servers", "profit_month", "overdue_count", "overdue_sum")}
        hidden = totals.unpriced_count + totals.unknown_cost_count
        stats = {**five, "profit_all_time": to_plain(all_time) or 0, "note": without(hidden) if hidden else ""}
        return {**self._filled(plain), "stats": stats, **self.note()}

    def groups(self, groups: Sequence[Group]) -> list[dict[str, Any]]:
        """Sums by client or project as `stats` has them, without those of accounts; `key` is null for rows of none."""
        return [{"key": group.key, "name": group.name, **self._filled(_of_servers(group.totals))} for group in groups]

    def _filled(self, sums: Mapping[str, Any]) -> dict[str, Any]:
        return {name: 0 if value is None and self.numbers == "zero" else value for name, value in sums.items()}


def _of_servers(totals: Totals) -> dict[str, Any]:
    return {name: value for name, value in to_plain(totals).items() if name not in _OF_ACCOUNTS}
