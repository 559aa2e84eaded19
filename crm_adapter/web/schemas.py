"""What the endpoints accept. Whether a value fits its column is checked once, in `crm_adapter.servers.validation`."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Any, Literal, cast

from pydantic import BaseModel, ConfigDict, Field, model_validator

Money = Decimal | str
"""RUB: a number, or text as people write it (`1 234,50`)."""
Day = str
"""A calendar date: `2026-12-31` or `31.12.2026`."""


class ImportBody(BaseModel):
    """Servers to import; `links` ties some of them to rows: Timeweb id -> CRM id."""

    server_ids: Annotated[list[int], Field(max_length=10_000)]
    links: dict[int, int] = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _take_a_bare_list(cls, body: object) -> object:
        """The CRM's first router took the ids without a name around them."""
        return {"server_ids": cast("list[object]", body)} if isinstance(body, list) else body


class ServerEdit(BaseModel):
    """Columns to change; absent ones stay. `edit_version` is the one that the human saw."""

    model_config = ConfigDict(extra="forbid")

    project_id: int | None = None
    client_id: int | None = None
    client_name: str | None = None
    client_company: str | None = None
    client_telegram_id: int | None = None
    server_name: str | None = None
    configuration: str | None = None
    ip_address: str | None = None
    cost_price: Money | None = None
    client_price: Money | None = None
    service_fee: Money | None = None
    balance: Money | None = None
    start_date: Day | None = None
    next_payment_date: Day | None = None
    payment_period: Literal["monthly", "quarterly", "yearly"] | None = None
    status: Literal["active", "overdue", "suspended", "closed"] | None = None
    notes: str | None = None
    auto_sync: bool | None = None
    edit_version: int | None = None

    def values(self) -> dict[str, Any]:
        """Only what was sent."""
        return {name: getattr(self, name) for name in self.model_fields_set if name != "edit_version"}


class ProjectLink(BaseModel):
    """The project that a row belongs to; null belongs to none."""

    model_config = ConfigDict(extra="forbid")

    project_id: int | None


class NewServer(ServerEdit):
    """A server that is not at Timeweb."""

    server_name: str | None = ""

    def values(self) -> dict[str, Any]:
        """What was sent; the name is checked even when it was not."""
        return {"server_name": self.server_name, **super().values()}
