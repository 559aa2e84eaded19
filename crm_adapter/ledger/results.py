"""Results about what costs money beside servers: services, whose they are, and what a client leaves after all of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal, Self

from crm_adapter.errors import OperationFailed
from crm_adapter.results import Result

__all__ = ["AttributionResult", "ClientCard", "Proposal", "ServiceInfo", "ServiceList", "ServiceView"]

ServiceView = Literal["", "nobody", "servers", "clients", "gone"]
"""Which services: all that cost money now, nobody's, servers', clients' (by no server), or those that are gone."""


@dataclass(frozen=True, slots=True)
class Proposal(Result):
    """Whose a service of nobody may be: a server's, or a client's. Nothing applies it by itself."""

    server_id: int | None
    client_name: str | None
    reason: str
    """Why, in Russian."""

    @property
    def owner(self) -> str:
        """As `AttributionResult` and the change log write it: `server:12` or `client:Анна Белова`."""
        return f"server:{self.server_id}" if self.server_id is not None else f"client:{self.client_name}"


@dataclass(frozen=True, slots=True)
class ServiceInfo(Result):
    """A paid service. Money is RUB per month, instants are naive UTC."""

    id: int
    account: str
    type: str
    """As Timeweb calls it; `difference` is what its finances say and no row of its list explains."""
    service_id: str
    """Timeweb's own: a number, a UUID, or nothing."""
    name: str
    project_id: int | None
    """Timeweb's project."""
    cost_gross: Decimal
    """Before the account's discount."""
    cost_net: Decimal
    parts: Sequence[Mapping[str, Any]]
    """What the cost is made of where it has parts: type and RUB per month, gross."""
    first_seen_at: datetime
    last_seen_at: datetime
    """To the hour."""
    gone_since: datetime | None
    owner: str | None
    """`server:12`, `client:Анна Белова`, or None: nobody's."""
    server_id: int | None
    server_name: str | None
    client_name: str | None
    """The client who has it, also by way of a server."""
    proposal: Proposal | None = None


@dataclass(frozen=True, slots=True)
class ServiceList(Result):
    """Services that match, and what they cost: RUB per month net, without those that are gone."""

    services: tuple[ServiceInfo, ...]
    total: int
    """How many match, on all pages."""
    cost_month: Decimal
    unowned_count: int
    unowned_cost: Decimal
    page: int = 1
    pages: int = 1


@dataclass(frozen=True, slots=True)
class ClientCard(Result):
    """What a client brings and costs, RUB per month; an unknown amount is None. Closed and removed servers do not count.

    All cards together are what `crm_adapter.totals` tells.
    """

    client_name: str | None
    """None: services that are nobody's."""
    servers: int
    services: int
    income_month: Decimal | None
    server_cost: Decimal | None
    service_cost: Decimal
    result_month: Decimal | None
    """Income minus both costs, as far as they are known; None while no income is."""


@dataclass(frozen=True, slots=True)
class AttributionResult(Result):
    """The outcome of `attribute_services`."""

    changed: tuple[int, ...] = ()
    """Services that have another owner now."""
    refused: Mapping[int, str] = field(default_factory=dict[int, str])
    """Service -> why not, in Russian."""
    at: datetime | None = None
    """The instant (UTC) by which the change log knows it, and by which it can be taken back; None where nothing changed."""

    @property
    def success(self) -> bool:
        """Whether nothing was refused."""
        return not self.refused

    def to_dict(self) -> dict[str, Any]:
        """The result as plain JSON types."""
        return {"success": self.success, **Result.to_dict(self)}

    def raise_for_failure(self) -> Self:
        """Raise `OperationFailed` unless every service was attributed; else return the result itself."""
        if self.refused:
            raise OperationFailed("refused", next(iter(self.refused.values())), self)
        return self
