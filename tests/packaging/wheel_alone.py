"""Use the installed wheel where nothing but its four dependencies is installed; run by `nox -s wheel`.

It runs the README's first example against the emulator, checks what a missing extra says, and prints what importing
costs over importing httpx and declaring a pydantic model.
"""

from __future__ import annotations

import importlib.metadata
import os
import re
import statistics
import subprocess
import sys
from pathlib import Path

import timeweb_sdk
from timeweb_sdk.operations import OPERATIONS
from timeweb_sdk.testing import Emulator, EmulatorServer, demo_state

README = Path(__file__).parents[2] / "README.md"
ALLOWED = {"httpx", "pydantic", "tenacity", "typing-extensions"}
BASELINE = "import httpx, pydantic\nclass Model(pydantic.BaseModel):\n    id: int"
OURS = "import timeweb_sdk\ntimeweb_sdk.Timeweb"
TYPED = "import timeweb_sdk\ntimeweb_sdk.Timeweb('token').servers"


def check_installation() -> None:
    """The package under test is the wheel's, and it needs nothing beyond the allowed dependencies."""
    location = Path(timeweb_sdk.__file__)
    assert "site-packages" in location.parts, f"not the wheel: {location}"
    required = importlib.metadata.requires("timeweb-sdk") or []
    base = {re.split(r"[^\w-]", line, maxsplit=1)[0] for line in required if "extra ==" not in line}
    assert base == ALLOWED, f"base dependencies are {sorted(base)}"
    vendor = sum(operation.source == "vendor" for operation in OPERATIONS.values())
    print(f"installed at {location.parent}; {vendor} operations of the vendor, {len(OPERATIONS) - vendor} of the overlay")


def run_first_example() -> None:
    """What the README shows first works as it stands."""
    match = re.search(r"^```python\n(.*?)^```", README.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    assert match, "README.md has no Python example"
    with EmulatorServer(Emulator(demo_state(), token="token")) as server:
        environment = {**os.environ, "TIMEWEB_BASE_URL": server.url, "TIMEWEB_API_TOKEN": "token"}
        done = subprocess.run([sys.executable, "-c", match[1]], env=environment, check=True, capture_output=True, text=True)
    lines = done.stdout.splitlines()
    assert len(lines) >= 23, done.stdout
    print(f"README's first example printed {len(lines)} lines, the first: {lines[0]}")


def check_missing_extras() -> None:
    """Without an extra, what needs it says which one to install."""
    for code, extra in (
        ("from crm_adapter import sync_all", "crm"),
        ("from timeweb_sdk.limits import RedisStore; RedisStore('redis://127.0.0.1/0')", "redis"),
        ("from crm_adapter.cli import main; raise SystemExit(main(['servers']))", "cli"),
    ):
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
        assert done.returncode != 0 and f"[{extra}]" in done.stderr, f"{code}: {done.stderr}"
    print("missing extras name themselves")


def milliseconds(code: str) -> float:
    """Time one execution in a fresh interpreter, without the interpreter's own start."""
    timed = f"import time\nstart = time.perf_counter()\n{code}\nprint((time.perf_counter() - start) * 1000)"
    return float(subprocess.run([sys.executable, "-c", timed], capture_output=True, text=True, check=True).stdout)


def print_import_cost(rounds: int = 11) -> None:
    """Medians of alternating runs, so that a busy machine hits all alike."""
    times: dict[str, list[float]] = {BASELINE: [], OURS: [], TYPED: []}
    for _ in range(rounds):
        for code, taken in times.items():
            taken.append(milliseconds(code))
    base, ours, typed = (statistics.median(taken) for taken in times.values())
    print(f"import httpx and a BaseModel: {base:.0f} ms")
    print(f"import timeweb_sdk; timeweb_sdk.Timeweb: {ours:.0f} ms, ratio {ours / base:.2f}")
    print(f"the same with a client and its first resource: {typed:.0f} ms, ratio {typed / base:.2f}")


if __name__ == "__main__":
    check_installation()
    run_first_example()
    check_missing_extras()
    print_import_cost()
