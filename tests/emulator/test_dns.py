"""Domains and records as DNS clients write and look for them, over a socket."""

from typing import Any

import pytest

from tests.emulator.conftest import Reply, Wire

UNICODE, PUNYCODE = "пример.рф", "xn--e1afmkfd.xn--p1ai"
QUOTED = "%D0%BF%D1%80%D0%B8%D0%BC%D0%B5%D1%80.%D1%80%D1%84"


@pytest.fixture
def dns(wire: Wire) -> Wire:
    assert wire("POST", "/api/v1/add-domain/example.org").status == 204
    return wire


def write(wire: Wire, path: str, **body: Any) -> dict[str, Any]:
    reply = wire("POST", path, {"type": "TXT", "value": "v", **body})
    assert reply.status == 201, reply.body
    record: dict[str, Any] = reply.json()["dns_record"]
    return record


def names(wire: Wire, name: str) -> list[str]:
    return [record["fqdn"] for record in wire("GET", f"/api/v1/domains/{name}/dns-records").json()["dns_records"]]


@pytest.mark.parametrize(
    ("body", "fqdn", "label"),
    [
        ({}, "example.org", None),
        ({"subdomain": None}, "example.org", None),
        ({"subdomain": "example.org"}, "example.org", None),
        ({"subdomain": "_acme-challenge"}, "_acme-challenge.example.org", "_acme-challenge"),
        ({"subdomain": "_acme-challenge.example.org"}, "_acme-challenge.example.org", "_acme-challenge"),
        ({"subdomain": "_acme-challenge.a.b.Example.ORG."}, "_acme-challenge.a.b.example.org", "_acme-challenge.a.b"),
    ],
)
def test_version_one_writes_where_the_subdomain_says(dns: Wire, body: dict[str, Any], fqdn: str, label: str | None) -> None:
    record = write(dns, "/api/v1/domains/example.org/dns-records", **body)
    assert (record["fqdn"], record["data"].get("subdomain")) == (fqdn, label)
    assert names(dns, fqdn) == [fqdn]
    assert names(dns, "example.org") == [fqdn], "the domain lists what is below it"


def test_version_two_writes_to_the_name_in_the_path(dns: Wire) -> None:
    record = write(dns, "/api/v2/domains/mail.example.org/dns-records")
    assert (record["fqdn"], record["data"]["subdomain"]) == ("mail.example.org", "mail")
    refused = dns("POST", "/api/v2/domains/example.org/dns-records", {"type": "TXT", "value": "v", "subdomain": "mail"})
    assert refused.status == 400, "version 2 knows no such property"


def test_two_challenges_of_one_name_are_two_records(dns: Wire) -> None:
    path, name = "/api/v1/domains/example.org/dns-records", "_acme-challenge.example.org"
    first, second = (write(dns, path, subdomain=name, value=value) for value in ("one", "two"))
    assert first["id"] != second["id"]
    assert dns("DELETE", f"{path}/{first['id']}").status == 204, "version 1 deletes under the name of the domain"
    assert names(dns, name) == [name]


def test_version_two_deletes_and_changes_only_under_the_records_own_name(dns: Wire) -> None:
    number = write(dns, "/api/v2/domains/mail.example.org/dns-records")["id"]
    change = {"type": "TXT", "value": "changed"}
    for method, body in (("DELETE", None), ("PATCH", change)):
        assert dns(method, f"/api/v2/domains/example.org/dns-records/{number}", body).status == 404
    changed = dns("PATCH", f"/api/v2/domains/mail.example.org/dns-records/{number}", change).json()["dns_record"]
    assert (changed["fqdn"], changed["data"]["value"]) == ("mail.example.org", "changed")
    assert dns("DELETE", f"/api/v2/domains/mail.example.org/dns-records/{number}").status == 204


def test_version_one_moves_a_record_by_its_subdomain(dns: Wire) -> None:
    path = "/api/v1/domains/example.org/dns-records"
    number = write(dns, path, subdomain="old")["id"]
    dns("PATCH", f"{path}/{number}", {"type": "TXT", "value": "v", "subdomain": "new"})
    assert names(dns, "example.org") == ["new.example.org"]
    dns("PATCH", f"{path}/{number}", {"type": "TXT", "value": "w"})
    assert names(dns, "example.org") == ["new.example.org"], "a change of the value leaves it where it is"


def test_an_srv_record_has_its_service(dns: Wire) -> None:
    service = {"service": "_sip", "protocol": "_tcp", "host": "sip.example.org", "port": 5060, "priority": 10}
    reply = dns("POST", "/api/v2/domains/example.org/dns-records", {"type": "SRV", **service})
    assert reply.json()["dns_record"]["data"] == service
    (listed,) = dns("GET", "/api/v1/domains/example.org/dns-records").json()["dns_records"]
    assert listed["data"] == {**service, "value": "0 5060 sip.example.org"}, "the contract wants a value in the list"


@pytest.mark.parametrize("added", ["shop", "shop.example.org", "SHOP.example.org."])
@pytest.mark.parametrize("removed", ["shop", "shop.example.org"])
def test_a_subdomain_goes_by_its_label_and_by_its_name(dns: Wire, added: str, removed: str) -> None:
    subdomain = dns("POST", f"/api/v1/domains/example.org/subdomains/{added}").json()["subdomain"]
    assert subdomain["fqdn"] == "shop.example.org"
    again = dns("POST", f"/api/v1/domains/example.org/subdomains/{removed}")
    assert again.status == 409
    write(dns, "/api/v2/domains/shop.example.org/dns-records")
    assert dns("DELETE", f"/api/v1/domains/example.org/subdomains/{removed}").status == 204
    assert dns("GET", "/api/v1/domains/example.org").json()["domain"]["subdomains"] == []
    assert names(dns, "example.org") == [], "its records go with it"
    assert dns("DELETE", f"/api/v1/domains/example.org/subdomains/{removed}").status == 404


@pytest.mark.parametrize(("first", "second"), [(QUOTED, PUNYCODE), (PUNYCODE, QUOTED), (PUNYCODE.upper(), QUOTED)])
def test_a_name_in_unicode_and_in_punycode_is_one_domain(wire: Wire, first: str, second: str) -> None:
    assert wire("POST", f"/api/v1/add-domain/{first}").status == 204
    assert wire("POST", f"/api/v1/add-domain/{second}").status == 409
    for spelling in (first, second):
        assert wire("GET", f"/api/v1/domains/{spelling}").json()["domain"]["fqdn"] == PUNYCODE
        found = wire("GET", f"/api/v1/domains?idn_name={spelling}").json()["domains"]
        assert [domain["fqdn"] for domain in found] == [PUNYCODE]
    write(wire, f"/api/v1/domains/{first}/dns-records", subdomain=f"почта.{UNICODE}")
    assert names(wire, second) == [f"xn--80a1acny.{PUNYCODE}"]
    assert wire("DELETE", f"/api/v1/domains/{second}").status == 204
    assert wire("GET", f"/api/v1/domains/{first}").status == 404


@pytest.mark.parametrize("name", ["www.example.org", "a b.example.org", "-a.example.org", "a" * 64 + ".example.org"])
def test_a_bad_name_is_refused(dns: Wire, name: str) -> None:
    reply: Reply = dns("POST", f"/api/v1/domains/example.org/subdomains/{name.replace(' ', '%20')}")
    assert (reply.status, reply.json()["error_code"]) == (400, "bad_subdomain_name")
