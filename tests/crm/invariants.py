"""The seventeen invariants as checks that raise AssertionError; the sabotage tests run the same checks on broken code."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from tempfile import TemporaryDirectory
from typing import Any

import httpx
from hypothesis import HealthCheck, Phase, given, settings
from sqlalchemy.orm import Session, sessionmaker

from crm_adapter import ensure_fresh, import_servers, mark_paid, sync_all, sync_server, totals, update_manual
from crm_adapter.db.columns import HUMAN, SHARED
from crm_adapter.db.rows import shared_value
from crm_adapter.db.tables import utcnow
from crm_adapter.money import local_today, money_or_none
from crm_adapter.sync.mapping import map_server
from tests.crm.database import changed, edit, events, everything, file_database, memory_database, rows, state
from tests.crm.fake_timeweb import FakeTimeweb, Page, client, cost, server, world
from tests.crm.histories import CERTAIN, LIVES, Op, Step, live
from timeweb_sdk import RateLimit, Timeweb
from timeweb_sdk.errors import EdgeError
from timeweb_sdk.testing import Emulator, demo_state

COUNTS = ("created", "updated", "unchanged", "linked", "missing", "restored", "skipped", "error")
#: Written at every sync, or moved by a write; no value of their own.
CLOCKS = {"last_sync_at", "updated_at"}


#: The steps of all lives on healthy code, made once for all checks (see ``record_lives``).
RECORDED: list[Step] = []


def _lives(check: Callable[[Step], None]) -> None:
    """The check after every sync of generated lives; those of healthy code are lived once."""
    if RECORDED:
        for step in RECORDED:
            check(step)
    else:
        _live_all(check)


def record_lives() -> None:
    """Live all lives once; only for code that nobody broke on purpose."""
    if not RECORDED:
        steps: list[Step] = []
        _live_all(steps.append)
        RECORDED.extend(steps)


def _live_all(check: Callable[[Step], None]) -> None:
    # No shrinking: on broken code the first failure is enough.
    @settings(
        max_examples=10,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(LIVES)
    def run(ops: list[Op]) -> None:
        live(ops, check)

    for ops in CERTAIN:
        live(ops, check)
    run()


def _differences(step: Step) -> dict[int, set[str]]:
    return {
        crm_id: {name for name in old if old[name] != step.after[crm_id][name]} - CLOCKS
        for crm_id, old in step.before.items()
        if crm_id in step.after
    }


def human_columns_are_never_written() -> None:
    """1: and a shared one only while its value is what sync wrote last; ``updated_at`` stays when nothing else changed."""

    def check(step: Step) -> None:
        for crm_id, names in _differences(step).items():
            assert not names & HUMAN, names
            for column in names & SHARED:
                base, old = step.base.get(crm_id, {}), step.before[crm_id][column]
                assert base.get(column) == shared_value(column, old) or not old, (column, old, base)
            if not names:
                assert step.before[crm_id]["updated_at"] == step.after[crm_id]["updated_at"]
            if "status" in names:
                assert {step.before[crm_id]["status"], step.after[crm_id]["status"]} == {"active", "suspended"}

    _lives(check)


def one_row_per_server() -> None:
    """2: also when an import commits between the plan and the apply of a sync."""
    db, fake = memory_database(), world(3)

    def meanwhile() -> None:
        assert import_servers(db, client(world(3)), [1002]).imported_count == 1

    report = sync_all(db, client(_Late(fake, meanwhile)))
    ids = [item["timeweb_id"] for item in rows(db)]
    assert sorted(ids) == [1001, 1002, 1003], ids
    assert report.created_count == 2

    def check(step: Step) -> None:
        tied = [item["timeweb_id"] for item in step.after.values() if item["timeweb_id"] is not None]
        assert len(tied) == len(set(tied))

    _lives(check)


class _Late(FakeTimeweb):
    """Runs ``action`` at the last call of a run, after the snapshot was read: a server that has no cost row needs presets."""

    def __init__(self, model: FakeTimeweb, action: Callable[[], None]) -> None:
        super().__init__(model.servers_, model.costs[1:])
        self.action: Callable[[], None] | None = action

    def called(self, name: str, argument: Any = None) -> Any:
        if name == "presets.list" and self.action is not None:
            action, self.action = self.action, None
            action()
        return super().called(name, argument)


def sync_never_deletes() -> None:
    """3."""

    def check(step: Step) -> None:
        assert step.before.keys() <= step.after.keys()

    _lives(check)


def removal_takes_a_complete_listing_and_a_canonical_404() -> None:
    """4: and the guard against many rows vanishing at once."""
    # An edge 404 is no 404.
    db, fake = memory_database(), world(5)
    sync_all(db, client(fake))
    fake.forgotten = {1005}
    fake.faults = {"servers.get": [EdgeError("html", status_code=404, from_edge=True)]}
    sync_all(db, client(fake))
    assert state(db, 5).removed_at is None
    # An incomplete listing proves nothing, even where GET says 404.
    gone = fake.servers_.pop()
    fake.faults = {"servers.list": [lambda: Page([server(n) for n in range(1, 5)], 5), lambda: Page([], 5)] * 2}
    sync_all(db, client(fake))
    assert state(db, 5).removed_at is None
    # Both together do.
    fake.faults, fake.forgotten = {}, set()
    sync_all(db, client(fake))
    assert state(db, 5).removed_at is not None
    # Three of four at once are a fault.
    fake.servers_ = [gone, fake.servers_[0]]
    before = rows(db)
    report = sync_all(db, client(fake))
    assert report.error_code == "suspicious_disappearance"
    assert [item["timeweb_status"] for item in rows(db)[:4]] == [item["timeweb_status"] for item in before[:4]]
    assert [state(db, number).removed_at for number in range(1, 5)] == [None] * 4
    for together in (True, False):
        for order in (("main", "second"), ("second", "main")):
            _a_server_that_another_account_shows_is_a_move(order, together=together)


def _a_server_that_another_account_shows_is_a_move(order: tuple[str, str], *, together: bool) -> None:
    db, fakes = memory_database(), {"main": world(4), "second": FakeTimeweb([server(9)], [cost(9)], account_id="cp2")}
    clients = {name: client(fakes[name]) for name in order}

    def sync() -> None:
        for part in [clients] if together else [{name: clients[name]} for name in order]:
            assert sync_all(db, part).status == "success"

    sync()
    (crm_id,) = (item["id"] for item in rows(db) if item["timeweb_id"] == 1002)
    edit(db, crm_id, client_price=900)
    before, told = len(changed(db)), len(events(db))
    income = {name: totals(db).to_dict()[name] for name in ("income_month", "cost_month", "servers")}
    for one, other in ((fakes["main"].servers_, fakes["second"].servers_), (fakes["main"].costs, fakes["second"].costs)):
        other.append(one.pop(1))
    for _ in range(2):
        sync()
        assert {name: totals(db).to_dict()[name] for name in income} == income
        assert (state(db, crm_id).account, state(db, crm_id).removed_at) == ("second", None)
        assert changed(db)[before:] == [(crm_id, "account", "main", "second")]
        assert [event.kind for event in events(db)[told:]] == ["moved"]
    assert len(rows(db)) == 5


def accounts_never_touch_each_other() -> None:
    """5: a bad token, an empty account and a thief leave the neighbour's rows alone."""
    db, good = memory_database(), world(2)
    sync_all(db, {"good": client(good)})
    before = rows(db)
    empty = FakeTimeweb(account_id="cp2")
    report = sync_all(db, {"empty": client(empty)})
    assert report.missing_count == 0
    thief = FakeTimeweb([server(1, ram=9216), server(2, status="off")], [cost(1, 1)], account_id="cp3")
    sync_all(db, {"thief": client(thief)})
    assert rows(db) == before
    assert [state(db, number).account for number in (1, 2)] == ["good", "good"]
    wrong = FakeTimeweb([server(8)], [cost(8)], account_id="cp9")
    assert sync_all(db, {"good": client(wrong)}).error_code == "account_mismatch"
    assert rows(db) == before


