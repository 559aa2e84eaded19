"""The schema of revision 0001, frozen: a later change of the models must not rewrite what this revision did."""

from __future__ import annotations

from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.dialects.mysql import DATETIME, MEDIUMTEXT, VARCHAR

_CHARSET = "utf8mb4"
"""Databases that were created long ago take no emoji."""
LONG_TEXT = sa.Text().with_variant(MEDIUMTEXT(charset=_CHARSET), "mysql", "mariadb")
"""MariaDB's TEXT ends at 65,535 bytes, and the description of a large server is longer."""
INSTANT = sa.DateTime().with_variant(DATETIME(fsp=6), "mysql", "mariadb")
AUTO_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
"""A BigInteger primary key does not autoincrement on SQLite."""
MONEY = sa.Numeric(12, 2)
OPTIONS: Final[dict[str, Any]] = {
    "mysql_charset": _CHARSET,
    "mysql_engine": "InnoDB",
    "mariadb_charset": _CHARSET,
    "mariadb_engine": "InnoDB",
}
"""Whatever the server's defaults are: MyISAM would store a change without its log."""
_HOST_AMOUNT = sa.Float().with_variant(sa.Double(), "mysql", "mariadb")
"""MariaDB's FLOAT is single precision and rounds 12345.67."""


def key(length: int) -> sa.types.TypeEngine[str]:
    """Text that is compared by its bytes; MariaDB's usual collations take «ё» for «е», and «A» for «a»."""
    exact = VARCHAR(length, charset=_CHARSET, collation="utf8mb4_bin")
    return sa.String(length).with_variant(exact, "mysql", "mariadb")


def unique_index_name(table: str) -> str:
    """The name of the unique index on `timeweb_id`."""
    return f"uq_{table}_timeweb_id"


def integration_columns(*, strict: bool = False) -> list[sa.Column[object]]:
    """The six columns that the host's table receives; `strict` for a STRICT table of SQLite, which knows few types.

    `auto_sync` has a default in the database, so code of the host that does not know it can still insert rows.
    """
    if strict:
        return [
            sa.Column("timeweb_id", sa.Integer),
            sa.Column("timeweb_status", sa.Text),
            sa.Column("timeweb_preset_id", sa.Integer),
            sa.Column("timeweb_data", sa.Text),
            sa.Column("auto_sync", sa.Integer, server_default=sa.text("1")),
            sa.Column("last_sync_at", sa.Text),
        ]
    return [
        sa.Column("timeweb_id", sa.BigInteger, nullable=True),
        sa.Column("timeweb_status", sa.String(50), nullable=True),
        sa.Column("timeweb_preset_id", sa.Integer, nullable=True),
        sa.Column("timeweb_data", LONG_TEXT, nullable=True),
        sa.Column("auto_sync", sa.Boolean, nullable=True, server_default=sa.true()),
        sa.Column("last_sync_at", sa.DateTime, nullable=True),
    ]


def hosting_table(name: str, schema: str | None = None) -> sa.Table:
    """The CRM's table without the six columns, for a database that has none."""
    return sa.Table(
        name,
        sa.MetaData(),
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("project_id", sa.Integer),
        sa.Column("client_id", sa.Integer),
        sa.Column("client_name", sa.String(255), nullable=False),
        sa.Column("client_company", sa.String(255)),
        sa.Column("client_telegram_id", sa.BigInteger),
        sa.Column("server_name", sa.String(255), nullable=False),
        sa.Column("configuration", sa.Text),
        sa.Column("ip_address", sa.String(50)),
        sa.Column("cost_price", _HOST_AMOUNT, nullable=False, server_default=sa.text("0")),
        sa.Column("client_price", _HOST_AMOUNT, nullable=False, server_default=sa.text("0")),
        sa.Column("service_fee", _HOST_AMOUNT),
        sa.Column("balance", _HOST_AMOUNT),
        sa.Column("balance_last_updated", sa.DateTime),
        sa.Column("start_date", sa.DateTime, nullable=False),
        sa.Column("next_payment_date", sa.DateTime, nullable=False),
        sa.Column("payment_period", sa.String(20), nullable=False),
        sa.Column("status", sa.String(20), nullable=False),
        sa.Column("notes", sa.Text),
        sa.Column("created_at", sa.DateTime),
        sa.Column("updated_at", sa.DateTime),
        schema=schema,
        mysql_engine="InnoDB",
        mariadb_engine="InnoDB",
    )


