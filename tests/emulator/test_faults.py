"""Faults as a client on a socket sees them."""

import http.client
import json
import socket
import threading
import time
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.emulator.conftest import TOKEN, Wire
from timeweb_sdk.testing import PROFILES, Emulator, EmulatorServer, FakeClock, demo_state


def inject(wire: Wire, **fault: Any) -> None:
    reply = wire("POST", "/_emulator/faults", fault, token=None)
    assert reply.status == 200, reply.body


def ask(wire: Wire, times: int = 1) -> list[int]:
    return [wire("GET", "/api/v1/servers").status for _ in range(times)]


def test_skip_and_times_count_matching_requests_only(wire: Wire) -> None:
    inject(wire, operation="getServers", skip=1, times=2, status=429, headers={"Retry-After": "5"})
    assert wire("GET", "/api/v1/projects").status == 200
    assert ask(wire, 4) == [200, 429, 429, 200]


def test_a_given_status_comes_with_headers_and_the_envelope(wire: Wire) -> None:
    inject(wire, operation="getServers", times=1, status=429, headers={"Retry-After": "5"})
    reply = wire("GET", "/api/v1/servers")
    assert reply.headers["retry-after"] == "5"
    assert reply.json()["error_code"] == "too_many_requests"


@pytest.mark.parametrize(
    ("body", "raw"), [({"a": 1}, b'{"a":1}'), ("<html>", b"<html>"), ("", b""), ([], b"[]"), ('{"half', b'{"half')]
)
def test_a_given_body_is_sent(wire: Wire, body: object, raw: bytes) -> None:
    inject(wire, operation="getServers", times=1, body=body)
    reply = wire("GET", "/api/v1/servers")
    assert (reply.status, reply.body) == (200, raw)


def test_an_edge_page_is_html(wire: Wire) -> None:
    inject(wire, operation="getServer", times=1, kind="edge", status=404)
    reply = wire("GET", "/api/v1/servers/4100001")
    assert (reply.status, reply.headers["content-type"]) == (404, "text/html")


@pytest.mark.parametrize(("drop", "left"), [("before", 23), ("after", 22)])
def test_a_connection_drops_before_or_after_the_effect(wire: Wire, emulator: Emulator, drop: str, left: int) -> None:
    inject(wire, operation="deleteServer", times=1, drop=drop)
    with pytest.raises((http.client.RemoteDisconnected, ConnectionResetError)):
        wire("DELETE", "/api/v1/servers/4100001")
    assert len(emulator.state["servers"]) == left


def test_a_truncated_body_announces_more_than_it_has(wire: Wire) -> None:
    inject(wire, operation="getServers", times=1, kind="truncate")
    with pytest.raises(http.client.IncompleteRead) as caught:
        wire("GET", "/api/v1/servers")
    assert len(caught.value.partial) > 1000


def test_a_hanging_connection_gives_no_byte(emulator: Emulator) -> None:
    emulator.add_fault(operation="getServers", kind="hang")
    with EmulatorServer(emulator) as server:
        connection = http.client.HTTPConnection(server.url.removeprefix("http://"), timeout=0.2)
        connection.request("GET", "/api/v1/servers", headers={"Authorization": f"Bearer {TOKEN}"})
        with pytest.raises(TimeoutError):
            connection.getresponse()
        connection.close()


def test_a_delay_delays(wire: Wire) -> None:
    inject(wire, operation="getServers", times=1, delay_ms=150)
    started = time.monotonic()
    assert ask(wire) == [200]
    assert time.monotonic() - started >= 0.15


def test_one_item_of_a_list_is_malformed_or_in_an_unknown_state(wire: Wire) -> None:
    whole = wire("GET", "/api/v1/servers").json()["servers"]
    for kind, field in (("malformed_item", "cpu"), ("unknown_enum", "status")):
        inject(wire, operation="getServers", times=1, kind=kind)
        odd = wire("GET", "/api/v1/servers").json()["servers"]
        changed = [(old, new) for old, new in zip(whole, odd, strict=True) if old != new]
        assert len(changed) == 1
        old, new = changed[0]
        assert {key for key in old if old[key] != new[key]} == {field}
    assert wire("GET", "/api/v1/servers").json()["servers"] == whole, "the account itself is intact"


@pytest.mark.parametrize(("shift", "total"), [(-2, 248), (3, 253)])
def test_servers_vanish_or_appear_between_pages(clock: FakeClock, shift: int, total: int) -> None:
    emulator = Emulator(demo_state(250), clock=clock)
    emulator.add_fault(operation="getServers", skip=1, times=1, kind="page_drift", shift=shift)
    with EmulatorServer(emulator) as server:
        wire = Wire(server.url)
        first, second = (wire("GET", f"/api/v1/servers?offset={offset}").json() for offset in (0, 100))
    assert [first["meta"]["total"], second["meta"]["total"]] == [250, total]
    seen = {server["id"] for server in first["servers"]} & {server["id"] for server in second["servers"]}
    assert len(seen) == max(shift, 0), "an item that slides back is seen twice, one that slides forward never"


@pytest.mark.parametrize("name", sorted(PROFILES))
def test_every_profile_loads_and_is_repeatable(name: str) -> None:
    def statuses() -> list[tuple[int, str]]:
        emulator = Emulator(demo_state(), clock=FakeClock(), rate_limit=False, seed=7)
        emulator.add_profile(name)
        from timeweb_sdk.testing import Request

        asked = [
            emulator.handle(Request("GET", "/api/v1/servers", {}, {"Authorization": f"Bearer {TOKEN}"})) for _ in range(60)
        ]
        return [(reply.status, reply.delivery) for reply in asked]

    assert statuses() == statuses()


