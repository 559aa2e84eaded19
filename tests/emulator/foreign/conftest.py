"""The emulator as a server for clients that are not ours; they live in an environment of their own (`nox -s foreign`)."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

TOKEN = "foreign-token"


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
