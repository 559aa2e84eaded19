"""A server as column values: texts, addresses, secrets, odd data."""

from __future__ import annotations

import hashlib
import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, strategies as st

from crm_adapter import get_primary_ip, map_server, parse_server_configuration
from crm_adapter.payload import plain
from crm_adapter.results import HostingValues
from tests.crm.fake_timeweb import server
from timeweb_sdk.models import Server
from timeweb_sdk.secrets import STARS


def ip(address: str, *, main: bool = False, kind: str = "ipv4") -> dict[str, Any]:
    return {"type": kind, "ip": address, "is_main": main}


def disks(*pairs: tuple[int, str]) -> list[dict[str, Any]]:
    return [{"size": size, "type": kind} for size, kind in pairs]


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({}, "2 CPU / 2GB RAM / 25GB SSD / Ubuntu 22.04"),
        ({"disks": [{"size": 25600}]}, "2 CPU / 2GB RAM / 25GB SSD / Ubuntu 22.04"),
        ({"ram": 1023}, "2 CPU / 1023MB RAM / 25GB SSD / Ubuntu 22.04"),
        ({"ram": 1024}, "2 CPU / 1GB RAM / 25GB SSD / Ubuntu 22.04"),
        ({"ram": 1, "cpu": 1}, "1 CPU / 1MB RAM / 25GB SSD / Ubuntu 22.04"),
        ({"ram": 0, "cpu": 0}, "25GB SSD / Ubuntu 22.04"),
        ({"ram": -1, "cpu": -1, "gpu": -1}, "25GB SSD / Ubuntu 22.04"),
        ({"ram": 10240, "disks": [{"size": 1365, "type": "SSD"}]}, "2 CPU / 10GB RAM / 1.33GB SSD / Ubuntu 22.04"),
        ({"disks": [{"size": 0}, {"size": None}, {"size": -5}, {"size": 1}]}, "2 CPU / 2GB RAM / 1MB SSD / Ubuntu 22.04"),
        ({"disks": disks((512, "tape" + "x" * 17))}, f"2 CPU / 2GB RAM / 512MB TAPE{'X' * 16} / Ubuntu 22.04"),
        ({"image": {"name": "x" * 101}, "os": None}, f"2 CPU / 2GB RAM / 25GB SSD / {'x' * 100}"),
        ({"image": {"is_custom": True}}, "2 CPU / 2GB RAM / 25GB SSD / Ubuntu 22.04"),
        ({"image": {"is_custom": True}, "os": None}, "2 CPU / 2GB RAM / 25GB SSD"),
        ({"os": {"name": "o" * 101, "version": "1" * 51}}, f"2 CPU / 2GB RAM / 25GB SSD / O{'o' * 99} {'1' * 50}"),
        ({"ram": 512}, "2 CPU / 512MB RAM / 25GB SSD / Ubuntu 22.04"),
        ({"ram": 1536}, "2 CPU / 1.5GB RAM / 25GB SSD / Ubuntu 22.04"),
        ({"ram": "2048", "cpu": "2"}, "2 CPU / 2GB RAM / 25GB SSD / Ubuntu 22.04"),
        ({"gpu": 2}, "2 CPU / 2 GPU / 2GB RAM / 25GB SSD / Ubuntu 22.04"),
        ({"disks": disks((102400, "hdd"), (25600, "nvme"))}, "2 CPU / 2GB RAM / 25GB NVMe + 100GB HDD / Ubuntu 22.04"),
        ({"disks": disks((10240, "ssd"), (15360, "ssd"))}, "2 CPU / 2GB RAM / 25GB SSD / Ubuntu 22.04"),
        ({"disks": []}, "2 CPU / 2GB RAM / Ubuntu 22.04"),
        ({"disks": None, "os": None}, "2 CPU / 2GB RAM"),
        ({"os": {"name": "windows", "version": "2022"}}, "2 CPU / 2GB RAM / 25GB SSD / Windows 2022"),
        ({"os": {"name": "almalinux", "version": None}}, "2 CPU / 2GB RAM / 25GB SSD / AlmaLinux"),
        ({"os": {"name": "centos", "version": 7}}, "2 CPU / 2GB RAM / 25GB SSD / CentOS 7"),
        ({"os": {"name": "newthing", "version": "1"}}, "2 CPU / 2GB RAM / 25GB SSD / Newthing 1"),
        ({"image": {"id": "x", "name": "my-image", "is_custom": True}}, "2 CPU / 2GB RAM / 25GB SSD / my-image"),
        ({"image": {"id": "x", "name": "Ubuntu", "is_custom": False}}, "2 CPU / 2GB RAM / 25GB SSD / Ubuntu 22.04"),
        ({"cpu": None, "ram": "lots", "disks": "none", "os": 5}, ""),
    ],
)  # fmt: skip
def test_configuration(changes: dict[str, Any], text: str) -> None:
    assert parse_server_configuration(server(1, **changes)) == text


