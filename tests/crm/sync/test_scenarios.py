"""What a sync does to rows, told as given / when / then with exact numbers."""

from __future__ import annotations

import copy
from datetime import datetime
from decimal import Decimal
from functools import partial
from typing import Any

import pytest
from sqlalchemy.orm import Session, sessionmaker

from crm_adapter import import_servers, link, sync_all, totals, unlink
from crm_adapter.money import local_today
from tests.crm.database import changed, counts, edit, events, row, rows, state, sync, typed
from tests.crm.fake_timeweb import FakeTimeweb, Page, client, cost, server, world
from timeweb_sdk.errors import (
    ConnectTimeout,
    EdgeError,
    ServerError,
)

Db = sessionmaker[Session]


# The first and the second run


def test_first_run_creates_rows_second_changes_nothing(db: Db) -> None:
    fake = world(23)
    first = sync(db, fake)
    assert (first.status, counts(first), first.total_processed, first.api_calls) == ("success", {"created": 23}, 23, 4)
    assert fake.names == ["projects.list", "servers.list", "cost.list", "finances.get"]
    before = rows(db)
    for item in fake.servers_:
        item["disks"][0]["used"] += 4096
    second = sync(db, fake)
    assert (second.status, counts(second), second.total_processed, second.api_calls) == ("success", {"unchanged": 23}, 23, 3)
    assert rows(db) == before
    assert len(changed(db)) == 23 and not changed(db, second.run_id)


def test_what_a_new_row_is(db: Db) -> None:
    sync(db, FakeTimeweb([server(1), server(2, status="off")], [cost(1), cost(2)]))
    today = local_today()
    first, second = rows(db)
    assert (first["status"], second["status"]) == ("active", "suspended")
    assert first["client_name"] == "Не указан"
    assert (first["client_price"], first["service_fee"], first["cost_price"]) == (0, 0, 500)
    assert first["start_date"] == datetime(today.year, today.month, today.day)
    month = today.month % 12 + 1
    assert first["next_payment_date"].month == month
    assert (first["payment_period"], first["auto_sync"]) == ("monthly", True)
    assert first["configuration"] == "2 CPU / 2GB RAM / 25GB SSD / Ubuntu 22.04"
    beside = state(db, first["id"])
    assert (beside.account, beside.project_id, beside.location) == ("default", 7, "ru-1")
    assert (beside.cost_gross, beside.cost_source, beside.cost_stale) == (Decimal("500.00"), "services_cost", False)
    assert beside.cost_components == '[{"type": "server", "cost": "320.00"}, {"type": "floating_ip", "cost": "180.00"}]'


def test_ten_thousand_servers_cost_104_calls_in_pages_of_100(db: Db) -> None:
    fake = world(250)
    assert sync(db, fake).api_calls == 3 + 3
    assert [argument for name, argument in fake.calls if name == "servers.list"] == [0, 100, 200]
    assert len(rows(db)) == 250


def test_changes_of_a_server_reach_its_row_and_the_log(db: Db) -> None:
    fake = world(3)
    sync(db, fake)
    fake.servers_[0] |= {"ram": 4096, "name": "renamed"}
    fake.servers_[1]["networks"][0]["ips"][0]["ip"] = "203.0.113.77"
    fake.costs[2]["total_cost"] = 700
    report = sync(db, fake)
    assert counts(report) == {"updated": 3}
    assert [(item.timeweb_id, item.name) for item in report.updated] == [(1001, "renamed"), (1002, "web-2"), (1003, "web-3")]
    told = [(crm_id, name, old, new) for crm_id, name, old, new in changed(db, report.run_id) if name != "timeweb_data"]
    assert sorted(told) == [
        (1, "configuration", "2 CPU / 2GB RAM / 25GB SSD / Ubuntu 22.04", "2 CPU / 4GB RAM / 25GB SSD / Ubuntu 22.04"),
        (1, "server_name", "web-1", "renamed"),
        (2, "ip_address", "203.0.113.2", "203.0.113.77"),
        (3, "cost_price", "500.00", "700.00"),
    ]
    assert sorted(event.kind for event in events(db) if event.kind != "imported") == [
        "config_changed",
        "cost_changed",
        "ip_changed",
    ]


