"""The emulator as an ASGI application."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import TYPE_CHECKING, Any, TypeAlias
from urllib.parse import parse_qsl

from timeweb_sdk.testing._http import Request

if TYPE_CHECKING:
    from timeweb_sdk.testing.emulator import Emulator

Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
ASGIApp: TypeAlias = Callable[[Message, Receive, Send], Awaitable[None]]


def application(emulator: Emulator) -> ASGIApp:
    """An application without startup work.

    ASGI has no way to close a connection without a reply: a fault that does raises, and servers answer 500 to that.
    """

    async def app(scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await _live(receive, send)
        elif scope["type"] == "http":
            await _serve(emulator, scope, receive, send)
        else:
            raise NotImplementedError(f"the emulator speaks HTTP, not {scope['type']}")

    return app


async def _live(receive: Receive, send: Send) -> None:
    while (message := await receive())["type"] != "lifespan.shutdown":
        await send({"type": f"{message['type']}.complete"})
    await send({"type": "lifespan.shutdown.complete"})


async def _serve(emulator: Emulator, scope: Message, receive: Receive, send: Send) -> None:
    response = emulator.handle(await _asked(scope, receive))
    if response.delay:
        await emulator.clock.asleep(response.delay)
    if response.delivery in ("never", "unreachable"):
        while (await receive())["type"] != "http.disconnect":
            pass
        return
    if response.delivery == "dropped":
        raise ConnectionAbortedError("a fault drops this connection")
    headers = [(name.encode(), value.encode("latin-1")) for name, value in response.headers.items()]
    if response.status != 204:
        headers.append((b"content-length", str(len(response.body)).encode()))
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    if response.delivery == "truncated":
        await send({"type": "http.response.body", "body": response.body[: len(response.body) // 2], "more_body": True})
        raise ConnectionAbortedError("a fault cuts this reply")
    await send({"type": "http.response.body", "body": response.body})


async def _asked(scope: Message, receive: Receive) -> Request:
    body = b""
    more = True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    path = scope.get("raw_path", b"").decode() or scope["path"]
    query = dict(parse_qsl(scope["query_string"].decode(), keep_blank_values=True))
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
    return Request(scope["method"], path.removeprefix(scope.get("root_path", "")), query, headers, body)
