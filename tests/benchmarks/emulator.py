"""The emulator: one server asked for again and again, and a page out of 10,000. Exits 1 over budget."""

from __future__ import annotations

import http.client
import resource
import statistics
import sys
import time
from collections.abc import Callable

from timeweb_sdk.testing import Emulator, EmulatorServer, Request, demo_state

HEADERS = {"Authorization": "Bearer emulator-token"}
PER_SECOND, PAGE_MS, MEMORY_MB = 2000, 10, 200


def median_ms(action: Callable[[], object], rounds: int) -> float:
    """Median wall time of one call in milliseconds, after a warm-up."""
    for _ in range(max(rounds // 10, 1)):
        action()
    times: list[float] = []
    for _ in range(rounds):
        started = time.perf_counter()
        action()
        times.append(time.perf_counter() - started)
    return statistics.median(times) * 1000


def asker(emulator: Emulator, path: str, **query: str) -> Callable[[], object]:
    request = Request("GET", path, query, HEADERS)
    return lambda: emulator.handle(request)


def over_socket(emulator: Emulator, path: str, rounds: int) -> float:
    with EmulatorServer(emulator) as server:
        connection = http.client.HTTPConnection(server.url.removeprefix("http://"))

        def ask() -> None:
            connection.request("GET", path, headers=HEADERS)
            connection.getresponse().read()

        found = median_ms(ask, rounds)
        connection.close()
    return found


def main() -> int:
    small = Emulator(demo_state(), rate_limit=False)
    one = f"/api/v1/servers/{small.state['servers'][0]['id']}"
    with small.http_client() as client:
        through_httpx = median_ms(lambda: client.get(one, headers=HEADERS), 2000)
    with small.client() as tw:
        number = small.state["servers"][0]["id"]
        through_sdk = median_ms(lambda: tw.servers.get(number), 2000)
    in_process = median_ms(asker(small, one), 5000)
    socket = over_socket(small, one, 2000)

    large = Emulator(demo_state(10_000), rate_limit=False)
    page = median_ms(asker(large, "/api/v1/servers", offset="5000"), 100)
    costs = median_ms(asker(large, "/api/v1/account/services/cost"), 5)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024  # KB on Linux

    print("## Emulator\n")
    print("| what | ms | per second | budget |\n|---|---|---|---|")
    print(f"| one server, in process | {in_process:.3f} | {1000 / in_process:,.0f} | {PER_SECOND:,} a second |")
    for name, figure in (("httpx", through_httpx), ("the SDK", through_sdk), ("a socket, one connection", socket)):
        print(f"| one server through {name} | {figure:.3f} | {1000 / figure:,.0f} | |")
    print(f"| a page of 100 out of 10,000 | {page:.2f} | {1000 / page:,.0f} | {PAGE_MS} ms |")
    print(f"| 10,000 cost rows, computed | {costs:.0f} | {1000 / costs:,.1f} | |")
    print(f"\nThe process with 10,000 servers: {memory:.0f} MB at its peak (budget {MEMORY_MB}).")
    return 0 if 1000 / in_process >= PER_SECOND and page <= PAGE_MS and memory <= MEMORY_MB else 1


if __name__ == "__main__":
    sys.exit(main())
