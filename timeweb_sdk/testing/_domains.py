"""Domains, subdomains and DNS records."""

from __future__ import annotations

import re
from typing import Any

from timeweb_sdk.testing._account import Account, Item, listed
from timeweb_sdk.testing._call import Call, handles
from timeweb_sdk.testing._http import bad_request, conflict, not_found

_LABEL = re.compile(r"[\w*]([\w-]{0,61}\w)?")
_DEFAULT_TTL = 600
_NAME_SERVERS = ("ns1.example.com", "ns2.example.com")


def _domain(account: Account, fqdn: str) -> Item:
    """The domain that a name belongs to: itself or the closest parent."""
    known = {str(domain.get("fqdn")): domain for domain in account.items("domains")}
    labels = fqdn.lower().split(".")
    for start in range(len(labels)):
        found = known.get(".".join(labels[start:]))
        if found is not None:
            return found
    raise not_found("Domain")


def _check_name(fqdn: str) -> None:
    if len(fqdn) > 253 or not all(_LABEL.fullmatch(label) for label in fqdn.split(".")):
        raise bad_request("Bad subdomain name", code="bad_subdomain_name")


@handles("getDomains")
def list_domains(call: Call) -> dict[str, Any]:
    found = call.account.items("domains")
    if "idn_name" in call.query:
        found = [domain for domain in found if call.query["idn_name"] in str(domain.get("fqdn"))]
    if "linked_ip" in call.query:
        found = [domain for domain in found if domain.get("linked_ip") == call.query["linked_ip"]]
    if "sort" in call.query or "order" in call.query:
        found = sorted(found, key=lambda domain: str(domain.get("fqdn")), reverse=call.query.get("order") == "dsc")
    return call.page("domains", found)


@handles("getDomain")
def get_domain(call: Call) -> dict[str, Any]:
    return {"domain": call.account.find("domains", call.path["fqdn"], "Domain", by="fqdn")}


@handles("addDomain")
def add_domain(call: Call) -> None:
    account, fqdn = call.account, call.path["fqdn"].lower()
    _check_name(fqdn)
    if any(domain.get("fqdn") == fqdn for domain in account.items("domains")):
        raise conflict("Domain already exists")
    account.items("domains").append(
        {
            "id": account.new_id("domains"),
            "fqdn": fqdn,
            "domain_status": "ns_based",
            "days_left": 0,
            "expiration": "",
            "paid_till": None,
            "is_autoprolong_enabled": None,
            "is_premium": False,
            "is_prolong_allowed": False,
            "is_technical": False,
            "is_whois_privacy_enabled": None,
            "linked_ip": None,
            "person_id": None,
            "premium_prolong_cost": None,
            "provider": None,
            "request_status": None,
            "avatar_link": None,
            "tld_id": None,
            "allowed_buy_periods": [],
            "subdomains": [],
        }
    )


@handles("updateDomainAutoProlongation")
def update_domain(call: Call) -> dict[str, Any]:
    domain = call.account.find("domains", call.path["fqdn"], "Domain", by="fqdn")
    domain.update(call.body)
    return {"domain": domain}


@handles("deleteDomain")
def delete_domain(call: Call) -> None:
    # Reported by konser80/mcp-timeweb-cloud, unverified: the name of a subdomain deletes the whole domain.
    domain = _domain(call.account, call.path["fqdn"])
    call.account.items("domains").remove(domain)
    call.account.state["dns_records"].pop(domain["fqdn"], None)


@handles("addSubdomain")
def add_subdomain(call: Call) -> dict[str, Any]:
    account, name = call.account, call.path["subdomain_fqdn"].lower()
    domain = account.find("domains", call.path["fqdn"], "Domain", by="fqdn")
    if not name.endswith("." + domain["fqdn"]):
        name = f"{name}.{domain['fqdn']}"
    _check_name(name)
    if name.startswith("www."):
        raise bad_request("Bad subdomain name", code="bad_subdomain_name")
    subdomains: list[Item] = domain.setdefault("subdomains", [])
    if any(subdomain.get("fqdn") == name for subdomain in subdomains):
        raise conflict("Subdomain already exists")
    subdomain: Item = {"id": account.new_id("subdomains"), "fqdn": name, "linked_ip": None}
    subdomains.append(subdomain)
    return {"subdomain": subdomain}


