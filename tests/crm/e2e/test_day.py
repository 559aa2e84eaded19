"""The same day twice: on PostgreSQL with Redis and two workers, and on SQLite in one process."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pytest
import time_machine
from fastapi.testclient import TestClient
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine
from sqlalchemy.pool import NullPool

from crm_adapter import wiring
from crm_adapter.money import next_payment
from crm_adapter.web.standalone import PREFIX, create_app
from tests.crm.celery.workers import unpaced
from tests.crm.e2e.day import Ledger, Studio, first_day, live
from tests.crm.e2e.installations import OneProcess, Queue, one_process, queue
from timeweb_sdk import AsyncTimeweb
from timeweb_sdk.testing import EmulatorServer

#: Apprise imports every plugin it has, and one of them a module that Python 3.13 drops.
pytestmark = pytest.mark.filterwarnings("ignore:.*imghdr:DeprecationWarning")


@dataclass
class Lived:
    """A day that is over, and its world."""

    world: Queue | OneProcess
    ledger: Ledger
    calls: int
    page: str
    stats: dict[str, Any]


@pytest.fixture(scope="module")
def on_queue(postgres_url: str, redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lived]:
    studio, directory = Studio(), tmp_path_factory.mktemp("queue")
    with EmulatorServer(studio.timeweb) as timeweb, queue(directory, postgres_url, redis_url, timeweb.url) as world:
        yield _lived(world, studio)


@pytest.fixture(scope="module")
def in_one_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lived]:
    studio, directory = Studio(), tmp_path_factory.mktemp("one_process")
    with (
        pytest.MonkeyPatch.context() as patch,
        EmulatorServer(studio.timeweb) as timeweb,
        one_process(directory, timeweb.url) as world,
    ):
        patch.setattr(wiring, "rate_limit", unpaced)
        for variable in ("TIMEWEB_API_TOKEN", "TIMEWEB_CLOUD_TOKEN", "TIMEWEB_API_TOKENS"):
            patch.delenv(variable, raising=False)
        yield _lived(world, studio)


def _lived(world: Queue | OneProcess, studio: Studio) -> Lived:
    ledger = live(world, studio)
    calls = studio.calls
    page, stats = _open_page(world, ledger)
    assert studio.calls == calls, "opening the page asked Timeweb although the data was fresh"
    return Lived(world, ledger, calls, page, stats)


def _open_page(world: Queue | OneProcess, ledger: Ledger) -> tuple[str, dict[str, Any]]:
    url = world.database_url.replace("sqlite:", "sqlite+aiosqlite:")
    engine = create_async_engine(url, poolclass=NullPool)
    clients = {name: AsyncTimeweb("never-used", base_url="http://127.0.0.1:9") for name in ("main", "second", "third")}
    app = create_app(async_sessionmaker(engine), clients)
    assert ledger.end is not None
    with (
        time_machine.travel(ledger.end, tick=True),
        TestClient(app, base_url="http://127.0.0.1", client=("127.0.0.1", 5000)) as browser,
    ):
        page, stats = browser.get(PREFIX), browser.get(f"{PREFIX}/api/stats")
    assert (page.status_code, stats.status_code) == (200, 200)
    return page.text, stats.json()


@pytest.fixture(params=["on_queue", "in_one_process"])
def lived(request: pytest.FixtureRequest) -> Lived:
    found: Lived = request.getfixturevalue(request.param)
    return found


def test_every_change_has_one_row(lived: Lived) -> None:
    today = first_day()
    paid = next_payment(today, "monthly")
    expected = [
        *(("main", 1000 + number, "auto", "created", None, f"web-{number}") for number in range(1, 7)),
        *(("second", 1000 + number, "auto", "created", None, f"web-{number}") for number in range(11, 14)),
        ("third", 1021, "auto", "created", None, "web-21"),
        ("main", None, "auto", "created", None, "Разница с финансами аккаунта"),
        ("main", 1001, "auto", "cost_price", "450.00", "504.00"),
        ("main", 1002, "auto", "cost_price", "450.00", "540.00"),
        ("main", 1005, "auto", "cost_price", "450.00", "454.50"),
        ("second", 1011, "auto", "timeweb_status", "on", "off"),
        ("second", 1011, "auto", "status", "active", "suspended"),
        ("second", 1011, "auto", "timeweb_data", None, None),
        ("second", 1011, "auto", "timeweb_status", "off", "on"),
        ("second", 1011, "auto", "status", "suspended", "active"),
        ("second", 1011, "auto", "timeweb_data", None, None),
        ("main", 1006, "auto", "timeweb_status", "on", "removed"),
        ("main", 1006, "auto", "removed", None, None),
    ]
    by_sync = [change for change in lived.ledger.changes if change[2] == "auto"]
    assert by_sync == sorted(expected, key=repr)
    by_people = {(change[1], change[3]): change[4:] for change in lived.ledger.changes if change[2] == "anna"}
    assert by_people.pop((1004, "cost_price")) == ("450.00", "400.00")
    assert by_people.pop((1003, "auto_sync"))[1] in {"False", "0"}
    assert {key for key in by_people if key[0] == 1001} >= {(1001, "client_name"), (1001, "next_payment_date")}
    assert any(paid.isoformat() in str(change[5]) for change in lived.ledger.changes if change[3] == "next_payment_date")


def test_rows_keep_what_people_typed(lived: Lived) -> None:
    rows = {row["timeweb_id"] - 1000: row for row in lived.ledger.rows}
    assert sorted(rows) == [1, 2, 3, 4, 5, 6, 11, 12, 13, 21]
    costs = {number: row["cost_price"] for number, row in rows.items()}
    assert costs == {1: 504, 2: 540, 3: 450, 4: 400, 5: 454.5, 6: 450, 11: 300, 12: 300, 13: 300, 21: 1000}
    assert rows[1]["client_name"] == "ООО «Ромашка»"
    assert rows[1]["next_payment_date"].date() == next_payment(first_day(), "monthly")
    assert (rows[6]["timeweb_status"], rows[6]["status"]) == ("removed", "active")
    assert {row["status"] for number, row in rows.items() if number != 6} == {"active"}


def test_totals(lived: Lived) -> None:
    sums = lived.ledger.totals
    assert sums is not None
    assert (sums.servers, sums.priced_count, sums.unpriced_count) == (9, 2, 7)
    assert sums.income_month == Decimal("1500.00")
    assert sums.cost_month == Decimal("4248.50")
    assert sums.profit_month == Decimal("456.00")
    assert (sums.overdue_count, sums.overdue_sum) == (0, Decimal(0))
    assert sums.balance == Decimal("150000.00")


def test_runs(lived: Lived) -> None:
    """Nine rounds: of ``main`` one failed and one was spared by the backoff, ``third`` had a bad token until six."""
    assert lived.ledger.runs.count(("failed", "upstream_unavailable")) == 1
    assert {run for run in lived.ledger.runs if run[0] != "success"} == {
        ("failed", "upstream_unavailable"),
        ("failed", "unauthorized"),
    }
    assert not any(status == "running" for status, _ in lived.ledger.runs)


def test_the_page_shows_it(lived: Lived) -> None:
    assert "web-21" in lived.page
    assert "Timeweb: 9 серверов" in lived.page.replace("\xa0", " ")
    assert "Не доставлено" not in lived.page
    assert lived.stats["profit_month"] == 456
    assert lived.stats["overdue_count"] == 0


def test_nothing_secret_is_left(lived: Lived) -> None:
    logs = lived.world.logs() if isinstance(lived.world, Queue) else ""
    everything = logs + repr(lived.world.post.messages) + repr(lived.ledger) + lived.page
    for secret in ("token-of-", "hunter2", "s3cr3t"):
        assert secret not in everything


def test_both_worlds_end_alike(on_queue: Lived, in_one_process: Lived) -> None:
    ours, theirs = on_queue.ledger, in_one_process.ledger
    assert ours.messages == theirs.messages
    assert ours.changes == theirs.changes
    assert ours.rows == theirs.rows
    assert ours.runs == theirs.runs
    assert ours.totals == theirs.totals
    assert on_queue.stats == in_one_process.stats
    # A removal that waits for another account asks once more whether the server is there.
    assert on_queue.calls - in_one_process.calls in {0, 1}
