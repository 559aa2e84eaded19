"""What the functions return: frozen dataclasses with `to_dict()` (plain JSON types)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Literal, Self

from crm_adapter.errors import OperationFailed
from crm_adapter.narrow import is_mapping, is_series

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from crm_adapter.db.rows import StoredRow

__all__ = [
    "AccountReport",
    "AllTimeProfit",
    "Change",
    "ChangeKind",
    "DispatchReport",
    "EditCode",
    "EditResult",
    "Freshness",
    "HostingValues",
    "ImportResult",
    "ImportedServer",
    "ItemError",
    "LinkPolicy",
    "Numbers",
    "OnChange",
    "OutboxEvent",
    "Payments",
    "PlannedServer",
    "ReminderReport",
    "ReportWarning",
    "Result",
    "RowChange",
    "RunInfo",
    "RunStatus",
    "Runner",
    "ServerProblem",
    "ServerSyncResult",
    "Sink",
    "SyncPlan",
    "SyncReport",
    "SyncedServer",
    "Totals",
]

RunStatus = Literal["success", "partial", "failed", "skipped", "running"]
EditCode = Literal["not_found", "version_conflict", "conflict", "linked", "not_linked", "validation", "row_busy"]
Numbers = Literal["null", "zero"]
"""What an unknown number is in the API's rows and sums."""
Payments = Callable[["Connection", int], Sequence[Mapping[str, Any]]]
"""The host's own: the payments of a row, by its id, as the host tells them."""
AllTimeProfit = Callable[["Connection"], "Decimal | float"]
"""The host's own: what was earned in all time, RUB."""
ChangeKind = Literal["added", "edited", "paid", "priced", "linked", "unlinked", "deleted", "imported", "synchronised"]
"""What was done to a row, and so by whom: a person, an import, or a run."""
LinkPolicy = Literal["ip", "suggest", "off"]
"""What becomes of a hand-typed row with the address of a new server: linked, told, or left alone."""
Runner = Callable[[Mapping[str, str]], object]
"""Starts a background sync under leases (account -> owner), e.g. a Celery task's `delay`."""


def to_plain(value: Any) -> Any:
    """Plain JSON types: money as a number with two decimals, instants and dates in ISO 8601."""
    if isinstance(value, Result):
        return value.to_dict()
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, date | datetime):
        return value.isoformat()
    if is_mapping(value):
        return {str(key): to_plain(item) for key, item in value.items()}
    if is_series(value):
        return [to_plain(item) for item in value]
    return value


class Result:
    """Base of the results."""

    __slots__ = ()

    def to_dict(self) -> dict[str, Any]:
        """The result as plain JSON types."""
        return {item.name: to_plain(getattr(self, item.name)) for item in fields(self)}  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class HostingValues(Result):
    """A Timeweb server as column values of the CRM; what Timeweb did not tell is None and erases nothing."""

    timeweb_id: int
    server_name: str | None
    configuration: str
    ip_address: str | None
    timeweb_status: str | None
    timeweb_preset_id: int | None
    timeweb_data: str
    """Canonical JSON of the redacted, stable part of the server."""
    status: str
    """What a new row starts with: `active` or `suspended`."""
    cost_price: Decimal | None
    """RUB per month, net of the account's discount; None: unknown."""
    configurator_id: int | None
    location: str | None
    ip_all: tuple[str, ...]
    public_ipv4: tuple[str, ...]
    fingerprint: str


@dataclass(frozen=True, slots=True)
class SyncedServer(Result):
    """One row that sync created, changed, linked or restored."""

    timeweb_id: int
    crm_id: int | None
    """None only in a dry run of a creation."""
    name: str
    changes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ServerProblem(Result):
    """One server that sync could not handle; the rest of the run went on."""

    server_id: int | None
    server_name: str | None
    error: str
    code: str


@dataclass(frozen=True, slots=True)
class ReportWarning(Result):
    """Something to look at that is no error."""

    code: str
    message: str
    account: str | None = None


@dataclass(frozen=True, slots=True)
class AccountReport(Result):
    """One account's part of a run."""

    account: str
    status: str
    error_code: str | None = None
    message: str | None = None
    retry_after: float | None = None
    """Seconds until the next automatic attempt makes sense."""
    api_calls: int = 0
    total: int | None = None


