"""What is asked of Timeweb, as flows: only GET, page by page, every failure turned into data."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from functools import partial
from io import BytesIO
from typing import Any, Final, TypeVar

from crm_adapter.narrow import is_series
from crm_adapter.packed import Packed, by_fields
from crm_adapter.payload import as_dict, as_int, as_text, plain
from crm_adapter.results import HostingValues, ServerProblem
from crm_adapter.steps import Api, Cpu, Flow
from crm_adapter.sync.costs import CostTable, Finances, read_costs, read_finances, read_presets
from crm_adapter.sync.longlist import LongList
from crm_adapter.sync.mapping import REMOVED_STATUS, map_server
from crm_adapter.sync.payloads import Payloads
from crm_adapter.telemetry import span
from crm_adapter.text import messages
from timeweb_sdk.errors import (
    ConfigurationError,
    DeadlineExceeded,
    DecodeError,
    EdgeError,
    ForbiddenError,
    NotFoundError,
    RateLimitError,
    ReadOnlyError,
    ServerError,
    TimewebError,
    TransportError,
    UnauthorizedError,
)
from timeweb_sdk.operations import OPERATIONS

T = TypeVar("T")

_COSTS: Final = OPERATIONS["getServicePrices"]
PAGE_SIZE: Final = 100
MAX_REMOVAL_CHECKS: Final = 20
"""A run asks for at most this many missing servers by id; the rest waits for the next run."""


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a call failed, as the run records it."""

    code: str
    retry_after: float | None = None


def failure_of(error: TimewebError) -> Failure:
    """Classify an error of the SDK; its text is never kept, because replies may echo secrets."""
    match error:
        case UnauthorizedError():
            return Failure("unauthorized")
        case RateLimitError():
            return Failure("rate_limited", getattr(error, "retry_after", None))
        case DeadlineExceeded() if (asked := getattr(error, "asked", None)) is not None:
            return Failure("rate_limited", asked)
        case ForbiddenError():
            return Failure("forbidden")
        case NotFoundError():
            return Failure("not_found")
        case ServerError():
            return Failure("upstream_unavailable", getattr(error, "retry_after", None))
        case TransportError() | DeadlineExceeded():
            return Failure("upstream_unavailable")
        case EdgeError() | DecodeError():
            return Failure("bad_response")
        case ReadOnlyError():
            return Failure("read_only")
        case ConfigurationError():
            return Failure("not_configured")
        case _:
            return Failure("upstream_unavailable")


class Caller:
    """Calls Timeweb as one account, counts the calls, and does what must come before each (renewing the lease)."""

    def __init__(self, account: str, before: Callable[[], Flow[None]] | None = None, token: str | None = None) -> None:
        self.account = account
        self.token = token
        """Fingerprint of the client's token."""
        self.calls = 0
        self._before = before

    async def call(self, request: Callable[[Any], T]) -> T:
        """One call; raises the SDK's errors."""
        if self._before is not None:
            await self._before()
        self.calls += 1
        return await Api(self.account, request)


async def try_call(caller: Caller, request: Callable[[Any], T]) -> tuple[T | None, Failure | None]:
    """One call with its failure as data."""
    try:
        return (await caller.call(request)), None
    except TimewebError as error:
        return None, failure_of(error)


def _items(reply: Any) -> list[Any]:
    """The items of a Page, or of a plain list."""
    return list(reply if is_series(reply) else reply.items)


@dataclass(frozen=True, slots=True)
class ServerListing:
    """All servers of an account, as far as they came."""

    servers: Packed[int, HostingValues]
    """By id, without `timeweb_data`, which is in `payloads`."""
    errors: tuple[ServerProblem, ...] = ()
    complete: bool = False
    """Unique ids equal the total, and no page told a smaller total than the one before it."""
    total: int | None = None
    failure: Failure | None = None
    payloads: Payloads = field(default_factory=Payloads)


async def identity(caller: Caller) -> tuple[str | None, Failure | None]:
    """Timeweb's own id of the account, from its projects; None where there is no project to read it from."""
    reply, failure = await try_call(caller, lambda tw: tw.projects.list())
    if reply is None:
        return None, failure
    ids: list[str] = []
    for item in _items(reply):
        try:
            project = plain(item)
        except TypeError:
            continue
        if account_id := as_text(project.get("account_id"), 100):
            if project.get("is_default") is True:
                return account_id, None
            ids.append(account_id)
    return (ids[0] if ids else None), None


async def list_servers(caller: Caller) -> ServerListing:
    """List by pages of 100; a listing that does not add up is made once more, then taken as incomplete."""
    payloads = Payloads()
    listing = await _walk(caller, payloads)
    if listing.complete or listing.failure or any(error.server_id is None for error in listing.errors):
        return listing
    again = await _walk(caller, payloads)
    if again.complete:
        return again
    listing.servers.update(again.servers)
    return replace(again, servers=listing.servers, complete=False)


