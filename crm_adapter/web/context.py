"""What every handler of one router shares."""

from __future__ import annotations

import asyncio
import secrets
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

from crm_adapter.db.rows import StoredRow, read_row
from crm_adapter.jobs.background import TaskRunner, ThreadRunner, aensure_fresh, ensure_fresh
from crm_adapter.sync.single import import_servers, sync_server, sync_servers
from crm_adapter.text.messages import NOT_CONFIGURED, failure_text
from crm_adapter.web.candidates import Listing
from crm_adapter.web.documents import Documents
from crm_adapter.web.errors import HostingError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping
    from zoneinfo import ZoneInfo

    from fastapi import Request

    from crm_adapter.db.columns import Columns
    from crm_adapter.installation import Installation
    from crm_adapter.results import (
        AllTimeProfit,
        EditResult,
        Freshness,
        ImportResult,
        LinkPolicy,
        Payments,
        Runner,
        ServerSyncResult,
        SyncReport,
    )
    from crm_adapter.steps import Flow

Actor = str | None
"""Who is at work, as the host names them; goes into the change log."""

_IMPORT_WAIT = 3.0
"""How long a request waits for an import before the page watches it, in seconds."""
SYNC_WAIT = 25.0
"""How long a request waits for a sync that it started, in seconds; browsers and proxies give up soon after."""


class Import:
    """An import that somebody started on the page: how far it is, and its task."""

    task: asyncio.Task[ImportResult]

    def __init__(self, total: int) -> None:
        self.done = 0
        self.total = total

    def progress(self, done: int, total: int) -> None:
        """Take note."""
        self.done, self.total = done, total


@dataclass
class Hosting:
    """One router: the installation that it shows, and its running syncs."""

    crm: Installation
    starter: Runner | None = None
    """The host's own way to start background runs; None: `runner`."""
    trusted_origins: Collection[str] = ()
    documents: Documents = field(default_factory=Documents)
    payments: Payments | None = None
    all_time_profit: AllTimeProfit | None = None
    home: str = field(default_factory=lambda: f"hosting_{secrets.token_hex(4)}")
    """Name of the route of the page, unique because a host may mount several routers."""
    runner: TaskRunner | ThreadRunner = field(init=False)
    listing: Listing | None = None
    """Timeweb's list for the dialogs."""
    importing: Import | None = None
    """The import under way, or the last one."""
    listing_task: asyncio.Task[None] | None = None
    freshening: asyncio.Task[Freshness] | None = None
    """The look for old data that is under way."""

    def __post_init__(self) -> None:
        self.runner = TaskRunner(self.crm) if self.crm.is_async else ThreadRunner(self.crm)

    @property
    def zone_info(self) -> ZoneInfo:
        """The zone in which people read instants."""
        return self.crm.zone_info

    @property
    def is_configured(self) -> bool:
        """Whether there is a client of Timeweb at all."""
        return bool(self.crm.clients)

    def today(self) -> date:
        """Today, where the people are."""
        return self.crm.today()

    def now(self) -> datetime:
        """Now, aware, UTC."""
        return datetime.now(UTC)

    def require_timeweb(self) -> None:
        """Refuse what needs Timeweb while no token is set."""
        if not self.is_configured:
            raise HostingError(503, "not_configured", NOT_CONFIGURED)

    def shown(self, row: StoredRow) -> dict[str, Any]:
        """A row as the API tells it."""
        return self.documents.server(row, self.today())

    async def row(self, row_id: int) -> StoredRow:
        """One row; raises `HostingError` 404."""
        row = await self.crm.transact(lambda session: read_row(session, self.crm.columns, row_id))
        if row is None:
            raise HostingError(404, "not_found", failure_text("row_not_found"))
        return row

    async def edited(self, edit: Callable[[Columns], Flow[EditResult]]) -> EditResult:
        """Do what a person asked of a row."""
        return await self.crm.perform(lambda crm: edit(crm.columns))

    async def sync_server(self, row_id: int, *, actor: Actor) -> ServerSyncResult:
        """Synchronise one row."""
        return await self.crm.perform(lambda crm: sync_server(crm, row_id, actor=actor), ends_early=True)

    async def sync_servers(self, row_ids: list[int], *, actor: Actor) -> tuple[list[int], list[int], dict[int, str]]:
        """Synchronise several rows: those that changed, those that did not, and why others could not."""
        return await self.crm.perform(lambda crm: sync_servers(crm, row_ids, actor=actor), ends_early=True)

    async def import_servers(
        self,
        ids: list[int],
        *,
        link: LinkPolicy | Mapping[int, int],
        actor: Actor,
        on_progress: Callable[[int, int], object] | None = None,
    ) -> ImportResult:
        """Import or link servers."""
        return await self.crm.perform(
            lambda crm: import_servers(crm, ids, link=link, actor=actor, on_progress=on_progress), ends_early=True
        )

    async def start_import(self, ids: list[int], *, link: LinkPolicy | Mapping[int, int], actor: Actor) -> Import:
        """Import beside the requests, and wait for it a while; one at a time."""
        if self.importing is not None and not self.importing.task.done():
            raise HostingError(409, "already_running", failure_text("already_running"))
        importing = Import(len(ids))
        importing.task = asyncio.create_task(self.import_servers(ids, link=link, actor=actor, on_progress=importing.progress))
        self.importing = importing
        await asyncio.wait({importing.task}, timeout=_IMPORT_WAIT)
        return importing

    async def live(self, *, wait: float) -> Listing:
        """Timeweb's list, asked for when there is no young one; after `wait` seconds as far as it has come."""
        if self.listing is None or self.listing.is_old:
            self.listing = Listing(self.crm)
            self.listing_task = asyncio.create_task(self.listing.fill())
        if self.listing_task is not None:
            await asyncio.wait({self.listing_task}, timeout=wait)
        return self.listing

    async def sync_all(self, actor: str | None) -> SyncReport | None:
        """Synchronise everything; None when it goes on after `SYNC_WAIT` seconds."""
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
            self.freshening = asyncio.create_task(self._look())
        # A person who leaves does not take the look away from the others.
        await asyncio.shield(self.freshening)

    async def _look(self) -> Freshness:
        crm, runner = self.crm, self.starter or self.runner
        if crm.is_async:
            return await aensure_fresh(crm, max_age=crm.stale_after, runner=runner)
        return await asyncio.to_thread(ensure_fresh, crm, max_age=crm.stale_after, runner=runner)

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
        beside = [self.listing_task, self.importing.task if self.importing else None]
        for task in beside:
            if task is not None:
                task.cancel()
                await asyncio.wait({task})
        if self.freshening is not None:
            await asyncio.wait({self.freshening})
        if isinstance(self.runner, ThreadRunner):
            await asyncio.to_thread(self.runner.close)
        else:
            await self.runner.close()
