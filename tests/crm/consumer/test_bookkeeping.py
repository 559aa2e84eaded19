"""The host's own bookkeeping inside the transaction of a change: both are written, or neither."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Session, sessionmaker

from crm_adapter import (
    FieldMap,
    add_manual,
    import_servers,
    link,
    mark_paid,
    remove_manual,
    set_cost,
    sync_all,
    unlink,
    update_manual,
)
from crm_adapter.results import RowChange
from tests.crm.consumer.host import TOKEN, Host, HostingPayment, HostingServer
from timeweb_sdk import RateLimit, Timeweb

NEW = {"server_name": "old-vps", "client_name": "Иванов", "client_price": 900, "next_payment_date": "2026-12-01"}


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


@pytest.fixture
def db(host: Host) -> Iterator[sessionmaker[Session]]:
    engine = sa.create_engine(f"sqlite:///{host.path}")
    yield sessionmaker(engine)
    engine.dispose()


@pytest.fixture
def timeweb(host: Host) -> Iterator[Timeweb]:
    with Timeweb(TOKEN, http_client=host.emulator.http_client(), rate_limit=RateLimit.off()) as client:
        yield client


def record(connection: sa.Connection, change: RowChange) -> None:
    """«Оплачено» writes the CRM's own row of payment."""
    if change.kind == "paid":
        due, following = change.changes["next_payment_date"]
        price = connection.scalar(sa.select(HostingServer.client_price).where(HostingServer.id == change.server_id))
        values = {"server_id": change.server_id, "amount": price, "expected_date": due, "status": "paid"}
        connection.execute(sa.insert(HostingPayment).values(**values, period_start=due, period_end=following))


def fail(_: sa.Connection, change: RowChange) -> None:
    raise RuntimeError(f"no bookkeeping of {change.kind}")


def everything(host: Host) -> list[list[tuple[object, ...]]]:
    tables = ("hosting_servers", "hosting_payments", "timeweb_server_state", "timeweb_change_log")
    return [host.query(f"SELECT * FROM {table} ORDER BY 1") for table in tables]


def test_paid_writes_the_hosts_own_payment(host: Host, db: sessionmaker[Session]) -> None:
    fields = FieldMap(on_change=record)
    added = add_manual(db, NEW, model=HostingServer, fields=fields).raise_for_failure()
    assert added.crm_id is not None
    mark_paid(db, added.crm_id, model=HostingServer, fields=fields, actor="Ирина").raise_for_failure()
    assert host.query("SELECT server_id, amount, date(expected_date), date(period_end), status FROM hosting_payments") == [
        (added.crm_id, 900.0, "2026-12-01", "2027-01-01", "paid")
    ]


Work = Callable[[sessionmaker[Session], Timeweb, int, FieldMap], object]
WORK: dict[str, Work] = {
    "added": lambda db, timeweb, row, fields: add_manual(db, NEW, model=HostingServer, fields=fields),
    "edited": lambda db, timeweb, row, fields: update_manual(db, row, {"notes": "x"}, model=HostingServer, fields=fields),
    "paid": lambda db, timeweb, row, fields: mark_paid(db, row, model=HostingServer, fields=fields),
    "priced": lambda db, timeweb, row, fields: set_cost(db, row, 5, model=HostingServer, fields=fields),
    "linked": lambda db, timeweb, row, fields: link(db, row, 4100113, model=HostingServer, fields=fields),
    "deleted": lambda db, timeweb, row, fields: remove_manual(db, row, model=HostingServer, fields=fields),
    "imported": lambda db, timeweb, row, fields: import_servers(db, timeweb, [4100113], model=HostingServer, fields=fields),
    "synchronised": lambda db, timeweb, row, fields: sync_all(db, timeweb, model=HostingServer, fields=fields),
}


@pytest.mark.parametrize("kind", WORK)
def test_every_change_is_told_and_a_failure_rolls_both_back(
    host: Host, db: sessionmaker[Session], timeweb: Timeweb, kind: str
) -> None:
    row = add_manual(db, NEW, model=HostingServer).raise_for_failure().crm_id
    assert row is not None
    before = everything(host)
    with pytest.raises(RuntimeError, match=f"no bookkeeping of {kind}"):
        WORK[kind](db, timeweb, row, FieldMap(on_change=fail))
    assert everything(host) == before
    told: list[RowChange] = []
    WORK[kind](db, timeweb, row, FieldMap(on_change=lambda _, change: told.append(change)))
    assert {change.kind for change in told} == {kind}
    logged = host.query(
        "SELECT count(*) FROM timeweb_change_log WHERE id > :known AND service_id IS NULL"
        # What only the log keeps, so that an edit can be taken back.
        " AND field NOT IN ('cost_source', 'account', 'removed_row')",
        known=len(before[3]),
    )
    assert sum(len(change.changes) for change in told) == logged[0][0]
    assert (told[0].run_id is not None) == (kind == "synchronised")


def test_unlinking_is_told(host: Host, db: sessionmaker[Session], timeweb: Timeweb) -> None:
    told: list[RowChange] = []
    fields = FieldMap(on_change=lambda _, change: told.append(change))
    crm_id = import_servers(db, timeweb, [4100113], model=HostingServer).imported[0].crm_id
    assert crm_id is not None
    unlink(db, crm_id, model=HostingServer, fields=fields).raise_for_failure()
    assert [change.kind for change in told] == ["unlinked"]


def test_a_row_that_is_linked_is_not_removed(db: sessionmaker[Session], timeweb: Timeweb) -> None:
    crm_id = import_servers(db, timeweb, [4100113], model=HostingServer).imported[0].crm_id
    assert crm_id is not None
    assert remove_manual(db, crm_id, model=HostingServer).code == "linked"
    assert remove_manual(db, 999, model=HostingServer).code == "not_found"


def test_a_removed_row_stays_in_the_history(host: Host, db: sessionmaker[Session]) -> None:
    row = add_manual(db, NEW, model=HostingServer).raise_for_failure().crm_id
    assert row is not None
    remove_manual(db, row, model=HostingServer, actor="Ирина").raise_for_failure()
    assert host.query("SELECT count(*) FROM hosting_servers") == [(0,)]
    assert host.query("SELECT count(*) FROM timeweb_server_state") == [(0,)]
    assert host.query("SELECT field, old, actor FROM timeweb_change_log ORDER BY id DESC LIMIT 1") == [
        ("deleted", "old-vps", "Ирина")
    ]
