"""Timeweb's own list beside the rows of the CRM: what is new, what is there, what looks like the same server."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from crm_adapter.steps import Api
from crm_adapter.sync.mapping import map_server
from crm_adapter.text.messages import NOT_CONFIGURED
from crm_adapter.web.errors import HostingError, upstream_error
from timeweb_sdk.errors import TimewebError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sqlalchemy.orm import Session

    from crm_adapter.db.columns import Columns
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
    known, loose = await crm.transact(lambda session: _rows(session, crm.columns))
    return Live([_compare(account, values, known, loose) for account, values in found], failures)


async def _everything(crm: Installation, account: str) -> list[Any]:
    """All pages, walked by the SDK."""

    def walk(client: Any) -> list[Any]:
        return list(client.servers.list(limit=_PAGE))

    async def awalk(client: Any) -> list[Any]:
        return [server async for server in client.servers.list(limit=_PAGE)]

    call: Callable[[Any], Any] = awalk if crm.is_async else walk
    servers: list[Any] = await Api(account, call)
    return servers


def _values(server: Any) -> HostingValues | None:
    """None for an item that has not even an id: it cannot be imported."""
    try:
        return map_server(server)
    except (TypeError, ValueError):
        return None


def _rows(session: Session, columns: Columns) -> tuple[dict[int, int], list[tuple[int, str, str | None]]]:
    """Timeweb id -> row id (a number that a row out of sight holds is taken too), and the rows that are tied to no server."""
    row_id, timeweb_id = columns["id"], columns["timeweb_id"]
    linked = session.execute(sa.select(timeweb_id, row_id).where(timeweb_id.is_not(None)))
    unlinked = sa.select(row_id, columns["server_name"], columns["ip_address"]).where(timeweb_id.is_(None), *columns.scope)
    loose = session.execute(unlinked)
    return {key: value for key, value in linked}, [(row[0], row[1], row[2]) for row in loose]  # noqa: C416


def _compare(
    account: str, values: HostingValues, known: Mapping[int, int], loose: list[tuple[int, str, str | None]]
) -> LiveServer:
    crm_id = known.get(values.timeweb_id)
    likely = None if crm_id is not None else _similar(values, loose)
    return LiveServer(
        timeweb_id=values.timeweb_id,
        name=values.server_name or f"server-{values.timeweb_id}",
        status=values.timeweb_status,
        configuration=values.configuration,
        ip_address=values.ip_address,
        preset_id=values.timeweb_preset_id,
        account=account,
        crm_id=crm_id,
        likely_id=likely[0] if likely else None,
        likely_name=likely[1] if likely else None,
        likely_reason=likely[2] if likely else None,
    )


def _similar(values: HostingValues, loose: list[tuple[int, str, str | None]]) -> tuple[int, str, str] | None:
    """A row with the same public address, else with the same name; only when there is exactly one."""
    same_ip = [(row_id, name, "совпал IP") for row_id, name, ip in loose if ip and ip.strip() in values.public_ipv4]
    if len(same_ip) == 1:
        return same_ip[0]
    wanted = (values.server_name or "").strip().casefold()
    same_name = [(row_id, name, "совпало имя") for row_id, name, _ in loose if name.strip().casefold() == wanted]
    return same_name[0] if len(same_name) == 1 and not same_ip else None