@pytest.mark.parametrize(
    ("networks", "address"),
    [
        ([{"type": "public", "ips": [ip("203.0.113.1"), ip("203.0.113.2", main=True)]}], "203.0.113.2"),
        (
            [{"type": "public", "ips": [ip("2001:db8::1", main=True, kind="ipv6"), ip("203.0.113.2", kind="ipv_4")]}],
            "203.0.113.2",
        ),
        ([{"type": "public", "ips": [ip("203.0.113.9/24")]}], "203.0.113.9"),
        ([{"type": "public", "ips": [ip("2001:DB8:0::9%eth0")]}], "2001:db8::9"),
        ([{"type": "public", "ips": [ip("2001:db8::2", kind="v6"), ip("2001:db8::1", main=True, kind="ipv6")]}], "2001:db8::1"),
        (
            [{"type": "local", "ips": [ip("192.168.0.4", main=True)]}, {"type": "public", "ips": [ip("2001:db8::2")]}],
            "2001:db8::2",
        ),
        ([{"type": "local", "ips": [ip("192.168.0.4")]}], "192.168.0.4"),
        ([{"type": "local", "ips": [ip("fd00::4", kind="ipv6")]}], None),
        ([{"type": "public", "ips": None}], None),
        ([{"type": "public", "ips": [ip("not an address"), {"ip": None}, "x"]}], None),
        ([], None),
        (None, None),
    ],
)
def test_primary_ip(networks: object, address: str | None) -> None:
    assert get_primary_ip(server(1, networks=networks)) == address


def test_the_whole_mapping_of_a_model_and_of_a_dict_agree() -> None:
    data = server(1)
    from_model = map_server(Server.model_validate(data), cost=Decimal("435.005"))
    assert from_model.timeweb_id == 1001
    assert from_model.server_name == "web-1"
    assert from_model.timeweb_status == "on"
    assert from_model.status == "active"
    assert from_model.timeweb_preset_id == 10
    assert from_model.cost_price == Decimal("435.01")
    assert from_model.public_ipv4 == ("203.0.113.1",)
    from_dict = map_server(data)
    assert (from_dict.configuration, from_dict.ip_address) == (from_model.configuration, from_model.ip_address)


def test_every_value_of_a_server() -> None:
    data = server(1, name="веб " + "x" * 255, status="s" * 51, location="l" * 51, preset_id=2**31 - 1, configurator_id=2**31)
    private = {"type": "local", "ips": [ip("192.168.0.4")]}
    six = {"type": "public", "ips": [ip("2001:db8::1", kind="ipv6")]}
    data["networks"] += [private, six]
    text = map_server(data).timeweb_data
    assert text.startswith('{"availability_zone":"spb-1","boot_mode":"std",') and '"name":"веб x' in text
    assert map_server(data) == HostingValues(
        timeweb_id=1001,
        server_name="веб " + "x" * 251,
        configuration="2 CPU / 2GB RAM / 25GB SSD / Ubuntu 22.04",
        ip_address="203.0.113.1",
        timeweb_status="s" * 50,
        timeweb_preset_id=2**31 - 1,
        timeweb_data=text,
        status="suspended",
        cost_price=None,
        configurator_id=2**31,
        location="l" * 50,
        ip_all=("203.0.113.1", "192.168.0.4", "2001:db8::1"),
        public_ipv4=("203.0.113.1",),
        fingerprint=hashlib.sha256(text.encode()).hexdigest(),
    )
    assert map_server(data | {"preset_id": 2**31}).timeweb_preset_id is None
    assert map_server(data | {"id": 1}).timeweb_id == 1


