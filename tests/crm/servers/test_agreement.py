"""One question has one answer: in Python and in SQL, in the sync and on the page, in totals, lists, the API and the CSV."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import Any, get_args

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st
from sqlalchemy import delete, insert, select
from sqlalchemy.orm import Session, sessionmaker

from crm_adapter import add_manual, map_server, sync_all, totals, unlink
from crm_adapter.db.mapper import validate_mapping
from crm_adapter.db.rows import StoredRow, joined, read_row, read_rows
from crm_adapter.db.snapshot import read_snapshot
from crm_adapter.db.tables import HostingServer, TimewebServerState
from crm_adapter.servers import conditions
from crm_adapter.servers.listing import Filters, list_rows
from crm_adapter.servers.totals import By, read_sides, sides_of, sum_sides
from crm_adapter.sync.linking import match
from tests.crm.database import edit, rows, typed
from tests.crm.fake_timeweb import client, world

Db = sessionmaker[Session]
TODAY = date(2026, 12, 1)
COLUMNS = validate_mapping(HostingServer)

QUESTIONS: dict[str, tuple[Callable[[StoredRow], bool], Any]] = {
    "live": (conditions.is_live, conditions.live(COLUMNS)),
    "client": (conditions.has_client, conditions.client_known(COLUMNS)),
    "priced": (conditions.is_priced, conditions.priced(COLUMNS)),
    "unpriced": (conditions.is_unpriced, conditions.unpriced(COLUMNS)),
    "billable": (conditions.is_billable, conditions.billable(COLUMNS)),
    "problem": (conditions.is_problem, conditions.problem(COLUMNS)),
    "overdue": (lambda row: conditions.is_overdue(row, TODAY), conditions.overdue(COLUMNS, TODAY)),
    "due": (lambda row: conditions.is_due(row, TODAY), conditions.due(COLUMNS, TODAY)),
}
DAYS = st.sampled_from([-400, -1, 0, 1, 6, 7, 8])
ODD_ROWS = st.fixed_dictionaries(
    {
        "server_name": st.just("web"),
        "client_name": st.sampled_from(["", " ", "\t", "\u00a0", "Не указан", "не указан", "Не указан ", "Ив", "ИВ"]),
        "client_id": st.sampled_from([None, 0, 7]),
        "client_price": st.sampled_from([0.0, 0.001, 0.004999, 0.005, 0.01, 900.0, -5.0, 1e11]),
        "service_fee": st.sampled_from([None, 0.0, 50.0, 0.335]),
        "cost_price": st.sampled_from([0.0, 0.004, 0.005, 2.675, 333.335, 100.005, -5.0, 131071.99, 200000.33, 1e11]),
        "payment_period": st.sampled_from(["monthly", "yearly", "weekly", "Monthly", ""]),
        "status": st.sampled_from(["active", "overdue", "suspended", "closed", "Closed", "ACTIVE", "", "closed "]),
        "timeweb_status": st.sampled_from([None, "on", "off", "OFF", "no_paid"]),
        "next_payment_date": DAYS.map(lambda days: datetime(2026, 12, 1) + timedelta(days=days, hours=days % 5)),
    }
)
STATES = st.sampled_from(
    [
        None,
        {},
        {"removed_at": datetime(2026, 1, 1)},
        {"missing_since": datetime(2026, 1, 1)},
        {"timeweb_id": 77},
        {"cost_source": "manual"},
        {"cost_source": "manual", "sync_base": '{"created_at": "of another row"}'},
        {"cost_source": "services_cost", "sync_base": '{"cost_price": "200000.32"}'},
    ]
)


def test_python_and_sql_agree_on_odd_rows(real_db: Db) -> None:
    @settings(max_examples=20, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
    @given(st.lists(st.tuples(ODD_ROWS, STATES), min_size=12, max_size=25))
    def agree(items: list[tuple[dict[str, Any], dict[str, Any] | None]]) -> None:
        with real_db() as session, session.begin():
            session.execute(delete(HostingServer))
            session.execute(delete(TimewebServerState))
            session.execute(insert(HostingServer), [{"id": number, **item} for number, (item, _) in enumerate(items, 1)])
            states = [(number, state) for number, (_, state) in enumerate(items, 1) if state is not None]
            for number, state in states:
                session.execute(insert(TimewebServerState).values(server_id=number, **state))
        with real_db() as session:
            found = read_rows(session, COLUMNS)
            for name, (ask, condition) in QUESTIONS.items():
                statement = select(HostingServer.id).select_from(joined(COLUMNS)).where(condition)
                assert {row.id for row in found if ask(row)} == set(session.scalars(statement)), name
            late = list_rows(session, COLUMNS, Filters(view="overdue", size=0), today=TODAY).total
            for by in get_args(By):
                theirs, ours = (
                    {key: sum_sides(sides, []) for key, sides in read.by_key().items()}
                    for read in (read_sides(session, COLUMNS, TODAY, by=by), sides_of(found, TODAY, by))
                )
                assert theirs == ours, by
            unpriced = list_rows(session, COLUMNS, Filters(view="unpriced", size=0), today=TODAY).total
        summed = totals(real_db, today=TODAY)
        assert summed == replace(sum_sides(sides_of(found, TODAY), []), services_included=True)
        assert (summed.overdue_count, summed.unpriced_count) == (late, unpriced)

    agree()


def test_a_state_that_another_row_left_behind_says_nothing_to_anybody(db: Db) -> None:
    """SQLite gives the id of a deleted row out again, whether its row was tied, taken off, or typed by hand."""
    sync_all(db, client(world(1)))
    assert unlink(db, 1).success
    with db() as session, session.begin():
        session.execute(delete(HostingServer))
    assert typed(db, created_at=datetime(2026, 1, 1)) == 1
    _is_nobodys(db)
    with db() as session, session.begin():
        session.execute(delete(HostingServer))
    assert add_manual(db, {"server_name": "by hand", "cost_price": 0}).crm_id == 1
    with db() as session, session.begin():
        session.execute(delete(HostingServer))
    assert typed(db, created_at=datetime(2026, 1, 2)) == 1
    _is_nobodys(db)


def _is_nobodys(db: Db) -> None:
    with db() as session:
        row = read_row(session, COLUMNS, 1)
        (listed,) = list_rows(session, COLUMNS, Filters(), today=TODAY).rows
        (stored,) = read_snapshot(session, COLUMNS, [1]).unlinked
    assert row == listed
    assert (listed.cost_price, listed.cost_source, listed.edit_version, listed.state) == (None, "unknown", 0, None)
    assert (stored.state, listed.to_dict()["cost_price"], totals(db).unknown_cost_count) == (None, None, 1)


@pytest.mark.parametrize("address", ["203.0.113.1/24", " 203.0.113.1 ", "203.0.113.1"])
@pytest.mark.parametrize("status", ["active", "closed"])
def test_the_matcher_says_what_the_sync_then_does(db: Db, address: str, status: str) -> None:
    """The page asks the same matcher; a closed row is history for both."""
    crm_id = typed(db, ip_address=address, status=status)
    fake = world(1)
    with db() as session:
        links = match([map_server(fake.servers_[0])], read_snapshot(session, COLUMNS, [1]).unlinked, "ip")
    report = sync_all(db, client(fake))
    assert [(key, row.id) for key, row in links.linked.items()] == [(item.timeweb_id, item.crm_id) for item in report.linked]
    assert (len(rows(db)), [item.crm_id for item in report.linked]) == ((1, [crm_id]) if status == "active" else (2, []))


def test_what_the_host_typed_past_us_is_the_same_everywhere(db: Db) -> None:
    sync_all(db, client(world(1)))
    edit(db, 1, cost_price=123.45, client_price=900, client_name=" ")
    with db() as session:
        (row,) = list_rows(session, COLUMNS, Filters(), today=TODAY).rows
        assert row == read_row(session, COLUMNS, 1)
    assert str(row.cost_price) == str(totals(db).cost_month) == "123.45"
    assert totals(db, today=date(2030, 1, 1)).overdue_count == 0
