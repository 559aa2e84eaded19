"""What a stateful handler gets and how it is found."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

from timeweb_sdk.testing._account import Account, Item
from timeweb_sdk.testing._contract import Endpoint


@dataclass(frozen=True, slots=True)
class Timings:
    """How long work takes on the account's clock, in seconds; far shorter than in reality, so that examples do not drag."""

    install: float = 10.0
    action: float = 3.0
    backup: float = 5.0
    unpaid: float = 0.0
    """How long a new server says `no_paid` first, while its paid address is being added; the API has been seen to do so."""


@dataclass(frozen=True, slots=True)
class Call:
    """One request that passed the token, the limit and the contract."""

    account: Account
    endpoint: Endpoint
    path: dict[str, str]
    query: dict[str, str]
    body: Any
    timings: Timings
    confirm_delete: bool
    max_limit: int | None = None

    def page(self, key: str, items: list[Item]) -> dict[str, Any]:
        """A list envelope: 100 items from `offset` where the endpoint pages, else all of them."""
        if self.endpoint.paginated:
            limit, offset = int(self.query.get("limit", 100)), int(self.query.get("offset", 0))
            if self.max_limit is not None:
                limit = min(limit, self.max_limit)
            shown = items[offset : offset + limit]
        else:
            shown = items
        return {key: shown, "meta": {"total": len(items)}}


@dataclass(frozen=True, slots=True)
class Answer:
    """A success with a status other than the usual one of the endpoint."""

    status: int
    payload: dict[str, Any] | None


Handler: TypeAlias = Callable[[Call], dict[str, Any] | Answer | None]
HANDLERS: dict[str, Handler] = {}


def handles(*operations: str) -> Callable[[Handler], Handler]:
    """Register a function as the stateful answer to these operations."""

    def register(handler: Handler) -> Handler:
        for operation in operations:
            HANDLERS[operation] = handler
        return handler

    return register
