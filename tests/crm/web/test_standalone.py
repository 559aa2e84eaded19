"""`timeweb-crm serve`: this machine only, and under the strictest policy."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine

from crm_adapter.cli import main
from crm_adapter.settings import load_settings
from crm_adapter.web.standalone import create_app
from crm_adapter.wiring import open_engine
from tests.crm.web.conftest import Section
from tests.waiting import ending

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


@pytest.mark.parametrize(("link", "named"), [("secret", True), (None, False)])
def test_the_history_names_the_login_of_the_one_who_has_the_link(
    synced: Section, monkeypatch: pytest.MonkeyPatch, link: str | None, named: bool
) -> None:
    monkeypatch.setenv("LOGNAME", "irina")
    engine = create_async_engine(synced.url)
    app = create_app(async_sessionmaker(engine), None, link=link, close=engine.dispose)
    with TestClient(app, base_url="http://127.0.0.1", client=("127.0.0.1", 50000)) as client:
        headers = {"Authorization": "Bearer secret"}
        reply = client.patch("/hosting/api/server/3", json={"notes": "checked"}, headers=headers)
        assert reply.status_code == 200, reply.text
        page = client.get("/hosting/servers/3/history", headers=headers).text
    assert ("irina" in page, "не указан" in page) == (named, not named)


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
    started = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)
    with ending(started) as process:
        assert process.stdout is not None
        url = process.stdout.readline().split()[-1]
        assert process.stdout.readline() == "Остановить: Ctrl+C\n"  # no warning of an emulator that is its own
        opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
        with opener.open(url, timeout=20) as reply:
            assert "Хостинг" in reply.read().decode()
            assert "link=" not in reply.url
        with pytest.raises(urllib.error.HTTPError, match="403"):
            urllib.request.urlopen(url.partition("?")[0], timeout=20)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=20)
    assert process.returncode in {0, 130}, errors
    assert "Traceback" not in errors
    assert stat.S_IMODE((tmp_path / "demo.sqlite3").stat().st_mode) == 0o600


def linked(synced: Section, link: str | None) -> TestClient:
    engine = create_async_engine(synced.url)
    app = create_app(async_sessionmaker(engine), None, link=link, close=engine.dispose)
    return TestClient(app, base_url="http://localhost", client=("127.0.0.1", 50000))


def test_who_does_not_hold_the_link_is_told_where_it_is(synced: Section) -> None:
    with linked(synced, "secret") as client:
        for path in ("", "?link=secrets", "?link=", "/api/stats", "/export.csv", "/static/hosting.css"):
            reply = client.get(f"/hosting{path}", headers={"Authorization": "Bearer secrets"})
            assert reply.status_code == 403
            assert "timeweb-crm serve" in reply.text
            assert "gitlab" not in reply.text


def test_the_link_becomes_a_cookie_and_leaves_the_address(synced: Section) -> None:
    with linked(synced, "secret") as client:
        reply = client.get("/hosting?link=secret", follow_redirects=False)
        assert (reply.status_code, reply.headers["location"]) == (303, "/hosting")
        assert {"HttpOnly", "SameSite=strict"} <= set(reply.headers["set-cookie"].split("; "))
        assert client.get("/hosting").status_code == 200
        assert client.get("/hosting/api/stats").json()["success"]


def test_programs_show_the_link_as_a_bearer(synced: Section) -> None:
    with linked(synced, "secret") as client:
        assert client.get("/hosting/api/stats", headers={"Authorization": "Bearer secret"}).status_code == 200


def test_without_a_link_this_machine_is_let_in(synced: Section) -> None:
    with linked(synced, None) as client:
        assert client.get("/hosting").status_code == 200


def test_a_database_that_is_there_keeps_its_rights(tmp_path: Path) -> None:
    path = tmp_path / "crm.sqlite3"
    path.touch(0o644)
    path.chmod(0o644)
    open_engine(load_settings({"hosting_database_url": f"sqlite:///{path}"})).dispose()
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