@pytest.mark.parametrize(
    ("fault", "complaint"),
    [
        ({"statsu": 429}, "unknown fault field 'statsu'"),
        ({"drop": "never"}, "drop must be 'before' or 'after', not 'never'"),
        ({"operation": "getServer5"}, "no operation 'getServer5'"),
        ({"times": "two"}, "times must be a whole number"),
        ({"profile": "rain"}, "unknown fault profile 'rain'"),
        ({"times": -1}, "times must not be negative"),
        ({"times": True}, "times must be a whole number"),
        ({"probability": 2}, "probability must be between 0 and 1"),
        ({"probability": float("nan")}, "probability must be a number"),
        ({"delay_ms": float("inf")}, "delay_ms must be a number"),
        ({"status": 100}, "status must be the HTTP status of a reply"),
        ({"headers": {"X": "a\r\nY: b"}}, "headers must be an object of texts in Latin-1"),
        ({"headers": {"X": "ж"}}, "headers must be an object of texts in Latin-1"),
        (5, "a fault must be an object, not int"),
    ],
)
def test_a_mistaken_fault_is_named(wire: Wire, fault: Any, complaint: str) -> None:
    reply = wire("POST", "/_emulator/faults", fault, token=None)
    assert reply.status == 400
    assert complaint in reply.json()["error"]


def test_faults_are_listed_and_cleared(wire: Wire) -> None:
    inject(wire, operation="getServers", times=1, status=500)
    ask(wire)
    listed = wire("GET", "/_emulator/faults", token=None).json()["faults"]
    assert [(fault["operation"], fault["times"], fault["hits"]) for fault in listed] == [("getServers", 0, 1)]
    replaced = wire("PUT", "/_emulator/faults", [{"status": 500}, {"status": 502}], token=None).json()["faults"]
    assert [fault["status"] for fault in replaced] == [500, 502]
    assert wire("PUT", "/_emulator/faults", [{"statsu": 1}], token=None).status == 400
    assert len(wire("GET", "/_emulator/faults", token=None).json()["faults"]) == 2
    assert wire("DELETE", "/_emulator/faults", token=None).json() == {"faults": []}


def test_requests_are_remembered_without_the_token(wire: Wire) -> None:
    wire("POST", "/api/v1/projects", {"name": "x"})
    seen = wire("GET", "/_emulator/requests", token=None)
    assert TOKEN.encode() not in seen.body
    request = seen.json()["requests"][-1]
    assert (request["operation"], request["method"], request["status"]) == ("createProject", "POST", 201)
    assert request["body"] == {"name": "x"}
    assert wire("DELETE", "/_emulator/requests", token=None).json()["meta"] == {"total": 0}


def test_the_state_is_read_replaced_and_patched(wire: Wire) -> None:
    state = wire("GET", "/_emulator/state", token=None).json()
    assert len(state["servers"]) == 23
    state["servers"] = state["servers"][:2]
    assert wire("PUT", "/_emulator/state", state, token=None).status == 200
    assert wire("GET", "/api/v1/servers").json()["meta"]["total"] == 2
    wire("PATCH", "/_emulator/state", {"finances": {"balance": 1}}, token=None)
    assert wire("GET", "/api/v1/account/finances").json()["finances"]["balance"] == 1
    assert wire("GET", "/api/v1/servers").json()["meta"]["total"] == 2
    refused = wire("PUT", "/_emulator/state", {"servers": 5}, token=None)
    assert (refused.status, refused.json()["error"]) == (400, "state['servers'] must be a list of objects")
    odd: Any
    for odd in ([], 5, "state", json.loads("[" * 500 + "]" * 500)):
        refused = wire("PUT", "/_emulator/state", odd, token=None)
        assert (refused.status, "the state must be a JSON object" in refused.json()["error"]) == (400, True)
    assert wire("GET", "/api/v1/servers").json()["meta"]["total"] == 2


@pytest.mark.parametrize(
    "head", ["Content-Length: -5", "Content-Length: 99999999999999", "Content-Length: x", "Transfer-Encoding: chunked"]
)
def test_a_body_of_no_length_is_refused(head: str, emulator: Emulator) -> None:
    with EmulatorServer(emulator) as server, socket.create_connection(("127.0.0.1", urlsplit(server.url).port or 0)) as client:
        client.sendall(f"POST /api/v1/servers HTTP/1.1\r\n{head}\r\n\r\nzz\r\n".encode())
        assert client.recv(1000).startswith(b"HTTP/1.1 400 ")


def test_the_clock_advances_over_the_control_api(wire: Wire) -> None:
    before = wire("GET", "/_emulator/clock", token=None).json()["now"]
    after = wire("POST", "/_emulator/clock", {"advance": 86400}, token=None).json()["now"]
    assert (before, after) == ("2026-06-01T12:00:00.000Z", "2026-06-02T12:00:00.000Z")
    for seconds in (-1, float("inf"), 1e18, True, None):
        assert wire("POST", "/_emulator/clock", {"advance": seconds}, token=None).status == 400
    assert wire("GET", "/_emulator/clock", token=None).json()["now"] == after


def test_parallel_requests_are_all_answered(emulator: Emulator) -> None:
    emulator.rate_limit = False
    statuses: list[int] = []
    with EmulatorServer(emulator) as server:
        wire = Wire(server.url)
        threads = [threading.Thread(target=lambda: statuses.extend(ask(wire, 10))) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert statuses == [200] * 80
    assert json.loads(json.dumps(emulator.state))["servers"]
