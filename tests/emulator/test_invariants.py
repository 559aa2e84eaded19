"""Whatever is done to an account in whatever order: no 5xx, no address twice, every bill adds up."""

import json
from typing import Any

from hypothesis import HealthCheck, settings, strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from timeweb_sdk.testing import Emulator, FakeClock, Request, demo_state
from timeweb_sdk.testing._billing import without_figures

PRESETS = st.sampled_from([2447, 2453, 2581, 4801])
ACTIONS = st.sampled_from(["start", "shutdown", "reboot", "hard-reboot", "hard-shutdown", "reset-password", "clone"])
PICK = st.integers(min_value=0, max_value=99)


class Account(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.emulator = Emulator(demo_state(4), clock=FakeClock(), rate_limit=False)

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        data = b"" if body is None else json.dumps(body).encode()
        reply = self.emulator.handle(Request(method, path, {}, {"Authorization": "Bearer emulator-token"}, data))
        assert reply.status < 500, reply.body
        return json.loads(reply.body) if reply.body else {}

    def server(self, pick: int) -> int:
        servers = self.emulator.state["servers"]
        return int(servers[pick % len(servers)]["id"]) if servers else 404404

    def address(self, pick: int) -> str:
        ips = self.emulator.state["ips"]
        return str(ips[pick % len(ips)]["id"]) if ips else "none"

    @rule(preset=PRESETS, software=st.sampled_from([None, 7]), project=st.sampled_from([None, 101, 102]))
    def buy(self, preset: int, software: int | None, project: int | None) -> None:
        order = {"name": "x", "preset_id": preset, "os_id": 99, "software_id": software, "project_id": project}
        self.ask("POST", "/api/v1/servers", {key: value for key, value in order.items() if value is not None})

    @rule(pick=PICK, action=ACTIONS)
    def act(self, pick: int, action: str) -> None:
        self.ask("POST", f"/api/v1/servers/{self.server(pick)}/{action}")

    @rule(pick=PICK, preset=PRESETS)
    def resize(self, pick: int, preset: int) -> None:
        self.ask("PATCH", f"/api/v1/servers/{self.server(pick)}", {"preset_id": preset})

    @rule(pick=PICK)
    def reinstall(self, pick: int) -> None:
        self.ask("PATCH", f"/api/v1/servers/{self.server(pick)}", {"os_id": 95})

    @rule(pick=PICK)
    def delete(self, pick: int) -> None:
        self.ask("DELETE", f"/api/v1/servers/{self.server(pick)}")

    @rule(pick=PICK, kind=st.sampled_from(["ipv4", "ipv6"]))
    def add_address(self, pick: int, kind: str) -> None:
        self.ask("POST", f"/api/v1/servers/{self.server(pick)}/ips", {"type": kind})

    @rule(pick=PICK)
    def remove_address(self, pick: int) -> None:
        path = f"/api/v1/servers/{self.server(pick)}/ips"
        for entry in self.ask("GET", path).get("server_ips", [])[-1:]:
            self.ask("DELETE", path, {"ip": entry["ip"]})

    @rule(zone=st.sampled_from(["spb-1", "msk-1"]))
    def rent(self, zone: str) -> None:
        self.ask("POST", "/api/v1/floating-ips", {"is_ddos_guard": False, "availability_zone": zone})

    @rule(pick=PICK, other=PICK)
    def bind(self, pick: int, other: int) -> None:
        target = {"resource_type": "server", "resource_id": self.server(other)}
        self.ask("POST", f"/api/v1/floating-ips/{self.address(pick)}/bind", target)

    @rule(pick=PICK)
    def unbind(self, pick: int) -> None:
        self.ask("POST", f"/api/v1/floating-ips/{self.address(pick)}/unbind")

    @rule(pick=PICK)
    def give_up(self, pick: int) -> None:
        self.ask("DELETE", f"/api/v1/floating-ips/{self.address(pick)}")

    @rule(pick=PICK)
    def back_up(self, pick: int) -> None:
        path = f"/api/v1/servers/{self.server(pick)}/disks"
        for disk in self.ask("GET", path).get("server_disks", [])[:1]:
            self.ask("POST", f"{path}/{disk['id']}/backups", {})

    @rule(seconds=st.sampled_from([1, 5, 3600, 86400 * 20]))
    def advance(self, seconds: int) -> None:
        self.emulator.advance(seconds)

    @invariant()
    def no_address_stands_twice(self) -> None:
        servers = {server["id"]: server for server in self.emulator.state["servers"]}
        worn = [
            (entry["ip"], number)
            for number, server in servers.items()
            for network in server["networks"]
            for entry in network["ips"]
            if entry["type"] == "ipv4"
        ]
        rented = [(ip["ip"], ip["resource_id"]) for ip in self.emulator.state["ips"]]
        assert len({ip for ip, _ in rented}) == len(rented)
        assert sorted(worn) == sorted(entry for entry in rented if entry[1] is not None)
        for server in servers.values():
            mains = [entry for network in server["networks"] for entry in network["ips"] if entry["is_main"]]
            assert len(mains) <= 1

    @invariant()
    def bills_add_up(self) -> None:
        rows = self.ask("GET", "/api/v1/account/services/cost")["services_costs"]
        finances = self.ask("GET", "/api/v1/account/finances")["finances"]
        assert abs(sum(row["total_cost"] for row in rows) - finances["monthly_cost"]) < 0.01
        servers = [server["id"] for server in self.emulator.state["servers"]]
        assert sorted(row["service_id"] for row in rows if row["type"] == "server") == sorted(servers)

    @invariant()
    def projects_share_out_the_servers(self) -> None:
        listed = [
            server["id"]
            for project in self.ask("GET", "/api/v1/projects")["projects"]
            for server in self.ask("GET", f"/api/v1/projects/{project['id']}/resources/servers")["servers"]
        ]
        assert sorted(listed) == sorted(server["id"] for server in self.emulator.state["servers"])

    @invariant()
    def the_state_is_a_document(self) -> None:
        assert without_figures(json.loads(self.emulator.dump())) == self.emulator.state


TestAccount = Account.TestCase
TestAccount.settings = settings(
    max_examples=20, stateful_step_count=30, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
