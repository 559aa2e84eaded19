"""Whose a service is: people say it, everything is logged and can be taken back, and no sync touches it."""

from __future__ import annotations

import asyncio
import threading
from datetime import datetime
from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest
from sqlalchemy import delete, make_url, select
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine
from sqlalchemy.orm import Session, sessionmaker

from crm_adapter import aio, attribute_services, clients, remove_manual, services, sync_all, totals, unlink, update_manual
from crm_adapter.db.mapper import validate_mapping
from crm_adapter.db.tables import ChangeLog, HostingServer
from crm_adapter.installation import Installation
from crm_adapter.ledger import listing
from crm_adapter.ledger.listing import ServiceFilters, choose_services
from crm_adapter.ledger.results import ServiceInfo
from crm_adapter.servers.undo import undo
from tests.crm.database import events, rows, statements, typed
from tests.crm.fake_timeweb import FakeTimeweb, client, cost, server
from tests.crm.races import finish
from tests.crm.sync.test_databases import ASYNC_DRIVERS
from tests.crm.sync.test_services import service, studio

Db = sessionmaker[Session]


def of(db: Db, kind: str, **filters: Any) -> ServiceInfo:
    (found,) = [each for each in services(db, **filters).services if each.type == kind]
    return found


def owners(db: Db) -> list[tuple[str | None, str | None]]:
    """The log of who had services before and after, oldest first."""
    with db() as session:
        given = select(ChangeLog).where(ChangeLog.field == "owner").order_by(ChangeLog.id)
        return [(entry.old, entry.new) for entry in session.scalars(given)]


def take_back(db: Db, at: datetime | None, actor: str | None = None) -> tuple[int, int]:
    assert at is not None
    return Installation(db=db).run(lambda crm: undo(crm.columns, at, actor=actor))


def test_a_service_is_a_servers_a_clients_or_nobodys(real_db: Db) -> None:
    sync_all(real_db, client(studio()))
    update_manual(real_db, 1, {"client_name": "Анна", "client_price": 1000})
    database, address, odd = (of(real_db, kind) for kind in ("database", "floating_ip", "quantum"))
    assert [each.owner for each in (database, address, odd)] == [None] * 3
    first = attribute_services(real_db, [database.id], server_id=1, actor="ira")
    second = attribute_services(real_db, [address.id], client="Борис")
    assert (first.changed, second.changed, first.success) == ((database.id,), (address.id,), True)
    database, address = of(real_db, "database"), of(real_db, "floating_ip")
    assert (database.owner, database.server_name, database.client_name) == ("server:1", "web-1", "Анна")
    assert (address.owner, address.server_name, address.client_name) == ("client:Борис", None, "Борис")
    # A run writes none of it.
    sync_all(real_db, client(studio()))
    assert (of(real_db, "database"), of(real_db, "floating_ip")) == (database, address)
    assert (None, "server:1") in owners(real_db)
    # The same again is no change, and what cannot be is told.
    assert attribute_services(real_db, [database.id], server_id=1).at is None
    refused = attribute_services(real_db, [database.id, 999], server_id=77).refused
    assert refused == {database.id: "Запись не найдена", 999: "Услуга не найдена"}
    for name in ("", " ", "Не указан", "x" * 256):
        assert not attribute_services(real_db, [database.id], client=name).success
    with pytest.raises(ValueError, match="not both"):
        attribute_services(real_db, [database.id], server_id=1, client="Анна")
    # Filters and sums.
    assert [each.type for each in services(real_db, client="Анна").services] == ["database"]
    assert {view: services(real_db, view=view).total for view in ("", "nobody", "servers", "clients", "gone")} == {
        "": 3, "nobody": 1, "servers": 1, "clients": 1, "gone": 0,
    }  # fmt: skip
    assert [each.type for each in services(real_db, search="БОРИС").services] == ["floating_ip"]
    everything = services(real_db)
    assert (everything.cost_month, everything.unowned_count, everything.unowned_cost) == (
        Decimal("684.28"), 1, Decimal("33.33"),
    )  # fmt: skip
    assert everything.services[0].type == "quantum"  # nobody's first
    assert totals(real_db).other_costs == everything.cost_month
    assert attribute_services(real_db, [database.id]).changed and of(real_db, "database").owner is None


