"""Everything that costs money beside servers: kept, ended and added up by the run that fetched it."""

from __future__ import annotations

import json
from datetime import datetime
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import select, update
from sqlalchemy.orm import Session, sessionmaker

from crm_adapter import sync_all, totals
from crm_adapter.db.services import SERVICES, StoredService, read_services
from crm_adapter.db.tables import AccountState, ChangeLog
from crm_adapter.notify.digest import line
from crm_adapter.results import OutboxEvent
from tests.crm.database import events, rows, statements
from tests.crm.fake_timeweb import FakeTimeweb, Json, Page, client, world

Db = sessionmaker[Session]


def service(kind: str, number: int | str | None, cost: float, **changes: Any) -> Json:
    """A row of the cost list that is no server."""
    row: Json = {"type": kind, "service_id": number, "cost": cost, "total_cost": cost, "project_id": 7, "services": []}
    return row | {"info": {"name": f"{kind}-{number}"}} | changes


def studio(servers: int = 2, **settings: Any) -> FakeTimeweb:
    """An account with a service of each sort: numbered, by UUID, of an unknown type, and one with parts."""
    fake = world(servers, **settings)
    parts = [{"type": "backups", "cost": 120, "id": 1}, {"type": "ai_cache", "cost": 30.55, "id": 2}]
    fake.costs += [
        service("database", 5, 300.4, total_cost=450.95, services=parts),
        service("floating_ip", "0f0e", 200),
        service("quantum", None, 33.33),
    ]
    return fake


def stored(db: Db) -> dict[str, StoredService]:
    with db() as session:
        return {found.type: found for found in read_services(session)}


def spent(db: Db) -> Decimal:
    """What the rows and the services cost together."""
    with db() as session:
        there = sum((found.cost_net for found in read_services(session, SERVICES.c.gone_since.is_(None))), Decimal(0))
    return there + sum((Decimal(str(row["cost_price"])) for row in rows(db)), Decimal(0))


@pytest.mark.parametrize(
    ("basis", "finances"),
    [
        ("gross", {"monthly_cost": 1684.28, "monthly_fee": 1122.29}),
        ("net", {"monthly_cost": 2500, "monthly_fee": 1684.28}),
        ("unreconciled", {"monthly_cost": 4000, "monthly_fee": 3600.1}),
        ("less than the list", {"monthly_cost": 1000, "monthly_fee": 777.77}),
        ("within the tolerance", {"monthly_cost": 1690, "monthly_fee": 563.33}),
    ],
)
def test_servers_and_services_cost_what_the_finances_say(real_db: Db, basis: str, finances: Json) -> None:
    fake = studio(finances_=finances)
    calls = ["projects.list", "servers.list", "cost.list", "finances.get"]
    assert sync_all(real_db, client(fake)).status == "success"
    assert fake.names == calls
    assert spent(real_db) == Decimal(str(finances["monthly_fee"])), basis
    shown = totals(real_db)
    assert (shown.cost_month or 0) + (shown.other_costs or 0) == Decimal(str(finances["monthly_fee"]))
    kept = stored(real_db)
    assert kept["quantum"].service_id == "" and kept["quantum"].name == "quantum-None"
    assert [part["type"] for part in kept["database"].components] == ["database", "backups", "ai_cache"]
    assert (kept["database"].cost_gross, kept["floating_ip"].project_id) == (Decimal("450.95"), 7)
    with real_db() as session:
        gross = sum((found.cost_gross for found in kept.values()), Decimal(1000))
        basis_of_list = session.scalars(select(AccountState.cost_basis)).one()
    assert gross == Decimal(str(finances["monthly_fee" if basis_of_list == "net" else "monthly_cost"]))
    # The same again changes nothing, and writes little.
    with statements(real_db) as seen:
        second = sync_all(real_db, client(fake))
    assert stored(real_db) == kept
    assert not [text for text in seen if text.startswith(("UPDATE timeweb_service", "INSERT INTO timeweb_service"))]
    with real_db() as session:
        assert session.scalars(select(ChangeLog).where(ChangeLog.run_id == second.run_id)).all() == []


def test_a_service_follows_timeweb_and_is_told_of(db: Db) -> None:
    fake = studio()
    sync_all(db, client(fake))
    assert events(db, "service_new") == []  # a first run is no news
    fake.costs[2] |= {"cost": 400, "total_cost": 500, "info": {"name": "shop"}}
    fake.costs.append(service("s3", 9, 79))
    gone = fake.costs.pop(3)
    sync_all(db, client(fake))
    kept = stored(db)
    assert (kept["database"].name, kept["database"].cost_net) == ("shop", Decimal("500.00"))
    assert kept["floating_ip"].gone_since is not None and spent(db) == Decimal(1000 + 500) + Decimal("112.33")
    assert {event.kind for event in events(db)} >= {"service_new", "service_gone", "service_cost_changed"}
    with db() as session:
        log = session.scalars(select(ChangeLog).where(ChangeLog.service_id == kept["database"].id)).all()
    assert [(entry.server_id, entry.field, entry.old, entry.new) for entry in log] == [
        (0, "created", None, "database-5"),
        (0, "name", "database-5", "shop"),
        (0, "cost_gross", "450.95", "500.00"),
        (0, "cost_net", "450.95", "500.00"),
    ]
    fake.costs.append(gone)
    sync_all(db, client(fake))
    assert stored(db)["floating_ip"].gone_since is None
    assert len(events(db, "service_new")) == 2


