"""What is decided for one account, from values alone."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from crm_adapter.db.rows import State, StoredRow
from crm_adapter.db.snapshot import Snapshot
from crm_adapter.results import HostingValues, PlannedServer, ReportWarning, ServerProblem
from crm_adapter.sync.costs import CostRow, CostTable
from crm_adapter.sync.decisions import (
    Decision,
    EventDraft,
    create,
    decide,
    mark_missing,
    mark_moved,
    mark_removed,
    note_listed,
)
from crm_adapter.sync.planner import (
    AccountPlan,
    Ahead,
    Fetched,
    Options,
    Whereabouts,
    build_plan,
    needs_presets,
    planned,
    removal_candidates,
)
from crm_adapter.sync.tasks import decide_all
from tests.crm.sync.values import CONTEXT, EARLIER, NOW, observed, server_values, state, stored, typed

D = Decimal
ALL = Options(only_auto=False)


def listed(*servers: HostingValues) -> dict[int, HostingValues]:
    return {server.timeweb_id: server for server in servers}


def fetched(*numbers: int, **changes: Any) -> Fetched:
    """A complete listing of these servers, without the cost list."""
    defaults: dict[str, Any] = {"servers": listed(*map(server_values, numbers)), "complete": True}
    return Fetched("main", **(defaults | changes))


def rows(*numbers: int, **changes: Any) -> Snapshot:
    """These servers as they are after a sync; the changes are of their states."""
    return Snapshot({1000 + number: stored(number, state(number, **changes)) for number in numbers})


@dataclass(frozen=True)
class Decided(AccountPlan):
    """A plan with what its tasks come to on the rows of the snapshot."""

    decisions: tuple[Decision, ...] = ()


def plan(came: Fetched, snapshot: Snapshot, options: Options | None = None, **known: Any) -> Decided:
    where = Whereabouts(**({"complete": frozenset({"main"})} | known))
    made = build_plan(came, snapshot, CONTEXT, options or Options(), where)
    rows_now = {task.timeweb_id: task.row for task in made.tasks if task.row is not None}
    decisions = decide_all(made.tasks, rows_now, came.payloads, came.costs, CONTEXT)
    parts = {item.name: getattr(made, item.name) for item in fields(made)}
    return Decided(**{**parts, "tasks": ()}, decisions=tuple(decisions))


def actions(made: Decided) -> list[tuple[str, int]]:
    return [(decision.action, decision.timeweb_id) for decision in made.decisions]


def reasons(made: AccountPlan) -> list[tuple[int | None, str | None]]:
    return [(item.timeweb_id, item.reason) for item in made.skipped]


# Where servers are


@pytest.mark.parametrize(
    ("timeweb_id", "shown", "elsewhere"),
    [
        (1001, {1001: frozenset({"b"})}, True),
        (1001, {1001: frozenset({"main", "b"})}, True),
        (1001, {1001: frozenset({"main"})}, False),
        (1001, {1002: frozenset({"b"})}, False),
        (None, {1001: frozenset({"b"})}, False),
    ],
)
def test_another_account_lists_the_server(timeweb_id: int | None, shown: dict[int, frozenset[str]], elsewhere: bool) -> None:
    assert Whereabouts(shown).elsewhere(timeweb_id, "main") is elsewhere


LATER = EARLIER + timedelta(seconds=1)


@pytest.mark.parametrize(
    ("since", "in_use", "waits"),
    [
        (EARLIER, {}, False),
        (EARLIER, {"b": EARLIER}, True),
        (EARLIER, {"b": LATER}, False),
        (EARLIER, {"b": None}, True),
        (None, {"b": LATER}, True),
        (None, {"main": LATER}, False),
        (EARLIER, {"old": None}, False),
        (EARLIER, {"done": None}, False),
        (EARLIER, {"main": None, "old": None, "done": None, "b": LATER, "c": None}, True),
    ],
)
def test_a_removal_waits_for_every_account_that_may_have_the_server(
    since: datetime | None, in_use: dict[str, datetime | None], waits: bool
) -> None:
    known = Whereabouts(in_use=in_use, complete=frozenset({"done"}))
    assert known.awaits(stored(1, state(missing_since=since)), "main", {"old"}) is waits


@pytest.mark.parametrize(
    ("beside", "known", "may"),
    [
        (None, {}, True),
        (state(account=None), {}, True),
        (state(account="old"), {}, True),
        (state(account="b", removed_at=EARLIER), {}, True),
        (state(account="b"), {"complete": frozenset({"b"})}, True),
        (state(account="b"), {"complete": frozenset({"b"}), "shown": {1001: frozenset({"b"})}}, False),
        (state(account="b"), {"complete": frozenset({"b"}), "shown": {1002: frozenset({"b"})}}, True),
        (state(account="b"), {}, False),
        (state(account="b", missing_since=EARLIER), {}, True),
        (state(account="b", missing_since=EARLIER), {"configured": frozenset({"b"})}, False),
    ],
)
def test_a_row_moves_to_the_account_that_lists_its_server(beside: State | None, known: dict[str, Any], may: bool) -> None:
    assert Whereabouts(**known).may_take(stored(1, beside), {"old"}) is may


# What a complete listing lacks


@pytest.mark.parametrize(
    ("own", "gone", "suspicious"),
    # Three rows or more, and more than 30 %.
    [(3, 3, True), (2, 2, False), (10, 3, False), (9, 3, True), (10, 4, True), (20, 6, False), (20, 7, True)],
)
def test_the_guard_against_a_listing_that_lost_most(own: int, gone: int, suspicious: bool) -> None:
    came, snapshot = fetched(*range(gone + 1, own + 1)), rows(*range(1, own + 1))
    candidates, found = removal_candidates(came, snapshot, Options(), Whereabouts())
    assert ([row.id for row in candidates], found) == (list(range(1, gone + 1)), suspicious)
    made = plan(came, snapshot)
    assert made.suspicious is suspicious
    assert [action for action, _ in actions(made)].count("missing") == (0 if suspicious else gone)


def test_what_the_guard_says() -> None:
    made = plan(fetched(), rows(1, 2, 3))
    (warning,), (event,) = made.warnings, made.events
    assert (warning.code, warning.account) == ("suspicious_disappearance", "main")
    assert "вместо 3, пропало 3" in warning.message
    assert event == EventDraft("suspicious_disappearance", {"text": warning.message}, "main:2026-12-01")
    assert (made.decisions, made.errors, made.skipped) == ((), (), ())


@pytest.mark.parametrize(
    ("came", "snapshot", "options", "known", "is_candidate"),
    [
        (fetched(), rows(1), Options(), {}, True),
        (fetched(complete=False), rows(1), Options(), {}, False),
        (fetched(fatal=True), rows(1), Options(), {}, False),
        (fetched(1), rows(1), Options(), {}, False),
        (fetched(errors=(ServerProblem(1001, None, "x", "x"),)), rows(1), Options(), {}, False),
        (fetched(), rows(1, account="b"), Options(), {}, False),
        (fetched(), rows(1, removed_at=EARLIER), Options(), {}, False),
        (fetched(), Snapshot({1001: stored(1)}), Options(), {}, False),
        (fetched(), Snapshot({1001: stored(1, state(), auto_sync=False)}), Options(), {}, False),
        (fetched(), Snapshot({1001: stored(1, state(), auto_sync=False)}), ALL, {}, True),
        (fetched(), rows(1), Options(), {"shown": {1001: frozenset({"b"})}}, False),
        (fetched(), rows(1, listed_by="b"), Options(), {"in_use": {"b": None}}, False),
        (fetched(), rows(1, listed_by="b"), Options(), {"in_use": {"c": None}}, True),
    ],
)
def test_a_row_that_may_have_been_removed(
    came: Fetched, snapshot: Snapshot, options: Options, known: dict[str, Any], is_candidate: bool
) -> None:
    candidates, suspicious = removal_candidates(came, snapshot, options, Whereabouts(**known))
    assert ([row.id for row in candidates], suspicious) == ([1] if is_candidate else [], False)


def test_the_longest_missing_is_asked_for_first() -> None:
    missing = {1: None, 2: LATER, 3: EARLIER, 4: None}
    snapshot = Snapshot({1000 + n: stored(n, state(n, missing_since=since)) for n, since in reversed(missing.items())})
    candidates, _ = removal_candidates(fetched(), snapshot, Options(), Whereabouts())
    assert [row.id for row in candidates] == [2, 3, 1, 4]


@pytest.mark.parametrize(
    ("changes", "known", "done"),
    [
        ({"gone": frozenset({1001})}, {}, [("remove", 1001)]),
        ({"gone": frozenset({1001})}, {"in_use": {"b": None}}, [("missing", 1001)]),
        ({}, {}, [("missing", 1001)]),
        ({"alive": frozenset({1001})}, {}, []),
    ],
)
def test_a_404_removes_once_no_other_account_may_have_the_server(
    changes: dict[str, Any], known: dict[str, Any], done: list[tuple[str, int]]
) -> None:
    row = rows(1).linked[1001]
    made = plan(fetched(**changes), rows(1), **known)
    assert actions(made) == done
    assert list(made.decisions) == [(mark_removed if action == "remove" else mark_missing)(row, CONTEXT) for action, _ in done]


# Rows that the listing has


def test_a_row_follows_with_its_cost_if_the_cost_list_came() -> None:
    row = CostRow(D(700))
    with_costs = plan(fetched(1, 2, costs=CostTable({1001: row})), rows(1, 2)).decisions
    assert [decision.observed and decision.observed.cost_row for decision in with_costs] == [row, None]
    assert plan(fetched(1), rows(1)).decisions == (decide(rows(1).linked[1001], observed(1, None), CONTEXT),)


@pytest.mark.parametrize(
    ("snapshot", "options", "known", "outcome"),
    [
        (rows(1), Options(), {}, "unchanged"),
        (rows(1, account=None), Options(), {}, "unchanged"),
        (rows(1), Options(), {"shown": {1001: frozenset({"main"})}}, "unchanged"),
        (Snapshot({1001: stored(1, state(), auto_sync=False)}), Options(), {}, "auto_sync_off"),
        (Snapshot({1001: stored(1, state(), auto_sync=False)}), ALL, {}, "unchanged"),
        (rows(1, account="b"), Options(), {"complete": frozenset({"b"})}, "update"),
        (rows(1, account="b"), Options(), {}, "other_account"),
        (Snapshot({1001: stored(1, state(account="b"), auto_sync=False)}), Options(), {}, "other_account"),
    ],
)
def test_a_row_of_a_listed_server(snapshot: Snapshot, options: Options, known: dict[str, Any], outcome: str) -> None:
    made = plan(fetched(1, costs=CostTable({1001: CostRow(D(500))})), snapshot, options, **known)
    done: list[str | None] = [decision.action for decision in made.decisions if decision.action != "note"]
    assert (done or [item.reason for item in made.skipped]) == [outcome]
    if made.skipped:  # what a rehearsal has only planned has no id yet
        assert (
            plan(fetched(1), Snapshot({1001: replace(snapshot.linked[1001], id=0)}), options, **known).skipped[0].crm_id is None
        )
        assert made.skipped == (PlannedServer("skip", 1001, 1, "web-1", reason=outcome),)


def test_another_accounts_server_is_noted_until_its_own_next_listing() -> None:
    row = stored(1, state(account="b"))
    made = plan(fetched(1), Snapshot({1001: row}))
    assert made.decisions == (note_listed(row, CONTEXT, "main"),)
    assert made.warnings == (ReportWarning("other_account", "web-1: Сервер числится за другим аккаунтом Timeweb", "main"),)
    assert plan(fetched(1), rows(1, account="b", listed_by="main")).decisions == ()
    both: dict[str, Any] = {"complete": frozenset({"b"}), "shown": {1001: frozenset({"b", "main"})}}
    assert plan(fetched(1), rows(1, account="b"), **both).decisions == ()


@pytest.mark.parametrize(
    ("beside", "known", "outcome"),
    [
        ({}, {}, "remove"),
        ({"removed_at": EARLIER}, {}, "removed"),
        ({}, {"shown": {1001: frozenset({"b"})}}, "removed"),
    ],
)
def test_a_listed_server_whose_status_is_removed(beside: dict[str, Any], known: dict[str, Any], outcome: str) -> None:
    came = fetched(servers=listed(server_values(1, timeweb_status="removed")))
    made = plan(came, rows(1, **beside), **known)
    assert [str(action) for action, _ in actions(made)] + [str(reason) for _, reason in reasons(made)] == [outcome]


# Servers without a row


def test_a_server_without_a_row_is_imported() -> None:
    made = plan(fetched(1, costs=CostTable({1001: CostRow(D(500))})), Snapshot())
    assert made == Decided(decisions=(create(observed(), CONTEXT),))


@pytest.mark.parametrize(
    ("changes", "snapshot", "reason"),
    [
        ({"timeweb_status": "removed"}, Snapshot(hidden=frozenset({1001})), "removed"),
        ({}, Snapshot(hidden=frozenset({1001})), "hidden"),
        ({}, Snapshot(unlinked=(typed(1, State(unlinked_from=1001)),)), "unlinked"),
    ],
)
def test_a_server_that_gets_no_row(changes: dict[str, Any], snapshot: Snapshot, reason: str) -> None:
    made = plan(fetched(servers=listed(server_values(1, **changes))), snapshot)
    assert made == Decided(skipped=(PlannedServer("skip", 1001, None, "web-1", reason=reason),))


def test_a_server_that_is_not_to_be_imported_is_told_once() -> None:
    made = plan(fetched(1), Snapshot(), Options(import_new=False))
    event = EventDraft("discovered", {"name": "web-1", "ip": "203.0.113.1"}, "1001")
    assert made == Decided(skipped=(PlannedServer("skip", 1001, None, "web-1", reason="new"),), events=(event,))
    nameless = fetched(servers=listed(server_values(1, server_name=None)))
    assert plan(nameless, Snapshot(), Options(import_new=False)).events[0].payload["name"] == "server-1001"


def test_a_typed_row_of_the_same_address_is_linked() -> None:
    row, costs = typed(1), CostTable({1001: CostRow(D(500))})
    made = plan(fetched(1, costs=costs), Snapshot(unlinked=(row,)))
    assert made == Decided(decisions=(decide(row, observed(), CONTEXT, linking=True),))
    # What is not to be imported is linked all the same, and what is not to be synchronised is not.
    assert actions(plan(fetched(1), Snapshot(unlinked=(row,)), Options(import_new=False))) == [("link", 1001)]
    quiet = Snapshot(unlinked=(typed(1, auto_sync=False),))
    left = plan(fetched(1), quiet)
    assert left == Decided(skipped=(PlannedServer("skip", 1001, 1, "web-1", reason="auto_sync_off"),))
    assert actions(plan(fetched(1), quiet, ALL)) == [("link", 1001)]


def test_what_may_be_the_same_is_told() -> None:
    suggest = plan(fetched(1), Snapshot(unlinked=(typed(1, server_name="old"),)), Options(link_policy="suggest"))
    warning = ReportWarning("link_suggested", "web-1: похоже на «old» (совпал IP)", "main")
    skipped = PlannedServer("skip", 1001, 1, "web-1", reason="link_suggested")
    assert suggest == Decided(warnings=(warning,), skipped=(skipped,))
    alike = plan(fetched(1), Snapshot(unlinked=(typed(1, ip_address=None),)))
    assert (actions(alike), alike.warnings) == (
        [("create", 1001)],
        (ReportWarning("link_suggested", "web-1: похоже на «web-1» (совпало имя)", "main"),),
    )
    assert plan(fetched(1), Snapshot(unlinked=(typed(1, ip_address=None),)), Options(link_policy="off")).warnings == ()


@pytest.mark.parametrize("count", [2, 5, 6])
def test_several_rows_of_one_address_are_named_up_to_five(count: int) -> None:
    snapshot = Snapshot(unlinked=tuple(typed(n, ip_address="203.0.113.1", server_name=f"old-{n}") for n in range(1, count + 1)))
    (error,) = plan(fetched(1), snapshot).errors
    named = ", ".join(f"№ {n} «old-{n}»" for n in range(1, min(count, 5) + 1))
    assert error == ServerProblem(1001, "web-1", f"Подходят несколько записей CRM; свяжите сервер вручную: {named}", "conflict")


# Moves


HAS_LEFT = {"in_use": {"b": None}}


@pytest.mark.parametrize(
    ("came", "snapshot", "options", "known", "moved"),
    [
        (fetched(), rows(1, listed_by="b"), Options(), HAS_LEFT, True),
        (fetched(complete=False), rows(1, listed_by="b"), Options(), HAS_LEFT, False),
        (fetched(errors=(ServerProblem(1001, None, "x", "x"),)), rows(1, listed_by="b"), Options(), HAS_LEFT, False),
        (fetched(), rows(1, listed_by="b"), Options(), {}, False),
        (fetched(), rows(1), Options(), {"in_use": {None: None}}, False),
        (fetched(), rows(1, listed_by="b", account="c"), Options(), HAS_LEFT, False),
        (fetched(), rows(1, listed_by="b", removed_at=EARLIER), Options(), HAS_LEFT, False),
        (fetched(), rows(1, listed_by="b"), Options(), HAS_LEFT | {"shown": {1001: frozenset({"c"})}}, False),
        (fetched(), Snapshot({1001: stored(1, state(listed_by="b"), auto_sync=False)}), Options(), HAS_LEFT, False),
        (fetched(), Snapshot({1001: stored(1, state(listed_by="b"), auto_sync=False)}), ALL, HAS_LEFT, True),
        (fetched(), Snapshot({1001: stored(1)}), Options(), HAS_LEFT, False),
    ],
)
def test_a_row_leaves_with_its_server(
    came: Fetched, snapshot: Snapshot, options: Options, known: dict[Any, Any], moved: bool
) -> None:
    made = plan(came, snapshot, options, **known)
    row = snapshot.linked[1001]
    assert [decision for decision in made.decisions if decision.action == "update"] == (
        [mark_moved(row, CONTEXT, "b")] if moved else []
    )


def test_what_this_account_no_longer_shows_is_forgotten() -> None:
    snapshot = Snapshot({1001: stored(1), **rows(2, account="b", listed_by="main").linked, **rows(3, account="b").linked})
    assert plan(fetched(), snapshot).decisions == (note_listed(snapshot.linked[1002], CONTEXT, None),)
    assert plan(fetched(complete=False), snapshot).decisions == ()
    # One that is shown is not forgotten.
    assert plan(fetched(2), snapshot).decisions == ()


# The whole


def test_nothing_usable_writes_nothing() -> None:
    error, warning = ServerProblem(None, None, "x", "x"), ReportWarning("x", "x", "main")
    made = plan(fetched(1, fatal=True, errors=(error,), warnings=(warning,)), rows(1, 2))
    assert made == Decided(errors=(error,), warnings=(warning,))


def test_what_the_fetch_said_comes_first() -> None:
    error, warning = ServerProblem(1009, None, "x", "x"), ReportWarning("x", "x", "main")
    twins = Snapshot(unlinked=(typed(1), typed(2, ip_address="203.0.113.1")))
    made = plan(fetched(1, errors=(error,), warnings=(warning,)), twins)
    assert ([item.code for item in made.errors], made.warnings) == (["x", "conflict"], (warning,))
    suggested = plan(fetched(1, warnings=(warning,)), Snapshot(unlinked=(typed(1, ip_address=None),)))
    assert [item.code for item in suggested.warnings] == ["x", "link_suggested"]


@pytest.mark.parametrize(
    ("row", "price", "preset", "needed"),
    [
        (None, None, 10, True),
        (None, 500, 10, False),
        (None, None, None, False),
        (stored(1), None, 10, True),
        (stored(1, state(cost_source="preset")), None, 10, True),
        (stored(1, state(cost_source="unknown")), None, 10, True),
        (stored(1, state(cost_source="services_cost")), None, 10, False),
        (stored(1, state(cost_source="manual")), None, 10, False),
    ],
)
def test_presets_are_asked_for_where_nothing_better_is_known(
    row: StoredRow | None, price: int | None, preset: int | None, needed: bool
) -> None:
    servers = (server_values(2), server_values(1, timeweb_preset_id=preset))
    costs = CostTable({1002: CostRow(D(1))} | ({1001: CostRow(D(price))} if price else {}))
    snapshot = Snapshot({1001: row} if row else {})
    assert needs_presets(Fetched("main", listed(*servers), costs=costs), snapshot) is needed
    if price is None:
        assert needs_presets(Fetched("main", listed(*servers[1:])), snapshot) is needed
    unpriced_second = Fetched("main", listed(*servers[::-1]), costs=CostTable({1001: CostRow(D(1))}))
    assert needs_presets(unpriced_second, snapshot) is True


def test_a_rehearsal_sees_what_was_decided_before() -> None:
    row, other = typed(1), typed(2)
    linked = decide(row, observed(), CONTEXT, linking=True)
    made = create(observed(3), CONTEXT)
    gone = mark_missing(stored(4, state(4)), CONTEXT)
    again = mark_missing(stored(5, state(5, missing_since=EARLIER)), CONTEXT)
    linked_before = {**rows(4).linked, **rows(5, missing_since=EARLIER).linked}
    snapshot = Snapshot(linked_before, (row, other), frozenset({9}))
    ahead = Ahead()
    ahead.add("main", [linked, made, gone, again])
    found = ahead.project(snapshot, fetched(1, 3, 6))
    assert (set(found.linked), found.unlinked, found.hidden) == ({1001, 1003, 1004, 1005}, (other,), frozenset({9}))
    assert (found.linked[1001].id, found.linked[1001].timeweb_id, found.linked[1001].state) == (1, 1001, linked.state)
    assert (found.linked[1003].id, found.linked[1003].server_name, found.linked[1003].account) == (0, "web-3", "main")
    assert (found.linked[1004].missing_since, found.linked[1005].missing_since) == (NOW, EARLIER)


def test_a_rehearsal_sees_what_concerns_the_account() -> None:
    """What others have decided for servers that it neither has nor lists is theirs, unless they have handed them to it."""
    ahead, theirs = Ahead(), stored(3, state(3, account="b", listed_by="c"))
    ahead.add("b", [create(observed(1), replace(CONTEXT, account="b")), mark_moved(theirs, CONTEXT, "c")])
    ahead.add("b", [mark_missing(stored(4, state(4, missing_since=EARLIER)), CONTEXT)])  # changes nothing
    assert set(ahead.project(Snapshot(), replace(fetched(2), account="c")).linked) == {1003}
    assert set(ahead.project(Snapshot(), replace(fetched(1, 4), account="b")).linked) == {1001}
    assert set(ahead.project(Snapshot(), fetched()).linked) == set()
    assert ahead.project(rows(3), fetched()).linked[1003].account == "c"


def test_a_decision_as_the_caller_of_plan_sees_it() -> None:
    changed = decide(stored(1, state()), replace(observed(), values=server_values(1, server_name="new")), CONTEXT)
    assert planned(changed) == PlannedServer("update", 1001, 1, "new", {"server_name": ("web-1", "new")})
    assert planned(create(observed(), CONTEXT)) == PlannedServer("create", 1001, None, "web-1", {"created": (None, "web-1")})
    with pytest.raises(AssertionError):
        planned(note_listed(stored(1, state()), CONTEXT, "b"))
