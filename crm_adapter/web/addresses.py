"""Addresses of the list: filters as the query string of the page, the API and the CSV, in either direction."""

from __future__ import annotations

from dataclasses import fields
from typing import Any, Final
from urllib.parse import parse_qs, urlencode, urlsplit

from fastapi import Request

from crm_adapter.ledger.listing import ServiceFilters
from crm_adapter.servers.listing import SORTS, VIEWS, Filters

PARAMETERS: Final = ("q", "status", "project", "account", "client", "view", "sort", "desc", "page")
"""What narrows and orders a list."""


def filters_of(
    q: str = "",
    status: str = "",
    project: str = "",
    account: str = "",
    client: str = "",
    view: str = "",
    sort: str = "attention",
    desc: str = "",
    page: str = "1",
) -> Filters:
    """Filters of the query string; a value that makes no sense counts as none, since people edit addresses."""
    return Filters(
        search=q[:200].replace("\x00", ""),
        status=status[:20].replace("\x00", ""),
        project=number(project),
        account=account[:100].replace("\x00", ""),
        client=client[:255].replace("\x00", ""),
        view=view if view in VIEWS else "",
        sort=sort if sort in SORTS else "attention",
        descending=desc.lower() in {"1", "true"},
        page=number(page) or 1,
    )


def filters_behind(request: Request) -> Filters:
    """The filters of the page on which somebody works; none where the browser does not tell its address."""
    try:
        query = parse_qs(urlsplit(request.headers.get("hx-current-url", "")).query)
    except ValueError:
        query = {}
    return filters_of(**{name: values[0] for name, values in query.items() if name in PARAMETERS})


def query(filters: Filters | ServiceFilters, **changed: Any) -> str:
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


def address(base: str, filters: Filters | ServiceFilters, **changed: Any) -> str:
    """Where the page shows `filters`, some of them changed."""
    return (base or "/") + query(filters, **changed)


def header(base: str, filters: Filters | ServiceFilters, key: str, caption: str, *, number: bool) -> dict[str, Any]:
    """The heading of a column that sorts the list, the other way round when it is clicked again."""
    active = bool(key) and filters.sort == key
    url = address(base, filters, sort=key, descending=active and not filters.descending, page=1) if key else None
    direction = ("descending" if filters.descending else "ascending") if active else None
    return {"key": key, "caption": caption, "number": number, "url": url, "direction": direction}


def number(text: str) -> int | None:
    """An id in an address; None for what is none."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else None
