"""A day in the life of a studio with three Timeweb accounts, and what must be left of it.

The script knows neither queues nor databases: a world runs the schedule once at an instant (``tick``), and whatever the
world is made of, the same messages, change rows and totals are expected.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any, Protocol
from zoneinfo import ZoneInfo

import time_machine
from sqlalchemy import select
from sqlalchemy.orm import Session, sessionmaker

from crm_adapter import mark_paid, set_cost, totals, update_manual
from crm_adapter.db.tables import ChangeLog, HostingServer, SyncRun
from crm_adapter.results import Totals
from tests.crm.celery.workers import Accounts
from tests.crm.fake_timeweb import cost, server
from tests.crm.notify.service import NotificationService
from timeweb_sdk.testing import Emulator

MOSCOW = ZoneInfo("Europe/Moscow")
TOKENS = {"main": "token-of-main", "second": "token-of-second", "third": "token-of-third"}


class World(Protocol):
    """An installation: where rows are, how the schedule runs, where messages arrive."""

    directory: Path
    db: sessionmaker[Session]
    post: NotificationService

    def tick(self, at: datetime) -> None: ...


class Account:
    """One emulated account: servers by number with what each costs per month, and a discount in percent."""

    def __init__(self, name: str, costs: Mapping[int, float], *, discount: int = 0) -> None:
        self.name, self.costs, self.discount = name, dict(costs), discount
        self.emulator = Emulator(
            {
                "servers": [server(number) for number in costs],
                "projects": [
                    {
                        "id": 7,
                        "account_id": f"id-of-{name}",
                        "name": name,
                        "is_default": True,
                        "description": "",
                        "avatar_id": None,
                    }
                ],
                **self.money(),
            },
            token=TOKENS[name],
        )

    def money(self) -> dict[str, Any]:
        monthly = sum(self.costs.values())
        fee = monthly * (100 - self.discount) / 100
        finances = {"balance": 50_000, "monthly_cost": monthly, "monthly_fee": fee, "hours_left": 5_000, "currency": "RUB"}
        return {"services_costs": [cost(number, total) for number, total in self.costs.items()], "finances": finances}

    def charge(self, costs: Mapping[int, float]) -> None:
        """Change prices."""
        self.costs |= costs
        self.emulator.state.update(self.money())

    def server(self, number: int) -> dict[str, Any]:
        found: dict[str, Any] = next(item for item in self.emulator.state["servers"] if item["id"] == 1000 + number)
        return found

    def remove(self, number: int) -> None:
        """Delete a server at Timeweb."""
        self.emulator.state["servers"].remove(self.server(number))
        del self.costs[number]
        self.charge({})


class Studio:
    """The three accounts at Timeweb."""

    def __init__(self) -> None:
        self.main = Account("main", dict.fromkeys(range(1, 7), 500), discount=10)
        self.second = Account("second", dict.fromkeys(range(11, 14), 300))
        self.third = Account("third", {21: 1000})
        self.all = (self.main, self.second, self.third)

    @property
    def timeweb(self) -> Accounts:
        return Accounts({TOKENS[account.name]: account.emulator for account in self.all})

    @property
    def calls(self) -> int:
        return sum(len(account.emulator.requests) for account in self.all)


def write_tokens(directory: Path, **tokens: str) -> None:
    """The ``.env`` that running processes read again."""
    (directory / ".env").write_text(f"TIMEWEB_API_TOKENS='{json.dumps(TOKENS | tokens)}'\n")


@dataclass
class Ledger:
    """What a day left behind, without what differs from clock to clock and from database to database."""

    messages: list[list[str]] = field(default_factory=list[list[str]])
    """The messages of each tick, sorted."""
    rows: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    changes: list[tuple[Any, ...]] = field(default_factory=list[tuple[Any, ...]])
    runs: list[tuple[str, str | None]] = field(default_factory=list[tuple[str, str | None]])
    totals: Totals | None = None
    end: datetime | None = None


def first_day() -> date:
    """In the future of the databases' clocks, which nobody fakes: so nothing of it is old news to them."""
    return datetime.now(MOSCOW).date() + timedelta(days=2)


