"""Arrivals a second at one address: accounts in worker processes that ask as fast as the CRM's own pace lets them.

They share the pace through the Redis of `TEST_REDIS_URL`.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import secrets
import threading
import time
from multiprocessing.synchronize import Barrier

from crm_adapter.settings import Settings
from crm_adapter.wiring import address_rate
from tests.sdk.stub_server import StubServer
from timeweb_sdk import RateLimit, RedisStore, Timeweb
from timeweb_sdk.errors import DeadlineExceeded

REDIS = os.environ.get("TEST_REDIS_URL", "redis://127.0.0.1:6379/0")
SECONDS = 8.0
ACCOUNTS, WORKERS = (1, 10, 100), (1, 4)
WARM = "/warm"


def _ask(url: str, prefix: str, tokens: list[str], begin: Barrier) -> None:
    """One worker: a thread for each of its accounts."""
    rate = address_rate(Settings.model_validate({}))
    limit = RateLimit.gentle().with_address(rate).with_store(RedisStore(REDIS, prefix=prefix))

    def account(token: str) -> None:
        with Timeweb(token, base_url=url, rate_limit=limit, total_timeout=SECONDS * 2) as tw:
            while time.monotonic() < end:
                try:
                    tw.request("GET", "/x")
                except DeadlineExceeded:
                    return  # its turn does not come

    threads = [threading.Thread(target=account, args=(token,), daemon=True) for token in tokens]
    # What a process loads for its first call would hold a slot for seconds on a busy machine.
    with Timeweb("warm", base_url=url, rate_limit=RateLimit.off()) as tw:
        tw.request("GET", WARM)
    begin.wait(120)
    end = time.monotonic() + SECONDS
    for thread in threads:
        thread.start()
    time.sleep(SECONDS)


def measured(accounts: int, workers: int) -> tuple[float, int]:
    """Arrivals a second, and the most in one second."""
    context, prefix = multiprocessing.get_context("spawn"), f"bench-{secrets.token_hex(6)}"
    tokens = [f"token-{number}" for number in range(accounts)]
    with contextlib.closing(StubServer()) as server:
        begin = context.Barrier(workers)
        asking = [
            context.Process(target=_ask, args=(server.url, prefix, tokens[number::workers], begin)) for number in range(workers)
        ]
        for process in asking:
            process.start()
        for process in asking:
            process.join(180)
        moments = sorted(arrival.at for arrival in server.arrivals if arrival.target != WARM)
    moments = [moment for moment in moments if moment <= moments[0] + SECONDS]
    most = max(sum(start <= moment < start + 1 for moment in moments) for start in moments)
    return len(moments) / SECONDS, most


def main() -> None:
    """Print the table."""
    print("## Arrivals at one address\n")
    print("| accounts | workers | a second | most in a second |\n|--:|--:|--:|--:|")
    for accounts in ACCOUNTS:
        for workers in WORKERS:
            pace, most = measured(accounts, workers)
            print(f"| {accounts} | {workers} | {pace:.1f} | {most} |", flush=True)


if __name__ == "__main__":
    main()
