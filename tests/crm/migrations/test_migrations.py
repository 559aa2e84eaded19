"""The migration on a production table that it has never seen."""

from __future__ import annotations

import copy
import pickle
import threading
import uuid
from typing import Any

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.operations import Operations

from crm_adapter import migrations
from crm_adapter.db.tables import AdapterBase, HostBase
from crm_adapter.migrations import helpers

SIX = ["timeweb_id", "timeweb_status", "timeweb_preset_id", "timeweb_data", "auto_sync", "last_sync_at"]

PRODUCTION = """
CREATE TABLE hosting_servers (
    id INTEGER PRIMARY KEY,
    project_id INTEGER REFERENCES projects (id),
    client_name VARCHAR(255) NOT NULL,
    server_name VARCHAR(255) NOT NULL,
    cost_price FLOAT NOT NULL DEFAULT 0,
    next_payment_date TIMESTAMP NOT NULL,
    status VARCHAR(20) NOT NULL DEFAULT 'active',
    paid_from VARCHAR(40){extra}
)
"""
TRIGGER = {
    "sqlite": [
        "CREATE TRIGGER hosting_audit AFTER UPDATE ON hosting_servers BEGIN INSERT INTO audit (row_id) VALUES (NEW.id); END",
    ],
    "mariadb": ["CREATE TRIGGER hosting_audit AFTER UPDATE ON hosting_servers FOR EACH ROW INSERT INTO audit VALUES (NEW.id)"],
    "postgresql": [
        """CREATE FUNCTION hosting_audit() RETURNS trigger LANGUAGE plpgsql AS
        'BEGIN INSERT INTO audit (row_id) VALUES (NEW.id); RETURN NEW; END'""",
        "CREATE TRIGGER hosting_audit AFTER UPDATE ON hosting_servers FOR EACH ROW EXECUTE FUNCTION hosting_audit()",
    ],
}


def run(engine: sa.Engine, *statements: str) -> None:
    with engine.begin() as connection:
        for statement in statements:
            connection.exec_driver_sql(statement)


def rows(engine: sa.Engine, query: str) -> list[tuple[Any, ...]]:
    with engine.connect() as connection:
        return [tuple(row) for row in connection.exec_driver_sql(query)]


def columns(engine: sa.Engine, table: str = "hosting_servers") -> list[str]:
    return [column["name"] for column in sa.inspect(engine).get_columns(table)]


def tables(engine: sa.Engine) -> set[str]:
    return set(sa.inspect(engine).get_table_names())


def production(engine: sa.Engine, extra: str = "") -> None:
    """The table as a CRM has it: rows, a foreign key, an index and a trigger of its own, and no column of ours."""
    run(
        engine,
        "CREATE TABLE projects (id INTEGER PRIMARY KEY, name VARCHAR(50))",
        "CREATE TABLE audit (row_id INTEGER)",
        PRODUCTION.format(extra=extra),
        "CREATE INDEX ix_paid ON hosting_servers (paid_from)",
        "INSERT INTO projects VALUES (1, 'Shop')",
        "INSERT INTO hosting_servers (id, project_id, client_name, server_name, cost_price, next_payment_date)"
        " VALUES (1, 1, 'Anna', 'web-1', 1180.35, '2026-12-01'), (2, NULL, 'Boris', 'db-1', 0, '2026-11-30')",
        *TRIGGER["mariadb" if engine.dialect.name == "mysql" else engine.dialect.name],
    )


def test_an_empty_database_gets_everything_the_models_need(engine: sa.Engine) -> None:
    report = migrations.upgrade(engine)

    assert (report.before, report.after, report.created_table) == (None, migrations.head_revision(), True)
    assert migrations.current_revision(engine) == migrations.head_revision()
    with engine.connect() as connection:
        ours = {*HostBase.metadata.tables, *AdapterBase.metadata.tables}
        options = {"include_name": lambda name, kind, parents: kind != "table" or name in ours, "compare_type": True}
        context = MigrationContext.configure(connection, opts=options)
        both: Any = [HostBase.metadata, AdapterBase.metadata]
        assert compare_metadata(context, both) == []


def test_a_production_table_gets_six_columns_and_keeps_all_else(engine: sa.Engine) -> None:
    production(engine)
    before = columns(engine)

    report = migrations.upgrade(engine)

    assert columns(engine) == [*before, *SIX]
    assert report.added_columns == tuple(SIX)
    assert rows(engine, "SELECT id, client_name, server_name, status FROM hosting_servers ORDER BY id") == [
        (1, "Anna", "web-1", "active"),
        (2, "Boris", "db-1", "active"),
    ]
    assert [bool(auto) for (auto,) in rows(engine, "SELECT auto_sync FROM hosting_servers")] == [True, True]
    inspector = sa.inspect(engine)
    assert [key["referred_table"] for key in inspector.get_foreign_keys("hosting_servers")] == ["projects"]
    assert {"ix_paid", "uq_hosting_servers_timeweb_id"} <= {index["name"] for index in inspector.get_indexes("hosting_servers")}
    run(engine, "UPDATE hosting_servers SET status = 'overdue' WHERE id = 2")
    assert rows(engine, "SELECT row_id FROM audit") == [(2,)]


