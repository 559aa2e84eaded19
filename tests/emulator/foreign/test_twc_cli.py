"""The vendor's command line, `twc-cli`, against the emulator."""

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.emulator.foreign.conftest import TOKEN, foreign

Twc = Callable[..., str]


@pytest.fixture
def twc(server: str, tmp_path: Path) -> Twc:
    python = foreign("twc")
    (tmp_path / ".twcrc").write_text(f'[default]\ntoken = "{TOKEN}"\n')
    environment = {**os.environ, "HOME": str(tmp_path), "TWC_TOKEN": TOKEN, "TWC_ENDPOINT": server}

    def run(*arguments: str) -> str:
        command = [python, "-m", "twc", *arguments]
        finished = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
        assert finished.returncode == 0, finished.stdout + finished.stderr
        return finished.stdout

    return run


def as_json(twc: Twc, *arguments: str) -> Any:
    return json.loads(twc(*arguments, "--output", "json"))


def test_it_lists_what_the_account_has(twc: Twc) -> None:
    assert len(as_json(twc, "server", "list")["servers"]) == 23
    assert as_json(twc, "server", "list-presets")["server_presets"]
    assert as_json(twc, "server", "list-os-images")["servers_os"]
    assert as_json(twc, "account", "finances")["finances"]["currency"] == "RUB"
    assert [project["id"] for project in as_json(twc, "project", "list")["projects"]] == [101, 102, 103]
    assert "203.0.113.24" in twc("ip", "list")
    assert "studio laptop" in twc("ssh-key", "list")


def test_a_server_from_purchase_to_removal(twc: Twc) -> None:
    number = twc("server", "create", "--name", "bought", "--image", "ubuntu-24.04", "--preset-id", "2453").strip()

    def status() -> str:
        found: str = as_json(twc, "server", "get", number)["server"]["status"]
        return found

    assert status() == "on"
    assert twc("server", "shutdown", number).strip() == number
    assert status() == "off"
    twc("server", "start", number)
    assert status() == "on"
    twc("server", "set", number, "--name", "renamed")
    assert "renamed" in twc("server", "list")
    twc("server", "remove", number, "--yes")
    assert number not in twc("server", "list")


def test_domains_and_their_records(twc: Twc) -> None:
    twc("domain", "add", "example.org")
    twc("domain", "record", "add", "example.org", "--type", "A", "--value", "203.0.113.7")
    assert "203.0.113.7" in twc("domain", "record", "list", "example.org")
