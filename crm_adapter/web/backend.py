"""The adapter's functions behind one awaitable face, whether the host's sessions are synchronous or not."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar, get_origin

from sqlalchemy.ext.asyncio import async_sessionmaker

from crm_adapter import aio, blocking
from crm_adapter.db.columns import Columns, FieldMap, validate_mapping
from crm_adapter.jobs.background import TaskRunner, ThreadRunner
from crm_adapter.results import Change, EditResult, Freshness, ImportResult, RunInfo, Runner, ServerSyncResult
from crm_adapter.steps import clients_of
from timeweb_sdk import AsyncTimeweb, Timeweb
from timeweb_sdk.errors import ConfigurationError

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

T = TypeVar("T")

#: Gets account -> lease owner and sees to it that ``sync_all(..., leases=...)`` is called soon.


@dataclass(frozen=True)
class Backend:
    """Database and Timeweb of one router.  Synchronous work goes to threads, so the event loop is never held."""

    db: Any
    timeweb: Any
    model: type[Any]
    fields: FieldMap | None
    runner: Runner | None

    def __post_init__(self) -> None:
        wrong = Timeweb if self.is_async else AsyncTimeweb
        for name, client in self.clients.items():
            if isinstance(client, wrong):
                needed, given = ("AsyncTimeweb", "Timeweb") if self.is_async else ("Timeweb", "AsyncTimeweb")
                raise ConfigurationError(f"account {name!r} has a {given}, but this kind of sessionmaker needs {needed}")

    @property
    def is_async(self) -> bool:
        """Whether the host's sessions are those of asyncio."""
        return isinstance(self.db, async_sessionmaker)

    @property
    def clients(self) -> dict[str, Any]:
        """Account -> client; empty when no token is set."""
        return clients_of(self.timeweb)

    @property
    def columns(self) -> Columns:
        """The host's table."""
        return validate_mapping(self.model, self.fields)

    async def read(self, work: Callable[[Session], T]) -> T:
        """Run reading code in a session of its own."""
        if self.is_async:
            async with self.db() as session:
                return await session.run_sync(work)  # type: ignore[no-any-return]

        def in_thread() -> T:
            with self.db() as session:
                return work(session)

        return await asyncio.to_thread(in_thread)

    async def write(self, work: Callable[[Session], T]) -> T:
        """Run writing code in a transaction of its own."""
        if self.is_async:
            async with self.db() as session, session.begin():
                return await session.run_sync(work)  # type: ignore[no-any-return]

        def in_thread() -> T:
            with self.db() as session, session.begin():
                return work(session)

        return await asyncio.to_thread(in_thread)

    async def ask(self, call: Callable[[Any], Any], account: str) -> Any:
        """Call Timeweb once."""
        client = self.clients[account]
        return await call(client) if self.is_async else await asyncio.to_thread(call, client)

    async def sync_server(self, row_id: int, *, actor: str | None) -> ServerSyncResult:
        """Synchronise one row."""
        return await self._call(ServerSyncResult, "sync_server", self.timeweb, row_id, actor=actor, **self._mapping)

    async def import_servers(self, ids: list[int], *, link: Any, actor: str | None) -> ImportResult:
        """Import or link servers."""
        return await self._call(ImportResult, "import_servers", self.timeweb, ids, link=link, actor=actor, **self._mapping)

    def own_runner(self, **options: Any) -> TaskRunner | ThreadRunner:
        """What runs syncs beside the requests of this process."""
        runner = TaskRunner if self.is_async else ThreadRunner
        return runner(self.db, self.timeweb, **self._mapping, **options)

    async def ensure_fresh(self, max_age: float, runner: Runner) -> Freshness:
        """Start at most one background run: the host's runner, else ``runner``."""
        run = self.runner or runner
        return await self._call(Freshness, "ensure_fresh", self.timeweb, max_age=max_age, runner=run, **self._mapping)

    async def link(self, row_id: int, timeweb_id: int, *, account: str | None, actor: str | None) -> EditResult:
        """Tie a row to a server."""
        return await self._call(EditResult, "link", row_id, timeweb_id, account=account, actor=actor, **self._mapping)

    async def unlink(self, row_id: int, *, actor: str | None) -> EditResult:
        """Untie a row."""
        return await self._call(EditResult, "unlink", row_id, actor=actor, **self._mapping)

    async def update(self, row_id: int, values: Mapping[str, Any], *, version: int | None, actor: str | None) -> EditResult:
        """Write what a human typed."""
        return await self._call(
            EditResult, "update_manual", row_id, values, expected_version=version, actor=actor, **self._mapping
        )

    async def add(self, values: Mapping[str, Any], *, actor: str | None) -> EditResult:
        """Add a row by hand."""
        return await self._call(EditResult, "add_manual", values, actor=actor, **self._mapping)

    async def mark_paid(self, row_id: int, *, expected_date: Any, actor: str | None) -> EditResult:
        """Move the payment date."""
        return await self._call(EditResult, "mark_paid", row_id, expected_date=expected_date, actor=actor, **self._mapping)

    async def changes(self, row_id: int, limit: int) -> list[Change]:
        """The change log of one row."""
        return await self._call(list[Any], "changes", row_id, limit=limit)

    async def runs(self, run_id: int | None = None, *, limit: int = 1) -> list[RunInfo]:
        """The run history."""
        return await self._call(list[Any], "runs", run_id, limit=limit)

    @property
    def _mapping(self) -> dict[str, Any]:
        return {"model": self.model, "fields": self.fields}

    async def _call(self, returns: type[T], name: str, *arguments: Any, **options: Any) -> T:
        """Call the function of that name; both modules have the same ones, which a test compares."""
        if self.is_async:
            result: T = await getattr(aio, name)(self.db, *arguments, **options)
        else:
            result = await asyncio.to_thread(getattr(blocking, name), self.db, *arguments, **options)
        assert isinstance(result, get_origin(returns) or returns)
        return result
