"""What a server is made of, as ordered: its size, its system, its software, its place. RAM and disks in MB."""

from __future__ import annotations

from timeweb_sdk.testing._account import Account, Item
from timeweb_sdk.testing._catalogue import LOCATIONS
from timeweb_sdk.testing._http import ApiError, bad_request


def order_size(account: Account, body: Item, key: str) -> Item:
    if ("preset_id" in body) == (key in body):
        raise bad_request([f"exactly one of preset_id and {key} must be given"])
    if "preset_id" in body:
        preset = next((p for p in account.items("server_presets") if p.get("id") == body["preset_id"]), None)
        if preset is None:
            raise ApiError(404, "not_found", f"Preset with id: {body['preset_id']} not found")
        return {
            "preset_id": preset["id"],
            "configurator_id": None,
            "cpu": preset["cpu"],
            "cpu_frequency": str(preset.get("cpu_frequency", "3.3")),
            "ram": preset["ram"],
            "gpu": 0,
            "_disk": preset["disk"],
            "disk_type": preset.get("disk_type", "nvme"),
            "location": preset["location"],
        }
    return _configured(account, body[key])


def _configured(account: Account, wanted: Item) -> Item:
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
    return {
        "preset_id": None,
        "configurator_id": configurator["id"],
        "cpu": wanted["cpu"],
        "cpu_frequency": configurator["cpu_frequency"],
        "ram": wanted["ram"],
        "gpu": wanted["gpu"],
        "_disk": wanted["disk"],
        "disk_type": configurator["disk_type"],
        "location": configurator["location"],
    }


def order_system(account: Account, body: Item) -> tuple[Item, Item | None]:
    if ("os_id" in body) == ("image_id" in body):
        raise bad_request(["exactly one of os_id and image_id must be given"])
    if "image_id" in body:
        image = {"id": body["image_id"], "name": "custom image", "is_custom": True}
        return {"id": 99, "name": "ubuntu", "version": None}, image
    return _os(account, body["os_id"]), None


def _os(account: Account, number: int) -> Item:
    found = next((entry for entry in account.items("servers_os") if entry.get("id") == number), None)
    if found is None:
        raise ApiError(404, "not_found", f"OS with id: {number} not found")
    return {"id": found["id"], "name": found["name"], "version": found.get("version")}


def order_software(account: Account, body: Item) -> Item | None:
    if "software_id" not in body:
        return None
    found = next((entry for entry in account.items("servers_software") if entry.get("id") == body["software_id"]), None)
    if found is None:
        raise ApiError(404, "not_found", f"Software with id: {body['software_id']} not found")
    return {"id": found["id"], "name": found["name"]}


def place(wanted: str | None, location: str) -> tuple[str, str]:
    """The zone: the wanted one where the preset's location has it, else the preset decides."""
    zones = LOCATIONS.get(location, ("", ("spb-1",)))[1]
    return (wanted if wanted in zones else zones[0]), location


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
