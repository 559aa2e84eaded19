"""The functions of `crm_adapter` for threads and scripts; `crm_adapter.aio` has the same for asyncio."""

# Written by `python -m codegen.blocking` from aio.py: change that file.

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from functools import partial
from typing import TYPE_CHECKING, Any

from crm_adapter.db.columns import FieldMap
from crm_adapter.db.history import read_changes
from crm_adapter.db.tables import HostingServer
from crm_adapter.installation import Installation
from crm_adapter.jobs import background
from crm_adapter.ledger.clients import client_cards
from crm_adapter.ledger.listing import ServiceFilters, list_services
from crm_adapter.ledger.ownership import attribute, owner_text
from crm_adapter.ledger.results import AttributionResult, ClientCard, ServiceList, ServiceView
from crm_adapter.notify import outbox
from crm_adapter.notify.reminders import write_reminders
from crm_adapter.results import (
    Change,
    DispatchReport,
    EditResult,
    Freshness,
    ImportResult,
    LinkPolicy,
    ReminderReport,
    RunInfo,
    Runner,
    ServerSyncResult,
    Sink,
    SyncPlan,
    SyncReport,
    Totals,
)
from crm_adapter.servers import edit
from crm_adapter.servers.totals import read_runs, sum_up
from crm_adapter.steps import transaction
from crm_adapter.sync import run, single

if TYPE_CHECKING:
    from sqlalchemy.orm import Session, sessionmaker

    from timeweb_sdk import Timeweb


def sync_all(
    db: sessionmaker[Session],
    timeweb: Timeweb | Mapping[str, Timeweb] | None,
    *,
    only_auto: bool = True,
    import_new: bool = True,
    actor: str | None = None,
    dry_run: bool = False,
    link_policy: LinkPolicy = "ip",
    leases: Mapping[str, str] | None = None,
    on_progress: Callable[[int, int], object] | None = None,
    model: type[Any] = HostingServer,
    fields: FieldMap | None = None,
) -> SyncReport:
    """Bring every row up to date with Timeweb, account by account.

    `only_auto` leaves rows with `auto_sync` off alone; `import_new` creates rows for unknown servers. `leases`
    (account -> owner) are those that `ensure_fresh` claimed and handed over; without it this call claims them.
    `on_progress(done, total)` is called after each chunk of at most 250 rows.

    Raises `MappingError`, or SQLAlchemy's errors when the database is lost. What happens
    to one server or one account is data in the report.
    """
    crm = Installation(db=db, timeweb=timeweb, model=model, fields=fields, import_new=import_new, link_policy=link_policy)
    return crm.run(
        lambda crm: run.sync_all(
            crm, only_auto=only_auto, actor=actor, dry_run=dry_run, claimed=leases, on_progress=on_progress
        ),
        ends_early=True,
    )


def plan(
    db: sessionmaker[Session],
    timeweb: Timeweb | Mapping[str, Timeweb] | None,
    *,
    only_auto: bool = True,
    import_new: bool = True,
    link_policy: LinkPolicy = "ip",
    model: type[Any] = HostingServer,
    fields: FieldMap | None = None,
) -> SyncPlan:
    """Tell what `sync_all` would do now, server by server; writes nothing and takes no lease."""
    crm = Installation(db=db, timeweb=timeweb, model=model, fields=fields, import_new=import_new, link_policy=link_policy)
    return crm.run(lambda crm: run.plan(crm, only_auto=only_auto), ends_early=True)


def sync_server(
    db: sessionmaker[Session],
    timeweb: Timeweb | Mapping[str, Timeweb] | None,
    crm_id: int,
    *,
    actor: str | None = None,
    model: type[Any] = HostingServer,
    fields: FieldMap | None = None,
) -> ServerSyncResult:
    """Bring one row up to date, whatever its `auto_sync` says. Never marks a server removed."""
    crm = Installation(db=db, timeweb=timeweb, model=model, fields=fields)
    return crm.run(lambda crm: single.sync_server(crm, crm_id, actor=actor), ends_early=True)


def import_servers(
    db: sessionmaker[Session],
    timeweb: Timeweb | Mapping[str, Timeweb] | None,
    server_ids: Sequence[int],
    *,
    link: LinkPolicy | Mapping[int, int] | None = None,
    actor: str | None = None,
    dry_run: bool = False,
    on_progress: Callable[[int, int], object] | None = None,
    model: type[Any] = HostingServer,
    fields: FieldMap | None = None,
) -> ImportResult:
    """Create rows for servers of Timeweb, or link them to rows typed by hand.

    `link` is a policy (default `"ip"`: a row with the same unique public IPv4 is linked) or a choice made by a human,
    Timeweb id -> CRM id. Safe to call at once from many processes: one creates, the others get `already_imported`.
    `on_progress(done, total)` is called after each server.
    """
    crm = Installation(db=db, timeweb=timeweb, model=model, fields=fields)
    return crm.run(
        lambda crm: single.import_servers(crm, server_ids, link=link, actor=actor, dry_run=dry_run, on_progress=on_progress),
        ends_early=True,
    )


