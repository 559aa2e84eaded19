"""What PostgreSQL does for the statements of page, API, sync and jobs once a year of history is there, beside many rows."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa
from fastapi import Depends, FastAPI
from fastapi.routing import APIRoute
from fastapi.testclient import TestClient
from sqlalchemy.orm import Session, sessionmaker

from crm_adapter import changes, dispatch_events, ensure_fresh, payment_reminders, plan, runs, sync_all, sync_server, totals
from crm_adapter.db.mapper import validate_mapping
from crm_adapter.db.tables import HostingServer, create_all
from crm_adapter.jobs import retention
from crm_adapter.ledger.months import store_service_months
from crm_adapter.servers.months import store_month_ends
from crm_adapter.steps import drive
from crm_adapter.web import create_hosting_router
from crm_adapter.web.charts import read_all_months
from tests.crm.database import engine_of
from tests.databases import own_database
from timeweb_sdk import RateLimit, Timeweb
from timeweb_sdk.testing import Emulator, demo_state

Asked = dict[str, Any]
"""Statements -> one set of their parameters."""
COLUMNS = validate_mapping(HostingServer)
ZONE = ZoneInfo(COLUMNS.zone)
HISTORY: Final = {"timeweb_change_log", "timeweb_sync_run", "timeweb_event_outbox"}
SERVERS: Final = 30
ROWS: Final = {"hosting_servers", "timeweb_server_state", "timeweb_service"}
FEW: Final = re.compile("_(open|waiting|dead|claimed|listed_by)$")
"""Partial indexes, which hold few rows whatever the table does."""
#: From some 10,000 rows on the planner prefers an index where there is one that serves.
MANY = (
    """INSERT INTO timeweb_change_log (at, server_id, service_id, run_id, field, old, new)
    SELECT now() - i * interval '26 minutes', CASE mod(i, 2) WHEN 0 THEN mod(i, 30) + 1 ELSE 0 END,
    CASE mod(i, 2) WHEN 1 THEN mod(i, 30) + 1 END, 20000 - i,
    (ARRAY['cost_price', 'notes', 'client_name', 'cost_net', 'owner'])[mod(i, 5) + 1], '1.00', '2.00'
    FROM generate_series(1, 20000) i""",
    """INSERT INTO timeweb_sync_run (kind, status, started_at, finished_at, report)
    SELECT 'sync', 'success', now() - i * interval '26 minutes', now(), '{"total_processed": 30}'
    FROM generate_series(20000, 1, -1) i""",
    """INSERT INTO timeweb_event_outbox (kind, dedupe_key, payload, created_at, next_try_at, tries, sent_at)
    SELECT 'cost_changed', 'old' || i, '{}', now() - i * interval '26 minutes', now() - i * interval '26 minutes', 0,
    now() - i * interval '26 minutes' FROM generate_series(1, 20000) i""",
    """INSERT INTO hosting_servers (timeweb_id, server_name, ip_address, client_name, cost_price, client_price, status,
    payment_period, start_date, next_payment_date, auto_sync)
    SELECT 90000000 + i, 'app-' || i, '198.51.100.' || i, 'client ' || mod(i, 50), 500, 900, 'active', 'monthly', now(),
    now() + interval '30 days', true FROM generate_series(1, 10000) i""",
    """INSERT INTO timeweb_server_state (server_id, timeweb_id, account, project_id, cost_source, cost_stale, sync_base,
    problem_runs, edit_version)
    SELECT id, timeweb_id, 'other', mod(id, 1000), 'services_cost', false,
    jsonb_build_object('server_name', repeat('x', 400)), 0, 0
    FROM hosting_servers WHERE timeweb_id > 90000000""",
    """INSERT INTO timeweb_service (account, type, service_id, name, project_id, cost_gross, cost_net, first_seen_at,
    last_seen_at, told_unowned)
    SELECT 'other', CASE WHEN i < 10 THEN 'floating_ip' ELSE 'image' END, i::text, '198.51.100.' || i, mod(i, 1000), 10, 10,
    now() - interval '40 days', now(), true FROM generate_series(1, 2000) i""",
)


@contextmanager
def asked(engine: sa.Engine) -> Iterator[Asked]:
    """What is asked of the database meanwhile."""
    seen: Asked = {}

    def note(connection: Any, cursor: Any, statement: str, parameters: Any, *rest: Any) -> None:
        seen.setdefault(statement, parameters[0] if isinstance(parameters, list) else parameters)

    sa.event.listen(engine, "before_cursor_execute", note)
    try:
        yield seen
    finally:
        sa.event.remove(engine, "before_cursor_execute", note)


def scanned(node: Mapping[str, Any], *, limited: bool = False) -> set[str]:
    """Tables that are read from end to end, be it by way of an index."""
    kind, index = node["Node Type"], node.get("Index Name", "")
    whole = kind in {"Index Scan", "Index Only Scan"} and "Index Cond" not in node and not limited and not FEW.search(index)
    found = {node["Relation Name"]} if kind == "Seq Scan" or whole else set[str]()
    # What is sorted or counted first is read whole, however few rows are wanted of it.
    limited = kind == "Limit" or (limited and kind not in {"Sort", "Aggregate", "Hash"})
    return found.union(*(scanned(part, limited=limited) for part in node.get("Plans", ())))


def scans(engine: sa.Engine, statements: Asked, tables: set[str]) -> dict[str, list[str]]:
    """Statement -> those of the tables that it reads from end to end."""
    found: dict[str, list[str]] = {}
    with engine.connect() as connection:
        for text, given in statements.items():
            if any(name in text for name in tables) and not text.startswith("INSERT"):
                (plan,) = connection.exec_driver_sql(f"EXPLAIN (FORMAT JSON) {text}", given).one()
                if whole := scanned(plan[0]["Plan"]) & tables:
                    found[text] = sorted(whole)
    return found


def told(found: Mapping[str, list[str]]) -> str:
    """For people: without the columns."""
    return "\n".join(f"{tables}: {text[text.find('FROM') :][:500]}" for text, tables in found.items())


@pytest.fixture(scope="module")
def year(postgres_url: str) -> Iterator[sa.Engine]:
    with own_database(postgres_url) as url:
        engine = sa.create_engine(url)
        create_all(engine)
        db = sessionmaker(engine)
        with account() as timeweb:
            assert sync_all(db, timeweb).created_count == SERVERS
        with engine.begin() as connection:
            for statement in MANY:
                connection.exec_driver_sql(statement)
            connection.execute(sa.update(HostingServer).values(created_at=sa.text("now() - interval '2 years'")))
            connection.exec_driver_sql("ANALYZE")
        with db() as session, session.begin():
            store_month_ends(session, COLUMNS, COLUMNS.today(), ZONE)
            store_service_months(session, COLUMNS, COLUMNS.today(), ZONE)
        yield engine
        engine.dispose()


@contextmanager
def account(**changes: Any) -> Iterator[Timeweb]:
    """The account behind the rows; `changes` are those of its first server."""
    state = demo_state(SERVERS)
    state["servers"][0] |= changes
    emulator = Emulator(state, rate_limit=False)
    with Timeweb("emulator-token", http_client=emulator.http_client(), rate_limit=RateLimit.off()) as timeweb:
        yield timeweb


@contextmanager
def section(engine: sa.Engine, timeweb: Timeweb) -> Iterator[tuple[TestClient, list[str]]]:
    """The section, and where it can be read: the first row and the first service where one is named."""
    router = create_hosting_router(
        sessionmaker(engine), timeweb, dependencies=[Depends(lambda: None)], prefix="/hosting", stale_after=10**9
    )
    paths = [route.path for route in router.routes if isinstance(route, APIRoute) and "GET" in (route.methods or ())]
    app = FastAPI()
    app.include_router(router)
    with TestClient(app, base_url="https://crm.example.com") as browser:
        yield browser, [re.sub(r"\{\w+\}", "1", path) for path in paths if "/static/" not in path]


def test_a_scan_is_seen(year: sa.Engine) -> None:
    bad = "SELECT count(old) FROM timeweb_change_log", "SELECT id FROM timeweb_change_log ORDER BY id"
    good = "SELECT count(*) FROM timeweb_change_log WHERE id > 19900"
    assert scans(year, dict.fromkeys((*bad, good), ()), HISTORY).keys() == set(bad)


@pytest.fixture(scope="module")
def opened(year: sa.Engine) -> Asked:
    """What all pages and all of the API ask when they are read."""
    with account() as timeweb, section(year, timeweb) as (browser, addresses), asked(year) as seen:
        for address in addresses:
            reply = browser.get(address, params={"account": "default"})
            assert reply.status_code == 200, (address, reply.text)
    return seen


def test_nothing_that_is_shown_scans_the_history(year: sa.Engine, opened: Asked) -> None:
    assert len(opened) > 40, list(opened)
    found = scans(year, opened, HISTORY)
    assert not found, told(found)


def test_nothing_that_a_sync_asks_scans_what_is_not_its_accounts(year: sa.Engine) -> None:
    """Another account has three hundred times as many rows."""
    db = sessionmaker(year)
    with account(name="new name") as changed, asked(year) as seen:
        ensure_fresh(db, changed, max_age=10**6)
        assert sync_all(db, changed).updated_count == 1
        sync_all(db, changed)
        plan(db, changed)
        assert sync_server(db, changed, 1).success
        ensure_fresh(db, changed, max_age=0, runner=lambda leases: None)
    assert len(seen) > 25, list(seen)
    found = scans(year, seen, HISTORY | ROWS)
    assert not found, told(found)


def test_no_job_scans_the_history(year: sa.Engine) -> None:
    db = sessionmaker(year)
    with asked(year) as seen:
        assert dispatch_events(db, lambda *_: None).sent >= SERVERS
        payment_reminders(db)
        drive(retention.prune(timedelta(days=358), keep_changes=timedelta(days=358)), db, {})
    found = scans(year, seen, HISTORY)
    assert not found, told(found)


def test_no_look_scans_the_history(year: sa.Engine) -> None:
    db, today = sessionmaker(year), COLUMNS.today()
    with asked(year) as seen:
        totals(db)
        changes(db)
        changes(db, 1)
        changes(db, run_id=7)
        runs(db)
        with db() as session:
            read_all_months(session, COLUMNS, today, ZONE)
            store_month_ends(session, COLUMNS, today, ZONE)
            store_service_months(session, COLUMNS, today, ZONE)
    found = scans(year, seen, HISTORY)
    assert not found, told(found)


def test_what_people_do_to_a_row_reads_no_other_history(year: sa.Engine) -> None:
    with account() as timeweb, section(year, timeweb) as (browser, _), asked(year) as seen:
        for path, form in (
            ("servers/1/edit", {"notes": "x"}),
            ("servers/1/edit", {"notes": "y", "was_notes": "z", "edit_version": "0"}),
            ("servers/1/auto", {"auto_sync": "false"}),
            ("bulk", {"ids": ["1:", "2:"], "action": "close"}),
            ("undo", {"at": "2026-11-28T12:00:00"}),
            ("undelivered", {}),
            ("services/bulk", {"ids": ["1:"], "action": "client", "value": "client 7"}),
            ("services/bulk", {"ids": ["2:"], "action": "proposed"}),
        ):
            reply = browser.post(f"/hosting/{path}", data=form, headers={"Sec-Fetch-Site": "same-origin"})
            assert reply.status_code < 500, (path, reply.text)
    assert len(seen) > 20, list(seen)
    found = scans(year, seen, HISTORY)
    assert not found, told(found)


def test_sqlite_finds_the_rows_of_an_account_by_an_index(db: sessionmaker[Session]) -> None:
    with account() as timeweb:
        sync_all(db, timeweb)
        with asked(engine_of(db)) as seen:
            sync_all(db, timeweb)
            dispatch_events(db, lambda *_: None)
            drive(retention.prune(timedelta(days=358), keep_changes=timedelta(days=358)), db, {})
    walked = re.compile(rf"SCAN ({'|'.join(HISTORY | ROWS)})")
    found: dict[str, list[str]] = {}
    with db() as session:
        for text, given in seen.items():
            if text.startswith(("SELECT", "UPDATE", "DELETE")):
                plan = session.connection().exec_driver_sql(f"EXPLAIN QUERY PLAN {text}", given)
                if whole := [step for *_, step in plan if walked.match(step)]:
                    found[text] = whole
    assert not found, told(found)
