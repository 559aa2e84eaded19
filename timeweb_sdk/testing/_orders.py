"""What a server is made of, as ordered: its size, its system, its software, its place. RAM and disks in MB."""

from __future__ import annotations

from dataclasses import dataclass

from timeweb_sdk.testing._account import Account, Item
from timeweb_sdk.testing._catalogue import LOCATIONS
from timeweb_sdk.testing._http import ApiError, bad_request


@dataclass(frozen=True, slots=True)
class Size:
    """What a preset or a configuration comes to; `machine` holds the fields as they stand in a server."""

    machine: Item
    disk: float
    disk_type: str
    location: str


def order_size(account: Account, body: Item, key: str) -> Size:
    """The size asked for by `preset_id` or by the configuration under `key`; ApiError where there is no such thing."""
    if ("preset_id" in body) == (key in body):
        raise bad_request([f"exactly one of preset_id and {key} must be given"])
    if key in body:
        return _configured(account, body[key])
    preset = _entry(account, "server_presets", body["preset_id"], "Preset")
    frequency = str(preset.get("cpu_frequency", "3.3"))
    machine: Item = {"preset_id": preset["id"], "configurator_id": None, "cpu_frequency": frequency, "gpu": 0}
    machine |= {"cpu": preset["cpu"], "ram": preset["ram"]}
    return Size(machine, preset["disk"], preset.get("disk_type", "nvme"), preset["location"])


def _entry(account: Account, catalogue: str, number: int, what: str) -> Item:
    for entry in account.items(catalogue):
        if entry.get("id") == number:
            return entry
    raise ApiError(404, "not_found", f"{what} with id: {number} not found")


def _configured(account: Account, wanted: Item) -> Size:
    if "gpu" not in wanted:
        # lebedevdsl/crossplane-provider-timeweb @ abf5327: a custom server without `gpu` is looked up as preset 0.
        raise ApiError(404, "not_found", "Preset with id: 0 not found")
    configurator = next(
        (c for c in account.items("server_configurators") if c.get("id") == wanted.get("configurator_id")), None
    )
    if configurator is None:
        raise bad_request("Configurator not found", code="configurator_not_found")
    bounds = configurator["requirements"]
    errors: list[str] = []
    for name in ("cpu", "ram", "disk"):
        low, step, high = bounds[f"{name}_min"], bounds[f"{name}_step"], bounds[f"{name}_max"]
        value = wanted.get(name, low)
        if not low <= value <= high or (value - low) % step:
            errors.append(f"configuration.{name} must be {low} to {high} in steps of {step}")
    if errors:
        raise bad_request(
            errors, code="invalid_configuration_ram" if len(errors) == 1 and ".ram " in errors[0] else "bad_request"
        )
    machine: Item = {"preset_id": None, "configurator_id": configurator["id"]}
    machine |= {
        "cpu_frequency": configurator["cpu_frequency"],
        "gpu": wanted["gpu"],
        "cpu": wanted["cpu"],
        "ram": wanted["ram"],
    }
    return Size(machine, wanted["disk"], configurator["disk_type"], configurator["location"])


def order_system(account: Account, body: Item) -> tuple[Item, Item | None]:
    """The `os` and the `image` of a server."""
    if ("os_id" in body) == ("image_id" in body):
        raise bad_request(["exactly one of os_id and image_id must be given"])
    if "image_id" in body:
        image = {"id": body["image_id"], "name": "custom image", "is_custom": True}
        return {"id": 99, "name": "ubuntu", "version": None}, image
    os = _entry(account, "servers_os", body["os_id"], "OS")
    return {"id": os["id"], "name": os["name"], "version": os.get("version")}, None


def order_software(account: Account, body: Item) -> Item | None:
    if "software_id" not in body:
        return None
    software = _entry(account, "servers_software", body["software_id"], "Software")
    return {"id": software["id"], "name": software["name"]}


def zone_in(location: str, wanted: str | None) -> str:
    """The wanted zone where the location has it; else the location decides."""
    zones = LOCATIONS.get(location, ("", ("spb-1",)))[1]
    return wanted if wanted in zones else zones[0]


def new_disk(account: Account, size: float, kind: str, *, system: bool) -> Item:
    return {
        "id": account.new_id("server_disks"),
        "size": size,
        "used": 2048 if system else 0,
        "type": kind,
        "is_mounted": False,
        "is_system": system,
        "system_name": "vda" if system else "vdb",
        "status": "create",
    }
