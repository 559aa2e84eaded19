"""What every handler of one router shares."""

from __future__ import annotations

import asyncio
import secrets
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Literal
from zoneinfo import ZoneInfo

from crm_adapter.jobs.background import TaskRunner, ThreadRunner
from crm_adapter.servers.listing import Row, get_row
from crm_adapter.text.messages import NOT_CONFIGURED, failure_text
from crm_adapter.web.errors import HostingError

if TYPE_CHECKING:
    from collections.abc import Collection

    from fastapi import Request

    from crm_adapter.results import Freshness, SyncReport
    from crm_adapter.web.backend import Backend

#: Who is at work, as the host names them; goes into the change log.
Actor = str | None

#: How long a request waits for a sync that it started, in seconds; browsers and proxies give up soon after.
SYNC_WAIT = 25.0


@dataclass
class Hosting:
    """One router's settings and its running syncs."""

    backend: Backend
    stale_after: int = 300
    import_new: bool = True
    link_policy: Literal["ip", "suggest", "off"] = "ip"
    trusted_origins: Collection[str] = ()
    #: Name of the route of the page, unique because a host may mount several routers.
    home: str = field(default_factory=lambda: f"hosting_{secrets.token_hex(4)}")
    runner: TaskRunner | ThreadRunner = field(init=False)
    #: The look for old data that is under way.
    freshening: asyncio.Task[Freshness] | None = None

    def __post_init__(self) -> None:
        self.runner = self.backend.own_runner(import_new=self.import_new, link_policy=self.link_policy)

    @property
    def zone_info(self) -> ZoneInfo:
        """The zone in which people read instants."""
        return ZoneInfo(self.backend.columns.zone)

    @property
    def is_configured(self) -> bool:
        """Whether there is a client of Timeweb at all."""
        return bool(self.backend.clients)

    def today(self) -> date:
        """Today, where the people are."""
        return self.backend.columns.today()

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
            raise HostingError(404, "not_found", failure_text("row_not_found"))
        return row

    async def sync_all(self, actor: str | None) -> SyncReport | None:
        """Synchronise everything; None when it goes on after ``SYNC_WAIT`` seconds."""
        self.require_timeweb()
        run = self.start(actor)
        await asyncio.wait({run}, timeout=SYNC_WAIT)
        return run.result() if run.done() else None

    async def freshen(self) -> None:
        """Start a background run when the data is old; waits for the database only, never for Timeweb.

        Pages that are opened at the same moment share one look.
        """
        if not self.is_configured:
            return
        if self.freshening is None or self.freshening.done():
            self.freshening = asyncio.create_task(self.backend.ensure_fresh(self.stale_after, self.runner))
        # A person who leaves does not take the look away from the others.
        await asyncio.shield(self.freshening)

    def start(self, actor: str | None) -> asyncio.Future[SyncReport]:
        """Synchronise everything beside the requests."""
        run = self.runner.start(actor=actor)
        if not isinstance(run, Future):
            return run
        waited = asyncio.wrap_future(run)
        # Whoever goes away before the end leaves an error that was logged already.
        waited.add_done_callback(lambda future: future.cancelled() or future.exception())
        return waited

    def base(self, request: Request) -> str:
        """The path under which this router is mounted, with any prefix of the host and its proxy."""
        return request.url_for(self.home).path.rstrip("/")

    async def close(self) -> None:
        """End what still runs and wait until it has let go of its leases."""
        if self.freshening is not None:
            await asyncio.wait({self.freshening})
        if isinstance(self.runner, ThreadRunner):
            await asyncio.to_thread(self.runner.close)
        else:
            await self.runner.close()
