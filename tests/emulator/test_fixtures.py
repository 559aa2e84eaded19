"""The fixtures and the VCR helper, as users' projects have them."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.sdk.stub_server import answer, stub_server
from timeweb_sdk import AsyncTimeweb, EdgeError, Timeweb
from timeweb_sdk.testing import Emulator, FakeClock, demo_state
from timeweb_sdk.testing.vcr import SCRUBBED, scrub_body, timeweb_vcr

pytest_plugins = ["timeweb_sdk.testing.pytest_plugin"]
CASSETTES = Path(__file__).parent / "cassettes"
TOKEN = "recorded-with-this-token-0123456789"


def test_a_client_talks_to_the_emulator(timeweb_client: Timeweb, timeweb_emulator: Emulator) -> None:
    timeweb_emulator.state["servers"][0]["name"] = "renamed"
    assert timeweb_client.servers.list().items[0].name == "renamed"


async def test_an_async_client_too(timeweb_async_client: AsyncTimeweb) -> None:
    assert (await timeweb_async_client.servers.list()).total == 23


def test_the_clock_moves_the_account_and_the_sdk(timeweb_client: Timeweb, timeweb_clock: FakeClock) -> None:
    bought = timeweb_client.servers.create(name="x", preset_id=2453, os_id=99)
    assert timeweb_client.servers.wait_for(bought.id, status="on", timeout=600).status == "on"
    assert timeweb_clock.monotonic() >= 10


def test_a_server_for_other_processes(timeweb_server: str) -> None:
    with Timeweb() as tw:
        assert tw.servers.list().total == 23
    assert timeweb_server.startswith("http://127.0.0.1:")


class TestWithAnotherAccount:
    @pytest.fixture
    def timeweb_state(self) -> dict[str, Any]:
        return {"servers": [{"id": 1, "name": "only"}]}

    def test_it_holds_what_the_test_says(self, timeweb_client: Timeweb) -> None:
        assert [server.name for server in timeweb_client.servers.list()] == ["only"]


@pytest.mark.timeweb_scenario("half_gone")
def test_a_marker_chooses_the_scenario(timeweb_client: Timeweb) -> None:
    assert timeweb_client.servers.list().total == 12


@pytest.mark.timeweb_scenario("slow_create")
def test_the_marker_chooses_the_manners_too(timeweb_emulator: Emulator) -> None:
    assert timeweb_emulator.timings.install == 900


def use_account(tw: Timeweb) -> tuple[list[int], str]:
    """What the cassette records: a listing, a purchase and its password, a key."""
    numbers = [server.id for server in tw.servers.list(limit=10)]
    bought = tw.servers.create(name="recorded", preset_id=2453, os_id=99, cloud_init="#cloud-config\npassword: hunter2")
    tw.ssh_keys.list()
    return numbers, bought.status


def test_a_cassette_replays_without_network() -> None:
    with timeweb_vcr(CASSETTES, record_mode="none").use_cassette("account.yaml") as cassette:
        with Timeweb("another-token") as tw:
            numbers, status = use_account(tw)
        assert cassette.all_played
    assert (len(numbers), status) == (23, "installing")


def test_recording_leaves_no_secret_behind(tmp_path: Path, timeweb_server: str) -> None:
    token = "emulator-token"
    with timeweb_vcr(tmp_path).use_cassette("new.yaml"), Timeweb(token, base_url=timeweb_server) as tw:
        use_account(tw)
    assert_clean((tmp_path / "new.yaml").read_text(), token)


@pytest.mark.parametrize(
    "body",
    ['{"message": "no such token: TOKEN"}', "TOKEN", '{"url": "postgres://user:hunter2@db.example/x"}', '{"TOKEN": ["TOKEN"]}'],
)
def test_what_a_reply_echoes_is_not_recorded(body: str, tmp_path: Path) -> None:
    headers = {"X-Auth-Token": TOKEN, "Location": f"https://example.com/?t={TOKEN}"}
    echoing = answer(400, body.replace("TOKEN", TOKEN).encode(), headers=headers)
    with (
        stub_server(echoing) as server,
        timeweb_vcr(tmp_path).use_cassette("echo.yaml"),
        Timeweb(TOKEN, base_url=server.url, max_retries=0) as tw,
        pytest.raises(EdgeError),
    ):
        tw.servers.get(1)
    recorded = (tmp_path / "echo.yaml").read_text()
    assert "/api/v1/servers/1" in recorded
    assert [secret for secret in (TOKEN, "hunter2") if secret in recorded] == []


def test_committed_cassettes_hold_no_secret() -> None:
    found = list(CASSETTES.glob("*.yaml"))
    assert found
    for cassette in found:
        assert_clean(cassette.read_text(), TOKEN)


def assert_clean(text: str, token: str) -> None:
    assert "servers" in text
    secrets = [token, "hunter2", "Bearer", "127.0.0.1"]
    secrets += [str(server[field]) for server in demo_state()["servers"] for field in ("root_pass", "vnc_pass")]
    assert [secret for secret in secrets if secret in text] == []
    for interaction in yaml.safe_load(text)["interactions"]:
        assert "authorization" not in {name.lower() for name in interaction["request"]["headers"]}
        for server in json.loads(interaction["response"]["body"]["string"]).get("servers", []):
            assert (server["root_pass"], server["vnc_pass"]) == (SCRUBBED, SCRUBBED)


@pytest.mark.parametrize(
    ("body", "clean"),
    [
        (
            b'{"a": {"root_pass": "x", "n": [{"secret_key": "y"}]}}',
            {"a": {"root_pass": SCRUBBED, "n": [{"secret_key": SCRUBBED}]}},
        ),
        (b'{"root_pass": null, "name": "x", "hash": "h"}', {"root_pass": None, "name": "x", "hash": SCRUBBED}),
        (
            b'{"key_data": "k", "auth_code": "c", "envs": {"DB": "u"}, "tokens_used": 5, "token_packages": [{"name": "n"}]}',
            {
                "key_data": SCRUBBED,
                "auth_code": SCRUBBED,
                "envs": {"DB": SCRUBBED},
                "tokens_used": 5,
                "token_packages": [{"name": "n"}],
            },
        ),
        (b'{"message": ["root_pass=hunter2 is weak", "ok"]}', {"message": [f"root_pass={SCRUBBED}", "ok"]}),
        (b'{"is_password_set": true, "tokens": ["a", "b"]}', {"is_password_set": True, "tokens": [SCRUBBED, SCRUBBED]}),
    ],
)
def test_secrets_are_replaced_where_they_stand(body: bytes, clean: object) -> None:
    assert json.loads(scrub_body(body)) == clean


def test_a_body_that_is_not_json_goes_as_a_whole() -> None:
    assert scrub_body(b"apiVersion: v1\ntoken: abc") == SCRUBBED.encode()


def record() -> None:
    """Make the committed cassettes anew: `python -m tests.emulator.test_fixtures`."""
    from timeweb_sdk.testing import EmulatorServer

    (CASSETTES / "account.yaml").unlink(missing_ok=True)
    with (
        EmulatorServer(Emulator(demo_state(), token=TOKEN)) as server,
        timeweb_vcr(CASSETTES).use_cassette("account.yaml"),
        Timeweb(TOKEN, base_url=server.url) as tw,
    ):
        use_account(tw)


if __name__ == "__main__":
    record()
