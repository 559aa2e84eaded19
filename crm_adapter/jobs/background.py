"""Syncs beside the requests: in a named thread, or in a task on the running loop.

Both runners are called with leases that `ensure_fresh` claimed, start a run that somebody asked for, and end with
`close`: what runs is cancelled between two of its steps and lets go of its leases.
"""

from __future__ import annotations

import asyncio
import atexit
import logging
import threading
import time
import weakref
from collections.abc import Mapping
from concurrent.futures import Future
from functools import partial
from typing import TYPE_CHECKING, Any

from crm_adapter import aio
from crm_adapter.db.columns import validate_mapping
from crm_adapter.steps import adrive, clients_of, drive, transaction
from crm_adapter.sync.freshness import ACTOR, give_back
from crm_adapter.sync.run import sync_all

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker
    from sqlalchemy.orm import Session, sessionmaker

    from crm_adapter.db.columns import FieldMap
    from crm_adapter.results import LinkPolicy, SyncReport
    from timeweb_sdk import AsyncTimeweb, Timeweb

logger = logging.getLogger(__name__)

_NAME = "timeweb-sync"


class ThreadRunner:
    """Syncs in a thread called `timeweb-sync`, which ends with its process and lets go of its leases."""

    def __init__(
        self,
        db: sessionmaker[Session],
        timeweb: Timeweb | Mapping[str, Timeweb] | None,
        *,
        model: type[Any],
        fields: FieldMap | None = None,
        import_new: bool = True,
        link_policy: LinkPolicy = "ip",
    ) -> None:
        self._db, self._timeweb, self._model, self._fields = db, timeweb, model, fields
        self._options: dict[str, Any] = {"import_new": import_new, "link_policy": link_policy}
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
        stop, clients = self._stop, clients_of(self._timeweb)
        columns, options = validate_mapping(self._model, self._fields), self._options

        def work() -> None:
            flow = sync_all(clients, columns, actor=actor, only_auto=only_auto, claimed=leases, **options)
            try:
                done.set_result(drive(flow, self._db, clients, stop=stop))
            except asyncio.CancelledError:
                drive(transaction(partial(give_back, claimed=leases or {})), self._db, {})
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

    def __init__(
        self,
        db: async_sessionmaker[AsyncSession],
        timeweb: AsyncTimeweb | Mapping[str, AsyncTimeweb] | None,
        *,
        model: type[Any],
        fields: FieldMap | None = None,
        import_new: bool = True,
        link_policy: LinkPolicy = "ip",
    ) -> None:
        self._db, self._timeweb, self._model, self._fields = db, timeweb, model, fields
        self._options: dict[str, Any] = {"import_new": import_new, "link_policy": link_policy}
        self._tasks: dict[asyncio.Task[SyncReport], Mapping[str, str]] = {}

    def __call__(self, leases: Mapping[str, str]) -> None:
        """Start a sync under leases that were claimed already."""
        _ = self.start(actor=ACTOR, only_auto=True, leases=leases)

    def start(
        self, *, actor: str | None, only_auto: bool = False, leases: Mapping[str, str] | None = None
    ) -> asyncio.Task[SyncReport]:
        """Start a sync; the task has its report."""
        # Not the flow itself: a task that is cancelled before it begins would leave it behind, never awaited.
        work = aio.sync_all(
            self._db,
            self._timeweb,
            actor=actor,
            only_auto=only_auto,
            leases=leases,
            model=self._model,
            fields=self._fields,
            **self._options,
        )
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
            await adrive(transaction(partial(give_back, claimed=leases)), self._db, {})

    def _ended(self, task: asyncio.Task[SyncReport]) -> None:
        del self._tasks[task]
        _running.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _tell(error)


def _tell(error: BaseException) -> None:
    # The class alone: the text of a database error holds parameters.
    logger.error("the background sync failed: %s", type(error).__name__)


#: The loop keeps only weak references to tasks.
_running: set[asyncio.Task[SyncReport]] = set()
#: Runners whose threads an interpreter that exits would cut off.
_runners: weakref.WeakSet[ThreadRunner] = weakref.WeakSet()


@atexit.register
def _end_threads() -> None:
    for runner in list(_runners):
        runner.close()
