"""One CRM as one value: its database, its clients of Timeweb, its table, and how it wants to be synchronised."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from copy import copy
from dataclasses import dataclass, field
from datetime import date
from typing import TYPE_CHECKING, Any, TypeVar
from zoneinfo import ZoneInfo

from sqlalchemy.ext.asyncio import async_sessionmaker

from crm_adapter.db.columns import Columns, FieldMap, in_zone
from crm_adapter.db.mapper import validate_mapping
from crm_adapter.db.tables import HostingServer
from crm_adapter.steps import Flow, adrive, clients_of, drive, transaction, work_out
from timeweb_sdk import AsyncTimeweb, Timeweb
from timeweb_sdk.errors import ConfigurationError

if TYPE_CHECKING:
    import threading

    from sqlalchemy.orm import Session

    from crm_adapter.results import LinkPolicy

T = TypeVar("T")
Found = TypeVar("Found")


@dataclass(frozen=True, kw_only=True)
class Installation:
    """What all functions, runners, jobs and the page of one CRM share.

    Raises `MappingError` when `model` and `fields` do not fit, `ConfigurationError` when the clients are of another kind
    than the sessions.
    """

    db: Any
    """A `sessionmaker`, or an `async_sessionmaker` beside async clients."""
    timeweb: Any = None
    """A client, or account -> client. The mapping may change while the program runs; None: no token is set."""
    model: type[Any] = HostingServer
    fields: FieldMap | None = None
    zone: str | None = None
    """IANA zone in which people read instants and days begin; None: that of `fields`, else `HOSTING_TZ`."""
    import_new: bool = True
    """A sync creates rows for servers that have none."""
    link_policy: LinkPolicy = "ip"
    stale_after: float = 300
    """Seconds after which a look at the page starts a sync."""
    columns: Columns = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "columns", validate_mapping(self.model, in_zone(self.fields, self.zone)))
        self._check_clients()

    def _check_clients(self) -> None:
        wrong = Timeweb if self.is_async else AsyncTimeweb
        for name, client in self.clients.items():
            if isinstance(client, wrong):
                needed, given = ("AsyncTimeweb", "Timeweb") if self.is_async else ("Timeweb", "AsyncTimeweb")
                raise ConfigurationError(f"account {name!r} has a {given}, but this kind of sessionmaker needs {needed}")

    @property
    def is_async(self) -> bool:
        """Whether the sessions are those of asyncio."""
        return isinstance(self.db, async_sessionmaker)

    @property
    def clients(self) -> dict[str, Any]:
        """Account -> client as they are now; empty while no token is set."""
        return clients_of(self.timeweb)

    @property
    def zone_info(self) -> ZoneInfo:
        """The zone that is in force."""
        return ZoneInfo(self.columns.zone)

    def today(self) -> date:
        """Today, where the people are."""
        return self.columns.today()

    def run(
        self, flow: Callable[[Installation], Flow[T]], *, stop: threading.Event | None = None, ends_early: bool = False
    ) -> T:
        """Run a flow with blocking I/O; see `drive`. `flow` gets the clients of one moment."""
        now = self._at_this_moment()
        return drive(flow(now), now.db, now.timeweb, stop=stop, ends_early=ends_early)

    async def arun(self, flow: Callable[[Installation], Flow[T]], *, ends_early: bool = False) -> T:
        """Run a flow on the loop, with its blocking steps in threads. A task can be cancelled anywhere, so all end early."""
        now = self._at_this_moment()
        return await adrive(flow(now), now.db, now.timeweb)

    def _at_this_moment(self) -> Installation:
        """Itself with the clients as they are now; mapping and zone were checked when it was made, and stay."""
        now = copy(self)
        object.__setattr__(now, "timeweb", self.clients)
        now._check_clients()
        return now

    async def perform(self, flow: Callable[[Installation], Flow[T]], *, ends_early: bool = False) -> T:
        """Run a flow from a coroutine, whichever kind the sessions are: blocking ones in a thread, off the loop."""
        if self.is_async:
            return await self.arun(flow)
        return await asyncio.to_thread(self.run, flow, ends_early=ends_early)

    async def work_out(self, read: Callable[[Session], Found], then: Callable[[Found], T]) -> T:
        """`then` of what `read` finds in a transaction of its own, where it holds up no event loop."""
        return await self.perform(lambda _: work_out(read, then))

    async def transact(self, work: Callable[[Session], T]) -> T:
        """Run code that reads or writes in a transaction of its own."""
        return await self.perform(lambda _: transaction(work))
