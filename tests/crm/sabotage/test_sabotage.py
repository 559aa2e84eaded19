"""Each invariant is broken on purpose in one or more ways; its check must notice.  A check that cannot fail is none."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from decimal import ROUND_DOWN, Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import update

from crm_adapter import blocking, money, payload
from crm_adapter.db import tables
from crm_adapter.db.rows import DECISIVE, read_rows
from crm_adapter.db.tables import HostingServer
from crm_adapter.jobs import background
from crm_adapter.results import Freshness
from crm_adapter.sync import apply, collect, costs, decisions, fetch, freshness, leases, mapping, planner, run
from crm_adapter.sync.costs import Cost
from tests.crm import database
from tests.crm.invariants import INVARIANTS

Patch = pytest.MonkeyPatch
MUTATIONS: list[tuple[int, str, Callable[[Patch], None]]] = []


def breaks(number: int) -> Callable[[Callable[[Patch], None]], Callable[[Patch], None]]:
    """Register a mutation of the production code that breaks an invariant."""

    def register(mutation: Callable[[Patch], None]) -> Callable[[Patch], None]:
        MUTATIONS.append((number, mutation.__name__, mutation))
        return mutation

    return register


def wrap(patch: Patch, owner: Any, name: str, change: Callable[..., Any]) -> None:
    """Replace ``owner.name`` by ``change(original, *arguments)``."""
    original = getattr(owner, name)
    patch.setattr(owner, name, lambda *args, **named: change(original, *args, **named))


@breaks(1)
def shared_columns_follow_timeweb_always(patch: Patch) -> None:
    def always(original: Any, row: Any, wanted: Any, values: Any) -> Any:
        changes, base, owned = original(row, wanted, values)
        extra = {name: new for name, new in wanted.items() if new is not None and new != getattr(row, name)}
        return changes | extra, base, owned

    wrap(patch, decisions, "_shared_changes", always)


@breaks(1)
def sync_writes_the_notes(patch: Patch) -> None:
    patch.setattr(apply, "HUMAN", frozenset())

    def with_notes(original: Any, *given: Any) -> Any:
        return original(*given) | {"notes": "Себестоимость изменилась"}

    wrap(patch, decisions, "_timeweb_changes", with_notes)
    patch.setattr(decisions, "_shown", lambda row, column: getattr(row, column, None))


@breaks(1)
def updated_at_moves_by_itself(patch: Patch) -> None:
    patch.setattr(apply.Writer, "_pinned", lambda self: {})


@breaks(1)
def any_status_may_be_written(patch: Patch) -> None:
    patch.setattr(decisions, "_wanted_status", lambda row, values: "overdue")


@breaks(2)
def no_unique_index(patch: Patch) -> None:
    patch.setattr(HostingServer.__table__, "indexes", set())


@breaks(3)
def removed_rows_are_deleted(patch: Patch) -> None:
    def delete(original: Any, self: Any, session: Any, chunk: Any, **named: Any) -> Any:
        done = original(self, session, chunk, **named)
        ids = [decision.row.id for decision in done if decision.action in {"remove", "missing"}]
        session.execute(self.columns.table.delete().where(self.columns["id"].in_(ids)))
        return done

    original = apply.Writer.apply
    patch.setattr(apply.Writer, "apply", lambda self, *args, **named: delete(original, self, *args, **named))


@breaks(4)
def any_404_proves_removal(patch: Patch) -> None:
    def lax(original: Any, error: Any) -> Any:
        return fetch.Failure("not_found") if getattr(error, "status_code", 0) == 404 else original(error)

    wrap(patch, fetch, "failure_of", lax)


@breaks(4)
def every_listing_counts_as_complete(patch: Patch) -> None:
    wrap(patch, fetch, "ServerListing", lambda original, *args, **named: original(*args, **(named | {"complete": True})))


@breaks(4)
def no_guard_against_mass_disappearance(patch: Patch) -> None:
    patch.setattr(planner, "_SUSPICIOUS_COUNT", 10**9)


@breaks(4)
def each_account_decides_alone_what_is_gone(patch: Patch) -> None:
    patch.setattr(planner.Whereabouts, "elsewhere", lambda self, timeweb_id, account: False)


@breaks(4)
def nobody_waits_for_the_other_accounts(patch: Patch) -> None:
    patch.setattr(planner.Whereabouts, "awaits", lambda self, row, account, aliases: False)


@breaks(5)
def rows_of_all_accounts_are_own(patch: Patch) -> None:
    def all_rows(original: Any, snapshot: Any, account: str) -> Any:
        return [row for row in snapshot.linked.values() if row.state and row.state.removed_at is None]

    def of_everybody(original: Any, session: Any, columns: Any, timeweb_ids: Any, **options: Any) -> Any:
        everybody = {row.timeweb_id: row for row in read_rows(session, columns, names=DECISIVE) if row.timeweb_id}
        return replace(original(session, columns, timeweb_ids, **options), linked=everybody)

    wrap(patch, collect, "read_places", of_everybody)
    wrap(patch, planner, "_own_rows", all_rows)


@breaks(5)
def whoever_lists_a_server_takes_it(patch: Patch) -> None:
    patch.setattr(planner.Whereabouts, "may_take", lambda self, row, aliases: True)


@breaks(5)
def identity_is_never_checked(patch: Patch) -> None:
    patch.setattr(collect, "_looks_foreign", lambda *_: False)


@breaks(6)
def disk_usage_is_a_change(patch: Patch) -> None:
    patch.setattr(mapping, "stable", lambda data: data)


@breaks(6)
def every_run_rewrites_the_data(patch: Patch) -> None:
    wrap(patch, mapping, "plain", lambda original, value: original(value) | {"seen_at": tables.utcnow().isoformat()})


@breaks(7)
def one_change_row_is_lost(patch: Patch) -> None:
    def lose(original: Any, session: Any, columns: Any, author: Any, entries: Any) -> None:
        fewer = [replace(entry, changes=dict(list(entry.changes.items())[1:])) for entry in entries]
        original(session, columns, author, fewer)

    wrap(patch, apply, "write_changes", lose)


@breaks(7)
def change_rows_are_doubled(patch: Patch) -> None:
    def twice(original: Any, *given: Any) -> None:
        original(*given)
        original(*given)

    wrap(patch, apply, "write_changes", twice)


@breaks(8)
def no_price_means_zero(patch: Patch) -> None:
    def zero(original: Any, row: Any, *rest: Any) -> Cost:
        found: Cost = original(row, *rest)
        return found if found.net is not None else Cost(Decimal(0), Decimal(0), "services_cost")

    wrap(patch, decisions, "resolve", zero)


@breaks(8)
def no_address_means_none(patch: Patch) -> None:
    wrap(
        patch,
        decisions,
        "_timeweb_changes",
        lambda original, row, values, rules: original(row, values, rules) | {"ip_address": values.ip_address},
    )


@breaks(9)
def no_key_is_a_secret(patch: Patch) -> None:
    payload._key.cache_clear()
    patch.setattr(payload, "is_secret_name", lambda name: False)


@breaks(9)
def only_the_known_names_are_secrets(patch: Patch) -> None:
    payload._key.cache_clear()
    patch.setattr(payload, "is_secret_name", lambda name: name in ("root_pass", "vnc_pass", "cloud_init"))


@breaks(10)
def a_sync_renames_servers(patch: Patch) -> None:
    def update(offset: int) -> Callable[[Any], Any]:
        def request(timeweb: Any) -> Any:
            page = timeweb.servers.list(limit=100)
            timeweb.servers.update(page.items[0].id, comment="seen")
            return page

        return request

    patch.setattr(fetch, "_page", update)


@breaks(11)
def the_lease_is_always_free(patch: Patch) -> None:
    def free(original: Any, session: Any, account: str, **named: Any) -> Any:
        session.execute(update(tables.SyncLease).values(expires_ms=0))
        return original(session, account, **named)

    wrap(patch, leases, "claim", free)


@breaks(12)
def a_sync_counts_as_an_edit(patch: Patch) -> None:
    def count(original: Any, session: Any, decisions: Any, **named: Any) -> None:
        original(session, decisions, **named)
        session.execute(update(tables.TimewebServerState).values(edit_version=tables.TimewebServerState.edit_version + 1))

    wrap(patch, apply, "write_states", count)


@breaks(13)
def unknown_statuses_become_unknown(patch: Patch) -> None:
    known = mapping.BUSY_STATUSES | mapping.PROBLEM_STATUSES | {"on"}

    def forget(original: Any, row: Any, values: Any, rules: Any) -> Any:
        status = values.timeweb_status if values.timeweb_status in known else "unknown"
        return original(row, replace(values, timeweb_status=status), rules)

    wrap(patch, decisions, "_timeweb_changes", forget)


@breaks(14)
def money_is_cut(patch: Patch) -> None:
    cut: Callable[[Any], Decimal] = lambda value: Decimal(str(value)).quantize(Decimal("0.01"), ROUND_DOWN)  # noqa: E731
    patch.setattr(costs, "to_money", cut)


@breaks(14)
def money_is_not_rounded(patch: Patch) -> None:
    patch.setattr(costs, "to_money", lambda value: Decimal(str(value)))


@breaks(15)
def today_is_utcs(patch: Patch) -> None:
    patch.setattr(money, "ZoneInfo", lambda name: ZoneInfo("UTC"))


@breaks(15)
def instants_are_local(patch: Patch) -> None:
    patch.setattr(collect, "utcnow", lambda: tables.utcnow() + timedelta(hours=3))


@breaks(16)
def a_dry_run_forgets_creations(patch: Patch) -> None:
    def forget(original: Any, run_id: Any, outcomes: Any, *, dry_run: bool = False) -> Any:
        report = original(run_id, outcomes, dry_run=dry_run)
        return replace(report, created_count=0) if dry_run else report

    wrap(patch, run, "report", forget)


@breaks(17)
def the_caller_syncs_itself(patch: Patch) -> None:
    def at_once(crm: Any) -> Any:
        return lambda leases: blocking.sync_all(crm.db, crm.timeweb, leases=leases)

    patch.setattr(background, "ThreadRunner", at_once)


@breaks(17)
def every_opening_starts_a_sync(patch: Patch) -> None:
    the_lease_is_always_free(patch)
    patch.setattr(
        freshness, "_look", lambda session, clients, max_age: freshness.Start(Freshness("started"), dict.fromkeys(clients, ""))
    )


@pytest.fixture(autouse=True)
def nothing_from_before(monkeypatch: Patch) -> Iterator[None]:
    """Tables and statements are made by the broken code, and no other test gets what it made."""
    monkeypatch.setattr(database, "COMPILED", {})
    database.sqlite_image.cache_clear()
    yield
    database.sqlite_image.cache_clear()


@pytest.mark.parametrize(
    ("number", "name", "mutation"), MUTATIONS, ids=[f"{number:02}-{name}" for number, name, _ in MUTATIONS]
)
def test_the_check_notices(number: int, name: str, mutation: Callable[[Patch], None], monkeypatch: Patch) -> None:
    mutation(monkeypatch)
    try:
        with pytest.raises(AssertionError):
            INVARIANTS[number]()
    finally:
        payload._key.cache_clear()


def test_every_invariant_is_sabotaged() -> None:
    assert {number for number, _, _ in MUTATIONS} == set(INVARIANTS) == set(range(1, 18))
