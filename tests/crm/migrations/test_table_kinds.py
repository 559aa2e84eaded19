"""Kinds of tables that a CRM may have: each takes the columns, or is refused by name with nothing changed."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import sessionmaker

from crm_adapter import HostingServer, migrations, payment_reminders, sync_all, totals, update_manual
from crm_adapter.db.tables import AdapterBase, HostBase
from tests.crm.database import kept
from tests.crm.fake_timeweb import client, world
from tests.crm.migrations.test_migrations import SIX, columns, rows, run, tables
from tests.databases import own_database

BODY = """
    client_name VARCHAR(255) NOT NULL, server_name VARCHAR(255) NOT NULL, cost_price {amount} NOT NULL DEFAULT 0,
    next_payment_date {date} NOT NULL, status VARCHAR(20) NOT NULL
"""
PLAIN = BODY.format(amount="FLOAT", date="TIMESTAMP")


@pytest.fixture
def sqlite(tmp_path: Path) -> Iterator[sa.Engine]:
    engine = sa.create_engine(f"sqlite:///{tmp_path / 'crm.sqlite3'}")
    yield engine
    engine.dispose()


@pytest.fixture
def postgres(postgres_url: str) -> Iterator[sa.Engine]:
    with own_database(postgres_url) as url:
        engine = sa.create_engine(url)
        yield engine
        engine.dispose()


@pytest.fixture
def mariadb(mariadb_url: str) -> Iterator[sa.Engine]:
    with own_database(mariadb_url) as url:
        engine = sa.create_engine(url)
        yield engine
        engine.dispose()


def refused(engine: sa.Engine, pattern: str, table: str = "hosting_servers") -> None:
    """The migration raises with these words, and the database is as it was."""
    before, tables_before = columns(engine, table), tables(engine)
    with pytest.raises(migrations.MigrationError, match=pattern) as caught:
        migrations.upgrade(engine, table=table)
    assert table in str(caught.value)
    assert (columns(engine, table), tables(engine)) == (before, tables_before)


@pytest.mark.parametrize("key", ["id", "status"])
def test_a_partitioned_table_of_mariadb(mariadb: sa.Engine, key: str) -> None:
    by = "HASH (id) PARTITIONS 4" if key == "id" else "KEY (id, status) PARTITIONS 2"
    keys = "id" if key == "id" else "id, status"
    run(mariadb, f"CREATE TABLE hosting_servers (id INTEGER, {PLAIN}, PRIMARY KEY ({keys})) PARTITION BY {by}")
    refused(mariadb, "partitioned.*unique")


def test_a_system_versioned_table_is_refused_while_its_history_may_not_be_altered(mariadb: sa.Engine) -> None:
    run(mariadb, f"CREATE TABLE hosting_servers (id INTEGER PRIMARY KEY, {PLAIN}) WITH SYSTEM VERSIONING")
    before = columns(mariadb)
    refused(mariadb, "system_versioning_alter_history")
    sa.event.listen(mariadb, "connect", lambda connection, _: connection.query("SET system_versioning_alter_history = 'KEEP'"))
    mariadb.dispose()
    assert migrations.upgrade(mariadb).added_columns == tuple(SIX)
    assert not migrations.upgrade(mariadb).changed
    migrations.downgrade(mariadb)
    assert columns(mariadb) == before


def test_a_system_versioned_table_is_synchronised(mariadb: sa.Engine) -> None:
    migrations.upgrade(mariadb)
    run(mariadb, "ALTER TABLE hosting_servers ADD SYSTEM VERSIONING")
    db, fake = sessionmaker(mariadb), world(2)
    assert sync_all(db, client(fake)).created_count == 2
    assert sync_all(db, client(fake)).unchanged_count == 2
    assert update_manual(db, 1, {"client_name": "Anna"}).success
    assert rows(mariadb, "SELECT client_name FROM hosting_servers ORDER BY id") == [("Anna",), ("Не указан",)]


@pytest.mark.parametrize("engine_name", ["MyISAM", "Aria", "MEMORY"])
def test_an_engine_without_transactions_is_refused(mariadb: sa.Engine, engine_name: str) -> None:
    run(mariadb, f"CREATE TABLE hosting_servers (id INTEGER PRIMARY KEY, {PLAIN}) ENGINE={engine_name}")
    refused(mariadb, f"{engine_name}.*ENGINE=InnoDB")


def test_tables_of_ours_are_transactional_whatever_the_server_prefers(mariadb: sa.Engine) -> None:
    sa.event.listen(mariadb, "connect", lambda connection, _: connection.query("SET default_storage_engine = 'MyISAM'"))
    migrations.upgrade(mariadb)
    found = rows(mariadb, "SELECT table_name, engine FROM information_schema.tables WHERE table_schema = DATABASE()")
    assert {engine for name, engine in found if name != migrations.VERSION_TABLE} == {"InnoDB"}


def test_names_of_accounts_are_compared_by_their_bytes(mariadb: sa.Engine) -> None:
    """Given a collation that takes «ё» for «е», A for a and ß for ss: an account is only what it is called."""
    migrations.upgrade(mariadb)
    names = ["Семён", "Семен", "семен", "Straße", "Strasse", "й", "и\u0306"]
    with mariadb.begin() as connection:
        table = AdapterBase.metadata.tables["timeweb_account_state"]
        connection.execute(table.insert(), [{"account": name, "failures": 0, "balance_alerted": False} for name in names])
        found = connection.execute(sa.select(table.c.account).where(table.c.account == "Семен")).scalars().all()
    assert found == ["Семен"]
    binary = {
        (table, column)
        for table, column, collation in rows(
            mariadb,
            "SELECT table_name, column_name, collation_name FROM information_schema.columns WHERE table_schema = DATABASE()"
            " AND LEFT(table_name, 8) = 'timeweb_' AND RIGHT(collation_name, 4) = '_bin'",
        )
    }
    assert {
        ("timeweb_account_state", "account"), ("timeweb_sync_lease", "account"), ("timeweb_server_state", "account"),
        ("timeweb_event_outbox", "dedupe_key"), ("timeweb_sync_lease", "owner"), ("timeweb_event_outbox", "claimed_by"),
        ("timeweb_account_state", "account_id"),
    } <= binary  # fmt: skip


def test_a_partitioned_table_of_postgresql_and_its_parts(postgres: sa.Engine) -> None:
    run(
        postgres,
        f"CREATE TABLE hosting_servers (id INTEGER PRIMARY KEY, {PLAIN}) PARTITION BY RANGE (id)",
        "CREATE TABLE part_one PARTITION OF hosting_servers FOR VALUES FROM (1) TO (100)",
    )
    refused(postgres, "partitioned.*unique")
    refused(postgres, "partition of hosting_servers", "part_one")


def test_inheritance_of_postgresql(postgres: sa.Engine) -> None:
    """A unique index does not span the children, whose rows the parent shows; a child of its own is an ordinary table."""
    run(
        postgres,
        f"CREATE TABLE hosting_servers (id INTEGER PRIMARY KEY, {PLAIN})",
        "CREATE TABLE old_servers (PRIMARY KEY (id)) INHERITS (hosting_servers)",
    )
    refused(postgres, "old_servers inherits")
    assert migrations.upgrade(postgres, table="old_servers").added_columns == tuple(SIX)


@pytest.mark.parametrize("engine_name", ["sqlite", "postgres", "mariadb"])
def test_a_view_is_refused(request: pytest.FixtureRequest, engine_name: str) -> None:
    engine: sa.Engine = request.getfixturevalue(engine_name)
    run(
        engine,
        f"CREATE TABLE machines (id INTEGER PRIMARY KEY, {PLAIN})",
        "CREATE VIEW hosting_servers AS SELECT * FROM machines WHERE status <> 'closed'",
    )
    refused(engine, "is a view")


def test_other_relations_of_postgresql_are_refused(postgres: sa.Engine) -> None:
    run(
        postgres,
        f"CREATE TABLE machines (id INTEGER PRIMARY KEY, {PLAIN})",
        "CREATE MATERIALIZED VIEW hosting_servers AS SELECT * FROM machines",
    )
    refused(postgres, "is a view")


def test_a_virtual_table_of_sqlite_is_refused(sqlite: sa.Engine) -> None:
    run(sqlite, "CREATE VIRTUAL TABLE hosting_servers USING fts5 (server_name, status)")
    refused(sqlite, "virtual table")


def test_a_strict_table_of_sqlite_works(sqlite: sa.Engine) -> None:
    run(
        sqlite,
        "CREATE TABLE hosting_servers (id INTEGER PRIMARY KEY, project_id INTEGER, client_id INTEGER,"
        " client_name TEXT NOT NULL, client_company TEXT, client_telegram_id INTEGER, server_name TEXT NOT NULL,"
        " configuration TEXT, ip_address TEXT,"
        " cost_price REAL NOT NULL DEFAULT 0, client_price REAL NOT NULL DEFAULT 0, service_fee REAL, balance REAL,"
        " balance_last_updated TEXT, start_date TEXT NOT NULL, next_payment_date TEXT NOT NULL, payment_period TEXT NOT NULL,"
        " status TEXT NOT NULL, notes TEXT, created_at TEXT, updated_at TEXT) STRICT",
    )
    before = columns(sqlite)
    assert migrations.upgrade(sqlite).added_columns == tuple(SIX)
    assert not migrations.upgrade(sqlite).changed
    db, fake = sessionmaker(sqlite), world(3)
    assert sync_all(db, client(fake)).created_count == 3
    assert sync_all(db, client(fake)).unchanged_count == 3
    assert update_manual(db, 1, {"client_name": "Anna", "client_price": 900, "next_payment_date": "2026-01-01"}).success
    day = date(2026, 1, 2)
    assert (totals(db, today=day).overdue_count, payment_reminders(db, today=day).overdue) == (1, 1)
    with db() as session:
        assert session.scalars(sa.select(HostingServer.auto_sync)).all() == [True] * 3
    migrations.downgrade(sqlite)
    assert columns(sqlite) == before


def test_a_table_without_rowid_works(sqlite: sa.Engine) -> None:
    run(sqlite, f"CREATE TABLE hosting_servers (id INTEGER PRIMARY KEY, {PLAIN}) WITHOUT ROWID")
    assert migrations.upgrade(sqlite).added_columns == tuple(SIX)


def test_odd_names_are_quoted(engine: sa.Engine) -> None:
    """Given a table and a key that are reserved words, with capitals."""
    quote = engine.dialect.identifier_preparer.quote
    run(engine, f"CREATE TABLE {quote('Order')} ({quote('select')} INTEGER PRIMARY KEY, {PLAIN})")
    before = columns(engine, "Order")
    assert migrations.upgrade(engine, table="Order").added_columns == tuple(SIX)
    assert not migrations.upgrade(engine, table="Order").changed
    migrations.downgrade(engine, table="Order")
    assert columns(engine, "Order") == before


def test_computed_columns_checks_and_generated_keys_survive(engine: sa.Engine) -> None:
    own_key = {"postgresql": "INTEGER GENERATED ALWAYS AS IDENTITY PRIMARY KEY"}
    own_key |= dict.fromkeys(("mysql", "mariadb"), "INTEGER AUTO_INCREMENT PRIMARY KEY")
    run(
        engine,
        f"CREATE TABLE hosting_servers (id {own_key.get(engine.dialect.name, 'INTEGER PRIMARY KEY')}, {PLAIN},"
        " label VARCHAR(300) GENERATED ALWAYS AS (server_name) STORED, CHECK (cost_price >= 0))",
    )
    before = columns(engine)
    assert migrations.upgrade(engine).added_columns == tuple(SIX)
    migrations.downgrade(engine)
    assert columns(engine) == before
    with pytest.raises((sa.exc.IntegrityError, sa.exc.OperationalError)):
        run(
            engine,
            "INSERT INTO hosting_servers (client_name, server_name, cost_price, next_payment_date, status)"
            " VALUES ('a', 'b', -1, '2026-01-01', 'active')",
        )


def test_what_the_database_itself_refuses_leaves_everything_as_it_was(postgres: sa.Engine, mariadb: sa.Engine) -> None:
    """Given a role that may not alter the table, and a row that is full already."""
    run(
        postgres,
        f"CREATE TABLE hosting_servers (id INTEGER PRIMARY KEY, {PLAIN})",
        "DROP ROLE IF EXISTS timeweb_test_guest",
        "CREATE ROLE timeweb_test_guest",
        "GRANT ALL ON SCHEMA public TO timeweb_test_guest",
        "GRANT ALL ON hosting_servers TO timeweb_test_guest",
    )
    guest = sa.create_engine(postgres.url)
    sa.event.listen(
        guest, "connect", lambda connection, _: (connection.execute("SET ROLE timeweb_test_guest"), connection.commit())
    )
    try:
        refused(guest, "owner of table")
    finally:
        guest.dispose()
        run(postgres, "DROP OWNED BY timeweb_test_guest", "DROP ROLE timeweb_test_guest")
    wide = ", ".join(f"c{number} CHAR(255)" for number in range(31))
    run(mariadb, f"CREATE TABLE hosting_servers (id INTEGER PRIMARY KEY, {wide}, last VARCHAR(180)) CHARSET latin1")
    refused(mariadb, "nothing was changed")


def test_a_database_that_may_only_be_read(sqlite: sa.Engine, postgres: sa.Engine) -> None:
    run(sqlite, f"CREATE TABLE hosting_servers (id INTEGER PRIMARY KEY, {PLAIN})")
    replica = kept(sa.create_engine(f"sqlite:///file:{sqlite.url.database}?mode=ro&uri=true"))
    refused(replica, "read-only|readonly")
    run(postgres, f"CREATE TABLE hosting_servers (id INTEGER PRIMARY KEY, {PLAIN})")
    standby = kept(sa.create_engine(postgres.url, connect_args={"options": "-c default_transaction_read_only=on"}))
    refused(standby, "read-only")


def test_the_models_are_the_migrated_tables_in_collation_and_engine(mariadb: sa.Engine) -> None:
    migrations.upgrade(mariadb)
    asked = (
        "SELECT table_name, column_name, collation_name FROM information_schema.columns"
        " WHERE table_schema = DATABASE() AND LEFT(table_name, 8) = 'timeweb_' ORDER BY 1, 2"
    )
    kept = (migrations.VERSION_TABLE, "timeweb_migration_ledger")
    migrated = [row for row in rows(mariadb, asked) if row[0] not in kept]
    AdapterBase.metadata.drop_all(mariadb)
    HostBase.metadata.drop_all(mariadb)
    AdapterBase.metadata.create_all(mariadb)
    assert [row for row in rows(mariadb, asked) if row[0] not in kept] == migrated
