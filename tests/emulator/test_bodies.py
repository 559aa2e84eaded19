"""What bodies of requests the emulator takes and refuses, judged over a socket."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.emulator.conftest import Wire
from timeweb_sdk.testing._contract import Contract, Endpoint, contract
from timeweb_sdk.testing._validate import problems, understood

IPS = "/api/v1/servers/4100001/ips"
GROUPS = "/api/v1/firewall/groups"


def group(wire: Wire) -> str:
    return str(wire("POST", GROUPS, {"name": "g"}).json()["group"]["id"])


@pytest.mark.parametrize("cidr", ["203.0.113.0/24", "203.0.113.7/32", "203.0.113.7", "0.0.0.0/0", "2001:db8::/32", "::/0"])
def test_a_firewall_rule_takes_an_address_or_a_subnet(wire: Wire, cidr: str) -> None:
    rule = {"direction": "ingress", "protocol": "tcp", "port": "22", "cidr": cidr}
    reply = wire("POST", f"{GROUPS}/{group(wire)}/rules", rule)
    assert (reply.status, reply.json()["rule"]["cidr"]) == (201, cidr)


@pytest.mark.parametrize("cidr", ["203.0.113.0/33", "example.com", "", 22])
def test_a_firewall_rule_refuses_what_is_neither(wire: Wire, cidr: object) -> None:
    rule = {"direction": "ingress", "protocol": "tcp", "port": "22", "cidr": cidr}
    reply = wire("POST", f"{GROUPS}/{group(wire)}/rules", rule)
    assert (reply.status, reply.json()["error_code"]) == (400, "validation_error")


def test_null_in_an_optional_property_is_as_good_as_absent(wire: Wire) -> None:
    reply = wire("POST", IPS, {"type": "ipv6", "ptr": None})
    assert (reply.status, reply.json()["server_ip"]["ptr"]) == (201, "")


def test_null_in_a_required_property_is_refused(wire: Wire) -> None:
    reply = wire("POST", IPS, {"type": None})
    assert reply.status == 400
    assert "type" in reply.json()["message"][0]


def test_null_in_a_property_that_can_be_null_clears_it(wire: Wire) -> None:
    assert wire("POST", "/api/v1/add-domain/example.org").status == 204
    for address in ("203.0.113.1", None):
        domain = wire("PATCH", "/api/v1/domains/example.org", {"linked_ip": address}).json()["domain"]
        assert domain["linked_ip"] == address


NETWORK = {"floating_ip": "203.0.113.30"}
BALANCER = {
    "name": "b", "algo": "roundrobin", "fall": 3, "inter": 10, "rise": 2, "timeout": 5, "path": "/", "port": 80,
    "proto": "http", "preset_id": 391, "is_keepalive": False, "is_ssl": False, "is_sticky": False, "is_use_proxy": False,
}  # fmt: skip


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/api/v1/databases", {"name": "d", "type": "postgres16", "preset_id": 1, "network": NETWORK}),
        ("/api/v1/databases", {"name": "d", "type": "mysql", "preset_id": 1, "config_parameters": {"max_connections": 100}}),
        ("/api/v1/databases", {"name": "d", "type": "mysql", "preset_id": "1", "network": {"id": "network-1"}}),
        ("/api/v1/balancers", {**BALANCER, "network": NETWORK}),
        ("/api/v1/images", {"disk_id": 1, "name": "n"}),
        ("/api/v1/images", {"name": "n", "os": "debian", "location": "ru-1"}),
        ("/api/v1/floating-ips", {"is_ddos_guard": "false", "availability_zone": "spb-1"}),
        ("/api/v1/network-drives", {"name": "n", "size": "10", "preset_id": 1}),
        ("/api/v1/projects", {"name": "p", "avatar_id": None}),
    ],
)
def test_it_takes_what_clients_send(wire: Wire, path: str, body: dict[str, Any]) -> None:
    reply = wire("POST", path, body)
    assert reply.status in (200, 201), reply.body


@pytest.mark.parametrize(
    ("path", "body", "message"),
    [
        ("/api/v1/network-drives", {"name": "n", "size": "ten", "preset_id": 1}, "size must be a number conforming"),
        ("/api/v1/floating-ips", {"is_ddos_guard": "maybe", "availability_zone": "spb-1"}, "is_ddos_guard must be a boolean"),
        ("/api/v1/projects", {"name": 5}, "name must be a string"),
        ("/api/v1/projects", {"name": "p", "colour": None}, "property colour should not exist"),
        ("/api/v1/databases", {"name": "d", "type": "mysql", "network": {"ip4": ""}}, "property network.ip4 should not exist"),
    ],
)
def test_it_refuses_what_means_nothing(wire: Wire, path: str, body: dict[str, Any], message: str) -> None:
    reply = wire("POST", path, body)
    assert reply.status == 400
    assert message in reply.json()["message"][0]


# The vendor's own examples. The contract of this repository has none (they are the vendor's text), so this looks at a bundle
# that somebody has at hand.

CONTRADICTIONS = {
    ("createServer", "image_id"): "a number, where ids of images are UUIDs",
    ("updateServer", "image_id"): "a number, where ids of images are UUIDs",
    ("updateDomainRequest", "payment_type"): "a number, where the enum beside it has eleven words",
    ("updateNotificationSettings", "telegram"): "the status of a server, where the enum beside it has on and off",
    ("updateNotificationSettings", "sms"): "the status of a server, where the enum beside it has on and off",
    ("createPerson", "phone"): "a number, where the schema has a text",
    ("updatePerson", "phone"): "a number, where the schema has a text",
    ("updateNotificationSettings", "email"): "the status of a server, where the enum beside it has on and off",
}
"""Examples that contradict the type or enum they stand beside, with what is odd about them."""


BUNDLE = os.environ.get("TIMEWEB_TESTS_BUNDLE", "")

if BUNDLE:  # no test that is skipped: there is nothing that CI could install

    def test_every_example_of_a_bundle_is_taken() -> None:
        bundle = json.loads(Path(BUNDLE).read_text(encoding="utf-8"))
        vendors = Contract(bundle)
        seen, refused = 0, {}
        for endpoint in contract().endpoints.values():
            documented = vendors.endpoints.get(endpoint.id)
            if endpoint.body is None or documented is None:
                continue
            for name, schema, example in _examples(vendors, documented, endpoint):
                seen += 1
                found = problems(contract(), schema, understood(contract(), schema, example), name)
                if found and (endpoint.id, name) not in CONTRADICTIONS:
                    refused[endpoint.id, name] = (example, found)
        assert refused == {}
        assert seen > 300


def _examples(vendors: Contract, documented: Endpoint, endpoint: Endpoint) -> Iterator[tuple[str, dict[str, Any], Any]]:
    """Name, our schema and the example of every property in a body that has one."""
    for media in _media(vendors, documented):
        for example in [*media.get("examples", {}).values(), *([{"value": media["example"]}] if "example" in media else [])]:
            yield "body", endpoint.body or {}, vendors.resolve(example)["value"]
    yield from _property_examples(vendors, documented.body or {}, endpoint.body or {}, "body")


def _media(vendors: Contract, documented: Endpoint) -> list[dict[str, Any]]:
    operation = vendors.document["paths"][documented.path][documented.method.lower()]
    return list(vendors.resolve(operation.get("requestBody", {})).get("content", {}).values())


def _property_examples(
    vendors: Contract, theirs: dict[str, Any], ours: dict[str, Any], name: str
) -> Iterator[tuple[str, dict[str, Any], Any]]:
    theirs, resolved = vendors.resolve(theirs), contract().resolve(ours)
    if "example" in theirs:
        yield name, ours, theirs["example"]
    for choice in ("oneOf", "anyOf"):
        for position, option in enumerate(theirs.get(choice, ())):
            if position < len(resolved.get(choice, ())):
                yield from _property_examples(vendors, option, resolved[choice][position], name)
    for key, schema in theirs.get("properties", {}).items():
        if key in resolved.get("properties", {}):
            yield from _property_examples(vendors, schema, resolved["properties"][key], key)
    if "items" in theirs and "items" in resolved:
        yield from _property_examples(vendors, theirs["items"], resolved["items"], name)
