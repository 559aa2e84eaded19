"""A cost of 0 that somebody knows is a price; a 0 that nobody knows is none.  The source tells them apart, never the amount."""

from __future__ import annotations

from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import update
from sqlalchemy.orm import Session, sessionmaker

from crm_adapter import add_manual, link, set_cost, sync_all, sync_server, totals, unlink, update_manual
from crm_adapter.cli.tables import cost_text
from crm_adapter.db.mapper import validate_mapping
from crm_adapter.db.rows import StoredRow, read_row
from crm_adapter.db.tables import ChangeLog, HostingServer
from crm_adapter.money import add_months, as_midnight, known_cost, local_today
from crm_adapter.servers.listing import Filters, list_rows
from crm_adapter.servers.totals import read_totals
from crm_adapter.web import charts
from crm_adapter.web.export import to_csv
from tests.crm.database import changed, edit, events, rows, state, typed
from tests.crm.fake_timeweb import FakeTimeweb, client, cost, server, world
from timeweb_sdk.errors import ForbiddenError

Db = sessionmaker[Session]
_COLUMNS = validate_mapping(HostingServer)
_ZERO = Decimal("0.00")


def listed(db: Db, **filters: Any) -> list[StoredRow]:
    with db() as session:
        return list(list_rows(session, _COLUMNS, Filters(**filters), today=local_today()).rows)


def discounted(count: int = 1) -> FakeTimeweb:
    """An account that pays nothing for servers of 500."""
    return world(count, finances_={"monthly_cost": 500 * count, "monthly_fee": 0})


@pytest.mark.parametrize(
    ("amount", "source", "known"),
    [
        (0.0, None, None),
        (0.0, "unknown", None),
        (0.0, "services_cost", _ZERO),
        (0.0, "preset", _ZERO),
        (0.0, "manual", _ZERO),
        (None, "manual", None),
        (float("nan"), "manual", None),
        # Typed past us, before a sync could see it.
        (5.0, None, Decimal("5.00")),
        (5.0, "unknown", Decimal("5.00")),
    ],
)
def test_the_one_place_that_decides(amount: float | None, source: str | None, known: Decimal | None) -> None:
    assert known_cost(amount, source) == known


def test_a_full_discount_is_shown_as_zero_everywhere(db: Db) -> None:
    sync_all(db, client(discounted()))
    edit(db, 1, client_price=100.0)
    (row,) = listed(db)
    assert (row.cost_price, row.cost_source, row.profit_amount, row.profit_percent) == (
        _ZERO, "services_cost", Decimal("100.00"), Decimal("100.0"),
    )  # fmt: skip
    assert row.to_dict()["cost_price"] == 0.0
    assert cost_text(row) == "0,00\xa0₽"
    assert ";0,00;" in to_csv([row], ZoneInfo("Europe/Moscow")).decode()
    with db() as session:
        one, shown = read_row(session, _COLUMNS, 1), read_totals(session, _COLUMNS, local_today())
        (month,) = charts.months(session, _COLUMNS, local_today(), ZoneInfo("Europe/Moscow"))
    assert one == row
    assert (shown.cost_month, shown.profit_month, shown.priced_count, shown.unknown_cost_count) == (
        _ZERO, Decimal("100.00"), 1, 0,
    )  # fmt: skip
    assert totals(db) == shown
    assert (month.cost, month.margin) == (_ZERO, Decimal("100.00"))


def test_an_unknown_cost_stays_unknown_everywhere(db: Db) -> None:
    sync_all(db, client(FakeTimeweb([server(1)], [], presets_=[])))
    typed(db, server_name="by hand")
    for row in listed(db):
        assert (row.cost_price, row.cost_source, row.profit_amount) == (None, "unknown", None)
        assert cost_text(row) == "—"
    assert (totals(db).cost_month, totals(db).unknown_cost_count) == (None, 2)
    with db() as session:
        (month,) = charts.months(session, _COLUMNS, local_today(), ZoneInfo("Europe/Moscow"))
    assert month.cost is None


def test_a_cost_typed_past_us_is_shown_before_the_next_sync(db: Db) -> None:
    sync_all(db, client(FakeTimeweb([server(1)], [], presets_=[])))
    edit(db, 1, cost_price=300.0)
    (row,) = listed(db)
    assert (row.cost_price, row.cost_source) == (Decimal("300.00"), "manual")
    assert totals(db).cost_month == Decimal("300.00")


