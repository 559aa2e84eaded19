"""The schema of revision 0003, frozen: services that cost money beside servers, whose they are, and their months."""

from __future__ import annotations

from typing import TYPE_CHECKING

import sqlalchemy as sa

from crm_adapter.migrations.baseline import AUTO_ID, INSTANT, LONG_TEXT, MONEY, OPTIONS, key

if TYPE_CHECKING:
    from types import ModuleType

    from alembic.operations import Operations

_LOG_INDEX = "ix_timeweb_change_log_service_id"


def tables() -> list[sa.Table]:
    """What this revision creates."""
    metadata = sa.MetaData()
    service = sa.Table(
        "timeweb_service",
        metadata,
        sa.Column("id", AUTO_ID, primary_key=True),
        sa.Column("account", key(100), nullable=False),
        sa.Column("type", key(50), nullable=False),
        sa.Column("service_id", key(100), nullable=False),
        sa.Column("name", sa.String(255)),
        sa.Column("project_id", sa.BigInteger),
        sa.Column("cost_gross", MONEY, nullable=False),
        sa.Column("cost_net", MONEY, nullable=False),
        sa.Column("parts", LONG_TEXT),
        sa.Column("first_seen_at", INSTANT, nullable=False),
        sa.Column("last_seen_at", INSTANT, nullable=False),
        sa.Column("gone_since", INSTANT),
        sa.Column("told_unowned", sa.Boolean, nullable=False),
        sa.Column("server_id", sa.BigInteger, index=True),
        sa.Column("server_born", sa.String(40)),
        sa.Column("client_name", sa.String(255)),
        **OPTIONS,
    )
    sa.Index("uq_timeweb_service", service.c.account, service.c.type, service.c.service_id, unique=True)
    month = sa.Table(
        "timeweb_service_month",
        metadata,
        sa.Column("month", sa.Date, primary_key=True),
        sa.Column("service", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("cost_net", MONEY, nullable=False),
        sa.Column("client_name", sa.String(255)),
        **OPTIONS,
    )
    return [service, month]


def columns() -> list[tuple[str, sa.Column[object]]]:
    """What this revision adds to tables of ours: table and column."""
    return [
        ("timeweb_account_state", sa.Column("services_at", INSTANT)),
        ("timeweb_account_state", sa.Column("balance_week_told", sa.Boolean)),
        ("timeweb_change_log", sa.Column("service_id", sa.BigInteger)),
    ]


def upgrade(op: Operations | ModuleType, bind: sa.Connection) -> None:
    """Add the columns and the index that are missing; the tables are there."""
    for table, column in columns():
        if column.name not in _columns(bind, table):
            op.add_column(table, column)
    if _LOG_INDEX not in _indexes(bind):
        op.create_index(_LOG_INDEX, "timeweb_change_log", ["service_id"])


def downgrade(op: Operations | ModuleType, bind: sa.Connection) -> None:
    """Drop what this revision made."""
    if _LOG_INDEX in _indexes(bind):
        op.drop_index(_LOG_INDEX, table_name="timeweb_change_log")
    for table, column in columns():
        if column.name in _columns(bind, table):
            op.drop_column(table, column.name)
    for table in reversed(tables()):
        table.drop(bind, checkfirst=True)


def _columns(bind: sa.Connection, table: str) -> set[str]:
    return {column["name"] for column in sa.inspect(bind).get_columns(table)}


def _indexes(bind: sa.Connection) -> set[str | None]:
    return {index["name"] for index in sa.inspect(bind).get_indexes("timeweb_change_log")}