def a_second_run_writes_only_last_sync_at() -> None:
    """6: even when disk usage moved in between."""

    def check(step: Step) -> None:
        if step.quiet is not None:
            settled, after, report = step.quiet
            for old, new in zip(settled, after, strict=True):
                assert {name for name in old if old[name] != new[name]} <= {"last_sync_at"}
            assert (report.created_count, report.updated_count) == (0, 0)

    _lives(check)


def every_changed_value_has_one_change_row() -> None:
    """7."""

    def check(step: Step) -> None:
        logged = Counter((crm_id, name) for crm_id, name, _, _ in step.log)
        assert not [key for key, count in logged.items() if count > 1]
        for crm_id, names in _differences(step).items():
            written = {name for owner, name in logged if owner == crm_id} - {"removed", "restored", "account"}
            assert written == names, (written, names)
        created = {crm_id for crm_id, name in logged if name == "created"}
        assert created == step.after.keys() - step.before.keys()
        for crm_id, name, old, new in step.log:
            if name in {"configuration", "ip_address", "status", "server_name"}:
                assert (old, new) == (step.before[crm_id][name], step.after[crm_id][name])

    _lives(check)


def nothing_empty_erases_a_cost_or_an_address() -> None:
    """8."""

    def check(step: Step) -> None:
        for crm_id, old in step.before.items():
            new = step.after[crm_id]
            assert not old["cost_price"] or new["cost_price"], (old["cost_price"], new["cost_price"])
            assert not old["ip_address"] or new["ip_address"]

    _lives(check)


