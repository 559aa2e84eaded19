"""Syncs beside the requests: in a named thread, or in a task on the running loop.

Both runners are called with leases that `ensure_fresh` claimed, start a run that somebody asked for, and end with
`close`: what runs is cancelled between two of its steps and lets go of its leases.
"""

from __future__ import annotations

import asyncio
import atexit
import inspect
import logging
import threading
import time
import weakref
from collections.abc import Mapping
from concurrent.futures import Future
from functools import partial
from typing import TYPE_CHECKING

from crm_adapter import interruption
from crm_adapter.steps import transaction
from crm_adapter.sync import freshness
from crm_adapter.sync.freshness import ACTOR, give_back
from crm_adapter.sync.run import sync_all

if TYPE_CHECKING:
    from crm_adapter.installation import Installation
    from crm_adapter.results import Freshness, Runner, SyncReport

logger = logging.getLogger(__name__)

_NAME = "timeweb-sync"


def ensure_fresh(crm: Installation, *, max_age: float, runner: Runner | None = None) -> Freshness:
    """See `crm_adapter.ensure_fresh`."""
    # No signal falls between the claim and whoever is given the leases.
    with interruption.shielded():
        start = crm.run(lambda crm: freshness.ensure_fresh(crm.clients, max_age=max_age))
        if start.freshness.status == "started":
            try:
                (runner or ThreadRunner(crm))(start.leases)
            except BaseException:
                crm.run(lambda _: transaction(partial(give_back, claimed=start.leases)))
                raise
    return start.freshness


async def aensure_fresh(crm: Installation, *, max_age: float, runner: Runner | None = None) -> Freshness:
    """See `crm_adapter.aio.ensure_fresh`; the runner may be async."""
    start = await crm.arun(lambda crm: freshness.ensure_fresh(crm.clients, max_age=max_age))
    if start.freshness.status == "started":
        try:
            started = (runner or TaskRunner(crm))(start.leases)
            if inspect.isawaitable(started):
                await started
        except BaseException:
            await crm.transact(partial(give_back, claimed=start.leases))
            raise
    return start.freshness


class ThreadRunner:
    """Syncs in a thread called `timeweb-sync`, which ends with its process and lets go of its leases."""

    def __init__(self, crm: Installation) -> None:
        self._crm = crm
        self._stop, self._threads = threading.Event(), set[threading.Thread]()
        _runners.add(self)

    def __call__(self, leases: Mapping[str, str]) -> None:
        """Start a sync under leases that were claimed already."""
        self.start(actor=ACTOR, only_auto=True, leases=leases)

    def start(
        self, *, actor: str | None, only_auto: bool = False, leases: Mapping[str, str] | None = None
    ) -> Future[SyncReport]:
        """Start a sync; the future has its report."""
        done: Future[SyncReport] = Future()
        stop = self._stop

        def work() -> None:
            try:
                report = self._crm.run(lambda crm: sync_all(crm, only_auto=only_auto, actor=actor, claimed=leases), stop=stop)
                done.set_result(report)
            except asyncio.CancelledError:
                self._crm.run(lambda _: transaction(partial(give_back, claimed=leases or {})))
                done.cancel()
            except Exception as error:
                _tell(error)
                done.set_exception(error)
            finally:
                self._threads.discard(thread)

        thread = threading.Thread(target=work, name=_NAME, daemon=True)
        self._threads.add(thread)
        thread.start()
        return done

    def close(self, timeout: float = 10.0) -> None:
        """End what runs; a call to Timeweb that takes longer than `timeout` seconds is left to the end of the process."""
        self._stop.set()
        self._stop, deadline = threading.Event(), time.monotonic() + timeout
        for thread in list(self._threads):
            thread.join(max(0.0, deadline - time.monotonic()))


class TaskRunner:
    """Syncs in tasks of the running loop, held strongly."""

    def __init__(self, crm: Installation) -> None:
        self._crm = crm
        self._tasks: dict[asyncio.Task[SyncReport], Mapping[str, str]] = {}

    def __call__(self, leases: Mapping[str, str]) -> None:
        """Start a sync under leases that were claimed already."""
        _ = self.start(actor=ACTOR, only_auto=True, leases=leases)

    def start(
        self, *, actor: str | None, only_auto: bool = False, leases: Mapping[str, str] | None = None
    ) -> asyncio.Task[SyncReport]:
        """Start a sync; the task has its report."""
        work = self._crm.arun(lambda crm: sync_all(crm, only_auto=only_auto, actor=actor, claimed=leases))
        task = asyncio.get_running_loop().create_task(work, name=_NAME)
        self._tasks[task] = leases or {}
        _running.add(task)
        task.add_done_callback(self._ended)
        return task

    async def close(self, timeout: float = 10.0) -> None:
        """End what runs and wait until its leases are released; a transaction has `timeout` seconds to end."""
        ending = dict(self._tasks)
        for _ in range(2):
            for task in ending:
                task.cancel()
            if ending:
                await asyncio.wait(ending, timeout=timeout)
        # A task that had not begun has released nothing.
        for leases in filter(None, ending.values()):
            await self._crm.transact(partial(give_back, claimed=leases))

    def _ended(self, task: asyncio.Task[SyncReport]) -> None:
        del self._tasks[task]
        _running.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _tell(error)


def _tell(error: BaseException) -> None:
    # The class alone: the text of a database error holds parameters.
    logger.error("the background sync failed: %s", type(error).__name__)


_running: set[asyncio.Task[SyncReport]] = set()
"""The loop keeps only weak references to tasks."""
_runners: weakref.WeakSet[ThreadRunner] = weakref.WeakSet()
"""Runners whose threads an interpreter that exits would cut off."""


@atexit.register
def _end_threads() -> None:
    for runner in list(_runners):
        runner.close()
