"""Behind a real PgBouncer in transaction mode, whose two sides are joined for one transaction only."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import sessionmaker

from crm_adapter import migrations, sync_all, sync_server, totals, update_manual
from crm_adapter.settings import SettingsError, load_settings
from crm_adapter.wiring import open_engine
from tests.crm.fake_timeweb import client, world
from tests.databases import own_database
from tests.waiting import until

CONFIGURATION = """
[databases]
{database} = host={host} port={port} user={user} {password}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {listen}
auth_type = any
pool_mode = transaction
default_pool_size = 1
unix_socket_dir =
logfile = {folder}/pgbouncer.log
"""

#: Of this database alone: tests beside this one hold theirs.
ADVISORY_LOCKS = """
SELECT count(*) FROM pg_locks JOIN pg_database ON pg_database.oid = pg_locks.database
WHERE locktype = 'advisory' AND datname = current_database()
"""


@pytest.fixture(scope="module")
def pooled(postgres_url: str) -> Iterator[sa.URL]:
    """An empty database, reached through one server connection that all clients share."""
    program = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if program is None:
        pytest.skip("no pgbouncer on PATH; install it")
    listen, folder = _free_port(), Path(tempfile.mkdtemp())
    with own_database(postgres_url) as url:
        text = CONFIGURATION.format(
            database=url.database, host=url.host, port=url.port or 5432, user=url.username,
            password=f"password={url.password}" if url.password else "", listen=listen, folder=folder,
        )  # fmt: skip
        (folder / "pgbouncer.ini").write_text(text, encoding="utf-8")
        # It refuses to run as root.
        as_nobody = {"user": "nobody", "extra_groups": []} if os.getuid() == 0 else {}
        if as_nobody:
            shutil.chown(folder, "nobody")
            shutil.chown(folder / "pgbouncer.ini", "nobody")
        process = subprocess.Popen([program, str(folder / "pgbouncer.ini")], stderr=subprocess.DEVNULL, **as_nobody)  # type: ignore[call-overload]
        through = url.set(host="127.0.0.1", port=listen)
        try:
            until(lambda: _answers(through), 30)
            yield through
        finally:
            process.terminate()
            process.wait(10)
            shutil.rmtree(folder)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])


def _answers(url: sa.URL) -> bool:
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    try:
        with engine.connect():
            return True
    except sa.exc.OperationalError:
        return False


def engine_of(url: sa.URL, threshold: str) -> sa.Engine:
    address = url.update_query_dict({"prepare_threshold": threshold}).render_as_string(hide_password=False)
    return open_engine(load_settings({"hosting_database_url": address}, env_file=None))


def ask_in_turn(engine: sa.Engine) -> None:
    """Two clients run the same statement more often than psycopg waits before it prepares one."""
    with engine.connect() as one, engine.connect() as other:
        for connection in (one, other):
            for _ in range(8):
                connection.execute(sa.text("SELECT relname FROM pg_class LIMIT 1"))
                connection.commit()


def test_prepared_statements_meet_and_the_address_turns_them_off(pooled: sa.URL) -> None:
    prepares, plain = engine_of(pooled, "5"), engine_of(pooled, "none")
    try:
        ask_in_turn(plain)
        with pytest.raises(sa.exc.DBAPIError, match="prepared statement"):
            ask_in_turn(prepares)
        ask_in_turn(plain)
    finally:
        prepares.dispose()
        plain.dispose()


def test_everything_works_behind_it(pooled: sa.URL) -> None:
    engine = engine_of(pooled, "none")
    errors: list[BaseException] = []
    try:
        migrations.upgrade(engine)
        assert not migrations.upgrade(engine).changed
        db, fake = sessionmaker(engine), world(5)
        assert sync_all(db, client(fake)).created_count == 5

        def work(crm_id: int) -> None:
            try:
                for turn in range(4):
                    sync_server(db, client(fake), crm_id).raise_for_failure()
                    update_manual(db, crm_id, {"notes": str(turn)}).raise_for_failure()
            except BaseException as error:
                errors.append(error)

        threads = [threading.Thread(target=work, args=(crm_id,)) for crm_id in range(1, 5)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert errors == []
        assert sync_all(db, client(fake)).unchanged_count == 5
        assert totals(db).servers == 5
        migrations.downgrade(engine)
        with engine.connect() as connection:
            assert connection.scalar(sa.text(ADVISORY_LOCKS)) == 0
    finally:
        engine.dispose()


@pytest.mark.parametrize("value", ["0", "-1", "None", "off"])
def test_another_threshold_is_named(value: str) -> None:
    with pytest.raises(SettingsError, match=f"prepare_threshold={value} is neither none"):
        load_settings({"hosting_database_url": f"postgresql://crm@127.0.0.1/crm?prepare_threshold={value}"}, env_file=None)