@handles("deleteSubdomain")
def delete_subdomain(call: Call) -> None:
    domain = call.account.find("domains", call.path["fqdn"], "Domain", by="fqdn")
    kept = [entry for entry in listed(domain, "subdomains") if entry.get("fqdn") != call.path["subdomain_fqdn"]]
    if len(kept) == len(listed(domain, "subdomains")):
        raise not_found("Subdomain")
    domain["subdomains"] = kept


@handles("getDomainNameServers", "updateDomainNameServers")
def name_servers(call: Call) -> dict[str, Any]:
    domain = call.account.find("domains", call.path["fqdn"], "Domain", by="fqdn")
    kept: dict[str, list[Item]] = call.account.inner("name_servers")
    if call.endpoint.method == "PUT":
        kept[domain["fqdn"]] = [{"host": server["host"], "ips": server.get("ips", [])} for server in call.body["name_servers"]]
    items = kept.get(domain["fqdn"], [{"host": host, "ips": []} for host in _NAME_SERVERS])
    return {"name_servers": [{"is_delegation_allowed": True, "items": items, "task_status": "done"}], "meta": {"total": 1}}


# Records


def _records(account: Account, domain: Item) -> list[Item]:
    kept: list[Item] = account.state["dns_records"].setdefault(domain["fqdn"], [])
    return kept


def _record(call: Call) -> tuple[list[Item], Item]:
    """A record answers only to the name it lives on."""
    records = _records(call.account, _domain(call.account, call.path["fqdn"]))
    for record in records:
        if str(record.get("id")) == call.path["record_id"] and record.get("fqdn") == call.path["fqdn"].lower():
            return records, record
    raise not_found("DNS record")


@handles("getDomainDNSRecords")
def list_records(call: Call) -> dict[str, Any]:
    name = call.path["fqdn"].lower()
    domain = _domain(call.account, name)
    records = _records(call.account, domain)
    return call.page("dns_records", [r for r in records if name in (domain["fqdn"], r.get("fqdn"))])


@handles("getDomainDefaultDNSRecords")
def list_default_records(call: Call) -> dict[str, Any]:
    _domain(call.account, call.path["fqdn"])
    return call.page("dns_records", [])


@handles("createDomainDNSRecord", "createDomainDNSRecordV2")
def create_record(call: Call) -> dict[str, Any]:
    # Reported by go-acme/lego (PR 3120), unverified: the first version ignores `subdomain` and writes to the name in the path.
    account, name = call.account, call.path["fqdn"].lower()
    domain = _domain(account, name)
    _check_name(name)
    record = {"id": account.new_id("dns_records"), "fqdn": name, **_content(call.body, name, domain["fqdn"])}
    _records(account, domain).append(record)
    return {"dns_record": record}


@handles("updateDomainDNSRecord", "updateDomainDNSRecordV2")
def update_record(call: Call) -> dict[str, Any]:
    _, record = _record(call)
    name = call.path["fqdn"].lower()
    record.update(_content(call.body, name, _domain(call.account, name)["fqdn"]))
    return {"dns_record": record}


@handles("deleteDomainDNSRecord", "deleteDomainDNSRecordV2")
def delete_record(call: Call) -> None:
    records, record = _record(call)
    records.remove(record)


def _content(body: Item, name: str, domain: str) -> Item:
    prefix = name.removesuffix(domain).rstrip(".")
    kept = ("value", "priority", "host", "port", "service", "protocol")
    data: Item = {key: body[key] for key in kept if key in body}
    if prefix:
        data["subdomain"] = prefix
    return {"type": body["type"], "ttl": body.get("ttl", _DEFAULT_TTL), "data": data}
