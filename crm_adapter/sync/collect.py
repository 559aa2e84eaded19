"""Everything one account's plan is made of: what Timeweb tells, beside what the database has."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import Final

from sqlalchemy.orm import Session

from crm_adapter.db.columns import Columns
from crm_adapter.db.rows import StoredRow
from crm_adapter.db.snapshot import Snapshot, read_places
from crm_adapter.db.tables import utcnow
from crm_adapter.packed import Packed
from crm_adapter.results import ReportWarning, ServerProblem
from crm_adapter.steps import Cpu, Db, transaction
from crm_adapter.sync import accounts, fetch
from crm_adapter.sync.accounts import AccountInfo
from crm_adapter.sync.costs import Discount, is_foreign, reconcile
from crm_adapter.sync.decisions import RunContext
from crm_adapter.sync.fetch import Caller, Failure
from crm_adapter.sync.mapping import REMOVED_STATUS
from crm_adapter.sync.planner import Fetched, Options, Whereabouts, needs_presets, removal_candidates
from crm_adapter.text import messages

_DAY: Final = timedelta(hours=24)
_HOUR: Final = timedelta(hours=1)
"""Another name that synced the same Timeweb account within this time is in use; an older one was renamed."""
_PASSING: Final = frozenset({"rate_limited", "upstream_unavailable", "bad_response"})
"""Failures after which an account may have its servers all the same."""
_GIVE_UP: Final = frozenset({"rate_limited", "upstream_unavailable", "unauthorized", "not_configured"})
"""Failures after which Timeweb is left alone for the rest of the account's part."""


@dataclass(frozen=True, slots=True)
class Scope:
    """What is read and by which context; `write` False: not even caches are saved."""

    columns: Columns
    options: Options
    write: bool = True


@dataclass(frozen=True, slots=True)
class Collected:
    """Everything an account's plan is made of."""

    fetched: Fetched
    snapshot: Snapshot
    info: AccountInfo
    context: RunContext
    caller: Caller | None = None


async def collect(caller: Caller, work: Scope, seen_ids: dict[str, str]) -> Collected:
    """Fetch one account: identity, servers, costs, finances, presets if needed."""
    account = caller.account
    now = utcnow()
    context = RunContext(account, now, work.columns.today(), lengths=work.columns.lengths)
    info, has_rows = await Db(lambda s: accounts.load_account(s, account, work.columns))

    def fatal(failure: Failure) -> Collected:
        return Collected(_kept_wait(_fatal(account, failure, caller.calls), info), Snapshot(), info, context)

    verified: str | None = None
    fresh = not _stale_identity(info, context, caller)
    if not fresh:
        verified, failure = await _identify(caller, info, has_rows, seen_ids, context, write=work.write)
        if failure is not None:
            return fatal(failure)
    elif info.account_id is not None and info.account_id in seen_ids:
        return fatal(Failure("duplicate_account"))
    account_id = verified or info.account_id
    if account_id is not None:
        seen_ids[account_id] = account
    listing = await fetch.list_servers(caller)
    if listing.failure is not None and not listing.servers:
        return fatal(listing.failure)
    if has_rows and await Db(lambda s: _looks_foreign(s, account, work.columns, listing)):
        if fresh:
            verified, failure = await _identify(caller, info, has_rows, {}, context, write=work.write)
            if failure is not None:
                return fatal(failure)
        # Servers that are all strangers, from a token that cannot say whose it is: nothing may be written.
        if verified is None and listing.servers:
            return fatal(Failure("identity_unknown"))
    fetched = Fetched(
        account,
        listing.servers,
        listing.payloads,
        listing.complete,
        listing.errors,
        error_code=listing.failure.code if listing.failure else None,
        retry_after=listing.failure.retry_after if listing.failure else None,
    )
    fetched = await _fetch_money(caller, fetched, info)
    # After the cost list, which takes much while it is read.
    snapshot = await Db(partial(read_rows_of, columns=work.columns, fetched=fetched))
    fetched, prices = await _fetch_presets(caller, fetched, info, snapshot, now, write=work.write)
    if not listing.complete and listing.failure is None:
        fetched = _warn(fetched, "incomplete_listing", partial="incomplete_listing" if not listing.errors else None)
    aliases = await Db(lambda s: accounts.same_identity(s, account_id))
    context = replace(
        context,
        factor=fetched.discount.factor,
        presets=prices,
        currency=fetched.finances.currency if fetched.finances else None,
        aliases=aliases,
    )
    return Collected(_kept_wait(replace(fetched, api_calls=caller.calls), info), snapshot, info, context, caller)


