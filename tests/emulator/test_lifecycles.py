"""What happens to servers, addresses, disks, keys, domains and money, seen over a socket on a clock that tests move."""

import json
from typing import Any

import pytest

from tests.emulator.conftest import Wire
from timeweb_sdk.testing import Emulator, EmulatorServer, FakeClock, Timings

ORDER = {"name": "new", "preset_id": 2453, "os_id": 99}


def ok(wire: Wire, method: str, path: str, body: Any = None) -> Any:
    reply = wire(method, path, body)
    assert 200 <= reply.status < 300, reply.body
    return reply.json() if reply.body else None


def buy(wire: Wire, **changes: Any) -> dict[str, Any]:
    server: dict[str, Any] = ok(wire, "POST", "/api/v1/servers", {**ORDER, **changes})["server"]
    return server


def look(wire: Wire, number: int) -> dict[str, Any]:
    server: dict[str, Any] = ok(wire, "GET", f"/api/v1/servers/{number}")["server"]
    return server


def test_a_new_server_installs_without_an_address_and_then_is_on_with_one(wire: Wire, emulator: Emulator) -> None:
    bought = buy(wire)
    assert (bought["status"], bought["networks"], bought["root_pass"]) == ("installing", [], None)
    assert (bought["preset_id"], bought["configurator_id"], bought["cpu"], bought["ram"]) == (2453, None, 2, 4096)
    emulator.advance(9.9)
    assert look(wire, bought["id"])["status"] == "installing"
    emulator.advance(0.1)
    installed = look(wire, bought["id"])
    assert installed["status"] == "on"
    assert installed["root_pass"]
    address = installed["networks"][0]["ips"][0]
    assert (address["type"], address["ip"], address["is_main"]) == ("ipv4", "203.0.113.25", True)
    floating = {entry["ip"]: entry for entry in ok(wire, "GET", "/api/v1/floating-ips")["ips"]}
    assert (floating[address["ip"]]["resource_type"], floating[address["ip"]]["resource_id"]) == ("server", bought["id"])


def test_a_custom_server_needs_an_explicit_gpu(wire: Wire) -> None:
    size = {"configurator_id": 11, "cpu": 2, "ram": 4096, "disk": 40960}
    order = {"name": "custom", "os_id": 99, "configuration": size}
    refused = wire("POST", "/api/v1/servers", order)
    assert (refused.status, refused.json()["message"]) == (404, "Preset with id: 0 not found")
    bought = ok(wire, "POST", "/api/v1/servers", {**order, "configuration": {**size, "gpu": 0}})["server"]
    assert (bought["preset_id"], bought["configurator_id"], bought["disks"][0]["size"]) == (None, 11, 40960)


@pytest.mark.parametrize(
    ("changes", "status", "message"),
    [
        ({"os_id": 12345}, 404, "OS with id: 12345 not found"),
        ({"preset_id": 12345}, 404, "Preset with id: 12345 not found"),
        ({"image_id": "7a1c1d2e-1111-4222-8333-444455556666"}, 400, ["exactly one of os_id and image_id must be given"]),
        ({"project_id": 9}, 404, "Project not found"),
        ({"name": 5}, 400, ["name must be a string"]),
    ],
)
def test_a_bad_order_is_refused(wire: Wire, changes: dict[str, Any], status: int, message: object) -> None:
    reply = wire("POST", "/api/v1/servers", {**ORDER, **changes})
    assert (reply.status, reply.json()["message"]) == (status, message)
    assert ok(wire, "GET", "/api/v1/servers")["meta"]["total"] == 23


def test_an_empty_balance_ends_in_no_paid(emulator: Emulator, wire: Wire) -> None:
    emulator.state["finances"]["balance"] = 0
    bought = buy(wire)
    assert bought["status"] == "no_paid"
    emulator.advance(3600)
    assert look(wire, bought["id"])["status"] == "no_paid"