def test_a_timeweb_id_can_stand_in_one_row_only(engine: sa.Engine) -> None:
    production(engine)
    migrations.upgrade(engine)
    run(engine, "UPDATE hosting_servers SET timeweb_id = 9007199254740993 WHERE id = 1")

    with pytest.raises(sa.exc.IntegrityError):
        run(engine, "UPDATE hosting_servers SET timeweb_id = 9007199254740993 WHERE id = 2")
    assert rows(engine, "SELECT timeweb_id FROM hosting_servers WHERE id = 1") == [(9007199254740993,)]


def test_the_host_table_is_altered_in_place(engine: sa.Engine) -> None:
    production(engine)
    statements: list[str] = []
    sa.event.listen(engine, "before_cursor_execute", lambda *call: statements.append(call[2]))

    migrations.upgrade(engine)

    touching = [" ".join(text.split()[:3]).upper() for text in statements if "hosting_servers" in text and not _reads(text)]
    # MariaDB commits each statement, so it gets one that does all or nothing.
    plain = ["ALTER TABLE HOSTING_SERVERS"] * 6 + ["CREATE UNIQUE INDEX"]
    assert touching == (["ALTER TABLE HOSTING_SERVERS"] if engine.dialect.name in {"mysql", "mariadb"} else plain)
    assert not [text for text in statements if text.lstrip().upper().startswith("DROP") or " RENAME " in text.upper()]


def _reads(statement: str) -> bool:
    return statement.lstrip().upper().startswith(("SELECT", "PRAGMA", "SHOW", "DESCRIBE", "WITH"))


def test_a_second_run_does_nothing(engine: sa.Engine) -> None:
    production(engine)
    migrations.upgrade(engine)
    statements: list[str] = []
    sa.event.listen(engine, "before_cursor_execute", lambda *call: statements.append(call[2]))

    report = migrations.upgrade(engine)

    assert not report.changed
    assert report.added_columns == ()
    writing = ("CREATE", "ALTER", "DROP", "INSERT", "UPDATE", "DELETE")
    assert [text for text in statements if text.lstrip().upper().startswith(writing)] == []


def test_a_downgrade_restores_the_column_list(engine: sa.Engine) -> None:
    production(engine)
    before, tables_before = columns(engine), tables(engine)
    migrations.upgrade(engine)

    report = migrations.downgrade(engine)

    assert columns(engine) == before
    assert report.dropped_columns == tuple(SIX)
    assert tables(engine) == tables_before
    assert migrations.current_revision(engine) is None
    run(engine, "UPDATE hosting_servers SET status = 'closed' WHERE id = 1")
    assert rows(engine, "SELECT row_id FROM audit") == [(1,)]
    assert migrations.upgrade(engine).added_columns == tuple(SIX)


def test_columns_that_were_there_before_survive_both_ways(engine: sa.Engine) -> None:
    production(engine, extra=", timeweb_id BIGINT, timeweb_status VARCHAR(50)")
    before = columns(engine)

    migrations.upgrade(engine)
    assert columns(engine) == [*before, *SIX[2:]]
    migrations.downgrade(engine)
    assert columns(engine) == before


def test_a_unique_constraint_of_the_host_is_enough(engine: sa.Engine) -> None:
    production(engine, extra=", timeweb_id BIGINT UNIQUE")

    migrations.upgrade(engine)

    assert "uq_hosting_servers_timeweb_id" not in {index["name"] for index in sa.inspect(engine).get_indexes("hosting_servers")}


def test_duplicates_are_named_before_anything_changes(engine: sa.Engine) -> None:
    production(engine, extra=", timeweb_id BIGINT")
    run(engine, "UPDATE hosting_servers SET timeweb_id = 4711")
    before, tables_before = columns(engine), tables(engine)

    with pytest.raises(migrations.DuplicateTimewebIds, match="timeweb_id 4711 in rows 1, 2") as caught:
        migrations.upgrade(engine)

    assert caught.value.duplicates == {4711: (1, 2)}
    assert str(copy.copy(pickle.loads(pickle.dumps(caught.value)))) == str(caught.value)
    assert columns(engine) == before
    assert tables(engine) == tables_before


def test_a_column_of_another_type_is_refused_by_name(engine: sa.Engine) -> None:
    production(engine, extra=", timeweb_id VARCHAR(40)")
    tables_before = tables(engine)

    with pytest.raises(migrations.MigrationError, match=r"hosting_servers\.timeweb_id exists as VARCHAR"):
        migrations.upgrade(engine)
    assert tables(engine) == tables_before


def test_a_run_that_was_cut_short_is_finished_by_the_next(engine: sa.Engine) -> None:
    production(engine)
    with engine.begin() as connection:
        operations = Operations(MigrationContext.configure(connection))
        operations.add_column("hosting_servers", sa.Column("timeweb_id", sa.BigInteger))

    migrations.upgrade(engine)

    assert [name for name in columns(engine) if name in SIX] == SIX


