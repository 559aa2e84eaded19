"""Ours beside other clients of Timeweb and beside what it is built on.

The other clients need httpx 0.23 and pydantic 1, so they live in a virtual environment of their own: `nox -s bench` makes
it and passes its interpreter in TIMEWEB_FOREIGN_PYTHON. BENCH_OFFICIAL_SDK may name a checkout of the vendor's SDK.
"""

from __future__ import annotations

import copy
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.benchmarks._probe import ODD_CASES, SERVER
from tests.benchmarks._wire import serving
from timeweb_sdk.testing import demo_state

PROBE = Path(__file__).with_name("_probe.py")
FOREIGN = {"timeweb-cloud", "twc-cli", "official"}
ROUNDS = 3


def chosen() -> list[str]:
    """The clients that can be measured here."""
    names = ["httpx", "httpx2", "ours", "ours on httpx2"]
    if "TIMEWEB_FOREIGN_PYTHON" in os.environ:
        names += ["timeweb-cloud", "twc-cli"]
        names += ["official"] if "BENCH_OFFICIAL_SDK" in os.environ else []
    return names


def probe(client: str, measure: str, url: str) -> Any:
    """Run one measure of one client in a fresh process; None if the client cannot do it at all."""
    python = os.environ["TIMEWEB_FOREIGN_PYTHON"] if client in FOREIGN else sys.executable
    environment = {**os.environ, "PYTHONPATH": os.environ.get("BENCH_OFFICIAL_SDK", "") if client == "official" else ""}
    done = subprocess.run(
        [python, str(PROBE), client, measure, url], env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode == 0:
        return json.loads(done.stdout)
    print(f"{client}, {measure}: {done.stderr.strip().splitlines()[-1]}", file=sys.stderr)
    return None


def sample() -> dict[str, Any]:
    """One server as the live API is modelled: without what only the vendor's contract has."""
    return {**demo_state()["servers"][0], "id": SERVER}


def odd_lists() -> Iterator[list[dict[str, Any]]]:
    """Three servers of which the second is odd, in each of the ways that were seen or are to be expected."""

    def at(*path: str | int, value: Any) -> Callable[[dict[str, Any]], None]:
        def put(server: Any) -> None:
            for key in path[:-1]:
                server = server[key]
            server[path[-1]] = value

        return put

    def without(key: str) -> Callable[[dict[str, Any]], None]:
        return lambda server: server.pop(key)

    changes = [
        at("status", value="hibernating"),
        at("location", value="ru-9"),
        at("availability_zone", value="spb-77"),
        at("boot_mode", value="netboot"),
        at("disks", 0, "type", value="optane"),
        at("networks", 0, "ips", 0, "type", value="ipv_4"),
        at("os", value=None),
        at("comment", value=None),
        at("disks", 0, "used", value=None),
        at("created_at", value="23.11.2026 10:00"),
        at("id", value=float(SERVER + 1)),
        at("preset_id", value="2453"),
        at("cpu", value="2"),
        at("brand_new", value={"deep": [1, None]}),
        without("networks"),
        without("root_pass"),
        without("is_ddos_guard"),
    ]
    assert len(changes) == ODD_CASES
    for change in changes:
        servers = [{**copy.deepcopy(sample()), "id": SERVER + number} for number in range(3)]
        change(servers[1])
        yield servers


def bodies() -> dict[str, str]:
    """What the wire answers, by path."""

    def listing(servers: list[dict[str, Any]]) -> str:
        return json.dumps({"servers": servers, "meta": {"total": len(servers)}, "response_id": None})

    thousand = [{**sample(), "id": SERVER + number} for number in range(1000)]
    answers = {
        "/api/v1/servers": listing(thousand),
        f"/api/v1/servers/{SERVER}": json.dumps({"server": sample(), "response_id": None}),
    }
    return answers | {f"/odd/{case}/api/v1/servers": listing(servers) for case, servers in enumerate(odd_lists())}


@contextmanager
def wire(per_second: int = 0) -> Iterator[str]:
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory, "bodies.json")
        file.write_text(json.dumps(bodies()), encoding="utf-8")
        with serving(file, per_second) as url:
            yield url


def medians(client_names: list[str], measure: str, url: str) -> dict[str, Any]:
    """Measure all clients in turns and take the median of each, so that a busy moment hits all alike."""
    results: dict[str, list[Any]] = {name: [] for name in client_names}
    for _ in range(ROUNDS):
        for name in client_names:
            results[name].append(probe(name, measure, url))
    return {name: median([each for each in values if each is not None]) for name, values in results.items()}


def median(values: list[Any]) -> Any:
    if not values:
        return None
    if isinstance(values[0], dict):
        return {key: statistics.median(each[key] for each in values) for key in values[0]}
    return statistics.median(values)


def cell(value: float | None, unit: str, base: float | None = None, digits: int = 0) -> str:
    """A figure, with its ratio to the base where there is one."""
    if value is None:
        return "–"
    ratio = f" ({value / base:.2f} x)" if base else ""
    return f"{value:,.{digits}f}{unit}{ratio}"


def main() -> None:
    """Print one Markdown section."""
    names = chosen()
    with wire() as url:
        startup = medians([name for name in names if name != "ours on httpx2"], "startup", url)
        calls, lists, alone, together = (medians(names, each, url) for each in ("calls", "lists", "alone", "together"))
        odd = {name: probe(name, "odd", url) for name in names}
    limited: dict[str, Any] = {}
    for name in names:
        if "httpx2" not in name:
            with wire(per_second=20) as url:
                limited[name] = probe(name, "saturation", url)

    def of(results: dict[str, Any], name: str, key: str) -> float | None:
        return results[name][key] if results.get(name) else None

    print("## Clients side by side\n")
    print("Ratios are to bare httpx with `json.loads`.\n")
    print(f"| | {' | '.join(names)} |\n|---|{'---:|' * len(names)}")
    rows: list[tuple[str, Callable[[str], str]]] = [
        ("import and client", lambda name: cell(of(startup, name, "import"), " ms", startup["httpx"]["import"])),
        ("memory of that", lambda name: cell(of(startup, name, "memory"), " MB")),
        ("first call, from the start", lambda name: cell(of(startup, name, "first"), " ms", startup["httpx"]["first"])),
        ("one call, sync", lambda name: cell(calls[name], " us", calls["httpx"])),
        ("calls per second, async, 1 in flight", lambda name: cell(alone[name], "", alone["httpx"])),
        ("calls per second, async, 20 in flight", lambda name: cell(together[name], "", together["httpx"])),
        ("list of 1,000 servers", lambda name: cell(lists[name], " ms", lists["httpx"], 1)),
        (f"lists with one odd server, of {ODD_CASES}", lambda name: cell(odd[name], "")),
        ("200 calls against a limit of 20/s: lost", lambda name: cell(of(limited, name, "lost"), "")),
        ("the same: time (9.0 s is the best possible)", lambda name: cell(of(limited, name, "seconds"), " s", digits=1)),
    ]
    for title, row in rows:
        print(f"| {title} | {' | '.join(row(name) for name in names)} |")


if __name__ == "__main__":
    main()
