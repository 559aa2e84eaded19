"""What a sync does, told as given / when / then with exact numbers."""

from __future__ import annotations

import copy
from datetime import datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import Any

import pytest
from sqlalchemy import update
from sqlalchemy.orm import Session, sessionmaker

from crm_adapter import import_servers, link, plan, sync_all, sync_server, totals, unlink
from crm_adapter.models import AccountState
from crm_adapter.money import local_today
from crm_adapter.results import SyncReport
from tests.crm.support import (
    FakeTimeweb,
    Page,
    changed,
    client,
    cost,
    edit,
    events,
    everything,
    row,
    rows,
    server,
    state,
    typed,
    world,
)
from timeweb_sdk.errors import (
    ConnectTimeout,
    EdgeError,
    ForbiddenError,
    NotFoundError,
    RateLimitError,
    ServerError,
    UnauthorizedError,
)

Db = sessionmaker[Session]


def counts(report: SyncReport) -> dict[str, int]:
    """The counts that are not zero."""
    data = report.to_dict()
    names = ("created", "updated", "unchanged", "linked", "missing", "restored", "skipped", "error")
    return {name: data[f"{name}_count"] for name in names if data[f"{name}_count"]}


def sync(db: Db, fake: FakeTimeweb, **options: Any) -> SyncReport:
    return sync_all(db, client(fake), **options)


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
    after = rows(db)
    for old, new in zip(before, after, strict=True):
        assert new.pop("last_sync_at") > old.pop("last_sync_at")
        assert new == old
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


def test_two_of_three_may_go_and_at_most_twenty_are_asked_for(db: Db) -> None:
    fake = world(3)
    sync(db, fake)
    del fake.servers_[1:]
    assert counts(sync(db, fake)) == {"missing": 2, "unchanged": 1}
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


# Faults


@pytest.mark.parametrize(
    ("fault", "code", "retry_in"),
    [
        (UnauthorizedError("no", status_code=401), "unauthorized", 900),
        (RateLimitError("slow", status_code=429, retry_after=240), "rate_limited", 240),
        (RateLimitError("slow", status_code=429), "rate_limited", 60),
        (ServerError("down", status_code=502), "upstream_unavailable", 60),
        (ConnectTimeout("no route"), "upstream_unavailable", 60),
        (ForbiddenError("no", status_code=403), "forbidden", None),
        (EdgeError("html", status_code=404, from_edge=True), "bad_response", None),
    ],
)
def test_a_listing_that_fails_writes_nothing(db: Db, fault: Exception, code: str, retry_in: int | None) -> None:
    fake = world(2)
    sync(db, fake)
    before, asked = rows(db), len(fake.calls)
    fake.faults = {"servers.list": [fault]}
    fake.servers_[0]["ram"] = 8192
    report = sync(db, fake)
    status = "partial" if code == "rate_limited" else "failed"
    assert (report.status, report.error_code, report.api_calls, counts(report)) == (status, code, 1, {})
    assert len(fake.calls) - asked == 1
    assert rows(db) == before
    with db() as session:
        account = session.get(AccountState, "default")
        assert account is not None and account.last_attempt_at is not None
        wait = None if account.retry_at is None else round((account.retry_at - account.last_attempt_at).total_seconds())
    assert wait == retry_in
    assert counts(sync(db, fake)) == {"updated": 1, "unchanged": 1}
    told = ["sync_failed", "sync_recovered"] if status == "failed" else []
    assert [event.kind for event in events(db) if event.kind.startswith("sync_")] == told


def test_429_in_the_middle_updates_what_was_fetched(db: Db) -> None:
    fake = world(150)
    sync(db, fake)
    for item in fake.servers_:
        item["ram"] = 4096
    fake.faults = {"servers.list": [None, RateLimitError("slow", status_code=429, retry_after=30)]}
    report = sync(db, fake)
    assert (report.status, report.error_code, counts(report)) == ("partial", "rate_limited", {"updated": 100})
    assert report.accounts[0].message == "Превышен лимит, повтор через 30 с"
    assert [state(db, number).missing_since for number in (1, 150)] == [None, None]