def read_rows_of(session: Session, columns: Columns, fetched: Fetched) -> Snapshot:
    """The rows that the account concerns: its own, those of servers that it lists, and of those that it is charged for.

    A server that is charged and not listed is a service only if it has no row.
    """
    charged = fetched.costs.servers if fetched.costs is not None else ()
    return read_places(session, columns, fetched.servers, account=fetched.account, beside=charged)


def forget(collected: Collected) -> None:
    """Let go of what is held for each server, in pieces: at once it would stop every other thread for as long as it takes."""
    fetched = collected.fetched
    for held in (fetched.servers, fetched.costs.servers if fetched.costs else None):
        if isinstance(held, Packed):
            held.clear()
    fetched.payloads.clear()
    forget_rows(collected.snapshot)


def forget_rows(snapshot: Snapshot) -> None:
    """The same of the rows alone, before they are read again."""
    if isinstance(snapshot.linked, Packed):
        snapshot.linked.clear()


async def confirm(collected: Collected, options: Options, known: Whereabouts) -> Collected:
    """Ask for the servers that no account shows by their ids; to be done when all accounts of the run are listed."""
    fetched, caller = collected.fetched, collected.caller
    candidates, suspicious = await Cpu(lambda: removal_candidates(fetched, collected.snapshot, options, known))
    if caller is None or not candidates or suspicious:
        return collected
    fetched = replace(await _confirm(caller, fetched, candidates), api_calls=caller.calls)
    return replace(collected, fetched=_kept_wait(fetched, collected.info))


class Listed:
    """Where servers are, as far as the accounts of a run have been listed."""

    def __init__(self) -> None:
        self._shown: dict[int, frozenset[str]] = {}
        self._complete: set[str] = set()
        self._dead: set[str] = set()

    def add(self, fetched: Fetched) -> None:
        """Take in what one account has shown."""
        if fetched.fatal:
            if fetched.error_code not in _PASSING:
                self._dead.add(fetched.account)
            return
        if fetched.complete:
            self._complete.add(fetched.account)
        alone = frozenset({fetched.account})
        for server in fetched.servers.values():
            if server.timeweb_status != REMOVED_STATUS:
                others = self._shown.get(server.timeweb_id)
                self._shown[server.timeweb_id] = alone if others is None else others | alone

    def whereabouts(self, in_use: Mapping[str, datetime | None], configured: Iterable[str]) -> Whereabouts:
        """The same beside what the latest runs of other accounts know."""
        alive = {account: listed_at for account, listed_at in in_use.items() if account not in self._dead}
        return Whereabouts(self._shown, frozenset(self._complete), alive, frozenset(configured))


def _stale_identity(info: AccountInfo, context: RunContext, caller: Caller) -> bool:
    if info.identity_checked_at is None or abs(context.now - info.identity_checked_at) > _DAY:
        return True
    return caller.token is not None and info.token_fingerprint is not None and caller.token != info.token_fingerprint


def _looks_foreign(session: Session, account: str, columns: Columns, listing: fetch.ServerListing) -> bool:
    """None of the account's rows is listed: the token may have been replaced within the day that identity is cached."""
    return accounts.shows_none_of_its_own(session, account, columns, listing.servers)


async def _identify(
    caller: Caller, info: AccountInfo, has_rows: bool, seen_ids: Mapping[str, str], context: RunContext, *, write: bool
) -> tuple[str | None, Failure | None]:
    """Whose token is it? A token of another account than the rows', or a second one of the same, is refused."""
    account = caller.account
    account_id, failure = await fetch.identity(caller)
    if failure is not None:
        # Not knowing is no mismatch: a token that may not read projects still lists its own servers.
        if failure.code in {"unauthorized", "rate_limited", "not_configured"}:
            return None, failure
        if failure.code != "forbidden":
            return None, None  # asked again at the next run
    if account_id is None:
        if write:
            await transaction(lambda s: accounts.save_account(s, account, {"identity_checked_at": context.now}))
        return None, None
    if info.account_id is not None and info.account_id != account_id and has_rows:
        return None, Failure("account_mismatch")
    twin = seen_ids.get(account_id)
    if twin is None and not has_rows:
        twin = await Db(lambda s: accounts.other_holder(s, account, account_id, context.now - _HOUR))
    if twin is not None:
        return None, Failure("duplicate_account")
    if write:
        values = {"account_id": account_id, "identity_checked_at": context.now}
        await transaction(lambda s: accounts.save_account(s, account, values))
    return account_id, None


