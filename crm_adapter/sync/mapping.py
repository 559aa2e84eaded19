"""A Timeweb server as column values of the CRM. Pure functions; the field table is in docs/crm-design.md."""

from __future__ import annotations

import hashlib
import ipaddress
import json
from decimal import Decimal
from typing import Any, Final, NamedTuple

from crm_adapter.money import to_money
from crm_adapter.payload import as_bool, as_decimal, as_dict, as_dicts, as_int, as_text, plain, stable
from crm_adapter.results import HostingValues

BUSY_STATUSES: Final = frozenset(
    {
        "installing",
        "software_install",
        "reinstalling",
        "turning_on",
        "turning_off",
        "hard_turning_off",
        "rebooting",
        "hard_rebooting",
        "removing",
        "cloning",
        "transfer",
        "configuring",
        # Not in the contract; the first was seen live, the rest are expected by public clients.
        "starting",
        "stopping",
        "shutting_down",
        "creating",
        "recovering",
    }
)
"""Timeweb is at work on the server; no status of the CRM follows from it."""
ACTIVE_STATUSES: Final = frozenset({"on"})
PROBLEM_STATUSES: Final = frozenset({"off", "no_paid", "blocked", "permanent_blocked"})
REMOVED_STATUS: Final = "removed"

_OS_NAMES: Final = {
    "almalinux": "AlmaLinux",
    "alpine": "Alpine Linux",
    "alt": "ALT Linux",
    "altlinux": "ALT Linux",
    "archlinux": "Arch Linux",
    "astralinux": "Astra Linux",
    "bitrix": "Bitrix",
    "brainycp": "BrainyCP",
    "centos": "CentOS",
    "debian": "Debian",
    "fedora": "Fedora",
    "freebsd": "FreeBSD",
    "gentoo": "Gentoo",
    "opensuse": "openSUSE",
    "oracle": "Oracle Linux",
    "oraclelinux": "Oracle Linux",
    "redos": "RED OS",
    "rhel": "RHEL",
    "rocky": "Rocky Linux",
    "rockylinux": "Rocky Linux",
    "routeros": "RouterOS",
    "ubuntu": "Ubuntu",
    "windows": "Windows",
}
_canonical: Final = json.JSONEncoder(ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode
_DISK_TYPES: Final = {"nvme": "NVMe", "ssd": "SSD", "hdd": "HDD"}


class _Address(NamedTuple):
    ip: str
    version: int
    public: bool
    main: bool


def map_server(server: object, *, cost: Decimal | None = None) -> HostingValues:
    """Turn a `Server` of the SDK (or the API's dict) into column values.

    `cost` is the net price in RUB per month, None when unknown. Odd values become None. Raises `ValueError` for a
    server without a usable id, `TypeError` for something that is no server.
    """
    data = plain(server)
    timeweb_id = as_int(data.get("id"))
    if timeweb_id is None or timeweb_id <= 0:
        raise ValueError("the server has no usable id")
    addresses = _addresses(data)
    status = as_text(data.get("status"), 50)
    snapshot = _canonical(stable(data))
    return HostingValues(
        timeweb_id=timeweb_id,
        server_name=as_text(data.get("name"), 255),
        configuration=_configuration(data),
        ip_address=_primary(addresses),
        timeweb_status=status,
        timeweb_preset_id=as_int(data.get("preset_id"), bits=32),
        timeweb_data=snapshot,
        status="active" if status in ACTIVE_STATUSES or status in BUSY_STATUSES else "suspended",
        cost_price=to_money(cost) if cost is not None else None,
        configurator_id=as_int(data.get("configurator_id")),
        location=as_text(data.get("location"), 50),
        ip_all=tuple(address.ip for address in addresses),
        public_ipv4=tuple(address.ip for address in addresses if address.public and address.version == 4),
        fingerprint=hashlib.sha256(snapshot.encode()).hexdigest(),
    )


def parse_server_configuration(server: object) -> str:
    """`2 CPU / 2GB RAM / 25GB SSD / Ubuntu 22.04`: sizes of the API are MB, what is unknown is left out."""
    return _configuration(plain(server))


def get_primary_ip(server: object) -> str | None:
    """Main public IPv4, any public IPv4, main public IPv6, any public IPv6, private IPv4, in this order."""
    return _primary(_addresses(plain(server)))


def normalise_ip(value: object) -> str | None:
    """An address in its canonical spelling without a mask, or None."""
    text = as_text(value, 100)
    if text is None:
        return None
    try:
        if "/" in text or "%" in text:
            return str(ipaddress.ip_interface(text).ip)
        return str(ipaddress.ip_address(text))  # most have neither mask nor zone, and need no network around them
    except ValueError:
        return None


def _addresses(data: dict[str, Any]) -> list[_Address]:
    found: list[_Address] = []
    for network in as_dicts(data.get("networks")):
        public = str(network.get("type")).lower() == "public"
        for entry in as_dicts(network.get("ips")):
            # The address tells its own version: the API spells the type ipv4, ipv_4 and v4.
            if ip := normalise_ip(entry.get("ip")):
                found.append(_Address(ip, 6 if ":" in ip else 4, public, as_bool(entry.get("is_main"))))
    return found


def _primary(addresses: list[_Address]) -> str | None:
    def rank(address: _Address) -> int:
        if address.public:
            return (0 if address.version == 4 else 2) + (not address.main)
        return 4 if address.version == 4 else 5

    best = min(addresses, key=rank, default=None)
    return best.ip if best and rank(best) < 5 else None


def _configuration(data: dict[str, Any]) -> str:
    parts: list[str] = []
    if cpu := _count(data.get("cpu")):
        parts.append(f"{cpu} CPU")
    if gpu := _count(data.get("gpu")):
        parts.append(f"{gpu} GPU")
    if ram := _size(data.get("ram")):
        parts.append(f"{ram} RAM")
    if disks := _disks(data):
        parts.append(disks)
    if system := _system(data):
        parts.append(system)
    return " / ".join(parts)


def _count(value: object) -> int | None:
    number = as_int(value)
    return number if number and number > 0 else None


def _size(value: object) -> str | None:
    """MB as people write it: 512MB, 1.5GB, 2GB."""
    megabytes = as_decimal(value)
    if megabytes is None or megabytes <= 0:
        return None
    if megabytes < 1024:
        return f"{_trim(megabytes)}MB"
    return f"{_trim(megabytes / 1024)}GB"


def _trim(number: Decimal) -> str:
    return f"{number:.2f}".rstrip("0").rstrip(".")


def _disks(data: dict[str, Any]) -> str | None:
    totals: dict[str, Decimal] = dict.fromkeys(_DISK_TYPES.values(), Decimal(0))
    for disk in as_dicts(data.get("disks")):
        size = as_decimal(disk.get("size"))
        if size is not None and size > 0:
            # Replies that name no type are of a time when there was one.
            kind = as_text(disk.get("type"), 20) or "ssd"
            name = _DISK_TYPES.get(kind.lower(), kind.upper())
            totals[name] = totals.get(name, Decimal(0)) + size
    return " + ".join(f"{_size(size)} {name}" for name, size in totals.items() if size) or None


def _system(data: dict[str, Any]) -> str | None:
    image, system = as_dict(data.get("image")), as_dict(data.get("os"))
    image_name, raw = as_text(image.get("name"), 100), as_text(system.get("name"), 100)
    if image_name and (as_bool(image.get("is_custom")) or not raw):
        return image_name
    if not raw:
        return None
    name = _OS_NAMES.get(raw.lower(), raw[:1].upper() + raw[1:])
    version = as_text(system.get("version"), 50)
    return f"{name} {version}" if version else name