def test_403_on_costs_keeps_them_and_marks_them_stale(db: Db) -> None:
    fake = world(2)
    sync(db, fake)
    fake.servers_[0]["ram"] = 4096
    fake.faults = {"cost.list": [ForbiddenError("no", status_code=403)]}
    report = sync(db, fake)
    assert (report.status, report.error_code, counts(report)) == ("partial", "cost_unavailable", {"updated": 1, "unchanged": 1})
    assert [(item["cost_price"], state(db, item["id"]).cost_stale) for item in rows(db)] == [(500, True), (500, True)]
    sync(db, fake)
    assert [state(db, number).cost_stale for number in (1, 2)] == [False, False]


def test_one_bad_server_does_not_cost_the_others(db: Db) -> None:
    fake = world(3)
    fake.servers_[1]["id"] = None
    report = sync(db, fake)
    assert (report.status, report.error_code, counts(report)) == ("partial", "server_unreadable", {"created": 2, "error": 1})
    assert report.errors[0].to_dict() == {
        "server_id": None, "server_name": "web-2", "error": "Не удалось разобрать данные сервера", "code": "server_unreadable",
    }  # fmt: skip


def test_garbage_in_a_list_is_counted_not_raised(db: Db) -> None:
    fake = FakeTimeweb([server(1)], [cost(1)])
    garbage: Any = [server(1), None, "x", 5, {"id": {}}]
    fake.faults = {"servers.list": [lambda: Page(garbage, 5)], "cost.list": [lambda: Page([None, "x", {"cost": []}], 3)]}  # type: ignore[list-item]
    report = sync(db, fake)
    assert (report.status, report.created_count) == ("partial", 1)


def test_no_token_runs_nothing(db: Db) -> None:
    report = sync_all(db, None)
    assert (report.status, report.error_code, report.run_id) == ("skipped", "not_configured", None)
    assert report.warnings[0].message == "Timeweb API token не настроен"


# Several accounts


def test_one_bad_token_never_hurts_another_account(db: Db) -> None:
    good, bad = world(2), FakeTimeweb(account_id="cp2")
    bad.faults = {"projects.list": [UnauthorizedError("no", status_code=401)]}
    report = sync_all(db, {"bad": client(bad), "good": client(good)})
    assert (report.status, counts(report)) == ("partial", {"created": 2})
    assert [(part.account, part.status, part.error_code) for part in report.accounts] == [
        ("bad", "failed", "unauthorized"),
        ("good", "success", None),
    ]
    assert len(bad.calls) == 1


def test_a_token_of_another_account_is_refused(db: Db) -> None:
    sync(db, world(2))
    with db() as session, session.begin():
        session.execute(update(AccountState).values(identity_checked_at=datetime(2026, 1, 1)))
    before = rows(db)
    report = sync(db, FakeTimeweb([server(7)], [cost(7)], account_id="cp99999"))
    assert (report.status, report.error_code, rows(db) == before) == ("failed", "account_mismatch", True)


def test_a_token_replaced_within_the_day_is_noticed_by_what_it_lists(db: Db) -> None:
    sync(db, world(2))
    report = sync(db, FakeTimeweb([server(7)], [cost(7)], account_id="cp99999"))
    assert (report.status, report.error_code, len(rows(db))) == ("failed", "account_mismatch", 2)


def test_two_tokens_of_one_account_are_one(db: Db) -> None:
    report = sync_all(db, {"a": client(world(2)), "b": client(world(2))})
    assert [(part.account, part.error_code) for part in report.accounts] == [("a", None), ("b", "duplicate_account")]
    assert counts(report) == {"created": 2}


def test_a_server_moves_between_accounts_and_keeps_its_row(db: Db) -> None:
    first, second = world(4), FakeTimeweb([server(9)], [cost(9)], account_id="cp2")
    both = {"first": client(first), "second": client(second)}
    sync_all(db, both)
    second.servers_.append(first.servers_.pop())
    second.costs.append(first.costs.pop())
    first.faults = {"servers.get": [NotFoundError("x", status_code=404, error_code="not_found")]}
    report = sync_all(db, both)
    assert (len(rows(db)), row(db, 1004)["id"], state(db, 4).account) == (5, 4, "second")
    assert counts(report)["restored"] == 1
    assert ("account", "first", "second") in [entry[1:] for entry in changed(db, report.run_id)]


