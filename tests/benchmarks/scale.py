"""How time and statements grow with accounts, with servers and with a year of history: each figure beside the first of its row.

On all three databases; `BENCH_SCALE=sqlite` (or `postgresql`, `mariadb`, or some by commas) takes those alone. The servers are
those of `TEST_POSTGRES_URL` and `TEST_MARIADB_URL`.
`BENCH_SCALE_TIMES=100` makes every size a hundred times as large: 5,000,000 changes, 100,000 runs, 200,000 events.
`BENCH_SCALE_RUN=200` measures instead one run of 200 accounts at the CRM's own pace beside an open page: seven minutes of the
clock, nearly idle. Exits 1 if the page took an account over or the run does not tell all of them.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.orm import Session, sessionmaker

from crm_adapter import dispatch_events, plan, sync_all
from crm_adapter.db.columns import FieldMap
from crm_adapter.db.mapper import validate_mapping
from crm_adapter.db.tables import HostingServer, create_all
from crm_adapter.jobs import retention
from crm_adapter.money import local_today
from crm_adapter.results import OutboxEvent
from crm_adapter.servers.months import read_ledger, store_month_ends
from crm_adapter.servers.totals import read_totals
from crm_adapter.steps import drive
from tests.benchmarks import _loop
from tests.benchmarks._history import make
from tests.benchmarks._long_run import long_run
from tests.benchmarks.crm import MARIADB, POSTGRES
from tests.crm.fake_timeweb import FakeTimeweb, client, cost, server
from tests.databases import own_database

RUN = int(os.environ.get("BENCH_SCALE_RUN", "0"))
KINDS = os.environ.get("BENCH_SCALE", "sqlite,postgresql,mariadb").split(",")
TIMES = int(os.environ.get("BENCH_SCALE_TIMES", "1"))
ZONE = "Europe/Moscow"
PER_ACCOUNT = 20
Step = tuple[str, Callable[[], object]]
Figures = dict[str, list[tuple[float, int]]]


@contextmanager
def database(kind: str) -> Generator[sa.Engine]:
    """An empty database with all tables."""
    with tempfile.TemporaryDirectory() as folder:
        if kind == "sqlite":
            yield from _created(sa.make_url(f"sqlite:///{Path(folder) / 'crm.sqlite3'}"))
            return
        with own_database({"postgresql": POSTGRES, "mariadb": MARIADB}[kind]) as url:
            yield from _created(url)


def _created(url: sa.URL) -> Generator[sa.Engine]:
    engine = sa.create_engine(url)
    create_all(engine)
    try:
        yield engine
    finally:
        engine.dispose()


def account(number: int, servers: int) -> FakeTimeweb:
    """An account whose servers no other one has."""
    numbers = range(number * servers, (number + 1) * servers)
    listed = [server(n, name=f"web-{n}", networks=[]) for n in numbers]
    return FakeTimeweb(listed, [cost(n) for n in numbers], account_id=f"cp{number:05}")


def measured(engine: sa.Engine, steps: Sequence[Step], into: Figures) -> None:
    """Seconds and statements of each step: of this process's CPU, or of the clock where the database is another process."""
    clock = time.process_time if engine.dialect.name == "sqlite" else time.perf_counter
    statements = 0

    def count(*_: object) -> None:
        nonlocal statements
        statements += 1

    event.listen(engine, "before_cursor_execute", count)
    for name, step in steps:
        statements, started = 0, clock()
        step()
        into.setdefault(name, []).append((clock() - started, statements))
    event.remove(engine, "before_cursor_execute", count)


def synchronised(kind: str, sizes: Sequence[int], clients_of: Callable[[int], dict[str, Any]]) -> Figures:
    """First run, no-op and rehearsal at each size."""
    figures: Figures = {}
    for size in sizes:
        with database(kind) as engine:
            db, clients = sessionmaker(engine), clients_of(size)
            steps: list[Step] = [
                ("first run", partial(sync_all, db, clients)),
                ("no-op", partial(sync_all, db, clients)),
                ("`plan`", partial(plan, db, clients)),
            ]
            measured(engine, steps, figures)
    return figures


