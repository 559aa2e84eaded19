"""Domains, subdomains and DNS records."""

from __future__ import annotations

import re
from typing import Any

from timeweb_sdk.testing._account import Account, Item, listed
from timeweb_sdk.testing._call import Call, handlers
from timeweb_sdk.testing._http import bad_request, conflict, not_found

handles = handlers("fqdn", "subdomain_fqdn", "subdomain", "record_id")

_LABEL = re.compile(r"[a-z0-9_*]([a-z0-9_-]{0,61}[a-z0-9_])?")
_DEFAULT_TTL = 600
_NAME_SERVERS = ("ns1.example.com", "ns2.example.com")


def _ascii(name: str) -> str:
    """The one spelling of a name: lower case, without the root's dot, other scripts in Punycode."""
    labels = name.lower().removesuffix(".").split(".")
    try:
        return ".".join(label if label.isascii() else label.encode("idna").decode() for label in labels)
    except UnicodeError:
        return name  # no name at all: nothing is found under it, and `_check_name` refuses it


def _check_name(fqdn: str) -> None:
    if len(fqdn) > 253 or not all(_LABEL.fullmatch(label) for label in fqdn.split(".")):
        raise bad_request("Bad subdomain name", code="bad_subdomain_name")


def _named(items: list[Item], name: str) -> Item | None:
    return next((item for item in items if _ascii(str(item.get("fqdn"))) == name), None)


def _exact_domain(call: Call) -> Item:
    found = _named(call.account.items("domains"), _ascii(call.path["fqdn"]))
    if found is None:
        raise not_found("Domain")
    return found


def _domain_above(account: Account, name: str) -> Item:
    """The domain that a name belongs to: itself or the closest parent."""
    labels = name.split(".")
    for start in range(len(labels)):
        found = _named(account.items("domains"), ".".join(labels[start:]))
        if found is not None:
            return found
    raise not_found("Domain")


def _below(name: str, domain: Item) -> str:
    """The full name of what may be given as a label or as a full name."""
    zone, name = _zone(domain), _ascii(name)
    return name if name == zone or name.endswith("." + zone) else f"{name}.{zone}"


def _zone(domain: Item) -> str:
    return _ascii(str(domain["fqdn"]))


@handles("getDomains")
def list_domains(call: Call) -> dict[str, Any]:
    found = call.account.items("domains")
    if "idn_name" in call.query:
        wanted = _ascii(call.query["idn_name"])
        found = [domain for domain in found if wanted in _zone(domain)]
    if "linked_ip" in call.query:
        found = [domain for domain in found if domain.get("linked_ip") == call.query["linked_ip"]]
    if "sort" in call.query or "order" in call.query:
        found = sorted(found, key=lambda domain: str(domain.get("fqdn")), reverse=call.query.get("order") == "dsc")
    return call.page("domains", found)


@handles("getDomain")
def get_domain(call: Call) -> dict[str, Any]:
    return {"domain": _exact_domain(call)}


@handles("addDomain")
def add_domain(call: Call) -> None:
    account, fqdn = call.account, _ascii(call.path["fqdn"])
    _check_name(fqdn)
    if _named(account.items("domains"), fqdn) is not None:
        raise conflict("Domain already exists")
    account.items("domains").append(new_domain(account.new_id("domains"), fqdn))


