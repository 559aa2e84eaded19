"""What the processes of test_concurrency do; a module of its own, which the fork server imports once."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from typing import Any

from sqlalchemy import create_engine, event
from sqlalchemy.orm import Session, configure_mappers, sessionmaker
from sqlalchemy.pool import NullPool

from crm_adapter import import_servers, sync_all
from crm_adapter.sync import apply as applying
from tests.crm.fake_timeweb import FakeTimeweb, client, world
from tests.forked import CONTEXT, start_server

configure_mappers()


def connect(url: str) -> sessionmaker[Session]:
    return sessionmaker(create_engine(url, poolclass=NullPool))


def in_processes(count: int, work: Callable[..., Any], *arguments: Any) -> list[Any]:
    """Run ``work(barrier, *arguments)`` in ``count`` processes at once; what each put out."""
    start_server()
    barrier, results = CONTEXT.Barrier(count), CONTEXT.SimpleQueue()
    processes = [CONTEXT.Process(target=_run, args=(work, barrier, results, arguments)) for _ in range(count)]
    for process in processes:
        process.start()
    found = [results.get() for _ in processes]
    for process in processes:
        process.join(timeout=60)
        assert process.exitcode == 0
    return found


def _run(work: Callable[..., Any], barrier: Any, results: Any, arguments: tuple[Any, ...]) -> None:
    try:
        results.put(work(barrier, *arguments))
    except BaseException as error:
        results.put(repr(error))
        raise


def import_one(barrier: Any, url: str) -> Any:
    db, fake = connect(url), world(1)
    barrier.wait(timeout=60)
    return import_servers(db, client(fake), [1001]).to_dict()


class _Busy(FakeTimeweb):
    """Takes its time and notes when it was asked, on the clock that all processes share."""

    def called(self, name: str, argument: Any = None) -> Any:
        begin = time.monotonic_ns()
        time.sleep(0.002)
        intervals.append((begin, time.monotonic_ns()))
        return super().called(name, argument)


intervals: list[tuple[int, int]] = []


def sync_repeatedly(barrier: Any, url: str, rounds: int) -> Any:
    """Each run as (status, first call's begin, last call's end)."""
    db, model = connect(url), world(10)
    fake = _Busy(model.servers_, model.costs)
    barrier.wait(timeout=60)
    spans: list[Any] = []
    for _ in range(rounds):
        intervals.clear()
        report = sync_all(db, client(fake))
        spans.append((report.status, min(intervals, default=(0, 0))[0], max(intervals, default=(0, 0))[1]))
        time.sleep(0.001 * (os.getpid() % 5))
    return spans


def sync_and_die(url: str, servers: int, chunk: int, *, commits: int) -> None:
    """A sync that is killed before the commit of chunk number ``commits``; a negative number: right after it."""
    vars(applying)["CHUNK"] = chunk
    db, seen = connect(url), [0]
    if commits > 0:

        def before_commit(session: Session) -> None:
            if session.info.get("chunk"):
                seen[0] += 1
                if seen[0] == commits:
                    os.kill(os.getpid(), signal.SIGKILL)

        def mark(session: Session, *_: Any) -> None:
            session.info["chunk"] = True

        original = applying.Writer.apply

        def apply(self: Any, session: Session, *rest: Any, **named: Any) -> Any:
            mark(session)
            return original(self, session, *rest, **named)

        applying.Writer.apply = apply  # type: ignore[method-assign]
        event.listen(Session, "before_commit", before_commit)

    def progress(done: int, total: int) -> None:
        if done // chunk == -commits:
            os.kill(os.getpid(), signal.SIGKILL)

    sync_all(db, client(world(servers)), on_progress=progress)


def sync_two_and_die(url: str, first: FakeTimeweb, second: FakeTimeweb) -> None:
    """A sync of two accounts that is killed once it has written one server of the second."""
    vars(applying)["CHUNK"] = 1
    written: list[int] = []

    def progress(done: int, _total: int) -> None:
        written.append(done)
        if written[1:] and done == 1:
            os.kill(os.getpid(), signal.SIGKILL)

    sync_all(connect(url), {"first": client(first), "second": client(second)}, on_progress=progress)


def kill_between(url: str, first: FakeTimeweb, second: FakeTimeweb) -> int | None:
    """Run :func:`sync_two_and_die`; the exit code."""
    start_server()
    process = CONTEXT.Process(target=sync_two_and_die, args=(url, first, second))
    process.start()
    process.join(timeout=60)
    return process.exitcode


def kill_at(url: str, servers: int, chunk: int, commits: int) -> int | None:
    """Run :func:`sync_and_die`; the exit code."""
    start_server()
    process = CONTEXT.Process(target=sync_and_die, args=(url, servers, chunk), kwargs={"commits": commits})
    process.start()
    process.join(timeout=60)
    return process.exitcode