def test_known_zeros_are_sorted_among_the_known(db: Db) -> None:
    fake = world(3)
    fake.costs = [cost(1, 700), cost(2, 600)]  # the third has no price at all
    fake.presets_ = []
    sync_all(db, client(fake))
    set_cost(db, 2, 0)
    edit(db, 1, client_price=1000.0)
    edit(db, 2, client_price=100.0)
    edit(db, 3, client_price=5000.0)
    assert [row.id for row in listed(db, sort="cost")] == [2, 1, 3]
    assert [row.id for row in listed(db, sort="cost", descending=True)] == [1, 2, 3]
    assert [row.id for row in listed(db, sort="margin")] == [2, 1, 3]
    assert [row.id for row in listed(db, sort="margin", descending=True)] == [1, 2, 3]


def test_a_zero_typed_by_hand_survives_linking_and_unlinking(db: Db) -> None:
    made = add_manual(db, {"server_name": "gift", "cost_price": 0})
    assert made.crm_id is not None
    link(db, made.crm_id, 1001)
    sync_all(db, client(world(1)))
    assert (rows(db)[0]["cost_price"], state(db, made.crm_id).cost_source) == (0, "manual")
    assert listed(db)[0].cost_price == _ZERO
    unlink(db, made.crm_id)
    assert (state(db, made.crm_id).cost_source, listed(db)[0].cost_price) == ("manual", _ZERO)


def test_a_price_after_a_full_discount_is_news(db: Db) -> None:
    fake = discounted()
    sync_all(db, client(fake))
    edit(db, 1, client_price=100.0)
    fake.finances_ = {}
    sync_all(db, client(fake))
    told = {event.kind for event in events(db)}
    assert {"cost_changed", "margin_negative"} <= told
    assert (1, "cost_price", "0.00", "500.00") in changed(db)


def test_a_price_where_there_was_none_is_no_change_of_the_price(db: Db) -> None:
    fake = FakeTimeweb([server(1)], [], presets_=[])
    sync_all(db, client(fake))
    fake.costs = [cost(1)]
    sync_all(db, client(fake))
    assert "cost_changed" not in {event.kind for event in events(db)}
    # The log says that it was unknown, not that it was 0.
    assert (1, "cost_price", None, "500.00") in changed(db)
    set_cost(db, typed(db), 5)
    assert (2, "cost_price", None, "5.00") in changed(db)


def test_the_chart_tells_a_past_zero_from_a_past_unknown(db: Db) -> None:
    """The first costs nothing and the second nobody knows what; then both have a price."""
    fake = FakeTimeweb([server(1), server(2)], [cost(1)], presets_=[], finances_={"monthly_cost": 500, "monthly_fee": 0})
    sync_all(db, client(fake))
    today = local_today()
    then = as_midnight(add_months(today, -2))
    with db() as session, session.begin():
        session.execute(update(ChangeLog).values(at=then))
        session.execute(update(HostingServer).values(created_at=then))
    fake.costs, fake.finances_ = [cost(1), cost(2, 300)], {}
    sync_all(db, client(fake))
    with db() as session:
        found = charts.months(session, _COLUMNS, today, ZoneInfo("Europe/Moscow"))
    assert [month.cost for month in found][-2:] == [_ZERO, Decimal("800.00")]


def test_a_zero_typed_over_an_unknown_cost_is_an_edit(db: Db) -> None:
    crm_id = typed(db)
    made = update_manual(db, crm_id, {"cost_price": "0"}, actor="anna")
    assert (made.changes, listed(db)[0].cost_price, listed(db)[0].cost_source) == (("cost_price",), _ZERO, "manual")
    assert (crm_id, "cost_price", None, "0.00") in changed(db)
    assert update_manual(db, crm_id, {"cost_price": "0"}).changes == ()


def test_amounts_in_another_currency_are_no_roubles(db: Db) -> None:
    fake = world(1, finances_={"currency": "KZT", "hours_left": 5})
    report = sync_all(db, client(fake))
    assert (report.status, [warning.code for warning in report.warnings]) == ("success", ["foreign_currency"])
    assert ("presets.list" in fake.names, listed(db)[0].cost_price, totals(db).balance) == (False, None, None)
    (low,) = events(db, "balance_low")
    assert '"balance": null' in low.payload
    # Not even when the currency cannot be asked for, and not for one server alone.
    fake.faults["finances.get"] = [ForbiddenError("no", status_code=403)] * 2
    sync_all(db, client(fake))
    assert sync_server(db, client(fake), 1).success
    assert listed(db)[0].cost_price is None
    fake.finances_ = {}
    sync_all(db, client(fake))
    assert (listed(db)[0].cost_price, totals(db).balance) == (Decimal("500.00"), Decimal("7378.30"))