def _hear(_title: str, _text: str, _events: Sequence[OutboxEvent]) -> None:
    """A notifier that takes everything."""


def _prune(db: sessionmaker[Session]) -> object:
    return drive(retention.prune(timedelta(days=180)), db, {})


def remembered(kind: str, sizes: Sequence[int]) -> Figures:
    """What reads a history, at each number of changes; runs are a fiftieth of them, events a twenty-fifth."""
    figures: Figures = {}
    columns, zone, today = validate_mapping(HostingServer, FieldMap(zone=ZONE)), ZoneInfo(ZONE), local_today(ZONE)

    def within(db: sessionmaker[Session], work: Callable[[Session], object]) -> Callable[[], object]:
        def step() -> object:
            with db() as session, session.begin():
                return work(session)

        return step

    for size in sizes:
        with database(kind) as engine:
            db = sessionmaker(engine)
            sync_all(db, client(account(0, 200)))
            make(engine, changes=size, runs=size // 50, events=size // 25)
            chart = within(db, lambda session: read_ledger(session, columns, today, zone).sums())
            steps: list[Step] = [
                ("«Динамика» from the log", chart),
                ("storing month ends", within(db, lambda session: store_month_ends(session, columns, today, zone))),
                ("«Динамика» with stored months", chart),
                ("sums", within(db, lambda session: read_totals(session, columns))),
                ("prune", partial(_prune, db)),
                ("first dispatch", partial(dispatch_events, db, _hear, limit=size)),
                ("dispatch with nothing to tell", partial(dispatch_events, db, _hear)),
            ]
            measured(engine, steps, figures)
    return figures


def table(title: str, sizes: Sequence[int], figures: Figures) -> str:
    """Seconds with the ratio to the first column, then statements."""
    head = f"| {title} | " + " | ".join(f"{size:,}" for size in sizes) + " |"
    lines = [head, "|---" + "|--:" * len(sizes) + "|"]
    for name, row in figures.items():
        first = max(row[0][0], 0.001)
        cells = [f"{seconds:.2f} s (x{seconds / first:.1f}), {statements}" for seconds, statements in row]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def standing(kind: str, servers: int) -> str:
    """How long the event loop works without a pause at that many rows."""
    lines = ["| event loop | longest without a pause, ms | longest pass of the collector, ms | whole, s |", "|---|--:|--:|--:|"]
    with database(kind) as engine:
        one = client(account(0, servers))
        sync_all(sessionmaker(engine), one)
        for name, pause in (*_loop.pages(engine.url), *_loop.syncs(engine.url, one)):
            lines.append(f"| {name} | {pause.longest:.0f} | {pause.collector:.0f} | {pause.whole:.1f} |")
    return "\n".join(lines)


def measure(kind: str) -> None:
    """Print the tables of one database."""
    accounts = [5 * TIMES, 10 * TIMES, 20 * TIMES]
    servers = [250 * TIMES, 500 * TIMES, 1000 * TIMES]
    changes = [500 * TIMES, 5_000 * TIMES, 50_000 * TIMES]
    seconds = "CPU seconds of the process" if kind == "sqlite" else "Seconds of the clock"
    print(f"## Scale ({kind})\n\n{seconds} (ratio to the first column), and statements.\n")
    many = synchronised(kind, accounts, lambda n: {f"a{i}": client(account(i, PER_ACCOUNT)) for i in range(n)})
    print(table(f"accounts of {PER_ACCOUNT} servers", accounts, many), "\n")
    large = synchronised(kind, servers, lambda n: {"a": client(account(0, n))})
    print(table("servers of one account", servers, large), "\n")
    print(table("changes in a year", changes, remembered(kind, changes)), "\n")
    print(standing(kind, servers[-1]), "\n", flush=True)


def main() -> int:
    """Print what was asked for; exit 1 where a long run went wrong."""
    good = True
    for kind in KINDS:
        if not RUN:
            measure(kind)
            continue
        with database(kind) as engine:
            lines, right = long_run(engine, RUN)
        print(f"## A long run ({kind})\n\n{lines}\n", flush=True)
        good &= right
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