def secrets_reach_nothing() -> None:
    """9: no table, no report, no repr; also under names nobody has seen."""
    db, fake = memory_database(), world(2)
    fake.servers_[0] |= {"ssh_private_key": "s3cr3t-1", "x": {"apiToken": "s3cr3t-2", "list": [{"password": "s3cr3t-3"}]}}
    reports = [sync_all(db, client(fake)), sync_server(db, client(fake), 1), import_servers(db, client(fake), [1001, 77])]
    fake.servers_[1]["root_pass"] = "s3cr3t-4"
    reports.append(sync_all(db, client(fake)))
    seen = everything(db) + "".join(f"{report!r}{json.dumps(report.to_dict())}" for report in reports)
    assert "s3cr3t" not in seen
    assert "root_pass" not in seen and "vnc_pass" not in seen and "cloud_init" not in seen
    assert "s3cr3t" not in repr(map_server(fake.servers_[0]))


def only_get_is_sent() -> None:
    """10: on the wire, over every path that talks to Timeweb."""
    db, emulator = memory_database(), Emulator(demo_state(5))
    http = httpx.Client(transport=emulator.transport())
    with Timeweb("emulator-token", http_client=http, rate_limit=RateLimit.off()) as timeweb:
        sync_all(db, timeweb)
        emulator.state["servers"].pop()
        sync_all(db, timeweb)
        sync_server(db, timeweb, 1)
        import_servers(db, timeweb, [5])
    methods = Counter(request["method"] for request in emulator.requests)
    assert methods.keys() == {"GET"}, methods


def one_running_sync_per_account() -> None:
    """11: the second finds the lease taken, asks Timeweb for nothing, writes nothing."""
    db, fake, inner = memory_database(), world(2), world(2)
    seen: list[Any] = []
    fake.faults = {"servers.list": [lambda: seen.append(sync_all(db, client(inner)))]}
    outer = sync_all(db, client(fake))
    assert (outer.status, outer.created_count) == ("success", 2)
    assert (seen[0].status, seen[0].error_code, seen[0].run_id) == ("running", "already_running", outer.run_id)
    assert inner.calls == []
    assert len(rows(db)) == 2


def human_edits_never_conflict_with_a_sync() -> None:
    """12: the version that a person saw outlives any number of syncs; another person's edit does not."""
    db, fake = memory_database(), world(1)
    sync_all(db, client(fake))
    for size in (4096, 8192):
        fake.servers_[0]["ram"] = size
        fake.costs[0]["total_cost"] = size
        sync_all(db, client(fake))
    first = update_manual(db, 1, {"client_name": "Иванов"}, expected_version=0)
    assert (first.success, first.edit_version) == (True, 1)
    fake.servers_[0]["ram"] = 1024
    sync_all(db, client(fake))
    assert mark_paid(db, 1).success
    late = update_manual(db, 1, {"client_name": "Петров"}, expected_version=1)
    assert (late.success, late.code, rows(db)[0]["client_name"]) == (False, "version_conflict", "Иванов")


def unknown_statuses_are_stored_raw() -> None:
    """13: cut to 50."""

    def check(step: Step) -> None:
        touched = [item for item in step.after.values() if item["last_sync_at"] != _old(step, item, "last_sync_at")]
        for item in touched:
            raw = step.listed.get(item["timeweb_id"])
            if raw is not None:
                assert item["timeweb_status"] == raw[:50]

    _lives(check)


