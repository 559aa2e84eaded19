"""What every handler of one router shares."""

from __future__ import annotations

import asyncio
import logging
import secrets
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from crm_adapter.messages import NOT_CONFIGURED, fault_text
from crm_adapter.money import local_today
from crm_adapter.rows.listing import Row, get_row
from crm_adapter.web.errors import HostingError

if TYPE_CHECKING:
    from collections.abc import Coroutine, Mapping

    from fastapi import Request

    from crm_adapter.results import SyncReport
    from crm_adapter.web.backend import Backend

__all__ = ["Hosting"]

logger = logging.getLogger("crm_adapter.web")

#: How long a request waits for a sync that it started, in seconds; browsers and proxies give up soon after.
SYNC_WAIT = 25.0


@dataclass
class Hosting:
    """One router's settings and its running syncs."""

    backend: Backend
    zone: str = "Europe/Moscow"
    stale_after: int = 300
    import_new: bool = True
    link_policy: str = "ip"
    #: Name of the route of the page, unique because a host may mount several routers.
    home: str = field(default_factory=lambda: f"hosting_{secrets.token_hex(4)}")
    #: Held strongly: the event loop keeps only weak references to its tasks.
    tasks: set[asyncio.Task[Any]] = field(default_factory=set[asyncio.Task[Any]])
    #: The look for old data that is under way.
    freshening: asyncio.Task[None] | None = None

    @property
    def zone_info(self) -> ZoneInfo:
        """The zone in which people read instants."""
        return ZoneInfo(self.zone)

    @property
    def is_configured(self) -> bool:
        """Whether there is a client of Timeweb at all."""
        return bool(self.backend.clients)

    def today(self) -> date:
        """Today, where the people are."""
        return local_today(self.zone)

    def now(self) -> datetime:
        """Now, aware, UTC."""
        return datetime.now(UTC)

    def require_timeweb(self) -> None:
        """Refuse what needs Timeweb while no token is set."""
        if not self.is_configured:
            raise HostingError(503, "not_configured", NOT_CONFIGURED)

    async def row(self, row_id: int) -> Row:
        """One row; raises :class:`HostingError` 404."""
        columns = self.backend.columns
        row = await self.backend.read(lambda session: get_row(session, columns, row_id))
        if row is None:
            raise HostingError(404, "not_found", fault_text("row_not_found"))
        return row

    async def sync_all(self, actor: str | None) -> SyncReport | None:
        """Synchronise everything; None when it goes on after ``SYNC_WAIT`` seconds."""
        self.require_timeweb()
        task = self.start(self.backend.sync_all(actor=actor, import_new=self.import_new, link_policy=self.link_policy))
        await asyncio.wait({task}, timeout=SYNC_WAIT)
        return task.result() if task.done() else None

    async def freshen(self) -> None:
        """Start a background run when the data is old; waits for the database only, never for Timeweb.

        Pages that are opened at the same moment share one look.
        """
        if not self.is_configured:
            return
        if self.freshening is None or self.freshening.done():
            self.freshening = self.start(self._freshen())
        # A person who leaves does not take the look away from the others.
        await asyncio.shield(self.freshening)

    async def _freshen(self) -> None:
        loop = asyncio.get_running_loop()

        def run(leases: Mapping[str, str]) -> None:
            # With synchronous sessions this is called in a worker thread.
            loop.call_soon_threadsafe(lambda: self.start(self._background(leases)))

        await self.backend.ensure_fresh(self.stale_after, run)

    async def _background(self, leases: Mapping[str, str]) -> None:
        try:
            await self.backend.sync_all(actor=None, import_new=self.import_new, link_policy=self.link_policy, leases=leases)
        except Exception as error:
            # The class alone: the text of a database error holds parameters.
            logger.error("the background sync failed: %s", type(error).__name__)

    def start(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Run ``work`` beside the requests."""
        task = asyncio.create_task(work, name="timeweb-sync")
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
        return task

    def base(self, request: Request) -> str:
        """The path under which this router is mounted, with any prefix of the host and its proxy."""
        return request.url_for(self.home).path.rstrip("/")

    async def close(self) -> None:
        """Cancel what still runs and wait until it has let go of its leases."""
        tasks = list(self.tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
