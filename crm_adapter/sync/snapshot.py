"""What the planner reads of the database: rows of the host with our state beside them, as plain values."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final

from crm_adapter.money import known_cost, money_or_none
from crm_adapter.payload import as_dict, as_text
from crm_adapter.sync.costs import Cost

#: From here on neighbours in single precision are further apart than a kopeck.
_SINGLE_IS_COARSE: Final = 2**17

#: Beside the shared columns in ``sync_base`` of an unlinked row: when the host created the row, as text.
CREATED_AT: Final = "created_at"


@dataclass(frozen=True, slots=True)
class State:
    """``timeweb_server_state`` of one row."""

    timeweb_id: int | None = None
    account: str | None = None
    configurator_id: int | None = None
    project_id: int | None = None
    location: str | None = None
    ip_all: str | None = None
    cost_gross: Decimal | None = None
    cost_source: str = "unknown"
    cost_stale: bool = False
    cost_components: str | None = None
    currency: str | None = None
    sync_base: str = "{}"
    fingerprint: str | None = None
    missing_since: datetime | None = None
    removed_at: datetime | None = None
    problem_runs: int = 0
    unlinked_from: int | None = None

    @property
    def base(self) -> dict[str, Any]:
        """Shared column -> value that sync last wrote."""
        try:
            return as_dict(json.loads(self.sync_base))
        except ValueError:
            return {}

    def is_leftover(self, created_at: object) -> bool:
        """Whether an unlinked row was deleted and its id given out again: the row here was created at another moment."""
        born = self.base.get(CREATED_AT) if self.unlinked_from is not None else None
        return born is not None and born != created_at_text(created_at)

    @property
    def cost(self) -> Cost:
        """The cost that is known, for :func:`crm_adapter.sync.costs.resolve`."""
        return Cost(None, self.cost_gross, self.cost_source, self.cost_stale)  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class Row:
    """The columns of one host row that a decision depends on."""

    crm_id: int
    timeweb_id: int | None
    server_name: str
    configuration: str
    ip_address: str | None
    cost_price: Decimal | None
    status: str
    timeweb_status: str | None
    timeweb_preset_id: int | None
    auto_sync: bool
    client_price: Decimal | None = None
    service_fee: Decimal | None = None
    payment_period: str | None = None
    state: State | None = None
    """None: nothing of ours; a state without a fingerprint is of a row that sync has never written."""

    @property
    def known_cost(self) -> Decimal | None:
        """The cost, None when nobody knows it."""
        return known_cost(self.cost_price, self.state.cost_source if self.state else None)


@dataclass(frozen=True, slots=True)
class AccountInfo:
    """``timeweb_account_state`` as far as planning needs it."""

    account: str
    account_id: str | None = None
    identity_checked_at: datetime | None = None
    token_fingerprint: str | None = None
    currency: str | None = None
    cost_basis: str | None = None
    cost_factor: Decimal | None = None
    presets: Mapping[int, Decimal] | None = None
    presets_at: datetime | None = None
    failures: int = 0
    balance_alerted: bool = False
    last_status: str | None = None


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All rows of the host at one moment."""

    linked: Mapping[int, Row] = field(default_factory=dict[int, Row])
    """Rows by timeweb_id."""
    unlinked: tuple[Row, ...] = ()
    hidden: frozenset[int] = frozenset()
    """timeweb_ids of rows that the host's `where` leaves out: deleted softly, or of another kind."""


def created_at_text(created_at: object) -> str:
    """The moment of a row's creation, the same text whatever zone the connection speaks."""
    if isinstance(created_at, datetime) and created_at.tzinfo is not None:
        created_at = created_at.astimezone(UTC).replace(tzinfo=None)
    return str(created_at)


def row_of(values: Mapping[str, Any], state: State | None) -> Row:
    """Normalise a row: floats of the host to money, a state left behind by a deleted row is none."""
    timeweb_id = values["timeweb_id"]
    if state is not None and (state.timeweb_id != timeweb_id or state.is_leftover(values.get("created_at"))):
        state = None
    return Row(
        crm_id=values["id"],
        timeweb_id=timeweb_id,
        server_name=values["server_name"] or "",
        configuration=values["configuration"] or "",
        ip_address=as_text(values["ip_address"]),
        cost_price=_stored_cost(values["cost_price"], state),
        status=values["status"] or "",
        timeweb_status=values["timeweb_status"],
        timeweb_preset_id=values["timeweb_preset_id"],
        auto_sync=values["auto_sync"] is not False and values["auto_sync"] != 0,
        client_price=money_or_none(values["client_price"]),
        service_fee=money_or_none(values.get("service_fee")),
        payment_period=values["payment_period"],
        state=state,
    )


def _stored_cost(value: Any, state: State | None) -> Decimal | None:
    """The cost in a row; what a single-precision column made of the value that sync wrote is that value and no edit."""
    amount = money_or_none(value)
    if amount is None or state is None or abs(amount) < _SINGLE_IS_COARSE:
        return amount
    written = money_or_none(state.base.get("cost_price"))
    if written is not None and struct.unpack("f", struct.pack("f", written))[0] == float(value):
        return written
    return amount


def state_of(values: Mapping[str, Any]) -> State | None:
    """The state columns of a joined row; None when the outer join found nothing."""
    if values["server_id"] is None:
        return None
    return State(**{name: values[name] for name in State.__dataclass_fields__})


def shared_value(column: str, value: Any) -> Any:
    """A shared column's value as ``sync_base`` keeps it (JSON): money as text with two decimals."""
    if column == "cost_price":
        amount = money_or_none(value)
        return None if amount is None else str(amount)
    return value
