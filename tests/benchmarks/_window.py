"""A server with a strict limit: at most 20 arrivals in any second; what arrives later is delayed as a network would.

`python -m tests.benchmarks._window LOW HIGH` prints its port. Each way takes LOW to HIGH milliseconds, at random.
`GET /refused` tells how many requests were answered 429.
"""

from __future__ import annotations

import asyncio
import random
import sys
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from subprocess import PIPE, Popen

LIMIT, WINDOW = 20, 1.0
BODY = b'{"server": {"id": 1}}'
REFUSAL = b'{"status_code": 429, "error_code": "too_many_requests", "message": "Too many requests"}'


class Window:
    def __init__(self, low: float, high: float) -> None:
        self._delay = (low / 1000, high / 1000)
        self._recent: deque[float] = deque()
        self._refused = 0

    def arrive(self) -> tuple[int, bytes]:
        now = time.monotonic()
        while self._recent and now - self._recent[0] >= WINDOW:
            self._recent.popleft()
        if len(self._recent) >= LIMIT:
            self._refused += 1
            return 429, REFUSAL
        self._recent.append(now)
        return 200, BODY

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                if b"/refused" in head.split(b"\r\n")[0]:
                    status, body = 200, str(self._refused).encode()
                else:
                    await asyncio.sleep(random.uniform(*self._delay))
                    status, body = self.arrive()
                    await asyncio.sleep(random.uniform(*self._delay))
                reply = f"HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
                writer.write(reply.encode() + body)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


async def run(low: float, high: float) -> None:
    server = await asyncio.start_server(Window(low, high).serve, "127.0.0.1", 0, backlog=512)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


@contextmanager
def serving(low: float, high: float) -> Iterator[str]:
    """Run the server; yields its base URL."""
    command = [sys.executable, "-m", "tests.benchmarks._window", str(low), str(high)]
    with Popen(command, stdout=PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield f"http://127.0.0.1:{process.stdout.readline().strip()}"
        finally:
            process.terminate()


if __name__ == "__main__":
    asyncio.run(run(float(sys.argv[1]), float(sys.argv[2])))
