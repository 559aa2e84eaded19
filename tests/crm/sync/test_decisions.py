"""What is written for one server, decided from values alone."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest

from crm_adapter.db.rows import State
from crm_adapter.sync.costs import CostRow
from crm_adapter.sync.decisions import (
    Decision,
    EventDraft,
    Observed,
    as_utc,
    create,
    decide,
    is_newer,
    mark_missing,
    mark_moved,
    mark_removed,
    note_listed,
)
from crm_adapter.sync.mapping import ACTIVE_STATUSES, BUSY_STATUSES, PROBLEM_STATUSES
from tests.crm.sync.values import CONTEXT, EARLIER, NOW, observed, server_values, state, stored, typed

D = Decimal


def base_of(decision: Decision) -> dict[str, Any]:
    assert decision.state is not None
    return decision.state.base


def test_a_new_row() -> None:
    seen = Observed(server_values(1), CostRow(D("500.005"), (("server", D("500.00")),), 7))
    made = create(seen, replace(CONTEXT, factor=D("0.9"), currency="RUB"))
    assert (made.action, made.name, made.timeweb_id, made.row, made.observed) == ("create", "web-1", 1001, None, seen)
    values = server_values(1)
    assert made.host == {
        "server_name": "web-1",
        "cost_price": D("450.00"),
        "status": "active",
        "client_name": "Не указан",
        "configuration": values.configuration,
        "ip_address": "203.0.113.1",
        "client_price": 0,
        "service_fee": 0,
        "balance": 0,
        "start_date": datetime(2026, 12, 1),
        "next_payment_date": datetime(2027, 1, 1),
        "payment_period": "monthly",
        "timeweb_id": 1001,
        "timeweb_status": "on",
        "timeweb_preset_id": 10,
        "timeweb_data": values.timeweb_data,
        "auto_sync": True,
        "last_sync_at": NOW,
        "created_at": NOW,
        "updated_at": NOW,
    }
    assert made.state == State(
        timeweb_id=1001,
        account="main",
        project_id=7,
        location="ru-1",
        ip_all='["203.0.113.1"]',
        cost_gross=D("500.01"),
        cost_source="services_cost",
        cost_components='[{"type": "server", "cost": "500.00"}]',
        currency="RUB",
        sync_base='{"cost_price": "450.00", "server_name": "web-1", "status": "active"}',
        fingerprint=values.fingerprint,
        payment_anchor_day=1,
    )
    told = {"name": "web-1", "configuration": values.configuration, "ip": "203.0.113.1", "cost": D("450.00")}
    assert (made.changes, made.events) == ({"created": (None, "web-1")}, (EventDraft("imported", told),))


def test_a_new_row_of_which_little_is_known() -> None:
    made = create(observed(1, None, server_name=None, ip_address=None, timeweb_preset_id=None), CONTEXT)
    assert (made.name, made.host["cost_price"], made.events[0].payload["cost"]) == ("server-1001", 0, None)
    # Nobody wrote the 0: it is what the column says for "unknown".
    assert base_of(made)["cost_price"] == "0.00"
    assert made.state is not None and (made.state.cost_source, made.state.cost_components) == ("unknown", None)
    priced = create(observed(1, None), replace(CONTEXT, presets={10: D(550)}))
    assert priced.host["cost_price"] == 550


@pytest.mark.parametrize(("limit", "fits"), [(11, True), (10, False)])
def test_a_text_is_cut_to_the_hosts_column_and_half_an_address_is_none(limit: int, fits: bool) -> None:
    context = replace(CONTEXT, lengths={"server_name": limit, "ip_address": limit, "configuration": limit})
    seen = observed(1, server_name="Сервер веба", ip_address="203.0.113.1", configuration="2 CPU / 2GB")
    made = create(seen, context).host
    assert (made["server_name"], made["ip_address"], made["configuration"]) == (
        ("Сервер веба", "203.0.113.1", "2 CPU / 2GB") if fits else ("Сервер веб", None, "2 CPU / 2G")
    )
    # Cut, it is the same at the next run.
    row = stored(
        1, state(fingerprint=seen.values.fingerprint), **{name: made[name] for name in ("server_name", "configuration")}
    )
    assert decide(row, seen, context).action == "unchanged"


def test_what_did_not_change_is_not_written() -> None:
    row = stored(1, state())
    same = decide(row, observed(), CONTEXT)
    assert (same.action, same.host, same.changes, same.state, same.events) == ("unchanged", {}, {}, None, ())
    assert (same.name, same.timeweb_id, same.row, same.observed) == ("web-1", 1001, row, observed())
    assert not same.is_loud


@pytest.mark.parametrize(
    ("changes", "loud"),
    [({}, False), ({"host": {"status": "x"}}, True), ({"changes": {"removed": (None, 1)}}, True), ({"state": State()}, True)],
)
def test_a_decision_is_loud_if_anything_is_written(changes: dict[str, Any], loud: bool) -> None:
    assert replace(decide(stored(1, state()), observed(), CONTEXT), **changes).is_loud is loud


@pytest.mark.parametrize(
    ("values", "host", "kinds"),
    [
        ({"server_name": "new"}, {"server_name": "new"}, []),
        ({"server_name": None}, {}, []),
        ({"configuration": "4 CPU"}, {"configuration": "4 CPU"}, ["config_changed"]),
        ({"configuration": ""}, {}, []),
        ({"ip_address": "203.0.113.9"}, {"ip_address": "203.0.113.9"}, ["ip_changed"]),
        ({"ip_address": None}, {}, []),
        ({"timeweb_status": "rebooting"}, {"timeweb_status": "rebooting"}, []),
        ({"timeweb_status": None}, {}, []),
        ({"timeweb_preset_id": 11}, {"timeweb_preset_id": 11}, []),
        ({"timeweb_preset_id": None}, {}, []),
        ({"timeweb_preset_id": None, "configurator_id": 5}, {"timeweb_preset_id": None}, []),
        ({"fingerprint": "other"}, {"timeweb_data": server_values().timeweb_data}, []),
    ],
)
def test_timewebs_columns_follow(values: dict[str, Any], host: dict[str, Any], kinds: list[str]) -> None:
    found = decide(stored(1, state()), observed(1, **values), CONTEXT)
    assert (found.host, found.action) == (host, "update" if host else "unchanged")
    assert found.name == host.get("server_name", "web-1")
    assert [event.kind for event in found.events] == kinds
    for column, value in host.items():
        old = server_values().fingerprint if column == "timeweb_data" else getattr(stored(), column)
        assert found.changes[column] == (old, "other" if column == "timeweb_data" else value)
    for event in found.events:
        column = "configuration" if event.kind == "config_changed" else "ip_address"
        assert event.payload == {"name": "web-1", "old": getattr(stored(), column), "new": host[column]}


def test_a_value_where_there_was_none_is_no_news() -> None:
    row = stored(1, state(), configuration=None, ip_address=None)
    assert decide(row, observed(), CONTEXT).events == ()


@pytest.mark.parametrize(
    ("before", "now", "written"),
    [
        ("active", "off", "suspended"),
        ("active", "no_paid", "suspended"),
        ("suspended", "on", "active"),
        ("suspended", "off", None),
        ("active", "rebooting", None),
        ("suspended", "installing", None),
        ("active", "of_2031", None),
        ("active", None, None),
        ("closed", "off", None),
        ("overdue", "on", None),
        ("", "on", None),
    ],
)
def test_the_status_follows_what_a_server_does_while_it_is_syncs(before: str, now: str | None, written: str | None) -> None:
    beside = state(sync_base=json.dumps({"status": before}))
    found = decide(stored(1, beside, status=before), observed(1, timeweb_status=now), CONTEXT)
    assert found.host.get("status") == written
    assert base_of(found)["status"] == (written or before)


@pytest.mark.parametrize(
    ("kind", "statuses"),
    [
        (BUSY_STATUSES, "installing software_install reinstalling turning_on turning_off hard_turning_off rebooting"),
        (
            BUSY_STATUSES,
            "hard_rebooting removing cloning transfer configuring starting stopping shutting_down creating recovering",
        ),
        (ACTIVE_STATUSES, "on"),
        (PROBLEM_STATUSES, "off no_paid blocked permanent_blocked"),
    ],
)
def test_each_status_is_of_its_kind(kind: frozenset[str], statuses: str) -> None:
    assert set(statuses.split()) <= kind


@pytest.mark.parametrize("column", ["server_name", "cost_price", "status"])
def test_a_shared_column_is_a_humans_once_a_human_wrote_it(column: str) -> None:
    human = {"server_name": "мой", "cost_price": 123.45, "status": "suspended"}[column]
    seen = observed(1, 700, server_name="new", timeweb_status="on")
    ours = decide(stored(1, state()), seen, CONTEXT)
    theirs = decide(stored(1, state(), **{column: human}), seen, CONTEXT)
    changed = {"server_name": "new", "cost_price": D("700.00")}
    assert {name: ours.host[name] for name in changed} == changed
    assert theirs.host == {name: value for name, value in changed.items() if name != column}
    # What sync wrote last stays known: the day it stands there again, the column is sync's again.
    assert base_of(theirs)[column] == state().base[column]
    assert ours.state is not None and theirs.state is not None
    source = "manual" if column == "cost_price" else "services_cost"
    assert (ours.state.cost_source, theirs.state.cost_source) == ("services_cost", source)


@pytest.mark.parametrize(
    ("changes", "written"),
    [
        # Empty: nobody's. Equal: adopted. Anything else: a human's.
        ({"server_name": "", "cost_price": None, "status": ""}, {"server_name", "cost_price"}),
        ({"server_name": "web-1", "cost_price": 500.0, "status": "active"}, set()),
        ({"server_name": "мой", "cost_price": 1.0, "status": "closed"}, set()),
        ({"cost_price": 0.0}, {"cost_price"}),
    ],
)
def test_a_row_that_sync_has_never_written(changes: dict[str, Any], written: set[str]) -> None:
    for beside in (None, State(), State(sync_base='{"server_name": "web-1", "cost_price": "1.00"}')):
        row = typed(1, beside, **changes)
        found = decide(row, observed(1), CONTEXT, linking=True)
        assert {"server_name", "cost_price"} & set(found.host) == written
        owned = set(base_of(found)) if beside is None or not beside.base else set()
        if owned:
            mine = {"server_name": ("", "web-1"), "cost_price": (None, 0.0, 500.0), "status": ("", "active")}
            assert owned == {name for name, values in mine.items() if changes.get(name, values[-1]) in values}


def test_a_known_zero_is_a_price_that_a_human_typed() -> None:
    row = typed(1, State(cost_source="manual"), cost_price=0.0)
    assert "cost_price" not in decide(row, observed(), CONTEXT, linking=True).host


def test_an_active_row_of_a_server_that_is_off_is_adopted_by_what_a_new_row_would_say() -> None:
    off = observed(1, timeweb_status="off", status="suspended")
    assert base_of(decide(typed(1, status="suspended"), off, CONTEXT, linking=True))["status"] == "suspended"
    assert "status" not in base_of(decide(typed(1, status="active"), off, CONTEXT, linking=True))
    busy = observed(1, timeweb_status="rebooting", status="active")
    assert base_of(decide(typed(1, status="active"), busy, CONTEXT, linking=True))["status"] == "active"


def test_only_shared_columns_stay_in_the_base() -> None:
    beside = state(
        sync_base=json.dumps({"created_at": "x", "server_name": "web-1", "cost_price": "500.00", "status": "active"})
    )
    assert set(base_of(decide(stored(1, beside), observed(1, server_name="n"), CONTEXT))) == {
        "server_name",
        "cost_price",
        "status",
    }


def test_linking_gives_the_row_its_server_and_tells_that_alone() -> None:
    row = typed(1, configuration="old", ip_address="203.0.113.9", server_name="мой")
    found = decide(row, observed(), CONTEXT, linking=True)
    assert (found.action, found.host["timeweb_id"], found.name) == ("link", 1001, "мой")
    assert found.changes["timeweb_id"] == (None, 1001)
    assert found.events == (EventDraft("linked", {"name": "мой", "server": "web-1", "ip": "203.0.113.1"}),)


def test_a_row_comes_back_or_moves() -> None:
    back = decide(stored(1, state(removed_at=EARLIER, missing_since=EARLIER)), observed(), CONTEXT)
    assert (back.action, back.changes, back.events) == (
        "restore",
        {"restored": (EARLIER.isoformat(), None)},
        (EventDraft("restored", {"name": "web-1"}),),
    )
    assert back.state is not None and (back.state.removed_at, back.state.missing_since) == (None, None)
    moved = decide(stored(1, state(account="other")), observed(), CONTEXT)
    event = EventDraft("moved", {"name": "web-1", "before": "other", "account": "main"})
    assert (moved.action, moved.changes, moved.events) == ("update", {"account": ("other", "main")}, (event,))
    both = decide(stored(1, state(account="other", removed_at=EARLIER)), observed(), CONTEXT)
    assert (both.action, set(both.changes), both.events) == ("restore", {"account", "restored"}, (event,))
    # Another name of the same account is no move, a row without an account neither.
    renamed = decide(stored(1, state(account="old")), observed(), replace(CONTEXT, aliases=frozenset({"old"})))
    assert (renamed.action, renamed.changes, renamed.events) == ("unchanged", {"account": ("old", "main")}, ())
    assert decide(stored(1, state(account=None)), observed(), CONTEXT).changes == {}


def test_missing_is_noted_once() -> None:
    row = stored(1, state())
    found = mark_missing(row, CONTEXT)
    assert (found.action, found.name, found.timeweb_id, found.row) == ("missing", "web-1", 1001, row)
    assert found.state == state(missing_since=NOW)
    assert mark_missing(stored(1, state(missing_since=EARLIER)), CONTEXT).state is None
    assert mark_missing(stored(1), CONTEXT).state == State(timeweb_id=1001, account="main", missing_since=NOW)
    assert mark_missing(typed(), CONTEXT).timeweb_id == 0


def test_moved_is_written_and_told() -> None:
    found = mark_moved(stored(1, state(listed_by="b", missing_since=EARLIER)), CONTEXT, "b")
    assert (found.action, found.name, found.timeweb_id) == ("update", "web-1", 1001)
    assert (found.changes, found.state) == ({"account": ("main", "b")}, state(account="b"))
    assert found.events == (EventDraft("moved", {"name": "web-1", "before": "main", "account": "b"}),)
    assert mark_moved(stored(1), CONTEXT, "b").state == State(timeweb_id=1001, account="b")
    assert mark_moved(typed(), CONTEXT, "b").timeweb_id == 0


def test_who_shows_a_server_is_noted() -> None:
    found = note_listed(stored(1, state()), CONTEXT, "b")
    assert (found.action, found.name, found.timeweb_id, found.state) == ("note", "web-1", 1001, state(listed_by="b"))
    assert note_listed(stored(1, state(listed_by="b")), CONTEXT, None).state == state()
    assert note_listed(stored(1), CONTEXT, "b").state == State(timeweb_id=1001, listed_by="b")
    assert note_listed(typed(), CONTEXT, "b").timeweb_id == 0
    # The account's own run forgets that it was noted, another one's note stays.
    assert decide(stored(1, state(account="b", listed_by="main")), observed(), CONTEXT).state == state()
    kept = decide(stored(1, state(listed_by="b")), observed(1, 700), CONTEXT).state
    assert kept is not None and kept.listed_by == "b"


def test_removed_is_a_status_and_a_moment() -> None:
    row = stored(1, state(problem_runs=2))
    found = mark_removed(row, CONTEXT, observed())
    assert (found.action, found.name, found.timeweb_id, found.row, found.observed) == ("remove", "web-1", 1001, row, observed())
    assert found.host == {"timeweb_status": "removed"}
    assert found.changes == {"timeweb_status": ("on", "removed"), "removed": (None, NOW.isoformat())}
    assert found.state == state(missing_since=NOW, removed_at=NOW)
    assert found.events == (EventDraft("removed", {"name": "web-1", "ip": "203.0.113.1"}),)
    again = mark_removed(stored(1, state(missing_since=EARLIER), timeweb_status="removed"), CONTEXT)
    assert (again.host, again.state) == ({}, state(missing_since=EARLIER, removed_at=NOW))
    without = mark_removed(stored(1), CONTEXT)
    assert without.state == State(timeweb_id=1001, account="main", missing_since=NOW, removed_at=NOW)
    assert mark_removed(typed(), CONTEXT).timeweb_id == 0


@pytest.mark.parametrize(
    ("status", "before", "runs", "told", "left"),
    [
        # `off` twice, the rest of the problems at once, `no_paid` twice only after Timeweb was at work.
        ("off", "on", 0, None, 1),
        ("off", "off", 1, "status_problem", 2),
        ("off", "off", 2, None, 2),
        ("off", "off", 0, None, 0),
        ("no_paid", "on", 0, "status_problem", 2),
        ("no_paid", "rebooting", 0, None, 1),
        ("no_paid", "no_paid", 1, "status_problem", 2),
        ("blocked", "on", 0, "status_problem", 2),
        ("blocked", "rebooting", 0, "status_problem", 2),
        ("blocked", "off", 2, "status_problem", 2),
        ("on", "off", 2, "status_recovered", 0),
        ("on", "off", 1, None, 0),
        ("on", "on", 0, None, 0),
        ("rebooting", "off", 1, None, 0),
        ("rebooting", "off", 2, None, 2),
        ("of_2031", "on", 0, None, 0),
        (None, "off", 2, None, 2),
    ],
)
def test_problems_are_told_when_they_last(status: str | None, before: str, runs: int, told: str | None, left: int) -> None:
    found = decide(stored(1, state(problem_runs=runs), timeweb_status=before), observed(1, timeweb_status=status), CONTEXT)
    assert [event for event in found.events if event.kind.startswith("status")] == (
        [EventDraft(told, {"name": "web-1", "status": status, "before": before})] if told else []
    )
    assert (found.state or state(problem_runs=runs)).problem_runs == left


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        # 100 ₽, or a tenth.
        (2000, 2100, True),
        (2000, 2099.99, False),
        (2000, 1900, True),
        (2000, 1900.01, False),
        (500, 550, True),
        (500, 549.99, False),
        (500, 450, True),
        (500, 450.01, False),
        (0, 0.01, True),
    ],
)
def test_a_price_is_news_from_100_roubles_or_a_tenth(old: float, new: float, told: bool) -> None:
    beside = state(sync_base=json.dumps({"cost_price": f"{old:.2f}"}))
    found = decide(stored(1, beside, cost_price=float(old), client_price=90000.0), observed(1, new), CONTEXT)
    event = EventDraft("cost_changed", {"name": "web-1", "old": D(str(old)), "new": D(str(new))})
    assert found.host["cost_price"] == D(str(new))
    assert found.events == ((event,) if told else ())


@pytest.mark.parametrize(
    ("price", "old", "new", "told"),
    [
        (1000, 1000, 1000.01, True),
        (1000, 999, 1000, False),
        (1000, 1001, 1002, False),
        (0, 1000, 1001, False),
        (1000, None, 1001, True),
        (1000, None, 1000, False),
    ],
)
def test_a_margin_is_news_when_it_turns_negative(price: float, old: float | None, new: float, told: bool) -> None:
    beside = state(sync_base=json.dumps({"cost_price": f"{old or 0:.2f}"}), cost_source="unknown")
    found = decide(stored(1, beside, cost_price=old or 0, client_price=price), observed(1, new), CONTEXT)
    event = EventDraft("margin_negative", {"name": "web-1", "margin": D(str(price)) - D(str(new)), "cost": D(str(new))})
    assert [event for event in found.events if event.kind == "margin_negative"] == ([event] if told else [])


def test_the_fee_counts_for_the_margin() -> None:
    row = stored(1, state(), client_price=400.0, service_fee=200.0)
    assert [event.kind for event in decide(row, observed(1, 610), CONTEXT).events] == ["cost_changed", "margin_negative"]
    assert [event.kind for event in decide(row, observed(1, 600), CONTEXT).events] == ["cost_changed"]


def after(beside: State, seen: Observed) -> State:
    return decide(stored(1, beside), seen, CONTEXT).state or beside


def test_what_timeweb_did_not_tell_is_kept() -> None:
    known = state(project_id=7, configurator_id=3, currency="RUB", edit_version=4, payment_anchor_day=31)
    assert after(known, observed(1, location=None, ip_all=(), configurator_id=3)) == known
    told = after(known, Observed(server_values(1, location="ru-2", ip_all=("203.0.113.7",)), CostRow(D(500), project_id=8)))
    assert (told.location, told.ip_all, told.project_id, told.configurator_id) == ("ru-2", '["203.0.113.7"]', 8, None)
    other = decide(stored(1, known), observed(), replace(CONTEXT, currency="USD")).state
    assert other is not None and other.currency == "USD"


@pytest.mark.parametrize(
    ("row", "kept"),
    [
        (None, True),  # stale
        (CostRow(D(500)), True),  # the same sum: only the parts were not told
        (CostRow(D(501)), False),
        (CostRow(D(500), (("server", D(500)),)), False),
    ],
)
def test_parts_of_a_cost_are_kept_while_they_add_up(row: CostRow | None, kept: bool) -> None:
    parts = '[{"type": "old", "cost": "500.00"}]'
    found = after(state(cost_components=parts), Observed(server_values(), row))
    expected = [{"type": "server", "cost": "500"}] if row is not None and row.components else []
    assert found.cost_components == (parts if kept else json.dumps(expected))
    assert (found.cost_stale, found.cost_gross) == (row is None, D("501.00") if row == CostRow(D(501)) else D("500.00"))


def test_what_is_kept_of_russian_names_is_readable() -> None:
    renamed = decide(stored(1, state()), observed(1, server_name="веб"), CONTEXT).state
    assert renamed is not None
    assert renamed.sync_base == '{"cost_price": "500.00", "server_name": "веб", "status": "active"}'
    found = after(state(), Observed(server_values(), CostRow(D(500), (("диск", D(1)),))))
    assert found.cost_components == '[{"type": "диск", "cost": "1"}]'


def test_the_date_of_the_first_payment_is_of_the_day_of_the_people() -> None:
    context = replace(CONTEXT, today=date(2027, 1, 31))
    made = create(observed(), context)
    assert (made.host["start_date"], made.host["next_payment_date"]) == (datetime(2027, 1, 31), datetime(2027, 2, 28))
    assert made.state is not None and made.state.payment_anchor_day == 31


ASKED = datetime(2026, 12, 1, 9)
SECOND = timedelta(seconds=1)


@pytest.mark.parametrize(
    ("written", "planned", "newer"),
    [
        (ASKED + SECOND, ASKED - SECOND, True),
        (ASKED + SECOND, None, True),
        (ASKED + SECOND, ASKED + SECOND, False),  # nobody has written since the plan
        (ASKED, ASKED - SECOND, False),
        (None, ASKED - SECOND, False),
        (datetime(2026, 12, 1, 12, 0, 1, tzinfo=timezone(timedelta(hours=3))), None, True),
        (datetime(2026, 12, 1, 12, 0, tzinfo=timezone(timedelta(hours=3))), None, False),
    ],
)
def test_what_another_sync_asked_for_later_is_newer(written: datetime | None, planned: datetime | None, newer: bool) -> None:
    then = stored(1, last_sync_at=planned)
    assert is_newer(stored(1, last_sync_at=written), then, ASKED) is newer


def test_a_moment_of_the_host_as_ours() -> None:
    assert as_utc(ASKED) == as_utc(ASKED.replace(tzinfo=UTC)) == ASKED
    assert as_utc(ASKED.replace(tzinfo=timezone(timedelta(hours=3)))) == ASKED - timedelta(hours=3)
