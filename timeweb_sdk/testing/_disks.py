"""Disks of a server and their backups. Sizes in MB."""

from __future__ import annotations

from typing import Any

from timeweb_sdk.testing._account import Account, Item, listed
from timeweb_sdk.testing._call import Call, handlers
from timeweb_sdk.testing._http import bad_request, conflict, not_found
from timeweb_sdk.testing._orders import new_disk
from timeweb_sdk.testing._servers import become, find, find_idle

handles = handlers("server_id", "disk_id", "backup_id")

_NO_AUTO_BACKUPS: Item = {
    "copy_count": 1,
    "creation_start_at": "2026-01-01T00:00:00.000Z",
    "is_enabled": False,
    "interval": "day",
    "day_of_week": 1,
}


def finish_backup(account: Account, entry: Item) -> None:
    """Complete a backup that is being made, unless it was deleted meanwhile."""
    for backup in account.state["backups"].get(entry["disk_id"], []):
        if backup.get("id") == entry["backup_id"]:
            backup.update(status="done", progress=100)


def _disk(call: Call, server: Item) -> Item:
    wanted = call.path["disk_id"]
    for disk in listed(server, "disks"):
        if str(disk.get("id")) == wanted:
            return disk
    raise not_found("Disk")


@handles("getServerDisks")
def list_disks(call: Call) -> dict[str, Any]:
    return call.page("server_disks", listed(find(call), "disks"))


@handles("getServerDisk")
def get_disk(call: Call) -> dict[str, Any]:
    return {"server_disk": _disk(call, find(call))}


@handles("createServerDisk")
def create_disk(call: Call) -> dict[str, Any]:
    server = find_idle(call)
    if "size" not in call.body:
        raise bad_request(["size should not be empty"])
    disks: list[Item] = server.setdefault("disks", [])
    kind = disks[0].get("type", "nvme") if disks else "nvme"
    disk = new_disk(call.account, call.body["size"], kind, system=False)
    disk.update(status="done", is_mounted=True, system_name=f"vd{chr(ord('a') + len(disks) % 26)}")
    disks.append(disk)
    become(call.account, server, "configuring", call.timings.action, str(server.get("status")))
    return {"server_disk": disk}


@handles("updateServerDisk")
def update_disk(call: Call) -> dict[str, Any]:
    server = find_idle(call)
    disk = _disk(call, server)
    if call.body.get("size", disk["size"]) < disk["size"]:
        raise bad_request("Disk size cannot be reduced")
    disk.update(call.body)
    become(call.account, server, "configuring", call.timings.action, str(server.get("status")))
    return {"server_disk": disk}


@handles("deleteServerDisk")
def delete_disk(call: Call) -> None:
    server = find_idle(call)
    disk = _disk(call, server)
    if disk.get("is_system"):
        raise bad_request("System disk cannot be deleted")
    server["disks"].remove(disk)
    call.account.state["backups"].pop(call.path["disk_id"], None)


# Backups


def _backups(call: Call) -> list[Item]:
    _disk(call, find(call))
    kept: list[Item] = call.account.state["backups"].setdefault(call.path["disk_id"], [])
    return kept


def _backup(call: Call) -> Item:
    for backup in _backups(call):
        if str(backup.get("id")) == call.path["backup_id"]:
            return backup
    raise not_found("Backup")


@handles("getServerDiskBackups")
def list_backups(call: Call) -> dict[str, Any]:
    return call.page("backups", _backups(call))


@handles("getServerDiskBackup")
def get_backup(call: Call) -> dict[str, Any]:
    return {"backup": _backup(call)}


@handles("createServerDiskBackup")
def create_backup(call: Call) -> dict[str, Any]:
    account, disk, kept = call.account, _disk(call, find_idle(call)), _backups(call)
    if any(backup.get("status") == "create" for backup in kept):
        raise conflict("A backup of this disk is already being made")
    number = account.new_id("backups")
    backup: Item = {
        "id": number,
        "name": f"backup-{number}",
        "comment": call.body.get("comment", ""),
        "created_at": account.now(),
        "status": "create",
        "size": disk.get("used", 0),
        "type": "manual",
        "progress": 0,
    }
    kept.append(backup)
    account.schedule(call.timings.backup, "backup", disk_id=call.path["disk_id"], backup_id=number)
    return {"backup": backup}


@handles("updateServerDiskBackup")
def update_backup(call: Call) -> dict[str, Any]:
    backup = _backup(call)
    backup.update(call.body)
    return {"backup": backup}


@handles("deleteServerDiskBackup")
def delete_backup(call: Call) -> None:
    _backups(call).remove(_backup(call))


@handles("performActionOnBackup")
def act_on_backup(call: Call) -> None:
    server, backup = find_idle(call), _backup(call)
    if backup.get("status") != "done":
        raise conflict("The backup is not ready")
    if call.body["action"] == "restore":
        become(call.account, server, "configuring", call.timings.backup, "on")


@handles("getServerDiskAutoBackupSettings")
def get_auto_backups(call: Call) -> dict[str, Any]:
    return {"auto_backups_settings": _settings(call)}


@handles("updateServerDiskAutoBackupSettings")
def set_auto_backups(call: Call) -> dict[str, Any]:
    settings = _settings(call)
    settings.update(call.body)
    return {"auto_backups_settings": settings}


def _settings(call: Call) -> Item:
    _disk(call, find(call))
    kept: dict[str, Item] = call.account.inner("auto_backups")
    return kept.setdefault(call.path["disk_id"], dict(_NO_AUTO_BACKUPS))