def test_an_account_does_not_take_a_row_that_its_owner_still_lists(db: Db) -> None:
    sync_all(db, {"first": client(world(2))})
    thief = FakeTimeweb([server(1, ram=9999)], [cost(1, 5)], account_id="cp2")
    report = sync_all(db, {"thief": client(thief)})
    assert (counts(report), report.warnings[0].code) == ({"skipped": 1}, "other_account")
    assert (row(db, 1001)["cost_price"], state(db, 1).account) == (500, "first")


# One server, and imports


def test_sync_server_ignores_auto_sync_and_marks_nothing_removed(db: Db) -> None:
    fake = world(1)
    sync(db, fake)
    edit(db, 1, auto_sync=False)
    fake.servers_[0]["ram"] = 4096
    result = sync_server(db, client(fake), 1, actor="anna")
    assert (result.success, result.changes, result.code) == (True, ("configuration",), None)
    assert result.server is not None and result.server["configuration"].startswith("2 CPU / 4GB")
    fake.servers_.clear()
    gone = sync_server(db, client(fake), 1)
    assert (gone.success, gone.code, state(db, 1).removed_at) == (False, "server_missing", None)


def test_sync_server_of_rows_that_cannot(db: Db) -> None:
    crm_id = typed(db)
    assert sync_server(db, client(world(1)), crm_id).code == "not_linked"
    assert sync_server(db, client(world(1)), 99).code == "not_found"
    sync(db, world(1))
    fake = world(1, faults={"servers.get": [RateLimitError("slow", status_code=429, retry_after=9)]})
    assert sync_server(db, client(fake), 2).message == "Превышен лимит, повтор через 9 с"


def test_import_creates_links_and_refuses(db: Db) -> None:
    crm_id = typed(db, ip_address="203.0.113.2")
    fake = world(3)
    result = import_servers(db, client(fake), [1001, 1002, 4242], actor="anna")
    assert [(item.server_id, item.crm_id, item.linked) for item in result.imported] == [(1001, 2, False), (1002, crm_id, True)]
    assert [(item.server_id, item.code) for item in result.errors] == [(4242, "not_found")]
    again = import_servers(db, client(fake), [1001])
    assert again.to_dict()["errors"] == [{"server_id": 1001, "code": "already_imported", "error": "Сервер уже импортирован"}]
    assert (again.success, again.api_calls) == (False, 0)
    assert row(db, 1001)["cost_price"] == 500
    assert counts(sync(db, fake)) == {"created": 1, "unchanged": 2}


def test_import_under_a_choice_and_dry(db: Db) -> None:
    crm_id = typed(db)
    fake = world(5)
    dry = import_servers(db, client(fake), [1001, 1002, 1003, 1004, 1005], link={1003: crm_id}, dry_run=True)
    assert (dry.imported_count, rows(db)[0]["timeweb_id"], len(rows(db))) == (5, None, 1)
    done = import_servers(db, client(fake), [1003, 1004], link={1003: crm_id, 1004: 77})
    assert [(item.server_id, item.crm_id) for item in done.imported] == [(1003, crm_id)]
    assert [(item.server_id, item.code) for item in done.errors] == [(1004, "conflict")]


def test_import_from_the_account_that_has_the_server(db: Db) -> None:
    first, second = world(2), FakeTimeweb([server(9)], [cost(9, 900)], account_id="cp2")
    result = import_servers(db, {"first": client(first), "second": client(second)}, [1009])
    assert result.imported_count == 1
    assert (row(db, 1009)["cost_price"], state(db, 1).account) == (900, "second")


def test_import_when_timeweb_is_away(db: Db) -> None:
    fake = world(1, faults={"servers.get": [ConnectTimeout("x")]})
    result = import_servers(db, client(fake), [1001])
    assert (result.success, result.errors[0].code) == (False, "upstream_unavailable")


# Plan


def test_plan_writes_nothing_and_a_dry_run_counts_what_the_run_does(db: Db) -> None:
    fake = world(3)
    sync(db, fake)
    fake.servers_[0]["ram"] = 4096
    fake.servers_.append(server(4))
    fake.costs.append(cost(4))
    before = everything(db)
    made = plan(db, client(fake))
    dry = sync(db, fake, dry_run=True)
    assert everything(db) == before
    assert [(item.action, item.timeweb_id) for item in made.servers if item.action != "unchanged"] == [
        ("update", 1001),
        ("create", 1004),
    ]
    assert made.servers[0].changes["configuration"][1] == "2 CPU / 4GB RAM / 25GB SSD / Ubuntu 22.04"
    real = sync(db, fake)
    assert counts(dry) == counts(made.report) == counts(real) == {"created": 1, "updated": 1, "unchanged": 2}


