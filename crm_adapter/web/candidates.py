"""Timeweb's own list beside the rows of the CRM: what is new, what is there, what looks like the same server."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from crm_adapter.db.rows import Snapshot, read_snapshot
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


async def list_live(crm: Installation) -> Live:
    """Ask Timeweb for all servers of all accounts.

    Raises `HostingError` 503 without a token, 502 when no account answers.
    """
    clients = crm.clients
    if not clients:
        raise HostingError(503, "not_configured", NOT_CONFIGURED)
    found: list[tuple[str, HostingValues]] = []
    failures: dict[str, HostingError] = {}
    for account in clients:
        try:
            servers = await crm.perform(partial(_everything, account=account))
        except TimewebError as error:
            failures[account] = upstream_error(error)
            continue
        found += [(account, values) for server in servers if (values := _values(server))]
    if len(failures) == len(clients):
        raise next(iter(failures.values()))
    listed = [values.timeweb_id for _, values in found]
    snapshot = await crm.transact(lambda session: read_snapshot(session, crm.columns, listed))
    new = [values for _, values in found if values.timeweb_id not in snapshot.linked]
    links = match(new, snapshot.unlinked, "ip")
    return Live([_compare(account, values, snapshot, links) for account, values in found], failures)


async def _everything(crm: Installation, account: str) -> list[Any]:
    """All pages, walked by the SDK."""

    def walk(client: Any) -> list[Any]:
        return list(client.servers.list(limit=_PAGE))

    async def awalk(client: Any) -> list[Any]:
        return [server async for server in client.servers.list(limit=_PAGE)]

    # The async driver awaits what `awalk` returns.
    return await Api(account, cast("Callable[[Any], list[Any]]", awalk if crm.is_async else walk))


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