# Costs


def test_discount_is_found_by_comparing_sums(db: Db) -> None:
    fake = world(2, finances_={"monthly_cost": 1000, "monthly_fee": 900})
    assert sync(db, fake).status == "success"
    assert [item["cost_price"] for item in rows(db)] == [450, 450]
    assert state(db, 1).cost_gross == 500


def test_a_fully_discounted_account_costs_nothing(db: Db) -> None:
    fake = world(2)
    sync(db, fake)
    fake.finances_ = {"monthly_cost": 1000, "monthly_fee": 0}
    assert counts(sync(db, fake)) == {"updated": 2}
    assert [(item["cost_price"], state(db, item["id"]).cost_gross) for item in rows(db)] == [(0, Decimal(500))] * 2


def test_rows_that_sum_up_to_the_fee_are_net_already(db: Db) -> None:
    sync(db, world(2, finances_={"monthly_cost": 1200, "monthly_fee": 1000}))
    assert [item["cost_price"] for item in rows(db)] == [500, 500]


def test_unreconciled_sums_keep_the_stored_basis_and_warn(db: Db) -> None:
    fake = world(2, finances_={"monthly_cost": 1000, "monthly_fee": 900})
    sync(db, fake)
    fake.finances_ = {"monthly_cost": 5000, "monthly_fee": 4500}
    report = sync(db, fake)
    assert [warning.code for warning in report.warnings] == ["cost_unreconciled"]
    assert (report.status, counts(report)) == ("success", {"unchanged": 2})
    alone = world(2, account_id="cp2", finances_={"monthly_cost": 5000, "monthly_fee": 4500})
    fresh = sync_all(db, {"second": client(alone)}, only_auto=True)
    assert next(warning.code for warning in fresh.warnings if warning.account == "second") == "cost_unreconciled"


def test_preset_price_when_there_is_no_cost_row(db: Db) -> None:
    fake = FakeTimeweb(
        [server(1), server(2, preset_id=None, configurator_id=5)], [], finances_={"monthly_cost": 0, "monthly_fee": 0}
    )
    report = sync(db, fake)
    assert report.api_calls == 5 and fake.names[-1] == "presets.list"
    assert [item["cost_price"] for item in rows(db)] == [550, 0]
    assert [state(db, number).cost_source for number in (1, 2)] == ["preset", "unknown"]
    again = sync(db, fake)
    assert (again.api_calls, counts(again)) == (3, {"unchanged": 2})
    summary = totals(db)
    assert (summary.cost_month, summary.unknown_cost_count) == (Decimal("550.00"), 1)


def test_missing_cost_row_keeps_the_value_and_marks_it_stale(db: Db) -> None:
    fake = world(2)
    sync(db, fake)
    del fake.costs[0]
    report = sync(db, fake)
    assert counts(report) == {"unchanged": 2}
    assert rows(db)[0]["cost_price"] == 500
    assert [state(db, number).cost_stale for number in (1, 2)] == [True, False]
    assert "presets.list" not in fake.names


@pytest.mark.parametrize("price", [0, None, "free", -5, float("nan")])
def test_an_unusable_price_erases_nothing(db: Db, price: object) -> None:
    fake = world(1)
    sync(db, fake)
    fake.costs[0] |= {"total_cost": price, "cost": price}
    assert counts(sync(db, fake)) == {"unchanged": 1}
    assert rows(db)[0]["cost_price"] == 500


def test_services_that_are_no_server_are_other_costs(db: Db) -> None:
    fake = world(1)
    fake.costs.append({"type": "s3", "cost": 79, "total_cost": 79, "service_id": 5})
    fake.costs.append({"type": "floating_ip", "cost": 180, "total_cost": 180, "service_id": "uuid"})
    sync(db, fake)
    assert totals(db).other_costs == Decimal("259.00")


# People and sync in one row


