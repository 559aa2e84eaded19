"""The schema of revision 0002, frozen: what long histories and many accounts need beside the tables of 0001."""

from __future__ import annotations

from typing import TYPE_CHECKING

import sqlalchemy as sa

from crm_adapter.migrations import baseline

if TYPE_CHECKING:
    from types import ModuleType

    from alembic.operations import Operations

_LEASE = "timeweb_sync_lease"
_QUEUED = "queued_ms"


def month_table() -> sa.Table:
    """Sums at the ends of months that are over."""
    return sa.Table(
        "timeweb_month_end",
        sa.MetaData(),
        sa.Column("month", sa.Date, primary_key=True),
        sa.Column("income", sa.Numeric(12, 2)),
        sa.Column("cost", sa.Numeric(12, 2)),
        sa.Column("margin", sa.Numeric(12, 2)),
        mysql_charset="utf8mb4",
        mysql_engine="InnoDB",
        mariadb_charset="utf8mb4",
        mariadb_engine="InnoDB",
    )


def indexes() -> list[sa.Index]:
    """What the outbox and the runs are asked for all the time; MariaDB has no partial indexes and gets whole ones."""
    tables = {table.name: table for table in baseline.own_tables()}
    event, run = tables["timeweb_event_outbox"].c, tables["timeweb_sync_run"].c
    listed_by = tables["timeweb_server_state"].c.listed_by
    waiting = sa.and_(event.sent_at.is_(None), event.dead_at.is_(None))
    found = (
        ("ix_timeweb_event_outbox_waiting", (event.sent_at, event.dead_at, event.id), waiting),
        ("ix_timeweb_event_outbox_dead", (event.dead_at, event.id), event.dead_at.is_not(None)),
        ("ix_timeweb_event_outbox_claimed", (event.claimed_by,), event.claimed_by.is_not(None)),
        ("ix_timeweb_server_state_listed_by", (listed_by,), listed_by.is_not(None)),
        ("ix_timeweb_sync_run_open", (run.finished_at, run.id), run.finished_at.is_(None)),
    )
    return [sa.Index(name, *columns, postgresql_where=where, sqlite_where=where) for name, columns, where in found]


def upgrade(op: Operations | ModuleType, bind: sa.Connection) -> None:
    """Add what is missing."""
    for index in indexes():
        assert index.table is not None
        if index.name not in _index_names(bind, index.table.name):
            index.create(bind)
    if _QUEUED not in _column_names(bind):
        op.add_column(_LEASE, sa.Column(_QUEUED, sa.BigInteger))


def downgrade(op: Operations | ModuleType, bind: sa.Connection) -> None:
    """Drop what `upgrade` added."""
    for index in indexes():
        assert index.table is not None
        if index.name in _index_names(bind, index.table.name):
            index.drop(bind)
    if _QUEUED in _column_names(bind):
        op.drop_column(_LEASE, _QUEUED)
    month_table().drop(bind, checkfirst=True)


def _index_names(bind: sa.Connection, table: str) -> set[str | None]:
    return {index["name"] for index in sa.inspect(bind).get_indexes(table)}


def _column_names(bind: sa.Connection) -> set[str]:
    return {column["name"] for column in sa.inspect(bind).get_columns(_LEASE)}
