"""The emulator as a server for clients that are not ours; they live in an environment of their own (`nox -s foreign`)."""

import json
import os
import re
import signal
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest

TOKEN = "foreign-token"
THEIRS: dict[str, Any] = tomllib.loads(Path(__file__).with_name("theirs.toml").read_text(encoding="utf-8"))
"""By client: what fails, and what is not tried, each with the reason."""
Report = Callable[[str, int, int], None]
_ROWS = pytest.StashKey[list[tuple[str, int, int]]]()


def foreign(module: str) -> str:
    """The interpreter that has the module; skip the test where there is none."""
    python = os.environ.get("TIMEWEB_FOREIGN_PYTHON")
    if not python:
        pytest.skip("TIMEWEB_FOREIGN_PYTHON names no interpreter; run `nox -s foreign`")
    if subprocess.run([python, "-c", f"import {module}"], capture_output=True, check=False).returncode:
        pytest.skip(f"{module} is not installed for {python}; run `nox -s foreign`")
    return python


@pytest.fixture
def server() -> Iterator[str]:
    """The address of an emulated account of 23 servers in which work takes a moment."""
    foreign("sys")
    command = [sys.executable, "-m", "timeweb_sdk.testing", "--port", "0", "--scenario", "demo", "--token", TOKEN]
    quick = ["--no-rate-limit", "--install-seconds", "0", "--action-seconds", "0"]
    process = subprocess.Popen([*command, *quick], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        address = re.search(r"http://\S+$", process.stdout.readline())
        assert address
        yield address[0]
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(10)
        process.stdout.close()


def asked(server: str) -> int:
    """How many requests a server got."""
    with urlopen(f"{server}/_emulator/requests") as reply:
        return len(json.load(reply)["requests"])


@pytest.fixture
def report(request: pytest.FixtureRequest) -> Report:
    """Add a row to the table at the end: a client, its calls, how many of them went as expected."""
    rows = request.config.stash.setdefault(_ROWS, [])
    return lambda client, calls, expected: rows.append((client, calls, expected))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    rows = config.stash.get(_ROWS, [])
    if not rows:
        return
    terminalreporter.section("clients of others")
    for client, calls, expected in rows:
        terminalreporter.write_line(f"{client:22} {calls:4} calls, {expected:4} as expected")
    for client, entries in THEIRS.items():
        for kind, reasons in entries.items():
            for what, reason in reasons.items():
                terminalreporter.write_line(f"{client:22} {kind}: {what}: {reason}")
