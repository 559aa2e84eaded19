"""Money that follows from what exists: cost rows, finances, hours left. RUB; a figure given in the state wins."""

from __future__ import annotations

import json
from hashlib import sha256
from typing import Any

from timeweb_sdk._core.guards import is_object
from timeweb_sdk.testing._account import Account, Item, State, listed
from timeweb_sdk.testing._catalogue import (
    BACKUP_PRICE_PER_GB,
    DISK_PRICE_PER_GB,
    HOURS_PER_MONTH,
    IPV4_PRICE,
    price_of_configuration,
)
from timeweb_sdk.testing._presets import OFFERS, price_of, project_kind

_PINNED = frozenset({"hourly_cost", "hourly_fee", "monthly_cost", "monthly_fee", "hours_left"})


def services_costs(account: Account) -> list[Item]:
    """One row per paid service: of the state, or else computed from what exists. An image costs as a backup does.

    A domain costs what its `monthly_cost` says, which is no field of the API; without one it costs nothing.
    """
    if "services_costs" in account.state:
        return account.items("services_costs")
    prices = {preset.get("id"): preset for preset in account.items("server_presets")}
    homes = {(e["resource_type"], e["resource_id"]): e["project_id"] for e in account.items("project_resources")}
    home = account.home_project().get("id")
    rows = [
        _server_row(account, server, prices, homes.get(("server", server.get("id")), home))
        for server in account.items("servers")
    ]
    rows += [_offer_row(account, name, item, homes, home) for name in OFFERS for item in account.state.get(name, [])]
    rows += [_image_row(image, home) for image in account.state.get("images", [])]
    rows += [
        _row("domain", domain, str(domain.get("fqdn")), domain["monthly_cost"], home)
        for domain in account.state.get("domains", [])
        if "monthly_cost" in domain
    ]
    worn_by_servers = "server"
    rows += [_address_row(ip, home) for ip in account.items("ips") if ip.get("resource_type") != worn_by_servers]
    return rows


def finances(account: Account) -> Item:
    """What `/account/finances` says; each key the state gives wins over the computed one."""
    given: Item = account.state["finances"]
    percent = _number(given.get("discount_percent", 0))
    monthly_cost = _number(given.get("monthly_cost", _total(services_costs(account))))
    monthly_fee = _number(given.get("monthly_fee", round(monthly_cost * (100 - percent) / 100, 2)))
    hourly_fee = _number(given.get("hourly_fee", round(monthly_fee / HOURS_PER_MONTH, 4)))
    balance = _exact_balance(account)
    computed: Item = {
        "balance": round(balance, 2),
        "total_balance": balance,
        "hourly_cost": round(monthly_cost / HOURS_PER_MONTH, 4),
        "hourly_fee": hourly_fee,
        "monthly_cost": monthly_cost,
        "monthly_fee": monthly_fee,
        "hours_left": int(balance / hourly_fee) if hourly_fee > 0 else None,
    }
    return {**computed, **given}


def with_figures(account: Account) -> State:
    """The state with the figures that follow from it, noted so that `without_figures` can tell them from edits."""
    figures: State = {"finances": finances(account), "services_costs": services_costs(account)}
    computed: Item = {name: value for name, value in figures["finances"].items() if name not in account.state["finances"]}
    noted: Item = {"finances": computed}
    if "services_costs" not in account.state:
        noted["services_costs"] = _digest(figures["services_costs"])
    inner = {**account.state["_emulator"], "computed": noted}
    return {**account.state, **figures, "_emulator": inner}


def without_figures(state: State) -> State:
    """Drop the figures that `with_figures` computed and nobody has changed since: they shall follow from the state again."""
    inner = state.get("_emulator")
    noted = inner.get("computed") if is_object(inner) else None
    if not is_object(inner) or not is_object(noted):
        return state
    result: State = {**state, "_emulator": {name: value for name, value in inner.items() if name != "computed"}}
    money = state.get("finances")
    if is_object(money):
        computed: Item = noted.get("finances", {})
        result["finances"] = {k: v for k, v in money.items() if k not in computed or computed[k] != v}
    if "services_costs" in state and _digest(state["services_costs"]) == noted.get("services_costs"):
        del result["services_costs"]
    return result


def _digest(rows: Any) -> str:
    return sha256(json.dumps(rows, sort_keys=True).encode()).hexdigest()[:16]


def can_pay(account: Account) -> bool:
    """Whether the balance lets another service start; without it a new server ends in `no_paid`."""
    return _exact_balance(account) > 0