# Status events


def test_off_and_no_paid_after_busy_are_told_when_seen_twice(db: Db) -> None:
    fake = world(3)
    sync(db, fake)

    def told(*statuses: str) -> list[str]:
        for item, status in zip(fake.servers_, statuses, strict=True):
            item["status"] = status
        before = len(events(db))
        sync(db, fake)
        return sorted(f"{event.kind} {event.server_id}" for event in events(db)[before:])

    assert told("off", "installing", "blocked") == ["status_problem 3"]
    assert told("off", "no_paid", "blocked") == ["status_problem 1"]
    assert told("off", "no_paid", "on") == ["status_problem 2", "status_recovered 3"]
    assert told("on", "on", "rebooting") == ["status_recovered 1", "status_recovered 2"]
    assert told("off", "on", "on") == []
    assert told("on", "on", "on") == []


def test_cost_events_have_thresholds_and_margins_turn_negative_once(db: Db) -> None:
    fake = world(2, total=2000)
    sync(db, fake)
    edit(db, 1, client_price=2100.0, client_name="Иванов")

    def told(first: float, second: float) -> list[str]:
        fake.costs[0]["total_cost"], fake.costs[1]["total_cost"] = first, second
        before = len(events(db))
        sync(db, fake)
        return sorted(f"{event.kind} {event.server_id}" for event in events(db)[before:])

    assert told(2099.99, 2000) == []
    assert told(2000, 2100) == ["cost_changed 2"]
    assert told(2150, 2100) == ["cost_changed 1", "margin_negative 1"]
    assert told(2160, 2100) == []


def test_low_balance_is_told_once_per_episode(db: Db) -> None:
    fake = world(1)
    for hours, expected in ((100, 0), (71, 1), (60, 1), (200, 1), (10, 2), (None, 2)):
        fake.finances_ = {"hours_left": hours}
        sync(db, fake)
        assert len(events(db, "balance_low")) == expected


def test_the_identity_is_asked_for_once_a_day(db: Db) -> None:
    fake = world(1)
    sync(db, fake)
    with db() as session, session.begin():
        account = session.get(AccountState, "default")
        assert account is not None and account.identity_checked_at is not None
        account.identity_checked_at -= timedelta(hours=25)
    assert sync(db, fake).api_calls == 4
    assert sync(db, fake).api_calls == 3


def test_an_identity_that_cannot_be_read_stops_nothing_but_strangers(db: Db) -> None:
    closed = ForbiddenError("no", status_code=403)
    fake = world(2, faults={"projects.list": [closed]})
    assert (sync(db, fake).status, sync(db, fake).api_calls) == ("success", 3)
    strangers = FakeTimeweb([server(8), server(9)], [cost(8), cost(9)], faults={"projects.list": [closed, closed]})
    before = rows(db)
    report = sync(db, strangers)
    assert (report.status, report.error_code, rows(db)) == ("failed", "identity_unknown", before)
    known = world(2)
    sync_all(db, {"known": client(FakeTimeweb([server(5)], [cost(5)], account_id="cp5"))})
    known.faults = {"projects.list": [closed]}
    assert sync_all(db, {"known": client(known)}).error_code == "identity_unknown"
    away = world(2, faults={"projects.list": [ServerError("x", status_code=502)]})
    assert sync_all(db, {"other": client(away)}).status == "success"


def test_an_account_may_be_renamed_once_its_old_name_rests(db: Db) -> None:
    sync_all(db, {"old": client(world(2))})
    assert sync_all(db, {"new": client(world(2))}).error_code == "duplicate_account"
    with db() as session, session.begin():
        session.execute(update(AccountState).values(last_success_at=datetime(2026, 1, 1)))
    report = sync_all(db, {"new": client(world(2))})
    assert (counts(report), [state(db, number).account for number in (1, 2)]) == ({"unchanged": 2}, ["new", "new"])