BUSY = """
    installing software_install reinstalling turning_on turning_off hard_turning_off rebooting hard_rebooting removing cloning
    transfer configuring starting stopping shutting_down creating recovering
"""


@pytest.mark.parametrize(
    ("raw", "stored", "status"),
    [
        ("on", "on", "active"),
        *((status, status, "active") for status in BUSY.split()),
        ("off", "off", "suspended"),
        ("no_paid", "no_paid", "suspended"),
        ("permanent_blocked", "permanent_blocked", "suspended"),
        ("removed", "removed", "suspended"),
        ("a_status_of_2031" + "x" * 60, "a_status_of_2031" + "x" * 34, "suspended"),
        (None, None, "suspended"),
    ],
)
def test_status_of_a_new_row(raw: str | None, stored: str | None, status: str) -> None:
    values = map_server(server(1, status=raw))
    assert (values.timeweb_status, values.status) == (stored, status)


def test_secrets_are_taken_out_and_the_rest_stays() -> None:
    odd = {"api_token": "tok-1", "nested": [{"private_key": "k-1", "ok": 1}], "note": "-----BEGIN RSA PRIVATE KEY-----\nAAA"}
    data = json.loads(map_server(server(1, **odd)).timeweb_data)
    assert data["id"] == 1001
    assert data["nested"] == [{"ok": 1}]
    assert not {"root_pass", "vnc_pass", "cloud_init", "api_token"} & set(data)
    assert "s3cr3t" not in json.dumps(data) and data["note"] == STARS
    assert "s3cr3t" not in repr(plain(Server.model_validate(server(1))))


def test_the_fingerprint_follows_the_server_and_not_its_disk_usage_or_the_order_of_networks() -> None:
    first = map_server(server(1))
    busy = server(1)
    busy["disks"][0]["used"] = 20_000
    busy["avatar_link"] = "https://example.com/a.png"
    networks = [{"type": "local", "ips": [ip("192.168.0.4")]}, *busy["networks"]]
    assert map_server(busy).fingerprint == first.fingerprint
    assert map_server(busy | {"comment": "x"}).fingerprint != first.fingerprint
    there = map_server(busy | {"networks": networks})
    back = map_server(busy | {"networks": networks[::-1]})
    assert there.fingerprint == back.fingerprint != first.fingerprint


@pytest.mark.parametrize(
    "bad", [{"id": None}, {"id": 0}, {"id": "x"}, {"id": 1.5}, {"id": -3}, {"id": 2**70}, {"id": True}, {}]
)
def test_a_server_without_an_id_is_refused(bad: dict[str, Any]) -> None:
    data = server(1)
    del data["id"]
    with pytest.raises(ValueError, match="usable id"):
        map_server(data | bad)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.just("1e999999999"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from(sorted(server(1))), JSON, max_size=6))
def test_odd_values_never_crash_the_mapping(odd: dict[str, Any]) -> None:
    odd.pop("id", None)
    values = map_server(server(1) | odd)
    assert values.timeweb_id == 1001
    json.loads(values.timeweb_data)
    assert len(values.server_name or "") <= 255
    assert len(values.timeweb_status or "") <= 50
    assert len(values.ip_address or "") <= 50
    # What reaches a database is encodable and without NUL.
    assert "\x00" not in values.configuration
    f"{values.configuration}{values.server_name}{values.timeweb_data}".encode()
