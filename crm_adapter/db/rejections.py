"""Why the database refused a row, as a code and a sentence."""

from __future__ import annotations

from typing import TYPE_CHECKING

from crm_adapter.db.dialects import takes_used_key
from crm_adapter.text import messages

if TYPE_CHECKING:
    from sqlalchemy.exc import StatementError

    from crm_adapter.db.columns import Columns


def rejection(error: StatementError, columns: Columns) -> tuple[str, str]:
    """Code and sentence for a row that the database refused."""
    if takes_used_key(error, columns.table):
        return "sequence_behind", messages.sequence_behind(columns.table.fullname, columns["id"].name)
    return "database_rejected", messages.failure_text("database_rejected")
