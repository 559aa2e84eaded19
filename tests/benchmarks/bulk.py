"""Change 500 rows at once on SQLite, PostgreSQL and MariaDB, and take it back: statements and time."""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from datetime import date, datetime
from functools import partial
from typing import Any

from sqlalchemy import Engine, create_engine, event
from sqlalchemy.orm import sessionmaker

from crm_adapter import migrations
from crm_adapter.db.tables import HostingServer
from crm_adapter.installation import Installation
from crm_adapter.servers import edit
from crm_adapter.servers.undo import undo
from tests.benchmarks.crm import MARIADB, POSTGRES
from tests.databases import own_database

ROWS = 500
DUE = date(2026, 12, 5)


def measured(engine: Engine, work: Callable[[], Any]) -> tuple[Any, int, float]:
    """What the work gives, its statements, its milliseconds."""
    seen: list[str] = []

    def note(*arguments: Any) -> None:
        seen.append(str(arguments[2]))

    event.listen(engine, "before_cursor_execute", note)
    started = time.perf_counter()
    result = work()
    elapsed = (time.perf_counter() - started) * 1000
    event.remove(engine, "before_cursor_execute", note)
    return result, sum(not text.startswith("PRAGMA") for text in seen), elapsed


def perform(crm: Installation, work: Callable[[], Any]) -> Any:
    """Drive a flow that needs no more of the installation than its database."""
    return crm.run(lambda _: work())


def figures(url: Any) -> list[tuple[str, int, float]]:
    """Each action on a database of its own."""
    engine = create_engine(url)
    migrations.upgrade(engine)
    db = sessionmaker(engine)
    with db() as session, session.begin():
        moment = datetime(DUE.year, DUE.month, DUE.day)
        names = ({"server_name": f"s{number}", "next_payment_date": moment, "client_price": 900} for number in range(ROWS))
        session.add_all([HostingServer(**values) for values in names])
    crm = Installation(db=db, timeweb=None)
    ids, columns = range(1, ROWS + 1), crm.columns
    found: list[tuple[str, int, float]] = []
    for label, change in (("a client", edit.edited(columns, {"client_name": "Анна"})), ("paid", edit.paid(DUE))):
        changes = dict.fromkeys(ids, change)
        write = partial(edit.change_many, columns, changes, "edited", actor="x")
        (done, refused, at), statements, elapsed = measured(engine, partial(perform, crm, write))
        assert len(done) == ROWS and not refused
        found.append((label, statements, elapsed))
        back, statements, elapsed = measured(engine, partial(perform, crm, partial(undo, columns, at, actor="x")))
        assert back == (ROWS, 0)
        found.append((f"{label}, taken back", statements, elapsed))
    engine.dispose()
    return found


def show(name: str, url: Any) -> None:
    """The lines of one database."""
    for label, statements, elapsed in figures(url):
        print(f"| {name} | {label} | {statements} | {elapsed:.0f} |", flush=True)


def main() -> int:
    print(f"## {ROWS} rows at once\n")
    print("| database | what | statements | ms |\n|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        show("SQLite", f"sqlite:///{folder}/crm.sqlite3")
    for name, server in (("PostgreSQL", POSTGRES), ("MariaDB", MARIADB)):
        with own_database(server) as url:
            show(name, url)
    return 0


if __name__ == "__main__":
    sys.exit(main())
