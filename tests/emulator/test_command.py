"""`python -m timeweb_sdk.testing` as users start it."""

import json
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.emulator.conftest import Wire
from tests.waiting import until


@contextmanager
def running(*arguments: str) -> Iterator[Wire]:
    process = subprocess.Popen(
        [sys.executable, "-m", "timeweb_sdk.testing", "--port", "0", *arguments], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        address = re.search(r"http://\S+$", line)
        assert address, line
        yield Wire(address[0])
    finally:
        process.send_signal(signal.SIGTERM)
        process.send_signal(signal.SIGTERM)  # impatience changes nothing
        assert process.wait(10) == 0
        process.stdout.close()


def test_a_state_file_is_created_served_and_kept(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    with running("--state", str(path), "--token", "T", "--scenario", "demo") as wire:
        assert len(json.loads(path.read_text())["servers"]) == 23
        number = wire("GET", "/api/v1/servers", token="T").json()["servers"][0]["id"]
        assert wire("DELETE", f"/api/v1/servers/{number}", token="T").status == 204
        # Writes that turn out slow are spaced out.
        until(lambda: number not in [server["id"] for server in json.loads(path.read_text())["servers"]])
    with running("--state", str(path), "--token", "T") as wire:
        assert wire("GET", "/api/v1/servers", token="T").json()["meta"]["total"] == 22


def test_a_partial_state_is_enough_and_odd_servers_come_back_verbatim(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    odd = {"id": 7, "name": "odd", "status": "from-the-future", "cpu": "two", "networks": None, "new_field": {"a": [1]}}
    path.write_text(json.dumps({"servers": [odd]}))
    with running("--state", str(path), "--token", "T") as wire:
        assert wire("GET", "/api/v1/servers", token="T").json()["servers"] == [odd]
        assert json.loads(path.read_text()) == {"servers": [odd]}, "reading changes nothing in the file"
        assert wire("GET", "/api/v1/servers/7", token="T").json()["server"] == odd
        assert wire("GET", "/api/v1/presets/servers", token="T").json()["server_presets"]
        assert wire("GET", "/api/v1/account/finances", token="T").json()["finances"]["currency"] == "RUB"
        path.write_text(json.dumps({"servers": [{**odd, "name": "edited"}]}))
        assert wire("GET", "/api/v1/servers/7", token="T").json()["server"]["name"] == "edited"


def test_a_broken_state_file_is_named_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    path.write_text('{"servers": 5}')
    command = [sys.executable, "-m", "timeweb_sdk.testing", "--port", "0", "--state", str(path)]
    finished = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert finished.returncode == 2
    assert str(path) in finished.stderr
    assert "state['servers'] must be a list" in finished.stderr
    assert "Traceback" not in finished.stderr


def test_a_state_that_cannot_be_kept_any_more_does_not_end_the_emulator(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    with running("--state", str(folder / "state.json"), "--token", "T") as wire:
        assert wire("POST", "/api/v1/projects", {"name": "kept"}, token="T").status == 201
        shutil.rmtree(folder)
        for name in ("one", "two"):
            assert wire("POST", "/api/v1/projects", {"name": name}, token="T").status == 201


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--port", "99999"], "cannot listen on 127.0.0.1 port 99999"),
        (["--port", "0", "--state", "no/such/state.json"], "cannot write no/such/state.json: No such file or directory"),
        (["--port", "0", "--state", "bytes.json"], "bytes.json: 'utf-8' codec can't decode"),
        (["--max-limit", "0"], "--max-limit: '0': give a whole number of items"),
        (["--install-seconds", "nan"], "--install-seconds: 'nan': give a number of seconds"),
        (["--scenario", "empty", "--servers", "5"], "--servers 5: the scenario empty has no servers"),
        (["--action-seconds", "-1"], "--action-seconds: '-1': give a number of seconds"),
    ],
    ids=lambda value: "",
)
def test_a_mistaken_argument_is_named(arguments: list[str], complaint: str, tmp_path: Path) -> None:
    (tmp_path / "bytes.json").write_bytes(b"\xff")
    command = [sys.executable, "-m", "timeweb_sdk.testing", *arguments]
    finished = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False, cwd=tmp_path)
    assert finished.returncode == 2
    assert complaint in finished.stderr
    assert "Traceback" not in finished.stderr


def test_a_port_that_is_taken_is_named_in_one_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        command = [sys.executable, "-m", "timeweb_sdk.testing", "--port", port]
        finished = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert finished.returncode == 2
    assert f"cannot listen on 127.0.0.1 port {port}: Address already in use" in finished.stderr
    assert "Traceback" not in finished.stderr


def test_the_scenario_the_manners_and_the_faults_are_options() -> None:
    options = ["--scenario", "demo", "--servers", "30", "--empty-401", "--max-limit", "7", "--faults", "drift"]
    with running(*options, "--confirm-delete", "--install-seconds", "0", "--no-rate-limit") as wire:
        assert wire("GET", "/api/v1/projects", token=None).body == b""
        pages = [wire("GET", "/api/v1/servers").json() for _ in range(2)]
        assert [(len(page["servers"]), page["meta"]["total"]) for page in pages] == [(7, 30), (7, 29)]
        number = pages[1]["servers"][0]["id"]
        assert wire("DELETE", f"/api/v1/servers/{number}").status == 200
        bought = wire("POST", "/api/v1/servers", {"name": "x", "preset_id": 2453, "os_id": 99}).json()["server"]["id"]
        assert wire("GET", f"/api/v1/servers/{bought}").json()["server"]["status"] == "on"
        assert {wire("GET", "/api/v1/projects").status for _ in range(25)} == {200}


@pytest.mark.parametrize("scenario", [[], ["--scenario", "demo"]])
def test_servers_are_served_with_and_without_their_scenario(scenario: list[str]) -> None:
    with running("--servers", "5", *scenario) as wire:
        assert wire("GET", "/api/v1/servers").json()["meta"]["total"] == 5