def ensure_fresh(
    db: sessionmaker[Session],
    timeweb: Timeweb | Mapping[str, Timeweb] | None,
    *,
    max_age: float = 300,
    runner: Runner | None = None,
    model: type[Any] = HostingServer,
    fields: FieldMap | None = None,
) -> Freshness:
    """Start at most one background sync when data is older than `max_age` seconds; never waits for Timeweb.

    The leases are claimed here and handed to `runner` as a mapping account -> owner (plain JSON, so a Celery task's
    `.delay` will do), which must call `sync_all(..., leases=...)`. The default runner is one named thread.
    """
    crm = Installation(db=db, timeweb=timeweb, model=model, fields=fields)
    return background.ensure_fresh(crm, max_age=max_age, runner=runner)


def link(
    db: sessionmaker[Session],
    crm_id: int,
    timeweb_id: int,
    *,
    account: str | None = None,
    actor: str | None = None,
    model: type[Any] = HostingServer,
    fields: FieldMap | None = None,
) -> EditResult:
    """Tie a row typed by hand to a server of Timeweb; the next sync fills the Timeweb columns.

    A refusal is data: `EditResult.code` is `not_found`, `conflict` (either is tied already) or `validation`, or call
    `raise_for_failure()`.
    """
    crm = Installation(db=db, model=model, fields=fields)
    return crm.run(lambda crm: edit.link(crm.columns, crm_id, timeweb_id, account=account, actor=actor))


def unlink(
    db: sessionmaker[Session],
    crm_id: int,
    *,
    actor: str | None = None,
    model: type[Any] = HostingServer,
    fields: FieldMap | None = None,
) -> EditResult:
    """Untie a row from its server: the row stays with all it shows, sync no longer touches it.

    A refusal is data: `EditResult.code` is `not_found` or `not_linked`, or call `raise_for_failure()`.
    """
    crm = Installation(db=db, model=model, fields=fields)
    return crm.run(lambda crm: edit.unlink(crm.columns, crm_id, actor=actor))


def update_manual(
    db: sessionmaker[Session],
    crm_id: int,
    values: Mapping[str, Any],
    *,
    expected_version: int | None = None,
    actor: str | None = None,
    model: type[Any] = HostingServer,
    fields: FieldMap | None = None,
) -> EditResult:
    """Write human and shared columns by logical name; texts as people type them (`"1 234,50"`, `"31.12.2026"`) will do.

    `expected_version` is the `edit_version` that the human saw; a newer one gives `version_conflict`. Syncs do not
    count. A shared column given as None is handed back to sync (`{"cost_price": None}`).

    A refusal is data: look at `EditResult.success` and `code` (`validation`, `not_found`, `version_conflict`,
    `conflict`), or call `raise_for_failure()`. Raises `UnknownColumn` for a name that is no editable column.
    """
    crm = Installation(db=db, model=model, fields=fields)
    return crm.run(lambda crm: edit.update_manual(crm.columns, crm_id, values, expected_version=expected_version, actor=actor))


def remove_manual(
    db: sessionmaker[Session],
    crm_id: int,
    *,
    actor: str | None = None,
    model: type[Any] = HostingServer,
    fields: FieldMap | None = None,
) -> EditResult:
    """Remove a row that is tied to no server of Timeweb; the change log keeps that it was there.

    A refusal is data: `EditResult.code` is `not_found`, `linked` (close such a row, or untie it first) or `conflict` (a table
    of the host still refers to it), or call `raise_for_failure()`.
    """
    crm = Installation(db=db, model=model, fields=fields)
    return crm.run(lambda crm: edit.remove_manual(crm.columns, crm_id, actor=actor))


def add_manual(
    db: sessionmaker[Session],
    values: Mapping[str, Any],
    *,
    actor: str | None = None,
    model: type[Any] = HostingServer,
    fields: FieldMap | None = None,
) -> EditResult:
    """Add a server that is not at Timeweb (or not yet linked); `server_name` must be given.

    A refusal is data: `EditResult.code` is `validation`, or call `raise_for_failure()`. Raises `UnknownColumn` for a name
    that is no editable column.
    """
    crm = Installation(db=db, model=model, fields=fields)
    return crm.run(lambda crm: edit.add_manual(crm.columns, values, actor=actor))


def mark_paid(
    db: sessionmaker[Session],
    crm_id: int,
    *,
    expected_date: date | None = None,
    actor: str | None = None,
    model: type[Any] = HostingServer,
    fields: FieldMap | None = None,
) -> EditResult:
    """Move the next payment date by one period (31.01 -> 28.02 -> 31.03); an overdue row becomes active.

    `expected_date` is the date that the human saw, so that two clicks pay once.

    A refusal is data: `EditResult.code` is `not_found`, `version_conflict` (another date is there) or `validation` (no
    date to move), or call `raise_for_failure()`.
    """
    crm = Installation(db=db, model=model, fields=fields)
    return crm.run(lambda crm: edit.mark_paid(crm.columns, crm_id, expected_date=expected_date, actor=actor))