async def _fetch_money(caller: Caller, fetched: Fetched, info: AccountInfo) -> Fetched:
    if fetched.error_code in _GIVE_UP:
        stored = reconcile(None, None, info.cost_basis, info.cost_factor)
        return replace(fetched, discount=stored)
    costs, failure = await fetch.costs(caller)
    if failure is not None:
        code = "cost_unavailable" if failure.code in {"forbidden", "not_found"} else failure.code
        fetched = _warn(fetched, "cost_unavailable", partial=code, retry_after=failure.retry_after)
    finances = None
    if fetched.error_code not in _GIVE_UP:
        finances, failure = await fetch.finances(caller)
        if failure is not None:
            code = "finances_unavailable" if failure.code in {"forbidden", "not_found"} else failure.code
            fetched = _warn(fetched, "finances_unavailable", partial=code, retry_after=failure.retry_after)
    discount: Discount = reconcile(costs, finances, info.cost_basis, info.cost_factor)
    if not discount.reconciled:
        fetched = _warn(fetched, "cost_unreconciled")
    if is_foreign(finances, info.currency):
        fetched, costs = _warn(replace(fetched, foreign=True), "foreign_currency"), None
    return replace(fetched, costs=costs, finances=finances, discount=discount)


async def _fetch_presets(
    caller: Caller, fetched: Fetched, info: AccountInfo, snapshot: Snapshot, now: datetime, *, write: bool
) -> tuple[Fetched, Mapping[int, Decimal]]:
    if fetched.foreign or not await Cpu(lambda: needs_presets(fetched, snapshot)):
        return fetched, {}
    if info.presets is not None and info.presets_at is not None and abs(now - info.presets_at) < _DAY:
        return fetched, info.presets
    if fetched.error_code in _GIVE_UP:
        return fetched, info.presets or {}
    prices, failure = await fetch.presets(caller)
    if prices is None:
        code = failure.code if failure else "bad_response"
        return _warn(fetched, "presets_unavailable", partial=code if code in _GIVE_UP else None), info.presets or {}
    if write:
        text = "{" + ",".join(f'"{key}":"{price}"' for key, price in prices.items()) + "}"
        await transaction(lambda s: accounts.save_account(s, caller.account, {"presets": text, "presets_at": now}))
    return fetched, prices


async def _confirm(caller: Caller, fetched: Fetched, candidates: Sequence[StoredRow]) -> Fetched:
    """Ask for missing servers by id; an answer that proves nothing is an item error, and its row stays as it is."""
    names = {row.timeweb_id: row.server_name for row in candidates if row.timeweb_id is not None}
    answers = await fetch.confirm_removals(caller, names)
    errors = [
        ServerProblem(timeweb_id, names[timeweb_id], messages.failure_text(failure.code), failure.code)
        for timeweb_id, failure in answers.unclear.items()
    ]
    return replace(
        fetched,
        gone=answers.gone,
        alive=answers.alive,
        errors=(*fetched.errors, *errors),
        error_code=fetched.error_code or (answers.failure.code if answers.failure else None),
        retry_after=fetched.retry_after or (answers.failure.retry_after if answers.failure else None),
    )


def _kept_wait(fetched: Fetched, info: AccountInfo) -> Fetched:
    """People are told the pause that will be kept, which is never shorter than the one that Timeweb asked for."""
    if fetched.error_code != "rate_limited":
        return fetched
    return replace(fetched, retry_after=accounts.retry_delay("rate_limited", info.failures, fetched.retry_after))


def _warn(fetched: Fetched, code: str, *, partial: str | None = None, retry_after: float | None = None) -> Fetched:
    """Add a warning; `partial` is the failure that it makes of the run if there is none yet."""
    return replace(
        fetched,
        warnings=(*fetched.warnings, ReportWarning(code, messages.failure_text(code), fetched.account)),
        error_code=fetched.error_code or partial,
        retry_after=fetched.retry_after or retry_after,
    )


def _fatal(account: str, failure: Failure, calls: int) -> Fetched:
    return Fetched(account, error_code=failure.code, retry_after=failure.retry_after, fatal=True, api_calls=calls)
