"""Synchronise 10,000 servers into SQLite, PostgreSQL and MariaDB: seconds, statements, calls to Timeweb, memory.

Then the same beside 15,000 services that cost money, which may not take a call more, nor much else.

Each database is measured in a process of its own, with the real client on the emulator. "In the database" is the time
spent inside transactions, which is what apply costs; the rest is decoding and planning.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from sqlalchemy import Engine, create_engine, event
from sqlalchemy.orm import Session, sessionmaker

from crm_adapter import sync_all
from crm_adapter.db.tables import create_all
from crm_adapter.results import SyncReport
from tests.databases import own_database
from timeweb_sdk import RateLimit, Timeweb
from timeweb_sdk.testing import Emulator, demo_state

SERVERS, SERVICES = 10_000, 15_000
POSTGRES = os.environ.get("TEST_POSTGRES_URL", "postgresql+psycopg://postgres@127.0.0.1:5432/postgres")
MARIADB = os.environ.get("TEST_MARIADB_URL", "mariadb+pymysql://root@127.0.0.1:3306/")


class Meter:
    """A sessionmaker that counts statements at the cursor and the seconds between opening and closing a session."""

    def __init__(self, engine: Engine) -> None:
        self._make = sessionmaker(engine)
        self.seconds = 0.0
        self.statements = 0
        event.listen(engine, "before_cursor_execute", self._count)

    def _count(self, *_: object) -> None:
        self.statements += 1

    @contextmanager
    def __call__(self) -> Iterator[Session]:
        start = time.perf_counter()
        try:
            with self._make() as session:
                yield session
        finally:
            self.seconds += time.perf_counter() - start


def peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def measure(label: str, db: Meter, work: Callable[[], SyncReport]) -> dict[str, Any]:
    db.seconds, db.statements, memory, start = 0.0, 0, peak_mb(), time.perf_counter()
    report = work()
    assert report.status == "success", report
    return {
        "run": label,
        "seconds": time.perf_counter() - start,
        "database": db.seconds,
        "statements": db.statements,
        "calls": report.api_calls,
        "memory": peak_mb() - memory,
        "changed": report.created_count + report.updated_count,
    }


def runs(url: str, services: int = 0) -> list[dict[str, Any]]:
    engine = create_engine(url)
    with engine.begin() as connection:
        create_all(connection)
    db: Any = Meter(engine)
    state = demo_state(SERVERS)
    state["images"] = [{"id": str(uuid.UUID(int=n)), "name": f"image {n}", "size": 1024 + n} for n in range(services)]
    emulator = Emulator(state, rate_limit=False)
    # One page first, and one cost list as bytes, so that what the emulator makes up and the client's own caches are no part
    # of what is measured.
    http = httpx.Client(transport=emulator.transport())
    http.get("https://api.timeweb.cloud/api/v1/account/services/cost", headers={"Authorization": "Bearer emulator-token"})
    with Timeweb("emulator-token", http_client=http, rate_limit=RateLimit.off()) as timeweb:
        timeweb.servers.list(limit=100)
        results = [
            measure("create", db, lambda: sync_all(db, timeweb)),
            measure("no-op", db, lambda: sync_all(db, timeweb)),
        ]
        for server in emulator.state["servers"]:
            server["ram"] = 16384
        results.append(measure("update", db, lambda: sync_all(db, timeweb)))
    engine.dispose()
    return results


@contextmanager
def database(kind: str) -> Iterator[str]:
    """An empty database of its own."""
    if kind == "SQLite":
        with tempfile.TemporaryDirectory() as folder:
            yield f"sqlite:///{Path(folder) / 'crm.sqlite3'}"
        return
    server = POSTGRES if kind == "PostgreSQL" else MARIADB
    with own_database(server) as url:
        yield url.render_as_string(hide_password=False)


def main() -> int:
    """Print the table; exit 1 where a budget is exceeded."""
    if len(sys.argv) > 1:
        print(json.dumps(runs(sys.argv[1], int(sys.argv[2]))))
        return 0
    print(f"## CRM: {SERVERS:,} servers, alone and beside {SERVICES:,} services\n")
    print(
        "| Database | Services | Run | Rows written | Whole run, s | In the database, s | Statements | API calls | Memory, MB |"
    )
    print("|---|--:|---|--:|--:|--:|--:|--:|--:|")
    within = True
    for kind in ("SQLite", "PostgreSQL", "MariaDB"):
        alone = _measured(kind, 0)
        beside = _measured(kind, SERVICES)
        for one in alone:
            limit = 3 if one["run"] == "no-op" else 15
            within &= one["database"] <= limit and one["statements"] <= 400 and one["memory"] <= 150 and one["calls"] <= 104
        for one, more in zip(alone, beside, strict=True):
            within &= more["calls"] == one["calls"] and more["statements"] <= 1.4 * one["statements"]
        within &= sum(one["memory"] for one in beside) <= sum(one["memory"] for one in alone) + 60
    print("\nBudgets: 15 s in the database (no-op 3 s), 400 statements, 104 calls, 150 MB; services: no call more, 1.4 x the")
    print("statements, 60 MB.")
    return 0 if within else 1


def _measured(kind: str, services: int) -> list[dict[str, Any]]:
    """The runs on one database, in a process of their own; printed as they are."""
    with database(kind) as url:
        command = [sys.executable, "-m", "tests.benchmarks.crm", url, str(services)]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    found: list[dict[str, Any]] = json.loads(done.stdout)
    for one in found:
        print(
            f"| {kind} | {services:,} | {one['run']} | {one['changed']} | {one['seconds']:.1f} | {one['database']:.1f} "
            f"| {one['statements']} | {one['calls']} | {one['memory']:.0f} |",
            flush=True,
        )
    return found


if __name__ == "__main__":
    sys.exit(main())
