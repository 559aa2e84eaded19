"""Faults: what goes wrong, on which operation, after how many good replies and how often."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from math import inf
from random import Random
from typing import Any

from timeweb_sdk._core.guards import is_array, is_object
from timeweb_sdk.testing._http import Response, json_response

_KINDS = ("edge", "truncate", "hang", "ban", "malformed_item", "unknown_enum", "page_drift")
_REASONS = {404: "Not Found", 502: "Bad Gateway", 503: "Service Unavailable", 504: "Gateway Timeout"}
_CODES = {
    400: "bad_request",
    401: "unauthorized",
    403: "forbidden",
    404: "not_found",
    409: "conflict",
    423: "resource_locked",
    429: "too_many_requests",
    500: "internal_server_error",
}
_FIELDS = {
    "operation", "skip", "times", "status", "headers", "body", "delay_ms", "jitter_ms", "drop", "kind", "probability", "shift",
}  # fmt: skip


@dataclass(slots=True)
class Fault:
    """One rule. It passes `skip` matching requests, then acts on `times` of them (None: on all that follow).

    operation: an operation id or `*` for all. status, headers, body: the reply to give instead (a body of str is sent as it
    stands, anything else as JSON; without a body the API's error envelope). delay_ms, jitter_ms: wait before the reply.
    drop: close the connection `before` or `after` the request took effect. probability: act on this share of the matching
    requests only. kind: `edge` (an HTML page from a proxy), `truncate`, `hang` (no reply), `ban` (no connection; on a
    socket like `hang`), `malformed_item`, `unknown_enum`, `page_drift` (lists move by `shift` items between pages: below
    zero items vanish, above zero items appear).
    """

    operation: str = "*"
    skip: int = 0
    times: int | None = None
    status: int | None = None
    headers: dict[str, str] = field(default_factory=dict[str, str])
    body: Any = None
    delay_ms: float = 0
    jitter_ms: float = 0
    drop: str | None = None
    kind: str | None = None
    probability: float = 1.0
    shift: int = -1
    hits: int = 0

    @classmethod
    def parse(cls, raw: Any) -> Fault:
        """A fault from JSON; raises ValueError naming what is not understood."""
        if not is_object(raw):
            raise ValueError(f"a fault must be an object, not {type(raw).__name__}")
        unknown = sorted(raw.keys() - _FIELDS)
        if unknown:
            raise ValueError(f"unknown fault field {unknown[0]!r}; known: {', '.join(sorted(_FIELDS))}")
        for name in ("skip", "times", "status", "shift"):
            value = raw.get(name, 0)
            if value is None and name in ("times", "status"):
                continue
            if isinstance(value, bool) or not isinstance(value, int):
                raise ValueError(f"{name} must be a whole number, not {value!r}")
            if value < 0 and name in ("skip", "times"):
                raise ValueError(f"{name} must not be negative, but is {value!r}")
        for name in ("delay_ms", "jitter_ms", "probability"):
            value = raw.get(name, 0)
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < inf:
                raise ValueError(f"{name} must be a number that is not negative, not {value!r}")
        if raw.get("probability", 1) > 1:
            raise ValueError(f"probability must be between 0 and 1, not {raw['probability']!r}")
        status = raw.get("status")
        if status is not None and not 200 <= status <= 599:
            raise ValueError(f"status must be the HTTP status of a reply, 200 to 599, not {status!r}")
        headers: Any = raw.get("headers") or {}
        if not is_object(headers) or not all(_is_header(name, value) for name, value in headers.items()):
            raise ValueError(f"headers must be an object of texts in Latin-1, each of one line, not {headers!r}")
        fault = cls(**raw)
        fault.headers = {str(name): str(value) for name, value in headers.items()}
        if fault.drop not in (None, "before", "after"):
            raise ValueError(f"drop must be 'before' or 'after', not {fault.drop!r}")
        if fault.kind not in (None, *_KINDS):
            raise ValueError(f"kind must be one of {', '.join(_KINDS)}, not {fault.kind!r}")
        return fault

    def as_dict(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in (*sorted(_FIELDS), "hits")}

    @property
    def prevents(self) -> bool:
        """Whether the request must not reach the account."""
        if self.drop == "after":
            return False
        return self.drop == "before" or self.status is not None or self.body is not None or self.kind in ("edge", "hang", "ban")

    def instead(self, response_id: str, success: int) -> Response:
        """The reply in place of the account's."""
        if self.drop == "before":
            return Response(0, delivery="dropped")
        if self.kind == "hang":
            return Response(0, delivery="never")
        if self.kind == "ban":
            return Response(0, delivery="unreachable")
        if self.kind == "edge":
            return _edge(self.status or 502)
        status = self.status or success
        if isinstance(self.body, str):
            kind = "text/html" if self.body.lstrip().startswith("<") else "application/json"
            return Response(status, {"content-type": kind}, self.body.encode())
        if self.body is not None:
            return json_response(status, self.body)
        if status in (204, 304):
            return Response(status)
        code = _CODES.get(status, "error")
        message = code.replace("_", " ").capitalize()
        return json_response(
            status, {"status_code": status, "error_code": code, "message": message, "response_id": response_id}
        )

    def spoil(self, response: Response, seed: int) -> Response:
        """The account's reply after this fault had its way with it."""
        if self.drop == "after":
            return Response(0, delivery="dropped")
        if self.kind == "truncate":
            return Response(response.status, response.headers, response.body, response.delay, "truncated")
        if self.kind in ("malformed_item", "unknown_enum"):
            return _damage(response, self.kind, seed)
        return response


class Faults:
    """The rules in force, in the order in which they came; the first that acts wins."""

    def __init__(self, seed: int) -> None:
        self.rules: list[Fault] = []
        self._random = Random(seed)

    def choose(self, operation: str) -> tuple[Fault, float] | None:
        """The fault for this request with the seconds to wait, if any; counts it."""
        for fault in self.rules:
            if fault.operation not in ("*", operation) or fault.times == 0:
                continue
            if fault.probability < 1 and self._random.random() >= fault.probability:
                continue
            if fault.skip > 0:
                fault.skip -= 1
                continue
            if fault.times is not None:
                fault.times -= 1
            fault.hits += 1
            return fault, (fault.delay_ms + self._random.uniform(0, fault.jitter_ms)) / 1000
        return None


def _is_header(name: Any, value: Any) -> bool:
    text = f"{name}{value}"
    return isinstance(value, (str, int)) and bool(name) and max(map(ord, text)) < 256 and not {"\r", "\n", "\0"} & {*text}


def _edge(status: int) -> Response:
    title = _REASONS.get(status, "Error")
    page = f"<html>\r\n<head><title>{status} {title}</title></head>\r\n<body>\r\n<center><h1>{status} {title}</h1></center>\r\n"
    return Response(status, {"content-type": "text/html"}, (page + "</body>\r\n</html>\r\n").encode())


def _damage(response: Response, kind: str, seed: int) -> Response:
    """Break one item of a list (or the one object): a wrong type, or a status nobody has heard of."""
    if response.status >= 300 or not response.body:
        return response
    payload = json.loads(response.body)
    for value in payload.values():
        items = [item for item in value if is_object(item)] if is_array(value) else []
        item = items[seed % len(items)] if items else value if is_object(value) and "total" not in value else None
        if item is None:
            continue
        if kind == "unknown_enum":
            item["status"] = "moonlit"
        else:
            key = next((name for name in ("cpu", "ram", "price", "cost", "size", "id") if name in item), next(iter(item), "id"))
            item[key] = {"unexpected": "object"}
        break
    return json_response(response.status, payload)


PROFILES: dict[str, list[dict[str, Any]]] = {
    "429-storm": [{"probability": 0.5, "status": 429, "headers": {"Retry-After": "1"}}],
    "slow": [{"delay_ms": 300, "jitter_ms": 700}],
    "edge": [
        {"probability": 0.1, "kind": "edge", "status": 404},
        {"probability": 0.1, "kind": "edge", "status": 502},
    ],
    "flaky": [
        {"probability": 0.05, "drop": "before"},
        {"probability": 0.05, "drop": "after"},
        {"probability": 0.05, "kind": "truncate"},
    ],
    "odd-data": [
        {"probability": 0.3, "kind": "malformed_item"},
        {"probability": 0.3, "kind": "unknown_enum"},
    ],
    "drift": [{"operation": "getServers", "skip": 1, "kind": "page_drift"}],
    "ban": [{"skip": 20, "kind": "ban"}],
}
"""Ready sets of faults, by name."""


def profile(name: str) -> list[Fault]:
    """Fresh faults of a profile; raises ValueError naming the known ones."""
    if name not in PROFILES:
        raise ValueError(f"unknown fault profile {name!r}; known: {', '.join(PROFILES)}")
    return [Fault.parse(dict(rule)) for rule in PROFILES[name]]