def charge(account: Account, seconds: float) -> None:
    """Take from the balance what running services cost in this time; at its end they stop as `no_paid`.

    An account whose state says what it pays is left as it stands: its figures are somebody's test data.
    """
    given: Item = account.state["finances"]
    if _PINNED & given.keys():
        return
    balance = _exact_balance(account) - finances(account)["hourly_fee"] * seconds / 3600
    given.update(balance=round(balance, 2), total_balance=round(balance, 8))
    if balance <= 0:
        for server in account.items("servers"):
            if server.get("status") == "on":
                server["status"] = "no_paid"
    account.touch()


def _exact_balance(account: Account) -> float:
    given: Item = account.state["finances"]
    balance = _number(given.get("balance", 0))
    exact = _number(given.get("total_balance", balance))
    # Where the two disagree somebody has set the rounded one since.
    return exact if round(exact, 2) == balance else balance


def _server_row(account: Account, server: Item, presets: dict[Any, Item], project: Any) -> Item:
    disks: list[Item] = listed(server, "disks")
    preset = presets.get(server.get("preset_id"))
    if preset is not None:
        cost = _number(preset.get("price", 0))
    else:
        system = sum(_number(disk.get("size", 0)) for disk in disks if disk.get("is_system"))
        cost = price_of_configuration(
            _number(server.get("cpu", 0)), _number(server.get("ram", 0)), system, _number(server.get("gpu", 0))
        )
    nested = list(_nested(account, server, disks))
    return {
        "type": "server",
        "service_id": server.get("id"),
        "project_id": project,
        "cost": cost,
        "total_cost": round(cost + _total(nested, "cost"), 2),
        "services": nested,
        "info": {"name": str(server.get("name", ""))},
        "configuration": {
            "cpu": _number(server.get("cpu", 0)),
            "ram": _number(server.get("ram", 0)),
            "disk": round(sum(_number(disk.get("size", 0)) for disk in disks) / 1024),
        },
    }


def _nested(account: Account, server: Item, disks: list[Item]) -> list[Item]:
    number = server.get("id")
    found: list[Item] = [
        {"id": number, "type": "floating_ip", "cost": IPV4_PRICE, "description": str(address.get("ip"))}
        for network in listed(server, "networks")
        if network.get("type") == "public"
        for address in listed(network, "ips")
        if address.get("type") in ("ipv4", "ipv_4")
    ]
    for disk in disks:
        if not disk.get("is_system", True):
            cost = round(_number(disk.get("size", 0)) / 1024 * DISK_PRICE_PER_GB, 2)
            found.append({"id": disk.get("id"), "type": "disks", "cost": cost, "description": str(disk.get("system_name", ""))})
        kept: list[Item] = account.state["backups"].get(str(disk.get("id")), [])
        if kept:
            cost = round(sum(_number(backup.get("size", 0)) for backup in kept) / 1024 * BACKUP_PRICE_PER_GB, 2)
            found.append({"id": disk.get("id"), "type": "backups", "cost": cost, "description": f"{len(kept)} backups"})
    return found


def _offer_row(account: Account, name: str, item: Item, homes: dict[Any, Any], home: Any) -> Item:
    number = item.get("id")
    cost = price_of(account, name, item)
    if name == "clusters":
        cost += _workers_price(account, number)
    service = "app_frontend" if name == "apps" and item.get("type") == "frontend" else OFFERS[name].service
    return _row(service, item, str(item.get("name", "")), cost, homes.get((project_kind(name), number), home))


def _workers_price(account: Account, cluster: Any) -> float:
    """What the worker nodes of a cluster cost, beside its preset, which is the master's."""
    groups: list[Item] = account.state["children"].get(f"clusters/{cluster}/node_groups", [])
    return sum(price_of(account, "clusters", group) * _number(group.get("node_count")) for group in groups)


def _image_row(image: Item, project: Any) -> Item:
    cost = round(_number(image.get("size")) / 1024 * BACKUP_PRICE_PER_GB, 2)
    return _row("image", image, str(image.get("name", "")), cost, project)


def _address_row(address: Item, project: Any) -> Item:
    return _row("floating_ip", address, str(address.get("ip")), IPV4_PRICE, project)


def _row(service: str, item: Item, name: str, cost: float, project: Any) -> Item:
    return {
        "type": service,
        "service_id": item.get("id"),
        "project_id": project,
        "cost": cost,
        "total_cost": cost,
        "services": [],
        "info": {"name": name},
        "configuration": {},
    }


def _total(rows: list[Item], key: str = "total_cost") -> float:
    return round(sum(_number(row.get(key, 0)) for row in rows), 2)


def _number(value: Any) -> int | float:
    """The value where it is a number, 0 where odd test data has something else."""
    return value if isinstance(value, (int, float)) and not isinstance(value, bool) else 0
