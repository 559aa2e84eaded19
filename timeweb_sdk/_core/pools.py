"""Connection pools for many asynchronous calls at once."""

from typing import Any


class Pools:
    """Several small connection pools in place of a large one, as a transport for httpx.

    The pool of httpx looks at every connection for every request under way, twice for each: with 20 in flight that
    takes most of the time. With several pools each request meets few others. (httpx2 has mended it.)
    """

    COUNT = 4

    def __init__(self, library: Any, **options: Any) -> None:
        self._pools = [library.AsyncHTTPTransport(**options) for _ in range(self.COUNT)]
        self._under_way = [0] * self.COUNT

    async def handle_async_request(self, request: Any) -> Any:
        # The first of the least busy ones, so that calls one after another keep to one connection.
        chosen = min(range(self.COUNT), key=self._under_way.__getitem__)
        self._under_way[chosen] += 1
        try:
            return await self._pools[chosen].handle_async_request(request)
        finally:
            self._under_way[chosen] -= 1

    async def __aenter__(self) -> "Pools":
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        for pool in self._pools:
            await pool.aclose()
