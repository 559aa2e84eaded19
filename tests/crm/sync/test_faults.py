"""What a sync does when Timeweb fails, and how accounts stay apart."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select, update
from sqlalchemy.orm import Session, sessionmaker

from crm_adapter import ensure_fresh, sync_all, totals
from crm_adapter.db.tables import AccountState
from tests.crm.database import changed, counts, events, row, rows, state, sync
from tests.crm.fake_timeweb import FakeTimeweb, Page, client, cost, server, world
from timeweb_sdk.errors import (
    ConnectTimeout,
    EdgeError,
    ForbiddenError,
    RateLimitError,
    ServerError,
    UnauthorizedError,
)

Db = sessionmaker[Session]


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
    assert report.accounts[0].message == "Превышен лимит, повтор через 60 с"  # the pause that is kept
    assert [state(db, number).missing_since for number in (1, 150)] == [None, None]


@pytest.mark.parametrize("total", [None, 0])
def test_a_listing_without_anything_usable_is_no_fresh_data(db: Db, total: int | None) -> None:
    fake = world(2)
    sync(db, fake)
    with db() as session, session.begin():
        session.execute(update(AccountState).values(last_success_at=None))
    hollow = Page([], total)
    hollow.complete = False
    fake.faults = {"servers.list": [lambda: hollow] * 2}
    report = sync(db, fake)
    assert (report.status, report.error_code, report.missing_count) == ("partial", "incomplete_listing", 0)
    with db() as session:
        account = session.get_one(AccountState, "default")
        assert (account.last_success_at, account.servers_total) == (None, 2)
    assert ensure_fresh(db, client(fake)).status == "backoff"


def test_a_429_on_a_removal_check_is_told_and_kept(db: Db) -> None:
    fake = world(5)
    sync(db, fake)
    fake.forgotten = {1005}
    fake.faults = {"servers.get": [RateLimitError("slow", status_code=429, retry_after=90)]}
    report = sync(db, fake)
    assert (report.status, report.error_code, report.accounts[0].retry_after) == ("partial", "rate_limited", 90)
    assert ensure_fresh(db, client(fake)).status == "backoff"


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
    report = sync_all(db, both)
    assert (len(rows(db)), row(db, 1004)["id"], state(db, 4).account) == (5, 4, "second")
    assert counts(report) == {"updated": 1, "unchanged": 4}
    assert changed(db, report.run_id) == [(4, "account", "first", "second")]
    assert "servers.get" not in first.names


def test_a_server_is_gone_once_every_account_that_may_have_it_was_listed(db: Db) -> None:
    """Given accounts that are synchronised in runs of their own; then one alone cannot tell a removal from a move."""
    first, second = world(4), FakeTimeweb([server(9)], [cost(9)], account_id="cp2")
    runs = [{"first": client(first)}, {"second": client(second)}]
    for clients in runs:
        sync_all(db, clients)
    first.servers_.pop()
    first.costs.pop()
    reports = [sync_all(db, clients) for clients in (*runs, runs[0])]
    assert [len(report.removed) for report in reports] == [0, 0, 1]
    assert [event.kind for event in events(db)[5:]] == ["removed"]


def test_an_account_that_rests_for_a_day_keeps_no_removal_waiting(db: Db) -> None:
    first = world(4)
    for clients in ({"second": client(FakeTimeweb([server(9)], [cost(9)], account_id="cp2"))}, {"first": client(first)}):
        sync_all(db, clients)
    with db() as session, session.begin():
        session.execute(
            update(AccountState).where(AccountState.account == "second").values(last_success_at=datetime(2026, 1, 1))
        )
    first.servers_.pop()
    assert len(sync_all(db, {"first": client(first)}).removed) == 1


def test_an_account_does_not_take_a_row_that_its_owner_still_lists(db: Db) -> None:
    sync_all(db, {"first": client(world(2))})
    thief = FakeTimeweb([server(1, ram=9999)], [cost(1, 5)], account_id="cp2")
    report = sync_all(db, {"thief": client(thief)})
    assert (counts(report), report.warnings[0].code) == ({"skipped": 1}, "other_account")
    assert (row(db, 1001)["cost_price"], state(db, 1).account) == (500, "first")


@pytest.mark.parametrize("asked", [1e12, 1e300, 251_606_666_338.0])
def test_no_answer_keeps_an_account_waiting_for_more_than_a_day(db: Db, asked: float) -> None:
    fake = world(1)
    fake.faults = {"servers.list": [RateLimitError("slow", status_code=429, retry_after=asked)]}
    report = sync_all(db, client(fake))
    assert (report.status, report.accounts[0].retry_after) == ("partial", 86_400)
    with db() as session:
        (account,) = session.scalars(select(AccountState))
    assert account.retry_at is not None and account.last_attempt_at is not None
    assert account.retry_at - account.last_attempt_at < timedelta(hours=25)


def test_a_sum_that_no_column_holds_is_unknown(db: Db) -> None:
    fake = world(1)
    fake.costs += [{"type": "database", "service_id": number, "total_cost": 9e9} for number in range(3)]
    assert sync_all(db, client(fake)).status == "success"
    assert totals(db).other_costs is None