@dataclass(frozen=True, slots=True)
class SyncReport(Result):
    """The outcome of `sync_all`. A listed server is counted once; missing rows are counted beside them."""

    run_id: int | None
    status: RunStatus
    error_code: str | None = None
    created_count: int = 0
    updated_count: int = 0
    unchanged_count: int = 0
    linked_count: int = 0
    missing_count: int = 0
    restored_count: int = 0
    skipped_count: int = 0
    error_count: int = 0
    total_processed: int = 0
    api_calls: int = 0
    created: tuple[SyncedServer, ...] = ()
    updated: tuple[SyncedServer, ...] = ()
    errors: tuple[ServerProblem, ...] = ()
    warnings: tuple[ReportWarning, ...] = ()
    linked: tuple[SyncedServer, ...] = ()
    removed: tuple[SyncedServer, ...] = ()
    accounts: tuple[AccountReport, ...] = ()
    dry_run: bool = False

    def raise_for_failure(self) -> Self:
        """Raise `OperationFailed` unless every account and every server went well; else return the report itself.

        A sync that was not needed, or that another process is doing, is no failure.
        """
        if self.status in {"failed", "partial"} or self.errors:
            texts = [account.message for account in self.accounts if account.message] + [each.error for each in self.errors]
            raise OperationFailed(self.error_code or "", texts[0] if texts else self.status, self)
        return self


@dataclass(frozen=True, slots=True)
class ImportedServer(Result):
    """One imported (created or linked) server."""

    server_id: int
    crm_id: int | None
    name: str
    linked: bool = False


@dataclass(frozen=True, slots=True)
class ItemError(Result):
    """Why one server was not imported: `already_imported`, `not_found`, `conflict` or a code of the run."""

    server_id: int
    code: str
    error: str


@dataclass(frozen=True, slots=True)
class ImportResult(Result):
    """The outcome of `import_servers`."""

    imported: tuple[ImportedServer, ...] = ()
    errors: tuple[ItemError, ...] = ()
    warnings: tuple[ReportWarning, ...] = ()
    api_calls: int = 0
    dry_run: bool = False

    @property
    def imported_count(self) -> int:
        """Servers that have a row because of this call."""
        return len(self.imported)

    @property
    def error_count(self) -> int:
        """Servers that were not imported."""
        return len(self.errors)

    @property
    def success(self) -> bool:
        """Something was imported, or nothing went wrong."""
        return self.imported_count > 0 or self.error_count == 0

    def raise_for_failure(self) -> Self:
        """Raise `OperationFailed` for the first server that was not imported; else return the result itself."""
        if self.errors:
            raise OperationFailed(self.errors[0].code, self.errors[0].error, self)
        return self

    def to_dict(self) -> dict[str, Any]:
        """The reply of `POST /api/timeweb/import`."""
        return {
            "success": self.success,
            "imported": to_plain(self.imported),
            "errors": to_plain(self.errors),
            "imported_count": self.imported_count,
            "error_count": self.error_count,
            "warnings": to_plain(self.warnings),
            "api_calls": self.api_calls,
            "dry_run": self.dry_run,
        }


@dataclass(frozen=True, slots=True)
class ServerSyncResult(Result):
    """The outcome of `sync_server`."""

    success: bool
    crm_id: int
    timeweb_id: int | None = None
    message: str = ""
    code: str | None = None
    """None, `not_found` (no such row), `not_linked`, `server_missing` (Timeweb's 404), or a code of a run."""
    changes: tuple[str, ...] = ()
    server: Mapping[str, Any] | None = None
    """The row's columns after the sync, by logical name."""
    api_calls: int = 0

    def raise_for_failure(self) -> Self:
        """Raise `OperationFailed` unless the row was synchronised; else return the result itself."""
        if not self.success:
            raise OperationFailed(self.code or "", self.message, self)
        return self


@dataclass(frozen=True, slots=True)
class PlannedServer(Result):
    """What would happen to one server."""

    action: Literal["create", "update", "unchanged", "link", "restore", "remove", "missing", "skip", "error"]
    timeweb_id: int | None
    crm_id: int | None
    name: str | None
    changes: Mapping[str, tuple[Any, Any]] = field(default_factory=dict[str, tuple[Any, Any]])
    """Column -> (old, new)."""
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class SyncPlan(Result):
    """What `sync_all` would do now; nothing was written."""

    report: SyncReport
    servers: tuple[PlannedServer, ...] = ()


@dataclass(frozen=True, slots=True)
class Freshness(Result):
    """The outcome of `ensure_fresh`."""

    status: Literal["fresh", "started", "running", "backoff", "not_configured"]
    last_success_at: datetime | None = None
    retry_at: datetime | None = None
    run_id: int | None = None
    message: str | None = None


@dataclass(frozen=True, slots=True)
class RowChange(Result):
    """One row's change, as `FieldMap.on_change` is told of it inside the transaction."""

    kind: ChangeKind
    server_id: int
    timeweb_id: int | None
    at: datetime
    """UTC."""
    actor: str | None
    account: str | None
    """Of the run; None for what a person did."""
    run_id: int | None
    changes: Mapping[str, tuple[Any, Any]]
    """Column (or `created`, `deleted`, `removed`, `restored`, `account`) -> (before, after); money is Decimal, RUB."""


