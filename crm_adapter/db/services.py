"""The one way to read a service. Its columns of Timeweb are a sync's, its owner is people's: they never write the same."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from decimal import Decimal
from typing import Any, Final, cast

from sqlalchemy import Select, Table, select
from sqlalchemy.orm import Session

from crm_adapter.db.dialects import in_pieces, in_turns
from crm_adapter.db.tables import Service
from crm_adapter.narrow import is_dict, is_list

SERVICES: Final[Table] = cast(Table, Service.__table__)
DIFFERENCE: Final = "difference"
"""The type of the row that makes an account's costs equal its finances; Timeweb knows none of that name."""


@dataclass(frozen=True, slots=True)
class StoredService:
    """One row of `timeweb_service`. Money is RUB per month, instants are naive UTC."""

    id: int
    account: str
    type: str
    service_id: str
    name: str | None
    project_id: int | None
    """Timeweb's project."""
    cost_gross: Decimal
    """Before the account's discount."""
    cost_net: Decimal
    parts: str | None
    first_seen_at: datetime
    last_seen_at: datetime
    gone_since: datetime | None
    told_unowned: bool
    server_id: int | None
    server_born: str | None
    client_name: str | None

    @property
    def key(self) -> tuple[str, str]:
        """What tells it from the others of its account."""
        return self.type, self.service_id

    @property
    def owner(self) -> str | None:
        """`server:12`, `client:Анна Белова`, or None for nobody, as the change log has it."""
        if self.server_id is not None:
            return f"server:{self.server_id}"
        return None if self.client_name is None else f"client:{self.client_name}"

    @property
    def components(self) -> tuple[Mapping[str, Any], ...]:
        """What the cost is made of: type and RUB per month, gross."""
        found: object = json.loads(self.parts) if self.parts else []
        return tuple(item for item in found if is_dict(item)) if is_list(found) else ()


_COLUMNS: Final = tuple(SERVICES.c[item.name] for item in fields(StoredService))


def select_services(*more: Any) -> Select[Any]:
    """The select of services; what it gives becomes one by `service_of`."""
    found: Any = select(*_COLUMNS, *more)
    return found  # type: ignore[no-any-return]


def service_of(record: Any) -> StoredService:
    """A record of `select_services`."""
    return StoredService(*record[: len(_COLUMNS)])


def read_services(session: Session, *conditions: Any) -> list[StoredService]:
    """Services in the order of their ids, to be looked at."""
    query = select_services().where(*conditions).order_by(SERVICES.c.id)
    return [service_of(record) for record in session.execute(query, execution_options=in_turns(session))]


def lock_services(session: Session, ids: Iterable[int]) -> dict[int, StoredService]:
    """Services by id as they are now; until the transaction ends nobody else can write them. On SQLite `begin_write` first."""
    found: dict[int, StoredService] = {}
    for piece in in_pieces(sorted(set(ids))):
        # One table and no join: what a locking read waited for, it shows as it is after the wait.
        query = select_services().where(SERVICES.c.id.in_(piece)).order_by(SERVICES.c.id).with_for_update()
        found |= {service.id: service for service in map(service_of, session.execute(query))}
    return found