def test_cards_of_clients_add_up_to_the_totals(real_db: Db) -> None:
    sync_all(real_db, client(studio(3)))
    update_manual(real_db, 1, {"client_name": "Анна", "client_price": 1000})
    update_manual(real_db, 2, {"client_name": "Анна", "client_price": 300, "status": "closed"})
    attribute_services(real_db, [of(real_db, "database").id], server_id=1)
    attribute_services(real_db, [of(real_db, "floating_ip").id], server_id=3)
    attribute_services(real_db, [of(real_db, "quantum").id], client="Борис")
    anna, boris, nobody = sorted(clients(real_db), key=lambda card: (card.client_name is None, card.client_name or ""))
    assert (anna.client_name, anna.servers, anna.services, anna.income_month, anna.server_cost, anna.service_cost) == (
        "Анна", 1, 1, Decimal("1000.00"), Decimal("500.00"), Decimal("450.95"),
    )  # fmt: skip
    assert anna.result_month == Decimal("49.05")
    assert (boris.servers, boris.services, boris.income_month, boris.result_month) == (0, 1, None, None)
    assert (nobody.client_name, nobody.servers, nobody.service_cost) == (None, 1, Decimal("200.00"))
    shown, cards = totals(real_db), (anna, boris, nobody)
    assert sum(card.service_cost for card in cards) == shown.other_costs
    assert sum(card.server_cost or 0 for card in cards) == shown.cost_month
    assert sum(card.servers for card in cards) == shown.servers
    assert shown.result_month == Decimal(1000) - 1000 - Decimal("684.28")


def test_what_somebody_did_is_taken_back_unless_another_was_there(db: Db) -> None:
    sync_all(db, client(studio()))
    ids = [each.id for each in services(db).services]
    first = attribute_services(db, ids, client="Анна", actor="ira")
    attribute_services(db, ids[:1], client="Борис", actor="oleg")
    assert take_back(db, first.at, "oleg") == (0, 0)  # it is not his
    assert take_back(db, first.at, "ira") == (2, 1)
    assert {each.id: each.owner for each in services(db).services} == {ids[0]: "client:Борис", ids[1]: None, ids[2]: None}


@pytest.mark.parametrize("removed", [True, False], ids=["by us", "past us"])
def test_a_row_that_is_gone_has_no_services(db: Db, removed: bool) -> None:
    """SQLite gives the id of a deleted row out again."""
    sync_all(db, client(studio(0)))
    row_id = typed(db, created_at=datetime(2026, 1, 1, 10, 0, 0, 5))
    database = of(db, "database")
    attribute_services(db, [database.id], server_id=row_id)
    assert of(db, "database").owner == f"server:{row_id}"
    if removed:
        assert remove_manual(db, row_id).success
        assert owners(db)[-1] == (f"server:{row_id}", None)
    else:
        with db() as session, session.begin():
            session.execute(delete(HostingServer))
    assert (of(db, "database").owner, services(db, view="nobody").total) == (None, 3)
    assert typed(db, created_at=datetime(2026, 1, 2)) == row_id
    assert (of(db, "database").owner, of(db, "database").server_id) == (None, None)
    assert clients(db)[-1].services == 3


def test_a_service_stays_with_a_row_that_is_tied_to_another_server(db: Db) -> None:
    sync_all(db, client(studio(1)))
    attribute_services(db, [of(db, "database").id], server_id=1)
    unlink(db, 1)
    assert of(db, "database").owner == "server:1"