def test_a_human_suspension_stays_until_it_is_handed_back(db: Db) -> None:
    fake = world(1)
    sync(db, fake)
    edit(db, 1, status="suspended")
    assert counts(sync(db, fake)) == {"unchanged": 1}
    assert rows(db)[0]["status"] == "suspended"
    edit(db, 1, status="active")
    fake.servers_[0]["status"] = "off"
    sync(db, fake)
    assert rows(db)[0]["status"] == "suspended"
    fake.servers_[0]["status"] = "on"
    sync(db, fake)
    assert rows(db)[0]["status"] == "active"


@pytest.mark.parametrize("status", ["closed", "overdue"])
def test_closed_and_overdue_stay(db: Db, status: str) -> None:
    fake = world(1)
    sync(db, fake)
    edit(db, 1, status=status)
    for now in ("off", "on", "no_paid"):
        fake.servers_[0]["status"] = now
        sync(db, fake)
        assert (rows(db)[0]["status"], rows(db)[0]["timeweb_status"]) == (status, now)


def test_a_price_and_a_name_typed_by_hand_stay_and_the_client_columns_too(db: Db) -> None:
    fake = world(1)
    sync(db, fake)
    theirs = {
        "server_name": "Сайт Иванова", "cost_price": 333.33, "client_name": "Иванов", "client_price": 1500.0,
        "notes": "звонить",
        "next_payment_date": datetime(2027, 1, 31), "project_id": 4, "service_fee": 10.0, "payment_period": "quarterly",
    }  # fmt: skip
    edit(db, 1, **theirs)
    fake.servers_[0]["name"] = "other"
    fake.costs[0]["total_cost"] = 900
    sync(db, fake)
    item = rows(db)[0]
    assert {name: item[name] for name in theirs} == theirs
    assert (state(db, 1).cost_gross, state(db, 1).cost_source) == (Decimal("900.00"), "manual")


def test_auto_sync_off_is_skipped_unless_asked_for(db: Db) -> None:
    fake = world(2)
    sync(db, fake)
    edit(db, 1, auto_sync=False)
    for item in fake.servers_:
        item["ram"] = 4096
    assert counts(sync(db, fake)) == {"updated": 1, "skipped": 1}
    assert counts(sync(db, fake, only_auto=False)) == {"updated": 1, "unchanged": 1}


def test_import_new_off_only_tells(db: Db) -> None:
    fake = world(2)
    report = sync(db, fake, import_new=False)
    assert (counts(report), rows(db)) == ({"skipped": 2}, [])
    sync(db, fake, import_new=False)
    assert [event.kind for event in events(db)] == ["discovered", "discovered"]


# Linking


def test_a_row_with_the_same_public_address_is_linked_and_keeps_what_people_typed(db: Db) -> None:
    crm_id = typed(db, ip_address=" 203.0.113.1 ", cost_price=450, client_name="Иванов", status="active")
    report = sync(db, world(2))
    assert counts(report) == {"created": 1, "linked": 1}
    item = row(db, 1001)
    assert (item["id"], item["server_name"], item["client_name"], item["client_price"]) == (crm_id, "old-vps", "Иванов", 900)
    assert (item["cost_price"], item["timeweb_status"]) == (450, "on")
    assert state(db, crm_id).cost_source == "manual"
    assert [event.kind for event in events(db)].count("linked") == 1
    assert counts(sync(db, world(2))) == {"unchanged": 2}


def test_an_empty_cost_of_a_linked_row_is_filled(db: Db) -> None:
    typed(db, ip_address="203.0.113.1", cost_price=0)
    sync(db, world(1))
    assert row(db, 1001)["cost_price"] == 500
    assert row(db, 1001)["server_name"] == "old-vps"


def test_the_same_name_only_is_a_suggestion(db: Db) -> None:
    crm_id = typed(db, server_name="WEB-1", ip_address="198.51.100.9")
    report = sync(db, world(1))
    assert counts(report) == {"created": 1}
    assert [warning.code for warning in report.warnings] == ["link_suggested"]
    assert next(item for item in rows(db) if item["id"] == crm_id)["timeweb_id"] is None


