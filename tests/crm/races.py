"""Two entry points at once on one row, while its name and cost change at Timeweb.

`python -m tests.crm.races URL --rounds 20` prints, for an empty database on PostgreSQL or MariaDB, how many pairs and
rounds were raced and how many rows froze or were logged twice.
"""

from __future__ import annotations

import argparse
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, datetime
from itertools import combinations_with_replacement, pairwise
from typing import Any

from sqlalchemy import Engine, create_engine, event, select, text
from sqlalchemy.orm import Session, sessionmaker

from crm_adapter import (
    add_manual,
    import_servers,
    link,
    mark_paid,
    payment_reminders,
    set_cost,
    sync_all,
    sync_server,
    unlink,
    update_manual,
)
from crm_adapter.db.tables import ChangeLog, HostingServer, TimewebServerState, create_all
from crm_adapter.jobs.jobs import Jobs
from crm_adapter.money import as_midnight
from crm_adapter.settings import Settings
from tests.crm.database import edit, engine_of, typed
from tests.crm.fake_timeweb import FakeTimeweb, Json, client, cost, server

#: Entry points that write a row, or read it to tell people of it.
ENTRY_POINTS = (
    "sync_all", "sync_server", "import_servers", "update_manual", "mark_paid", "set_cost", "link", "unlink", "add_manual",
    "reminders", "retention",
)  # fmt: skip
PAIRS = tuple(combinations_with_replacement(ENTRY_POINTS, 2))
#: They tie a row typed by hand to its server, so the row must not be tied yet.
TYING = frozenset({"link", "import_servers"})
_PAID = date(2026, 12, 10)


def finish(threads: list[threading.Thread], failures: list[BaseException]) -> None:
    """Wait for all, and raise what one of them raised."""
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive(), f"{thread.name} waits for ever"
    if failures:
        raise failures[0]


@dataclass
class Figures:
    """What a matrix has tried and found."""

    pairs: int = 0
    rounds: int = 0
    frozen: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)

    def __add__(self, other: Figures) -> Figures:
        return Figures(
            self.pairs + other.pairs,
            self.rounds + other.rounds,
            self.frozen + other.frozen,
            self.doubled + other.doubled,
        )

    def __str__(self) -> str:
        return f"pairs {self.pairs}, rounds {self.rounds}, rows frozen {len(self.frozen)}, log rows doubled {len(self.doubled)}"