def test_who_a_service_may_belong_to_is_proposed_and_not_applied(real_db: Db, monkeypatch: pytest.MonkeyPatch) -> None:
    """One server in a project, one client with all servers of a project, a server of that address; several are no proposal."""
    fake = FakeTimeweb(
        [server(number) for number in range(1, 7)],
        [cost(number, project_id=project) for number, project in enumerate((11, 12, 12, 13, 13, 14), 1)],
    )
    fake.costs += [service("s3", project, 10, project_id=project) for project in (11, 12, 13, 14, 15)]
    fake.costs.append(service("floating_ip", "uuid", 200, project_id=13, info={"name": "203.0.113.4"}))
    sync_all(real_db, client(fake))
    for row_id in (2, 3, 4):
        update_manual(real_db, row_id, {"client_name": "Анна"})
    update_manual(real_db, 6, {"status": "closed"})
    found = {each.service_id: each.proposal for each in services(real_db).services}
    assert {key: each.owner if each else None for key, each in found.items()} == {
        "11": "server:1", "12": "client:Анна", "13": None, "14": None, "15": None, "uuid": "server:4",
    }  # fmt: skip
    proposal = found["11"]
    assert proposal is not None and proposal.reason == "в том же проекте Timeweb, что и сервер «web-1»"
    assert services(real_db, view="nobody").total == 6
    # A file is read in pieces, and the servers are looked through once for all of them, however many addresses there are.
    monkeypatch.setattr(listing, "_FEW", 0)
    with real_db() as session:
        columns = validate_mapping(HostingServer)
        chosen = choose_services(session, columns, ServiceFilters(size=0))
        with statements(real_db) as seen:
            pieces = [each for number in chosen.ids for each in chosen.read(session, columns, [number])]
    assert {each.service_id: each.proposal for each in pieces} == found
    assert len([text for text in seen if text.startswith("SELECT")]) == len(chosen.ids)


def test_a_dear_service_that_somebody_has_is_not_told_again(db: Db) -> None:
    fake = studio(0)
    fake.costs[0] |= {"cost": 900, "total_cost": 900}
    sync_all(db, client(fake))
    database = of(db, "database")
    attribute_services(db, [database.id], client="Анна")
    sync_all(db, client(fake))
    assert len(events(db, "service_unowned")) == 1
    attribute_services(db, [database.id])
    sync_all(db, client(fake))
    assert len(events(db, "service_unowned")) == 2


def test_people_and_a_sync_at_once_on_one_service(real_db: Db) -> None:
    """Neither loses what it wrote, nor writes it twice."""
    fake = studio(1)
    sync_all(real_db, client(fake))
    ids = [each.id for each in services(real_db).services]
    for turn in range(1, 4):
        fake.costs[1] |= {"total_cost": 400 + 100 * turn}
        fake.costs[2] |= {"info": {"name": f"address {turn}"}}
        failures: list[BaseException] = []
        begin = threading.Barrier(2, timeout=30)

        def act(work: Any, begin: Any = begin, failures: Any = failures) -> None:
            try:
                begin.wait()
                work()
            except BaseException as error:
                failures.append(error)

        give = lambda turn=turn: attribute_services(real_db, ids, client=f"client {turn}")  # noqa: E731
        works = (give, lambda: sync_all(real_db, client(fake)))
        threads = [threading.Thread(target=act, args=(work,)) for work in works]
        for thread in threads:
            thread.start()
        finish(threads, failures)
        found = {each.type: each for each in services(real_db).services}
        assert {each.client_name for each in found.values()} == {f"client {turn}"}
        assert (int(found["database"].cost_net), found["floating_ip"].name) == (400 + 100 * turn, f"address {turn}")
    with real_db() as session:
        log = list(session.scalars(select(ChangeLog).where(ChangeLog.service_id.is_not(None)).order_by(ChangeLog.id)))
    steps = [
        (entry.service_id, entry.field, entry.old, entry.new) for entry in log if entry.field in {"owner", "cost_net", "name"}
    ]
    assert len(steps) == len(set(steps)) == 3 * (3 + 1 + 1)
    for service_id in ids:
        for name in ("owner", "cost_net", "name"):
            of_one = [(old, new) for number, field, old, new in steps if (number, field) == (service_id, name)]
            assert all(before[1] == after[0] for before, after in pairwise(of_one))


def test_the_same_from_asyncio(database_url: str, real_db: Db) -> None:
    sync_all(real_db, client(studio(1)))

    async def run() -> None:
        url = make_url(database_url)
        engine = create_async_engine(url.set(drivername=ASYNC_DRIVERS[url.get_backend_name()]))
        db = async_sessionmaker(engine)
        ids = [each.id for each in (await aio.services(db, view="nobody")).services]
        assert (await aio.attribute_services(db, ids, server_id=1)).changed == tuple(ids)
        assert [card.services for card in await aio.clients(db)] == [3]
        await engine.dispose()

    asyncio.run(run())
    assert services(real_db, view="servers").total == 3
    assert rows(real_db)[0]["client_name"] == "Не указан"