@pytest.mark.parametrize(
    ("action", "busy", "final"),
    [
        ("shutdown", "turning_off", "off"),
        ("hard-shutdown", "hard_turning_off", "off"),
        ("reboot", "rebooting", "on"),
        ("hard-reboot", "hard_rebooting", "on"),
    ],
)
def test_actions_take_time_and_lock_the_server(wire: Wire, emulator: Emulator, action: str, busy: str, final: str) -> None:
    reply = wire("POST", f"/api/v1/servers/4100001/{action}")
    assert (reply.status, reply.body) == (204, b"")
    assert look(wire, 4100001)["status"] == busy
    locked = wire("POST", "/api/v1/servers/4100001/reboot")
    assert (locked.status, locked.json()["error_code"]) == (423, "resource_locked")
    emulator.advance(2.9)
    assert look(wire, 4100001)["status"] == busy
    emulator.advance(0.1)
    assert look(wire, 4100001)["status"] == final


def test_start_turns_a_stopped_server_on(wire: Wire, emulator: Emulator) -> None:
    stopped = next(server["id"] for server in emulator.state["servers"] if server["status"] == "off")
    ok(wire, "POST", f"/api/v1/servers/{stopped}/start")
    assert look(wire, stopped)["status"] == "turning_on"
    emulator.advance(3)
    assert look(wire, stopped)["status"] == "on"


def test_a_reinstalled_server_says_on_with_the_old_password_for_a_moment(wire: Wire, emulator: Emulator) -> None:
    before = look(wire, 4100001)
    ok(wire, "PATCH", "/api/v1/servers/4100001", {"os_id": 95})
    at_once = look(wire, 4100001)
    assert (at_once["status"], at_once["root_pass"]) == ("on", before["root_pass"])
    emulator.advance(1)
    assert look(wire, 4100001)["status"] == "reinstalling"
    emulator.advance(10)
    after = look(wire, 4100001)
    assert (after["status"], after["os"]["name"]) == ("on", "debian")
    assert after["root_pass"] != before["root_pass"]


def test_resizing_changes_size_and_price_and_disks_never_shrink(wire: Wire, emulator: Emulator) -> None:
    def cost() -> float:
        rows = ok(wire, "GET", "/api/v1/account/services/cost")["services_costs"]
        return float(next(row["total_cost"] for row in rows if row["service_id"] == 4100001))

    assert cost() == 1200
    ok(wire, "PATCH", "/api/v1/servers/4100001", {"preset_id": 2581})
    emulator.advance(3)
    resized = look(wire, 4100001)
    assert (resized["status"], resized["cpu"], resized["ram"], resized["disks"][0]["size"]) == ("on", 4, 8192, 81920)
    assert cost() == 1685
    assert wire("PATCH", "/api/v1/servers/4100001", {"preset_id": 2447}).json()["message"] == "Disk size cannot be reduced"


def test_a_clone_is_a_server_of_its_own(wire: Wire, emulator: Emulator) -> None:
    clone = ok(wire, "POST", "/api/v1/servers/4100001/clone")["server"]
    assert clone["id"] != 4100001
    assert clone["status"] == "cloning"
    emulator.advance(10)
    addresses = {look(wire, number)["networks"][0]["ips"][0]["ip"] for number in (4100001, clone["id"])}
    assert len(addresses) == 2


def test_a_deleted_server_leaves_its_address_behind_unbound_and_billed(wire: Wire) -> None:
    def floating_rows() -> int:
        rows = ok(wire, "GET", "/api/v1/account/services/cost")["services_costs"]
        return sum(row["type"] == "floating_ip" for row in rows)

    before = floating_rows()
    assert wire("DELETE", "/api/v1/servers/4100001").status == 204
    gone = wire("GET", "/api/v1/servers/4100001")
    assert (gone.status, gone.json()["error_code"]) == (404, "not_found")
    left = next(entry for entry in ok(wire, "GET", "/api/v1/floating-ips")["ips"] if entry["ip"] == "203.0.113.1")
    assert (left["resource_type"], left["resource_id"]) == (None, None)
    assert floating_rows() == before + 1
    ok(wire, "DELETE", f"/api/v1/floating-ips/{left['id']}")
    assert floating_rows() == before


