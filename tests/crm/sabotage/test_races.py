"""The races are broken on purpose, each in one way; the matrix, and the test of waiting, must notice."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import nullcontext
from typing import Any

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.orm import Session, sessionmaker

from crm_adapter import ensure_fresh, steps, sync_all
from crm_adapter.db.columns import Columns
from crm_adapter.db.rows import StoredRow, lock, row_of, select_rows
from crm_adapter.db.tables import create_all
from crm_adapter.servers import edit
from crm_adapter.sync import apply
from tests.crm.fake_timeweb import client, world
from tests.crm.races import race_pair
from tests.databases import own_database


@pytest.fixture(scope="module")
def contested(postgres_url: str) -> Iterator[sessionmaker[Session]]:
    with own_database(postgres_url) as url:
        engine = create_engine(url)
        with engine.begin() as connection:
            create_all(connection)
        yield sessionmaker(engine)
        engine.dispose()


@pytest.mark.parametrize("pair", [("sync_all", "sync_server"), ("sync_server", "update_manual")])
def test_rows_joined_by_the_locking_statement_freeze(
    contested: sessionmaker[Session], pair: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def joined(session: Session, columns: Columns, row_ids: Any, **_: Any) -> dict[int, StoredRow]:
        statement = select_rows(columns).where(columns["id"].in_(list(row_ids))).with_for_update(of=columns.table)
        return {row.id: row for row in (row_of(dict(record)) for record in session.execute(statement).mappings())}

    monkeypatch.setattr(apply, "lock", joined)
    monkeypatch.setattr(edit, "lock", joined)
    held, _ = race_pair(contested, *pair, rounds=0)
    assert held.frozen


def test_decisions_that_are_not_made_again_are_logged_twice(
    contested: sessionmaker[Session], monkeypatch: pytest.MonkeyPatch
) -> None:
    def as_planned(self: Any, session: Session, decisions: Any) -> Any:
        lock(session, self.columns, [decision.row.id for decision in decisions])
        return list(decisions), []

    monkeypatch.setattr(apply.Writer, "_decide_again", as_planned)
    held, _ = race_pair(contested, "sync_all", "sync_server", rounds=0)
    assert held.doubled


def test_a_claim_without_a_bound_waits_for_ever(contested: sessionmaker[Session], monkeypatch: pytest.MonkeyPatch) -> None:
    clients = {"waiting": client(world(1))}
    sync_all(contested, clients)

    def no_bound(session: Session, seconds: float) -> nullcontext[None]:
        return nullcontext()

    monkeypatch.setattr(steps, "wait_at_most", no_bound)
    answers: list[str] = []

    def ask() -> None:
        answers.append(ensure_fresh(contested, clients, max_age=0, runner=lambda leases: None).status)

    caller = threading.Thread(target=ask)
    with contested() as session, session.begin():
        session.execute(text("SELECT * FROM timeweb_sync_lease FOR UPDATE"))
        caller.start()
        caller.join(3)
        waits = caller.is_alive()
    caller.join(60)
    assert waits
    assert answers == ["started"]
