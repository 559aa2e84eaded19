"""The steps of a flow and their two drivers."""

from __future__ import annotations

import gc
import threading
import warnings
from typing import Any

import pytest
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import async_sessionmaker
from sqlalchemy.orm import Session, sessionmaker

from crm_adapter import installation
from crm_adapter.installation import Installation
from crm_adapter.steps import Api, Cpu, Db, Effect, adrive, drive, transaction, work_out
from tests.crm.database import async_engine
from timeweb_sdk import AsyncTimeweb
from timeweb_sdk.errors import ConfigurationError


class Timeweb:
    """Answers with what it is asked."""

    def __init__(self, failure: Exception | None = None) -> None:
        self.failure = failure

    def echo(self, value: int) -> int:
        if self.failure is not None:
            raise self.failure
        return value

    async def aecho(self, value: int) -> int:
        return self.echo(value)


async def asked(method: str) -> list[Any]:
    async def inner() -> int:
        try:
            return await Api("main", lambda timeweb: getattr(timeweb, method)(1))
        except LookupError:
            return -1

    return [await inner(), await Db(lambda session: session.connection().dialect.name), await Cpu(lambda: 3)]


@pytest.mark.parametrize(("failure", "first"), [(None, 1), (LookupError(), -1)])
async def test_both_drivers_carry_out_the_same_flow(db: sessionmaker[Session], failure: Exception | None, first: int) -> None:
    clients = {"main": Timeweb(failure)}
    assert drive(asked("echo"), db, clients) == [first, "sqlite", 3]
    async with async_engine("sqlite+aiosqlite://") as engine:
        assert await adrive(asked("aecho"), async_sessionmaker(engine), clients) == [first, "sqlite", 3]


async def test_what_was_found_is_let_go_beside_the_event_loop(db: sessionmaker[Session]) -> None:
    gone: list[str] = []

    class Found:
        def __del__(self) -> None:
            gone.append(threading.current_thread().name)

    assert drive(work_out(lambda _: Found(), lambda found: type(found)), db, {}) is Found
    async with async_engine("sqlite+aiosqlite://") as engine:
        assert await adrive(work_out(lambda _: Found(), lambda found: type(found)), async_sessionmaker(engine), {}) is Found
    assert gone == [threading.current_thread().name, gone[1]] and gone[1].startswith("asyncio_")


async def nothing() -> int:
    return 1


def test_a_table_is_checked_once_and_clients_before_each_flow(
    db: sessionmaker[Session], monkeypatch: pytest.MonkeyPatch
) -> None:
    clients: dict[str, Any] = {"main": Timeweb()}
    crm = Installation(db=db, timeweb=clients)
    monkeypatch.setattr(installation, "validate_mapping", None)
    monkeypatch.setattr(installation, "in_zone", None)
    assert crm.run(lambda now: nothing()) == 1
    clients["second"] = AsyncTimeweb.__new__(AsyncTimeweb)
    with pytest.raises(ConfigurationError, match="needs Timeweb"):
        crm.run(lambda now: nothing())


def test_a_flow_has_the_clients_of_the_moment_it_began(db: sessionmaker[Session]) -> None:
    clients: dict[str, Any] = {"main": Timeweb()}
    crm = Installation(db=db, timeweb=clients)

    async def names(now: Installation) -> list[str]:
        clients["second"] = Timeweb()
        return list(now.clients)

    assert crm.run(names) == ["main"]
    assert crm.run(names) == ["main", "second"]


def test_an_effect_may_be_a_coroutine_of_the_host(db: sessionmaker[Session]) -> None:
    async def send(text: str) -> str:
        return text.upper()

    async def flow() -> Any:
        return await Effect(send, ("a",))

    assert drive(flow(), db, {}) == "A"


@pytest.mark.parametrize(("failures", "reached"), [(4, True), (5, False)])
def test_a_transaction_is_tried_five_times_after_a_deadlock(db: sessionmaker[Session], failures: int, reached: bool) -> None:
    tries = []

    def work(session: Session) -> str:
        tries.append(session)
        if len(tries) <= failures:
            raise OperationalError("UPDATE", {}, Exception(1213, "Deadlock found when trying to get lock"))
        return "done"

    if reached:
        assert drive(transaction(work), db, {}) == "done"
    else:
        with pytest.raises(OperationalError):
            drive(transaction(work), db, {})
    assert len(tries) == 5


def test_a_flow_that_nobody_awaits_warns(db: sessionmaker[Session]) -> None:
    async def outer() -> None:
        transaction(lambda session: session.commit())  # type: ignore[unused-coroutine]  # the mistake

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        drive(outer(), db, {})
        gc.collect()
    assert ["never awaited" in str(warning.message) for warning in caught] == [True]
