"""What services cost at the ends of months: from the log, stored once they are over, nothing made up before the first run."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from decimal import Decimal

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session, sessionmaker

from crm_adapter import attribute_services, services, sync_all, update_manual
from crm_adapter.db.mapper import validate_mapping
from crm_adapter.db.tables import ChangeLog, HostingServer, Service, ServiceMonth
from crm_adapter.installation import Installation
from crm_adapter.ledger.months import month_sums, read_service_months, store_service_months
from crm_adapter.money import add_months, local_today
from crm_adapter.web import charts
from tests.crm.fake_timeweb import client
from tests.crm.sync.test_services import studio

Db = sessionmaker[Session]
COLUMNS = validate_mapping(HostingServer)
ZONE = Installation(db=sessionmaker()).zone_info
TODAY = local_today()
MONTHS = [add_months(TODAY.replace(day=1), -back) for back in range(4)]


def age(db: Db, days: int) -> None:
    """Let everything that is known have happened earlier."""
    with db() as session, session.begin():
        for log in session.scalars(select(ChangeLog)):
            log.at -= timedelta(days=days)
        for service in session.scalars(select(Service)):
            service.first_seen_at -= timedelta(days=days)
        session.execute(update(HostingServer).values(created_at=datetime(2020, 1, 1)))


def life(db: Db) -> None:
    """Given a first run three months ago; then a month later a price and an owner, and this month an end and a client."""
    fake = studio(1)
    sync_all(db, client(fake))
    update_manual(db, 1, {"client_name": "Анна"})
    age(db, (MONTHS[1] - MONTHS[2]).days)
    fake.costs[1] |= {"total_cost": 500}
    sync_all(db, client(fake))
    attribute_services(db, [each.id for each in services(db).services if each.type == "database"], server_id=1)
    age(db, TODAY.toordinal() - MONTHS[1].toordinal() - 3)
    del fake.costs[2]
    sync_all(db, client(fake))
    update_manual(db, 1, {"client_name": "Борис"})


def costs(db: Db) -> dict[date, dict[str, tuple[Decimal, str | None]]]:
    with db() as session:
        lines = read_service_months(session, COLUMNS, TODAY, ZONE).costs()
    found: dict[date, dict[str, tuple[Decimal, str | None]]] = {}
    for line in lines:
        found.setdefault(line.month, {})[line.type] = (line.cost, line.client_name)
    return found


def test_months_are_told_as_they_were_and_stored_once_they_are_over(real_db: Db) -> None:
    life(real_db)
    before = {
        "database": (Decimal("450.95"), None),
        "floating_ip": (Decimal("200.00"), None),
        "quantum": (Decimal("33.33"), None),
    }
    expected = {
        MONTHS[0]: {"database": (Decimal("500.00"), "Борис"), "quantum": (Decimal("33.33"), None)},
        MONTHS[1]: before | {"database": (Decimal("500.00"), "Анна")},
        MONTHS[2]: before,
    }
    assert costs(real_db) == expected
    with real_db() as session:
        shown = charts.months(session, COLUMNS, TODAY, ZONE)
        sums = month_sums(read_service_months(session, COLUMNS, TODAY, ZONE).months())
    assert [month.services for month in shown] == [sums[month] for month in reversed(MONTHS[:3])]
    with real_db() as session, session.begin():
        assert store_service_months(session, COLUMNS, TODAY, ZONE) == 2
        session.execute(delete(ChangeLog))
    assert {month: found for month, found in costs(real_db).items() if month in MONTHS[:3]} == expected
    with real_db() as session, session.begin():
        assert store_service_months(session, COLUMNS, TODAY, ZONE) == 0
        assert set(session.scalars(select(ServiceMonth.month))) == set(MONTHS[1:3])


def test_the_month_of_the_first_run_is_the_first(db: Db) -> None:
    sync_all(db, client(studio(1)))
    with db() as session, session.begin():
        assert store_service_months(session, COLUMNS, TODAY, ZONE) == 0
        assert session.scalars(select(ServiceMonth)).all() == []
        (month,) = charts.months(session, COLUMNS, TODAY, ZONE)
    assert (month.services, month.result) == (Decimal("684.28"), None)
    assert list(costs(db)) == [MONTHS[0]]