class Contest:
    """One row, one account of its own, and the entry points that meet on the row."""

    _number = 0

    def __init__(self, db: sessionmaker[Session], *, tied: bool) -> None:
        Contest._number += 1
        self.db, self.number, self.account = db, 1000 * Contest._number, f"account {Contest._number}"
        self.version = 0
        self.fake = FakeTimeweb([self._server()], [cost(self.number)], account_id=f"cp{self.number}")
        human: Json = {"client_name": "Иванов", "client_price": 900, "next_payment_date": as_midnight(_PAID)}
        if tied:
            (created,) = self.sync_all().created
            self.crm_id = created.crm_id
            edit(db, self.crm_id, **human)
        else:
            self.crm_id = typed(db, server_name=f"typed {self.number}", ip_address=self._address, **human)

    @property
    def timeweb_id(self) -> int:
        return 1000 + self.number

    @property
    def _address(self) -> str:
        return f"203.0.{self.number // 1000}.1"

    @property
    def title(self) -> str:
        return f"web {self.number} v{self.version}"

    def _server(self) -> Json:
        address = {"type": "ipv4", "ip": self._address, "is_main": True}
        return server(self.number, name=f"web {self.number} v0", networks=[{"type": "public", "ips": [address]}])

    def change(self) -> None:
        """Another name and another cost at Timeweb."""
        self.version += 1
        self.fake.servers_[0]["name"] = self.title
        self.fake.costs[0]["total_cost"] = 500 + self.version

    def sync_all(self) -> Any:
        return sync_all(self.db, {self.account: client(self.fake)})

    def enter(self, name: str) -> Any:
        """Call one entry point on the row."""
        db, crm_id, clients = self.db, self.crm_id, {self.account: client(self.fake)}
        calls: dict[str, Callable[[], Any]] = {
            "sync_all": self.sync_all,
            "sync_server": lambda: sync_server(db, clients, crm_id),
            "import_servers": lambda: import_servers(db, clients, [self.timeweb_id]),
            "update_manual": lambda: update_manual(db, crm_id, {"client_name": f"Петров {self.version}"}),
            "mark_paid": lambda: mark_paid(db, crm_id, expected_date=_PAID),
            "set_cost": lambda: set_cost(db, crm_id, 777),
            "link": lambda: link(db, crm_id, self.timeweb_id, account=self.account),
            "unlink": lambda: unlink(db, crm_id),
            "add_manual": lambda: add_manual(db, {"server_name": f"beside {self.number}"}),
            "reminders": lambda: payment_reminders(db, today=_PAID),
            "retention": Jobs(lambda: Settings.model_validate({}), db=db).prune,
        }
        return calls[name]()

    def thread(self, name: str, failures: list[BaseException], begin: threading.Barrier | None = None) -> threading.Thread:
        """A thread that will enter; what it raises goes to `failures`."""

        def run() -> None:
            try:
                if begin is not None:
                    begin.wait()
                self.enter(name)
            except BaseException as error:
                failures.append(error)

        return threading.Thread(target=run, name=name)

    def race(self, first: str, second: str) -> None:
        """Enter both at once."""
        failures: list[BaseException] = []
        begin = threading.Barrier(2, timeout=30)
        threads = [self.thread(name, failures, begin) for name in (first, second)]
        for thread in threads:
            thread.start()
        finish(threads, failures)

    # What must hold afterwards.

    def frozen(self, *entered: str) -> str | None:
        """Why the row no longer follows Timeweb although no human touched what it follows; None: it does."""
        self.change()
        assert self.sync_all().status == "success"
        with self.db() as session:
            row = session.get(HostingServer, self.crm_id)
            state = session.get(TimewebServerState, self.crm_id)
            assert row is not None
            if row.timeweb_id is None:
                return None
            assert state is not None
            wanted: Json = {} if not self.follows_name(entered) else {"name": self.title}
            found: Json = {"name": row.server_name} if wanted else {}
            # A row that is taken off keeps its cost as its human's, also when it is tied again.
            if not {"set_cost", "unlink"}.intersection(entered):
                wanted |= {"cost": 500 + self.version, "source": "services_cost"}
                found |= {"cost": row.cost_price, "source": state.cost_source}
        return None if wanted == found else f"{entered}: {found} instead of {wanted}"

    def follows_name(self, entered: tuple[str, ...]) -> bool:
        """A row that was typed keeps the name that a human gave it."""
        return not TYING.intersection(entered)

    def doubled(self, *entered: str) -> str | None:
        """A change row that does not go on where the one before it ended, or that logs nothing."""
        with self.db() as session:
            log = list(session.scalars(select(ChangeLog).where(ChangeLog.server_id == self.crm_id).order_by(ChangeLog.id)))
        by_field: dict[str, list[tuple[str | None, str | None]]] = {}
        for entry in log:
            by_field.setdefault(entry.field, []).append((entry.old, entry.new))
        for name, steps in by_field.items():
            if name == "created":
                continue
            for before, after in pairwise(steps):
                # Taken off and tied again, the row begins anew.
                if before[1] != after[0] and not (name == "timeweb_data" or "unlink" in entered):
                    return f"{entered}: {name} {steps}"
            if len(steps) != len(set(steps)) and "unlink" not in entered:
                return f"{entered}: {name} {steps}"
        return None

    def lost(self, *entered: str) -> str | None:
        """A human's edit that is no longer there."""
        with self.db() as session:
            row = session.get(HostingServer, self.crm_id)
            state = session.get(TimewebServerState, self.crm_id)
            ids = [*session.scalars(select(HostingServer.id).where(HostingServer.timeweb_id == self.timeweb_id))]
            assert row is not None
        if len(ids) > 1:
            return f"{entered}: two rows of one server"
        if "update_manual" in entered and not row.client_name.startswith("Петров"):
            return f"{entered}: the client's name"
        if "mark_paid" in entered and row.next_payment_date != datetime(2027, 1, 10):
            return f"{entered}: paid {row.next_payment_date}"
        if "set_cost" in entered and (row.cost_price != 777 or state is None or state.cost_source != "manual"):
            return f"{entered}: the cost"
        return None


