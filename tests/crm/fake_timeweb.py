"""A Timeweb account in a dict, in place of the SDK's client."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, BinaryIO

from timeweb_sdk.errors import NotFoundError

Json = dict[str, Any]


def server(number: int, **changes: Any) -> Json:
    """A server as the API writes it: id 1000 + number, 203.0.113.number, preset 10, 2 CPU / 2GB RAM / 25GB SSD."""
    data: Json = {
        "id": 1000 + number,
        "name": f"web-{number}",
        "comment": "",
        "created_at": "2026-06-01T13:00:00Z",
        "os": {"id": 99, "name": "ubuntu", "version": "22.04"},
        "software": None,
        "preset_id": 10,
        "configurator_id": None,
        "location": "ru-1",
        "status": "on",
        "cpu": 2,
        "gpu": 0,
        "ram": 2048,
        "cpu_frequency": "3.3",
        "disks": [
            {
                "id": number,
                "size": 25600,
                "used": 1024,
                "type": "ssd",
                "is_system": True,
                "is_mounted": True,
                "system_name": "sda",
                "status": "done",
            }
        ],
        "availability_zone": "spb-1",
        "boot_mode": "std",
        "start_at": "2026-06-01T13:05:00Z",
        "avatar_id": None,
        "avatar_link": None,
        "is_ddos_guard": False,
        "is_master_ssh": False,
        "is_dedicated_cpu": False,
        "is_qemu_agent": True,
        "root_pass": f"s3cr3t-root-{number}",
        "vnc_pass": f"s3cr3t-vnc-{number}",
        "cloud_init": f"#cloud-config s3cr3t-init-{number}",
        "image": None,
        "networks": [{"type": "public", "ips": [{"type": "ipv4", "ip": f"203.0.113.{number}", "is_main": True, "ptr": ""}]}],
    }
    return data | changes


def cost(number: int, total: float = 500, **changes: Any) -> Json:
    """The server's row of the cost list: its own price and 180 for the address."""
    row: Json = {
        "type": "server",
        "service_id": 1000 + number,
        "cost": total - 180,
        "total_cost": total,
        "project_id": 7,
        "services": [{"id": 1, "cost": 180, "type": "floating_ip"}],
    }
    return row | changes


class Page:
    """What the SDK's lists return."""

    def __init__(self, items: list[Json], total: int | None) -> None:
        self.items = items
        self.total = total
        self.complete: bool | None = None


@dataclass
class FakeTimeweb:
    """One account.  ``calls`` are method and argument; ``faults`` maps a method to errors for its next calls."""

    servers_: list[Json] = field(default_factory=list)
    costs: list[Json] = field(default_factory=list)
    account_id: str | None = "cp00001"
    presets_: list[Json] = field(default_factory=lambda: [{"id": 10, "price": 550}])
    finances_: Json = field(default_factory=dict)
    calls: list[tuple[str, Any]] = field(default_factory=list)
    faults: dict[str, list[Exception | Callable[[], Any] | None]] = field(default_factory=dict)
    forgotten: set[int] = field(default_factory=set)
    """Servers that the listing leaves out although they exist."""

    def __post_init__(self) -> None:
        self.servers = _Servers(self)
        self.account = _Account(self)
        self.presets = _Presets(self)
        self.projects = _Projects(self)

    def request(self, method: str, path: str, *, to: BinaryIO) -> bytes:
        """Write the body of the one path that is asked for as it is: the cost list."""
        assert (method, path) == ("GET", "/api/v1/account/services/cost")
        page = self.account.list()
        to.write(json.dumps({"services_costs": page.items, "meta": {"total": page.total}}, default=float).encode())
        return b""

    def called(self, name: str, argument: Any = None) -> Any:
        """Note a call; raise or return what its next fault says."""
        self.calls.append((name, argument))
        queue = self.faults.get(name)
        fault = queue.pop(0) if queue else None
        if isinstance(fault, Exception):
            raise fault
        return fault() if fault is not None else None

    @property
    def names(self) -> list[str]:
        return [name for name, _ in self.calls]

    def money(self) -> Json:
        """Finances that agree with the cost list unless the test says otherwise."""
        prices = [row.get("total_cost") for row in self.costs]
        total = sum(price for price in prices if isinstance(price, int | float) and price > 0)
        return {
            "balance": 7378.3,
            "currency": "RUB",
            "monthly_cost": total,
            "monthly_fee": total,
            "hours_left": 500,
        } | self.finances_


class _Servers:
    def __init__(self, world: FakeTimeweb) -> None:
        self.world = world

    def list(self, *, limit: int = 100, offset: int = 0) -> Page:
        given = self.world.called("servers.list", offset)
        if given is not None:
            return given  # type: ignore[no-any-return]
        listed = [item for item in self.world.servers_ if item.get("id") not in self.world.forgotten]
        return Page(copy.deepcopy(listed[offset : offset + limit]), len(listed))

    def get(self, server_id: int) -> Json:
        given = self.world.called("servers.get", server_id)
        if given is not None:
            return given  # type: ignore[no-any-return]
        for item in self.world.servers_:
            if item.get("id") == server_id:
                return copy.deepcopy(item)
        raise NotFoundError("not found", status_code=404, error_code="not_found")


class _Account:
    def __init__(self, world: FakeTimeweb) -> None:
        self.world = world
        self.services = self
        self.cost = self
        self.finances = _Finances(world)

    def list(self) -> Page:
        given = self.world.called("cost.list")
        if given is not None:
            return given  # type: ignore[no-any-return]
        return Page(copy.deepcopy(self.world.costs), len(self.world.costs))


class _Finances:
    def __init__(self, world: FakeTimeweb) -> None:
        self.world = world

    def get(self) -> Json:
        given = self.world.called("finances.get")
        return self.world.money() if given is None else given


class _Presets:
    def __init__(self, world: FakeTimeweb) -> None:
        self.world = world
        self.servers = self

    def list(self) -> Page:
        given = self.world.called("presets.list")
        return Page(copy.deepcopy(self.world.presets_), len(self.world.presets_)) if given is None else given


class _Projects:
    def __init__(self, world: FakeTimeweb) -> None:
        self.world = world

    def list(self) -> Page:
        given = self.world.called("projects.list")
        if given is not None:
            return given  # type: ignore[no-any-return]
        account_id = self.world.account_id
        return Page([{"id": 7, "account_id": account_id, "is_default": True}] if account_id else [], 1)


def world(count: int, total: float = 500, **settings: Any) -> FakeTimeweb:
    """An account of ``count`` servers, each with a row of the cost list."""
    numbers = range(1, count + 1)
    return FakeTimeweb([server(n) for n in numbers], [cost(n, total) for n in numbers], **settings)


def client(fake: FakeTimeweb) -> Any:
    """The fake where a Timeweb is expected."""
    return fake
