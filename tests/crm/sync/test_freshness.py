"""``ensure_fresh``: at most one background sync, backoff after failures, leases handed to the runner."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Mapping
from datetime import timedelta

import pytest
import pytest_asyncio
from sqlalchemy import update
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker
from sqlalchemy.orm import Session, sessionmaker
from sqlalchemy.pool import StaticPool

from crm_adapter import aio, ensure_fresh, runs, sync_all
from crm_adapter.db.tables import AccountState, create_all
from crm_adapter.installation import Installation
from crm_adapter.jobs.background import TaskRunner
from crm_adapter.sync import leases
from tests.crm.database import async_engine
from tests.crm.fake_timeweb import FakeTimeweb, client, world
from timeweb_sdk.errors import RateLimitError, UnauthorizedError

Db = sessionmaker[Session]


class Runner:
    def __init__(self) -> None:
        self.handed: list[Mapping[str, str]] = []

    def __call__(self, leases: Mapping[str, str]) -> None:
        self.handed.append(leases)


def age(db: Db, seconds: float) -> None:
    """Move everything the account remembers into the past."""
    back = timedelta(seconds=seconds)
    with db() as session, session.begin():
        for account in session.query(AccountState):
            for name in ("last_success_at", "last_attempt_at", "retry_at"):
                moment = getattr(account, name)
                if moment is not None:
                    setattr(account, name, moment - back)


def test_no_token(db: Db) -> None:
    assert ensure_fresh(db, None).to_dict()["status"] == "not_configured"


def test_started_running_fresh_and_started_again(db: Db) -> None:
    fake, runner = world(2), Runner()
    first = ensure_fresh(db, client(fake), runner=runner)
    assert (first.status, fake.calls) == ("started", [])
    assert ensure_fresh(db, client(fake), runner=runner).status == "running"
    assert [run.status for run in runs(db)] == ["running"]
    report = sync_all(db, client(fake), leases=runner.handed[0], actor="auto")
    assert (report.run_id, report.created_count) == (first.run_id, 2)
    assert ensure_fresh(db, client(fake), runner=runner).status == "fresh"
    age(db, 301)
    assert ensure_fresh(db, client(fake), runner=runner).status == "started"
    assert len(runner.handed) == 2


@pytest.mark.parametrize(
    ("took", "old", "status"), [(500, 499, "fresh"), (500, 501, "started"), (9000, 3599, "fresh"), (9000, 3601, "started")]
)
def test_data_stays_young_for_as_long_as_its_run_took_an_hour_at_most(db: Db, took: int, old: int, status: str) -> None:
    sync_all(db, client(world(2)))
    with db() as session, session.begin():
        for account in session.query(AccountState):
            assert account.last_success_at is not None
            account.last_attempt_at = account.last_success_at - timedelta(seconds=took)
    age(db, old)
    assert ensure_fresh(db, client(world(2)), runner=Runner()).status == status


def test_a_runner_that_cannot_start_gives_the_lease_back(db: Db) -> None:
    def broken(leases: Mapping[str, str]) -> None:
        raise ConnectionError("no broker")

    with pytest.raises(ConnectionError):
        ensure_fresh(db, client(world(1)), runner=broken)
    assert [run.status for run in runs(db)] == ["interrupted"]
    assert ensure_fresh(db, client(world(1)), runner=Runner()).status == "started"


@pytest.mark.parametrize(("failures", "wait"), [(1, 60), (2, 120), (3, 240), (4, 480), (5, 900), (6, 900)])
def test_backoff_grows_to_fifteen_minutes(db: Db, failures: int, wait: int) -> None:
    fake = world(1, faults={"servers.list": [RateLimitError("x", status_code=429)] * failures})
    for _ in range(failures):
        sync_all(db, client(fake))
    age(db, wait - 1)
    assert ensure_fresh(db, client(fake), runner=Runner(), max_age=1).status == "backoff"
    age(db, 2)
    assert ensure_fresh(db, client(fake), runner=Runner(), max_age=1).status == "started"


def test_a_new_token_is_tried_at_once(db: Db) -> None:
    class WithToken(FakeTimeweb):
        token_fingerprint = ""

    old, new = WithToken(), WithToken()
    old.token_fingerprint, new.token_fingerprint = "old", "new"
    old.faults = {"projects.list": [UnauthorizedError("x", status_code=401)]}
    sync_all(db, client(old))
    age(db, 600)
    assert ensure_fresh(db, client(old), runner=Runner()).status == "backoff"
    assert ensure_fresh(db, client(new), runner=Runner()).status == "started"


@pytest.mark.parametrize(("asked", "wait"), [(7, 60), (600, 600)])
def test_a_run_cut_short_goes_on_at_retry_at_sooner_or_later_than_the_usual_age(db: Db, asked: int, wait: int) -> None:
    fake = world(1, faults={"cost.list": [RateLimitError("slow", status_code=429, retry_after=asked)]})
    report = sync_all(db, client(fake))
    assert (report.status, report.accounts[0].message) == ("partial", f"Превышен лимит, повтор через {wait} с")
    age(db, wait - 5)
    assert ensure_fresh(db, client(fake), runner=Runner()).status == "backoff"
    age(db, 6)
    assert ensure_fresh(db, client(fake), runner=Runner()).status == "started"


def test_only_stale_accounts_are_handed_over(db: Db) -> None:
    both = {"a": client(world(1)), "b": client(FakeTimeweb(account_id="cp2"))}
    sync_all(db, both)
    with db() as session, session.begin():
        session.execute(update(AccountState).where(AccountState.account == "b").values(last_success_at=None))
    runner = Runner()
    ensure_fresh(db, both, runner=runner)
    assert list(runner.handed[0]) == ["b"]
    report = sync_all(db, both, leases=runner.handed[0])
    assert [part.account for part in report.accounts] == ["b"]


def test_the_default_runner_is_one_named_thread(db: Db) -> None:
    assert ensure_fresh(db, client(world(2))).status == "started"
    for thread in threading.enumerate():
        if thread.name == "timeweb-sync":
            thread.join(30)
    assert [run.status for run in runs(db)] == ["success"]


@pytest_asyncio.fixture
async def async_db() -> AsyncIterator[async_sessionmaker[AsyncSession]]:
    async with async_engine("sqlite+aiosqlite://", poolclass=StaticPool) as engine:
        async with engine.begin() as connection:
            await connection.run_sync(create_all)
        yield async_sessionmaker(engine)


async def test_the_async_runner_is_a_task_that_can_be_cancelled(async_db: async_sessionmaker[AsyncSession]) -> None:
    db, fake = async_db, world(2)
    assert (await aio.ensure_fresh(db, client(fake))).status == "started"
    (task,) = [task for task in asyncio.all_tasks() if task.get_name() == "timeweb-sync"]
    await task
    assert [run.status for run in await aio.runs(db)] == ["success"]
    waiting = asyncio.Event()

    async def silent() -> None:
        waiting.set()
        await asyncio.sleep(3600)

    slow = world(2)
    slow.faults = {"servers.list": [lambda: silent()]}
    runner = TaskRunner(Installation(db=db, timeweb=client(slow)))
    assert (await aio.ensure_fresh(db, client(slow), max_age=-1, runner=runner)).status == "started"
    await waiting.wait()
    await runner.close()
    assert [run.status for run in await aio.runs(db)] == ["interrupted", "success"]
    assert (await aio.ensure_fresh(db, client(fake), max_age=-1, runner=Runner())).status == "started"


def test_a_clock_that_was_ahead_holds_nothing_back(db: Db) -> None:
    """Given a machine whose clock was a year ahead for one run; when it is right again, data is old and no wait holds."""
    fake, runner = world(1), Runner()
    sync_all(db, client(fake))
    age(db, -31_536_000)
    assert ensure_fresh(db, client(fake), runner=runner).status == "started"
    sync_all(db, client(fake), leases=runner.handed[0])
    fake.faults["servers.list"] = [UnauthorizedError("no", status_code=401)]
    sync_all(db, client(fake))
    assert ensure_fresh(db, client(fake), runner=runner).status == "backoff"
    age(db, -31_536_000)
    assert ensure_fresh(db, client(fake), runner=runner).status == "started"


def test_the_clock_of_another_machine_may_be_a_little_ahead(db: Db) -> None:
    fake, runner = world(1), Runner()
    sync_all(db, client(fake))
    age(db, -20)
    assert ensure_fresh(db, client(fake), runner=runner).status == "fresh"


def test_a_lease_that_somebody_made_up_starts_nothing(db: Db) -> None:
    """A message of the queue names the owner of a lease; only the table says whether it is one."""
    with db() as session, session.begin():
        assert leases.claim(session, "default", claimed="made-up").owner is None
    with db() as session, session.begin():
        handed = leases.claim(session, "default").owner
    with db() as session, session.begin():
        assert leases.claim(session, "default", claimed=handed).owner is not None
    with db() as session, session.begin():  # delivered twice
        assert leases.claim(session, "default", claimed=handed).owner is None