def set_cost(
    db: sessionmaker[Session],
    crm_id: int,
    cost: Decimal | float | str | None,
    *,
    actor: str | None = None,
    model: type[Any] = HostingServer,
    fields: FieldMap | None = None,
) -> EditResult:
    """Set the cost by hand, RUB per month net; None hands the column back to sync.

    A refusal is data: `EditResult.code` is `not_found` or `validation`, or call `raise_for_failure()`.
    """
    crm = Installation(db=db, model=model, fields=fields)
    return crm.run(lambda crm: edit.set_cost(crm.columns, crm_id, cost, actor=actor))


def totals(
    db: sessionmaker[Session],
    *,
    today: date | None = None,
    model: type[Any] = HostingServer,
    fields: FieldMap | None = None,
) -> Totals:
    """Income, cost, margin and overdue sums, RUB per month; an unknown number is None and counted, never 0."""
    crm = Installation(db=db, model=model, fields=fields)
    return crm.run(lambda crm: sum_up(crm.columns, today))


def services(
    db: sessionmaker[Session],
    *,
    search: str = "",
    kind: str = "",
    account: str = "",
    client: str = "",
    view: ServiceView = "",
    model: type[Any] = HostingServer,
    fields: FieldMap | None = None,
) -> ServiceList:
    """Everything that costs money beside servers, nobody's first, with sums in RUB per month net.

    `kind` is a type as Timeweb calls it (`database`), `client` the exact name of a client, `view` narrows to `nobody`,
    `servers`, `clients` or `gone`. Asks the database only; the runs keep it.
    """
    crm = Installation(db=db, model=model, fields=fields)
    wanted = ServiceFilters(search=search, type=kind, account=account, client=client, view=view, size=0)
    return crm.run(lambda crm: transaction(lambda session: list_services(session, crm.columns, wanted)))


def attribute_services(
    db: sessionmaker[Session],
    service_ids: Iterable[int],
    *,
    server_id: int | None = None,
    client: str | None = None,
    actor: str | None = None,
    model: type[Any] = HostingServer,
    fields: FieldMap | None = None,
) -> AttributionResult:
    """Say whose services are, by `ServiceInfo.id`: a server's (`server_id` is the row of the CRM), a client's, or nobody's.

    One transaction, and one entry of the change log for each; no sync changes it. A refusal is data: look at `refused`, or
    call `raise_for_failure()`. Raises `ValueError` for a server and a client at once.
    """
    crm, owner = Installation(db=db, model=model, fields=fields), owner_text(server_id, client)
    wanted = dict.fromkeys(service_ids, owner)
    return crm.run(lambda crm: attribute(crm.columns, wanted, actor=actor))


def clients(db: sessionmaker[Session], *, model: type[Any] = HostingServer, fields: FieldMap | None = None) -> list[ClientCard]:
    """What each client brings, and what their servers and services cost, RUB per month; the least result first."""
    crm = Installation(db=db, model=model, fields=fields)
    return crm.run(lambda crm: client_cards(crm.columns))


def changes(
    db: sessionmaker[Session], crm_id: int | None = None, *, run_id: int | None = None, limit: int = 100
) -> list[Change]:
    """The change log, newest first."""
    work = partial(read_changes, crm_id=crm_id, run_id=run_id, limit=limit)
    return Installation(db=db).run(lambda _: transaction(work))


def runs(db: sessionmaker[Session], run_id: int | None = None, *, limit: int = 20) -> list[RunInfo]:
    """The run history, newest first; with `run_id` that run alone (or nothing)."""
    return Installation(db=db).run(lambda _: transaction(partial(read_runs, run_id=run_id, limit=limit)))


def dispatch_events(
    db: sessionmaker[Session],
    sink: Sink | Sequence[Sink],
    *,
    limit: int = 500,
    now: datetime | None = None,
) -> DispatchReport:
    """Send waiting events: one digest per run, at least once each, retried with backoff, given up after 8 tries.

    A sink is called as `sink(title, text, events)`; a sink that raises makes the digest try again later. Of a digest of more
    than 500 events, the text counts all and `events` holds the 500 gravest.
    """
    return Installation(db=db).run(lambda _: outbox.dispatch_events(sink, limit=limit, now=now))


def payment_reminders(
    db: sessionmaker[Session],
    *,
    today: date | None = None,
    model: type[Any] = HostingServer,
    fields: FieldMap | None = None,
) -> ReminderReport:
    """Put due (T-7, T-1, T0) and overdue (T+1, then weekly) payments into the outbox, once per row, date and kind."""
    crm = Installation(db=db, model=model, fields=fields)
    return crm.run(lambda crm: transaction(lambda session: write_reminders(session, crm.columns, today)))
