"""The ready accounts: what each is about, seen over a socket; the same from Python, from pytest and from the command line."""

from __future__ import annotations

from typing import Any

import pytest

from tests.emulator.conftest import Wire
from tests.emulator.test_command import running
from timeweb_sdk import ConnectTimeout
from timeweb_sdk.testing import SCENARIOS, EmulatorServer, FakeClock, use_clock

ORDER = {"name": "new", "preset_id": 2453, "os_id": 99}
LISTS = (
    "v1/servers", "v1/databases", "v1/balancers", "v1/storages/buckets", "v1/k8s/clusters", "v1/domains", "v1/firewall/groups",
    "v2/vpcs", "v1/container-registry", "v1/apps", "v1/routers", "v1/images", "v1/network-drives", "v1/dedicated-servers",
    "v1/cdn/http-resources", "v1/cloud-ai/agents", "v1/cloud-ai/knowledge-bases", "v1/mail", "v1/ssh-keys", "v1/floating-ips",
    "v1/projects", "v1/vcs-provider", "v2/storages/users", "v1/domains/example.com/dns-records",
)  # fmt: skip


def serve(name: str, **options: Any) -> EmulatorServer:
    return EmulatorServer(SCENARIOS[name].emulator(clock=FakeClock(), **options))


def statuses(wire: Wire, path: str, key: str) -> set[str]:
    return {item["status"] for item in wire("GET", f"/api/v1/{path}").json()[key]}


@pytest.mark.parametrize("path", LISTS)
def test_the_demo_has_one_of_everything(path: str) -> None:
    with serve("demo") as server:
        (found,) = (value for value in Wire(server.url)("GET", f"/api/{path}").json().values() if isinstance(value, list))
    assert found


@pytest.mark.parametrize("number", [123456, 123457])
def test_the_demo_has_the_servers_of_the_documentation(number: int) -> None:
    with serve("demo") as server:
        assert Wire(server.url)("GET", f"/api/v1/servers/{number}").json()["server"]["status"] == "on"


def test_the_demo_refers_to_what_there_is() -> None:
    state = SCENARIOS["demo"].state()
    servers = {str(server["id"]) for server in state["servers"]}
    (protected,) = (kept for place, kept in state["children"].items() if place.endswith("/resources"))
    assert {resource["id"] for resource in protected} <= servers
    projects = {project["id"] for project in state["projects"]}
    for key in ("dbs", "balancers", "clusters", "routers"):
        assert {item["project_id"] for item in state[key] if "project_id" in item} <= projects
    networks = {network["id"] for network in state["vpcs"]}
    assert {network["id"] for network in state["routers"][0]["networks"]} == networks


def test_out_of_money_starts_nothing() -> None:
    with serve("out_of_money") as server:
        wire = Wire(server.url)
        assert wire("GET", "/api/v1/account/finances").json()["finances"]["hours_left"] == 0
        assert "on" not in statuses(wire, "servers", "servers")
        assert wire("POST", "/api/v1/servers", ORDER).json()["server"]["status"] == "no_paid"
        assert statuses(wire, "databases", "dbs") == {"no_paid"}


def test_an_edge_ban_is_a_connection_that_does_not_come_about() -> None:
    clock = FakeClock()
    with use_clock(clock), SCENARIOS["edge_ban"].emulator(clock=clock).client(max_retries=0) as tw:
        for _ in range(20):
            assert tw.servers.list(limit=1).items
        with pytest.raises(ConnectTimeout):
            tw.servers.get(123456)


def test_a_slow_creation_takes_a_quarter_of_an_hour() -> None:
    with serve("slow_create") as server:
        wire = Wire(server.url)
        number = wire("POST", "/api/v1/servers", ORDER).json()["server"]["id"]
        seen = []
        for seconds in (59, 2, 898, 2):
            server.emulator.advance(seconds)
            seen.append(wire("GET", f"/api/v1/servers/{number}").json()["server"]["status"])
    assert seen == ["no_paid", "installing", "installing", "on"]


def test_half_of_the_servers_are_gone_and_their_addresses_are_not() -> None:
    whole = SCENARIOS["demo"].state()
    with serve("half_gone") as server:
        wire = Wire(server.url)
        assert wire("GET", "/api/v1/servers").json()["meta"]["total"] == 12
        gone = wire("GET", "/api/v1/servers/123457")
        assert (gone.status, gone.json()["error_code"]) == (404, "not_found")
        ips = wire("GET", "/api/v1/floating-ips").json()["ips"]
    assert len(ips) == len(whole["ips"])
    assert sum(ip["resource_id"] is None for ip in ips) == 1 + 11


@pytest.mark.parametrize(("name", "total"), [("half_gone", 12), ("out_of_money", 23), ("empty", 0)])
def test_the_command_line_knows_them(name: str, total: int) -> None:
    with running("--scenario", name, "--any-token") as wire:
        assert wire("GET", "/api/v1/servers", token="any").json()["meta"]["total"] == total