def test_two_candidates_are_a_conflict_and_nothing_is_written(db: Db) -> None:
    typed(db, ip_address="203.0.113.1")
    typed(db, ip_address="203.0.113.1")
    report = sync(db, world(2))
    assert (report.status, report.error_code, counts(report)) == ("partial", "conflict", {"created": 1, "error": 1})
    assert report.errors[0].server_id == 1001
    assert len(rows(db)) == 3


def test_policies_suggest_and_off(db: Db) -> None:
    typed(db, ip_address="203.0.113.1")
    held = sync(db, world(1), link_policy="suggest")
    assert (counts(held), held.warnings[0].message) == ({"skipped": 1}, "web-1: похоже на «old-vps» (совпал IP)")
    assert counts(sync(db, world(1), link_policy="off")) == {"created": 1}


def test_private_addresses_and_closed_rows_do_not_link(db: Db) -> None:
    typed(db, ip_address="192.168.0.4")
    typed(db, ip_address="203.0.113.1", status="closed")
    fake = FakeTimeweb([server(1)], [cost(1)])
    fake.servers_[0]["networks"].append({"type": "local", "ips": [{"type": "ipv4", "ip": "192.168.0.4", "is_main": True}]})
    assert counts(sync(db, fake)) == {"created": 1}


def test_an_unlinked_server_is_not_taken_back_by_itself(db: Db) -> None:
    fake = world(1)
    sync(db, fake)
    assert unlink(db, 1).success
    assert counts(sync(db, fake)) == {"skipped": 1}
    assert counts(sync(db, fake, only_auto=False)) == {"skipped": 1}
    assert import_servers(db, client(fake), [1001]).imported_count == 1
    assert [item["timeweb_id"] for item in rows(db)] == [None, 1001]


def test_link_by_hand_then_sync_fills_the_row(db: Db) -> None:
    crm_id = typed(db, server_name="srv")
    assert link(db, crm_id, 1001).success
    assert counts(sync(db, world(1))) == {"updated": 1}
    assert (row(db, 1001)["ip_address"], row(db, 1001)["server_name"], row(db, 1001)["cost_price"]) == (
        "203.0.113.1",
        "srv",
        500,
    )


# Servers that vanish


def test_a_removed_server_is_marked_after_the_404_and_restored_on_return(db: Db) -> None:
    fake = world(5)
    sync(db, fake)
    gone = fake.servers_.pop()
    report = sync(db, fake)
    assert (counts(report), fake.names[-1], report.api_calls) == ({"missing": 1, "unchanged": 4}, "servers.get", 4)
    assert (row(db, 1005)["timeweb_status"], row(db, 1005)["status"], row(db, 1005)["ip_address"]) == (
        "removed",
        "active",
        "203.0.113.5",
    )
    assert state(db, 5).removed_at is not None
    assert counts(sync(db, fake)) == {"unchanged": 4}
    fake.servers_.append(gone)
    back = sync(db, fake)
    assert counts(back) == {"restored": 1, "unchanged": 4}
    assert (row(db, 1005)["timeweb_status"], state(db, 5).removed_at, state(db, 5).missing_since) == ("on", None, None)
    assert [event.kind for event in events(db) if event.kind in {"removed", "restored"}] == ["removed", "restored"]


@pytest.mark.parametrize(
    "answer",
    [
        EdgeError("html", status_code=404, from_edge=True),
        ServerError("down", status_code=502),
        ConnectTimeout("no"),
        lambda: server(5),
    ],
)
def test_anything_but_the_apis_own_404_removes_nothing(db: Db, answer: Any) -> None:
    fake = world(5)
    sync(db, fake)
    fake.forgotten = {1005}
    fake.faults = {"servers.get": [answer]}
    sync(db, fake)
    assert state(db, 5).removed_at is None
    assert row(db, 1005)["timeweb_status"] == "on"


