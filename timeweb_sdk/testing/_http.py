"""What goes into the emulator and what comes out of it, free of any HTTP library."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

Delivery = Literal["whole", "truncated", "dropped", "never", "unreachable"]
"""How the front end must hand a reply over.

As it is, cut in the middle, connection closed without a byte, not at all, or as if no connection came about (which only
the transports in process can do; on a socket it is `never`).
"""


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request; header names are lower-cased, `path` carries no query."""

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict[str, str])
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    body: bytes = b""

    def __post_init__(self) -> None:
        object.__setattr__(self, "headers", {name.lower(): value for name, value in self.headers.items()})


@dataclass(frozen=True, slots=True)
class Response:
    """One HTTP reply, plus what a fault asks the front end to do with it: wait `delay` seconds, then deliver so."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    body: bytes = b""
    delay: float = 0.0
    delivery: Delivery = "whole"

    def json(self) -> Any:
        """The decoded body; raises `json.JSONDecodeError` when it is not JSON."""
        return json.loads(self.body)

    def with_headers(self, headers: Mapping[str, str]) -> Response:
        return replace(self, headers={**self.headers, **{name.lower(): value for name, value in headers.items()}})


class ApiError(Exception):
    """An error reply in the making: status, `error_code`, `message` (one text or a list of texts), extra envelope keys."""

    def __init__(self, status: int, code: str, message: str | list[str], **extra: Any) -> None:
        super().__init__(f"{status} {code}: {message}")
        self.status = status
        self.code = code
        self.message = message
        self.extra = extra

    def envelope(self, response_id: str) -> dict[str, Any]:
        return {
            "status_code": self.status,
            "error_code": self.code,
            "message": self.message,
            **self.extra,
            "response_id": response_id,
        }


def not_found(what: str = "Resource") -> ApiError:
    return ApiError(404, "not_found", f"{what} not found")


def bad_request(message: str | list[str], code: str = "bad_request") -> ApiError:
    return ApiError(400, code, message)


def conflict(message: str, code: str = "conflict") -> ApiError:
    return ApiError(409, code, message)


def json_response(status: int, payload: Any) -> Response:
    body = json.dumps(payload, ensure_ascii=False, separators=(",", ":")).encode()
    return Response(status, {"content-type": "application/json; charset=utf-8"}, body)


def edge_page(status: int, title: str) -> Response:
    """The HTML page that a proxy in front of the API answers with."""
    page = f"<html><head><title>{status} {title}</title></head><body><center><h1>{status} {title}</h1></center></body></html>"
    return Response(status, {"content-type": "text/html"}, page.encode())
