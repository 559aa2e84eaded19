"""A dry run over several accounts counts what the run then does, though nothing is written between the accounts."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from sqlalchemy.orm import Session, sessionmaker

from crm_adapter import plan, sync_all
from tests.crm.database import counts, rows, typed
from tests.crm.fake_timeweb import FakeTimeweb, client, cost, server, world

Db = sessionmaker[Session]
Accounts = tuple[FakeTimeweb, FakeTimeweb]


def moved(db: Db) -> Accounts:
    first, second = world(4), FakeTimeweb([server(9)], [cost(9)], account_id="cp2")
    sync_all(db, {"first": client(first), "second": client(second)})
    second.servers_.append(first.servers_.pop())
    return first, second


def shared(_: Db) -> Accounts:
    return world(1), FakeTimeweb([server(1), server(2)], [cost(1), cost(2)], account_id="cp2")


def one_row_for_two(db: Db) -> Accounts:
    typed(db, ip_address="203.0.113.1")
    twin = server(2) | {"networks": server(1)["networks"]}
    return world(1), FakeTimeweb([twin], [cost(2)], account_id="cp2")


def handed(db: Db) -> Accounts:
    """A server that the second account has shown in a run of its own; now nobody does."""
    first, second = world(4), FakeTimeweb([server(9)], [cost(9)], account_id="cp2")
    sync_all(db, {"first": client(first), "second": client(second)})
    second.servers_.append(first.servers_[3])
    sync_all(db, {"second": client(second)})
    first.servers_.pop()
    second.servers_.pop()
    return first, second


@pytest.mark.parametrize(
    ("prepare", "expected"),
    [
        (handed, {"unchanged": 4, "updated": 1, "missing": 1}),
        (moved, {"unchanged": 4, "updated": 1}),
        (shared, {"created": 2, "skipped": 1}),
        (one_row_for_two, {"created": 1, "linked": 1}),
    ],
)
def test_later_accounts_see_what_earlier_ones_would_do(
    db: Db, prepare: Callable[[Db], Accounts], expected: dict[str, int]
) -> None:
    first, second = prepare(db)
    clients = {"first": client(first), "second": client(second)}
    before = rows(db)
    dry, made = sync_all(db, clients, dry_run=True), plan(db, clients)
    assert rows(db) == before
    real = sync_all(db, clients)
    assert counts(dry) == counts(made.report) == counts(real)
    assert (dry.status, dry.total_processed) == (real.status, real.total_processed)
    assert [warning.code for warning in dry.warnings] == [warning.code for warning in real.warnings]
    assert counts(real) == expected
    assert all(item.crm_id != 0 for item in made.servers)
