"""Addresses of the list: filters as the query string of the page, the API and the CSV, in either direction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from typing import Annotated, Any, Final, TypeVar
from urllib.parse import parse_qs, urlencode, urlsplit

from fastapi import Depends, Request

from crm_adapter.ledger import listing
from crm_adapter.ledger.listing import ServiceFilters
from crm_adapter.servers.listing import SORTS, VIEWS, Filters, ListFilters

T = TypeVar("T", bound=str)

_SHARED: Final = ("q", "project", "account", "client", "view", "sort", "desc", "page")
PARAMETERS: Final = ("status", *_SHARED)
"""What narrows and orders the list of servers."""
SERVICE_PARAMETERS: Final = ("type", *_SHARED)
"""The same of services."""
Values = dict[str, Any]


def shared(q: str = "", project: str = "", account: str = "", client: str = "", desc: str = "", page: str = "1") -> Values:
    """What narrows and orders any list; a value that makes no sense counts as none, since people edit addresses."""
    return {
        "search": _text(q, 200),
        "project": number(project),
        "account": _text(account, 100),
        "client": _text(client, 255),
        "descending": desc.lower() in {"1", "true"},
        "page": number(page) or 1,
    }


Shared = Annotated[Values, Depends(shared)]


def filters_of(values: Shared, status: str = "", view: str = "", sort: str = "attention") -> Filters:
    """Which rows an address shows."""
    return Filters(**values, status=_text(status, 20), view=_one_of(VIEWS, view, ""), sort=_one_of(SORTS, sort, "attention"))


def service_filters_of(values: Shared, type: str = "", view: str = "", sort: str = "attention") -> ServiceFilters:
    """Which services an address shows."""
    return ServiceFilters(
        **values,
        type=_text(type, 50),
        view=_one_of(listing.VIEWS, view, ""),
        sort=_one_of(listing.SORTS, sort, "attention"),
    )


def filters_behind(request: Request) -> Filters:
    """The filters of the page on which somebody works; none where the browser does not tell its address."""
    try:
        query = parse_qs(urlsplit(request.headers.get("hx-current-url", "")).query)
    except ValueError:
        query = {}
    given = {name: values[0] for name, values in query.items() if name in PARAMETERS}
    own = {name: given.pop(name) for name in ("status", "view", "sort") if name in given}
    return filters_of(shared(**given), **own)


def query(filters: ListFilters, **changed: Any) -> str:
    """The query string that leads to `filters`; defaults are left out."""
    values = {item.name: getattr(filters, item.name) for item in fields(filters)} | changed
    names = {"search": "q", "descending": "desc"}
    default = type(filters)()
    given = {
        names.get(name, name): int(value) if isinstance(value, bool) else value
        for name, value in values.items()
        if name != "size" and value != getattr(default, name)
    }
    return f"?{urlencode(given)}" if given else ""


def address(base: str, filters: ListFilters, **changed: Any) -> str:
    """Where the page shows `filters`, some of them changed."""
    return (base or "/") + query(filters, **changed)


def header(base: str, filters: ListFilters, key: str, caption: str, *, number: bool) -> dict[str, Any]:
    """The heading of a column that sorts the list, the other way round when it is clicked again."""
    active = bool(key) and filters.sort == key
    url = address(base, filters, sort=key, descending=active and not filters.descending, page=1) if key else None
    direction = ("descending" if filters.descending else "ascending") if active else None
    return {"key": key, "caption": caption, "number": number, "url": url, "direction": direction}


def _text(value: str, longest: int) -> str:
    return value[:longest].replace("\x00", "")


def _one_of(known: Sequence[T], value: str, default: T) -> T:
    return next((one for one in known if one == value), default)


def number(text: str) -> int | None:
    """An id in an address; None for what is none."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else None
