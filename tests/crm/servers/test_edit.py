"""What people do to rows."""

from __future__ import annotations

import pickle
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import delete
from sqlalchemy.orm import Session, sessionmaker

from crm_adapter import (
    OperationFailed,
    UnknownColumn,
    add_manual,
    changes,
    import_servers,
    link,
    mark_paid,
    set_cost,
    sync_all,
    sync_server,
    totals,
    unlink,
    update_manual,
)
from crm_adapter.db.tables import HostingServer
from tests.crm.database import changed, edit, rows, state, typed
from tests.crm.fake_timeweb import FakeTimeweb, client, server, world
from timeweb_sdk.errors import UnauthorizedError

Db = sessionmaker[Session]


def test_values_are_read_as_people_type_them(db: Db) -> None:
    crm_id = typed(db)
    values = {"client_price": "1 234,50", "service_fee": 10, "next_payment_date": "31.12.2026", "client_name": "  "}
    result = update_manual(db, crm_id, values | {"auto_sync": "off"}, actor="anna")
    assert result.success and result.edit_version == 1
    item = rows(db)[0]
    assert (item["client_price"], item["service_fee"], item["client_name"], item["auto_sync"]) == (
        1234.5,
        10,
        "Не указан",
        False,
    )
    assert item["next_payment_date"] == datetime(2026, 12, 31)
    assert {(entry.field, entry.actor) for entry in changes(db, crm_id)} == {
        (name, "anna") for name in ("client_price", "service_fee", "next_payment_date", "auto_sync")
    }


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"client_price": "abc"}, "client_price"),
        ({"client_price": -1}, "client_price"),
        ({"next_payment_date": "31.02.2026"}, "next_payment_date"),
        ({"payment_period": "weekly"}, "payment_period"),
        ({"status": "gone"}, "status"),
        ({"server_name": ""}, "server_name"),
        ({"client_name": "x" * 256}, "client_name"),
        ({"project_id": "x"}, "project_id"),
    ],
)
def test_bad_values_are_named_and_write_nothing(db: Db, values: dict[str, Any], named: str) -> None:
    crm_id = typed(db)
    before = rows(db)
    result = update_manual(db, crm_id, {"notes": "new", **values})
    assert (result.success, result.code, rows(db)) == (False, "validation", before)
    assert named in str(result.error)


def test_timewebs_columns_are_not_edited_while_linked(db: Db) -> None:
    sync_all(db, client(world(1)))
    assert update_manual(db, 1, {"ip_address": "198.51.100.1"}).code == "validation"
    assert update_manual(db, typed(db), {"ip_address": "198.51.100.1"}).success


def test_unknown_rows_and_versions(db: Db) -> None:
    assert update_manual(db, 99, {"notes": "x"}).code == "not_found"
    crm_id = typed(db)
    assert update_manual(db, crm_id, {"notes": "a"}, expected_version=0).edit_version == 1
    assert update_manual(db, crm_id, {"notes": "b"}, expected_version=0).code == "version_conflict"
    same = update_manual(db, crm_id, {"notes": "a"}, expected_version=1)
    assert (same.success, same.edit_version, same.changes) == (True, 1, ())


def test_a_cost_set_by_hand_stays_until_it_is_handed_back(db: Db) -> None:
    fake = world(1)
    sync_all(db, client(fake))
    assert set_cost(db, 1, "500").success  # the same number, but a person's from now on
    fake.costs[0]["total_cost"] = 700
    sync_all(db, client(fake))
    assert (rows(db)[0]["cost_price"], state(db, 1).cost_source) == (500, "manual")
    assert set_cost(db, 1, None).success
    sync_all(db, client(fake))
    assert (rows(db)[0]["cost_price"], state(db, 1).cost_source) == (700, "services_cost")
    assert update_manual(db, 1, {"server_name": "моё имя"}).success
    sync_all(db, client(fake))
    assert rows(db)[0]["server_name"] == "моё имя"
    assert update_manual(db, 1, {"server_name": None}).success
    sync_all(db, client(fake))
    assert rows(db)[0]["server_name"] == "web-1"


