"""One server, imports, plans, and what is told of changes."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import update
from sqlalchemy.orm import Session, sessionmaker

from crm_adapter import import_servers, plan, sync_all, sync_server
from crm_adapter.db.tables import AccountState, utcnow
from tests.crm.database import counts, edit, events, everything, row, rows, state, sync, typed
from tests.crm.fake_timeweb import FakeTimeweb, client, cost, server, world
from timeweb_sdk.errors import (
    ConnectTimeout,
    ForbiddenError,
    RateLimitError,
    ServerError,
)

Db = sessionmaker[Session]


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
    def rested(minutes: int) -> None:
        with db() as session, session.begin():
            session.execute(update(AccountState).values(last_success_at=utcnow() - timedelta(minutes=minutes)))

    sync_all(db, {"old": client(world(2))})
    rested(59)
    assert sync_all(db, {"new": client(world(2))}).error_code == "duplicate_account"
    rested(61)
    report = sync_all(db, {"new": client(world(2))})
    assert (counts(report), [state(db, number).account for number in (1, 2)]) == ({"unchanged": 2}, ["new", "new"])
