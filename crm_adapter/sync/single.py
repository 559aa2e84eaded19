"""`sync_server` and `import_servers`: few servers, without the account's lease; row locks and the unique key protect."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from typing import Final

from sqlalchemy.exc import StatementError

from crm_adapter.db.columns import Columns
from crm_adapter.db.dialects import is_lock_timeout, rejects_values
from crm_adapter.db.rejections import rejection
from crm_adapter.db.rows import StoredRow, read_row, read_rows
from crm_adapter.db.snapshot import Snapshot, read_linked, read_snapshot
from crm_adapter.db.tables import utcnow
from crm_adapter.installation import Installation
from crm_adapter.results import (
    HostingValues,
    ImportedServer,
    ImportResult,
    ItemError,
    LinkPolicy,
    ReportWarning,
    ServerSyncResult,
)
from crm_adapter.steps import Db, transaction
from crm_adapter.sync import accounts, fetch
from crm_adapter.sync.apply import Writer
from crm_adapter.sync.costs import is_foreign, reconcile
from crm_adapter.sync.decisions import Decision, Observed, RunContext, create, decide
from crm_adapter.sync.fetch import Caller, Failure
from crm_adapter.sync.linking import match
from crm_adapter.sync.mapping import REMOVED_STATUS
from crm_adapter.sync.planner import Fetched, needs_presets
from crm_adapter.text import messages, refusals
from crm_adapter.text.messages import DONE

_LIST_FROM: Final = 4
"""From this many ids on, listing is cheaper than asking for each."""
_CHUNK: Final = 250
"""Rows that one transaction writes."""


@dataclass(frozen=True, slots=True)
class _Prices:
    """What is needed to price servers of one account."""

    observed: tuple[Observed, ...]
    context: RunContext
    snapshot: Snapshot


async def sync_server(crm: Installation, crm_id: int, *, actor: str | None) -> ServerSyncResult:
    """See `crm_adapter.sync_server`."""
    clients = crm.clients
    row = await Db(lambda s: read_row(s, crm.columns, crm_id))
    if row is None:
        return _failed(crm_id, None, Failure("row_not_found"))
    if row.timeweb_id is None:
        return _failed(crm_id, None, Failure("not_linked"))
    names = [row.state.account] if row.state and row.state.account in clients else list(clients)
    if not names:
        return _failed(crm_id, row.timeweb_id, Failure("not_configured"))
    found, calls = await _ask(names, row.timeweb_id)
    if isinstance(found, Failure):
        return _failed(crm_id, row.timeweb_id, found, calls)
    return await _refresh(crm.columns, crm_id, *found, actor=actor, calls=calls)


def _failed(crm_id: int, timeweb_id: int | None, failure: Failure, calls: int = 0) -> ServerSyncResult:
    text = messages.failure_text(failure.code, retry_after=failure.retry_after)
    shown = "not_found" if failure.code == "row_not_found" else failure.code
    return ServerSyncResult(False, crm_id, timeweb_id, text, shown, api_calls=calls)


async def _ask(names: Sequence[str], timeweb_id: int) -> tuple[tuple[Caller, HostingValues] | Failure, int]:
    """Ask one account after the other until one has the server; also how many calls the others have cost."""
    calls = 0
    unasked: Failure | None = None
    for name in names:
        caller = Caller(str(name))
        values, failure = await fetch.get_server(caller, timeweb_id)
        if values is not None and values.timeweb_status == REMOVED_STATUS:
            # Removal is decided by a complete listing as well; one reply is not enough.
            return Failure("server_missing"), calls + caller.calls
        if values is not None:
            return (caller, values), calls
        calls += caller.calls
        # One account's 404 says nothing of the account that could not be asked.
        if failure is not None and failure.code != "not_found":
            unasked = unasked or failure
    return unasked or Failure("server_missing"), calls


async def _refresh(
    columns: Columns, crm_id: int, caller: Caller, values: HostingValues, *, actor: str | None, calls: int
) -> ServerSyncResult:
    """Write to the row what the account said; `calls` were made to others before."""
    timeweb_id = values.timeweb_id
    prices = await _price(caller, columns, [values])
    calls += caller.calls
    fresh = prices.snapshot.linked.get(timeweb_id)
    if fresh is None or fresh.id != crm_id:
        return _failed(crm_id, timeweb_id, Failure("not_linked"), calls)
    try:
        done = await _write(Writer(columns, prices.context, actor=actor), decide(fresh, prices.observed[0], prices.context))
    except StatementError as error:
        if not is_lock_timeout(error):
            raise
        return _failed(crm_id, timeweb_id, Failure("row_busy"), calls)
    now = await Db(lambda s: read_row(s, columns, crm_id))
    server = now.values() if now else None
    changed = tuple(name for item in done for name in item.changes if name != "timeweb_data")
    text = DONE["synced" if changed else "unchanged"]
    return ServerSyncResult(True, crm_id, timeweb_id, text, None, changed, server, calls)


async def sync_servers(
    crm: Installation, crm_ids: Sequence[int], *, actor: str | None
) -> tuple[list[int], list[int], dict[int, str]]:
    """Synchronise these rows and no other: ids of those that changed, of those that did not, and id -> code of a failure.

    Timeweb is asked once per account for all of them.
    """
    columns, clients = crm.columns, crm.clients
    rows = await Db(lambda s: read_rows(s, columns, columns["id"].in_(list(crm_ids))))
    failed = dict.fromkeys(crm_ids, "row_not_found") | {row.id: "not_linked" for row in rows}
    pending = {row.timeweb_id: row for row in rows if row.timeweb_id is not None}
    failed |= dict.fromkeys((row.id for row in pending.values()), "server_missing" if clients else "not_configured")
    changed: list[int] = []
    same: list[int] = []
    for account in clients:
        mine = [number for number, row in pending.items() if row.account == account or row.account not in clients]
        if not mine:
            continue
        caller = Caller(account)
        found, failures = await _find(caller, mine)
        failed |= {pending[number].id: failure.code for number, failure in failures.items()}
        if not found:
            continue
        prices = await _price(caller, columns, found)
        fresh = prices.snapshot.linked
        decisions = [
            decide(fresh[observed.values.timeweb_id], observed, prices.context)
            for observed in prices.observed
            if observed.values.timeweb_id in fresh
        ]
        writer = Writer(columns, prices.context, actor=actor)
        for start in range(0, len(decisions), _CHUNK):
            chunk = decisions[start : start + _CHUNK]
            try:
                done = await transaction(partial(writer.apply, chunk=chunk))
            except StatementError as error:
                if not is_lock_timeout(error):
                    raise
                failed |= {decision.row.id: "row_busy" for decision in chunk if decision.row}
                continue
            for decision in done:
                if decision.row is not None:
                    (changed if set(decision.changes) - {"timeweb_data"} else same).append(decision.row.id)
        for values in found:
            pending.pop(values.timeweb_id, None)
    done_with = {*changed, *same}
    return changed, same, {row_id: code for row_id, code in failed.items() if row_id not in done_with}


async def import_servers(
    crm: Installation,
    server_ids: Sequence[int],
    *,
    link: LinkPolicy | Mapping[int, int] | None,
    actor: str | None,
    dry_run: bool = False,
    on_progress: Callable[[int, int], object] | None = None,
) -> ImportResult:
    """See `crm_adapter.import_servers`."""
    clients, columns = crm.clients, crm.columns
    wanted = list(dict.fromkeys(server_ids))
    errors: list[ItemError] = []
    imported: list[ImportedServer] = []
    warnings: list[ReportWarning] = []
    linked, hidden = await Db(lambda s: read_linked(s, columns, wanted))
    taken = {**dict.fromkeys(hidden, "hidden"), **dict.fromkeys(linked, "already_imported")}
    # Timeweb numbers its servers from 1: it need not be asked for others.
    taken |= {timeweb_id: "not_found" for timeweb_id in wanted if timeweb_id < 1}
    pending = [timeweb_id for timeweb_id in wanted if timeweb_id not in taken]
    errors += [_error(timeweb_id, taken[timeweb_id]) for timeweb_id in wanted if timeweb_id in taken]
    calls = 0
    failures: dict[int, Failure] = {}
    if not clients:
        failures = dict.fromkeys(pending, Failure("not_configured"))
    for account in clients:
        if not pending:
            break
        caller = Caller(account)
        found, account_failures = await _find(caller, pending)
        failures |= account_failures
        if found:
            prices = await _price(caller, columns, found)
            for observed in prices.observed:
                done = await _import_one(columns, prices, observed, link, actor, dry_run)
                (imported if isinstance(done, ImportedServer) else errors).append(done)  # type: ignore[arg-type]
                if on_progress is not None:
                    on_progress(len(imported) + len(errors), len(wanted))
            done_with = {values.timeweb_id for values in found}
            pending = [timeweb_id for timeweb_id in pending if timeweb_id not in done_with]
        calls += caller.calls
    errors += [_error(timeweb_id, failures.get(timeweb_id, Failure("not_found")).code) for timeweb_id in pending]
    return ImportResult(tuple(imported), tuple(errors), tuple(warnings), calls, dry_run)


def _error(timeweb_id: int, code: str, text: str | None = None) -> ItemError:
    return ItemError(timeweb_id, code, text or messages.failure_text(code))


async def _find(caller: Caller, wanted: Sequence[int]) -> tuple[list[HostingValues], dict[int, Failure]]:
    """The wanted servers that this account has; failures only where the answer is not a plain "no such server"."""
    found: list[HostingValues] = []
    failures: dict[int, Failure] = {}
    if len(wanted) >= _LIST_FROM:
        listing, chosen = await fetch.list_servers(caller), set(wanted)
        found = [
            listing.payloads.whole(values)
            for values in listing.servers.values()
            if values.timeweb_id in chosen and values.timeweb_status != REMOVED_STATUS
        ]
        missing = set(wanted) - {values.timeweb_id for values in found}
        if listing.failure is not None:
            failures = dict.fromkeys(missing, listing.failure)
        for error in listing.errors:
            if error.server_id is not None and error.server_id in missing:
                failures[error.server_id] = Failure(error.code)
        return found, failures
    for timeweb_id in wanted:
        values, failure = await fetch.get_server(caller, timeweb_id)
        if values is not None and values.timeweb_status != REMOVED_STATUS:
            found.append(values)
        elif failure is not None and failure.code != "not_found":
            failures[timeweb_id] = failure
    return found, failures


async def _price(caller: Caller, columns: Columns, servers: Sequence[HostingValues]) -> _Prices:
    """Costs for a few servers, and the rows that they concern; what cannot be read leaves them unknown (or as they were)."""
    now = utcnow()
    info, _ = await Db(lambda s: accounts.load_account(s, caller.account, columns))
    costs, _ = await fetch.costs(caller)
    finances = None
    if costs is not None:
        finances, _ = await fetch.finances(caller)
    discount = reconcile(costs, finances, info.cost_basis, info.cost_factor)
    foreign = is_foreign(finances, info.currency)
    if foreign:
        costs = None
    snapshot = await Db(lambda s: read_snapshot(s, columns, [values.timeweb_id for values in servers]))
    fetched = Fetched(caller.account, {values.timeweb_id: values for values in servers}, costs=costs)
    prices: Mapping[int, Decimal] = {} if foreign else info.presets or {}
    if not foreign and needs_presets(fetched, snapshot) and not prices:
        prices = (await fetch.presets(caller))[0] or {}
    context = RunContext(
        account=caller.account,
        now=now,
        today=columns.today(),
        factor=discount.factor,
        presets=prices,
        currency=finances.currency if finances else None,
        lengths=columns.lengths,
    )
    observed = (Observed(values, costs.servers.get(values.timeweb_id) if costs else None) for values in servers)
    return _Prices(tuple(observed), context, snapshot)


async def _import_one(
    columns: Columns,
    prices: _Prices,
    observed: Observed,
    link: LinkPolicy | Mapping[int, int] | None,
    actor: str | None,
    dry_run: bool,
) -> ImportedServer | ItemError:
    timeweb_id = observed.values.timeweb_id
    if timeweb_id in prices.snapshot.linked:
        return _error(timeweb_id, "already_imported")
    target = _target(observed.values, prices.snapshot, link)
    if isinstance(target, ItemError):
        return target
    decision = create(observed, prices.context) if target is None else decide(target, observed, prices.context, linking=True)
    if dry_run:
        return ImportedServer(timeweb_id, target.id if target else None, decision.name, linked=target is not None)
    writer = Writer(columns, prices.context, actor=actor, kind="imported")
    try:
        done = await _write(writer, decision)
    except StatementError as error:
        if is_lock_timeout(error):
            return _error(timeweb_id, "row_busy")
        if not rejects_values(error):
            raise
        taken = await Db(lambda s: writer.is_taken(s, timeweb_id))
        return _error(timeweb_id, "already_imported") if taken else _error(timeweb_id, *rejection(error, columns))
    if not done or done[0].row is None:
        taken = await Db(lambda s: writer.is_taken(s, timeweb_id))
        return _error(timeweb_id, "already_imported" if taken else "conflict")
    return ImportedServer(timeweb_id, done[0].row.id, done[0].name, linked=target is not None)


async def _write(writer: Writer, decision: Decision) -> list[Decision]:
    return await transaction(lambda s: writer.apply(s, [decision]))


def _target(
    values: HostingValues, snapshot: Snapshot, link: LinkPolicy | Mapping[int, int] | None
) -> StoredRow | ItemError | None:
    """The row to link to, None for a new one, or why neither is possible."""
    if isinstance(link, Mapping):
        if values.timeweb_id not in link:
            return None
        crm_id = link[values.timeweb_id]
        row = next((row for row in snapshot.unlinked if row.id == crm_id), None)
        return row or _error(values.timeweb_id, "conflict", refusals.no_row_to_link(crm_id))
    links = match([values], snapshot.unlinked, link or "ip")
    if values.timeweb_id in links.conflicts:
        return _error(values.timeweb_id, "conflict")
    return links.linked.get(values.timeweb_id)