def test_a_zero_typed_by_hand_is_a_price_and_an_untyped_one_is_not(db: Db) -> None:
    crm_id = typed(db, client_price=100)
    assert totals(db).cost_month is None
    set_cost(db, crm_id, 0)
    edit(db, crm_id, cost_price=5)
    set_cost(db, crm_id, 0)
    assert (totals(db).cost_month, totals(db).profit_month) == (Decimal("0.00"), Decimal("100.00"))


def test_paying_moves_the_date_with_month_ends_anchored(db: Db) -> None:
    crm_id = typed(db, next_payment_date=datetime(2026, 1, 31), status="overdue")
    days = [date(2026, 2, 28), date(2026, 3, 31), date(2026, 4, 30), date(2026, 5, 31)]
    for day in days:
        result = mark_paid(db, crm_id)
        assert result.success and result.server is not None
        assert result.server["next_payment_date"].date() == day
    assert rows(db)[0]["status"] == "active"
    edit(db, crm_id, next_payment_date=datetime(2026, 6, 15))
    mark_paid(db, crm_id)
    assert rows(db)[0]["next_payment_date"] == datetime(2026, 7, 15)
    update_manual(db, crm_id, {"payment_period": "yearly"})
    mark_paid(db, crm_id)
    assert rows(db)[0]["next_payment_date"] == datetime(2027, 7, 15)
    update_manual(db, crm_id, {"payment_period": "quarterly", "next_payment_date": date(2026, 11, 30)})
    mark_paid(db, crm_id)
    assert rows(db)[0]["next_payment_date"] == datetime(2027, 2, 28)


def test_two_clicks_pay_once(db: Db) -> None:
    crm_id = typed(db, next_payment_date=datetime(2026, 1, 31))
    assert mark_paid(db, crm_id, expected_date=date(2026, 1, 31)).success
    assert mark_paid(db, crm_id, expected_date=date(2026, 1, 31)).code == "version_conflict"
    assert rows(db)[0]["next_payment_date"] == datetime(2026, 2, 28)


def test_linking_by_hand_meets_rows_and_servers_that_are_taken(db: Db) -> None:
    sync_all(db, client(world(1)))
    crm_id = typed(db)
    assert link(db, crm_id, 1001).error == "Сервер уже импортирован: запись № 1"
    assert link(db, 1, 1002).code == "conflict"
    assert link(db, 99, 1002).code == "not_found"
    assert link(db, crm_id, 1002).success
    assert unlink(db, crm_id).success
    assert unlink(db, crm_id).code == "not_linked"
    assert [(name, old, new) for row_id, name, old, new in changed(db) if row_id == crm_id] == [
        ("timeweb_id", None, "1002"),
        ("timeweb_id", "1002", None),
    ]


def test_unlinking_keeps_what_people_see(db: Db) -> None:
    sync_all(db, client(world(1)))
    unlink(db, 1)
    item = rows(db)[0]
    assert (item["timeweb_id"], item["timeweb_status"], item["timeweb_data"]) == (None, None, None)
    assert (item["server_name"], item["ip_address"], item["cost_price"]) == ("web-1", "203.0.113.1", 500)


def test_adding_by_hand(db: Db) -> None:
    made = add_manual(
        db, {"server_name": "hetzner-1", "cost_price": "300", "client_price": 900, "next_payment_date": "2026-12-31"}
    )
    assert made.success and made.server is not None and made.crm_id == 1
    assert (made.server["client_name"], made.server["cost_source"], made.server["status"]) == (
        "Не указан",
        "manual",
        "active",
    )
    assert add_manual(db, {}).code == "validation"
    assert add_manual(db, {"server_name": "x", "payment_period": "yearly"}).success


def test_an_unlinked_row_that_was_deleted_does_not_hold_back_the_one_with_its_id(db: Db) -> None:
    fake = world(1)
    sync_all(db, client(fake))
    assert unlink(db, 1).success and set_cost(db, 1, 5).success
    assert sync_all(db, client(fake)).skipped_count == 1
    with db() as session, session.begin():
        session.execute(delete(HostingServer))
    assert typed(db, ip_address="203.0.113.1") == 1
    report = sync_all(db, client(fake))
    assert (report.linked_count, report.created_count, report.skipped_count) == (1, 0, 0)
    assert "created_at" not in state(db, 1).sync_base