def _old(step: Step, item: dict[str, Any], name: str) -> Any:
    return step.before.get(item["id"], {}).get(name)


def money_is_rounded_half_up() -> None:
    """14: to 0.01, in Decimal; 333.335 x 0.9 = 300.0015 is 300.00, 100.005 is 100.01, 2.675 is 2.68."""
    for gross, factor, net, stored in (
        (333.335, 0.9, 300.0, "333.34"),
        (100.005, 1, 100.01, "100.01"),
        (2.675, 1, 2.68, "2.68"),
        (1001, 0.5, 500.5, "1001.00"),
        (33.33, 0.5, 16.67, "33.33"),
    ):
        db, fake = memory_database(), FakeTimeweb([server(1)], [cost(1, gross)])
        fake.finances_ = {"monthly_cost": gross, "monthly_fee": gross * factor}
        sync_all(db, client(fake))
        assert rows(db)[0]["cost_price"] == net, (gross, rows(db)[0]["cost_price"])
        beside = state(db, 1).cost_gross
        assert isinstance(beside, Decimal) and str(beside) == stored

    def check(step: Step) -> None:
        for item in step.after.values():
            assert money_or_none(item["cost_price"]) == Decimal(str(item["cost_price"]))

    _lives(check)


def instants_are_utc_and_today_is_moscows() -> None:
    """15: at 22:30 UTC it is tomorrow in Moscow."""
    assert local_today(now=datetime(2026, 11, 23, 22, 30, tzinfo=UTC)).isoformat() == "2026-11-24"
    assert local_today(now=datetime(2026, 11, 23, 20, 30, tzinfo=UTC)).isoformat() == "2026-11-23"
    db = memory_database()
    start = datetime.now(UTC).replace(tzinfo=None)
    sync_all(db, client(world(1)))
    item = rows(db)[0]
    for name in ("last_sync_at", "created_at", "updated_at"):
        assert timedelta(0) <= item[name] - start < timedelta(minutes=5), (name, item[name], start)
    assert utcnow().tzinfo is None


def a_dry_run_counts_what_the_run_does() -> None:
    """16."""

    def check(step: Step) -> None:
        dry, real = step.dry.to_dict(), step.report.to_dict()
        assert {name: dry[f"{name}_count"] for name in COUNTS} == {name: real[f"{name}_count"] for name in COUNTS}
        assert dry["status"] == real["status"]

    _lives(check)


def opening_never_waits_for_timeweb() -> None:
    """17: ``ensure_fresh`` comes back while Timeweb is still silent, and starts one sync however often it is called."""
    with TemporaryDirectory() as folder:
        _opening(file_database(folder))


def _opening(db: sessionmaker[Session]) -> None:
    fake, release, asked = world(1), threading.Event(), threading.Event()

    def silent() -> None:
        assert threading.current_thread() is not threading.main_thread(), "the caller waits for Timeweb"
        asked.set()
        assert release.wait(30)

    fake.faults = {"projects.list": [silent]}
    try:
        answers = [ensure_fresh(db, client(fake)).status for _ in range(3)]
        assert asked.wait(30)
        answers.append(ensure_fresh(db, client(fake)).status)
    finally:
        release.set()
        for thread in threading.enumerate():
            if thread.name == "timeweb-sync":
                thread.join(30)
    assert answers == ["started", "running", "running", "running"], answers
    assert ensure_fresh(db, client(fake)).status == "fresh"
    assert fake.names.count("servers.list") == 1


INVARIANTS: dict[int, Callable[[], None]] = dict(
    enumerate(
        (
            human_columns_are_never_written,
            one_row_per_server,
            sync_never_deletes,
            removal_takes_a_complete_listing_and_a_canonical_404,
            accounts_never_touch_each_other,
            a_second_run_writes_only_last_sync_at,
            every_changed_value_has_one_change_row,
            nothing_empty_erases_a_cost_or_an_address,
            secrets_reach_nothing,
            only_get_is_sent,
            one_running_sync_per_account,
            human_edits_never_conflict_with_a_sync,
            unknown_statuses_are_stored_raw,
            money_is_rounded_half_up,
            instants_are_utc_and_today_is_moscows,
            a_dry_run_counts_what_the_run_does,
            opening_never_waits_for_timeweb,
        ),
        start=1,
    )
)