def own_tables() -> list[sa.Table]:
    """The adapter's own tables; none refers to the host's, whose name is not ours to know."""
    metadata = sa.MetaData()
    sa.Table(
        "timeweb_server_state",
        metadata,
        sa.Column("server_id", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("timeweb_id", sa.BigInteger, index=True),
        sa.Column("account", key(100), index=True),
        sa.Column("listed_by", key(100)),
        sa.Column("configurator_id", sa.BigInteger),
        sa.Column("project_id", sa.BigInteger),
        sa.Column("location", sa.String(50)),
        sa.Column("ip_all", LONG_TEXT),
        sa.Column("cost_gross", MONEY),
        sa.Column("cost_source", sa.String(20), nullable=False),
        sa.Column("cost_stale", sa.Boolean, nullable=False),
        sa.Column("cost_components", LONG_TEXT),
        sa.Column("currency", sa.String(3)),
        sa.Column("sync_base", sa.Text, nullable=False),
        sa.Column("fingerprint", sa.String(64)),
        sa.Column("missing_since", INSTANT),
        sa.Column("removed_at", INSTANT),
        sa.Column("problem_runs", sa.Integer, nullable=False),
        sa.Column("edit_version", sa.Integer, nullable=False),
        sa.Column("payment_anchor_day", sa.Integer),
        sa.Column("unlinked_from", sa.BigInteger),
        **OPTIONS,
    )
    sa.Table(
        "timeweb_account_state",
        metadata,
        sa.Column("account", key(100), primary_key=True),
        sa.Column("account_id", key(100)),
        sa.Column("identity_checked_at", INSTANT),
        sa.Column("token_fingerprint", sa.String(64)),
        sa.Column("balance", MONEY),
        sa.Column("currency", sa.String(3)),
        sa.Column("monthly_cost", MONEY),
        sa.Column("monthly_fee", MONEY),
        sa.Column("hours_left", sa.Integer),
        sa.Column("finances_at", INSTANT),
        sa.Column("cost_basis", sa.String(10)),
        sa.Column("cost_factor", sa.String(40)),
        sa.Column("other_costs", MONEY),
        sa.Column("presets", LONG_TEXT),
        sa.Column("presets_at", INSTANT),
        sa.Column("servers_total", sa.Integer),
        sa.Column("last_attempt_at", INSTANT),
        sa.Column("last_success_at", INSTANT),
        sa.Column("listed_at", INSTANT),
        sa.Column("last_status", sa.String(20)),
        sa.Column("error_code", sa.String(50)),
        sa.Column("failures", sa.Integer, nullable=False),
        sa.Column("retry_at", INSTANT),
        sa.Column("balance_alerted", sa.Boolean, nullable=False),
        **OPTIONS,
    )
    sa.Table(
        "timeweb_sync_lease",
        metadata,
        sa.Column("account", key(100), primary_key=True),
        sa.Column("owner", key(64)),
        sa.Column("run_id", sa.BigInteger),
        sa.Column("expires_ms", sa.BigInteger, nullable=False),
        sa.Column("progress", sa.Integer, nullable=False),
        sa.Column("total", sa.Integer, nullable=False),
        **OPTIONS,
    )
    sa.Table(
        "timeweb_sync_run",
        metadata,
        sa.Column("id", AUTO_ID, primary_key=True),
        sa.Column("kind", sa.String(20), nullable=False),
        sa.Column("actor", sa.String(255)),
        sa.Column("status", sa.String(20), nullable=False),
        sa.Column("error_code", sa.String(50)),
        sa.Column("started_at", INSTANT, nullable=False, index=True),
        sa.Column("finished_at", INSTANT),
        sa.Column("report", LONG_TEXT),
        **OPTIONS,
    )
    sa.Table(
        "timeweb_change_log",
        metadata,
        sa.Column("id", AUTO_ID, primary_key=True),
        sa.Column("at", INSTANT, nullable=False, index=True),
        sa.Column("server_id", sa.BigInteger, nullable=False, index=True),
        sa.Column("timeweb_id", sa.BigInteger),
        sa.Column("account", key(100)),
        sa.Column("run_id", sa.BigInteger, index=True),
        sa.Column("actor", sa.String(255)),
        sa.Column("field", sa.String(64), nullable=False),
        sa.Column("old", LONG_TEXT),
        sa.Column("new", LONG_TEXT),
        **OPTIONS,
    )
    sa.Table(
        "timeweb_event_outbox",
        metadata,
        sa.Column("id", AUTO_ID, primary_key=True),
        sa.Column("kind", sa.String(40), nullable=False),
        sa.Column("dedupe_key", key(190), nullable=False, unique=True),
        sa.Column("account", key(100)),
        sa.Column("server_id", sa.BigInteger),
        sa.Column("run_id", sa.BigInteger),
        sa.Column("payload", LONG_TEXT, nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("next_try_at", INSTANT, nullable=False, index=True),
        sa.Column("tries", sa.Integer, nullable=False),
        sa.Column("claimed_by", key(64)),
        sa.Column("sent_at", INSTANT),
        sa.Column("dead_at", INSTANT),
        sa.Column("last_error", sa.String(255)),
        sa.Column("taken_by", LONG_TEXT),
        **OPTIONS,
    )
    return list(metadata.tables.values())
