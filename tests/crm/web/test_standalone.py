"""`timeweb-crm serve`: this machine only, and under the strictest policy."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine

from crm_adapter.cli import main
from crm_adapter.web.standalone import create_app
from tests.crm.web.conftest import Section

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize(
    ("peer", "host", "status"),
    [
        ("127.0.0.1", "127.0.0.1:8100", 200),
        ("127.0.0.1", "localhost:8100", 200),
        ("::1", "[::1]:8100", 200),
        ("203.0.113.5", "127.0.0.1:8100", 403),
        ("127.0.0.1", "rebound.example.com", 403),
        ("127.0.0.1", "127.0.0.1.example.com", 403),
    ],
)
def test_only_this_machine_by_its_own_name(synced: Section, peer: str, host: str, status: int) -> None:
    engine = create_async_engine(synced.url)
    app = create_app(async_sessionmaker(engine), None, close=engine.dispose)
    with TestClient(app, client=(peer, 50000)) as client:
        reply = client.get("/hosting", headers={"Host": host})
        assert reply.status_code == status
        assert reply.headers["content-security-policy"].startswith("default-src 'self'")


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "203.0.113.5", "example.com"])
def test_an_address_that_others_reach_is_refused(
    host: str, capfd: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["serve", "--host", host, "--database", f"sqlite:///{tmp_path / 'x.sqlite3'}"]) == 2
    assert "create_hosting_router" in capfd.readouterr().err


def test_the_command_serves_the_demonstration_until_it_is_stopped(tmp_path: Path) -> None:
    code = "import sys; from crm_adapter.cli import main; sys.exit(main())"
    command = [sys.executable, "-u", "-c", code, "serve", "--demo", "--port", "0", "--database", str(tmp_path / "demo.sqlite3")]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        url = process.stdout.readline().split()[-1]
        with urllib.request.urlopen(url, timeout=20) as reply:
            assert "Хостинг" in reply.read().decode()
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=20)
    assert process.returncode in {0, 130}, errors
    assert "Traceback" not in errors
