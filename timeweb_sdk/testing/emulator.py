"""The emulator: one account of Timeweb Cloud that answers requests without any network."""

from __future__ import annotations

import json
import logging
import re
from collections import deque
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import replace
from hmac import compare_digest
from importlib import import_module
from random import Random
from threading import RLock
from typing import TYPE_CHECKING, Any, Literal, TypeAlias
from uuid import UUID

# The modules of handlers register what they handle when they are imported.
from timeweb_sdk.testing import (
    _addresses as _addresses,
    _disks,
    _domains as _domains,
    _firewall as _firewall,
    _images as _images,
    _keys as _keys,
    _kubernetes as _kubernetes,
    _listed as _listed,
    _mail as _mail,
    _payments as _payments,
    _projects as _projects,
    _routers as _routers,
    _servers,
    _store,
)
from timeweb_sdk.testing._account import Account, State, check_state, dump
from timeweb_sdk.testing._billing import charge, with_figures, without_figures
from timeweb_sdk.testing._call import HANDLERS, Answer, Call, Timings, check_handlers
from timeweb_sdk.testing._clock import Clock, RealClock
from timeweb_sdk.testing._collections import collections
from timeweb_sdk.testing._contract import Contract, Endpoint, contract
from timeweb_sdk.testing._control import control
from timeweb_sdk.testing._faults import Fault, Faults, profile
from timeweb_sdk.testing._generate import generator
from timeweb_sdk.testing._http import ApiError, Request, Response, edge_page, json_response
from timeweb_sdk.testing._limits import RateWindow
from timeweb_sdk.testing._validate import parse_body, parse_path, parse_query

if TYPE_CHECKING:
    from timeweb_sdk import AsyncTimeweb, Timeweb
    from timeweb_sdk.testing._asgi import ASGIApp
    from timeweb_sdk.testing._transport import EmulatorTransport

Library: TypeAlias = Literal["httpx", "httpx2"]
_HOST = "https://api.timeweb.cloud"

_log = logging.getLogger(__name__)
_REMEMBERED = 20_000
_RENAMED = {"/api/v1/k8s/k8s_versions": "/api/v1/k8s/k8s-versions"}
"""Paths of older contracts that are still answered: twc-cli 2.15.4 asks for this one."""
# Two paths that are near misses of real ones, and what they were seen to answer: yarponomarevdev/timeweb-api-chat @ 64cc464.
_SERVER_BACKUPS = re.compile(r"/api/v1/servers/\d+/backups")
_FINISH = {"server": _servers.finish, "backup": _disks.finish_backup, "settle": _store.settle}