def test_many_rows_vanishing_at_once_are_a_fault_of_the_listing(db: Db) -> None:
    fake = world(23)
    sync(db, fake)
    del fake.servers_[5:]
    before = rows(db)
    report = sync(db, fake)
    assert (report.status, report.error_code, counts(report)) == ("partial", "suspicious_disappearance", {"unchanged": 5})
    assert report.warnings[0].message == "Timeweb вернул 5 серверов вместо 23, пропало 18. Ничего не удалено. Проверьте токен"
    assert [item["timeweb_status"] for item in rows(db)] == [item["timeweb_status"] for item in before]
    assert "servers.get" not in fake.names
    assert len(events(db, "suspicious_disappearance")) == 1
    sync(db, fake)
    assert len(events(db, "suspicious_disappearance")) == 1


def test_a_removal_check_that_proves_nothing_is_counted(db: Db) -> None:
    fake = world(5)
    sync(db, fake)
    fake.forgotten = {1005}
    fake.faults = {"servers.get": [EdgeError("html, or no error_code", status_code=404, from_edge=True)]}
    report = sync(db, fake)
    assert (report.status, report.error_code, counts(report)) == ("partial", "bad_response", {"unchanged": 4, "error": 1})
    assert [(error.server_id, error.server_name) for error in report.errors] == [(1005, "web-5")]
    assert (state(db, 5).missing_since, row(db, 1005)["timeweb_status"]) == (None, "on")


def test_the_guard_counts_rows_that_are_not_synced_automatically_too(db: Db) -> None:
    fake = world(20)
    sync(db, fake)
    for crm_id in range(5, 21):
        edit(db, crm_id, auto_sync=False)
    del fake.servers_[:3]
    assert counts(sync(db, fake)) == {"unchanged": 1, "skipped": 16, "missing": 3}


def test_two_of_three_may_go(db: Db) -> None:
    fake = world(3)
    sync(db, fake)
    del fake.servers_[1:]
    assert counts(sync(db, fake)) == {"missing": 2, "unchanged": 1}


def test_at_most_twenty_are_asked_for(db: Db) -> None:
    many = world(100, account_id="cp2")
    for item in many.servers_:
        item["id"] += 5000
        item["networks"] = []
    for price in many.costs:
        price["service_id"] += 5000
    sync_all(db, {"big": client(many)})
    del many.servers_[75:]
    many.calls.clear()
    report = sync_all(db, {"big": client(many)})
    assert many.names.count("servers.get") == 20
    assert (counts(report), len(report.removed)) == ({"missing": 25, "unchanged": 75}, 20)
    assert len(sync_all(db, {"big": client(many)}).removed) == 5


def test_an_incomplete_listing_removes_nothing_and_is_made_once_more(db: Db) -> None:
    fake = world(5)
    sync(db, fake)
    short = [Page([server(n) for n in (1, 2, 3, 4)], 5), Page([], 5)] * 2
    fake.faults = {"servers.list": [partial(copy.copy, page) for page in short]}
    fake.calls.clear()
    report = sync(db, fake)
    assert fake.names.count("servers.list") == 4
    assert (report.status, report.error_code, counts(report)) == ("partial", "incomplete_listing", {"unchanged": 4})
    assert state(db, 5).missing_since is None


def test_a_status_removed_in_the_listing_counts_as_confirmed(db: Db) -> None:
    fake = world(2)
    sync(db, fake)
    fake.servers_[1]["status"] = "removed"
    assert counts(sync(db, fake)) == {"missing": 1, "unchanged": 1}
    assert counts(sync(db, fake)) == {"unchanged": 1, "skipped": 1}
    assert counts(sync(db, FakeTimeweb([server(9, status="removed")], account_id="cp00001"), import_new=True))["skipped"] == 1


def test_a_row_taken_out_of_the_sync_while_it_runs_is_left_alone(db: Db) -> None:
    fake = world(3)
    sync(db, fake)
    fake.servers_.pop()
    for item in fake.servers_:
        item["name"] = "new"
    # Asking for the one that is gone comes after all rows are placed.
    fake.faults["servers.get"] = [lambda: edit(db, 1, auto_sync=False)]
    assert counts(sync(db, fake)) == {"updated": 1, "missing": 1}
    assert [item["server_name"] for item in rows(db)] == ["web-1", "new", "web-3"]
