"""The default runners of ``ensure_fresh``: a named thread, or a task on the running loop."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker
    from sqlalchemy.orm import Session, sessionmaker

    from crm_adapter.fields import FieldMap
    from timeweb_sdk import AsyncTimeweb, Timeweb

__all__ = ["TaskRunner", "thread_runner"]

logger = logging.getLogger(__name__)


def thread_runner(
    db: sessionmaker[Session],
    timeweb: Timeweb | Mapping[str, Timeweb] | None,
    *,
    model: type[Any],
    fields: FieldMap | None = None,
    actor: str | None = "auto",
) -> Callable[[Mapping[str, str]], threading.Thread]:
    """A runner that syncs in one thread called ``timeweb-sync``; a process that exits leaves the lease to expire."""
    from crm_adapter.functions import sync_all

    def work(leases: Mapping[str, str]) -> None:
        try:
            sync_all(db, timeweb, actor=actor, leases=leases, model=model, fields=fields)
        except Exception:
            logger.exception("the background sync failed")

    def run(leases: Mapping[str, str]) -> threading.Thread:
        thread = threading.Thread(target=work, args=(leases,), name="timeweb-sync", daemon=True)
        thread.start()
        return thread

    return run


class TaskRunner:
    """A runner that syncs in tasks of the running loop, holds them strongly and ends them with ``aclose``."""

    def __init__(
        self,
        db: async_sessionmaker[AsyncSession],
        timeweb: AsyncTimeweb | Mapping[str, AsyncTimeweb] | None,
        *,
        model: type[Any],
        fields: FieldMap | None = None,
        actor: str | None = "auto",
    ) -> None:
        self._db, self._timeweb, self._model, self._fields, self._actor = db, timeweb, model, fields, actor
        self.tasks: set[asyncio.Task[None]] = set()

    def __call__(self, leases: Mapping[str, str]) -> None:
        """Start a sync under leases that were claimed already."""
        task = asyncio.get_running_loop().create_task(self._work(leases), name="timeweb-sync")
        self.tasks.add(task)
        _running.add(task)
        task.add_done_callback(self.tasks.discard)
        task.add_done_callback(_running.discard)

    async def aclose(self) -> None:
        """Cancel what runs and wait until its leases are released."""
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)

    async def _work(self, leases: Mapping[str, str]) -> None:
        from crm_adapter.aio import sync_all

        try:
            await sync_all(
                self._db, self._timeweb, actor=self._actor, leases=leases, model=self._model, fields=self._fields
            )  # fmt: skip
        except Exception:
            logger.exception("the background sync failed")


#: The loop keeps only weak references to tasks.
_running: set[asyncio.Task[None]] = set()
