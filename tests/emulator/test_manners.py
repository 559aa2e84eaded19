"""Token, limit, errors, paging: how the API behaves whatever is asked, seen over a socket."""

import pytest

from tests.emulator.conftest import Wire
from timeweb_sdk.testing import Emulator, EmulatorServer, FakeClock, demo_state


def test_a_wrong_token_is_refused_in_the_vendors_envelope(wire: Wire) -> None:
    reply = wire("GET", "/api/v1/servers", token="wrong")
    assert reply.status == 401
    envelope = reply.json()
    assert (envelope["status_code"], envelope["error_code"], envelope["message"]) == (401, "unauthorized", "Unauthorized")
    assert envelope["response_id"]


def test_a_missing_token_is_refused_with_an_empty_body_on_request(emulator: Emulator, wire: Wire) -> None:
    emulator.empty_401 = True
    reply = wire("GET", "/api/v1/servers", token=None)
    assert (reply.status, reply.body) == (401, b"")


def test_pages_of_a_hundred_by_default() -> None:
    with EmulatorServer(Emulator(demo_state(250), clock=FakeClock())) as server:
        wire = Wire(server.url)
        pages = [
            wire("GET", f"/api/v1/servers{query}").json()
            for query in ("", "?offset=100", "?offset=200&limit=40", "?offset=240")
        ]
    assert [len(page["servers"]) for page in pages] == [100, 100, 40, 10]
    assert {page["meta"]["total"] for page in pages} == {250}
    assert len({server["id"] for page in pages for server in page["servers"]}) == 250


def test_the_twenty_first_request_within_a_second_draws_429(wire: Wire, clock: FakeClock) -> None:
    statuses = [wire("GET", "/api/v1/projects").status for _ in range(21)]
    assert statuses == [200] * 20 + [429]
    envelope = wire("GET", "/api/v1/projects").json()
    assert (envelope["status_code"], envelope["error_code"]) == (429, "too_many_requests")
    assert wire("GET", "/api/v1/account/finances").status == 200, "the limit is per endpoint"
    clock.advance(0.999)
    assert wire("GET", "/api/v1/projects").status == 429
    clock.advance(0.001)
    assert wire("GET", "/api/v1/projects").status == 200


def test_one_server_and_another_share_the_limit_of_their_endpoint(wire: Wire, emulator: Emulator) -> None:
    ids = [server["id"] for server in emulator.state["servers"]]
    statuses = [wire("GET", f"/api/v1/servers/{number}").status for number in ids[:21]]
    assert statuses == [200] * 20 + [429]


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/api/v1/servers/999999999", 404, "not_found"),
        ("GET", "/api/v1/servers/abc", 400, "bad_request"),
        ("GET", "/api/v1/servers?limit=-1", 400, "bad_request"),
        ("DELETE", "/api/v2/vpcs/network-1", 405, "method_not_allowed"),
    ],
)
def test_errors_come_in_the_envelope(wire: Wire, method: str, path: str, status: int, code: str) -> None:
    reply = wire(method, path)
    assert reply.status == status
    assert reply.json()["status_code"] == status
    assert reply.json()["error_code"] == code


def test_a_path_outside_the_contract_is_an_html_404(wire: Wire) -> None:
    reply = wire("GET", "/api/v1/nowhere")
    assert reply.status == 404
    assert reply.headers["content-type"].startswith("text/html")
    assert b"<html" in reply.body


def test_an_unknown_body_key_is_refused_as_nestjs_does(wire: Wire) -> None:
    reply = wire("POST", "/api/v1/servers", {"name": "x", "preset_id": 2453, "os_id": 99, "colour": "red"})
    assert (reply.status, reply.json()["message"]) == (400, ["property colour should not exist"])


def test_the_firewall_refuses_as_pydantic_does(wire: Wire) -> None:
    reply = wire("GET", "/api/v1/firewall/service/toaster/7")
    assert reply.status == 400
    assert reply.json()["error_code"] == "validation_error"
    assert "toaster" not in reply.json()["message"]
    assert "value is not a valid enumeration member; permitted: 'server'" in reply.json()["message"]


@pytest.mark.parametrize(
    ("path", "status", "kind"),
    [("/api/v1/k8s/network_drivers", 500, "application/json"), ("/api/v1/servers/4100001/backups", 502, "text/html")],
)
def test_near_misses_of_paths_answer_misleadingly(wire: Wire, path: str, status: int, kind: str) -> None:
    reply = wire("GET", path)
    assert reply.status == status
    assert reply.headers["content-type"].startswith(kind)


def test_a_server_may_give_fewer_items_than_asked_for(clock: FakeClock) -> None:
    with EmulatorServer(Emulator(demo_state(), clock=clock, max_limit=10)) as server:
        page = Wire(server.url)("GET", "/api/v1/servers?limit=500").json()
    assert (len(page["servers"]), page["meta"]["total"]) == (10, 23)