def test_deletion_with_confirmation(clock: FakeClock) -> None:
    state = {"servers": [{"id": 5, "name": "kept", "status": "on"}]}
    with EmulatorServer(Emulator(state, clock=clock, confirm_delete=True)) as server:
        wire = Wire(server.url)
        asked = wire("DELETE", "/api/v1/servers/5")
        assert asked.status == 200
        confirmation = asked.json()["server_delete"]
        assert confirmation["is_moved_in_quarantine"] is False
        assert look(wire, 5)["name"] == "kept"
        path = f"/api/v1/servers/5?hash={confirmation['hash']}"
        assert wire("DELETE", path).status == 400
        assert wire("DELETE", f"{path}&code=000000").status == 400
        assert wire("DELETE", f"{path}&code=123456").status == 204
        assert wire("GET", "/api/v1/servers/5").status == 404


def test_the_main_address_stays_and_others_come_and_go(wire: Wire) -> None:
    refused = wire("DELETE", "/api/v1/servers/4100001/ips", {"ip": "203.0.113.1"})
    assert (refused.status, refused.json()["error_code"]) == (400, "delete_main_ip_error")
    added = ok(wire, "POST", "/api/v1/servers/4100001/ips", {"type": "ipv4"})["server_ip"]
    assert added["is_main"] is False
    assert added["ip"] in [entry["ip"] for entry in ok(wire, "GET", "/api/v1/servers/4100001/ips")["server_ips"]]
    ok(wire, "DELETE", "/api/v1/servers/4100001/ips", {"ip": added["ip"]})
    assert added["ip"] not in [entry["ip"] for entry in ok(wire, "GET", "/api/v1/floating-ips")["ips"]]


def test_floating_ips_bind_in_their_zone_only_and_only_once(wire: Wire, emulator: Emulator) -> None:
    order = {"is_ddos_guard": False, "availability_zone": "msk-1"}
    number = ok(wire, "POST", "/api/v1/floating-ips", order)["ip"]["id"]
    path = f"/api/v1/floating-ips/{number}"
    far = wire("POST", f"{path}/bind", {"resource_type": "server", "resource_id": 4100001})
    assert far.json()["error_code"] == "different_zones_exception"
    near = next(server["id"] for server in emulator.state["servers"] if server["availability_zone"] == "msk-1")
    ok(wire, "POST", f"{path}/bind", {"resource_type": "server", "resource_id": near})
    again = wire("POST", f"{path}/bind", {"resource_type": "server", "resource_id": near})
    assert again.json()["error_code"] == "floating_ip_already_bound"
    assert ok(wire, "GET", path)["ip"]["resource_id"] == near
    ok(wire, "POST", f"{path}/unbind")
    assert ok(wire, "GET", path)["ip"]["resource_id"] is None


def test_backups_are_made_in_time_and_cost(wire: Wire, emulator: Emulator) -> None:
    path = "/api/v1/servers/4100001/disks/1/backups"
    backup = ok(wire, "POST", path, {"comment": "before the update"})["backup"]
    assert (backup["status"], backup["progress"]) == ("create", 0)
    assert wire("POST", path, {}).status == 409
    emulator.advance(4.9)
    assert ok(wire, "GET", f"{path}/{backup['id']}")["backup"]["status"] == "create"
    emulator.advance(0.1)
    assert ok(wire, "GET", f"{path}/{backup['id']}")["backup"]["status"] == "done"
    rows = ok(wire, "GET", "/api/v1/account/services/cost")["services_costs"]
    row = next(row for row in rows if row["service_id"] == 4100001)
    assert {service["type"] for service in row["services"]} == {"floating_ip", "backups"}
    assert row["total_cost"] == pytest.approx(row["cost"] + sum(service["cost"] for service in row["services"]))


