"""What PostgreSQL does for the statements of page, sync and messages once a year of history is there."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Session, sessionmaker

from crm_adapter import changes, dispatch_events, ensure_fresh, payment_reminders, runs, sync_all, totals
from crm_adapter.db.mapper import validate_mapping
from crm_adapter.db.tables import HostingServer, create_all
from crm_adapter.servers.listing import Filters, list_rows, projects
from crm_adapter.servers.months import store_month_ends
from crm_adapter.web.charts import margin_of_all_months, months
from crm_adapter.web.summary import latest_run, read_summary
from tests.crm.fake_timeweb import client, world
from tests.databases import own_database

COLUMNS = validate_mapping(HostingServer)
GROWS = {"timeweb_change_log", "timeweb_sync_run", "timeweb_event_outbox"}
#: From some 10,000 rows on the planner prefers an index where there is one that serves.
HISTORY = (
    """INSERT INTO timeweb_change_log (at, server_id, run_id, field, old, new)
    SELECT now() - i * interval '26 minutes', mod(i, 30) + 1, 20000 - i,
    (ARRAY['cost_price', 'notes', 'client_price'])[mod(i, 3) + 1], '1.00', '2.00' FROM generate_series(1, 20000) i""",
    """INSERT INTO timeweb_sync_run (kind, status, started_at, finished_at, report)
    SELECT 'sync', 'success', now() - i * interval '26 minutes', now(), '{"total_processed": 30}'
    FROM generate_series(20000, 1, -1) i""",
    """INSERT INTO timeweb_event_outbox (kind, dedupe_key, payload, created_at, next_try_at, tries, sent_at)
    SELECT 'cost_changed', 'old' || i, '{}', now() - i * interval '26 minutes', now(), 0, now()
    FROM generate_series(1, 20000) i""",
)


@contextmanager
def asked(engine: sa.Engine) -> Iterator[dict[str, Any]]:
    """Statements -> one set of their parameters."""
    seen: dict[str, Any] = {}

    def note(connection: Any, cursor: Any, statement: str, parameters: Any, *rest: Any) -> None:
        seen.setdefault(statement, parameters[0] if isinstance(parameters, list) else parameters)

    sa.event.listen(engine, "before_cursor_execute", note)
    try:
        yield seen
    finally:
        sa.event.remove(engine, "before_cursor_execute", note)


def scanned(plan: dict[str, Any]) -> set[str]:
    """Tables that are read from end to end."""
    found = {plan["Relation Name"]} if plan["Node Type"] == "Seq Scan" else set[str]()
    return found.union(*(scanned(part) for part in plan.get("Plans", ())))


@pytest.fixture(scope="module")
def year(postgres_url: str) -> Iterator[sa.Engine]:
    with own_database(postgres_url) as url:
        engine = sa.create_engine(url, poolclass=sa.NullPool)
        create_all(engine)
        sync_all(sessionmaker(engine), client(world(30)))
        with engine.begin() as connection:
            for statement in HISTORY:
                connection.exec_driver_sql(statement)
            connection.execute(sa.update(HostingServer).values(created_at=sa.text("now() - interval '2 years'")))
            connection.exec_driver_sql("ANALYZE")
        yield engine


def test_a_scan_is_seen(year: sa.Engine) -> None:
    with year.connect() as connection:
        (plan,) = connection.exec_driver_sql("EXPLAIN (FORMAT JSON) SELECT count(old) FROM timeweb_change_log").one()
    assert scanned(plan[0]["Plan"]) == {"timeweb_change_log"}


def test_nothing_that_is_asked_all_the_time_scans_the_history(year: sa.Engine) -> None:
    db, zone, today = sessionmaker(year), ZoneInfo(COLUMNS.zone), COLUMNS.today()
    fake = world(30)
    fake.servers_[0]["name"] = "new name"
    with db() as session, session.begin():
        store_month_ends(session, COLUMNS, today, zone)
    with asked(year) as seen:
        ensure_fresh(db, client(fake), max_age=10**6)
        assert sync_all(db, client(fake)).updated_count == 1
        sync_all(db, client(fake))
        dispatch_events(db, lambda *_: None)
        payment_reminders(db)
        totals(db)
        changes(db, 1)
        changes(db, run_id=7)
        changes(db)
        runs(db)
        with db() as session:
            _look(session)
            months(session, COLUMNS, today, zone)
            margin_of_all_months(session, COLUMNS, today, zone)
    growing = {text: given for text, given in seen.items() if any(name in text for name in GROWS) and "INSERT" not in text}
    assert len(growing) >= 12, list(growing)
    scans: dict[str, set[str]] = {}
    with year.connect() as connection:
        for text, given in growing.items():
            (plan,) = connection.exec_driver_sql(f"EXPLAIN (FORMAT JSON) {text}", given).one()
            if found := scanned(plan[0]["Plan"]) & GROWS:
                scans[text] = found
    assert not scans, json.dumps({text: sorted(found) for text, found in scans.items()}, indent=1)


def _look(session: Session) -> None:
    """Open the page."""
    list_rows(session, COLUMNS, Filters(), today=COLUMNS.today())
    projects(session, COLUMNS)
    read_summary(session, configured=True)
    latest_run(session)
