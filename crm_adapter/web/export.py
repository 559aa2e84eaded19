"""CSV for spreadsheets: UTF-8 with BOM, semicolons, decimal commas, no cell that a spreadsheet would execute."""

from __future__ import annotations

import codecs
import csv
import io
import re
from typing import TYPE_CHECKING

from crm_adapter.text import labels
from crm_adapter.text.formats import UNKNOWN, day, instant, visible
from crm_adapter.text.page import CSV_HEADERS

if TYPE_CHECKING:
    from collections.abc import Iterable
    from decimal import Decimal
    from zoneinfo import ZoneInfo

    from crm_adapter.db.rows import StoredRow

_FORMULA = re.compile("((?:^|[;,\t\r\n])[ \u00a0\ufeff\"']*)(?=[=+\\-@\t\r\n|%])")
"""Where a cell may begin (of ours, or of a reader that separates by commas, tabs or lines), before what makes it a formula."""


def csv_head() -> bytes:
    """The beginning of the file of rows."""
    return table_csv(CSV_HEADERS, ())


def to_csv(rows: Iterable[StoredRow], zone: ZoneInfo) -> bytes:
    """The rows as lines of the file."""
    return lines_csv(_cells(row, zone) for row in rows)


def table_csv(headers: Iterable[str], lines: Iterable[Iterable[object]]) -> bytes:
    """A table as a file; texts in it have gone through `safe`, amounts through `amount`."""
    return codecs.BOM_UTF8 + lines_csv([headers]) + lines_csv(lines)


def lines_csv(cells: Iterable[Iterable[object]]) -> bytes:
    """Lines without their headers."""
    text = io.StringIO()
    csv.writer(text, delimiter=";", lineterminator="\r\n").writerows(cells)
    return text.getvalue().encode()


def _cells(row: StoredRow, zone: ZoneInfo) -> list[object]:
    there = labels.timeweb_status(row.timeweb_status)
    return [
        row.id,
        safe(row.server_name),
        safe(labels.status(row.status).word),
        safe(there.word) if there else "",
        safe(row.configuration),
        safe(row.ip_address),
        safe(row.client_name),
        safe(row.client_company),
        row.project_id or "",
        safe(row.account),
        amount(row.cost_price),
        safe(labels.COST_SOURCES.get(row.cost_source, row.cost_source)),
        amount(row.client_price),
        amount(row.service_fee) if row.service_fee is not None else "",
        safe(labels.PERIODS.get(row.payment_period, row.payment_period)),
        amount(row.profit_amount),
        amount(row.profit_percent),
        day(row.start_date),
        day(row.next_payment_date),
        row.timeweb_id or "",
        instant(row.last_sync_at, zone) if row.last_sync_at else "",
        safe(row.notes),
    ]


def amount(value: Decimal | None) -> str:
    """A number as a Russian spreadsheet reads it; «—» when it is not known. A loss keeps its minus: it is a number."""
    return UNKNOWN if value is None else str(value).replace(".", ",")


def safe(value: str | None) -> str:
    """Text that no spreadsheet takes for a formula, whichever separator and line ends it reads the file with."""
    text = visible((value or "").replace("\x00", "").replace("\r\n", "\n"))
    return _FORMULA.sub(r"\1'", text)