class Held:
    """Holds a row's lock in a connection of its own, and knows when others come to wait for it."""

    def __init__(self, db: sessionmaker[Session], crm_id: int) -> None:
        self._engine, self._crm_id = engine_of(db), crm_id
        self.waiting = threading.Semaphore(0)
        self._owner = threading.get_ident()

    @contextmanager
    def listening(self) -> Iterator[None]:
        """To end when the others are done: a listener cannot be taken away while statements go past it."""
        event.listen(self._engine, "before_cursor_execute", self._note)
        try:
            yield
        finally:
            event.remove(self._engine, "before_cursor_execute", self._note)

    @contextmanager
    def __call__(self) -> Iterator[None]:
        with self._engine.connect() as connection, connection.begin():
            connection.execute(text("SELECT 1 FROM hosting_servers WHERE id = :id FOR UPDATE"), {"id": self._crm_id})
            yield

    def _note(self, connection: Any, cursor: Any, statement: str, *rest: Any) -> None:
        takes = "FOR UPDATE" in statement or statement.startswith("UPDATE hosting_servers")
        if takes and threading.get_ident() != self._owner:
            self.waiting.release()

    def wait(self, thread: threading.Thread) -> None:
        """Until the thread has come, and a moment for its statement to reach the lock, or is done without the row."""
        for _ in range(400):
            if not thread.is_alive():
                return
            if self.waiting.acquire(timeout=0.005):
                threading.Event().wait(0.02)
                return


def race_pair(db: sessionmaker[Session], first: str, second: str, *, rounds: int) -> tuple[Figures, Figures]:
    """One round in which both wait for a third who holds the row, then some in which they just begin at the same moment."""
    contest = Contest(db, tied=not TYING.intersection((first, second)))
    held, free = Figures(pairs=1, rounds=1), Figures(pairs=1)
    _race_held(contest, first, second)
    _judge(contest, (first, second), held)
    for _ in range(rounds):
        contest.change()
        contest.race(first, second)
        free.rounds += 1
        _judge(contest, (first, second), free)
    return held, free


def _race_held(contest: Contest, first: str, second: str) -> None:
    """Both plan on what was there before the change, and write when a third lets go of the row."""
    contest.change()
    held = Held(contest.db, contest.crm_id)
    failures: list[BaseException] = []
    threads = [contest.thread(name, failures) for name in (first, second)]
    with held.listening():
        with held():
            for thread in threads:
                thread.start()
                held.wait(thread)
        finish(threads, failures)


def _judge(contest: Contest, entered: tuple[str, str], figures: Figures) -> None:
    if lost := contest.lost(*entered):
        figures.frozen.append(lost)
    if frozen := contest.frozen(*entered):
        figures.frozen.append(frozen)
    if doubled := contest.doubled(*entered):
        figures.doubled.append(doubled)


def main() -> None:
    """Race every pair and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url", help="an empty database of PostgreSQL or MariaDB")
    parser.add_argument("--rounds", type=int, default=5, help="free rounds per pair")
    options = parser.parse_args()
    engine: Engine = create_engine(options.url)
    with engine.begin() as connection:
        create_all(connection)
    held, free = Figures(), Figures()
    for first, second in PAIRS:
        one, other = race_pair(sessionmaker(engine), first, second, rounds=options.rounds)
        held, free = held + one, free + other
    print(f"{engine.dialect.name}, a held lock: {held}")
    print(f"{engine.dialect.name}, freely: {free}")
    for line in (*held.frozen, *held.doubled, *free.frozen, *free.doubled):
        print(f"  {line}")


if __name__ == "__main__":
    main()
