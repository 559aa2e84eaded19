"""The control API answers programs on this machine, and no page of another site."""

import http.client
import json
import stat
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.emulator.conftest import Wire
from timeweb_sdk.testing import Emulator, EmulatorServer

STATE = "/_emulator/state"


@pytest.mark.parametrize(
    "host", ["127.0.0.1:8099", "localhost:8099", "[::1]:8099", "198.51.100.7", "box", "a.localhost", "box.test"]
)
def test_names_that_nobody_else_can_point_here_are_answered(wire: Wire, host: str) -> None:
    assert wire("GET", STATE, token=None, headers={"Host": host}).status == 200


@pytest.mark.parametrize("host", ["evil.example.com", "127.0.0.1.example.com:8099", "localhost.example.com"])
def test_foreign_host_names_are_refused(wire: Wire, host: str) -> None:
    reply = wire("PUT", STATE, {"servers": []}, token=None, headers={"Host": host})
    assert reply.status == 403
    assert "--host" in reply.json()["error"]
    assert len(wire("GET", STATE, token=None).json()["servers"]) == 23


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example.com"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "http://localhost:3000"},
    ],
)
@pytest.mark.parametrize("content_type", ["text/plain", "application/json"])
def test_requests_of_other_sites_are_refused(wire: Wire, headers: dict[str, str], content_type: str) -> None:
    body = json.dumps({"servers": []}).encode()
    reply = wire("POST", STATE, body, token=None, headers={**headers, "Content-Type": content_type})
    assert reply.status == 403
    assert len(wire("GET", STATE, token=None).json()["servers"]) == 23


def test_a_page_of_its_own_and_the_address_bar_are_answered(wire: Wire) -> None:
    assert wire("GET", STATE, token=None, headers={"Sec-Fetch-Site": "none"}).status == 200
    host = "127.0.0.1:8099"
    own = {"Host": host, "Origin": f"http://{host}", "Sec-Fetch-Site": "same-origin"}
    assert wire("POST", "/_emulator/clock", {"advance": 1}, token=None, headers=own).status == 200


def test_the_name_that_the_server_was_given_is_its_own() -> None:
    emulator = Emulator()
    with EmulatorServer(emulator) as server:
        emulator.host = "box.example.com"  # what `--host box.example.com` notes
        connection = http.client.HTTPConnection(urlsplit(server.url).netloc, timeout=10)
        connection.request("GET", STATE, headers={"Host": "box.example.com:8099"})
        assert connection.getresponse().status == 200
        connection.close()


def test_requests_within_the_process_are_answered() -> None:
    with Emulator().http_client() as client:
        assert client.get(STATE).status_code == 200


@pytest.mark.parametrize("before", [None, 0o644])
def test_the_state_file_is_its_owners_alone(tmp_path: Path, before: int | None) -> None:
    path = tmp_path / "state.json"
    if before is not None:
        path.write_text("{}")
        path.chmod(before)
    with EmulatorServer(Emulator(), state_file=path) as server:
        assert Wire(server.url)("POST", "/api/v1/projects", {"name": "p"}).status == 201
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize("sent", ["Bearer wrong", "emulator-token", "", "Bearer emulator-token2", "Bearer \xe9"])
def test_only_the_whole_token_lets_in(wire: Wire, sent: str) -> None:
    assert wire("GET", "/api/v1/servers", token=None, headers={"Authorization": sent}).status == 401
