"""Rows seen together: what clients and projects earn adds up to what all earn, and a month has the payments it brings."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any, get_args

import pytest
from sqlalchemy.orm import Session, sessionmaker

from crm_adapter.db.mapper import validate_mapping
from crm_adapter.db.rows import State, StoredRow
from crm_adapter.db.tables import HostingServer
from crm_adapter.servers.listing import Filters
from crm_adapter.servers.overview import Group, month_of, read_grouping, read_payers, weeks
from crm_adapter.servers.totals import By, add_up, read_totals
from tests.crm.database import engine_of, typed

Db = sessionmaker[Session]

TODAY = date(2026, 11, 28)


def row(day: str, number: int = 1, **values: Any) -> StoredRow:
    settings: dict[str, Any] = {
        "client_name": "Анна",
        "client_price": Decimal(900),
        "status": "active",
        "payment_period": "monthly",
    }
    return StoredRow(number, next_payment_date=datetime.fromisoformat(day), **(settings | values))


def days(rows: list[StoredRow], month: str) -> list[str]:
    """The days of a month on which something is paid."""
    found = month_of(rows, TODAY, date.fromisoformat(f"{month}-01"))
    return [f"{day:%d}{'!' if any(payment.is_late for payment in payments) else ''}" for day, payments in found.days.items()]


def test_a_row_pays_every_period_from_its_next_date_on() -> None:
    assert days([row("2026-12-05")], "2026-11") == []
    assert [days([row("2026-12-05")], month) for month in ("2026-12", "2027-01", "2029-02")] == [["05"]] * 3
    quarterly = [row("2026-12-05", payment_period="quarterly")]
    assert [days(quarterly, month) for month in ("2026-12", "2027-01", "2027-02", "2027-03")] == [["05"], [], [], ["05"]]
    assert days([row("2026-12-05", payment_period="yearly")], "2027-12") == ["05"]


def test_a_month_end_stays_one() -> None:
    anchored = [row("2027-02-28", state=State(payment_anchor_day=31))]
    assert [days(anchored, month) for month in ("2027-02", "2027-03", "2027-04")] == [["28"], ["31"], ["30"]]
    assert days([row("2027-02-28")], "2027-03") == ["28"]


def test_what_is_late_stands_on_its_day_and_before_every_later_month() -> None:
    late = [row("2026-11-25"), row("2026-09-10", 2, client_name="Борис")]
    november = month_of(late, TODAY, date(2026, 11, 1))
    assert days(late, "2026-11") == ["25!"]
    assert november.total == november.owed == 900
    assert [payment.row.id for payment in november.earlier] == [2]
    december = month_of(late, TODAY, date(2026, 12, 1))
    assert days(late, "2026-12") == ["10", "25"]
    assert december.owed == 1800
    assert days(late, "2026-10") == []


@pytest.mark.parametrize(
    "values",
    [{"client_price": None}, {"client_name": "Не указан"}, {"status": "closed"}, {"status": "suspended"}],
)
def test_whoever_owes_nothing_is_in_no_month(values: dict[str, Any]) -> None:
    assert days([row("2026-12-05", **values)], "2026-12") == []


def test_a_month_has_whole_weeks() -> None:
    for month in range(1, 13):
        found = weeks(date(2026, month, 1))
        flat = [day for week in found for day in week]
        assert all(len(week) == 7 and week[0].weekday() == 0 for week in found)
        assert all(later - earlier == timedelta(days=1) for earlier, later in pairwise(flat))
        assert {day for day in flat if day.month == month} == {
            date(2026, month, day) for day in range(1, 32) if (date(2026, month, 1) + timedelta(days=day - 1)).month == month
        }


def test_groups_add_up_to_the_whole(real_db: Db) -> None:
    values = (
        {"client_name": "Анна", "client_price": 900, "cost_price": 300, "project_id": 7},
        {"client_name": "Анна", "client_price": 100, "cost_price": 400, "project_id": None},
        {"client_name": "Борис", "client_price": 3000, "service_fee": 600, "payment_period": "quarterly", "project_id": 7},
        {"client_name": "Не указан", "cost_price": 50},
        {"client_name": "Анна", "client_price": 9000, "status": "closed"},
    )
    for number, one in enumerate(values):
        typed(real_db, **{"server_name": f"s{number}", "next_payment_date": datetime(2026, 12, 5), **one})
    columns, everything = validate_mapping(HostingServer), Filters(size=0)
    with sessionmaker(engine_of(real_db))() as session:
        whole = read_totals(session, columns, TODAY, everything)
        for by in get_args(By):
            grouping = read_grouping(session, columns, everything, TODAY, by)
            groups, together = grouping.groups(), grouping.together()
            assert (together.income_month, together.cost_month) == (whole.income_month, whole.cost_month)
            assert add_up(group.totals.income_month for group in groups) == whole.income_month
            assert add_up(group.totals.cost_month for group in groups) == whole.cost_month
            assert sum(group.totals.servers for group in groups) == 4

        def grouped(filters: Filters, by: By) -> list[Group]:
            return read_grouping(session, columns, filters, TODAY, by).groups()

        names = [group.name for group in grouped(everything, "client")]
        assert names == ["Борис", "Анна", "Не указан"]
        assert {group.name for group in grouped(everything, "project")} == {"№ 7", "Без проекта"}
        only = grouped(Filters(client="Анна"), "client")
        assert [(group.name, group.totals.income_month) for group in only] == [("Анна", Decimal(1000))]
        payers = read_payers(session, columns, everything, TODAY, date(2026, 12, 1))
        assert month_of(payers, TODAY, date(2026, 12, 1)).total == 900 + 100 + 3600
        assert read_payers(session, columns, everything, TODAY, date(2026, 11, 1)) == []
