"""`python -m timeweb_sdk doctor`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from timeweb_sdk.__main__ import main
from timeweb_sdk.testing import Emulator, EmulatorServer, demo_state

TOKEN = "token-for-the-doctor"


def findings(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, dict[str, tuple[str, str]]]:
    code = main(["doctor", "--json", *arguments])
    out = capsys.readouterr().out
    assert TOKEN not in out
    told = json.loads(out)
    assert told["healthy"] == (code == 0)
    return code, {finding["subject"]: (finding["state"], finding["message"]) for finding in told["findings"]}


@pytest.fixture(autouse=True)
def token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIMEWEB_CLOUD_TOKEN", TOKEN)
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def emulator(monkeypatch: pytest.MonkeyPatch) -> Emulator:
    return Emulator(demo_state(), token=TOKEN)


def test_all_is_well(emulator: Emulator, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    with EmulatorServer(emulator) as server:
        monkeypatch.setenv("TIMEWEB_BASE_URL", server.url)
        code, told = findings(capsys)
    assert code == 0
    assert {request["method"] for request in emulator.requests} == {"GET"}
    assert "from TIMEWEB_CLOUD_TOKEN" in told["token"][1]
    assert told["address"] == ("warn", f"{server.url}, which is not Timeweb's: right for an emulator or a gateway of yours")
    assert told["proxy"] == ("good", "none")
    assert told["clock"] == ("good", "agrees with the API's")
    assert told["rights"] == (
        "good",
        "read: servers, projects, domains, databases, costs; what may be changed is not tried",
    )
    assert "RUB" in told["balance"][1]
    assert "20 requests per second" in told["limits"][1]
    assert told["account"][0] == "good"
    assert told["account"][1]
    for name in ("timeweb-sdk", "Python", "httpx", "pydantic"):
        assert name in told["versions"][1]


def test_what_is_wrong_is_told(emulator: Emulator, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    emulator.add_fault(operation="getServers", status=403)
    emulator.add_fault(operation="getFinances", status=500)
    emulator.add_fault(operation="getAccountStatus", headers={"date": "Mon, 01 Jan 2024 00:00:00 GMT"}, status=200, body={})
    with EmulatorServer(emulator) as server:
        monkeypatch.setenv("TIMEWEB_BASE_URL", server.url)
        monkeypatch.setenv("NO_PROXY", "")
        code, told = findings(capsys)
    assert code == 0
    assert told["rights"][0] == "warn"
    assert "refused: servers" in told["rights"][1]
    assert told["balance"][0] == "warn"
    assert told["clock"][0] == "warn"
    assert "ahead" in told["clock"][1]


def test_a_token_that_is_refused(
    emulator: Emulator, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    emulator.token = "another"
    with EmulatorServer(emulator) as server:
        monkeypatch.setenv("TIMEWEB_BASE_URL", server.url)
        code, told = findings(capsys)
    assert code == 1
    assert told["account"][0] == "bad"
    assert "it came from TIMEWEB_CLOUD_TOKEN" in told["account"][1]


def test_no_token(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TIMEWEB_CLOUD_TOKEN")
    code, told = findings(capsys)
    assert code == 1
    assert told["token"][0] == "bad"
    assert "set TIMEWEB_API_TOKEN" in told["token"][1]


def test_settings_that_cannot_work(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIMEWEB_BASE_URL", "http://example.com")
    code, told = findings(capsys)
    assert (code, told["settings"][0]) == (1, "bad")
    monkeypatch.setenv("TIMEWEB_BASE_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("HTTP_PROXY", "http://me:hidden-word@127.0.0.1:1")
    code, told = findings(capsys)
    assert (code, told["proxy"]) == (1, ("good", "http://127.0.0.1:1"))
    assert "hidden-word" not in str(told)


def test_a_profile_and_lines(emulator: Emulator, tmp_path: Path) -> None:
    profiles = tmp_path / "profiles"
    profiles.write_text(f"[shop]\ntoken = {TOKEN}\n", encoding="utf-8")
    with EmulatorServer(emulator) as server:
        environment = {**os.environ, "TWC_CONFIG_FILE": str(profiles), "TIMEWEB_BASE_URL": server.url, "PYTHONUTF8": "1"}
        command = [sys.executable, "-m", "timeweb_sdk", "doctor", "--profile", "shop"]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, encoding="utf-8")
    assert f"ok   token: from the profile 'shop' of {profiles}" in done.stdout
    assert TOKEN not in done.stdout + done.stderr
    wrong = [sys.executable, "-m", "timeweb_sdk", "doctor", "--nonsense"]
    assert subprocess.run(wrong, capture_output=True, check=False).returncode == 2
