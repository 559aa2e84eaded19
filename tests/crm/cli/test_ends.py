"""However a process is asked to end: the lease is free at once, the run says «прервана», and the next sync works."""

from __future__ import annotations

import json
import signal
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from crm_adapter.cli import main
from tests.crm.cli import ending
from tests.forked import Forked
from tests.waiting import until
from timeweb_sdk.testing import EmulatorServer

CODES = {signal.SIGINT: 130, signal.SIGTERM: 143}
#: A script and a program of asyncio hear Ctrl+C by themselves; SIGTERM ends them as the system does.
ENDS = [
    ("sync", signal.SIGTERM, "claim"),
    ("sync", signal.SIGINT, "claim"),
    ("stale", signal.SIGTERM, "claim"),
    ("worker", signal.SIGTERM, "claim"),
    ("script", signal.SIGINT, "claim"),
    ("script-fresh", signal.SIGINT, "claim"),
    ("asyncio", signal.SIGINT, "claim"),
    ("asyncio-fresh", signal.SIGINT, "claim"),
    ("sync", signal.SIGTERM, "call"),
    ("worker", signal.SIGTERM, "call"),
    ("script", signal.SIGINT, "call"),
    ("asyncio", signal.SIGINT, "call"),
]


def ended(database: sqlite3.Connection) -> tuple[list[Any], list[Any]]:
    return (
        database.execute("SELECT status, error_code FROM timeweb_sync_run").fetchall(),
        database.execute("SELECT owner FROM timeweb_sync_lease").fetchall(),
    )


@pytest.mark.usefixtures("configured")
@pytest.mark.parametrize(("way", "number", "moment"), ENDS)
def test_a_signal_leaves_nothing_held(
    account: EmulatorServer, tmp_path: Path, way: str, number: signal.Signals, moment: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["migrate"]) == 0
    account.emulator.requests.clear()
    if moment == "call":
        account.emulator.add_fault(operation="getFinances", delay_ms=20_000, times=1)
    with closing(sqlite3.connect(tmp_path / "crm.sqlite3")) as database:
        with Forked(ending.run, way, number if moment == "claim" else 0) as process:
            if moment == "call":
                # Not before: what Ctrl+C raises while pydantic builds a validator, comes out of it as an error of its own.
                until(lambda: "getFinances" in [request["operation"] for request in list(account.emulator.requests)], 60)
                process.send_signal(number)
            out, err = process.communicate(timeout=120)
        assert ended(database) == ([("interrupted", "interrupted")], [(None,)]), err
    if way == "worker":
        assert process.returncode == 0
    elif way in {"sync", "stale"}:
        assert process.returncode == CODES[number]
        assert json.loads(out) == {"success": False, "code": "interrupted", "error": "Прервано"}
        assert "Traceback" not in err
    capfd.readouterr()
    assert main(["runs"]) == 0
    assert "прервана" in capfd.readouterr().out
    account.emulator.faults.clear()
    assert main(["sync"]) == 0


@pytest.mark.usefixtures("configured")
@pytest.mark.parametrize("arguments", [[], ["--if-stale", "60"]])
def test_a_sync_beside_another_has_an_exit_code_of_its_own(
    account: EmulatorServer, tmp_path: Path, arguments: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["migrate"]) == 0
    account.emulator.add_fault(operation="getFinances", delay_ms=20_000, times=1)
    with closing(sqlite3.connect(tmp_path / "crm.sqlite3")) as database, Forked(ending.run, "sync", 0) as process:
        until(lambda: database.execute("SELECT * FROM timeweb_sync_run").fetchall(), 60)
        capfd.readouterr()
        assert main(["sync", "--json", *arguments]) == 3
        document = json.loads(capfd.readouterr().out)
        assert (document["status"], document["error_code"], document["run_id"]) == ("running", "already_running", 1)
        assert main(["sync", *arguments]) == 3
        assert "уже выполняется" in capfd.readouterr().out
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=120)
    account.emulator.faults.clear()
    assert main(["sync", *arguments]) == 0