def test_finances_follow_from_what_runs(wire: Wire) -> None:
    finances = ok(wire, "GET", "/api/v1/account/finances")["finances"]
    rows = ok(wire, "GET", "/api/v1/account/services/cost")["services_costs"]
    assert finances["monthly_cost"] == pytest.approx(sum(row["total_cost"] for row in rows))
    assert finances["monthly_fee"] == pytest.approx(finances["monthly_cost"] * 0.9, abs=0.01)
    assert finances["hours_left"] == int(finances["balance"] / finances["hourly_fee"])


def test_time_costs_money_and_the_end_of_it_stops_servers(wire: Wire, emulator: Emulator) -> None:
    before = ok(wire, "GET", "/api/v1/account/finances")["finances"]
    emulator.advance(10 * 3600)
    after = ok(wire, "GET", "/api/v1/account/finances")["finances"]
    assert after["balance"] == pytest.approx(before["balance"] - 10 * before["hourly_fee"], abs=0.01)
    emulator.advance(before["hours_left"] * 3600)
    assert ok(wire, "GET", "/api/v1/account/finances")["finances"]["balance"] <= 0
    assert look(wire, 4100001)["status"] == "no_paid"


def test_what_the_state_says_about_money_wins(clock: FakeClock) -> None:
    finances = {"balance": 5, "monthly_cost": 300, "monthly_fee": 300, "hourly_fee": 0.41, "hours_left": 20, "currency": "rub"}
    rows = [{"type": "server", "cost": 300, "total_cost": 300, "service_id": "x"}]
    with EmulatorServer(Emulator({"finances": finances, "services_costs": rows}, clock=clock)) as server:
        wire = Wire(server.url)
        answered = ok(wire, "GET", "/api/v1/account/finances")["finances"]
        assert {key: answered[key] for key in finances} == finances
        assert ok(wire, "GET", "/api/v1/account/services/cost")["services_costs"] == rows


def test_projects_hold_servers(wire: Wire) -> None:
    number = ok(wire, "POST", "/api/v1/projects", {"name": "fresh"})["project"]["id"]
    path = f"/api/v1/projects/{number}/resources"
    ok(wire, "POST", f"{path}/servers", {"resource_id": 4100001})
    assert [server["id"] for server in ok(wire, "GET", f"{path}/servers")["servers"]] == [4100001]
    assert wire("DELETE", f"/api/v1/projects/{number}").status == 409
    rows = ok(wire, "GET", "/api/v1/account/services/cost")["services_costs"]
    assert next(row["project_id"] for row in rows if row["service_id"] == 4100001) == number
    move = {"to_project": 101, "resource_id": 4100001, "resource_type": "server"}
    assert ok(wire, "PUT", f"{path}/transfer", move)["resource"]["project"]["id"] == 101
    assert wire("DELETE", f"/api/v1/projects/{number}").status == 204
    bought = buy(wire, project_id=102)
    assert bought["id"] in [server["id"] for server in ok(wire, "GET", "/api/v1/projects/102/resources/servers")["servers"]]


def test_ssh_keys_know_their_servers(wire: Wire) -> None:
    key = ok(wire, "POST", "/api/v1/ssh-keys", {"name": "k", "body": "ssh-ed25519 AAAA", "is_default": True})["ssh_key"]
    ok(wire, "POST", "/api/v1/servers/4100001/ssh-keys", {"ssh_key_ids": [key["id"]]})
    keys = {entry["id"]: entry for entry in ok(wire, "GET", "/api/v1/ssh-keys")["ssh_keys"]}
    assert keys[key["id"]]["used_by"] == [{"id": 4100001, "name": "studio-site"}]
    assert [entry["is_default"] for entry in keys.values()] == [False, True]
    ok(wire, "DELETE", f"/api/v1/servers/4100001/ssh-keys/{key['id']}")
    assert ok(wire, "GET", f"/api/v1/ssh-keys/{key['id']}")["ssh_key"]["used_by"] == []


