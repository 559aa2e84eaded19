"""Forms: which inputs there are, what they show, and what people's input means."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import TYPE_CHECKING, Any, Final

from crm_adapter.db.columns import SHARED
from crm_adapter.money import MONTHS
from crm_adapter.servers import listing
from crm_adapter.servers.validation import Invalid, parse_day
from crm_adapter.text import labels, page as words

if TYPE_CHECKING:
    from decimal import Decimal

    from starlette.datastructures import FormData

    from crm_adapter.db.rows import StoredRow
    from crm_adapter.web.context import Hosting

CELLS: Final[Mapping[str, tuple[str, ...]]] = {
    "client_name": ("client_name",),
    "project_id": ("project_id",),
    "client_price": ("client_price", "service_fee"),
    "next_payment_date": ("next_payment_date",),
}
"""What is edited in its cell: the cell's name -> its inputs. A price is shown with the fee that is added to it."""

_MONEY: Final = ("cost_price", "client_price", "service_fee")
_DATES: Final = ("start_date", "next_payment_date")
_COMMON: Final = (
    "client_name",
    "client_company",
    "client_telegram_id",
    "project_id",
    "client_price",
    "service_fee",
    "payment_period",
    "next_payment_date",
    "start_date",
    "cost_price",
    "status",
)
NEW: Final = ("server_name", "configuration", "ip_address", *_COMMON, "notes")


def fields_of(row: StoredRow) -> tuple[str, ...]:
    """The inputs of the form of a row: what Timeweb keeps is not among them."""
    return ("server_name", *_COMMON, "notes") if row.timeweb_id is not None else NEW


def shown(row: StoredRow) -> dict[str, str]:
    """What the inputs show for a row."""
    texts = {name: _text(getattr(row, name)) for name in fields_of(row)}
    if row.cost_source != "manual" and row.timeweb_id is not None:
        texts["cost_price"] = ""
    return texts


def blank(today: date) -> dict[str, str]:
    """What the inputs of a new server show."""
    return dict.fromkeys(NEW, "") | {"payment_period": "monthly", "status": "active", "start_date": today.isoformat()}


async def names(hosting: Hosting) -> dict[str, Any]:
    """What the inputs need to know: choices, which are money, which are dates."""
    known = await hosting.crm.transact(lambda session: listing.projects(session, hosting.crm.columns, named_only=True))
    choices: dict[str, dict[str, str]] = {
        "status": {code: badge.word for code, badge in labels.STATUSES.items()},
        "payment_period": {code: words.every(code) for code in MONTHS},
    }
    if known:
        choices["project_id"] = {"": "—"} | {str(number): name for number, name in known.items()}
    numbers = ("project_id", "client_telegram_id")
    return {"choices": choices, "money_fields": _MONEY, "dates": _DATES, "numbers": numbers, "hints": words.HINTS}


def typed(form: FormData) -> dict[str, str]:
    """The texts of a form; line ends as the database has them."""
    return {name: value.replace("\r\n", "\n").strip() for name, value in form.items() if isinstance(value, str)}


def for_edit(changed: Mapping[str, str | None]) -> dict[str, Any]:
    """Blank means "nothing" for most columns, but None hands a shared one back to sync, which is meant for the cost only."""
    return {name: "" if value is None and name in SHARED - {"cost_price"} else value for name, value in changed.items()}


def problem(text: str) -> tuple[str, str]:
    """Split `column: what is wrong`; the column is empty when the text names none."""
    name, colon, rest = text.partition(": ")
    return (name, rest) if colon and name in NEW else ("", text)


def number(value: object) -> int | None:
    """A field's id; None for what no id can be, since people and programs send anything."""
    return int(value) if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 20 else None


def day(value: object) -> date | None:
    """A hidden field's date."""
    try:
        return parse_day(value) if isinstance(value, str) and value else None
    except Invalid:
        return None


def _text(value: Any) -> str:
    if value is None:
        return ""
    if hasattr(value, "date"):
        return str(value.date().isoformat())
    return _amount(value) if hasattr(value, "quantize") else str(value)


def _amount(value: Decimal) -> str:
    return f"{value:.2f}".replace(".", ",").removesuffix(",00")