async def _walk(caller: Caller, payloads: Payloads) -> ServerListing:
    servers: Packed[int, HostingValues] = by_fields(HostingValues)
    errors: dict[int | None, ServerProblem] = {}
    unreadable = offset = 0
    totals: list[int | None] = []
    while True:
        with span("page", account=caller.account, offset=offset):
            reply, failure = await try_call(caller, _page(offset))
        if reply is None:
            return ServerListing(servers, tuple(errors.values()), total=_grown(totals), failure=failure, payloads=payloads)
        items = _items(reply)
        latest = as_int(getattr(reply, "total", None))
        totals.append(latest)
        before = len(servers) + len(errors)
        for values in await Cpu(partial(_map_servers, items, payloads)):
            if isinstance(values, ServerProblem):
                unreadable += values.server_id is None
                errors[values.server_id] = values
            elif values.timeweb_id not in servers:
                servers[values.timeweb_id] = values
        # By what came, not by what was asked for: the API may cap the page.
        offset += len(items)
        # The newest total tells whether there is another page, also where it is not the first one's.
        if not items or len(servers) + len(errors) == before or (latest is not None and offset >= latest):
            break
    # A server that was born meanwhile is one more, and its id is among them; one that went may have moved another out of sight.
    total = _grown(totals)
    unique = len(servers) + len([error for error in errors if error is not None and error not in servers])
    # "No servers" in a reply that held no list at all is no news.
    hollow = not unique and getattr(reply, "complete", None) is False
    complete = total is not None and unique == total and not unreadable and not hollow
    return ServerListing(servers, tuple(errors.values()), complete=complete, total=total, payloads=payloads)


def _map_servers(items: Iterable[Any], payloads: Payloads) -> list[HostingValues | ServerProblem]:
    found: list[HostingValues | ServerProblem] = []
    for item in items:
        try:
            found.append(payloads.pack(map_server(item)))
        except (TypeError, ValueError, ArithmeticError, AttributeError, LookupError, RecursionError):
            found.append(_unreadable(item))
    return found


def _page(offset: int) -> Callable[[Any], Any]:
    def request(timeweb: Any) -> Any:
        return timeweb.servers.list(limit=PAGE_SIZE, offset=offset) if offset else timeweb.servers.list(limit=PAGE_SIZE)

    return request


def _grown(totals: Sequence[int | None]) -> int | None:
    """The newest total if the pages told one each and none told a smaller one than before."""
    told = [total for total in totals if total is not None]
    return told[-1] if told and len(told) == len(totals) and told == sorted(told) else None


def _unreadable(item: object) -> ServerProblem:
    try:
        data = plain(item)
    except (TypeError, RecursionError):
        data = {}
    server_id = as_int(data.get("id"))
    return ServerProblem(
        server_id, as_text(data.get("name"), 255), messages.failure_text("server_unreadable"), "server_unreadable"
    )


async def costs(caller: Caller) -> tuple[CostTable | None, Failure | None]:
    """The account's cost list.

    Timeweb sends it whole, however long it is. So it is taken as it came, and row by row what a plan needs is kept.
    """
    body = BytesIO()
    _, failure = await try_call(caller, lambda tw: tw.request("GET", _COSTS.path, to=body))
    if failure is not None:
        return None, failure
    try:
        return await Cpu(lambda: _read_costs(body)), None
    except (ValueError, RecursionError):
        return None, Failure("bad_response")


def _read_costs(body: BytesIO) -> CostTable:
    body.seek(0)
    rows = LongList(body, str(_COSTS.data_key))
    return read_costs(rows, lambda: as_int(as_dict(rows.rest.get("meta")).get("total")))


async def finances(caller: Caller) -> tuple[Finances | None, Failure | None]:
    """The account's finances."""
    reply, failure = await try_call(caller, lambda tw: tw.account.finances.get())
    if reply is None:
        return None, failure or Failure("bad_response")
    try:
        return read_finances(reply), None
    except TypeError:
        return None, Failure("bad_response")


async def presets(caller: Caller) -> tuple[dict[int, Decimal] | None, Failure | None]:
    """Prices of the presets on sale."""
    reply, failure = await try_call(caller, lambda tw: tw.presets.servers.list())
    return (None, failure) if reply is None else (read_presets(_items(reply)), None)


async def get_server(caller: Caller, timeweb_id: int) -> tuple[HostingValues | None, Failure | None]:
    """One server by id; a failure `not_found` is the API's own 404 and nothing else."""
    reply, failure = await try_call(caller, lambda tw: tw.servers.get(timeweb_id))
    if failure is not None or reply is None:
        return None, failure or Failure("bad_response")
    try:
        values = map_server(reply)
    except (TypeError, ValueError, ArithmeticError, AttributeError, LookupError, RecursionError):
        return None, Failure("server_unreadable")
    return (values, None) if values.timeweb_id == timeweb_id else (None, Failure("server_unreadable"))


@dataclass(frozen=True, slots=True)
class Removals:
    """What asking for missing servers by id told."""

    gone: frozenset[int]
    alive: frozenset[int]
    unclear: Mapping[int, Failure]
    """Servers whose answer says neither: an edge page, an unreadable reply."""
    failure: Failure | None = None
    """Why the rest was not asked for."""


async def confirm_removals(caller: Caller, timeweb_ids: Iterable[int]) -> Removals:
    """Ask for missing servers by id. Anything but the API's own 404 or status removed proves nothing."""
    gone: set[int] = set()
    alive: set[int] = set()
    unclear: dict[int, Failure] = {}
    for timeweb_id in list(timeweb_ids)[:MAX_REMOVAL_CHECKS]:
        values, failure = await get_server(caller, timeweb_id)
        if values is not None:
            (gone if values.timeweb_status == REMOVED_STATUS else alive).add(timeweb_id)
        elif failure is not None and failure.code == "not_found":
            gone.add(timeweb_id)
        elif failure is not None and failure.code in {"rate_limited", "upstream_unavailable", "unauthorized"}:
            return Removals(frozenset(gone), frozenset(alive), unclear, failure)
        elif failure is not None:
            unclear[timeweb_id] = failure
    return Removals(frozenset(gone), frozenset(alive), unclear)
