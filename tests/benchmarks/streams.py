"""What a large file costs on its way: memory, time, and how long the event loop stands still.

Each measure runs in a process of its own, against a server in another that reads and writes zeros as fast as it can.
`BENCH_STREAM_MB` sets the size (2,000 unless set).
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import httpx

from timeweb_sdk import AsyncTimeweb, RateLimit, Timeweb

SIZE = int(os.environ.get("BENCH_STREAM_MB", "2000")) * 1_000_000
PIECE = bytes(1 << 18)
MEASURES = {
    "upload, httpx with a file": "bare_upload",
    "upload, sync": "upload",
    "upload, async": "aupload",
    "download, httpx to a file": "bare_download",
    "download, sync": "download",
    "download, async": "adownload",
}


def main() -> None:
    """Print one Markdown section."""
    print("## Large files\n")
    print(f"{SIZE / 1e6:,.0f} MB to and from a disk; memory is what the process has more at its peak than before the call.\n")
    print("| what | time | memory | longest turn of the loop | of that computing | budget |\n|---|---:|---:|---:|---:|---|")
    command = [sys.executable, "-m", "tests.benchmarks.streams"]
    with tempfile.TemporaryDirectory() as directory, subprocess.Popen([*command, "serve"], stdout=subprocess.PIPE) as server:
        assert server.stdout
        url = f"http://127.0.0.1:{int(server.stdout.readline())}"
        file = Path(directory, "disk.img")
        with file.open("wb") as writer:
            writer.truncate(SIZE)
        for what, name in MEASURES.items():
            got = json.loads(subprocess.run([*command, name, url, file], stdout=subprocess.PIPE, check=True).stdout)
            turn, computing = (f"{seconds * 1e3:.0f} ms" if seconds else "" for seconds in got["stood"])
            budget = "" if "httpx" in what else "50 MB" + (", 50 ms" if turn else "")
            cells = (what, f"{got['seconds']:.1f} s", f"{got['memory'] / 1e6:.0f} MB", turn, computing, budget)
            print(f"| {' | '.join(cells)} |", flush=True)
        server.kill()


def serve() -> None:
    """Take any body, and answer GET with SIZE zeros."""
    listener = socket.create_server(("127.0.0.1", 0))
    print(listener.getsockname()[1], flush=True)
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=answer, args=(connection,), daemon=True).start()


def answer(connection: socket.socket) -> None:
    head, room = b"", memoryview(bytearray(1 << 18))
    while b"\r\n\r\n" not in head:
        head += connection.recv(1 << 16)
    head, _, body = head.partition(b"\r\n\r\n")
    lines = head.lower().split(b"\r\n")
    left = next((int(line.split(b":")[1]) for line in lines if line.startswith(b"content-length:")), 0) - len(body)
    while left > 0:
        left -= connection.recv_into(room)
    if head.startswith(b"GET"):
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/pdf\r\nContent-Length: %d\r\n\r\n" % SIZE)
        for begin in range(0, SIZE, len(PIECE)):
            connection.sendall(PIECE[: SIZE - begin])
    else:
        done = b'{"upload_successful": {"image_id": "i"}}'
        connection.sendall(
            b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(done) + done
        )
    connection.close()


def resident() -> int:
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")


class Watch(threading.Thread):
    """Looks at the memory of the process from beside, all the time."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.before = self.peak = resident()
        self.done = threading.Event()

    def run(self) -> None:
        while not self.done.wait(0.005):
            self.peak = max(self.peak, resident())


def measure(name: str, url: str, file: Path) -> dict[str, Any]:
    """Run one measure after a small call, which loads what is loaded once."""
    with Timeweb("t", base_url=url, rate_limit=RateLimit.off()) as tw:
        tw.images.upload("i", body=b"warm")
    target = file.with_name("download")
    stood = (0.0, 0.0)
    watch = Watch()
    watch.start()
    start = time.perf_counter()
    if name == "bare_upload":
        with file.open("rb") as body:
            httpx.post(f"{url}/x", content=body, timeout=60)
    elif name == "bare_download":
        with target.open("wb") as opened, httpx.stream("GET", f"{url}/x", timeout=60) as response:
            for piece in response.iter_bytes():
                opened.write(piece)
    elif name.startswith("a"):
        stood = asyncio.run(in_loop(name, url, file, target))
    else:
        with Timeweb("t", base_url=url, rate_limit=RateLimit.off()) as tw:
            if name == "upload":
                tw.images.upload("i", body=file)
            else:
                tw.cloud_ai.knowledge_bases.documents.download(1, 2, to=target)
    seconds = time.perf_counter() - start
    watch.done.set()
    assert "download" not in name or target.stat().st_size == SIZE
    return {"seconds": seconds, "memory": watch.peak - watch.before, "stood": stood}


async def in_loop(name: str, url: str, file: Path, target: Path) -> tuple[float, float]:
    """Return the longest that another task had to wait for its turn, and the longest that the loop computed meanwhile.

    On a machine with other things to do the first says more about those.
    """
    longest = computing = 0.0

    async def tick() -> None:
        nonlocal longest, computing
        while True:
            start, used = time.perf_counter(), time.thread_time()
            await asyncio.sleep(0.001)
            longest = max(longest, time.perf_counter() - start - 0.001)
            computing = max(computing, time.thread_time() - used)

    async with AsyncTimeweb("t", base_url=url, rate_limit=RateLimit.off()) as tw:
        ticking = asyncio.create_task(tick())
        if name == "aupload":
            await tw.images.upload("i", body=file)
        else:
            await tw.cloud_ai.knowledge_bases.documents.download(1, 2, to=target)
        ticking.cancel()
    return longest, computing


if __name__ == "__main__":
    if sys.argv[1:2] == ["serve"]:
        serve()
    elif sys.argv[1:]:
        print(json.dumps(measure(sys.argv[1], sys.argv[2], Path(sys.argv[3]))))
    else:
        main()
