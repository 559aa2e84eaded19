"""Calls that are made while the interpreter ends: threads cannot be started any more, then nothing can be imported."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.sdk.stub_server import StubServer

SHUTDOWN = """
import asyncio, atexit, os, sys, threading, time
from timeweb_sdk import AsyncTimeweb, Rate, RateLimit, RedisStore, Timeweb, TimewebError
url, store = sys.argv[1], RedisStore(sys.argv[2], prefix=sys.argv[3]) if sys.argv[2] else None
limit = RateLimit(Rate(2, 0.1), Rate(2, 0.1), store)
def late():
    Timeweb("token-a", base_url=url, rate_limit=limit, total_timeout=30).request("GET", "/x")
    print("sync", flush=True)
    async def main():
        async with AsyncTimeweb("token-a", base_url=url, rate_limit=limit, total_timeout=30) as tw:
            try:
                await tw.request("GET", "/x")
            except TimewebError:
                pass
        print("async", flush=True)  # in here: Python 3.12.1 cannot close a loop that late
    asyncio.run(main())
    sys.modules.pop("timeweb_sdk._core.retry", None)  # the call that hangs may have loaded it
atexit.register(late)
class Last:
    tw = Timeweb("token-a", base_url="http://127.0.0.1:1", rate_limit=limit)
    def __del__(self, kind=TimewebError, write=os.write):
        try:
            self.tw.request("GET", "/x")
        except kind:
            write(1, b"last")
sys.modules["last"] = Last()
hanging = Timeweb("token-a", base_url=url + "/hang", rate_limit=limit, total_timeout=1)
threading.Thread(target=hanging.request, args=("GET", "/x"), daemon=True).start()
time.sleep(0.3)
"""


@pytest.mark.parametrize("shared", [False, True])
def test_calls_at_the_end_of_the_interpreter(shared: bool, server: StubServer, redis_url: str) -> None:
    store = [redis_url, f"test-{os.getpid()}"] if shared else ["", ""]
    done = subprocess.run(
        [sys.executable, "-c", SHUTDOWN, server.url, *store], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout.split()) == (0, ["sync", "async", "last"]), done.stderr
