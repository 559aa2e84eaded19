"""The default catalogues of an emulated account; prices are RUB per month, sizes MB. All of it is made up to look plausible."""

from __future__ import annotations

from typing import Any

IPV4_PRICE = 200
"""RUB per month for one public IPv4 address, bound or not."""
BACKUP_PRICE_PER_GB = 4
"""RUB per month for one GB of a disk backup."""
DISK_PRICE_PER_GB = 10
"""RUB per month for one GB of an additional disk."""
HOURS_PER_MONTH = 732
"""Hours by which the API turns monthly prices into hourly ones."""

LOCATIONS: dict[str, tuple[str, tuple[str, ...]]] = {
    "ru-1": ("RU", ("spb-1", "spb-2", "spb-3", "spb-4")),
    "ru-2": ("RU", ("nsk-1",)),
    "ru-3": ("RU", ("msk-1",)),
    "nl-1": ("NL", ("ams-1",)),
    "kz-1": ("KZ", ("ala-1",)),
    "pl-1": ("PL", ("gdn-1",)),
    "de-1": ("DE", ("fra-1",)),
}
"""Location -> country code and availability zones; the first zone is where new servers land."""

_PRESETS = (
    # id, location, RUB per month, CPU, RAM MB, disk MB, disk type, bandwidth Mbit/s, tag
    (2447, "ru-1", 300, 1, 1024, 15360, "nvme", 1000, "ssd_2022"),
    (2449, "ru-1", 500, 1, 2048, 30720, "nvme", 1000, "ssd_2022"),
    (2451, "ru-1", 700, 2, 2048, 40960, "nvme", 1000, "ssd_2022"),
    (2453, "ru-1", 1000, 2, 4096, 51200, "nvme", 1000, "ssd_2022"),
    (2581, "ru-1", 1485, 4, 8192, 81920, "nvme", 1000, "ssd_2022"),
    (2455, "ru-1", 2900, 8, 16384, 163840, "nvme", 1000, "ssd_2022"),
    (3001, "ru-2", 207, 1, 1024, 15360, "ssd", 100, "nsk_base"),
    (3005, "ru-2", 420, 2, 2048, 25600, "ssd", 100, "nsk_base"),
    (4799, "ru-3", 800, 2, 2048, 40960, "nvme", 1000, "msk_nvme"),
    (4801, "ru-3", 1000, 2, 4096, 51200, "nvme", 1000, "msk_nvme"),
    (4803, "ru-3", 1800, 4, 8192, 81920, "nvme", 1000, "msk_nvme"),
    (4805, "ru-3", 4300, 8, 16384, 163840, "nvme", 1000, "msk_nvme"),
    (2901, "nl-1", 950, 2, 2048, 40960, "nvme", 1000, "ams_nvme"),
    (3901, "kz-1", 890, 2, 2048, 40960, "nvme", 1000, "kz_nvme"),
)

_OS = (
    (47, "linux", "ubuntu", "18.04", "bionic"),
    (61, "linux", "ubuntu", "20.04", "focal"),
    (79, "linux", "ubuntu", "22.04", "jammy"),
    (99, "linux", "ubuntu", "24.04", "noble"),
    (65, "linux", "debian", "11", "bullseye"),
    (95, "linux", "debian", "12", "bookworm"),
    (37, "linux", "centos", "7", ""),
    (67, "linux", "almalinux", "8.4", ""),
    (69, "linux", "astralinux", "1.7", ""),
    (28, "windows", "windows", "2019", ""),
    (71, "windows", "windows", "2022", ""),
)

_SOFTWARE = (
    (7, "Docker", (61, 79, 99, 65, 95)),
    (17, "LAMP", (61, 79, 99)),
    (21, "WordPress", (79, 99)),
    (33, "GitLab", (61, 79)),
    (41, "OpenVPN", (61, 79, 95)),
)


def server_presets() -> list[dict[str, Any]]:
    return [
        {
            "id": number,
            "location": location,
            "price": price,
            "cpu": cpu,
            "cpu_frequency": "3.3",
            "ram": ram,
            "disk": disk,
            "disk_type": disk_type,
            "bandwidth": bandwidth,
            "description": f"{cpu} x 3.3 GHz, {ram // 1024} GB RAM, {disk // 1024} GB {disk_type}",
            "description_short": f"Cloud-{cpu}-{ram // 1024}",
            "is_allowed_local_network": True,
            "tags": [tag],
        }
        for number, location, price, cpu, ram, disk, disk_type, bandwidth, tag in _PRESETS
    ]


def server_configurators() -> list[dict[str, Any]]:
    def one(number: int, location: str, disk_type: str, frequency: str, cpu_max: int, ram_max: int, gpu: int) -> dict[str, Any]:
        bounds = {
            "cpu": (1, 1, cpu_max),
            "ram": (1024, 1024, ram_max),
            "disk": (15360, 5120, 2048000),
            "network_bandwidth": (100, 100, 1000),
        }
        requirements: dict[str, int | None] = {}
        for name, (low, step, high) in bounds.items():
            requirements |= {f"{name}_min": low, f"{name}_step": step, f"{name}_max": high}
        requirements |= (
            {"gpu_min": 1, "gpu_max": gpu, "gpu_step": 1} if gpu else dict.fromkeys(("gpu_min", "gpu_max", "gpu_step"))
        )
        return {
            "id": number,
            "location": location,
            "disk_type": disk_type,
            "is_allowed_local_network": True,
            "cpu_frequency": frequency,
            "requirements": requirements,
        }

    return [
        one(11, "ru-1", "nvme", "3.3", 16, 65536, 0),
        one(13, "ru-1", "nvme", "5.0", 8, 32768, 0),
        one(15, "ru-2", "ssd", "2.8", 16, 65536, 0),
        one(37, "ru-3", "nvme", "3.3", 32, 131072, 0),
        one(51, "nl-1", "nvme", "3.3", 16, 65536, 0),
        one(73, "ru-3", "nvme", "3.3", 32, 131072, 4),
    ]


def servers_os() -> list[dict[str, Any]]:
    return [
        {
            "id": number,
            "family": family,
            "name": name,
            "version": version,
            "version_codename": codename,
            "description": "",
            "requirements": {
                "cpu_min": 1,
                "disk_min": 15360,
                "ram_min": 2048 if family == "windows" else 512,
                "bandwidth_min": 100,
            },
        }
        for number, family, name, version, codename in _OS
    ]


def servers_software() -> list[dict[str, Any]]:
    return [
        {
            "id": number,
            "name": name,
            "os_ids": list(os_ids),
            "description": "",
            "installations": 100 + number,
            "requirements": {"cpu_min": 1, "disk_min": 15360, "ram_min": 1024, "bandwidth_min": 100},
        }
        for number, name, os_ids in _SOFTWARE
    ]


def locations() -> list[dict[str, Any]]:
    return [
        {"location": name, "location_code": code, "availability_zones": list(zones)}
        for name, (code, zones) in LOCATIONS.items()
    ]


def price_of_configuration(cpu: float, ram: float, disk: float, gpu: float = 0) -> float:
    """RUB per month of a server built in a configurator; `ram` and `disk` in MB."""
    return round(cpu * 170 + ram / 1024 * 130 + disk / 1024 * 7 + gpu * 30000, 2)
