"""Timeweb's own list beside the rows of the CRM: what is new, what is there, what looks like the same server."""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from crm_adapter.db.snapshot import Snapshot, read_snapshot
from crm_adapter.steps import Api
from crm_adapter.sync.linking import Links, match
from crm_adapter.sync.mapping import map_server
from crm_adapter.text.messages import NOT_CONFIGURED, SAME_IP, SAME_NAME
from crm_adapter.web.errors import HostingError, upstream_error
from timeweb_sdk.errors import TimewebError

if TYPE_CHECKING:
    from collections.abc import Callable

    from crm_adapter.installation import Installation
    from crm_adapter.results import HostingValues

_PAGE = 100
_YOUNG = 60.0
"""Seconds for which a list serves the search and the pages of the dialog."""


@dataclass(frozen=True, slots=True)
class LiveServer:
    """One server at Timeweb. `crm_id` is its row, `likely_id` a row typed by hand that seems to be it."""

    timeweb_id: int
    name: str
    status: str | None
    configuration: str
    ip_address: str | None
    preset_id: int | None
    account: str
    crm_id: int | None
    likely_id: int | None = None
    likely_name: str | None = None
    likely_reason: str | None = None
    conflicts: tuple[str, ...] = ()
    """Rows of which several may be it, by their names: a human must say which."""

    @property
    def is_new(self) -> bool:
        """Whether nobody need look at it before it is imported."""
        return self.crm_id is None and self.likely_id is None and not self.conflicts

    def to_dict(self) -> dict[str, Any]:
        """As `GET /api/timeweb/servers` gives it."""
        return {
            "timeweb_id": self.timeweb_id,
            "name": self.name,
            "status": self.status,
            "configuration": self.configuration,
            "ip_address": self.ip_address,
            "preset_id": self.preset_id,
            "is_imported": self.crm_id is not None,
            "account": self.account,
            "crm_id": self.crm_id,
            "similar": {"crm_id": self.likely_id, "server_name": self.likely_name, "reason": self.likely_reason}
            if self.likely_id is not None
            else None,
        }


@dataclass(frozen=True, slots=True)
class Live:
    """What the accounts that answered have, and account -> why another did not."""

    servers: list[LiveServer]
    failures: dict[str, HostingError]

    @property
    def problem(self) -> str:
        """The failures for people; empty when every account answered."""
        return "; ".join(f"{account}: {failure.error}" for account, failure in self.failures.items())


class Listing:
    """Timeweb's list while it comes, page by page; young ones are shown again instead of asking anew."""

    def __init__(self, crm: Installation) -> None:
        self.crm = crm
        self.failures: dict[str, HostingError] = {}
        self.ended: float | None = None
        """When the last page came, by the monotonic clock."""
        self._found: list[tuple[str, HostingValues]] = []

    @property
    def is_old(self) -> bool:
        """Whether it is to be asked for again: after a minute, and after a failure."""
        return self.ended is not None and (bool(self.failures) or time.monotonic() - self.ended > _YOUNG)

    @property
    def received(self) -> int:
        """How many servers came so far."""
        return len(self._found)

    async def fill(self) -> None:
        """Ask for all servers of all accounts; what an account does not answer is kept as its failure."""
        try:
            for account in self.crm.clients:
                try:
                    await self.crm.perform(partial(_everything, account=account, into=self._found))
                except TimewebError as error:
                    self.failures[account] = upstream_error(error)
        finally:
            self.ended = time.monotonic()

    async def compare(self) -> Live:
        """What came so far beside the rows as they are now.

        Raises `HostingError` 503 without a token, 502 when no account answers.
        """
        clients = self.crm.clients
        if not clients:
            raise HostingError(503, "not_configured", NOT_CONFIGURED)
        if len(self.failures) == len(clients):
            raise next(iter(self.failures.values()))
        found = list(self._found)
        listed = [values.timeweb_id for _, values in found]

        def compare(snapshot: Snapshot) -> list[LiveServer]:
            new = [values for _, values in found if values.timeweb_id not in snapshot.linked]
            links = match(new, snapshot.unlinked, "ip")
            return [_compare(account, values, snapshot, links) for account, values in found]

        # Thousands of them would hold up everybody else on the loop.
        servers = await self.crm.work_out(lambda session: read_snapshot(session, self.crm.columns, listed), compare)
        return Live(servers, self.failures)


async def list_live(crm: Installation) -> Live:
    """Ask Timeweb for all servers of all accounts, and wait for them; raises as `Listing.compare`."""
    listing = Listing(crm)
    await listing.fill()
    return await listing.compare()


async def _everything(crm: Installation, account: str, into: list[tuple[str, HostingValues]]) -> None:
    """All pages, walked by the SDK."""

    def take(server: Any) -> None:
        if values := _values(server):
            into.append((account, values))

    def walk(client: Any) -> None:
        for server in client.servers.list(limit=_PAGE):
            take(server)

    async def awalk(client: Any) -> None:
        async for server in client.servers.list(limit=_PAGE):
            take(server)

    # The async driver awaits what `awalk` returns.
    await Api(account, cast("Callable[[Any], None]", awalk if crm.is_async else walk))


def _values(server: Any) -> HostingValues | None:
    """None for an item that has not even an id: it cannot be imported."""
    try:
        return map_server(server)
    except (TypeError, ValueError):
        return None


def _compare(account: str, values: HostingValues, snapshot: Snapshot, links: Links) -> LiveServer:
    timeweb_id = values.timeweb_id
    row = snapshot.linked.get(timeweb_id)
    same_ip, same_name = links.linked.get(timeweb_id), links.alike.get(timeweb_id)
    likely = same_ip or same_name
    return LiveServer(
        timeweb_id=timeweb_id,
        name=values.server_name or f"server-{timeweb_id}",
        status=values.timeweb_status,
        configuration=values.configuration,
        ip_address=values.ip_address,
        preset_id=values.timeweb_preset_id,
        account=account,
        crm_id=row.id if row else None,
        likely_id=likely.id if likely else None,
        likely_name=likely.server_name if likely else None,
        likely_reason=None if likely is None else SAME_IP if likely is same_ip else SAME_NAME,
        conflicts=tuple(other.server_name for other in links.conflicts.get(timeweb_id, ())),
    )