class Emulator:
    """An emulated Timeweb Cloud account.

    state: a whole or partial state document (see `demo_state`); what it lacks has a default. It is copied.
    token: the bearer token that clients must send; None accepts any.
    clock: a `FakeClock` makes time stand still until it is advanced; by default time is real (and can be advanced too).
    rate_limit: refuse the 21st request within one second on one endpoint with 429.
    confirm_delete: deleting servers, databases and the like takes a hash and `confirmation_code`, as it does for an
    account with two factors.
    empty_401: answer a bad token with an empty body, as the API has been seen to do.
    max_limit: give no more items per page than this, whatever `limit` asks for.
    timings: how long installing and the like take on the clock.
    seed: fixes ids, passwords and the faults' dice.
    """

    def __init__(
        self,
        state: State | None = None,
        *,
        token: str | None = "emulator-token",
        clock: Clock | None = None,
        rate_limit: bool = True,
        confirm_delete: bool = False,
        confirmation_code: str = "123456",
        empty_401: bool = False,
        max_limit: int | None = None,
        timings: Timings | None = None,
        seed: int = 1,
    ) -> None:
        self.token = token
        self.clock: Clock = clock or RealClock()
        self.rate_limit = rate_limit
        self.confirm_delete = confirm_delete
        self.empty_401 = empty_401
        self.max_limit = max_limit
        self.timings: Timings = timings or Timings()
        self.account: Account = Account(without_figures(state or {}), self.clock, seed, name=token or "")
        self.account.confirmation_code = confirmation_code
        self.requests: deque[dict[str, Any]] = deque(maxlen=_REMEMBERED)
        self.host: str | None = None
        """The host name that a server was told to listen on; the control API answers to it."""
        self.lock: AbstractContextManager[bool] = RLock()
        self._faults = Faults(seed)
        self._window = RateWindow()
        self._ids = Random(seed)
        self._contract: Contract = contract()
        check_handlers(self._contract)

    # What a test asks of it

    @property
    def state(self) -> State:
        """The live state document; change it freely between requests."""
        return self.account.state

    def load(self, state: State) -> None:
        """Replace the state; raises ValueError when the document has another shape."""
        check_state(state)
        with self.lock:
            self.account.load(without_figures(json.loads(json.dumps(state))))

    def advance(self, seconds: float) -> None:
        """Move the account's clock ahead: installations finish, running services are charged."""
        with self.lock:
            self.clock.advance(seconds)
            self._settle()
            charge(self.account, seconds)

    def add_fault(self, fault: Mapping[str, Any] | None = None, /, **fields: Any) -> Fault:
        """Add one fault, e.g. `add_fault(operation="getServers", skip=1, times=2, status=429)`."""
        rule = Fault.parse({**(fault or {}), **fields})
        if rule.operation != "*" and rule.operation not in self._contract.endpoints:
            raise ValueError(f"no operation {rule.operation!r}: give an operation id such as 'getServers', or '*'")
        self._faults.rules.append(rule)
        return rule

    def add_profile(self, name: str) -> list[Fault]:
        """Add a ready set of faults; raises ValueError that lists the known names."""
        rules = profile(name)
        self._faults.rules += rules
        return rules

    @property
    def faults(self) -> list[Fault]:
        """The faults in force, oldest first; clear the list to end them."""
        return self._faults.rules

    def sample(self, schema: dict[str, Any]) -> Any:
        """A deterministic value of a schema of the contract, e.g. to make request bodies from."""
        return generator().sample(schema)

    # Clients

    def client(self, *, library: Library = "httpx", **options: Any) -> Timeweb:
        """A `Timeweb` whose calls end here. It takes the options of `Timeweb` and paces itself only if this emulator limits."""
        from timeweb_sdk import Timeweb

        return Timeweb(**self._options(options), http_client=self.http_client(library))

    def async_client(self, *, library: Library = "httpx", **options: Any) -> AsyncTimeweb:
        """An `AsyncTimeweb` whose calls end here; see `client`."""
        from timeweb_sdk import AsyncTimeweb

        return AsyncTimeweb(**self._options(options), http_client=self.async_http_client(library))

    def http_client(self, library: Library = "httpx") -> Any:
        """A bare `httpx.Client` (or one of httpx2) that reaches this emulator at any host name; it opens no socket."""
        return import_module(library).Client(transport=self.transport(), base_url=_HOST, trust_env=False)

    def async_http_client(self, library: Library = "httpx") -> Any:
        """A bare `httpx.AsyncClient` (or one of httpx2); see `http_client`."""
        return import_module(library).AsyncClient(transport=self.async_transport(), base_url=_HOST, trust_env=False)

    def transport(self) -> EmulatorTransport:
        """A transport for `httpx.Client` or `httpx2.Client`; it opens no socket."""
        from timeweb_sdk.testing._transport import EmulatorTransport

        return EmulatorTransport(self)

    def async_transport(self) -> EmulatorTransport:
        """A transport for `httpx.AsyncClient` or `httpx2.AsyncClient`; it opens no socket."""
        return self.transport()

    def asgi(self) -> ASGIApp:
        """An ASGI application, to mount into another one or to run by any ASGI server."""
        from timeweb_sdk.testing._asgi import application

        return application(self)

    def _options(self, options: dict[str, Any]) -> dict[str, Any]:
        from timeweb_sdk import RateLimit

        # Limits are shared by account within a process; two emulators must not slow each other down.
        ours = {"token": self.token or "any-token", "base_url": _HOST, "account": f"emulator-{id(self)}"}
        return {**ours, "rate_limit": RateLimit.documented() if self.rate_limit else RateLimit.off(), **options}

    # One request

    def handle(self, request: Request) -> Response:
        """Answer one request. Thread-safe; a delay or a broken delivery is only described in the reply, not performed."""
        if request.path.startswith("/_emulator"):
            with self.lock:
                return control(self, request)
        with self.lock:
            return self._handle(request)

    def _handle(self, request: Request) -> Response:
        response_id = self._response_id()
        record: dict[str, Any] = {
            "at": self.clock.monotonic(),
            "operation": None,
            "method": request.method,
            "path": request.path,
            "query": dict(request.query),
            "headers": {name: value for name, value in request.headers.items() if name != "authorization"},
            "body": request.body,
            "response_id": response_id,
        }
        self.requests.append(record)
        found = self._contract.match(_RENAMED.get(request.path, request.path))
        if found is None:
            response = self._nowhere(request.path, response_id)
        else:
            endpoints, values = found
            endpoint = endpoints.get(request.method)
            if endpoint is None:
                error = ApiError(405, "method_not_allowed", f"Cannot {request.method} {request.path}")
                response = json_response(405, error.envelope(response_id)).with_headers({"allow": ", ".join(endpoints)})
            else:
                record["operation"] = endpoint.id
                response = self._serve(endpoint, values, request, response_id)
        record["status"] = response.status
        return response

    def _nowhere(self, path: str, response_id: str) -> Response:
        if path == "/api/v1/k8s/network_drivers":
            return self._error(ApiError(500, "internal_server_error", "Internal server error"), response_id)
        if _SERVER_BACKUPS.fullmatch(path):
            return edge_page(502, "Bad Gateway")
        return edge_page(404, "Not Found")

    def _serve(self, endpoint: Endpoint, values: list[str], request: Request, response_id: str) -> Response:
        if self.rate_limit and not self._window.admit(endpoint.id, self.clock.monotonic()):
            return self._error(ApiError(429, "too_many_requests", "Too many requests"), response_id)
        chosen = self._faults.choose(endpoint.id)
        if chosen is None:
            return self._answer(endpoint, values, request, response_id)
        fault, delay = chosen
        if fault.prevents:
            response = fault.instead(response_id, endpoint.success)
        else:
            if fault.kind == "page_drift":
                self._drift(endpoint, fault.shift)
            response = fault.spoil(self._answer(endpoint, values, request, response_id), fault.hits)
        return replace(response.with_headers(fault.headers), delay=delay)

    def _answer(self, endpoint: Endpoint, values: list[str], request: Request, response_id: str) -> Response:
        if not self._knows(request.headers.get("authorization", "")):
            return Response(401) if self.empty_401 else self._error(ApiError(401, "unauthorized", "Unauthorized"), response_id)
        try:
            self._settle()
            path = parse_path(self._contract, endpoint, values)
            query = parse_query(self._contract, endpoint, request)
            body = parse_body(self._contract, endpoint, request)
            answer = self._perform(endpoint, path, query, body)
        except ApiError as error:
            return self._error(error, response_id)
        except Exception as error:
            # A state of one's own may be odd enough to trip a handler; a client must see a reply all the same.
            _log.exception("%s failed on this state", endpoint.id)
            return self._error(ApiError(500, "internal_server_error", f"Internal server error: {error!r}"), response_id)
        if isinstance(answer, Response):
            return answer
        status = answer.status if isinstance(answer, Answer) else endpoint.success
        payload = answer.payload if isinstance(answer, Answer) else answer
        if payload is None:
            return Response(status)
        return json_response(status, {**payload, "response_id": response_id})

    def _knows(self, authorization: str) -> bool:
        expected = None if self.token is None else f"Bearer {self.token}"
        return expected is None or compare_digest(authorization.encode(), expected.encode())

    def _perform(
        self, endpoint: Endpoint, path: dict[str, str], query: dict[str, str], body: Any
    ) -> dict[str, Any] | Answer | Response | None:
        call = Call(self.account, endpoint, path, query, body, self.timings, self.confirm_delete, self.max_limit)
        handler = HANDLERS.get(endpoint.id)
        if handler is not None:
            answer = handler(call)
            if endpoint.method != "GET":
                self.account.touch()
            return answer
        return _store.answer(call)

    # Inside

    def _settle(self) -> None:
        """Let what is due by now happen."""
        while due := self.account.take_due():
            for entry in due:
                _FINISH[entry["event"]](self.account, entry)
            self.account.touch()

    def _drift(self, endpoint: Endpoint, shift: int) -> None:
        route = collections().routes[endpoint.id]
        key = route.collection.key if route.collection else None
        items: list[dict[str, Any]] = self.account.state.get(key or "", [])
        if shift < 0:
            del items[:-shift]
        for _ in range(shift):
            items.insert(0, {**items[0], "id": self.account.new_id(str(key))})
        self.account.touch()

    def _response_id(self) -> str:
        return str(UUID(int=self._ids.getrandbits(128), version=4))

    @staticmethod
    def _error(error: ApiError, response_id: str) -> Response:
        return json_response(error.status, error.envelope(response_id))

    def dump(self) -> str:
        """The state as JSON text."""
        with self.lock:
            return dump(with_figures(self.account))
