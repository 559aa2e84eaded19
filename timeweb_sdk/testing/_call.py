"""What a stateful handler gets and how it is found."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

from timeweb_sdk.testing._account import Account, Item
from timeweb_sdk.testing._contract import Contract, Endpoint


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
UNCHECKED: list[tuple[str, tuple[str, ...], str]] = []
"""Of each handled operation the path parameters that its handler reads, and where that is."""


Register: TypeAlias = Callable[[Handler], Handler]


def handlers(*path_params: str) -> Callable[..., Register]:
    """A decorator for the handlers of one module, which read these path parameters: it registers what they answer to.

    `check_handlers` holds both against the contract, which is not read for an import alone.
    """

    def handles(*operations: str) -> Register:
        def register(handler: Handler) -> Handler:
            for operation in operations:
                UNCHECKED.append((operation, path_params, f"{handler.__module__}.{handler.__name__}"))
                HANDLERS[operation] = handler
            return handler

        return register

    return handles


def check_handlers(contract: Contract) -> None:
    """LookupError where the contract lacks a handled operation or calls a path parameter by another name; once per handler."""
    while UNCHECKED:
        _check(contract.endpoints, *UNCHECKED[-1])
        UNCHECKED.pop()


def _check(endpoints: dict[str, Endpoint], operation: str, known: tuple[str, ...], where: str) -> None:
    endpoint = endpoints.get(operation)
    if endpoint is None:
        raise LookupError(f"{where} handles {operation}, an operation that the contract does not have")
    for name in endpoint.path_params:
        if name not in known:
            raise LookupError(
                f"{where} handles {operation}, whose path is {endpoint.path}; of path parameters it knows {', '.join(known)}"
            )