def new_domain(number: int, fqdn: str) -> Item:
    """A domain that was registered elsewhere and is served here."""
    return {
        "id": number,
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


@handles("updateDomainAutoProlongation")
def update_domain(call: Call) -> dict[str, Any]:
    domain = _exact_domain(call)
    domain.update(call.body)
    return {"domain": domain}


@handles("deleteDomain")
def delete_domain(call: Call) -> None:
    # Reported by konser80/mcp-timeweb-cloud, unverified: the name of a subdomain deletes the whole domain.
    domain = _domain_above(call.account, _ascii(call.path["fqdn"]))
    call.account.items("domains").remove(domain)
    call.account.state["dns_records"].pop(domain["fqdn"], None)


def _subdomain_name(call: Call, domain: Item) -> str:
    # The contract of June 2026 calls it `subdomain_fqdn`, that of August `subdomain`; clients send either a label or a name.
    return _below(list(call.path.values())[-1], domain)


@handles("addSubdomain")
def add_subdomain(call: Call) -> dict[str, Any]:
    account, domain = call.account, _exact_domain(call)
    name = _subdomain_name(call, domain)
    _check_name(name)
    if name.startswith("www."):
        raise bad_request("Bad subdomain name", code="bad_subdomain_name")
    subdomains: list[Item] = domain.setdefault("subdomains", [])
    if _named(subdomains, name) is not None:
        raise conflict("Subdomain already exists")
    subdomain: Item = {"id": account.new_id("subdomains"), "fqdn": name, "linked_ip": None}
    subdomains.append(subdomain)
    return {"subdomain": subdomain}


@handles("deleteSubdomain")
def delete_subdomain(call: Call) -> None:
    """Remove a subdomain with the records that live on it, as twc-cli tells its users."""
    domain = _exact_domain(call)
    subdomain = _named(listed(domain, "subdomains"), _subdomain_name(call, domain))
    if subdomain is None:
        raise not_found("Subdomain")
    domain["subdomains"].remove(subdomain)
    records = _records(call.account, domain)
    records[:] = [record for record in records if _name_of(record, domain) != _ascii(subdomain["fqdn"])]


@handles("getDomainNameServers", "updateDomainNameServers")
def name_servers(call: Call) -> dict[str, Any]:
    domain = _exact_domain(call)
    kept: dict[str, list[Item]] = call.account.inner("name_servers")
    if call.endpoint.method == "PUT":
        kept[domain["fqdn"]] = [{"host": server["host"], "ips": server.get("ips", [])} for server in call.body["name_servers"]]
    items = kept.get(domain["fqdn"], [{"host": host, "ips": []} for host in _NAME_SERVERS])
    return {"name_servers": [{"is_delegation_allowed": True, "items": items, "task_status": "done"}], "meta": {"total": 1}}


# Records


def _records(account: Account, domain: Item) -> list[Item]:
    kept: list[Item] = account.state["dns_records"].setdefault(domain["fqdn"], [])
    return kept


def _name_of(record: Item, domain: Item) -> str:
    """Where a record lives; one of the state that does not say so lives on the domain."""
    return _ascii(str(record.get("fqdn") or domain["fqdn"]))


def _record(call: Call, *, anywhere: bool) -> tuple[Item, Item]:
    """A domain and one of its records, by the record's own name; `anywhere`: the domain's name will do for all of them."""
    name = _ascii(call.path["fqdn"])
    domain = _domain_above(call.account, name)
    for record in _records(call.account, domain):
        if str(record.get("id")) == call.path["record_id"]:
            if _name_of(record, domain) == name or (anywhere and name == _zone(domain)):
                return domain, record
            break
    raise not_found("DNS record")


@handles("getDomainDNSRecords")
def list_records(call: Call) -> dict[str, Any]:
    name = _ascii(call.path["fqdn"])
    domain = _domain_above(call.account, name)
    records = _records(call.account, domain)
    return call.page("dns_records", [_as_listed(r) for r in records if name in (_zone(domain), _name_of(r, domain))])


def _as_listed(record: Item) -> Item:
    """The list is of version 1, whose records all have a value: that of a service as zone files have it (RFC 2782)."""
    data: Item = record.get("data", {})
    if "value" in data or not {"host", "port"} <= data.keys():
        return record
    return {**record, "data": {**data, "value": f"0 {data['port']} {data['host']}"}}


@handles("getDomainDefaultDNSRecords")
def list_default_records(call: Call) -> dict[str, Any]:
    _domain_above(call.account, _ascii(call.path["fqdn"]))
    return call.page("dns_records", [])


@handles("createDomainDNSRecord", "createDomainDNSRecordV2")
def create_record(call: Call) -> dict[str, Any]:
    """Version 2 writes to the name in the path, version 1 to `subdomain`, where that is given."""
    account, domain = call.account, _domain_above(call.account, _ascii(call.path["fqdn"]))
    name = _wanted_name(call, domain, otherwise=_ascii(call.path["fqdn"]))
    record = {"id": account.new_id("dns_records"), "fqdn": name, **_content(call.body, name, domain)}
    _records(account, domain).append(record)
    return {"dns_record": record}


@handles("updateDomainDNSRecord")
def update_record(call: Call) -> dict[str, Any]:
    domain, record = _record(call, anywhere=True)
    return _change(call, domain, record, _wanted_name(call, domain, otherwise=_name_of(record, domain)))


@handles("updateDomainDNSRecordV2")
def update_record_v2(call: Call) -> dict[str, Any]:
    domain, record = _record(call, anywhere=False)
    return _change(call, domain, record, _name_of(record, domain))


def _change(call: Call, domain: Item, record: Item, name: str) -> dict[str, Any]:
    record.update(fqdn=name, **_content({"ttl": record.get("ttl", _DEFAULT_TTL), **call.body}, name, domain))
    return {"dns_record": record}


@handles("deleteDomainDNSRecord")
def delete_record(call: Call) -> None:
    domain, record = _record(call, anywhere=True)
    _records(call.account, domain).remove(record)


@handles("deleteDomainDNSRecordV2")
def delete_record_v2(call: Call) -> None:
    # konser80/mcp-timeweb-cloud: a record is changed and deleted under the name it lives on, else it is a 404.
    domain, record = _record(call, anywhere=False)
    _records(call.account, domain).remove(record)


def _wanted_name(call: Call, domain: Item, *, otherwise: str) -> str:
    # artrey/certbot-dns-timeweb 2.0.0 and go-acme/lego (PR 2845) send the full name, twc-cli 2.15.4 and acme.sh a label.
    subdomain = call.body.get("subdomain")
    name = _below(subdomain, domain) if subdomain and subdomain != "@" else otherwise
    _check_name(name)
    return name


def _content(body: Item, name: str, domain: Item) -> Item:
    prefix = name.removesuffix(_zone(domain)).rstrip(".")
    kept = ("value", "priority", "host", "port", "service", "protocol")
    data: Item = {key: body[key] for key in kept if key in body}
    if prefix:
        data["subdomain"] = prefix
    return {"type": body["type"], "ttl": body.get("ttl", _DEFAULT_TTL), "data": data}