def test_deleting_a_subdomains_name_deletes_the_whole_domain(wire: Wire) -> None:
    assert wire("POST", "/api/v1/add-domain/example.org").status == 204
    ok(wire, "DELETE", "/api/v1/domains/shop.example.org")
    assert wire("GET", "/api/v1/domains/example.org").status == 404


def test_work_under_way_survives_a_restart(clock: FakeClock) -> None:
    before = Emulator(clock=clock)
    with EmulatorServer(before) as server:
        number = buy(Wire(server.url))["id"]
    after = Emulator(json.loads(before.dump()), clock=clock)
    after.advance(10)
    with EmulatorServer(after) as server:
        wire = Wire(server.url)
        assert look(wire, number)["status"] == "on"
        ok(wire, "POST", "/api/v1/floating-ips", {"is_ddos_guard": False, "availability_zone": "spb-1"})
        ids = [entry["id"] for entry in ok(wire, "GET", "/api/v1/floating-ips")["ips"]]
        assert len(set(ids)) == len(ids) == 2, "what was made up before the restart is not made up again"


@pytest.mark.parametrize("number", [7, 7.0, "7"])
def test_an_odd_spelling_of_an_id_is_the_same_server(clock: FakeClock, number: Any) -> None:
    with EmulatorServer(Emulator({"servers": [{"id": number}]}, clock=clock)) as server:
        assert look(Wire(server.url), 7) == {"id": number}


def test_other_services_confirm_deletion_too(clock: FakeClock) -> None:
    with EmulatorServer(Emulator({"balancers": [{"id": 5}]}, clock=clock, confirm_delete=True)) as server:
        wire = Wire(server.url)
        asked = wire("DELETE", "/api/v1/balancers/5")
        assert (asked.status, list(asked.json())) == (200, ["balancer_delete", "response_id"])
        path = f"/api/v1/balancers/5?hash={asked.json()['balancer_delete']['hash']}&code=123456"
        assert wire("DELETE", path).status == 204
        assert wire("DELETE", path).status == 404, "a hash serves once"


def test_a_bucket_goes_into_quarantine(wire: Wire) -> None:
    assert ok(wire, "DELETE", "/api/v1/storages/buckets/1001")["bucket_delete"] == {"is_moved_in_quarantine": True}
    assert ok(wire, "GET", "/api/v1/storages/buckets")["buckets"] == []


def test_the_state_may_be_changed_between_requests(wire: Wire, emulator: Emulator) -> None:
    servers = emulator.state["servers"]
    assert look(wire, 4100001)["name"] == "studio-site"
    servers.insert(0, {"id": 5, "name": "first"})
    assert [look(wire, number)["name"] for number in (5, 4100001)] == ["first", "studio-site"]
    servers[1] = {"id": 6, "name": "instead"}
    assert look(wire, 6)["name"] == "instead"
    assert wire("GET", "/api/v1/servers/4100001").status == 404
    emulator.state["servers"] = []
    assert wire("GET", "/api/v1/servers/6").status == 404


def test_a_new_server_may_say_no_paid_while_its_address_is_added(clock: FakeClock) -> None:
    emulator = Emulator(clock=clock, timings=Timings(unpaid=2))
    with EmulatorServer(emulator) as server:
        wire = Wire(server.url)
        number = buy(wire)["id"]
        seen = [look(wire, number)["status"]]
        for seconds in (2, 10):
            emulator.advance(seconds)
            seen.append(look(wire, number)["status"])
        assert seen == ["no_paid", "installing", "on"]
        assert look(wire, number)["root_pass"]