def live(world: World, studio: Studio) -> Ledger:
    """Live through it; every message is checked when it is due."""
    today = first_day()
    ledger = Ledger()

    def at(clock: str, *, days: int = 0) -> datetime:
        hour, minute, second = (int(part) for part in f"{clock}:00".split(":")[:3])
        return datetime(today.year, today.month, today.day, hour, minute, second, tzinfo=MOSCOW) + timedelta(days=days)

    def tick(*moments: datetime) -> list[str]:
        """What people are told; by several moments together, where workers may take accounts in any order."""
        before = len(world.post.messages)
        for moment in moments:
            world.tick(moment)
        told = sorted(message["message"] for message in world.post.messages[before:])
        ledger.messages.append(told)
        return told

    def new(number: int, price: str) -> str:
        return f"Новый сервер web-{number}: 2 CPU / 2GB RAM / 25GB SSD / Ubuntu 22.04, {price} ₽ в месяц"

    write_tokens(world.directory, third="revoked")
    assert tick(at("08:00")) == sorted([
        "\n".join(new(number, "450,00") for number in range(1, 7)),
        "\n".join(new(number, "300,00") for number in range(11, 14)),
        "⚠ Синхронизация не удалась (third): Токен недействителен или истёк",
    ])  # fmt: skip

    with time_machine.travel(at("08:30")):
        _people(world.db, today)
    assert tick(at("09:05")) == ["web-1 (ООО «Ромашка»): оплата 1 000,00 ₽ сегодня"]

    studio.main.charge({1: 560, 2: 600, 3: 700, 4: 520, 5: 505})
    studio.second.server(11)["status"] = "off"
    (news,) = tick(at("11:00"))
    assert news.splitlines() == [
        "⚠ web-2: убыток 40,00 ₽ в месяц",
        "web-1: себестоимость 450,00 ₽ → 504,00 ₽",
        "web-2: себестоимость 450,00 ₽ → 540,00 ₽",
    ]
    assert tick(at("11:10")) == ["⚠ web-11: выключен"]

    outage = studio.main.emulator.add_fault(status=503, headers={"Retry-After": "0"})
    assert tick(at("12:00")) == ["⚠ Синхронизация не удалась (main): Timeweb не отвечает"]
    calls = studio.calls
    assert tick(at("12:00:30")) == []
    assert studio.calls == calls, "Timeweb was asked again within the backoff"
    studio.main.emulator.faults.remove(outage)
    studio.main.remove(6)
    assert tick(at("12:10")) == ["Синхронизация восстановлена (main)"], "another account may have it: not listed since"

    write_tokens(world.directory)
    studio.second.server(11)["status"] = "on"
    # A removal waits until every account was listed since: workers side by side are done with that one tick later.
    assert tick(at("18:00"), at("18:10")) == [
        "web-11: снова работает",
        f"Синхронизация восстановлена (third)\n{new(21, '1 000,00')}",
        "⚠ web-6: сервер удалён в Timeweb",
    ]  # fmt: skip
    assert tick(at("09:30", days=1)) == [f"⚠ web-1 (ООО «Ромашка»): оплата 1 000,00 ₽ просрочена с {today:%d.%m.%Y}"]
    with time_machine.travel(at("09:31", days=1)):
        assert mark_paid(world.db, _ids(world.db)[1], actor="anna").success
        ledger.end = at("09:32", days=1)
        ledger.totals = totals(world.db, today=today + timedelta(days=1))
    _close(world.db, ledger)
    return ledger


def _ids(db: sessionmaker[Session]) -> dict[int, int]:
    """Server number -> id of its row."""
    with db() as session:
        pairs = session.execute(select(HostingServer.timeweb_id, HostingServer.id))
        return {timeweb_id - 1000: crm_id for timeweb_id, crm_id in pairs if timeweb_id is not None}


def _people(db: sessionmaker[Session], today: date) -> None:
    """What the studio types on the first morning."""
    ids = _ids(db)
    due = {"next_payment_date": today, "start_date": today}
    edits: list[tuple[int, dict[str, Any]]] = [
        (1, {"client_name": "ООО «Ромашка»", "client_price": "1000", **due}),
        (2, {"client_name": "ИП Петров", "client_price": "500"}),
        (3, {"auto_sync": False}),
    ]
    for number, values in edits:
        result = update_manual(db, ids[number], values, actor="anna")
        assert result.success, result
    assert set_cost(db, ids[4], "400", actor="anna").success


#: Instants of runs and edits, and what a database numbers by itself in whatever order the workers came.
_VOLATILE = {"id", "last_sync_at", "created_at", "updated_at", "timeweb_data"}


def _close(db: sessionmaker[Session], ledger: Ledger) -> None:
    with db() as session:
        for row in session.scalars(select(HostingServer).order_by(HostingServer.timeweb_id)):
            names = [column.key for column in HostingServer.__table__.columns if column.key not in _VOLATILE]
            ledger.rows.append({name: getattr(row, name) for name in names})
        for change in session.scalars(select(ChangeLog)):
            told = (change.old, change.new) if change.field not in {"removed", "timeweb_data"} else (None, None)
            ledger.changes.append((change.account, change.timeweb_id, change.actor, change.field, *told))
        ledger.changes.sort(key=repr)
        ledger.runs = sorted(
            ((run.status, run.error_code) for run in session.scalars(select(SyncRun))), key=repr
        )  # fmt: skip