OnChange = Callable[["Connection", RowChange], None]
"""The host's own bookkeeping; see `FieldMap.on_change`."""


@dataclass(frozen=True, slots=True)
class EditResult(Result):
    """The outcome of a person's edit.

    An edit that is refused raises nothing by itself: look at `success`, or call `raise_for_failure()`.

    | `code` | what it means |
    |---|---|
    | `None` | done, or nothing to do (`changes` is empty) |
    | `validation` | a value that the column cannot take; `error` names the column |
    | `not_found` | no such row, or one that the `where` of the `FieldMap` leaves out |
    | `version_conflict` | another person was faster: `expected_version` or `expected_date` is not what is there |
    | `conflict` | the number at Timeweb belongs to another row, or the row to another server |
    | `linked` | `remove_manual` of a row that is tied to a server: close it, or untie it first |
    | `not_linked` | `unlink` of a row that is tied to no server |
    """

    success: bool
    crm_id: int | None
    """None where no row was added."""
    code: EditCode | None = None
    error: str | None = None
    """Why not, in Russian."""
    changes: tuple[str, ...] = ()
    edit_version: int | None = None
    server: Mapping[str, Any] | None = None
    """The row's columns after the edit, by logical name, with what is known beside them."""
    row: StoredRow | None = field(default=None, repr=False, compare=False)
    """The same as the page draws it."""
    at: datetime | None = field(default=None, repr=False, compare=False)
    """The instant (UTC) by which the change log knows the edit; None where nothing changed."""

    def to_dict(self) -> dict[str, Any]:
        """The result as plain JSON types."""
        plain = Result.to_dict(self)
        del plain["row"]
        return plain

    def raise_for_failure(self) -> Self:
        """Raise `OperationFailed` unless the edit was made; else return the result itself."""
        if not self.success:
            raise OperationFailed(self.code or "", self.error or "", self)
        return self


@dataclass(frozen=True, slots=True)
class Change(Result):
    """One row of the change log."""

    id: int
    at: datetime
    server_id: int
    """The CRM's row; 0 where a service changed."""
    timeweb_id: int | None
    account: str | None
    run_id: int | None
    actor: str | None
    field: str
    old: str | None
    new: str | None
    service_id: int | None = None
    """The service that changed."""


@dataclass(frozen=True, slots=True)
class RunInfo(Result):
    """One row of the run history; `report` is that of the finished run."""

    run_id: int
    kind: str
    actor: str | None
    status: str
    error_code: str | None
    started_at: datetime
    finished_at: datetime | None
    progress: int
    total: int | None
    report: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Totals(Result):
    """Money of the section, RUB per month; None where nothing is known."""

    servers: int
    active_servers: int
    income_month: Decimal | None
    cost_month: Decimal | None
    """Known costs of all servers that are neither closed nor removed."""
    profit_month: Decimal | None
    """Sum of the margins that are known."""
    profit_percent: Decimal | None
    priced_count: int
    """Servers whose margin is known."""
    unpriced_count: int
    unpriced_cost: Decimal | None
    unknown_cost_count: int
    overdue_count: int
    overdue_sum: Decimal
    other_costs: Decimal | None
    """All paid services of the accounts beside servers, whoever has them; None where the sums are of a part of the rows."""
    balance: Decimal | None
    hours_left: int | None
    """The smallest over the accounts."""
    result_month: Decimal | None = None
    """Income minus all costs that are known: of servers with and without a price, and `other_costs`. None while no income is.

    It is `profit_month` + `uncosted_income` - `unpriced_cost` - `other_costs`.
    """
    uncosted_income: Decimal | None = None
    """Income of the servers whose cost nobody knows."""
    services_included: bool = True
    """Whether services are among the costs: they are where the sums are of all rows."""


@dataclass(frozen=True, slots=True)
class OutboxEvent(Result):
    """One event of the outbox, as a sink gets it."""

    id: int
    kind: str
    dedupe_key: str
    account: str | None
    server_id: int | None
    run_id: int | None
    created_at: datetime
    payload: Mapping[str, Any]


Sink = Callable[[str, str, Sequence[OutboxEvent]], object]
"""Takes a digest: title, text and the events that it tells."""


@dataclass(frozen=True, slots=True)
class DispatchReport(Result):
    """The outcome of `dispatch_events`."""

    sent: int = 0
    failed: int = 0
    dead: int = 0
    messages: int = 0


@dataclass(frozen=True, slots=True)
class ReminderReport(Result):
    """The outcome of `payment_reminders`: how many events were put into the outbox."""

    due: int = 0
    overdue: int = 0