@pytest.mark.parametrize(
    ("old", "new", "told"), [(2000, 2099.99, 0), (2000, 2100, 1), (50, 54.99, 0), (50, 55, 1), (50, 45, 1)]
)
def test_a_cost_that_jumps_is_told(db: Db, old: float, new: float, told: int) -> None:
    fake = world(1)
    fake.costs.append(service("s3", 9, old))
    sync_all(db, client(fake))
    fake.costs[1] = service("s3", 9, new)
    sync_all(db, client(fake))
    assert len(events(db, "service_cost_changed")) == told


@pytest.mark.parametrize(("cost", "told"), [(499.99, 0), (500, 1)])
def test_a_dear_service_of_nobody_is_told_once(db: Db, cost: float, told: int) -> None:
    fake = world(1)
    fake.costs.append(service("s3", 9, cost))
    for _ in range(3):
        sync_all(db, client(fake))
    assert len(events(db, "service_unowned")) == told


def cut(fake: FakeTimeweb) -> None:
    """One row short of what is said to be there."""
    fake.faults["cost.list"] = [lambda: Page(fake.costs[:-1], len(fake.costs))]


def unreadable(fake: FakeTimeweb) -> None:
    broken: Any = [*fake.costs[:-1], "broken"]
    fake.faults["cost.list"] = [lambda: Page(broken, len(broken))]


def many(fake: FakeTimeweb) -> None:
    """Complete, and without three of three."""
    fake.costs = fake.costs[:2]


@pytest.mark.parametrize("spoil", [cut, unreadable, many])
def test_what_is_no_complete_list_ends_no_service(db: Db, spoil: Any) -> None:
    fake = studio()
    sync_all(db, client(fake))
    spoil(fake)
    report = sync_all(db, client(fake))
    assert {found.gone_since for found in stored(db).values()} == {None}
    assert ("suspicious_services" in {warning.code for warning in report.warnings}) is (spoil is many)
    assert len(events(db, "suspicious_disappearance")) == (spoil is many)
    # Two of three are still few.
    if spoil is many:
        fake.costs.append(service("database", 5, 450.95))
        sync_all(db, client(fake))
        ended = {kind for kind, found in stored(db).items() if found.gone_since is not None}
        assert ended - {"difference"} == {"floating_ip", "quantum"}


def test_a_service_whose_price_cannot_be_read_stays_as_it_was(db: Db) -> None:
    fake = studio()
    sync_all(db, client(fake))
    fake.costs[2] |= {"cost": "free", "total_cost": None}
    sync_all(db, client(fake))
    kept = stored(db)["database"]
    assert (kept.gone_since, kept.cost_net) == (None, Decimal("450.95"))


def test_a_server_without_a_row_is_a_service_until_it_has_one(db: Db) -> None:
    fake = studio()
    sync_all(db, client(fake), import_new=False)
    assert (rows(db), stored(db)["server"].service_id, spent(db)) == ([], "1002", sum_of(fake))
    sync_all(db, client(fake))
    assert (len(rows(db)), stored(db)["server"].gone_since is None, spent(db)) == (2, False, sum_of(fake))
    assert events(db, "service_gone") == []


def sum_of(fake: FakeTimeweb) -> Decimal:
    return Decimal(str(fake.money()["monthly_fee"])).quantize(Decimal("0.01"))


def test_rows_of_one_service_are_one(db: Db) -> None:
    fake = studio()
    fake.costs.append(service("quantum", None, 1.5))
    sync_all(db, client(fake))
    assert (stored(db)["quantum"].cost_net, spent(db)) == (Decimal("34.83"), sum_of(fake))


def test_services_follow_an_account_that_is_called_otherwise(db: Db) -> None:
    fake = studio()
    sync_all(db, {"old": client(fake)})
    before = stored(db)
    with db() as session, session.begin():
        session.execute(update(AccountState).values(last_success_at=datetime(2026, 1, 1)))
    sync_all(db, {"new": client(fake)})
    after = stored(db)
    assert {found.account for found in after.values()} == {"new"}
    assert {kind: found.id for kind, found in after.items()} == {kind: found.id for kind, found in before.items()}
    assert totals(db).other_costs == sum((found.cost_net for found in after.values()), Decimal(0))


@pytest.mark.parametrize(
    ("hours", "told"),
    [
        ([168, 167, 166, 72, 71, 70], ["balance_week", "balance_low"]),
        ([500, 71], ["balance_low"]),
        ([100, 500, 100, 50, 100], ["balance_week", "balance_week", "balance_low"]),
        ([None, 72], ["balance_week"]),
    ],
)
def test_how_long_the_balance_lasts_is_told_at_seven_days_and_at_three(
    db: Db, hours: list[int | None], told: list[str]
) -> None:
    fake = world(1)
    for left in hours:
        fake.finances_ = {"hours_left": left}
        sync_all(db, client(fake))
    found = [event for event in events(db) if event.kind.startswith("balance")]
    assert [event.kind for event in found] == told
    texts = [
        line(OutboxEvent(0, each.kind, "", None, None, None, datetime(2026, 1, 1), json.loads(each.payload))) for each in found
    ]
    assert ("хватит на 6 дней" in texts[0]) is (hours[0] == 168)