def test_an_id_that_sqlite_gives_out_again_does_not_inherit_the_state(db: Db) -> None:
    fake = world(1)
    sync_all(db, client(fake))
    update_manual(db, 1, {"notes": "x"})
    set_cost(db, 1, 77)
    with db() as session, session.begin():
        session.connection().exec_driver_sql("DELETE FROM hosting_servers")
    sync_all(db, client(FakeTimeweb([server(2)], [], account_id="cp00001")))
    assert (rows(db)[0]["id"], rows(db)[0]["timeweb_id"]) == (1, 1002)
    assert (state(db, 1).timeweb_id, state(db, 1).edit_version, state(db, 1).cost_source) == (1002, 0, "preset")


def test_totals_count_unknowns_instead_of_taking_them_for_zero(db: Db) -> None:
    fake = world(4, total=600)
    del fake.costs[3]
    fake.presets_ = []
    sync_all(db, client(fake))
    edit(db, 1, client_price=1000.0, service_fee=200.0, client_name="Иванов", next_payment_date=datetime(2026, 11, 1))
    edit(db, 2, client_price=3000.0, payment_period="quarterly", client_name="Петров", next_payment_date=datetime(2026, 12, 1))
    edit(db, 4, client_price=500.0, client_name="Сидоров", status="overdue")
    typed(db, status="closed", client_price=9999)
    found = totals(db, today=date(2026, 11, 23))
    assert (found.servers, found.active_servers) == (4, 3)
    assert (found.income_month, found.cost_month) == (Decimal("2700.00"), Decimal("1800.00"))
    assert (found.profit_month, found.profit_percent, found.priced_count) == (Decimal("1000.00"), Decimal("45.5"), 2)
    assert (found.unpriced_count, found.unpriced_cost, found.unknown_cost_count) == (1, Decimal("600.00"), 1)
    assert (found.overdue_count, found.overdue_sum) == (2, Decimal("1700.00"))
    assert (found.balance, found.hours_left) == (Decimal("7378.30"), 500)
    assert found.to_dict()["profit_month"] == 1000.0


@pytest.mark.parametrize("crm_id", [1, 404])
def test_a_column_that_does_not_exist_is_an_error_of_the_program(db: Db, crm_id: int) -> None:
    typed(db)
    with pytest.raises(UnknownColumn, match=r"no editable column 'price'; there are .*client_price") as caught:
        update_manual(db, crm_id, {"price": 1, "notes": "x"})
    assert caught.value.names == ("price",)
    assert pickle.loads(pickle.dumps(caught.value)).names == ("price",)
    with pytest.raises(UnknownColumn, match="'id', 'timeweb_id'"):
        add_manual(db, {"server_name": "a", "id": None, "timeweb_id": 5})
    assert len(rows(db)) == 1 and rows(db)[0]["notes"] is None


def test_a_refusal_is_raised_for_who_asks(db: Db) -> None:
    crm_id = typed(db)
    assert update_manual(db, crm_id, {"notes": "x"}).raise_for_failure().changes == ("notes",)
    refusals = {
        "validation": update_manual(db, crm_id, {"client_price": "much"}),
        "not_found": mark_paid(db, 404),
        "version_conflict": update_manual(db, crm_id, {"notes": "y"}, expected_version=0),
        "not_linked": unlink(db, crm_id),
        "conflict": (link(db, crm_id, 7).raise_for_failure(), link(db, crm_id, 8))[1],
    }
    for code, result in refusals.items():
        with pytest.raises(OperationFailed) as caught:
            result.raise_for_failure()
        assert (caught.value.code, caught.value.text, caught.value.result) == (code, result.error, result)
        assert pickle.loads(pickle.dumps(caught.value)).result == result
    with pytest.raises(OperationFailed, match="not_found"):
        import_servers(db, client(world(1)), [5]).raise_for_failure()
    with pytest.raises(OperationFailed, match="server_missing"):
        sync_server(db, client(FakeTimeweb()), crm_id).raise_for_failure()
    fake = world(2)
    fake.faults = {"projects.list": [UnauthorizedError("no", status_code=401)]}
    with pytest.raises(OperationFailed, match="unauthorized"):
        sync_all(db, client(fake)).raise_for_failure()
    assert sync_all(db, client(world(2))).raise_for_failure().created_count == 2
