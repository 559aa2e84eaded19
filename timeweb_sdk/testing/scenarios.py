"""Ready accounts: state documents to start an emulator with. Deterministic."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from random import Random
from typing import TYPE_CHECKING, Any

from timeweb_sdk.testing import _catalogue
from timeweb_sdk.testing._account import Item, State
from timeweb_sdk.testing._addresses import public_ipv4
from timeweb_sdk.testing._call import Timings
from timeweb_sdk.testing._catalogue import LOCATIONS
from timeweb_sdk.testing._clock import iso
from timeweb_sdk.testing._demo import services

if TYPE_CHECKING:
    from timeweb_sdk.testing.emulator import Emulator

ACCOUNT_ID = "cp12345"
_EPOCH = datetime(2024, 2, 1, 9, tzinfo=UTC)

_PROJECTS = ((101, "Studio", True), (102, "Clients", False), (103, "Internal", False))
_NAMES = (
    "studio-site", "cvety-spb", "pekarnya-ulitka", "stomatologiya-ulybka", "avtoservis-garage", "fitness-volna", "yurist",
    "mebel-dub", "kofejnya-zerno", "turizm-baikal", "shkola-umka", "okna-svet", "taxi-vezet", "sushi-hokku", "optika-zrenie",
    "1c-buhgalteriya", "gitlab", "bitrix24-portal", "staging", "backup-store", "mail-relay", "vpn-office", "old-vps",
)  # fmt: skip
# Status, preset or (configurator, CPU, RAM MB, disk MB), OS id; repeated in this order for longer accounts.
_PLAN: tuple[tuple[str, int | tuple[int, int, int, int], int], ...] = (
    ("on", 2453, 79), ("on", 2449, 79), ("on", 2447, 95), ("on", 4799, 99), ("on", 4801, 79), ("on", 2451, 61),
    ("off", 2449, 79), ("on", 4803, 99), ("on", 3005, 79), ("on", 2447, 37), ("on", 2581, 79), ("no_paid", 2449, 65),
    ("on", 3001, 79), ("on", 2453, 99), ("on", 4799, 95), ("on", (37, 4, 8192, 102400), 71), ("on", 2581, 99), ("on", 4803, 37),
    ("rebooting", 2447, 79), ("on", (11, 2, 4096, 153600), 95), ("on", 3005, 95), ("off", 2901, 99), ("no_paid", 2447, 47),
)  # fmt: skip


_KNOWN_IDS = {2: 123456, 3: 123457}
"""The servers that the pages of the documentation speak of."""


def empty_state() -> State:
    """An account that owns nothing yet: catalogues and finances are the defaults."""
    return {}


def demo_state(servers: int = 23) -> State:
    """The account of a small studio; the same number gives the same account.

    Servers in several states, on presets and on configurators, three projects, two floating ips (one of them unbound),
    an ssh key, finances with a discount of 10 percent, and one of everything else: a network and a router, a database with a
    backup, a balancer, a cluster, a dedicated server, a firewall group, a bucket, a network drive, an image, a registry, an
    app, an AI agent with a knowledge base, the domain example.com with records and a mailbox, …
    """
    if servers < 0:
        raise ValueError(f"an account cannot have {servers} servers")
    random = Random(2024)
    addresses = public_ipv4()
    state: State = {
        "servers": [_server(number, random, next(addresses)) for number in range(servers)],
        "projects": [_project(number, name, default) for number, name, default in _PROJECTS],
        "project_resources": [],
        "ssh_keys": [_ssh_key()],
        "finances": {"balance": 7378.3, "discount_percent": 10, "total_paid": 184200, "discount_end_date_at": None},
    }
    for position, server in enumerate(state["servers"]):
        state["project_resources"].append(
            {
                "id": position + 1,
                "created_at": server["created_at"],
                "project_id": 103 if position % 23 in (16, 17, 18, 19, 20, 21) else 101 if position % 23 == 0 else 102,
                "resource_type": "server",
                "resource_id": server["id"],
            }
        )
    state |= services(state["servers"], state["projects"])
    state["ips"] = [_floating(server, random) for server in state["servers"]] + [_spare(next(addresses), random)]
    return state


def _server(number: int, random: Random, address: str) -> Item:
    status, size, os_id = _PLAN[number % len(_PLAN)]
    name = _NAMES[number % len(_NAMES)]
    round_ = number // len(_NAMES)
    shape = _from_preset(size) if isinstance(size, int) else _from_configurator(*size)
    location = shape.pop("location")
    disk, disk_type = shape.pop("disk"), shape.pop("disk_type")
    created = iso(_EPOCH + timedelta(days=17 * (number % len(_NAMES)), minutes=number))
    os = next(entry for entry in _catalogue.servers_os() if entry["id"] == os_id)
    disks = [_disk(number * 2 + 1, disk, disk_type, random.randrange(2000, int(disk) - 1000), system=True)]
    if number % len(_NAMES) == 19:
        disks.append(_disk(number * 2 + 2, 102400, "hdd", 61440, system=False))
    return {
        "id": _KNOWN_IDS.get(number, 4_100_001 + number * 7),
        "name": name if not round_ else f"{name}-{round_ + 1}",
        "comment": "",
        "created_at": created,
        "os": {"id": os["id"], "name": os["name"], "version": os["version"]},
        "software": None,
        "location": location,
        "availability_zone": LOCATIONS[location][1][0],
        "boot_mode": "std",
        "status": status,
        "start_at": created,
        "is_ddos_guard": False,
        "is_master_ssh": False,
        "is_dedicated_cpu": False,
        "is_qemu_agent": False,
        "gpu": 0,
        "avatar_id": None,
        "avatar_link": None,
        "vnc_pass": _secret(random, 8),
        "root_pass": _secret(random, 12),
        "image": None,
        "cloud_init": None,
        **shape,
        "disks": disks,
        "networks": [_public_network(number, address, random)],
    }


def _public_network(number: int, address: str, random: Random) -> Item:
    v4: Item = {"type": "ipv4", "ip": address, "ptr": f"host{number + 1}.example.com", "is_main": True, "id": _uuid(random)}
    v6: Item = {"type": "ipv6", "ip": f"2001:db8::{number + 256:x}", "ptr": "", "is_main": False}
    network: Item = {"type": "public", "bandwidth": 1000, "ips": [v4, v6], "is_ddos_guard": False, "blocked_ports": []}
    return network


def _from_preset(number: int) -> Item:
    preset = _PRESETS[number]
    return {
        "preset_id": number,
        "configurator_id": None,
        "cpu": preset["cpu"],
        "cpu_frequency": preset["cpu_frequency"],
        "ram": preset["ram"],
        "disk": preset["disk"],
        "disk_type": preset["disk_type"],
        "location": preset["location"],
    }


def _from_configurator(number: int, cpu: int, ram: int, disk: int) -> Item:
    configurator = next(entry for entry in _catalogue.server_configurators() if entry["id"] == number)
    return {
        "preset_id": None,
        "configurator_id": number,
        "cpu": cpu,
        "cpu_frequency": configurator["cpu_frequency"],
        "ram": ram,
        "disk": disk,
        "disk_type": configurator["disk_type"],
        "location": configurator["location"],
    }


def _disk(number: int, size: float, kind: str, used: int, *, system: bool) -> Item:
    return {
        "id": number,
        "size": size,
        "used": used,
        "type": kind,
        "is_mounted": True,
        "is_system": system,
        "system_name": "vda" if system else "vdb",
        "status": "done",
    }


def _project(number: int, name: str, default: bool) -> Item:
    return {"id": number, "account_id": ACCOUNT_ID, "avatar_id": None, "description": "", "name": name, "is_default": default}


def _ssh_key() -> Item:
    return {
        "id": 501,
        "name": "studio laptop",
        "body": "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIExampleExampleExampleExampleExampleExampleEx studio@example.com",
        "created_at": iso(_EPOCH),
        "used_by": [],
        "is_default": True,
    }


def _floating(server: Item, random: Random) -> Item:
    entry = server["networks"][0]["ips"][0]
    address = _spare(entry["ip"], random)
    address.update(
        id=entry["id"],
        availability_zone=server["availability_zone"],
        resource_type="server",
        resource_id=server["id"],
        ptr=entry["ptr"],
    )
    return address


def _spare(ip: str, random: Random) -> Item:
    return {
        "id": _uuid(random),
        "ip": ip,
        "is_ddos_guard": False,
        "availability_zone": "spb-1",
        "resource_type": None,
        "resource_id": None,
        "comment": None,
        "ptr": None,
    }


def _uuid(random: Random) -> str:
    text = f"{random.getrandbits(128):032x}"
    return f"{text[:8]}-{text[8:12]}-4{text[13:16]}-a{text[17:20]}-{text[20:]}"


def _secret(random: Random, length: int) -> str:
    return "".join(random.choices("abcdefghjkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789", k=length))


_PRESETS: dict[Any, Item] = {preset["id"]: preset for preset in _catalogue.server_presets()}


def out_of_money_state(servers: int = 23) -> State:
    """The demonstration with nothing left to pay with: what was running is `no_paid`, and so is whatever is ordered."""
    state = demo_state(servers)
    state["finances"].update(balance=0.0, total_balance=0.0)
    for server in state["servers"]:
        if server["status"] == "on":
            server["status"] = "no_paid"
    for key in ("dbs", "balancers", "buckets"):
        for item in state[key]:
            item["status"] = "no_paid"
    return state


def half_gone_state(servers: int = 23) -> State:
    """The demonstration after every second server was deleted by somebody else; their addresses are still there, unbound."""
    state = demo_state(servers)
    gone = {server["id"] for server in state["servers"][1::2]}
    state["servers"] = state["servers"][::2]
    state["project_resources"] = [entry for entry in state["project_resources"] if entry["resource_id"] not in gone]
    for address in state["ips"]:
        if address["resource_id"] in gone:
            address["resource_type"] = address["resource_id"] = None
    return state


@dataclass(frozen=True, slots=True)
class Scenario:
    """A ready account and how it behaves."""

    state: Callable[..., State]
    profile: str | None = None
    """Faults in force from the start; see `PROFILES`."""
    timings: Timings | None = None
    """How long work takes, where that is the point."""
    has_servers: bool = True
    """Whether it takes `servers`, their number."""

    def emulator(self, *, servers: int | None = None, **options: Any) -> Emulator:
        """An emulator in this scenario; options as those of `Emulator`, which win."""
        from timeweb_sdk.testing.emulator import Emulator

        state = self.state() if servers is None else self.state(servers)
        options.setdefault("timings", self.timings)
        emulator = Emulator(state, **options)
        if self.profile is not None:
            emulator.add_profile(self.profile)
        return emulator


SCENARIOS: dict[str, Scenario] = {
    "demo": Scenario(demo_state),
    "empty": Scenario(empty_state, has_servers=False),
    "out_of_money": Scenario(out_of_money_state),
    "edge_ban": Scenario(demo_state, profile="ban"),
    "slow_create": Scenario(demo_state, timings=Timings(install=900.0, action=60.0, backup=600.0, unpaid=60.0)),
    "half_gone": Scenario(half_gone_state),
}
"""Name -> ready account: as on the command line and in `pytest.mark.timeweb_scenario`."""
