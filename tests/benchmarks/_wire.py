"""A bare HTTP server with canned answers, in a process of its own, so that what is measured is the client.

`python -m tests.benchmarks._wire BODIES PER_SECOND LOW HIGH` serves the JSON object BODIES (path -> body) on a free port,
which it prints. It answers 429 to what would exceed PER_SECOND arrivals on one path in any second (0: to nothing);
`GET /refused` tells how many those were. Each way takes LOW to HIGH milliseconds, at random, as in a network.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
import time
from collections import defaultdict, deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from subprocess import PIPE, Popen

REFUSAL = b'{"status_code": 429, "error_code": "too_many_requests", "message": "Too many requests"}'


class Wire:
    """Answers GET by path; keeps connections open; knows as much of HTTP as the clients need."""

    def __init__(self, bodies: dict[str, str], per_second: int, delay: tuple[float, float]) -> None:
        self._bodies = {path: body.encode() for path, body in bodies.items()}
        self._per_second = per_second
        self._delay = delay
        self._recent: dict[str, deque[float]] = defaultdict(deque)
        self._refused = 0

    def answer(self, path: str) -> tuple[int, bytes]:
        if path == "/refused":
            return 200, str(self._refused).encode()
        if self._per_second:
            now, recent = time.monotonic(), self._recent[path]
            while recent and now - recent[0] >= 1:
                recent.popleft()
            if len(recent) >= self._per_second:
                self._refused += 1
                return 429, REFUSAL
            recent.append(now)
        body = self._bodies.get(path)
        return (200, body) if body is not None else (404, b"{}")

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                path = head.split(b" ", 2)[1].split(b"?")[0].decode()
                await self._travel()
                status, body = self.answer(path)
                await self._travel()
                reply = f"HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
                writer.write(reply.encode() + body)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def _travel(self) -> None:
        if self._delay != (0, 0):
            await asyncio.sleep(random.uniform(*self._delay) / 1000)


async def run(bodies: dict[str, str], per_second: int, delay: tuple[float, float]) -> None:
    wire = Wire(bodies, per_second, delay)
    server = await asyncio.start_server(wire.serve, "127.0.0.1", 0, backlog=512)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


@contextmanager
def serving(bodies: Path, per_second: int = 0, delay: tuple[float, float] = (0, 0)) -> Iterator[str]:
    """Run the server; yields its base URL. `delay` is the least and the most milliseconds of each way."""
    arguments = [str(bodies), str(per_second), *map(str, delay)]
    with Popen([sys.executable, "-m", "tests.benchmarks._wire", *arguments], stdout=PIPE, text=True) as process:
        assert process.stdout
        try:
            yield f"http://127.0.0.1:{process.stdout.readline().strip()}"
        finally:
            process.terminate()


if __name__ == "__main__":
    bodies, per_second, low, high = sys.argv[1:]
    asyncio.run(run(json.loads(Path(bodies).read_bytes()), int(per_second), (float(low), float(high))))