def test_the_helpers_serve_a_history_of_the_host(engine: sa.Engine) -> None:
    run(engine, PRODUCTION.format(extra="").replace("hosting_servers", "srv").replace(" REFERENCES projects (id)", ""))
    before = columns(engine, "srv")
    with engine.begin() as connection:
        helpers.upgrade(Operations(MigrationContext.configure(connection)), table="srv")
    assert columns(engine, "srv") == [*before, *SIX]
    assert "timeweb_sync_run" in tables(engine)
    assert migrations.VERSION_TABLE not in tables(engine)

    with engine.begin() as connection:
        helpers.downgrade(Operations(MigrationContext.configure(connection)), table="srv")
    assert columns(engine, "srv") == before
    assert tables(engine) == {"srv"}


def test_offline_mode_is_refused() -> None:
    context = MigrationContext.configure(dialect_name="postgresql", opts={"as_sql": True})
    with pytest.raises(migrations.MigrationError, match="offline"):
        helpers.upgrade(Operations(context))


def test_a_table_that_people_filled_survives_a_downgrade(engine: sa.Engine) -> None:
    migrations.upgrade(engine)
    run(
        engine,
        "INSERT INTO hosting_servers (id, client_name, server_name, start_date, next_payment_date, payment_period, status)"
        " VALUES (1, 'Anna', 'web-1', '2026-01-01', '2026-12-01', 'monthly', 'active')",
    )
    migrations.downgrade(engine)
    assert rows(engine, "SELECT client_name FROM hosting_servers") == [("Anna",)]
    assert not set(columns(engine)) & set(SIX)


def test_an_empty_table_of_ours_goes_with_a_downgrade(engine: sa.Engine) -> None:
    migrations.upgrade(engine)
    migrations.downgrade(engine)
    assert tables(engine) == set()


def test_a_long_description_fits(engine: sa.Engine) -> None:
    production(engine)
    migrations.upgrade(engine)
    text = "ж" * 70_000
    table = sa.table("hosting_servers", sa.column("id"), sa.column("timeweb_data"))
    with engine.begin() as connection:
        connection.execute(table.update().where(table.c.id == 1).values(timeweb_data=text))
    assert rows(engine, "SELECT timeweb_data FROM hosting_servers WHERE id = 1") == [(text,)]


def test_workers_that_start_together_migrate_once(engine: sa.Engine) -> None:
    production(engine)
    reports: list[migrations.MigrationReport] = []
    threads = [threading.Thread(target=lambda: reports.append(migrations.upgrade(engine))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(report.changed for report in reports) == [False, False, False, True]


def test_a_second_table_is_prepared_though_the_version_is_there_already(engine: sa.Engine) -> None:
    """Given a first run under the default name; when the CRM's table is called otherwise; then it gets its columns."""
    migrations.upgrade(engine)
    run(engine, "CREATE TABLE servers (id INTEGER PRIMARY KEY, name VARCHAR(50))")
    report = migrations.upgrade(engine, table="servers")
    assert (report.changed, report.created_table, report.added_columns) == (True, False, tuple(SIX))
    assert columns(engine, "servers") == ["id", "name", *SIX]
    assert not migrations.upgrade(engine, table="servers").changed


def test_a_table_in_a_schema_of_its_own(postgres_url: str) -> None:
    name = f"test_migrations_{uuid.uuid4().hex[:12]}"
    admin = sa.create_engine(postgres_url, isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.exec_driver_sql(f"CREATE DATABASE {name}")
    engine = sa.create_engine(sa.make_url(postgres_url).set(database=name))
    try:
        run(engine, "CREATE SCHEMA crm", "CREATE TABLE crm.servers (id INTEGER PRIMARY KEY, name VARCHAR(50))")
        assert migrations.upgrade(engine, table="crm.servers").added_columns == tuple(SIX)
        run(engine, "INSERT INTO crm.servers (id, timeweb_id) VALUES (1, 5)")
        with pytest.raises(sa.exc.IntegrityError):
            run(engine, "INSERT INTO crm.servers (id, timeweb_id) VALUES (2, 5)")
        assert not migrations.upgrade(engine, table="crm.servers").changed
        assert migrations.downgrade(engine, table="crm.servers").dropped_columns == tuple(SIX)
        inspector = sa.inspect(engine)
        assert (inspector.get_table_names(), inspector.get_table_names("crm")) == ([], ["servers"])
        assert migrations.upgrade(engine, table="crm.hosting_servers").created_table
        migrations.downgrade(engine, table="crm.hosting_servers")
        assert sa.inspect(engine).get_table_names("crm") == ["servers"]
    finally:
        engine.dispose()
        with admin.connect() as connection:
            connection.exec_driver_sql(f"DROP DATABASE {name}")
        admin.dispose()


def test_a_schema_that_does_not_exist_is_refused(engine: sa.Engine) -> None:
    with pytest.raises(migrations.MigrationError, match="no schema 'nowhere'"):
        migrations.upgrade(engine, table="nowhere.hosting_servers")
    assert tables(engine) == set()
