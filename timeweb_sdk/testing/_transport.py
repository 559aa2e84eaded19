"""The emulator as an httpx transport: no socket, same replies, same faults. It serves httpx2 clients just as well."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

import httpx

from timeweb_sdk.testing._http import Request, Response

if TYPE_CHECKING:
    from timeweb_sdk.testing.emulator import Emulator

_FOREVER = 60.0
"""Seconds that a request without a read timeout waits for a reply that never comes."""


class EmulatorTransport(httpx.BaseTransport, httpx.AsyncBaseTransport):
    """Give it to `httpx.Client(transport=…)` or `httpx.AsyncClient(transport=…)`, or to those of httpx2."""

    def __init__(self, emulator: Emulator) -> None:
        self._emulator = emulator

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        response = self._emulator.handle(_asked(request, request.read()))
        late, seconds = _wait(request, response)
        if seconds:
            self._emulator.clock.sleep(seconds)
        return _reply(request, response, late=late, broken=_break_off)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        response = self._emulator.handle(_asked(request, await request.aread()))
        late, seconds = _wait(request, response)
        if seconds:
            await self._emulator.clock.asleep(seconds)
        return _reply(request, response, late=late, broken=_break_off_async)


def _asked(request: httpx.Request, body: bytes) -> Request:
    path, _, query = request.url.raw_path.decode().partition("?")
    return Request(request.method, path, dict(parse_qsl(query, keep_blank_values=True)), dict(request.headers), body)


def _wait(request: httpx.Request, response: Response) -> tuple[bool, float]:
    """Whether the caller loses patience, and the seconds that pass until the reply or until then."""
    timeouts: dict[str, float | None] = request.extensions.get("timeout", {})
    patience = timeouts.get("connect" if response.delivery == "unreachable" else "read")
    if response.delivery in ("never", "unreachable"):
        return True, _FOREVER if patience is None else patience
    if patience is not None and response.delay > patience:
        return True, patience
    return False, response.delay


def _reply(request: httpx.Request, response: Response, *, late: bool, broken: Any) -> httpx.Response:
    # A request of httpx2 wants the classes and exceptions of httpx2, which have the same names.
    library: Any = sys.modules[type(request).__module__.partition(".")[0]]
    if response.delivery == "unreachable":
        raise library.ConnectTimeout("the emulator does not let this client in", request=request)
    if late:
        raise library.ReadTimeout("the emulator did not answer in time", request=request)
    if response.delivery == "dropped":
        raise library.RemoteProtocolError("Server disconnected without sending a response.", request=request)
    headers = dict(response.headers)
    if response.status != 204:
        headers["content-length"] = str(len(response.body))
    if response.delivery == "truncated":
        error = library.RemoteProtocolError("peer closed connection without sending complete message body", request=request)
        half = response.body[: len(response.body) // 2]
        reply = library.Response(response.status, headers=headers, content=broken(half, error), request=request)
    else:
        reply = library.Response(response.status, headers=headers, stream=library.ByteStream(response.body), request=request)
    assert isinstance(reply, library.Response)
    return reply  # type: ignore[no-any-return]


def _break_off(body: bytes, error: Exception) -> Iterator[bytes]:
    yield body
    raise error


async def _break_off_async(body: bytes, error: Exception) -> AsyncIterator[bytes]:
    yield body
    raise error
